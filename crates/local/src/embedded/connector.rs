//! The SDK's end of the JSON services: a request in, an answer out, no socket.
//!
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

    /// Whether the operation may run on a thread of the async runtime: it
    /// returns within microseconds and waits for no disk.
    fn is_quick(operation: &str) -> bool;

    /// Runs one operation.
    fn answer(&self, operation: &str, body: &[u8]) -> JsonAnswer;
}

/// An HTTP client for the SDK that sends everything to `service`.
pub(super) fn json_client<S: JsonService>(service: S) -> SharedHttpClient {
    SharedHttpClient::new(JsonConnector(service))
}

#[derive(Debug, Clone)]
struct JsonConnector<S>(S);

impl<S: JsonService> HttpClient for JsonConnector<S> {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl<S: JsonService> HttpConnector for JsonConnector<S> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = Bytes::copy_from_slice(request.body().bytes().unwrap_or_default());
        if S::is_quick(&operation) {
            return HttpConnectorFuture::ready(respond::<S>(self.0.answer(&operation, &body)));
        }
        let service = self.0.clone();
        HttpConnectorFuture::new(async move {
            let answer = tokio::task::spawn_blocking(move || service.answer(&operation, &body));
            respond::<S>(answer.await.map_err(failed)?)
        })
    }
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
