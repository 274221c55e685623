//! Who may do what: the one step between authentication and every handler.
//!
//! Invariant: a [`Permit`] is made here and nowhere else.

use std::fmt;

use ironwharf_model::{AccountId, Error, RepositoryArn, RepositoryName, Result};

use crate::authenticate::Caller;

/// What a request acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A registry as a whole (`*` in a policy).
    Registry {
        /// Its account.
        account: AccountId,
    },
    /// One repository.
    Repository {
        /// The registry's account.
        account: AccountId,
        /// The repository.
        name: RepositoryName,
    },
}

impl Resource {
    const fn account(&self) -> &AccountId {
        match self {
            Self::Registry { account } | Self::Repository { account, .. } => account,
        }
    }
}

/// That a caller may perform an action on a resource.
pub struct Permit {
    caller: Caller,
    resource: Resource,
}

impl Permit {
    /// The caller.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The registry acted on.
    #[must_use]
    pub const fn registry(&self) -> &AccountId {
        self.resource.account()
    }

    pub(crate) fn region(&self) -> &crate::region::RegionState {
        &self.caller.region
    }

    /// The repository acted on.
    ///
    /// # Errors
    /// [`Error::Internal`] for an action on a registry as a whole.
    pub(crate) fn repository(&self) -> Result<&RepositoryName> {
        match &self.resource {
            Resource::Repository { name, .. } => Ok(name),
            Resource::Registry { .. } => Err(Error::internal("an action on a registry asked for its repository")),
        }
    }

    /// Whether the caller may perform another action on another resource too.
    pub(crate) fn also(&self, action: &str, resource: &Resource) -> bool {
        decide(&self.caller, action, resource).is_ok()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Permit").field("resource", &self.resource).finish_non_exhaustive()
    }
}

/// Decides whether `caller` may perform `action` (such as `ecr:PutImage`).
///
/// # Errors
/// [`Error::AccessDenied`], which says who may not do what to which resource.
pub fn authorize(caller: Caller, action: &str, resource: Resource) -> Result<Permit> {
    decide(&caller, action, &resource)?;
    Ok(Permit { caller, resource })
}

/// The root of an account may do everything in its own registry, and nothing
/// anywhere else. Policies join here.
fn decide(caller: &Caller, action: &str, resource: &Resource) -> Result<()> {
    let principal = &caller.principal;
    if principal.is_root() && principal.account == *resource.account() {
        return Ok(());
    }
    let resource = match resource {
        Resource::Registry { .. } => "*".to_owned(),
        Resource::Repository { account, name } => {
            RepositoryArn { region: caller.region(), account, repository: name }.to_string()
        }
    };
    Err(Error::AccessDenied {
        principal: principal.arn.clone(),
        action: action.to_owned(),
        resource,
        reason: "no policy allows it".to_owned(),
    })
}
