//! The front door: every request of either protocol enters here.

use std::sync::Arc;
use std::time::Instant;

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode};
use ironwharf_cloud::random;
use ironwharf_model::{Error, Result};
use ironwharf_wire::error;
use ironwharf_wire::query::Service;
use tokio::sync::{Notify, OnceCell};
use tracing::Instrument as _;

use crate::audit::{Foreign, Unproven};
use crate::authenticate::RequestId;
use crate::body::{self, Body};
use crate::config::AppConfig;
use crate::identity::oidc::Issuers;
use crate::identity::{self, Directory};
use crate::region::{OpenRegions, Regions};
use crate::throttle::Throttle;
use crate::{aws, oci};

/// The header that carries the id of a request, as AWS names it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The header of the Docker registry API version.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A registry: stateless handlers over the storage of its Regions.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    config: AppConfig,
    regions: OpenRegions,
    directory: OnceCell<Arc<Directory>>,
    throttle: Arc<Throttle>,
    issuers: Issuers,
    work_made: Notify,
    unproven: Unproven,
    foreign: Arc<Foreign>,
}

/// Which protocol a request speaks, which decides how its errors are sent.
#[derive(Clone, Copy)]
enum Protocol {
    Oci,
    /// AWS JSON 1.1: the ECR API, and that of the operator.
    Json,
    /// AWS Query: IAM and STS.
    Query(Service),
}

/// A request that is being answered: its id, and what the log says of it.
struct Observed {
    id: String,
    span: tracing::Span,
    started: Instant,
}

impl Observed {
    fn begin(request: &mut Request<Body>) -> Self {
        let id = random::uuid();
        request.extensions_mut().insert(RequestId(id.clone()));
        let method = request.method().clone();
        // The query can hold a signature; only the path is logged.
        let path = ironwharf_model::error::quoted(request.uri().path());
        let span = tracing::info_span!("request", id = %id, %method, path);
        Self { id, span, started: Instant::now() }
    }

    fn end(self, mut response: Response<Body>) -> Response<Body> {
        if let Ok(value) = HeaderValue::from_str(&self.id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let status = response.status().as_u16();
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.span.in_scope(|| tracing::info!(status, elapsed_ms, "answered"));
        response
    }
}

impl App {
    /// A registry with this configuration.
    #[must_use]
    pub fn new(config: AppConfig, regions: Box<dyn Regions>) -> Self {
        let (regions, directory) = (OpenRegions::new(regions, config.create_on_push), OnceCell::new());
        let throttle = Arc::new(Throttle::new(config.rate_limits));
        let issuers = Issuers::new(config.egress.clone());
        let (work_made, unproven, foreign) = (Notify::new(), Unproven::default(), Arc::default());
        let inner = Inner { config, regions, directory, throttle, issuers, work_made, unproven, foreign };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn config(&self) -> &AppConfig {
        &self.inner.config
    }

    pub(crate) fn regions(&self) -> &OpenRegions {
        &self.inner.regions
    }

    pub(crate) fn throttle(&self) -> &Arc<Throttle> {
        &self.inner.throttle
    }

    /// The issuers of web identity tokens.
    pub(crate) fn issuers(&self) -> &Issuers {
        &self.inner.issuers
    }

    /// Wakes whoever does work in this process.
    pub(crate) fn work_made(&self) -> &Notify {
        &self.inner.work_made
    }

    /// How many refusals of strangers were kept.
    pub(crate) fn unproven(&self) -> &Unproven {
        &self.inner.unproven
    }

    /// How many refusals of other accounts' principals were kept.
    pub(crate) fn foreign(&self) -> &Arc<Foreign> {
        &self.inner.foreign
    }

    /// Who there is, and what they may do.
    pub(crate) async fn directory(&self) -> Result<Arc<Directory>> {
        let opened = self.inner.directory.get_or_try_init(|| async {
            let region = &self.config().identity_region;
            let home = self.regions().get(region, true).await?;
            let home = home.ok_or_else(|| Error::internal(format!("the identity Region {region} is not served")))?;
            Ok::<_, Error>(Arc::new(Directory::new(home, self.config().roots.clone())))
        });
        opened.await.map(Arc::clone)
    }

    /// Opens a Region ahead of the first request for it.
    pub async fn open_region(&self, region: &ironwharf_model::Region) -> Result<()> {
        self.regions().get(region, true).await.map(drop)
    }

    /// Answers a request. Never fails: errors are answers too.
    pub async fn handle(&self, mut request: Request<Body>) -> Response<Body> {
        let observed = Observed::begin(&mut request);
        let answer = self.route(request, &observed.id).instrument(observed.span.clone());
        let response = answer.await;
        observed.end(response)
    }

    /// The same for what is of the data plane (`/v2/`); all else is not found. A program
    /// that calls only this has no code of the APIs in it.
    pub async fn handle_data_plane(&self, mut request: Request<Body>) -> Response<Body> {
        let observed = Observed::begin(&mut request);
        let answer = self.route_data_plane(request, &observed.id).instrument(observed.span.clone());
        let response = answer.await;
        observed.end(response)
    }

    async fn route(&self, request: Request<Body>, request_id: &str) -> Response<Body> {
        let (parts, mut body) = request.into_parts();
        let path = parts.uri.path();
        let (protocol, answer) = if is_data_plane(path) {
            (Protocol::Oci, Box::pin(oci::answer(self, &parts, &mut body)).await)
        } else if path == "/healthz" {
            (Protocol::Oci, health(&parts.method))
        } else if path == "/" && identity::query_api::is_query(&parts) {
            let (service, answer) = Box::pin(identity::query_api::answer(self, &parts, &mut body, request_id)).await;
            (Protocol::Query(service), answer)
        } else if path == "/" && parts.method == Method::POST {
            (Protocol::Json, Box::pin(aws::answer(self, &parts, &mut body)).await)
        } else {
            (Protocol::Oci, Err(Error::RouteNotFound { path: path.to_owned() }))
        };
        self.respond(protocol, &parts, body, answer, request_id)
    }

    async fn route_data_plane(&self, request: Request<Body>, request_id: &str) -> Response<Body> {
        let (parts, mut body) = request.into_parts();
        let answer = match parts.uri.path() {
            path if is_data_plane(path) => Box::pin(oci::answer(self, &parts, &mut body)).await,
            path => Err(Error::RouteNotFound { path: path.to_owned() }),
        };
        self.respond(Protocol::Oci, &parts, body, answer, request_id)
    }

    fn respond(
        &self,
        protocol: Protocol,
        parts: &http::request::Parts,
        body: Body,
        answer: Result<Response<Body>>,
        request_id: &str,
    ) -> Response<Body> {
        let mut response = match answer {
            Ok(response) => response,
            Err(error) => {
                // Who asks first whether to send it is told not to.
                if !parts.headers.contains_key(EXPECT) {
                    body::drain_behind(body);
                }
                self.error_response(protocol, parts, &error, request_id)
            }
        };
        if matches!(protocol, Protocol::Oci) {
            response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        }
        response
    }

    fn error_response(
        &self,
        protocol: Protocol,
        parts: &http::request::Parts,
        error: &Error,
        request_id: &str,
    ) -> Response<Body> {
        if let Error::Internal(source) = error {
            tracing::error!(error = source.as_ref() as &dyn std::error::Error, "internal error");
        } else {
            tracing::debug!(%error, "refused");
        }
        let codes = error::codes(error);
        let (status, content_type, body) = match protocol {
            // What ECR says to who has not logged in: text, and no error of OCI.
            Protocol::Oci if matches!(error, Error::NotAuthenticated) => {
                (codes.oci_status, "text/plain; charset=utf-8", "Not Authorized\n".to_owned())
            }
            Protocol::Oci => (codes.oci_status, "application/json", error::oci_body(error).to_string()),
            Protocol::Json => (codes.aws_status, "application/x-amz-json-1.1", error::aws_body(error).to_string()),
            Protocol::Query(service) => (codes.query_status, "text/xml", service.error(error, request_id)),
        };
        let body = if parts.method == Method::HEAD { body::empty() } else { body::full(body) };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let mut insert = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        match error {
            Error::NotAuthenticated => insert(WWW_AUTHENTICATE, &self.challenge(parts)),
            Error::MethodNotAllowed { allow, .. } => insert(ALLOW, allow),
            Error::RangeNotSatisfiable { total_bytes, .. } => insert(CONTENT_RANGE, &format!("bytes */{total_bytes}")),
            Error::LayerPartOutOfOrder { expected_byte, .. } => {
                insert(http::header::RANGE, &ironwharf_wire::range::upload_range(*expected_byte));
            }
            _ => {}
        }
        response
    }

    /// The challenge for an anonymous data plane request, in ECR's form.
    fn challenge(&self, parts: &http::request::Parts) -> String {
        let config = self.config();
        let account = config.roots.first().map(|root| &root.account);
        let host = match (host(parts), account) {
            (Some(host), _) => host.to_owned(),
            (None, Some(account)) => config.registry_host.host(account, &config.region),
            (None, None) => "localhost".to_owned(),
        };
        format!("Basic realm=\"https://{host}/\",service=\"ecr.amazonaws.com\"")
    }
}

fn is_data_plane(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}

/// The host a request was sent to, if it is one that can stand in a header.
pub(crate) fn host(parts: &http::request::Parts) -> Option<&str> {
    let header = parts.headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
    let host = header.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    (!host.is_empty() && host.len() <= 255 && host.bytes().all(is_plain)).then_some(host)
}

fn health(method: &Method) -> Result<Response<Body>> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Error::MethodNotAllowed { method: method.to_string(), allow: "GET, HEAD" });
    }
    let mut response = Response::new(body::full("ok\n"));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
