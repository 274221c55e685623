//! The archive: images that are kept and listed, and not pulled.
//!
//! The status is on the image, on its manifest item and on its referrer item,
//! and one transaction changes all three. A tag item has a mark instead: an
//! image has up to 1,000 tags and a transaction 100 items. Who finds a mark
//! reads the manifest item, which decides, so a mark too many costs a call and
//! hides nothing. A layer link has such a mark too: who finds it looks whether
//! an active image needs the layer.
//!
//! Invariant: every tag item of an archived image is marked. Tags are marked
//! before the status changes, under the revision of the image as it was read;
//! giving an image a tag adds to that revision and is refused while it is
//! archived, and removing marks adds to it as well.
//! Invariant: an active index lists active images only. `archived_parents` of
//! an image is how many of the indexes that list it are archived; it goes into
//! the archive if that is all of them.

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use ironwharf_model::{Digest, Error, ImageStatus, Result, Tag};

use super::attributes::{self, Read, number, string};
use super::blobs::is_condition_failure;
use super::images::{CommitConflict, ImageRecord};
use super::key::{Key, RepositoryKey, blob_partition, reference_prefix};
use super::{TRANSACTION_ITEMS, Table, Transaction, service_error};

/// The condition under which an image is not archived.
pub(super) const IS_ACTIVE: &str = "attribute_not_exists(#status)";

/// How many images that need a layer are looked at, 100 at a time, for one
/// that is active. Beyond that the layer passes for one that is.
const HOLDER_PAGES: usize = 10;

/// Which way an image goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    IntoArchive,
    Back,
}

impl Table {
    /// Puts an image into the archive. `children` are the manifests it lists.
    /// Refused if the image has changed since it was read, or if an active
    /// index lists it.
    pub async fn archive_image(
        &self,
        repository: &RepositoryKey,
        image: &ImageRecord,
        children: &[Digest],
        now_ms: i64,
    ) -> Result<Result<(), CommitConflict>> {
        let tags = parsed_tags(image)?;
        let (before, with) = tags.split_at(tags.len().saturating_sub(room_for_tags(children)));
        for tags in before.chunks(room_for_tags(&[])) {
            let marks = tags.iter().map(|tag| self.mark_tag(repository, tag, &image.digest, Way::IntoArchive));
            if self.all_or_conflict(marks.collect::<Result<_>>()?).await?.is_err() {
                return Ok(Err(CommitConflict::Changed));
            }
        }
        let record = self
            .update_of(&Key::Image { repository, digest: &image.digest })
            .update_expression("SET #status = :status, archived_at_ms = :now ADD revision :one")
            .condition_expression(format!(
                "push = :push AND revision = :revision AND {IS_ACTIVE} \
                 AND (parents = :none OR parents = archived_parents)"
            ))
            .expression_attribute_values(":status", string(ImageStatus::Archived.as_str()))
            .expression_attribute_values(":none", number(0));
        let mut writes = vec![built(of_image(record, image, now_ms))?];
        self.follow(repository, image, children, with, Way::IntoArchive, &mut writes)?;
        self.all_or_conflict(writes).await
    }

    /// Takes an image out of the archive. Refused if it has changed since it
    /// was read, or if one of its `children` is archived.
    pub async fn restore_image(
        &self,
        repository: &RepositoryKey,
        image: &ImageRecord,
        children: &[Digest],
        now_ms: i64,
    ) -> Result<Result<(), CommitConflict>> {
        let tags = parsed_tags(image)?;
        let (with, after) = tags.split_at(tags.len().min(room_for_tags(children)));
        let record = self
            .update_of(&Key::Image { repository, digest: &image.digest })
            .update_expression("SET activated_at_ms = :now REMOVE #status ADD revision :one")
            .condition_expression("push = :push AND revision = :revision AND attribute_exists(#status)");
        let mut writes = vec![built(of_image(record, image, now_ms))?];
        self.follow(repository, image, children, with, Way::Back, &mut writes)?;
        if let Err(conflict) = self.all_or_conflict(writes).await? {
            return Ok(Err(conflict));
        }
        for tags in after.chunks(room_for_tags(&[])) {
            // It adds to the revision, so that an archiving under way notices.
            let record = self
                .update_of(&Key::Image { repository, digest: &image.digest })
                .update_expression("ADD revision :one")
                .condition_expression(format!("push = :push AND {IS_ACTIVE}"))
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":push", string(&image.push))
                .expression_attribute_values(":one", number(1));
            let marks = tags.iter().map(|tag| self.mark_tag(repository, tag, &image.digest, Way::Back));
            let writes = std::iter::once(built(record)).chain(marks);
            // A mark that stays costs a call whenever its tag is pulled.
            if self.all_or_conflict(writes.collect::<Result<_>>()?).await?.is_err() {
                break;
            }
        }
        Ok(Ok(()))
    }

    /// What changes together with the image.
    fn follow(
        &self,
        repository: &RepositoryKey,
        image: &ImageRecord,
        children: &[Digest],
        tags: &[Tag],
        way: Way,
        writes: &mut Vec<TransactWriteItem>,
    ) -> Result<()> {
        let manifest = Key::Manifest { repository, digest: &image.digest };
        let referrer =
            image.subject.as_ref().map(|subject| Key::Referrer { repository, subject, digest: &image.digest });
        for key in std::iter::once(manifest).chain(referrer) {
            let update = self
                .update_of(&key)
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_names("#status", "status");
            writes.push(built(match way {
                Way::Back => update.update_expression("REMOVE #status"),
                Way::IntoArchive => update
                    .update_expression("SET #status = :status")
                    .expression_attribute_values(":status", string(ImageStatus::Archived.as_str())),
            })?);
        }
        for child in children {
            let update = self
                .update_of(&Key::Image { repository, digest: child })
                .update_expression("ADD archived_parents :by, revision :one")
                .expression_attribute_values(":one", number(1));
            writes.push(built(match way {
                Way::IntoArchive => {
                    update.condition_expression("attribute_exists(pk)").expression_attribute_values(":by", number(1))
                }
                Way::Back => update
                    .condition_expression(format!("attribute_exists(pk) AND {IS_ACTIVE}"))
                    .expression_attribute_names("#status", "status")
                    .expression_attribute_values(":by", number(-1)),
            })?);
        }
        for tag in tags {
            writes.push(self.mark_tag(repository, tag, &image.digest, way)?);
        }
        Ok(())
    }

    fn mark_tag(&self, repository: &RepositoryKey, tag: &Tag, digest: &Digest, way: Way) -> Result<TransactWriteItem> {
        let update = self
            .update_of(&Key::Tag { repository, tag })
            .condition_expression("digest = :digest")
            .expression_attribute_values(":digest", string(digest.as_str()));
        built(match way {
            Way::Back => update.update_expression("REMOVE archive_mark"),
            Way::IntoArchive => update
                .update_expression("SET archive_mark = :mark")
                .expression_attribute_values(":mark", string("ARCHIVE")),
        })
    }

    fn update_of(&self, key: &Key<'_>) -> UpdateBuilder {
        Update::builder().table_name(&self.name).set_key(Some(attributes::key(key)))
    }

    async fn all_or_conflict(&self, writes: Vec<TransactWriteItem>) -> Result<Result<(), CommitConflict>> {
        match self.transact(writes).await? {
            Transaction::Written => Ok(Ok(())),
            Transaction::Refused(_) => Ok(Err(CommitConflict::Changed)),
        }
    }

    /// Whether an image of the repository that needs a layer is active, or all
    /// of them are archived; `None` if no image needs it.
    pub async fn layer_status(&self, repository: &RepositoryKey, layer: &Digest) -> Result<Option<ImageStatus>> {
        let partition = blob_partition(repository, layer);
        let prefix = reference_prefix(repository);
        let mut after: Option<String> = None;
        let mut status = None;
        for _ in 0..HOLDER_PAGES {
            let page = self.query_sorted(&partition, &prefix, after.as_deref(), 100, Some("sk")).await?;
            let mut holders = Vec::new();
            for item in &page.items {
                let rest = item.read_string("sk")?.strip_prefix(&prefix).unwrap_or_default();
                let (manifest, _) = rest.split_once('#').unwrap_or_default();
                holders.push(Digest::parse(manifest).map_err(Error::internal)?);
                after = Some(rest.to_owned());
            }
            for holder in self.image_records(repository, &holders).await? {
                if holder.status != ImageStatus::Archived {
                    return Ok(Some(ImageStatus::Active));
                }
                status = Some(ImageStatus::Archived);
            }
            if !page.more {
                return Ok(status);
            }
        }
        Ok(Some(ImageStatus::Active))
    }

    /// Marks a layer that no active image needs; nothing if the repository
    /// does not hold it.
    pub async fn mark_layer(&self, repository: &RepositoryKey, layer: &Digest) -> Result<()> {
        // Its own every time: who removes the mark has seen this one.
        let mark = crate::random::hex::<8>();
        let marked = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::LayerLink { repository, digest: layer })))
            .update_expression("SET archive_mark = :mark")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":mark", string(mark))
            .send()
            .await;
        match marked {
            Ok(_) => Ok(()),
            Err(error) if is_condition_failure(&error) => Ok(()),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// Removes the mark that was seen on a layer, now that an active image
    /// needs it.
    pub async fn unmark_layer(&self, repository: &RepositoryKey, layer: &Digest, mark: &str) -> Result<()> {
        let unmarked = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::LayerLink { repository, digest: layer })))
            .update_expression("REMOVE archive_mark")
            .condition_expression("archive_mark = :mark")
            .expression_attribute_values(":mark", string(mark))
            .send()
            .await;
        match unmarked {
            Ok(_) => Ok(()),
            Err(error) if is_condition_failure(&error) => Ok(()),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }
}

/// How many tags go into the transaction of their image: besides them, the
/// image, its manifest, its referrer entry and the audit event.
fn room_for_tags(children: &[Digest]) -> usize {
    TRANSACTION_ITEMS.saturating_sub(4 + children.len())
}

fn parsed_tags(image: &ImageRecord) -> Result<Vec<Tag>> {
    image.tags.iter().map(|tag| Tag::parse(tag).map_err(Error::internal)).collect()
}

/// The image as it was read, and when it changes.
fn of_image(update: UpdateBuilder, image: &ImageRecord, now_ms: i64) -> UpdateBuilder {
    update
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":push", string(&image.push))
        .expression_attribute_values(":revision", number(image.revision))
        .expression_attribute_values(":now", number(now_ms))
        .expression_attribute_values(":one", number(1))
}

fn built(update: UpdateBuilder) -> Result<TransactWriteItem> {
    let update = update.build().map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().update(update).build())
}
