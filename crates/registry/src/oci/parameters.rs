//! What a request of the data plane says, in the words of the API operation
//! that does the same, for the audit trail.
//!
//! Invariant: nothing here has been checked yet, and none of it is a secret: it
//! is the path, and of the query and the headers what is named below.

use http::header::CONTENT_RANGE;
use http::request::Parts;
use ironwharf_model::AccountId;
use ironwharf_wire::paging::Query;
use ironwharf_wire::range::parse_content_range;
use ironwharf_wire::route::Route;
use serde_json::{Map, Value, json};

/// The parameters of a request that is routed to a registry.
pub(super) fn of(route: &Route<'_>, parts: &Parts, registry: &AccountId) -> Value {
    let query = Query::parse(parts.uri.query().unwrap_or_default()).ok();
    let given = |key: &str| -> Vec<&str> { query.as_ref().map(|query| query.all(key).collect()).unwrap_or_default() };
    let mut said = Map::new();
    let mut say = |name: &str, value: Value| drop(said.insert(name.to_owned(), value));
    say("registryId", json!(registry.as_str()));
    if let Some(name) = route.name() {
        say("repositoryName", json!(name));
    }
    match route {
        Route::Base | Route::Catalog | Route::TagsList { .. } => {}
        Route::ManifestGet { reference, .. }
        | Route::ManifestHead { reference, .. }
        | Route::ManifestDelete { reference, .. } => {
            say("imageIds", json!([{ member(reference): reference }]));
        }
        Route::Referrers { digest, .. } => say("imageIds", json!([{ "imageDigest": digest }])),
        Route::ManifestPut { reference, .. } => {
            say(member(reference), json!(reference));
            match given("tag").as_slice() {
                [] => {}
                [tag] => say("imageTag", json!(tag)),
                // The operation takes one; a push by digest may give several.
                tags => say("imageTags", json!(tags)),
            }
        }
        Route::BlobGet { digest, .. } => say("layerDigest", json!(digest)),
        Route::BlobHead { digest, .. } | Route::BlobDelete { digest, .. } => say("layerDigests", json!([digest])),
        Route::UploadStart { .. } => {
            let digests = [given("mount"), given("digest")].concat();
            if !digests.is_empty() {
                say("layerDigests", json!(digests));
            }
        }
        Route::UploadStatus { upload, .. } | Route::UploadCancel { upload, .. } => say("uploadId", json!(upload)),
        Route::UploadPatch { upload, .. } => {
            say("uploadId", json!(upload));
            let range = parts.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
            if let Some(Ok(range)) = range.map(parse_content_range) {
                say("partFirstByte", json!(range.first()));
                say("partLastByte", json!(range.last()));
            }
        }
        Route::UploadFinish { upload, .. } => {
            say("uploadId", json!(upload));
            say("layerDigests", json!(given("digest")));
        }
    }
    Value::Object(said)
}

/// The member of an image identifier that a reference is. No tag has a colon.
fn member(reference: &str) -> &'static str {
    if reference.contains(':') { "imageDigest" } else { "imageTag" }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn requests_are_put_as_the_api_would() {
        let account = AccountId::parse("111111111111").unwrap();
        for (method, path, expected) in [
            ("GET", "/v2/_catalog", json!({})),
            ("GET", "/v2/app/tags/list", json!({ "repositoryName": "app" })),
            ("GET", "/v2/app/manifests/v1", json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "v1" }] })),
            (
                "DELETE",
                "/v2/app/manifests/sha256:00",
                json!({ "repositoryName": "app", "imageIds": [{ "imageDigest": "sha256:00" }] }),
            ),
            (
                "PUT",
                "/v2/app/manifests/sha256:00?tag=a",
                json!({ "repositoryName": "app", "imageDigest": "sha256:00", "imageTag": "a" }),
            ),
            (
                "PUT",
                "/v2/app/manifests/sha256:00?tag=a&tag=b",
                json!({ "repositoryName": "app", "imageDigest": "sha256:00", "imageTags": ["a", "b"] }),
            ),
            ("HEAD", "/v2/a/b/blobs/sha256:00", json!({ "repositoryName": "a/b", "layerDigests": ["sha256:00"] })),
            ("GET", "/v2/app/blobs/sha256:00", json!({ "repositoryName": "app", "layerDigest": "sha256:00" })),
            ("POST", "/v2/app/blobs/uploads/", json!({ "repositoryName": "app" })),
            (
                "POST",
                "/v2/app/blobs/uploads/?mount=sha256:00&from=secret",
                json!({ "repositoryName": "app", "layerDigests": ["sha256:00"] }),
            ),
            (
                "PATCH",
                "/v2/app/blobs/uploads/u",
                json!({ "repositoryName": "app", "uploadId": "u", "partFirstByte": 5, "partLastByte": 9 }),
            ),
            (
                "PUT",
                "/v2/app/blobs/uploads/u?digest=sha256%3A00",
                json!({ "repositoryName": "app", "uploadId": "u", "layerDigests": ["sha256:00"] }),
            ),
        ] {
            let request = Request::builder().method(method).uri(path).header("content-range", "5-9");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let route = Route::parse(&parts.method, parts.uri.path()).unwrap();
            let mut expected = expected;
            expected["registryId"] = json!("111111111111");
            assert_eq!(of(&route, &parts, &account), expected, "{method} {path}");
        }
    }
}
