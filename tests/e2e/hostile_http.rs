//! Requests that no HTTP library would send.

use ironwharf_tests::{Image, Registry, digest_of, raw};

use crate::words::unknown_digest;

/// What a malformed request may be answered with: a refusal, and only one.
fn check(shown: &str, reply: &raw::RawReply) {
    assert!(reply.answers() <= 1, "{shown}: taken for two requests: {}", reply.text());
    let status = reply.status().unwrap_or_else(|| panic!("{shown}: no answer: {}", reply.text()));
    assert!((400..500).contains(&status), "{shown}: {}", reply.text());
}

#[tokio::test]
async fn malformed_requests_are_refused_once() {
    let registry = Registry::start().await;
    let client = registry.client();
    let host = registry.host();
    let authorization = client.authorization().await;
    let base = format!("host: {host}\r\nauthorization: {authorization}\r\n");
    let smuggled = format!("GET /v2/ HTTP/1.1\r\n{base}\r\n");
    for (what, request) in [
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("no version", "GET /v2/\r\n\r\n".to_owned()),
        ("a version of the future", format!("GET /v2/ HTTP/9.9\r\n{base}\r\n")),
        ("a space in the path", format!("GET /v2/ x HTTP/1.1\r\n{base}\r\n")),
        ("a NUL in the path", format!("GET /v2/\0 HTTP/1.1\r\n{base}\r\n")),
        ("a header without a colon", format!("GET /v2/ HTTP/1.1\r\n{base}nonsense\r\n\r\n")),
        ("a space before the colon", format!("GET /v2/ HTTP/1.1\r\n{base}x : y\r\n\r\n")),
        ("a NUL in a header", format!("GET /v2/ HTTP/1.1\r\n{base}x: a\0b\r\n\r\n")),
        ("a folded header", format!("GET /v2/ HTTP/1.1\r\n{base}x: a\r\n b\r\n\r\n")),
        (
            "two lengths",
            format!(
                "PUT /v2/app/manifests/x HTTP/1.1\r\n{base}content-length: 0\r\ncontent-length: 5\r\n\r\n{smuggled}"
            ),
        ),
        ("a length that is none", format!("PUT /v2/app/manifests/x HTTP/1.1\r\n{base}content-length: x\r\n\r\n")),
        ("a negative length", format!("PUT /v2/app/manifests/x HTTP/1.1\r\n{base}content-length: -1\r\n\r\n")),
        ("a length with a sign", format!("PUT /v2/app/manifests/x HTTP/1.1\r\n{base}content-length: +5\r\n\r\n12345")),
        (
            "a length beyond numbers",
            format!("PUT /v2/app/manifests/x HTTP/1.1\r\n{base}content-length: 99999999999999999999999\r\n\r\n"),
        ),
        (
            "an unknown transfer coding",
            format!("PUT /v2/app/manifests/x HTTP/1.1\r\n{base}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunked not last",
            format!("PUT /v2/app/manifests/x HTTP/1.1\r\n{base}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size that is none",
            format!("PUT /v2/app/manifests/x HTTP/1.1\r\n{base}transfer-encoding: chunked\r\n\r\nzz\r\n\r\n"),
        ),
        (
            "a chunk size beyond numbers",
            format!(
                "PUT /v2/app/manifests/x HTTP/1.1\r\n{base}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n"
            ),
        ),
        ("endless headers", format!("GET /v2/ HTTP/1.1\r\n{base}{}\r\n", "x: y\r\n".repeat(50_000))),
        ("an endless header", format!("GET /v2/ HTTP/1.1\r\n{base}x: {}\r\n\r\n", "y".repeat(2_000_000))),
        ("an endless path", format!("GET /v2/{} HTTP/1.1\r\n{base}\r\n", "y".repeat(2_000_000))),
    ] {
        let reply = raw::exchange(&host, request.as_bytes(), true).await;
        check(what, &reply);
    }
    assert_eq!(client.oci("GET", "/v2/_catalog").send().await.json()["repositories"], serde_json::json!([]));
    registry.stop().await;
}

/// Both ways to say how long a body is: whatever is chosen, the rest of the
/// bytes must not become a request of its own with these credentials.
#[tokio::test]
async fn a_body_is_never_a_second_request() {
    let registry = Registry::start().await;
    let client = registry.client();
    let host = registry.host();
    let authorization = client.authorization().await;
    client.push_image("app", "latest", &Image::new("target")).await;
    let inner =
        format!("DELETE /v2/app/manifests/latest HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\n\r\n");
    let head = format!("PUT /v2/app/manifests/x HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\n");
    for (what, request) in [
        (
            "a length and chunks",
            format!(
                "{head}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
                inner.len(),
                inner.len()
            ),
        ),
        (
            "chunks twice",
            format!(
                "{head}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
                inner.len()
            ),
        ),
        ("a plain body", format!("{head}content-length: {}\r\n\r\n{inner}", inner.len())),
        (
            "a body of a GET",
            format!("GET /v2/ HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{inner}", inner.len()),
        ),
        (
            "a body of a refused request",
            format!(
                "PUT /v2/app/manifests/x HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{inner}",
                inner.len()
            ),
        ),
        (
            "a body of an unknown path",
            format!("POST /nothing HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{inner}", inner.len()),
        ),
    ] {
        // A last request makes the server close, so that all its answers are
        // there: one or, if the connection was still good, two. Not three.
        let request = format!("{request}GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let reply = raw::exchange(&host, request.as_bytes(), false).await;
        let status = reply.status().unwrap_or_else(|| panic!("{what}: no answer: {}", reply.text()));
        assert!((400..500).contains(&status), "{what}: {}", reply.text());
        let healthy = usize::from(reply.text().ends_with("ok\n"));
        assert_eq!(reply.answers(), 1 + healthy, "{what}: {}", reply.text());
        assert_eq!(client.tags("app").await, ["latest"], "{what}");
    }
    registry.stop().await;
}

/// Whoever hangs up leaves nothing behind but what was whole.
#[tokio::test]
async fn cut_off_requests_leave_nothing() {
    let registry = Registry::start().await;
    let client = registry.client();
    let host = registry.host();
    let authorization = client.authorization().await;
    let image = Image::new("cut");
    for blob in &image.blobs {
        client.push_blob("app", blob.clone()).await;
    }
    let digest = digest_of(b"never whole");
    let manifest = image.text();
    let (half, _) = manifest.split_at(manifest.len() / 2);
    let head =
        |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\n{rest}");
    for (what, request) in [
        (
            "a manifest",
            head(
                "PUT /v2/app/manifests/latest",
                &format!("content-type: {}\r\ncontent-length: {}\r\n\r\n{half}", image.media_type, manifest.len()),
            ),
        ),
        (
            "a manifest in chunks",
            head(
                "PUT /v2/app/manifests/latest",
                &format!(
                    "content-type: {}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n",
                    image.media_type,
                    half.len()
                ),
            ),
        ),
        ("a blob", head(&format!("POST /v2/app/blobs/uploads/?digest={digest}"), "content-length: 11\r\n\r\nnever")),
        (
            "a blob in chunks",
            head(
                &format!("POST /v2/app/blobs/uploads/?digest={digest}"),
                "transfer-encoding: chunked\r\n\r\n5\r\nnever\r\n",
            ),
        ),
        ("a head", head("PUT /v2/app/manifests/latest", "content-le")),
        (
            "a call of the API",
            format!(
                "POST / HTTP/1.1\r\nhost: {host}\r\nauthorization: AWS4-HMAC-SHA256 x\r\ncontent-length: 50\r\n\r\n{{\"rep"
            ),
        ),
    ] {
        let reply = raw::exchange(&host, request.as_bytes(), true).await;
        assert!(reply.status().is_none_or(|status| (400..500).contains(&status)), "{what}: {}", reply.text());
        raw::hang_up(&host, request.as_bytes()).await;
        client.get_manifest("app", "latest").await.expect_oci_error(404, "MANIFEST_UNKNOWN");
        client.oci("HEAD", &format!("/v2/app/blobs/{digest}")).send().await.expect_status(404);
    }
    assert_eq!(client.tags("app").await, Vec::<String>::new());
    client.push_manifest("app", "latest", &image).await;
    client.expect_image("app", "latest", &image).await;
    registry.stop().await;
}

/// Old and plain, but HTTP.
#[tokio::test]
async fn unusual_requests_are_answered() {
    let registry = Registry::start().await;
    let host = registry.host();
    let authorization = registry.client().authorization().await;
    let digest = unknown_digest();
    let close = "connection: close\r\n";
    for (what, request, status) in [
        ("HTTP/1.0", format!("GET /v2/ HTTP/1.0\r\nauthorization: {authorization}\r\n\r\n"), 200),
        (
            "the whole URI",
            format!("GET http://{host}/v2/ HTTP/1.1\r\nhost: {host}\r\n{close}authorization: {authorization}\r\n\r\n"),
            200,
        ),
        (
            "upper case header names",
            format!("GET /v2/ HTTP/1.1\r\nHOST: {host}\r\n{close}AUTHORIZATION: {authorization}\r\n\r\n"),
            200,
        ),
        ("no host", format!("GET /v2/ HTTP/1.1\r\n{close}authorization: {authorization}\r\n\r\n"), 400),
        ("no host before there were any", format!("GET /v2/ HTTP/1.0\r\nauthorization: {authorization}\r\n\r\n"), 200),
        ("a host that is none", format!("GET /v2/ HTTP/1.1\r\nhost: \"><script>\r\n{close}\r\n"), 400),
        ("two hosts", format!("GET /v2/ HTTP/1.1\r\nhost: {host}\r\nhost: {host}\r\n{close}\r\n"), 400),
        ("a fragment", format!("GET /v2/app/blobs/{digest}#x HTTP/1.1\r\nhost: {host}\r\n{close}\r\n"), 401),
        ("a star", format!("OPTIONS * HTTP/1.1\r\nhost: {host}\r\n{close}\r\n"), 404),
        (
            "an expectation",
            format!(
                "PUT /v2/app/manifests/x HTTP/1.1\r\nhost: {host}\r\n{close}expect: 100-continue\r\ncontent-length: 5\r\n\r\n"
            ),
            401,
        ),
    ] {
        let reply = raw::exchange(&host, request.as_bytes(), what == "an expectation").await;
        let answered = reply.text().replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        let found = answered.split(' ').nth(1).and_then(|status| status.parse().ok());
        assert_eq!(found, Some(status), "{what}: {}", reply.text());
        assert!(!reply.text().contains("<script>"), "{what}: {}", reply.text());
    }
    registry.stop().await;
}
