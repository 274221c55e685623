//! Hostile input to the API: wrong types, odd JSON, doubtful signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderMap;
use ironwharf_local::test_app::TestApp;
use ironwharf_registry::ops::SERVED;
use ironwharf_tests::{Client, Image, Registry, raw};
use ironwharf_wire::sigv4::{self, Signer};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::hostile_routes::check_refusal;

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories";

/// Inputs that mean nothing to any operation.
#[tokio::test]
async fn no_operation_takes_what_is_not_json() {
    let registry = Registry::start().await;
    let client = registry.client();
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"5".to_vec(),
        b"{} {}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"{\"repositoryName\":\"\xff\"}".to_vec(),
        b"{\"repositoryName\":\"ab\",\"repositoryName\":\"cd\"}".to_vec(),
        b"{\"a\":NaN}".to_vec(),
        b"{'a':1}".to_vec(),
        b"{\"a\":\"\\ud800\"}".to_vec(),
        b"Action=DescribeRepositories&Version=2015-09-21".to_vec(),
        b"<xml/>".to_vec(),
        deep.into_bytes(),
        format!("[{}0]", "0,".repeat(1 << 20)).into_bytes(),
    ];
    for operation in SERVED {
        for body in &bodies {
            let shown = format!("{operation} {:.80}", String::from_utf8_lossy(body));
            let reply = client.api_bytes(operation.as_str(), body.clone()).await;
            check_refusal(&shown, "POST", &reply);
            assert_eq!(reply.json()["__type"], "SerializationException", "{shown}");
        }
    }
    registry.stop().await;
}

/// An input of every operation that has members, with all of them.
fn inputs() -> Vec<(&'static str, Value)> {
    let digest = crate::words::unknown_digest();
    let upload = "01234567-89ab-4def-8123-456789abcdef";
    vec![
        (
            "BatchCheckLayerAvailability",
            json!({ "registryId": TestApp::ACCOUNT, "repositoryName": "app", "layerDigests": [digest] }),
        ),
        (
            "BatchDeleteImage",
            json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "x", "imageDigest": digest }] }),
        ),
        (
            "BatchGetImage",
            json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "x" }], "acceptedMediaTypes": ["a"] }),
        ),
        ("CompleteLayerUpload", json!({ "repositoryName": "app", "uploadId": upload, "layerDigests": [digest] })),
        (
            "CreateRepository",
            json!({
                "repositoryName": "app",
                "tags": [{ "Key": "a", "Value": "b" }],
                "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{ "filterType": "WILDCARD", "filter": "v*" }],
                "imageScanningConfiguration": { "scanOnPush": true },
                "encryptionConfiguration": { "encryptionType": "AES256", "kmsKey": "x" },
            }),
        ),
        ("DeleteRepository", json!({ "repositoryName": "app", "force": true })),
        (
            "DescribeImages",
            json!({ "repositoryName": "app", "nextToken": "x", "maxResults": 5, "filter": { "tagStatus": "ANY" } }),
        ),
        ("DescribeRepositories", json!({ "repositoryNames": ["app"], "nextToken": "x", "maxResults": 5 })),
        ("GetAuthorizationToken", json!({ "registryIds": [TestApp::ACCOUNT] })),
        ("GetDownloadUrlForLayer", json!({ "repositoryName": "app", "layerDigest": digest })),
        ("InitiateLayerUpload", json!({ "repositoryName": "app" })),
        ("ListImages", json!({ "repositoryName": "app", "nextToken": "x", "filter": { "imageStatus": "ANY" } })),
        ("DeleteRepositoryPolicy", json!({ "repositoryName": "app" })),
        ("GetRepositoryPolicy", json!({ "repositoryName": "app" })),
        ("DeleteLifecyclePolicy", json!({ "repositoryName": "app" })),
        ("GetLifecyclePolicy", json!({ "repositoryName": "app" })),
        (
            "GetLifecyclePolicyPreview",
            json!({
                "repositoryName": "app", "imageIds": [{ "imageDigest": digest, "imageTag": "x" }],
                "nextToken": "x", "maxResults": 5, "filter": { "tagStatus": "ANY" }
            }),
        ),
        ("PutLifecyclePolicy", json!({ "repositoryName": "app", "lifecyclePolicyText": "{}" })),
        ("StartLifecyclePolicyPreview", json!({ "repositoryName": "app", "lifecyclePolicyText": "{}" })),
        (
            "UpdateImageStorageClass",
            json!({
                "repositoryName": "app", "imageId": { "imageDigest": digest, "imageTag": "x" },
                "targetStorageClass": "ARCHIVE"
            }),
        ),
        (
            "ListImageReferrers",
            json!({
                "repositoryName": "app", "subjectId": { "imageDigest": digest }, "nextToken": "x", "maxResults": 5,
                "filter": { "artifactTypes": ["a"], "artifactStatus": "ANY" }
            }),
        ),
        ("RegisterPullTimeUpdateExclusion", json!({ "principalArn": "x" })),
        ("DeregisterPullTimeUpdateExclusion", json!({ "principalArn": "x" })),
        ("ListPullTimeUpdateExclusions", json!({ "nextToken": "x", "maxResults": 5 })),
        ("PutRegistryPolicy", json!({ "policyText": "{}" })),
        ("SetRepositoryPolicy", json!({ "repositoryName": "app", "policyText": "{}", "force": true })),
        (
            "PutImage",
            json!({ "repositoryName": "app", "imageManifest": "{}", "imageManifestMediaType": "x", "imageTag": "x", "imageDigest": digest }),
        ),
        ("GetAccountSetting", json!({ "name": "BLOB_MOUNTING" })),
        ("PutAccountSetting", json!({ "name": "BLOB_MOUNTING", "value": "ENABLED" })),
        (
            "CreateRepositoryCreationTemplate",
            json!({
                "prefix": "prod",
                "description": "x",
                "encryptionConfiguration": { "encryptionType": "AES256", "kmsKey": "" },
                "resourceTags": [{ "Key": "a", "Value": "b" }],
                "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{ "filterType": "WILDCARD", "filter": "v*" }],
                "repositoryPolicy": "{}",
                "lifecyclePolicy": "{}",
                "appliedFor": ["CREATE_ON_PUSH"],
                "customRoleArn": "x",
            }),
        ),
        ("UpdateRepositoryCreationTemplate", json!({ "prefix": "prod", "appliedFor": ["CREATE_ON_PUSH"] })),
        ("DeleteRepositoryCreationTemplate", json!({ "prefix": "prod" })),
        ("DescribeRepositoryCreationTemplates", json!({ "prefixes": ["prod"], "nextToken": "x", "maxResults": 5 })),
        ("ListTagsForResource", json!({ "resourceArn": "x" })),
        ("TagResource", json!({ "resourceArn": "x", "tags": [{ "Key": "a", "Value": "b" }] })),
        ("UntagResource", json!({ "resourceArn": "x", "tagKeys": ["a"] })),
        (
            "PutImageTagMutability",
            json!({
                "repositoryName": "app",
                "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{ "filterType": "WILDCARD", "filter": "v*" }],
            }),
        ),
        (
            "PutImageScanningConfiguration",
            json!({ "repositoryName": "app", "imageScanningConfiguration": { "scanOnPush": true } }),
        ),
        (
            "UploadLayerPart",
            json!({ "repositoryName": "app", "uploadId": upload, "partFirstByte": 0, "partLastByte": 1, "layerPartBlob": "YQ==" }),
        ),
    ]
}

/// Every member of every operation, with every type that it does not have.
#[tokio::test]
async fn members_of_the_wrong_type_are_refused() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.push_image("app", "latest", &Image::new("target")).await;
    let inputs = inputs();
    let covered: Vec<&str> = inputs.iter().map(|(operation, _)| *operation).collect();
    let without_members = ["DescribeRegistry", "DeleteRegistryPolicy", "GetRegistryPolicy"];
    for operation in SERVED {
        assert!(covered.contains(&operation.as_str()) || without_members.contains(&operation.as_str()), "{operation}");
    }
    for (operation, input) in &inputs {
        for pointer in pointers(input) {
            let original = input.pointer(&pointer).expect("it is there");
            for wrong in
                [json!(5), json!(1.5), json!("text"), json!(true), json!([]), json!({}), json!([[]]), json!(1e300)]
            {
                if same_type(original, &wrong) {
                    continue;
                }
                let mut input = input.clone();
                *input.pointer_mut(&pointer).expect("it is there") = wrong;
                let shown = format!("{operation} {input}");
                let reply = client.api(operation, input).await;
                check_refusal(&shown, "POST", &reply);
                assert_eq!(reply.json()["__type"], "SerializationException", "{shown}: {}", reply.text());
            }
        }
    }
    client.get_manifest("app", "latest").await.expect_status(200);
    registry.stop().await;
}

/// The places of all values but the root.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for (name, child) in children {
        found.push(format!("/{name}"));
        found.extend(pointers(child).into_iter().map(|pointer| format!("/{name}{pointer}")));
    }
    found
}

fn same_type(left: &Value, right: &Value) -> bool {
    match (left, right) {
        // A list may be empty, and a list of lists is of another type.
        (Value::Array(_), Value::Array(items)) => items.is_empty(),
        (Value::Number(_), Value::Number(right)) => right.is_i64(),
        _ => std::mem::discriminant(left) == std::mem::discriminant(right),
    }
}

#[tokio::test]
async fn unknown_members_and_null_are_ignored() {
    let registry = Registry::start().await;
    let client = registry.client();
    let input = json!({ "repositoryName": "app", "tags": null, "new": { "deep": [1, 2] }, "registryId": null });
    client.api_ok("CreateRepository", input).await;
    client.api_ok("DescribeRepositories", json!({ "__type": "x", "nextToken": null })).await;
    // No body at all is an empty input.
    let reply = client.api_bytes("DescribeRepositories", "").await;
    reply.expect_status(200);
    registry.stop().await;
}

/// How a request is spoilt after it was signed, or before.
type Spoil = fn(&mut HeaderMap);

fn edit(headers: &mut HeaderMap, from: &str, to: &str) {
    let value = headers["authorization"].to_str().expect("text").replace(from, to);
    headers.insert("authorization", value.parse().expect("a header"));
}

#[tokio::test]
async fn doubtful_signatures_are_refused() {
    let registry = Registry::start().await;
    let client = registry.client();
    let body = "{}";
    let send = async |headers: HeaderMap, body: &'static str| {
        client.call("POST", "/").headers(headers).body(body).send().await
    };
    send(client.signed(TARGET, b"{}"), body).await.expect_status(200);

    let spoils: [(&str, &str, Spoil); 17] = [
        ("MissingAuthenticationTokenException", "no authorization", |headers| drop(headers.remove("authorization"))),
        ("IncompleteSignatureException", "two of them", |headers| {
            let value = headers["authorization"].clone();
            headers.append("authorization", value);
        }),
        ("IncompleteSignatureException", "another algorithm", |headers| {
            edit(headers, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1");
        }),
        ("IncompleteSignatureException", "a signature twice", |headers| {
            let value = format!("{}, Signature={}", headers["authorization"].to_str().expect("text"), "0".repeat(64));
            headers.insert("authorization", value.parse().expect("a header"));
        }),
        ("IncompleteSignatureException", "no scope", |headers| edit(headers, "/aws4_request", "")),
        ("InvalidSignatureException", "another service", |headers| edit(headers, "/ecr/", "/s3/")),
        ("InvalidSignatureException", "another Region", |headers| edit(headers, "us-east-1", "us-east-2")),
        ("UnrecognizedClientException", "another key", |headers| edit(headers, "AKIATEST", "AKIAREST")),
        ("InvalidSignatureException", "another target", |headers| {
            let target = "AmazonEC2ContainerRegistry_V20150921.DeleteRepository";
            headers.insert("x-amz-target", target.parse().expect("a header"));
        }),
        ("IncompleteSignatureException", "two targets", |headers| {
            headers.append("x-amz-target", TARGET.parse().expect("a header"));
        }),
        ("IncompleteSignatureException", "an unsigned x-amz header", |headers| {
            headers.insert("x-amz-security-token", "x".parse().expect("a header"));
        }),
        ("InvalidSignatureException", "another host", |headers| {
            headers.insert("host", "evil.example".parse().expect("a header"));
        }),
        ("InvalidSignatureException", "another date", |headers| {
            headers.insert("x-amz-date", "20200101T000000Z".parse().expect("a header"));
        }),
        ("IncompleteSignatureException", "no date", |headers| drop(headers.remove("x-amz-date"))),
        ("InvalidSignatureException", "another body type", |headers| {
            headers.insert("content-type", "text/plain".parse().expect("a header"));
        }),
        ("IncompleteSignatureException", "the form of the data plane", |headers| {
            headers.insert("authorization", "Basic QVdTOng=".parse().expect("a header"));
        }),
        ("IncompleteSignatureException", "a hash that is none", |headers| {
            headers.insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().expect("a header"));
        }),
    ];
    for (code, what, spoil) in spoils {
        let mut headers = client.signed(TARGET, b"{}");
        spoil(&mut headers);
        let reply = send(headers, body).await;
        check_refusal(what, "POST", &reply);
        assert_eq!(reply.json()["__type"], code, "{what}: {}", reply.text());
    }
    let reply = send(client.signed(TARGET, b"{}"), "{ }").await;
    assert_eq!(reply.expect_status(400).json()["__type"], "InvalidSignatureException", "another body");
    registry.stop().await;
}

#[tokio::test]
async fn old_and_future_signatures_are_refused() {
    let registry = Registry::start().await;
    let client = registry.client();
    for (minutes, is_good) in [(-4, true), (4, true), (-6, false), (6, false), (-24 * 60, false), (24 * 60, false)] {
        let signer = Signer { now: OffsetDateTime::now_utc() + Duration::minutes(minutes), ..client.signer() };
        let reply = signed_by(&client, &signer).await;
        println!("{minutes}: {}", reply.text());
        if is_good {
            reply.expect_status(200);
        } else {
            assert_eq!(reply.expect_status(400).json()["__type"], "InvalidSignatureException");
        }
    }
    for (what, signer) in [
        ("a wrong secret", Signer { secret: "wrong", ..client.signer() }),
        ("an unknown key", Signer { access_key_id: "AKIAUNKNOWN000000000", ..client.signer() }),
        ("a session of a root key", Signer { session_token: Some("x"), ..client.signer() }),
    ] {
        let reply = signed_by(&client, &signer).await;
        check_refusal(what, "POST", &reply);
        let code = reply.json()["__type"].as_str().expect("a code").to_owned();
        let expected =
            if what == "a wrong secret" { "InvalidSignatureException" } else { "UnrecognizedClientException" };
        assert_eq!(code, expected, "{what}");
    }
    registry.stop().await;
}

async fn signed_by(client: &Client, signer: &Signer<'_>) -> ironwharf_tests::Reply {
    let mut headers = HeaderMap::new();
    headers.insert("host", client.host().parse().expect("a host"));
    headers.insert("x-amz-target", TARGET.parse().expect("a header"));
    let request =
        sigv4::Request { method: "POST", path: "/", query: "", authority: None, headers: &headers, body: b"{}" };
    let added = signer.sign(&request).expect("it can be signed");
    headers.extend(added);
    client.call("POST", "/").headers(headers).body("{}").send().await
}

/// A signature in the query is as good as one in the header, and both at once
/// are one too many.
#[tokio::test]
async fn presigned_calls() {
    let registry = Registry::start().await;
    let client = registry.client();
    let presign = |signer: &Signer<'_>, expires: u32| {
        let mut headers = HeaderMap::new();
        headers.insert("host", client.host().parse().expect("a host"));
        headers.insert("x-amz-target", TARGET.parse().expect("a header"));
        let request =
            sigv4::Request { method: "POST", path: "/", query: "", authority: None, headers: &headers, body: b"{}" };
        format!("/?{}", signer.presign(&request, expires).expect("it can be signed"))
    };
    let send = async |path: &str| client.call("POST", path).header("x-amz-target", TARGET).body("{}").send().await;
    let good = presign(&client.signer(), 60);
    send(&good).await.expect_status(200);
    let old = Signer { now: OffsetDateTime::now_utc() - Duration::minutes(4), ..client.signer() };
    let password = STANDARD.encode("AWS:x");
    for (what, path) in [
        ("expired", presign(&old, 60)),
        ("too long a life", presign(&client.signer(), 7 * 24 * 3600)),
        ("a parameter twice", format!("{good}&X-Amz-Signature={}", "0".repeat(64))),
        ("an extra parameter", format!("{good}&x=y")),
        ("a prolonged life", good.replace("X-Amz-Expires=60", "X-Amz-Expires=600")),
        ("no signature", good.split("&X-Amz-Signature").next().expect("a query").to_owned()),
    ] {
        let reply = send(&path).await;
        check_refusal(what, "POST", &reply);
    }
    for authorization in
        [client.signed(TARGET, b"{}")["authorization"].to_str().expect("text"), &format!("Basic {password}")]
    {
        let call = client.call("POST", &good).header("x-amz-target", TARGET).header("authorization", authorization);
        let reply = call.body("{}").send().await;
        check_refusal("both forms", "POST", &reply);
        assert_eq!(reply.json()["__type"], "IncompleteSignatureException");
    }
    registry.stop().await;
}

/// A stranger does not get to send megabytes, and a caller not endlessly many.
#[tokio::test]
async fn bodies_have_a_limit() {
    let registry = Registry::start().await;
    let client = registry.client();
    let host = registry.host();
    let large = vec![b' '; 31 * 1024 * 1024];
    let reply = client.api_bytes("DescribeRepositories", large).await;
    check_refusal("31 MiB", "POST", &reply);
    assert_eq!(reply.json()["__type"], "SerializationException");
    // The largest part that the model allows is not too large.
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let part = ironwharf_tests::bytes_of(20_971_520, 1);
    client.api_push_blob("app", &part, 20_971_520).await;
    // Without a signature the answer comes before the body.
    let head = format!("POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 1000000000\r\n\r\n");
    let reply = raw::exchange(&host, head.as_bytes(), true).await;
    assert!(reply.status().is_none_or(|status| status == 400), "{}", reply.text());
    registry.stop().await;
}
