//! Images: the commit of a push, and deletion.
//!
//! Invariant: a committed image has a reference on each of its blobs, written
//! under its own push before the blobs were read as live.
//! Invariant: `parents` of an image is the number of indexes in the repository
//! that list it; the transactions that commit and delete indexes keep it.
//! Invariant: `tags` of an image is exactly the set of tag items that name it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use ironwharf_model::media_type::ManifestType;
use ironwharf_model::{Digest, Error, ImageStatus, Reference, Result, Tag};

use super::archive::IS_ACTIVE;
use super::attributes::{self, Build, EXPIRES, Item, Read, number, string};
use super::key::{Key, RepositoryKey};
use super::repositories::Repository;
use super::{Table, Transaction, failed_condition, service_error};
use crate::Encryption;

/// A manifest of up to this many bytes is stored in its items; a larger one
/// is an object. An item holds 400 KB.
pub const INLINE_MANIFEST_BYTES: usize = 350 * 1024;

/// The most tags that one transaction removes together with their image.
const TAGS_PER_TRANSACTION: usize = 80;

/// How many items of a deleted repository are removed at once.
const PURGED_AT_ONCE: i32 = 200;

/// Where the push is among the writes of a new image.
const PUSH_WRITE: usize = 2;

/// How long the outcome of a push is remembered. Only a push that is still
/// running could be fenced wrongly without it, and none runs that long.
const PUSH_SECONDS: i64 = 30 * 24 * 3600;

/// Where the bytes of a manifest are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredManifest {
    /// In the item.
    Inline(Vec<u8>),
    /// In the object store, under this key.
    Object(String),
}

impl StoredManifest {
    fn write(&self, build: Build) -> Build {
        match self {
            Self::Inline(bytes) => build.binary("manifest", bytes),
            Self::Object(key) => build.string("manifest_object", key),
        }
    }

    fn read(item: &Item) -> Result<Self> {
        match item.read_optional_binary("manifest")? {
            Some(bytes) => Ok(Self::Inline(bytes.to_vec())),
            None => Ok(Self::Object(item.read_string("manifest_object")?.to_owned())),
        }
    }
}

/// What listings know of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its digest.
    pub digest: Digest,
    /// Its manifest's media type.
    pub media_type: String,
    /// Its artifact type, as a referrers listing reports it.
    pub artifact_type: Option<String>,
    /// Its config's media type.
    pub config_media_type: Option<String>,
    /// Its compressed size: of the largest child for an index.
    pub size_bytes: u64,
    /// The size of its manifest, where it was kept.
    pub manifest_bytes: Option<u64>,
    /// When it was pushed, in milliseconds since the epoch.
    pub pushed_at_ms: i64,
    /// Whether it can be pulled; an item without the attribute is active.
    pub status: ImageStatus,
    /// When it went into the archive last, in milliseconds since the epoch.
    pub archived_at_ms: Option<i64>,
    /// When it came out of the archive last, in milliseconds since the epoch.
    pub activated_at_ms: Option<i64>,
    /// When a pull was recorded last, in milliseconds since the epoch.
    pub pulled_at_ms: Option<i64>,
    /// The image it refers to.
    pub subject: Option<Digest>,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// How many indexes list it.
    pub parents: u64,
    /// How many of them are archived.
    pub archived_parents: u64,
    /// The push that committed it: its references carry this id.
    pub push: String,
    /// Changes with every change of the item.
    pub revision: u64,
}

impl ImageRecord {
    pub(super) fn from_item(item: &Item) -> Result<Self> {
        let mut tags = item.read_set("tags")?;
        tags.sort_unstable();
        Ok(Self {
            digest: item.read_digest("digest")?,
            media_type: item.read_string("media_type")?.to_owned(),
            artifact_type: item.read_optional_string("artifact_type")?.map(str::to_owned),
            config_media_type: item.read_optional_string("config_media_type")?.map(str::to_owned),
            size_bytes: item.read_number("size_bytes")?,
            manifest_bytes: item.read_optional_number("manifest_bytes")?,
            pushed_at_ms: item.read_number("pushed_at_ms")?,
            status: item.read_optional_string("status")?.map_or(Ok(ImageStatus::Active), ImageStatus::parse)?,
            archived_at_ms: item.read_optional_number("archived_at_ms")?,
            activated_at_ms: item.read_optional_number("activated_at_ms")?,
            pulled_at_ms: item.read_optional_number("pulled_at_ms")?,
            subject: item.read_optional_digest("subject")?,
            tags,
            parents: item.read_number("parents")?,
            archived_parents: item.read_optional_number("archived_parents")?.unwrap_or_default(),
            push: item.read_string("push")?.to_owned(),
            revision: item.read_number("revision")?,
        })
    }
}

/// A tag or a manifest item: a digest with its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRecord {
    /// The image.
    pub digest: Digest,
    /// Its manifest's media type.
    pub media_type: String,
    /// Its manifest.
    pub manifest: StoredManifest,
    /// Whether it can be pulled.
    pub status: ImageStatus,
}

impl TagRecord {
    /// The status is that of a manifest item; a tag has a mark instead
    /// ([`needs_look`]).
    fn from_item(item: &Item) -> Result<Self> {
        Ok(Self {
            digest: item.read_digest("digest")?,
            media_type: item.read_string("media_type")?.to_owned(),
            manifest: StoredManifest::read(item)?,
            status: item.read_optional_string("status")?.map_or(Ok(ImageStatus::Active), ImageStatus::parse)?,
        })
    }
}

/// Whether an item does not tell by itself if its image is archived.
pub(super) fn needs_look(item: &Item) -> bool {
    item.contains_key("archive_mark")
}

/// An image about to be committed.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// Where to.
    pub repository: RepositoryKey,
    /// Its digest.
    pub digest: Digest,
    /// Its manifest's format.
    pub manifest_type: ManifestType,
    /// The bytes of its manifest.
    pub manifest: StoredManifest,
    /// The size of the manifest in bytes.
    pub manifest_bytes: u64,
    /// See [`ImageRecord::artifact_type`].
    pub artifact_type: Option<String>,
    /// See [`ImageRecord::config_media_type`].
    pub config_media_type: Option<String>,
    /// See [`ImageRecord::size_bytes`].
    pub size_bytes: u64,
    /// See [`ImageRecord::pushed_at_ms`].
    pub pushed_at_ms: i64,
    /// The image it refers to.
    pub subject: Option<Digest>,
    /// Its annotations, for the listing of its subject's referrers.
    pub annotations: BTreeMap<String, String>,
    /// The manifests it lists.
    pub children: Vec<Digest>,
    /// The blobs it needs.
    pub blobs: Vec<Digest>,
    /// The id of this push, new for every attempt.
    pub push: String,
}

/// What a push must know before it decides.
#[derive(Clone, Debug)]
pub struct PushState {
    /// The repository as it is now, whatever a cache believes.
    pub repository: Option<Repository>,
    /// The image, if it is there.
    pub image: Option<ImageRecord>,
    /// What the tag names now.
    pub tag: Option<TagRecord>,
    /// Those of an index's children that are there.
    pub children: Vec<ImageRecord>,
}

/// What [`Table::commit_image`] writes.
#[derive(Clone, Copy, Debug)]
pub enum Commit<'a> {
    /// A new image.
    New(&'a NewImage),
    /// A tag for an image that is there.
    Tag {
        /// The repository.
        repository: &'a RepositoryKey,
        /// The image.
        image: &'a TagRecord,
        /// The push that committed it: an image that was deleted and pushed
        /// again since is another one, with its manifest elsewhere.
        push: &'a str,
    },
}

/// Which image may be changed.
#[derive(Clone, Copy)]
enum Needed<'a> {
    Any,
    /// One that is not in the archive.
    Active,
    /// One that has not changed since it was read.
    AsRead(&'a ImageRecord),
}

/// Why a commit was refused: something changed since the state was read. The
/// push reads it again and decides again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitConflict {
    /// The image or the tag is not what it was.
    Changed,
    /// The collector gave the push up; it goes on under another id.
    Fenced,
}

impl Table {
    /// Reads all that a push decides on, in one call.
    pub async fn push_state(
        &self,
        repository: &RepositoryKey,
        digest: &Digest,
        tag: Option<&Tag>,
        children: &[Digest],
    ) -> Result<PushState> {
        let RepositoryKey { account, name, .. } = repository;
        let repository_key = Key::Repository { account, name };
        let image_key = Key::Image { repository, digest };
        let tag_key = tag.map(|tag| Key::Tag { repository, tag });
        let child_keys = children.iter().map(|digest| Key::Image { repository, digest });
        let mut keys = vec![repository_key.clone(), image_key.clone()];
        keys.extend(tag_key.clone());
        keys.extend(child_keys.clone().filter(|key| *key != image_key));
        let found = self.get_all(&keys).await?;
        let image = |key: &Key<'_>| found.item(key).map(ImageRecord::from_item).transpose();
        let stored_repository = found.item(&repository_key);
        let stored_repository = stored_repository.map(|item| Repository::from_item(account, name, item)).transpose()?;
        let tag = tag_key.and_then(|key| found.item(&key).map(TagRecord::from_item)).transpose()?;
        let children = child_keys.filter_map(|key| image(&key).transpose()).collect::<Result<_>>()?;
        Ok(PushState { repository: stored_repository, image: image(&image_key)?, tag, children })
    }

    /// Commits a push in one transaction: all of it is visible, or none.
    /// `previous` is what the tag named when the state was read; the commit is
    /// refused if it names something else by now.
    pub async fn commit_image(
        &self,
        commit: Commit<'_>,
        tag: Option<&Tag>,
        previous: Option<&Digest>,
        now_s: i64,
    ) -> Result<Result<(), CommitConflict>> {
        let mut writes = Vec::new();
        let (repository, digest) = match commit {
            Commit::New(image) => {
                self.new_image_writes(image, tag, previous, now_s, &mut writes)?;
                (&image.repository, &image.digest)
            }
            Commit::Tag { repository, image, push } => {
                if let Some(tag) = tag {
                    writes.push(self.add_tag(repository, &image.digest, push, tag)?);
                }
                (repository, &image.digest)
            }
        };
        if let Some(tag) = tag {
            let (media_type, manifest) = match commit {
                Commit::New(image) => (image.manifest_type.as_str(), &image.manifest),
                Commit::Tag { image, .. } => (image.media_type.as_str(), &image.manifest),
            };
            let item = Build::new(&Key::Tag { repository, tag })
                .string("digest", digest.as_str())
                .string("media_type", media_type);
            let put = Put::builder().table_name(&self.name).set_item(Some(manifest.write(item).item()));
            let put = match previous {
                None => put.condition_expression("attribute_not_exists(pk)"),
                Some(previous) => put
                    .condition_expression("digest = :previous")
                    .expression_attribute_values(":previous", string(previous.as_str())),
            };
            writes.push(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build());
            // A child that loses its tag to its index has lost it above.
            let lost_above =
                |previous: &Digest| matches!(commit, Commit::New(image) if image.children.contains(previous));
            if let Some(previous) = previous.filter(|previous| *previous != digest && !lost_above(previous)) {
                writes.push(self.drop_tags(repository, previous, std::slice::from_ref(tag), Needed::Any)?);
            }
        }
        // Last, so that the places of the others stay.
        writes.push(self.repository_is_open(repository, now_s)?);
        match self.transact(writes).await? {
            Transaction::Written => Ok(Ok(())),
            Transaction::Refused(reasons) => {
                let fenced = matches!(commit, Commit::New(_)) && failed_condition(&reasons, PUSH_WRITE).is_some();
                Ok(Err(if fenced { CommitConflict::Fenced } else { CommitConflict::Changed }))
            }
        }
    }

    fn new_image_writes(
        &self,
        image: &NewImage,
        tag: Option<&Tag>,
        previous: Option<&Digest>,
        now_s: i64,
        writes: &mut Vec<TransactWriteItem>,
    ) -> Result<()> {
        let repository = &image.repository;
        let put_if_absent = |item: Item| {
            Put::builder()
                .table_name(&self.name)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk)")
                .build()
                .map(|put| TransactWriteItem::builder().put(put).build())
                .map_err(Error::internal)
        };
        let record = Build::new(&Key::Image { repository, digest: &image.digest })
            .string("digest", image.digest.as_str())
            .string("media_type", image.manifest_type.as_str())
            .optional_string("artifact_type", image.artifact_type.as_deref())
            .optional_string("config_media_type", image.config_media_type.as_deref())
            .number("size_bytes", image.size_bytes)
            .number("manifest_bytes", image.manifest_bytes)
            .number("pushed_at_ms", image.pushed_at_ms)
            .optional_string("subject", image.subject.as_ref().map(Digest::as_str))
            .set("tags", tag.map(ToString::to_string))
            .number("parents", 0)
            .string("push", &image.push)
            .number("revision", 0);
        writes.push(put_if_absent(record.item())?);
        let manifest = Build::new(&Key::Manifest { repository, digest: &image.digest })
            .string("digest", image.digest.as_str())
            .string("media_type", image.manifest_type.as_str());
        writes.push(put_if_absent(image.manifest.write(manifest).item())?);
        // The push ends here. Had the collector given up on it, this item
        // would be there, and nothing of the push would be written.
        let push = Build::new(&Key::Push { account: &repository.account, push: &image.push })
            .string("state", "COMMITTED")
            .number(EXPIRES, now_s + PUSH_SECONDS);
        writes.push(put_if_absent(push.item())?);
        if let Some(subject) = &image.subject {
            let referrer = Build::new(&Key::Referrer { repository, subject, digest: &image.digest })
                .string("digest", image.digest.as_str())
                .string("media_type", image.manifest_type.as_str())
                .number("size_bytes", image.manifest_bytes)
                .optional_string("artifact_type", image.artifact_type.as_deref())
                .map("annotations", &image.annotations);
            writes.push(put_if_absent(referrer.item())?);
        }
        for child in &image.children {
            // One item can be written once only in a transaction.
            let write = if let Some(tag) = tag.filter(|_| previous == Some(child)) {
                let expression = "ADD parents :by, revision :one DELETE tags :tags";
                let values = [(":by", number(1)), (":tags", tag_set(std::slice::from_ref(tag)))];
                self.change_image(repository, child, expression, Needed::Active, values)?
            } else {
                let expression = "ADD parents :by, revision :one";
                self.change_image(repository, child, expression, Needed::Active, [(":by", number(1))])?
            };
            writes.push(write);
        }
        Ok(())
    }

    fn add_tag(&self, repository: &RepositoryKey, digest: &Digest, push: &str, tag: &Tag) -> Result<TransactWriteItem> {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Image { repository, digest })))
            .update_expression("ADD tags :tags, revision :one")
            .condition_expression(format!("push = :push AND {IS_ACTIVE}"))
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":tags", tag_set(std::slice::from_ref(tag)))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":push", string(push))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn drop_tags(
        &self,
        repository: &RepositoryKey,
        digest: &Digest,
        tags: &[Tag],
        needed: Needed<'_>,
    ) -> Result<TransactWriteItem> {
        let expression = "DELETE tags :tags ADD revision :one";
        self.change_image(repository, digest, expression, needed, [(":tags", tag_set(tags))])
    }

    /// An index that lists `child` goes.
    fn lose_parent(&self, repository: &RepositoryKey, child: &Digest, of: &ImageRecord) -> Result<TransactWriteItem> {
        let expression = match of.status {
            ImageStatus::Archived => "ADD parents :by, archived_parents :by, revision :one",
            ImageStatus::Active | ImageStatus::Activating => "ADD parents :by, revision :one",
        };
        self.change_image(repository, child, expression, Needed::Any, [(":by", number(-1))])
    }

    /// Changes an image, which must be there. Every `expression` adds `:one` to
    /// the revision.
    fn change_image<const N: usize>(
        &self,
        repository: &RepositoryKey,
        digest: &Digest,
        expression: &str,
        needed: Needed<'_>,
        values: [(&str, AttributeValue); N],
    ) -> Result<TransactWriteItem> {
        let values = values.into_iter().chain([(":one", number(1))]);
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Image { repository, digest })))
            .update_expression(expression)
            .set_expression_attribute_values(Some(values.map(|(name, value)| (name.to_owned(), value)).collect()));
        let update = match needed {
            Needed::Any => update.condition_expression("attribute_exists(pk)"),
            Needed::Active => update
                .condition_expression(format!("attribute_exists(pk) AND {IS_ACTIVE}"))
                .expression_attribute_names("#status", "status"),
            Needed::AsRead(image) => update
                .condition_expression("push = :push AND revision = :revision")
                .expression_attribute_values(":push", string(&image.push))
                .expression_attribute_values(":revision", number(image.revision)),
        };
        let update = update.build().map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// A tag with its manifest, and the repository as it is now, in one call.
    pub async fn tagged_manifest(
        &self,
        repository: &RepositoryKey,
        tag: &Tag,
    ) -> Result<(Option<Repository>, Option<TagRecord>)> {
        self.manifest_item(repository, &Key::Tag { repository, tag }).await
    }

    /// A manifest by digest, and the repository as it is now, in one call.
    pub async fn manifest(
        &self,
        repository: &RepositoryKey,
        digest: &Digest,
    ) -> Result<(Option<Repository>, Option<TagRecord>)> {
        self.manifest_item(repository, &Key::Manifest { repository, digest }).await
    }

    async fn manifest_item(
        &self,
        repository: &RepositoryKey,
        key: &Key<'_>,
    ) -> Result<(Option<Repository>, Option<TagRecord>)> {
        let RepositoryKey { account, name, .. } = repository;
        let repository_key = Key::Repository { account, name };
        let found = self.get_all(&[repository_key.clone(), key.clone()]).await?;
        let stored = found.item(&repository_key).map(|item| Repository::from_item(account, name, item)).transpose()?;
        let mut record = found.item(key).map(TagRecord::from_item).transpose()?;
        if found.item(key).is_some_and(needs_look)
            && let Some(tagged) = &record
        {
            let manifest = self.get(&Key::Manifest { repository, digest: &tagged.digest }).await?;
            record = manifest.as_ref().map(TagRecord::from_item).transpose()?;
        }
        Ok((stored, record))
    }

    /// Several manifests, in the order of `references`, and the repository as
    /// it is now.
    pub async fn manifests(
        &self,
        repository: &RepositoryKey,
        references: &[Reference],
    ) -> Result<(Option<Repository>, Vec<Option<TagRecord>>)> {
        let RepositoryKey { account, name, .. } = repository;
        let mut keys = vec![Key::Repository { account, name }];
        keys.extend(references.iter().map(|reference| match reference {
            Reference::Tag(tag) => Key::Tag { repository, tag },
            Reference::Digest(digest) => Key::Manifest { repository, digest },
        }));
        let found = self.get_all(&keys).await?;
        let mut items = keys.iter().map(|key| found.item(key));
        let stored = items.next().flatten();
        let stored = stored.map(|item| Repository::from_item(account, name, item)).transpose()?;
        let items: Vec<Option<&Item>> = items.collect();
        let mut records = Vec::with_capacity(items.len());
        for item in &items {
            records.push(item.map(TagRecord::from_item).transpose()?);
        }
        let marked = |position: usize| items.get(position).copied().flatten().is_some_and(needs_look);
        let digests: Vec<Digest> = records
            .iter()
            .enumerate()
            .filter(|(position, _)| marked(*position))
            .filter_map(|(_, record)| record.as_ref().map(|record| record.digest.clone()))
            .collect();
        if !digests.is_empty() {
            let keys: Vec<Key<'_>> = digests.iter().map(|digest| Key::Manifest { repository, digest }).collect();
            let manifests = self.get_all(&keys).await?;
            for (position, record) in records.iter_mut().enumerate() {
                if let Some(tagged) = record.take_if(|_| marked(position)) {
                    let manifest = manifests.item(&Key::Manifest { repository, digest: &tagged.digest });
                    *record = manifest.map(TagRecord::from_item).transpose()?;
                }
            }
        }
        Ok((stored, records))
    }

    /// What is known of some images; those that are not there are left out.
    pub async fn image_records(&self, repository: &RepositoryKey, digests: &[Digest]) -> Result<Vec<ImageRecord>> {
        let keys: Vec<Key<'_>> = digests.iter().map(|digest| Key::Image { repository, digest }).collect();
        let found = self.get_all(&keys).await?;
        keys.iter().filter_map(|key| found.item(key)).map(ImageRecord::from_item).collect()
    }

    /// Removes a tag from its image. Refused if the tag names another by now.
    pub async fn remove_tag(
        &self,
        repository: &RepositoryKey,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<Result<(), CommitConflict>> {
        self.remove_tags(repository, std::slice::from_ref(tag), digest, Needed::Any).await
    }

    /// Removes one of the tags of an image. Refused if the image has changed
    /// since it was read: this may be its last tag by now.
    pub async fn remove_tag_of(
        &self,
        repository: &RepositoryKey,
        tag: &Tag,
        image: &ImageRecord,
    ) -> Result<Result<(), CommitConflict>> {
        self.remove_tags(repository, std::slice::from_ref(tag), &image.digest, Needed::AsRead(image)).await
    }

    async fn remove_tags(
        &self,
        repository: &RepositoryKey,
        tags: &[Tag],
        digest: &Digest,
        needed: Needed<'_>,
    ) -> Result<Result<(), CommitConflict>> {
        let mut writes = vec![self.drop_tags(repository, digest, tags, needed)?];
        for tag in tags {
            writes.push(self.delete_tag(repository, tag, digest)?);
        }
        match self.transact(writes).await? {
            Transaction::Written => Ok(Ok(())),
            Transaction::Refused(_) => Ok(Err(CommitConflict::Changed)),
        }
    }

    fn delete_tag(&self, repository: &RepositoryKey, tag: &Tag, digest: &Digest) -> Result<TransactWriteItem> {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Tag { repository, tag })))
            .condition_expression("digest = :digest")
            .expression_attribute_values(":digest", string(digest.as_str()))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// Deletes an image with its tags, in one transaction (an image with very
    /// many tags loses the first of them in transactions before). Its blobs
    /// and references are left to the collector, through a review.
    ///
    /// Refused if the image changed since `image` was read.
    pub async fn delete_image(
        &self,
        repository: &RepositoryKey,
        image: &ImageRecord,
        manifest: &StoredManifest,
        children: &[Digest],
        blobs: &[Digest],
        now_s: i64,
    ) -> Result<Result<(), CommitConflict>> {
        let tags: Vec<Tag> =
            image.tags.iter().map(|tag| Tag::parse(tag).map_err(Error::internal)).collect::<Result<_>>()?;
        let first = tags.len().saturating_sub(TAGS_PER_TRANSACTION.saturating_sub(children.len()));
        let (before, with) = tags.split_at(first);
        let mut revision = image.revision;
        for tags in before.chunks(TAGS_PER_TRANSACTION) {
            if self.remove_tags(repository, tags, &image.digest, Needed::Any).await?.is_err() {
                return Ok(Err(CommitConflict::Changed));
            }
            revision += 1;
        }
        let record = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Image { repository, digest: &image.digest })))
            // The push too: the revisions of an image that is deleted and
            // pushed again start over.
            .condition_expression("push = :push AND revision = :revision AND parents = :none")
            .expression_attribute_values(":push", string(&image.push))
            .expression_attribute_values(":revision", number(revision))
            .expression_attribute_values(":none", number(0))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(Error::internal)?;
        let mut writes = vec![TransactWriteItem::builder().delete(record).build()];
        let unconditional = |key: Key<'_>| {
            Delete::builder()
                .table_name(&self.name)
                .set_key(Some(attributes::key(&key)))
                .build()
                .map(|delete| TransactWriteItem::builder().delete(delete).build())
                .map_err(Error::internal)
        };
        writes.push(unconditional(Key::Manifest { repository, digest: &image.digest })?);
        if let Some(subject) = &image.subject {
            writes.push(unconditional(Key::Referrer { repository, subject, digest: &image.digest })?);
        }
        for tag in with {
            writes.push(self.delete_tag(repository, tag, &image.digest)?);
        }
        for child in children {
            writes.push(self.lose_parent(repository, child, image)?);
        }
        let objects = match manifest {
            StoredManifest::Inline(_) => Vec::new(),
            StoredManifest::Object(key) => vec![key.clone()],
        };
        let review = Review {
            reason: "IMAGE_DELETED",
            push: Some(&image.push),
            manifest: Some(&image.digest),
            repository: Some(repository),
            blobs,
            objects: &objects,
        };
        writes.push(self.put_review(&repository.account, &review, now_s)?);
        match self.transact(writes).await? {
            Transaction::Written => Ok(Ok(())),
            Transaction::Refused(_) => Ok(Err(CommitConflict::Changed)),
        }
    }

    /// Removes a page of what is left of a deleted repository: its images,
    /// manifests, tags, referrers and policies, with a review for each image.
    /// It can be stopped and run again, and by two at once. `true` if there may
    /// be more.
    ///
    /// A page is what one query gives, so it is 1 MiB at most however large the
    /// manifests are.
    pub async fn purge_repository_page(&self, repository: &RepositoryKey, now_s: i64) -> Result<bool> {
        use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
        let partition = super::key::repository_partition(repository);
        let page = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", string(&partition))
            .limit(PURGED_AT_ONCE)
            .send()
            .await
            .map_err(|error| service_error("Query", error))?;
        let mut reviews = Vec::new();
        let mut deletions = Vec::new();
        for item in page.items.unwrap_or_default() {
            let sort = item.read_string("sk")?;
            if sort.starts_with("M#") {
                reviews.push(Self::review_of_purged(repository, &item, now_s)?);
            }
            let key = attributes::encoded_key((partition.clone(), sort.to_owned()));
            let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(Error::internal)?;
            deletions.push(WriteRequest::builder().delete_request(delete).build());
        }
        // Reviews first: work written twice is harmless, work lost is not.
        self.put_all(reviews).await?;
        self.write_all(deletions).await?;
        Ok(page.last_evaluated_key.is_some())
    }

    fn review_of_purged(repository: &RepositoryKey, item: &Item, now_s: i64) -> Result<Item> {
        let record = TagRecord::from_item(item)?;
        let (blobs, objects) = match &record.manifest {
            StoredManifest::Inline(bytes) => {
                let manifest =
                    ironwharf_model::Manifest::parse(bytes, Some(&record.media_type)).map_err(Error::internal)?;
                let blobs = manifest.required_blobs().into_iter().map(|blob| blob.digest.clone()).collect();
                (blobs, Vec::new())
            }
            // The collector reads the blobs from the object before it deletes it.
            StoredManifest::Object(key) => (Vec::new(), vec![key.clone()]),
        };
        let review = Review {
            reason: "REPOSITORY_DELETED",
            push: None,
            manifest: Some(&record.digest),
            repository: Some(repository),
            blobs: &blobs,
            objects: &objects,
        };
        Ok(review.item(&repository.account, now_s))
    }

    pub(super) fn put_review(
        &self,
        account: &ironwharf_model::AccountId,
        review: &Review<'_>,
        now_s: i64,
    ) -> Result<TransactWriteItem> {
        let put = Put::builder().table_name(&self.name).set_item(Some(review.item(account, now_s)));
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
    }
}

fn tag_set(tags: &[Tag]) -> AttributeValue {
    AttributeValue::Ss(tags.iter().map(ToString::to_string).collect())
}

/// Work for the collector.
pub(super) struct Review<'a> {
    pub(super) reason: &'a str,
    pub(super) push: Option<&'a str>,
    pub(super) manifest: Option<&'a Digest>,
    pub(super) repository: Option<&'a RepositoryKey>,
    pub(super) blobs: &'a [Digest],
    pub(super) objects: &'a [String],
}

impl Review<'_> {
    /// Blobs and objects are looked at a day later at the earliest; that is
    /// for efficiency only, safety needs no clock.
    const GRACE_SECONDS: i64 = 24 * 3600;

    fn item(&self, account: &ironwharf_model::AccountId, now_s: i64) -> Item {
        let id = crate::random::hex::<16>();
        let shard = id.get(..1).unwrap_or("0").to_owned();
        let encryption = self.repository.map(|repository| &repository.encryption);
        Build::new(&Key::Review { account, review: &id })
            .string("reason", self.reason)
            .optional_string("push", self.push)
            .optional_string("manifest", self.manifest.map(Digest::as_str))
            .optional_string("repository", self.repository.map(|repository| repository.name.as_str()))
            .optional_string("incarnation", self.repository.map(|repository| repository.incarnation.as_str()))
            .optional_string("encryption_type", encryption.map(Encryption::type_name))
            .optional_string("kms_key", encryption.and_then(Encryption::kms_key))
            .list("blobs", self.blobs.iter().map(ToString::to_string))
            .list("objects", self.objects.iter().cloned())
            .string("due_shard", format!("REVIEW#{shard}"))
            .number("due_at", now_s + Self::GRACE_SECONDS)
            .item()
    }
}

impl Table {
    /// Leaves objects that nothing refers to (any more) to the collector.
    pub async fn leave_objects(
        &self,
        account: &ironwharf_model::AccountId,
        reason: &'static str,
        objects: &[String],
        now_s: i64,
    ) -> Result<()> {
        let review = Review { reason, push: None, manifest: None, repository: None, blobs: &[], objects };
        self.put_all(vec![review.item(account, now_s)]).await
    }
}

/// The stored item of a condition that failed, if the transaction was refused
/// because of it.
pub(super) fn stored_at(reasons: &[CancellationReason], position: usize) -> Option<&Item> {
    failed_condition(reasons, position).and_then(CancellationReason::item)
}
