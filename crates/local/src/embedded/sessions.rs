//! Sessions of the tenant data roles: temporary credentials that reach one
//! tenant's data. They are the platform's own and have nothing to do with the
//! sessions that the registry gives to its users.
//!
//! Nothing is kept: the token says whose session it is and until when, under a
//! code that only the holder of the service credentials can make; the secret is
//! derived from the access key id. So presigned URLs survive a restart.
//!
//! Invariant: a token is good for one access key id, one role, one tenant and
//! one hour at most, and no part of it can be changed.
//! Invariant: neither a secret nor a token is printed by `Debug`.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ironwharf_cloud::{Mode, random};
use ironwharf_model::AccountId;
use ring::hmac;

use super::ServiceCredentials;

/// What the ids of temporary credentials start with.
const TEMPORARY: &str = "ASIA";

/// What a token starts with; only characters that stand unencoded in a URL
/// follow.
const VERSION: &str = "IW1";

/// Gives out sessions, and recognizes them.
pub(super) struct Sessions {
    service: ServiceCredentials,
    tokens: hmac::Key,
    secrets: hmac::Key,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(..)")
    }
}

/// Temporary credentials.
pub(super) struct TemporaryCredentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) token: String,
}

/// Who sent a request.
#[derive(Debug)]
pub(super) enum Sender {
    /// The process itself: the registry's own role.
    Service,
    /// A session of a tenant.
    Tenant(TenantSession),
}

/// A session, as its token describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TenantSession {
    pub(super) tenant: AccountId,
    pub(super) mode: Mode,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenRefusal {
    Invalid,
    Expired,
}

impl Sessions {
    pub(super) fn new(service: &ServiceCredentials) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, service.secret_access_key.as_bytes());
        let derived = |purpose: &str| {
            let key = hmac::sign(&root, format!("ironwharf session {purpose}").as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
        };
        Self { service: service.clone(), tokens: derived("tokens"), secrets: derived("secrets") }
    }

    /// A new session until `ends_at_s`.
    pub(super) fn issue(&self, session: &TenantSession, ends_at_s: i64) -> TemporaryCredentials {
        let access_key_id = format!("{TEMPORARY}{}", random::hex::<8>().to_uppercase());
        let mode = mode_name(session.mode);
        let claims = format!("{VERSION}.{access_key_id}.{mode}.{}.{ends_at_s}", session.tenant);
        let code = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.tokens, claims.as_bytes()));
        let secret_access_key = self.derived_secret(&access_key_id);
        TemporaryCredentials { access_key_id, secret_access_key, token: format!("{claims}.{code}") }
    }

    /// The secret that goes with an access key id, if it can be one of ours.
    pub(super) fn secret_of(&self, access_key_id: &str) -> Option<String> {
        if access_key_id == self.service.access_key_id {
            return Some(self.service.secret_access_key.clone());
        }
        access_key_id.starts_with(TEMPORARY).then(|| self.derived_secret(access_key_id))
    }

    fn derived_secret(&self, access_key_id: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.secrets, access_key_id.as_bytes()))
    }

    /// Who signed with an access key, given the token that came with the
    /// request. To be asked only when the signature is known to be good.
    pub(super) fn sender(&self, access_key_id: &str, token: Option<&str>, now_s: i64) -> Result<Sender, TokenRefusal> {
        match token {
            None if access_key_id == self.service.access_key_id => Ok(Sender::Service),
            None => Err(TokenRefusal::Invalid),
            Some(token) => self.open(access_key_id, token, now_s).map(Sender::Tenant),
        }
    }

    fn open(&self, access_key_id: &str, token: &str, now_s: i64) -> Result<TenantSession, TokenRefusal> {
        let (claims, code) = token.rsplit_once('.').ok_or(TokenRefusal::Invalid)?;
        let code = BASE64_URL_SAFE_NO_PAD.decode(code).map_err(|_| TokenRefusal::Invalid)?;
        hmac::verify(&self.tokens, claims.as_bytes(), &code).map_err(|_| TokenRefusal::Invalid)?;
        let mut parts = claims.split('.');
        let mut next = || parts.next().unwrap_or_default();
        let (version, id, mode, tenant, ends) = (next(), next(), next(), next(), next());
        if version != VERSION || id != access_key_id {
            return Err(TokenRefusal::Invalid);
        }
        let mode = [Mode::Read, Mode::Write].into_iter().find(|known| mode_name(*known) == mode);
        let mode = mode.ok_or(TokenRefusal::Invalid)?;
        let tenant = AccountId::parse(tenant).map_err(|_| TokenRefusal::Invalid)?;
        let ends: i64 = ends.parse().map_err(|_| TokenRefusal::Invalid)?;
        if ends <= now_s {
            return Err(TokenRefusal::Expired);
        }
        Ok(TenantSession { tenant, mode })
    }
}

/// How a mode is called in the names of roles and in tokens.
pub(super) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Read => "read",
        Mode::Write => "write",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(secret: &str) -> Sessions {
        let (access_key_id, secret_access_key) = ("IWLOCAL1".to_owned(), secret.to_owned());
        Sessions::new(&ServiceCredentials { access_key_id, secret_access_key })
    }

    #[test]
    fn every_changed_byte_of_a_token_is_noticed() {
        let sessions = sessions("secret");
        let session = TenantSession { tenant: AccountId::parse("111122223333").unwrap(), mode: Mode::Read };
        let issued = sessions.issue(&session, 100);
        let open = |id: &str, token: &str, now| match sessions.sender(id, Some(token), now) {
            Ok(Sender::Tenant(session)) => Ok(session),
            Ok(Sender::Service) => panic!("a token made somebody the service"),
            Err(refusal) => Err(refusal),
        };
        assert_eq!(open(&issued.access_key_id, &issued.token, 99), Ok(session.clone()));
        assert_eq!(open(&issued.access_key_id, &issued.token, 100), Err(TokenRefusal::Expired));
        for position in 0..issued.token.len() {
            let mut changed = issued.token.clone().into_bytes();
            changed[position] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(open(&issued.access_key_id, &changed, 1), Err(TokenRefusal::Invalid), "{position}");
        }
        let other = sessions.issue(&session, 100);
        assert_eq!(open(&other.access_key_id, &issued.token, 1), Err(TokenRefusal::Invalid));
        assert_eq!(open("IWLOCAL1", &issued.token, 1), Err(TokenRefusal::Invalid));
        assert!(sessions.sender(&issued.access_key_id, None, 1).is_err());
    }

    #[test]
    fn another_data_folder_knows_neither_token_nor_secret() {
        let (one, other) = (sessions("one"), sessions("other"));
        let session = TenantSession { tenant: AccountId::parse("111122223333").unwrap(), mode: Mode::Write };
        let issued = one.issue(&session, 100);
        assert!(other.sender(&issued.access_key_id, Some(&issued.token), 1).is_err());
        assert_ne!(other.secret_of(&issued.access_key_id).unwrap(), issued.secret_access_key);
        assert_eq!(one.secret_of(&issued.access_key_id).unwrap(), issued.secret_access_key);
        assert_eq!(one.secret_of("AKIAOTHER"), None);
    }
}
