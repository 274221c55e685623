//! Reading images: by tag or digest, in one call.

use bytes::Bytes;
use ironwharf_cloud::Objects;
use ironwharf_cloud::table::{StoredManifest, TagRecord};
use ironwharf_model::{Digest, Error, ImageIdentifier, ImageStatus, Reference, Result};

use crate::authorize::Permit;
use crate::repositories::id as repository_id;

/// A manifest as it was pushed.
#[derive(Debug)]
pub(crate) struct PulledManifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// Whether a request counts as a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    AsPull,
    /// It only asks whether the image is there (`HEAD`).
    AsLook,
}

/// The manifest of an image that can be pulled: one in the archive is not there.
pub(crate) async fn pull(permit: &Permit, reference: &Reference, counts: Counts) -> Result<PulledManifest> {
    let (account, name) = (permit.registry(), permit.repository()?);
    let table = permit.table()?;
    let read = |key| async move {
        match reference {
            Reference::Tag(tag) => table.tagged_manifest(&key, tag).await,
            Reference::Digest(digest) => table.manifest(&key, digest).await,
        }
    };
    let (repository, record) = permit.region().read_in(table, account, name, read).await?;
    let not_found =
        || Error::ImageNotFound { repository: repository_id(account, name), image: ImageIdentifier::from(reference) };
    let record = record.filter(|record| record.status != ImageStatus::Archived);
    let pulled = load(permit, record.ok_or_else(not_found)?).await?;
    if counts == Counts::AsPull {
        permit.region().pulls.note(permit, &repository.key, &pulled.digest);
    }
    Ok(pulled)
}

/// The bytes behind a record.
pub(crate) async fn load(permit: &Permit, record: TagRecord) -> Result<PulledManifest> {
    load_from(permit.objects()?, record).await
}

/// The bytes behind a record, of which large ones are among `objects`.
pub(crate) async fn load_from(objects: &Objects, record: TagRecord) -> Result<PulledManifest> {
    let bytes = match record.manifest {
        StoredManifest::Inline(bytes) => Bytes::from(bytes),
        StoredManifest::Object(object) => objects.get(&object).await?,
    };
    Ok(PulledManifest { digest: record.digest, media_type: record.media_type, bytes })
}
