//! The derived signing key.

use ring::hmac;

use super::TERMINATOR;

/// The key that signs the requests of one access key, day, Region and service
/// ("Derive a signing key" in the IAM User Guide).
///
/// Deriving takes four of the five HMACs of a verification, so callers may cache
/// it under exactly those four values. It is good for one day and one service
/// only; the secret cannot be computed from it.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Derives the key. `date` is the day of the credential scope, `YYYYMMDD`.
    #[must_use]
    pub fn derive(secret: &str, date: &str, region: &str, service: &str) -> Self {
        let mut key = hmac_key(format!("AWS4{secret}").as_bytes());
        for part in [date, region, service, TERMINATOR] {
            key = hmac_key(hmac::sign(&key, part.as_bytes()).as_ref());
        }
        Self(key)
    }

    /// The signature of a string to sign.
    pub(super) fn sign(&self, string_to_sign: &str) -> hmac::Tag {
        hmac::sign(&self.0, string_to_sign.as_bytes())
    }

    /// Compares in constant time.
    pub(super) fn matches(&self, string_to_sign: &str, signature: &[u8]) -> bool {
        hmac::verify(&self.0, string_to_sign.as_bytes(), signature).is_ok()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningKey(…)")
    }
}

fn hmac_key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}
