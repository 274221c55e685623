//! The one table: every access pattern is one method, named for its purpose.
//!
//! | item | partition key | sort key | expires |
//! |---|---|---|---|
//! | catalog entry | `T#<account>#C` | `<repository>` | |
//! | repository | `T#<account>#R#<repository>` | `REPOSITORY` | |
//! | image | `T#<account>#R#<repository>#<incarnation>` | `I#<digest>` | |
//! | manifest bytes | same | `M#<digest>` | |
//! | tag | same | `T#<tag>` | |
//! | referrer | same | `S#<subject>#<digest>` | |
//! | blob | `T#<account>#B#<digest>`, with `#<encryption>` if it is under a KMS key | `BLOB` | |
//! | layer link | same | `LINK#<repository>#<incarnation>` | |
//! | reference | same | `REF#<incarnation>#<manifest>#<push>` | |
//! | push | `T#<account>#P#<push>` | `PUSH` | 30 days |
//! | upload | `T#<account>#U#<upload>` | `UPLOAD` | 2 days |
//! | review | `T#<account>#V#<review>` | `REVIEW` | |
//! | work | `T#<account>#W#<id>` | `<kind>` | |
//! | repository policy | `T#<account>#R#<repository>#<incarnation>` | `POLICY` | |
//! | lifecycle policy | same | `LIFECYCLE` | |
//! | lifecycle policy preview | same | `PREVIEW` | |
//! | page of an evaluation | same | `RUN#<run>#<page>` | 2 days |
//! | registry policy | `T#<account>#S` | `POLICY` | |
//! | account settings | same | `SETTINGS` | |
//! | creation template | `T#<account>#T` | `<prefix>` | |
//! | pull time exclusions | same | `PULL-TIME-EXCLUSIONS` | |
//! | account, user, group, membership, role, managed policy, access key, OIDC provider | `T#<account>#A` | `<kind>#<name>` | |
//! | last use of an access key | `T#<account>#A` | `USE#<key>` | |
//! | audit event | `T#<account>#E#<day>#<shard>` | `<milliseconds>#<id>` | 90 days |
//! | account's place in the list | `SYSTEM#ACCOUNTS` | `<account>` | |
//! | sealing key | `SYSTEM#SEALING-KEYS` | `<day>` | 3 days |
//!
//! What the identity service keeps is in the table of one Region, the identity
//! Region, for all of them.
//!
//! The sparse index `due` (`due_shard`, `due_at`) lists reviews and work by time;
//! only the collector and the workers read it.
//!
//! Invariant: no item is written by every push of a tenant; nothing here counts.
//! Invariant: every read that a decision rests on is strongly consistent, and
//! none of them goes through the index.
//! Invariant: an image is committed by one transaction, and that transaction
//! ends its push. See `ARCHITECTURE.md`, "Never lose an image".

mod archive;
mod attributes;
mod audit;
mod blobs;
mod changes;
mod creation_templates;
pub mod identity;
mod images;
mod key;
mod lifecycle;
mod listings;
mod pull_times;
mod registries;
mod repositories;
mod resource_policies;
mod sealing_keys;
mod uploads;
mod work;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CancellationReason, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    KeysAndAttributes, Projection, ProjectionType, PutRequest, ScalarAttributeType, StreamSpecification,
    StreamViewType, TimeToLiveSpecification, TransactWriteItem, WriteRequest,
};
use ironwharf_model::{Error, Result};

use crate::STORAGE_FULL;

use attributes::{EXPIRES, Item, PARTITION, SORT};
pub use audit::{AuditRecord, PendingAudit, audit_position};
pub use blobs::{BlobRecord, BlobState, LayerState};
pub use changes::{ImageChange, StreamRecord};
pub use creation_templates::{CreationTemplate, NewTemplate, TemplateEncryption};
pub use images::{
    Commit, CommitConflict, INLINE_MANIFEST_BYTES, ImageRecord, NewImage, PushState, StoredManifest, TagRecord,
};
pub use key::{IdentityKind, Incarnation, Key, RepositoryKey};
pub use lifecycle::{
    LifecyclePolicyRecord, LifecyclePreviewRecord, PAGE_ACTS, PlannedAct, PreviewCounts, PreviewStatus,
};
pub use listings::{ListedTag, Page, ReferrerRecord};
pub use pull_times::PullTimeExclusions;
pub use registries::Registry;
pub use repositories::{FirstPolicies, Repository, RepositoryChange};
pub use resource_policies::ResourcePolicy;
pub use sealing_keys::WrappedKey;
pub use uploads::{Acquired, FinishedUpload, LEASE_RENEWAL, LeasedUpload, UploadPart, UploadRecord, UploadState};
pub use work::{LeasedWork, Work, WorkKind, WorkPlace};

/// The name of the index of due reviews.
pub const DUE_INDEX: &str = "due";

/// How often a transaction that collided with another is tried. Collisions are
/// short (the other transaction is being committed), so this is far more than
/// is ever needed.
const TRANSACTION_TRIES: u32 = 12;

/// The most items of a transaction.
const TRANSACTION_ITEMS: usize = 100;

/// The table of one Region.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
    /// The event of the request that this table is used for.
    audit: Option<Arc<PendingAudit>>,
}

/// How a transaction ended.
pub(crate) enum Transaction {
    /// All of it was written.
    Written,
    /// None of it was: the reasons, one per item in order, with the stored
    /// item where a condition failed on it.
    Refused(Vec<CancellationReason>),
}

/// The reason for one item of a refused transaction.
pub(crate) fn failed_condition(reasons: &[CancellationReason], position: usize) -> Option<&CancellationReason> {
    reasons.get(position).filter(|reason| reason.code() == Some("ConditionalCheckFailed"))
}

impl Table {
    /// The table `name`, reached through `client`.
    #[must_use]
    pub const fn new(client: Client, name: String) -> Self {
        Self { client, name, audit: None }
    }

    /// Creates the table if it is not there. On AWS the template does this;
    /// its definition is compared with this one by a test.
    pub async fn provision(&self) -> Result<()> {
        let attribute = |name: &str, kind| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().map_err(Error::internal)
        };
        let key = |name: &str, kind| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(Error::internal)
        };
        let due = GlobalSecondaryIndex::builder()
            .index_name(DUE_INDEX)
            .key_schema(key("due_shard", KeyType::Hash)?)
            .key_schema(key("due_at", KeyType::Range)?)
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build()
            .map_err(Error::internal)?;
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages)
            .build()
            .map_err(Error::internal)?;
        let created = self
            .client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(PARTITION, ScalarAttributeType::S)?)
            .attribute_definitions(attribute(SORT, ScalarAttributeType::S)?)
            .attribute_definitions(attribute("due_shard", ScalarAttributeType::S)?)
            .attribute_definitions(attribute("due_at", ScalarAttributeType::N)?)
            .key_schema(key(PARTITION, KeyType::Hash)?)
            .key_schema(key(SORT, KeyType::Range)?)
            .global_secondary_indexes(due)
            .stream_specification(stream)
            .send()
            .await;
        match created {
            Ok(_) => {}
            Err(error) if error.code() == Some("ResourceInUseException") => return self.wait_until_active().await,
            Err(error) => return Err(service_error("CreateTable", error)),
        }
        self.wait_until_active().await?;
        let time_to_live = TimeToLiveSpecification::builder()
            .attribute_name(EXPIRES)
            .enabled(true)
            .build()
            .map_err(Error::internal)?;
        self.client
            .update_time_to_live()
            .table_name(&self.name)
            .time_to_live_specification(time_to_live)
            .send()
            .await
            .map_err(|error| service_error("UpdateTimeToLive", error))?;
        Ok(())
    }

    async fn wait_until_active(&self) -> Result<()> {
        use aws_sdk_dynamodb::client::Waiters as _;
        self.client
            .wait_until_table_exists()
            .table_name(&self.name)
            .wait(Duration::from_mins(2))
            .await
            .map(drop)
            .map_err(|error| Error::internal(format!("the table '{}' did not become active: {error}", self.name)))
    }

    /// One item, strongly consistent.
    async fn get(&self, key: &Key<'_>) -> Result<Option<Item>> {
        let output = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| service_error("GetItem", error))?;
        Ok(output.item)
    }

    /// Several items, strongly consistent, in one call for up to 100 small
    /// ones. Absent items are absent from the answer.
    async fn get_all(&self, keys: &[Key<'_>]) -> Result<FoundItems> {
        // A key must not be asked for twice in one call.
        let distinct: BTreeSet<(String, String)> = keys.iter().map(Key::encode).collect();
        let distinct: Vec<_> = distinct.into_iter().collect();
        let mut found = HashMap::with_capacity(distinct.len());
        for chunk in distinct.chunks(100) {
            let keys = chunk.iter().cloned().map(attributes::encoded_key).collect();
            let mut wanted = Some(keys_and_attributes(keys)?);
            while let Some(request) = wanted.take() {
                let output = self
                    .client
                    .batch_get_item()
                    .request_items(&self.name, request)
                    .send()
                    .await
                    .map_err(|error| service_error("BatchGetItem", error))?;
                let items = output.responses.into_iter().flatten().flat_map(|(_, items)| items);
                for item in items {
                    let name = |attribute: &str| item.get(attribute).and_then(|value| value.as_s().ok()).cloned();
                    if let (Some(partition), Some(sort)) = (name(PARTITION), name(SORT)) {
                        found.insert((partition, sort), item);
                    }
                }
                wanted = output.unprocessed_keys.and_then(|mut rest| rest.remove(&self.name));
                wanted = wanted.filter(|rest| !rest.keys().is_empty());
            }
        }
        Ok(FoundItems(found))
    }

    /// Puts items without conditions, 25 a call.
    async fn put_all(&self, items: Vec<Item>) -> Result<()> {
        let mut requests = Vec::with_capacity(items.len());
        for item in items {
            let put = PutRequest::builder().set_item(Some(item)).build().map_err(Error::internal)?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        self.write_all(requests).await
    }

    /// Puts and deletes items without conditions, 25 a call.
    async fn write_all(&self, requests: Vec<WriteRequest>) -> Result<()> {
        for chunk in requests.chunks(25) {
            let mut pending = chunk.to_vec();
            let mut delay = Duration::from_millis(20);
            while !pending.is_empty() {
                let output = self
                    .client
                    .batch_write_item()
                    .request_items(&self.name, pending)
                    .send()
                    .await
                    .map_err(|error| service_error("BatchWriteItem", error))?;
                pending = output.unprocessed_items.and_then(|mut rest| rest.remove(&self.name)).unwrap_or_default();
                if !pending.is_empty() {
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(Duration::from_secs(2));
                }
            }
        }
        Ok(())
    }

    /// A transaction. The SDK gives it an idempotency token, so a lost answer
    /// never turns into a refusal of our own write.
    ///
    /// The request's audit event goes along, behind the items.
    async fn transact(&self, mut items: Vec<TransactWriteItem>) -> Result<Transaction> {
        let audit = self.audit.as_ref().filter(|_| items.len() < TRANSACTION_ITEMS);
        if let Some(write) = audit.map(|audit| audit.write(&self.name)).transpose()?.flatten() {
            items.push(write);
        }
        let mut tries = 0;
        loop {
            let sent = self.client.transact_write_items().set_transact_items(Some(items.clone())).send().await;
            let Err(error) = sent else {
                if let Some(audit) = audit {
                    audit.mark_written();
                }
                return Ok(Transaction::Written);
            };
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancelled.cancellation_reasons().to_vec()
                }
                _ => return Err(service_error("TransactWriteItems", error)),
            };
            let codes = || reasons.iter().filter_map(CancellationReason::code);
            if codes().any(|code| code == "ConditionalCheckFailed") {
                return Ok(Transaction::Refused(reasons));
            }
            let may_pass = codes().all(|code| {
                matches!(code, "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
            });
            tries += 1;
            if !may_pass || tries == TRANSACTION_TRIES {
                return Err(service_error("TransactWriteItems", error));
            }
            tokio::time::sleep(jittered(tries)).await;
        }
    }
}

/// The answer of [`Table::get_all`].
pub(crate) struct FoundItems(HashMap<(String, String), Item>);

impl FoundItems {
    fn item(&self, key: &Key<'_>) -> Option<&Item> {
        self.0.get(&key.encode())
    }
}

fn keys_and_attributes(keys: Vec<Item>) -> Result<KeysAndAttributes> {
    KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().map_err(Error::internal)
}

/// Exponential backoff from 5 ms to 1 s, of which a random half is waited.
#[must_use]
pub fn jittered(tries: u32) -> Duration {
    let ceiling_ms = 5_u64.saturating_mul(1 << tries.min(8)).min(1_000);
    let [byte] = crate::random::bytes::<1>();
    Duration::from_millis(ceiling_ms / 2 + ceiling_ms * u64::from(byte) / 512)
}

/// A fault of `DynamoDB`, for the log.
fn service_error<E>(operation: &str, error: SdkError<E>) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
    SdkError<E>: ProvideErrorMetadata,
{
    if error.code() == Some(STORAGE_FULL) {
        return Error::StorageFull;
    }
    Error::internal(format!("DynamoDB {operation} failed: {}", DisplayErrorContext(error)))
}
