//! A repository of 100,000 images: its pages cost what those of 1,000 cost.

use std::path::Path;

use ironwharf_local::test_app::TestApp;
use ironwharf_tests::{Client, Image, Registry};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::calls::Calls;

/// Repositories, and how many images each has.
const REPOSITORIES: [(&str, u32); 2] = [("thousand", 1_000), ("large", 100_000)];

/// As many as a page may have.
const PAGE: u32 = 1_000;

/// The tag of the image that the others are made from.
const ORIGINAL: &str = "original-tag";

/// Writes what as many pushes write, into the table of a server that is
/// stopped: the pushes themselves would take most of an hour. The images are
/// copies of the one in the repository, with digests and tags of their own.
fn multiply(folder: &Path, repository: &str, digest: &str, count: u32) {
    let file = folder.join("regions").join(TestApp::REGION).join("dynamodb.sqlite");
    let table = Connection::open(file).expect("the table opens");
    let written = table
        .execute(
            "WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?1)
             INSERT INTO ironwharf (pk, sk, item_json, item_size, cached_at, hash_prefix)
             SELECT pk,
                    replace(replace(sk, ?2, printf('sha256:%064x', number)), ?3, printf('v%06d', number)),
                    replace(replace(item_json, ?2, printf('sha256:%064x', number)), ?3, printf('v%06d', number)),
                    item_size, cached_at, hash_prefix
             FROM ironwharf, numbers
             WHERE pk LIKE 'S:T#%#R#' || ?4 || '#%' AND (sk LIKE 'S:I#%' OR sk LIKE 'S:M#%' OR sk LIKE 'S:T#%')",
            params![count - 1, digest, ORIGINAL, repository],
        )
        .expect("the images are written");
    assert_eq!(written, 3 * (count as usize - 1), "an image has three items");
}

/// All pages of a listing: how many, and the items on them.
async fn pages(client: &Client, operation: &str, repository: &str, items: &str) -> (usize, usize) {
    let mut input = json!({ "repositoryName": repository, "maxResults": PAGE });
    let (mut pages, mut found) = (0, 0);
    loop {
        let page = client.api_ok(operation, input.clone()).await;
        pages += 1;
        found += page[items].as_array().map_or(0, Vec::len);
        match page.get("nextToken") {
            None => return (pages, found),
            Some(token) => input["nextToken"] = token.clone(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_costs_the_same_in_a_repository_of_a_hundred_thousand_images() {
    let registry = Registry::start().await;
    let image = Image::new("multiplied");
    for (repository, _) in REPOSITORIES {
        registry.client().push_image(repository, ORIGINAL, &image).await;
    }
    let registry = registry
        .restart_after(|folder| {
            for (repository, count) in REPOSITORIES {
                multiply(folder, repository, &image.digest, count);
            }
        })
        .await;
    let client = registry.client();
    client.authorization().await;

    for (operation, items) in [("ListImages", "imageIds"), ("DescribeImages", "imageDetails")] {
        let mut counted = Vec::new();
        for (repository, count) in REPOSITORIES {
            assert_eq!(pages(&client, operation, repository, items).await.1, count as usize, "{operation}");
            let page = json!({ "repositoryName": repository, "maxResults": PAGE });
            let first = Calls::of_operation(&registry, client.api_ok(operation, page)).await;
            assert!(first.of("DynamoDB") > 0, "nothing was counted: {first:?}");
            counted.push(first);
        }
        let [small, large] = &counted[..] else { unreachable!("two repositories") };
        assert_eq!(small, large, "{operation}: a page of a thousand images of each");
    }

    // A page in the middle is no dearer than the first.
    let tags = |last: &str| format!("/v2/large/tags/list?n={PAGE}&last={last}");
    let first = Calls::of_operation(&registry, client.oci("GET", &tags("")).send()).await;
    let middle = Calls::of_operation(&registry, client.oci("GET", &tags("v050000")).send()).await;
    assert_eq!(first, middle);

    preview_of_all(&client).await;
    registry.stop().await;
}

/// A policy sees all of them.
async fn preview_of_all(client: &Client) {
    let selection = json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10 });
    let rule = json!({ "rulePriority": 1, "selection": selection, "action": { "type": "expire" } });
    let policy = json!({ "rules": [rule] }).to_string();
    let start = json!({ "repositoryName": "large", "lifecyclePolicyText": policy });
    client.api_ok("StartLifecyclePolicyPreview", start).await;
    let preview: Value = loop {
        let preview = client.api_ok("GetLifecyclePolicyPreview", json!({ "repositoryName": "large" })).await;
        if preview["status"] != "IN_PROGRESS" {
            break preview;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(preview["status"], "COMPLETE");
    assert_eq!(preview["summary"]["expiringImageTotalCount"], 100_000 - 10);
}
