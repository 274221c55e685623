//! Why a policy document is refused.
//!
//! Invariant: a message has no line break and no control character, and its
//! length is bounded: every excerpt of the document goes through `quoted`.

use std::fmt;

/// A policy document that is not valid: the place in it, and what is wrong there.
///
/// Displayed as one sentence, such as
/// `Statement[1].Condition.StringEquals: must be an object`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedPolicy {
    /// Path of the element, such as `Statement[1].Action[0]`; empty for the document as a whole.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

impl MalformedPolicy {
    /// A fault of the element that is being read.
    pub(super) fn here(reason: impl Into<String>) -> Self {
        Self { place: String::new(), reason: reason.into() }
    }

    /// The same fault, seen from the element that contains it under `step`.
    pub(super) fn within(mut self, step: &str) -> Self {
        let separator = if self.place.is_empty() || self.place.starts_with('[') { "" } else { "." };
        self.place.insert_str(0, separator);
        self.place.insert_str(0, step);
        self
    }
}

impl fmt::Display for MalformedPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            return formatter.write_str(&self.reason);
        }
        write!(formatter, "{}: {}", self.place, self.reason)
    }
}

impl std::error::Error for MalformedPolicy {}
