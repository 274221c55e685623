//! Policies of resources as somebody wants to set them.

use ironwharf_cloud::table::ResourcePolicy;
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_policy::iam::{Policy, PolicyKind};

use super::Call;
use crate::identity::named_principals::unique_ids;

/// The largest policy, in characters.
const MAX_CHARACTERS: usize = 10_240;

/// Where a policy stands in a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum PolicyOf {
    Repository,
    Registry,
    Template,
}

impl PolicyOf {
    /// The parameter, as messages of ECR name it.
    const fn parameter(self) -> &'static str {
        match self {
            Self::Repository | Self::Registry => "PolicyText",
            Self::Template => "repositoryPolicy",
        }
    }

    const fn kind(self) -> PolicyKind {
        match self {
            Self::Repository | Self::Template => PolicyKind::Repository,
            Self::Registry => PolicyKind::Registry,
        }
    }

    /// ECR's sentence, and what is wrong.
    fn invalid(self, why: &impl ToString) -> Error {
        let of = match self {
            Self::Repository | Self::Template => "repository",
            Self::Registry => "registry",
        };
        Error::ResourcePolicyInvalid { parameter: self.parameter(), of, detail: why.to_string() }
    }
}

/// Compiles a policy that somebody wants to set, and finds out whom it names.
///
/// # Errors
/// [`Error::InvalidParameter`] for what is no policy, and for a user or role that
/// is not there.
pub(super) async fn check(call: &Call<'_>, given: PolicyOf, text: &str) -> Result<(ResourcePolicy, Policy)> {
    if text.chars().count() > MAX_CHARACTERS {
        return Err(given.invalid(&format_args!("A policy has at most {MAX_CHARACTERS} characters")));
    }
    let policy = Policy::parse(text, given.kind()).map_err(|malformed| given.invalid(&malformed))?;
    let principals =
        unique_ids(call.permit.caller().directory.table(), &policy, call.permit.registry()).await?.map_err(|arn| {
            let constraint = format!("Principal not found: there is no '{}'", quoted(&arn));
            Error::invalid_parameter(given.parameter(), constraint)
        })?;
    let policy = policy.bound(&principals);
    Ok((ResourcePolicy { text: text.to_owned(), principals }, policy))
}
