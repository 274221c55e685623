//! IAM and STS: AWS Query over `POST /`, or `GET /` where the request is presigned.
//!
//! Invariant: a request is authenticated before its operation is looked at,
//! except for the one operation that needs no credentials.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use ironwharf_model::error::SignatureFailure;
use ironwharf_model::{Error, Result};
use ironwharf_wire::query::{Form, Service};
use ironwharf_wire::{iam, sts as sts_wire};

use super::{ops, sts};
use crate::app::App;
use crate::authenticate::Caller;
use crate::body::{self, Body};
use crate::{audit, aws};

/// The largest request: a policy of 131,072 characters, all of them escaped,
/// with room around it.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Whether a request to `/` speaks the Query protocol.
pub(crate) fn is_query(parts: &Parts) -> bool {
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = content_type.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    let has_action = parts.uri.query().is_some_and(|query| query.split('&').any(|field| field.starts_with("Action=")));
    match parts.method {
        Method::POST => !parts.headers.contains_key("x-amz-target") && (is_form || has_action),
        Method::GET => has_action,
        _ => false,
    }
}

/// Answers a request, and says in whose name.
pub(crate) async fn answer(
    app: &App,
    parts: &Parts,
    body: &mut Body,
    request_id: &str,
) -> (Service, Result<Response<Body>>) {
    let read = match body::read(body, MAX_REQUEST_BYTES).await {
        Ok(bytes) => form(parts, &bytes).map(|form| (bytes, form)),
        Err(error) => Err(error),
    };
    let (bytes, form) = match read {
        Ok(read) => read,
        Err(error) => return (sts_wire::SERVICE, Err(error)),
    };
    // A version names the service; without one the operation does.
    let is_iam = form.version() == Some(iam::API_VERSION)
        || form.version().is_none() && form.action().is_some_and(|action| iam::OperationName::parse(action).is_some());
    let (service, answered) = if is_iam {
        (iam::SERVICE, answer_iam(app, parts, &bytes, &form, request_id).await)
    } else {
        (sts_wire::SERVICE, answer_sts(app, parts, &bytes, &form, request_id).await)
    };
    let response = answered.map(|xml| {
        let mut response = Response::new(body::full(xml));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        response
    });
    (service, response)
}

/// The fields of a request. They stand in the body, or in the query of a
/// presigned request, and never in both.
fn form(parts: &Parts, body: &[u8]) -> Result<Form> {
    let body = std::str::from_utf8(body)
        .map_err(|_| Error::Serialization { message: "The request body is not UTF-8".to_owned() })?;
    let query = parts.uri.query().unwrap_or_default();
    let has_action = query.split('&').any(|field| field.starts_with("Action="));
    if has_action && !body.is_empty() {
        let message = "The parameters must be in the body or in the query, not in both".to_owned();
        return Err(Error::Serialization { message });
    }
    Ok(Form::parse(if has_action { query } else { body })?)
}

async fn answer_iam(app: &App, parts: &Parts, body: &[u8], form: &Form, request_id: &str) -> Result<String> {
    let caller = signed(app, parts, body, iam::SIGNING_NAME, form).await?;
    match iam::operation(form) {
        Ok(operation) => ops::dispatch(app, parts, caller, operation, form, request_id).await,
        Err(error) => Err(unknown(&caller, iam::SIGNING_NAME, form, error).await),
    }
}

async fn answer_sts(app: &App, parts: &Parts, body: &[u8], form: &Form, request_id: &str) -> Result<String> {
    if sts_wire::operation(form).is_ok_and(|operation| operation == sts_wire::OperationName::AssumeRoleWithWebIdentity)
    {
        // It is rare, and large.
        return Box::pin(sts::web_identity::answer(app, parts, form, request_id)).await;
    }
    let caller = signed(app, parts, body, sts_wire::SIGNING_NAME, form).await?;
    match sts_wire::operation(form) {
        Ok(operation) => sts::dispatch(app, caller, operation, form, request_id).await,
        Err(error) => Err(unknown(&caller, sts_wire::SIGNING_NAME, form, error).await),
    }
}

/// Notes that somebody asked for what is no operation.
async fn unknown(caller: &Caller, service: &str, form: &Form, error: Error) -> Error {
    let action = aws::action(service, form.action().unwrap_or_default());
    audit::refused_input(caller, &action, &error).await;
    error
}

async fn signed(app: &App, parts: &Parts, body: &[u8], service: &str, form: &Form) -> Result<Caller> {
    let query = parts.uri.query().unwrap_or_default();
    if !parts.headers.contains_key(http::header::AUTHORIZATION) && !query.contains("X-Amz-Signature=") {
        let message = "Request is missing Authentication Token".to_owned();
        return Err(Error::Signature { failure: SignatureFailure::Missing, message });
    }
    aws::signed(app, parts, body, service, form.action().unwrap_or_default()).await
}
