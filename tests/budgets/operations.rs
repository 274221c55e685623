//! The operations that are counted.

use bytes::Bytes;
use futures::StreamExt as _;
use ironwharf_tests::{Client, Image, bytes_of, digest_of};
use serde_json::{Value, json};

use crate::calls::{Calls, Counted, REPOSITORIES};
use crate::table::{Budget, Row, expect_in_file};

const READ: Budget = Budget { dynamodb: 1, s3_writes: 0 };
const PUSH: Budget = Budget { dynamodb: 8, s3_writes: 2 };
const DELETE: Budget = Budget { dynamodb: 4, s3_writes: 0 };

/// More than a part of an object has.
const BIG_LAYER_BYTES: usize = 20 * 1024 * 1024;

/// How many requests prepare a repository at a time.
const AT_A_TIME: usize = 4;

/// How a blob is uploaded.
#[derive(Clone, Copy)]
enum Upload {
    /// `POST`, `PUT` with all bytes.
    Put,
    /// `POST`, `PATCH` with all bytes, `PUT` without.
    Patch,
    /// `POST ?digest=`.
    Post,
}

async fn upload(client: &Client, repository: &str, blob: &Bytes, upload: Upload) {
    let digest = digest_of(blob);
    match upload {
        Upload::Put => {
            let location = client.start_upload(repository).await;
            let path = format!("{location}?digest={digest}");
            client.oci("PUT", &path).body(blob.clone()).send().await.expect_status(201);
        }
        Upload::Patch => {
            let location = client.start_upload(repository).await;
            let reply = client.oci("PATCH", &location).body(blob.clone()).send().await;
            let path = format!("{}?digest={digest}", reply.expect_status(202).header("location"));
            client.oci("PUT", &path).send().await.expect_status(201);
        }
        Upload::Post => drop(client.push_blob(repository, blob.clone()).await),
    }
}

/// Pushes a whole image by tag.
async fn push(client: &Client, repository: &str, image: &Image, how: Upload) {
    for blob in &image.blobs {
        upload(client, repository, blob, how).await;
    }
    client.push_manifest(repository, "pushed", image).await;
}

async fn push_by_api(client: &Client, repository: &str, image: &Image) {
    use base64::Engine as _;
    for blob in &image.blobs {
        let started = client.api_ok("InitiateLayerUpload", json!({ "repositoryName": repository })).await;
        let part = json!({
            "repositoryName": repository,
            "uploadId": started["uploadId"],
            "partFirstByte": 0,
            "partLastByte": blob.len() - 1,
            "layerPartBlob": base64::engine::general_purpose::STANDARD.encode(blob),
        });
        client.api_ok("UploadLayerPart", part).await;
        let end = json!({
            "repositoryName": repository,
            "uploadId": started["uploadId"],
            "layerDigests": [digest_of(blob)],
        });
        client.api_ok("CompleteLayerUpload", end).await;
    }
    put_image(client, repository, image).await;
}

async fn put_image(client: &Client, repository: &str, image: &Image) {
    let input = json!({ "repositoryName": repository, "imageTag": "pushed", "imageManifest": image.text() });
    client.api_ok("PutImage", input).await;
}

/// Fills a repository with `count` images, each with a tag; the images.
async fn fill(client: &Client, repository: &str, count: usize) -> Vec<Image> {
    let base = Image::new(repository);
    for blob in &base.blobs {
        client.push_blob(repository, blob.clone()).await;
    }
    let numbered = |number: usize| {
        let mut manifest = base.json();
        manifest["annotations"] = json!({ "number": number.to_string() });
        Image::from_json(&manifest)
    };
    let images: Vec<Image> = (0..count).map(numbered).collect();
    let pushes = futures::stream::iter(images.iter().enumerate());
    pushes
        .for_each_concurrent(AT_A_TIME, async |(number, image)| {
            client.push_manifest(repository, &format!("v{number}"), image).await;
        })
        .await;
    images
}

async fn delete(client: &Client, repository: &str, reference: &str) {
    client.oci("DELETE", &format!("/v2/{repository}/manifests/{reference}")).send().await.expect_status(202);
}

async fn get(client: &Client, method: &str, path: &str, status: u16) {
    client.oci(method, path).send().await.expect_status(status);
}

/// Collects the rows of the table.
struct Table<'a> {
    counted: &'a Counted,
    rows: Vec<Row>,
}

impl Table<'_> {
    async fn row<T>(
        &mut self,
        operation: &str,
        budget: impl Into<Option<Budget>>,
        calls: impl Future<Output = T>,
    ) -> Calls {
        let calls = self.counted.count(calls).await;
        self.rows.push(Row { operation: operation.to_owned(), calls: calls.clone(), budget: budget.into() });
        calls
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_stay_within_their_budgets() {
    let counted = Counted::start().await;
    let mut table = Table { counted: &counted, rows: Vec::new() };
    let client = &counted.client;
    for repository in REPOSITORIES {
        client.api_ok("CreateRepository", json!({ "repositoryName": repository })).await;
    }
    let small = fill(client, "small", 20).await;
    let large = fill(client, "large", 400).await;

    pulls(&mut table, client).await;
    pushes(&mut table, client).await;
    listings(&mut table, client, &small, &large).await;
    settings(&mut table, client).await;
    // Last, because they change what the others read.
    deletions(&mut table, client, &small, &large).await;

    let rows = table.rows;
    let excess: Vec<String> = rows.iter().filter_map(Row::excess).collect();
    assert!(excess.is_empty(), "over budget:\n{}", excess.join("\n"));
    expect_in_file(&rows);
    counted.stop().await;
}

async fn pulls(table: &mut Table<'_>, client: &Client) {
    let image = Image::new("pulled");
    client.push_image("small", "pulled", &image).await;
    let blob = format!("/v2/small/blobs/{}", image.blob_digests()[1]);
    let by_tag = "/v2/small/manifests/pulled".to_owned();
    let by_digest = format!("/v2/small/manifests/{}", image.digest);
    for method in ["GET", "HEAD"] {
        table.row(&format!("{method} manifest by tag"), READ, get(client, method, &by_tag, 200)).await;
        table.row(&format!("{method} manifest by digest"), READ, get(client, method, &by_digest, 200)).await;
    }
    table.row("HEAD blob", READ, get(client, "HEAD", &blob, 200)).await;
    table.row("GET blob (307)", READ, get(client, "GET", &blob, 307)).await;
    delete(client, "small", &image.digest).await;
}

async fn pushes(table: &mut Table<'_>, client: &Client) {
    let smallest = "push of the smallest image (config, layer, manifest)";
    let ways = [
        ("POST and PUT", Upload::Put, Some(PUSH)),
        ("single POST", Upload::Post, Some(PUSH)),
        ("PATCH", Upload::Patch, None),
    ];
    for (name, way, budget) in ways {
        table.row(&format!("{smallest}, {name}"), budget, push(client, "pushes", &Image::new(name), way)).await;
    }
    let by_api = Image::new("layer API");
    table.row(&format!("{smallest}, layer API"), None, push_by_api(client, "pushes", &by_api)).await;

    let layer = bytes_of(BIG_LAYER_BYTES, 1);
    table.row("upload of a 20 MiB layer, POST and PUT", None, upload(client, "pushes", &layer, Upload::Put)).await;
    let layer = bytes_of(BIG_LAYER_BYTES, 2);
    table.row("upload of a 20 MiB layer, PATCH", None, upload(client, "pushes", &layer, Upload::Patch)).await;

    let image = Image::new("POST and PUT");
    let mount = format!("/v2/small/blobs/uploads/?mount={}&from=pushes", image.blob_digests()[1]);
    table.row("mount of a blob", None, get(client, "POST", &mount, 201)).await;
    let retag = client.push_manifest("pushes", "again", &image);
    table.row("PUT manifest that is there, another tag", None, retag).await;
    let same = client.push_manifest("pushes", "again", &image);
    table.row("PUT manifest that is there, same tag", None, same).await;
    let mut manifest = image.json();
    manifest["annotations"] = json!({ "pushed": "by PutImage" });
    table.row("PutImage", None, put_image(client, "pushes", &Image::from_json(&manifest))).await;
}

async fn listings(table: &mut Table<'_>, client: &Client, small: &[Image], large: &[Image]) {
    let ids: Vec<Value> = large[..10].iter().map(|image| json!({ "imageDigest": image.digest })).collect();
    let ten = json!({ "repositoryName": "large", "imageIds": ids });
    table.row("BatchGetImage of 10", None, client.api_ok("BatchGetImage", ten.clone())).await;
    table.row("DescribeImages of 10 named", None, client.api_ok("DescribeImages", ten)).await;

    for operation in ["ListImages", "DescribeImages"] {
        let page = |repository: &str| json!({ "repositoryName": repository, "maxResults": 10 });
        let of_small = counted_page(table, client, operation, page("small")).await;
        let of_large =
            table.row(&format!("{operation}, a page of 10"), None, client.api_ok(operation, page("large"))).await;
        assert_eq!(
            of_small,
            of_large,
            "{operation} costs more in a repository of {} than of {}",
            large.len(),
            small.len()
        );
    }
    table.row("tags/list, a page of 10", None, get(client, "GET", "/v2/large/tags/list?n=10", 200)).await;

    let (subject, artifact) = (&small[0], Image::artifact("application/vnd.example.signature", &small[0], "one"));
    client.push_image("small", "signature", &artifact).await;
    let referrers = format!("/v2/small/referrers/{}", subject.digest);
    table.row("referrers", None, get(client, "GET", &referrers, 200)).await;
}

async fn settings(table: &mut Table<'_>, client: &Client) {
    let mutability = json!({ "repositoryName": "pushes", "imageTagMutability": "MUTABLE" });
    table.row("PutImageTagMutability", None, client.api_ok("PutImageTagMutability", mutability)).await;
    let arn = "arn:aws:ecr:us-east-1:123456789012:repository/pushes";
    let tag = json!({ "resourceArn": arn, "tags": [{ "Key": "team", "Value": "core" }] });
    table.row("TagResource", None, client.api_ok("TagResource", tag)).await;
    table.row("POST upload that creates its repository", None, client.start_upload("created")).await;
    // The second finds the template among those that are known.
    let again = table.counted.count(client.start_upload("created-too")).await;
    assert!(again.of("DynamoDB") <= 6, "{again:?}");
}

async fn counted_page(table: &Table<'_>, client: &Client, operation: &str, page: Value) -> Calls {
    table.counted.count(client.api_ok(operation, page)).await
}

/// Gives an image `count` more tags: `<name>-<number>`.
async fn tag_also(client: &Client, repository: &str, name: &str, count: usize, image: &Image) {
    for number in 0..count {
        client.push_manifest(repository, &format!("{name}-{number}"), image).await;
    }
}

async fn deletions(table: &mut Table<'_>, client: &Client, small: &[Image], large: &[Image]) {
    let only = fill(client, "only", 1).await;
    tag_also(client, "large", "some", 60, &large[1]).await;
    tag_also(client, "large", "many", 200, &large[3]).await;
    // Each pair must cost the same, however much is around it.
    let tag_in_large = table.row("DELETE tag", DELETE, delete(client, "large", "v0")).await;
    let in_large = table.row("DELETE manifest", DELETE, delete(client, "large", &large[2].digest)).await;
    let with_tags = table.row("DELETE manifest with 61 tags", DELETE, delete(client, "large", &large[1].digest)).await;
    // Here the limit of a transaction, 100 items, comes in.
    table.row("DELETE manifest with 201 tags", None, delete(client, "large", &large[3].digest)).await;
    let tag_in_small = table.counted.count(delete(client, "small", "v1")).await;
    let alone = table.counted.count(delete(client, "only", &only[0].digest)).await;
    let around = (large.len(), small.len());
    assert_eq!(tag_in_large, tag_in_small, "DELETE tag in repositories of {around:?} images");
    assert_eq!(in_large, alone, "DELETE manifest in repositories of {} images and of one", large.len());
    assert_eq!(in_large, with_tags, "DELETE manifest with one tag and with 61");

    let input = json!({ "repositoryName": "small", "imageIds": [{ "imageTag": "v5" }] });
    table.row("BatchDeleteImage by the last tag", None, client.api_ok("BatchDeleteImage", input)).await;

    let forced = |repository: &str| json!({ "repositoryName": repository, "force": true });
    let all = client.api_ok("DeleteRepository", forced("large"));
    let of_large = table.row("DeleteRepository with its images", DELETE, all).await;
    let of_small = table.counted.count(client.api_ok("DeleteRepository", forced("small"))).await;
    assert_eq!(of_large, of_small, "DeleteRepository with {} images and with {}", large.len(), small.len());
}
