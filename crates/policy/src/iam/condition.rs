//! One condition: an operator, a key, and the values to compare with.
//!
//! Invariant: values of the request are compared as they are; none of them is
//! read as a pattern.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ironwharf_model::error::quoted;
use serde_json::Value;

use super::context::{Context, ContextValue};
use super::elements::list;
use super::limits::MAX_VALUE;
use super::malformed::MalformedPolicy;
use super::operator::{Comparison, Operator, Relation, SetOperator};
use super::template::{Syntax, Template, VariableKey};
use super::truth::Truth;
use super::value::arn::ArnPattern;
use super::value::date::Date;
use super::value::network::Network;
use super::value::number::Number;

/// A compiled condition.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    operator: Operator,
    key: VariableKey,
    values: Values,
}

/// The values of the policy, in the form they are compared in.
#[derive(Clone, Debug)]
enum Values {
    Text(Vec<Template>),
    TextIgnoringCase(Vec<Template>),
    Numbers(Relation, Vec<Number>),
    Dates(Relation, Vec<Date>),
    Binaries(Vec<Vec<u8>>),
    Networks(Vec<Network>),
    Arns(Vec<ArnPattern>),
    /// Of `Null`: whether the key has to be missing.
    Missing(Vec<bool>),
}

impl Condition {
    /// Compiles one key of one operator.
    pub(super) fn parse(
        operator: Operator,
        key: &str,
        values: &Value,
        variables: bool,
    ) -> Result<Self, MalformedPolicy> {
        if key.is_empty() || key.contains(char::is_whitespace) && !key.contains('/') {
            return Err(MalformedPolicy::here(format!("'{}' is not a condition key", quoted(key))));
        }
        let plain = Syntax { variables, wildcards: false };
        let values = match operator.comparison {
            Comparison::StringEquals => Values::Text(list(values, |text| Template::parse(text, plain))?),
            Comparison::StringEqualsIgnoreCase => {
                Values::TextIgnoringCase(list(values, |text| Template::parse(text, plain))?)
            }
            Comparison::StringLike => {
                Values::Text(list(values, |text| Template::parse(text, Syntax { wildcards: true, ..plain }))?)
            }
            Comparison::Bool => Values::TextIgnoringCase(list(values, |text| boolean(text, plain))?),
            Comparison::Numeric(relation) => {
                Values::Numbers(relation, list(values, |text| exact(Number::parse(text), text, "number"))?)
            }
            Comparison::Date(relation) => {
                Values::Dates(relation, list(values, |text| exact(Date::parse(text), text, "date"))?)
            }
            Comparison::Binary => Values::Binaries(list(values, |text| exact(binary(text), text, "Base64 text"))?),
            Comparison::IpAddress => {
                Values::Networks(list(values, |text| exact(Network::parse(text), text, "IP address or range"))?)
            }
            Comparison::Arn => {
                Values::Arns(list(values, |text| ArnPattern::parse(text, Syntax { wildcards: true, ..plain }))?)
            }
            Comparison::Null => Values::Missing(list(values, |text| match text {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(MalformedPolicy::here(format!("'{}' must be true or false", quoted(text)))),
            })?),
        };
        Ok(Self { operator, key: VariableKey::new(key), values })
    }

    /// Whether the condition holds. (IAM User Guide: Condition operators;
    /// Creating a condition with multiple keys or values.)
    pub(super) fn holds(&self, context: &Context) -> Truth {
        let value = context.get_folded(&self.key.folded);
        let given = match value {
            None => &[],
            Some(ContextValue::One(value)) => std::slice::from_ref(value),
            Some(ContextValue::Many(values) | ContextValue::Each(values)) => values.as_slice(),
        };
        if let Values::Missing(wanted) = &self.values {
            return Truth::from(wanted.contains(&given.is_empty()));
        }
        match self.operator.set {
            None => match given {
                [] => Truth::from(self.operator.if_exists || self.operator.negated),
                [value] => self.one(value, context),
                values if matches!(value, Some(ContextValue::Each(_))) => {
                    let each: Vec<Truth> = values.iter().map(|value| self.one(value, context)).collect();
                    let first = each.first().copied().unwrap_or(Truth::Unresolved);
                    if each.iter().all(|truth| *truth == first) { first } else { Truth::Unresolved }
                }
                // Several values need a set operator; without one it is not said
                // which of them are meant.
                _ => Truth::Unresolved,
            },
            Some(set) => {
                // Nothing but empty text counts as no value at all.
                if given.iter().all(String::is_empty) {
                    let is_missing = given.is_empty() && self.operator.if_exists;
                    return Truth::from(is_missing || set == SetOperator::ForAllValues);
                }
                let each = given.iter().map(|value| self.one(value, context));
                match set {
                    SetOperator::ForAllValues => Truth::all(each),
                    SetOperator::ForAnyValue => Truth::any(each),
                }
            }
        }
    }

    /// Compares one value of the request with all values of the policy: true if
    /// any of them matches, or, for a negated operator, if none does.
    fn one(&self, given: &str, context: &Context) -> Truth {
        if given.len() > MAX_VALUE {
            return Truth::Unresolved;
        }
        let any = match &self.values {
            Values::Text(wanted) => Truth::any(wanted.iter().map(|wanted| wanted.matches(given, context))),
            Values::TextIgnoringCase(wanted) => {
                Truth::any(wanted.iter().map(|wanted| wanted.matches_ignoring_case(given, context)))
            }
            Values::Numbers(relation, wanted) => compare(*relation, Number::parse(given), wanted),
            Values::Dates(relation, wanted) => compare(*relation, Date::parse(given), wanted),
            Values::Binaries(wanted) => Truth::from(binary(given).is_some_and(|given| wanted.contains(&given))),
            Values::Networks(wanted) => {
                Truth::from(wanted.iter().any(|network| network.contains(given).unwrap_or(false)))
            }
            Values::Arns(wanted) => Truth::any(wanted.iter().map(|wanted| wanted.matches(given, context))),
            Values::Missing(_) => Truth::False,
        };
        any.negated_if(self.operator.negated)
    }

    /// The key of the condition, and those of the variables in its values.
    pub(super) fn keys(&self) -> Vec<&VariableKey> {
        let mut keys = vec![&self.key];
        match &self.values {
            Values::Text(wanted) | Values::TextIgnoringCase(wanted) => {
                keys.extend(wanted.iter().flat_map(Template::variables));
            }
            Values::Arns(wanted) => keys.extend(wanted.iter().flat_map(ArnPattern::variables)),
            _ => {}
        }
        keys
    }

    /// Whether the condition can only hold for a request that has `key` (in
    /// lower case) with a value that the policy says something about; all that it
    /// says has to be enough for `is_enough`, which gets the text before the
    /// first wildcard, and whether that is all.
    pub(super) fn requires(&self, key: &str, is_enough: &dyn Fn(&str, bool) -> bool) -> bool {
        let operator = self.operator;
        if operator.negated || operator.if_exists || operator.set == Some(SetOperator::ForAllValues) {
            return false;
        }
        let says_enough = |wanted: &Template| {
            let (start, is_whole) = wanted.literal_start();
            !wanted.is_unspecific() && is_enough(start, is_whole)
        };
        let is_specific = match &self.values {
            Values::Text(wanted) => wanted.iter().all(says_enough),
            Values::TextIgnoringCase(wanted) => {
                operator.comparison != Comparison::Bool && wanted.iter().all(says_enough)
            }
            // What stands before the first wildcard of an ARN is not told.
            Values::Arns(wanted) => is_enough("", false) && !wanted.iter().any(ArnPattern::is_unspecific),
            _ => false,
        };
        is_specific && self.key.folded == key
    }
}

/// A value that cannot be read is neither smaller nor equal nor greater.
fn compare<T: Ord>(relation: Relation, given: Option<T>, wanted: &[T]) -> Truth {
    Truth::from(given.is_some_and(|given| wanted.iter().any(|wanted| relation.holds(&given, wanted))))
}

fn binary(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// `Variables` says that Bool takes no variables, `Condition operators` that it
/// does. They are taken: what they resolve to is compared as text.
fn boolean(text: &str, syntax: Syntax) -> Result<Template, MalformedPolicy> {
    let template = Template::parse(text, syntax)?;
    let is_boolean = text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    if is_boolean || template.has_variables() {
        return Ok(template);
    }
    Err(MalformedPolicy::here(format!("'{}' must be true or false", quoted(text))))
}

fn exact<T>(value: Option<T>, text: &str, kind: &str) -> Result<T, MalformedPolicy> {
    value.ok_or_else(|| {
        let article = if kind.starts_with('I') { "an" } else { "a" };
        MalformedPolicy::here(format!("'{}' is not {article} {kind}", quoted(text)))
    })
}
