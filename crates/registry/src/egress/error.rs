//! Why a document could not be had.
//!
//! It is for the log: what a tenant is told must not tell what is in the
//! network of the registry.

use std::net::IpAddr;

/// Why a document could not be had.
#[derive(Debug)]
pub(crate) enum EgressError {
    /// The URL is not one that is connected to.
    Url(&'static str),
    /// The host has an address that is not public.
    NotPublic(IpAddr),
    /// The host has no address, or more than any host needs.
    NoAddress,
    /// The system has no certificates of authorities, or they are unreadable.
    NoRoots(String),
    /// Resolving, connecting, TLS or HTTP failed.
    Connection(Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    TimedOut,
    /// The answer has another status than 200.
    Status(http::StatusCode),
    /// The answer is larger than it may be.
    TooLarge(usize),
}

impl std::fmt::Display for EgressError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(reason) => write!(formatter, "the URL {reason}"),
            Self::NotPublic(address) => write!(formatter, "{address} is not a public address"),
            Self::NoAddress => formatter.write_str("the host has no address to connect to"),
            Self::NoRoots(reason) => write!(formatter, "no certificate authorities: {reason}"),
            Self::Connection(source) => write!(formatter, "no connection: {source}"),
            Self::TimedOut => formatter.write_str("no answer in time"),
            Self::Status(status) => write!(formatter, "the answer was {status}"),
            Self::TooLarge(limit) => write!(formatter, "the answer has more than {limit} bytes"),
        }
    }
}

impl std::error::Error for EgressError {}
