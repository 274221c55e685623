//! Hostile input on every route of the data plane: an answer with the right
//! code, never a fault of ours, and nothing that is not meant for the caller.

use ironwharf_tests::{Client, Image, Registry, Reply};
use serde_json::json;

use crate::front_door::{METHODS, paths};
use crate::words::unknown_digest;

/// Words that stand for how the registry works inside.
const INTERNAL: &[&str] = &[
    "ironwharf-",
    "dynamo",
    "sqlite",
    "s3.",
    "kms:",
    "alias/",
    "panicked",
    ".rs:",
    "/tmp",
    "role/",
    "ConditionalCheck",
    "bucket",
    "table",
    "stack",
    "unwrap",
];

/// An error is ours to give: a 4xx with a body of its protocol.
pub(crate) fn check_refusal(shown: &str, method: &str, reply: &Reply) {
    assert!(reply.status.is_client_error(), "{shown}: {} {}", reply.status, reply.text());
    assert!(reply.find_header("x-amzn-requestid").is_some(), "{shown}");
    let text = reply.text();
    for word in INTERNAL {
        assert!(!text.to_lowercase().contains(&word.to_lowercase()), "{shown}: {text}");
    }
    if method != "HEAD" {
        let body = reply.json();
        let code = body["errors"][0]["code"].as_str().or(body["__type"].as_str());
        assert!(code.is_some_and(|code| !code.is_empty()), "{shown}: {text}");
    }
    assert!(text.len() < 4096, "{shown}: an answer of {} bytes", text.len());
}

async fn check(client: &Client, method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) {
    let mut call = client.oci(method, path).body(body);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    let reply = call.send().await;
    check_refusal(&format!("{method} {path:.200} {headers:?}"), method, &reply);
}

#[tokio::test]
async fn every_route_with_every_kind_of_nonsense() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("target");
    client.push_image("app", "latest", &image).await;
    let long = "a".repeat(300);
    let very_long = "a".repeat(20_000);
    let digest = unknown_digest();
    let reset = "\u{202e}txt".escape_default().to_string().replace(['\\', '{', '}'], "");
    let bad_names = ["A", "..", &long, "a%00b", "a%0d%0aSet-Cookie:x", "a;b", "%F0%9F%90%B3", &reset.to_uppercase()];
    let bad_references = [".", "-x", "..%2f..", "%00", "a%0d%0ab", &long, &very_long, "a:b:c", "sha256:%00"];
    let bad_digests = ["latest", "sha256:", "sha256:zz", "sha512:00", "md5:00", ":", "sha256:..%2f", &long];
    let bad_uploads = ["x", "..", "%00", &long, "01234567-89ab-4def-8123-456789abcdef"];
    let mut hostile = Vec::new();
    for name in bad_names {
        hostile.extend(paths(name, "latest", &digest, "x").split_off(3));
    }
    for reference in bad_references {
        hostile.push(format!("/v2/app/manifests/{reference}"));
    }
    for bad in bad_digests {
        hostile.push(format!("/v2/app/manifests/sha256:{bad}"));
        hostile.push(format!("/v2/app/blobs/{bad}"));
        hostile.push(format!("/v2/app/referrers/{bad}"));
        hostile.push(format!("/v2/app/blobs/uploads/?digest={bad}"));
        hostile.push(format!("/v2/app/blobs/uploads/?mount={bad}"));
    }
    for bad in bad_uploads {
        hostile.push(format!("/v2/app/blobs/uploads/{bad}"));
        hostile.push(format!("/v2/app/blobs/uploads/{bad}?digest={digest}"));
    }
    for query in ["n=-1", "n=x", "n=1&n=1", "last=%ff", "last=%", "n=%31%"] {
        hostile.push(format!("/v2/_catalog?{query}"));
        hostile.push(format!("/v2/app/tags/list?{query}"));
        hostile.push(format!("/v2/app/referrers/{digest}?{query}"));
    }
    for path in &hostile {
        for method in METHODS {
            check(&client, method, path, &[], "{}").await;
        }
    }
    assert_eq!(client.tags("app").await, ["latest"]);
    let described = client.api_ok("DescribeRepositories", json!({})).await;
    assert_eq!(described["repositories"].as_array().map(Vec::len), Some(1), "nothing was made of bad names");
    client.expect_image("app", "latest", &image).await;
    registry.stop().await;
}

/// Values that are answered like any other: a wrong one of these is no error.
#[tokio::test]
async fn large_numbers_and_long_lists_are_answered() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.push_image("app", "latest", &Image::new("one")).await;
    let digest = unknown_digest();
    for query in
        ["n=1000000000", "n=18446744073709551616", "n=0", "last=%E2%80%AE", "unknown=x", "n=5&&&", "last=a%0d%0ab"]
    {
        for path in ["/v2/_catalog", "/v2/app/tags/list", &format!("/v2/app/referrers/{digest}")] {
            println!("{path}?{query}");
            let reply = client.oci("GET", &format!("{path}?{query}")).send().await;
            reply.expect_status(200);
        }
    }
    // Sixty kilobytes of headers, a request of many parameters.
    let many = (0..2000).map(|number| format!("p{number}=x")).collect::<Vec<_>>().join("&");
    client.oci("GET", &format!("/v2/app/tags/list?{many}")).send().await.expect_status(200);
    let mut call = client.oci("GET", "/v2/app/tags/list");
    for number in 0..60 {
        call = call.header(&format!("x-filler-{number}"), &"x".repeat(1000));
    }
    call.send().await.expect_status(200);
    registry.stop().await;
}

#[tokio::test]
async fn hostile_headers() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("target");
    client.push_image("app", "latest", &image).await;
    let blob = format!("/v2/app/blobs/{}", image.blob_digests()[0]);
    for range in ["bytes=99999-", "bytes=5-2", "bytes=-0", "bytes=99999999999999999999999-"] {
        check(&client, "GET", &blob, &[("range", range)], "").await;
    }
    let upload = client.start_upload("app").await;
    for range in [
        "x",
        "1-0",
        "-1",
        "0--1",
        "0-99999999999999999999",
        "18446744073709551615-18446744073709551615",
        "0-5,6-9",
        "bytes */5",
        "bytes 0-1/*/",
        "1-1",
    ] {
        check(&client, "PATCH", &upload, &[("content-range", range)], "x").await;
        let finish = format!("{upload}?digest={}", unknown_digest());
        check(&client, "PUT", &finish, &[("content-range", range)], "x").await;
    }
    for content_type in ["", "x", "text/html; charset=\"", "application/vnd.oci.image.index.v1+json", "a/b,c/d"] {
        let path = "/v2/app/manifests/new";
        let reply = client.put_manifest("app", "new", content_type, "{}").await;
        check_refusal(&format!("PUT {path} {content_type}"), "PUT", &reply);
    }
    // Headers that are not text.
    let not_text = http::HeaderValue::from_bytes(b"\xff\xfe").expect("allowed on the wire");
    for name in ["content-range", "range", "content-type", "authorization", "accept", "user-agent", "host"] {
        let headers = http::HeaderMap::from_iter([(name.parse().expect("a name"), not_text.clone())]);
        let method = if name == "content-range" { "PATCH" } else { "GET" };
        let path = if name == "content-range" { &upload } else { &blob };
        let reply = client.oci(method, path).headers(headers).body("x").send().await;
        assert!(reply.status.as_u16() < 500, "{name}: {reply:?}");
    }
    // The upload is where it was.
    assert_eq!(client.oci("GET", &upload).send().await.expect_status(204).header("range"), "0-0");
    registry.stop().await;
}

/// A method that a path does not have is refused with those that it has.
#[tokio::test]
async fn other_methods_are_named() {
    let registry = Registry::start().await;
    let client = registry.client();
    let digest = unknown_digest();
    for (path, allowed) in [
        ("/v2/".to_owned(), "GET, HEAD"),
        ("/v2/_catalog".to_owned(), "GET"),
        ("/v2/app/tags/list".to_owned(), "GET"),
        (format!("/v2/app/referrers/{digest}"), "GET"),
        ("/v2/app/manifests/latest".to_owned(), "GET, HEAD, PUT, DELETE"),
        (format!("/v2/app/blobs/{digest}"), "GET, HEAD, DELETE"),
        ("/v2/app/blobs/uploads/".to_owned(), "POST"),
        ("/v2/app/blobs/uploads/x".to_owned(), "GET, PATCH, PUT, DELETE"),
    ] {
        for method in METHODS.into_iter().chain(["TRACE", "PROPFIND", "get"]) {
            let is_allowed = allowed.split(", ").any(|allowed| allowed == method);
            let reply = client.oci(method, &path).send().await;
            assert_eq!(reply.status == 405, !is_allowed, "{method} {path}: {reply:?}");
            if !is_allowed {
                assert_eq!(reply.header("allow"), allowed, "{method} {path}");
            }
        }
    }
    registry.stop().await;
}
