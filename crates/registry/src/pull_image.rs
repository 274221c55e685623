//! Reading images: by tag or digest, in one call.
//!
//! `BatchGetImage` gives an image by tag in another format if the caller does
//! not accept the stored one. The data plane does not, whatever `Accept` says:
//! clients ask for a tag, and then for the digest they were told, which for a
//! converted manifest names nothing that is stored; and those that send a
//! single type in `Accept` read the other one as well. A converted manifest has
//! the digest of its own bytes, which is what callers check it against.

use bytes::Bytes;
use ironwharf_cloud::Objects;
use ironwharf_cloud::table::{StoredManifest, TagRecord};
use ironwharf_model::manifest_conversion::convert;
use ironwharf_model::media_type::ManifestType;
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

impl PulledManifest {
    /// The same in the first of the `accepted` formats that it can be said in;
    /// as it is if one of them is its own, if there are none, or if it can be
    /// said in none of them.
    pub(crate) fn accepted_as(self, accepted: &[String]) -> Self {
        let Some(own) = ManifestType::parse(&self.media_type) else { return self };
        let types: Vec<ManifestType> = accepted.iter().filter_map(|text| ManifestType::parse(text)).collect();
        if types.contains(&own) {
            return self;
        }
        let converted = types.into_iter().find_map(|other| Some((other, convert(&self.bytes, own, other)?)));
        match converted {
            None => self,
            Some((media_type, bytes)) => Self {
                digest: Digest::sha256(&bytes),
                media_type: media_type.as_str().to_owned(),
                bytes: Bytes::from(bytes),
            },
        }
    }
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
