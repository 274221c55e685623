//! Who is asking.

use serde::{Deserialize, Serialize};

use crate::identity::AccountId;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// The account the caller belongs to.
    pub account: AccountId,
    /// What kind of caller it is.
    pub kind: PrincipalKind,
    /// The access key the request (or the login token) was made with.
    pub access_key_id: String,
}

/// The kinds of callers that have credentials of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PrincipalKind {
    /// The root of the account.
    Root,
    /// An IAM user.
    User {
        /// Its path, `/` or `/team/`.
        path: String,
        /// Its name.
        name: String,
        /// Its unique id, `AIDA…`: another one if it is deleted and made again.
        id: String,
    },
    /// A session of a role.
    Session {
        /// The role's path.
        path: String,
        /// The role's name.
        role: String,
        /// The role's unique id, `AROA…`.
        id: String,
        /// The name that whoever assumed the role gave the session.
        session: String,
    },
}

impl PrincipalKind {
    /// The unique id of a user, or of the role behind a session.
    #[must_use]
    pub fn unique_id(&self) -> Option<&str> {
        match self {
            Self::Root => None,
            Self::User { id, .. } | Self::Session { id, .. } => Some(id),
        }
    }
}

impl Principal {
    /// The root of `account`, holding `access_key_id`.
    #[must_use]
    pub fn root(account: AccountId, access_key_id: impl Into<String>) -> Self {
        Self { account, kind: PrincipalKind::Root, access_key_id: access_key_id.into() }
    }

    /// Whether this is its account's root.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        matches!(self.kind, PrincipalKind::Root)
    }

    /// The ARN that policies and messages name it by (`GetCallerIdentity`).
    #[must_use]
    pub fn arn(&self) -> String {
        let account = &self.account;
        match &self.kind {
            PrincipalKind::Root => root_arn(account),
            PrincipalKind::User { path, name, .. } => iam_arn(account, "user", path, name),
            PrincipalKind::Session { role, session, .. } => {
                format!("arn:aws:sts::{account}:assumed-role/{role}/{session}")
            }
        }
    }

    /// The ARN of the role behind a session; of anyone else the same as [`Principal::arn`].
    #[must_use]
    pub fn issuer_arn(&self) -> String {
        match &self.kind {
            PrincipalKind::Session { path, role, .. } => iam_arn(&self.account, "role", path, role),
            PrincipalKind::Root | PrincipalKind::User { .. } => self.arn(),
        }
    }

    /// The value of `aws:userid`.
    #[must_use]
    pub fn user_id(&self) -> String {
        match &self.kind {
            PrincipalKind::Root => self.account.to_string(),
            PrincipalKind::User { id, .. } => id.clone(),
            PrincipalKind::Session { id, session, .. } => format!("{id}:{session}"),
        }
    }
}

/// The ARN of an account's root, which stands for the account in policies.
#[must_use]
pub fn root_arn(account: &AccountId) -> String {
    format!("arn:aws:iam::{account}:root")
}

/// The ARN of something that IAM keeps: `kind` is `user`, `role`, `group`,
/// `policy`; `path` begins and ends with a slash.
#[must_use]
pub fn iam_arn(account: &AccountId, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_those_of_iam() {
        let account = AccountId::parse("123456789012").unwrap();
        let of = |kind| Principal { account: account.clone(), kind, access_key_id: "AKIA".to_owned() };
        let (path, id) = ("/team/".to_owned(), "AROAX".to_owned());
        let user = of(PrincipalKind::User { path: path.clone(), name: "ada".into(), id: id.clone() });
        let session = of(PrincipalKind::Session { path, role: "ci".into(), id, session: "run-7".into() });
        assert_eq!(of(PrincipalKind::Root).arn(), "arn:aws:iam::123456789012:root");
        assert_eq!(user.arn(), "arn:aws:iam::123456789012:user/team/ada");
        assert_eq!(session.arn(), "arn:aws:sts::123456789012:assumed-role/ci/run-7");
        assert_eq!(session.issuer_arn(), "arn:aws:iam::123456789012:role/team/ci");
        assert_eq!(session.user_id(), "AROAX:run-7");
    }
}
