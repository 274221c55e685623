//! The tokens of OpenID Connect issuers: JSON Web Tokens (RFC 7519) in the
//! compact form of JWS (RFC 7515), and the JWK sets (RFC 7517) that verify them.
//!
//! Invariant: there is no way to the [`Claims`] of a token but
//! [`UnverifiedToken::verify`] with keys that come from somewhere else.
//! Invariant: a token names its algorithm and its key, and both are only
//! compared with what the issuer publishes; it never brings a key along.

mod algorithm;
mod claims;
mod error;
mod key_set;
mod token;

pub use algorithm::Algorithm;
pub use claims::{ClaimValue, Claims};
pub use error::JwtError;
pub use key_set::{KeySet, KeySetError, MAX_KEYS};
pub use token::{MAX_TOKEN_BYTES, UnverifiedToken};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Decodes base64url without padding; stray bits and characters are refused
/// (RFC 7515, section 2).
fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
