//! A function: an event in, an answer out.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode, Uri};
use ironwharf_model::Error;
use ironwharf_registry::{App, Body, body};
use ironwharf_wire::error::{aws_body, codes, oci_body};
use ironwharf_wire::iam;
use lambda_http::LambdaEvent;
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::event::{Event, Sender};
use crate::scope::{Scope, through_ingress};
use crate::start::start;

/// What a load balancer takes of an answer, in bytes of its JSON. (Elastic Load
/// Balancing: Lambda functions as targets, "limits".)
const LOAD_BALANCER_BYTES: usize = 1024 * 1024;

/// How a function answers a request of its scope. [`all`] or [`data_plane`]: which of
/// them a program names decides how much of the registry is linked into it.
pub type Handle = fn(App, Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers requests of all protocols.
#[must_use]
pub fn all(app: App, request: Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
    Box::pin(async move { app.handle(request).await })
}

/// Answers requests of the data plane.
#[must_use]
pub fn data_plane(app: App, request: Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
    Box::pin(async move { app.handle_data_plane(request).await })
}

/// The registry's handlers as the service of one Lambda function.
#[derive(Clone)]
pub struct Function {
    app: App,
    scope: Scope,
    handle: Handle,
}

impl Function {
    /// A function that answers the requests of `scope`.
    #[must_use]
    pub const fn new(app: App, scope: Scope, handle: Handle) -> Self {
        Self { app, scope, handle }
    }

    /// A function as its environment describes it.
    ///
    /// # Errors
    /// A sentence about the variable that is missing or wrong.
    pub async fn start(scope: Scope, handle: Handle) -> Result<Self, String> {
        let (app, _) = start(scope.verifies_signatures()).await?;
        Ok(Self::new(app, scope, handle))
    }

    /// Answers an event, given as JSON.
    pub async fn answer(&self, event: &str) -> Answer {
        let Event { sender, request } = Event::read(event);
        let request = match request {
            Ok(request) => request,
            Err(reason) => {
                let refused = refuse(&Error::invalid_parameter("request", reason), &Method::GET);
                return Answer::of(refused, sender).await;
            }
        };
        let uri = request.uri().clone();
        let is_get = request.method() == Method::GET;
        let answer = Answer::of(self.respond(request).await, sender).await;
        if sender != Sender::LoadBalancer || !answer.is_larger_than(LOAD_BALANCER_BYTES) {
            return answer;
        }
        let instead = match self.scope {
            Scope::Pull if is_get => send_on(&uri),
            Scope::Api => too_large(&answer),
            // No answer of theirs is that large; the ingress has no limit.
            Scope::Pull | Scope::Push | Scope::Ingress => return answer,
        };
        Answer::of(instead, sender).await
    }

    /// Answers a request, unless it is another function's.
    pub async fn respond(&self, request: Request<Body>) -> Response<Body> {
        match self.scope.check(request.method(), request.uri(), request.headers()) {
            Ok(()) => (self.handle)(self.app.clone(), request).await,
            Err(error) => {
                tracing::warn!(scope = ?self.scope, %error, "refused a request of another function");
                refuse(&error, request.method())
            }
        }
    }
}

/// Sends a client to where there is no limit. It asks the same host again, so it
/// says once more who it is.
fn send_on(uri: &Uri) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    if let Ok(location) = HeaderValue::try_from(through_ingress(uri)) {
        headers.insert(LOCATION, location);
    }
    response
}

/// What a client of the API is told whose answer does not pass. Pages are made to
/// fit; this is for what is asked for by name, and for listings of IAM.
fn too_large(answer: &Answer) -> Response<Body> {
    let error = Error::invalid_parameter("request", "the answer has more than 1 MB: ask for less at once");
    let codes = codes(&error);
    let is_xml = answer.headers.get(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("text/xml"));
    let (status, kind, body) = if is_xml {
        let id = answer.headers.get("x-amzn-requestid").map_or("", String::as_str);
        (codes.query_status, "text/xml", iam::SERVICE.error(&error, id))
    } else {
        (codes.aws_status, "application/x-amz-json-1.1", aws_body(&error).to_string())
    };
    let mut response = Response::new(body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The answer to a request that does not reach the registry, in the form that
/// the registry gives to paths that are neither protocol's.
fn refuse(error: &Error, method: &Method) -> Response<Body> {
    let body = if *method == Method::HEAD { body::empty() } else { body::full(oci_body(error).to_string()) };
    let mut response = Response::new(body);
    *response.status_mut() = codes(error).oci_status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Error::MethodNotAllowed { allow, .. } = error {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

impl lambda_http::Service<LambdaEvent<Box<RawValue>>> for Function {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: LambdaEvent<Box<RawValue>>) -> Self::Future {
        let function = self.clone();
        Box::pin(async move { Ok(function.answer(event.payload.get()).await) })
    }
}
