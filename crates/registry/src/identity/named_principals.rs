//! The accounts, users and roles that policies name, and who they are.
//!
//! A policy means those who had the names in it when it was set: their unique
//! ids are stored beside it. (IAM User Guide: "Principal", on users and roles
//! that are deleted.)
//!
//! Invariant: nobody learns from this who there is in another account. A name of
//! another account is taken whether or not somebody has it, and shown as it was
//! given. (AWS refuses it if nobody has it, and so tells.)

use std::collections::BTreeMap;

use ironwharf_cloud::Table;
use ironwharf_cloud::table::identity::{AccountRecord, RoleRecord, UserRecord};
use ironwharf_model::{AccountId, Result};
use ironwharf_policy::iam::{NOBODY, Policy};

use super::ops::holders::Holder as _;

/// The unique ids of those whom a policy in the account `own` names, by their
/// ARNs; or the ARN of one of the account who is not there. `identities` is the
/// table of the identity Region.
pub(crate) async fn unique_ids(
    identities: &Table,
    policy: &Policy,
    own: &AccountId,
) -> Result<std::result::Result<BTreeMap<String, String>, String>> {
    let mut ids = BTreeMap::new();
    for account in policy.named_accounts() {
        // One that is not there goes by its number: it may be made later.
        if let Some(stored) = identities.identity::<AccountRecord>(account, "").await? {
            ids.insert(account.to_string(), stored.record.incarnation);
        }
    }
    for arn in policy.named_principals() {
        // Principals have ARNs of the partition that accounts are in.
        let named = Named::parse(arn);
        let id = match &named {
            Some(named) => named.id(identities).await?,
            None => None,
        };
        match id {
            Some(id) => drop(ids.insert(arn.to_owned(), id)),
            None if named.is_some_and(|named| named.account() != own) => {
                ids.insert(arn.to_owned(), NOBODY.to_owned());
            }
            None => return Ok(Err(arn.to_owned())),
        }
    }
    Ok(Ok(ids))
}

/// A policy of the account `own` as it is shown: in the place of a user or role of
/// the account that is gone there is its unique id.
pub(crate) async fn shown(
    identities: &Table,
    own: &AccountId,
    text: &str,
    ids: &BTreeMap<String, String>,
) -> Result<String> {
    let mut text = text.to_owned();
    for (arn, id) in ids {
        let Some(named) = Named::parse(arn).filter(|named| named.account() == own) else { continue };
        if named.id(identities).await?.as_ref() != Some(id) {
            // Only an ARN as a whole is between quotation marks, and it needs no escapes.
            text = text.replace(&format!("\"{arn}\""), &format!("\"{id}\""));
        }
    }
    Ok(text)
}

/// A user or role that a policy names; that of a session for the session.
enum Named<'a> {
    User { account: AccountId, name: &'a str, arn: &'a str },
    Role { account: AccountId, name: &'a str, arn: Option<&'a str> },
}

impl<'a> Named<'a> {
    /// Reads an ARN; `None` for what has no unique id.
    fn parse(arn: &'a str) -> Option<Self> {
        let rest = arn.strip_prefix("arn:aws:")?;
        let (service, rest) = rest.split_once("::")?;
        let (account, resource) = rest.split_once(':')?;
        let account = AccountId::parse(account).ok()?;
        let (kind, rest) = resource.split_once('/')?;
        let name = rest.rsplit('/').next().unwrap_or(rest);
        match (service, kind) {
            ("iam", "user") => Some(Self::User { account, name, arn }),
            ("iam", "role") => Some(Self::Role { account, name, arn: Some(arn) }),
            ("sts", "assumed-role") => Some(Self::Role { account, name: rest.split_once('/')?.0, arn: None }),
            _ => None,
        }
    }

    const fn account(&self) -> &AccountId {
        match self {
            Self::User { account, .. } | Self::Role { account, .. } => account,
        }
    }

    /// Its unique id, if it is there now.
    async fn id(&self, table: &Table) -> Result<Option<String>> {
        Ok(match self {
            Self::User { account, name, arn } => {
                let stored = table.identity::<UserRecord>(account, name).await?;
                stored.map(|stored| stored.record).filter(|user| user.arn(account) == *arn).map(|user| user.id)
            }
            Self::Role { account, name, arn } => {
                let stored = table.identity::<RoleRecord>(account, name).await?.map(|stored| stored.record);
                let is_meant =
                    |role: &RoleRecord| arn.map_or_else(|| role.name == *name, |arn| role.arn(account) == arn);
                stored.filter(is_meant).map(|role| role.id)
            }
        })
    }
}
