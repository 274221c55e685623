//! The policies of registries and repositories, compiled, from a cache, and
//! with the registry's its settings.
//!
//! Invariant: a policy is believed for 30 seconds at most, and only for the
//! incarnation of a repository that it was set on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ironwharf_cloud::Table;
use ironwharf_cloud::table::{Incarnation, Registry, ResourcePolicy};
use ironwharf_model::{AccountId, AccountSettings, Error, RepositoryName, Result};
use ironwharf_policy::iam::{Policy, PolicyKind};

use crate::authorize::Access;
use crate::expiring::Expiring;
use crate::region::RegionState;

/// A repository's policy, with the incarnation it was set on.
type SetPolicy = (Incarnation, Option<Arc<Policy>>);

/// What is decided for a registry as a whole.
pub(crate) struct RegistryRules {
    policy: Option<Policy>,
    pub(crate) settings: AccountSettings,
    /// Whether it has got what new registries start with.
    pub(crate) started: bool,
}

impl RegistryRules {
    /// The registry's policy, if it is asked about this action.
    pub(crate) fn policy_for(&self, action: &str) -> Option<&Policy> {
        self.policy.as_ref().filter(|_| self.settings.registry_policy_covers(action))
    }
}

/// Policies read lately.
#[derive(Default)]
pub(crate) struct PolicyCache {
    registries: Expiring<AccountId, Arc<RegistryRules>>,
    repositories: Expiring<(AccountId, RepositoryName), SetPolicy>,
}

impl PolicyCache {
    pub(crate) fn forget_registry(&self, account: &AccountId) {
        self.registries.forget(|known| known == account);
    }

    pub(crate) fn forget_repository(&self, account: &AccountId, name: &RepositoryName) {
        self.repositories.forget(|(known, repository)| known == account && repository == name);
    }
}

impl RegionState {
    /// What is decided for a registry: its policy and settings.
    pub(crate) async fn registry_rules(&self, table: &Table, account: &AccountId) -> Result<Arc<RegistryRules>> {
        if let Some(rules) = self.policies.registries.get(account) {
            return Ok(rules);
        }
        let read = Instant::now();
        let Registry { policy, settings, started } = table.registry(account).await?;
        let rules = Arc::new(RegistryRules { policy: compile(policy, PolicyKind::Registry)?, settings, started });
        self.policies.registries.put(account.clone(), Arc::clone(&rules), read);
        Ok(rules)
    }

    /// The policy and the resource tags of a repository; none if it is not there.
    pub(crate) async fn access_of(&self, table: &Table, account: &AccountId, name: &RepositoryName) -> Result<Access> {
        let repository = match self.repository(table, account, name).await {
            Err(Error::RepositoryNotFound(_)) => return Ok((None, BTreeMap::new())),
            found => found?,
        };
        let key = (account.clone(), name.clone());
        let cached = self.policies.repositories.get(&key);
        if let Some((_, policy)) = cached.filter(|(incarnation, _)| *incarnation == repository.key.incarnation) {
            return Ok((policy, repository.labels.clone()));
        }
        let read = Instant::now();
        let policy = compile(table.repository_policy(&repository.key).await?, PolicyKind::Repository)?.map(Arc::new);
        let incarnation = repository.key.incarnation.clone();
        self.policies.repositories.put(key, (incarnation, policy.clone()), read);
        Ok((policy, repository.labels.clone()))
    }
}

/// Compiles a stored policy, which was checked before it was stored.
fn compile(policy: Option<ResourcePolicy>, kind: PolicyKind) -> Result<Option<Policy>> {
    let compile = |stored: ResourcePolicy| {
        Policy::parse(&stored.text, kind).map(|policy| policy.bound(&stored.principals)).map_err(Error::internal)
    };
    policy.map(compile).transpose()
}
