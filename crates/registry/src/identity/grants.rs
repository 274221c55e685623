//! What a principal's own policies say, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use ironwharf_policy::iam::{Attached, Policy};

/// A policy under the name that decisions report.
#[derive(Clone)]
pub(crate) struct NamedPolicy {
    pub(crate) id: String,
    pub(crate) policy: Arc<Policy>,
}

impl NamedPolicy {
    pub(crate) fn attached(&self) -> Attached<'_> {
        Attached { id: &self.id, policy: &self.policy }
    }
}

/// The policies of a user (its groups' included) or a role.
#[derive(Clone, Default)]
pub(crate) struct Grants {
    /// Inline and managed policies.
    pub(crate) identity: Vec<NamedPolicy>,
    /// The permissions boundary.
    pub(crate) boundary: Option<NamedPolicy>,
    /// The tags of the user or role.
    pub(crate) tags: BTreeMap<String, String>,
    /// Credentials issued before this time are not good; in epoch seconds.
    pub(crate) revoked_before_s: i64,
}
