//! Whose policies are simulated.

use std::sync::Arc;

use ironwharf_cloud::table::identity::{GroupRecord, RoleRecord, UserRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::principal::iam_arn;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_policy::iam::{Context, Policy, PolicyKind, Requester};

use crate::identity::directory::compile;
use crate::identity::grants::{Grants, NamedPolicy};
use crate::identity::ops::Call;
use crate::identity::ops::holders::{self, Holder};

/// How many bytes the given policies may have together.
const MAX_GIVEN_BYTES: usize = 128 * 1024;

/// No policy of a simulation is bound to anybody's unique id.
const NOT_BOUND: &str = "";

pub(super) fn invalid(message: &str) -> Error {
    Error::InvalidInput { message: message.to_owned() }
}

/// Policies that the request brings along.
pub(in crate::identity::ops) fn given(list: &str, texts: &[String]) -> Result<Vec<NamedPolicy>> {
    if texts.iter().map(String::len).sum::<usize>() > MAX_GIVEN_BYTES {
        return Err(invalid("The policies of the request are too large"));
    }
    let numbered = texts.iter().enumerate();
    numbered.map(|(index, text)| compiled(format!("{list}.{}", index + 1), text, PolicyKind::Identity)).collect()
}

/// A policy that the request brings along.
pub(super) fn compiled(id: String, text: &str, kind: PolicyKind) -> Result<NamedPolicy> {
    let policy = Policy::parse(text, kind).map_err(|error| invalid(&format!("{id}: {error}")))?;
    Ok(NamedPolicy { id, policy: Arc::new(policy) })
}

/// Who would ask.
pub(super) enum Subject {
    User { account: AccountId, arn: String },
    Session { account: AccountId, role_arn: String, session_arn: String },
}

impl Subject {
    /// The user of an ARN, who need not be there.
    pub(super) fn user(arn: &str) -> Result<Self> {
        let account = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":user/"));
        let account = account.and_then(|(account, _)| AccountId::parse(account).ok());
        let account = account.ok_or_else(|| invalid("CallerArn must be the ARN of a user"))?;
        Ok(Self::User { account, arn: arn.to_owned() })
    }

    /// A user whom no policy can name.
    pub(super) fn nobody(account: &AccountId) -> Self {
        Self::User { account: account.clone(), arn: iam_arn(account, "user", "/", "*") }
    }

    pub(super) const fn account(&self) -> &AccountId {
        match self {
            Self::User { account, .. } | Self::Session { account, .. } => account,
        }
    }

    pub(super) fn requester(&self) -> Requester<'_> {
        match self {
            Self::User { account, arn } => Requester::User { account, incarnation: NOT_BOUND, arn, id: NOT_BOUND },
            Self::Session { account, role_arn, session_arn } => {
                Requester::Session { account, incarnation: NOT_BOUND, role_arn, session_arn, id: NOT_BOUND }
            }
        }
    }
}

/// Whose policies are looked at, and what is known of whom they are of.
pub(in crate::identity::ops) struct Source {
    pub(super) subject: Option<Subject>,
    pub(in crate::identity::ops) identity: Vec<NamedPolicy>,
    pub(super) boundary: Option<NamedPolicy>,
    pub(super) context: Context,
}

impl Source {
    /// Policies of nobody in particular.
    pub(super) fn custom(identity: Vec<NamedPolicy>) -> Self {
        Self { subject: None, identity, boundary: None, context: Context::new() }
    }

    /// The policies of a user, group or role.
    pub(in crate::identity::ops) async fn find(call: &Call<'_>, arn: &str) -> Result<Self> {
        let own = format!("arn:aws:iam::{}:", call.account());
        let resource = arn.strip_prefix(&own).unwrap_or_default();
        let name = resource.rsplit('/').next().unwrap_or_default();
        match resource.split_once('/') {
            Some(("user", _)) => Self::of_user(call, exact(call, arn, name).await?).await,
            Some(("role", _)) => Self::of_role(call, exact(call, arn, name).await?).await,
            Some(("group", _)) => Self::of_group(call, exact(call, arn, name).await?).await,
            _ => Err(invalid(&format!("Invalid Entity Arn: {}", quoted(arn)))),
        }
    }

    async fn of_user(call: &Call<'_>, user: UserRecord) -> Result<Self> {
        let account = call.account().clone();
        let arn = user.arn(&account);
        let mut context = context_of(&account, &arn, "User");
        context.insert("aws:username", &*user.name);
        context.insert("aws:userid", &*user.id);
        let known = call.directory.known_user(&account, user).await?;
        Ok(Self::of_grants(Subject::User { account, arn }, &known.grants, context))
    }

    async fn of_role(call: &Call<'_>, role: RoleRecord) -> Result<Self> {
        const SESSION: &str = "simulation";
        let account = call.account().clone();
        let role_arn = role.arn(&account);
        let session_arn = format!("arn:aws:sts::{account}:assumed-role/{}/{SESSION}", role.name);
        let mut context = context_of(&account, &role_arn, "AssumedRole");
        context.insert("aws:userid", format!("{}:{SESSION}", role.id));
        let known = call.directory.known_role(&account, role).await?;
        Ok(Self::of_grants(Subject::Session { account, role_arn, session_arn }, &known.grants, context))
    }

    fn of_grants(subject: Subject, grants: &Grants, mut context: Context) -> Self {
        for (key, value) in &grants.tags {
            context.insert(&format!("aws:PrincipalTag/{key}"), value);
        }
        let (identity, boundary) = (grants.identity.clone(), grants.boundary.clone());
        Self { subject: Some(subject), identity, boundary, context }
    }

    async fn of_group(call: &Call<'_>, group: GroupRecord) -> Result<Self> {
        let mut identity = Vec::new();
        for (name, text) in &group.inline_policies {
            identity.push(compile(format!("group_{}_{name}", group.name), text)?);
        }
        for arn in &group.attached_policies {
            identity.extend(call.directory.managed_policy(call.account(), arn).await?);
        }
        Ok(Self::custom(identity))
    }
}

/// The holder of a name, if this is its ARN.
async fn exact<H: Holder>(call: &Call<'_>, arn: &str, name: &str) -> Result<H> {
    let record = call.holder::<H>(name).await?.record;
    if record.arn(call.account()) == arn { Ok(record) } else { Err(holders::not_found::<H>(name)) }
}

fn context_of(account: &AccountId, arn: &str, kind: &str) -> Context {
    let mut context = Context::new();
    context.insert("aws:PrincipalArn", arn);
    context.insert("aws:PrincipalAccount", account.as_str());
    context.insert("aws:PrincipalType", kind);
    context
}
