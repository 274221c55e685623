//! Manifests: stored and returned byte for byte.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION};
use http::{Response, StatusCode};
use ironwharf_model::manifest::MAX_MANIFEST_BYTES;
use ironwharf_model::{Error, Reference, Result, Tag};

use super::{CONTENT_DIGEST, Call, query_error, respond};
use crate::body::{self, Body};
use crate::delete_image::{LastTag, delete_image, delete_tag};
use crate::pull_image::{self, Counts};
use crate::push_image::{self, Push};

/// OCI Distribution 1.1, "Pushing Manifests with Subject".
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// The tags that a push by digest was given.
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// The most tags one push by digest may give.
const MAX_TAGS: usize = 10;

/// `GET` and `HEAD`.
pub(super) async fn get(call: &Call<'_>, reference: &Reference, with_body: bool) -> Result<Response<Body>> {
    let counts = if with_body { Counts::AsPull } else { Counts::AsLook };
    let manifest = pull_image::pull(call.permit, reference, counts).await?;
    let length = manifest.bytes.len();
    let mut response = respond(
        StatusCode::OK,
        [
            (CONTENT_TYPE, manifest.media_type),
            (CONTENT_LENGTH, length.to_string()),
            (CONTENT_DIGEST, manifest.digest.to_string()),
        ],
    )?;
    if with_body {
        *response.body_mut() = body::full(manifest.bytes);
    }
    Ok(response)
}

/// `PUT`, by tag or by digest; by digest also with tags in the query.
pub(super) async fn put(call: &Call<'_>, reference: &Reference, body: &mut Body) -> Result<Response<Body>> {
    let declared_type = call.header(&CONTENT_TYPE)?.filter(|text| !text.is_empty());
    let query = call.query()?;
    let tags: Vec<Tag> = query.all("tag").map(Tag::parse).collect::<Result<_>>()?;
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid_parameter("tag", format!("at most {MAX_TAGS} tags can be given at once")));
    }
    query.one("digest").map_err(|error| query_error(&error))?;
    let bytes = body::read(body, MAX_MANIFEST_BYTES).await?;
    let repository = call.repository_for_push().await?;
    let (digest, tags) = match reference {
        Reference::Digest(digest) => (Some(digest), tags),
        Reference::Tag(tag) => (None, vec![tag.clone()]),
    };
    let push = |tag| {
        push_image::push(Push {
            permit: call.permit,
            repository: &repository.key,
            bytes: bytes.clone(),
            declared_type,
            tag,
            digest,
        })
    };
    // All tags or none, as far as a look beforehand can tell.
    if let (Some(digest), 2..) = (digest, tags.len()) {
        push_image::check_tags(call.permit, &repository.key, digest, &tags).await?;
    }
    let mut tags_in_order = tags.iter();
    let pushed = push(tags_in_order.next()).await?;
    for tag in tags_in_order {
        push(Some(tag)).await?;
    }
    let name = call.permit.repository()?;
    let mut response = respond(
        StatusCode::CREATED,
        [
            (LOCATION, format!("/v2/{name}/manifests/{}", pushed.digest)),
            (CONTENT_DIGEST, pushed.digest.to_string()),
            (CONTENT_LENGTH, "0".to_owned()),
        ],
    )?;
    let mut append = |name: HeaderName, value: &str| -> Result<()> {
        response.headers_mut().append(name, value.parse().map_err(Error::internal)?);
        Ok(())
    };
    if let Some(subject) = &pushed.manifest.subject {
        append(OCI_SUBJECT, subject.digest.as_str())?;
    }
    if digest.is_some() {
        tags.iter().try_for_each(|tag| append(OCI_TAG, tag.as_str()))?;
    }
    Ok(response)
}

/// `DELETE`: by tag the tag alone, by digest the image with all its tags.
pub(super) async fn delete(call: &Call<'_>, reference: &Reference) -> Result<Response<Body>> {
    let permit = call.permit;
    let repository = permit.find_repository().await?;
    match reference {
        Reference::Tag(tag) => drop(delete_tag(permit, &repository.key, tag, None, LastTag::LeavesImage).await?),
        Reference::Digest(digest) => drop(delete_image(permit, &repository.key, digest).await?),
    }
    respond(StatusCode::ACCEPTED, [(CONTENT_LENGTH, "0".to_owned())])
}
