//! The client's side: signing as botocore does, for tests and for tools that
//! call the registry in process.

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use percent_encoding::utf8_percent_encode;
use time::OffsetDateTime;

use super::canonical::{self, hex, sha256_hex};
use super::{ALGORITHM, Request, SigV4Error, SigningKey};
use crate::paging::{Query, RESERVED};

/// Headers that proxies and HTTP libraries change under way. botocore signs none
/// of them; the content length is set after signing there.
const UNSIGNED: [HeaderName; 5] = [AUTHORIZATION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, USER_AGENT];

/// Who signs, and for what.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// The access key id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// The session token of temporary credentials.
    pub session_token: Option<&'a str>,
    /// The Region of the endpoint.
    pub region: &'a str,
    /// The signing name of the service, such as `ecr`.
    pub service: &'a str,
    /// The time of signing.
    pub now: OffsetDateTime,
}

impl Signer<'_> {
    /// The headers to add to a request: `x-amz-date`, `x-amz-security-token` for
    /// temporary credentials, and `authorization`.
    ///
    /// The request must have a `Host` header or an authority. Every header it has
    /// gets signed, but for a few that change under way.
    pub fn sign(&self, request: &Request<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, SigV4Error> {
        let timestamp = self.timestamp();
        let mut added = vec![(HeaderName::from_static("x-amz-date"), header_value(&timestamp)?)];
        if let Some(token) = self.session_token {
            let mut value = header_value(token)?;
            value.set_sensitive(true);
            added.push((HeaderName::from_static("x-amz-security-token"), value));
        }
        let mut headers = request.headers.clone();
        for (name, value) in &added {
            headers.insert(name, value.clone());
        }
        let request = Request { headers: &headers, ..*request };
        let (signed_headers, signature) = self.signature(&request, request.query, &timestamp)?;
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={signed_headers}, Signature={signature}",
            self.access_key_id,
            self.scope(&timestamp)
        );
        added.push((AUTHORIZATION, header_value(&authorization)?));
        Ok(added)
    }

    /// The query of a presigned form of the request, to use in place of its own.
    pub fn presign(&self, request: &Request<'_>, expires_seconds: u32) -> Result<String, SigV4Error> {
        let timestamp = self.timestamp();
        let credential = format!("{}/{}", self.access_key_id, self.scope(&timestamp));
        let (signed_headers, _) = signed_headers(request);
        let expires = expires_seconds.to_string();
        let mut query = request.query.to_owned();
        let parameters = [
            ("X-Amz-Algorithm", Some(ALGORITHM)),
            ("X-Amz-Credential", Some(&credential)),
            ("X-Amz-Date", Some(&timestamp)),
            ("X-Amz-Expires", Some(&expires)),
            ("X-Amz-SignedHeaders", Some(&signed_headers)),
            ("X-Amz-Security-Token", self.session_token),
        ];
        for (key, value) in parameters {
            if let Some(value) = value {
                push_parameter(&mut query, key, value);
            }
        }
        let (_, signature) = self.signature(request, &query, &timestamp)?;
        push_parameter(&mut query, "X-Amz-Signature", &signature);
        Ok(query)
    }

    /// The joined names of the signed headers, and the signature.
    fn signature(&self, request: &Request<'_>, query: &str, timestamp: &str) -> Result<(String, String), SigV4Error> {
        let query = Query::parse(query).map_err(|error| SigV4Error::incomplete(error.to_string()))?;
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).or(request.authority);
        let host = host.ok_or_else(|| SigV4Error::incomplete("The request has no host to sign for"))?;
        let (joined, names) = signed_headers(request);
        let canonical_request = canonical::request(request, &query, host, &names, &sha256_hex(request.body))?;
        let string_to_sign = canonical::string_to_sign(timestamp, &self.scope(timestamp), &canonical_request);
        let key = SigningKey::derive(self.secret, day(timestamp), self.region, self.service);
        Ok((joined, hex(key.sign(&string_to_sign))))
    }

    fn scope(&self, timestamp: &str) -> String {
        canonical::scope(day(timestamp), self.region, self.service)
    }

    fn timestamp(&self) -> String {
        let now = self.now.to_offset(time::UtcOffset::UTC);
        let (hour, minute, second) = now.to_hms();
        format!("{:04}{:02}{:02}T{hour:02}{minute:02}{second:02}Z", now.year(), u8::from(now.month()), now.day())
    }
}

fn day(timestamp: &str) -> &str {
    timestamp.split_once('T').map_or(timestamp, |(day, _)| day)
}

fn signed_headers(request: &Request<'_>) -> (String, Vec<HeaderName>) {
    let mut names: Vec<_> = request.headers.keys().filter(|name| !UNSIGNED.contains(name)).cloned().collect();
    if !names.contains(&HOST) {
        names.push(HOST);
    }
    names.sort_unstable_by(|left, right| left.as_str().cmp(right.as_str()));
    let mut joined = String::new();
    canonical::push_joined(&mut joined, &names);
    (joined, names)
}

fn push_parameter(query: &mut String, key: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(key);
    query.push('=');
    query.extend(utf8_percent_encode(value, RESERVED));
}

fn header_value(text: &str) -> Result<HeaderValue, SigV4Error> {
    HeaderValue::from_str(text).map_err(|_| SigV4Error::incomplete("The credentials are not valid in a header"))
}
