//! The archive: what is in it is kept and listed, and not pulled.

use bytes::Bytes;
use ironwharf_tests::images::{OCI_MANIFEST, bytes_of};
use ironwharf_tests::{Client, Image, Registry, digest_of};
use serde_json::{Value, json};

use crate::words::{ACCOUNT, invalid, no_children, no_image, no_repository, texts, unknown_digest};

const SBOM: &str = "application/vnd.example.sbom";

fn move_to(class: &str, id: &Value) -> Value {
    json!({ "repositoryName": "app", "imageId": id, "targetStorageClass": class })
}

fn by_digest(image: &Image) -> Value {
    json!({ "imageDigest": image.digest })
}

async fn archive(client: &Client, image: &Image) {
    let moved = client.api_ok("UpdateImageStorageClass", move_to("ARCHIVE", &by_digest(image))).await;
    assert_eq!(moved["imageStatus"], "ARCHIVED");
}

async fn restore(client: &Client, image: &Image) {
    let moved = client.api_ok("UpdateImageStorageClass", move_to("STANDARD", &by_digest(image))).await;
    assert_eq!(moved["imageStatus"], "ACTIVE");
}

/// An image as it is described, whether or not it is archived.
async fn described(client: &Client, image: &Image) -> Value {
    let input = json!({ "repositoryName": "app", "imageIds": [by_digest(image)] });
    client.api_ok("DescribeImages", input).await["imageDetails"][0].clone()
}

async fn status(client: &Client, image: &Image) -> String {
    described(client, image).await["imageStatus"].as_str().expect("a status").to_owned()
}

/// The digests of a listing, in order.
async fn listed(client: &Client, filter: Value) -> Vec<String> {
    let output = client.api_ok("DescribeImages", json!({ "repositoryName": "app", "filter": filter })).await;
    let mut digests = texts(&output["imageDetails"], "/imageDigest");
    digests.sort_unstable();
    digests
}

fn sorted(images: &[&Image]) -> Vec<String> {
    let mut digests: Vec<String> = images.iter().map(|image| image.digest.clone()).collect();
    digests.sort_unstable();
    digests
}

async fn availability(client: &Client, digest: &str) -> String {
    let input = json!({ "repositoryName": "app", "layerDigests": [digest] });
    let output = client.api_ok("BatchCheckLayerAvailability", input).await;
    output["layers"][0]["layerAvailability"].as_str().expect("an availability").to_owned()
}

/// No way leads to an image or to its layers.
async fn expect_out_of_reach(client: &Client, image: &Image, tags: &[&str]) {
    for reference in tags.iter().copied().chain([image.digest.as_str()]) {
        let path = format!("/v2/app/manifests/{reference}");
        client.oci("GET", &path).send().await.expect_oci_error(404, "MANIFEST_UNKNOWN");
        client.oci("HEAD", &path).send().await.expect_status(404);
    }
    for digest in image.blob_digests() {
        let path = format!("/v2/app/blobs/{digest}");
        client.oci("GET", &path).send().await.expect_oci_error(404, "BLOB_UNKNOWN");
        client.oci("HEAD", &path).send().await.expect_status(404);
        assert_eq!(availability(client, &digest).await, "ARCHIVED");
        let input = json!({ "repositoryName": "app", "layerDigest": digest });
        let refused = client.api("GetDownloadUrlForLayer", input).await;
        refused.expect_aws_error_code("LayerInaccessibleException");
    }
    let ids: Vec<Value> =
        tags.iter().map(|tag| json!({ "imageTag": tag })).chain([json!({ "imageDigest": image.digest })]).collect();
    let output = client.api_ok("BatchGetImage", json!({ "repositoryName": "app", "imageIds": ids })).await;
    assert_eq!(output["images"], json!([]));
    assert_eq!(texts(&output["failures"], "/failureCode"), vec!["ImageInaccessible"; ids.len()]);
}

#[tokio::test]
async fn an_archived_image_is_listed_and_not_pulled() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("image");
    client.push_image("app", "v1", &image).await;
    client.push_manifest("app", "v2", &image).await;
    let before = described(&client, &image).await;
    assert_eq!((before.get("lastArchivedAt"), before.get("lastActivatedAt")), (None, None));

    let output = client.api_ok("UpdateImageStorageClass", move_to("ARCHIVE", &json!({ "imageTag": "v1" }))).await;
    let expected = json!({
        "registryId": ACCOUNT,
        "repositoryName": "app",
        "imageId": { "imageDigest": image.digest, "imageTag": "v1" },
        "imageStatus": "ARCHIVED",
    });
    assert_eq!(output, expected);
    expect_out_of_reach(&client, &image, &["v1", "v2"]).await;
    assert!(client.tags("app").await.is_empty());

    let archived = described(&client, &image).await;
    assert_eq!(archived["imageTags"], json!(["v1", "v2"]));
    assert_eq!((&archived["imageStatus"], &archived["imagePushedAt"]), (&json!("ARCHIVED"), &before["imagePushedAt"]));
    let archived_at = archived["lastArchivedAt"].as_f64().expect("a time");
    assert!(archived_at >= before["imagePushedAt"].as_f64().expect("a time"));

    // What is there already stays as it is, and a restart changes nothing.
    archive(&client, &image).await;
    assert_eq!(described(&client, &image).await, archived);
    let registry = registry.restart().await;
    let client = registry.client();
    assert_eq!(described(&client, &image).await, archived);
    expect_out_of_reach(&client, &image, &["v1", "v2"]).await;

    restore(&client, &image).await;
    for reference in ["v1", "v2", &image.digest] {
        client.expect_image("app", reference, &image).await;
    }
    assert_eq!(client.tags("app").await, ["v1", "v2"]);
    for digest in image.blob_digests() {
        assert_eq!(availability(&client, &digest).await, "AVAILABLE");
    }
    let restored = described(&client, &image).await;
    assert_eq!((&restored["imageStatus"], &restored["lastArchivedAt"]), (&json!("ACTIVE"), &json!(archived_at)));
    assert!(restored["lastActivatedAt"].as_f64().expect("a time") >= archived_at);
    restore(&client, &image).await;
    assert_eq!(described(&client, &image).await, restored);
    registry.stop().await;
}

#[tokio::test]
async fn listings_show_what_their_filter_asks_for() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (tagged, untagged) = (Image::new("tagged"), Image::new("untagged"));
    let (old, older) = (Image::new("old"), Image::new("older"));
    for (reference, image) in [("now", &tagged), (&untagged.digest, &untagged), ("then", &old), (&older.digest, &older)]
    {
        client.push_image("app", reference, image).await;
    }
    for tag in ["then-1", "then-2"] {
        client.push_manifest("app", tag, &old).await;
    }
    archive(&client, &old).await;
    archive(&client, &older).await;
    let all = [&tagged, &untagged, &old, &older];
    for (filter, images) in [
        (json!({}), &[&tagged, &untagged][..]),
        (json!({ "imageStatus": "ACTIVE" }), &[&tagged, &untagged]),
        (json!({ "imageStatus": "ARCHIVED" }), &[&old, &older]),
        (json!({ "imageStatus": "ACTIVATING" }), &[]),
        (json!({ "imageStatus": "ANY" }), &all),
        (json!({ "tagStatus": "TAGGED" }), &[&tagged]),
        (json!({ "tagStatus": "UNTAGGED" }), &[&untagged]),
        (json!({ "tagStatus": "ANY" }), &[&tagged, &untagged]),
        (json!({ "tagStatus": "TAGGED", "imageStatus": "ARCHIVED" }), &[&old]),
        (json!({ "tagStatus": "UNTAGGED", "imageStatus": "ARCHIVED" }), &[&older]),
        (json!({ "tagStatus": "ANY", "imageStatus": "ANY" }), &all),
        (json!({ "tagStatus": "TAGGED", "imageStatus": "ANY" }), &[&tagged, &old]),
    ] {
        println!("{filter}");
        assert_eq!(listed(&client, filter.clone()).await, sorted(images));
        // A row for each tag; the same in pages of one.
        let input = json!({ "repositoryName": "app", "filter": filter });
        let rows = client.api_ok("ListImages", input.clone()).await["imageIds"].as_array().expect("rows").clone();
        let count = |image: &&&Image| if image.digest == old.digest { 3 } else { 1 };
        assert_eq!(rows.len(), images.iter().map(|image| count(&image)).sum::<usize>());
        let (mut paged, mut token) = (Vec::new(), Value::Null);
        loop {
            let mut input = input.clone();
            input["maxResults"] = json!(1);
            input["nextToken"] = token;
            let page = client.api_ok("ListImages", input).await;
            paged.extend(page["imageIds"].as_array().expect("rows").clone());
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(paged, rows);
    }
    // What is named is shown whatever its status, unless the filter says more.
    let named = json!([by_digest(&tagged), by_digest(&old)]);
    for (filter, count) in [
        (Value::Null, 2),
        (json!({ "imageStatus": "ANY" }), 2),
        (json!({ "imageStatus": "ARCHIVED" }), 1),
        (json!({ "imageStatus": "ACTIVE" }), 1),
    ] {
        let input = json!({ "repositoryName": "app", "imageIds": named, "filter": filter });
        let output = client.api_ok("DescribeImages", input).await;
        assert_eq!(output["imageDetails"].as_array().map(Vec::len), Some(count), "{filter}");
    }
    for operation in ["ListImages", "DescribeImages"] {
        for member in ["imageStatus", "tagStatus"] {
            let input = json!({ "repositoryName": "app", "filter": { member: "active" } });
            client.api(operation, input).await.expect_aws_error_code("InvalidParameterException");
        }
    }
    registry.stop().await;
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (image, other) = (Image::new("image"), Image::new("other"));
    client.push_image("app", "v1", &image).await;
    client.push_image("app", "v2", &other).await;
    let unknown = unknown_digest();
    let nothing = || "ImageNotFoundException";
    let cases = [
        (json!({ "imageDigest": unknown }), nothing(), no_image("app", Some(&unknown), None)),
        (json!({ "imageTag": "nothing" }), nothing(), no_image("app", None, Some("nothing"))),
        (
            json!({ "imageTag": "v1", "imageDigest": other.digest }),
            nothing(),
            no_image("app", Some(&other.digest), Some("v1")),
        ),
        (
            json!({}),
            "InvalidParameterException",
            invalid("imageId", "Invalid request parameters: both tag and digest cannot be null"),
        ),
    ];
    for class in ["ARCHIVE", "STANDARD"] {
        for (id, code, message) in &cases {
            println!("{class} {id}");
            client.api("UpdateImageStorageClass", move_to(class, id)).await.expect_aws_error(code, message);
        }
        for id in [json!({ "imageDigest": "sha256:xyz" }), json!({ "imageTag": "-" }), json!({ "imageTag": "" })] {
            let refused = client.api("UpdateImageStorageClass", move_to(class, &id)).await;
            refused.expect_aws_error_code("InvalidParameterException");
        }
        let mut elsewhere = move_to(class, &by_digest(&image));
        elsewhere["repositoryName"] = json!("nothing");
        let refused = client.api("UpdateImageStorageClass", elsewhere).await;
        refused.expect_aws_error("RepositoryNotFoundException", &no_repository("nothing"));
    }
    for class in ["archive", "GLACIER", ""] {
        let refused = client.api("UpdateImageStorageClass", move_to(class, &by_digest(&image))).await;
        refused.expect_aws_error_code("InvalidParameterException");
    }
    client.expect_image("app", "v1", &image).await;
    client.expect_image("app", "v2", &other).await;
    registry.stop().await;
}

/// Clients do not know of the archive: what is not there they push again.
#[tokio::test]
async fn pushing_an_archived_image_restores_it() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("image");
    client.push_image("app", "v1", &image).await;
    let put = |tag: Option<&str>| json!({ "repositoryName": "app", "imageManifest": image.text(), "imageTag": tag });

    // As docker does: the layers are not there, so it sends them first.
    archive(&client, &image).await;
    client.push_image("app", "v1", &image).await;
    client.expect_image("app", "v1", &image).await;
    assert!(described(&client, &image).await["lastActivatedAt"].is_number());

    // Its manifest alone, by digest, by its tag, by another tag.
    archive(&client, &image).await;
    client.push_manifest("app", &image.digest, &image).await;
    client.expect_image("app", "v1", &image).await;
    archive(&client, &image).await;
    client.push_manifest("app", "v2", &image).await;
    client.expect_image("app", "v1", &image).await;
    client.expect_image("app", "v2", &image).await;
    for tag in [Some("v1"), Some("v3"), None] {
        archive(&client, &image).await;
        client.api_ok("PutImage", put(tag)).await;
        client.expect_image("app", "v1", &image).await;
        client.api("PutImage", put(tag)).await.expect_aws_error_code("ImageAlreadyExistsException");
    }
    assert_eq!(described(&client, &image).await["imageTags"], json!(["v1", "v2", "v3"]));

    // Its layers through the API: they count as not being there.
    archive(&client, &image).await;
    for blob in &image.blobs {
        client.api_push_blob("app", blob, 5 << 20).await;
    }
    client.api_ok("PutImage", put(Some("v1"))).await;
    client.expect_image("app", "v3", &image).await;
    registry.stop().await;
}

#[tokio::test]
async fn a_tag_moves_away_from_an_archived_image() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (old, new) = (Image::new("old"), Image::new("new"));
    client.push_image("app", "v1", &old).await;
    client.push_manifest("app", "fixed", &old).await;
    archive(&client, &old).await;
    client.push_image("app", "v1", &new).await;
    client.expect_image("app", "v1", &new).await;
    assert_eq!(described(&client, &old).await["imageTags"], json!(["fixed"]));
    expect_out_of_reach(&client, &old, &["fixed"]).await;
    assert_eq!(client.tags("app").await, ["v1"]);

    // A tag that may not move does not, wherever its image is; the refused push
    // restores nothing.
    let immutable = json!({ "repositoryName": "app", "imageTagMutability": "IMMUTABLE" });
    client.api_ok("PutImageTagMutability", immutable).await;
    let refused = client.put_manifest("app", "fixed", OCI_MANIFEST, new.manifest.clone()).await;
    refused.expect_oci_error(400, "TAG_INVALID");
    let refused = client.put_manifest("app", "v1", OCI_MANIFEST, old.manifest.clone()).await;
    refused.expect_oci_error(400, "TAG_INVALID");
    assert_eq!(status(&client, &old).await, "ARCHIVED");
    client.push_manifest("app", "fixed", &old).await;
    client.expect_image("app", "fixed", &old).await;
    client.expect_image("app", "v1", &new).await;
    registry.stop().await;
}

/// A layer is in the archive if all images that need it are.
#[tokio::test]
async fn layers_that_an_active_image_needs_stay() {
    let registry = Registry::start().await;
    let client = registry.client();
    let layer = |name: &str| Bytes::from(format!("the layer {name}"));
    let image = |config: &str, layers: &[&str]| {
        let config = json!({ "architecture": config, "os": "linux" }).to_string().into();
        Image::of(std::iter::once(config).chain(layers.iter().map(|name| layer(name))).collect())
    };
    let (first, second) = (image("first", &["base", "own"]), image("second", &["base"]));
    client.push_image("app", "first", &first).await;
    client.push_image("app", "second", &second).await;
    let (base, own) = (digest_of(&layer("base")), digest_of(&layer("own")));
    archive(&client, &first).await;
    client.expect_image("app", "second", &second).await;
    assert_eq!(
        (availability(&client, &base).await, availability(&client, &own).await),
        ("AVAILABLE".into(), "ARCHIVED".into())
    );

    // A new image of the archived layer needs no upload, and does not restore the old one.
    let third = image("second", &["own"]);
    client.push_manifest("app", "third", &third).await;
    client.expect_image("app", "third", &third).await;
    assert_eq!(status(&client, &first).await, "ARCHIVED");
    client.get_manifest("app", "first").await.expect_oci_error(404, "MANIFEST_UNKNOWN");

    archive(&client, &second).await;
    client.expect_image("app", "third", &third).await;
    assert_eq!(
        (availability(&client, &base).await, availability(&client, &own).await),
        ("ARCHIVED".into(), "AVAILABLE".into())
    );
    archive(&client, &third).await;
    for each in [&first, &second, &third] {
        expect_out_of_reach(&client, each, &[]).await;
    }
    restore(&client, &first).await;
    client.expect_image("app", "first", &first).await;
    assert_eq!(status(&client, &second).await, "ARCHIVED");
    // One that is deleted takes nothing from the others, archived or not.
    let delete = json!({ "repositoryName": "app", "imageIds": [by_digest(&second), by_digest(&first)] });
    assert_eq!(client.api_ok("BatchDeleteImage", delete).await["failures"], json!([]));
    restore(&client, &third).await;
    client.expect_image("app", "third", &third).await;
    registry.stop().await;
}

/// Nor does what is in the archive of one repository go to another one.
#[tokio::test]
async fn an_archived_layer_is_not_mounted() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("image");
    client.push_image("app", "v1", &image).await;
    client.api_ok("CreateRepository", json!({ "repositoryName": "other" })).await;
    let mount = format!("/v2/other/blobs/uploads/?mount={}&from=app", image.blob_digests()[1]);
    archive(&client, &image).await;
    client.oci("POST", &mount).send().await.expect_status(202);
    restore(&client, &image).await;
    client.oci("POST", &mount).send().await.expect_status(201);
    registry.stop().await;
}

#[tokio::test]
async fn an_archived_image_can_be_deleted() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("image");
    for id in [json!({ "imageTag": "v1" }), by_digest(&image), json!({ "imageDigest": image.digest, "imageTag": "v1" })]
    {
        client.push_image("app", "v1", &image).await;
        archive(&client, &image).await;
        let output = client.api_ok("BatchDeleteImage", json!({ "repositoryName": "app", "imageIds": [id] })).await;
        let row = json!({ "imageDigest": image.digest, "imageTag": "v1" });
        assert_eq!(output, json!({ "imageIds": [row], "failures": [] }));
        assert!(listed(&client, json!({ "imageStatus": "ANY" })).await.is_empty());
    }
    // Pushed again it is a new image, with no past.
    client.push_image("app", "v1", &image).await;
    client.expect_image("app", "v1", &image).await;
    assert_eq!(described(&client, &image).await.get("lastArchivedAt"), None);
    // A tag goes, the image stays in the archive.
    client.push_manifest("app", "v2", &image).await;
    archive(&client, &image).await;
    let one = json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "v1" }] });
    assert_eq!(client.api_ok("BatchDeleteImage", one).await["failures"], json!([]));
    assert_eq!(described(&client, &image).await["imageTags"], json!(["v2"]));
    expect_out_of_reach(&client, &image, &["v2"]).await;
    // By tag over OCI too; the image stays, without one.
    client.oci("DELETE", "/v2/app/manifests/v2").send().await.expect_status(202);
    assert_eq!(listed(&client, json!({ "imageStatus": "ARCHIVED" })).await, sorted(&[&image]));
    client.oci("DELETE", &format!("/v2/app/manifests/{}", image.digest)).send().await.expect_status(202);
    assert!(listed(&client, json!({ "imageStatus": "ANY" })).await.is_empty());
    registry.stop().await;
}

#[tokio::test]
async fn an_index_and_what_it_lists_are_pulled_or_archived_together() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (amd, arm, shared) = (Image::new("amd64"), Image::new("arm64"), Image::new("shared"));
    client.push_image("app", &amd.digest, &amd).await;
    client.push_image("app", "arm64", &arm).await;
    client.push_image("app", &shared.digest, &shared).await;
    let (index, other) = (Image::index(&[&amd, &arm, &shared]), Image::index(&[&shared]));
    client.push_manifest("app", "latest", &index).await;
    client.push_manifest("app", "other", &other).await;

    for child in [&amd, &arm, &shared] {
        let refused = client.api("UpdateImageStorageClass", move_to("ARCHIVE", &by_digest(child))).await;
        let reason = "a manifest list or index that can be pulled contains it; archive that first";
        let message = format!(
            "The storage class of image '{}' in the repository with name 'app' in the registry with id '{ACCOUNT}' cannot be updated: {reason}",
            child.digest
        );
        refused.expect_aws_error("ImageStorageClassUpdateNotSupportedException", &message);
    }
    let active = json!({ "imageStatus": "ACTIVE" });
    assert_eq!(listed(&client, active.clone()).await, sorted(&[&amd, &arm, &shared, &index, &other]));

    // The images that are nothing without their index go with it.
    archive(&client, &index).await;
    assert_eq!(listed(&client, active.clone()).await, sorted(&[&arm, &shared, &other]));
    expect_out_of_reach(&client, &amd, &[]).await;
    client.expect_image("app", "arm64", &arm).await;
    client.expect_image("app", &shared.digest, &shared).await;
    archive(&client, &arm).await;
    archive(&client, &other).await;
    assert!(listed(&client, active.clone()).await.is_empty());

    // No new index of what cannot be pulled.
    let next = Image::index(&[&amd, &shared]);
    let refused = client.put_manifest("app", "next", next.media_type, next.manifest.clone()).await;
    refused.expect_oci_error(400, "MANIFEST_BLOB_UNKNOWN");
    let put = json!({ "repositoryName": "app", "imageManifest": next.text(), "imageTag": "next" });
    let message = no_children("app", &[&amd.digest, &shared.digest]);
    client.api("PutImage", put).await.expect_aws_error("ReferencedImagesNotFoundException", &message);

    // One that is listed comes back alone; an index brings all it lists.
    restore(&client, &shared).await;
    assert_eq!(listed(&client, active.clone()).await, sorted(&[&shared]));
    restore(&client, &index).await;
    assert_eq!(listed(&client, active.clone()).await, sorted(&[&amd, &arm, &shared, &index]));
    for image in [&amd, &arm, &shared] {
        client.expect_image("app", &image.digest, image).await;
    }
    client.expect_image("app", "latest", &index).await;

    // As does pushing its manifest, and what is listed can be pushed before it.
    archive(&client, &index).await;
    client.push_image("app", &amd.digest, &amd).await;
    client.push_manifest("app", "latest", &index).await;
    client.expect_image("app", "latest", &index).await;
    client.expect_image("app", &shared.digest, &shared).await;

    // A deleted index lets go of what it lists, wherever that is.
    archive(&client, &index).await;
    let all = [&index, &amd, &arm, &shared, &other].map(by_digest);
    let output = client.api_ok("BatchDeleteImage", json!({ "repositoryName": "app", "imageIds": all })).await;
    assert_eq!(output["failures"], json!([]));
    assert!(listed(&client, json!({ "imageStatus": "ANY" })).await.is_empty());
    registry.stop().await;
}

#[tokio::test]
async fn what_refers_to_an_image_follows_it() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("image");
    client.push_image("app", "v1", &image).await;
    let sbom = Image::artifact(SBOM, &image, "sbom");
    let signature = Image::artifact("application/vnd.example.signature", &sbom, "of the sbom");
    client.push_image("app", &sbom.digest, &sbom).await;
    client.push_image("app", "signature", &signature).await;
    archive(&client, &image).await;
    assert!(listed(&client, json!({})).await.is_empty());
    expect_out_of_reach(&client, &signature, &["signature"]).await;
    let path = format!("/v2/app/referrers/{}", image.digest);
    let over_oci = async |client: &Client| {
        texts(&client.oci("GET", &path).send().await.expect_status(200).json()["manifests"], "/digest")
    };
    assert!(over_oci(&client).await.is_empty());

    // What is pushed about it now is there now.
    let late = Image::artifact(SBOM, &image, "late");
    client.push_image("app", &late.digest, &late).await;
    assert_eq!(over_oci(&client).await, sorted(&[&late]));
    // And follows when the same is asked for again.
    archive(&client, &image).await;
    assert!(over_oci(&client).await.is_empty());

    restore(&client, &image).await;
    assert_eq!(listed(&client, json!({})).await, sorted(&[&image, &sbom, &signature, &late]));
    assert_eq!(over_oci(&client).await, sorted(&[&sbom, &late]));
    client.expect_image("app", "signature", &signature).await;
    // One of them alone.
    archive(&client, &late).await;
    assert_eq!(over_oci(&client).await, sorted(&[&sbom]));
    registry.stop().await;
}

/// More tags than a transaction has room for, and a manifest that is an object.
#[tokio::test]
async fn large_images_go_there_and_back() {
    let registry = Registry::start().await;
    let client = registry.client();
    let small = Image::new("small");
    let mut manifest = small.json();
    manifest["annotations"] = json!({ "much": format!("{:?}", bytes_of(200_000, 7)) });
    let mut image = Image::from_json(&manifest);
    assert!(image.manifest.len() > 400_000);
    image.blobs.clone_from(&small.blobs);
    client.push_image("app", "t000", &image).await;
    let tags: Vec<String> = (0..230).map(|number| format!("t{number:03}")).collect();
    for tag in &tags[1..] {
        client.push_manifest("app", tag, &image).await;
    }
    for _ in 0..2 {
        archive(&client, &image).await;
        expect_out_of_reach(&client, &image, &["t000", "t100", "t229"]).await;
        assert!(client.tags("app").await.is_empty());
        let many = json!({ "repositoryName": "app", "maxResults": 1000, "filter": { "imageStatus": "ARCHIVED" } });
        assert_eq!(client.api_ok("ListImages", many).await["imageIds"].as_array().map(Vec::len), Some(230));
        restore(&client, &image).await;
        assert_eq!(client.tags("app").await, tags);
        for tag in [&tags[0], &tags[100], &tags[229]] {
            client.expect_image("app", tag, &image).await;
        }
    }
    registry.stop().await;
}
