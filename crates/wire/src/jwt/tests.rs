use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

struct Signer {
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { pair }
    }

    fn jwk(&self, id: &str) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": encode(x), "y": encode(y) })
    }

    fn keys(&self) -> KeySet {
        KeySet::parse(json!({ "keys": [self.jwk("k")] }).to_string().as_bytes()).unwrap()
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

const HEADER: &str = r#"{"alg":"ES256","kid":"k"}"#;

fn payload() -> Value {
    json!({ "iss": "https://i.example", "sub": "me", "aud": "us", "iat": 1000, "exp": 2000.5 })
}

fn claims(signer: &Signer, payload: &Value) -> Result<Claims, JwtError> {
    let token = signer.sign(HEADER, &payload.to_string());
    UnverifiedToken::parse(&token)?.verify(&signer.keys())
}

#[test]
fn a_signed_token_says_what_it_says() {
    let signer = Signer::new();
    let mut payload = payload();
    payload["groups"] = json!(["a", "b"]);
    payload["number"] = json!(7);
    let claims = claims(&signer, &payload).unwrap();
    assert_eq!((claims.issuer.as_str(), claims.subject.as_str()), ("https://i.example", "me"));
    assert_eq!((claims.issued_at_s, claims.expires_at_s, claims.not_before_s), (1000, 2000, None));
    let names: Vec<&str> = claims.texts().map(|(name, _)| name).collect();
    assert_eq!(names, ["aud", "groups", "iss", "sub"]);
}

#[test]
fn headers_that_are_not_plain_are_refused() {
    let signer = Signer::new();
    let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(257));
    for header in [
        "{}",
        "[]",
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"HS256","kid":"k"}"#,
        r#"{"alg":"es256","kid":"k"}"#,
        r#"{"alg":"ES512","kid":"k"}"#,
        r#"{"alg":"PS256","kid":"k"}"#,
        r#"{"alg":["ES256"],"kid":"k"}"#,
        r#"{"alg":"ES256","alg":"none","kid":"k"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"k","typ":1}"#,
        r#"{"alg":"ES256","kid":"k","jwk":{}}"#,
        r#"{"alg":"ES256","kid":"k","jku":"https://evil.example"}"#,
        r#"{"alg":"ES256","kid":"k","x5u":"https://evil.example"}"#,
        r#"{"alg":"ES256","kid":"k","x5c":[]}"#,
        r#"{"alg":"ES256","kid":"k","crit":["exp"]}"#,
        r#"{"alg":"ES256","kid":"k","b64":false}"#,
        &long,
    ] {
        let token = signer.sign(header, &payload().to_string());
        assert!(matches!(UnverifiedToken::parse(&token), Err(JwtError::Malformed(_))), "{header}");
    }
}

#[test]
fn what_is_cut_changed_or_too_large_is_refused() {
    let signer = Signer::new();
    let token = signer.sign(HEADER, &payload().to_string());
    let keys = signer.keys();
    for length in 0..token.len() {
        let read = UnverifiedToken::parse(token.get(..length).unwrap()).and_then(|token| token.verify(&keys));
        assert!(read.is_err(), "{length}");
    }
    for bad in
        [format!("{token}."), format!(".{token}"), format!("{token}="), format!(" {token}"), token.replace('.', "..")]
    {
        assert!(UnverifiedToken::parse(&bad).is_err(), "{bad}");
    }
    let large = signer.sign(HEADER, &json!({ "iss": "x".repeat(20_000) }).to_string());
    assert!(UnverifiedToken::parse(&large).is_err());
    let other = Signer::new();
    let forged = other.sign(HEADER, &payload().to_string());
    assert_eq!(UnverifiedToken::parse(&forged).unwrap().verify(&keys), Err(JwtError::Signature));
    let unknown = signer.sign(r#"{"alg":"ES256","kid":"../../k"}"#, &payload().to_string());
    assert_eq!(UnverifiedToken::parse(&unknown).unwrap().verify(&keys), Err(JwtError::UnknownKey));
}

#[test]
fn claims_are_needed_and_have_their_form() {
    let signer = Signer::new();
    for name in ["iss", "sub", "aud", "iat", "exp"] {
        let mut payload = payload();
        payload.as_object_mut().unwrap().remove(name);
        assert_eq!(claims(&signer, &payload), Err(JwtError::MissingClaim(name)));
    }
    for (name, value) in [
        ("iss", json!(1)),
        ("sub", json!("")),
        ("sub", json!("s".repeat(256))),
        ("sub", json!("a\nb")),
        ("sub", json!(["me"])),
        ("aud", json!([])),
        ("aud", json!(["us", 1])),
        ("aud", json!({})),
        ("azp", json!(1)),
        ("exp", json!("2000")),
        ("exp", json!(1e300)),
        ("nbf", json!(true)),
        ("SUB", json!("somebody else")),
        ("many", json!(vec!["x"; 501])),
    ] {
        let mut payload = payload();
        payload[name] = value;
        assert!(claims(&signer, &payload).is_err(), "{payload}");
    }
    let twice = payload().to_string().replacen('{', r#"{"sub":"somebody else","#, 1);
    let token = signer.sign(HEADER, &twice);
    assert!(matches!(UnverifiedToken::parse(&token), Err(JwtError::Malformed(_))));
}

#[test]
fn the_audience_has_to_be_one_of_the_clients() {
    let signer = Signer::new();
    let ids = ["us".to_owned(), "app".to_owned()];
    for (audience, party, expected) in [
        (json!("us"), None, Some("us")),
        (json!(["us"]), None, Some("us")),
        (json!("them"), None, None),
        (json!("them"), Some("us"), None),
        (json!("us"), Some("them"), Some("us")),
        (json!(["us", "them"]), None, None),
        (json!(["us", "them"]), Some("them"), None),
        (json!(["us", "them"]), Some("app"), Some("app")),
        (json!(["they", "them"]), Some("app"), None),
    ] {
        let mut payload = payload();
        payload["aud"] = audience;
        if let Some(party) = party {
            payload["azp"] = json!(party);
        }
        assert_eq!(claims(&signer, &payload).unwrap().audience_among(&ids), expected, "{payload}");
    }
}

#[test]
fn keys_are_used_for_what_they_are_for() {
    let signer = Signer::new();
    let with = |name: &str, value: Value| {
        let mut jwk = signer.jwk("k");
        jwk[name] = value;
        KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes())
    };
    for (name, value) in
        [("use", json!("sig")), ("key_ops", json!(["verify"])), ("alg", json!("ES256")), ("x5c", json!(["AA"]))]
    {
        assert!(with(name, value).unwrap().has(Algorithm::Es256, Some("k")), "{name}");
    }
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(null)),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("ES384")),
        ("alg", json!("HS256")),
        ("kty", json!("oct")),
        ("crv", json!("P-521")),
        ("x", json!("AAAA")),
    ] {
        assert_eq!(with(name, value), Err(KeySetError::NoKey), "{name}");
    }
    let set = |keys: Value| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    assert_eq!(set(json!(vec![signer.jwk("k"); 101])), Err(KeySetError::TooManyKeys));
    assert_eq!(set(json!(["k"])), Err(KeySetError::NotASet));
    assert_eq!(KeySet::parse(b"[]"), Err(KeySetError::NotASet));
    assert!(KeySet::parse(b"<html>").is_err());
    // Without a name there must be no choice.
    let two = set(json!([signer.jwk("a"), Signer::new().jwk("b")])).unwrap();
    assert!(!two.has(Algorithm::Es256, None) && two.has(Algorithm::Es256, Some("b")));
    assert!(signer.keys().has(Algorithm::Es256, None));
    assert!(!signer.keys().has(Algorithm::Rs256, Some("k")));
}
