//! `AssumeRoleWithWebIdentity`: a role for whoever holds a token of an OpenID
//! Connect issuer that the role's account has registered.
//!
//! Nobody signs the request; the token is all there is. (STS API Reference:
//! `AssumeRoleWithWebIdentity`; IAM User Guide: OIDC federation.)
//!
//! Invariant: nothing is said about a role before its account's issuer has
//! vouched for the token, and then a role that is not there is refused like one
//! that does not trust the token.

use http::request::Parts;
use ironwharf_cloud::table::identity::{OidcProviderRecord, RoleRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_policy::iam::{Attached, Context, Policies, Policy, PolicyKind, Request, Requester, decide_trust};
use ironwharf_wire::jwt::{ClaimValue, Claims, JwtError, UnverifiedToken};
use ironwharf_wire::query::Form;
use ironwharf_wire::seal::Bearer;
use ironwharf_wire::sts::shapes::{AssumeRoleWithWebIdentityRequest, AssumeRoleWithWebIdentityResponse};
use ironwharf_wire::sts::{OperationName, decode, response_xml};
use time::OffsetDateTime;

use super::assume_role::{
    Found, RoleName, check_duration, check_session_policies, requested_duration, session_of, session_policies,
};
use super::session;
use crate::app::App;
use crate::audit::{self, WebIdentity};
use crate::authenticate::Origin;
use crate::authorize;
use crate::identity::Directory;
use crate::identity::oidc::NoKeys;
use crate::identity::shared_issuers::{provider_arn, trusts_everybody};

/// The action, as trust policies name it.
const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// How far the clock of an issuer may be from ours, in seconds.
const LEEWAY_S: i64 = 60;

/// How old a token may be, in seconds.
const MAX_AGE_S: i64 = 24 * 3600;

/// The longest URL of a provider (IAM API Reference: `OpenIDConnectProviderUrlType`).
const MAX_URL: usize = 255;

const NAME: OperationName = OperationName::AssumeRoleWithWebIdentity;

/// Exchanges a token, and records whose it was and what became of it.
pub(crate) async fn answer(app: &App, parts: &Parts, form: &Form, request_id: &str) -> Result<String> {
    let mut identity = None;
    let result = exchange(app, parts, form, &mut identity).await;
    audit::web_identity(app, parts, form, identity, result.as_ref()).await;
    response_xml(NAME, &result?, request_id)
}

/// `identity` becomes whom the issuer vouches for, also if that is of no use.
async fn exchange(
    app: &App,
    parts: &Parts,
    form: &Form,
    identity: &mut Option<WebIdentity>,
) -> Result<AssumeRoleWithWebIdentityResponse> {
    let input: AssumeRoleWithWebIdentityRequest = decode(NAME, form)?;
    if input.provider_id.is_some() {
        let message = "ProviderId is for OAuth 2.0 access tokens, which are not accepted".to_owned();
        return Err(Error::Validation { message });
    }
    check_session_policies(input.policy.as_deref(), input.policy_arns.as_deref())?;
    let seconds = requested_duration(input.duration_seconds, false)?;
    let (now, directory) = (OffsetDateTime::now_utc(), app.directory().await?);
    let name = RoleName::parse(&input.role_arn)?;
    let vouched = vouched(app, &directory, &name, &input.web_identity_token, now.unix_timestamp()).await?;
    *identity = Some(WebIdentity {
        provider: provider_arn(&name.account, &vouched.url),
        audience: vouched.audience.clone(),
        subject: vouched.claims.subject.clone(),
    });
    let found = name.find(&directory).await?;
    let Found { role, account_incarnation } = found.ok_or(Error::NotAuthorized { action: ACTION })?;
    let context = context(app, parts, &name, &role, &vouched, &input.role_session_name, now);
    check_trust(&input.role_arn, &name, &role, &vouched.url, &context)?;
    check_duration(seconds, &role)?;
    let bearer = Bearer {
        session_policies: session_policies(&directory, &name.account, input.policy, input.policy_arns).await?,
        ..Bearer::new(
            session_of(&name.account, &role, &input.role_session_name),
            account_incarnation,
            now.unix_timestamp(),
        )
    };
    Ok(AssumeRoleWithWebIdentityResponse {
        subject_from_web_identity_token: Some(vouched.claims.subject),
        assumed_role_user: session::assumed_role_user(&bearer),
        packed_policy_size: session::packed_size(&bearer),
        provider: Some(vouched.url),
        audience: Some(vouched.audience),
        credentials: Some(session::issue(&directory, bearer, seconds).await?),
        ..AssumeRoleWithWebIdentityResponse::default()
    })
}

/// What an issuer says of somebody, to the account of a role.
struct Vouched {
    /// The issuer's URL without scheme.
    url: String,
    claims: Claims,
    /// The audience that made it acceptable.
    audience: String,
}

/// Checks a token: that an issuer which the account has registered signed it,
/// for the account, and that it is good now.
async fn vouched(app: &App, directory: &Directory, role: &RoleName<'_>, token: &str, now_s: i64) -> Result<Vouched> {
    let token = UnverifiedToken::parse(token).map_err(|error| invalid(&error))?;
    let issuer = token.issuer().map_err(|error| invalid(&error))?.to_owned();
    let provider = provider(directory, role, &issuer).await?;
    let keys = app.issuers().keys(&issuer, &token).await.map_err(|NoKeys| {
        let message = "Couldn't retrieve verification key from your identity provider, please reference \
                       AssumeRoleWithWebIdentity documentation for requirements";
        Error::IdpCommunicationError { message: message.to_owned() }
    })?;
    let claims = token.verify(&keys).map_err(|error| invalid(&error))?;
    let audience = claims.audience_among(&provider.client_ids).map(str::to_owned);
    let audience = audience.ok_or_else(|| refused("Incorrect token audience".to_owned()))?;
    check_time(&claims, now_s)?;
    Ok(Vouched { url: provider.url, claims, audience })
}

fn invalid(error: &JwtError) -> Error {
    refused(error.to_string())
}

fn refused(message: String) -> Error {
    Error::InvalidIdentityToken { message }
}

/// The provider that the role's account has for an issuer. An account that is
/// not there has none.
async fn provider(directory: &Directory, role: &RoleName<'_>, issuer: &str) -> Result<OidcProviderRecord> {
    let unknown = || refused(format!("No OpenIDConnect provider found in your account for {}", quoted(issuer)));
    let url = issuer.strip_prefix("https://").filter(|url| (1..=MAX_URL).contains(&url.len())).ok_or_else(unknown)?;
    let stored = directory.table().identity::<OidcProviderRecord>(&role.account, url).await?;
    let provider = stored.map(|stored| stored.record).filter(|provider| provider.url == url).ok_or_else(unknown)?;
    let is_active = directory.account(&role.account).await?.is_some_and(|account| account.active);
    if is_active { Ok(provider) } else { Err(unknown()) }
}

fn check_time(claims: &Claims, now_s: i64) -> Result<()> {
    let expires_at_s = claims.expires_at_s;
    if expires_at_s.saturating_add(LEEWAY_S) <= now_s {
        let message =
            format!("Token expired: current date/time {now_s} must be before the expiration date/time {expires_at_s}");
        return Err(Error::ExpiredWebIdentityToken { message });
    }
    let earliest = now_s.saturating_add(LEEWAY_S);
    if claims.not_before_s.is_some_and(|not_before_s| not_before_s > earliest) || claims.issued_at_s > earliest {
        return Err(refused("The token is not valid yet: its nbf or iat is in the future".to_owned()));
    }
    if claims.issued_at_s < now_s.saturating_sub(MAX_AGE_S) {
        return Err(refused("The token was issued more than 24 hours ago".to_owned()));
    }
    Ok(())
}

/// The condition keys of the request. (IAM User Guide: IAM and AWS STS condition
/// context keys, "Available keys for AWS OIDC federation".)
fn context(
    app: &App,
    parts: &Parts,
    name: &RoleName<'_>,
    role: &RoleRecord,
    vouched: &Vouched,
    session: &str,
    now: OffsetDateTime,
) -> Context {
    let mut context = Context::new();
    for (claim, value) in vouched.claims.texts() {
        let key = format!("{}:{claim}", vouched.url);
        match value {
            ClaimValue::One(text) => context.insert(&key, text),
            ClaimValue::Many(texts) => context.insert_list(&key, texts),
        }
    }
    // A condition on the audience is one on a single value.
    context.insert(&format!("{}:aud", vouched.url), &vouched.audience);
    // Behind the claims, so that none of them can stand for one of these.
    authorize::of_origin(&Origin::of(app, parts), now, &app.config().region, &mut context);
    context.insert("aws:FederatedProvider", provider_arn(&name.account, &vouched.url));
    context.insert("aws:ResourceAccount", name.account.as_str());
    for (key, value) in &role.tags {
        context.insert(&format!("aws:ResourceTag/{key}"), value);
        context.insert(&format!("iam:ResourceTag/{key}"), value);
    }
    context.insert("sts:RoleSessionName", session);
    context
}

/// Refuses tokens that the role does not trust.
fn check_trust(role_arn: &str, name: &RoleName<'_>, role: &RoleRecord, url: &str, context: &Context) -> Result<()> {
    let trust = Policy::parse(&role.trust_policy, PolicyKind::Trust).map_err(Error::internal)?;
    let provider = provider_arn(&name.account, url);
    let request = Request {
        requester: Requester::Federated { provider: &provider },
        action: ACTION,
        resource: role_arn,
        resource_account: &name.account,
        context,
    };
    let decision = decide_trust(&request, &Policies::default(), Attached { id: "TrustPolicy", policy: &trust });
    if decision.is_allowed() && !trusts_everybody(&trust, &name.account, url) {
        return Ok(());
    }
    Err(Error::NotAuthorized { action: ACTION })
}
