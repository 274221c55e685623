//! One compiled statement.
//!
//! Invariant: a statement applies only as a whole; there is no partial effect.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::PolicyKind;
use super::action::Actions;
use super::condition::Condition;
use super::context::Context;
use super::elements::{members, object, text};
use super::malformed::MalformedPolicy;
use super::operator::Operator;
use super::principal::{Principals, Standing};
use super::requester::Requester;
use super::resource::Resources;
use super::span::Span;
use super::template::VariableKey;
use super::truth::Truth;

/// What a statement does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementEffect {
    /// It grants.
    Allow,
    /// It forbids, whatever grants.
    Deny,
}

/// A statement of a policy.
#[derive(Clone, Debug)]
pub struct Statement {
    sid: Option<String>,
    effect: StatementEffect,
    span: Span,
    pub(super) principals: Option<Principals>,
    pub(super) actions: Actions,
    resources: Option<Resources>,
    pub(super) conditions: Vec<Condition>,
}

/// What a statement is asked.
pub(super) struct Question<'a> {
    pub(super) requester: Requester<'a>,
    /// In lower case.
    pub(super) action: String,
    pub(super) resource: &'a str,
    pub(super) context: &'a Context,
}

const ELEMENTS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

impl Statement {
    /// The statement's identifier, if it has one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// What the statement does when it applies.
    #[must_use]
    pub fn effect(&self) -> StatementEffect {
        self.effect
    }

    /// Where the statement stands in the text.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Compiles a statement. (IAM User Guide: Grammar of the IAM JSON policy language.)
    pub(super) fn parse(value: &Value, kind: PolicyKind, variables: bool, span: Span) -> Result<Self, MalformedPolicy> {
        let members = members(value, &ELEMENTS)?;
        let sid =
            members.get("Sid").map(|sid| parse_sid(sid, kind)).transpose().map_err(|fault| fault.within("Sid"))?;
        let effect = match members.get("Effect") {
            None => return Err(MalformedPolicy::here("needs an Effect")),
            Some(Value::String(effect)) if effect == "Allow" => StatementEffect::Allow,
            Some(Value::String(effect)) if effect == "Deny" => StatementEffect::Deny,
            Some(_) => return Err(MalformedPolicy::here("must be Allow or Deny").within("Effect")),
        };
        let Some(actions) = pair(members, "Action", "NotAction", |value, not| Actions::parse(value, not, kind))? else {
            return Err(MalformedPolicy::here("needs an Action or a NotAction"));
        };
        let principals = pair(members, "Principal", "NotPrincipal", |value, not| Principals::parse(value, not, kind))?;
        check_principals(members, principals.is_some(), effect, kind)?;
        let resources = pair(members, "Resource", "NotResource", |value, not| Resources::parse(value, not, variables))?;
        match (kind, &resources) {
            (PolicyKind::Identity | PolicyKind::Registry, None) => {
                return Err(MalformedPolicy::here("needs a Resource or a NotResource"));
            }
            (PolicyKind::Trust, Some(_)) => {
                return Err(MalformedPolicy::here("must not name a Resource: a trust policy is about its role"));
            }
            _ => {}
        }
        let conditions = match members.get("Condition") {
            None => Vec::new(),
            Some(value) => parse_conditions(value, variables).map_err(|fault| fault.within("Condition"))?,
        };
        Ok(Self { sid, effect, span, principals, actions, resources, conditions })
    }

    /// How the statement reaches the requester, if it applies to the request.
    /// Adds the names of the keys that it asks about and the request does not have.
    pub(super) fn applies(&self, question: &Question<'_>, missing: &mut Vec<String>) -> Option<Standing> {
        if !self.actions.cover(&question.action) {
            return None;
        }
        let standing = match &self.principals {
            None => Standing::Direct,
            Some(principals) => principals.reach(&question.requester, self.effect)?,
        };
        let resource = match &self.resources {
            None => Truth::True,
            Some(resources) => resources.cover(question.resource, question.context),
        };
        if resource == Truth::False {
            return None;
        }
        for key in self.keys() {
            let is_new = || !missing.iter().any(|known| known.to_lowercase() == key.folded);
            if question.context.get_folded(&key.folded).is_none() && is_new() {
                missing.push(key.written.clone());
            }
        }
        let conditions = Truth::all(self.conditions.iter().map(|condition| condition.holds(question.context)));
        Truth::all([resource, conditions]).applies(self.effect).then_some(standing)
    }

    /// All context keys that the statement asks about.
    pub(super) fn keys(&self) -> impl Iterator<Item = &VariableKey> {
        let resources = self.resources.iter().flat_map(Resources::variables);
        resources.chain(self.conditions.iter().flat_map(Condition::keys))
    }
}

/// One of two elements of which a statement may have at most one.
fn pair<T>(
    members: &Map<String, Value>,
    plain: &str,
    negated: &str,
    read: impl Fn(&Value, bool) -> Result<T, MalformedPolicy>,
) -> Result<Option<T>, MalformedPolicy> {
    match (members.get(plain), members.get(negated)) {
        (Some(_), Some(_)) => Err(MalformedPolicy::here(format!("has both {plain} and {negated}"))),
        (Some(value), None) => read(value, false).map(Some).map_err(|fault| fault.within(plain)),
        (None, Some(value)) => read(value, true).map(Some).map_err(|fault| fault.within(negated)),
        (None, None) => Ok(None),
    }
}

fn check_principals(
    members: &Map<String, Value>,
    has_principals: bool,
    effect: StatementEffect,
    kind: PolicyKind,
) -> Result<(), MalformedPolicy> {
    let negated = members.contains_key("NotPrincipal");
    match kind {
        PolicyKind::Identity if has_principals => {
            Err(MalformedPolicy::here("must not name a principal: the policy is about whom it is attached to"))
        }
        PolicyKind::Identity => Ok(()),
        _ if !has_principals => Err(MalformedPolicy::here("needs a Principal")),
        PolicyKind::Trust if negated => Err(MalformedPolicy::here("is not for trust policies").within("NotPrincipal")),
        _ if negated && effect == StatementEffect::Allow => {
            Err(MalformedPolicy::here("is only accepted with the Effect Deny").within("NotPrincipal"))
        }
        _ => Ok(()),
    }
}

/// IAM wants letters and digits; the policies of ECR take any text.
fn parse_sid(value: &Value, kind: PolicyKind) -> Result<String, MalformedPolicy> {
    let sid = text(value)?;
    let is_free = matches!(kind, PolicyKind::Repository | PolicyKind::Registry);
    if is_free || sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(sid.to_owned());
    }
    Err(MalformedPolicy::here("must have letters and digits only"))
}

fn parse_conditions(value: &Value, variables: bool) -> Result<Vec<Condition>, MalformedPolicy> {
    let mut conditions = Vec::new();
    // An operator written in two ways is two members to JSON and one to IAM.
    let mut names = BTreeMap::new();
    for (name, keys) in object(value)? {
        let operator = Operator::parse(name)?;
        if let Some(other) = names.insert(name.to_ascii_lowercase(), name) {
            return Err(MalformedPolicy::here(format!("is the same as {other}")).within(name));
        }
        let keys = object(keys).map_err(|fault| fault.within(name))?;
        if keys.is_empty() {
            return Err(MalformedPolicy::here("must not be empty").within(name));
        }
        for (key, values) in keys {
            let condition = Condition::parse(operator, key, values, variables)
                .map_err(|fault| fault.within(&ironwharf_model::error::quoted(key)).within(name))?;
            conditions.push(condition);
        }
    }
    Ok(conditions)
}
