//! Policy documents: how large they may be, and whether they are policies.

use ironwharf_model::{Error, Result};
use ironwharf_policy::iam::{Policy, PolicyKind};

/// How many characters a managed policy may have, white space apart.
const MANAGED_CHARACTERS: usize = 6_144;

/// How many bytes the documents of one record may have, white space included:
/// it is not counted by the quotas, and stored all the same.
pub(super) const STORED_BYTES: usize = 128 * 1024;

/// The number of characters that quotas count.
pub(super) fn characters(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

/// Checks that a document is a policy of its kind.
pub(super) fn check(document: &str, kind: PolicyKind) -> Result<Policy> {
    Policy::parse(document, kind).map_err(|error| Error::MalformedPolicyDocument { message: error.to_string() })
}

/// Checks the document of a managed policy.
pub(super) fn check_managed(document: &str) -> Result<()> {
    check(document, PolicyKind::Identity)?;
    if characters(document) > MANAGED_CHARACTERS {
        return Err(quota("PolicySize", MANAGED_CHARACTERS));
    }
    Ok(())
}

/// That a quota is used up.
pub(super) fn quota(name: &str, limit: usize) -> Error {
    Error::LimitExceeded { message: format!("Cannot exceed quota for {name}: {limit}") }
}
