//! A compiled policy.
//!
//! Invariant: whatever has been compiled can be evaluated; nothing of a
//! document is skipped because it was not understood.

use std::collections::{BTreeMap, BTreeSet};

use ironwharf_model::error::quoted;
use ironwharf_model::{AccountId, strict_json};
use serde_json::Value;

use super::PolicyKind;
use super::elements::{members, text as as_text};
use super::limits::{MAX_QUESTION_MARKS, MAX_STATEMENTS, MAX_TEXT};
use super::malformed::MalformedPolicy;
use super::principal::Principals;
use super::span;
use super::statement::{Statement, StatementEffect};

/// A policy, compiled once and evaluated often.
#[derive(Clone, Debug)]
pub struct Policy {
    text: String,
    statements: Vec<Statement>,
}

impl Policy {
    /// Compiles the text of a policy. (IAM User Guide: IAM JSON policy elements
    /// reference; Grammar of the IAM JSON policy language.)
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Self, MalformedPolicy> {
        if text.len() > MAX_TEXT {
            return Err(MalformedPolicy::here(format!("a policy has at most {MAX_TEXT} bytes")));
        }
        if text.bytes().filter(|byte| *byte == b'?').count() > MAX_QUESTION_MARKS {
            return Err(MalformedPolicy::here(format!("a policy has at most {MAX_QUESTION_MARKS} question marks")));
        }
        let document = strict_json::parse(text.as_bytes()).map_err(|error| MalformedPolicy::here(error.to_string()))?;
        let elements = members(&document, &["Version", "Id", "Statement"])?;
        let variables = match elements.get("Version") {
            None => false,
            Some(Value::String(version)) if version == "2008-10-17" => false,
            Some(Value::String(version)) if version == "2012-10-17" => true,
            Some(_) => return Err(MalformedPolicy::here("must be 2012-10-17 or 2008-10-17").within("Version")),
        };
        if let Some(id) = elements.get("Id") {
            as_text(id).map_err(|fault| fault.within("Id"))?;
        }
        let spans = span::of_statements(text);
        let span = |index: usize| spans.get(index).copied().unwrap_or_default();
        let statements = match elements.get("Statement") {
            None => return Err(MalformedPolicy::here("needs a Statement")),
            Some(Value::Array(list)) if list.is_empty() || list.len() > MAX_STATEMENTS => {
                return Err(
                    MalformedPolicy::here(format!("must have from 1 to {MAX_STATEMENTS} entries")).within("Statement")
                );
            }
            Some(Value::Array(list)) => list
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    Statement::parse(value, kind, variables, span(index))
                        .map_err(|fault| fault.within(&format!("Statement[{index}]")))
                })
                .collect::<Result<Vec<_>, _>>()?,
            Some(value) => {
                vec![Statement::parse(value, kind, variables, span(0)).map_err(|fault| fault.within("Statement"))?]
            }
        };
        if matches!(kind, PolicyKind::Identity | PolicyKind::Trust) {
            check_unique_sids(&statements)?;
        }
        Ok(Self { text: text.to_owned(), statements })
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The statements, in their order.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The ARNs of the users, roles and sessions that statements name as principals.
    #[must_use]
    pub fn named_principals(&self) -> BTreeSet<&str> {
        let principals = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        principals.flat_map(Principals::holders).collect()
    }

    /// The accounts that statements name as principals.
    #[must_use]
    pub fn named_accounts(&self) -> BTreeSet<&AccountId> {
        let principals = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        principals.flat_map(Principals::accounts).collect()
    }

    /// The policy about those who had the names in it when it was set: `ids` has
    /// the unique ids of users and roles by their ARNs, a session's role by
    /// that of the session, and what tells an account from another of its id by
    /// that id; [`super::NOBODY`] for a name that nobody had. What is not in `ids`
    /// goes by its name. Who is made again under a name is another one, who is
    /// renamed the same.
    /// (IAM User Guide: "Principal", on users and roles that are deleted.)
    #[must_use]
    pub fn bound(mut self, ids: &BTreeMap<String, String>) -> Self {
        for principals in self.statements.iter_mut().filter_map(|statement| statement.principals.as_mut()) {
            principals.bind(ids);
        }
        self
    }

    /// The context keys that conditions and variables ask about, as they are
    /// written first; for `GetContextKeysForCustomPolicy` and its sibling.
    #[must_use]
    pub fn context_keys(&self) -> BTreeSet<String> {
        let mut keys = BTreeMap::new();
        for key in self.statements.iter().flat_map(Statement::keys) {
            keys.entry(&key.folded).or_insert_with(|| key.written.clone());
        }
        keys.into_values().collect()
    }

    /// Whether a condition or a variable asks about `key`, in whatever case.
    #[must_use]
    pub fn names_condition_key(&self, key: &str) -> bool {
        let folded = key.to_lowercase();
        self.statements.iter().flat_map(Statement::keys).any(|named| named.folded == folded)
    }

    /// The first statement of a trust policy that lets tokens of `provider_arn`
    /// assume the role without saying anything about `key`.
    ///
    /// An issuer that is shared by everybody (such as that of GitHub's
    /// workflows) signs tokens for strangers too. So every `Allow` of
    /// `sts:AssumeRoleWithWebIdentity` has to have a condition that only holds
    /// for a token with the claim: a positive String or ARN operator, without
    /// `IfExists` and `ForAllValues`, whose values are all more than wildcards
    /// and variables, and enough for `is_enough`. That gets of each value the text
    /// before its first wildcard, and whether that is all of it.
    #[must_use]
    pub fn web_identity_statements_without(
        &self,
        provider_arn: &str,
        key: &str,
        is_enough: &dyn Fn(&str, bool) -> bool,
    ) -> Option<usize> {
        let folded = key.to_lowercase();
        self.statements.iter().position(|statement| {
            statement.effect() == StatementEffect::Allow
                && statement.principals.as_ref().is_some_and(|principals| principals.name_provider(provider_arn))
                && statement.actions.cover("sts:assumerolewithwebidentity")
                && !statement.conditions.iter().any(|condition| condition.requires(&folded, is_enough))
        })
    }
}

fn check_unique_sids(statements: &[Statement]) -> Result<(), MalformedPolicy> {
    let mut known = BTreeSet::new();
    for (index, statement) in statements.iter().enumerate() {
        if let Some(sid) = statement.sid().filter(|sid| !sid.is_empty())
            && !known.insert(sid)
        {
            return Err(MalformedPolicy::here(format!("'{}' is not unique", quoted(sid)))
                .within(&format!("Statement[{index}].Sid")));
        }
    }
    Ok(())
}
