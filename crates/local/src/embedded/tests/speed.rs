//! Measurements, run by hand:
//! `cargo test --release -p ironwharf-local embedded::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::*;

const PART: usize = 8 * 1024 * 1024;
const PARTS: i32 = 32;

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn rate(what: &str, size: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.0} MiB/s ({seconds:.3} s)", size as f64 / 1_048_576.0 / seconds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn objects_of_256_mib() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    let bytes = Bytes::from(pattern(PART, 1));
    let size = PART * usize::try_from(PARTS).unwrap();
    for parallel in [1, 2, 4, 1, 2, 4] {
        let key = format!("multipart/{parallel}");
        let start = Instant::now();
        let id = client.create_multipart_upload().bucket(BUCKET).key(&key).send().await.unwrap().upload_id.unwrap();
        let mut parts = Vec::new();
        let uploads = (1..=PARTS).map(|number| {
            let part = client.upload_part().bucket(BUCKET).key(&key).upload_id(&id).part_number(number);
            let part = part.body(bytes.clone().into()).customize().disable_payload_signing();
            async move { (number, part.send().await.unwrap().e_tag) }
        });
        let mut uploads = futures::StreamExt::buffered(futures::stream::iter(uploads), parallel);
        while let Some((number, etag)) = futures::StreamExt::next(&mut uploads).await {
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(etag).build());
        }
        let list = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = client.complete_multipart_upload().bucket(BUCKET).key(&key).upload_id(&id);
        complete.multipart_upload(list).send().await.unwrap();
        rate(&format!("put, {PARTS} parts, {parallel} at a time"), size, start);
        read(&client, &key, size).await;
    }
    for _ in 0..2 {
        let start = Instant::now();
        let chunk = bytes.slice(..256 * 1024);
        let chunks = (0..1024).map(move |_| Ok::<_, std::convert::Infallible>(chunk.clone()));
        let body =
            http_body_util::StreamBody::new(futures::stream::iter(chunks.map(|c| c.map(http_body::Frame::data))));
        let body = ByteStream::new(aws_smithy_types::body::SdkBody::from_body_1_x(body));
        let put = client.put_object().bucket(BUCKET).key("stream").content_length(256 << 20).body(body);
        put.customize().disable_payload_signing().send().await.unwrap();
        rate("put, one stream of 256 KiB chunks", 256 << 20, start);
        read(&client, "stream", 256 << 20).await;
    }
}

async fn read(client: &aws_sdk_s3::Client, key: &str, size: usize) {
    let start = Instant::now();
    let mut body = client.get_object().bucket(BUCKET).key(key).send().await.unwrap().body;
    let mut read = 0;
    while let Some(bytes) = body.next().await {
        read += bytes.unwrap().len();
    }
    assert_eq!(read, size);
    rate("  get", size, start);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn small_requests() {
    let fixture = Fixture::new();
    let s3 = fixture.bucket().await;
    let table = dynamodb_items(&fixture).await;
    for parallel in [1, 16] {
        for (what, size) in [("put 4 KiB", 4096), ("put 64 KiB", 65536)] {
            let body = Bytes::from(pattern(size, 1));
            per_second(what, parallel, 1000, |number| {
                let put = s3.put_object().bucket(BUCKET).key(number.to_string()).body(body.clone().into());
                async move { put.customize().disable_payload_signing().send().await.map(|_| ()).unwrap() }
            })
            .await;
            per_second("  get", parallel, 1000, |number| {
                let get = s3.get_object().bucket(BUCKET).key(number.to_string());
                async move { assert_eq!(collect(get.send().await.unwrap().body).await.len(), size) }
            })
            .await;
        }
        let key = |number: usize| aws_sdk_dynamodb::types::AttributeValue::S(number.to_string());
        per_second("PutItem", parallel, 2000, |number| {
            let put = table.put_item().table_name("crash").item("PK", key(number));
            async move { put.send().await.map(|_| ()).unwrap() }
        })
        .await;
        per_second("GetItem", parallel, 5000, |number| {
            let get = table.get_item().table_name("crash").key("PK", key(number % 2000));
            async move { assert!(get.send().await.unwrap().item.is_some()) }
        })
        .await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
async fn per_second<F: Future<Output = ()>>(what: &str, parallel: usize, count: usize, run: impl Fn(usize) -> F) {
    let start = Instant::now();
    let runs = futures::stream::iter((0..count).map(run));
    futures::StreamExt::for_each_concurrent(runs, parallel, |run| run).await;
    println!("{what}, {parallel} at a time: {:.0}/s", count as f64 / start.elapsed().as_secs_f64());
}
