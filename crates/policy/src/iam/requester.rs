//! Who asks, and for what.
//!
//! Invariant: nothing here is taken from a policy.

use ironwharf_model::AccountId;

use super::context::Context;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester<'a> {
    /// Nobody: the request is not signed.
    Anonymous,
    /// The root user of an account.
    Root {
        /// The account.
        account: &'a AccountId,
        /// Tells the account from an earlier one of the same id.
        incarnation: &'a str,
    },
    /// An IAM user.
    User {
        /// The user's account.
        account: &'a AccountId,
        /// Tells the account from an earlier one of the same id.
        incarnation: &'a str,
        /// `arn:aws:iam::111122223333:user/path/name`.
        arn: &'a str,
        /// The user's unique id, which policies may be bound to ([`super::Policy::bound`]).
        id: &'a str,
    },
    /// A session of a role.
    Session {
        /// The role's account.
        account: &'a AccountId,
        /// Tells the account from an earlier one of the same id.
        incarnation: &'a str,
        /// `arn:aws:iam::111122223333:role/path/name`.
        role_arn: &'a str,
        /// `arn:aws:sts::111122223333:assumed-role/name/session`.
        session_arn: &'a str,
        /// The role's unique id, which policies may be bound to ([`super::Policy::bound`]).
        id: &'a str,
    },
    /// Not yet anybody: whoever holds a web identity token, when assuming a role.
    Federated {
        /// The provider of the token: `arn:aws:iam::111122223333:oidc-provider/host/path`.
        provider: &'a str,
    },
    /// A service.
    Service {
        /// Its principal, such as `ecr.amazonaws.com`.
        name: &'a str,
    },
}

impl<'a> Requester<'a> {
    /// The account whose identity policies speak for the requester.
    #[must_use]
    pub fn account(&self) -> Option<&'a AccountId> {
        match *self {
            Self::Root { account, .. } | Self::User { account, .. } | Self::Session { account, .. } => Some(account),
            Self::Anonymous | Self::Federated { .. } | Self::Service { .. } => None,
        }
    }

    /// What tells that account from an earlier one of the same id.
    pub(super) fn incarnation(&self) -> Option<&'a str> {
        match *self {
            Self::Root { incarnation, .. } | Self::User { incarnation, .. } | Self::Session { incarnation, .. } => {
                Some(incarnation)
            }
            Self::Anonymous | Self::Federated { .. } | Self::Service { .. } => None,
        }
    }
}

/// A request to be decided.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub requester: Requester<'a>,
    /// What for, such as `ecr:PutImage`; case means nothing.
    pub action: &'a str,
    /// On what: an ARN, or `*` for an action that has no resource.
    pub resource: &'a str,
    /// The account that owns the resource.
    pub resource_account: &'a AccountId,
    /// All that conditions and variables can ask about.
    pub context: &'a Context,
}
