//! Repository names.

use crate::error::{Error, Result};
use crate::identity::display_as_str;

/// The name of a repository, such as `team/app`.
///
/// Invariant: 2 to 256 characters of the form both ECR and OCI Distribution
/// accept: path components of lower-case letters and digits, joined by a
/// period, one or two underscores or hyphens. Never contains `..`, `//`, `%`, `#`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

/// The bounds of ECR's `RepositoryName` shape.
const LENGTH: std::ops::RangeInclusive<usize> = 2..=256;

impl RepositoryName {
    /// Parses a name: pattern
    /// `(?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/)*[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`.
    pub fn parse(text: &str) -> Result<Self> {
        let valid = LENGTH.contains(&text.len()) && text.split('/').all(is_path_component);
        if valid { Ok(Self(text.to_owned())) } else { Err(Error::RepositoryNameInvalid { name: text.to_owned() }) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
pub(crate) fn is_path_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edges_are_words =
        component.bytes().next().is_some_and(is_word) && component.bytes().last().is_some_and(is_word);
    let separators = component.split(|character: char| character.is_ascii() && is_word(character as u8));
    edges_are_words
        && separators
            .filter(|separator| !separator.is_empty())
            .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

display_as_str!(RepositoryName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_ecr_accepts() {
        for good in [
            "ab",
            "a/b",
            "team/app",
            "a--b",
            "a__b",
            "a.b_c-d",
            "0a/1b",
            "tags",
            "blobs/uploads",
            "manifests",
            "_catalog0",
        ] {
            assert_eq!(RepositoryName::parse(good).is_ok(), !good.starts_with('_'), "{good:?}");
        }
        assert!(RepositoryName::parse(&"a".repeat(256)).is_ok());
    }

    #[test]
    fn refuses_everything_else() {
        let long = "a".repeat(257);
        let bad = [
            "", "a", "..", "a//b", "/a", "a/", "a/..", "A/b", "a___b", "a..b", "a._b", "a%2fb", "a#b", "a b", "a\0b",
            "ａb", "_uploads", "a-", "-a", "a/-b", "é/a", &long,
        ];
        for name in bad {
            assert!(RepositoryName::parse(name).is_err(), "{name:?}");
        }
    }
}
