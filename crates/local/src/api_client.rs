//! A client of a running server, for the commands that ask it something.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use ironwharf_wire::sigv4::{self, Signer};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::Sentence;
use crate::credentials::{Endpoint, RootKey};

/// Which API is called.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Its SigV4 service name.
    pub service: &'static str,
    /// What stands before the operation in `X-Amz-Target`.
    pub target_prefix: &'static str,
}

/// The ECR API.
pub const ECR: Api = Api { service: "ecr", target_prefix: "AmazonEC2ContainerRegistry_V20150921" };

/// The operator's API.
pub const OPERATOR: Api = Api { service: "ironwharf", target_prefix: "Ironwharf_20261101" };

/// Calls an operation, signed with a root key.
///
/// # Errors
/// One sentence: no server, or the server's own message.
pub async fn call(
    root: &RootKey,
    server: &Endpoint,
    api: Api,
    operation: &str,
    input: &Value,
) -> Result<Value, Sentence> {
    let url = &server.url;
    let authority =
        url.strip_prefix("http://").ok_or_else(|| format!("'{url}' is not a URL of the form http://host:port"))?;
    let unreachable = |error: &dyn std::fmt::Display| {
        format!("no registry answers at {url} ({error}); start one with `ironwharf serve`")
    };
    let stream = TcpStream::connect(authority).await.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let connection = tokio::spawn(connection);
    let request = request(root, &server.region, authority, api, operation, input)?;
    let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| unreachable(&error))?.to_bytes();
    connection.abort();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        let message = answer.get("message").and_then(Value::as_str).unwrap_or("no reason given");
        return Err(format!("the registry refused: {message}"));
    }
    Ok(answer)
}

fn request(
    root: &RootKey,
    region: &str,
    authority: &str,
    api: Api,
    operation: &str,
    input: &Value,
) -> Result<Request<Full<Bytes>>, Sentence> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot sign the request: {error}");
    let body = Bytes::from(input.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(http::header::HOST, HeaderValue::from_str(authority).map_err(|error| failed(&error))?);
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    let target = format!("{}.{operation}", api.target_prefix);
    headers.insert("x-amz-target", HeaderValue::from_str(&target).map_err(|error| failed(&error))?);
    let signer = Signer {
        access_key_id: &root.access_key_id,
        secret: &root.secret_access_key,
        session_token: None,
        region,
        service: api.service,
        now: time::OffsetDateTime::now_utc(),
    };
    let unsigned =
        sigv4::Request { method: "POST", path: "/", query: "", authority: None, headers: &headers, body: &body };
    let signature = signer.sign(&unsigned).map_err(|error| failed(&error))?;
    headers.extend(signature.into_iter().map(|(name, value)| (Some(name), value)));
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    Ok(request)
}
