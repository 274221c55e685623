use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// The public port, and a client whose URLs point at it.
struct Public {
    fixture: Fixture,
    address: String,
    client: aws_sdk_s3::Client,
}

/// A status, lower-case headers, and a body.
type Reply = (u16, String, Vec<u8>);

impl Public {
    async fn new() -> Self {
        let fixture = Fixture::new();
        fixture.bucket().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let objects = fixture.services.objects.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let objects = objects.clone();
                let service = hyper::service::service_fn(move |request| {
                    let objects = objects.clone();
                    async move { Ok::<_, Infallible>(objects.serve(request).await) }
                });
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        let client = fixture.s3_at(&format!("http://{address}"));
        Self { fixture, address, client }
    }

    /// Sends one request over a socket.
    async fn send(&self, method: &str, url: &str, headers: &str) -> Reply {
        let path = url.strip_prefix(&format!("http://{}", self.address)).unwrap_or(url);
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        let host = &self.address;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        socket.read_to_end(&mut reply).await.unwrap();
        let end = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(reply[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, reply[end + 4..].to_vec())
    }

    async fn presigned(&self, key: &str) -> PresignedRequest {
        let get = self.client.get_object().bucket(BUCKET).key(key).response_content_type("x/y");
        get.presigned(valid()).await.unwrap()
    }
}

fn valid() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_mins(10)).unwrap()
}

#[tokio::test]
async fn a_presigned_url_is_enough() {
    let public = Public::new().await;
    let body = pattern(2_000_000, 1);
    put(&public.client, "a/b c", body.clone()).await;
    let url = public.presigned("a/b c").await;
    let (status, head, got) = public.send("GET", url.uri(), "").await;
    assert_eq!(status, 200, "{head}");
    assert!(head.contains("content-length: 2000000"), "{head}");
    assert!(head.contains("content-type: x/y"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert!(got == body);

    let (status, head, got) = public.send("GET", url.uri(), "range: bytes=600000-600009\r\n").await;
    assert_eq!((status, &*got), (206, &body[600_000..600_010]));
    assert!(head.contains("content-range: bytes 600000-600009/2000000"), "{head}");
    for range in ["bytes=2000000-", "bytes=99999999999999999999-", "bytes=-0"] {
        let (status, head, _) = public.send("GET", url.uri(), &format!("range: {range}\r\n")).await;
        assert_eq!(status, 416, "{range}");
        assert!(head.contains("content-range: bytes */2000000"), "{head}");
    }
    for ignored in ["bytes=0-1,3-4", "items=0-1", "bytes=9-2", "bytes=x", "bytes=0-1\r\nrange: bytes=2-3"] {
        let (status, head, got) = public.send("GET", url.uri(), &format!("range: {ignored}\r\n")).await;
        assert_eq!((status, got.len()), (200, 2_000_000), "{ignored}: {head}");
    }
    put(&public.client, "empty", Vec::new()).await;
    let (status, ..) = public.send("GET", public.presigned("empty").await.uri(), "range: bytes=-5\r\n").await;
    assert_eq!(status, 200);

    let head_url = public.client.head_object().bucket(BUCKET).key("a/b c").presigned(valid()).await.unwrap();
    let (status, head, got) = public.send("HEAD", head_url.uri(), "").await;
    assert_eq!((status, got.len()), (200, 0));
    assert!(head.contains("content-length: 2000000"), "{head}");

    let missing = public.presigned("missing").await;
    let (status, _, got) = public.send("GET", missing.uri(), "").await;
    assert_eq!(status, 404);
    assert!(String::from_utf8(got).unwrap().contains("<Code>NoSuchKey</Code>"));
}

#[tokio::test]
async fn a_presigned_url_survives_a_restart() {
    let public = Public::new().await;
    put(&public.client, "k", b"kept".to_vec()).await;
    let url = public.presigned("k").await.uri().to_owned();
    let Public { fixture, address, client } = public;
    drop(client);
    // The old listener's task holds the folder too.
    let request = http::Request::get(url).header("host", address).body(()).unwrap();
    let credentials = fixture.embedded.service_credentials().clone();
    let copy = tempfile::tempdir().unwrap();
    for name in ["credentials.json", "root.key"] {
        std::fs::copy(fixture.data_dir().join(name), copy.path().join(name)).unwrap();
    }
    let embedded = Embedded::open(copy.path(), ACCOUNT).unwrap();
    assert_eq!(embedded.service_credentials().secret_access_key, credentials.secret_access_key);
    // The signature passes; what is missing in the new folder is the bucket.
    let reply = embedded.region(REGION).unwrap().objects.serve(request).await;
    assert_eq!(reply.status(), 404);
}

#[tokio::test]
async fn everything_else_is_refused() {
    let public = Public::new().await;
    put(&public.client, "key", b"secret".to_vec()).await;
    put(&public.client, "kez", b"secret".to_vec()).await;
    let url = public.presigned("key").await.uri().to_owned();
    let refused = async |method: &str, url: &str, headers: &str| {
        let (status, head, body) = public.send(method, url, headers).await;
        assert_eq!(status, 403, "{method} {url}: {head}");
        let text = String::from_utf8(body).unwrap();
        assert!(!text.contains("secret"));
        assert!(method == "HEAD" || text.contains("<Code>"), "{text}");
    };
    refused("GET", "/layers/key", "").await;
    refused("GET", "/layers", "").await;
    refused("GET", "/", "").await;
    refused("GET", &url.replace("/key", "/kez"), "").await;
    refused("GET", &url.replace("x%2Fy", "x%2Fz"), "").await;
    refused("GET", &format!("{url}&response-cache-control=no-store"), "").await;
    refused("HEAD", &url, "").await;
    refused("DELETE", &url, "").await;
    refused("PUT", &url, "content-length: 0\r\n").await;
    refused("POST", &url, "content-length: 0\r\n").await;
    refused("GET", &url.replace("IWLOCAL", "IWOTHER"), "").await;
    let (status, ..) = public.send("GET", "/layers/key?X-Amz-Signature=", "").await;
    assert_eq!(status, 400, "half a signature is not even one");

    // An old signature with its own expiry time, and one that is prolonged.
    let past = SystemTime::now() - Duration::from_secs(700);
    let old = PresigningConfig::builder().start_time(past).expires_in(Duration::from_mins(10)).build().unwrap();
    let get = public.client.get_object().bucket(BUCKET).key("key");
    let expired = get.presigned(old).await.unwrap().uri().to_owned();
    refused("GET", &expired, "").await;
    refused("GET", &expired.replace("X-Amz-Expires=600", "X-Amz-Expires=6000"), "").await;

    // Signed by the right key, but not a read, or for another Region.
    let put = public.client.put_object().bucket(BUCKET).key("key").presigned(valid()).await.unwrap();
    refused("PUT", put.uri(), "content-length: 0\r\n").await;
    let delete = public.client.delete_object().bucket(BUCKET).key("key").presigned(valid()).await.unwrap();
    refused("DELETE", delete.uri(), "").await;
    let config = public.fixture.s3_config(&format!("http://{}", public.address)).region(Region::new("eu-west-2"));
    let elsewhere = aws_sdk_s3::Client::from_conf(config.build());
    let get = elsewhere.get_object().bucket(BUCKET).key("key").presigned(valid()).await.unwrap();
    refused("GET", get.uri(), "").await;
    let parts = public.client.upload_part().bucket(BUCKET).key("key").upload_id("u").part_number(1);
    let parts = parts.presigned(valid()).await.unwrap();
    refused("GET", parts.uri(), "").await;
    assert_eq!(get_text(&public).await, "secret");
}

async fn get_text(public: &Public) -> String {
    String::from_utf8(get(&public.client, "key").await).unwrap()
}

#[tokio::test]
async fn in_process_requests_are_checked_too() {
    let fixture = Fixture::new();
    let client = fixture.bucket().await;
    put(&client, "k", b"x".to_vec()).await;
    let wrong = Credentials::new(&fixture.embedded.service_credentials().access_key_id, "wrong", None, None, "test");
    let config = fixture.s3_config("http://localhost").credentials_provider(wrong).build();
    let stranger = aws_sdk_s3::Client::from_conf(config);
    assert_eq!(code!(stranger.get_object().bucket(BUCKET).key("k").send().await), "SignatureDoesNotMatch");
}
