//! Deleting images and tags: the one decision behind `DELETE manifests` and
//! `BatchDeleteImage`.

use ironwharf_cloud::table::{ImageRecord, RepositoryKey, StoredManifest, jittered};
use ironwharf_model::{Digest, Error, ImageIdentifier, Manifest, Result, Tag};

use crate::authorize::Permit;
use crate::pull_image;
use crate::repositories::{id as repository_id, not_found};
use crate::storage_class::Storage;

/// How often a deletion is decided again because something changed under it.
const TRIES: u32 = 100;

/// Whether removing an image's last tag removes the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastTag {
    /// It does (`BatchDeleteImage`).
    DeletesImage,
    /// It does not (OCI Distribution 1.1, "Deleting tags").
    LeavesImage,
}

/// Deletes an image with all its tags; the tags it had.
pub(crate) async fn delete_image(permit: &Permit, repository: &RepositoryKey, digest: &Digest) -> Result<Vec<String>> {
    let table = permit.table()?;
    for tries in 0..TRIES {
        let state = table.push_state(repository, digest, None, &[]).await?;
        if state.repository.is_none_or(|current| current.key != *repository) {
            return Err(not_found(&repository.account, &repository.name));
        }
        let Some(image) = state.image else { return Err(image_not_found(repository, Some(digest), None)) };
        if delete_as_read(Storage::of(permit)?, repository, &image, permit.caller().now_s()).await? {
            return Ok(image.tags);
        }
        tokio::time::sleep(jittered(tries.min(5))).await;
    }
    Err(Error::internal(format!("the deletion of an image was decided {TRIES} times and something changed each time")))
}

/// Removes a tag; the image it named. With `expected`, only from that image.
pub(crate) async fn delete_tag(
    permit: &Permit,
    repository: &RepositoryKey,
    tag: &Tag,
    expected: Option<&Digest>,
    last_tag: LastTag,
) -> Result<Digest> {
    let table = permit.table()?;
    for tries in 0..TRIES {
        let (current, record) = table.tagged_manifest(repository, tag).await?;
        if current.is_none_or(|current| current.key != *repository) {
            return Err(not_found(&repository.account, &repository.name));
        }
        let Some(digest) = record.map(|record| record.digest) else {
            return Err(image_not_found(repository, expected, Some(tag)));
        };
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(Error::ImageTagDoesNotMatchDigest {
                repository: repository_id(&repository.account, &repository.name),
                tag: tag.to_string(),
                digest: expected.to_string(),
            });
        }
        let is_last = |image: &ImageRecord| image.tags.iter().all(|other| other == tag.as_str());
        let done = match last_tag {
            LastTag::LeavesImage => table.remove_tag(repository, tag, &digest).await?.is_ok(),
            LastTag::DeletesImage => {
                let found = table.image_records(repository, std::slice::from_ref(&digest)).await?;
                match found.first() {
                    // An index holds on to the image, and so to its last tag.
                    Some(image) if is_last(image) => {
                        delete_as_read(Storage::of(permit)?, repository, image, permit.caller().now_s()).await?
                    }
                    // Two who remove two tags at once must not both take theirs
                    // for one of several.
                    Some(image) => table.remove_tag_of(repository, tag, image).await?.is_ok(),
                    None => false,
                }
            }
        };
        if done {
            return Ok(digest);
        }
        tokio::time::sleep(jittered(tries.min(5))).await;
    }
    Err(Error::internal(format!("the deletion of a tag was decided {TRIES} times and something changed each time")))
}

/// Deletes an image as it was read; `false` if it changed since.
pub(crate) async fn delete_as_read(
    storage: Storage<'_>,
    repository: &RepositoryKey,
    image: &ImageRecord,
    now_s: i64,
) -> Result<bool> {
    if image.parents > 0 {
        return Err(Error::ImageReferencedByIndex { parents: image.parents });
    }
    let table = storage.table;
    let (_, stored) = table.manifest(repository, &image.digest).await?;
    let Some(stored) = stored else { return Ok(false) };
    let where_stored = match &stored.manifest {
        StoredManifest::Inline(_) => StoredManifest::Inline(Vec::new()),
        StoredManifest::Object(object) => StoredManifest::Object(object.clone()),
    };
    let loaded = pull_image::load_from(storage.objects, stored).await?;
    let manifest = Manifest::parse(&loaded.bytes, Some(&loaded.media_type)).map_err(Error::internal)?;
    let digests = |descriptors: Vec<&ironwharf_model::manifest::Descriptor>| -> Vec<Digest> {
        descriptors.into_iter().map(|descriptor| descriptor.digest.clone()).collect()
    };
    let (children, blobs) = (digests(manifest.children()), digests(manifest.required_blobs()));
    if table.delete_image(repository, image, &where_stored, &children, &blobs, now_s).await?.is_err() {
        return Ok(false);
    }
    // The image is gone; its own references go with it, those of others stay.
    // What a crash leaves here, the review finds.
    table.remove_references(repository, &image.digest, &image.push, &blobs).await?;
    Ok(true)
}

fn image_not_found(repository: &RepositoryKey, digest: Option<&Digest>, tag: Option<&Tag>) -> Error {
    Error::ImageNotFound {
        repository: repository_id(&repository.account, &repository.name),
        image: ImageIdentifier { digest: digest.map(ToString::to_string), tag: tag.map(ToString::to_string) },
    }
}
