//! `ListImageReferrers`.

use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

use crate::words::{invalid, no_repository, texts, unknown_digest};

const SBOM: &str = "application/vnd.example.sbom";
const SIGNATURE: &str = "application/vnd.example.signature";

fn about(subject: &Image, filter: &Value) -> Value {
    json!({ "repositoryName": "app", "subjectId": { "imageDigest": subject.digest }, "filter": filter })
}

async fn digests(client: &Client, subject: &Image, filter: Value) -> Vec<String> {
    texts(&client.api_ok("ListImageReferrers", about(subject, &filter)).await["referrers"], "/digest")
}

fn sorted(images: &[&Image]) -> Vec<String> {
    let mut digests: Vec<String> = images.iter().map(|image| image.digest.clone()).collect();
    digests.sort_unstable();
    digests
}

async fn move_to(client: &Client, class: &str, image: &Image) {
    let id = json!({ "imageDigest": image.digest });
    let input = json!({ "repositoryName": "app", "imageId": id, "targetStorageClass": class });
    client.api_ok("UpdateImageStorageClass", input).await;
}

#[tokio::test]
async fn referrers_are_listed_by_type_and_status() {
    let registry = Registry::start().await;
    let client = registry.client();
    let subject = Image::new("subject");
    client.push_image("app", "v1", &subject).await;
    let sbom = Image::artifact(SBOM, &subject, "sbom");
    let (first, second) = (Image::artifact(SIGNATURE, &subject, "1"), Image::artifact(SIGNATURE, &subject, "2"));
    for artifact in [&sbom, &first, &second] {
        client.push_image("app", &artifact.digest, artifact).await;
    }
    // An image with a subject: the type of its configuration is that of the artifact.
    let mut plain = Image::new("plain").json();
    plain["subject"] = subject.descriptor();
    let mut plain = Image::from_json(&plain);
    plain.blobs = Image::new("plain").blobs;
    client.push_image("app", "plain", &plain).await;

    let shown = client.api_ok("ListImageReferrers", about(&subject, &json!({ "artifactTypes": [SBOM] }))).await;
    let expected = json!({
        "digest": sbom.digest,
        "mediaType": sbom.media_type,
        "artifactType": SBOM,
        "size": sbom.manifest.len(),
        "annotations": { "seed": "sbom" },
        "artifactStatus": "ACTIVE",
    });
    assert_eq!(shown, json!({ "referrers": [expected] }));

    let all = [&sbom, &first, &second, &plain];
    let config = "application/vnd.oci.image.config.v1+json";
    for (filter, expected) in [
        (Value::Null, &all[..]),
        (json!({}), &all),
        (json!({ "artifactTypes": [] }), &all),
        (json!({ "artifactTypes": [SIGNATURE] }), &[&first, &second]),
        (json!({ "artifactTypes": [SIGNATURE, SBOM] }), &[&sbom, &first, &second]),
        (json!({ "artifactTypes": [config] }), &[&plain]),
        (json!({ "artifactTypes": ["application/vnd.example"] }), &[]),
        (json!({ "artifactStatus": "ANY" }), &all),
        (json!({ "artifactStatus": "ARCHIVED" }), &[]),
    ] {
        assert_eq!(digests(&client, &subject, filter.clone()).await, sorted(expected), "{filter}");
    }

    move_to(&client, "ARCHIVE", &second).await;
    for (filter, expected) in [
        (Value::Null, &[&sbom, &first, &plain][..]),
        (json!({ "artifactStatus": "ACTIVE" }), &[&sbom, &first, &plain]),
        (json!({ "artifactStatus": "ARCHIVED" }), &[&second]),
        (json!({ "artifactStatus": "ACTIVATING" }), &[]),
        (json!({ "artifactStatus": "ANY" }), &all),
        (json!({ "artifactStatus": "ANY", "artifactTypes": [SIGNATURE] }), &[&first, &second]),
        (json!({ "artifactStatus": "ARCHIVED", "artifactTypes": [SBOM] }), &[]),
    ] {
        assert_eq!(digests(&client, &subject, filter.clone()).await, sorted(expected), "{filter}");
    }
    let archived = client.api_ok("ListImageReferrers", about(&subject, &json!({ "artifactStatus": "ARCHIVED" }))).await;
    assert_eq!(archived["referrers"][0]["artifactStatus"], "ARCHIVED");

    // Of an archived subject all are listed, for those who ask.
    move_to(&client, "ARCHIVE", &subject).await;
    assert!(digests(&client, &subject, Value::Null).await.is_empty());
    assert_eq!(digests(&client, &subject, json!({ "artifactStatus": "ARCHIVED" })).await, sorted(&all));
    // A deleted one is not.
    let delete = json!({ "repositoryName": "app", "imageIds": [{ "imageDigest": second.digest }] });
    client.api_ok("BatchDeleteImage", delete).await;
    move_to(&client, "STANDARD", &subject).await;
    assert_eq!(digests(&client, &subject, Value::Null).await, sorted(&[&sbom, &first, &plain]));
    registry.stop().await;
}

/// A subject need not be there, as in OCI Distribution: ECR has no error for it.
#[tokio::test]
async fn a_subject_need_not_be_there() {
    let registry = Registry::start().await;
    let client = registry.client();
    let subject = Image::new("never pushed");
    let sbom = Image::artifact(SBOM, &subject, "sbom");
    client.push_image("app", &sbom.digest, &sbom).await;
    assert_eq!(digests(&client, &subject, Value::Null).await, sorted(&[&sbom]));
    assert_eq!(digests(&client, &sbom, Value::Null).await, Vec::<String>::new());
    let mut nowhere = about(&subject, &Value::Null);
    nowhere["repositoryName"] = json!("nothing");
    let refused = client.api("ListImageReferrers", nowhere).await;
    refused.expect_aws_error("RepositoryNotFoundException", &no_repository("nothing"));
    for (pointer, value) in [
        ("/subjectId/imageDigest", json!("sha256:xyz")),
        ("/subjectId/imageDigest", json!("")),
        ("/subjectId", json!({})),
        ("/filter", json!({ "artifactStatus": "GONE" })),
        ("/filter", json!({ "artifactTypes": ["a/a", "a/b", "a/c", "a/d", "a/e", "a/f"] })),
        ("/filter", json!({ "artifactTypes": [""] })),
    ] {
        let mut input = about(&subject, &json!({}));
        *input.pointer_mut(pointer).expect("there") = value;
        println!("{input}");
        client.api("ListImageReferrers", input).await.expect_aws_error_code("InvalidParameterException");
    }
    for (size, constraint) in [
        (0, "Member must have value greater than or equal to 1"),
        (51, "Member must have value less than or equal to 50"),
    ] {
        let mut input = about(&subject, &Value::Null);
        input["maxResults"] = json!(size);
        let refused = client.api("ListImageReferrers", input).await;
        refused.expect_aws_error("InvalidParameterException", &invalid("maxResults", constraint));
    }
    registry.stop().await;
}

#[tokio::test]
async fn referrers_come_in_pages() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (subject, other) = (Image::new("subject"), Image::new("other"));
    client.push_image("app", "v1", &subject).await;
    let mut artifacts: Vec<Image> = Vec::new();
    for number in 0..23 {
        let artifact_type = if number % 3 == 0 { SBOM } else { SIGNATURE };
        let artifact = Image::artifact(artifact_type, &subject, &number.to_string());
        client.push_image("app", &artifact.digest, &artifact).await;
        artifacts.push(artifact);
    }
    // Twenty a page unless somebody wants another number.
    let first = client.api_ok("ListImageReferrers", about(&subject, &Value::Null)).await;
    assert_eq!(first["referrers"].as_array().map(Vec::len), Some(20));
    for (filter, expected) in [
        (Value::Null, artifacts.iter().collect::<Vec<_>>()),
        (json!({ "artifactTypes": [SBOM] }), artifacts.iter().step_by(3).collect()),
    ] {
        for size in [1, 4, 8, 23, 50] {
            let (mut found, mut token) = (Vec::new(), Value::Null);
            loop {
                let mut input = about(&subject, &filter);
                input["maxResults"] = json!(size);
                input["nextToken"] = token;
                let page = client.api_ok("ListImageReferrers", input).await;
                let rows = texts(&page["referrers"], "/digest");
                assert!(rows.len() <= size);
                found.extend(rows);
                token = page["nextToken"].clone();
                if token.is_null() {
                    break;
                }
            }
            assert_eq!(found, sorted(&expected), "{filter} {size}");
        }
    }
    // The token of one listing is none of another.
    for (subject, filter) in [(&other, Value::Null), (&subject, json!({ "artifactTypes": [SBOM] }))] {
        let mut input = about(subject, &filter);
        input["nextToken"] = first["nextToken"].clone();
        client.api("ListImageReferrers", input).await.expect_aws_error_code("InvalidParameterException");
    }
    let unknown = json!({ "repositoryName": "app", "subjectId": { "imageDigest": unknown_digest() } });
    assert_eq!(client.api_ok("ListImageReferrers", unknown).await, json!({ "referrers": [] }));
    registry.stop().await;
}
