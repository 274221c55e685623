//! The ECR API, and the operator's: AWS JSON 1.1 over `POST /`.

use http::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use ironwharf_model::error::{SignatureFailure, quoted};
use ironwharf_model::{Error, Result};
use ironwharf_wire::ecr::{OperationName, TARGET_PREFIX};
use ironwharf_wire::sigv4;
use time::OffsetDateTime;

use crate::app::App;
use crate::audit::{self, lookup};
use crate::authenticate::{self, Caller};
use crate::body::{self, Body};
use crate::{operator, ops};

/// The SigV4 service name of the ECR API.
const SERVICE: &str = "ecr";

/// The header that names the operation.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// The largest request: a layer part of 20 MiB in base64, with room around it.
const MAX_REQUEST_BYTES: usize = 30 * 1024 * 1024;

/// Answers an API request.
pub(crate) async fn answer(app: &App, parts: &Parts, body: &mut Body) -> Result<Response<Body>> {
    let query = parts.uri.query().unwrap_or_default();
    // Nobody gets to send megabytes before saying who they are.
    if !parts.headers.contains_key(http::header::AUTHORIZATION) && query.is_empty() {
        let message = "Missing Authentication Token".to_owned();
        return Err(Error::Signature { failure: SignatureFailure::Missing, message });
    }
    let bytes = body::read(body, MAX_REQUEST_BYTES).await?;
    let target = parts.headers.get(TARGET).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let output = if let Some(operation) = target.strip_prefix(operator::TARGET_PREFIX) {
        let caller = signed(app, parts, &bytes, operator::SERVICE, target).await?;
        operator::dispatch(app, caller, operation.trim_start_matches('.'), &bytes).await?
    } else if let Some(operation) = target.strip_prefix(lookup::TARGET_PREFIX) {
        let caller = signed(app, parts, &bytes, lookup::SERVICE, target).await?;
        lookup::dispatch(caller, operation.trim_start_matches('.'), &bytes).await?
    } else {
        let caller = signed(app, parts, &bytes, SERVICE, target).await?;
        match operation(target) {
            Ok(operation) => ops::dispatch(app, parts, caller, operation, &bytes).await?,
            Err(error) => {
                audit::refused_input(&caller, &action(SERVICE, target), &error).await;
                return Err(error);
            }
        }
    };
    let mut response = Response::new(body::full(output));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    Ok(response)
}

/// The sender of a request signed for `service`, that asks for `operation`
/// (with or without a prefix).
pub(crate) async fn signed(app: &App, parts: &Parts, body: &[u8], service: &str, operation: &str) -> Result<Caller> {
    let request = sigv4::Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        authority: parts.uri.authority().map(http::uri::Authority::as_str),
        headers: &parts.headers,
        body,
    };
    let action = action(service, operation);
    authenticate::by_signature(app, parts, &request, &[service], &action, OffsetDateTime::now_utc()).await
}

/// What a request asks for, for the audit trail: an operation that may not be
/// one, with or without a prefix.
pub(crate) fn action(service: &str, operation: &str) -> String {
    let name = operation.rsplit_once('.').map_or(operation, |(_, name)| name);
    format!("{service}:{}", quoted(name))
}

fn operation(target: &str) -> Result<OperationName> {
    let name = target.strip_prefix(TARGET_PREFIX).map(|name| name.trim_start_matches('.'));
    let operation = name.and_then(OperationName::parse);
    operation.ok_or_else(|| Error::UnknownOperation { operation: target.to_owned() })
}
