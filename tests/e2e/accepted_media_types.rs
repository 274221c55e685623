//! `acceptedMediaTypes` of `BatchGetImage`: an image by tag comes in a format
//! that the caller reads, one by digest as it is.

use ironwharf_tests::images::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, descriptor};
use ironwharf_tests::{Client, Image, Registry, digest_of};
use serde_json::{Value, json};

use crate::words::invalid;

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

async fn get(client: &Client, id: Value, accepted: &[&str]) -> Value {
    let input = json!({ "repositoryName": "app", "imageIds": [id], "acceptedMediaTypes": accepted });
    let output = client.api_ok("BatchGetImage", input).await;
    assert_eq!(output["failures"], json!([]));
    output["images"][0].clone()
}

fn docker(base: &Image) -> Image {
    let mut image = Image::from_json(&json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": descriptor(DOCKER_CONFIG, &base.blobs[0]),
        "layers": [descriptor(DOCKER_LAYER, &base.blobs[1])],
    }));
    image.blobs.clone_from(&base.blobs);
    image
}

#[tokio::test]
async fn an_image_by_tag_is_given_in_another_format() {
    let registry = Registry::start().await;
    let client = registry.client();
    let oci = Image::new("image");
    let docker = docker(&oci);
    client.push_image("app", "oci", &oci).await;
    client.push_image("app", "docker", &docker).await;
    for (tag, image, other) in [("oci", &oci, &docker), ("docker", &docker, &oci)] {
        let converted = get(&client, json!({ "imageTag": tag }), &[other.media_type]).await;
        let text = converted["imageManifest"].as_str().expect("a manifest");
        assert_eq!(converted["imageManifestMediaType"], other.media_type);
        assert_eq!(converted["imageId"], json!({ "imageDigest": digest_of(text.as_bytes()), "imageTag": tag }));
        // Said in the other format, it is what the other one says.
        let parsed: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(parsed, other.json());
        for digest in [&parsed["config"]["digest"], &parsed["layers"][0]["digest"]] {
            client.pull_blob("app", digest.as_str().expect("a digest")).await;
        }
        // The same again is the same bytes.
        assert_eq!(
            get(&client, json!({ "imageTag": tag }), &[DOCKER_LIST, OCI_INDEX, other.media_type]).await,
            converted
        );

        // By digest nothing is converted, with its tag or without.
        let both = json!({ "imageDigest": image.digest, "imageTag": tag });
        for id in [json!({ "imageDigest": image.digest }), both] {
            let same = get(&client, id, &[other.media_type]).await;
            assert_eq!(
                (&same["imageManifest"], &same["imageId"]["imageDigest"]),
                (&json!(image.text()), &json!(image.digest))
            );
        }
        // Nor is what the caller reads, or what no type it names can say.
        for accepted in [
            &[other.media_type, image.media_type][..],
            &[image.media_type],
            &["application/json", "*/*"],
            &[OCI_INDEX],
            &["application/vnd.docker.distribution.manifest.v1+json"],
        ] {
            let same = get(&client, json!({ "imageTag": tag }), accepted).await;
            assert_eq!(same["imageManifest"], image.text(), "{accepted:?}");
            assert_eq!(same["imageManifestMediaType"], image.media_type);
        }
    }
    registry.stop().await;
}

#[tokio::test]
async fn what_has_no_other_format_comes_as_it_is() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("image");
    client.push_image("app", "image", &image).await;
    let index = Image::index(&[&image]);
    client.push_manifest("app", "index", &index).await;
    let artifact = Image::artifact("application/vnd.example.sbom", &image, "about");
    client.push_image("app", "artifact", &artifact).await;
    let mut zstd = image.json();
    zstd["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd");
    let zstd = Image::from_json(&zstd);
    client.push_manifest("app", "zstd", &zstd).await;
    for (tag, image) in [("index", &index), ("artifact", &artifact), ("zstd", &zstd)] {
        let same = get(&client, json!({ "imageTag": tag }), &[DOCKER_MANIFEST, DOCKER_LIST]).await;
        assert_eq!(same["imageManifest"], image.text(), "{tag}");
        assert_eq!(same["imageId"]["imageDigest"], image.digest);
    }
    for (types, constraint) in [
        (vec![], "Member must have length greater than or equal to 1"),
        (vec![OCI_MANIFEST; 101], "Member must have length less than or equal to 100"),
    ] {
        let input =
            json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "image" }], "acceptedMediaTypes": types });
        let refused = client.api("BatchGetImage", input).await;
        refused.expect_aws_error("InvalidParameterException", &invalid("acceptedMediaTypes", constraint));
    }
    registry.stop().await;
}
