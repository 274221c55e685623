//! The answer, and why.
//!
//! Invariant: a reason says which type of policy decided, never what is in it.

use std::fmt;

/// Which way a request was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something grants it and nothing forbids it.
    Allowed,
    /// A `Deny` applies.
    ExplicitDeny,
    /// Nothing grants it.
    ImplicitDeny,
}

/// The place of a policy in the evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyType {
    /// Attached to the requester.
    Identity,
    /// The requester's permissions boundary.
    Boundary,
    /// Given when the session was made.
    Session,
    /// Attached to the repository.
    Repository,
    /// Attached to the registry.
    Registry,
    /// The trust policy of a role.
    Trust,
}

/// A statement that decided, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The `id` that the caller gave the policy.
    pub policy: String,
    /// Its place in the evaluation.
    pub policy_type: PolicyType,
    /// The index of the statement.
    pub statement: usize,
}

/// Why a request was decided as it was; displayed as the end of the sentence
/// that AWS answers with. (IAM User Guide: Troubleshoot access denied error
/// messages.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The root user of the account that owns the resource.
    AccountRoot,
    /// Policies of this type grant the action.
    Granted {
        /// The type.
        by: PolicyType,
        /// The action, as it was asked for.
        action: String,
    },
    /// No policy of this type grants the action.
    NotGranted {
        /// The type.
        by: PolicyType,
        /// The action, as it was asked for.
        action: String,
    },
    /// A policy of this type forbids it.
    Denied {
        /// The type.
        by: PolicyType,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccountRoot => formatter.write_str("because the root user of an account may do everything in it"),
            Self::Granted { by, action } => {
                write!(formatter, "because {} allows the {action} action", with_article(*by))
            }
            Self::NotGranted { by, action } => write!(formatter, "because no {} allows the {action} action", name(*by)),
            Self::Denied { by } => write!(formatter, "with an explicit deny in {}", with_article(*by)),
        }
    }
}

fn name(policy_type: PolicyType) -> &'static str {
    match policy_type {
        PolicyType::Identity => "identity-based policy",
        PolicyType::Boundary => "permissions boundary",
        PolicyType::Session => "session policy",
        PolicyType::Repository | PolicyType::Registry => "resource-based policy",
        PolicyType::Trust => "role trust policy",
    }
}

fn with_article(policy_type: PolicyType) -> &'static str {
    match policy_type {
        PolicyType::Identity => "an identity-based policy",
        PolicyType::Boundary => "a permissions boundary",
        PolicyType::Session => "a session policy",
        PolicyType::Repository | PolicyType::Registry => "a resource-based policy",
        PolicyType::Trust => "the role trust policy",
    }
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Which way.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
    /// The `Deny` statements that apply, or, if there are none, the `Allow` statements.
    pub matched: Vec<Matched>,
    /// Context keys that statements for this request ask about and that the
    /// context does not have.
    pub missing_context: Vec<String>,
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allowed
    }
}
