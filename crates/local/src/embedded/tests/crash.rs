//! A process that is killed while it writes has lost nothing it acknowledged.
//!
//! The test starts its own executable with [`FOLDER`] set: that copy of the test
//! writes and says so, until the original kills it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::dynamodb_items;
use super::*;

const FOLDER: &str = "IRONWHARF_TEST_CRASH_FOLDER";
const WRITERS: u8 = 4;

#[test]
fn acknowledged_writes_survive_kill_9() {
    if let Ok(folder) = std::env::var(FOLDER) {
        write_until_killed(Path::new(&folder));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..5_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "embedded::tests::crash::acknowledged_writes_survive_kill_9"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.filter_map(|line| Some(line.split_once("ACK ")?.1.to_owned())).collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_millis(900 + 130 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(reader.join().unwrap());
        verify(dir.path(), &acknowledged);
    }
    assert!(acknowledged.len() > 20, "only {} writes were acknowledged", acknowledged.len());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn open(folder: &Path) -> Fixture {
    let embedded = Embedded::open(&folder.join("data"), ACCOUNT).unwrap();
    let services = embedded.region(REGION).unwrap();
    Fixture { embedded, services, dir: tempfile::tempdir().unwrap() }
}

fn body(name: &str) -> Vec<u8> {
    let number: usize = name.rsplit('-').next().unwrap().parse().unwrap();
    // Some live in their row, some in a file.
    pattern(1000 + (number % 5) * 60_000, u8::try_from(number % 251).unwrap())
}

fn write_until_killed(folder: &Path) {
    let fixture = open(folder);
    runtime().block_on(async {
        let client = fixture.s3();
        let _ = client.create_bucket().bucket(BUCKET).send().await;
        let table = dynamodb_items(&fixture).await;
        let writers = (0..WRITERS).map(|writer| {
            let (client, table) = (client.clone(), table.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let name = format!("{}-{writer}-{number}", std::process::id());
                    put(&client, &name, body(&name)).await;
                    dynamodb_put(&table, &name).await;
                    println!("ACK {name}");
                    std::io::stdout().flush().unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

async fn dynamodb_put(client: &aws_sdk_dynamodb::Client, name: &str) {
    let key = aws_sdk_dynamodb::types::AttributeValue::S(name.to_owned());
    client.put_item().table_name("crash").item("PK", key).send().await.unwrap();
}

fn verify(folder: &Path, acknowledged: &BTreeSet<String>) {
    let fixture = open(folder);
    runtime().block_on(async {
        let (client, table) = (fixture.s3(), fixture.dynamodb());
        for name in acknowledged {
            assert!(get(&client, name).await == body(name), "{name} is not what was put");
            let key = aws_sdk_dynamodb::types::AttributeValue::S(name.clone());
            let item = table.get_item().table_name("crash").key("PK", key).send().await.unwrap();
            assert!(item.item.is_some(), "{name} is not in the table");
        }
        // Every row has its file, and every file its row.
        let mut named = 0;
        let mut pages = client.list_objects_v2().bucket(BUCKET).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let name = object.key().unwrap();
                assert!(get(&client, name).await == body(name), "{name} is damaged");
                named += usize::from(body(name).len() > 16 * 1024);
            }
        }
        assert_eq!(data_files(&folder.join("data")).len(), named);
    });
}
