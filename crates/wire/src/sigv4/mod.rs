//! AWS Signature Version 4: a strict server-side verifier, and a signer.
//!
//! Source of the algorithm: "Create a signed AWS API request" in the IAM User
//! Guide; where it leaves something open, what botocore does counts, and the
//! tests hold both to each other.
//!
//! Verification has two steps, because the Region and the access key come out of
//! the request: [`parse`] checks everything that needs no secret and says what
//! the request [claims](Claim); [`Unverified::verify`] then decides.
//!
//! Invariant: nothing a request claims may be used for more than finding the
//! secret before `verify` has returned `Ok`.
//! Invariant: every part of a request has one reading or is refused. One
//! authorization form; one value for every header and parameter that matters;
//! nothing that steers the request (`host`, `x-amz-*`) outside the signature.
//! Invariant: the body hash that is signed is the hash of the body received.
//! Invariant: an unknown access key costs the same work as a known one.
//! Invariant: no message repeats a secret, a signature or a session token.

mod canonical;
mod error;
mod key;
mod parse;
mod sign;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]
mod tests;

use http::HeaderMap;
use time::{Duration, OffsetDateTime};

pub use error::SigV4Error;
pub use key::SigningKey;
pub use parse::{Unverified, parse};
pub use sign::Signer;

/// How far `X-Amz-Date` may be from our clock, in both directions.
pub const MAX_SKEW: Duration = Duration::minutes(5);

/// The longest life of a presigned request in seconds, and the life of one that
/// names none. AWS grants seven days only for object downloads.
pub const MAX_EXPIRES_SECONDS: u32 = 900;

/// The only algorithm. The asymmetric variant (`SigV4a`) is not offered.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The fixed end of every credential scope.
const TERMINATOR: &str = "aws4_request";

/// One request as it came over the wire, body included.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The path as received, not decoded.
    pub path: &'a str,
    /// The query as received, without the question mark; may be empty.
    pub query: &'a str,
    /// The authority of the URI, if there is one: HTTP/2 has it in place of the
    /// `Host` header.
    pub authority: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

/// What the server expects of a request.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The service names that may stand in the credential scope, such as `ecr`.
    pub services: &'a [&'a str],
    /// The time of the server.
    pub now: OffsetDateTime,
}

/// What a request claims about its sender. Not to be trusted before
/// [`Unverified::verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The access key id: letters, digits and underscores, at most 128.
    pub access_key_id: String,
    /// The day of the credential scope, `YYYYMMDD`; the day of `X-Amz-Date`.
    pub date: String,
    /// The Region of the scope: letters, digits and hyphens, at most 32. Whether
    /// it exists is for the caller to say.
    pub region: String,
    /// The service of the scope: one of [`Expectations::services`].
    pub service: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
    /// The host the request is signed for. A caller with configured public
    /// names compares it with them; no forwarding header ever changes it.
    pub host: String,
    /// Whether the authorization is in the query (a presigned URL).
    pub presigned: bool,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { access_key_id, date, region, service, session_token, host, presigned } = self;
        formatter
            .debug_struct("Claim")
            .field("access_key_id", access_key_id)
            .field("date", date)
            .field("region", region)
            .field("service", service)
            // A session token is a credential: it must not reach a log.
            .field("session_token", &session_token.as_ref().map(|_| "…"))
            .field("host", host)
            .field("presigned", presigned)
            .finish()
    }
}
