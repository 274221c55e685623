//! Pushing an image: the one decision behind `PUT manifests` and `PutImage`.
//!
//! The order of steps is what keeps an acknowledged image whole beside a
//! running collector (`ARCHITECTURE.md`, "Never lose an image"): references
//! are written, then the blobs are read, then one transaction commits.

use bytes::Bytes;
use ironwharf_cloud::table::{
    Commit, CommitConflict, INLINE_MANIFEST_BYTES, ImageRecord, NewImage, PushState, RepositoryKey, StoredManifest,
    TagRecord, jittered,
};
use ironwharf_cloud::{Objects, random};
use ironwharf_model::{Algorithm, Digest, Error, ImageStatus, Manifest, Result, Tag};
use ironwharf_policy::tags;

use crate::authorize::Permit;
use crate::repositories::{id as repository_id, not_found};
use crate::storage_class::{Change, Storage, restore};

/// How often a push is decided again because something changed under it. Every
/// round in which one fails, another one succeeded.
const TRIES: u32 = 400;

/// How many tags an image may have. (Quotas of ECR: tags per image.)
const MAX_TAGS: usize = 1_000;

/// What a push is about.
pub(crate) struct Push<'a> {
    pub(crate) permit: &'a Permit,
    pub(crate) repository: &'a RepositoryKey,
    pub(crate) bytes: Bytes,
    /// The media type the client declared.
    pub(crate) declared_type: Option<&'a str>,
    pub(crate) tag: Option<&'a Tag>,
    /// The digest the client expects.
    pub(crate) digest: Option<&'a Digest>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    /// Whether the image, with this tag, was there before.
    pub(crate) existed: bool,
}

/// What a push has done so far, across rounds.
struct Attempt {
    image: NewImage,
    references_written: bool,
    /// Whether the image was in the archive.
    restored: bool,
    /// The layers that may be in the archive, with their marks.
    marked_layers: Vec<(Digest, String)>,
}

pub(crate) async fn push(request: Push<'_>) -> Result<Pushed> {
    let manifest = Manifest::parse(&request.bytes, request.declared_type)?;
    let algorithm = request.digest.map_or(Algorithm::Sha256, Digest::algorithm);
    let digest = Digest::of(algorithm, &request.bytes);
    if let Some(declared) = request.digest.filter(|declared| **declared != digest) {
        let (declared, actual) = (declared.to_string(), digest.to_string());
        return Err(Error::ImageDigestDoesNotMatch { declared, actual });
    }
    let image = new_image(&request, &manifest, &digest);
    let mut attempt = Attempt { image, references_written: false, restored: false, marked_layers: Vec::new() };
    let result = decide_until_done(&request, &manifest, &mut attempt).await;
    // After a fault it is not known whether the image was committed: what it
    // would need is left in place then.
    if result.as_ref().is_err_and(Error::is_fault) {
        return Err(result.err().unwrap_or_else(|| Error::internal("a push failed")));
    }
    if attempt.references_written && !matches!(result, Ok(Outcome::Committed)) {
        let NewImage { repository, digest, push, blobs, .. } = &attempt.image;
        request.permit.table()?.remove_references(repository, digest, push, blobs).await?;
    }
    if let (StoredManifest::Object(object), false) = (&attempt.image.manifest, matches!(result, Ok(Outcome::Committed)))
    {
        let (account, now_s) = (&request.repository.account, request.permit.caller().now_s());
        request.permit.table()?.leave_objects(account, "PUSH_ABANDONED", std::slice::from_ref(object), now_s).await?;
    }
    let existed = matches!(result?, Outcome::Existed) && !attempt.restored;
    for (layer, mark) in &attempt.marked_layers {
        request.permit.table()?.unmark_layer(request.repository, layer, mark).await?;
    }
    Ok(Pushed { digest, manifest, existed })
}

enum Outcome {
    /// A new image.
    Committed,
    /// A tag on an image that was there.
    Tagged,
    /// Nothing to do.
    Existed,
}

fn new_image(request: &Push<'_>, manifest: &Manifest, digest: &Digest) -> NewImage {
    let digests = |descriptors: Vec<&ironwharf_model::manifest::Descriptor>| {
        descriptors.into_iter().map(|descriptor| descriptor.digest.clone()).collect()
    };
    NewImage {
        repository: request.repository.clone(),
        digest: digest.clone(),
        manifest_type: manifest.manifest_type,
        manifest: StoredManifest::Inline(request.bytes.to_vec()),
        manifest_bytes: request.bytes.len() as u64,
        artifact_type: manifest.artifact_type.clone(),
        config_media_type: manifest.config_media_type().map(str::to_owned),
        size_bytes: manifest.image_size_bytes(),
        pushed_at_ms: request.permit.caller().now_ms(),
        subject: manifest.subject.as_ref().map(|subject| subject.digest.clone()),
        annotations: manifest.annotations.clone(),
        children: digests(manifest.children()),
        blobs: digests(manifest.required_blobs()),
        push: random::hex::<16>(),
    }
}

async fn decide_until_done(request: &Push<'_>, manifest: &Manifest, attempt: &mut Attempt) -> Result<Outcome> {
    for tries in 0..TRIES {
        let NewImage { digest, children, .. } = &attempt.image;
        let state = request.permit.table()?.push_state(request.repository, digest, request.tag, children).await?;
        check_repository(request, &state)?;
        if let Some(image) = state.image.as_ref().filter(|image| image.status == ImageStatus::Archived) {
            // Pushing it again takes it out of the archive.
            check_tag(request.repository, &state, request.tag, digest)?;
            let now_ms = request.permit.caller().now_ms();
            match restore(Storage::of(request.permit)?, request.repository, image, now_ms).await? {
                Change::Made | Change::Listed => attempt.restored = true,
                Change::Conflict => tokio::time::sleep(jittered(tries.min(5))).await,
            }
            continue;
        }
        if state.image.is_some() && (request.tag.is_none() || names(state.tag.as_ref(), digest)) {
            return Ok(Outcome::Existed);
        }
        check_tag(request.repository, &state, request.tag, digest)?;
        let conflict = if let Some(image) = &state.image {
            check_tag_count(image)?;
            match put_tag(request, &state, image).await? {
                Ok(()) => return Ok(Outcome::Tagged),
                Err(conflict) => conflict,
            }
        } else {
            match put_image(request, manifest, attempt, &state).await? {
                Ok(()) => return Ok(Outcome::Committed),
                Err(conflict) => conflict,
            }
        };
        if conflict == CommitConflict::Fenced {
            attempt.image.push = random::hex::<16>();
            attempt.references_written = false;
        }
        tokio::time::sleep(jittered(tries.min(5))).await;
    }
    Err(Error::internal(format!("a push was decided {TRIES} times and something changed each time")))
}

fn names(tag: Option<&TagRecord>, digest: &Digest) -> bool {
    tag.is_some_and(|tag| tag.digest == *digest)
}

fn check_repository(request: &Push<'_>, state: &PushState) -> Result<()> {
    let RepositoryKey { account, name, .. } = request.repository;
    if state.repository.as_ref().is_some_and(|repository| repository.key == *request.repository) {
        return Ok(());
    }
    request.permit.region().repositories.forget(account, name);
    Err(not_found(account, name))
}

fn check_tag(repository: &RepositoryKey, state: &PushState, tag: Option<&Tag>, digest: &Digest) -> Result<()> {
    let (Some(tag), Some(current), Some(found)) = (tag, &state.tag, &state.repository) else {
        return Ok(());
    };
    if current.digest == *digest || tags::may_move(&found.mutability, tag) {
        return Ok(());
    }
    let repository = repository_id(&repository.account, &repository.name);
    Err(Error::ImageTagAlreadyExists { repository, tag: tag.to_string() })
}

/// Refuses one tag more than an image may have.
fn check_tag_count(image: &ImageRecord) -> Result<()> {
    if image.tags.len() < MAX_TAGS {
        return Ok(());
    }
    let message = format!("The image {} has {MAX_TAGS} tags, which is as many as an image can have", image.digest);
    Err(Error::LimitExceeded { message })
}

/// Refuses a push that gives several tags if one of them may not move, before
/// the first one does.
pub(crate) async fn check_tags(
    permit: &Permit,
    repository: &RepositoryKey,
    digest: &Digest,
    tags: &[Tag],
) -> Result<()> {
    for tag in tags {
        let state = permit.table()?.push_state(repository, digest, Some(tag), &[]).await?;
        check_tag(repository, &state, Some(tag), digest)?;
    }
    Ok(())
}

/// Tags an image that is there. Its blobs are held by the push that committed it.
async fn put_tag(request: &Push<'_>, state: &PushState, image: &ImageRecord) -> Result<Result<(), CommitConflict>> {
    let table = request.permit.table()?;
    let record = if request.bytes.len() <= INLINE_MANIFEST_BYTES {
        TagRecord {
            digest: image.digest.clone(),
            media_type: image.media_type.clone(),
            manifest: StoredManifest::Inline(request.bytes.to_vec()),
            status: image.status,
        }
    } else {
        // A tag of a large manifest points to the object its image points to.
        match table.manifest(request.repository, &image.digest).await? {
            (_, Some(record)) => record,
            (_, None) => return Ok(Err(CommitConflict::Changed)),
        }
    };
    let commit = Commit::Tag { repository: request.repository, image: &record, push: &image.push };
    let previous = state.tag.as_ref().map(|tag| &tag.digest);
    table.commit_image(commit, request.tag, previous, request.permit.caller().now_s()).await
}

async fn put_image(
    request: &Push<'_>,
    manifest: &Manifest,
    attempt: &mut Attempt,
    state: &PushState,
) -> Result<Result<(), CommitConflict>> {
    check_children(request, attempt, &state.children)?;
    check_child_sizes(manifest, &state.children)?;
    if let Some(largest) = state.children.iter().map(|child| child.size_bytes).max() {
        attempt.image.size_bytes = largest;
    }
    if !attempt.references_written && !attempt.image.blobs.is_empty() {
        request.permit.table()?.write_references(&attempt.image).await?;
        attempt.references_written = true;
    }
    attempt.marked_layers = check_blobs(request, manifest, attempt).await?;
    store_large_manifest(request, attempt).await?;
    let previous = state.tag.as_ref().map(|tag| &tag.digest);
    let commit = Commit::New(&attempt.image);
    request.permit.table()?.commit_image(commit, request.tag, previous, request.permit.caller().now_s()).await
}

fn check_children(request: &Push<'_>, attempt: &Attempt, found: &[ImageRecord]) -> Result<()> {
    // A child in the archive is missing: whoever pushed the index could not pull it.
    let is_active = |child: &&ImageRecord| child.status != ImageStatus::Archived;
    let is_missing = |digest: &&Digest| !found.iter().filter(is_active).any(|child| child.digest == **digest);
    let missing: Vec<String> = attempt.image.children.iter().filter(is_missing).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let repository = repository_id(&request.repository.account, &request.repository.name);
    Err(Error::ReferencedImagesNotFound { repository, digests: missing })
}

/// A client that checks what it pulls would refuse a child of another size than
/// the index declares.
fn check_child_sizes(manifest: &Manifest, found: &[ImageRecord]) -> Result<()> {
    for declared in manifest.children() {
        let child = found.iter().find(|child| child.digest == declared.digest);
        let actual = child.and_then(|child| child.manifest_bytes).unwrap_or(declared.size_bytes);
        if actual != declared.size_bytes {
            let reason =
                format!("manifest {} is declared with {} bytes but has {actual}", declared.digest, declared.size_bytes);
            return Err(Error::ManifestInvalid { reason });
        }
    }
    Ok(())
}

/// Checks that every blob is in the repository, and takes back those that the
/// collector was about to delete; those that are marked as archived.
async fn check_blobs(request: &Push<'_>, manifest: &Manifest, attempt: &Attempt) -> Result<Vec<(Digest, String)>> {
    use ironwharf_cloud::table::BlobState;
    let RepositoryKey { account, name, .. } = request.repository;
    let mut wanted = attempt.image.blobs.clone();
    let (mut missing, mut marked) = (Vec::new(), Vec::new());
    while !wanted.is_empty() {
        let (_, layers) = request.permit.table()?.layers(request.repository, &wanted).await?;
        wanted.clear();
        for layer in layers {
            marked.extend(layer.archive_mark.clone().map(|mark| (layer.digest.clone(), mark)));
            match layer.available() {
                None => missing.push(layer.digest.to_string()),
                Some(blob) if blob.state == BlobState::Condemned => {
                    // Whether or not it worked, what counts is the state after it.
                    request.permit.table()?.resurrect_blob(request.repository, &layer.digest, blob).await?;
                    wanted.push(layer.digest.clone());
                }
                Some(blob) => check_size(manifest, &layer.digest, blob.size_bytes)?,
            }
        }
    }
    if missing.is_empty() {
        return Ok(marked);
    }
    Err(Error::LayersNotFound { repository: repository_id(account, name), digests: missing })
}

fn check_size(manifest: &Manifest, digest: &Digest, actual_bytes: u64) -> Result<()> {
    let declared = manifest.required_blobs().into_iter().find(|blob| blob.digest == *digest);
    match declared {
        Some(declared) if declared.size_bytes != actual_bytes => Err(Error::LayerSizeMismatch {
            digest: digest.to_string(),
            declared_bytes: declared.size_bytes,
            actual_bytes,
        }),
        _ => Ok(()),
    }
}

async fn store_large_manifest(request: &Push<'_>, attempt: &mut Attempt) -> Result<()> {
    let is_inline = matches!(attempt.image.manifest, StoredManifest::Inline(_));
    if request.bytes.len() > INLINE_MANIFEST_BYTES && is_inline {
        let object = Objects::new_key(&request.repository.account);
        request.permit.objects()?.put(&object, request.bytes.clone(), &request.repository.encryption).await?;
        attempt.image.manifest = StoredManifest::Object(object);
    }
    Ok(())
}
