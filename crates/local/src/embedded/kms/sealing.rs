//! AES-256-GCM, and what is bound into it.
//!
//! A sealed text is the nonce followed by the ciphertext and its tag.
//!
//! Invariant: a nonce is random and used once. The 96 bits are enough for the
//! four billion messages that a key may seal.

use std::collections::BTreeMap;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Something is wrong, and `ring` does not say what, on purpose.
#[derive(Debug)]
pub(super) struct CryptoError;

impl From<ring::error::Unspecified> for CryptoError {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

/// Random bytes.
pub(super) fn random(count: usize) -> Result<Vec<u8>, CryptoError> {
    let mut bytes = vec![0; count];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(bytes)
}

/// Encrypts `text` so that it opens only with the same key and `bound` bytes.
pub(super) fn seal(key: &[u8], bound: &[u8], text: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce)?;
    let mut sealed = text.to_vec();
    cipher(key)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut sealed)?;
    Ok([&nonce, &*sealed].concat())
}

/// Opens what [`seal`] made.
pub(super) fn open(key: &[u8], bound: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let (nonce, sealed) = sealed.split_first_chunk().ok_or(CryptoError)?;
    let mut text = sealed.to_vec();
    let length = cipher(key)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut text)?.len();
    text.truncate(length);
    Ok(text)
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, CryptoError> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?))
}

/// An encryption context as bytes to bind: sorted, each text behind its length,
/// so that no two contexts give the same bytes.
pub(super) fn context_bytes(key_id: &str, context: &BTreeMap<String, String>) -> Vec<u8> {
    let pairs = context.iter().flat_map(|(name, value)| [name, value]);
    let mut bytes = Vec::new();
    for text in std::iter::once(key_id).chain(pairs.map(String::as_str)) {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_with_the_same_key_and_bytes_only() {
        let (key, other) = (random(32).unwrap(), random(32).unwrap());
        let sealed = seal(&key, b"bound", b"text").unwrap();
        assert_eq!(open(&key, b"bound", &sealed).unwrap(), b"text");
        assert!(open(&other, b"bound", &sealed).is_err());
        assert!(open(&key, b"", &sealed).is_err());
        assert!(open(&key, b"bound", &sealed[..20]).is_err());
        assert!(open(&key, b"bound", b"short").is_err());
    }

    #[test]
    fn contexts_are_not_confused() {
        let context = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            context_bytes("k", &pairs.collect())
        };
        assert_ne!(context(&[("a", "bc")]), context(&[("ab", "c")]));
        assert_ne!(context(&[("a", "")]), context(&[]));
        assert_eq!(context(&[("a", "1"), ("b", "2")]), context(&[("b", "2"), ("a", "1")]));
    }
}
