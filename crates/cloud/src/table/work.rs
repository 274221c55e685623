//! Work that goes on after an answer was given: what is due, found through the
//! sparse index, and taken by one worker at a time.
//!
//! Invariant: work is written in the transaction that makes it necessary, or
//! before what it cleans up, so that it cannot be lost; it is done again if its
//! worker dies, so doing it twice must be harmless.
//! Invariant: the index only says where to look. Whoever takes work reads the
//! item itself, under a condition.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use ironwharf_model::{AccountId, Error, Result};

use super::attributes::{self, Build, Item, Read, number, string};
use super::blobs::is_condition_failure;
use super::key::Key;
use super::{DUE_INDEX, Table, service_error};

/// How long a worker may be busy with a step before another may take over.
const LEASE_SECONDS: i64 = 60;

/// Over how many partitions of the index the work of a kind is spread.
const SHARDS: u8 = 4;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Removing what was in a deleted repository.
    Purge,
    /// Applying a repository's lifecycle policy.
    Lifecycle,
    /// Finding out what a lifecycle policy would do.
    LifecyclePreview,
}

impl WorkKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Purge, Self::Lifecycle, Self::LifecyclePreview];

    /// Its name in keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Purge => "PURGE",
            Self::Lifecycle => "LIFECYCLE",
            Self::LifecyclePreview => "LIFECYCLE-PREVIEW",
        }
    }
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Whose.
    pub account: AccountId,
    /// What.
    pub kind: WorkKind,
    /// Which: unique for the account and kind, without `#`.
    pub id: String,
    /// When, in seconds since the epoch.
    pub due_at_s: i64,
    /// What the kind needs to know, as JSON.
    pub details: String,
}

/// Work that this worker alone does, for a while.
#[derive(Clone, Debug)]
pub struct LeasedWork {
    /// The work as it is stored.
    pub work: Work,
    /// The lease.
    pub lease: String,
}

impl Work {
    fn key(&self) -> Key<'_> {
        Key::Work { account: &self.account, kind: self.kind, id: &self.id }
    }

    fn item(&self) -> Item {
        Build::new(&self.key())
            .string("account", self.account.as_str())
            .string("work_kind", self.kind.as_str())
            .string("work_id", &self.id)
            .string("details", &self.details)
            .string("due_shard", due_shard(self.kind, shard_of(&self.id)))
            .number("due_at", self.due_at_s)
            .item()
    }

    fn from_item(kind: WorkKind, item: &Item) -> Result<Self> {
        Ok(Self {
            account: AccountId::parse(item.read_string("account")?).map_err(Error::internal)?,
            kind,
            id: item.read_string("work_id")?.to_owned(),
            due_at_s: item.read_number("due_at")?,
            details: item.read_string("details")?.to_owned(),
        })
    }
}

fn shard_of(id: &str) -> u8 {
    id.bytes().fold(0_u8, u8::wrapping_add) % SHARDS
}

fn due_shard(kind: WorkKind, shard: u8) -> String {
    format!("{}#{shard}", kind.as_str())
}

impl Table {
    /// Puts work on the list, in a transaction. Work of the same id is replaced.
    pub(super) fn put_work_write(&self, work: &Work) -> Result<TransactWriteItem> {
        let put = Put::builder().table_name(&self.name).set_item(Some(work.item()));
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
    }

    /// Puts work on the list. Work of the same id is replaced.
    pub async fn put_work(&self, work: &Work) -> Result<()> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(work.item()));
        put.send().await.map(drop).map_err(|error| service_error("PutItem", error))
    }

    /// Where to look for up to `limit` pieces of work that are due at `now_s`:
    /// the keys of their items. Needs the credentials of the process.
    pub async fn due_work(&self, kind: WorkKind, now_s: i64, limit: usize) -> Result<Vec<WorkPlace>> {
        let mut places = Vec::new();
        for shard in 0..SHARDS {
            let left = limit.saturating_sub(places.len());
            if left == 0 {
                break;
            }
            let output = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(DUE_INDEX)
                .key_condition_expression("due_shard = :shard AND due_at <= :now")
                .expression_attribute_values(":shard", string(due_shard(kind, shard)))
                .expression_attribute_values(":now", number(now_s))
                .limit(i32::try_from(left).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(|error| service_error("Query", error))?;
            for item in output.items.unwrap_or_default() {
                places.push(WorkPlace::from_keys(kind, &item)?);
            }
        }
        Ok(places)
    }

    /// Takes work that is due: `None` if another worker was first, or if it is
    /// done. Nobody else takes it for a minute.
    pub async fn lease_work(&self, place: &WorkPlace, now_s: i64) -> Result<Option<LeasedWork>> {
        use aws_sdk_dynamodb::types::ReturnValue;
        let lease = crate::random::hex::<8>();
        let taken = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&place.key())))
            .update_expression("SET due_at = :until, lease = :lease")
            .condition_expression("due_at <= :now")
            .expression_attribute_values(":until", number(now_s + LEASE_SECONDS))
            .expression_attribute_values(":lease", string(&lease))
            .expression_attribute_values(":now", number(now_s))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match taken {
            Ok(output) => {
                let item = output.attributes.unwrap_or_default();
                Ok(Some(LeasedWork { work: Work::from_item(place.kind, &item)?, lease }))
            }
            Err(error) if is_condition_failure(&error) => Ok(None),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Says when the work is due again, and what is known by then; gives the
    /// lease back. `false` if it was lost, or the work was replaced meanwhile.
    pub async fn postpone_work(&self, leased: &LeasedWork, due_at_s: i64, details: &str) -> Result<bool> {
        let saved = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&leased.work.key())))
            .update_expression("SET due_at = :due, details = :details REMOVE lease")
            .condition_expression("lease = :lease")
            .expression_attribute_values(":due", number(due_at_s))
            .expression_attribute_values(":details", string(details))
            .expression_attribute_values(":lease", string(&leased.lease))
            .send()
            .await;
        match saved {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failure(&error) => Ok(false),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Takes work off the list; nothing happens if the lease was lost.
    pub async fn finish_work(&self, leased: &LeasedWork) -> Result<()> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&leased.work.key())))
            .condition_expression("lease = :lease")
            .expression_attribute_values(":lease", string(&leased.lease))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if is_condition_failure(&error) => Ok(()),
            Err(error) => Err(service_error("DeleteItem", error)),
        }
    }

    /// Takes work off the list, whoever is at it.
    pub async fn cancel_work(&self, account: &AccountId, kind: WorkKind, id: &str) -> Result<()> {
        let key = attributes::key(&Key::Work { account, kind, id });
        let deleted = self.client.delete_item().table_name(&self.name).set_key(Some(key)).send().await;
        deleted.map(drop).map_err(|error| service_error("DeleteItem", error))
    }
}

/// Where a piece of work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkPlace {
    /// Whose.
    pub account: AccountId,
    /// What.
    pub kind: WorkKind,
    /// Which.
    pub id: String,
}

impl WorkPlace {
    fn key(&self) -> Key<'_> {
        Key::Work { account: &self.account, kind: self.kind, id: &self.id }
    }

    /// The index holds keys only.
    fn from_keys(kind: WorkKind, item: &Item) -> Result<Self> {
        let partition = item.read_string("pk")?;
        let place = partition.strip_prefix("T#").and_then(|rest| rest.split_once("#W#"));
        let (account, id) = place.ok_or_else(|| Error::internal("due work is not where work is"))?;
        let account = AccountId::parse(account).map_err(Error::internal)?;
        Ok(Self { account, kind, id: id.to_owned() })
    }
}
