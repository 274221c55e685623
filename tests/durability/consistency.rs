//! Whether a repository says the same in every way it can be asked.

use std::collections::{BTreeMap, BTreeSet};

use ironwharf_tests::{Client, digest_of};
use serde_json::{Value, json};

/// The tags of each image of a repository, by digest.
pub(crate) type Held = BTreeMap<String, BTreeSet<String>>;

/// What a repository holds: `DescribeImages`, `ListImages` and `tags/list`
/// must agree.
pub(crate) async fn listed(client: &Client, repository: &str) -> Held {
    let described = all_pages(client, "DescribeImages", "imageDetails", repository).await;
    let held: Held = described.iter().map(|image| (text(&image["imageDigest"]), tags_of(image))).collect();
    assert_eq!(held.len(), described.len(), "an image of {repository} is described twice");

    let rows = all_pages(client, "ListImages", "imageIds", repository).await;
    let row = |row: &Value| (text(&row["imageDigest"]), row["imageTag"].as_str().map(str::to_owned));
    let rows: Vec<_> = rows.iter().map(row).collect();
    let expected: BTreeSet<_> = held.iter().flat_map(|(digest, tags)| rows_of(digest, tags)).collect();
    assert_eq!(
        rows.iter().cloned().collect::<BTreeSet<_>>(),
        expected,
        "ListImages and DescribeImages of {repository}"
    );
    assert_eq!(rows.len(), expected.len(), "a row of {repository} is listed twice");

    let tags: BTreeSet<&String> = held.values().flatten().collect();
    let listed = all_tags(client, repository).await;
    assert!(tags.iter().copied().eq(&listed), "tags/list of {repository} has {listed:?}, DescribeImages {tags:?}");
    held
}

/// What a repository holds, all of it pulled: images by digest with
/// everything they need, and every tag.
pub(crate) async fn check(client: &Client, repository: &str) -> Held {
    let held = listed(client, repository).await;
    for (digest, tags) in &held {
        for reference in std::iter::once(digest).chain(tags) {
            let reply = client.get_manifest(repository, reference).await;
            assert_eq!(digest_of(&reply.expect_status(200).body), *digest, "{repository}:{reference}");
            assert_eq!(reply.header("docker-content-digest"), digest, "{repository}:{reference}");
        }
        let manifest = client.get_manifest(repository, digest).await.json();
        for child in manifest["manifests"].as_array().into_iter().flatten() {
            let child = text(&child["digest"]);
            assert!(held.contains_key(&child), "{repository}@{digest} lists {child}, which is not there");
        }
        let layers = manifest["layers"].as_array().into_iter().flatten();
        for blob in layers.chain(manifest.get("config")).map(|blob| text(&blob["digest"])) {
            let bytes = client.pull_blob(repository, &blob).await;
            assert_eq!(digest_of(&bytes), blob, "a blob of {repository}@{digest}");
        }
    }
    held
}

/// Fails if a repository answers for something that is not in its listings.
pub(crate) async fn expect_no_others(client: &Client, repository: &str, held: &Held, digests: &[&str], tags: &[&str]) {
    let is_held = |reference: &&&str| {
        held.iter().any(|(digest, tags)| digest == **reference || tags.iter().any(|tag| tag == **reference))
    };
    for reference in digests.iter().chain(tags).filter(|reference| !is_held(reference)) {
        let reply = client.get_manifest(repository, reference).await;
        assert_eq!(reply.status, 404, "{repository}:{reference} is not listed: {}", reply.text());
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn tags_of(image: &Value) -> BTreeSet<String> {
    image["imageTags"].as_array().into_iter().flatten().map(text).collect()
}

/// An image has a row for each of its tags, or one without.
fn rows_of(digest: &str, tags: &BTreeSet<String>) -> Vec<(String, Option<String>)> {
    if tags.is_empty() {
        return vec![(digest.to_owned(), None)];
    }
    tags.iter().map(|tag| (digest.to_owned(), Some(tag.clone()))).collect()
}

async fn all_pages(client: &Client, operation: &str, member: &str, repository: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut input = json!({ "repositoryName": repository, "maxResults": 1000 });
    loop {
        let mut output = client.api_ok(operation, input.clone()).await;
        all.extend(output[member].as_array().expect("a list").iter().cloned());
        match output["nextToken"].take() {
            Value::Null => return all,
            token => input["nextToken"] = token,
        }
    }
}

async fn all_tags(client: &Client, repository: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut path = format!("/v2/{repository}/tags/list?n=1000");
    loop {
        let reply = client.oci("GET", &path).send().await;
        let page = reply.expect_status(200).json();
        all.extend(page["tags"].as_array().expect("a list").iter().map(text));
        let Some(link) = reply.find_header("link") else { return all };
        let next = link.split_once('<').and_then(|(_, rest)| rest.split_once('>')).expect("a link").0;
        next.clone_into(&mut path);
    }
}
