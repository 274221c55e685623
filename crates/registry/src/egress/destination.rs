//! A URL that a tenant gave, read into what is connected to.
//!
//! Invariant: the host is a DNS name and in no way an address: not in decimal,
//! octal or hexadecimal digits either, which some resolvers take for one.

use http::Uri;

use super::{EgressError, EgressRules};

/// The longest URL.
const MAX_URL: usize = 2048;

/// The longest DNS name, and the longest part of it (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Where to connect to, and what to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    host: String,
    port: u16,
    path: String,
}

impl Destination {
    /// Reads an `https` URL.
    pub(crate) fn parse(url: &str, rules: &EgressRules) -> Result<Self, EgressError> {
        if url.len() > MAX_URL || !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains('#') {
            return Err(EgressError::Url("is too long, has characters that do not belong there, or a fragment"));
        }
        let uri: Uri = url.parse().map_err(|_| EgressError::Url("is not one"))?;
        if uri.scheme_str() != Some("https") {
            return Err(EgressError::Url("is not of the scheme https"));
        }
        let authority = uri.authority().ok_or(EgressError::Url("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(EgressError::Url("has a user name"));
        }
        let host = authority.host().to_ascii_lowercase();
        if !is_dns_name(&host) || !(rules.allow_private || host.contains('.')) {
            return Err(EgressError::Url("does not have a DNS name as its host"));
        }
        let rest = authority.as_str().get(host.len()..).unwrap_or_default();
        let port = match rest.strip_prefix(':') {
            None => 443,
            Some(digits) => digits.parse().map_err(|_| EgressError::Url("has a port that is none"))?,
        };
        if !rules.allows_port(port) {
            return Err(EgressError::Url("has a port that is not allowed"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { host, port, path })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// The path and the query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> String {
        if self.port == 443 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Whether a host is a DNS name (RFC 1123, 2.1). Names of top-level domains
/// start with a letter; what ends in a number is an address to many readers.
fn is_dns_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= MAX_NAME
        && host.split('.').all(is_label)
        && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Destination, EgressError> {
        Destination::parse(url, &EgressRules::default())
    }

    #[test]
    fn urls_are_read() {
        let destination = parse("https://Issuer.example/a/b?c=d").unwrap();
        assert_eq!((destination.host(), destination.port(), destination.path()), ("issuer.example", 443, "/a/b?c=d"));
        assert_eq!(destination.authority(), "issuer.example");
        assert_eq!(parse("https://issuer.example:443").unwrap().path(), "/");
    }

    #[test]
    fn what_is_not_https_to_a_name_is_refused() {
        let long = format!("https://issuer.example/{}", "a".repeat(2048));
        for bad in [
            "",
            "issuer.example",
            "http://issuer.example/",
            "ftp://issuer.example/",
            "file:///etc/passwd",
            "https:///x",
            "https://user@issuer.example/",
            "https://issuer.example@evil.example/",
            "https://issuer.example:8443/",
            "https://issuer.example:0/",
            "https://issuer.example:99999/",
            "https://issuer.example:/",
            "https://issuer.example/#x",
            "https://issuer.example/a b",
            "https://issuer.example./",
            "https://.issuer.example/",
            "https://issuer..example/",
            "https://-issuer.example/",
            "https://is_suer.example/",
            "https://localhost/",
            "https://metadata/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.0x0.0x0.0x1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://0/",
            "https://issuer.0x7f/",
            "https://issuer.127/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1%25eth0]/",
            "https://①②⑦.⓪.⓪.①/",
            "https://issuer.exámple/",
            &long,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_operator_can_allow_more() {
        let private = EgressRules { allow_private: true, ..EgressRules::default() };
        let destination = Destination::parse("https://localhost:8443/x", &private).unwrap();
        assert_eq!(destination.authority(), "localhost:8443");
        let ports = EgressRules { ports: vec![443, 8443], ..EgressRules::default() };
        assert!(Destination::parse("https://issuer.example:8443/", &ports).is_ok());
        for bad in ["http://localhost:8443/x", "https://127.0.0.1:8443/x", "https://[::1]:8443/x"] {
            assert!(Destination::parse(bad, &private).is_err(), "{bad}");
        }
    }
}
