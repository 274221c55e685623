//! Who may do what: the one step between authentication and every handler.
//!
//! Invariant: a [`Permit`] is made here and nowhere else.
//! Invariant: a permit for a registry has the storage of that registry's account
//! and of no other; a handler takes table and objects from there.
//! Invariant: a refusal says the same whether or not its resource exists.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ironwharf_cloud::table::Repository;
use ironwharf_cloud::{Mode, Objects, Table, TenantStorage};
use ironwharf_model::{
    AccountId, Error, PrincipalKind, Region, RepositoryArn, RepositoryName, Result, TemplatePrefix, arn,
};
use ironwharf_policy::iam::{Attached, Context, Decision, Policies, Policy, Request, Requester, decide};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit;
use crate::authenticate::{Caller, Origin, TEMPORARY};

/// What a request acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A registry as a whole (`*` in a policy).
    Registry {
        /// Its account.
        account: AccountId,
    },
    /// All repositories of a registry (`repository/*`).
    Catalog {
        /// The registry's account.
        account: AccountId,
    },
    /// All repositories that a creation template is for (`repository/prod/*`).
    Under {
        /// The registry's account.
        account: AccountId,
        /// The template's prefix.
        prefix: TemplatePrefix,
    },
    /// One repository.
    Repository {
        /// The registry's account.
        account: AccountId,
        /// The repository.
        name: RepositoryName,
    },
    /// Something that is no registry's: a user, a role, an account.
    Identity {
        /// The account it belongs to.
        account: AccountId,
        /// Its ARN, or `*`.
        arn: String,
    },
}

impl Resource {
    pub(crate) const fn account(&self) -> &AccountId {
        match self {
            Self::Registry { account }
            | Self::Catalog { account }
            | Self::Under { account, .. }
            | Self::Repository { account, .. }
            | Self::Identity { account, .. } => account,
        }
    }

    /// How policies and messages name it.
    fn arn(&self, region: &Region) -> String {
        match self {
            Self::Registry { .. } => "*".to_owned(),
            Self::Catalog { account } | Self::Under { account, prefix: TemplatePrefix::Root } => {
                format!("arn:{}:ecr:{region}:{account}:repository/*", arn::partition(region))
            }
            Self::Under { account, prefix } => {
                format!("arn:{}:ecr:{region}:{account}:repository/{prefix}/*", arn::partition(region))
            }
            Self::Repository { account, name } => RepositoryArn { region, account, repository: name }.to_string(),
            Self::Identity { arn, .. } => arn.clone(),
        }
    }
}

/// What an action is asked for with, besides its resource.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// The resource tags in the request (`aws:RequestTag`, `aws:TagKeys`).
    pub request_tags: Option<BTreeMap<String, String>>,
    /// The tags of the resource (`aws:ResourceTag`), where it is no repository.
    pub resource_tags: BTreeMap<String, String>,
    /// Condition keys of the action's own.
    pub keys: Vec<(&'static str, String)>,
}

/// That a caller may perform an action on a resource.
pub struct Permit {
    caller: Caller,
    action: String,
    resource: Resource,
    /// The event of the call, if it may change something.
    audit: Option<audit::Pending>,
    /// Whether a refusal of this very action is in the trail.
    refusal_noted: AtomicBool,
    mode: Mode,
    /// The storage of the resource's account; none for what is no registry's.
    storage: Option<Arc<TenantStorage>>,
    /// Its table, whose transactions take the event along.
    table: Option<Table>,
}

impl Permit {
    fn new(caller: Caller, mode: Mode, action: &str, resource: Resource, admitted: Admitted) -> Self {
        let Admitted { audit, storage } = admitted;
        let (action, refusal_noted) = (action.to_owned(), AtomicBool::new(false));
        let mut permit = Self { caller, action, resource, audit, refusal_noted, mode, storage: None, table: None };
        permit.table = storage.as_ref().map(|storage| permit.audited(&storage.table));
        permit.storage = storage;
        permit
    }

    /// `table`, with transactions that take the event of this call along.
    pub(crate) fn audited(&self, table: &Table) -> Table {
        self.audit.as_ref().map_or_else(|| table.clone(), |audit| audit.with(table))
    }

    /// The caller.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The registry acted on.
    #[must_use]
    pub const fn registry(&self) -> &AccountId {
        self.resource.account()
    }

    pub(crate) fn region(&self) -> &crate::region::RegionState {
        &self.caller.region
    }

    /// The metadata of the registry acted on, and of no other.
    ///
    /// # Errors
    /// [`Error::Internal`] for an action on something that is no registry's.
    pub(crate) fn table(&self) -> Result<&Table> {
        self.table.as_ref().ok_or_else(no_registry)
    }

    /// The blobs of the registry acted on, and of no other.
    ///
    /// # Errors
    /// As [`Permit::table`].
    pub(crate) fn objects(&self) -> Result<&Objects> {
        self.storage.as_deref().map(|storage| &storage.objects).ok_or_else(no_registry)
    }

    /// The repository acted on, as it is stored.
    pub(crate) async fn find_repository(&self) -> Result<Arc<Repository>> {
        self.region().repository(self.table()?, self.registry(), self.repository()?).await
    }

    /// The repository acted on.
    ///
    /// # Errors
    /// [`Error::Internal`] for an action on a registry as a whole.
    pub(crate) fn repository(&self) -> Result<&RepositoryName> {
        match &self.resource {
            Resource::Repository { name, .. } => Ok(name),
            _ => Err(Error::internal("an action on a registry asked for its repository")),
        }
    }

    /// Whether the caller may perform another action on another resource too.
    pub(crate) async fn also(&self, action: &str, resource: &Resource, details: &Details) -> Result<bool> {
        match check(&self.caller, self.mode, action, resource, details).await {
            Ok(_) => Ok(true),
            Err(Error::AccessDenied { .. } | Error::AccountSuspended) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Calls what is done by another name in the audit trail: that of an action
    /// which the request is all of.
    pub(crate) fn record_as(&mut self, action: &str) {
        action.clone_into(&mut self.action);
        let arn = self.resource.arn(self.caller.region());
        self.audit = audit::Pending::of(act(&self.caller, action, &self.resource, &arn));
        self.table = self.storage.as_ref().map(|storage| self.audited(&storage.table));
    }

    /// The table of the registry, with the event of a repository that a push to
    /// it creates instead of the event of the push.
    pub(crate) fn table_for_creation_on_push(&self, parameters: &serde_json::Value) -> Result<Table> {
        let storage = self.storage.as_ref().ok_or_else(no_registry)?;
        let arn = self.resource.arn(self.caller.region());
        let act = act(&self.caller, "ecr:CreateRepository", &self.resource, &arn);
        Ok(audit::Pending::of_creation_on_push(act, parameters).with(&storage.table))
    }

    /// Refuses what the caller may not do besides, as [`authorize`] does.
    pub(crate) async fn require(&self, action: &str, resource: &Resource, details: &Details) -> Result<()> {
        let checked = check(&self.caller, self.mode, action, resource, details).await.map(drop);
        if let Err(error) = &checked {
            act(&self.caller, action, resource, &resource.arn(self.caller.region())).failed(error).await;
            self.refusal_noted.fetch_or(action == self.action, Ordering::Relaxed);
        }
        checked
    }

    /// Notes a change that no transaction of the call has made.
    pub(crate) async fn note_change(&self) {
        if let Some(audit) = &self.audit {
            audit.note(&self.caller.region.cloud.table).await;
        }
    }

    /// Completes the audit trail once the call is done, with an error or without.
    pub(crate) async fn conclude(&self, error: Option<&Error>) {
        match (error, &self.audit) {
            (None, Some(audit)) => {
                if audit.always() {
                    audit.note(&self.caller.region.cloud.table).await;
                }
                if *self.registry() != self.caller.principal.account {
                    audit.note_for_caller(&self.caller).await;
                }
            }
            (None, None) => {}
            // A call that only looks has got its answer.
            (Some(error), None) if audit::is_absence(error) => {}
            (Some(Error::AccessDenied { .. }), _) if self.refusal_noted.load(Ordering::Relaxed) => {}
            (Some(error), _) => {
                let arn = self.resource.arn(self.caller.region());
                act(&self.caller, &self.action, &self.resource, &arn).failed(error).await;
            }
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Permit").field("resource", &self.resource).finish_non_exhaustive()
    }
}

/// Decides whether `caller` may perform `action` (such as `iam:CreateUser`),
/// which needs nobody's storage.
///
/// # Errors
/// [`Error::AccessDenied`], which says who may not do what to which resource,
/// and which kind of policy decided.
pub async fn authorize(caller: Caller, action: &str, resource: Resource, details: &Details) -> Result<Permit> {
    let admitted = admit(&caller, Mode::Read, action, &resource, details).await?;
    let admitted = Admitted { storage: None, ..admitted };
    Ok(Permit::new(caller, Mode::Read, action, resource, admitted))
}

/// Decides whether `caller` may perform `action` (such as `ecr:PutImage`) in a
/// registry; the permit has the registry's storage, for `mode`.
///
/// # Errors
/// As [`authorize`].
pub async fn authorize_in_registry(
    caller: Caller,
    mode: Mode,
    action: &str,
    resource: Resource,
    details: &Details,
) -> Result<Permit> {
    let admitted = admit(&caller, mode, action, &resource, details).await?;
    Ok(Permit::new(caller, mode, action, resource, admitted))
}

fn no_registry() -> Error {
    Error::internal("an action on no registry asked for a registry's storage")
}

/// What comes with being let in.
struct Admitted {
    audit: Option<audit::Pending>,
    storage: Option<Arc<TenantStorage>>,
}

/// Waits for the caller's turn and decides; a refusal goes into the audit trail.
async fn admit(caller: &Caller, mode: Mode, action: &str, resource: &Resource, details: &Details) -> Result<Admitted> {
    let admitted = match caller.throttle.pass(&caller.principal.account, caller.region(), action).await {
        Ok(()) => check(caller, mode, action, resource, details).await,
        Err(refused) => Err(refused),
    };
    let arn = resource.arn(caller.region());
    let act = act(caller, action, resource, &arn);
    match admitted {
        Ok(storage) => Ok(Admitted { audit: audit::Pending::of(act), storage }),
        Err(error) => {
            act.failed(&error).await;
            Err(error)
        }
    }
}

fn act<'a>(caller: &'a Caller, action: &'a str, resource: &'a Resource, arn: &'a str) -> audit::Act<'a> {
    audit::Act { caller, action, recipient: resource.account(), resource: arn }
}

/// Decides, and gives the storage that the policies of the resource were in:
/// that of the account which owns it.
async fn check(
    caller: &Caller,
    mode: Mode,
    action: &str,
    resource: &Resource,
    details: &Details,
) -> Result<Option<Arc<TenantStorage>>> {
    if is_beyond_session_tokens(caller, action) {
        let reason = "because credentials of GetSessionToken without multi-factor authentication cannot call it";
        return Err(denied(caller, action, resource, reason.to_owned()));
    }
    let account = resource.account();
    // A stranger's account that is suspended, or not there at all, has nothing
    // to give; the caller's own was looked at when it was authenticated.
    if *account != caller.principal.account {
        let state = caller.directory.account(account).await?;
        if !state.is_some_and(|state| state.active) {
            return Err(denied(
                caller,
                action,
                resource,
                format!("because no resource-based policy allows the {action} action"),
            ));
        }
    }
    let storage = match resource {
        Resource::Identity { .. } => None,
        _ => Some(caller.region.cloud.tenants.storage(account, mode).await?),
    };
    let rules = match &storage {
        None => None,
        Some(storage) => Some(caller.region.registry_rules(&storage.table, account).await?),
    };
    let of_registry = rules.as_ref().and_then(|rules| rules.policy_for(action));
    let (of_repository, labels) = match (resource, &storage) {
        (Resource::Repository { account, name }, Some(storage)) => {
            caller.region.access_of(&storage.table, account, name).await?
        }
        _ => (None, BTreeMap::new()),
    };
    let policies = ResourcePolicies { repository: of_repository.as_deref(), registry: of_registry };
    let decision = decide_with(caller, action, resource, details, &labels, policies);
    if !decision.is_allowed() {
        return Err(denied(caller, action, resource, decision.reason.to_string()));
    }
    if rules.is_some_and(|rules| !rules.started) {
        caller.region.start_registry(account, caller.now_ms()).await?;
    }
    Ok(storage)
}

/// Whether the caller has credentials of `GetSessionToken`, which open neither IAM
/// nor STS, and the action is one of theirs. (STS API Reference: `GetSessionToken`,
/// "You cannot call any IAM API operations unless MFA authentication information
/// is included in the request. You cannot call any STS API except `AssumeRole` or
/// `GetCallerIdentity`.") Those two are not authorized here.
fn is_beyond_session_tokens(caller: &Caller, action: &str) -> bool {
    let is_of_key = !matches!(caller.principal.kind, PrincipalKind::Session { .. });
    let is_session = is_of_key && caller.principal.access_key_id.starts_with(TEMPORARY);
    is_session && (action.starts_with("iam:") || action.starts_with("sts:"))
}

/// The policies on the side of the resource.
#[derive(Clone, Copy, Default)]
pub(crate) struct ResourcePolicies<'a> {
    pub(crate) repository: Option<&'a Policy>,
    pub(crate) registry: Option<&'a Policy>,
}

/// The decision under given resource policies: those that are there, or those
/// that somebody is about to set.
pub(crate) fn decide_with(
    caller: &Caller,
    action: &str,
    resource: &Resource,
    details: &Details,
    labels: &BTreeMap<String, String>,
    resource_policies: ResourcePolicies<'_>,
) -> Decision {
    let context = context(caller, resource, details, labels);
    let (arn, issuer) = (caller.principal.arn(), caller.principal.issuer_arn());
    let request = Request {
        requester: requester(caller, &arn, &issuer),
        action,
        resource: &resource.arn(caller.region()),
        resource_account: resource.account(),
        context: &context,
    };
    let identity: Vec<Attached<'_>> = caller.grants.identity.iter().map(|named| named.attached()).collect();
    let session: Vec<Attached<'_>> = caller.session_policies.iter().map(|named| named.attached()).collect();
    decide(
        &request,
        &Policies {
            identity: &identity,
            boundary: caller.grants.boundary.as_ref().map(|named| named.attached()),
            session: &session,
            repository: resource_policies.repository.map(|policy| Attached { id: "RepositoryPolicy", policy }),
            registry: resource_policies.registry.map(|policy| Attached { id: "RegistryPolicy", policy }),
        },
    )
}

/// The caller as policies see it.
pub(crate) fn requester<'a>(caller: &'a Caller, arn: &'a str, issuer: &'a str) -> Requester<'a> {
    let (account, incarnation) = (&caller.principal.account, caller.bearer.account_incarnation.as_str());
    match &caller.principal.kind {
        PrincipalKind::Root => Requester::Root { account, incarnation },
        PrincipalKind::User { id, .. } => Requester::User { account, incarnation, arn, id },
        PrincipalKind::Session { id, .. } => {
            Requester::Session { account, incarnation, role_arn: issuer, session_arn: arn, id }
        }
    }
}

fn denied(caller: &Caller, action: &str, resource: &Resource, reason: String) -> Error {
    Error::AccessDenied {
        principal: caller.principal.arn(),
        action: action.to_owned(),
        resource: resource.arn(caller.region()),
        reason,
    }
}

/// The condition keys of a request. (IAM User Guide: AWS global condition
/// context keys; Service Authorization Reference: Amazon ECR.)
pub(crate) fn context(
    caller: &Caller,
    resource: &Resource,
    details: &Details,
    labels: &BTreeMap<String, String>,
) -> Context {
    let mut context = Context::new();
    of_caller(caller, &mut context);
    context.insert("aws:ResourceAccount", resource.account().as_str());
    for (key, value) in labels {
        context.add(&format!("aws:ResourceTag/{key}"), value);
        context.add(&format!("ecr:ResourceTag/{key}"), value);
    }
    for (key, value) in &details.resource_tags {
        context.insert(&format!("aws:ResourceTag/{key}"), value);
        context.insert(&format!("iam:ResourceTag/{key}"), value);
    }
    if let Some(tags) = &details.request_tags {
        for (key, value) in tags {
            // The registry's tags know case and condition keys do not.
            context.add(&format!("aws:RequestTag/{key}"), value);
        }
        context.insert_list("aws:TagKeys", tags.keys().cloned());
    }
    for (key, value) in &details.keys {
        context.insert(key, value);
    }
    context
}

fn of_caller(caller: &Caller, context: &mut Context) {
    let principal = &caller.principal;
    context.insert("aws:PrincipalArn", principal.issuer_arn());
    context.insert("aws:PrincipalAccount", principal.account.as_str());
    context.insert("aws:userid", principal.user_id());
    context.insert("aws:PrincipalIsAWSService", "false");
    of_origin(&caller.origin, caller.now, caller.region(), context);
    let kind = match &principal.kind {
        PrincipalKind::Root => "Account",
        PrincipalKind::User { name, .. } => {
            context.insert("aws:username", name);
            "User"
        }
        PrincipalKind::Session { .. } => "AssumedRole",
    };
    context.insert("aws:PrincipalType", kind);
    // A session's tags come before those of its role; the context's names have no
    // case, so also where they are written in another one.
    for (key, value) in caller.grants.tags.iter().chain(&caller.bearer.tags) {
        context.insert(&format!("aws:PrincipalTag/{key}"), value);
    }
    if principal.access_key_id.starts_with(TEMPORARY) {
        // There are no devices here that could have been used. (AWS global
        // condition context keys: the key is there for temporary credentials.)
        context.insert("aws:MultiFactorAuthPresent", "false");
        context.insert("aws:TokenIssueTime", date(caller.bearer.issued_at_s));
    }
}

/// The condition keys of where a request comes from, whoever sent it.
pub(crate) fn of_origin(origin: &Origin, now: OffsetDateTime, region: &Region, context: &mut Context) {
    context.insert("aws:CurrentTime", date(now.unix_timestamp()));
    context.insert("aws:EpochTime", now.unix_timestamp().to_string());
    context.insert("aws:RequestedRegion", region.as_str());
    context.insert("aws:SecureTransport", origin.secure.to_string());
    context.insert("aws:ViaAWSService", "false");
    if let Some(address) = origin.source_ip {
        context.insert("aws:SourceIp", address.to_canonical().to_string());
    }
    if let Some(agent) = &origin.user_agent {
        context.insert("aws:UserAgent", agent);
    }
}

fn date(epoch_seconds: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(epoch_seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&Rfc3339).unwrap_or_default()
}

/// What was last read of the access to a repository.
pub(crate) type Access = (Option<Arc<Policy>>, BTreeMap<String, String>);

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// What is reached with the credentials of the process: the identity
    /// service, the audit trail, the list of work, what registries start with,
    /// and the operator.
    const OF_THE_PROCESS: [&str; 5] = ["identity", "audit", "jobs", "new_registries.rs", "operator.rs"];

    fn handlers(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if OF_THE_PROCESS.contains(&name.as_str()) || name == "authorize.rs" {
                continue;
            }
            if path.is_dir() {
                handlers(&path, found);
            } else {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }

    #[test]
    fn handlers_take_storage_from_their_permit() {
        let mut found = Vec::new();
        handlers(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.len() > 20);
        for (path, source) in found {
            for unscoped in ["cloud.table", "cloud.objects"] {
                assert!(!source.contains(unscoped), "{path} has {unscoped}; a permit gives the tenant's");
            }
        }
    }
}
