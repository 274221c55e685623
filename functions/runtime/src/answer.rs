//! From the registry's response to what the sender of the event expects.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;
use ironwharf_registry::Body;
use serde::Serialize;

use crate::event::Sender;

/// The answer to an event.
///
/// The three senders take different forms of headers: a load balancer the one
/// its target group is set to, which the function cannot see when a request
/// has no headers, so it gets both; a REST API both, which it would join, so it
/// gets one; the others know one value a name, joined by commas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The status.
    pub status_code: u16,
    /// The status in words, which load balancers want.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_description: Option<String>,
    /// One value a header.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// All values of a header.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub multi_value_headers: BTreeMap<String, Vec<String>>,
    /// Text, or bytes in base64.
    pub body: String,
    /// Whether the body is base64.
    pub is_base64_encoded: bool,
}

impl Answer {
    /// Collects a response.
    pub async fn of(response: Response<Body>, sender: Sender) -> Self {
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => Self::new(parts.status, &parts.headers, &body.to_bytes(), sender),
            Err(error) => {
                tracing::error!(error, "the body of a response could not be read");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), &Bytes::new(), sender)
            }
        }
    }

    /// Whether its JSON has more than so many bytes.
    #[must_use]
    pub fn is_larger_than(&self, limit_bytes: usize) -> bool {
        // Escapes make six bytes of one at most, and headers are small.
        let may_be = self.body.len().saturating_mul(6).saturating_add(64 * 1024) > limit_bytes;
        may_be && serde_json::to_vec(self).map_or(true, |json| json.len() > limit_bytes)
    }

    fn new(status: StatusCode, headers: &HeaderMap, body: &Bytes, sender: Sender) -> Self {
        let all = || -> BTreeMap<_, Vec<_>> {
            let values = |name| headers.get_all(name).iter().map(text).collect();
            headers.keys().map(|name| (name.to_string(), values(name))).collect()
        };
        let joined = || all().into_iter().map(|(name, values)| (name, values.join(", "))).collect();
        let (headers, multi_value_headers) = match sender {
            Sender::LoadBalancer => (joined(), all()),
            Sender::RestApi => (BTreeMap::new(), all()),
            Sender::HttpApi | Sender::Unknown => (joined(), BTreeMap::new()),
        };
        let status_description = (sender == Sender::LoadBalancer)
            .then(|| format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()));
        let (body, is_base64_encoded) = match std::str::from_utf8(body) {
            Ok(body) => (body.to_owned(), false),
            Err(_) => (STANDARD.encode(body), true),
        };
        Self { status_code: status.as_u16(), status_description, headers, multi_value_headers, body, is_base64_encoded }
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use ironwharf_registry::body;

    use super::*;

    #[tokio::test]
    async fn every_sender_gets_its_form() {
        let json = async |sender, body: &'static [u8]| {
            let mut response = Response::new(body::full(body));
            *response.status_mut() = StatusCode::CREATED;
            response.headers_mut().append("x", HeaderValue::from_static("1"));
            response.headers_mut().append("x", HeaderValue::from_static("2"));
            serde_json::to_string(&Answer::of(response, sender).await).unwrap()
        };
        assert_eq!(
            json(Sender::LoadBalancer, b"\"text\"").await,
            r#"{"statusCode":201,"statusDescription":"201 Created","headers":{"x":"1, 2"},"multiValueHeaders":{"x":["1","2"]},"body":"\"text\"","isBase64Encoded":false}"#,
        );
        assert_eq!(
            json(Sender::RestApi, b"\xff\x00").await,
            r#"{"statusCode":201,"multiValueHeaders":{"x":["1","2"]},"body":"/wA=","isBase64Encoded":true}"#,
        );
        assert_eq!(
            json(Sender::HttpApi, b"").await,
            r#"{"statusCode":201,"headers":{"x":"1, 2"},"body":"","isBase64Encoded":false}"#,
        );
    }
}
