//! Tags, and the two ways to name an image: by tag and by digest.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::identity::display_as_str;

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI Distribution 1.1, "Pulling manifests").
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Parses a tag.
    pub fn parse(text: &str) -> Result<Self> {
        let first_is_word = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let rest_is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if first_is_word && rest_is_plain && text.len() <= 128 {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::TagInvalid { tag: text.to_owned() })
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

display_as_str!(Tag);

/// The last segment of a manifest URL: a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By tag: mutable.
    Tag(Tag),
    /// By digest: immutable.
    Digest(Digest),
}

impl Reference {
    /// Parses a reference; only a digest can contain a colon.
    pub fn parse(text: &str) -> Result<Self> {
        if text.contains(':') { Digest::parse(text).map(Self::Digest) } else { Tag::parse(text).map(Self::Tag) }
    }
}

/// How a caller of the API names one image: by digest, by tag, or by both.
/// It is shown in error messages in ECR's form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ImageIdentifier {
    /// The digest, if given.
    pub digest: Option<String>,
    /// The tag, if given.
    pub tag: Option<String>,
}

impl From<&Reference> for ImageIdentifier {
    fn from(reference: &Reference) -> Self {
        match reference {
            Reference::Tag(tag) => Self { digest: None, tag: Some(tag.to_string()) },
            Reference::Digest(digest) => Self { digest: Some(digest.to_string()), tag: None },
        }
    }
}

impl std::fmt::Display for ImageIdentifier {
    /// `{imageDigest:'sha256:…', imageTag:'null'}`, as ECR writes it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digest = self.digest.as_deref().unwrap_or("null");
        let tag = self.tag.as_deref().unwrap_or("null");
        write!(formatter, "{{imageDigest:'{digest}', imageTag:'{tag}'}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_the_specification() {
        for good in ["latest", "v1.0", "_x", "A", "1", &"a".repeat(128)] {
            assert!(Tag::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", ".x", "-x", "a/b", "../x", "a b", "a:b", "é", "a\n", &"a".repeat(129)] {
            assert!(Tag::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_colon_makes_a_digest() {
        assert!(matches!(Reference::parse("latest"), Ok(Reference::Tag(_))));
        assert!(Reference::parse("sha256:abc").is_err());
        assert!(matches!(Reference::parse(&format!("sha256:{}", "a".repeat(64))), Ok(Reference::Digest(_))));
    }
}
