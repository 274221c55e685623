//! `Action` and `NotAction`.
//!
//! Invariant: the service of a pattern has no wildcard; case means nothing.

use ironwharf_model::error::quoted;
use serde_json::Value;

use super::PolicyKind;
use super::context::Context;
use super::elements::texts;
use super::malformed::MalformedPolicy;
use super::template::{Syntax, Template};
use super::truth::Truth;

/// The actions that a statement is about.
#[derive(Clone, Debug)]
pub(super) struct Actions {
    negated: bool,
    /// In lower case.
    patterns: Vec<Template>,
}

impl Actions {
    /// Reads the element. (IAM User Guide: Action, `NotAction`.)
    pub(super) fn parse(value: &Value, negated: bool, kind: PolicyKind) -> Result<Self, MalformedPolicy> {
        if negated && kind == PolicyKind::Trust {
            return Err(MalformedPolicy::here("a trust policy must name its actions"));
        }
        Ok(Self { negated, patterns: texts(value, |text| pattern(text, kind))? })
    }

    /// Whether the element covers `action`, which is lower case.
    pub(super) fn cover(&self, action: &str) -> bool {
        let nothing = Context::new();
        let any = self.patterns.iter().any(|pattern| pattern.matches(action, &nothing) == Truth::True);
        any != self.negated
    }
}

fn pattern(text: &str, kind: PolicyKind) -> Result<Template, MalformedPolicy> {
    let refused = |reason: &str| Err(MalformedPolicy::here(format!("'{}' {reason}", quoted(text))));
    let folded = text.to_ascii_lowercase();
    let service = if text == "*" {
        if kind == PolicyKind::Trust {
            return refused("must be an action of STS");
        }
        None
    } else {
        let Some((service, name)) = folded.split_once(':') else {
            return refused("must be '*' or a service and an action, such as ecr:PutImage");
        };
        let is_service = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'?' | b'-' | b'_');
        if service.is_empty() || !service.bytes().all(is_service) {
            return refused("must name one service, without wildcards");
        }
        if name.is_empty() || !name.bytes().all(is_name) {
            return refused("is not the name of an action");
        }
        Some(service)
    };
    match (kind, service) {
        (PolicyKind::Repository | PolicyKind::Registry, Some(service)) if service != "ecr" => {
            refused("must be an action of ECR")
        }
        (PolicyKind::Trust, Some(service)) if service != "sts" => refused("must be an action of STS"),
        _ => Template::parse(&folded, Syntax { variables: false, wildcards: true }),
    }
}
