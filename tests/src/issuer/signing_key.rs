//! Keys that sign tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

/// An RSA key of 2,048 bits that is good for nothing but tests: `ring` cannot
/// make one.
const RSA: &[u8] = include_bytes!("rsa_test_key.pk8");

/// A key that signs tokens.
#[derive(Debug)]
pub struct SigningKey {
    /// The algorithm, as it stands in `alg`.
    pub algorithm: &'static str,
    /// The name of the key.
    pub id: String,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
}

impl SigningKey {
    /// A key for `RS256`, `ES256` or `ES384`.
    #[must_use]
    pub fn new(algorithm: &'static str, id: &str) -> Self {
        let ecdsa = |kind: &'static EcdsaSigningAlgorithm| {
            let random = SystemRandom::new();
            let key = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
            Pair::Ecdsa(Box::new(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).expect("a key")))
        };
        let pair = match algorithm {
            "ES256" => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            _ => Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(RSA).expect("a key"))),
        };
        Self { algorithm, id: id.to_owned(), pair }
    }

    /// The public key, as issuers publish it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "n": encode(&n), "e": encode(&e) })
            }
            Pair::Ecdsa(pair) => {
                let point = pair.public_key().as_ref().get(1..).expect("a point");
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm, "kid": self.id, "typ": "JWT" });
        self.sign_parts(&header.to_string(), &claims.to_string())
    }

    /// A token with this header and payload, whatever they are.
    #[must_use]
    pub fn sign_parts(&self, header: &str, payload: &str) -> String {
        let random = SystemRandom::new();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("a signature");
                signature
            }
            Pair::Ecdsa(pair) => pair.sign(&random, signed.as_bytes()).expect("a signature").as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
