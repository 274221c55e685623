//! Deleting a repository: gone for everybody at once, its storage behind that.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use ironwharf_cloud::Table;
use ironwharf_cloud::table::{Commit, NewImage, RepositoryKey, StoredManifest, WorkKind};
use ironwharf_local::embedded::{Embedded, OpenError};
use ironwharf_local::regions::EmbeddedRegions;
use ironwharf_local::test_app::TestApp;
use ironwharf_model::media_type::ManifestType;
use ironwharf_model::{AccountId, Digest, Region, RepositoryName, Tag};
use ironwharf_registry::{App, AppConfig, EgressRules, RateLimits, Regions as _, RegistryHost};
use ironwharf_tests::{Image, Registry};
use serde_json::json;
use time::{Duration, OffsetDateTime};

const IMAGES: usize = 10_000;

fn region() -> Region {
    Region::parse(TestApp::REGION).unwrap()
}

async fn key_of(table: &Table, name: &str) -> RepositoryKey {
    let (account, name) = (AccountId::parse(TestApp::ACCOUNT).unwrap(), RepositoryName::parse(name).unwrap());
    table.repository(&account, &name).await.unwrap().expect("it is there").key
}

/// Commits an image that needs no blob; one in ten has a tag.
async fn plant(table: &Table, repository: &RepositoryKey, number: usize) {
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": ironwharf_tests::images::OCI_INDEX, "manifests": [], "n": number });
    let manifest = manifest.to_string().into_bytes();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let image = NewImage {
        repository: repository.clone(),
        digest: Digest::sha256(&manifest),
        manifest_type: ManifestType::OciIndex,
        manifest_bytes: manifest.len() as u64,
        manifest: StoredManifest::Inline(manifest),
        artifact_type: None,
        config_media_type: None,
        size_bytes: 0,
        pushed_at_ms: now * 1000,
        subject: None,
        annotations: BTreeMap::new(),
        children: Vec::new(),
        blobs: Vec::new(),
        push: format!("{number:032x}"),
    };
    let tag = number.is_multiple_of(10).then(|| Tag::parse(&format!("v{number}")).unwrap());
    let committed = table.commit_image(Commit::New(&image), tag.as_ref(), None, now).await.unwrap();
    committed.expect("nobody else pushes here");
}

async fn is_empty(table: &Table, key: &RepositoryKey) -> bool {
    let images = table.images(key, None, 1).await.unwrap().items;
    let tags = table.tags(key, None, 1).await.unwrap().items;
    let policy = table.repository_policy(key).await.unwrap();
    images.is_empty() && tags.is_empty() && policy.is_none()
}

async fn is_work_left(table: &Table) -> bool {
    !table.due_work(WorkKind::Purge, i64::from(u32::MAX), 1).await.unwrap().is_empty()
}

/// A registry without a port over a folder whose server has stopped.
async fn without_server(data_dir: &std::path::Path) -> (App, Table) {
    // What the server's worker was at when it was stopped may hold the folder
    // until the database has answered.
    let embedded = loop {
        match Embedded::open(data_dir, TestApp::ACCOUNT) {
            Err(OpenError::InUse { .. }) => tokio::task::yield_now().await,
            opened => break Arc::new(opened.unwrap()),
        }
    };
    let regions = EmbeddedRegions { embedded, region: region(), counts: None };
    let table = regions.open(&region(), false).await.unwrap().expect("it has data").table;
    let config = AppConfig {
        region: region(),
        identity_region: region(),
        registry_host: RegistryHost::parse("localhost:1", false).unwrap(),
        create_on_push: false,
        serves_objects: true,
        rate_limits: RateLimits::Unlimited,
        roots: Vec::new(),
        egress: EgressRules::default(),
        tenancy: ironwharf_registry::Tenancy::Pool,
    };
    (App::new(config, Box::new(regions)), table)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_images_there_are_the_deletion_is_two_calls() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = TestApp::start(folder.path(), ironwharf_local::test_app::TestOptions::default()).await.unwrap();
    let client = ironwharf_tests::Client::new(&server.host());
    client.api_ok("CreateRepository", json!({ "repositoryName": "many" })).await;
    let table = server.cloud(&region()).await.unwrap().table;
    let key = key_of(&table, "many").await;
    futures::stream::iter(0..IMAGES).for_each_concurrent(8, |number| plant(&table, &key, number)).await;
    let refused = client.api("DeleteRepository", json!({ "repositoryName": "many" })).await;
    refused.expect_aws_error_code("RepositoryNotEmptyException");

    drop(server.take_counts());
    client.api_ok("DeleteRepository", json!({ "repositoryName": "many", "force": true })).await;
    let calls: Vec<(String, u64)> = server.take_counts().into_iter().collect();
    assert_eq!(calls, [("DynamoDB GetItem".to_owned(), 1), ("DynamoDB TransactWriteItems".to_owned(), 1)]);
    let gone = client.api("ListImages", json!({ "repositoryName": "many" })).await;
    gone.expect_aws_error_code("RepositoryNotFoundException");

    // The server stops in the middle of the purge.
    drop(table);
    server.stop().await;
    let (app, table) = without_server(folder.path()).await;
    assert!(is_work_left(&table).await);
    assert!(!is_empty(&table, &key).await);
    // Later than any lease that the server held.
    let later = OffsetDateTime::now_utc() + Duration::minutes(2);
    let mut steps = 0;
    while app.do_due_work(&region(), later).await.unwrap() > 0 {
        steps += 1;
    }
    // A step is a page, and not all of it.
    assert!(steps > 20, "{steps}");
    assert!(!is_work_left(&table).await);
    assert!(is_empty(&table, &key).await);
}

#[tokio::test]
async fn the_server_purges_without_being_asked() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (old, new) = (Image::new("old"), Image::new("new"));
    for number in 0..5 {
        client.push_image("app", &format!("v{number}"), &old).await;
    }
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage" }],
    });
    let input = json!({ "repositoryName": "app", "policyText": policy.to_string() });
    client.api_ok("SetRepositoryPolicy", input).await;
    let table = registry.app().cloud(&region()).await.unwrap().table;
    let key = key_of(&table, "app").await;
    client.api_ok("DeleteRepository", json!({ "repositoryName": "app", "force": true })).await;

    // The name is free at once, and what is under it now is left alone.
    client.push_image("app", "v0", &new).await;
    while is_work_left(&table).await {}
    assert!(is_empty(&table, &key).await);
    client.expect_image("app", "v0", &new).await;
    assert_eq!(client.tags("app").await, ["v0"]);
    registry.stop().await;
}

/// One of many deletions at once is told that it deleted; there is work once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_deletions_at_once_succeeds() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.push_image("app", "latest", &Image::new("one")).await;
    let delete = |_: usize| {
        let client = registry.client();
        async move { client.api("DeleteRepository", json!({ "repositoryName": "app", "force": true })).await }
    };
    let replies: Vec<_> = futures::stream::iter(0..8).map(delete).buffer_unordered(8).collect().await;
    let deleted = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(deleted, 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.expect_aws_error_code("RepositoryNotFoundException");
    }
    registry.stop().await;
}
