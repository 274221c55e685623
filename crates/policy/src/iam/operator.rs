//! The names of the condition operators.
//!
//! Invariant: a name that is not in the table is refused, never ignored.

use ironwharf_model::error::quoted;

use super::malformed::MalformedPolicy;

/// An operator with its prefix and suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) set: Option<SetOperator>,
    pub(super) comparison: Comparison,
    /// `…Not…`: true if no value matches.
    pub(super) negated: bool,
    /// `…IfExists`: true if the key is missing.
    pub(super) if_exists: bool,
}

/// How a multivalued key is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetOperator {
    ForAllValues,
    ForAnyValue,
}

/// What is compared, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Numeric(Relation),
    Date(Relation),
    Bool,
    Binary,
    IpAddress,
    Arn,
    Null,
}

/// How the value of the request stands to the value of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    pub(super) fn holds<T: Ord>(self, given: &T, wanted: &T) -> bool {
        match self {
            Self::Equal => given == wanted,
            Self::Less => given < wanted,
            Self::LessOrEqual => given <= wanted,
            Self::Greater => given > wanted,
            Self::GreaterOrEqual => given >= wanted,
        }
    }
}

/// Lower-case name, comparison, negated. (IAM User Guide: Condition operators.)
const OPERATORS: [(&str, Comparison, bool); 27] = [
    ("stringequals", Comparison::StringEquals, false),
    ("stringnotequals", Comparison::StringEquals, true),
    ("stringequalsignorecase", Comparison::StringEqualsIgnoreCase, false),
    ("stringnotequalsignorecase", Comparison::StringEqualsIgnoreCase, true),
    ("stringlike", Comparison::StringLike, false),
    ("stringnotlike", Comparison::StringLike, true),
    ("numericequals", Comparison::Numeric(Relation::Equal), false),
    ("numericnotequals", Comparison::Numeric(Relation::Equal), true),
    ("numericlessthan", Comparison::Numeric(Relation::Less), false),
    ("numericlessthanequals", Comparison::Numeric(Relation::LessOrEqual), false),
    ("numericgreaterthan", Comparison::Numeric(Relation::Greater), false),
    ("numericgreaterthanequals", Comparison::Numeric(Relation::GreaterOrEqual), false),
    ("dateequals", Comparison::Date(Relation::Equal), false),
    ("datenotequals", Comparison::Date(Relation::Equal), true),
    ("datelessthan", Comparison::Date(Relation::Less), false),
    ("datelessthanequals", Comparison::Date(Relation::LessOrEqual), false),
    ("dategreaterthan", Comparison::Date(Relation::Greater), false),
    ("dategreaterthanequals", Comparison::Date(Relation::GreaterOrEqual), false),
    ("bool", Comparison::Bool, false),
    ("binaryequals", Comparison::Binary, false),
    ("ipaddress", Comparison::IpAddress, false),
    ("notipaddress", Comparison::IpAddress, true),
    // Equals and Like are the same for ARNs.
    ("arnequals", Comparison::Arn, false),
    ("arnlike", Comparison::Arn, false),
    ("arnnotequals", Comparison::Arn, true),
    ("arnnotlike", Comparison::Arn, true),
    ("null", Comparison::Null, false),
];

impl Operator {
    /// Reads a name such as `ForAnyValue:StringLikeIfExists`, without regard to case.
    pub(super) fn parse(name: &str) -> Result<Self, MalformedPolicy> {
        let folded = name.to_ascii_lowercase();
        let (set, rest) = if let Some(rest) = folded.strip_prefix("forallvalues:") {
            (Some(SetOperator::ForAllValues), rest)
        } else if let Some(rest) = folded.strip_prefix("foranyvalue:") {
            (Some(SetOperator::ForAnyValue), rest)
        } else {
            (None, folded.as_str())
        };
        let (base, if_exists) = match rest.strip_suffix("ifexists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let known = OPERATORS.iter().find(|(known, _, _)| *known == base);
        let Some(&(_, comparison, negated)) = known else {
            return Err(MalformedPolicy::here(format!("'{}' is not a condition operator", quoted(name))));
        };
        if comparison == Comparison::Null && (set.is_some() || if_exists) {
            return Err(MalformedPolicy::here("Null takes neither a set operator nor IfExists"));
        }
        Ok(Self { set, comparison, negated, if_exists })
    }
}
