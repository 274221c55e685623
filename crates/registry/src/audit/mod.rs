//! The audit trail: one event for every call that changes something, and for
//! every refusal, whether of rights or of input. That something is not there is
//! no refusal of a call that only looks.
//!
//! The event of a change travels with the transaction that makes it, so that it
//! costs no call; where there is none it is written behind it. Beginning an
//! upload stores nothing and is no event; its parts and its end are. What is
//! known of requests that prove nobody is in [`unproven`].
//!
//! Invariant: an event goes to the account that was acted on, and, if a caller
//! of another account did it, to the caller's account too. Of refusals of such
//! a caller the account that was acted on has some, its own has all.
//! Invariant: no event holds a secret (see [`event`]).

mod event;
pub(crate) mod lifecycle;
pub(crate) mod lookup;
mod unproven;

use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use ironwharf_cloud::Table;
use ironwharf_cloud::random;
use ironwharf_cloud::table::{AuditRecord, PendingAudit};
use ironwharf_model::{AccountId, Error};
use ironwharf_wire::ecr::shapes::RCTAppliedFor;
use ironwharf_wire::error::codes;
use ironwharf_wire::query::Form;
use ironwharf_wire::sts::shapes::AssumeRoleWithWebIdentityResponse;
use serde_json::{Value, json};
use time::OffsetDateTime;

pub(crate) use event::{form_parameters, parameters};

use crate::app::App;
use crate::authenticate::{Caller, Origin};
pub(crate) use event::WebIdentity;
use event::{Actor, Event};
pub(crate) use unproven::{Foreign, Unproven};

/// Actions that change something only if a transaction says so: beginning an
/// upload stores nothing, asking how far it got neither.
const PREPARING: [&str; 2] = ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart"];

/// What is done, by whom, to what.
#[derive(Clone, Copy)]
pub(crate) struct Act<'a> {
    pub(crate) caller: &'a Caller,
    /// Such as `ecr:PutImage`.
    pub(crate) action: &'a str,
    /// The account acted on.
    pub(crate) recipient: &'a AccountId,
    /// The ARN acted on, or `*`.
    pub(crate) resource: &'a str,
}

/// The event of a permitted call, on its way into the trail.
#[derive(Clone)]
pub(crate) struct Pending {
    event: Arc<PendingAudit>,
    /// Whether it is written even if no transaction took it along.
    always: bool,
}

impl Pending {
    /// The event of a call that may change something; `None` if it only looks.
    pub(crate) fn of(act: Act<'_>) -> Option<Self> {
        if is_read(act.action) {
            return None;
        }
        let record = record(&act.event(None));
        let event = Arc::new(PendingAudit::new(act.recipient.clone(), record));
        Some(Self { event, always: !PREPARING.contains(&act.action) })
    }

    /// The event of a repository that is created because something is pushed to
    /// it. Nothing asked for it, so it is written only with the creation.
    pub(crate) fn of_creation_on_push(act: Act<'_>, parameters: &Value) -> Self {
        let event = Event {
            parameters: event::parameters(parameters),
            applied_for: Some(RCTAppliedFor::CreateOnPush.as_str()),
            ..act.event(None)
        };
        let event = Arc::new(PendingAudit::new(act.recipient.clone(), record(&event)));
        Self { event, always: false }
    }

    /// Whether it is to be written even if no transaction took it along.
    pub(crate) const fn always(&self) -> bool {
        self.always
    }

    /// `table`, whose transactions take the event along.
    pub(crate) fn with(&self, table: &Table) -> Table {
        table.with_audit(Arc::clone(&self.event))
    }

    /// Writes the event into the trail of a caller of another account too, if it is
    /// in that of the account that was acted on.
    pub(crate) async fn note_for_caller(&self, caller: &Caller) {
        if let Some(record) = self.event.written() {
            written(caller.region.cloud.table.write_audit(&caller.principal.account, record).await);
        }
    }

    /// Writes the event of a change that no transaction made.
    pub(crate) async fn note(&self, table: &Table) {
        written(table.write_pending_audit(&self.event).await);
    }
}

/// Whether an error tells a caller that something is not there. Of a call that
/// only looks it is an answer, and a push looks for each of its layers.
pub(crate) fn is_absence(error: &Error) -> bool {
    codes(error).oci_status == StatusCode::NOT_FOUND
}

/// Records that a call of somebody who is known was refused before it could be
/// told what it would act on: its input is wrong, or there is no such call.
pub(crate) async fn refused_input(caller: &Caller, action: &str, error: &Error) {
    let recipient = &caller.principal.account;
    Act { caller, action, recipient, resource: "*" }.failed(error).await;
}

/// Whether an action only looks.
fn is_read(action: &str) -> bool {
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    ["Get", "List", "Describe", "BatchGet", "BatchCheck", "Simulate", "Lookup"]
        .iter()
        .any(|verb| name.starts_with(verb))
}

impl Act<'_> {
    fn event(&self, error: Option<&Error>) -> Event {
        let (service, name) = self.action.split_once(':').unwrap_or(("ecr", self.action));
        let service = ["iam", "sts", "ironwharf", "cloudtrail"].into_iter().find(|known| *known == service);
        let codes = error.map(codes);
        let is_query = matches!(service, Some("iam" | "sts"));
        let code = codes.map(|codes| if is_query { codes.query } else { codes.aws }.to_owned());
        Event {
            id: random::uuid(),
            at_ms: self.caller.now_ms(),
            service: service.unwrap_or("ecr"),
            name: name.to_owned(),
            region: self.caller.region().to_string(),
            actor: Actor::Principal(self.caller.principal.clone()),
            origin: self.caller.origin.clone(),
            recipient: self.recipient.clone(),
            resource: (self.resource != "*").then(|| self.resource.to_owned()),
            parameters: self.caller.parameters.clone(),
            response: None,
            error: code.zip(error.map(ToString::to_string)),
            read_only: is_read(self.action),
            applied_for: None,
        }
    }

    /// Records a refusal, or a change that failed.
    pub(crate) async fn failed(&self, error: &Error) {
        let event = self.event(Some(error));
        tracing::info!(action = self.action, resource = self.resource, %error, "refused");
        self.write(&event).await;
    }

    /// Records a change that no [`Pending`] stands for.
    pub(crate) async fn done(&self) {
        self.write(&self.event(None)).await;
    }

    async fn write(&self, event: &Event) {
        let (table, record) = (&self.caller.region.cloud.table, record(event));
        let own = &self.caller.principal.account;
        written(table.write_audit(own, &record).await);
        // A stranger's refusal is no business of an account that is not there.
        if self.recipient == own || !matches!(self.caller.directory.account(self.recipient).await, Ok(Some(_))) {
            return;
        }
        let both = (own.clone(), self.recipient.clone());
        if event.error.is_none() || self.caller.foreign.keeps(&both, self.caller.now_s()) {
            written(table.write_audit(self.recipient, &record).await);
        }
    }
}

/// Records that a web identity token was exchanged for a role's session, or why
/// it was not. `identity` is whom the token proved to be there.
pub(crate) async fn web_identity(
    app: &App,
    parts: &Parts,
    form: &Form,
    identity: Option<WebIdentity>,
    result: Result<&AssumeRoleWithWebIdentityResponse, &Error>,
) {
    let role = form.get("RoleArn").unwrap_or_default();
    let account = role.strip_prefix("arn:aws:iam::").and_then(|rest| rest.get(..12)).map(AccountId::parse);
    let Some(Ok(account)) = account else { return };
    let actor = identity.map_or(Actor::Unproven { access_key_id: None }, Actor::WebIdentity);
    let attempt = Attempt { action: "sts:AssumeRoleWithWebIdentity", account: &account, actor };
    let response = result.ok().map(|given| {
        let session = given.assumed_role_user.as_ref();
        json!({
            "accessKeyId": given.credentials.as_ref().map(|credentials| &credentials.access_key_id),
            "assumedRoleUser": session.map(|session| json!({
                "assumedRoleId": session.assumed_role_id,
                "arn": session.arn,
            })),
            "subjectFromWebIdentityToken": given.subject_from_web_identity_token,
            "provider": given.provider,
            "audience": given.audience,
        })
    });
    attempt.write(app, parts, Some(role), form_parameters(form), response, result.err()).await;
}

/// Records, of so many a minute, that somebody who named a key of `account` was
/// refused before they had proven who they are.
pub(crate) async fn unproven(
    app: &App,
    parts: &Parts,
    action: &str,
    account: &AccountId,
    access_key_id: &str,
    error: &Error,
) {
    let actor = Actor::Unproven { access_key_id: Some(access_key_id.to_owned()) };
    Attempt { action, account, actor }.write(app, parts, None, None, None, Some(error)).await;
}

/// What is done by somebody who is no caller.
struct Attempt<'a> {
    action: &'a str,
    /// The account that is concerned.
    account: &'a AccountId,
    actor: Actor,
}

impl Attempt<'_> {
    async fn write(
        self,
        app: &App,
        parts: &Parts,
        resource: Option<&str>,
        parameters: Option<Value>,
        response: Option<Value>,
        error: Option<&Error>,
    ) {
        let Ok(directory) = app.directory().await else { return };
        if !matches!(directory.account(self.account).await, Ok(Some(_))) {
            return;
        }
        let now = OffsetDateTime::now_utc();
        let is_unproven = matches!(self.actor, Actor::Unproven { .. });
        if is_unproven && !app.unproven().keeps(self.account, now.unix_timestamp()) {
            return;
        }
        let (service, name) = self.action.split_once(':').unwrap_or(("ecr", self.action));
        let service = ["iam", "sts", "ironwharf", "cloudtrail"].into_iter().find(|known| *known == service);
        let code = |error: &Error| {
            let codes = codes(error);
            if matches!(service, Some("iam" | "sts")) { codes.query } else { codes.aws }.to_owned()
        };
        let event = Event {
            id: random::uuid(),
            at_ms: i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
            service: service.unwrap_or("ecr"),
            name: name.to_owned(),
            region: directory.home().cloud.region.to_string(),
            actor: self.actor,
            origin: Origin::of(app, parts),
            recipient: self.account.clone(),
            resource: resource.map(str::to_owned),
            parameters,
            response,
            error: error.map(|error| (code(error), error.to_string())),
            read_only: is_read(self.action),
            applied_for: None,
        };
        written(directory.table().write_audit(self.account, &record(&event)).await);
    }
}

fn record(event: &Event) -> AuditRecord {
    AuditRecord { id: event.id.clone(), at_ms: event.at_ms, event: event.to_json().to_string() }
}

/// What was decided stands, whether or not it could be noted.
fn written(result: ironwharf_model::Result<()>) {
    if let Err(error) = result {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(error = source, "an audit event could not be written");
    }
}
