//! The server: one port for the data plane, the API and presigned URLs.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use ironwharf_model::{AccountId, Region};
use ironwharf_registry::{App, AppConfig, Body, EgressRules, RateLimits, Regions, RegistryHost, RootCredentials, body};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Sentence;
use crate::counting::{CallCounts, behind};
use crate::credentials::{self, Endpoint, RootKey};
use crate::embedded::{BUCKET_PREFIX, Embedded, OpenError};
use crate::regions::{EmbeddedRegions, EndpointRegions};

/// What to serve, and where.
#[derive(Debug)]
pub struct ServeOptions {
    /// The address.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The account.
    pub account: AccountId,
    /// The Region of requests that name none.
    pub region: Region,
    /// The host in image names; `localhost:<port>` if it is not given.
    pub registry_host: Option<RegistryHost>,
    /// Services to use instead of the embedded ones.
    pub endpoint_url: Option<String>,
    /// Whether new registries let a push create its repository.
    pub create_on_push: bool,
    /// How often a tenant may do what.
    pub rate_limits: RateLimits,
    /// Where the registry connects to when a tenant names a host.
    pub egress: EgressRules,
    /// The root of the account.
    pub root: RootKey,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    service: Service,
    address: SocketAddr,
}

#[derive(Clone)]
struct Service {
    app: App,
    embedded: Option<Arc<Embedded>>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Service").finish_non_exhaustive()
    }
}

/// Why another endpoint cannot be used without more.
const NO_CREDENTIALS: &str = "there are no AWS credentials for --endpoint-url: set AWS_ACCESS_KEY_ID and \
    AWS_SECRET_ACCESS_KEY (LocalStack takes `test` for both), or AWS_PROFILE";

/// Serves until a signal says to stop.
pub async fn serve(options: ServeOptions) -> Result<(), Sentence> {
    let (data_dir, region) = (options.data_dir.clone(), options.region.to_string());
    let server = Server::bind(options, None).await?;
    let (mut terminate, mut interrupt) = (stop_signal(SignalKind::terminate())?, stop_signal(SignalKind::interrupt())?);
    // As clients reach it: docker takes `localhost` without TLS.
    let host = match server.address {
        address if address.ip().is_unspecified() => format!("localhost:{}", address.port()),
        address if address.ip() == Ipv4Addr::LOCALHOST => format!("localhost:{}", address.port()),
        address => address.to_string(),
    };
    credentials::write_endpoint(&data_dir, &Endpoint { url: format!("http://{host}"), region });
    let mut stdout = std::io::stdout().lock();
    // Whoever started the server may not be reading; it serves all the same.
    let _ = writeln!(stdout, "ironwharf listening on http://{}", server.address);
    let _ = writeln!(stdout, "{}", first_steps(&host, &data_dir));
    drop(stdout);
    let stop = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    server.run(stop).await;
    Ok(())
}

/// What to type next, with the commands as they work from here.
fn first_steps(host: &str, data_dir: &Path) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "ironwharf".to_owned());
    let data_dir = data_dir.display().to_string().replace('\'', r"'\''");
    format!(
        "  log in:  {program} login-password --data-dir '{data_dir}' | docker login --username AWS --password-stdin {host}\n  \
           push:    docker push {host}/hello:latest\n  \
           manage:  eval \"$({program} credentials --data-dir '{data_dir}' --format env)\" && aws ecr describe-repositories\n  \
           data:    {data_dir}"
    )
}

fn stop_signal(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Sentence> {
    signal(kind).map_err(|error| format!("cannot listen for signals: {error}"))
}

impl Server {
    /// Opens the data folder and the port.
    ///
    /// # Errors
    /// One sentence that says what is in the way.
    pub async fn bind(options: ServeOptions, counts: Option<CallCounts>) -> Result<Self, Sentence> {
        // The port first: it is the cheaper thing to find taken.
        let listener = TcpListener::bind(options.listen).await.map_err(|error| {
            format!("cannot listen on {}: {error}; choose another address with --listen", options.listen)
        })?;
        let address = listener.local_addr().map_err(|error| format!("cannot listen: {error}"))?;
        let (regions, embedded) = open_regions(&options, counts)?;
        let default_host = || RegistryHost::parse(&format!("localhost:{}", address.port()), false);
        let identity_region = identity_region(&options)?;
        let registry_host = options.registry_host.map_or_else(default_host, Ok)?;
        let RootKey { access_key_id, secret_access_key } = options.root;
        let config = AppConfig {
            identity_region,
            region: options.region.clone(),
            registry_host,
            create_on_push: options.create_on_push,
            serves_objects: embedded.is_some(),
            rate_limits: options.rate_limits,
            roots: vec![RootCredentials { account: options.account, access_key_id, secret_access_key }],
            egress: options.egress,
            tenancy: ironwharf_registry::Tenancy::Pool,
        };
        let app = App::new(config, regions);
        app.open_region(&options.region).await.map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            // What the SDK puts in parentheses is for programmers.
            let reason = source.split(" (").next().unwrap_or_default();
            if reason.contains("credential") {
                return NO_CREDENTIALS.to_owned();
            }
            let place = options.endpoint_url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
            format!("cannot open the storage of {}{place}: {reason}", options.region)
        })?;
        Ok(Self { listener, service: Service { app, embedded }, address })
    }

    /// The address that was bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The embedded services, if these are what is served from.
    #[must_use]
    pub fn embedded(&self) -> Option<Arc<Embedded>> {
        self.service.embedded.clone()
    }

    /// The registry behind the port.
    pub(crate) const fn app(&self) -> &App {
        &self.service.app
    }

    /// Serves until `stop` is done; then finishes the requests in flight.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, service, .. } = self;
        let app = service.app.clone();
        let worker = tokio::spawn(async move { Box::pin(behind(app.do_work())).await });
        let app = service.app.clone();
        let recorder = tokio::spawn(behind(app.record_pulls()));
        let working = worker.abort_handle();
        let stop = async move {
            stop.await;
            // Whatever step it is in, the next start goes on from there.
            working.abort();
        };
        ironwharf_front::serve(listener, service, stop).await;
        recorder.abort();
        behind(app.flush_pulls()).await;
        // Whoever opens the folder next finds it free.
        let _ = recorder.await;
    }
}

/// Where accounts, users and policies are kept. In a data folder that is the
/// same Region whatever `--region` says today.
fn identity_region(options: &ServeOptions) -> Result<Region, Sentence> {
    match options.endpoint_url {
        None => Region::parse("us-east-1").map_err(|error| error.to_string()),
        Some(_) => Ok(options.region.clone()),
    }
}

/// Where Regions come from, and the embedded services if it is from them.
type RegionSource = (Box<dyn Regions>, Option<Arc<Embedded>>);

fn open_regions(options: &ServeOptions, counts: Option<CallCounts>) -> Result<RegionSource, Sentence> {
    if let Some(endpoint_url) = options.endpoint_url.clone() {
        let region = options.region.clone();
        return Ok((Box::new(EndpointRegions { endpoint_url, region }), None));
    }
    let opened = Embedded::open(&options.data_dir, options.account.as_str());
    let embedded = opened.map_err(|error: OpenError| error.to_string())?;
    embedded.spawn_maintenance();
    let (embedded, region) = (Arc::new(embedded), options.region.clone());
    Ok((Box::new(EmbeddedRegions { embedded: Arc::clone(&embedded), region, counts }), Some(embedded)))
}

impl ironwharf_front::Handler for Service {
    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        match &self.embedded {
            Some(embedded) => match object_region(request.uri().path()) {
                Some(region) => serve_object(embedded, &region, request).await,
                None => self.registry(request).await,
            },
            None => self.registry(request).await,
        }
    }
}

impl Service {
    async fn registry(&self, request: Request<Incoming>) -> Response<Body> {
        self.app.handle(request.map(|incoming| incoming.map_err(Into::into).boxed_unsync())).await
    }
}

/// The Region whose bucket a path is in: `/ironwharf-<region>/<key>`.
fn object_region(path: &str) -> Option<Region> {
    let bucket = path.strip_prefix('/')?.split('/').next()?;
    Region::parse(bucket.strip_prefix(BUCKET_PREFIX)?).ok()
}

/// A presigned URL. Its signature is all it needs; clients that followed our
/// redirect to the same host still send what they logged in with.
async fn serve_object(embedded: &Embedded, region: &Region, mut request: Request<Incoming>) -> Response<Body> {
    request.headers_mut().remove(AUTHORIZATION);
    if let Ok(Some(services)) = embedded.existing_region(region.as_str()) {
        services.objects.serve(request).await.map(|object| object.map_err(Into::into).boxed_unsync())
    } else {
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    }
}
