//! The streaming ingress: what carries the bytes of a layer or a manifest.
//!
//! The same handlers as the functions', in a container behind the same load
//! balancer: a body streams to S3 as it comes, whatever its size, and memory
//! does not grow with it. It listens on `IRONWHARF_LISTEN` (`0.0.0.0:8080` if
//! that is not set); the rest of its environment is that of a function.
//!
//! Invariant: nothing but the load balancer reaches the port (the security
//! group sees to it), so its `X-Forwarded-For` says who the client is.
//! Invariant: at most [`UPLOADS`] layers stream at a time, and [`CALLS`] large requests
//! of the API are read. Those that come on top wait, with nothing of them read, as long
//! as the load balancer lets them, and are not refused. Neither waits for the other.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use ironwharf_front::Handler;
use ironwharf_registry::{Body, ClientAddress};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::event::forwarded_for;
use crate::function::{self, Function};
use crate::scope::Scope;

/// How many layers stream at a time. Each takes 20 MB: what is kept back of a part, and
/// the parts that are on their way. The template scales on half of it.
pub const UPLOADS: usize = 20;

/// How many large requests of the API are read at a time: layer parts in base64, which
/// are there as a whole before their signature can be checked, and once more when they
/// are decoded.
pub const CALLS: usize = 4;

/// What is small enough not to need a place.
const SMALL_BYTES: u64 = 1024 * 1024;

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
    calls: Arc<Semaphore>,
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
        let places = |count| Arc::new(Semaphore::new(count));
        Self { function, load: Arc::default(), uploads: places(UPLOADS), calls: places(CALLS) }
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
        let places = match Kind::of(request.method(), request.uri(), request.body().size_hint().upper()) {
            Kind::Layer => Some(&self.uploads),
            Kind::LargeCall => Some(&self.calls),
            Kind::Small => None,
        };
        let _place = match places {
            // Nobody closes them.
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        self.function.respond(request.map(|body| body.map_err(Into::into).boxed_unsync())).await
    }
}

/// Which places a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The bytes of a layer, which go on to S3 as they come.
    Layer,
    /// What is read as a whole, and is large.
    LargeCall,
    /// All else.
    Small,
}

impl Kind {
    /// Of a request whose body has so many bytes, if that is known.
    fn of(method: &Method, uri: &Uri, bytes: Option<u64>) -> Self {
        let is_large = bytes.is_none_or(|bytes| bytes > SMALL_BYTES);
        match *method {
            Method::PATCH | Method::PUT | Method::POST if uri.path().contains("/blobs/uploads/") => Self::Layer,
            Method::POST if uri.path() == "/" && is_large => Self::LargeCall,
            _ => Self::Small,
        }
    }
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
    fn layers_and_large_calls_have_places() {
        let kind = |method: Method, target: &str, bytes| Kind::of(&method, &target.parse().unwrap(), bytes);
        for bytes in [None, Some(0), Some(1 << 40)] {
            assert_eq!(kind(Method::PATCH, "/v2/a/b/blobs/uploads/1", bytes), Kind::Layer);
            assert_eq!(kind(Method::PUT, "/v2/a/blobs/uploads/1?digest=sha256:0", bytes), Kind::Layer);
            assert_eq!(kind(Method::POST, "/v2/a/blobs/uploads/?digest=sha256:0", bytes), Kind::Layer);
            assert_eq!(kind(Method::PUT, "/v2/a/manifests/b", bytes), Kind::Small);
            assert_eq!(kind(Method::GET, "/v2/a/blobs/uploads/1?through=ingress", bytes), Kind::Small);
        }
        assert_eq!(kind(Method::POST, "/", Some(13 << 20)), Kind::LargeCall);
        assert_eq!(kind(Method::POST, "/", None), Kind::LargeCall);
        assert_eq!(kind(Method::POST, "/", Some(1000)), Kind::Small);
    }
}
