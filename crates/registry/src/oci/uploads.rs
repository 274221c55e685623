//! Uploads of blobs, in every form that clients use.
//!
//! Invariant: the state of an upload is in its path, never in a query; no
//! answer to a write is a redirect.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use http::request::Parts;
use http::{Response, StatusCode};
use ironwharf_cloud::table::{Repository, RepositoryKey};
use ironwharf_model::{Digest, Error, RepositoryName, Result};
use ironwharf_wire::paging::Query;
use ironwharf_wire::range::{ByteRange, parse_content_range, upload_range};

use super::{CONTENT_DIGEST, Call, query_error, respond};
use crate::authorize::{Details, Resource};
use crate::body::Body;
use crate::upload::{self, Upload};

/// The header with the id of an upload.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// How many repositories are looked at for a mount that names none.
const MOUNT_CANDIDATES: usize = 20;

/// `POST`: starts an upload, stores a whole blob, or mounts one.
pub(super) async fn start(call: &Call<'_>, body: &mut Body) -> Result<Response<Body>> {
    let query = call.query()?;
    let digest = digest_parameter(&query, "digest")?;
    let mount = digest_parameter(&query, "mount")?;
    let repository = call.repository_for_push().await?;
    if let Some(digest) = mount
        && mount_blob(call, &query, &repository, &digest).await?
    {
        call.permit.note_change().await;
        return created(&repository.key, &digest);
    }
    if let Some(digest) = digest {
        // One request that is all of an upload takes the rights to all of it.
        let (account, name) = (repository.key.account.clone(), repository.key.name.clone());
        let resource = Resource::Repository { account, name };
        for action in ["ecr:UploadLayerPart", "ecr:CompleteLayerUpload"] {
            call.permit.require(action, &resource, &Details::default()).await?;
        }
        upload::whole(call.permit, &repository.key, &digest, body).await?;
        return created(&repository.key, &digest);
    }
    let id = upload::start(call.permit, &repository.key).await?;
    accepted(&repository.key.name, &id, 0)
}

/// Whether a request to start an upload is to be all of it.
pub(super) fn has_digest(parts: &Parts) -> bool {
    Query::parse(parts.uri.query().unwrap_or_default()).is_ok_and(|query| query.all("digest").next().is_some())
}

/// Mounts a blob from another repository of the registry that the caller may
/// pull from; `false` if there is none, or if the registry does not mount, which
/// starts an upload instead.
async fn mount_blob(call: &Call<'_>, query: &Query<'_>, to: &Repository, digest: &Digest) -> Result<bool> {
    let (region, table) = (call.permit.region(), call.permit.table()?);
    let account = &to.key.account;
    if !region.registry_rules(table, account).await?.settings.mounts_blobs() {
        return Ok(false);
    }
    let candidates: Vec<RepositoryName> = if let Some(name) = query.one("from").map_err(|error| query_error(&error))? {
        RepositoryName::parse(name).into_iter().collect()
    } else {
        let holders = table.holders_of(&to.key, digest, MOUNT_CANDIDATES).await?;
        holders.into_iter().map(|holder| holder.name).collect()
    };
    for name in candidates {
        let source = Resource::Repository { account: account.clone(), name: name.clone() };
        if !call.permit.also("ecr:GetDownloadUrlForLayer", &source, &Details::default()).await? {
            continue;
        }
        let read = |key: RepositoryKey| async move { table.layers(&key, std::slice::from_ref(digest)).await };
        let layers = match region.read_in(table, account, &name, read).await {
            // Bytes are shared only between repositories of the same type and key.
            Ok((from, _)) if from.key.encryption != to.key.encryption => continue,
            Ok((_, layers)) => layers,
            Err(Error::RepositoryNotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        // What may be in the archive is uploaded; that takes one call less than
        // finding out.
        let layer = layers.first().filter(|layer| layer.archive_mark.is_none());
        if let Some(blob) = layer.and_then(|layer| layer.available()) {
            table.link_layer(&to.key, digest, blob.size_bytes).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// `GET`: how far the upload is.
pub(super) async fn status(call: &Call<'_>, id: &str) -> Result<Response<Body>> {
    let repository = repository(call).await?;
    let offset_bytes = Upload::find(call.permit, &repository.key, id).await?.offset_bytes().await?;
    let mut response = accepted(&repository.key.name, id, offset_bytes)?;
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().remove(CONTENT_LENGTH);
    Ok(response)
}

/// `PATCH`: more bytes.
pub(super) async fn append(call: &Call<'_>, id: &str, body: &mut Body) -> Result<Response<Body>> {
    let repository = repository(call).await?;
    let range = content_range(call)?;
    let upload = Upload::find(call.permit, &repository.key, id).await?;
    let offset_bytes = upload.append(range, body).await?;
    accepted(&repository.key.name, id, offset_bytes)
}

/// `PUT`: the end, with the whole blob, its last bytes, or none.
pub(super) async fn finish(call: &Call<'_>, id: &str, body: &mut Body) -> Result<Response<Body>> {
    let missing = || Error::invalid_parameter("digest", "the query must have the digest of the blob");
    let digest = digest_parameter(&call.query()?, "digest")?.ok_or_else(missing)?;
    let repository = repository(call).await?;
    let range = content_range(call)?;
    let upload = Upload::find(call.permit, &repository.key, id).await?;
    upload.finish(&digest, range, body).await?;
    created(&repository.key, &digest)
}

/// `DELETE`: no blob after all.
pub(super) async fn cancel(call: &Call<'_>, id: &str) -> Result<Response<Body>> {
    let repository = repository(call).await?;
    Upload::find(call.permit, &repository.key, id).await?.cancel().await?;
    respond(StatusCode::NO_CONTENT, [])
}

async fn repository(call: &Call<'_>) -> Result<std::sync::Arc<Repository>> {
    call.permit.find_repository().await
}

fn digest_parameter(query: &Query<'_>, name: &str) -> Result<Option<Digest>> {
    query.one(name).map_err(|error| query_error(&error))?.map(Digest::parse).transpose()
}

/// The range a client declares for its bytes, if any.
fn content_range(call: &Call<'_>) -> Result<Option<ByteRange>> {
    let header = call.header(&CONTENT_RANGE)?;
    let parsed = header.map(parse_content_range).transpose();
    parsed.map_err(|error| Error::invalid_parameter("Content-Range", error.to_string()))
}

fn created(repository: &RepositoryKey, digest: &Digest) -> Result<Response<Body>> {
    respond(
        StatusCode::CREATED,
        [
            (LOCATION, format!("/v2/{}/blobs/{digest}", repository.name)),
            (CONTENT_DIGEST, digest.to_string()),
            (CONTENT_LENGTH, "0".to_owned()),
        ],
    )
}

fn accepted(name: &RepositoryName, id: &str, offset_bytes: u64) -> Result<Response<Body>> {
    respond(
        StatusCode::ACCEPTED,
        [
            (LOCATION, format!("/v2/{name}/blobs/uploads/{id}")),
            (UPLOAD_ID, id.to_owned()),
            (RANGE, upload_range(offset_bytes)),
            (CONTENT_LENGTH, "0".to_owned()),
        ],
    )
}
