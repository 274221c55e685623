//! Who may use the buckets: the holder of the data folder's one key pair.
//!
//! Invariant: nothing but `GetObject` and `HeadObject` can be reached from the
//! public port, whatever is signed.
//! Invariant: a signature made for another Region or service opens nothing here.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{GetObjectInput, HeadObjectInput};
use s3s::{S3Request, S3Result, s3_error};

use super::ObjectBody;
use crate::embedded::ServiceCredentials;

/// Marks a request that came in through the public port.
#[derive(Debug, Clone, Copy)]
pub(super) struct FromPublicPort;

/// Knows the one key pair and the Region it is used in.
#[derive(Debug, Clone)]
pub(super) struct ServiceAuth {
    region: Arc<str>,
    credentials: ServiceCredentials,
}

impl ServiceAuth {
    pub(super) fn new(region: &str, credentials: &ServiceCredentials) -> Self {
        Self { region: Arc::from(region), credentials: credentials.clone() }
    }

    fn check_scope<T>(&self, request: &S3Request<T>) -> S3Result<()> {
        let region = request.region.as_ref().map(s3s::region::Region::as_str);
        let service = request.service.as_deref();
        if region == Some(&*self.region) && service == Some("s3") {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "The request is not signed for S3 in this Region."))
    }
}

#[async_trait::async_trait]
impl S3Auth for ServiceAuth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.credentials.access_key_id {
            return Ok(self.credentials.secret_access_key.clone().into());
        }
        Err(s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records."))
    }
}

#[async_trait::async_trait]
impl S3Access for ServiceAuth {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let is_public = context.extensions_mut().get::<FromPublicPort>().is_some();
        let is_read = matches!(context.s3_op().name(), "GetObject" | "HeadObject");
        if is_public && !is_read {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        Ok(())
    }

    async fn get_object(&self, request: &mut S3Request<GetObjectInput>) -> S3Result<()> {
        self.check_scope(request)
    }

    async fn head_object(&self, request: &mut S3Request<HeadObjectInput>) -> S3Result<()> {
        self.check_scope(request)
    }
}

/// Whether a request from the public port is worth checking its signature.
pub(super) fn is_presigned_read(parts: &http::request::Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    let is_signed = query.split('&').any(|pair| pair.starts_with("X-Amz-Signature="));
    matches!(parts.method, Method::GET | Method::HEAD) && is_signed && !parts.headers.contains_key(AUTHORIZATION)
}

/// What everything else gets.
pub(super) fn denied() -> http::Response<ObjectBody> {
    const BODY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let body = Full::from(BODY).map_err(|never| match never {}).boxed();
    let mut response = http::Response::new(body);
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
