//! Counts the calls that reach the services: what a request costs on AWS.
//! Work behind the requests ([`behind`]) is not counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

tokio::task_local! {
    static BEHIND: ();
}

/// Runs work that no request waits for, without counting its calls.
pub async fn behind<F: Future>(work: F) -> F::Output {
    BEHIND.scope((), work).await
}

/// Calls so far, by service and operation, such as `DynamoDB GetItem`.
#[derive(Clone, Debug, Default)]
pub struct CallCounts(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: BTreeMap<String, u64>,
    /// Those that no session for a tenant made, but the process itself.
    own: BTreeMap<String, u64>,
}

impl CallCounts {
    /// The counts since the last time, and starts again from none.
    #[must_use]
    pub fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.lock()).all
    }

    /// The same of the calls that were made with the credentials of the process,
    /// for which on AWS its role is asked.
    #[must_use]
    pub fn take_own(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.lock()).own
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, request: &HttpRequest) {
        let call = name(request);
        let is_own = request.headers().get("x-amz-security-token").is_none();
        let mut counts = self.lock();
        if is_own {
            *counts.own.entry(call.clone()).or_default() += 1;
        }
        *counts.all.entry(call).or_default() += 1;
    }

    /// Counts what goes through a client.
    #[must_use]
    pub fn around(&self, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Counting { client, counts: self.clone() })
    }
}

#[derive(Debug)]
struct Counting {
    client: SharedHttpClient,
    counts: CallCounts,
}

impl HttpClient for Counting {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(CountingConnector { connector, counts: self.counts.clone() })
    }
}

#[derive(Debug)]
struct CountingConnector {
    connector: SharedHttpConnector,
    counts: CallCounts,
}

impl HttpConnector for CountingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if BEHIND.try_with(|()| ()).is_err() {
            self.counts.count(&request);
        }
        self.connector.call(request)
    }
}

/// The operation a request stands for.
fn name(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        let (service, operation) = target.split_once('.').unwrap_or(("", target));
        let service = if service.starts_with("DynamoDB") { "DynamoDB" } else { "KMS" };
        return format!("{service} {operation}");
    }
    if request.headers().get("content-type") == Some("application/x-www-form-urlencoded") {
        let body = std::str::from_utf8(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let action = body.split('&').find_map(|field| field.strip_prefix("Action="));
        return format!("STS {}", action.unwrap_or_default());
    }
    let query = request.uri().split_once('?').map_or("", |(_, query)| query);
    let has = |parameter: &str| query.split('&').any(|pair| pair.split('=').next() == Some(parameter));
    let operation = match request.method() {
        "PUT" if has("partNumber") => "UploadPart",
        "PUT" => "PutObject",
        "POST" if has("uploads") => "CreateMultipartUpload",
        "POST" => "CompleteMultipartUpload",
        "GET" => "GetObject",
        "HEAD" => "HeadObject",
        "DELETE" if has("uploadId") => "AbortMultipartUpload",
        "DELETE" => "DeleteObject",
        other => other,
    };
    format!("S3 {operation}")
}
