//! A tag is one register: many push it at once, and everyone sees one order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use ironwharf_tests::{Client, Image, Registry, digest_of};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::consistency;
use crate::history::{History, Value as Seen};

const PUSHES: usize = 50;

const READERS: usize = 3;

/// How often the same images race for another tag: first they are new, then
/// they are there already.
const RACES: usize = 4;

/// Images with different digests over the same blobs, which are pushed.
async fn contenders(client: &Client, repository: &str) -> Vec<Image> {
    let base = Image::new(repository);
    for blob in &base.blobs {
        client.push_blob(repository, blob.clone()).await;
    }
    let numbered = |number: usize| {
        let mut manifest = base.json();
        manifest["annotations"] = json!({ "number": number.to_string() });
        Image::from_json(&manifest)
    };
    (0..PUSHES).map(numbered).collect()
}

/// Pushes a manifest by one of the two protocols: whether it was acknowledged,
/// or the code of the refusal.
async fn push(client: &Client, repository: &str, tag: &str, image: &Image, by_api: bool) -> Result<(), String> {
    let reply = if by_api {
        let input = json!({ "repositoryName": repository, "imageTag": tag, "imageManifest": image.text() });
        client.api("PutImage", input).await
    } else {
        client.put_manifest(repository, tag, image.media_type, image.manifest.clone()).await
    };
    if reply.status.is_success() {
        return Ok(());
    }
    assert!(reply.status.is_client_error(), "{}: {}", reply.status, reply.text());
    let body = reply.json();
    let code = if by_api { &body["__type"] } else { &body["errors"][0]["code"] };
    Err(code.as_str().expect("a code").to_owned())
}

/// What a tag names, by one of three ways to ask. A manifest that comes with
/// another digest than its own fails the test.
async fn read(client: &Client, repository: &str, tag: &str, way: usize) -> Seen {
    let (digest, manifest) = match way % 3 {
        0 => {
            let reply = client.get_manifest(repository, tag).await;
            if reply.status == 404 {
                return None;
            }
            (reply.expect_status(200).header("docker-content-digest").to_owned(), reply.body)
        }
        1 => {
            let reply = client.oci("HEAD", &format!("/v2/{repository}/manifests/{tag}")).send().await;
            if reply.status == 404 {
                return None;
            }
            return Some(reply.expect_status(200).header("docker-content-digest").to_owned());
        }
        _ => {
            let input = json!({ "repositoryName": repository, "imageIds": [{ "imageTag": tag }] });
            let output = client.api_ok("BatchGetImage", input).await;
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            let image = output["images"].get(0)?;
            (text(&image["imageId"]["imageDigest"]), Bytes::from(text(&image["imageManifest"])))
        }
    };
    assert_eq!(digest_of(&manifest), digest, "{repository}:{tag} is torn");
    Some(digest)
}

/// Pushes all images to one tag at the same time while readers watch it; what
/// became of each push, in the order of the images.
async fn race(
    client: &Arc<Client>,
    repository: &str,
    tag: &str,
    images: &[Image],
    history: &Arc<History>,
) -> Vec<Result<(), String>> {
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (client, history, done) = (Arc::clone(client), Arc::clone(history), Arc::clone(&done));
        let (repository, tag) = (repository.to_owned(), tag.to_owned());
        readers.spawn(async move {
            let mut way = reader;
            while !done.load(Ordering::SeqCst) {
                let start = history.now();
                let seen = read(&client, &repository, &tag, way).await;
                history.read(seen, start);
                way += 1;
            }
        });
    }
    let together = Arc::new(Barrier::new(images.len()));
    let pushes = images.iter().cloned().enumerate().map(|(number, image)| {
        let (client, history, together) = (Arc::clone(client), Arc::clone(history), Arc::clone(&together));
        let (repository, tag) = (repository.to_owned(), tag.to_owned());
        tokio::spawn(async move {
            together.wait().await;
            let start = history.now();
            let pushed = push(&client, &repository, &tag, &image, number % 2 == 0).await;
            if pushed.is_ok() {
                history.wrote(&image.digest, start);
            }
            pushed
        })
    });
    let pushes: Vec<_> = pushes.collect();
    let mut outcomes = Vec::new();
    for pushed in pushes {
        outcomes.push(pushed.await.expect("a push failed"));
    }
    done.store(true, Ordering::SeqCst);
    readers.join_all().await;
    // What is there in the end has to fit as well, however it is asked for.
    for way in 0..3 {
        let start = history.now();
        let seen = read(client, repository, tag, way).await;
        history.read(seen, start);
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_pushed_by_many_has_one_order() {
    let registry = Registry::start().await;
    let client = Arc::new(registry.client());
    let images = contenders(&client, "app").await;
    for tag in (0..RACES).map(|race| format!("race-{race}")) {
        let history = Arc::new(History::default());
        let outcomes = race(&client, "app", &tag, &images, &history).await;
        assert!(outcomes.iter().all(Result::is_ok), "{tag}: {outcomes:?}");
        assert!(history.reads() > READERS, "nobody watched {tag}");
        history.check().unwrap_or_else(|error| panic!("{tag}: {error}"));
    }
    // One tag each round, on one image, and all other images without.
    let held = consistency::check(&client, "app").await;
    assert_eq!(held.len(), PUSHES);
    assert_eq!(held.values().flatten().count(), RACES);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_immutable_tag_pushed_by_many_has_one_winner() {
    let registry = Registry::start().await;
    let client = Arc::new(registry.client());
    let settings = json!({ "repositoryName": "app", "imageTagMutability": "IMMUTABLE" });
    client.api_ok("CreateRepository", settings).await;
    let images = contenders(&client, "app").await;
    let mut winners = Vec::new();
    for tag in (0..RACES).map(|race| format!("race-{race}")) {
        let history = Arc::new(History::default());
        let outcomes = race(&client, "app", &tag, &images, &history).await;
        history.check().unwrap_or_else(|error| panic!("{tag}: {error}"));
        let mut winner = None;
        for (number, (outcome, image)) in outcomes.iter().zip(&images).enumerate() {
            let refusal = if number % 2 == 0 { "ImageTagAlreadyExistsException" } else { "TAG_INVALID" };
            match outcome {
                Ok(()) => assert_eq!(winner.replace(image.digest.clone()), None, "{tag} has two winners"),
                Err(code) => assert_eq!(code, refusal, "{tag}: push {number}"),
            }
        }
        let winner = winner.unwrap_or_else(|| panic!("{tag} has no winner"));
        assert_eq!(read(&client, "app", &tag, 0).await, Some(winner.clone()));
        winners.push((winner, tag));
    }
    // Of a refused push nothing is left.
    let held = consistency::check(&client, "app").await;
    let rows: Vec<(String, String)> =
        held.into_iter().flat_map(|(digest, tags)| tags.into_iter().map(move |tag| (digest.clone(), tag))).collect();
    winners.sort_unstable();
    assert_eq!(rows, winners);
    registry.stop().await;
}
