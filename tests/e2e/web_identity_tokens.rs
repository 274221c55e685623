//! Hostile tokens: each is refused with the code for it, and afterwards the
//! role is trusted to exactly whom it was before.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ironwharf_tests::SigningKey;
use ring::hmac;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::web_identity::{AUDIENCE, Scene};

const INVALID: &str = "InvalidIdentityToken";

/// A token signed with a secret.
fn hs256(secret: &[u8], key_id: &str, claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "kid": key_id, "typ": "JWT" });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What a token is, the token, and the code it is refused with.
type Case = (&'static str, String, &'static str);

/// Whoever makes the tokens: with keys of the issuer, and with one that is not.
struct Forger<'a> {
    scene: &'a Scene,
    claims: Value,
    now: i64,
    rsa: SigningKey,
    ecdsa: SigningKey,
    stranger: SigningKey,
}

impl<'a> Forger<'a> {
    fn new(scene: &'a Scene) -> Self {
        Self {
            scene,
            claims: scene.claims(),
            now: OffsetDateTime::now_utc().unix_timestamp(),
            rsa: SigningKey::new("RS256", "rsa"),
            ecdsa: SigningKey::new("ES256", "ec"),
            stranger: SigningKey::new("ES256", "ec"),
        }
    }

    fn good(&self) -> String {
        self.ecdsa.sign(&self.claims)
    }

    /// The good token with another claim.
    fn with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        self.ecdsa.sign(&claims)
    }

    fn without(&self, name: &str) -> String {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        self.ecdsa.sign(&claims)
    }

    /// The good token with one member more in front of its claims.
    fn twice(&self, member: &str) -> String {
        let payload = self.claims.to_string().replacen('{', &format!("{{{member},"), 1);
        self.ecdsa.sign_parts(r#"{"alg":"ES256","kid":"ec"}"#, &payload)
    }

    /// The good token with another header.
    fn header(&self, more: &Value) -> String {
        let mut header = json!({ "alg": "ES256", "kid": "ec", "typ": "JWT" });
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ecdsa.sign_parts(&header.to_string(), &self.claims.to_string())
    }

    fn headers(&self) -> Vec<Case> {
        let payload = self.claims.to_string();
        let embedded = json!({ "alg": "ES256", "jwk": self.stranger.jwk() }).to_string();
        let keys = format!("https://{}/keys", self.scene.issuer.url(""));
        vec![
            ("RS256 over a key of P-256", self.header(&json!({ "alg": "RS256" })), INVALID),
            ("ES384 over a key of P-256", self.header(&json!({ "alg": "ES384" })), INVALID),
            ("ES256 over the RSA key", self.header(&json!({ "kid": "rsa" })), INVALID),
            ("embedded key", self.stranger.sign_parts(&embedded, &payload), INVALID),
            ("embedded key of its own", self.header(&json!({ "jwk": self.ecdsa.jwk() })), INVALID),
            ("jku", self.header(&json!({ "jku": keys })), INVALID),
            ("x5u", self.header(&json!({ "x5u": "https://evil.example/chain.pem" })), INVALID),
            ("x5c", self.header(&json!({ "x5c": [STANDARD.encode("certificate")] })), INVALID),
            ("crit", self.header(&json!({ "crit": ["exp"], "exp": 1 })), INVALID),
            ("b64", self.header(&json!({ "b64": false })), INVALID),
            ("typ", self.header(&json!({ "typ": "at+jwt" })), INVALID),
            ("kid as a path", self.header(&json!({ "kid": "../../../../etc/passwd" })), INVALID),
            ("kid as a query", self.header(&json!({ "kid": "ec' OR '1'='1" })), INVALID),
            ("kid as a list", self.header(&json!({ "kid": ["ec"] })), INVALID),
            ("long kid", self.header(&json!({ "kid": "k".repeat(257) })), INVALID),
            ("no kid, and another's key", self.stranger.sign_parts(r#"{"alg":"ES256"}"#, &payload), INVALID),
        ]
    }

    fn signatures(&self) -> Vec<Case> {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let good = self.good();
        let parts: Vec<&str> = good.split('.').collect();
        let (header, payload, signature) = (parts[0], parts[1], parts[2]);
        let none = encoded(r#"{"alg":"none"}"#);
        let capitals = encoded(r#"{"alg":"nOnE"}"#);
        let jwk = self.rsa.jwk();
        let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
        let mut other = self.claims.clone();
        other["exp"] = json!(self.now + 301);
        let other = encoded(&other.to_string());
        let [zeros, der] = [[0; 64], [0x30; 64]].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        vec![
            ("no token", "....".to_owned(), INVALID),
            ("text", "this is no token at all".to_owned(), INVALID),
            ("alg none", format!("{none}.{payload}."), INVALID),
            ("alg none with a signature", format!("{none}.{payload}.{signature}"), INVALID),
            ("alg nOnE", format!("{capitals}.{payload}."), INVALID),
            ("HS256 with the modulus", hs256(&modulus, "rsa", &self.claims), INVALID),
            ("HS256 with the JWK", hs256(jwk.to_string().as_bytes(), "rsa", &self.claims), INVALID),
            ("HS256 with nothing", hs256(b"", "ec", &self.claims), INVALID),
            ("signature of another key", self.stranger.sign(&self.claims), INVALID),
            ("no signature", format!("{header}.{payload}."), INVALID),
            ("two parts", format!("{header}.{payload}"), INVALID),
            ("four parts", format!("{good}.{signature}"), INVALID),
            ("cut", good.chars().take(good.len() - 1).collect(), INVALID),
            ("zero signature", format!("{header}.{payload}.{zeros}"), INVALID),
            ("signature of one byte, again and again", format!("{header}.{payload}.{der}"), INVALID),
            ("padded", format!("{good}=="), INVALID),
            ("other claims under the same signature", format!("{header}.{other}.{signature}"), INVALID),
            ("100 kB", self.with("x", json!("x".repeat(100_000))), "ValidationError"),
        ]
    }

    fn claims(&self) -> Vec<Case> {
        let (now, url) = (self.now, self.scene.issuer.url(""));
        let plain = r#"{"alg":"ES256","kid":"ec"}"#;
        vec![
            ("subject twice", self.twice(r#""sub":"somebody else""#), INVALID),
            ("issuer twice", self.twice(r#""iss":"https://evil.example""#), INVALID),
            ("subject in capitals", self.twice(r#""SUB":"somebody else""#), INVALID),
            ("payload is a list", self.ecdsa.sign_parts(plain, "[]"), INVALID),
            ("deep", self.ecdsa.sign_parts(plain, &"[".repeat(14_000)), INVALID),
            ("expired", self.with("exp", json!(now - 61)), "ExpiredTokenException"),
            ("expired long ago", self.with("exp", json!(-1)), "ExpiredTokenException"),
            ("expires as text", self.with("exp", json!((now + 300).to_string())), INVALID),
            ("never expires", self.without("exp"), INVALID),
            ("not yet", self.with("nbf", json!(now + 120)), INVALID),
            ("issued in the future", self.with("iat", json!(now + 120)), INVALID),
            ("issued the day before", self.with("iat", json!(now - 24 * 3600 - 1)), INVALID),
            ("not issued", self.without("iat"), INVALID),
            ("another audience", self.with("aud", json!("somebody")), INVALID),
            ("audience as a part", self.with("aud", json!(format!("{AUDIENCE}.evil"))), INVALID),
            ("audiences without a party", self.with("aud", json!([AUDIENCE, "somebody"])), INVALID),
            ("no audience", self.without("aud"), INVALID),
            ("no subject", self.without("sub"), INVALID),
            ("empty subject", self.with("sub", json!("")), INVALID),
            ("long subject", self.with("sub", json!("s".repeat(256))), INVALID),
            ("no issuer", self.without("iss"), INVALID),
            ("issuer with a slash", self.with("iss", json!(format!("https://{url}/"))), INVALID),
            ("issuer over http", self.with("iss", json!(format!("http://{url}"))), INVALID),
            ("issuer without a scheme", self.with("iss", json!(url)), INVALID),
            ("issuer in capitals", self.with("iss", json!(format!("https://{}", url.to_uppercase()))), INVALID),
            ("unknown issuer", self.with("iss", json!("https://evil.example")), INVALID),
            ("issuer at the metadata service", self.with("iss", json!("https://169.254.169.254/latest")), INVALID),
            ("long issuer", self.with("iss", json!(format!("https://{}", "i".repeat(5000)))), INVALID),
        ]
    }
}

#[tokio::test]
async fn hostile_tokens_are_refused() {
    let scene = Scene::new(&[""]).await;
    let forger = Forger::new(&scene);
    scene.issuer.publish("", &[&forger.rsa, &forger.ecdsa]);
    scene.assume(&forger.good()).await.expect_status(200);
    assert_eq!(scene.issuer.take_requests().len(), 2);
    for (what, token, code) in [forger.headers(), forger.signatures(), forger.claims()].concat() {
        let reply = scene.assume(&token).await;
        assert_eq!((reply.status.as_u16(), reply.element("Code").as_str()), (400, code), "{what}: {}", reply.text());
        assert!(!reply.text().contains("<AccessKeyId>"), "{what}");
    }
    // None of them made the registry ask for more, and none of them changed
    // what it trusts.
    assert_eq!(scene.issuer.take_requests(), [""; 0]);
    scene.assume(&forger.good()).await.expect_status(200);
    let now = forger.now;
    scene.assume(&forger.with("exp", json!(now - 30))).await.expect_status(200);
    scene.assume(&forger.stranger.sign(&forger.claims)).await.expect_query_error(400, INVALID);
    let expired = scene.assume(&forger.with("exp", json!(now - 100))).await.element("Message");
    assert!(expired.starts_with("Token expired: current date/time "), "{expired}");
    assert!(expired.ends_with(&format!(" must be before the expiration date/time {}", now - 100)), "{expired}");
    let audience = scene.assume(&forger.with("aud", json!("somebody"))).await.element("Message");
    assert_eq!(audience, "Incorrect token audience");
    scene.registry.stop().await;
}

/// Whoever gets at the issuer's documents gets nothing out of a key that is
/// known already.
#[tokio::test]
async fn a_known_key_is_not_replaced_by_a_token() {
    let scene = Scene::new(&[""]).await;
    let (key, stranger) = (SigningKey::new("ES256", "k"), SigningKey::new("ES256", "k"));
    scene.issuer.publish("", &[&key]);
    scene.assume(&key.sign(&scene.claims())).await.expect_status(200);
    scene.issuer.publish("", &[&stranger]);
    for _ in 0..3 {
        scene.assume(&stranger.sign(&scene.claims())).await.expect_query_error(400, INVALID);
        scene.assume(&key.sign(&scene.claims())).await.expect_status(200);
    }
    // Names of keys that nobody knows do not make it ask more often either.
    for number in 0..20 {
        let unknown = SigningKey::new("ES256", &format!("unknown-{number}"));
        scene.assume(&unknown.sign(&scene.claims())).await.expect_query_error(400, INVALID);
    }
    assert_eq!(scene.issuer.take_requests().len(), 2);
    scene.registry.stop().await;
}
