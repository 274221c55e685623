//! `PutImage`, `BatchGetImage`, `BatchDeleteImage`, `DescribeImages`.

use ironwharf_tests::images::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, descriptor};
use ironwharf_tests::{Client, Image, Registry, digest_of};
use serde_json::{Value, json};

use crate::words::{ACCOUNT, invalid, no_children, no_image, no_layers, texts, unknown_digest};

fn put(repository: &str, manifest: &str, tag: Option<&str>) -> Value {
    json!({ "repositoryName": repository, "imageManifest": manifest, "imageTag": tag })
}

fn ids(repository: &str, ids: &Value) -> Value {
    json!({ "repositoryName": repository, "imageIds": ids })
}

async fn refused(client: &Client, operation: &str, input: Value, code: &str, message: &str) {
    println!("{operation} {input}");
    client.api(operation, input).await.expect_aws_error(code, message);
}

/// The tags of each image, by digest.
async fn listed(client: &Client, repository: &str) -> Vec<(String, String)> {
    let output = client.api_ok("ListImages", json!({ "repositoryName": repository })).await;
    let digests = texts(&output["imageIds"], "/imageDigest");
    let mut rows: Vec<_> = digests.into_iter().zip(texts(&output["imageIds"], "/imageTag")).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn a_manifest_comes_back_byte_for_byte() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("exact");
    client.push_image("app", "plain", &image).await;
    // Unusual spacing, escapes, key order, unknown members, no final newline or two.
    let config = &image.json()["config"];
    for (tag, manifest) in [
        (
            "spaces",
            format!(
                "{{\n\t\"layers\" : [ ],\"config\":{config}, \"schemaVersion\":2,\"mediaType\":\"{OCI_MANIFEST}\"}}\n\n"
            ),
        ),
        (
            "escapes",
            format!(
                "{{\"mediaType\":\"{OCI_MANIFEST}\",\"schemaVersion\":2,\"config\":{config},\"x\":\"\\u00e9é\\/\\ud83d\\ude00\"}}"
            ),
        ),
        (
            "numbers",
            format!(
                "{{\"mediaType\":\"{OCI_MANIFEST}\",\"schemaVersion\":2,\"config\":{config},\"x\":[1e2,1.0,-0,0.10]}}"
            ),
        ),
    ] {
        client.put_manifest("app", tag, OCI_MANIFEST, manifest.clone()).await.expect_status(201);
        let output = client.api_ok("BatchGetImage", ids("app", &json!([{ "imageTag": tag }]))).await;
        let expected = json!({
            "registryId": ACCOUNT,
            "repositoryName": "app",
            "imageId": { "imageDigest": digest_of(manifest.as_bytes()), "imageTag": tag },
            "imageManifest": manifest,
            "imageManifestMediaType": OCI_MANIFEST,
        });
        assert_eq!(output, json!({ "images": [expected], "failures": [] }));

        let through_api = format!("{manifest} ");
        client.api_ok("PutImage", put("app", &through_api, Some(&format!("{tag}-api")))).await;
        let reply = client.get_manifest("app", &format!("{tag}-api")).await;
        assert_eq!(reply.expect_status(200).body, through_api);
        assert_eq!(reply.header("docker-content-digest"), digest_of(through_api.as_bytes()));
    }
    registry.stop().await;
}

#[tokio::test]
async fn put_image_refuses_in_the_words_of_ecr() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("there");
    client.push_image("app", "latest", &image).await;
    let digest = image.digest.as_str();
    let exists = |tag: &str| {
        format!(
            "Image with digest '{digest}' and tag '{tag}' already exists in the repository with name 'app' in registry with id '{ACCOUNT}'"
        )
    };
    let missing = Image::new("missing");
    let (config, layer) = (&missing.blob_digests()[0], &missing.blob_digests()[1]);
    let index = Image::index(&[&image, &missing]);
    let unknown = unknown_digest();
    let with = |member: &str, value: &str| {
        let mut input = put("app", image.text(), Some("latest"));
        input[member] = json!(value);
        input
    };
    let bad_json = |manifest: &str, reason: &str| {
        (put("app", manifest, None), "InvalidParameterException", invalid("ImageManifest", reason))
    };
    let bad_syntax = |manifest: &str, detail: &str| {
        let message = format!("{}. {detail}.", invalid("ImageManifest", "Invalid JSON syntax"));
        (put("app", manifest, None), "InvalidParameterException", message)
    };
    let mut resized = image.json();
    resized["layers"][0]["size"] = json!(1);
    let actual = image.blobs[1].len();
    let mut miscounted = Image::index(&[&image]).json();
    miscounted["manifests"][0]["size"] = json!(1);
    for (input, code, message) in [
        (put("app", image.text(), Some("latest")), "ImageAlreadyExistsException", exists("latest")),
        (put("app", image.text(), None), "ImageAlreadyExistsException", exists("null")),
        (put("app", missing.text(), Some("x")), "LayersNotFoundException", no_layers("app", &[config, layer])),
        (put("app", index.text(), None), "ReferencedImagesNotFoundException", no_children("app", &[&missing.digest])),
        (
            with("imageDigest", &unknown),
            "ImageDigestDoesNotMatchException",
            format!(
                "The specified image digest '{unknown}' does not match the digest '{digest}' of the image manifest"
            ),
        ),
        (
            with("imageManifestMediaType", DOCKER_MANIFEST),
            "InvalidParameterException",
            invalid(
                "ImageManifest",
                &format!("mediaType '{OCI_MANIFEST}' contradicts the declared type '{DOCKER_MANIFEST}'"),
            ),
        ),
        bad_syntax("{", "invalid JSON at offset 1: EOF while parsing an object"),
        bad_syntax("[]", "a manifest must be a JSON object"),
        bad_syntax("{\"a\":1,\"a\":2}", "duplicate key 'a'"),
        bad_json("{}", "schemaVersion must be 2"),
        bad_json(
            "{\"schemaVersion\":2}",
            "mediaType is missing, and neither a Content-Type nor imageManifestMediaType stands in for it",
        ),
        (
            put("app", &resized.to_string(), None),
            "InvalidParameterException",
            invalid(
                "ImageManifest",
                &format!("layer {} is declared with 1 bytes but has {actual}", image.blob_digests()[1]),
            ),
        ),
        (
            put("app", &miscounted.to_string(), None),
            "InvalidParameterException",
            invalid(
                "ImageManifest",
                &format!("manifest {digest} is declared with 1 bytes but has {}", image.text().len()),
            ),
        ),
        (
            put("app", "", None),
            "InvalidParameterException",
            invalid("imageManifest", "Member must have length greater than or equal to 1"),
        ),
    ] {
        refused(&client, "PutImage", input, code, &message).await;
    }
    assert_eq!(listed(&client, "app").await, [(digest.to_owned(), "latest".to_owned())], "nothing of this is there");
    registry.stop().await;
}

/// A client that lost the answer pushes again: docker must be told that all is
/// well, the API says that it is there already.
#[tokio::test]
async fn the_same_push_again_is_a_success_for_docker() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("twice");
    for _ in 0..2 {
        client.push_image("app", "latest", &image).await;
    }
    let second = client.api_ok("PutImage", put("app", image.text(), Some("second"))).await;
    assert_eq!(second["image"]["imageId"], json!({ "imageDigest": image.digest, "imageTag": "second" }));
    assert_eq!(client.tags("app").await, ["latest", "second"]);
    registry.stop().await;
}

#[tokio::test]
async fn a_moved_tag_leaves_an_untagged_image() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (old, new) = (Image::new("old"), Image::new("new"));
    client.push_image("app", "latest", &old).await;
    client.push_image("app", "latest", &new).await;
    let mut expected = vec![(old.digest.clone(), "-".to_owned()), (new.digest.clone(), "latest".to_owned())];
    expected.sort();
    assert_eq!(listed(&client, "app").await, expected);
    client.expect_image("app", &old.digest, &old).await;
    client.expect_image("app", "latest", &new).await;
    let described = client.api_ok("DescribeImages", ids("app", &json!([{ "imageDigest": old.digest }]))).await;
    assert_eq!(described["imageDetails"][0].get("imageTags"), None);
    registry.stop().await;
}

#[tokio::test]
async fn removing_the_last_tag_deletes_the_image() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("tagged");
    client.push_image("app", "one", &image).await;
    client.push_manifest("app", "two", &image).await;
    let delete = async |id: Value| client.api_ok("BatchDeleteImage", ids("app", &json!([id]))).await;
    let row = |tag: &str| json!({ "imageDigest": image.digest, "imageTag": tag });

    assert_eq!(delete(json!({ "imageTag": "one" })).await, json!({ "imageIds": [row("one")], "failures": [] }));
    client.expect_image("app", "two", &image).await;
    assert_eq!(delete(json!({ "imageTag": "two" })).await, json!({ "imageIds": [row("two")], "failures": [] }));
    client.get_manifest("app", &image.digest).await.expect_oci_error(404, "MANIFEST_UNKNOWN");

    // By digest all tags go at once; what was deleted can be pushed again.
    client.push_image("app", "one", &image).await;
    client.push_manifest("app", "two", &image).await;
    let deleted = delete(json!({ "imageDigest": image.digest })).await;
    assert_eq!(deleted, json!({ "imageIds": [row("one"), row("two")], "failures": [] }));
    assert_eq!(listed(&client, "app").await, []);
    client.push_image("app", "one", &image).await;
    client.expect_image("app", "one", &image).await;
    registry.stop().await;
}

/// Whoever of two is second has the last tag.
#[tokio::test]
async fn two_tags_removed_at_once_are_not_both_one_of_several() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("tagged");
    for _ in 0..20 {
        client.push_image("app", "one", &image).await;
        client.push_manifest("app", "two", &image).await;
        let delete =
            async |tag: &str| client.api_ok("BatchDeleteImage", ids("app", &json!([{ "imageTag": tag }]))).await;
        let (one, two) = futures::join!(delete("one"), delete("two"));
        assert_eq!((&one["failures"], &two["failures"]), (&json!([]), &json!([])));
        assert_eq!(listed(&client, "app").await, []);
    }
    registry.stop().await;
}

#[tokio::test]
async fn batches_answer_for_each_entry() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (image, other) = (Image::new("one"), Image::new("other"));
    client.push_image("app", "latest", &image).await;
    client.push_image("app", "other", &other).await;
    let regular = "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
    let neither = "Invalid request parameters: both tag and digest cannot be null";
    let unknown = "Requested image not found";
    let failures = [
        (json!({ "imageTag": "nothing" }), "ImageNotFound", unknown),
        (json!({ "imageDigest": unknown_digest() }), "ImageNotFound", unknown),
        (json!({}), "MissingDigestAndTag", neither),
        (json!({ "imageDigest": "sha256:xyz" }), "InvalidImageDigest", regular),
    ];
    let named: Vec<&Value> = failures.iter().map(|(id, ..)| id).collect();
    let expected: Vec<Value> = failures
        .iter()
        .map(|(id, code, reason)| json!({ "imageId": id, "failureCode": code, "failureReason": reason }))
        .collect();
    for operation in ["BatchGetImage", "BatchDeleteImage"] {
        let output = client.api_ok(operation, ids("app", &json!(named))).await;
        assert_eq!(output["failures"], json!(expected), "{operation}");
    }
    let mismatch = json!([{ "imageTag": "latest", "imageDigest": other.digest }]);
    let output = client.api_ok("BatchGetImage", ids("app", &mismatch)).await;
    assert_eq!(texts(&output["failures"], "/failureCode"), ["ImageTagDoesNotMatchDigest"]);
    let output = client.api_ok("BatchDeleteImage", ids("app", &mismatch)).await;
    assert_eq!(output["imageIds"], json!([]));
    assert_eq!(texts(&output["failures"], "/failureCode"), ["ImageTagDoesNotMatchDigest"]);
    client.expect_image("app", "latest", &image).await;

    // The good entries of a batch are done, whatever the others are.
    let mixed = json!([{ "imageTag": "nothing" }, { "imageTag": "latest" }]);
    let output = client.api_ok("BatchGetImage", ids("app", &mixed)).await;
    assert_eq!(texts(&output["images"], "/imageId/imageTag"), ["latest"]);
    let output = client.api_ok("BatchDeleteImage", ids("app", &mixed)).await;
    assert_eq!(texts(&output["imageIds"], "/imageTag"), ["latest"]);
    assert_eq!(texts(&output["failures"], "/failureCode"), ["ImageNotFound"]);

    for (list, constraint) in [
        (json!([]), "Member must have length greater than or equal to 1"),
        (json!(vec![json!({ "imageTag": "a" }); 101]), "Member must have length less than or equal to 100"),
    ] {
        for operation in ["BatchGetImage", "BatchDeleteImage"] {
            let message = invalid("imageIds", constraint);
            refused(&client, operation, ids("app", &list), "InvalidParameterException", &message).await;
        }
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_child_of_an_index_cannot_be_deleted_first() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (amd, arm) = (Image::new("amd64"), Image::new("arm64"));
    client.push_image("app", "amd64", &amd).await;
    client.push_image("app", "arm64", &arm).await;
    let index = Image::index(&[&amd, &arm]);
    client.push_manifest("app", "latest", &index).await;

    let by_digest = json!([{ "imageDigest": arm.digest }]);
    let output = client.api_ok("BatchDeleteImage", ids("app", &by_digest)).await;
    let failure = json!({
        "imageId": { "imageDigest": arm.digest },
        "failureCode": "ImageReferencedByManifestList",
        "failureReason": "Requested image referenced by manifest list",
    });
    assert_eq!(output, json!({ "imageIds": [], "failures": [failure] }));
    let reply = client.oci("DELETE", &format!("/v2/app/manifests/{}", arm.digest)).send().await;
    reply.expect_oci_error(409, "DENIED");
    // Nor by its last tag; one of several goes.
    client.push_manifest("app", "arm64-too", &arm).await;
    let one = ids("app", &json!([{ "imageTag": "arm64-too" }]));
    assert_eq!(client.api_ok("BatchDeleteImage", one).await["failures"], json!([]));
    let last = client.api_ok("BatchDeleteImage", ids("app", &json!([{ "imageTag": "arm64" }]))).await;
    assert_eq!(texts(&last["failures"], "/failureCode"), ["ImageReferencedByManifestList"]);
    client.expect_image("app", "arm64", &arm).await;
    // Over OCI the tag is its own.
    client.oci("DELETE", "/v2/app/manifests/arm64").send().await.expect_status(202);
    client.expect_image("app", &arm.digest, &arm).await;

    // All in one batch, in the wrong order.
    let all = json!([{ "imageDigest": amd.digest }, { "imageDigest": arm.digest }, { "imageDigest": index.digest }]);
    let output = client.api_ok("BatchDeleteImage", ids("app", &all)).await;
    assert_eq!(output["failures"], json!([]));
    assert_eq!(listed(&client, "app").await, []);
    registry.stop().await;
}

#[tokio::test]
async fn descriptions_say_what_an_image_is() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (small, large) = (Image::new("small"), Image::of(vec!["{}".into(), vec![7; 5000].into()]));
    client.push_image("app", "small", &small).await;
    client.push_image("app", "large", &large).await;
    client.push_manifest("app", "also-large", &large).await;
    let index = Image::index(&[&small, &large]);
    client.push_manifest("app", "index", &index).await;
    let artifact = Image::artifact("application/vnd.example.sbom", &small, "about");
    client.push_image("app", "sbom", &artifact).await;

    let detail = async |id: Value| {
        let output = client.api_ok("DescribeImages", ids("app", &json!([id]))).await;
        let mut detail = output["imageDetails"][0].clone();
        assert!(detail["imagePushedAt"].take().as_f64().is_some_and(|seconds| seconds > 1.5e9));
        detail
    };
    let config_type = "application/vnd.oci.image.config.v1+json";
    let expected = json!({
        "registryId": ACCOUNT,
        "repositoryName": "app",
        "imageDigest": large.digest,
        "imageTags": ["also-large", "large"],
        "imageSizeInBytes": 5002,
        "imagePushedAt": null,
        "imageManifestMediaType": OCI_MANIFEST,
        "artifactMediaType": config_type,
        "imageStatus": "ACTIVE",
    });
    assert_eq!(detail(json!({ "imageTag": "large" })).await, expected);
    assert_eq!(detail(json!({ "imageDigest": large.digest })).await, expected);
    let of_index = detail(json!({ "imageTag": "index" })).await;
    assert_eq!(of_index["imageManifestMediaType"], OCI_INDEX);
    assert_eq!(of_index["imageSizeInBytes"], 5002, "the size of the largest child");
    let of_artifact = detail(json!({ "imageTag": "sbom" })).await;
    assert_eq!(of_artifact["subjectManifestDigest"], small.digest);

    // One that is not there fails the whole call, unlike the batches.
    let both = json!([{ "imageTag": "large" }, { "imageTag": "nothing" }]);
    refused(
        &client,
        "DescribeImages",
        ids("app", &both),
        "ImageNotFoundException",
        &no_image("app", None, Some("nothing")),
    )
    .await;
    let wrong = json!([{ "imageTag": "large", "imageDigest": small.digest }]);
    let message = no_image("app", Some(&small.digest), Some("large"));
    refused(&client, "DescribeImages", ids("app", &wrong), "ImageNotFoundException", &message).await;
    registry.stop().await;
}

#[tokio::test]
async fn immutable_tags_stay_where_they_are() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (first, second) = (Image::new("first"), Image::new("second"));
    let some_mutable = &["dev*", "latest"][..];
    for (number, (mutability, filters, tag, moves)) in [
        ("MUTABLE", &[][..], "v1", true),
        ("IMMUTABLE", &[], "v1", false),
        ("IMMUTABLE_WITH_EXCLUSION", some_mutable, "v1", false),
        ("IMMUTABLE_WITH_EXCLUSION", some_mutable, "dev-1", true),
        ("IMMUTABLE_WITH_EXCLUSION", some_mutable, "latest", true),
        ("IMMUTABLE_WITH_EXCLUSION", some_mutable, "latest-1", false),
        ("MUTABLE_WITH_EXCLUSION", &["v*"], "v1", false),
        ("MUTABLE_WITH_EXCLUSION", &["v*"], "dev", true),
    ]
    .into_iter()
    .enumerate()
    {
        println!("{mutability} {tag}");
        let name = &format!("app-{number}");
        let filters: Vec<Value> =
            filters.iter().map(|filter| json!({ "filterType": "WILDCARD", "filter": filter })).collect();
        let input = json!({
            "repositoryName": name,
            "imageTagMutability": mutability,
            "imageTagMutabilityExclusionFilters": Some(filters).filter(|filters| !filters.is_empty()),
        });
        client.api_ok("CreateRepository", input).await;
        client.push_image(name, tag, &first).await;
        // The same push again is no move, and a second tag is none either.
        client.push_image(name, tag, &first).await;
        client.push_manifest(name, &format!("also-{tag}"), &first).await;
        for blob in &second.blobs {
            client.push_blob(name, blob.clone()).await;
        }
        let through_docker = client.put_manifest(name, tag, OCI_MANIFEST, second.manifest.clone()).await;
        if moves {
            through_docker.expect_status(201);
            client.expect_image(name, tag, &second).await;
            continue;
        }
        through_docker.expect_oci_error(400, "TAG_INVALID");
        let message = format!(
            "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the repository is immutable."
        );
        refused(&client, "PutImage", put(name, second.text(), Some(tag)), "ImageTagAlreadyExistsException", &message)
            .await;
        client.expect_image(name, tag, &first).await;
        // The refused image is not there without its tag either.
        client.get_manifest(name, &second.digest).await.expect_oci_error(404, "MANIFEST_UNKNOWN");
        // Deleted, the tag is free again.
        client.api_ok("BatchDeleteImage", ids(name, &json!([{ "imageTag": tag }]))).await;
        client.push_image(name, tag, &second).await;
        client.expect_image(name, tag, &second).await;
    }
    registry.stop().await;
}

/// The tag decides what an index lists even after it moved, and an index is
/// allowed to list one image twice (two platforms of one digest).
#[tokio::test]
async fn an_index_may_list_an_image_twice() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("both");
    client.push_image("app", "latest", &image).await;
    let index = Image::index(&[&image, &image]);
    client.push_manifest("app", "index", &index).await;
    client.expect_image("app", "index", &index).await;
    client.api_ok("BatchDeleteImage", ids("app", &json!([{ "imageTag": "index" }]))).await;
    client.api_ok("BatchDeleteImage", ids("app", &json!([{ "imageTag": "latest" }]))).await;
    assert_eq!(listed(&client, "app").await, []);
    registry.stop().await;
}

/// A layer that is listed twice, and a config that is a layer too.
#[tokio::test]
async fn an_image_may_list_a_blob_twice() {
    let registry = Registry::start().await;
    let client = registry.client();
    let blob = client.push_blob("app", "{}").await;
    let layer = descriptor("application/octet-stream", b"{}");
    let image = Image::from_json(&json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": layer,
        "layers": [layer, layer],
    }));
    client.push_manifest("app", "latest", &image).await;
    client.expect_image("app", "latest", &image).await;
    client.api_ok("BatchDeleteImage", ids("app", &json!([{ "imageDigest": image.digest }]))).await;
    client.oci("DELETE", &format!("/v2/app/blobs/{blob}")).send().await.expect_status(202);
    registry.stop().await;
}

/// ECR's quota of tags per image; moving one of them is no new tag.
#[tokio::test]
async fn an_image_has_a_thousand_tags_at_most() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("many tags");
    client.push_image("app", "t0", &image).await;
    for number in 1..1_000 {
        client.api_ok("PutImage", put("app", image.text(), Some(&format!("t{number}")))).await;
    }
    let refused = client.api("PutImage", put("app", image.text(), Some("one-more"))).await;
    refused.expect_aws_error_code("LimitExceededException");
    let oci = client.put_manifest("app", "one-more", OCI_MANIFEST, image.text().to_owned()).await;
    oci.expect_oci_error(403, "DENIED");
    assert_eq!(client.tags("app").await.len(), 1_000);
    // A tag that it has is no more.
    let again = client.api("PutImage", put("app", image.text(), Some("t7"))).await;
    again.expect_aws_error_code("ImageAlreadyExistsException");
    registry.stop().await;
}
