//! Making access keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_cloud::random;
use ironwharf_cloud::table::identity::AccessKeyRecord;
use ironwharf_model::{AccessKeyKind, AccountId, Result, access_key_id};

use super::Directory;

/// A key that was just made, with the secret that is shown once.
pub(crate) struct NewAccessKey {
    pub(crate) record: AccessKeyRecord,
    pub(crate) secret: String,
}

/// A new key of a user, or of the root (`None`). Nothing is stored yet.
pub(crate) async fn new_key(
    directory: &Directory,
    account: &AccountId,
    user: Option<&str>,
    now_s: i64,
) -> Result<NewAccessKey> {
    let id = access_key_id(AccessKeyKind::LongTerm, account, random::bytes());
    let secret = STANDARD.encode(random::bytes::<30>());
    let sealed = directory.home().cloud.key_secrets.seal(account, &id, &secret).await?;
    let record = AccessKeyRecord {
        id,
        user: user.map(str::to_owned),
        active: true,
        created_at_s: now_s,
        sealed_secret: sealed.sealed_secret,
        wrapped_key: sealed.wrapped_key,
    };
    Ok(NewAccessKey { record, secret })
}
