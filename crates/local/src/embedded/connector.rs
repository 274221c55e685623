//! The SDK's end of the JSON services: a request in, an answer out, no socket.
//!
//! Invariant: no operation runs for a request whose signature is not good, or
//! for a session whose role does not allow it.
//! Invariant: no request body is read that the SDK has not fully in memory; the
//! JSON protocols have no streaming bodies.
//! Invariant: nothing that writes to a disk runs on a thread of the async runtime.

use std::fmt;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::request::Parts;

use ironwharf_cloud::STORAGE_FULL;

use super::authentication::{Gate, Refusal};
use super::roles::{Access, Roles};

/// What a JSON service answers.
pub(super) struct JsonAnswer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The JSON document.
    pub(super) body: Vec<u8>,
}

/// A service of the `awsJson` protocols.
pub(super) trait JsonService: Clone + fmt::Debug + Send + Sync + 'static {
    /// The content type of every answer.
    const CONTENT_TYPE: &'static str;

    /// The name of the service in signatures.
    const SIGNING_NAME: &'static str;

    /// Whether the operation may run on a thread of the async runtime: it
    /// returns within microseconds and waits for no disk.
    fn is_quick(operation: &str) -> bool;

    /// What one operation asks for, for a session whose role may not allow it.
    fn accesses(roles: &Roles, operation: &str, body: &[u8]) -> Vec<Access>;

    /// Runs one operation.
    fn answer(&self, operation: &str, body: &[u8]) -> JsonAnswer;
}

/// An HTTP client for the SDK that sends everything to `service`.
pub(super) fn json_client<S: JsonService>(service: S, gate: Gate) -> SharedHttpClient {
    SharedHttpClient::new(JsonConnector { service, gate })
}

#[derive(Debug, Clone)]
struct JsonConnector<S> {
    service: S,
    gate: Gate,
}

impl<S: JsonService> HttpClient for JsonConnector<S> {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl<S: JsonService> HttpConnector for JsonConnector<S> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (parts, body) = match request.try_into_http1x() {
            Ok(request) => request.into_parts(),
            Err(error) => return HttpConnectorFuture::ready(Err(failed(error))),
        };
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
        if S::is_quick(&operation) {
            return HttpConnectorFuture::ready(respond::<S>(self.answer(&parts, &operation, &body)));
        }
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let answer = tokio::task::spawn_blocking(move || connector.answer(&parts, &operation, &body));
            respond::<S>(answer.await.map_err(failed)?)
        })
    }
}

impl<S: JsonService> JsonConnector<S> {
    fn answer(&self, parts: &Parts, operation: &str, body: &[u8]) -> JsonAnswer {
        let sender = self.gate.sender(S::SIGNING_NAME, parts, body);
        let admitted =
            sender.and_then(|sender| self.gate.check(&sender, || S::accesses(&self.gate.roles, operation, body)));
        match admitted {
            Ok(()) => match self.service.answer(operation, body) {
                answer if answer.status >= 500 && says_full(&answer.body) => {
                    refusal(STORAGE_FULL, "There is no space left on the disk of the data folder.")
                }
                answer => answer,
            },
            Err(Refusal { code, message }) => refusal(code, &message),
        }
    }
}

/// An error that the SDK does not try again.
fn refusal(code: &str, message: &str) -> JsonAnswer {
    let body = serde_json::json!({ "__type": code, "message": message });
    JsonAnswer { status: 400, body: body.to_string().into_bytes() }
}

/// Whether a fault is `SQLITE_FULL`, of which only the sentence gets here.
fn says_full(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| text.contains("database or disk is full"))
}

fn respond<S: JsonService>(answer: JsonAnswer) -> Result<HttpResponse, ConnectorError> {
    let status = answer.status.try_into().map_err(failed)?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", S::CONTENT_TYPE);
    Ok(response)
}

/// A fault of the embedded service itself, which the SDK reports as a dispatch failure.
pub(super) fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ConnectorError {
    ConnectorError::other(error.into(), None)
}
