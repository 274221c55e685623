//! Which requests a function answers.
//!
//! Each function has a role of its own. A rule of the load balancer that leads
//! to the wrong function must not lend that role to other requests, so the
//! function refuses what is not its own.

use http::Method;
use ironwharf_model::{Error, Result};

/// The requests of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `GET` and `HEAD` on `/v2/`.
    Pull,
    /// `POST`, `PATCH`, `PUT` and `DELETE` on `/v2/`.
    Push,
    /// `POST /`.
    Api,
}

impl Scope {
    /// Every function's.
    pub const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Api];

    /// Whether signatures are verified here, for which secrets are needed.
    #[must_use]
    pub const fn verifies_signatures(self) -> bool {
        matches!(self, Self::Api)
    }

    /// Refuses a request of another function: `RouteNotFound` for its path,
    /// `MethodNotAllowed` for its method.
    pub fn check(self, method: &Method, path: &str) -> Result<()> {
        let has_path = match self {
            Self::Pull | Self::Push => path == "/v2" || path.starts_with("/v2/"),
            Self::Api => path == "/",
        };
        if !has_path {
            return Err(Error::RouteNotFound { path: path.to_owned() });
        }
        let allowed: &[Method] = match self {
            Self::Pull => &[Method::GET, Method::HEAD],
            Self::Push => &[Method::POST, Method::PATCH, Method::PUT, Method::DELETE],
            Self::Api => &[Method::POST],
        };
        if !allowed.contains(method) {
            return Err(Error::MethodNotAllowed { method: method.to_string(), allow: self.allow() });
        }
        Ok(())
    }

    const fn allow(self) -> &'static str {
        match self {
            Self::Pull => "GET, HEAD",
            Self::Push => "POST, PATCH, PUT, DELETE",
            Self::Api => "POST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_is_of_two_functions() {
        let methods = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "MKCOL"];
        let paths = ["/", "/v2", "/v2/", "/v2/a/tags/list", "/v2x", "/V2/", "//v2/", "/healthz", "*", ""];
        for method in methods.map(|method| Method::from_bytes(method.as_bytes()).unwrap()) {
            for path in paths {
                let owners: Vec<_> =
                    Scope::ALL.into_iter().filter(|scope| scope.check(&method, path).is_ok()).collect();
                let expected = match (method.as_str(), path) {
                    ("GET" | "HEAD", "/v2" | "/v2/" | "/v2/a/tags/list") => vec![Scope::Pull],
                    ("POST" | "PATCH" | "PUT" | "DELETE", "/v2" | "/v2/" | "/v2/a/tags/list") => vec![Scope::Push],
                    ("POST", "/") => vec![Scope::Api],
                    _ => vec![],
                };
                assert_eq!(owners, expected, "{method} {path}");
            }
        }
    }

    #[test]
    fn the_allow_header_is_what_is_allowed() {
        for scope in Scope::ALL {
            for method in scope.allow().split(", ") {
                let path = if scope == Scope::Api { "/" } else { "/v2/" };
                assert!(scope.check(&method.parse().unwrap(), path).is_ok(), "{scope:?} {method}");
            }
        }
    }
}
