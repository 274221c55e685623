//! Whether a tag may be moved to another image: a repository's setting.

use crate::error::{Error, Result};

/// How many wildcards a filter may have. (ECR User Guide: image tag mutability.)
const MAX_WILDCARDS: usize = 2;

/// A repository's tag mutability (ECR's `imageTagMutability` with its exclusion
/// filters). A filter is a whole-tag pattern with `*` for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TagMutability {
    /// Every tag can be moved.
    #[default]
    Mutable,
    /// No tag can be moved.
    Immutable,
    /// Tags can be moved, except those that a filter matches.
    MutableWithExclusion(Vec<String>),
    /// Tags cannot be moved, except those that a filter matches.
    ImmutableWithExclusion(Vec<String>),
}

impl TagMutability {
    /// Puts a setting together from its two parts. The `_WITH_EXCLUSION` values
    /// require filters, the others refuse them.
    pub fn parse(value: &str, filters: Vec<String>) -> Result<Self> {
        let parameter = "imageTagMutabilityExclusionFilters";
        if let Some(filter) = filters.iter().find(|filter| filter.matches('*').count() > MAX_WILDCARDS) {
            let shown = crate::error::quoted(filter);
            let constraint = format!("the filter '{shown}' must have at most {MAX_WILDCARDS} wildcards");
            return Err(Error::invalid_parameter(parameter, constraint));
        }
        match (value, filters.is_empty()) {
            ("MUTABLE", true) => Ok(Self::Mutable),
            ("IMMUTABLE", true) => Ok(Self::Immutable),
            ("MUTABLE_WITH_EXCLUSION", false) => Ok(Self::MutableWithExclusion(filters)),
            ("IMMUTABLE_WITH_EXCLUSION", false) => Ok(Self::ImmutableWithExclusion(filters)),
            ("MUTABLE" | "IMMUTABLE", false) => {
                Err(Error::invalid_parameter(parameter, format!("filters cannot be used with {value}")))
            }
            ("MUTABLE_WITH_EXCLUSION" | "IMMUTABLE_WITH_EXCLUSION", true) => {
                Err(Error::invalid_parameter(parameter, format!("{value} requires at least one filter")))
            }
            _ => Err(Error::invalid_parameter(
                "imageTagMutability",
                format!("'{}' is not a tag mutability", crate::error::quoted(value)),
            )),
        }
    }

    /// The value without its filters.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Mutable => "MUTABLE",
            Self::Immutable => "IMMUTABLE",
            Self::MutableWithExclusion(_) => "MUTABLE_WITH_EXCLUSION",
            Self::ImmutableWithExclusion(_) => "IMMUTABLE_WITH_EXCLUSION",
        }
    }

    /// The exclusion filters; empty for the plain values.
    #[must_use]
    pub fn filters(&self) -> &[String] {
        match self {
            Self::Mutable | Self::Immutable => &[],
            Self::MutableWithExclusion(filters) | Self::ImmutableWithExclusion(filters) => filters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_two_wildcards_at_most() {
        let parse = |filter: &str| TagMutability::parse("IMMUTABLE_WITH_EXCLUSION", vec![filter.to_owned()]);
        assert!(parse("*dev*").is_ok());
        let error = parse("a*b*c*").unwrap_err().to_string();
        assert!(error.contains("the filter 'a*b*c*' must have at most 2 wildcards"), "{error}");
    }
}
