//! No token verifies with a key that it was not signed with; what verifies with
//! the keys in the input says who, for whom and until when.
#![no_main]

use std::sync::LazyLock;

use ironwharf_wire::jwt::{KeySet, UnverifiedToken};
use libfuzzer_sys::fuzz_target;

/// The example key of RFC 7517, A.1, under the name that the seeds use.
static STRANGER: LazyLock<KeySet> = LazyLock::new(|| {
    let document = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k",
        "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
    KeySet::parse(document).expect("a set of keys")
});

fuzz_target!(|input: &[u8]| {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let (token, keys) = input.split_once('\n').unwrap_or((input, ""));
    let keys = KeySet::parse(keys.as_bytes());
    let Ok(token) = UnverifiedToken::parse(token) else { return };
    assert!(token.clone().verify(&STRANGER).is_err());
    let Ok(keys) = keys else { return };
    let is_known = keys.has(token.algorithm(), token.key_id());
    if let Ok(claims) = token.verify(&keys) {
        assert!(is_known);
        assert!(!claims.subject.is_empty() && !claims.issuer.is_empty() && !claims.audiences.is_empty());
        assert!(claims.audience_among(&[]).is_none());
        assert!(claims.texts().count() >= 3);
    }
});
