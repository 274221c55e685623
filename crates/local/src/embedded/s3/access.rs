//! Who may use the buckets: the holder of the data folder's one key pair, and
//! sessions of tenants as far as their roles go.
//!
//! | operation | action |
//! |---|---|
//! | `GetObject`, `HeadObject`, and the source of a copy | `s3:GetObject` |
//! | `PutObject`, all steps of a multipart upload, and the target of a copy | `s3:PutObject` |
//! | `AbortMultipartUpload` | `s3:AbortMultipartUpload` |
//! | `ListParts` | `s3:ListMultipartUploadParts` |
//! | `DeleteObject`, each key of `DeleteObjects` | `s3:DeleteObject` |
//! | `ListObjects`, `ListObjectsV2`, `HeadBucket` | `s3:ListBucket` |
//! | `ListMultipartUploads` | `s3:ListBucketMultipartUploads` |
//! | any other | its own name |
//!
//! Invariant: nothing but `GetObject` and `HeadObject` can be reached from the
//! public port, whatever is signed.
//! Invariant: a signature made for another Region or service opens nothing here.
//! Invariant: temporary credentials are worth nothing without their token.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{CopyObjectInput, CopySource, DeleteObjectsInput, GetObjectInput, HeadObjectInput, UploadPartCopyInput};
use s3s::path::S3Path;
use s3s::{S3Request, S3Result, s3_error};

use super::ObjectBody;
use super::objects::copy_source;
use crate::embedded::authentication::Gate;
use crate::embedded::clock::now;
use crate::embedded::roles::Access;
use crate::embedded::sessions::{Sender, TenantSession, TokenRefusal};

/// Marks a request that came in through the public port.
#[derive(Debug, Clone, Copy)]
pub(super) struct FromPublicPort;

/// Knows the secrets of senders, and what they may do.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    gate: Gate,
}

impl Guard {
    pub(super) const fn new(gate: Gate) -> Self {
        Self { gate }
    }

    fn check_scope<T>(&self, request: &S3Request<T>) -> S3Result<()> {
        let region = request.region.as_ref().map(s3s::region::Region::as_str);
        let service = request.service.as_deref();
        if region == Some(&*self.gate.region) && service == Some("s3") {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "The request is not signed for S3 in this Region."))
    }

    fn check_role(&self, session: &TenantSession, accesses: &[Access]) -> S3Result<()> {
        self.gate.roles.check(session, accesses).map_err(|message| {
            tracing::warn!(message, "a tenant's session was refused");
            s3_error!(AccessDenied, "{message}")
        })
    }

    fn access(&self, action: &str, bucket: &str, key: Option<&str>) -> Access {
        Access::new(&format!("s3:{action}"), &self.gate.roles.s3_arn(bucket, key))
    }

    /// The access to an object that a request names besides the one in its path.
    fn check_object<T>(&self, request: &S3Request<T>, action: &str, bucket: &str, key: &str) -> S3Result<()> {
        let Some(session) = request.extensions.get::<TenantSession>() else { return Ok(()) };
        self.check_role(session, &[self.access(action, bucket, Some(key))])
    }

    fn check_source<T>(&self, request: &S3Request<T>, source: &CopySource) -> S3Result<()> {
        let (bucket, key) = copy_source(source)?;
        self.check_object(request, "GetObject", &bucket, &key)
    }
}

#[async_trait::async_trait]
impl S3Auth for Guard {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self.gate.sessions.secret_of(access_key);
        secret.map(SecretKey::from).ok_or_else(|| {
            s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
        })
    }
}

#[async_trait::async_trait]
impl S3Access for Guard {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = context.credentials() else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let token = token(context.uri(), context.headers())?;
        let sender = self.gate.sessions.sender(&credentials.access_key, token, now());
        let sender = sender.map_err(|refusal| match refusal {
            TokenRefusal::Invalid => s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."),
            TokenRefusal::Expired => s3_error!(ExpiredToken, "The provided token has expired."),
        })?;
        let is_public = context.extensions_mut().get::<FromPublicPort>().is_some();
        let operation = context.s3_op().name();
        let is_read = matches!(operation, "GetObject" | "HeadObject");
        if is_public && !is_read {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        if let Sender::Tenant(session) = sender {
            // Its keys are in the body; they are checked when it has been read.
            if operation != "DeleteObjects" {
                let access = match context.s3_path() {
                    S3Path::Root => Access::new(&format!("s3:{}", action(operation)), "*"),
                    S3Path::Bucket { bucket } => self.access(action(operation), bucket, None),
                    S3Path::Object { bucket, key } => self.access(action(operation), bucket, Some(key)),
                };
                self.check_role(&session, &[access])?;
            }
            context.extensions_mut().insert(session);
        }
        Ok(())
    }

    async fn get_object(&self, request: &mut S3Request<GetObjectInput>) -> S3Result<()> {
        self.check_scope(request)
    }

    async fn head_object(&self, request: &mut S3Request<HeadObjectInput>) -> S3Result<()> {
        self.check_scope(request)
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        self.check_source(request, &request.input.copy_source)
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        self.check_source(request, &request.input.copy_source)
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        for object in &request.input.delete.objects {
            self.check_object(request, "DeleteObject", &request.input.bucket, &object.key)?;
        }
        Ok(())
    }
}

/// The name of the IAM action behind an operation. (Service Authorization
/// Reference: Amazon S3.)
fn action(operation: &str) -> &str {
    match operation {
        "HeadObject" => "GetObject",
        "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "CopyObject"
        | "PostObject" => "PutObject",
        "ListParts" => "ListMultipartUploadParts",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        other => other,
    }
}

/// The session token of a request: the header, or the parameter of a presigned
/// URL, in which a token of ours needs no encoding.
fn token<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> S3Result<Option<&'a str>> {
    let parameters = uri.query().unwrap_or_default().split('&');
    let parameters = parameters.filter_map(|pair| pair.strip_prefix("X-Amz-Security-Token=")).map(Some);
    let headers = headers.get_all("x-amz-security-token").iter().map(|value| value.to_str().ok());
    let mut tokens = parameters.chain(headers);
    match (tokens.next(), tokens.next()) {
        (None, _) => Ok(None),
        (Some(Some(token)), None) => Ok(Some(token)),
        _ => Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid.")),
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
