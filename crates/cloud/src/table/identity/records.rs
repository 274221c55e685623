//! The records of the identity service, as they are stored.

use std::collections::BTreeMap;

use ironwharf_model::AccountId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::table::key::IdentityKind;

/// A record with a name that is unique in its account and kind.
pub trait IdentityRecord: Serialize + DeserializeOwned + Send + Sync {
    /// What it is a record of.
    const KIND: IdentityKind;

    /// Its name, as keys are made of it.
    fn key(&self) -> String;
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountStatus {
    /// It may.
    Active,
    /// None of its credentials is accepted.
    Suspended,
}

/// An account: a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// When it was created, in epoch seconds.
    pub created_at_s: i64,
    /// Tells it from an earlier account of the same id: random, given at
    /// creation. What was issued to the earlier one says another.
    #[serde(default)]
    pub incarnation: String,
    /// Events before this are of an earlier account of the same id and none of
    /// its business; in milliseconds since the epoch.
    #[serde(default)]
    pub trail_begins_at_ms: i64,
    /// Whether it may be used.
    pub status: AccountStatus,
    /// The access keys of its root.
    pub root_keys: Vec<String>,
    /// Credentials issued before this time are not accepted; in epoch seconds.
    #[serde(default)]
    pub revoked_before_s: i64,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its unique id.
    pub id: String,
    /// When it was created, in epoch seconds.
    pub created_at_s: i64,
    /// The policies in it, by name.
    #[serde(default)]
    pub inline_policies: BTreeMap<String, String>,
    /// The ARNs of managed policies.
    #[serde(default)]
    pub attached_policies: Vec<String>,
    /// The ARN of its permissions boundary.
    #[serde(default)]
    pub boundary: Option<String>,
    /// The names of its groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The ids of its access keys.
    #[serde(default)]
    pub access_keys: Vec<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Credentials issued before this time are not accepted; in epoch seconds.
    #[serde(default)]
    pub revoked_before_s: i64,
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its unique id.
    pub id: String,
    /// When it was created, in epoch seconds.
    pub created_at_s: i64,
    /// The policies in it, by name.
    #[serde(default)]
    pub inline_policies: BTreeMap<String, String>,
    /// The ARNs of managed policies.
    #[serde(default)]
    pub attached_policies: Vec<String>,
}

/// That a user is in a group. The user's record says so too: this one is for
/// listing a group's users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The group's name.
    pub group: String,
    /// The user's name.
    pub user: String,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its unique id.
    pub id: String,
    /// When it was created, in epoch seconds.
    pub created_at_s: i64,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Who may assume it: a policy.
    pub trust_policy: String,
    /// The unique ids of the users and roles that the trust policy names, by the
    /// ARNs in it, as they were when it was set.
    #[serde(default)]
    pub trusted_ids: BTreeMap<String, String>,
    /// How long a session may last, in seconds.
    pub max_session_s: i64,
    /// The policies in it, by name.
    #[serde(default)]
    pub inline_policies: BTreeMap<String, String>,
    /// The ARNs of managed policies.
    #[serde(default)]
    pub attached_policies: Vec<String>,
    /// The ARN of its permissions boundary.
    #[serde(default)]
    pub boundary: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Sessions issued before this time are not accepted; in epoch seconds.
    #[serde(default)]
    pub revoked_before_s: i64,
}

/// A managed policy of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its unique id.
    pub id: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// When it was created, in epoch seconds.
    pub created_at_s: i64,
    /// When a version was last made or chosen, in epoch seconds.
    pub updated_at_s: i64,
    /// Its versions, the oldest first; at most five.
    pub versions: Vec<PolicyVersion>,
    /// The number of the version in force.
    pub default_version: u32,
    /// The number of the next version.
    pub next_version: u32,
    /// How many users, groups and roles have it.
    #[serde(default)]
    pub attachments: u32,
    /// How many users and roles have it as their boundary.
    #[serde(default)]
    pub boundary_uses: u32,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl PolicyRecord {
    /// The document in force.
    #[must_use]
    pub fn document(&self) -> Option<&str> {
        let default = self.versions.iter().find(|version| version.number == self.default_version);
        default.map(|version| version.document.as_str())
    }
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number: `v1` is 1.
    pub number: u32,
    /// Its text.
    pub document: String,
    /// When it was made, in epoch seconds.
    pub created_at_s: i64,
}

/// An access key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRecord {
    /// Its id.
    pub id: String,
    /// The user it is of; `None` for the root.
    pub user: Option<String>,
    /// Whether it may be used.
    pub active: bool,
    /// When it was made, in epoch seconds.
    pub created_at_s: i64,
    /// The secret under a data key, and the data key under KMS; in base64.
    pub sealed_secret: String,
    /// See `sealed_secret`.
    pub wrapped_key: String,
}

impl std::fmt::Debug for AccessKeyRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("AccessKeyRecord");
        shown.field("id", &self.id).field("user", &self.user).field("active", &self.active).finish_non_exhaustive()
    }
}

/// An issuer of web identity tokens that the account trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcProviderRecord {
    /// The issuer's URL without its scheme, as it stands in ARNs.
    pub url: String,
    /// The audiences that are accepted.
    pub client_ids: Vec<String>,
    /// Certificate thumbprints, which are kept and reported.
    pub thumbprints: Vec<String>,
    /// When it was created, in epoch seconds.
    pub created_at_s: i64,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

macro_rules! records {
    ($($record:ident is $kind:ident by |$value:ident| $key:expr;)+) => {$(
        impl IdentityRecord for $record {
            const KIND: IdentityKind = IdentityKind::$kind;

            fn key(&self) -> String {
                let $value = self;
                $key
            }
        }
    )+};
}

records! {
    AccountRecord is Account by |_account| String::new();
    UserRecord is User by |user| user.name.to_lowercase();
    GroupRecord is Group by |group| group.name.to_lowercase();
    Membership is Membership by |membership| {
        format!("{}/{}", membership.group.to_lowercase(), membership.user.to_lowercase())
    };
    RoleRecord is Role by |role| role.name.to_lowercase();
    PolicyRecord is Policy by |policy| policy.name.to_lowercase();
    AccessKeyRecord is AccessKey by |key| key.id.clone();
    OidcProviderRecord is OidcProvider by |provider| provider.url.clone();
}
