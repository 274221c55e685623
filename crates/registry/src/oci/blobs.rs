//! Blobs: checked here, read from the object store.

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RANGE};
use http::{Response, StatusCode};
use ironwharf_cloud::PresignHost;
use ironwharf_cloud::table::{BlobRecord, RepositoryKey};
use ironwharf_model::{Digest, Error, Result};
use ironwharf_wire::range::{Requested, parse_range};

use super::{CONTENT_DIGEST, Call, respond};
use crate::app::host;
use crate::body::Body;
use crate::repositories::id as repository_id;
use crate::storage_class::is_layer_archived;

/// The blob, as the repository holds it, in one call. One that is in the archive
/// is not there: who pushes sends it again, which takes it out.
async fn find(call: &Call<'_>, digest: &Digest) -> Result<BlobRecord> {
    let permit = call.permit;
    let (account, name) = (permit.registry(), permit.repository()?);
    let table = permit.table()?;
    let read = |key: RepositoryKey| async move { table.layers(&key, std::slice::from_ref(digest)).await };
    let (repository, layers) = permit.region().read_in(table, account, name, read).await?;
    let not_found = || Error::LayerNotFound { repository: repository_id(account, name), digest: digest.to_string() };
    let layer = layers.into_iter().next().ok_or_else(not_found)?;
    if is_layer_archived(table, &repository.key, &layer).await? {
        return Err(not_found());
    }
    layer.readable().cloned().ok_or_else(not_found)
}

/// `HEAD`.
pub(super) async fn head(call: &Call<'_>, digest: &Digest) -> Result<Response<Body>> {
    let blob = find(call, digest).await?;
    respond(
        StatusCode::OK,
        [
            (CONTENT_LENGTH, blob.size_bytes.to_string()),
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
            (ACCEPT_RANGES, "bytes".to_owned()),
            (CONTENT_DIGEST, digest.to_string()),
        ],
    )
}

/// `GET`: a redirect to where the bytes are. A range that cannot be served is
/// refused here, where the size is known.
pub(super) async fn get(call: &Call<'_>, digest: &Digest) -> Result<Response<Body>> {
    let blob = find(call, digest).await?;
    if let Some(range) = call.header(&RANGE)?
        && !is_satisfiable(range, blob.size_bytes)
    {
        return Err(Error::RangeNotSatisfiable { range: range.to_owned(), total_bytes: blob.size_bytes });
    }
    let config = call.app.config();
    let own_host = config.registry_host.host(call.permit.registry(), call.permit.caller().region());
    let presign_host = if config.serves_objects {
        PresignHost::Registry(host(call.parts).unwrap_or(&own_host))
    } else {
        PresignHost::ObjectStore
    };
    let url = call.permit.objects()?.presign(&blob.object, presign_host).await?;
    respond(
        StatusCode::TEMPORARY_REDIRECT,
        [
            (LOCATION, url),
            (CONTENT_LENGTH, "0".to_owned()),
            (CONTENT_DIGEST, digest.to_string()),
            // The URL is a credential for as long as it works.
            (CACHE_CONTROL, "no-store".to_owned()),
        ],
    )
}

/// Whether a range lies in the blob. One that ends before it starts does not;
/// RFC 9110 would let it be ignored, but no client means the whole blob by it.
fn is_satisfiable(range: &str, total_bytes: u64) -> bool {
    match parse_range(range, total_bytes) {
        Requested::Part(_) => true,
        Requested::Unsatisfiable => false,
        Requested::Whole => !is_backwards(range),
    }
}

fn is_backwards(range: &str) -> bool {
    let bounds = range.trim().strip_prefix("bytes=").and_then(|bounds| bounds.split_once('-'));
    let bounds = bounds.and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)));
    bounds.is_some_and(|(first, last)| first > last)
}

/// `DELETE`: the repository lets the blob go, unless an image needs it.
pub(super) async fn delete(call: &Call<'_>, digest: &Digest) -> Result<Response<Body>> {
    find(call, digest).await?;
    let permit = call.permit;
    let repository = permit.find_repository().await?;
    if !permit.table()?.unlink_layer(&repository.key, digest).await? {
        let repository = repository_id(permit.registry(), permit.repository()?);
        return Err(Error::LayerReferenced { repository, digest: digest.to_string() });
    }
    respond(StatusCode::ACCEPTED, [(CONTENT_LENGTH, "0".to_owned())])
}
