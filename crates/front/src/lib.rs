//! HTTP over TCP for the registry's handlers: the loop that accepts, and the
//! stop that finishes what has been begun. The server of one machine and the
//! streaming ingress on AWS listen with it.
//!
//! Invariants:
//! - Every request runs in a task of its own, so a client that goes away leaves
//!   no upload half-held, and a fault in one request is that request's alone.
//! - No request that was accepted is cut off by a stop within [`GRACE`].
//! - Connections that are open and ask for nothing do not keep others out, and
//!   do not hold a stop up.

mod connections;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::uri::Authority;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use ironwharf_registry::{Body, ClientAddress, body};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::connections::{Activity, Connections, Sent};

/// How long requests in flight may take after a signal to stop.
pub const GRACE: Duration = Duration::from_mins(1);

/// How long a connection may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_mins(1);

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// The answer to TLS on the plain port, in a form that TLS clients recognize
/// as HTTP: they try again without TLS, or say what is wrong.
const PLAIN_ONLY: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This port speaks plain HTTP; use http:// and, if your client wants it, its option for insecure registries.\n";

/// What answers requests. A request has its sender's [`ClientAddress`] among
/// its extensions.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers a request. Never fails: errors are answers too.
    fn answer(self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// The handler as one client reaches it.
struct Connection<H> {
    handler: H,
    client: ClientAddress,
    activity: Activity,
}

/// Serves plain HTTP/1.1 and HTTP/2 until `stop` is done; then finishes the
/// requests in flight, for [`GRACE`] at most. Half as many connections are open at
/// a time as the process may have files: a request may need one or two of its own.
pub async fn serve(listener: TcpListener, handler: impl Handler, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    http.http2().timer(TokioTimer::new());
    let http = Arc::new(http);
    let connections = Connections::of_this_process();
    let mut stop = std::pin::pin!(stop);
    let mut failing = false;
    let (stopping, stopped) = watch::channel(());
    loop {
        let place = tokio::select! {
            place = connections.place() => place,
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, client) = match accepted {
            Ok((stream, client)) => {
                failing = false;
                (stream, ClientAddress(client.ip()))
            }
            Err(error) => {
                // Out of file descriptors, usually: wait for some to come free.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = Connection { handler: handler.clone(), client, activity: place.activity() };
        let (http, watcher) = (Arc::clone(&http), graceful.watcher());
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            let activity = place.activity();
            let serve = async {
                let Some(stream) = plain(stream).await else { return };
                let connection = http.serve_connection(TokioIo::new(stream), connection).into_owned();
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(error, "a connection ended");
                }
            };
            // A connection without a request is nothing to wait for.
            let superfluous = async {
                tokio::select! {
                    () = place.is_wanted() => {}
                    _ = stopped.changed() => activity.is_over().await,
                }
            };
            tokio::select! {
                () = serve => {}
                () = superfluous => {}
            }
        });
    }
    drop((listener, stopping));
    tracing::info!("stopping: finishing the requests in flight");
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// The connection, unless it speaks TLS, which is answered at once.
async fn plain(mut stream: TcpStream) -> Option<TcpStream> {
    let mut first = [0];
    let peeked = tokio::time::timeout(HEAD_TIME, stream.peek(&mut first)).await.ok()?.ok()?;
    if peeked == 0 {
        return None;
    }
    if first == [TLS_HANDSHAKE] {
        // Whoever is gone before the answer does not need it.
        let _ = stream.write_all(PLAIN_ONLY).await;
        let _ = stream.shutdown().await;
        return None;
    }
    // Answers are small and come in one piece: nothing to wait for.
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

impl<H: Handler> hyper::service::Service<Request<Incoming>> for Connection<H> {
    type Response = Response<Sent<Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Sent<Body>>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let busy = self.activity.request();
        if let Err(sentence) = check_host(&request) {
            let mut response = Response::new(body::full(format!("{sentence}\n")));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Box::pin(std::future::ready(Ok(response.map(|body| Sent::new(body, busy)))));
        }
        request.extensions_mut().insert(self.client);
        let task = tokio::spawn(self.handler.clone().answer(request));
        Box::pin(async move {
            let response = task.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a request ended without an answer");
                let mut response = Response::new(body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            });
            Ok(response.map(|body| Sent::new(body, busy)))
        })
    }
}

/// Refuses a request whose host nobody can know (RFC 9112, section 3.2).
fn check_host<B>(request: &Request<B>) -> Result<(), &'static str> {
    let mut given = request.headers().get_all(HOST).iter();
    match (given.next(), given.next()) {
        (Some(_), Some(_)) => Err("The request has more than one Host header."),
        (Some(host), None) if !host.is_empty() && Authority::try_from(host.as_bytes()).is_err() => {
            Err("The Host header of the request is no host.")
        }
        (None, _) if request.version() == Version::HTTP_11 && request.uri().authority().is_none() => {
            Err("The request has no Host header.")
        }
        _ => Ok(()),
    }
}
