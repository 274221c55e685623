//! What users, groups and roles have in common: a name, a path, and policies.

use std::collections::BTreeMap;

use ironwharf_cloud::table::identity::{Change, GroupRecord, IdentityRecord, RoleRecord, Stored, UserRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::principal::iam_arn;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::iam::Timestamp;

/// A record that policies can be attached to.
pub(crate) trait Holder: IdentityRecord + Clone {
    /// What it is, in ARNs and in the middle of sentences.
    const WORD: &'static str;
    /// What it is, at the start of sentences.
    const TITLE: &'static str;
    /// How many characters its inline policies may have together, white space apart.
    const INLINE_CHARACTERS: usize;
    /// The name of the quota of its managed policies.
    const ATTACHED_QUOTA: &'static str;

    fn name(&self) -> &str;
    fn path(&self) -> &str;
    fn inline(&self) -> &BTreeMap<String, String>;
    fn inline_mut(&mut self) -> &mut BTreeMap<String, String>;
    fn attached(&self) -> &[String];
    fn attached_mut(&mut self) -> &mut Vec<String>;

    /// The ARN of its permissions boundary; groups have none.
    fn boundary(&self) -> Option<&str>;

    /// Its tags; groups have none.
    fn tags(&self) -> Option<&BTreeMap<String, String>>;

    fn arn(&self, account: &AccountId) -> String {
        iam_arn(account, Self::WORD, self.path(), self.name())
    }
}

macro_rules! holders {
    ($($record:ident, $word:literal, $title:literal, $characters:literal, $quota:literal,
        |$value:ident| $boundary:expr, $tags:expr;)+) => {$(
        impl Holder for $record {
            const WORD: &'static str = $word;
            const TITLE: &'static str = $title;
            const INLINE_CHARACTERS: usize = $characters;
            const ATTACHED_QUOTA: &'static str = $quota;

            fn name(&self) -> &str {
                &self.name
            }

            fn path(&self) -> &str {
                &self.path
            }

            fn inline(&self) -> &BTreeMap<String, String> {
                &self.inline_policies
            }

            fn inline_mut(&mut self) -> &mut BTreeMap<String, String> {
                &mut self.inline_policies
            }

            fn attached(&self) -> &[String] {
                &self.attached_policies
            }

            fn attached_mut(&mut self) -> &mut Vec<String> {
                &mut self.attached_policies
            }

            fn boundary(&self) -> Option<&str> {
                let $value = self;
                $boundary
            }

            fn tags(&self) -> Option<&BTreeMap<String, String>> {
                let $value = self;
                $tags
            }
        }
    )+};
}

holders! {
    UserRecord, "user", "User", 2_048, "PoliciesPerUser", |user| user.boundary.as_deref(), Some(&user.tags);
    GroupRecord, "group", "Group", 5_120, "PoliciesPerGroup", |_group| None, None;
    RoleRecord, "role", "Role", 10_240, "PoliciesPerRole", |role| role.boundary.as_deref(), Some(&role.tags);
}

/// That there is none of this name.
pub(super) fn not_found<H: Holder>(name: &str) -> Error {
    Error::NoSuchEntity { message: format!("The {} with name {} cannot be found.", H::WORD, quoted(name)) }
}

/// That there is one of this name already.
pub(super) fn already_exists<H: Holder>(name: &str) -> Error {
    Error::EntityAlreadyExists { message: format!("{} with name {} already exists.", H::TITLE, quoted(name)) }
}

/// Refuses to delete what still has policies.
pub(super) fn check_no_policies<H: Holder>(holder: &H) -> Result<()> {
    let message = if !holder.attached().is_empty() {
        "Cannot delete entity, must detach all policies first."
    } else if !holder.inline().is_empty() {
        "Cannot delete entity, must delete policies first."
    } else {
        return Ok(());
    };
    Err(Error::DeleteConflict { message: message.to_owned() })
}

/// The changes that put a record in the place of what was read, be it under
/// another name.
pub(super) fn moved<R: IdentityRecord>(account: &AccountId, stored: &Stored<R>, record: &R) -> Result<Vec<Change>> {
    if stored.record.key() == record.key() {
        return Ok(vec![Change::replace(account, stored, record)?]);
    }
    Ok(vec![Change::delete(account, stored), Change::create(account, record)?])
}

/// A path; `/` if none is given.
pub(super) fn path_or_root(path: Option<String>) -> String {
    path.unwrap_or_else(|| "/".to_owned())
}

/// Whether a path is under the one that is asked for.
pub(super) fn is_under(path: &str, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| path.starts_with(prefix))
}

/// A stored time as answers have it.
pub(super) fn time(epoch_seconds: i64) -> Timestamp {
    Timestamp::from_epoch_millis(epoch_seconds * 1000)
}
