//! OCI Distribution 1.1: the data plane.
//!
//! | route | action |
//! |---|---|
//! | `GET /v2/` | none: any good token |
//! | `GET /v2/_catalog` | `ecr:DescribeRepositories` |
//! | tags | `ecr:ListImages` |
//! | GET and HEAD manifests, referrers | `ecr:BatchGetImage` |
//! | PUT manifests | `ecr:PutImage` |
//! | DELETE manifests and blobs | `ecr:BatchDeleteImage` |
//! | HEAD blobs | `ecr:BatchCheckLayerAvailability` |
//! | GET blobs | `ecr:GetDownloadUrlForLayer` |
//! | POST uploads | `ecr:InitiateLayerUpload` |
//! | GET, PATCH and DELETE uploads | `ecr:UploadLayerPart` |
//! | PUT uploads | `ecr:CompleteLayerUpload` |

mod blobs;
mod listings;
mod manifests;
mod parameters;
mod uploads;

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use ironwharf_cloud::Mode;
use ironwharf_cloud::table::Repository;
use ironwharf_model::{Digest, Error, Reference, RepositoryName, Result};
use ironwharf_wire::ecr::shapes::RCTAppliedFor;
use ironwharf_wire::paging::{Query, QueryError};
use ironwharf_wire::route::{Route, RouteError};
use serde_json::json;
use time::OffsetDateTime;

use crate::app::{App, host};
use crate::audit;
use crate::authenticate::{self, Caller};
use crate::authorize::{Details, Permit, Resource, authorize_in_registry};
use crate::body::{self, Body};

/// The header with a manifest's or blob's digest.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Answers a data plane request.
pub(crate) async fn answer(app: &App, parts: &Parts, body: &mut Body) -> Result<Response<Body>> {
    let asked = asked(parts);
    let mut caller = authenticate::by_token(app, parts, asked, OffsetDateTime::now_utc()).await?;
    let (route, resource) = match read(app, parts, &caller) {
        Ok(read) => read,
        Err(error) => {
            if let Some(action) = asked {
                audit::refused_input(&caller, action, &error).await;
            }
            return Err(error);
        }
    };
    let Some(action) = action(&route) else { return Ok(base()) };
    caller.parameters = audit::parameters(&parameters::of(&route, parts, resource.account()));
    let only_looks = matches!(parts.method, Method::GET | Method::HEAD);
    let mode = if only_looks { Mode::Read } else { Mode::Write };
    let mut permit = authorize_in_registry(caller, mode, action, resource, &Details::default()).await?;
    if matches!(route, Route::UploadStart { .. }) && uploads::has_digest(parts) {
        permit.record_as("ecr:CompleteLayerUpload");
    }
    let call = Call { app, parts, permit: &permit };
    let result = dispatch(&call, route, body).await;
    permit.conclude(result.as_ref().err()).await;
    result
}

async fn dispatch(call: &Call<'_>, route: Route<'_>, body: &mut Body) -> Result<Response<Body>> {
    match route {
        Route::Base => Ok(base()),
        Route::Catalog => listings::catalog(call).await,
        Route::TagsList { .. } => listings::tags(call).await,
        Route::Referrers { digest, .. } => listings::referrers(call, &Digest::parse(digest)?).await,
        Route::ManifestGet { reference, .. } => manifests::get(call, &Reference::parse(reference)?, true).await,
        Route::ManifestHead { reference, .. } => manifests::get(call, &Reference::parse(reference)?, false).await,
        Route::ManifestPut { reference, .. } => manifests::put(call, &Reference::parse(reference)?, body).await,
        Route::ManifestDelete { reference, .. } => manifests::delete(call, &Reference::parse(reference)?).await,
        Route::BlobHead { digest, .. } => blobs::head(call, &Digest::parse(digest)?).await,
        Route::BlobGet { digest, .. } => blobs::get(call, &Digest::parse(digest)?).await,
        Route::BlobDelete { digest, .. } => blobs::delete(call, &Digest::parse(digest)?).await,
        Route::UploadStart { .. } => uploads::start(call, body).await,
        Route::UploadStatus { upload, .. } => uploads::status(call, upload).await,
        Route::UploadPatch { upload, .. } => uploads::append(call, upload, body).await,
        Route::UploadFinish { upload, .. } => uploads::finish(call, upload, body).await,
        Route::UploadCancel { upload, .. } => uploads::cancel(call, upload).await,
    }
}

/// What a request asks for, and what of.
fn read<'a>(app: &App, parts: &'a Parts, caller: &Caller) -> Result<(Route<'a>, Resource)> {
    let route = parse(parts)?;
    let account = addressed_registry(app, parts, caller)?;
    let resource = match route.name() {
        None => Resource::Catalog { account },
        Some(name) => Resource::Repository { account, name: RepositoryName::parse(name)? },
    };
    Ok((route, resource))
}

/// The IAM action of a request, even if the name in its path can be no name.
fn asked(parts: &Parts) -> Option<&'static str> {
    let path = parts.uri.path();
    let of = |path: &str| Route::parse(&parts.method, path).ok().as_ref().and_then(action);
    of(path).or_else(|| {
        let kinds = ["/manifests/", "/blobs/", "/tags/", "/referrers/"];
        let (_, rest) = kinds.iter().find_map(|kind| path.rsplit_once(kind).map(|(_, rest)| (kind, rest)))?;
        let kind = path.strip_suffix(rest)?.trim_end_matches('/').rsplit_once('/')?.1;
        of(&format!("/v2/name/{kind}/{rest}"))
    })
}

/// The IAM action behind a route; none for the version check, which every
/// good token passes.
const fn action(route: &Route<'_>) -> Option<&'static str> {
    match route {
        Route::Base => None,
        Route::Catalog => Some("ecr:DescribeRepositories"),
        Route::TagsList { .. } => Some("ecr:ListImages"),
        Route::ManifestGet { .. } | Route::ManifestHead { .. } | Route::Referrers { .. } => Some("ecr:BatchGetImage"),
        Route::ManifestPut { .. } => Some("ecr:PutImage"),
        Route::ManifestDelete { .. } | Route::BlobDelete { .. } => Some("ecr:BatchDeleteImage"),
        Route::BlobHead { .. } => Some("ecr:BatchCheckLayerAvailability"),
        Route::BlobGet { .. } => Some("ecr:GetDownloadUrlForLayer"),
        Route::UploadStart { .. } => Some("ecr:InitiateLayerUpload"),
        Route::UploadStatus { .. } | Route::UploadPatch { .. } | Route::UploadCancel { .. } => {
            Some("ecr:UploadLayerPart")
        }
        Route::UploadFinish { .. } => Some("ecr:CompleteLayerUpload"),
    }
}

fn parse(parts: &Parts) -> Result<Route<'_>> {
    let path = parts.uri.path();
    Route::parse(&parts.method, path).map_err(|error| match error {
        RouteError::NotFound => Error::RouteNotFound { path: path.to_owned() },
        RouteError::MethodNotAllowed { allow } => Error::MethodNotAllowed { method: parts.method.to_string(), allow },
        RouteError::NameInvalid { name, .. } => Error::RepositoryNameInvalid { name },
    })
}

/// The registry whose host the request was sent to. A host that names no
/// account stands for the one the token was asked for, which is the caller's
/// own unless it said otherwise; one that names a Region takes the
/// tokens of that Region only, as on AWS.
fn addressed_registry(app: &App, parts: &Parts, caller: &Caller) -> Result<ironwharf_model::AccountId> {
    let addressed = host(parts).and_then(|host| app.config().registry_host.read(host));
    let (account, region) = addressed.unwrap_or((None, None));
    if region.is_some_and(|region| region != *caller.region()) {
        return Err(Error::TokenRefused);
    }
    Ok(account.unwrap_or_else(|| caller.registry.clone()))
}

/// An authorized request.
struct Call<'a> {
    app: &'a App,
    parts: &'a Parts,
    permit: &'a Permit,
}

impl Call<'_> {
    fn query(&self) -> Result<Query<'_>> {
        Query::parse(self.parts.uri.query().unwrap_or_default()).map_err(|error| query_error(&error))
    }

    /// The repository a push goes to. One that is not there is created from
    /// the template that is for it, if the caller may create it.
    async fn repository_for_push(&self) -> Result<Arc<Repository>> {
        let missing = match self.permit.find_repository().await {
            Err(missing @ Error::RepositoryNotFound(_)) => missing,
            found => return found,
        };
        let (region, table) = (self.permit.region(), self.permit.table()?);
        let (registry, name) = (self.permit.registry(), self.permit.repository()?);
        let template = region.template_for(table, registry, name, RCTAppliedFor::CreateOnPush).await?;
        let Some(template) = template else { return Err(missing) };
        let resource = Resource::Repository { account: registry.clone(), name: name.clone() };
        let details = Details {
            request_tags: Some(template.labels.clone()).filter(|labels| !labels.is_empty()),
            ..Details::default()
        };
        if !self.permit.also("ecr:CreateRepository", &resource, &details).await? {
            return Err(missing);
        }
        let now_ms = self.permit.caller().now_ms();
        let parameters = json!({
            "registryId": registry,
            "repositoryName": name.as_str(),
            "imageTagMutability": template.mutability.as_str(),
        });
        let table = &self.permit.table_for_creation_on_push(&parameters)?;
        match region.create_from_template(table, registry, name, template, now_ms).await {
            // Another push was first.
            Err(Error::RepositoryAlreadyExists(_)) => self.permit.find_repository().await,
            created => created,
        }
    }

    /// A header that may be there once.
    fn header(&self, name: &HeaderName) -> Result<Option<&str>> {
        let Some(value) = self.parts.headers.get(name) else { return Ok(None) };
        let invalid = || Error::invalid_parameter(name.as_str(), "the header must be visible ASCII");
        value.to_str().map(Some).map_err(|_| invalid())
    }
}

fn query_error(error: &QueryError) -> Error {
    Error::invalid_parameter("query", error.to_string())
}

fn base() -> Response<Body> {
    let mut response = Response::new(body::full("{}"));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body. Header values are made of parsed types.
fn respond<const N: usize>(status: StatusCode, headers: [(HeaderName, String); N]) -> Result<Response<Body>> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).map_err(Error::internal)?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
