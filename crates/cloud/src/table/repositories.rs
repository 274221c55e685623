//! Repositories: settings, and the catalog of names.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use ironwharf_model::{AccountId, Error, RepositoryName, Result, TagMutability};

use super::attributes::{self, Build, Item, Read, list, map, number, string};
use super::blobs::is_condition_failure;
use super::key::{Incarnation, Key, RepositoryKey, catalog_partition};
use super::listings::Page;
use super::resource_policies::ResourcePolicy;
use super::work::Work;
use super::{Table, Transaction, service_error};
use crate::Encryption;

/// How long a repository stays closed if whoever closed it is gone.
const CLOSED_SECONDS: i64 = 30;

/// That nobody is looking whether a repository is empty.
const IS_OPEN: &str = "(attribute_not_exists(closing) OR closed_until < :now)";

/// A repository and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Where it is, and which incarnation.
    pub key: RepositoryKey,
    /// When it was created, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Whether tags can be moved.
    pub mutability: TagMutability,
    /// Whether images are scanned when pushed.
    pub scan_on_push: bool,
    /// The resource tags.
    pub labels: BTreeMap<String, String>,
    /// How often its settings have been changed.
    pub revision: u64,
}

/// A change of one of a repository's settings.
#[derive(Clone, Copy, Debug)]
pub enum RepositoryChange<'a> {
    /// Of [`Repository::mutability`].
    Mutability(&'a TagMutability),
    /// Of [`Repository::scan_on_push`].
    ScanOnPush(bool),
    /// Of [`Repository::labels`], while the repository is at this revision.
    Labels(&'a BTreeMap<String, String>, u64),
}

/// The policies that a repository begins with.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstPolicies<'a> {
    /// Who may do what to it.
    pub repository: Option<&'a ResourcePolicy>,
    /// What becomes of its images, and the work of applying that.
    pub lifecycle: Option<(&'a str, &'a Work)>,
}

impl Repository {
    fn to_item(&self) -> Item {
        let key = Key::Repository { account: &self.key.account, name: &self.key.name };
        Build::new(&key)
            .string("incarnation", self.key.incarnation.as_str())
            .number("created_at_ms", self.created_at_ms)
            .string("mutability", self.mutability.as_str())
            .list("mutability_filters", self.mutability.filters().iter().cloned())
            .boolean("scan_on_push", self.scan_on_push)
            .string("encryption_type", self.key.encryption.type_name())
            .optional_string("kms_key", self.key.encryption.kms_key())
            .map("labels", &self.labels)
            .number("revision", self.revision)
            .item()
    }

    pub(super) fn from_item(account: &AccountId, name: &RepositoryName, item: &Item) -> Result<Self> {
        let filters = item.read_list("mutability_filters")?.into_iter().map(str::to_owned).collect();
        Ok(Self {
            key: RepositoryKey {
                account: account.clone(),
                name: name.clone(),
                incarnation: Incarnation::from_stored(item.read_string("incarnation")?),
                encryption: Encryption::from_stored(
                    item.read_string("encryption_type")?,
                    item.read_optional_string("kms_key")?,
                )?,
            },
            created_at_ms: item.read_number("created_at_ms")?,
            mutability: TagMutability::parse(item.read_string("mutability")?, filters).map_err(Error::internal)?,
            scan_on_push: item.read_boolean("scan_on_push")?,
            labels: item.read_map("labels")?,
            // Those of the first version have none.
            revision: item.read_optional_number("revision")?.unwrap_or(0),
        })
    }
}

impl Table {
    /// The repository of this name, if there is one.
    pub async fn repository(&self, account: &AccountId, name: &RepositoryName) -> Result<Option<Repository>> {
        let item = self.get(&Key::Repository { account, name }).await?;
        item.map(|item| Repository::from_item(account, name, &item)).transpose()
    }

    /// Several repositories; those that are not there are left out.
    pub async fn repositories(&self, account: &AccountId, names: &[RepositoryName]) -> Result<Vec<Repository>> {
        let keys: Vec<Key<'_>> = names.iter().map(|name| Key::Repository { account, name }).collect();
        let found = self.get_all(&keys).await?;
        let stored = names.iter().zip(&keys).filter_map(|(name, key)| Some((name, found.item(key)?)));
        stored.map(|(name, item)| Repository::from_item(account, name, item)).collect()
    }

    /// Creates a repository, with a policy or without; `false` if its name is taken.
    pub async fn create_repository(&self, repository: &Repository, policies: FirstPolicies<'_>) -> Result<bool> {
        let RepositoryKey { account, name, .. } = &repository.key;
        let put = |item: Item| {
            Put::builder()
                .table_name(&self.name)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk)")
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .build()
                .map(|put| TransactWriteItem::builder().put(put).build())
                .map_err(Error::internal)
        };
        let entry = Build::new(&Key::CatalogEntry { account, name })
            .string("incarnation", repository.key.incarnation.as_str())
            .item();
        let policy =
            policies.repository.map(|policy| policy.to_item(&Key::RepositoryPolicy { repository: &repository.key }));
        let lifecycle = policies.lifecycle.map(|(policy, _)| super::lifecycle::policy_item(&repository.key, policy));
        let items = [Some(repository.to_item()), Some(entry), policy, lifecycle].into_iter().flatten();
        let mut writes: Vec<TransactWriteItem> = items.map(put).collect::<Result<_>>()?;
        if let Some((_, work)) = policies.lifecycle {
            writes.push(self.put_work_write(work)?);
        }
        let written = self.transact(writes).await?;
        Ok(matches!(written, Transaction::Written))
    }

    /// Changes one setting of a repository and leaves the others alone; the
    /// repository after that. `None` if this incarnation is gone, or is at
    /// another revision than the change is for.
    pub async fn change_repository(
        &self,
        key: &RepositoryKey,
        change: RepositoryChange<'_>,
    ) -> Result<Option<Repository>> {
        let RepositoryKey { account, name, incarnation, .. } = key;
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Repository { account, name })))
            .expression_attribute_values(":incarnation", string(incarnation.as_str()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        let update = match change {
            RepositoryChange::Mutability(mutability) => update
                .update_expression("SET mutability = :value, mutability_filters = :filters ADD revision :one")
                .condition_expression("incarnation = :incarnation")
                .expression_attribute_values(":value", string(mutability.as_str()))
                .expression_attribute_values(":filters", list(mutability.filters().iter().cloned())),
            RepositoryChange::ScanOnPush(scan_on_push) => update
                .update_expression("SET scan_on_push = :value ADD revision :one")
                .condition_expression("incarnation = :incarnation")
                .expression_attribute_values(":value", AttributeValue::Bool(scan_on_push)),
            RepositoryChange::Labels(labels, revision) => {
                let at = if revision == 0 {
                    "(attribute_not_exists(revision) OR revision = :revision)"
                } else {
                    "revision = :revision"
                };
                update
                    .update_expression("SET labels = :value ADD revision :one")
                    .condition_expression(format!("incarnation = :incarnation AND {at}"))
                    .expression_attribute_values(":revision", number(revision))
                    .expression_attribute_values(":value", map(labels))
            }
        };
        match update.send().await {
            Ok(output) => {
                let item = output.attributes.unwrap_or_default();
                Repository::from_item(account, name, &item).map(Some)
            }
            Err(error) if is_condition_failure(&error) => Ok(None),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Keeps pushes to a repository from committing for a while, so that its
    /// emptiness can be looked at and acted on. `false` if it is gone, or if
    /// another request is doing the same.
    pub async fn close_repository(&self, key: &RepositoryKey, closing: &str, now_s: i64) -> Result<bool> {
        let RepositoryKey { account, name, incarnation, .. } = key;
        let closed = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Repository { account, name })))
            .update_expression("SET closing = :closing, closed_until = :until")
            .condition_expression(format!("incarnation = :incarnation AND {IS_OPEN}"))
            .expression_attribute_values(":incarnation", string(incarnation.as_str()))
            .expression_attribute_values(":closing", string(closing))
            .expression_attribute_values(":until", number(now_s + CLOSED_SECONDS))
            .expression_attribute_values(":now", number(now_s))
            .send()
            .await;
        match closed {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failure(&error) => Ok(false),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Lets pushes commit again.
    pub async fn reopen_repository(&self, key: &RepositoryKey, closing: &str) -> Result<()> {
        let RepositoryKey { account, name, .. } = key;
        let reopened = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Repository { account, name })))
            .update_expression("REMOVE closing, closed_until")
            .condition_expression("closing = :closing")
            .expression_attribute_values(":closing", string(closing))
            .send()
            .await;
        match reopened {
            Ok(_) => Ok(()),
            // It was closed for too long, and others went on.
            Err(error) if is_condition_failure(&error) => Ok(()),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Makes a repository, with everything in it, invisible at once. What was
    /// in it is left to `purge`, which goes on the list with the deletion. With
    /// `closing`, only while it is closed by that. `false` if it is not (any more).
    pub async fn delete_repository(
        &self,
        key: &RepositoryKey,
        closing: Option<&str>,
        purge: &Work,
        now_s: i64,
    ) -> Result<bool> {
        let RepositoryKey { account, name, incarnation, .. } = key;
        let delete = |key: Key<'_>| {
            Delete::builder()
                .table_name(&self.name)
                .set_key(Some(attributes::key(&key)))
                .expression_attribute_values(":incarnation", string(incarnation.as_str()))
        };
        let repository = delete(Key::Repository { account, name });
        let repository = match closing {
            None => repository.condition_expression("incarnation = :incarnation"),
            Some(closing) => repository
                .condition_expression("incarnation = :incarnation AND closing = :closing AND closed_until > :now")
                .expression_attribute_values(":closing", string(closing))
                .expression_attribute_values(":now", number(now_s)),
        };
        let entry = delete(Key::CatalogEntry { account, name }).condition_expression("incarnation = :incarnation");
        let mut writes = Vec::new();
        for delete in [repository, entry] {
            let delete = delete.build().map_err(Error::internal)?;
            writes.push(TransactWriteItem::builder().delete(delete).build());
        }
        writes.push(self.put_work_write(purge)?);
        Ok(matches!(self.transact(writes).await?, Transaction::Written))
    }

    /// The condition of a commit: the repository is there, this incarnation,
    /// and open.
    pub(super) fn repository_is_open(&self, key: &RepositoryKey, now_s: i64) -> Result<TransactWriteItem> {
        let RepositoryKey { account, name, incarnation, .. } = key;
        let check = ConditionCheck::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Repository { account, name })))
            .condition_expression(format!("incarnation = :incarnation AND {IS_OPEN}"))
            .expression_attribute_values(":incarnation", string(incarnation.as_str()))
            .expression_attribute_values(":now", number(now_s))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// A page of repository names in order, after `after`.
    pub async fn repository_names(
        &self,
        account: &AccountId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<RepositoryName>> {
        let partition = catalog_partition(account);
        let page = self.query_sorted(&partition, "", after, limit, Some("sk")).await?;
        page.try_map(|item| RepositoryName::parse(item.read_string("sk")?).map_err(Error::internal))
    }
}
