//! The layer operations of the API, and that they and the data plane are two
//! views of one thing.

use ironwharf_tests::client::part_input;
use ironwharf_tests::images::sha512_of;
use ironwharf_tests::{Client, Image, Registry, bytes_of, digest_of};
use serde_json::{Value, json};

use crate::words::{ACCOUNT, invalid, texts, unknown_digest};

async fn started(client: &Client, repository: &str) -> String {
    let output = client.api_ok("InitiateLayerUpload", json!({ "repositoryName": repository })).await;
    assert_eq!(output["partSize"], 10 * 1024 * 1024);
    output["uploadId"].as_str().expect("an upload id").to_owned()
}

fn complete(repository: &str, upload_id: &str, digests: &[&str]) -> Value {
    json!({ "repositoryName": repository, "uploadId": upload_id, "layerDigests": digests })
}

#[tokio::test]
async fn what_the_api_uploads_the_data_plane_pulls() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    // 23 MiB in parts of 10 MiB, as `aws` and boto3 users send them.
    let image = Image::of(vec!["{}".into(), bytes_of(23 * 1024 * 1024 + 5, 1)]);
    for blob in &image.blobs {
        client.api_push_blob("app", blob, 10 * 1024 * 1024).await;
    }
    let put = json!({ "repositoryName": "app", "imageManifest": image.text(), "imageTag": "v1" });
    let put = client.api_ok("PutImage", put).await;
    let expected = json!({
        "registryId": ACCOUNT,
        "repositoryName": "app",
        "imageId": { "imageDigest": image.digest, "imageTag": "v1" },
        "imageManifest": image.text(),
        "imageManifestMediaType": image.media_type,
    });
    assert_eq!(put["image"], expected);
    client.expect_image("app", "v1", &image).await;
    registry.stop().await;
}

#[tokio::test]
async fn what_the_data_plane_pushes_the_api_reads() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("pushed");
    client.push_image("app", "latest", &image).await;
    let digests = image.blob_digests();
    let input = json!({ "repositoryName": "app", "layerDigests": [digests[1], unknown_digest()] });
    let checked = client.api_ok("BatchCheckLayerAvailability", input).await;
    let layers = json!([
        { "layerDigest": digests[1], "layerAvailability": "AVAILABLE", "layerSize": image.blobs[1].len() },
        { "layerDigest": unknown_digest(), "layerAvailability": "UNAVAILABLE" },
    ]);
    assert_eq!(checked, json!({ "layers": layers, "failures": [] }));

    let input = json!({ "repositoryName": "app", "layerDigest": digests[1] });
    let download = client.api_ok("GetDownloadUrlForLayer", input).await;
    assert_eq!(download["layerDigest"], digests[1]);
    let url = download["downloadUrl"].as_str().expect("a URL");
    let path = url.strip_prefix(&format!("http://{}", registry.host())).expect("the host of the request");
    let reply = client.call("GET", path).send().await;
    assert_eq!(reply.expect_status(200).body, image.blobs[1]);
    registry.stop().await;
}

#[tokio::test]
async fn an_availability_check_never_fails_for_one_bad_digest() {
    let registry = Registry::start().await;
    let client = registry.client();
    let digest = client.push_blob("app", "layer").await;
    for (bad, code) in [
        ("sha256:abc", "InvalidLayerDigest"),
        ("latest", "InvalidLayerDigest"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "InvalidLayerDigest"),
        ("", "MissingLayerDigest"),
    ] {
        let input = json!({ "repositoryName": "app", "layerDigests": [bad, digest] });
        let checked = client.api_ok("BatchCheckLayerAvailability", input).await;
        assert_eq!(texts(&checked["layers"], "/layerDigest"), [digest.as_str()], "{bad}");
        assert_eq!(texts(&checked["failures"], "/failureCode"), [code], "{bad}");
        assert_eq!(texts(&checked["failures"], "/layerDigest"), [bad]);
    }
    registry.stop().await;
}

/// A layer of another repository, or one that no image needs, is not for
/// download, whoever knows its digest.
#[tokio::test]
async fn only_layers_of_an_image_can_be_downloaded() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("elsewhere");
    client.push_image("other", "latest", &image).await;
    let loose = client.push_blob("app", "a loose layer").await;
    let foreign = &image.blob_digests()[0];
    let input = |digest: &str| json!({ "repositoryName": "app", "layerDigest": digest });
    let within = format!("within the repository with name 'app' in the registry with id '{ACCOUNT}'");
    let message = format!("The layer with digest {loose} {within} is not referenced by an image");
    client.api("GetDownloadUrlForLayer", input(&loose)).await.expect_aws_error("LayerInaccessibleException", &message);
    for missing in [foreign.clone(), unknown_digest()] {
        let message = format!("The layer with digest {missing} does not exist {within}");
        client
            .api("GetDownloadUrlForLayer", input(&missing))
            .await
            .expect_aws_error("LayersNotFoundException", &message);
        client.oci("HEAD", &format!("/v2/app/blobs/{missing}")).send().await.expect_status(404);
    }
    registry.stop().await;
}

#[tokio::test]
async fn parts_come_in_order() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let id = started(&client, "app").await;
    let out_of_order = async |first: usize, last_received: i64| {
        let reply = client.api("UploadLayerPart", part_input("app", &id, first, b"abc")).await;
        let next = last_received + 1;
        let expected = json!({
            "__type": "InvalidLayerPartException",
            "message": format!("The layer part starts at byte {first}, but the next byte of the upload with id '{id}' is {next}"),
            "registryId": ACCOUNT,
            "repositoryName": "app",
            "uploadId": id,
            "lastValidByteReceived": last_received,
        });
        assert_eq!(reply.expect_status(400).json(), expected);
    };
    out_of_order(1, -1).await;
    let first = client.api_ok("UploadLayerPart", part_input("app", &id, 0, b"0123456789")).await;
    let expected = json!({ "registryId": ACCOUNT, "repositoryName": "app", "uploadId": id, "lastByteReceived": 9 });
    assert_eq!(first, expected);
    out_of_order(0, 9).await;
    out_of_order(9, 9).await;
    out_of_order(11, 9).await;
    let second = client.api_ok("UploadLayerPart", part_input("app", &id, 10, b"abc")).await;
    assert_eq!(second["lastByteReceived"], 12);
    let digest = digest_of(b"0123456789abc");
    client.api_ok("CompleteLayerUpload", complete("app", &id, &[&digest])).await;
    assert_eq!(client.pull_blob("app", &digest).await, "0123456789abc");
    registry.stop().await;
}

#[tokio::test]
async fn uploads_are_refused_in_the_words_of_ecr() {
    let registry = Registry::start().await;
    let client = registry.client();
    for name in ["app", "other"] {
        client.api_ok("CreateRepository", json!({ "repositoryName": name })).await;
    }
    let there = client.push_blob("app", "there already").await;
    let id = started(&client, "app").await;
    let unknown = unknown_digest();
    let no_upload = |repository: &str, id: &str| {
        format!(
            "The upload with id '{id}' does not exist within the repository with name '{repository}' in the registry with id '{ACCOUNT}'"
        )
    };
    let stranger = "01234567-89ab-4def-8123-456789abcdef";
    let mut wrong_length = part_input("app", &id, 0, b"0123456789");
    wrong_length["partLastByte"] = json!(10);
    let mut backwards = part_input("app", &id, 5, b"x");
    backwards["partLastByte"] = json!(4);
    let check = async |operation: &str, input: Value, code: &str, message: String| {
        println!("{operation} {input}");
        client.api(operation, input).await.expect_aws_error(code, &message);
    };
    for (operation, input, code, message) in [
        (
            "UploadLayerPart",
            part_input("app", stranger, 0, b"x"),
            "UploadNotFoundException",
            no_upload("app", stranger),
        ),
        ("UploadLayerPart", part_input("other", &id, 0, b"x"), "UploadNotFoundException", no_upload("other", &id)),
        (
            "CompleteLayerUpload",
            complete("other", &id, &[&unknown]),
            "UploadNotFoundException",
            no_upload("other", &id),
        ),
        (
            "UploadLayerPart",
            wrong_length,
            "InvalidLayerPartException",
            "The layer part has 10 bytes, but its range covers 11".to_owned(),
        ),
        (
            "UploadLayerPart",
            backwards,
            "InvalidParameterException",
            invalid("partLastByte", "the part from byte 5 to byte 4 ends before it starts"),
        ),
        (
            "CompleteLayerUpload",
            complete("app", &id, &[&unknown]),
            "EmptyUploadException",
            format!("There are no layer parts in the upload with id '{id}'"),
        ),
    ] {
        check(operation, input, code, message).await;
    }
    // None of this has touched the upload.
    client.api_ok("UploadLayerPart", part_input("app", &id, 0, b"bytes")).await;
    let wrong = format!("The digest of the uploaded bytes is '{}' and not '{unknown}'", digest_of(b"bytes"));
    check("CompleteLayerUpload", complete("app", &id, &[&unknown]), "InvalidLayerException", wrong).await;

    let again = started(&client, "app").await;
    client.api_ok("UploadLayerPart", part_input("app", &again, 0, b"there already")).await;
    let exists = format!(
        "The layer with digest '{there}' already exists in the repository with name 'app' in the registry with id '{ACCOUNT}'"
    );
    check("CompleteLayerUpload", complete("app", &again, &[&there]), "LayerAlreadyExistsException", exists).await;
    // What was there is there still.
    assert_eq!(client.pull_blob("app", &there).await, "there already");
    registry.stop().await;
}

/// Of several digests the SHA-256 one names the layer, as it does for ECR.
#[tokio::test]
async fn a_layer_completed_with_two_digests_has_the_sha256_one() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let id = started(&client, "app").await;
    client.api_ok("UploadLayerPart", part_input("app", &id, 0, b"bytes")).await;
    let (sha256, sha512) = (digest_of(b"bytes"), sha512_of(b"bytes"));
    // Two of one algorithm cannot both be right; nothing is done then.
    let refused = client.api("CompleteLayerUpload", complete("app", &id, &[&sha256, &unknown_digest()])).await;
    let message = format!(
        "Invalid parameter at 'layerDigests' failed to satisfy constraint: 'names two digests that cannot both be the \
         layer's: '{sha256}' and '{}''",
        unknown_digest()
    );
    refused.expect_aws_error("InvalidParameterException", &message);
    let output = client.api_ok("CompleteLayerUpload", complete("app", &id, &[&sha512, &sha256])).await;
    assert_eq!(output["layerDigest"], sha256);
    registry.stop().await;
}

#[tokio::test]
async fn one_upload_can_be_written_through_both_doors() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let id = started(&client, "app").await;
    client.api_ok("UploadLayerPart", part_input("app", &id, 0, b"from the API, ")).await;
    let path = format!("/v2/app/blobs/uploads/{id}");
    let status = client.oci("GET", &path).send().await;
    assert_eq!(status.expect_status(204).header("range"), "0-13");
    client.oci("PATCH", &path).body("then from docker").send().await.expect_status(202);
    let digest = digest_of(b"from the API, then from docker");
    client.api_ok("CompleteLayerUpload", complete("app", &id, &[&digest])).await;
    assert_eq!(client.pull_blob("app", &digest).await, "from the API, then from docker");
    registry.stop().await;
}
