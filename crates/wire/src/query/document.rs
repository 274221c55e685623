//! Policy documents in answers.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A policy document as IAM writes it into its answers: percent-encoded
/// (RFC 3986), over and above what XML wants.
#[must_use]
pub fn percent_encode_document(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}
