//! The streaming ingress: what carries the bytes of a layer or a manifest.
//!
//! The same handlers as the functions', in a container behind the same load
//! balancer: a body streams to S3 as it comes, whatever its size, and memory
//! does not grow with it. It listens on `IRONWHARF_LISTEN` (`0.0.0.0:8080` if
//! that is not set); the rest of its environment is that of a function.
//!
//! Invariant: nothing but the load balancer reaches the port (the security
//! group sees to it), so its `X-Forwarded-For` says who the client is.
//! Invariant: at most [`UPLOADS`] layers stream at a time; those that come on top
//! wait, with nothing of them read, and are not refused.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use ironwharf_front::Handler;
use ironwharf_registry::{Body, ClientAddress};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::event::forwarded_for;
use crate::function::{self, Function};
use crate::scope::Scope;

/// How many layers stream at a time. Each takes up to 30 MB: what is kept back of a
/// part, and the parts that are on their way. The template scales on half of it.
pub const UPLOADS: usize = 24;

/// The target of the lines that say how much there is to do, for a metric filter.
pub const LOAD_LOG_TARGET: &str = "ironwharf::ingress";

/// How often it is said.
const LOAD_INTERVAL: Duration = Duration::from_mins(1);

/// The function behind HTTP.
#[derive(Clone)]
pub struct Ingress {
    function: Function,
    load: Arc<Load>,
    uploads: Arc<Semaphore>,
}

/// How many requests there are at once.
#[derive(Debug, Default)]
pub struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A request that is under way, until it is dropped.
struct UnderWay(Arc<Load>);

impl Load {
    fn begin(self: &Arc<Self>) -> UnderWay {
        let now = self.now.fetch_add(1, Ordering::AcqRel) + 1;
        self.most.fetch_max(now, Ordering::AcqRel);
        UnderWay(Arc::clone(self))
    }

    /// The most there were at once since the last time.
    #[must_use]
    pub fn take_most(&self) -> usize {
        self.most.swap(self.now.load(Ordering::Acquire), Ordering::AcqRel)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Ingress {
    /// An ingress to what `function` answers.
    #[must_use]
    pub fn new(function: Function) -> Self {
        Self { function, load: Arc::default(), uploads: Arc::new(Semaphore::new(UPLOADS)) }
    }

    /// How much there is to do.
    #[must_use]
    pub fn load(&self) -> Arc<Load> {
        Arc::clone(&self.load)
    }
}

impl Handler for Ingress {
    async fn answer(self, mut request: Request<Incoming>) -> Response<Body> {
        // Without the header it is the load balancer itself, asking for health.
        let client = forwarded_for(request.headers()).and_then(|address| address.parse().ok());
        let _under_way = client.is_some().then(|| self.load.begin());
        if let Some(client) = client {
            request.extensions_mut().insert(ClientAddress(client));
        }
        // Nobody closes the semaphore.
        let needs_place = carries_layer(request.method(), request.uri());
        let _place = if needs_place { self.uploads.acquire().await.ok() } else { None };
        self.function.respond(request.map(|body| body.map_err(Into::into).boxed_unsync())).await
    }
}

/// Whether a request has the bytes of a layer with it, which go on to S3 as they
/// come. What is sent to the API is read as a whole before it is looked at.
fn carries_layer(method: &Method, uri: &Uri) -> bool {
    matches!(*method, Method::PATCH | Method::PUT | Method::POST) && uri.path().contains("/blobs/uploads/")
        || *method == Method::POST && uri.path() == "/"
}

/// The whole process: reads the environment, serves until a signal says to
/// stop, finishes what is under way. A wrong environment or a taken port is one
/// sentence on standard error, and exit code 2.
pub async fn run() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("ironwharf-ingress: {sentence}");
            ExitCode::from(2)
        }
    }
}

async fn serve() -> Result<(), String> {
    let listen = std::env::var("IRONWHARF_LISTEN").unwrap_or_else(|_| "0.0.0.0:8080".to_owned());
    let listen: SocketAddr = listen.parse().map_err(|_| {
        format!("The environment variable IRONWHARF_LISTEN must be an address with a port, not '{listen}'.")
    })?;
    let ingress = Ingress::new(Function::start(Scope::Ingress, function::all).await?);
    let cannot = |error: std::io::Error| format!("cannot listen on {listen}: {error}");
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    println!("ironwharf-ingress listening on http://{address}");
    let stop = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    let load = ingress.load();
    tokio::select! {
        () = ironwharf_front::serve(listener, ingress, stop) => {}
        () = tell(&load) => {}
    }
    Ok(())
}

/// Says again and again how much there is to do.
async fn tell(load: &Load) {
    let mut interval = tokio::time::interval(LOAD_INTERVAL);
    interval.tick().await;
    loop {
        interval.tick().await;
        tracing::info!(target: LOAD_LOG_TARGET, requests = load.take_most(), "requests at once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_requests_at_once_are_told_once() {
        let load = Arc::new(Load::default());
        let (first, second) = (load.begin(), load.begin());
        drop(first);
        assert_eq!(load.take_most(), 2);
        assert_eq!(load.take_most(), 1, "one is still under way");
        drop(second);
        assert_eq!((load.take_most(), load.take_most()), (1, 0));
    }

    #[test]
    fn layers_have_places_and_manifests_do_not() {
        let carries = |method: Method, target: &str| carries_layer(&method, &target.parse().unwrap());
        assert!(carries(Method::PATCH, "/v2/a/b/blobs/uploads/1"));
        assert!(carries(Method::PUT, "/v2/a/blobs/uploads/1?digest=sha256:0"));
        assert!(carries(Method::POST, "/v2/a/blobs/uploads/?digest=sha256:0"));
        assert!(carries(Method::POST, "/"));
        assert!(!carries(Method::PUT, "/v2/a/manifests/b"));
        assert!(!carries(Method::GET, "/v2/a/blobs/uploads/1?through=ingress"));
    }
}
