//! Blobs: which are there, which repository may read them, who needs them.
//!
//! Invariant: a blob becomes visible only under a new generation of its object,
//! never by writing over an old one.
//! Invariant: `ver` grows with every change of state, so a decision made on an
//! older state cannot be written.

use aws_sdk_dynamodb::types::{
    DeleteRequest, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update, WriteRequest,
};
use ironwharf_model::{AccountId, Digest, Error, RepositoryName, Result};

use super::attributes::{self, Build, EXPIRES, Item, Read, number, string};
use super::images::{NewImage, Review, stored_at};
use super::key::{Incarnation, Key, LAYER_LINK, RepositoryKey, blob_partition, reference_prefix};
use super::repositories::Repository;
use super::uploads::FinishedUpload;
use super::{Table, Transaction, failed_condition, service_error};

/// How long the collector leaves an unreferenced blob alone after its upload.
const REVIEW_SECONDS: i64 = 24 * 3600;

/// The life of a blob: `LIVE -> CONDEMNED -> DEAD`, and back to `LIVE` from
/// `CONDEMNED` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobState {
    /// It may be referred to.
    Live,
    /// The collector found no reference and is about to look again.
    Condemned,
    /// Its object is being deleted.
    Dead,
}

impl BlobState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Condemned => "CONDEMNED",
            Self::Dead => "DEAD",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "LIVE" => Ok(Self::Live),
            "CONDEMNED" => Ok(Self::Condemned),
            "DEAD" => Ok(Self::Dead),
            _ => Err(Error::internal(format!("'{text}' is not a state of a blob"))),
        }
    }
}

/// A blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its state.
    pub state: BlobState,
    /// Where its bytes are.
    pub object: String,
    /// Its size.
    pub size_bytes: u64,
    /// See the module's invariants.
    pub version: u64,
}

impl BlobRecord {
    fn from_item(item: &Item) -> Result<Self> {
        Ok(Self {
            state: BlobState::parse(item.read_string("blob_state")?)?,
            object: item.read_string("object")?.to_owned(),
            size_bytes: item.read_number("size_bytes")?,
            version: item.read_number("ver")?,
        })
    }
}

/// A blob as one repository sees it.
#[derive(Clone, Debug)]
pub struct LayerState {
    /// The digest asked for.
    pub digest: Digest,
    /// Whether the repository holds it, and is not about to let it go.
    pub linked: bool,
    /// Whether the repository is about to let it go.
    pub unlinking: bool,
    /// The mark of a layer that may be in the archive: whoever needs to know
    /// looks ([`Table::layer_status`]).
    pub archive_mark: Option<String>,
    /// The blob itself.
    pub blob: Option<BlobRecord>,
}

impl LayerState {
    /// The blob, if it can be read and referred to from the repository.
    #[must_use]
    pub fn available(&self) -> Option<&BlobRecord> {
        self.blob.as_ref().filter(|blob| self.linked && blob.state != BlobState::Dead)
    }

    /// The blob, if it can be read from the repository. A layer that is being
    /// let go can: an image may need it, and then it stays.
    #[must_use]
    pub fn readable(&self) -> Option<&BlobRecord> {
        let held = self.linked || self.unlinking;
        self.blob.as_ref().filter(|blob| held && blob.state != BlobState::Dead)
    }
}

impl Table {
    /// How a repository sees some blobs, and the repository as it is now. One
    /// call for up to 49 blobs.
    pub async fn layers(
        &self,
        repository: &RepositoryKey,
        digests: &[Digest],
    ) -> Result<(Option<Repository>, Vec<LayerState>)> {
        let RepositoryKey { account, name, .. } = repository;
        let repository_key = Key::Repository { account, name };
        let mut keys = vec![repository_key.clone()];
        for digest in digests {
            keys.push(Key::LayerLink { repository, digest });
            keys.push(Key::Blob { repository, digest });
        }
        let found = self.get_all(&keys).await?;
        let stored = found.item(&repository_key).map(|item| Repository::from_item(account, name, item)).transpose()?;
        let layers = digests.iter().map(|digest| {
            let link = found.item(&Key::LayerLink { repository, digest });
            let unlinking = link.is_some_and(|link| link.contains_key("unlinking"));
            let blob = found.item(&Key::Blob { repository, digest }).map(BlobRecord::from_item).transpose()?;
            let archive_mark = match link {
                Some(link) => link.read_optional_string("archive_mark")?.map(str::to_owned),
                None => None,
            };
            let linked = link.is_some() && !unlinking;
            Ok(LayerState { digest: digest.clone(), linked, unlinking, archive_mark, blob })
        });
        Ok((stored, layers.collect::<Result<_>>()?))
    }

    /// Writes the references of a push, before its blobs are read.
    pub async fn write_references(&self, image: &NewImage) -> Result<()> {
        let references = image.blobs.iter().map(|blob| {
            let key =
                Key::Reference { repository: &image.repository, blob, manifest: &image.digest, push: &image.push };
            Build::new(&key).string("repository", image.repository.name.as_str()).item()
        });
        self.put_all(references.collect()).await
    }

    /// Removes the references of one push: of one that did not commit, or
    /// whose image is gone. Those of any other push stay.
    pub async fn remove_references(
        &self,
        repository: &RepositoryKey,
        manifest: &Digest,
        push: &str,
        blobs: &[Digest],
    ) -> Result<()> {
        let mut deletions = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let key = attributes::key(&Key::Reference { repository, blob, manifest, push });
            let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(Error::internal)?;
            deletions.push(WriteRequest::builder().delete_request(delete).build());
        }
        self.write_all(deletions).await
    }

    /// Takes a blob back from the collector; `false` if it was too late.
    pub async fn resurrect_blob(&self, repository: &RepositoryKey, digest: &Digest, blob: &BlobRecord) -> Result<bool> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Blob { repository, digest })))
            .update_expression("SET blob_state = :live ADD ver :one")
            .condition_expression("blob_state = :condemned AND ver = :ver AND #object = :object")
            .expression_attribute_names("#object", "object")
            .expression_attribute_values(":live", string(BlobState::Live.as_str()))
            .expression_attribute_values(":condemned", string(BlobState::Condemned.as_str()))
            .expression_attribute_values(":ver", number(blob.version))
            .expression_attribute_values(":object", string(&blob.object))
            .expression_attribute_values(":one", number(1))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(true),
            // The answer to our own write may have been lost: the caller reads again.
            Err(error) if is_condition_failure(&error) => Ok(false),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Ends an upload: the blob is there under its digest, and the repository
    /// holds it. An upload of a blob that is there already keeps the older
    /// object; the new one is left to the collector. `false` if the upload was
    /// ended or taken over by another request.
    pub async fn finish_upload(
        &self,
        repository: &RepositoryKey,
        digest: &Digest,
        object: &str,
        size_bytes: u64,
        upload: Option<&FinishedUpload<'_>>,
        now_s: i64,
    ) -> Result<bool> {
        let account = &repository.account;
        let upload_write = upload.map(|upload| self.end_upload(account, upload, digest, now_s)).transpose()?;
        let mut alive = false;
        // The blob can change between the two forms of the transaction, but
        // each change is a day's grace apart; a few rounds are plenty.
        for _ in 0..8 {
            let mut writes = vec![
                if alive {
                    self.keep_blob(repository, digest, now_s)?
                } else {
                    self.new_blob(repository, digest, object, size_bytes, now_s)?
                },
                self.put_link(repository, digest, size_bytes)?,
            ];
            writes.extend(upload_write.clone());
            if alive {
                let objects = [object.to_owned()];
                let review = Review {
                    reason: "BLOB_UPLOADED_TWICE",
                    push: None,
                    manifest: None,
                    repository: None,
                    blobs: &[],
                    objects: &objects,
                };
                writes.push(self.put_review(account, &review, now_s)?);
            }
            match self.transact(writes).await? {
                Transaction::Written => return Ok(true),
                Transaction::Refused(reasons) => {
                    if failed_condition(&reasons, 2).is_some() {
                        return Ok(false);
                    }
                    if stored_at(&reasons, 0).is_some_and(|stored| names_object(stored, object)) {
                        return Ok(true);
                    }
                    alive = !alive;
                }
            }
        }
        Err(Error::internal(format!("the state of blob {digest} kept changing")))
    }

    fn new_blob(
        &self,
        repository: &RepositoryKey,
        digest: &Digest,
        object: &str,
        size_bytes: u64,
        now_s: i64,
    ) -> Result<TransactWriteItem> {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Blob { repository, digest })))
            .update_expression(
                "SET blob_state = :live, #object = :object, size_bytes = :size, review_at = :review ADD ver :one",
            )
            .condition_expression("attribute_not_exists(pk) OR blob_state = :dead")
            .expression_attribute_names("#object", "object")
            .expression_attribute_values(":live", string(BlobState::Live.as_str()))
            .expression_attribute_values(":dead", string(BlobState::Dead.as_str()))
            .expression_attribute_values(":object", string(object))
            .expression_attribute_values(":size", number(size_bytes))
            .expression_attribute_values(":review", number(now_s + REVIEW_SECONDS))
            .expression_attribute_values(":one", number(1))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn keep_blob(&self, repository: &RepositoryKey, digest: &Digest, now_s: i64) -> Result<TransactWriteItem> {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Blob { repository, digest })))
            .update_expression("SET review_at = :review")
            .condition_expression("attribute_exists(pk) AND blob_state <> :dead")
            .expression_attribute_values(":dead", string(BlobState::Dead.as_str()))
            .expression_attribute_values(":review", number(now_s + REVIEW_SECONDS))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn put_link(&self, repository: &RepositoryKey, digest: &Digest, size_bytes: u64) -> Result<TransactWriteItem> {
        let item = link_item(repository, digest, size_bytes);
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).build().map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn end_upload(
        &self,
        account: &AccountId,
        upload: &FinishedUpload<'_>,
        digest: &Digest,
        now_s: i64,
    ) -> Result<TransactWriteItem> {
        let item = Build::new(&Key::Upload { account, upload: upload.id })
            .string("upload_state", "DONE")
            .string("digest", digest.as_str())
            .number(EXPIRES, now_s + super::uploads::UPLOAD_SECONDS);
        let put = Put::builder().table_name(&self.name).set_item(Some(item.item()));
        let put = match upload.lease {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(lease) => put
                .condition_expression("upload_state = :open AND lease = :lease")
                .expression_attribute_values(":open", string("OPEN"))
                .expression_attribute_values(":lease", string(lease)),
        };
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
    }

    /// Lets a repository hold a blob that the account has already (a mount).
    pub async fn link_layer(&self, repository: &RepositoryKey, digest: &Digest, size_bytes: u64) -> Result<()> {
        self.put_all(vec![link_item(repository, digest, size_bytes)]).await
    }

    /// Repositories that hold a blob in the encryption of `repository`, for a
    /// mount that names none. At most `limit`.
    pub async fn holders_of(
        &self,
        repository: &RepositoryKey,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<RepositoryKey>> {
        let RepositoryKey { account, encryption, .. } = repository;
        let page = self.query_sorted(&blob_partition(repository, digest), LAYER_LINK, None, limit, None).await?;
        let holders = page.items.iter().filter(|item| !item.contains_key("unlinking")).map(|item| {
            let name = RepositoryName::parse(item.read_string("repository")?).map_err(Error::internal)?;
            let incarnation = Incarnation::from_stored(item.read_string("incarnation")?);
            Ok(RepositoryKey { account: account.clone(), name, incarnation, encryption: encryption.clone() })
        });
        holders.collect()
    }

    /// Whether an image of the repository (or a push that may still commit
    /// one) needs the blob.
    pub async fn is_referenced(&self, repository: &RepositoryKey, digest: &Digest) -> Result<bool> {
        let partition = blob_partition(repository, digest);
        let page = self.query_sorted(&partition, &reference_prefix(repository), None, 1, Some("sk")).await?;
        Ok(!page.items.is_empty())
    }

    /// Lets a repository's blob go, unless something refers to it: `false` then.
    ///
    /// In two steps, like the collector's: the link is marked, the references
    /// are read, and only then it is removed. A push that read the link before
    /// the mark has written its reference before, and is seen; a push that
    /// reads it after takes the blob for missing. A crash in between leaves a
    /// link that can still be read.
    pub async fn unlink_layer(&self, repository: &RepositoryKey, digest: &Digest) -> Result<bool> {
        let key = attributes::key(&Key::LayerLink { repository, digest });
        let mark = crate::random::hex::<8>();
        let marked = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.clone()))
            .update_expression("SET unlinking = :mark")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":mark", string(&mark))
            .send()
            .await;
        match marked {
            Ok(_) => {}
            Err(error) if is_condition_failure(&error) => return Ok(true),
            Err(error) => return Err(service_error("UpdateItem", error)),
        }
        let referenced = self.is_referenced(repository, digest).await?;
        // A new upload or mount may have renewed the link meanwhile: both
        // outcomes below are only for the link that was marked here.
        if referenced {
            let reverted = self
                .client
                .update_item()
                .table_name(&self.name)
                .set_key(Some(key))
                .update_expression("REMOVE unlinking")
                .condition_expression("unlinking = :mark")
                .expression_attribute_values(":mark", string(&mark))
                .send()
                .await;
            return match reverted {
                Ok(_) => Ok(false),
                Err(error) if is_condition_failure(&error) => Ok(false),
                Err(error) => Err(service_error("UpdateItem", error)),
            };
        }
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .condition_expression("unlinking = :mark")
            .expression_attribute_values(":mark", string(&mark))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failure(&error) => Ok(true),
            Err(error) => Err(service_error("DeleteItem", error)),
        }
    }
}

fn link_item(repository: &RepositoryKey, digest: &Digest, size_bytes: u64) -> Item {
    Build::new(&Key::LayerLink { repository, digest })
        .string("repository", repository.name.as_str())
        .string("incarnation", repository.incarnation.as_str())
        .number("size_bytes", size_bytes)
        .item()
}

fn names_object(stored: &Item, object: &str) -> bool {
    stored.read_string("object").is_ok_and(|stored| stored == object)
}

pub(super) fn is_condition_failure<E>(error: &aws_sdk_dynamodb::error::SdkError<E>) -> bool
where
    aws_sdk_dynamodb::error::SdkError<E>: aws_sdk_dynamodb::error::ProvideErrorMetadata,
{
    use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
    error.code() == Some("ConditionalCheckFailedException")
}
