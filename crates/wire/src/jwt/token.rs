//! A token as it arrives: `header.payload.signature`.
//!
//! Invariant: a header that could change what the signature is checked with, or
//! what it means, is refused and not ignored.

use ironwharf_model::error::quoted;
use ironwharf_model::strict_json;
use serde_json::{Map, Value};

use super::{Algorithm, Claims, JwtError, KeySet, base64url};

/// The largest token, as the model of STS has it (`clientTokenType`).
pub const MAX_TOKEN_BYTES: usize = 20_000;

/// The longest name of a key, in characters.
const MAX_KEY_ID: usize = 256;

/// Header members that bring a key along or say where to get one (RFC 7515,
/// 4.1.2, 4.1.3, 4.1.5 and 4.1.6), or that change what a verifier must do
/// (`crit`, 4.1.11; `b64`, RFC 7797; `zip` and `enc`, RFC 7516).
const REFUSED: [&str; 8] = ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"];

/// A token whose signature has not been checked.
#[derive(Clone, Debug)]
pub struct UnverifiedToken<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Map<String, Value>,
    /// What is signed: header and payload as they were sent.
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`JwtError::Malformed`] for everything that is no signed token of one of
    /// the accepted algorithms.
    pub fn parse(text: &'a str) -> Result<Self, JwtError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(JwtError::malformed(format!("It has more than {MAX_TOKEN_BYTES} bytes.")));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(|| JwtError::malformed("It has no signature."))?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| JwtError::malformed("It has no payload."))?;
        let header = object("header", header)?;
        let claims = object("payload", payload)?;
        let signature = base64url(signature).ok_or_else(|| JwtError::malformed("Its signature is not base64url."))?;
        let (algorithm, key_id) = read_header(&header)?;
        Ok(Self { algorithm, key_id, claims, signed, signature })
    }

    /// How it claims to be signed.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the key it claims to be signed with.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Who claims to have issued it: good for finding out whose keys to check
    /// the signature with, and for nothing else.
    ///
    /// # Errors
    /// [`JwtError::MissingClaim`] or [`JwtError::InvalidClaim`].
    pub fn issuer(&self) -> Result<&str, JwtError> {
        match self.claims.get("iss") {
            None => Err(JwtError::MissingClaim("iss")),
            Some(Value::String(issuer)) => Ok(issuer),
            Some(_) => Err(JwtError::InvalidClaim { claim: "iss", reason: "is not a string" }),
        }
    }

    /// The claims, if one of the issuer's keys has signed them.
    ///
    /// # Errors
    /// [`JwtError::UnknownKey`], [`JwtError::Signature`], or what is wrong with
    /// a claim.
    pub fn verify(self, keys: &KeySet) -> Result<Claims, JwtError> {
        let Self { algorithm, key_id, claims, signed, signature } = self;
        let mut candidates = keys.candidates(algorithm, key_id.as_deref()).peekable();
        if candidates.peek().is_none() {
            return Err(JwtError::UnknownKey);
        }
        if !candidates.any(|key| key.verifies(signed.as_bytes(), &signature)) {
            return Err(JwtError::Signature);
        }
        Claims::read(claims)
    }
}

fn object(part: &str, encoded: &str) -> Result<Map<String, Value>, JwtError> {
    let bytes = base64url(encoded).ok_or_else(|| JwtError::malformed(format!("Its {part} is not base64url.")))?;
    match strict_json::parse(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(JwtError::malformed(format!("Its {part} is not a JSON object."))),
        Err(error) => Err(JwtError::malformed(format!("Its {part} has {error}."))),
    }
}

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), JwtError> {
    if let Some(refused) = REFUSED.iter().find(|name| header.contains_key(**name)) {
        return Err(JwtError::malformed(format!("The header {refused} is not accepted.")));
    }
    let name = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let algorithm = Algorithm::parse(name).ok_or_else(|| {
        JwtError::malformed(format!("The algorithm '{}' is not one of RS256, ES256 and ES384.", quoted(name)))
    })?;
    // A media type, which is compared without regard to case (RFC 7519, 5.1).
    match header.get("typ") {
        None => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("JWT") => {}
        Some(_) => return Err(JwtError::malformed("Its typ is not JWT.")),
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if id.chars().count() <= MAX_KEY_ID => Some(id.clone()),
        Some(_) => return Err(JwtError::malformed(format!("Its kid is not text of up to {MAX_KEY_ID} characters."))),
    };
    Ok((algorithm, key_id))
}
