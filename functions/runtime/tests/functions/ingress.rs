//! The streaming ingress over HTTP, beside the functions over events.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request as HttpRequest, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use ironwharf_function::ingress::Ingress;
use ironwharf_function::{Function, Scope, function};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::support::{Gateway, Registry, Request};

const CHUNK: usize = 1 << 20;

/// An ingress that listens, until it is stopped.
struct Listening {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Listening {
    async fn start(registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ingress = Ingress::new(Function::new(registry.app(Scope::Ingress).clone(), Scope::Ingress, function::all));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(ironwharf_front::serve(listener, ingress, async move {
            let _ = stopped.await;
        }));
        Self { address, stop, served }
    }

    async fn send(&self, request: HttpRequest<UnsyncBoxBody<Bytes, Infallible>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    async fn status(&self, method: &str, target: &str) -> StatusCode {
        let request = HttpRequest::builder().method(method).uri(target).header("host", "registry");
        self.send(request.body(full("")).unwrap()).await.status()
    }
}

fn full(text: &'static str) -> UnsyncBoxBody<Bytes, Infallible> {
    Full::from(text).boxed_unsync()
}

/// A body that is sent as it is fed, without a length.
fn fed() -> (mpsc::Sender<Bytes>, UnsyncBoxBody<Bytes, Infallible>) {
    let (feed, mut chunks) = mpsc::channel::<Bytes>(1);
    let frames = futures::stream::poll_fn(move |context| {
        chunks.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))))
    });
    (feed, StreamBody::new(frames).boxed_unsync())
}

#[tokio::test]
async fn a_layer_of_any_size_streams_through() {
    let registry = Registry::new().await;
    let ingress = Listening::start(&registry).await;
    assert_eq!(ingress.status("GET", "/healthz").await, StatusCode::OK);
    assert_eq!(ingress.status("GET", "/v2/").await, StatusCode::NOT_FOUND);
    assert_eq!(ingress.status("GET", "/v2/?through=ingress").await, StatusCode::UNAUTHORIZED);
    assert_eq!(ingress.status("DELETE", "/v2/a/manifests/b").await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ingress.status("POST", "/v2/a/blobs/uploads/").await, StatusCode::NOT_FOUND);
    assert_eq!(ingress.status("POST", "/").await, StatusCode::NOT_FOUND);
    assert_eq!(ingress.status("PUT", "/v2/a/manifests/b").await, StatusCode::UNAUTHORIZED);

    let gateway = Gateway::AlbMultiValue;
    let made =
        registry.send(gateway, &Request::api("CreateRepository", &json!({ "repositoryName": "team/app" }))).await;
    assert_eq!(made.status, 200, "{}", made.json);
    let token = registry.login(gateway).await;
    let started = Request::new("POST", "/v2/team/app/blobs/uploads/").header("authorization", &token);
    let started = registry.send(gateway, &started).await;
    let location = started.header("location").unwrap().to_owned();

    let request = |method: &str, target: &str| {
        HttpRequest::builder()
            .method(method)
            .uri(target)
            .header("host", "registry.example.com")
            .header("authorization", &token)
            .header("x-forwarded-for", "203.0.113.9, 198.51.100.7")
    };
    let (feed, body) = fed();
    let patched = ingress.send(request("PATCH", &location).body(body).unwrap());
    let feeding = async {
        let mut hasher = Sha256::new();
        for number in 0..40_u8 {
            let chunk = Bytes::from(vec![number; CHUNK]);
            hasher.update(&chunk);
            feed.send(chunk).await.unwrap();
        }
        drop(feed);
        hasher
    };
    let (patched, hasher) = tokio::join!(patched, feeding);
    assert_eq!(patched.status(), StatusCode::ACCEPTED);
    assert_eq!(patched.headers()["range"], format!("0-{}", 40 * CHUNK - 1));
    let digest = format!("sha256:{}", hex(&hasher.finalize()));
    let finish = request("PUT", &format!("{location}?digest={digest}"));
    let finished = ingress.send(finish.body(full("")).unwrap()).await;
    assert_eq!(finished.status(), StatusCode::CREATED);

    let head = Request::new("HEAD", &format!("/v2/team/app/blobs/{digest}")).header("authorization", &token);
    let head = registry.send(gateway, &head).await;
    assert_eq!(head.header("content-length"), Some((40 * CHUNK).to_string().as_str()), "{}", head.json);
    ingress.stop.send(()).unwrap();
    ingress.served.await.unwrap();
}

#[tokio::test]
async fn a_stop_waits_for_the_upload_that_is_under_way() {
    let registry = Registry::new().await;
    let ingress = Listening::start(&registry).await;
    let gateway = Gateway::AlbMultiValue;
    let made = registry.send(gateway, &Request::api("CreateRepository", &json!({ "repositoryName": "app" }))).await;
    assert_eq!(made.status, 200, "{}", made.json);
    let token = registry.login(gateway).await;
    let blob = [7_u8; 1000];
    let target = format!("/v2/app/blobs/uploads/?digest=sha256:{}", hex(&Sha256::digest(blob)));
    let request = HttpRequest::builder().method("POST").uri(target).header("host", "registry");
    let (feed, body) = fed();
    let request = request.header("authorization", &token).body(body).unwrap();
    let stream = TcpStream::connect(ingress.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = tokio::spawn(sender.send_request(request));
    // The second is taken when the first has gone to the ingress.
    feed.send(Bytes::copy_from_slice(&blob[..500])).await.unwrap();
    feed.send(Bytes::copy_from_slice(&blob[500..900])).await.unwrap();
    ingress.stop.send(()).unwrap();
    // Whoever comes now is not listened to any more.
    while TcpStream::connect(ingress.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    feed.send(Bytes::copy_from_slice(&blob[900..])).await.unwrap();
    drop(feed);
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::CREATED);
    drop(sender);
    ingress.served.await.unwrap();
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
