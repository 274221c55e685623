//! Who sent a request to a service that is not S3.
//!
//! Invariant: nothing is answered to a request without a good signature for
//! this service and this Region, and a token if its key is temporary.

use std::sync::Arc;

use http::request::Parts;
use ironwharf_wire::sigv4::{self, Expectations};
use time::OffsetDateTime;

use super::roles::{Access, Roles};
use super::sessions::{Sender, Sessions, TokenRefusal};

/// What the services of one Region check requests with.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) region: Arc<str>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) roles: Arc<Roles>,
}

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl From<TokenRefusal> for Refusal {
    fn from(refusal: TokenRefusal) -> Self {
        let (code, message) = match refusal {
            TokenRefusal::Invalid => {
                ("UnrecognizedClientException", "The security token included in the request is invalid.")
            }
            TokenRefusal::Expired => ("ExpiredTokenException", "The security token included in the request is expired"),
        };
        Self { code, message: message.to_owned() }
    }
}

impl Gate {
    /// Finds out who sent a request to `service`.
    pub(super) fn sender(&self, service: &str, parts: &Parts, body: &[u8]) -> Result<Sender, Refusal> {
        let request = sigv4::Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            authority: parts.uri.authority().map(http::uri::Authority::as_str),
            headers: &parts.headers,
            body,
        };
        let now = OffsetDateTime::now_utc();
        let refused = |error: sigv4::SigV4Error| Refusal { code: error.code(), message: error.to_string() };
        let unverified = sigv4::parse(&request, &Expectations { services: &[service], now }).map_err(refused)?;
        let claim = unverified.claim();
        let secret = self.sessions.secret_of(&claim.access_key_id);
        unverified.verify(secret.as_deref()).map_err(refused)?;
        if claim.region != *self.region {
            let message = format!("Credential should be scoped to a valid region: '{}'.", self.region);
            return Err(Refusal { code: "InvalidSignatureException", message });
        }
        let token = claim.session_token.as_deref();
        Ok(self.sessions.sender(&claim.access_key_id, token, now.unix_timestamp())?)
    }

    /// Refuses what a sender may not do; `accesses` says what it asks for.
    pub(super) fn check(&self, sender: &Sender, accesses: impl FnOnce() -> Vec<Access>) -> Result<(), Refusal> {
        let Sender::Tenant(session) = sender else { return Ok(()) };
        self.roles.check(session, &accesses()).map_err(|message| {
            tracing::warn!(message, "a tenant's session was refused");
            Refusal { code: "AccessDeniedException", message }
        })
    }
}
