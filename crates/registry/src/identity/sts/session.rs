//! Issuing temporary credentials.

use ironwharf_cloud::random;
use ironwharf_model::{AccessKeyKind, AccountId, Error, PrincipalKind, Result, access_key_id};
use ironwharf_wire::seal::{Bearer, SessionClaims};
use ironwharf_wire::sts::Timestamp;
use ironwharf_wire::sts::shapes::{AssumedRoleUser, Credentials};

use crate::identity::Directory;

/// The id of new temporary credentials of an account.
pub(super) fn new_key_id(account: &AccountId) -> String {
    access_key_id(AccessKeyKind::Temporary, account, random::bytes())
}

/// Credentials for `bearer`, whose key id they have.
///
/// # Errors
/// [`Error::PackedPolicyTooLarge`] if a token cannot carry all that is said of
/// the bearer.
pub(super) async fn issue(directory: &Directory, bearer: Bearer, seconds: i64) -> Result<Credentials> {
    check_size(&bearer)?;
    let home = directory.home();
    let now_s = bearer.issued_at_s;
    let key = home.keyring.current(now_s).await?;
    let access_key_id = bearer.principal.access_key_id.clone();
    let secret_access_key = key.session_secret(&access_key_id);
    let claims = SessionClaims { bearer, expires_at_s: now_s + seconds };
    let session_token = key.seal_session(&claims, &home.cloud.region).map_err(Error::internal)?;
    let expiration = Timestamp::from_epoch_millis(claims.expires_at_s * 1000);
    Ok(Credentials { access_key_id, secret_access_key, session_token, expiration })
}

fn check_size(bearer: &Bearer) -> Result<()> {
    let percent = bearer.packed_percent();
    if percent <= 100 {
        return Ok(());
    }
    let message = format!("Packed size of session policies and session tags consumes {percent}% of allotted space.");
    Err(Error::PackedPolicyTooLarge { message })
}

/// How much of a token is used, in percent.
pub(super) fn packed_size(bearer: &Bearer) -> Option<i32> {
    i32::try_from(bearer.packed_percent()).ok()
}

/// A session as STS describes it.
pub(super) fn assumed_role_user(bearer: &Bearer) -> Option<AssumedRoleUser> {
    match &bearer.principal.kind {
        PrincipalKind::Session { .. } => {
            Some(AssumedRoleUser { assumed_role_id: bearer.principal.user_id(), arn: bearer.principal.arn() })
        }
        PrincipalKind::Root | PrincipalKind::User { .. } => None,
    }
}
