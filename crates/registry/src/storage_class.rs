//! The storage class of an image: into the archive and back.
//!
//! The bytes of an archived image stay where they are; what changes is who sees
//! it, so a restored image can be pulled at once and none is ever `ACTIVATING`.
//!
//! - An image that an active index lists is not archived: the index could not
//!   be pulled any more. With an index go the images it lists that have no tag
//!   of their own and are in no other active index, and they come back with it.
//! - Whatever refers to an image (a signature, an SBOM) goes and comes with it.
//!
//! Invariant: each image changes in one transaction, as it was read. What
//! follows it does so afterwards, and again whenever the same is asked for.

use std::collections::BTreeSet;

use ironwharf_cloud::table::{ImageRecord, LayerState, RepositoryKey};
use ironwharf_cloud::{Objects, Table};
use ironwharf_model::{Digest, Error, ImageStatus, Manifest, Result};

use crate::authorize::Permit;
use crate::pull_image::load_from;

/// How many referrers are read at a time.
const REFERRERS_READ: usize = 100;

/// How often a follower is tried that changes while it follows.
const TRIES: usize = 10;

/// Where an image and its layers are.
#[derive(Clone, Copy)]
pub(crate) struct Storage<'a> {
    pub(crate) table: &'a Table,
    pub(crate) objects: &'a Objects,
}

impl<'a> Storage<'a> {
    /// That of the registry acted on.
    pub(crate) fn of(permit: &'a Permit) -> Result<Self> {
        Ok(Self { table: permit.table()?, objects: permit.objects()? })
    }
}

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is where it was to go, or was there already.
    Made,
    /// It has changed since it was read: read it again and decide again.
    Conflict,
    /// An active index lists it: it is not archived.
    Listed,
}

/// Puts an image into the archive, with all that follows it.
pub(crate) async fn archive(
    storage: Storage<'_>,
    repository: &RepositoryKey,
    image: &ImageRecord,
    now_ms: i64,
) -> Result<Change> {
    let mut waiting = vec![image.digest.clone()];
    let mut first = Some(image.clone());
    let mut seen = BTreeSet::new();
    while let Some(digest) = waiting.pop() {
        if !seen.insert(digest.clone()) {
            continue;
        }
        let children = match first.take() {
            Some(image) => match archive_one(storage, repository, &image, now_ms).await? {
                Outcome::Done(children) => children,
                Outcome::Conflict => return Ok(Change::Conflict),
                Outcome::Listed => return Ok(Change::Listed),
            },
            None => archive_follower(storage, repository, &digest, now_ms).await?,
        };
        waiting.extend(untagged(storage.table, repository, &children).await?);
        waiting.extend(referrers(storage.table, repository, &digest).await?);
    }
    Ok(Change::Made)
}

/// Takes an image out of the archive, with all that went with it.
pub(crate) async fn restore(
    storage: Storage<'_>,
    repository: &RepositoryKey,
    image: &ImageRecord,
    now_ms: i64,
) -> Result<Change> {
    // What an index lists comes before it. An image is looked at twice: on the
    // way down to find what it lists, and on the way up.
    let mut waiting = vec![(image.digest.clone(), false)];
    let mut restored = BTreeSet::new();
    while let Some((digest, lists_restored)) = waiting.pop() {
        if restored.contains(&digest) {
            continue;
        }
        let is_root = digest == image.digest;
        let record = if is_root { Some(image.clone()) } else { record_of(storage.table, repository, &digest).await? };
        // What an active index lists is active.
        let Some(record) = record.filter(|record| is_root || record.status == ImageStatus::Archived) else { continue };
        let manifest = manifest_of(storage, repository, &digest).await?;
        let Some(manifest) = manifest else { return Ok(Change::Conflict) };
        let children = children_of(&manifest);
        if !lists_restored && !children.is_empty() {
            waiting.push((digest, true));
            waiting.extend(children.into_iter().map(|child| (child, false)));
            continue;
        }
        if restore_one(storage, repository, &record, &manifest, now_ms).await? == Change::Conflict {
            return Ok(Change::Conflict);
        }
        let referrers = referrers(storage.table, repository, &digest).await?;
        waiting.extend(referrers.into_iter().map(|referrer| (referrer, false)));
        restored.insert(digest);
    }
    Ok(Change::Made)
}

/// Whether a layer is in the archive: images of the repository need it, and all
/// of them are archived.
pub(crate) async fn is_layer_archived(table: &Table, repository: &RepositoryKey, layer: &LayerState) -> Result<bool> {
    if layer.archive_mark.is_none() {
        return Ok(false);
    }
    Ok(table.layer_status(repository, &layer.digest).await? == Some(ImageStatus::Archived))
}

/// What became of one image, and what it lists.
enum Outcome {
    Done(Vec<Digest>),
    Conflict,
    Listed,
}

async fn archive_one(
    storage: Storage<'_>,
    repository: &RepositoryKey,
    image: &ImageRecord,
    now_ms: i64,
) -> Result<Outcome> {
    let Some(manifest) = manifest_of(storage, repository, &image.digest).await? else { return Ok(Outcome::Conflict) };
    let children = children_of(&manifest);
    if image.status != ImageStatus::Archived {
        if image.parents > image.archived_parents {
            return Ok(Outcome::Listed);
        }
        if storage.table.archive_image(repository, image, &children, now_ms).await?.is_err() {
            return Ok(Outcome::Conflict);
        }
    }
    // Whoever archives the last image of a layer finds no other.
    for layer in manifest.required_blobs() {
        if storage.table.layer_status(repository, &layer.digest).await? == Some(ImageStatus::Archived) {
            storage.table.mark_layer(repository, &layer.digest).await?;
        }
    }
    Ok(Outcome::Done(children))
}

/// Archives what follows an image, unless something else needs it; what it lists.
async fn archive_follower(
    storage: Storage<'_>,
    repository: &RepositoryKey,
    digest: &Digest,
    now_ms: i64,
) -> Result<Vec<Digest>> {
    for _ in 0..TRIES {
        let Some(image) = record_of(storage.table, repository, digest).await? else { break };
        match archive_one(storage, repository, &image, now_ms).await? {
            Outcome::Done(children) => return Ok(children),
            Outcome::Listed => break,
            Outcome::Conflict => {}
        }
    }
    Ok(Vec::new())
}

async fn restore_one(
    storage: Storage<'_>,
    repository: &RepositoryKey,
    image: &ImageRecord,
    manifest: &Manifest,
    now_ms: i64,
) -> Result<Change> {
    if image.status == ImageStatus::Archived {
        let children = children_of(manifest);
        if storage.table.restore_image(repository, image, &children, now_ms).await?.is_err() {
            return Ok(Change::Conflict);
        }
    }
    let layers: Vec<Digest> = manifest.required_blobs().into_iter().map(|layer| layer.digest.clone()).collect();
    unmark_layers(storage.table, repository, &layers).await?;
    Ok(Change::Made)
}

/// Takes layers out of the archive that an active image needs.
async fn unmark_layers(table: &Table, repository: &RepositoryKey, layers: &[Digest]) -> Result<()> {
    if layers.is_empty() {
        return Ok(());
    }
    let (_, layers) = table.layers(repository, layers).await?;
    for layer in layers {
        if let Some(mark) = &layer.archive_mark {
            table.unmark_layer(repository, &layer.digest, mark).await?;
        }
    }
    Ok(())
}

async fn record_of(table: &Table, repository: &RepositoryKey, digest: &Digest) -> Result<Option<ImageRecord>> {
    Ok(table.image_records(repository, std::slice::from_ref(digest)).await?.into_iter().next())
}

async fn manifest_of(storage: Storage<'_>, repository: &RepositoryKey, digest: &Digest) -> Result<Option<Manifest>> {
    let (_, stored) = storage.table.manifest(repository, digest).await?;
    let Some(stored) = stored else { return Ok(None) };
    let loaded = load_from(storage.objects, stored).await?;
    Manifest::parse(&loaded.bytes, Some(&loaded.media_type)).map(Some).map_err(Error::internal)
}

fn children_of(manifest: &Manifest) -> Vec<Digest> {
    manifest.children().into_iter().map(|child| child.digest.clone()).collect()
}

/// Those of an index's images that are nothing by themselves.
async fn untagged(table: &Table, repository: &RepositoryKey, children: &[Digest]) -> Result<Vec<Digest>> {
    if children.is_empty() {
        return Ok(Vec::new());
    }
    let found = table.image_records(repository, children).await?;
    Ok(found.into_iter().filter(|child| child.tags.is_empty()).map(|child| child.digest).collect())
}

async fn referrers(table: &Table, repository: &RepositoryKey, subject: &Digest) -> Result<Vec<Digest>> {
    let mut found: Vec<Digest> = Vec::new();
    loop {
        let after = found.last().map(ToString::to_string);
        let page = table.referrers(repository, subject, after.as_deref(), REFERRERS_READ).await?;
        found.extend(page.items.into_iter().map(|referrer| referrer.digest));
        if !page.more {
            return Ok(found);
        }
    }
}
