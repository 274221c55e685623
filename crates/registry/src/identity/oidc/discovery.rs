//! Asking an issuer for its keys (OpenID Connect Discovery 1.0).
//!
//! Invariant: a document that names another issuer than the one that was asked
//! is not believed.

use std::fmt;
use std::time::Duration;

use ironwharf_model::strict_json;
use ironwharf_wire::jwt::{KeySet, KeySetError};
use serde_json::Value;

use crate::egress::{Egress, EgressError};

/// The largest document of an issuer.
const MAX_DOCUMENT: usize = 150_000;

/// How long asking for both documents may take.
const TIME: Duration = Duration::from_secs(10);

/// Where an issuer publishes its metadata (section 4).
const WELL_KNOWN: &str = ".well-known/openid-configuration";

/// Why an issuer's keys cannot be had.
#[derive(Debug)]
pub(super) enum DiscoveryError {
    Metadata(EgressError),
    NotMetadata(&'static str),
    Keys(EgressError),
    NotKeys(KeySetError),
    TimedOut,
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(error) => write!(formatter, "its metadata: {error}"),
            Self::NotMetadata(reason) => write!(formatter, "its metadata {reason}"),
            Self::Keys(error) => write!(formatter, "its keys: {error}"),
            Self::NotKeys(error) => write!(formatter, "its keys: {error}"),
            Self::TimedOut => formatter.write_str("no answer in time"),
        }
    }
}

/// The keys that an issuer, `https://…`, publishes now.
pub(super) async fn fetch(egress: &Egress, issuer: &str) -> Result<KeySet, DiscoveryError> {
    tokio::time::timeout(TIME, ask(egress, issuer)).await.unwrap_or(Err(DiscoveryError::TimedOut))
}

async fn ask(egress: &Egress, issuer: &str) -> Result<KeySet, DiscoveryError> {
    let url = format!("{}/{WELL_KNOWN}", issuer.strip_suffix('/').unwrap_or(issuer));
    let metadata = egress.get(&url, MAX_DOCUMENT).await.map_err(DiscoveryError::Metadata)?;
    let keys_url = keys_url(&metadata, issuer).map_err(DiscoveryError::NotMetadata)?;
    let keys = egress.get(&keys_url, MAX_DOCUMENT).await.map_err(DiscoveryError::Keys)?;
    KeySet::parse(&keys).map_err(DiscoveryError::NotKeys)
}

/// `jwks_uri` of an issuer's metadata (section 3). Where it leads to is for
/// [`Egress`] to judge.
fn keys_url(metadata: &[u8], issuer: &str) -> Result<String, &'static str> {
    let metadata = strict_json::parse(metadata).map_err(|_| "is not JSON")?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    if text("issuer") != Some(issuer) {
        return Err("is of another issuer");
    }
    text("jwks_uri").map(str::to_owned).ok_or("has no jwks_uri")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_of_the_issuer_that_was_asked() {
        let url = |metadata: &str| keys_url(metadata.as_bytes(), "https://i.example");
        assert_eq!(
            url(r#"{"issuer":"https://i.example","jwks_uri":"https://k.example/keys"}"#),
            Ok("https://k.example/keys".to_owned())
        );
        for bad in [
            "",
            "[]",
            r#"{"jwks_uri":"https://k.example/keys"}"#,
            r#"{"issuer":"https://i.example"}"#,
            r#"{"issuer":"https://i.example","jwks_uri":1}"#,
            r#"{"issuer":"https://i.example/","jwks_uri":"https://k.example/keys"}"#,
            r#"{"issuer":"https://I.example","jwks_uri":"https://k.example/keys"}"#,
            r#"{"issuer":"https://j.example","issuer":"https://i.example","jwks_uri":"https://k.example/keys"}"#,
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
