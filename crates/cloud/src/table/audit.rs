//! The audit trail: what was changed and what was refused, by account and time.
//!
//! Events of a day are spread over partitions, so that a busy tenant has no hot
//! one; a listing merges them.
//!
//! Invariant: an event is written once and never changed; it expires by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use ironwharf_model::{AccountId, Error, Result};
use time::{Date, OffsetDateTime};

use super::attributes::{Build, EXPIRES, Item, Read, string};
use super::key::{Key, audit_partition};
use super::{Table, service_error};

/// How long events are kept: as long as CloudTrail's event history.
const KEPT_SECONDS: i64 = 90 * 24 * 3600;

/// Over how many partitions the events of a day are spread.
const SHARDS: u8 = 8;

/// An event that is written or was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its unique id.
    pub id: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The event as JSON.
    pub event: String,
}

impl AuditRecord {
    fn sort_key(&self) -> String {
        format!("{:014}#{}", self.at_ms, self.id)
    }

    /// The item of the event in the trail of `account`.
    pub(super) fn item(&self, account: &AccountId) -> Item {
        let (day, sort) = (day_of(self.at_ms), self.sort_key());
        // Ids are random, so their bytes spread evenly.
        let shard = self.id.bytes().fold(0_u8, u8::wrapping_add) % SHARDS;
        Build::new(&Key::AuditEvent { account, day: &day, shard, event: &sort })
            .string("event", &self.event)
            .number(EXPIRES, self.at_ms / 1000 + KEPT_SECONDS)
            .item()
    }
}

/// The event of a request that is about to change something. It travels with
/// the first transaction that the request writes, so that it costs no call and
/// is there exactly if the change is.
#[derive(Debug)]
pub struct PendingAudit {
    account: AccountId,
    record: AuditRecord,
    written: AtomicBool,
}

impl PendingAudit {
    /// An event for the trail of `account`.
    #[must_use]
    pub const fn new(account: AccountId, record: AuditRecord) -> Self {
        Self { account, record, written: AtomicBool::new(false) }
    }

    /// Whether it is in the table.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.written.load(Ordering::Acquire)
    }

    /// The event, if it is in the table.
    #[must_use]
    pub fn written(&self) -> Option<&AuditRecord> {
        self.is_written().then_some(&self.record)
    }

    pub(super) fn mark_written(&self) {
        self.written.store(true, Ordering::Release);
    }

    /// The write to add to a transaction of `table`; none if it is written.
    pub(super) fn write(&self, table: &str) -> Result<Option<TransactWriteItem>> {
        if self.is_written() {
            return Ok(None);
        }
        let put = Put::builder().table_name(table).set_item(Some(self.record.item(&self.account)));
        let put = put.build().map_err(Error::internal)?;
        Ok(Some(TransactWriteItem::builder().put(put).build()))
    }
}

fn day_of(at_ms: i64) -> String {
    date(at_ms).to_string()
}

fn date(at_ms: i64) -> Date {
    OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH).date()
}

impl Table {
    /// The same table, for a request with this event.
    #[must_use]
    pub fn with_audit(&self, audit: Arc<PendingAudit>) -> Self {
        Self { audit: Some(audit), ..self.clone() }
    }

    /// Writes an event that no transaction has taken along.
    pub async fn write_pending_audit(&self, audit: &PendingAudit) -> Result<()> {
        if !audit.is_written() {
            self.write_audit(&audit.account, &audit.record).await?;
            audit.mark_written();
        }
        Ok(())
    }

    /// Writes an event into the trail of an account.
    pub async fn write_audit(&self, account: &AccountId, record: &AuditRecord) -> Result<()> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(record.item(account)));
        put.send().await.map(drop).map_err(|error| service_error("PutItem", error))
    }

    /// Up to `limit` events of an account between two times, the newest first;
    /// with `before`, only those that come after this one in that order.
    ///
    /// Looks at whole days, from the last one on, until it has enough.
    pub async fn audit(
        &self,
        account: &AccountId,
        from_ms: i64,
        to_ms: i64,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>> {
        let mut found: Vec<AuditRecord> = Vec::new();
        let oldest = date(from_ms);
        let mut day = date(to_ms);
        let newest = before.map_or_else(|| format!("{to_ms:014}#~"), str::to_owned);
        loop {
            for shard in 0..SHARDS {
                found.extend(self.audit_shard(account, &day.to_string(), shard, from_ms, &newest, limit).await?);
            }
            match day.previous_day() {
                Some(before) if found.len() < limit && before >= oldest => day = before,
                _ => break,
            }
        }
        found.sort_unstable_by_key(|record| std::cmp::Reverse(record.sort_key()));
        found.retain(|record| before.is_none_or(|before| record.sort_key().as_str() < before));
        found.truncate(limit);
        Ok(found)
    }

    async fn audit_shard(
        &self,
        account: &AccountId,
        day: &str,
        shard: u8,
        from_ms: i64,
        newest: &str,
        limit: usize,
    ) -> Result<Vec<AuditRecord>> {
        let output = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", string(audit_partition(account, day, shard)))
            .expression_attribute_values(":from", string(format!("{from_ms:014}#")))
            .expression_attribute_values(":to", string(newest))
            // One more, because the position itself is in the range.
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| service_error("Query", error))?;
        output.items.unwrap_or_default().iter().map(read).collect()
    }
}

/// The position of an event in a listing, for the next page.
#[must_use]
pub fn audit_position(record: &AuditRecord) -> String {
    record.sort_key()
}

fn read(item: &Item) -> Result<AuditRecord> {
    let sort = item.read_string("sk")?;
    let (at_ms, id) = sort.split_once('#').ok_or_else(|| Error::internal("an audit event has no time"))?;
    Ok(AuditRecord {
        id: id.to_owned(),
        at_ms: at_ms.parse().map_err(Error::internal)?,
        event: item.read_string("event")?.to_owned(),
    })
}
