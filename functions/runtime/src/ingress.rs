//! The streaming ingress: what carries the bytes of a layer or a manifest.
//!
//! The same handlers as the functions', in a container behind the same load
//! balancer: a body streams to S3 as it comes, whatever its size, and memory
//! does not grow with it. It listens on `IRONWHARF_LISTEN` (`0.0.0.0:8080` if
//! that is not set); the rest of its environment is that of a function.
//!
//! Invariant: nothing but the load balancer reaches the port (the security
//! group sees to it), so its `X-Forwarded-For` says who the client is.

use std::net::SocketAddr;
use std::process::ExitCode;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use ironwharf_front::Handler;
use ironwharf_registry::{Body, ClientAddress};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::event::forwarded_for;
use crate::function::Function;
use crate::scope::Scope;

/// The function behind HTTP.
#[derive(Clone)]
pub struct Ingress {
    function: Function,
}

impl Ingress {
    /// An ingress to what `function` answers.
    #[must_use]
    pub const fn new(function: Function) -> Self {
        Self { function }
    }
}

impl Handler for Ingress {
    async fn answer(self, mut request: Request<Incoming>) -> Response<Body> {
        // Without the header it is the load balancer itself, asking for health.
        if let Some(client) = forwarded_for(request.headers()).and_then(|address| address.parse().ok()) {
            request.extensions_mut().insert(ClientAddress(client));
        }
        self.function.respond(request.map(|body| body.map_err(Into::into).boxed_unsync())).await
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
    let ingress = Ingress::new(Function::start(Scope::Ingress).await?);
    let cannot = |error: std::io::Error| format!("cannot listen on {listen}: {error}");
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    println!("ironwharf-ingress listening on http://{address}");
    let stop = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    ironwharf_front::serve(listener, ingress, stop).await;
    Ok(())
}
