//! Listings: tags, referrers and the catalog, in pages.

use http::header::{CONTENT_TYPE, HeaderName, LINK};
use http::{Response, StatusCode};
use ironwharf_cloud::table::{ReferrerRecord, RepositoryKey};
use ironwharf_model::media_type::ManifestType;
use ironwharf_model::{Digest, Error, ImageStatus, Result};
use ironwharf_wire::paging::{Page, PagingError, next_link};
use serde_json::{Value, json};

use super::{Call, query_error, respond};
use crate::body::{self, Body};

/// OCI Distribution 1.1, "Listing Referrers".
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// How many referrers are read at a time.
const REFERRERS_READ: usize = 100;

/// How often is read at most for one page: a filter that matches nothing, or an
/// archive that holds everything, must not read a whole repository.
const READS: usize = 10;

/// The size at which a page of referrers ends. Load balancers pass on a
/// megabyte.
const REFERRERS_PAGE_BYTES: usize = 600 * 1024;

fn page(call: &Call<'_>) -> Result<Page> {
    Page::parse(&call.query()?).map_err(|error| match error {
        PagingError::PaginationNumberInvalid(value) => Error::PageSizeInvalid { value },
        PagingError::Query(error) => query_error(&error),
    })
}

fn respond_json(content_type: &str, body: &Value, next: Option<String>) -> Result<Response<Body>> {
    let mut response = respond(StatusCode::OK, [(CONTENT_TYPE, content_type.to_owned())])?;
    if let Some(next) = next {
        response.headers_mut().insert(LINK, next.parse().map_err(Error::internal)?);
    }
    *response.body_mut() = body::full(body.to_string());
    Ok(response)
}

/// The link to the page after one that ends with `last`.
fn next(call: &Call<'_>, page: &Page, last: Option<&str>, more: bool) -> Option<String> {
    let last = last.filter(|_| more && !page.is_empty())?;
    let size = page.limit().to_string();
    Some(next_link(call.parts.uri.path(), &[("n", &size), ("last", last)]))
}

/// `GET tags/list`, in byte order, without those of archived images.
pub(super) async fn tags(call: &Call<'_>) -> Result<Response<Body>> {
    let page = page(call)?;
    let permit = call.permit;
    let name = permit.repository()?;
    let repository = permit.find_repository().await?;
    let table = permit.table()?;
    let (mut tags, mut last, mut more) = (Vec::new(), page.last.clone(), true);
    for _ in 0..READS {
        let listed = table.tags(&repository.key, last.as_deref(), page.limit() - tags.len()).await?;
        more = listed.more;
        for item in listed.items {
            last = Some(item.tag.to_string());
            if item.status != ImageStatus::Archived {
                tags.push(item.tag.to_string());
            }
        }
        if !more || tags.len() >= page.limit() {
            break;
        }
    }
    let next = next(call, &page, last.as_deref(), more);
    respond_json("application/json", &json!({ "name": name.as_str(), "tags": tags }), next)
}

/// `GET _catalog`: the repositories of the caller's registry.
pub(super) async fn catalog(call: &Call<'_>) -> Result<Response<Body>> {
    let page = page(call)?;
    let table = call.permit.table()?;
    let listed = table.repository_names(call.permit.registry(), page.last.as_deref(), page.limit()).await?;
    let names: Vec<&str> = listed.items.iter().map(ironwharf_model::RepositoryName::as_str).collect();
    let next = next(call, &page, names.last().copied(), listed.more);
    respond_json("application/json", &json!({ "repositories": names }), next)
}

/// `GET referrers`: an index of what names `subject` as its subject. Always
/// 200, whether or not the subject or the repository exist.
pub(super) async fn referrers(call: &Call<'_>, subject: &Digest) -> Result<Response<Body>> {
    let query = call.query()?;
    let filter = query.one("artifactType").map_err(|error| query_error(&error))?.filter(|filter| !filter.is_empty());
    let page = page(call)?;
    let permit = call.permit;
    let found = match permit.find_repository().await {
        Ok(repository) => collect(call, &repository.key, subject, filter, &page).await?,
        Err(Error::RepositoryNotFound(_)) => Collected::default(),
        Err(error) => return Err(error),
    };
    let index = json!({
        "schemaVersion": 2,
        "mediaType": ManifestType::OciIndex.as_str(),
        "manifests": found.descriptors,
    });
    let next = found.last.as_deref().filter(|_| found.more && !page.is_empty()).map(|last| {
        let size = page.limit().to_string();
        let mut parameters = vec![("n", size.as_str()), ("last", last)];
        parameters.extend(filter.map(|filter| ("artifactType", filter)));
        next_link(call.parts.uri.path(), &parameters)
    });
    let mut response = respond_json(ManifestType::OciIndex.as_str(), &index, next)?;
    if filter.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, http::HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}

#[derive(Default)]
struct Collected {
    descriptors: Vec<Value>,
    /// The last referrer looked at, whether or not it is listed.
    last: Option<String>,
    more: bool,
}

async fn collect(
    call: &Call<'_>,
    repository: &RepositoryKey,
    subject: &Digest,
    filter: Option<&str>,
    page: &Page,
) -> Result<Collected> {
    let table = call.permit.table()?;
    let mut collected = Collected { last: page.last.clone(), ..Collected::default() };
    let mut size_bytes = 0;
    for _ in 0..READS {
        let limit = REFERRERS_READ.min(page.limit());
        let read = table.referrers(repository, subject, collected.last.as_deref(), limit).await?;
        collected.more = read.more;
        let last_position = read.items.len().saturating_sub(1);
        for (position, referrer) in read.items.into_iter().enumerate() {
            collected.last = Some(referrer.digest.to_string());
            let is_shown = filter.is_none_or(|filter| referrer.artifact_type.as_deref() == Some(filter));
            if is_shown && referrer.status != ImageStatus::Archived {
                let descriptor = descriptor(referrer);
                size_bytes += descriptor.to_string().len();
                collected.descriptors.push(descriptor);
            }
            if collected.descriptors.len() >= page.limit() || size_bytes >= REFERRERS_PAGE_BYTES {
                collected.more |= position < last_position;
                return Ok(collected);
            }
        }
        if !collected.more {
            break;
        }
    }
    Ok(collected)
}

fn descriptor(referrer: ReferrerRecord) -> Value {
    let mut descriptor = json!({
        "mediaType": referrer.media_type,
        "digest": referrer.digest.as_str(),
        "size": referrer.size_bytes,
    });
    if let Some(members) = descriptor.as_object_mut() {
        if let Some(artifact_type) = referrer.artifact_type {
            members.insert("artifactType".to_owned(), json!(artifact_type));
        }
        if !referrer.annotations.is_empty() {
            members.insert("annotations".to_owned(), json!(referrer.annotations));
        }
    }
    descriptor
}
