//! What a verified token says (RFC 7519, section 4; OpenID Connect Core 1.0,
//! section 2).
//!
//! Invariant: no two claims have names that differ in case only: the condition
//! keys of policies, which are made of them, could not tell them apart.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::JwtError;

/// The largest number of claims.
const MAX_CLAIMS: usize = 200;

/// The largest number of values of one claim.
const MAX_VALUES: usize = 500;

/// The longest subject, in characters, which are ASCII (OpenID Connect Core
/// 1.0, section 2).
const MAX_SUBJECT: usize = 255;

/// What a verified token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// Who issued it.
    pub issuer: String,
    /// Whom it is about.
    pub subject: String,
    /// Whom it is for; at least one.
    pub audiences: Vec<String>,
    /// To whom it was issued.
    pub authorized_party: Option<String>,
    /// When it was issued, in epoch seconds.
    pub issued_at_s: i64,
    /// When it ends, in epoch seconds.
    pub expires_at_s: i64,
    /// When it begins, in epoch seconds.
    pub not_before_s: Option<i64>,
    all: Map<String, Value>,
}

/// A claim that is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimValue<'a> {
    /// A string.
    One(&'a str),
    /// A list of strings.
    Many(Vec<&'a str>),
}

impl<'a> ClaimValue<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::One(text)),
            Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<_>>().map(Self::Many),
            _ => None,
        }
    }
}

impl Claims {
    pub(super) fn read(all: Map<String, Value>) -> Result<Self, JwtError> {
        check_size(&all)?;
        let required = |claim| all.get(claim).ok_or(JwtError::MissingClaim(claim));
        let text = |claim, value: &Value| {
            let text = value.as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or(JwtError::InvalidClaim { claim, reason: "is not text" })
        };
        let time = |claim, value: &Value| {
            let time = value.as_number().and_then(whole_seconds);
            time.ok_or(JwtError::InvalidClaim { claim, reason: "is not a time" })
        };
        let subject = text("sub", required("sub")?)?;
        if subject.chars().count() > MAX_SUBJECT || subject.chars().any(char::is_control) {
            return Err(JwtError::InvalidClaim { claim: "sub", reason: "is not text of up to 255 characters" });
        }
        let audiences = match ClaimValue::of(required("aud")?) {
            Some(ClaimValue::One(audience)) => vec![audience.to_owned()],
            Some(ClaimValue::Many(audiences)) if !audiences.is_empty() => {
                audiences.into_iter().map(str::to_owned).collect()
            }
            _ => return Err(JwtError::InvalidClaim { claim: "aud", reason: "is not a string or a list of strings" }),
        };
        Ok(Self {
            issuer: text("iss", required("iss")?)?,
            subject,
            audiences,
            authorized_party: all.get("azp").map(|value| text("azp", value)).transpose()?,
            issued_at_s: time("iat", required("iat")?)?,
            expires_at_s: time("exp", required("exp")?)?,
            not_before_s: all.get("nbf").map(|value| time("nbf", value)).transpose()?,
            all,
        })
    }

    /// The audience that makes the token one for a party of these ids: the only
    /// one, or, where there are several, the party it was issued to, which then
    /// has to be one of the ids too. (OpenID Connect Core 1.0, 3.1.3.7.)
    #[must_use]
    pub fn audience_among(&self, client_ids: &[String]) -> Option<&str> {
        let is_known = |audience: &&String| client_ids.contains(audience);
        match self.audiences.as_slice() {
            [only] => Some(only).filter(is_known),
            several => {
                several.iter().find(is_known)?;
                self.authorized_party.as_ref().filter(is_known)
            }
        }
        .map(String::as_str)
    }

    /// All claims that are text, by name.
    pub fn texts(&self) -> impl Iterator<Item = (&str, ClaimValue<'_>)> {
        self.all.iter().filter_map(|(name, value)| Some((name.as_str(), ClaimValue::of(value)?)))
    }
}

fn check_size(claims: &Map<String, Value>) -> Result<(), JwtError> {
    if claims.len() > MAX_CLAIMS {
        return Err(JwtError::malformed(format!("It has more than {MAX_CLAIMS} claims.")));
    }
    if claims.values().any(|value| value.as_array().is_some_and(|list| list.len() > MAX_VALUES)) {
        return Err(JwtError::malformed(format!("One of its claims has more than {MAX_VALUES} values.")));
    }
    let mut names = BTreeSet::new();
    if claims.keys().all(|name| names.insert(name.to_lowercase())) {
        return Ok(());
    }
    Err(JwtError::malformed("Two of its claims have names that differ in case only."))
}

/// A time, which may have a fraction (RFC 7519, section 2, `NumericDate`).
fn whole_seconds(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| format!("{:.0}", number.as_f64()?.trunc()).parse().ok())
}
