//! `Resource` and `NotResource`.
//!
//! Invariant: a request for `*` is only covered by `*`; a pattern of ARNs never
//! reaches an action that has no resource.

use serde_json::Value;

use super::context::Context;
use super::elements::texts;
use super::malformed::MalformedPolicy;
use super::template::VariableKey;
use super::truth::Truth;
use super::value::arn::ArnPattern;

/// The resources that a statement is about.
#[derive(Clone, Debug)]
pub(super) struct Resources {
    negated: bool,
    patterns: Vec<ArnPattern>,
}

impl Resources {
    /// Reads the element. (IAM User Guide: Resource, `NotResource`.)
    pub(super) fn parse(value: &Value, negated: bool, variables: bool) -> Result<Self, MalformedPolicy> {
        Ok(Self { negated, patterns: texts(value, |text| ArnPattern::parse_resource(text, variables))? })
    }

    /// Whether the element covers `resource`.
    pub(super) fn cover(&self, resource: &str, context: &Context) -> Truth {
        let each = self.patterns.iter().map(|pattern| pattern.matches(resource, context));
        Truth::any(each).negated_if(self.negated)
    }

    /// The keys of the variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &VariableKey> {
        self.patterns.iter().flat_map(ArnPattern::variables)
    }
}
