//! Uploads in progress: one record each, written with the first part.
//!
//! Invariant: an upload that has not seen a part has no record; its id alone
//! (which is authenticated) says where it belongs.
//! Invariant: only the holder of the lease changes an upload or ends it.
//! Invariant: `offset_bytes` counts bytes that are stored; a request that fails
//! in the middle leaves it as it was.

use std::time::Duration;

use aws_sdk_dynamodb::types::{Put, ReturnValue, TransactWriteItem};
use ironwharf_model::{AccountId, Error, Result};

use super::attributes::{self, Build, EXPIRES, Item, Read, number, string};
use super::blobs::is_condition_failure;
use super::key::Key;
use super::{Table, Transaction, service_error};

/// How long an upload may take, from its first part.
pub(super) const UPLOAD_SECONDS: i64 = 2 * 24 * 3600;

/// How long a request holds an upload without a sign of life, which is
/// [`Table::renew_lease`]. A crashed holder blocks the upload for that long at
/// most.
const LEASE_SECONDS: i64 = 60;

/// How often the holder of a lease renews it.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(15);

/// Whether an upload can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// It takes parts.
    Open,
    /// It ended; its blob is there.
    Done,
    /// It was cancelled.
    Cancelled,
}

/// A part of a multipart upload to the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPart {
    /// Its number, from 1.
    pub number: i32,
    /// Its entity tag.
    pub etag: String,
}

/// What is stored of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRecord {
    /// Whether it can go on.
    pub state: UploadState,
    /// How many bytes are stored.
    pub offset_bytes: u64,
    /// The state of SHA-256 after those bytes; empty before the first.
    pub hash_state: Vec<u8>,
    /// The multipart upload, once there is one: its object and its id.
    pub multipart: Option<(String, String)>,
    /// Its parts.
    pub parts: Vec<UploadPart>,
    /// An object that holds the last bytes, while they are too few for a part.
    pub tail_object: Option<String>,
    /// How many bytes the tail has.
    pub tail_bytes: u64,
    /// The digest it ended with.
    pub digest: Option<String>,
}

impl UploadRecord {
    /// An upload without a byte.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            state: UploadState::Open,
            offset_bytes: 0,
            hash_state: Vec::new(),
            multipart: None,
            parts: Vec::new(),
            tail_object: None,
            tail_bytes: 0,
            digest: None,
        }
    }

    fn from_item(item: &Item) -> Result<Self> {
        let state = match item.read_string("upload_state")? {
            "OPEN" => UploadState::Open,
            "DONE" => UploadState::Done,
            "CANCELLED" => UploadState::Cancelled,
            other => return Err(Error::internal(format!("'{other}' is not a state of an upload"))),
        };
        let multipart = match (item.read_optional_string("multipart_object")?, item.read_optional_string("multipart")?)
        {
            (Some(object), Some(id)) => Some((object.to_owned(), id.to_owned())),
            _ => None,
        };
        let parts = item.read_list("parts")?.into_iter().map(|part| {
            let parsed = part.split_once(' ').and_then(|(number, etag)| Some((number.parse().ok()?, etag.to_owned())));
            let (number, etag) = parsed.ok_or_else(|| Error::internal("a stored part is not of its form"))?;
            Ok(UploadPart { number, etag })
        });
        Ok(Self {
            state,
            offset_bytes: item.read_optional_number("offset_bytes")?.unwrap_or(0),
            hash_state: item.read_optional_binary("hash_state")?.unwrap_or_default().to_vec(),
            multipart,
            parts: parts.collect::<Result<_>>()?,
            tail_object: item.read_optional_string("tail_object")?.map(str::to_owned),
            tail_bytes: item.read_optional_number("tail_bytes")?.unwrap_or(0),
            digest: item.read_optional_string("digest")?.map(str::to_owned),
        })
    }
}

/// An upload that this request alone may change.
#[derive(Clone, Debug)]
pub struct LeasedUpload {
    /// What was stored when the lease was taken.
    pub record: UploadRecord,
    /// The lease.
    pub lease: String,
}

/// How [`Table::finish_upload`] ends the upload's record.
#[derive(Clone, Copy, Debug)]
pub struct FinishedUpload<'a> {
    /// The upload.
    pub id: &'a str,
    /// The lease on its record; `None` if the upload must not have one.
    pub lease: Option<&'a str>,
}

/// What a request that wants to write to an upload finds.
#[derive(Clone, Debug)]
pub enum Acquired {
    /// The lease.
    Leased(LeasedUpload),
    /// Another request holds it.
    Busy,
    /// It has ended.
    Ended(UploadRecord),
}

impl Table {
    /// What is stored of an upload.
    pub async fn upload(&self, account: &AccountId, upload: &str) -> Result<Option<UploadRecord>> {
        let item = self.get(&Key::Upload { account, upload }).await?;
        item.map(|item| UploadRecord::from_item(&item)).transpose()
    }

    /// Takes the lease of an upload, making its record if there is none, in one call.
    pub async fn lease_upload(&self, account: &AccountId, upload: &str, now_s: i64) -> Result<Acquired> {
        let free = "(attribute_not_exists(lease) OR leased_until < :now)";
        self.acquire(account, upload, &format!("upload_state = :open AND {free}"), now_s).await
    }

    /// Takes the lease of an upload from whoever has it: its holder will find
    /// that it has lost it. [`Acquired::Busy`] is not an outcome.
    pub async fn take_upload_over(&self, account: &AccountId, upload: &str, now_s: i64) -> Result<Acquired> {
        // DynamoDB refuses a value that no expression uses.
        self.acquire(account, upload, "upload_state = :open AND :now = :now", now_s).await
    }

    async fn acquire(&self, account: &AccountId, upload: &str, condition: &str, now_s: i64) -> Result<Acquired> {
        let key = Key::Upload { account, upload };
        let lease = crate::random::hex::<8>();
        let leased = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&key)))
            .update_expression(
                "SET upload_state = :open, lease = :lease, leased_until = :until, \
                 expires_at = if_not_exists(expires_at, :expires)",
            )
            .condition_expression(format!("attribute_not_exists(pk) OR ({condition})"))
            .expression_attribute_values(":open", string("OPEN"))
            .expression_attribute_values(":lease", string(&lease))
            .expression_attribute_values(":until", number(now_s + LEASE_SECONDS))
            .expression_attribute_values(":expires", number(now_s + UPLOAD_SECONDS))
            .expression_attribute_values(":now", number(now_s))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match leased {
            Ok(output) => {
                let item = output.attributes.unwrap_or_default();
                Ok(Acquired::Leased(LeasedUpload { record: UploadRecord::from_item(&item)?, lease }))
            }
            Err(error) if is_condition_failure(&error) => match self.upload(account, upload).await? {
                Some(record) if record.state != UploadState::Open => Ok(Acquired::Ended(record)),
                _ => Ok(Acquired::Busy),
            },
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Holds an upload for longer. `false` if the lease was lost.
    pub async fn renew_lease(&self, account: &AccountId, upload: &str, lease: &str, now_s: i64) -> Result<bool> {
        let renewed = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Upload { account, upload })))
            .update_expression("SET leased_until = :until")
            .condition_expression("lease = :lease")
            .expression_attribute_values(":lease", string(lease))
            .expression_attribute_values(":until", number(now_s + LEASE_SECONDS))
            .send()
            .await;
        match renewed {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failure(&error) => Ok(false),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Stores how far an upload got, and gives the lease back. `false` if the
    /// lease was lost.
    pub async fn save_upload(
        &self,
        account: &AccountId,
        upload: &str,
        lease: &str,
        record: &UploadRecord,
        now_s: i64,
    ) -> Result<bool> {
        let state = match record.state {
            UploadState::Open => "OPEN",
            UploadState::Done => "DONE",
            UploadState::Cancelled => "CANCELLED",
        };
        let mut item = Build::new(&Key::Upload { account, upload })
            .string("upload_state", state)
            .number("offset_bytes", record.offset_bytes)
            .list("parts", record.parts.iter().map(|part| format!("{} {}", part.number, part.etag)))
            .optional_string("tail_object", record.tail_object.as_deref())
            .number("tail_bytes", record.tail_bytes)
            .number(EXPIRES, now_s + UPLOAD_SECONDS);
        if !record.hash_state.is_empty() {
            item = item.binary("hash_state", &record.hash_state);
        }
        if let Some((object, id)) = &record.multipart {
            item = item.string("multipart_object", object).string("multipart", id);
        }
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item.item()))
            .condition_expression("lease = :lease")
            .expression_attribute_values(":lease", string(lease))
            .build()
            .map_err(Error::internal)?;
        match self.transact(vec![TransactWriteItem::builder().put(put).build()]).await? {
            Transaction::Written => Ok(true),
            Transaction::Refused(_) => Ok(false),
        }
    }
}
