//! Pushes and deletions of the same things at the same time.

use std::sync::Arc;

use ironwharf_tests::{Client, Image, Registry, Reply};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::consistency;

const REPOSITORY: &str = "app";

/// What one of several clients does.
#[derive(Clone, Debug)]
enum Act {
    Put { image: Image, reference: String },
    PutImage { image: Image, tag: Option<String> },
    Delete { reference: String },
    BatchDelete { id: Value },
    DeleteBlob { digest: String },
    Store { digest: String, class: &'static str },
}

impl Act {
    async fn run(&self, client: &Client) -> Reply {
        match self {
            Self::Put { image, reference } => {
                client.put_manifest(REPOSITORY, reference, image.media_type, image.manifest.clone()).await
            }
            Self::PutImage { image, tag } => {
                let mut input = json!({ "repositoryName": REPOSITORY, "imageManifest": image.text() });
                if let Some(tag) = tag {
                    input["imageTag"] = json!(tag);
                }
                client.api("PutImage", input).await
            }
            Self::Delete { reference } => {
                client.oci("DELETE", &format!("/v2/{REPOSITORY}/manifests/{reference}")).send().await
            }
            Self::BatchDelete { id } => {
                client.api("BatchDeleteImage", json!({ "repositoryName": REPOSITORY, "imageIds": [id] })).await
            }
            Self::DeleteBlob { digest } => {
                client.oci("DELETE", &format!("/v2/{REPOSITORY}/blobs/{digest}")).send().await
            }
            Self::Store { digest, class } => {
                let id = json!({ "imageDigest": digest });
                let input = json!({ "repositoryName": REPOSITORY, "imageId": id, "targetStorageClass": class });
                client.api("UpdateImageStorageClass", input).await
            }
        }
    }

    /// Whether the registry said that it was done.
    fn is_done(&self, reply: &Reply) -> bool {
        match self {
            Self::BatchDelete { .. } => {
                reply.expect_status(200).json()["failures"].as_array().expect("a list").is_empty()
            }
            _ => reply.status.is_success(),
        }
    }

    /// The code of a refusal.
    fn refusal(&self, reply: &Reply) -> String {
        let body = reply.json();
        let code = match self {
            Self::BatchDelete { .. } => &body["failures"][0]["failureCode"],
            Self::PutImage { .. } | Self::Store { .. } => &body["__type"],
            _ => &body["errors"][0]["code"],
        };
        code.as_str().unwrap_or_else(|| panic!("{self:?}: {}", reply.text())).to_owned()
    }
}

/// Does everything at the same time; the refusal of each act, in their order.
async fn together(client: &Arc<Client>, acts: Vec<Act>) -> Vec<(Act, Option<String>)> {
    let barrier = Arc::new(Barrier::new(acts.len()));
    let running: Vec<_> = acts
        .into_iter()
        .map(|act| {
            let (client, barrier) = (Arc::clone(client), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                let reply = act.run(&client).await;
                assert!(!reply.status.is_server_error(), "{act:?}: {}: {}", reply.status, reply.text());
                let refusal = (!act.is_done(&reply)).then(|| act.refusal(&reply));
                (act, refusal)
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for act in running {
        outcomes.push(act.await.expect("an act failed"));
    }
    outcomes
}

async fn push_blobs(client: &Client, image: &Image) {
    for blob in &image.blobs {
        client.push_blob(REPOSITORY, blob.clone()).await;
    }
}

fn by_digest(image: &Image) -> Value {
    json!({ "imageDigest": image.digest })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_and_deletions_leave_one_truth() {
    const ROUNDS: usize = 120;
    const CLIENTS: usize = 6;
    let mut random = crate::random();
    let registry = Registry::start().await;
    let client = Arc::new(registry.client());
    let images = [Image::new("one"), Image::new("two")];
    let tags = ["latest", "stable"];
    for image in &images {
        push_blobs(&client, image).await;
    }
    for round in 0..ROUNDS {
        let mut act = || {
            let image = random.choice(&images).expect("an image").clone();
            let tag = random.choice(tags).expect("a tag").to_owned();
            match random.u8(..9) {
                0 | 1 => Act::Put { image, reference: tag },
                2 => Act::Put { reference: image.digest.clone(), image },
                3 => Act::PutImage { image, tag: Some(tag) },
                4 => Act::PutImage { image, tag: None },
                5 => Act::Delete { reference: tag },
                6 => Act::Delete { reference: image.digest },
                7 => Act::BatchDelete { id: json!({ "imageTag": tag }) },
                _ => Act::BatchDelete { id: by_digest(&image) },
            }
        };
        let acts = (0..CLIENTS).map(|_| act()).collect();
        let outcomes = together(&client, acts).await;
        for (act, refusal) in &outcomes {
            let allowed = match act {
                Act::Put { .. } => &[][..],
                Act::PutImage { .. } => &["ImageAlreadyExistsException"],
                Act::Delete { .. } => &["MANIFEST_UNKNOWN"],
                Act::BatchDelete { .. } | Act::DeleteBlob { .. } => &["ImageNotFound"],
                Act::Store { .. } => unreachable!("no act of this test"),
            };
            let is_allowed = refusal.as_deref().is_none_or(|code| allowed.contains(&code));
            assert!(is_allowed, "round {round}: {act:?} was refused with {refusal:?}");
        }
        let held = consistency::check(&client, REPOSITORY).await;
        let digests = images.each_ref().map(|image| image.digest.as_str());
        consistency::expect_no_others(&client, REPOSITORY, &held, &digests, &tags).await;
    }
    registry.stop().await;
}

/// The archive beside pushes and deletions: whatever happens, an image is either
/// whole or in the archive, and what is in the archive comes back whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archive_leaves_one_truth() {
    const ROUNDS: usize = 100;
    const CLIENTS: usize = 6;
    let mut random = crate::random();
    let registry = Registry::start().await;
    let client = Arc::new(registry.client());
    // Their layers are the same.
    let one = Image::new("shared");
    let mut other = one.json();
    other["annotations"] = json!({ "which": "the other" });
    let images = [one, Image::from_json(&other)];
    let tags = ["latest", "stable"];
    push_blobs(&client, &images[0]).await;
    let mut found_in_archive = 0;
    for round in 0..ROUNDS {
        for (image, tag) in images.iter().zip(tags) {
            client.push_manifest(REPOSITORY, tag, image).await;
        }
        let mut act = || {
            let image = random.choice(&images).expect("an image").clone();
            let tag = random.choice(tags).expect("a tag").to_owned();
            match random.u8(..8) {
                0..3 => Act::Store { digest: image.digest, class: "ARCHIVE" },
                3 => Act::Store { digest: image.digest, class: "STANDARD" },
                4 => Act::Put { image, reference: tag },
                5 => Act::PutImage { image, tag: Some(tag) },
                6 => Act::Delete { reference: image.digest },
                _ => Act::BatchDelete { id: json!({ "imageTag": tag }) },
            }
        };
        let acts = (0..CLIENTS).map(|_| act()).collect();
        for (act, refusal) in together(&client, acts).await {
            let allowed = match &act {
                Act::Put { .. } | Act::DeleteBlob { .. } => &[][..],
                Act::PutImage { .. } => &["ImageAlreadyExistsException"],
                Act::Delete { .. } => &["MANIFEST_UNKNOWN"],
                Act::BatchDelete { .. } => &["ImageNotFound"],
                Act::Store { .. } => &["ImageNotFoundException", "ImageStorageClassUpdateNotSupportedException"],
            };
            let is_allowed = refusal.as_deref().is_none_or(|code| allowed.contains(&code));
            assert!(is_allowed, "round {round}: {act:?} was refused with {refusal:?}");
        }
        let archived = json!({ "repositoryName": REPOSITORY, "filter": { "imageStatus": "ARCHIVED" } });
        let archived = client.api_ok("DescribeImages", archived).await["imageDetails"].clone();
        for image in archived.as_array().expect("a list") {
            found_in_archive += 1;
            let digest = image["imageDigest"].as_str().expect("a digest").to_owned();
            assert_eq!(client.get_manifest(REPOSITORY, &digest).await.status, 404, "round {round}");
            for tag in image["imageTags"].as_array().into_iter().flatten() {
                let reply = client.get_manifest(REPOSITORY, tag.as_str().expect("a tag")).await;
                assert_eq!(reply.status, 404, "round {round}: {tag}");
            }
            let restore = Act::Store { digest, class: "STANDARD" };
            let reply = restore.run(&client).await;
            assert_eq!(reply.expect_status(200).json()["imageStatus"], "ACTIVE");
        }
        let held = consistency::check(&client, REPOSITORY).await;
        let digests = images.each_ref().map(|image| image.digest.as_str());
        consistency::expect_no_others(&client, REPOSITORY, &held, &digests, &tags).await;
    }
    assert!(found_in_archive > 0);
    registry.stop().await;
}

/// A push of all of an image, as its client does it when it asks for nothing first.
async fn push_all(client: &Client, repository: &str, tag: &str, image: &Image, by_api: bool) {
    if !by_api {
        client.push_image(repository, tag, image).await;
        return;
    }
    for blob in &image.blobs {
        push_layer(client, repository, blob).await;
    }
    let input = json!({ "repositoryName": repository, "imageManifest": image.text(), "imageTag": tag });
    let reply = client.api("PutImage", input).await;
    // That it is there already is what the others wanted as well.
    assert!(reply.status == 200 || reply.json()["__type"] == "ImageAlreadyExistsException", "{}", reply.text());
}

async fn push_layer(client: &Client, repository: &str, bytes: &[u8]) {
    use base64::Engine as _;
    let upload = client.api_ok("InitiateLayerUpload", json!({ "repositoryName": repository })).await;
    let part = json!({
        "repositoryName": repository,
        "uploadId": upload["uploadId"],
        "partFirstByte": 0,
        "partLastByte": bytes.len() - 1,
        "layerPartBlob": base64::engine::general_purpose::STANDARD.encode(bytes),
    });
    client.api_ok("UploadLayerPart", part).await;
    let end = json!({
        "repositoryName": repository,
        "uploadId": upload["uploadId"],
        "layerDigests": [ironwharf_tests::digest_of(bytes)],
    });
    let reply = client.api("CompleteLayerUpload", end).await;
    assert!(reply.status == 200 || reply.json()["__type"] == "LayerAlreadyExistsException", "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_image_can_be_pushed_by_many_at_once() {
    const ROUNDS: usize = 8;
    const CLIENTS: usize = 8;
    let registry = Registry::start().await;
    let client = Arc::new(registry.client());
    let repositories = ["here", "over/there"];
    for repository in repositories {
        client.api_ok("CreateRepository", json!({ "repositoryName": repository })).await;
    }
    for round in 0..ROUNDS {
        let image = Image::new(&format!("round {round}"));
        let tag = format!("round-{round}");
        // In even rounds to one repository, in odd ones to both.
        let barrier = Arc::new(Barrier::new(CLIENTS));
        let pushes: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (client, barrier) = (Arc::clone(&client), Arc::clone(&barrier));
                let (image, tag) = (image.clone(), tag.clone());
                let repository = repositories[number * (round % 2) % 2];
                tokio::spawn(async move {
                    barrier.wait().await;
                    push_all(&client, repository, &tag, &image, number / 2 % 2 == 0).await;
                    client.expect_image(repository, &tag, &image).await;
                })
            })
            .collect();
        for push in pushes {
            push.await.expect("a push failed");
        }
    }
    assert_eq!(consistency::check(&client, repositories[0]).await.len(), ROUNDS);
    assert_eq!(consistency::check(&client, repositories[1]).await.len(), ROUNDS / 2);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_never_misses_a_child() {
    const ROUNDS: usize = 60;
    let mut random = crate::random();
    let registry = Registry::start().await;
    let client = Arc::new(registry.client());
    let children = [Image::new("amd64"), Image::new("arm64")];
    let index = Image::index(&[&children[0], &children[1]]);
    for child in &children {
        push_blobs(&client, child).await;
    }
    let mut survived = 0;
    for round in 0..ROUNDS {
        for (number, child) in children.iter().enumerate() {
            client.push_manifest(REPOSITORY, &format!("child-{number}"), child).await;
        }
        let child = random.choice(&children).expect("a child");
        let put = Act::Put { image: index.clone(), reference: "index".to_owned() };
        let mut acts = vec![put];
        if random.bool() {
            acts.push(Act::PutImage { image: index.clone(), tag: Some("index-too".to_owned()) });
        }
        for _ in 0..random.u8(1..3) {
            let id = if random.bool() { by_digest(child) } else { json!({ "imageTag": "child-0" }) };
            let delete = Act::Delete { reference: child.digest.clone() };
            acts.push(if random.bool() { delete } else { Act::BatchDelete { id } });
        }
        random.shuffle(&mut acts);
        for (act, refusal) in together(&client, acts).await {
            let allowed = match &act {
                Act::Put { .. } => &["MANIFEST_BLOB_UNKNOWN"][..],
                Act::PutImage { .. } => &["ReferencedImagesNotFoundException", "ImageAlreadyExistsException"],
                Act::Delete { .. } => &["MANIFEST_UNKNOWN", "DENIED"],
                Act::BatchDelete { .. } | Act::DeleteBlob { .. } => &["ImageNotFound", "ImageReferencedByManifestList"],
                Act::Store { .. } => unreachable!("no act of this test"),
            };
            let is_allowed = refusal.as_deref().is_none_or(|code| allowed.contains(&code));
            assert!(is_allowed, "round {round}: {act:?} was refused with {refusal:?}");
        }
        let held = consistency::check(&client, REPOSITORY).await;
        if held.contains_key(&index.digest) {
            survived += 1;
            // Now it can go, and with it what kept the children.
            let gone = Act::Delete { reference: index.digest.clone() };
            assert!(gone.is_done(&gone.run(&client).await));
        }
    }
    println!("the index was first in {survived} of {ROUNDS} rounds");
    registry.stop().await;
}

#[tokio::test]
async fn an_index_takes_over_the_tag_of_its_child() {
    let registry = Registry::start().await;
    let client = registry.client();
    let children = [Image::new("amd64"), Image::new("arm64")];
    client.push_image(REPOSITORY, "latest", &children[0]).await;
    client.push_image(REPOSITORY, "arm", &children[1]).await;
    let index = Image::index(&[&children[0], &children[1]]);
    client.push_manifest(REPOSITORY, "latest", &index).await;
    client.expect_image(REPOSITORY, "latest", &index).await;
    let held = consistency::check(&client, REPOSITORY).await;
    assert!(held[&children[0].digest].is_empty());
    let refused = Act::Delete { reference: children[0].digest.clone() }.run(&client).await;
    assert!(refused.status.is_client_error(), "a child was deleted under its index");
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_never_misses_a_blob() {
    const ROUNDS: usize = 60;
    let registry = Registry::start().await;
    let client = Arc::new(registry.client());
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let image = Image::new(&format!("round {round}"));
        push_blobs(&client, &image).await;
        let reference = format!("round-{round}");
        let put = if round % 2 == 0 {
            Act::Put { image: image.clone(), reference: reference.clone() }
        } else {
            Act::PutImage { image: image.clone(), tag: Some(reference.clone()) }
        };
        let layer = image.blob_digests().swap_remove(1);
        let outcomes = together(&client, vec![put, Act::DeleteBlob { digest: layer }]).await;
        let [(put, put_refusal), (_, delete_refusal)] = outcomes.as_slice() else { panic!("two acts, two outcomes") };
        let missing = if round % 2 == 0 { "MANIFEST_BLOB_UNKNOWN" } else { "LayersNotFoundException" };
        match (put_refusal.as_deref(), delete_refusal.as_deref()) {
            (None, Some("DENIED")) => {
                acknowledged += 1;
                client.expect_image(REPOSITORY, &reference, &image).await;
            }
            // Both may give way to the other.
            (Some(code), None | Some("DENIED")) => {
                assert_eq!(code, missing, "{put:?}");
                assert_eq!(client.get_manifest(REPOSITORY, &reference).await.status, 404);
            }
            (put, delete) => panic!("round {round}: the push ended with {put:?}, the deletion with {delete:?}"),
        }
    }
    println!("the push was first in {acknowledged} of {ROUNDS} rounds");
    consistency::check(&client, REPOSITORY).await;
    registry.stop().await;
}

/// Without `force` a repository goes only while it is empty: an acknowledged
/// push and a deletion cannot both have happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_push_keeps_its_repository() {
    const ROUNDS: usize = 60;
    // Without creation on push: a push may not bring the repository back.
    let options = ironwharf_local::test_app::TestOptions { create_on_push: false, ..Default::default() };
    let registry = Registry::start_with(options).await;
    let client = Arc::new(registry.client());
    let image = Image::new("kept");
    let mut pushed = 0;
    for round in 0..ROUNDS {
        client.api_ok("CreateRepository", json!({ "repositoryName": REPOSITORY })).await;
        push_blobs(&client, &image).await;
        let push = {
            let (client, image) = (Arc::clone(&client), image.clone());
            tokio::spawn(async move {
                client.put_manifest(REPOSITORY, "latest", image.media_type, image.manifest.clone()).await
            })
        };
        // Each round lets the push get a little further before the deletion.
        for _ in 0..round % 12 {
            tokio::task::yield_now().await;
        }
        let deletion = client.api("DeleteRepository", json!({ "repositoryName": REPOSITORY })).await;
        let push = push.await.expect("a push failed");
        let is_there = client.oci("GET", &format!("/v2/{REPOSITORY}/manifests/latest")).send().await.status == 200;
        assert!(!push.status.is_server_error(), "{}", push.text());
        assert_eq!(push.status == 201, is_there, "round {round}: {} {}", push.status, deletion.status);
        assert_eq!(deletion.status == 200, !is_there, "round {round}: {} {}", push.status, deletion.text());
        pushed += usize::from(is_there);
        if is_there {
            let input = json!({ "repositoryName": REPOSITORY, "force": true });
            client.api_ok("DeleteRepository", input).await;
        }
    }
    assert!(pushed < ROUNDS, "no deletion ever won");
    registry.stop().await;
}
