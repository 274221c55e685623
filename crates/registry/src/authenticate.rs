//! Who sent a request: a SigV4 signature on the API, a login token on the
//! data plane.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ironwharf_model::error::SignatureFailure;
use ironwharf_model::{AccountId, Error, Principal, Region, Result};
use ironwharf_wire::seal::SealedToken;
use ironwharf_wire::sigv4::{self, SigV4Error};
use time::OffsetDateTime;

use crate::config::{AppConfig, RootCredentials};
use crate::region::{OpenRegions, RegionState};

/// An authenticated request's sender, and where the request goes.
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// When the request arrived.
    pub now: OffsetDateTime,
    pub(crate) region: Arc<RegionState>,
}

impl Caller {
    /// The Region the request is for.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region.cloud.region
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.now.unix_timestamp()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// The SigV4 service name of the ECR API.
const SERVICE: &str = "ecr";

fn root_with_key<'a>(config: &'a AppConfig, access_key_id: &str) -> Option<&'a RootCredentials> {
    config.roots.iter().find(|root| root.access_key_id == access_key_id)
}

/// Verifies the signature of an API request. Its Region is the one in the
/// signature's scope.
pub(crate) async fn by_signature(
    config: &AppConfig,
    regions: &OpenRegions,
    request: &sigv4::Request<'_>,
    now: OffsetDateTime,
) -> Result<Caller> {
    let expectations = sigv4::Expectations { services: &[SERVICE], now };
    let unverified = sigv4::parse(request, &expectations).map_err(|error| refused(&error))?;
    let claim = unverified.claim();
    let root = root_with_key(config, &claim.access_key_id);
    unverified.verify(root.map(|root| root.secret_access_key.as_str())).map_err(|error| refused(&error))?;
    // A root key is not temporary: with a session token it is not itself.
    let root =
        root.filter(|_| claim.session_token.is_none()).ok_or_else(|| refused(&SigV4Error::UnrecognizedClient))?;
    let not_served = || Error::Signature {
        failure: SignatureFailure::Invalid,
        message: format!("Credential should be scoped to a Region that is served, not '{}'.", claim.region),
    };
    let region = Region::parse(&claim.region).map_err(|_| not_served())?;
    let region = regions.get(&region, true).await?.ok_or_else(not_served)?;
    let principal = Principal::root(root.account.clone(), &root.access_key_id);
    Ok(Caller { principal, now, region })
}

fn refused(error: &SigV4Error) -> Error {
    let failure = match error {
        SigV4Error::MissingAuthenticationToken => SignatureFailure::Missing,
        SigV4Error::IncompleteSignature(_) => SignatureFailure::Incomplete,
        SigV4Error::InvalidSignature(_) => SignatureFailure::Invalid,
        SigV4Error::UnrecognizedClient => SignatureFailure::UnknownKey,
    };
    Error::Signature { failure, message: error.to_string() }
}

/// Opens the login token of a data plane request. Its Region is the token's.
///
/// No credentials, or none of the right form, are answered with the challenge;
/// a token that is not (any more) good is refused, as ECR does.
pub(crate) async fn by_token(
    config: &AppConfig,
    regions: &OpenRegions,
    headers: &HeaderMap,
    now: OffsetDateTime,
) -> Result<Caller> {
    let password = basic_password(headers)?;
    let token = SealedToken::parse(&password).map_err(|_| Error::TokenRefused)?;
    let region = Region::parse(&token.header.region).map_err(|_| Error::TokenRefused)?;
    let region = regions.get(&region, false).await?.ok_or(Error::TokenRefused)?;
    let now_s = now.unix_timestamp();
    let key = region.keyring.of_day(token.header.day, now_s).await?.ok_or(Error::TokenRefused)?;
    let claims = key.open_token(&token).map_err(|_| Error::TokenRefused)?;
    if claims.expires_at_s <= now_s || claims.issued_at_s > now_s + 300 {
        return Err(Error::TokenRefused);
    }
    let account = AccountId::parse(&claims.account).map_err(|_| Error::TokenRefused)?;
    // The token is as good as the key it was asked for with.
    let key_is_known = root_with_key(config, &claims.access_key_id).is_some_and(|root| root.account == account);
    if !key_is_known {
        return Err(Error::TokenRefused);
    }
    let principal = Principal { account, arn: claims.principal, access_key_id: claims.access_key_id };
    Ok(Caller { principal, now, region })
}

/// The password of `Authorization: Basic AWS:<password>`.
fn basic_password(headers: &HeaderMap) -> Result<String> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::NotAuthenticated)?;
    if values.next().is_some() {
        return Err(Error::NotAuthenticated);
    }
    let value = value.to_str().map_err(|_| Error::NotAuthenticated)?;
    let (scheme, encoded) = value.split_once(' ').ok_or(Error::NotAuthenticated)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Error::NotAuthenticated);
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| Error::NotAuthenticated)?;
    let decoded = String::from_utf8(decoded).map_err(|_| Error::NotAuthenticated)?;
    match decoded.split_once(':') {
        Some(("AWS", password)) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(Error::NotAuthenticated),
    }
}
