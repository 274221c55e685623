//! Lifecycle policies: which images of a repository expire, and which go into
//! the archive. (ECR User Guide: lifecycle policy properties, evaluation rules
//! and examples.)
//!
//! Invariant: a [`Policy`] keeps all the rules that the documentation gives for
//! one; whoever evaluates it has nothing left to check.
//! Invariant: evaluating does nothing but say what is to be done, and says the
//! same in whatever order the images were given.

mod document;
mod evaluation;
mod limits;
mod names;
mod reader;
mod rule;

use std::fmt;

pub use document::Policy;
pub use evaluation::{Act, Evaluation, Image, Listed, Outcome};
pub use limits::MAX_CHARACTERS;
pub use rule::{Action, Count, Rule, StorageClass, TagSelection};

/// Why a text is not a lifecycle policy: a sentence that names the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}
