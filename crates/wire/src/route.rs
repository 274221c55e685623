//! The URL space of OCI Distribution 1.1, as a total function.
//!
//! A repository name may contain slashes, and its components may be called
//! `tags`, `blobs`, `manifests`, `uploads` or `referrers`. So a path is read from
//! its right end: the last components decide the operation, whatever is left is
//! the name. The shapes of the right end exclude one another:
//!
//! | last components           | operation                                   |
//! |---------------------------|---------------------------------------------|
//! | `tags` `list`             | tag list                                    |
//! | `manifests` R             | manifest R                                  |
//! | `referrers` D             | referrers of D                              |
//! | `blobs` `uploads` `""`    | start an upload                             |
//! | `blobs` `uploads`         | the same, without the final slash           |
//! | `blobs` D                 | blob D (D is not `uploads`: not a digest)   |
//! | `blobs` `uploads` U       | upload session U                            |
//!
//! Invariant: never panics, for any text.
//! Invariant: a name that comes out has no empty component and none that is `.`
//! or `..`. The rest of its grammar, and that of tags, digests and upload ids, is
//! the business of the types that are made from them.
//! Invariant: nothing is percent-decoded. No valid path needs an escape, so a
//! path with one is refused instead of getting a second spelling.

use http::Method;

/// One request of the OCI Distribution API. The parts are as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route<'a> {
    /// `GET` or `HEAD /v2/` (end-1): the version check, where clients find the challenge.
    Base,
    /// `GET /v2/_catalog`: not in the OCI specification, but in Docker's.
    Catalog,
    /// `GET /v2/<name>/tags/list` (end-8a, end-8b).
    TagsList {
        /// The repository.
        name: &'a str,
    },
    /// `GET /v2/<name>/manifests/<reference>` (end-3).
    ManifestGet {
        /// The repository.
        name: &'a str,
        /// A tag or a digest.
        reference: &'a str,
    },
    /// `HEAD /v2/<name>/manifests/<reference>` (end-3).
    ManifestHead {
        /// The repository.
        name: &'a str,
        /// A tag or a digest.
        reference: &'a str,
    },
    /// `PUT /v2/<name>/manifests/<reference>` (end-7).
    ManifestPut {
        /// The repository.
        name: &'a str,
        /// A tag or a digest.
        reference: &'a str,
    },
    /// `DELETE /v2/<name>/manifests/<reference>` (end-9).
    ManifestDelete {
        /// The repository.
        name: &'a str,
        /// A tag or a digest.
        reference: &'a str,
    },
    /// `GET /v2/<name>/blobs/<digest>` (end-2).
    BlobGet {
        /// The repository.
        name: &'a str,
        /// The digest of the blob.
        digest: &'a str,
    },
    /// `HEAD /v2/<name>/blobs/<digest>` (end-2).
    BlobHead {
        /// The repository.
        name: &'a str,
        /// The digest of the blob.
        digest: &'a str,
    },
    /// `DELETE /v2/<name>/blobs/<digest>` (end-10).
    BlobDelete {
        /// The repository.
        name: &'a str,
        /// The digest of the blob.
        digest: &'a str,
    },
    /// `POST /v2/<name>/blobs/uploads/` (end-4a), with `?digest=` (end-4b) or
    /// `?mount=` (end-11).
    UploadStart {
        /// The repository.
        name: &'a str,
    },
    /// `GET /v2/<name>/blobs/uploads/<upload>` (end-13).
    UploadStatus {
        /// The repository.
        name: &'a str,
        /// The upload session.
        upload: &'a str,
    },
    /// `PATCH /v2/<name>/blobs/uploads/<upload>` (end-5).
    UploadPatch {
        /// The repository.
        name: &'a str,
        /// The upload session.
        upload: &'a str,
    },
    /// `PUT /v2/<name>/blobs/uploads/<upload>?digest=` (end-6).
    UploadFinish {
        /// The repository.
        name: &'a str,
        /// The upload session.
        upload: &'a str,
    },
    /// `DELETE /v2/<name>/blobs/uploads/<upload>` (end-14).
    UploadCancel {
        /// The repository.
        name: &'a str,
        /// The upload session.
        upload: &'a str,
    },
    /// `GET /v2/<name>/referrers/<digest>` (end-12a, end-12b).
    Referrers {
        /// The repository.
        name: &'a str,
        /// The digest of the subject.
        digest: &'a str,
    },
}

/// Why a request matches no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path is none of the API: 404.
    #[error("no such endpoint")]
    NotFound,
    /// The path exists, but not for this method: 405.
    #[error("the method is not allowed here; allowed: {allow}")]
    MethodNotAllowed {
        /// The value of the `Allow` header (RFC 9110, section 10.2.1).
        allow: &'static str,
    },
    /// The repository name can be no name: 400 with the OCI code `NAME_INVALID`.
    #[error("invalid repository name '{name}': {fault}")]
    NameInvalid {
        /// The name, or the whole path if only a percent sign keeps it from
        /// being one of the API; cut to [`SHOWN_NAME`] characters.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
}

/// How much of an invalid name a [`RouteError`] repeats, in characters. As long
/// as the longest valid name.
pub const SHOWN_NAME: usize = 256;

/// What makes a name invalid before its grammar is even looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// A percent sign in the path.
    #[error("percent-encoding is not used in registry paths")]
    Percent,
    /// Two slashes in a row.
    #[error("it has an empty path component")]
    EmptyComponent,
    /// A component `.` or `..`.
    #[error("it has a path component that is only dots")]
    DotComponent,
}

impl<'a> Route<'a> {
    /// Reads a request line. `path` is the raw path of the URI, without the query.
    pub fn parse(method: &Method, path: &'a str) -> Result<Self, RouteError> {
        let Some(rest) = path.strip_prefix("/v2") else {
            return Err(RouteError::NotFound);
        };
        if rest.is_empty() || rest == "/" {
            // Probes of load balancers and some clients ask with HEAD.
            return match *method {
                Method::GET | Method::HEAD => Ok(Self::Base),
                _ => Err(RouteError::MethodNotAllowed { allow: "GET, HEAD" }),
            };
        }
        let Some(rest) = rest.strip_prefix('/') else {
            return Err(RouteError::NotFound);
        };
        match Self::parse_rest(method, rest) {
            Err(RouteError::NotFound) if rest.contains('%') => Err(name_invalid(rest, NameFault::Percent)),
            parsed => parsed,
        }
    }

    fn parse_rest(method: &Method, rest: &'a str) -> Result<Self, RouteError> {
        if rest == "_catalog" {
            return only(method, &Method::GET, "GET", Self::Catalog);
        }
        let (head, last) = rest.rsplit_once('/').ok_or(RouteError::NotFound)?;
        let (name, kind) = head.rsplit_once('/').ok_or(RouteError::NotFound)?;
        match (kind, last) {
            ("tags", "list") => {
                check_name(name)?;
                only(method, &Method::GET, "GET", Self::TagsList { name })
            }
            ("blobs", "uploads") => Self::upload_start(method, name),
            ("uploads", upload) => match name.rsplit_once('/') {
                Some((name, "blobs")) if upload.is_empty() => Self::upload_start(method, name),
                Some((name, "blobs")) => Self::upload(method, name, upload),
                _ => Err(RouteError::NotFound),
            },
            (_, "") => Err(RouteError::NotFound),
            ("manifests", reference) => Self::manifest(method, name, reference),
            ("blobs", digest) => Self::blob(method, name, digest),
            ("referrers", digest) => {
                check_name(name)?;
                only(method, &Method::GET, "GET", Self::Referrers { name, digest })
            }
            _ => Err(RouteError::NotFound),
        }
    }

    fn upload_start(method: &Method, name: &'a str) -> Result<Self, RouteError> {
        check_name(name)?;
        only(method, &Method::POST, "POST", Self::UploadStart { name })
    }

    fn upload(method: &Method, name: &'a str, upload: &'a str) -> Result<Self, RouteError> {
        check_name(name)?;
        match *method {
            Method::GET => Ok(Self::UploadStatus { name, upload }),
            Method::PATCH => Ok(Self::UploadPatch { name, upload }),
            Method::PUT => Ok(Self::UploadFinish { name, upload }),
            Method::DELETE => Ok(Self::UploadCancel { name, upload }),
            _ => Err(RouteError::MethodNotAllowed { allow: "GET, PATCH, PUT, DELETE" }),
        }
    }

    fn manifest(method: &Method, name: &'a str, reference: &'a str) -> Result<Self, RouteError> {
        check_name(name)?;
        match *method {
            Method::GET => Ok(Self::ManifestGet { name, reference }),
            Method::HEAD => Ok(Self::ManifestHead { name, reference }),
            Method::PUT => Ok(Self::ManifestPut { name, reference }),
            Method::DELETE => Ok(Self::ManifestDelete { name, reference }),
            _ => Err(RouteError::MethodNotAllowed { allow: "GET, HEAD, PUT, DELETE" }),
        }
    }

    fn blob(method: &Method, name: &'a str, digest: &'a str) -> Result<Self, RouteError> {
        check_name(name)?;
        match *method {
            Method::GET => Ok(Self::BlobGet { name, digest }),
            Method::HEAD => Ok(Self::BlobHead { name, digest }),
            Method::DELETE => Ok(Self::BlobDelete { name, digest }),
            _ => Err(RouteError::MethodNotAllowed { allow: "GET, HEAD, DELETE" }),
        }
    }

    /// The repository, if the route has one.
    #[must_use]
    pub const fn name(&self) -> Option<&'a str> {
        match *self {
            Self::Base | Self::Catalog => None,
            Self::TagsList { name }
            | Self::ManifestGet { name, .. }
            | Self::ManifestHead { name, .. }
            | Self::ManifestPut { name, .. }
            | Self::ManifestDelete { name, .. }
            | Self::BlobGet { name, .. }
            | Self::BlobHead { name, .. }
            | Self::BlobDelete { name, .. }
            | Self::UploadStart { name }
            | Self::UploadStatus { name, .. }
            | Self::UploadPatch { name, .. }
            | Self::UploadFinish { name, .. }
            | Self::UploadCancel { name, .. }
            | Self::Referrers { name, .. } => Some(name),
        }
    }

    /// Whether the request changes anything. The status of an upload does not,
    /// although only its owner may ask for it.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        match self {
            Self::ManifestPut { .. }
            | Self::ManifestDelete { .. }
            | Self::BlobDelete { .. }
            | Self::UploadStart { .. }
            | Self::UploadPatch { .. }
            | Self::UploadFinish { .. }
            | Self::UploadCancel { .. } => true,
            Self::Base
            | Self::Catalog
            | Self::TagsList { .. }
            | Self::ManifestGet { .. }
            | Self::ManifestHead { .. }
            | Self::BlobGet { .. }
            | Self::BlobHead { .. }
            | Self::UploadStatus { .. }
            | Self::Referrers { .. } => false,
        }
    }
}

fn only<'a>(
    method: &Method,
    expected: &Method,
    allow: &'static str,
    route: Route<'a>,
) -> Result<Route<'a>, RouteError> {
    if method == expected { Ok(route) } else { Err(RouteError::MethodNotAllowed { allow }) }
}

fn check_name(name: &str) -> Result<(), RouteError> {
    for component in name.split('/') {
        let fault = match component {
            "" => NameFault::EmptyComponent,
            "." | ".." => NameFault::DotComponent,
            component if component.contains('%') => NameFault::Percent,
            _ => continue,
        };
        return Err(name_invalid(name, fault));
    }
    Ok(())
}

fn name_invalid(name: &str, fault: NameFault) -> RouteError {
    RouteError::NameInvalid { name: name.chars().take(SHOWN_NAME).collect(), fault }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(method: &str, path: &'a str) -> Result<Route<'a>, RouteError> {
        Route::parse(&method.parse().unwrap(), path)
    }

    #[test]
    fn fixed_paths() {
        assert_eq!(parse("GET", "/v2"), Ok(Route::Base));
        assert_eq!(parse("GET", "/v2/"), Ok(Route::Base));
        assert_eq!(parse("HEAD", "/v2/"), Ok(Route::Base));
        assert_eq!(parse("POST", "/v2/"), Err(RouteError::MethodNotAllowed { allow: "GET, HEAD" }));
        assert_eq!(parse("GET", "/v2/_catalog"), Ok(Route::Catalog));
        for method in ["HEAD", "POST", "OPTIONS"] {
            for path in ["/v2/_catalog", "/v2/a/tags/list", "/v2/a/referrers/d"] {
                assert_eq!(parse(method, path), Err(RouteError::MethodNotAllowed { allow: "GET" }));
            }
        }
    }

    #[test]
    fn names_like_keywords() {
        let cases = [
            ("GET", "/v2/tags/tags/list", Route::TagsList { name: "tags" }),
            ("GET", "/v2/manifests/tags/list", Route::TagsList { name: "manifests" }),
            ("GET", "/v2/tags/list/tags/list", Route::TagsList { name: "tags/list" }),
            ("GET", "/v2/manifests/manifests/list", Route::ManifestGet { name: "manifests", reference: "list" }),
            ("GET", "/v2/a/tags/manifests/list", Route::ManifestGet { name: "a/tags", reference: "list" }),
            (
                "PUT",
                "/v2/a/blobs/uploads/manifests/latest",
                Route::ManifestPut { name: "a/blobs/uploads", reference: "latest" },
            ),
            ("GET", "/v2/a/manifests/uploads", Route::ManifestGet { name: "a", reference: "uploads" }),
            ("POST", "/v2/blobs/blobs/uploads/", Route::UploadStart { name: "blobs" }),
            ("POST", "/v2/blobs/blobs/uploads", Route::UploadStart { name: "blobs" }),
            ("POST", "/v2/blobs/uploads/blobs/uploads/", Route::UploadStart { name: "blobs/uploads" }),
            ("POST", "/v2/a/manifests/blobs/uploads", Route::UploadStart { name: "a/manifests" }),
            ("PATCH", "/v2/a/blobs/uploads/uploads", Route::UploadPatch { name: "a", upload: "uploads" }),
            ("GET", "/v2/uploads/blobs/uploads/blobs", Route::UploadStatus { name: "uploads", upload: "blobs" }),
            ("GET", "/v2/a/blobs/uploads/blobs/d", Route::BlobGet { name: "a/blobs/uploads", digest: "d" }),
            ("GET", "/v2/blobs/uploads/blobs/blobs", Route::BlobGet { name: "blobs/uploads", digest: "blobs" }),
            ("GET", "/v2/referrers/referrers/d", Route::Referrers { name: "referrers", digest: "d" }),
            ("GET", "/v2/v2/manifests/v2", Route::ManifestGet { name: "v2", reference: "v2" }),
        ];
        for (method, path, route) in cases {
            assert_eq!(parse(method, path), Ok(route), "{method} {path}");
        }
    }

    #[test]
    fn paths_that_are_nothing() {
        for path in [
            "",
            "/",
            "v2/",
            "/v1/",
            "/v2x",
            "/v2x/a/tags/list",
            "/V2/",
            "//v2/",
            "/v2/a",
            "/v2/a/b/c",
            "/v2/tags/list",
            "/v2/manifests/latest",
            "/v2/blobs/uploads",
            "/v2/blobs/uploads/",
            "/v2/blobs/uploads/u",
            "/v2/a/tags",
            "/v2/a/tags/",
            "/v2/a/tags/list/",
            "/v2/a/tags/latest",
            "/v2/a/manifests/",
            "/v2/a/blobs/",
            "/v2/a/referrers/",
            "/v2/a/uploads/u",
            "/v2/_catalog/",
            "/v2/a/manifests/x/",
            "/v2/a/blobs/uploads/u/",
            "/v2/a/blobs/uploads//",
            "/v2/a/blobs/uploads/u/v",
        ] {
            assert_eq!(parse("GET", path), Err(RouteError::NotFound), "{path}");
        }
    }

    #[test]
    fn names_that_are_none() {
        use NameFault::{DotComponent, EmptyComponent, Percent};
        for (path, fault) in [
            ("/v2//manifests/x", EmptyComponent),
            ("/v2//tags/list", EmptyComponent),
            ("/v2/a//b/manifests/x", EmptyComponent),
            ("/v2/a//tags/list", EmptyComponent),
            ("/v2/a//blobs/uploads/u", EmptyComponent),
            ("/v2//a/referrers/d", EmptyComponent),
            ("/v2/../manifests/x", DotComponent),
            ("/v2/a/./b/blobs/d", DotComponent),
            ("/v2/%2e%2e/manifests/x", Percent),
            ("/v2/a%2Fb/tags/list", Percent),
            ("/v2/a%00/blobs/sha256:ab", Percent),
            ("/v2/_catalog%00", Percent),
        ] {
            assert!(
                matches!(parse("GET", path), Err(RouteError::NameInvalid { fault: found, .. }) if found == fault),
                "{path}"
            );
        }
        // What a reference may be is the business of its type.
        assert_eq!(parse("GET", "/v2/a/blobs/x%3Ay"), Ok(Route::BlobGet { name: "a", digest: "x%3Ay" }));
        let long = format!("/v2/{}//manifests/x", "é".repeat(100_000));
        assert!(parse("GET", &long).unwrap_err().to_string().len() < 700);
    }

    #[test]
    fn a_known_path_with_another_method() {
        for (method, path, allow) in [
            ("POST", "/v2/a/manifests/x", "GET, HEAD, PUT, DELETE"),
            ("PUT", "/v2/a/blobs/d", "GET, HEAD, DELETE"),
            ("GET", "/v2/a/blobs/uploads", "POST"),
            ("PUT", "/v2/a/blobs/uploads/", "POST"),
            ("POST", "/v2/a/blobs/uploads/u", "GET, PATCH, PUT, DELETE"),
            ("get", "/v2/a/blobs/d", "GET, HEAD, DELETE"),
        ] {
            assert_eq!(parse(method, path), Err(RouteError::MethodNotAllowed { allow }), "{method} {path}");
        }
        // A bad name is reported before a bad method: it is wrong for every method.
        assert!(matches!(parse("POST", "/v2/../manifests/x"), Err(RouteError::NameInvalid { .. })));
    }

    /// The request line of a route: the inverse of `parse`.
    fn request_line(route: &Route<'_>) -> (&'static str, String) {
        match route {
            Route::Base => ("GET", "/v2/".to_owned()),
            Route::Catalog => ("GET", "/v2/_catalog".to_owned()),
            Route::TagsList { name } => ("GET", format!("/v2/{name}/tags/list")),
            Route::ManifestGet { name, reference } => ("GET", format!("/v2/{name}/manifests/{reference}")),
            Route::ManifestHead { name, reference } => ("HEAD", format!("/v2/{name}/manifests/{reference}")),
            Route::ManifestPut { name, reference } => ("PUT", format!("/v2/{name}/manifests/{reference}")),
            Route::ManifestDelete { name, reference } => ("DELETE", format!("/v2/{name}/manifests/{reference}")),
            Route::BlobGet { name, digest } => ("GET", format!("/v2/{name}/blobs/{digest}")),
            Route::BlobHead { name, digest } => ("HEAD", format!("/v2/{name}/blobs/{digest}")),
            Route::BlobDelete { name, digest } => ("DELETE", format!("/v2/{name}/blobs/{digest}")),
            Route::UploadStart { name } => ("POST", format!("/v2/{name}/blobs/uploads/")),
            Route::UploadStatus { name, upload } => ("GET", format!("/v2/{name}/blobs/uploads/{upload}")),
            Route::UploadPatch { name, upload } => ("PATCH", format!("/v2/{name}/blobs/uploads/{upload}")),
            Route::UploadFinish { name, upload } => ("PUT", format!("/v2/{name}/blobs/uploads/{upload}")),
            Route::UploadCancel { name, upload } => ("DELETE", format!("/v2/{name}/blobs/uploads/{upload}")),
            Route::Referrers { name, digest } => ("GET", format!("/v2/{name}/referrers/{digest}")),
        }
    }

    fn all_routes<'a>(name: &'a str, reference: &'a str, digest: &'a str, upload: &'a str) -> Vec<Route<'a>> {
        vec![
            Route::Base,
            Route::Catalog,
            Route::TagsList { name },
            Route::ManifestGet { name, reference },
            Route::ManifestHead { name, reference },
            Route::ManifestPut { name, reference },
            Route::ManifestDelete { name, reference },
            Route::BlobGet { name, digest },
            Route::BlobHead { name, digest },
            Route::BlobDelete { name, digest },
            Route::UploadStart { name },
            Route::UploadStatus { name, upload },
            Route::UploadPatch { name, upload },
            Route::UploadFinish { name, upload },
            Route::UploadCancel { name, upload },
            Route::Referrers { name, digest },
        ]
    }

    #[test]
    fn writes_are_what_changes_something() {
        let writes = all_routes("a", "b", "c", "d").into_iter().filter(Route::is_write);
        let methods: Vec<_> = writes.map(|route| request_line(&route).0).collect();
        assert_eq!(methods, ["PUT", "DELETE", "DELETE", "POST", "PATCH", "PUT", "DELETE"]);
    }

    const COMPONENT: &str =
        "(tags|list|blobs|manifests|uploads|referrers|catalog|v2|[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?)";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_route_is_read_back(
            components in prop::collection::vec(COMPONENT, 1..6),
            reference in "(tags|list|blobs|manifests|uploads|referrers|[A-Za-z0-9_][A-Za-z0-9._-]{0,8}|sha256:[0-9a-f]{64})",
            digest in "sha(256|512):[0-9a-f]{8}",
            upload in "(tags|list|blobs|manifests|uploads|referrers|[A-Za-z0-9_.~-]{1,20})",
        ) {
            let name = components.join("/");
            for route in all_routes(&name, &reference, &digest, &upload) {
                let (method, path) = request_line(&route);
                prop_assert_eq!(parse(method, &path), Ok(route));
                prop_assert_eq!(route.name(), (!matches!(route, Route::Base | Route::Catalog)).then_some(name.as_str()));
            }
        }

        #[test]
        fn any_path_is_answered(
            method in "(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|X)",
            path in "(/v2)?(/(tags|list|blobs|manifests|uploads|referrers|_catalog|[.]{0,3}|%2e|a|é)){0,8}|.*",
        ) {
            match parse(&method, &path) {
                Ok(route) => {
                    let plain = |component: &str| !matches!(component, "" | "." | "..") && !component.contains('%');
                    prop_assert!(route.name().is_none_or(|name| name.split('/').all(plain)));
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}
