//! Who sent a request: a SigV4 signature on the APIs, a login token on the
//! data plane.
//!
//! Invariant: whatever proves who somebody is, they are looked up before they
//! may do anything: a key, a user, a role or an account that is gone, switched
//! off or revoked ends access however good its credentials were.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use ironwharf_model::error::SignatureFailure;
use ironwharf_model::{Error, Principal, PrincipalKind, Region, Result, account_of_access_key};
use ironwharf_wire::seal::{Bearer, SealedSession, SealedToken, SessionClaims, TokenClaims};
use ironwharf_wire::sigv4::{self, Claim, SigV4Error, Unverified};
use time::OffsetDateTime;

use crate::app::App;
use crate::audit;
use crate::identity::grants::NamedPolicy;
use crate::identity::{Directory, Grants};
use crate::region::RegionState;
use crate::throttle::Throttle;

/// The address of whoever sent a request, as an extension of it. Whoever
/// accepts the connection sets it; no header does.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// An authenticated request's sender, and where the request goes.
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// When the request arrived.
    pub now: OffsetDateTime,
    /// What the credentials say besides.
    pub(crate) bearer: Bearer,
    /// What the caller's own policies say.
    pub(crate) grants: Arc<Grants>,
    /// The policies of the caller's session, which narrow the others.
    pub(crate) session_policies: Vec<NamedPolicy>,
    /// Where the request comes from.
    pub(crate) origin: Origin,
    /// What it says, as far as the audit trail keeps it.
    pub(crate) parameters: Option<serde_json::Value>,
    /// The registry that a host without an account leads to.
    pub(crate) registry: ironwharf_model::AccountId,
    pub(crate) region: Arc<RegionState>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) throttle: Arc<Throttle>,
    /// What of refusals is kept in the trails of other accounts.
    pub(crate) foreign: Arc<audit::Foreign>,
}

/// Where a request comes from, as conditions of policies can ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) source_ip: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
    pub(crate) secure: bool,
    pub(crate) request_id: String,
    /// The method and path of a request of the data plane.
    pub(crate) data_plane: Option<(String, String)>,
}

/// The id of a request, as an extension of it.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

impl Origin {
    pub(crate) fn of(app: &App, parts: &Parts) -> Self {
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let path = parts.uri.path();
        let data_plane = path.starts_with("/v2").then(|| (parts.method.to_string(), path.to_owned()));
        Self {
            data_plane,
            request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            source_ip: parts.extensions.get::<ClientAddress>().map(|address| address.0),
            user_agent: user_agent.map(|agent| agent.chars().take(256).collect()),
            secure: app.config().registry_host.scheme() == "https",
        }
    }
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

/// What a signed request proved.
enum Proof {
    /// The key of a user or root.
    Key(Bearer),
    /// A session that has not ended.
    Session(SessionClaims),
}

/// Verifies the signature of an API request. Its Region is the one in the
/// signature's scope. `action` is what it asks for, for the audit trail.
pub(crate) async fn by_signature(
    app: &App,
    parts: &Parts,
    request: &sigv4::Request<'_>,
    services: &[&str],
    action: &str,
    now: OffsetDateTime,
) -> Result<Caller> {
    let expectations = sigv4::Expectations { services, now };
    let unverified = sigv4::parse(request, &expectations).map_err(|error| refused(&error))?;
    let key = unverified.claim().access_key_id.clone();
    let verified = verify(app, parts, unverified, now).await;
    if let (Err(error @ Error::Signature { .. }), Some(account)) = (&verified, account_of_access_key(&key)) {
        audit::unproven(app, parts, action, &account, &key, error).await;
    }
    verified
}

async fn verify(app: &App, parts: &Parts, unverified: Unverified, now: OffsetDateTime) -> Result<Caller> {
    let directory = app.directory().await?;
    let (proof, secret) = proof(&directory, unverified.claim(), now.unix_timestamp()).await?.unzip();
    let claim = unverified.claim().clone();
    unverified.verify(secret.as_deref()).map_err(|error| refused(&error))?;
    let unknown = || refused(&SigV4Error::UnrecognizedClient);
    let bearer = match proof.ok_or_else(unknown)? {
        Proof::Key(bearer) => bearer,
        Proof::Session(claims) if claims.expires_at_s <= now.unix_timestamp() => {
            let message = "The security token included in the request is expired".to_owned();
            return Err(Error::Signature { failure: SignatureFailure::Expired, message });
        }
        Proof::Session(claims) => claims.bearer,
    };
    let not_served = || Error::Signature {
        failure: SignatureFailure::Invalid,
        message: format!("Credential should be scoped to a Region that is served, not '{}'.", claim.region),
    };
    let region = Region::parse(&claim.region).map_err(|_| not_served())?;
    if !source_is_good(&directory, &bearer, now.unix_timestamp(), &claim.region, &claim.service).await? {
        return Err(unknown());
    }
    let grants = standing(&directory, &bearer, bearer.issued_at_s).await?.ok_or_else(unknown)?;
    // Only now: what an unknown caller names is not worth a Region.
    let region = app.regions().get(&region, true).await?.ok_or_else(not_served)?;
    let registry = bearer.principal.account.clone();
    caller(app, parts, bearer, grants, registry, region, now).await
}

/// What the request's credentials would prove, and the secret that does it.
async fn proof(directory: &Directory, claim: &Claim, now_s: i64) -> Result<Option<(Proof, String)>> {
    let Some(token) = &claim.session_token else {
        let key = directory.key(&claim.access_key_id, now_s, &claim.region, &claim.service).await?;
        let Some(key) = key else { return Ok(None) };
        let principal = match &key.user {
            None => Principal::root(key.account.clone(), &claim.access_key_id),
            Some(name) => {
                let Some(user) = directory.user(&key.account, name).await? else { return Ok(None) };
                let (path, id) = (user.path.clone(), user.id.clone());
                let kind = PrincipalKind::User { path, name: name.clone(), id };
                Principal { account: key.account.clone(), kind, access_key_id: claim.access_key_id.clone() }
            }
        };
        let Some(account) = directory.account(&key.account).await? else { return Ok(None) };
        let bearer = Bearer::new(principal, account.incarnation, now_s);
        return Ok(Some((Proof::Key(bearer), key.secret.clone())));
    };
    let Ok(sealed) = SealedSession::parse(token) else { return Ok(None) };
    let home = directory.home();
    if sealed.header.region != home.cloud.region.as_str() {
        return Ok(None);
    }
    let Some(key) = home.keyring.of_day(sealed.header.day, now_s).await? else { return Ok(None) };
    let Ok(claims) = key.open_session(&sealed) else { return Ok(None) };
    if claims.bearer.principal.access_key_id != claim.access_key_id {
        return Ok(None);
    }
    let secret = key.session_secret(&claim.access_key_id);
    Ok(Some((Proof::Session(claims), secret)))
}

/// Whether the key that a session was asked for with, if it was with one, may
/// still be used.
async fn source_is_good(
    directory: &Directory,
    bearer: &Bearer,
    now_s: i64,
    region: &str,
    service: &str,
) -> Result<bool> {
    match &bearer.source_key {
        None => Ok(true),
        Some(key) => is_good(directory, bearer, key, now_s, region, service).await,
    }
}

/// Whether a long-term key of a bearer's account may be used.
async fn is_good(
    directory: &Directory,
    bearer: &Bearer,
    key: &str,
    now_s: i64,
    region: &str,
    service: &str,
) -> Result<bool> {
    let key = directory.key(key, now_s, region, service).await?;
    Ok(key.is_some_and(|key| key.account == bearer.principal.account))
}

/// What a bearer may do, if its credentials, issued at `issued_at_s`, are
/// still good.
async fn standing(directory: &Directory, bearer: &Bearer, issued_at_s: i64) -> Result<Option<Arc<Grants>>> {
    let Some(account) = directory.account(&bearer.principal.account).await? else { return Ok(None) };
    // An account that was deleted and made again has nothing of the first one's.
    if account.incarnation != bearer.account_incarnation {
        return Ok(None);
    }
    let Some(grants) = directory.grants(&bearer.principal).await? else { return Ok(None) };
    let revoked = account.revoked_before_s.max(grants.revoked_before_s) > issued_at_s;
    Ok((account.active && !revoked).then_some(grants))
}

/// Puts a caller together.
async fn caller(
    app: &App,
    parts: &Parts,
    bearer: Bearer,
    grants: Arc<Grants>,
    registry: ironwharf_model::AccountId,
    region: Arc<RegionState>,
    now: OffsetDateTime,
) -> Result<Caller> {
    let directory = app.directory().await?;
    let mut session_policies = Vec::with_capacity(bearer.session_policies.len());
    for policy in &bearer.session_policies {
        session_policies.push(directory.session_policy(&bearer.principal.account, policy).await?);
    }
    let principal = bearer.principal.clone();
    let parameters = None;
    let origin = Origin::of(app, parts);
    let (throttle, foreign) = (Arc::clone(app.throttle()), Arc::clone(app.foreign()));
    Ok(Caller {
        principal,
        now,
        bearer,
        grants,
        session_policies,
        origin,
        parameters,
        registry,
        region,
        directory,
        throttle,
        foreign,
    })
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
/// a token that is not (any more) good is refused, as ECR does. `action` is what
/// is asked for, for the audit trail.
pub(crate) async fn by_token(app: &App, parts: &Parts, action: Option<&str>, now: OffsetDateTime) -> Result<Caller> {
    let password = basic_password(&parts.headers)?;
    let token = SealedToken::parse(&password).map_err(|_| Error::TokenRefused)?;
    let region = Region::parse(&token.header.region).map_err(|_| Error::TokenRefused)?;
    let region = app.regions().get(&region, false).await?.ok_or(Error::TokenRefused)?;
    let now_s = now.unix_timestamp();
    let key = region.keyring.of_day(token.header.day, now_s).await?.ok_or(Error::TokenRefused)?;
    let claims = key.open_token(&token).map_err(|_| Error::TokenRefused)?;
    let is_timely = claims.expires_at_s > now_s && claims.issued_at_s <= now_s + 300;
    let directory = app.directory().await?;
    let grants = if is_timely { token_standing(&directory, &claims, now_s).await? } else { None };
    let TokenClaims { bearer, registry, .. } = claims;
    let Some(grants) = grants else {
        let Principal { account, access_key_id, .. } = &bearer.principal;
        if let Some(action) = action {
            audit::unproven(app, parts, action, account, access_key_id, &Error::TokenRefused).await;
        }
        return Err(Error::TokenRefused);
    };
    caller(app, parts, bearer, grants, registry, region, now).await
}

/// What the bearer of a login token may do. The token is as good as the key it
/// was asked for with.
async fn token_standing(directory: &Directory, claims: &TokenClaims, now_s: i64) -> Result<Option<Arc<Grants>>> {
    let (bearer, region) = (&claims.bearer, &claims.region);
    let key = &bearer.principal.access_key_id;
    if !key.starts_with(TEMPORARY) && !is_good(directory, bearer, key, now_s, region, "ecr").await? {
        return Ok(None);
    }
    if !source_is_good(directory, bearer, now_s, region, "ecr").await? {
        return Ok(None);
    }
    // Of a session, what was issued is the session, not the token.
    standing(directory, &claims.bearer, claims.bearer.issued_at_s).await
}

/// What the ids of temporary credentials start with.
pub(crate) const TEMPORARY: &str = "ASIA";

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
