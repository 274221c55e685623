//! `ironwharf login-password`: what `aws ecr get-login-password` does, for
//! machines without the AWS CLI.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use ironwharf_model::Region;
use ironwharf_wire::sigv4::{self, Signer};
use tokio::net::TcpStream;

use crate::cli::Sentence;
use crate::credentials;

/// Asks the running server for a password.
///
/// # Errors
/// One sentence: no server, or the server's own message.
pub async fn fetch(data_dir: &Path, endpoint: &str, region: &Region) -> Result<String, Sentence> {
    let root = credentials::load_or_create(data_dir)?;
    let authority = endpoint.strip_prefix("http://").unwrap_or(endpoint).to_owned();
    let unreachable = |error: &dyn std::fmt::Display| {
        format!("no registry answers at {endpoint} ({error}); start one with `ironwharf serve`")
    };
    let stream = TcpStream::connect(&authority).await.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let connection = tokio::spawn(connection);
    let request = request(&root, region, &authority)?;
    let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| unreachable(&error))?.to_bytes();
    connection.abort();
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        let message = answer.get("message").and_then(serde_json::Value::as_str).unwrap_or("no reason given");
        return Err(format!("the registry refused: {message}"));
    }
    let token = answer.pointer("/authorizationData/0/authorizationToken").and_then(serde_json::Value::as_str);
    let decoded = token.and_then(|token| STANDARD.decode(token).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
    let password = decoded.as_deref().and_then(|decoded| decoded.strip_prefix("AWS:"));
    password.map(str::to_owned).ok_or_else(|| "the registry's answer has no token".to_owned())
}

fn request(root: &credentials::RootKey, region: &Region, authority: &str) -> Result<Request<Full<Bytes>>, Sentence> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot sign the request: {error}");
    let body = b"{}";
    let mut headers = HeaderMap::new();
    headers.insert(http::header::HOST, HeaderValue::from_str(authority).map_err(|error| failed(&error))?);
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
    headers.insert("x-amz-target", HeaderValue::from_static(target));
    let signer = Signer {
        access_key_id: &root.access_key_id,
        secret: &root.secret_access_key,
        session_token: None,
        region: region.as_str(),
        service: "ecr",
        now: time::OffsetDateTime::now_utc(),
    };
    let unsigned = sigv4::Request { method: "POST", path: "/", query: "", authority: None, headers: &headers, body };
    let signature = signer.sign(&unsigned).map_err(|error| failed(&error))?;
    headers.extend(signature.into_iter().map(|(name, value)| (Some(name), value)));
    let mut request = Request::new(Full::new(Bytes::from_static(body)));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    Ok(request)
}
