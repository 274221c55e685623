//! Finding repositories, and the one way to create one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ironwharf_cloud::Table;
use ironwharf_cloud::table::{Encryption, Incarnation, Repository, RepositoryChange, RepositoryKey};
use ironwharf_model::error::RepositoryId;
use ironwharf_model::{AccountId, Error, RepositoryName, Result, TagMutability};

use crate::region::RegionState;

/// How long a repository is remembered. Every access to what is in it checks
/// in the same call that the incarnation is still the current one.
const REMEMBERED: Duration = Duration::from_secs(30);

/// How many repositories are remembered at most.
const CAPACITY: usize = 10_000;

type Entries = HashMap<(AccountId, RepositoryName), (Arc<Repository>, Instant)>;

/// How often a change of resource tags that collides with another is tried.
/// Of those that collide, one succeeds each time.
const LABEL_TRIES: u32 = 20;

/// Repositories seen lately. Absence is never remembered.
#[derive(Default)]
pub(crate) struct RepositoryCache(RwLock<Entries>);

impl RepositoryCache {
    fn get(&self, account: &AccountId, name: &RepositoryName) -> Option<Arc<Repository>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (repository, seen) = entries.get(&(account.clone(), name.clone()))?;
        (seen.elapsed() < REMEMBERED).then(|| Arc::clone(repository))
    }

    /// Remembers a repository, unless a later revision of it is known: that
    /// one is given back then.
    pub(crate) fn put(&self, repository: Repository) -> Arc<Repository> {
        let repository = Arc::new(repository);
        let key = (repository.key.account.clone(), repository.key.name.clone());
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, seen)) = entries.get(&key)
            && known.key.incarnation == repository.key.incarnation
            && known.revision > repository.revision
            && seen.elapsed() < REMEMBERED
        {
            return Arc::clone(known);
        }
        if entries.len() >= CAPACITY {
            entries.retain(|_, (_, seen)| seen.elapsed() < REMEMBERED);
        }
        if entries.len() < CAPACITY {
            entries.insert(key, (Arc::clone(&repository), Instant::now()));
        }
        repository
    }

    pub(crate) fn forget(&self, account: &AccountId, name: &RepositoryName) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&(account.clone(), name.clone()));
    }
}

/// The error for a repository that is not there.
pub(crate) fn not_found(account: &AccountId, name: &RepositoryName) -> Error {
    Error::RepositoryNotFound(id(account, name))
}

/// Names a repository in an error.
pub(crate) fn id(account: &AccountId, name: &RepositoryName) -> RepositoryId {
    RepositoryId { registry: account.clone(), name: name.clone() }
}

/// Each method takes the table as the owner of the repository reaches it.
impl RegionState {
    /// A repository, from the cache if it was seen lately.
    pub(crate) async fn repository(
        &self,
        table: &Table,
        account: &AccountId,
        name: &RepositoryName,
    ) -> Result<Arc<Repository>> {
        if let Some(repository) = self.repositories.get(account, name) {
            return Ok(repository);
        }
        match table.repository(account, name).await? {
            Some(repository) => Ok(self.repositories.put(repository)),
            None => Err(not_found(account, name)),
        }
    }

    /// Reads something in a repository together with the repository itself, and
    /// again if the cached incarnation turns out not to be the current one.
    ///
    /// `read` gives the repository as the same call found it, and its result.
    pub(crate) async fn read_in<T, F>(
        &self,
        table: &Table,
        account: &AccountId,
        name: &RepositoryName,
        read: impl Fn(RepositoryKey) -> F,
    ) -> Result<(Arc<Repository>, T)>
    where
        F: Future<Output = Result<(Option<Repository>, T)>>,
    {
        loop {
            let cached = self.repository(table, account, name).await?;
            let (current, result) = read(cached.key.clone()).await?;
            match current {
                None => {
                    self.repositories.forget(account, name);
                    return Err(not_found(account, name));
                }
                Some(current) if current.key == cached.key => return Ok((self.repositories.put(current), result)),
                // Deleted and created again since it was cached. The next round
                // starts from what is current now, so this ends.
                Some(current) => drop(self.repositories.put(current)),
            }
        }
    }

    /// Creates a repository, with a policy or without.
    pub(crate) async fn create_repository(
        &self,
        table: &Table,
        repository: Repository,
        policy: Option<&str>,
    ) -> Result<Arc<Repository>> {
        let RepositoryKey { account, name, .. } = &repository.key;
        if table.create_repository(&repository, policy).await? {
            return Ok(self.repositories.put(repository));
        }
        Err(Error::RepositoryAlreadyExists(id(account, name)))
    }

    /// Changes one setting of a repository, whatever it was.
    pub(crate) async fn change_repository(
        &self,
        table: &Table,
        account: &AccountId,
        name: &RepositoryName,
        change: RepositoryChange<'_>,
    ) -> Result<Arc<Repository>> {
        loop {
            let key = self.repository(table, account, name).await?.key.clone();
            if let Some(changed) = table.change_repository(&key, change).await? {
                return Ok(self.repositories.put(changed));
            }
            // Deleted since it was cached. The next round starts from what is
            // current now, so this ends.
            self.repositories.forget(account, name);
        }
    }

    /// Changes the resource tags of a repository to what `change` makes of them.
    pub(crate) async fn change_labels(
        &self,
        table: &Table,
        account: &AccountId,
        name: &RepositoryName,
        change: impl Fn(&mut BTreeMap<String, String>) -> Result<()>,
    ) -> Result<()> {
        for tries in 0..LABEL_TRIES {
            let found = table.repository(account, name).await?.ok_or_else(|| not_found(account, name))?;
            let mut labels = found.labels.clone();
            change(&mut labels)?;
            let write = RepositoryChange::Labels(&labels, found.revision);
            if let Some(changed) = table.change_repository(&found.key, write).await? {
                drop(self.repositories.put(changed));
                return Ok(());
            }
            // Somebody else was first.
            tokio::time::sleep(ironwharf_cloud::table::jittered(tries)).await;
        }
        let message = format!("The repository '{name}' is being changed by too many requests at once. Try again.");
        Err(Error::Throttled { message })
    }
}

/// A repository with ECR's defaults: mutable tags, no scan on push, AES-256.
pub(crate) fn with_defaults(account: &AccountId, name: &RepositoryName, now_ms: i64) -> Repository {
    Repository {
        key: RepositoryKey { account: account.clone(), name: name.clone(), incarnation: Incarnation::random() },
        created_at_ms: now_ms,
        mutability: TagMutability::default(),
        scan_on_push: false,
        encryption: Encryption { encryption_type: "AES256".to_owned(), kms_key: None },
        labels: BTreeMap::new(),
        revision: 0,
    }
}
