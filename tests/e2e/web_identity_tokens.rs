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

#[tokio::test]
async fn hostile_tokens_are_refused() {
    let scene = Scene::new(&[""]).await;
    let (rsa, ecdsa) = (SigningKey::new("RS256", "rsa"), SigningKey::new("ES256", "ec"));
    scene.issuer.publish("", &[&rsa, &ecdsa]);
    let claims = scene.claims();
    let good = ecdsa.sign(&claims);
    scene.assume(&good).await.expect_status(200);
    scene.issuer.take_requests();

    let now = OffsetDateTime::now_utc().unix_timestamp();
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        ecdsa.sign(&claims)
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        ecdsa.sign(&claims)
    };
    let header = |more: Value| {
        let mut header = json!({ "alg": "ES256", "kid": "ec", "typ": "JWT" });
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ecdsa.sign_parts(&header.to_string(), &claims.to_string())
    };
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let parts: Vec<&str> = good.split('.').collect();
    let stranger = SigningKey::new("ES256", "ec");
    let payload = claims.to_string();
    let none = encoded(r#"{"alg":"none"}"#);
    let jwk = rsa.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let twice = |member: &str| {
        let payload = payload.replacen('{', &format!("{{{member},"), 1);
        ecdsa.sign_parts(&json!({ "alg": "ES256", "kid": "ec" }).to_string(), &payload)
    };

    let table: Vec<(&str, String, &str)> = vec![
        ("no token", "....".to_owned(), INVALID),
        ("text", "this is no token at all".to_owned(), INVALID),
        ("alg none", format!("{none}.{}.", parts[1]), INVALID),
        ("alg none with a signature", format!("{none}.{}.{}", parts[1], parts[2]), INVALID),
        ("alg nOnE", format!("{}.{}.", encoded(r#"{"alg":"nOnE"}"#), parts[1]), INVALID),
        ("HS256 with the modulus", hs256(&modulus, "rsa", &claims), INVALID),
        ("HS256 with the JWK", hs256(jwk.to_string().as_bytes(), "rsa", &claims), INVALID),
        ("HS256 with nothing", hs256(b"", "ec", &claims), INVALID),
        ("RS256 over a key of P-256", header(json!({ "alg": "RS256" })), INVALID),
        ("ES384 over a key of P-256", header(json!({ "alg": "ES384" })), INVALID),
        ("ES256 over the RSA key", header(json!({ "kid": "rsa" })), INVALID),
        (
            "embedded key",
            {
                let header = json!({ "alg": "ES256", "jwk": stranger.jwk() });
                stranger.sign_parts(&header.to_string(), &payload)
            },
            INVALID,
        ),
        ("embedded key of its own", header(json!({ "jwk": ecdsa.jwk() })), INVALID),
        ("jku", header(json!({ "jku": format!("https://{}/keys", scene.issuer.url("")) })), INVALID),
        ("x5u", header(json!({ "x5u": "https://evil.example/chain.pem" })), INVALID),
        ("x5c", header(json!({ "x5c": [STANDARD.encode("certificate")] })), INVALID),
        ("crit", header(json!({ "crit": ["exp"], "exp": 1 })), INVALID),
        ("b64", header(json!({ "b64": false })), INVALID),
        ("typ", header(json!({ "typ": "at+jwt" })), INVALID),
        ("kid as a path", header(json!({ "kid": "../../../../etc/passwd" })), INVALID),
        ("kid as a query", header(json!({ "kid": "ec' OR '1'='1" })), INVALID),
        ("kid as a list", header(json!({ "kid": ["ec"] })), INVALID),
        ("long kid", header(json!({ "kid": "k".repeat(257) })), INVALID),
        ("no kid, and another's key", stranger.sign_parts(r#"{"alg":"ES256"}"#, &payload), INVALID),
        ("signature of another key", stranger.sign(&claims), INVALID),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), INVALID),
        ("two parts", format!("{}.{}", parts[0], parts[1]), INVALID),
        ("four parts", format!("{good}.{}", parts[2]), INVALID),
        ("cut", good[..good.len() - 1].to_owned(), INVALID),
        ("zero signature", format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0; 64])), INVALID),
        ("signature in DER", format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0x30; 70])), INVALID),
        ("padded", format!("{good}=="), INVALID),
        (
            "other claims under the same signature",
            {
                let mut claims = claims.clone();
                claims["exp"] = json!(now + 301);
                format!("{}.{}.{}", parts[0], encoded(&claims.to_string()), parts[2])
            },
            INVALID,
        ),
        ("subject twice", twice(r#""sub":"somebody else""#), INVALID),
        ("issuer twice", twice(r#""iss":"https://evil.example""#), INVALID),
        ("subject in capitals", twice(r#""SUB":"somebody else""#), INVALID),
        ("payload is a list", ecdsa.sign_parts(r#"{"alg":"ES256","kid":"ec"}"#, "[]"), INVALID),
        ("expired", with("exp", json!(now - 61)), "ExpiredTokenException"),
        ("expired long ago", with("exp", json!(-1)), "ExpiredTokenException"),
        ("expires as text", with("exp", json!((now + 300).to_string())), INVALID),
        ("never expires", without("exp"), INVALID),
        ("not yet", with("nbf", json!(now + 120)), INVALID),
        ("issued in the future", with("iat", json!(now + 120)), INVALID),
        ("issued the day before", with("iat", json!(now - 24 * 3600 - 1)), INVALID),
        ("not issued", without("iat"), INVALID),
        ("another audience", with("aud", json!("somebody")), INVALID),
        ("audience as a part", with("aud", json!(format!("{AUDIENCE}.evil"))), INVALID),
        ("audiences without a party", with("aud", json!([AUDIENCE, "somebody"])), INVALID),
        ("no audience", without("aud"), INVALID),
        ("no subject", without("sub"), INVALID),
        ("empty subject", with("sub", json!("")), INVALID),
        ("long subject", with("sub", json!("s".repeat(256))), INVALID),
        ("no issuer", without("iss"), INVALID),
        ("issuer with a slash", with("iss", json!(format!("https://{}/", scene.issuer.url("")))), INVALID),
        ("issuer over http", with("iss", json!(format!("http://{}", scene.issuer.url("")))), INVALID),
        ("issuer without a scheme", with("iss", json!(scene.issuer.url(""))), INVALID),
        ("issuer in capitals", with("iss", json!(format!("https://{}", scene.issuer.url("").to_uppercase()))), INVALID),
        ("unknown issuer", with("iss", json!("https://evil.example")), INVALID),
        ("issuer at the metadata service", with("iss", json!("https://169.254.169.254/latest")), INVALID),
        ("long issuer", with("iss", json!(format!("https://{}", "i".repeat(5000)))), INVALID),
        ("100 kB", with("x", json!("x".repeat(100_000))), "ValidationError"),
        ("deep", ecdsa.sign_parts(r#"{"alg":"ES256","kid":"ec"}"#, &"[".repeat(14_000)), INVALID),
    ];
    for (what, token, code) in &table {
        let reply = scene.assume(token).await;
        assert_eq!((reply.status.as_u16(), reply.element("Code").as_str()), (400, *code), "{what}: {}", reply.text());
        assert!(!reply.text().contains("<AccessKeyId>"), "{what}");
    }
    // None of them made the registry ask for more, and none of them changed
    // what it trusts.
    assert_eq!(scene.issuer.take_requests(), [""; 0]);
    scene.assume(&good).await.expect_status(200);
    scene.assume(&with("exp", json!(now - 30))).await.expect_status(200);
    scene.assume(&stranger.sign(&claims)).await.expect_query_error(400, INVALID);
    let expired = scene.assume(&with("exp", json!(now - 100))).await.element("Message");
    assert!(expired.starts_with("Token expired: current date/time "), "{expired}");
    assert!(expired.ends_with(&format!(" must be before the expiration date/time {}", now - 100)), "{expired}");
    let audience = scene.assume(&with("aud", json!("somebody"))).await.element("Message");
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
