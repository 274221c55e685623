//! The policies of registries and repositories, compiled, from a cache.
//!
//! Invariant: a policy is believed for 30 seconds at most, and only for the
//! incarnation of a repository that it was set on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ironwharf_cloud::Table;
use ironwharf_cloud::table::Incarnation;
use ironwharf_model::{AccountId, Error, RepositoryName, Result};
use ironwharf_policy::iam::{Policy, PolicyKind};

use crate::authorize::Access;
use crate::expiring::Expiring;
use crate::region::RegionState;

/// A repository's policy, with the incarnation it was set on.
type SetPolicy = (Incarnation, Option<Arc<Policy>>);

/// Policies read lately.
#[derive(Default)]
pub(crate) struct PolicyCache {
    registries: Expiring<AccountId, Option<Arc<Policy>>>,
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
    /// The policy of a registry.
    pub(crate) async fn registry_policy(&self, table: &Table, account: &AccountId) -> Result<Option<Arc<Policy>>> {
        if let Some(policy) = self.policies.registries.get(account) {
            return Ok(policy);
        }
        let read = Instant::now();
        let policy = compile(table.registry_policy(account).await?, PolicyKind::Registry)?;
        self.policies.registries.put(account.clone(), policy.clone(), read);
        Ok(policy)
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
        let policy = compile(table.repository_policy(&repository.key).await?, PolicyKind::Repository)?;
        let incarnation = repository.key.incarnation.clone();
        self.policies.repositories.put(key, (incarnation, policy.clone()), read);
        Ok((policy, repository.labels.clone()))
    }
}

/// Compiles a stored policy, which was checked before it was stored.
fn compile(text: Option<String>, kind: PolicyKind) -> Result<Option<Arc<Policy>>> {
    text.map(|text| Policy::parse(&text, kind).map(Arc::new).map_err(Error::internal)).transpose()
}
