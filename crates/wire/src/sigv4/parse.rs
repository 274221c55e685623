//! The form of a signed request: everything that can be checked without a secret.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, PrimitiveDateTime};

use super::canonical::{self, header_text, sha256_hex};
use super::{
    ALGORITHM, Claim, Expectations, MAX_EXPIRES_SECONDS, MAX_SKEW, Request, SigV4Error, SigningKey, TERMINATOR,
};
use crate::paging::{Query, QueryError};

/// The form of `X-Amz-Date`: ISO 8601 basic, in UTC.
const TIMESTAMP: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// The headers outside `x-amz-*` that must not be repeated: each of them
/// decides what the request means.
const SINGLE_HEADERS: [HeaderName; 4] = [AUTHORIZATION, HOST, CONTENT_TYPE, CONTENT_LENGTH];

/// The parameters of a presigned request.
const PRESIGN_PARAMETERS: [&str; 8] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

/// The one `x-amz-*` header that need not be signed: `CloudFront` adds it to every
/// request it forwards, and nothing reads it.
const ADDED_BY_CLOUDFRONT: &str = "x-amz-cf-id";

/// Stands in for the secret of an unknown access key, so that the work is the same.
const DUMMY_SECRET: &str = "0000000000000000000000000000000000000000";

/// A well-formed request whose signature has not been checked yet.
pub struct Unverified {
    claim: Claim,
    string_to_sign: String,
    signature: [u8; 32],
}

impl Unverified {
    /// What the request claims, to find the secret by.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Decides whether the request was signed with `secret`. `None` means that
    /// the access key is unknown: it fails after the same work.
    pub fn verify(&self, secret: Option<&str>) -> Result<(), SigV4Error> {
        let Claim { date, region, service, .. } = &self.claim;
        let key = SigningKey::derive(secret.unwrap_or(DUMMY_SECRET), date, region, service);
        let verified = self.verify_with_key(&key);
        if secret.is_none() { Err(SigV4Error::UnrecognizedClient) } else { verified }
    }

    /// As [`verify`](Self::verify), with a key that the caller has cached. It
    /// must be the key of this claim's access key, day, Region and service.
    /// A cache hit is faster than [`verify`](Self::verify) is for an unknown access
    /// key: a caller that caches must not mind that this tells the two apart.
    pub fn verify_with_key(&self, key: &SigningKey) -> Result<(), SigV4Error> {
        if key.matches(&self.string_to_sign, &self.signature) {
            return Ok(());
        }
        Err(SigV4Error::invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ))
    }
}

impl std::fmt::Debug for Unverified {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Unverified").field("claim", &self.claim).finish_non_exhaustive()
    }
}

/// Checks the form of a signed request.
pub fn parse(request: &Request<'_>, expectations: &Expectations<'_>) -> Result<Unverified, SigV4Error> {
    let query = Query::parse(request.query).map_err(|error| SigV4Error::incomplete(sentence(&error)))?;
    let authorization = Authorization::read(request, &query)?;
    check_single_headers(request)?;
    let credential = Credential::parse(&authorization.credential, expectations)?;
    check_time(&authorization, &credential, expectations)?;
    let signed_headers = parse_signed_headers(&authorization.signed_headers)?;
    check_signed_headers(request, &signed_headers)?;
    check_path(request.path)?;
    let host = host(request)?;
    let body_hash = sha256_hex(request.body);
    check_declared_hash(request, &query, &body_hash)?;
    let signature = parse_signature(&authorization.signature)?;

    let canonical_request = canonical::request(request, &query, host, &signed_headers, &body_hash)?;
    let Credential { access_key_id, date, region, service } = credential;
    let scope = canonical::scope(date, region, service);
    Ok(Unverified {
        string_to_sign: canonical::string_to_sign(&authorization.timestamp, &scope, &canonical_request),
        signature,
        claim: Claim {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            session_token: authorization.session_token.as_deref().map(str::to_owned),
            host: host.to_owned(),
            presigned: authorization.expires.is_some(),
        },
    })
}

/// The parts of an authorization, whichever of the two forms carried them.
struct Authorization<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    timestamp: Cow<'a, str>,
    session_token: Option<Cow<'a, str>>,
    /// The life of a presigned request; the other form has none.
    expires: Option<Duration>,
}

impl<'a> Authorization<'a> {
    fn read(request: &Request<'a>, query: &'a Query<'_>) -> Result<Self, SigV4Error> {
        let header = one_header(request, &AUTHORIZATION)?;
        let presigned = has_presign_parameters(query)?;
        match (header, presigned) {
            (None, false) => Err(SigV4Error::MissingAuthenticationToken),
            (Some(header), false) => Self::from_header(request, header),
            (None, true) => Self::from_query(request, query),
            (Some(_), true) => Err(SigV4Error::incomplete(
                "The request has both an Authorization header and X-Amz-* authorization parameters in its query",
            )),
        }
    }

    fn from_header(request: &Request<'a>, header: &'a str) -> Result<Self, SigV4Error> {
        let parameters = header
            .split_once(' ')
            .and_then(|(algorithm, parameters)| (algorithm == ALGORITHM).then_some(parameters))
            .ok_or_else(|| {
                SigV4Error::incomplete(format!("The Authorization header must use the algorithm {ALGORITHM}"))
            })?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for parameter in parameters.split(',') {
            let (key, value) = parameter.trim_matches([' ', '\t']).split_once('=').ok_or_else(|| {
                SigV4Error::incomplete("The Authorization header has a parameter that is not of the form key=value")
            })?;
            let slot = match key {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => {
                    return Err(SigV4Error::incomplete(
                        "The Authorization header has a parameter other than Credential, SignedHeaders and Signature",
                    ));
                }
            };
            if slot.replace(Cow::Borrowed(value)).is_some() {
                return Err(SigV4Error::incomplete(format!("The Authorization header has '{key}' twice")));
            }
        }
        let required = |slot: Option<_>, name: &str| {
            slot.ok_or_else(|| SigV4Error::incomplete(format!("Authorization header requires '{name}' parameter")))
        };
        let timestamp = one_header(request, &X_AMZ_DATE)?
            .ok_or_else(|| SigV4Error::incomplete("The request requires an 'X-Amz-Date' header"))?;
        Ok(Self {
            credential: required(credential, "Credential")?,
            signed_headers: required(signed_headers, "SignedHeaders")?,
            signature: required(signature, "Signature")?,
            timestamp: Cow::Borrowed(timestamp),
            session_token: one_header(request, &X_AMZ_SECURITY_TOKEN)?.map(Cow::Borrowed),
            expires: None,
        })
    }

    fn from_query(request: &Request<'_>, query: &'a Query<'_>) -> Result<Self, SigV4Error> {
        let optional = |name: &str| {
            query
                .one(name)
                .map_err(|error| SigV4Error::incomplete(sentence(&error)))
                .map(|value| value.map(Cow::Borrowed))
        };
        let required = |name: &str| {
            optional(name)?
                .ok_or_else(|| SigV4Error::incomplete(format!("A presigned request requires the '{name}' parameter")))
        };
        for name in [X_AMZ_DATE, X_AMZ_SECURITY_TOKEN] {
            if request.headers.contains_key(&name) {
                return Err(SigV4Error::incomplete(format!(
                    "A presigned request has '{name}' in its query and must not have it as a header"
                )));
            }
        }
        if required("X-Amz-Algorithm")? != ALGORITHM {
            return Err(SigV4Error::incomplete(format!("The parameter 'X-Amz-Algorithm' must be {ALGORITHM}")));
        }
        Ok(Self {
            credential: required("X-Amz-Credential")?,
            signed_headers: required("X-Amz-SignedHeaders")?,
            signature: required("X-Amz-Signature")?,
            timestamp: required("X-Amz-Date")?,
            session_token: optional("X-Amz-Security-Token")?,
            expires: Some(parse_expires(optional("X-Amz-Expires")?.as_deref())?),
        })
    }
}

/// Whether any parameter of a presigned request is there. Another spelling of
/// one is refused: a later reader that ignores case would see a second value.
fn has_presign_parameters(query: &Query<'_>) -> Result<bool, SigV4Error> {
    let mut found = false;
    for (key, _) in query.iter() {
        let Some(name) = PRESIGN_PARAMETERS.iter().find(|name| name.eq_ignore_ascii_case(key)) else {
            continue;
        };
        if *name != key {
            return Err(SigV4Error::incomplete(format!("The query parameter '{name}' must be spelled exactly so")));
        }
        found = true;
    }
    Ok(found)
}

fn parse_expires(expires: Option<&str>) -> Result<Duration, SigV4Error> {
    let seconds = match expires {
        None => Some(MAX_EXPIRES_SECONDS),
        // `str::parse` alone would accept a plus sign.
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Some(_) => None,
    };
    match seconds {
        Some(seconds) if (1..=MAX_EXPIRES_SECONDS).contains(&seconds) => Ok(Duration::seconds(seconds.into())),
        _ => Err(SigV4Error::incomplete(format!(
            "The parameter 'X-Amz-Expires' must be a number of seconds from 1 to {MAX_EXPIRES_SECONDS}"
        ))),
    }
}

/// The value of a header that may appear at most once.
fn one_header<'a>(request: &Request<'a>, name: &HeaderName) -> Result<Option<&'a str>, SigV4Error> {
    let mut values = request.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(SigV4Error::incomplete(format!("The header '{name}' appears more than once")));
    }
    header_text(name, value).map(|text| Some(text.trim_matches([' ', '\t'])))
}

fn is_amz(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-amz-") && name != ADDED_BY_CLOUDFRONT
}

fn check_single_headers(request: &Request<'_>) -> Result<(), SigV4Error> {
    let amz_headers = request.headers.keys().filter(|name| is_amz(name));
    for name in amz_headers.chain(&SINGLE_HEADERS) {
        one_header(request, name)?;
    }
    Ok(())
}

/// The credential scope, prefixed by the access key id.
struct Credential<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
}

impl<'a> Credential<'a> {
    fn parse(text: &'a str, expectations: &Expectations<'_>) -> Result<Self, SigV4Error> {
        let mut parts = text.split('/');
        let mut next = || parts.next().unwrap_or_default();
        let credential = Self { access_key_id: next(), date: next(), region: next(), service: next() };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let well_formed = next() == TERMINATOR
            && parts.next().is_none()
            && (1..=128).contains(&credential.access_key_id.len())
            && credential.access_key_id.bytes().all(is_word)
            && (1..=32).contains(&credential.region.len())
            && credential.region.bytes().all(is_region);
        if !well_formed {
            return Err(SigV4Error::incomplete(format!(
                "Credential must be '<access key id>/<YYYYMMDD>/<region>/<service>/{TERMINATOR}'"
            )));
        }
        if !expectations.services.contains(&credential.service) {
            return Err(SigV4Error::invalid(format!(
                "Credential should be scoped to correct service: '{}'.",
                expectations.services.join("' or '")
            )));
        }
        Ok(credential)
    }
}

fn check_time(
    authorization: &Authorization<'_>,
    credential: &Credential<'_>,
    expectations: &Expectations<'_>,
) -> Result<(), SigV4Error> {
    let text = authorization.timestamp.as_ref();
    // The year of the parser below may have a sign and its numbers fewer digits.
    let has_form = text.len() == 16
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let time = if has_form { PrimitiveDateTime::parse(text, &TIMESTAMP).ok() } else { None };
    let time = time
        .ok_or_else(|| SigV4Error::incomplete("'X-Amz-Date' must be a UTC time of the form YYYYMMDD'T'HHMMSS'Z'"))?
        .assume_utc();
    if text.get(..8) != Some(credential.date) {
        return Err(SigV4Error::invalid("Date in Credential scope does not match YYYYMMDD from 'X-Amz-Date'"));
    }
    // Both bounds are differences: a sum could leave the years that exist.
    let age = expectations.now - time;
    if age < -MAX_SKEW {
        return Err(SigV4Error::invalid(format!(
            "Signature not yet current: {text} is more than {} min. ahead of the time of the server",
            MAX_SKEW.whole_minutes()
        )));
    }
    let life = authorization.expires.unwrap_or(MAX_SKEW);
    if age > life {
        return Err(SigV4Error::invalid(format!(
            "Signature expired: {text} is more than {} s before the time of the server",
            life.whole_seconds()
        )));
    }
    Ok(())
}

/// The list of signed headers. It must be in canonical form itself, so that the
/// list that is hashed is the list that was sent.
fn parse_signed_headers(text: &str) -> Result<Vec<HeaderName>, SigV4Error> {
    let names: Option<Vec<_>> = text.split(';').map(|name| HeaderName::from_lowercase(name.as_bytes()).ok()).collect();
    let names = names.ok_or_else(|| {
        SigV4Error::incomplete("SignedHeaders must be lower-case header names separated by semicolons")
    })?;
    if !names.is_sorted_by(|left, right| left.as_str() < right.as_str()) {
        return Err(SigV4Error::incomplete("SignedHeaders must be sorted and have no name twice"));
    }
    Ok(names)
}

fn check_signed_headers(request: &Request<'_>, signed_headers: &[HeaderName]) -> Result<(), SigV4Error> {
    let amz_headers = request.headers.keys().filter(|name| is_amz(name));
    for name in std::iter::once(&HOST).chain(amz_headers) {
        if signed_headers.binary_search_by(|signed| signed.as_str().cmp(name.as_str())).is_err() {
            return Err(SigV4Error::incomplete(format!("The header '{name}' must be one of the SignedHeaders")));
        }
    }
    Ok(())
}

/// Clients normalise the path before they sign it and servers differ in how they
/// do; a path that would change is no path of ours.
fn check_path(path: &str) -> Result<(), SigV4Error> {
    let relative = path.strip_prefix('/').unwrap_or(path);
    // An empty component may only be the last one: the slash at the end.
    let is_hole = |component: &str| matches!(component, "" | "." | "..");
    let normalized = match relative.rsplit_once('/') {
        Some((head, last)) => !head.split('/').any(is_hole) && !matches!(last, "." | ".."),
        None => !matches!(relative, "." | ".."),
    };
    if normalized && (path.is_empty() || path.starts_with('/')) {
        return Ok(());
    }
    Err(SigV4Error::incomplete("The path must start with a slash and have no empty, '.' or '..' component"))
}

/// The host a request is for. HTTP/2 and absolute URIs have an authority; if
/// both are there they must agree (RFC 9113, section 8.3.1).
fn host<'a>(request: &Request<'a>) -> Result<&'a str, SigV4Error> {
    match (one_header(request, &HOST)?, request.authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            Err(SigV4Error::incomplete("The header 'host' and the authority of the request differ"))
        }
        (Some(host), _) | (None, Some(host)) if !host.is_empty() => Ok(host),
        _ => Err(SigV4Error::incomplete("The request requires a 'Host' header")),
    }
}

/// A declared body hash must be the true one. This also refuses
/// `UNSIGNED-PAYLOAD` and the `STREAMING-*` forms, which only S3 has.
fn check_declared_hash(request: &Request<'_>, query: &Query<'_>, body_hash: &str) -> Result<(), SigV4Error> {
    let header = one_header(request, &X_AMZ_CONTENT_SHA256)?;
    let parameter = query.one("X-Amz-Content-Sha256").map_err(|error| SigV4Error::incomplete(sentence(&error)))?;
    for declared in header.into_iter().chain(parameter) {
        if declared != body_hash {
            let is_special = declared == "UNSIGNED-PAYLOAD" || declared.starts_with("STREAMING-");
            return Err(SigV4Error::invalid(if is_special {
                "'x-amz-content-sha256' must be the SHA-256 of the body: unsigned and streaming payloads are not supported"
            } else {
                "'x-amz-content-sha256' is not the SHA-256 of the body received"
            }));
        }
    }
    Ok(())
}

/// Exactly 64 lower-case hexadecimal digits: no other spelling of a signature.
fn parse_signature(text: &str) -> Result<[u8; 32], SigV4Error> {
    let malformed = || SigV4Error::invalid("The signature must be 64 lower-case hexadecimal digits");
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
    let (pairs, []) = digits.as_deref().unwrap_or_default().as_chunks::<2>() else {
        return Err(malformed());
    };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().map_err(|_| malformed())
}

/// A message of the query parser as a sentence of its own.
fn sentence(error: &QueryError) -> String {
    format!("The request cannot be verified: {error}")
}
