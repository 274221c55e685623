//! Uploads in every form that clients use, and the ways in which they go wrong.

use bytes::Bytes;
use ironwharf_local::test_app::TestOptions;
use ironwharf_tests::images::sha512_of;
use ironwharf_tests::{Client, Image, Registry, bytes_of, digest_of};
use tokio::sync::{mpsc, oneshot};

const MIB: usize = 1024 * 1024;

/// How a request carries its bytes.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// With `Content-Length`.
    Plain,
    /// In chunks, as docker sends them.
    Chunked,
    /// With `Content-Range`, as OCI Distribution has it.
    Range,
}
use Form::{Chunked, Plain, Range};

/// Uploads in parts, with what is left in the last request, and reads back.
async fn check(client: &Client, parts: &[(usize, Form)], last: (usize, Form)) {
    println!("{parts:?} then {last:?}");
    let total = parts.iter().map(|(length, _)| length).sum::<usize>() + last.0;
    let whole = bytes_of(total, total as u64 + parts.len() as u64);
    let path = client.start_upload("app").await;
    let id = path.rsplit_once('/').expect("an upload path").1;
    let mut offset = 0;
    for &(length, form) in parts {
        let reply = send(client, "PATCH", &path, &whole, offset, (length, form)).await;
        offset += length;
        reply.expect_status(202);
        let range = format!("0-{}", offset.saturating_sub(1));
        assert_eq!(reply.header("range"), range);
        assert_eq!(reply.header("location"), path);
        assert_eq!(reply.header("docker-upload-uuid"), id);
        let status = client.oci("GET", &path).send().await;
        assert_eq!(status.expect_status(204).header("range"), range);
    }
    let digest = digest_of(&whole);
    let finish = format!("{path}?digest={digest}");
    let reply = send(client, "PUT", &finish, &whole, offset, last).await;
    reply.expect_status(201);
    assert_eq!(reply.header("docker-content-digest"), digest);
    assert_eq!(reply.header("location"), format!("/v2/app/blobs/{digest}"));
    assert!(client.pull_blob("app", &digest).await == whole, "other bytes came back");
    let head = client.oci("HEAD", &format!("/v2/app/blobs/{digest}")).send().await;
    assert_eq!(head.expect_status(200).header("content-length"), total.to_string());
}

async fn send(
    client: &Client,
    method: &str,
    path: &str,
    whole: &Bytes,
    offset: usize,
    (length, form): (usize, Form),
) -> ironwharf_tests::Reply {
    let bytes = whole.slice(offset..offset + length);
    let call = client.oci(method, path);
    match form {
        Plain => call.body(bytes).send().await,
        Chunked => call.chunks(pieces(&bytes)).send().await,
        Range => {
            let range = format!("{offset}-{}", offset + length - 1);
            call.header("content-range", &range).body(bytes).send().await
        }
    }
}

/// Uneven pieces, so that no boundary falls together with a part's.
fn pieces(bytes: &Bytes) -> Vec<Bytes> {
    bytes.chunks(999_983).map(Bytes::copy_from_slice).collect()
}

#[tokio::test]
async fn small_parts_of_every_form() {
    let registry = Registry::start().await;
    let client = registry.client();
    check(&client, &[], (0, Plain)).await;
    check(&client, &[], (0, Chunked)).await;
    check(&client, &[], (1, Plain)).await;
    check(&client, &[], (1, Range)).await;
    check(&client, &[(1, Plain)], (0, Plain)).await;
    check(&client, &[(1, Plain), (1, Chunked), (1, Range)], (0, Plain)).await;
    check(&client, &[(1, Plain); 20], (1, Plain)).await;
    check(&client, &[(0, Plain), (10, Range), (0, Chunked), (10, Range)], (10, Range)).await;
    check(&client, &[(0, Plain)], (5, Chunked)).await;
    check(&client, &[(700, Chunked), (300, Range)], (0, Chunked)).await;
    registry.stop().await;
}

/// The object store takes parts of at least 5 MiB, clients send what they
/// like: every size around that limit and around our own part size.
#[tokio::test]
async fn large_parts_of_every_size() {
    let registry = Registry::start().await;
    let client = registry.client();
    check(&client, &[(4 * MIB, Range); 5], (0, Plain)).await;
    check(&client, &[(4 * MIB, Plain); 3], (4 * MIB, Plain)).await;
    check(&client, &[(5 * MIB - 1, Plain)], (0, Plain)).await;
    check(&client, &[(5 * MIB - 1, Plain), (1, Plain), (5 * MIB, Range)], (1, Range)).await;
    check(&client, &[(13 * MIB - 1, Chunked)], (0, Plain)).await;
    check(&client, &[(13 * MIB, Plain)], (0, Plain)).await;
    check(&client, &[(13 * MIB, Chunked), (1, Plain)], (0, Plain)).await;
    check(&client, &[(13 * MIB, Plain)], (13 * MIB, Chunked)).await;
    check(&client, &[], (6 * MIB, Chunked)).await;
    check(&client, &[], (21 * MIB + 7, Plain)).await;
    registry.stop().await;
}

#[tokio::test]
async fn mixed_parts() {
    let registry = Registry::start().await;
    let client = registry.client();
    check(&client, &[(1, Plain), (13 * MIB - 1, Chunked), (100_000, Range), (8 * MIB, Plain), (3, Range)], (2, Plain))
        .await;
    check(&client, &[(20 * MIB, Chunked), (1, Plain), (20 * MIB, Range), (6 * MIB, Plain)], (0, Chunked)).await;
    check(&client, &[(MIB, Plain); 14], (MIB, Chunked)).await;
    registry.stop().await;
}

/// Which algorithm a digest has is known with the last request only.
#[tokio::test]
async fn sha512_however_the_bytes_came() {
    let registry = Registry::start().await;
    let client = registry.client();
    for (number, parts) in [&[][..], &[3], &[14 * MIB], &[9 * MIB, 5], &[5, 9 * MIB]].into_iter().enumerate() {
        let whole = bytes_of(parts.iter().sum::<usize>() + 11, 512 + number as u64);
        let digest = sha512_of(&whole);
        let path = client.start_upload("app").await;
        let mut offset = 0;
        for &length in parts {
            send(&client, "PATCH", &path, &whole, offset, (length, Plain)).await.expect_status(202);
            offset += length;
        }
        let finish = format!("{path}?digest={digest}");
        let reply = send(&client, "PUT", &finish, &whole, offset, (11, Plain)).await;
        assert_eq!(reply.expect_status(201).header("docker-content-digest"), digest);
        assert!(client.pull_blob("app", &digest).await == whole);
        // The other name of the same bytes was never pushed.
        let path = format!("/v2/app/blobs/{}", digest_of(&whole));
        client.oci("HEAD", &path).send().await.expect_status(404);
    }
    let wrong = format!("/v2/app/blobs/uploads/?digest={}", sha512_of(b"other"));
    client.oci("POST", &wrong).body("bytes").send().await.expect_oci_error(400, "DIGEST_INVALID");
    registry.stop().await;
}

#[tokio::test]
async fn a_last_request_can_be_repeated() {
    let registry = Registry::start().await;
    let client = registry.client();
    let put = async |path: &str, digest: &str, body: &'static str| {
        client.oci("PUT", &format!("{path}?digest={digest}")).body(body).send().await
    };
    let (digest, other) = (digest_of(b"whole"), digest_of(b"other"));
    for with_part in [false, true] {
        let path = client.start_upload("app").await;
        let rest = if with_part {
            client.oci("PATCH", &path).body("wh").send().await.expect_status(202);
            "ole"
        } else {
            // Nothing is kept of a whole body that was not what it should be:
            // the next attempt starts at byte 0.
            put(&path, &digest, "not whole").await.expect_oci_error(400, "DIGEST_INVALID");
            "whole"
        };
        put(&path, &digest, rest).await.expect_status(201);
        // The answer was lost: the same request again, with the body or without.
        put(&path, &digest, rest).await.expect_status(201);
        put(&path, &digest, "").await.expect_status(201);
        // The upload has ended. Nothing else can come of it.
        put(&path, &other, "other").await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
        for method in ["GET", "PATCH", "DELETE"] {
            client.oci(method, &path).send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        client.oci("HEAD", &format!("/v2/app/blobs/{other}")).send().await.expect_status(404);
        assert_eq!(client.pull_blob("app", &digest).await, "whole");
    }
    registry.stop().await;
}

#[tokio::test]
async fn bytes_of_another_digest_become_no_blob() {
    let registry = Registry::start().await;
    let client = registry.client();
    let declared = digest_of(b"declared");
    let message = format!("The digest of the uploaded bytes is '{}' and not '{declared}'", digest_of(b"sent"));
    let refused = |reply: &ironwharf_tests::Reply| {
        reply.expect_oci_error(400, "DIGEST_INVALID");
        assert_eq!(reply.json()["errors"][0]["message"], message);
    };
    let finish = async |path: &str, body: &'static str| {
        client.oci("PUT", &format!("{path}?digest={declared}")).body(body).send().await
    };
    refused(&client.oci("POST", &format!("/v2/app/blobs/uploads/?digest={declared}")).body("sent").send().await);
    let whole = client.start_upload("app").await;
    refused(&finish(&whole, "sent").await);
    let in_parts = client.start_upload("app").await;
    client.oci("PATCH", &in_parts).body("se").send().await.expect_status(202);
    refused(&finish(&in_parts, "nt").await);
    // What was stored of it is gone: it could only be wrong again.
    client.oci("GET", &in_parts).send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
    for digest in [declared.clone(), digest_of(b"sent")] {
        client.oci("HEAD", &format!("/v2/app/blobs/{digest}")).send().await.expect_status(404);
    }
    // In parts of the object store too.
    let large = bytes_of(14 * MIB, 9);
    let path = client.start_upload("app").await;
    client.oci("PATCH", &path).body(large.clone()).send().await.expect_status(202);
    let reply = client.oci("PUT", &format!("{path}?digest={declared}")).send().await;
    reply.expect_oci_error(400, "DIGEST_INVALID");
    client.oci("HEAD", &format!("/v2/app/blobs/{}", digest_of(&large))).send().await.expect_status(404);
    registry.stop().await;
}

#[tokio::test]
async fn a_cancelled_upload_is_over() {
    let registry = Registry::start().await;
    let client = registry.client();
    for bytes in [0, 10, 14 * MIB] {
        let path = client.start_upload("app").await;
        let whole = bytes_of(bytes, 3);
        if bytes > 0 {
            client.oci("PATCH", &path).body(whole.clone()).send().await.expect_status(202);
        }
        client.oci("DELETE", &path).send().await.expect_status(204);
        for method in ["GET", "PATCH", "DELETE"] {
            client.oci(method, &path).send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        let finish = format!("{path}?digest={}", digest_of(&whole));
        client.oci("PUT", &finish).send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    registry.stop().await;
}

#[tokio::test]
async fn parts_out_of_order_change_nothing() {
    let registry = Registry::start().await;
    let client = registry.client();
    let path = client.start_upload("app").await;
    let digest = digest_of(b"0123456789");
    let refused = async |method: &str, range: &str, body: &'static str, expected: &str| {
        println!("{method} {range}");
        let path = if method == "PUT" { format!("{path}?digest={digest}") } else { path.clone() };
        let reply = client.oci(method, &path).header("content-range", range).body(body).send().await;
        reply.expect_oci_error(416, "BLOB_UPLOAD_INVALID");
        // The client learns where to go on.
        assert_eq!(reply.header("range"), expected);
        let status = client.oci("GET", &path).send().await;
        assert_eq!(status.expect_status(204).header("range"), expected);
    };
    refused("PATCH", "1-2", "12", "0-0").await;
    refused("PUT", "1-2", "12", "0-0").await;
    client.oci("PATCH", &path).header("content-range", "0-4").body("01234").send().await.expect_status(202);
    refused("PATCH", "0-4", "01234", "0-4").await;
    refused("PATCH", "4-5", "45", "0-4").await;
    refused("PATCH", "6-9", "6789", "0-4").await;
    refused("PUT", "6-9", "6789", "0-4").await;
    refused("PATCH", "18446744073709551614-18446744073709551614", "x", "0-4").await;
    for (range, body) in [("5-9", "5678"), ("5-9", "567890"), ("5-5", "")] {
        let reply = client.oci("PATCH", &path).header("content-range", range).body(body).send().await;
        reply.expect_oci_error(400, "SIZE_INVALID");
    }
    for range in
        ["5", "9-5", "bytes 5-9/10/", "5-", "-5", "a-b", "5-9,10-11", "0x5-0x9", "5-99999999999999999999", "", "٥-٩"]
    {
        let path = if range.is_ascii() { path.clone() } else { continue };
        let reply = client.oci("PATCH", &path).header("content-range", range).body("56789").send().await;
        reply.expect_status(400);
    }
    let finish = format!("{path}?digest={digest}");
    client.oci("PUT", &finish).header("content-range", "5-9").body("56789").send().await.expect_status(201);
    registry.stop().await;
}

/// Sends `whole` and stops before its end; the rest goes when `release` is
/// dropped. Ready as soon as the server must have read from the body: more
/// was taken from us than all the buffers between us can hold.
fn stalled(
    whole: &Bytes,
) -> (
    impl futures::Stream<Item = Result<hyper::body::Frame<Bytes>, std::convert::Infallible>> + Send + Sync + use<>,
    oneshot::Receiver<()>,
    oneshot::Sender<()>,
) {
    let (taken, is_taken) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let (chunks, mut taken_chunks) = mpsc::channel::<Bytes>(1);
    let whole = whole.clone();
    tokio::spawn(async move {
        let end = whole.slice(whole.len() - 1..);
        for chunk in whole.slice(..whole.len() - 1).chunks(64 * 1024) {
            if chunks.send(Bytes::copy_from_slice(chunk)).await.is_err() {
                return;
            }
        }
        let _ = taken.send(());
        let _ = released.await;
        let _ = chunks.send(end).await;
    });
    let frames = futures::stream::poll_fn(move |context| {
        taken_chunks.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(hyper::body::Frame::data(chunk))))
    });
    (frames, is_taken, release)
}

/// One writer at a time: the second one is told so at once and changes nothing.
#[tokio::test]
async fn a_second_writer_is_refused_while_the_first_one_writes() {
    let registry = Registry::start().await;
    let client = std::sync::Arc::new(registry.client());
    let path = client.start_upload("app").await;
    let whole = bytes_of(24 * MIB, 77);
    let (body, is_taken, release) = stalled(&whole);
    let first = tokio::spawn({
        let (client, path) = (std::sync::Arc::clone(&client), path.clone());
        async move { client.oci("PATCH", &path).stream(http_body_util::StreamBody::new(body)).send().await }
    });
    is_taken.await.expect("the server reads the body");
    client.oci("PATCH", &path).body("intruder").send().await.expect_oci_error(409, "BLOB_UPLOAD_INVALID");
    let finish = format!("{path}?digest={}", digest_of(b"intruder"));
    client.oci("PUT", &finish).body("intruder").send().await.expect_oci_error(409, "BLOB_UPLOAD_INVALID");
    drop(release);
    first.await.expect("the first request").expect_status(202);
    let finish = format!("{path}?digest={}", digest_of(&whole));
    client.oci("PUT", &finish).send().await.expect_status(201);
    assert!(client.pull_blob("app", &digest_of(&whole)).await == whole);
    registry.stop().await;
}

/// Whoever cancels an upload need not wait for who writes to it.
#[tokio::test]
async fn an_upload_is_cancelled_under_its_writer() {
    let registry = Registry::start().await;
    let client = std::sync::Arc::new(registry.client());
    let path = client.start_upload("app").await;
    client.oci("PATCH", &path).body("stored before").send().await.expect_status(202);
    let (body, is_taken, release) = stalled(&bytes_of(24 * MIB, 78));
    let first = tokio::spawn({
        let (client, path) = (std::sync::Arc::clone(&client), path.clone());
        async move { client.oci("PATCH", &path).stream(http_body_util::StreamBody::new(body)).send().await }
    });
    is_taken.await.expect("the server reads the body");
    client.oci("DELETE", &path).send().await.expect_status(204);
    client.oci("GET", &path).send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
    drop(release);
    first.await.expect("the first request").expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.oci("DELETE", &path).send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");

    // The same of one that would have been all in its last request.
    let path = client.start_upload("app").await;
    let whole = bytes_of(24 * MIB, 79);
    let (body, is_taken, release) = stalled(&whole);
    let finish = format!("{path}?digest={}", digest_of(&whole));
    let last = tokio::spawn({
        let client = std::sync::Arc::clone(&client);
        async move { client.oci("PUT", &finish).stream(http_body_util::StreamBody::new(body)).send().await }
    });
    is_taken.await.expect("the server reads the body");
    let cancelled = futures::future::join_all((0..6).map(|_| client.oci("DELETE", &path).send())).await;
    let statuses: Vec<u16> = cancelled.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [204, 404].contains(status)), "{statuses:?}");
    drop(release);
    last.await.expect("the last request").expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
    registry.stop().await;
}

#[tokio::test]
async fn of_parallel_first_parts_one_wins() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.authorization().await;
    for round in 0..4 {
        let path = client.start_upload("app").await;
        let parts: Vec<Bytes> = (0..8).map(|writer| bytes_of(1000, round * 8 + writer)).collect();
        let replies = futures::future::join_all(
            parts
                .iter()
                .map(|part| client.oci("PATCH", &path).header("content-range", "0-999").body(part.clone()).send()),
        )
        .await;
        let winners: Vec<usize> = (0..8).filter(|writer| replies[*writer].status == 202).collect();
        assert_eq!(winners.len(), 1, "{replies:?}");
        for (writer, reply) in replies.iter().enumerate() {
            if writer != winners[0] {
                // Too late for its turn, or for its place.
                let status = reply.status.as_u16();
                assert!([409, 416].contains(&status), "{reply:?}");
                reply.expect_oci_error(status, "BLOB_UPLOAD_INVALID");
            }
        }
        let finish = format!("{path}?digest={}", digest_of(&parts[winners[0]]));
        client.oci("PUT", &finish).send().await.expect_status(201);
    }
    registry.stop().await;
}

/// The connection breaks in the middle of a part: the upload is where it was.
#[tokio::test]
async fn a_broken_request_leaves_the_upload_as_it_was() {
    let registry = Registry::start().await;
    let client = registry.client();
    let authorization = client.authorization().await;
    let path = client.start_upload("app").await;
    client.oci("PATCH", &path).body("01234").send().await.expect_status(202);
    for (method, path) in [("PATCH", path.clone()), ("PUT", format!("{path}?digest={}", digest_of(b"0123456789")))] {
        for head in ["content-length: 100\r\n\r\n56", "transfer-encoding: chunked\r\n\r\n2\r\n56\r\n"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: {authorization}\r\n{head}",
                registry.host()
            );
            // The end of the stream is seen by the server before it answers,
            // so the next request finds the upload released.
            let reply = ironwharf_tests::raw::exchange(&registry.host(), request.as_bytes(), true).await;
            assert!(reply.status().is_none_or(|status| status == 400), "{}", reply.text());
            let status = client.oci("GET", &path).send().await;
            assert_eq!(status.expect_status(204).header("range"), "0-4");
        }
    }
    client.oci("PATCH", &path).header("content-range", "5-9").body("56789").send().await.expect_status(202);
    client.oci("PUT", &format!("{path}?digest={}", digest_of(b"0123456789"))).send().await.expect_status(201);
    registry.stop().await;
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let registry = Registry::start().await;
    let client = registry.client();
    let path = client.start_upload("app").await;
    client.push_blob("other", "x").await;
    let id = path.rsplit_once('/').expect("an upload path").1;
    let mut forged = id.to_owned();
    let changed = if forged.starts_with('0') { "1" } else { "0" };
    forged.replace_range(..1, changed);
    let long = "a".repeat(5000);
    for path in [
        format!("/v2/other/blobs/uploads/{id}"),
        format!("/v2/app/blobs/uploads/{forged}"),
        format!("/v2/app/blobs/uploads/{}", id.to_uppercase()),
        "/v2/app/blobs/uploads/01234567-89ab-4def-8123-456789abcdef".to_owned(),
        "/v2/app/blobs/uploads/x".to_owned(),
        format!("/v2/app/blobs/uploads/{long}"),
    ] {
        let finish = format!("{path}?digest={}", digest_of(b"x"));
        for (method, path) in [("GET", &path), ("PATCH", &path), ("PUT", &finish), ("DELETE", &path)] {
            client.oci(method, path).body("x").send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    // The owner's upload is untouched by all of this.
    assert_eq!(client.oci("GET", &path).send().await.expect_status(204).header("range"), "0-0");
    registry.stop().await;
}

#[tokio::test]
async fn a_last_request_needs_a_digest() {
    let registry = Registry::start().await;
    let client = registry.client();
    let path = client.start_upload("app").await;
    let good = digest_of(b"x");
    for (query, code) in [
        ("", "UNSUPPORTED"),
        ("?digest=", "DIGEST_INVALID"),
        ("?digest=sha256:abc", "DIGEST_INVALID"),
        ("?digest=md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"),
        (&format!("?digest={}", good.to_uppercase()), "DIGEST_INVALID"),
        (&format!("?digest={good}&digest={good}"), "UNSUPPORTED"),
        (&format!("?digest={good}%"), "UNSUPPORTED"),
        (&format!("?digest={good}%00"), "DIGEST_INVALID"),
    ] {
        println!("{query}");
        client.oci("PUT", &format!("{path}{query}")).body("x").send().await.expect_oci_error(400, code);
    }
    // Percent-encoded, as Go's clients send it.
    let encoded = good.replace(':', "%3A");
    client.oci("PUT", &format!("{path}?digest={encoded}")).body("x").send().await.expect_status(201);
    registry.stop().await;
}

#[tokio::test]
async fn mounts_take_what_the_caller_may_pull() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("source");
    client.push_image("source", "latest", &image).await;
    let loose = client.push_blob("source", "loose").await;
    let held = image.blob_digests()[1].clone();
    let unknown = crate::words::unknown_digest();
    for (number, (query, mounted)) in [
        (format!("mount={held}&from=source"), true),
        (format!("mount={held}"), true),
        (format!("mount={loose}&from=source"), true),
        (format!("mount={held}&from=nothing-there"), false),
        (format!("mount={held}&from=..%2Fsource"), false),
        (format!("mount={held}&from="), false),
        (format!("mount={unknown}&from=source"), false),
        (format!("mount={unknown}"), false),
        ("from=source".to_owned(), false),
    ]
    .into_iter()
    .enumerate()
    {
        println!("{query}");
        let target = format!("target-{number}");
        let reply = client.oci("POST", &format!("/v2/{target}/blobs/uploads/?{query}")).send().await;
        if mounted {
            let digest = reply.expect_status(201).header("docker-content-digest").to_owned();
            assert_eq!(reply.header("location"), format!("/v2/{target}/blobs/{digest}"));
            client.pull_blob(&target, &digest).await;
        } else {
            let path = reply.expect_status(202).header("location").to_owned();
            assert!(path.starts_with(&format!("/v2/{target}/blobs/uploads/")), "{path}");
            client.oci("HEAD", &format!("/v2/{target}/blobs/{held}")).send().await.expect_status(404);
            // The upload it fell back to works.
            client.oci("PUT", &format!("{path}?digest={}", digest_of(b"x"))).body("x").send().await.expect_status(201);
        }
    }
    for bad in ["mount=latest", "mount=sha256:abc", &format!("mount={held}&mount={held}")] {
        client.oci("POST", &format!("/v2/target/blobs/uploads/?{bad}")).send().await.expect_status(400);
    }
    // A mount outlives its source.
    client.api_ok("DeleteRepository", serde_json::json!({ "repositoryName": "source", "force": true })).await;
    assert_eq!(client.pull_blob("target-0", &held).await, image.blobs[1]);
    registry.stop().await;
}

#[tokio::test]
async fn without_create_on_push_a_repository_must_be_there() {
    let registry = Registry::start_with(TestOptions { create_on_push: false, ..TestOptions::default() }).await;
    let client = registry.client();
    let image = Image::new("refused");
    let digest = image.blob_digests()[0].clone();
    client.api_ok("CreateRepository", serde_json::json!({ "repositoryName": "there" })).await;
    client.push_image("there", "latest", &image).await;
    for (method, path) in [
        ("POST", "/v2/app/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/app/blobs/uploads/?digest={digest}")),
        ("POST", format!("/v2/app/blobs/uploads/?mount={digest}&from=there")),
        ("PUT", "/v2/app/manifests/latest".to_owned()),
        ("PUT", format!("/v2/app/manifests/{}", image.digest)),
    ] {
        let reply = client
            .oci(method, &path)
            .header("content-type", image.media_type)
            .body(image.manifest.clone())
            .send()
            .await;
        reply.expect_oci_error(404, "NAME_UNKNOWN");
        assert_eq!(reply.json()["errors"][0]["message"], crate::words::no_repository("app"));
    }
    let described = client.api_ok("DescribeRepositories", serde_json::json!({})).await;
    assert_eq!(crate::words::texts(&described["repositories"], "/repositoryName"), ["there"]);
    client.api_ok("CreateRepository", serde_json::json!({ "repositoryName": "app" })).await;
    client.push_image("app", "latest", &image).await;
    client.expect_image("app", "latest", &image).await;
    registry.stop().await;
}
