//! What every request meets first: who may come in, and how.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_model::{AccountId, Digest};
use ironwharf_tests::{Image, Registry, raw};
use ironwharf_wire::route::Route;

use crate::words::unknown_digest;

pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Every path of the data plane, for a repository and what may be in it.
pub(crate) fn paths(name: &str, reference: &str, digest: &str, upload: &str) -> Vec<String> {
    vec![
        "/v2".to_owned(),
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        format!("/v2/{name}/tags/list"),
        format!("/v2/{name}/manifests/{reference}"),
        format!("/v2/{name}/manifests/{digest}"),
        format!("/v2/{name}/blobs/{digest}"),
        format!("/v2/{name}/blobs/uploads"),
        format!("/v2/{name}/blobs/uploads/"),
        format!("/v2/{name}/blobs/uploads/?digest={digest}"),
        format!("/v2/{name}/blobs/uploads/?mount={digest}&from={name}"),
        format!("/v2/{name}/blobs/uploads/{upload}"),
        format!("/v2/{name}/blobs/uploads/{upload}?digest={digest}"),
        format!("/v2/{name}/referrers/{digest}"),
        format!("/v2/{name}/unknown"),
    ]
}

/// A number for each kind of route. A new one does not compile until it is
/// here, and the test below fails until a path leads to it.
const fn kind(route: &Route<'_>) -> usize {
    match route {
        Route::Base => 0,
        Route::Catalog => 1,
        Route::TagsList { .. } => 2,
        Route::ManifestGet { .. } => 3,
        Route::ManifestHead { .. } => 4,
        Route::ManifestPut { .. } => 5,
        Route::ManifestDelete { .. } => 6,
        Route::BlobGet { .. } => 7,
        Route::BlobHead { .. } => 8,
        Route::BlobDelete { .. } => 9,
        Route::UploadStart { .. } => 10,
        Route::UploadStatus { .. } => 11,
        Route::UploadPatch { .. } => 12,
        Route::UploadFinish { .. } => 13,
        Route::UploadCancel { .. } => 14,
        Route::Referrers { .. } => 15,
    }
}

#[test]
fn the_list_of_paths_is_complete() {
    let paths = paths("app", "latest", &unknown_digest(), "upload");
    let mut kinds = BTreeSet::new();
    for method in METHODS {
        for path in &paths {
            let path = path.split('?').next().expect("a path");
            if let Ok(route) = Route::parse(&method.parse().expect("a method"), path) {
                kinds.insert(kind(&route));
            }
        }
    }
    assert_eq!(kinds, (0..16).collect());
}

/// Nothing is said to a stranger, not even whether something is there.
#[tokio::test]
async fn strangers_get_the_challenge_on_every_path() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("private");
    client.push_image("app", "latest", &image).await;
    let upload = client.start_upload("app").await;
    let upload = upload.rsplit_once('/').expect("an id").1;
    let challenge = format!("Basic realm=\"https://{}/\",service=\"ecr.amazonaws.com\"", registry.host());
    let there = paths("app", "latest", &image.digest, upload);
    let not_there = paths("nothing", "latest", &unknown_digest(), "01234567-89ab-4def-8123-456789abcdef");
    for path in there.iter().chain(&not_there) {
        for method in METHODS {
            let reply = client.call(method, path).body("x").send().await;
            assert_eq!(reply.status, 401, "{method} {path}");
            assert_eq!(reply.header("www-authenticate"), challenge);
            assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0");
            if method != "HEAD" {
                reply.expect_challenge();
            }
        }
    }
    client.expect_image("app", "latest", &image).await;
    assert_eq!(client.tags("app").await, ["latest"]);
    registry.stop().await;
}

#[tokio::test]
async fn only_the_health_check_is_open() {
    let registry = Registry::start().await;
    let client = registry.client();
    let health = client.call("GET", "/healthz").send().await;
    assert_eq!(health.expect_status(200).body, "ok\n");
    client.call("POST", "/healthz").send().await.expect_oci_error(405, "UNSUPPORTED");
    let unsigned =
        client.call("POST", "/").header("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories");
    let unsigned = unsigned.body("{}").send().await;
    unsigned.expect_aws_error("MissingAuthenticationTokenException", "Missing Authentication Token");
    // Everything else is nothing, whoever asks.
    for path in ["/", "/v1/", "/v2x", "/metrics", "/debug/pprof", "/healthz/", "/index.html", "/favicon.ico", "//v2/"] {
        for method in METHODS {
            if (method, path) == ("POST", "/") {
                continue;
            }
            for credentials in [false, true] {
                let call = if credentials { client.oci(method, path) } else { client.call(method, path) };
                let reply = call.send().await;
                assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text());
            }
        }
    }
    registry.stop().await;
}

#[tokio::test]
async fn bad_tokens_are_refused() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.push_image("app", "latest", &Image::new("private")).await;
    let password = client.password().await;
    let basic = |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let good = basic("AWS", &password);
    let get = async |authorization: &str| {
        client.call("GET", "/v2/app/manifests/latest").header("authorization", authorization).send().await
    };
    get(&good).await.expect_status(200);
    get(&good.replace("Basic", "bAsIc")).await.expect_status(200);
    for not_ours in [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YWJj",
        &basic("aws", &password),
        &basic("root", &password),
        &basic("", &password),
        &basic("AWS", ""),
        &format!("Bearer {password}"),
        &good.replace("Basic", "Digest"),
        &format!("{good}, {good}"),
        "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=00",
    ] {
        println!("{not_ours}");
        let reply = get(not_ours).await;
        reply.expect_challenge();
        assert!(reply.header("www-authenticate").starts_with("Basic "));
    }
    let message = "Your authorization token has expired. Reauthenticate and try again.";
    let long = "A".repeat(8_000);
    let (_, without_first) = password.split_at(1);
    let (without_last, _) = password.split_at(password.len() - 1);
    for bad in ["x", "secret", &long, without_first, without_last, &format!("{password}A")] {
        let reply = get(&basic("AWS", bad)).await;
        reply.expect_oci_error(403, "DENIED");
        assert_eq!(reply.json()["errors"][0]["message"], message);
    }
    // One character changed, at any place.
    let count = password.len();
    for position in (0..count).step_by(count / 40 + 1).chain([count - 1]) {
        let mut changed = password.clone().into_bytes();
        changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        let reply = get(&basic("AWS", &changed)).await;
        assert_eq!(reply.status, 403, "{position}: {reply:?}");
    }
    // Two headers are one too many, even with the same value.
    let twice =
        client.oci("GET", "/v2/app/manifests/latest").header("authorization", &good).header("authorization", &good);
    twice.send().await.expect_challenge();
    // A token in the query is none.
    let query = format!("/v2/app/manifests/latest?X-Amz-Signature={count}&access_token={count}");
    client.call("GET", &query).send().await.expect_challenge();
    registry.stop().await;
}

/// Docker asks with TLS first and waits for an answer of any kind.
#[tokio::test]
async fn a_tls_hello_is_answered_at_once() {
    let registry = Registry::start().await;
    let mut hello = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    hello.resize(517, 0);
    for bytes in [&hello[..], &hello[..1], &hello[..5]] {
        // The connection stays open on our side: only the server ends it.
        let reply = raw::exchange(&registry.host(), bytes, false).await;
        assert_eq!(reply.status(), Some(400), "{}", reply.text());
    }
    registry.client().call("GET", "/healthz").send().await.expect_status(200);
    registry.stop().await;
}

/// What parses these values must agree with what makes them.
#[test]
fn the_test_account_is_one() {
    assert!(AccountId::parse(crate::words::ACCOUNT).is_ok());
    assert!(Digest::parse(&unknown_digest()).is_ok());
}
