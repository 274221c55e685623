//! Which requests a function answers.
//!
//! Each function has a role of its own. A rule of the load balancer that leads
//! to the wrong function must not lend that role to other requests, so the
//! function refuses what is not its own.
//!
//! A load balancer gives a Lambda function 1 MB of a request at most, and no
//! client can be told to split what it sends. What carries a layer or a manifest
//! goes to the ingress, which is no Lambda function and reads a body as it comes.
//! It takes no larger answer either: whoever asks for a larger manifest is sent to
//! the ingress too ([`through_ingress`]), and so goes what brings manifests by the API.

use http::header::HeaderName;
use http::{HeaderMap, Method, Uri};
use ironwharf_model::{Error, Result};

/// The header that names the operation of an API request.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// The operations whose requests or answers carry the bytes of layers or manifests.
pub const LARGE_OPERATIONS: [&str; 3] = [
    "AmazonEC2ContainerRegistry_V20150921.BatchGetImage",
    "AmazonEC2ContainerRegistry_V20150921.PutImage",
    "AmazonEC2ContainerRegistry_V20150921.UploadLayerPart",
];

/// What a request says that is to be answered by the ingress.
const THROUGH_INGRESS: &str = "through=ingress";

/// Where the answer to a `GET` is to be had that is too large for a function.
#[must_use]
pub fn through_ingress(uri: &Uri) -> String {
    let query = uri.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&")).unwrap_or_default();
    format!("{}?{query}{THROUGH_INGRESS}", uri.path())
}

/// The requests of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `GET` and `HEAD` on `/v2/`, but for what [`through_ingress`] sends away.
    Pull,
    /// `POST` and `DELETE` on `/v2/`, but for blobs that one `POST` carries.
    Push,
    /// `POST /`, but for [`LARGE_OPERATIONS`].
    Api,
    /// Whatever carries the bytes of a layer or a manifest: `PATCH` and `PUT` on
    /// `/v2/`, `POST` there with `?digest=`, and [`LARGE_OPERATIONS`]. What
    /// [`through_ingress`] sends there. And `/healthz`, because it is the one that runs all the time.
    Ingress,
}

impl Scope {
    /// Every function's.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Push, Self::Api, Self::Ingress];

    /// Whether signatures are verified here, for which secrets are needed.
    #[must_use]
    pub const fn verifies_signatures(self) -> bool {
        matches!(self, Self::Api | Self::Ingress)
    }

    /// The scope that a request is of, if it is of any.
    fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let path = uri.path();
        match *method {
            Method::GET if is_oci(path) && is_sent_on(uri) => Some(Self::Ingress),
            Method::GET | Method::HEAD if is_oci(path) => Some(Self::Pull),
            // The load balancer asks each container itself; no rule leads here.
            Method::GET if path == "/healthz" => Some(Self::Ingress),
            Method::PATCH | Method::PUT if is_oci(path) => Some(Self::Ingress),
            Method::POST if is_oci(path) && carries_blob(uri) => Some(Self::Ingress),
            Method::POST | Method::DELETE if is_oci(path) => Some(Self::Push),
            Method::POST if path == "/" && is_large(headers) => Some(Self::Ingress),
            Method::POST if path == "/" => Some(Self::Api),
            _ => None,
        }
    }

    /// Refuses a request of another function: `RouteNotFound` for its path,
    /// `MethodNotAllowed` for its method.
    pub fn check(self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<()> {
        if Self::of(method, uri, headers) == Some(self) {
            return Ok(());
        }
        let path = uri.path();
        let has_path = match self {
            Self::Pull | Self::Push => is_oci(path),
            Self::Api => path == "/",
            Self::Ingress => is_oci(path) || path == "/",
        };
        if has_path && !self.allow().split(", ").any(|allowed| allowed == method.as_str()) {
            return Err(Error::MethodNotAllowed { method: method.to_string(), allow: self.allow() });
        }
        Err(Error::RouteNotFound { path: path.to_owned() })
    }

    const fn allow(self) -> &'static str {
        match self {
            Self::Pull => "GET, HEAD",
            Self::Push => "POST, DELETE",
            Self::Api => "POST",
            Self::Ingress => "GET, PATCH, PUT, POST",
        }
    }
}

fn is_oci(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}

/// Whether a `POST` has the blob with it, as it says by naming the digest. The
/// rules of a load balancer know no case.
fn carries_blob(uri: &Uri) -> bool {
    let names_digest = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| name.eq_ignore_ascii_case("digest"));
    uri.query().is_some_and(|query| query.split('&').any(names_digest))
}

fn is_sent_on(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair.eq_ignore_ascii_case(THROUGH_INGRESS)))
}

fn is_large(headers: &HeaderMap) -> bool {
    headers.get(TARGET).is_some_and(|target| LARGE_OPERATIONS.iter().any(|large| target == large))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(method: &Method, target: &str, headers: &HeaderMap) -> Vec<Scope> {
        let uri = target.parse().unwrap();
        Scope::ALL.into_iter().filter(|scope| scope.check(method, &uri, headers).is_ok()).collect()
    }

    #[test]
    fn no_request_is_of_two_functions() {
        let methods = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "MKCOL"];
        let paths = ["/", "/v2", "/v2/", "/v2/a/tags/list", "/v2x", "/V2/", "//v2/", "/healthz", "*"];
        for method in methods.map(|method| Method::from_bytes(method.as_bytes()).unwrap()) {
            for path in paths {
                let expected = match (method.as_str(), path) {
                    ("GET" | "HEAD", "/v2" | "/v2/" | "/v2/a/tags/list") => vec![Scope::Pull],
                    ("POST" | "DELETE", "/v2" | "/v2/" | "/v2/a/tags/list") => vec![Scope::Push],
                    ("PATCH" | "PUT", "/v2" | "/v2/" | "/v2/a/tags/list") | ("GET", "/healthz") => vec![Scope::Ingress],
                    ("POST", "/") => vec![Scope::Api],
                    _ => vec![],
                };
                assert_eq!(owners(&method, path, &HeaderMap::new()), expected, "{method} {path}");
            }
        }
    }

    #[test]
    fn bytes_go_to_the_ingress_whatever_carries_them() {
        let none = HeaderMap::new();
        let post = |target| owners(&Method::POST, target, &none);
        assert_eq!(post("/v2/a/blobs/uploads/?digest=sha256:0"), [Scope::Ingress]);
        assert_eq!(post("/v2/a/blobs/uploads/?x=1&digest=sha256:0"), [Scope::Ingress]);
        assert_eq!(post("/v2/a/blobs/uploads/?Digest=sha256:0"), [Scope::Ingress]);
        assert_eq!(post("/v2/a/blobs/uploads/?mount=sha256:0&from=b"), [Scope::Push]);
        assert_eq!(post("/v2/a/blobs/uploads/?mydigest=1"), [Scope::Push]);
        let target = |operation: &str| {
            let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
            HeaderMap::from_iter([(TARGET, target.parse().unwrap())])
        };
        for operation in ["BatchGetImage", "PutImage", "UploadLayerPart"] {
            assert_eq!(owners(&Method::POST, "/", &target(operation)), [Scope::Ingress]);
        }
        for operation in ["CompleteLayerUpload", "PutImageTagMutability", "BatchGetImages"] {
            assert_eq!(owners(&Method::POST, "/", &target(operation)), [Scope::Api]);
        }
        assert_eq!(owners(&Method::POST, "/v2/", &target("UploadLayerPart")), [Scope::Push]);
    }

    #[test]
    fn what_is_too_large_for_a_function_is_had_from_the_ingress() {
        let none = HeaderMap::new();
        for target in ["/v2/a/manifests/b", "/v2/a/tags/list?n=1&last=x"] {
            assert_eq!(owners(&Method::GET, target, &none), [Scope::Pull]);
            let sent = through_ingress(&target.parse().unwrap());
            assert_eq!(owners(&Method::GET, &sent, &none), [Scope::Ingress], "{sent}");
            assert_eq!(owners(&Method::HEAD, &sent, &none), [Scope::Pull], "a HEAD is never large");
        }
        assert_eq!(through_ingress(&"/v2/a?n=1".parse().unwrap()), "/v2/a?n=1&through=ingress");
    }

    #[test]
    fn a_refusal_names_the_methods_that_are_allowed() {
        let none = HeaderMap::new();
        for scope in Scope::ALL {
            let path = if scope == Scope::Api { "/" } else { "/v2/?digest=" };
            let refused = scope.check(&Method::OPTIONS, &path.parse().unwrap(), &none);
            assert!(matches!(refused, Err(Error::MethodNotAllowed { .. })), "{scope:?} {refused:?}");
            let nowhere = scope.check(&Method::POST, &"/healthz".parse().unwrap(), &none);
            assert!(matches!(nowhere, Err(Error::RouteNotFound { .. })), "{scope:?} {nowhere:?}");
        }
    }
}
