//! What IAM keeps of an account: who there is, and what they may do.
//!
//! Everything of one account is in one partition, one item for each user,
//! group, role, policy, key and provider. It is read through caches and
//! written by administrators, never by a push or a pull.
//!
//! Invariant: every write of a record is under the condition that the record is
//! still as it was read; what concerns several records is one transaction.

mod records;

use std::marker::PhantomData;

use aws_sdk_dynamodb::types::{Delete, DeleteRequest, Put, TransactWriteItem, WriteRequest};
use ironwharf_model::{AccountId, Error, Result};

use super::attributes::{self, Build, Item, Read, string};
use super::key::{IdentityKind, Key, identity_partition, registry_partition, template_partition};
use super::listings::Page;
use super::{Table, Transaction, service_error};

pub use records::{
    AccessKeyRecord, AccountRecord, AccountStatus, GroupRecord, IdentityRecord, Membership, OidcProviderRecord,
    PolicyRecord, PolicyVersion, RoleRecord, UserRecord,
};

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Stored<R> {
    /// What it says.
    pub record: R,
    revision: String,
}

/// One write of a transaction over identity records.
#[derive(Debug)]
pub struct Change(Write);

#[derive(Debug)]
enum Write {
    Create { key: (String, String), document: String },
    Replace { key: (String, String), revision: String, document: String },
    Delete { key: (String, String), revision: Option<String> },
}

impl Change {
    /// Makes a record, which must not be there.
    pub fn create<R: IdentityRecord>(account: &AccountId, record: &R) -> Result<Self> {
        Ok(Self(Write::Create { key: key_of(account, record), document: encode(record)? }))
    }

    /// Replaces a record by another of the same name.
    pub fn replace<R: IdentityRecord>(account: &AccountId, stored: &Stored<R>, record: &R) -> Result<Self> {
        let (key, revision) = (key_of(account, record), stored.revision.clone());
        Ok(Self(Write::Replace { key, revision, document: encode(record)? }))
    }

    /// Removes a record.
    #[must_use]
    pub fn delete<R: IdentityRecord>(account: &AccountId, stored: &Stored<R>) -> Self {
        Self(Write::Delete { key: key_of(account, &stored.record), revision: Some(stored.revision.clone()) })
    }

    /// Removes a record, whatever it says.
    #[must_use]
    pub fn remove<R: IdentityRecord>(account: &AccountId, record: &R) -> Self {
        Self(Write::Delete { key: key_of(account, record), revision: None })
    }
}

fn key_of<R: IdentityRecord>(account: &AccountId, record: &R) -> (String, String) {
    Key::Identity { account, kind: R::KIND, name: &record.key() }.encode()
}

fn encode<R: IdentityRecord>(record: &R) -> Result<String> {
    serde_json::to_string(record).map_err(Error::internal)
}

fn decode<R: IdentityRecord>(item: &Item) -> Result<Stored<R>> {
    let record = serde_json::from_str(item.read_string("document")?).map_err(Error::internal)?;
    Ok(Stored { record, revision: item.read_string("revision")?.to_owned() })
}

/// Names of one kind of record, to be read together with others.
#[derive(Debug)]
pub struct Wanted<R> {
    names: Vec<String>,
    kind: PhantomData<R>,
}

impl<R: IdentityRecord> Wanted<R> {
    /// The records of these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), kind: PhantomData }
    }
}

impl Table {
    /// The record of a name, which IAM compares without regard to case.
    pub async fn identity<R: IdentityRecord>(&self, account: &AccountId, name: &str) -> Result<Option<Stored<R>>> {
        let item = self.get(&Key::Identity { account, kind: R::KIND, name }).await?;
        item.map(|item| decode(&item)).transpose()
    }

    /// Records of two kinds in one call; those that are not there are left out.
    pub async fn identities<A: IdentityRecord, B: IdentityRecord>(
        &self,
        account: &AccountId,
        first: &Wanted<A>,
        second: &Wanted<B>,
    ) -> Result<(Vec<Stored<A>>, Vec<Stored<B>>)> {
        let key = |kind| move |name: &String| (kind, name.clone());
        let wanted: Vec<(IdentityKind, String)> =
            first.names.iter().map(key(A::KIND)).chain(second.names.iter().map(key(B::KIND))).collect();
        if wanted.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let keys: Vec<Key<'_>> =
            wanted.iter().map(|(kind, name)| Key::Identity { account, kind: *kind, name }).collect();
        let found = self.get_all(&keys).await?;
        let item = |kind, name: &String| found.item(&Key::Identity { account, kind, name });
        let firsts = first.names.iter().filter_map(|name| item(A::KIND, name)).map(decode);
        let seconds = second.names.iter().filter_map(|name| item(B::KIND, name)).map(decode);
        Ok((firsts.collect::<Result<_>>()?, seconds.collect::<Result<_>>()?))
    }

    /// A page of records in the order of their keys, after the key `after`.
    pub async fn list_identities<R: IdentityRecord>(
        &self,
        account: &AccountId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<R>> {
        let partition = identity_partition(account);
        let prefix = format!("{}{prefix}", R::KIND.prefix());
        let page = self.query_sorted(&partition, &prefix, after, limit, None).await?;
        page.try_map(|item| decode(&item).map(|stored| stored.record))
    }

    /// All records of a kind whose key starts with `prefix`.
    pub async fn all_identities<R: IdentityRecord>(&self, account: &AccountId, prefix: &str) -> Result<Vec<R>> {
        let mut all: Vec<R> = Vec::new();
        loop {
            let after = all.last().map(|last| last.key().strip_prefix(prefix).unwrap_or_default().to_owned());
            let page = self.list_identities(account, prefix, after.as_deref(), 500).await?;
            all.extend(page.items);
            if !page.more {
                return Ok(all);
            }
        }
    }

    /// Writes all changes or none; `false` if a record was not as it was read,
    /// or was there already.
    pub async fn change_identities(&self, changes: Vec<Change>) -> Result<bool> {
        let mut writes = Vec::with_capacity(changes.len());
        for Change(write) in changes {
            writes.push(self.identity_write(write)?);
        }
        Ok(matches!(self.transact(writes).await?, Transaction::Written))
    }

    fn identity_write(&self, write: Write) -> Result<TransactWriteItem> {
        let put = |key: (String, String), document: String| {
            let mut item = attributes::encoded_key(key);
            item.insert("document".to_owned(), string(document));
            item.insert("revision".to_owned(), string(crate::random::hex::<8>()));
            Put::builder().table_name(&self.name).set_item(Some(item))
        };
        let built = TransactWriteItem::builder();
        Ok(match write {
            Write::Create { key, document } => {
                let put = put(key, document).condition_expression("attribute_not_exists(pk)");
                built.put(put.build().map_err(Error::internal)?)
            }
            Write::Replace { key, revision, document } => {
                let put = put(key, document)
                    .condition_expression("revision = :revision")
                    .expression_attribute_values(":revision", string(revision));
                built.put(put.build().map_err(Error::internal)?)
            }
            Write::Delete { key, revision } => {
                let mut delete = Delete::builder().table_name(&self.name).set_key(Some(attributes::encoded_key(key)));
                if let Some(revision) = revision {
                    delete = delete
                        .condition_expression("revision = :revision")
                        .expression_attribute_values(":revision", string(revision));
                }
                built.delete(delete.build().map_err(Error::internal)?)
            }
        }
        .build())
    }

    /// Removes all that is kept of an account, but for the account itself.
    pub async fn remove_identities(&self, account: &AccountId) -> Result<()> {
        self.remove_partition(&identity_partition(account), Some(IdentityKind::Account.prefix())).await
    }

    /// Removes what is kept of an account's registry as a whole: its policy, its
    /// settings, the principals whose pulls do not count, its templates.
    pub async fn remove_registry(&self, account: &AccountId) -> Result<()> {
        self.remove_partition(&registry_partition(account), None).await?;
        self.remove_partition(&template_partition(account), None).await
    }

    /// Removes the items of a partition, but for the one with the sort key `kept`.
    async fn remove_partition(&self, partition: &str, kept: Option<&str>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = self.query_sorted(partition, "", after.as_deref(), 25, Some("pk, sk")).await?;
            let mut requests = Vec::with_capacity(page.items.len());
            for item in page.items {
                let sort = item.read_string("sk")?.to_owned();
                if kept != Some(sort.as_str()) {
                    let delete = DeleteRequest::builder().set_key(Some(item)).build().map_err(Error::internal)?;
                    requests.push(WriteRequest::builder().delete_request(delete).build());
                }
                after = Some(sort);
            }
            self.write_all(requests).await?;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Notes the use of an access key. It is an item of its own, so that the
    /// note never collides with a change of the key.
    pub async fn note_key_use(&self, account: &AccountId, key: &str, used: &KeyUse) -> Result<()> {
        let item = Build::new(&Key::KeyUse { account, key })
            .number("used_at_s", used.at_s)
            .string("region", &used.region)
            .string("service", &used.service);
        self.put_all(vec![item.item()]).await
    }

    /// The last noted use of an access key.
    pub async fn key_use(&self, account: &AccountId, key: &str) -> Result<Option<KeyUse>> {
        let Some(item) = self.get(&Key::KeyUse { account, key }).await? else { return Ok(None) };
        Ok(Some(KeyUse {
            at_s: item.read_number("used_at_s")?,
            region: item.read_string("region")?.to_owned(),
            service: item.read_string("service")?.to_owned(),
        }))
    }

    /// Adds an account to the list of accounts, or takes it off.
    pub async fn enlist_account(&self, account: &AccountId, listed: bool) -> Result<()> {
        let key = Key::Account { account };
        if listed {
            return self.put_all(vec![Build::new(&key).item()]).await;
        }
        let deleted =
            self.client.delete_item().table_name(&self.name).set_key(Some(attributes::key(&key))).send().await;
        deleted.map(drop).map_err(|error| service_error("DeleteItem", error))
    }

    /// A page of accounts in order, after `after`.
    pub async fn accounts(&self, after: Option<&str>, limit: usize) -> Result<Page<AccountId>> {
        let page = self.query_sorted(super::key::ACCOUNTS, "", after, limit, None).await?;
        page.try_map(|item| AccountId::parse(item.read_string("sk")?).map_err(Error::internal))
    }
}

/// When, where and for which service an access key was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// When, in epoch seconds.
    pub at_s: i64,
    /// The Region of the signature's scope.
    pub region: String,
    /// Its service.
    pub service: String,
}
