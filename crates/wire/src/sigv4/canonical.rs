//! The canonical request: the one spelling of a request that both sides hash
//! ("Create a canonical request" in the IAM User Guide).

use std::fmt::Write as _;

use http::header::{HOST, HeaderName};
use percent_encoding::{AsciiSet, utf8_percent_encode};
use ring::digest::{SHA256, digest};

use super::{ALGORITHM, Request, SigV4Error, TERMINATOR};
use crate::paging::{Query, RESERVED};

/// The path keeps its slashes.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::with_capacity(bytes.as_ref().len() * 2);
    for byte in bytes.as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes))
}

/// The canonical request. `signed_headers` is sorted and unique; `host` stands in
/// for a `Host` header, `body_hash` is that of the body.
pub(super) fn request(
    request: &Request<'_>,
    query: &Query<'_>,
    host: &str,
    signed_headers: &[HeaderName],
    body_hash: &str,
) -> Result<String, SigV4Error> {
    let mut text = String::with_capacity(1024);
    text.push_str(request.method);
    text.push('\n');
    // The path is encoded as received, so its escapes are encoded a second time:
    // all services but S3 do so.
    let path = if request.path.is_empty() { "/" } else { request.path };
    text.extend(utf8_percent_encode(path, RESERVED_IN_PATH));
    text.push('\n');
    push_query(&mut text, query);
    text.push('\n');
    for name in signed_headers {
        text.push_str(name.as_str());
        text.push(':');
        push_header_value(&mut text, request, host, name)?;
        text.push('\n');
    }
    text.push('\n');
    push_joined(&mut text, signed_headers);
    text.push('\n');
    text.push_str(body_hash);
    Ok(text)
}

/// The names of the signed headers, separated by semicolons.
pub(super) fn push_joined(text: &mut String, signed_headers: &[HeaderName]) {
    for (index, name) in signed_headers.iter().enumerate() {
        if index > 0 {
            text.push(';');
        }
        text.push_str(name.as_str());
    }
}

/// The parameters, encoded anew and sorted by name, then value. The signature
/// itself cannot be part of what it signs.
fn push_query(text: &mut String, query: &Query<'_>) {
    let encode = |part| utf8_percent_encode(part, RESERVED).to_string();
    let mut parameters: Vec<_> = query
        .iter()
        .filter(|(key, _)| *key != "X-Amz-Signature")
        .map(|(key, value)| (encode(key), encode(value)))
        .collect();
    // Sorting pairs, not `key=value` texts: `=` sorts after `-` and `.`, so the
    // texts of `a` and `a-b` would change places.
    parameters.sort_unstable();
    for (index, (key, value)) in parameters.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(key);
        text.push('=');
        text.push_str(value);
    }
}

/// The values of a header, joined by commas, each with its white space reduced.
fn push_header_value(
    text: &mut String,
    request: &Request<'_>,
    host: &str,
    name: &HeaderName,
) -> Result<(), SigV4Error> {
    if name == HOST {
        push_trimmed(text, host);
        return Ok(());
    }
    let mut values = request.headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Err(SigV4Error::incomplete(format!("The header '{name}' is signed but not present")));
    }
    for (index, value) in values.enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_trimmed(text, header_text(name, value)?);
    }
    Ok(())
}

fn push_trimmed(text: &mut String, value: &str) {
    for (index, word) in value.split_ascii_whitespace().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

/// A header value as text; only visible ASCII has one reading on both sides.
pub(super) fn header_text<'a>(name: &HeaderName, value: &'a http::HeaderValue) -> Result<&'a str, SigV4Error> {
    value.to_str().map_err(|_| SigV4Error::incomplete(format!("The header '{name}' is not visible ASCII")))
}

/// The credential scope, `day/region/service/aws4_request`.
pub(super) fn scope(date: &str, region: &str, service: &str) -> String {
    format!("{date}/{region}/{service}/{TERMINATOR}")
}

/// The string to sign. `timestamp` is the value of `X-Amz-Date`.
pub(super) fn string_to_sign(timestamp: &str, scope: &str, canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", sha256_hex(canonical_request.as_bytes()))
}
