//! From the event of a load balancer, API Gateway or function URL to the
//! request that the client sent.
//!
//! `lambda_http` reads the event. Its own conversion to a request is not used,
//! because it loses what the registry rests on (version 1.3.2):
//!
//! - of an API Gateway REST event it keeps the last of several equal headers,
//!   although the event has them all; skopeo sends `Accept` line by line;
//! - it puts the name of the stage before the path, decodes and encodes the
//!   query again, and normalises the path: the signature of an API request is
//!   made over what the client sent;
//! - it panics on a `Host` that is none and on base64 that is none.
//!
//! | what | load balancer | API Gateway REST | HTTP API, function URL |
//! |---|---|---|---|
//! | path | as sent | decoded, without the stage | decoded or as sent; with the stage if that has a name |
//! | query | as sent, a map | decoded, a map | as sent |
//! | equal headers | all, or the last one only | all | joined by commas |
//!
//! Invariant: what a client puts into a request never makes this fail but with
//! a sentence for a 400.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Uri};
use ironwharf_registry::{Body, ClientAddress, body};
use lambda_http::aws_lambda_events::alb::AlbTargetGroupRequest;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use lambda_http::request::LambdaRequest;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// Who sent an event, and so which form its answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// An application load balancer.
    LoadBalancer,
    /// API Gateway, REST.
    RestApi,
    /// API Gateway, HTTP, or a function URL.
    HttpApi,
    /// Something that is none of them.
    Unknown,
}

/// An event, read.
#[derive(Debug)]
pub struct Event {
    /// Who sent it.
    pub sender: Sender,
    /// The request in it, or a sentence that says why there is none.
    pub request: Result<Request<Body>, &'static str>,
}

/// The parts of a request, whichever event they come from.
struct Parts {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Option<String>,
    is_base64: bool,
    /// Who sent the request, where the sender of the event says so itself.
    client: Option<String>,
}

/// What may not stand in a path as it is. A decoded path is encoded again with
/// it; one that never was decoded has none of these.
const NOT_IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

/// The same for a query.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// What is encoded in a parameter that the sender has decoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Event {
    /// Reads the JSON of an event.
    #[must_use]
    pub fn read(json: &str) -> Self {
        let parsed = serde_json::from_str(json);
        let (sender, parts) = match parsed {
            Ok(LambdaRequest::Alb(event)) => (Sender::LoadBalancer, load_balancer(event)),
            Ok(LambdaRequest::ApiGatewayV1(event)) => (Sender::RestApi, rest_api(event)),
            Ok(LambdaRequest::ApiGatewayV2(event)) => (Sender::HttpApi, http_api(event)),
            // A header that is no header also ends here.
            Ok(_) | Err(_) => return Self { sender: Sender::Unknown, request: Err("The request cannot be read.") },
        };
        Self { sender, request: parts.request() }
    }
}

fn load_balancer(event: AlbTargetGroupRequest) -> Parts {
    let several = event.multi_value_query_string_parameters;
    let parameters = if several.is_empty() { event.query_string_parameters } else { several };
    Parts {
        method: event.http_method,
        path: event.path.unwrap_or_default(),
        query: join(parameters.iter(), str::to_owned),
        client: forwarded_for(&event.headers).or_else(|| forwarded_for(&event.multi_value_headers)),
        headers: prefer(event.multi_value_headers, event.headers),
        body: event.body,
        is_base64: event.is_base64_encoded,
    }
}

/// The address that the load balancer saw: it appends it to what the client
/// itself may have put there.
#[must_use]
pub fn forwarded_for(headers: &HeaderMap) -> Option<String> {
    let value = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(|address| address.trim().to_owned())
}

fn rest_api(event: ApiGatewayProxyRequest) -> Parts {
    let several = event.multi_value_query_string_parameters;
    let parameters = if several.is_empty() { event.query_string_parameters } else { several };
    Parts {
        method: event.http_method,
        path: event.path.unwrap_or_default(),
        query: join(parameters.iter(), |text| utf8_percent_encode(text, RESERVED).to_string()),
        client: event.request_context.identity.source_ip,
        headers: prefer(event.multi_value_headers, event.headers),
        body: event.body,
        is_base64: event.is_base64_encoded,
    }
}

fn http_api(event: ApiGatewayV2httpRequest) -> Parts {
    let path = event.raw_path.unwrap_or_default();
    let stage = event.request_context.stage.filter(|stage| stage != "$default");
    let without_stage = stage.and_then(|stage| {
        let rest = path.strip_prefix('/')?.strip_prefix(&stage)?;
        rest.starts_with('/').then(|| rest.to_owned())
    });
    Parts {
        client: event.request_context.http.source_ip,
        method: event.request_context.http.method,
        path: without_stage.unwrap_or(path),
        query: event.raw_query_string.unwrap_or_default(),
        headers: event.headers,
        body: event.body,
        is_base64: event.is_base64_encoded,
    }
}

/// The headers with all their values, if the event has those.
fn prefer(several: HeaderMap, single: HeaderMap) -> HeaderMap {
    if several.is_empty() { single } else { several }
}

fn join<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>, encode: impl Fn(&str) -> String) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        let separator = if query.is_empty() { "" } else { "&" };
        // Writing to a String cannot fail.
        let _ = write!(query, "{separator}{}={}", encode(name), encode(value));
    }
    query
}

impl Parts {
    fn request(self) -> Result<Request<Body>, &'static str> {
        let bytes = match self.body {
            None => Bytes::new(),
            Some(text) if self.is_base64 => {
                STANDARD.decode(text).map_err(|_| "The body of the request cannot be read.")?.into()
            }
            Some(text) => Bytes::from(text),
        };
        let mut headers = self.headers;
        // Some senders drop it, and some clients sign it. It cannot say
        // anything else: this is the whole body.
        if !bytes.is_empty() && !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        let mut request = Request::new(if bytes.is_empty() { body::empty() } else { body::full(bytes) });
        *request.method_mut() = self.method;
        *request.uri_mut() = uri(&self.path, &self.query)?;
        *request.headers_mut() = headers;
        if let Some(client) = self.client.and_then(|client| client.parse().ok()) {
            request.extensions_mut().insert(ClientAddress(client));
        }
        Ok(request)
    }
}

/// Path and query; the host stays where the client put it, in its header.
fn uri(path: &str, query: &str) -> Result<Uri, &'static str> {
    if !path.starts_with('/') {
        return Err("The path of the request does not start with a slash.");
    }
    let mut text = utf8_percent_encode(path, NOT_IN_PATH).to_string();
    if !query.is_empty() {
        text.push('?');
        text.extend(utf8_percent_encode(query, NOT_IN_QUERY));
    }
    Uri::builder().path_and_query(text).build().map_err(|_| "The path of the request cannot be read.")
}
