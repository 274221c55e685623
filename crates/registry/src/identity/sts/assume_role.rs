//! `AssumeRole`.

use std::collections::{BTreeMap, BTreeSet};

use ironwharf_cloud::table::identity::RoleRecord;
use ironwharf_model::{AccountId, Error, Principal, PrincipalKind, Result};
use ironwharf_policy::iam::{Attached, Context, Decision, Effect, Policies, Policy, PolicyKind, Request, decide_trust};
use ironwharf_wire::seal::Bearer;
use ironwharf_wire::sts::shapes::{AssumeRoleRequest, AssumeRoleResponse, PolicyDescriptorType, Tag};
use ironwharf_wire::sts::{OperationName, decode, response_xml};

use super::{Call, session};
use crate::authenticate::Caller;
use crate::authorize::{self, Details, Resource};
use crate::identity::Directory;

const DEFAULT_SECONDS: i64 = 3600;

/// How long a session may last that was made from another session.
const MAX_CHAINED_SECONDS: i64 = 3600;

/// The largest session policy, in characters.
const MAX_POLICY_CHARACTERS: usize = 2_048;

/// How many managed policies can narrow a session.
const MAX_POLICY_ARNS: usize = 10;

/// The role an ARN names.
pub(super) struct RoleName<'a> {
    pub(super) account: AccountId,
    pub(super) path: &'a str,
    pub(super) name: &'a str,
}

/// A role that is there.
pub(super) struct Found {
    pub(super) role: RoleRecord,
    /// Of its account.
    pub(super) account_incarnation: String,
}

impl<'a> RoleName<'a> {
    /// Reads `arn:aws:iam::<account>:role/<path>/<name>`.
    pub(super) fn parse(arn: &'a str) -> Result<Self> {
        let parsed = arn.strip_prefix("arn:aws:iam::").and_then(|rest| {
            let (account, rest) = rest.split_once(":role")?;
            let (_, name) = rest.rsplit_once('/')?;
            let path = rest.strip_suffix(name)?;
            Some(Self { account: AccountId::parse(account).ok()?, path, name })
        });
        parsed
            .filter(|role| !role.name.is_empty() && role.path.starts_with('/'))
            .ok_or_else(|| Error::Validation { message: format!("{} is invalid", ironwharf_model::error::quoted(arn)) })
    }

    /// The role, if it is there under this path, in an account that may be used.
    pub(super) async fn find(&self, directory: &Directory) -> Result<Option<Found>> {
        let account = directory.account(&self.account).await?.filter(|account| account.active);
        let stored = directory.table().identity::<RoleRecord>(&self.account, self.name).await?;
        let role = stored.map(|stored| stored.record);
        let role = role.filter(|role| role.path == self.path && role.name == self.name);
        Ok(role.zip(account).map(|(role, account)| Found { role, account_incarnation: account.incarnation }))
    }
}

pub(super) async fn answer(call: &Call<'_>) -> Result<String> {
    const NAME: OperationName = OperationName::AssumeRole;
    let input: AssumeRoleRequest = decode(NAME, call.form)?;
    let caller = &call.caller;
    let denied = |action: &str, reason: &str| Error::AccessDenied {
        principal: caller.principal.arn(),
        action: action.to_owned(),
        resource: input.role_arn.clone(),
        reason: reason.to_owned(),
    };
    if caller.principal.is_root() {
        return Err(denied("sts:AssumeRole", "because roles may not be assumed by root accounts"));
    }
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(denied("sts:AssumeRole", "because there are no MFA devices in this registry"));
    }
    if input.source_identity.is_some() || input.provided_contexts.is_some() {
        let message = "SourceIdentity and ProvidedContexts are not served yet".to_owned();
        return Err(Error::Validation { message });
    }
    let name = RoleName::parse(&input.role_arn)?;
    // All that can be wrong with the request itself is said before the role is
    // looked for: whether it is there is nobody's business who may not assume it.
    let tags = tags(caller, input.tags.as_deref().unwrap_or_default())?;
    check_transitive(&tags, input.transitive_tag_keys.as_deref().unwrap_or_default())?;
    check_session_policies(input.policy.as_deref(), input.policy_arns.as_deref())?;
    let is_chained = matches!(caller.principal.kind, PrincipalKind::Session { .. });
    let seconds = requested_duration(input.duration_seconds, is_chained)?;
    let found = name.find(call.directory).await?;
    let trusted = match &found {
        Some(found) => check_trust(call, &input, &name, &found.role, &tags)?,
        None => Trusted::No { why: None },
    };
    let Some(Found { role, account_incarnation }) = found.filter(|_| trusted == Trusted::Yes) else {
        let why = match trusted {
            Trusted::No { why: Some(why) } => why,
            _ => refusal(caller, &input.role_arn, &name, &tags)?,
        };
        return Err(denied("sts:AssumeRole", &why));
    };
    check_duration(seconds, &role)?;
    let mut transitive = caller.bearer.transitive_tags.clone();
    transitive.extend(input.transitive_tag_keys.unwrap_or_default());
    for key in &mut transitive {
        *key = key.to_lowercase();
    }
    transitive.sort_unstable();
    transitive.dedup();
    let bearer = Bearer {
        tags: inherited(caller, tags),
        transitive_tags: transitive,
        session_policies: session_policies(call.directory, &name.account, input.policy, input.policy_arns).await?,
        ..Bearer::new(session_of(&name.account, &role, &input.role_session_name), account_incarnation, caller.now_s())
    };
    let output = AssumeRoleResponse {
        assumed_role_user: session::assumed_role_user(&bearer),
        packed_policy_size: session::packed_size(&bearer),
        credentials: Some(session::issue(call.directory, bearer, seconds).await?),
        ..AssumeRoleResponse::default()
    };
    response_xml(NAME, &output, call.request_id)
}

/// A new session of a role.
pub(super) fn session_of(account: &AccountId, role: &RoleRecord, session: &str) -> Principal {
    let kind = PrincipalKind::Session {
        path: role.path.clone(),
        role: role.name.clone(),
        id: role.id.clone(),
        session: session.to_owned(),
    };
    Principal { account: account.clone(), kind, access_key_id: session::new_key_id(account) }
}

/// How long the session is to last, of what was asked for.
pub(super) fn requested_duration(seconds: Option<i32>, chained: bool) -> Result<i64> {
    let seconds = seconds.map_or(DEFAULT_SECONDS, i64::from);
    if chained && seconds > MAX_CHAINED_SECONDS {
        let message =
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(Error::Validation { message: message.to_owned() });
    }
    Ok(seconds)
}

/// Refuses sessions that last longer than those of the role may.
pub(super) fn check_duration(seconds: i64, role: &RoleRecord) -> Result<()> {
    if seconds > role.max_session_s {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Error::Validation { message: message.to_owned() });
    }
    Ok(())
}

/// The session tags of the request. Keys are the same in any case of letters
/// (IAM User Guide: Rules for tagging in IAM and AWS STS). A tag that the caller's own session has to
/// pass on cannot be given another value.
fn tags(caller: &Caller, given: &[Tag]) -> Result<BTreeMap<String, String>> {
    let invalid = |message: String| Error::Validation { message };
    let (mut tags, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for Tag { key, value } in given {
        let shown = ironwharf_model::error::quoted(key);
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(format!("The tag key {shown} starts with aws:, which is reserved")));
        }
        let folded = key.to_lowercase();
        if caller.bearer.transitive_tags.iter().any(|passed_on| passed_on.to_lowercase() == folded) {
            return Err(invalid(format!("The tag {shown} comes from the calling session and cannot be set again")));
        }
        if !seen.insert(folded) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(invalid(message.to_owned()));
        }
        tags.insert(key.clone(), value.clone());
    }
    Ok(tags)
}

/// Refuses keys to pass on that no tag of the request has.
fn check_transitive(tags: &BTreeMap<String, String>, keys: &[String]) -> Result<()> {
    let given: BTreeSet<String> = tags.keys().map(|key| key.to_lowercase()).collect();
    let Some(key) = keys.iter().find(|key| !given.contains(&key.to_lowercase())) else { return Ok(()) };
    let shown = ironwharf_model::error::quoted(key);
    let message = format!("The specified transitive tag key {shown} must be included in the requested tags");
    Err(Error::Validation { message })
}

fn inherited(caller: &Caller, mut tags: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let passed_on: BTreeSet<String> = caller.bearer.transitive_tags.iter().map(|key| key.to_lowercase()).collect();
    let given = caller.bearer.tags.iter().filter(|(key, _)| passed_on.contains(&key.to_lowercase()));
    tags.extend(given.map(|(key, value)| (key.clone(), value.clone())));
    tags
}

/// Whether a role trusts a caller who may assume it.
#[derive(Clone, PartialEq, Eq)]
enum Trusted {
    Yes,
    /// `why`, if the caller may be told: whether there is a role in another account
    /// is no business of who may not assume it.
    No {
        why: Option<String>,
    },
}

/// Decides over the caller's policies and the role's trust policy.
///
/// # Errors
/// [`Error::AccessDenied`] to a caller who may assume the role and may not give
/// the session tags: to that one the role is no secret.
fn check_trust(
    call: &Call<'_>,
    input: &AssumeRoleRequest,
    name: &RoleName<'_>,
    role: &RoleRecord,
    tags: &BTreeMap<String, String>,
) -> Result<Trusted> {
    let caller = &call.caller;
    let trust = Policy::parse(&role.trust_policy, PolicyKind::Trust).map_err(Error::internal)?.bound(&role.trusted_ids);
    let resource = Resource::Identity { account: name.account.clone(), arn: input.role_arn.clone() };
    let mut keys = vec![("sts:RoleSessionName", input.role_session_name.clone())];
    keys.extend(input.external_id.clone().map(|id| ("sts:ExternalId", id)));
    let details =
        Details { request_tags: (!tags.is_empty()).then(|| tags.clone()), resource_tags: role.tags.clone(), keys };
    let mut context = authorize::context(caller, &resource, &details, &BTreeMap::new());
    if let Some(transitive) = &input.transitive_tag_keys {
        context.insert_list("sts:TransitiveTagKeys", transitive.iter().cloned());
    }
    let decision = decide_for(caller, "sts:AssumeRole", &input.role_arn, name, &context, &trust);
    if !decision.is_allowed() {
        let is_own_deny = decision.effect == Effect::ExplicitDeny && name.account == caller.principal.account;
        return Ok(Trusted::No { why: is_own_deny.then(|| decision.reason.to_string()) });
    }
    if !tags.is_empty() {
        let decision = decide_for(caller, "sts:TagSession", &input.role_arn, name, &context, &trust);
        if !decision.is_allowed() {
            return Err(Error::AccessDenied {
                principal: caller.principal.arn(),
                action: "sts:TagSession".to_owned(),
                resource: input.role_arn.clone(),
                reason: decision.reason.to_string(),
            });
        }
    }
    Ok(Trusted::Yes)
}

/// Why a caller may not assume a role, as far as the caller's own side tells: the
/// same for a role that is not there and for one that does not trust the caller.
fn refusal(caller: &Caller, role_arn: &str, name: &RoleName<'_>, tags: &BTreeMap<String, String>) -> Result<String> {
    // A role without tags that leaves it to the caller's account.
    let statement = format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{}"}},"Action":"sts:AssumeRole"}}"#,
        caller.principal.account
    );
    let trust = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
    let trust = Policy::parse(&trust, PolicyKind::Trust).map_err(Error::internal)?;
    let resource = Resource::Identity { account: name.account.clone(), arn: role_arn.to_owned() };
    let request_tags = (!tags.is_empty()).then(|| tags.clone());
    let details = Details { request_tags, ..Details::default() };
    let context = authorize::context(caller, &resource, &details, &BTreeMap::new());
    let decision = decide_for(caller, "sts:AssumeRole", role_arn, name, &context, &trust);
    if decision.is_allowed() {
        return Ok("because no role trust policy allows the sts:AssumeRole action".to_owned());
    }
    Ok(decision.reason.to_string())
}

fn decide_for(
    caller: &Caller,
    action: &str,
    role_arn: &str,
    role: &RoleName<'_>,
    context: &Context,
    trust: &Policy,
) -> Decision {
    let (arn, issuer) = (caller.principal.arn(), caller.principal.issuer_arn());
    let request = Request {
        requester: authorize::requester(caller, &arn, &issuer),
        action,
        resource: role_arn,
        resource_account: &role.account,
        context,
    };
    let identity: Vec<Attached<'_>> = caller.grants.identity.iter().map(|named| named.attached()).collect();
    let session: Vec<Attached<'_>> = caller.session_policies.iter().map(|named| named.attached()).collect();
    let boundary = caller.grants.boundary.as_ref().map(|named| named.attached());
    let policies = Policies { identity: &identity, boundary, session: &session, ..Policies::default() };
    decide_trust(&request, &policies, Attached { id: "TrustPolicy", policy: trust })
}

/// Refuses policies for a session that could not be anybody's.
pub(super) fn check_session_policies(inline: Option<&str>, managed: Option<&[PolicyDescriptorType]>) -> Result<()> {
    if managed.is_some_and(|managed| managed.len() > MAX_POLICY_ARNS) {
        let message = format!("PolicyArns must have at most {MAX_POLICY_ARNS} policies");
        return Err(Error::Validation { message });
    }
    let Some(text) = inline else { return Ok(()) };
    if text.chars().count() > MAX_POLICY_CHARACTERS {
        let message = format!("The session policy must have at most {MAX_POLICY_CHARACTERS} characters");
        return Err(Error::PackedPolicyTooLarge { message });
    }
    let parsed = Policy::parse(text, PolicyKind::Identity);
    parsed.map(drop).map_err(|error| Error::MalformedPolicyDocument { message: error.to_string() })
}

/// The policies that narrow a session, which have been checked: the text of the
/// inline one, the ARNs of the managed ones.
pub(super) async fn session_policies(
    directory: &Directory,
    account: &AccountId,
    inline: Option<String>,
    managed: Option<Vec<PolicyDescriptorType>>,
) -> Result<Vec<String>> {
    let malformed = |message: String| Error::MalformedPolicyDocument { message };
    let mut texts = Vec::new();
    texts.extend(inline.as_deref().map(compact));
    for arn in managed.unwrap_or_default().into_iter().filter_map(|descriptor| descriptor.arn) {
        if directory.managed_policy(account, &arn).await?.is_none() {
            let shown = ironwharf_model::error::quoted(&arn);
            return Err(malformed(format!("The policy {shown} does not exist")));
        }
        texts.push(arn);
    }
    Ok(texts)
}

/// A policy without the white space between its elements.
fn compact(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text).map_or_else(|_| text.to_owned(), |value| value.to_string())
}
