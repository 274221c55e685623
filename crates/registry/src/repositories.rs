//! Finding repositories, and the one way to create one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ironwharf_cloud::table::{Incarnation, Repository, RepositoryKey};
use ironwharf_cloud::{Encryption, Table};
use ironwharf_model::error::RepositoryId;
use ironwharf_model::{AccountId, Error, RepositoryName, Result, TagMutability};

use crate::region::RegionState;

/// How long a repository is remembered. Every access to what is in it checks
/// in the same call that the incarnation is still the current one.
const REMEMBERED: Duration = Duration::from_secs(30);

/// How many repositories are remembered at most.
const CAPACITY: usize = 10_000;

type Entries = HashMap<(AccountId, RepositoryName), (Arc<Repository>, Instant)>;

/// Repositories seen lately. Absence is never remembered.
#[derive(Default)]
pub(crate) struct RepositoryCache(RwLock<Entries>);

impl RepositoryCache {
    fn get(&self, account: &AccountId, name: &RepositoryName) -> Option<Arc<Repository>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (repository, seen) = entries.get(&(account.clone(), name.clone()))?;
        (seen.elapsed() < REMEMBERED).then(|| Arc::clone(repository))
    }

    pub(crate) fn put(&self, repository: Repository) -> Arc<Repository> {
        let repository = Arc::new(repository);
        let key = (repository.key.account.clone(), repository.key.name.clone());
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
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

    /// Creates a repository.
    pub(crate) async fn create_repository(&self, table: &Table, repository: Repository) -> Result<Arc<Repository>> {
        let RepositoryKey { account, name, .. } = &repository.key;
        if table.create_repository(&repository).await? {
            return Ok(self.repositories.put(repository));
        }
        Err(Error::RepositoryAlreadyExists(id(account, name)))
    }

    /// The repository a push goes to, created if that is allowed and needed.
    pub(crate) async fn repository_for_push(
        &self,
        table: &Table,
        account: &AccountId,
        name: &RepositoryName,
        may_create: bool,
        now_ms: i64,
    ) -> Result<Arc<Repository>> {
        match self.repository(table, account, name).await {
            Err(Error::RepositoryNotFound(_)) if may_create => {}
            found => return found,
        }
        match self.create_repository(table, with_defaults(account, name, now_ms)).await {
            // Another push was first.
            Err(Error::RepositoryAlreadyExists(_)) => self.repository(table, account, name).await,
            created => created,
        }
    }
}

/// A repository with ECR's defaults: mutable tags, no scan on push, AES-256.
pub(crate) fn with_defaults(account: &AccountId, name: &RepositoryName, now_ms: i64) -> Repository {
    Repository {
        key: RepositoryKey {
            account: account.clone(),
            name: name.clone(),
            incarnation: Incarnation::random(),
            encryption: Encryption::Aes256,
        },
        created_at_ms: now_ms,
        mutability: TagMutability::default(),
        scan_on_push: false,
        labels: BTreeMap::new(),
    }
}
