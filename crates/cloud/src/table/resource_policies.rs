//! The policies of registries and repositories.
//!
//! Invariant: a policy of a repository belongs to one incarnation of it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::ReturnValue::AllOld;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use ironwharf_model::{AccountId, Error, Result};

use super::attributes::{self, Build, Item, Read};
use super::key::Key;
use super::{RepositoryKey, Table, Transaction, service_error};

/// A policy on a resource, and whom it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourcePolicy {
    /// Its text, as it was given.
    pub text: String,
    /// The unique ids of the users and roles that it names, by their ARNs.
    pub principals: BTreeMap<String, String>,
}

impl ResourcePolicy {
    pub(super) fn to_item(&self, key: &Key<'_>) -> Item {
        Build::new(key).string("policy", &self.text).map("principals", &self.principals).item()
    }

    pub(super) fn from_item(item: &Item) -> Result<Self> {
        Ok(Self { text: item.read_string("policy")?.to_owned(), principals: item.read_map("principals")? })
    }
}

impl Table {
    /// The policy of a registry.
    pub async fn registry_policy(&self, account: &AccountId) -> Result<Option<ResourcePolicy>> {
        self.policy(&Key::RegistryPolicy { account }).await
    }

    /// Sets the policy of a registry.
    pub async fn put_registry_policy(&self, account: &AccountId, policy: &ResourcePolicy) -> Result<()> {
        let item = policy.to_item(&Key::RegistryPolicy { account });
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(drop).map_err(|error| service_error("PutItem", error))
    }

    /// Removes the policy of a registry; what it was.
    pub async fn delete_registry_policy(&self, account: &AccountId) -> Result<Option<ResourcePolicy>> {
        self.delete_policy(&Key::RegistryPolicy { account }).await
    }

    /// The policy of a repository.
    pub async fn repository_policy(&self, repository: &RepositoryKey) -> Result<Option<ResourcePolicy>> {
        self.policy(&Key::RepositoryPolicy { repository }).await
    }

    /// Sets the policy of a repository; `false` if this incarnation of it is
    /// not there any more.
    pub async fn put_repository_policy(&self, repository: &RepositoryKey, policy: &ResourcePolicy) -> Result<bool> {
        let item = policy.to_item(&Key::RepositoryPolicy { repository });
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).build().map_err(Error::internal)?;
        let put = TransactWriteItem::builder().put(put).build();
        let written = self.transact(vec![put, self.is_current(repository)?]).await?;
        Ok(matches!(written, Transaction::Written))
    }

    /// Removes the policy of a repository; what it was.
    pub async fn delete_repository_policy(&self, repository: &RepositoryKey) -> Result<Option<ResourcePolicy>> {
        self.delete_policy(&Key::RepositoryPolicy { repository }).await
    }

    async fn policy(&self, key: &Key<'_>) -> Result<Option<ResourcePolicy>> {
        let item = self.get(key).await?;
        item.map(|item| ResourcePolicy::from_item(&item)).transpose()
    }

    async fn delete_policy(&self, key: &Key<'_>) -> Result<Option<ResourcePolicy>> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(attributes::key(key)));
        let deleted = delete.return_values(AllOld).send().await.map_err(|error| service_error("DeleteItem", error))?;
        deleted.attributes.filter(|item| !item.is_empty()).map(|item| ResourcePolicy::from_item(&item)).transpose()
    }
}
