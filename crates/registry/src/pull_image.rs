//! Reading images: by tag or digest, in one call.

use bytes::Bytes;
use ironwharf_cloud::table::{StoredManifest, TagRecord};
use ironwharf_model::{Digest, Error, ImageIdentifier, Reference, Result};

use crate::authorize::Permit;
use crate::region::RegionState;
use crate::repositories::id as repository_id;

/// A manifest as it was pushed.
#[derive(Debug)]
pub(crate) struct PulledManifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// The manifest of an image.
pub(crate) async fn pull(permit: &Permit, reference: &Reference) -> Result<PulledManifest> {
    let (region, account, name) = (permit.region(), permit.registry(), permit.repository()?);
    let table = &region.cloud.table;
    let read = |key| async move {
        match reference {
            Reference::Tag(tag) => table.tagged_manifest(&key, tag).await,
            Reference::Digest(digest) => table.manifest(&key, digest).await,
        }
    };
    let (_, record) = region.read_in(account, name, read).await?;
    let not_found =
        || Error::ImageNotFound { repository: repository_id(account, name), image: ImageIdentifier::from(reference) };
    load(region, record.ok_or_else(not_found)?).await
}

/// The bytes behind a record.
pub(crate) async fn load(region: &RegionState, record: TagRecord) -> Result<PulledManifest> {
    let bytes = match record.manifest {
        StoredManifest::Inline(bytes) => Bytes::from(bytes),
        StoredManifest::Object(object) => region.cloud.objects.get(&object).await?,
    };
    Ok(PulledManifest { digest: record.digest, media_type: record.media_type, bytes })
}
