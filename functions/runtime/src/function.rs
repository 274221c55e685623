//! A function: an event in, an answer out.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use ironwharf_model::Error;
use ironwharf_registry::{App, Body, body};
use ironwharf_wire::error::{codes, oci_body};
use lambda_http::{LambdaEvent, Service};
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::event::Event;
use crate::scope::Scope;
use crate::start::start;

/// The registry's handlers as the service of one Lambda function.
#[derive(Clone)]
pub struct Function {
    app: App,
    scope: Scope,
}

impl Function {
    /// A function that answers the requests of `scope`.
    #[must_use]
    pub const fn new(app: App, scope: Scope) -> Self {
        Self { app, scope }
    }

    /// A function as its environment describes it.
    ///
    /// # Errors
    /// A sentence about the variable that is missing or wrong.
    pub async fn start(scope: Scope) -> Result<Self, String> {
        let (app, _) = start(scope.verifies_signatures()).await?;
        Ok(Self::new(app, scope))
    }

    /// Answers an event, given as JSON.
    pub async fn answer(&self, event: &str) -> Answer {
        let Event { sender, request } = Event::read(event);
        let response = match request {
            Ok(request) => self.respond(request).await,
            Err(reason) => refuse(&Error::invalid_parameter("request", reason), &Method::GET),
        };
        Answer::of(response, sender).await
    }

    /// Answers a request, unless it is another function's.
    pub async fn respond(&self, request: Request<Body>) -> Response<Body> {
        match self.scope.check(request.method(), request.uri(), request.headers()) {
            Ok(()) => self.app.handle(request).await,
            Err(error) => {
                tracing::warn!(scope = ?self.scope, %error, "refused a request of another function");
                refuse(&error, request.method())
            }
        }
    }
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

impl Service<LambdaEvent<Box<RawValue>>> for Function {
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
