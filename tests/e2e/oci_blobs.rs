//! Reading and deleting blobs: redirects, ranges, presigned URLs.

use std::io::Write;
use std::sync::{Arc, Mutex};

use ironwharf_tests::{Image, Registry, bytes_of, digest_of};
use tracing_subscriber::fmt::MakeWriter;

use crate::words::unknown_digest;

#[tokio::test]
async fn a_blob_is_a_redirect_within_the_host() {
    let registry = Registry::start().await;
    let client = registry.client();
    let bytes = bytes_of(3000, 1);
    let digest = client.push_blob("app", bytes.clone()).await;
    let path = format!("/v2/app/blobs/{digest}");
    // Whatever a request says of its host, nobody is sent elsewhere.
    for (header, value) in [
        ("host", "evil.example"),
        ("host", "evil.example:443"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("x-forwarded-proto", "https"),
    ] {
        let reply = client.oci("GET", &path).header(header, value).send().await;
        let location = reply.expect_status(307).header("location");
        assert!(location.starts_with('/') && !location.starts_with("//"), "{header}: {location}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("docker-content-digest"), digest);
        assert_eq!(reply.body, "");
    }
    let location = client.oci("GET", &path).send().await.header("location").to_owned();
    let direct = client.call("GET", &location).send().await;
    assert_eq!(direct.expect_status(200).body, bytes);
    // Go's clients repeat the credentials after a redirect within the host.
    let authorization = client.authorization().await;
    let with_credentials = client.call("GET", &location).header("authorization", &authorization).send().await;
    assert_eq!(with_credentials.expect_status(200).body, bytes);

    let head = client.oci("HEAD", &path).send().await;
    assert_eq!(head.expect_status(200).header("content-length"), "3000");
    assert_eq!(head.header("docker-content-digest"), digest);
    assert_eq!(head.header("accept-ranges"), "bytes");
    for path in [format!("/v2/app/blobs/{}", unknown_digest()), format!("/v2/nothing/blobs/{digest}")] {
        client.oci("HEAD", &path).send().await.expect_status(404);
        let code = if path.contains("nothing") { "NAME_UNKNOWN" } else { "BLOB_UNKNOWN" };
        client.oci("GET", &path).send().await.expect_oci_error(404, code);
    }
    registry.stop().await;
}

#[tokio::test]
async fn ranges() {
    let registry = Registry::start().await;
    let client = registry.client();
    let bytes = bytes_of(2048, 2);
    let path = format!("/v2/app/blobs/{}", client.push_blob("app", bytes.clone()).await);
    let empty = format!("/v2/app/blobs/{}", client.push_blob("app", "").await);
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
        ("bytes=2047-2047", 2047, 2047),
        ("bytes=-99999", 0, 2047),
    ] {
        println!("{range}");
        let reply = client.oci("GET", &path).header("range", range).send().await;
        let location = reply.expect_status(307).header("location").to_owned();
        let part = client.call("GET", &location).header("range", range).send().await;
        assert_eq!(part.expect_status(206).body, bytes[first..=last]);
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/2048"));
    }
    for range in ["bytes=2048-", "bytes=5000-10000", "bytes=500-0", "bytes=-0", "bytes=99999999999999999999-"] {
        println!("{range}");
        let reply = client.oci("GET", &path).header("range", range).send().await;
        reply.expect_oci_error(416, "RANGE_INVALID");
        assert_eq!(reply.header("content-range"), "bytes */2048");
    }
    // A range of another unit, several of them, or none at all: the whole blob.
    for range in ["bytes=", "items=0-5", "bytes=a-b", "bytes=0-1,5-6", "0-5", "bytes=--5"] {
        println!("{range}");
        client.oci("GET", &path).header("range", range).send().await.expect_status(307);
    }
    client.oci("GET", &empty).send().await.expect_status(307);
    client.oci("GET", &empty).header("range", "bytes=0-0").send().await.expect_oci_error(416, "RANGE_INVALID");
    registry.stop().await;
}

/// A presigned URL opens one object for reading, and nothing else.
#[tokio::test]
async fn a_presigned_url_is_good_for_what_it_says_only() {
    let registry = Registry::start().await;
    let client = registry.client();
    let digest = client.push_blob("app", "the bytes").await;
    let other = client.push_blob("app", "other bytes").await;
    let location = async |digest: &str| {
        let reply = client.oci("GET", &format!("/v2/app/blobs/{digest}")).send().await;
        reply.expect_status(307).header("location").to_owned()
    };
    let (url, other) = (location(&digest).await, location(&other).await);
    let (path, query) = url.split_once('?').expect("a query");
    let (other_path, _) = other.split_once('?').expect("a query");
    let mut signature = url.clone().into_bytes();
    let last = signature.len() - 1;
    signature[last] = if signature[last] == b'0' { b'1' } else { b'0' };
    let signature = String::from_utf8(signature).expect("ASCII");
    let bucket = path.trim_start_matches('/').split('/').next().expect("a bucket");
    for (method, url) in [
        ("HEAD", url.clone()),
        ("PUT", url.clone()),
        ("POST", url.clone()),
        ("DELETE", url.clone()),
        ("PATCH", url.clone()),
        ("GET", signature),
        ("GET", path.to_owned()),
        ("GET", other_path.to_owned()),
        ("GET", format!("{other_path}?{query}")),
        ("GET", format!("{url}&response-content-type=text%2Fhtml")),
        ("GET", format!("/{bucket}/?list-type=2")),
        ("GET", format!("/{bucket}?{query}")),
        ("PUT", format!("/{bucket}/new-object")),
        ("DELETE", format!("/{bucket}")),
    ] {
        println!("{method} {url}");
        let authorization = client.authorization().await;
        for credentials in [None, Some(authorization)] {
            let call = client.call(method, &url).body("x");
            let call = match credentials {
                Some(credentials) => call.header("authorization", &credentials),
                None => call,
            };
            let reply = call.send().await;
            assert!((400..500).contains(&reply.status.as_u16()), "{reply:?}");
            assert!(!reply.text().contains("bytes"), "{reply:?}");
        }
    }
    assert_eq!(client.call("GET", &url).send().await.expect_status(200).body, "the bytes");
    registry.stop().await;
}

#[tokio::test]
async fn a_blob_that_an_image_needs_stays() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("needed");
    client.push_image("app", "latest", &image).await;
    let loose = client.push_blob("app", "loose").await;
    let blob = |digest: &str| format!("/v2/app/blobs/{digest}");
    for digest in image.blob_digests() {
        let reply = client.oci("DELETE", &blob(&digest)).send().await;
        reply.expect_oci_error(409, "DENIED");
    }
    client.expect_image("app", "latest", &image).await;

    client.oci("DELETE", &blob(&loose)).send().await.expect_status(202);
    client.oci("DELETE", &blob(&loose)).send().await.expect_oci_error(404, "BLOB_UNKNOWN");
    client.oci("HEAD", &blob(&loose)).send().await.expect_status(404);
    client.push_blob("app", "loose").await;
    assert_eq!(client.pull_blob("app", &loose).await, "loose");

    // Once the image is gone, its blobs can go.
    client.oci("DELETE", &format!("/v2/app/manifests/{}", image.digest)).send().await.expect_status(202);
    for digest in image.blob_digests() {
        client.oci("DELETE", &blob(&digest)).send().await.expect_status(202);
        client.oci("GET", &blob(&digest)).send().await.expect_oci_error(404, "BLOB_UNKNOWN");
    }
    client.push_image("app", "latest", &image).await;
    client.expect_image("app", "latest", &image).await;
    registry.stop().await;
}

/// A blob in two repositories is one object, and still two blobs.
#[tokio::test]
async fn deleting_a_blob_leaves_other_repositories_theirs() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("shared");
    for name in ["one", "two"] {
        client.push_image(name, "latest", &image).await;
    }
    client.api_ok("DeleteRepository", serde_json::json!({ "repositoryName": "one", "force": true })).await;
    client.expect_image("two", "latest", &image).await;
    let digest = client.push_blob("three", image.blobs[1].clone()).await;
    client.oci("DELETE", &format!("/v2/three/blobs/{digest}")).send().await.expect_status(202);
    client.expect_image("two", "latest", &image).await;
    registry.stop().await;
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic elsewhere").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The log must be fit to be shown to anyone: no token, no signature, no
/// presigned URL, whatever the level.
#[tokio::test]
async fn no_credential_is_ever_logged() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(
            "warn,ironwharf_registry=trace,ironwharf_local=trace,ironwharf_cloud=trace,s3s=off",
        ))
        .with_ansi(false)
        .with_writer(captured.clone())
        .finish();
    // Of the whole process, so of every other test that runs now as well: none
    // of them may log a credential either.
    tracing::subscriber::set_global_default(subscriber).expect("this is the only test that logs");
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("logged");
    client.push_image("app", "latest", &image).await;
    client.expect_image("app", "latest", &image).await;
    let path = format!("/v2/app/blobs/{}", digest_of(&image.blobs[0]));
    let url = client.oci("GET", &path).send().await.header("location").to_owned();
    client.call("DELETE", &url).send().await;
    client.call("GET", &format!("{url}0")).send().await;
    let input = serde_json::json!({ "repositoryName": "app", "layerDigest": digest_of(&image.blobs[0]) });
    client.api_ok("GetDownloadUrlForLayer", input).await;
    client.oci("GET", &format!("/v2/app/nothing?X-Amz-Signature={}", "5ec4e7")).send().await;
    client.call("GET", "/v2/").header("authorization", "Basic QVdTOnNlY3JldC1wYXNzd29yZA==").send().await;
    let (password, authorization) = (client.password().await, client.authorization().await);
    registry.stop().await;

    let log = String::from_utf8(captured.0.lock().expect("no panic elsewhere").clone()).expect("text");
    let path = format!("GET path=\"{path}\"");
    assert!(log.contains("answered") && log.contains(&path), "requests are not logged: {log}");
    let signature = url.split_once("X-Amz-Signature=").expect("a signature").1;
    for secret in [
        signature,
        "X-Amz-Signature",
        "X-Amz-Credential",
        "5ec4e7",
        "secret-password",
        "QVdTOnNlY3JldC1wYXNzd29yZA",
        &password,
        authorization.trim_start_matches("Basic "),
        ironwharf_local::test_app::TestApp::SECRET_ACCESS_KEY,
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
