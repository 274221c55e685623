//! IAM policies: compiling documents and deciding requests.
//!
//! ```
//! use ironwharf_model::AccountId;
//! use ironwharf_policy::iam::{Attached, Context, Policies, Policy, PolicyKind, Request, Requester, decide};
//!
//! let policy = Policy::parse(
//!     r#"{
//!         "Version": "2012-10-17",
//!         "Statement": {
//!             "Effect": "Allow",
//!             "Action": "ecr:Put*",
//!             "Resource": "arn:aws:ecr:*:111122223333:repository/${aws:username}/*"
//!         }
//!     }"#,
//!     PolicyKind::Identity,
//! )?;
//! let account = AccountId::parse("111122223333")?;
//! let mut context = Context::new();
//! context.insert("aws:username", "ana");
//! let request = Request {
//!     requester: Requester::User { account: &account, incarnation: "", arn: "arn:aws:iam::111122223333:user/ana", id: "AIDAANA" },
//!     action: "ecr:PutImage",
//!     resource: "arn:aws:ecr:eu-west-1:111122223333:repository/ana/web",
//!     resource_account: &account,
//!     context: &context,
//! };
//! let identity = [Attached { id: "push", policy: &policy }];
//! let decision = decide(&request, &Policies { identity: &identity, ..Policies::default() });
//! assert!(decision.is_allowed());
//!
//! let decision = decide(&request, &Policies::default());
//! assert_eq!(decision.reason.to_string(), "because no identity-based policy allows the ecr:PutImage action");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariant: nothing here does IO, reads a clock or panics; what a policy says
//! about the time or the network is compared with the [`Context`].
//! Invariant: a document is understood as a whole or refused.
//! Invariant: what cannot be evaluated does not grant, and does forbid: an
//! `Allow` with a variable that has no value does not apply, a `Deny` does.

mod action;
mod condition;
mod context;
mod decide;
mod decision;
mod elements;
mod glob;
mod limits;
mod malformed;
mod operator;
mod policy;
mod principal;
mod requester;
mod resource;
mod span;
mod statement;
mod template;
mod truth;
mod value;

pub use context::{Context, ContextValue};
pub use decide::{Attached, Policies, decide, decide_trust};
pub use decision::{Decision, Effect, Matched, PolicyType, Reason};
pub use malformed::MalformedPolicy;
pub use policy::Policy;
pub use principal::NOBODY;
pub use requester::{Request, Requester};
pub use span::{Position, Span};
pub use statement::{Statement, StatementEffect};

/// What a document is for, which decides what it must and may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Attached to a user, a group or a role; a permissions boundary; a session
    /// policy. Has no principal and names its resources.
    Identity,
    /// Says who may assume a role. Has principals and no resource, and only
    /// actions of STS.
    Trust,
    /// Attached to a repository. Has principals and only actions of ECR; a
    /// statement without a resource is about the repository.
    Repository,
    /// Attached to a registry. Has principals and resources, and only actions of ECR.
    Registry,
}
