//! S3 of one Region: `s3s` does the protocol, this module keeps the objects.
//!
//! [`access`] decides who may come in, [`store`] keeps the rows, [`files`] keeps
//! the bytes, [`sealed`] encrypts them under the keys that [`vault`] gets from KMS, [`objects`], [`multipart`] and [`listing`] are the operations.
//!
//! Invariant: no row names bytes that are not on the disk. Data is written, the
//! file and its folder are synced, and only then is the row committed; when data
//! goes away the row goes first. What a crash leaves behind is therefore only
//! files without a row, and opening the store removes those.
//! Invariant: no request passes without a valid signature, in process or not;
//! one that a tenant's session signed reaches that tenant's objects only.

mod access;
mod buckets;
mod checksums;
mod content;
mod files;
mod incoming;
mod listing;
mod multipart;
mod objects;
mod outgoing;
mod records;
mod sealed;
mod store;
mod vault;

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::{HOST, RANGE};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use ironwharf_wire::range::plain_range;
use s3s::service::{S3Service, S3ServiceBuilder};

use self::access::{FromPublicPort, Guard};
use self::buckets::Buckets;
use self::vault::Vault;
use super::OpenError;
use super::authentication::Gate;
use super::connector::failed;
use super::kms::Keys;

/// The body of an answer on the public port.
pub type ObjectBody = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Opens the buckets of one Region: the SDK's end and the public end.
pub(super) fn open(dir: &Path, gate: Gate, keys: Keys) -> Result<(SharedHttpClient, PublicObjects), OpenError> {
    let vault = Vault { keys, roles: Arc::clone(&gate.roles), region: Arc::clone(&gate.region) };
    let buckets = Buckets::open(dir, vault)?;
    let guard = Guard::new(gate);
    let mut builder = S3ServiceBuilder::new(buckets);
    builder.set_auth(guard.clone());
    builder.set_access(guard);
    let service = builder.build();
    let client = SharedHttpClient::new(InProcess(service.clone()));
    Ok((client, PublicObjects { service }))
}

/// The SDK's end of the service.
#[derive(Debug, Clone)]
struct InProcess(S3Service);

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = self.0.clone();
        HttpConnectorFuture::new(async move { answer(&service, request).await })
    }
}

async fn answer(service: &S3Service, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let mut request = request.try_into_http1x().map_err(failed)?;
    // A socket would have sent the header that the signature covers.
    if !request.headers().contains_key(HOST) {
        let authority = request.uri().authority().map_or("", |a| a.as_str());
        let host = HeaderValue::from_str(authority).map_err(failed)?;
        request.headers_mut().insert(HOST, host);
    }
    let is_head = request.method() == Method::HEAD;
    let response = service
        .call(request.map(s3s::Body::http_body))
        .await
        .map_err(|error| failed(<Box<dyn std::error::Error + Send + Sync>>::from(error)))?;
    // A socket would have dropped the body too; with it the SDK reads the code
    // NoSuchKey where HeadObject has only NotFound.
    let response = response.map(|body| if is_head { SdkBody::empty() } else { SdkBody::from_body_1_x(body) });
    response.try_into().map_err(failed)
}

/// Presigned object URLs on the public port.
///
/// Only `GET` and `HEAD` of one object, with the signature in the query, get
/// through; everything else answers 403 and never reaches an operation.
#[derive(Clone)]
pub struct PublicObjects {
    service: S3Service,
}

impl fmt::Debug for PublicObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicObjects")
    }
}

impl PublicObjects {
    /// Answers one request. Its body is ignored: no presigned URL has one.
    pub async fn serve<B>(&self, request: http::Request<B>) -> http::Response<ObjectBody> {
        let (mut parts, _) = request.into_parts();
        if !access::is_presigned_read(&parts) {
            return access::denied();
        }
        let is_head = parts.method == Method::HEAD;
        parts.extensions.insert(FromPublicPort);
        simplify_range(&mut parts.headers);
        let request = http::Request::from_parts(parts, s3s::Body::empty());
        match self.service.call(request).await {
            Ok(response) if is_head => response.map(|_| empty()),
            Ok(response) => response.map(BodyExt::boxed),
            Err(error) => {
                let error = <Box<dyn std::error::Error + Send + Sync>>::from(error);
                tracing::error!(%error, "an object request got no answer");
                let mut response = http::Response::new(empty());
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

/// Leaves of `Range` what S3 obeys: it ignores what it cannot read, where `s3s`
/// refuses it.
fn simplify_range(headers: &mut HeaderMap) {
    let mut given = headers.get_all(RANGE).iter();
    let range = match (given.next(), given.next()) {
        (Some(range), None) => range.to_str().ok().and_then(plain_range),
        _ => None,
    };
    match range.and_then(|range| HeaderValue::try_from(range).ok()) {
        Some(range) => drop(headers.insert(RANGE, range)),
        None => drop(headers.remove(RANGE)),
    }
}

fn empty() -> ObjectBody {
    http_body_util::Empty::new().map_err(|never: Infallible| match never {}).boxed()
}
