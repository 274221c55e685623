//! The keys an issuer publishes: a JWK set (RFC 7517, section 5).
//!
//! Invariant: a key verifies with the one algorithm it is for, whatever a token
//! says.
//! Invariant: keys that are not understood, or not for signatures, are left out.

use ironwharf_model::strict_json;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::{Map, Value};

use super::{Algorithm, base64url};

/// The largest number of keys in a set.
pub const MAX_KEYS: usize = 100;

/// The largest RSA modulus, in bytes: what `ring` verifies with.
const MAX_MODULUS_BYTES: usize = 1024;

/// The largest RSA exponent, in bytes: what `ring` verifies with.
const MAX_EXPONENT_BYTES: usize = 5;

/// The first byte of a point that is not compressed (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Why a document is not a set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is not JSON, or not without ambiguity.
    #[error(transparent)]
    Json(#[from] strict_json::StrictJsonError),
    /// It has no list of keys.
    #[error("'keys' is not a list of objects")]
    NotASet,
    /// It has more than [`MAX_KEYS`].
    #[error("more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// None of its keys can be used.
    #[error("no key for RS256, ES256 or ES384")]
    NoKey,
}

/// The keys of an issuer that verify signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    material: Material,
}

/// A public key, in the form `ring` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// A point on P-256.
    P256(Vec<u8>),
    /// A point on P-384.
    P384(Vec<u8>),
}

impl KeySet {
    /// Reads a JWK set.
    ///
    /// # Errors
    /// [`KeySetError`], if nothing could be verified with it, or if it is too
    /// large.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let document = strict_json::parse(document)?;
        let listed = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::NotASet)?;
        if listed.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let members: Option<Vec<&Map<String, Value>>> = listed.iter().map(Value::as_object).collect();
        let keys: Vec<Key> = members.ok_or(KeySetError::NotASet)?.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(Self { keys }) }
    }

    /// Whether a token of this algorithm and key name can be verified at all.
    #[must_use]
    pub fn has(&self, algorithm: Algorithm, key_id: Option<&str>) -> bool {
        self.candidates(algorithm, key_id).next().is_some()
    }

    /// The keys of a name. A token without one has to be signed by the only key
    /// of its algorithm (OpenID Connect Core 1.0, 10.1).
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        key_id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        let fitting = move || self.keys.iter().filter(move |key| key.algorithm() == algorithm);
        let is_only = fitting().nth(1).is_none();
        fitting().filter(move |key| match key_id {
            Some(wanted) => key.id.as_deref() == Some(wanted),
            None => is_only,
        })
    }
}

impl Key {
    /// The key of a JWK, if it is one for verifying (RFC 7517, section 4).
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.contains_key("use") && text("use") != Some("sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let bytes = |name: &str| base64url(text(name)?);
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::rsa(&bytes("n")?, &bytes("e")?)?,
            ("EC", Some("P-256")) => Material::P256(point(&bytes("x")?, &bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&bytes("x")?, &bytes("y")?, 48)?),
            _ => return None,
        };
        let key = Self { id: text("kid").map(str::to_owned), material };
        // A key that is for another algorithm is not for this one.
        let is_meant = !jwk.contains_key("alg") || text("alg").and_then(Algorithm::parse) == Some(key.algorithm());
        is_meant.then_some(key)
    }

    const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::P384(_) => Algorithm::Es384,
        }
    }

    /// Whether this key made the signature.
    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            Material::P384(point) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(signed, signature).is_ok()
            }
        }
    }
}

impl Material {
    /// Some issuers put a zero byte in front; `ring` wants none.
    fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let [modulus, exponent] = [modulus, exponent].map(|number| {
            let zeros = number.iter().take_while(|byte| **byte == 0).count();
            number.get(zeros..).unwrap_or_default().to_vec()
        });
        let fits =
            (1..=MAX_MODULUS_BYTES).contains(&modulus.len()) && (1..=MAX_EXPONENT_BYTES).contains(&exponent.len());
        fits.then_some(Self::Rsa { modulus, exponent })
    }
}

/// A point of two coordinates of full length (RFC 7518, 6.2.1.2).
fn point(x: &[u8], y: &[u8], length: usize) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [&[UNCOMPRESSED], x, y].concat())
}
