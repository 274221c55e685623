//! ARNs and patterns of ARNs: six parts, each on its own.
//!
//! Invariant: a wildcard, or the value of a variable, never reaches over one of
//! the first five colons.

use ironwharf_model::error::quoted;

use super::super::context::Context;
use super::super::malformed::MalformedPolicy;
use super::super::template::{Syntax, Template, VariableKey};
use super::super::truth::Truth;

/// How many parts an ARN has: `arn:partition:service:region:account:resource`.
const PARTS: usize = 6;

/// A pattern of an ARN.
#[derive(Clone, Debug)]
pub(in super::super) enum ArnPattern {
    /// `*`.
    Any,
    /// One variable, whose value is an ARN.
    Variable(Template),
    /// One pattern for each part.
    Parts(Vec<Template>),
}

impl ArnPattern {
    /// Reads a value of the ARN operators. (IAM User Guide: Condition operators,
    /// "Amazon Resource Name (ARN) condition operators".)
    pub(in super::super) fn parse(text: &str, syntax: Syntax) -> Result<Self, MalformedPolicy> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let whole = Template::parse(text, syntax)?;
        if whole.is_one_variable() {
            return Ok(Self::Variable(whole));
        }
        let parts = split_outside_variables(text, syntax.variables);
        if parts.len() != PARTS || parts.first() != Some(&"arn") {
            return Err(not_an_arn(text));
        }
        let parts = parts.into_iter().map(|part| Template::parse(part, syntax)).collect::<Result<_, _>>()?;
        Ok(Self::Parts(parts))
    }

    /// Reads an entry of `Resource`: no wildcard in the service, variables only
    /// in the last part. (IAM User Guide: Resource.)
    pub(in super::super) fn parse_resource(text: &str, variables: bool) -> Result<Self, MalformedPolicy> {
        let pattern = Self::parse(text, Syntax { variables, wildcards: true })?;
        match &pattern {
            Self::Any => {}
            Self::Variable(_) => return Err(not_an_arn(text)),
            Self::Parts(parts) => {
                if parts.iter().take(PARTS - 1).any(Template::has_variables) {
                    return Err(MalformedPolicy::here(format!(
                        "'{}' has a variable before the fifth colon",
                        quoted(text)
                    )));
                }
                let service = text.split(':').nth(2).unwrap_or_default();
                if service.is_empty() || service.contains(['*', '?']) {
                    return Err(MalformedPolicy::here(format!("'{}' must name the service", quoted(text))));
                }
            }
        }
        Ok(pattern)
    }

    /// Whether the pattern matches `text`. What is no ARN is only matched by `*`.
    pub(in super::super) fn matches(&self, text: &str, context: &Context) -> Truth {
        let templates = match self {
            Self::Any => return Truth::True,
            Self::Variable(whole) => return whole.matches(text, context),
            Self::Parts(templates) => templates,
        };
        let mut parts = text.splitn(PARTS, ':');
        let mut each = |template: &Template| parts.next().map_or(Truth::False, |part| template.matches(part, context));
        Truth::all(templates.iter().map(&mut each))
    }

    /// The keys of the variables.
    pub(in super::super) fn variables(&self) -> impl Iterator<Item = &VariableKey> {
        let templates = match self {
            Self::Any => &[],
            Self::Variable(whole) => std::slice::from_ref(whole),
            Self::Parts(templates) => templates.as_slice(),
        };
        templates.iter().flat_map(Template::variables)
    }

    /// Whether the part that names the resource is nothing but wildcards and variables.
    pub(in super::super) fn is_unspecific(&self) -> bool {
        match self {
            Self::Any | Self::Variable(_) => true,
            Self::Parts(templates) => templates.last().is_none_or(Template::is_unspecific),
        }
    }
}

fn not_an_arn(text: &str) -> MalformedPolicy {
    MalformedPolicy::here(format!("'{}' must be '*' or an ARN with its six parts", quoted(text)))
}

/// Splits at the first five colons that are not part of a variable.
fn split_outside_variables(text: &str, variables: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut searched = 0;
    while parts.len() + 1 < PARTS {
        let Some(tail) = rest.get(searched..) else { break };
        let Some(colon) = tail.find(':') else { break };
        let variable = tail.find("${").filter(|start| variables && *start < colon);
        if let Some(start) = variable {
            // The template has been parsed, so every variable has its end.
            searched += tail.get(start..).and_then(|inside| inside.find('}')).map_or(tail.len(), |end| start + end);
            continue;
        }
        let Some((part, behind)) = rest.split_at_checked(searched + colon) else { break };
        parts.push(part);
        rest = behind.strip_prefix(':').unwrap_or(behind);
        searched = 0;
    }
    parts.push(rest);
    parts
}
