//! From a form to a typed input.
//!
//! Invariant: a value of the wrong form is reported before any violated
//! constraint.

use ironwharf_model::Error;
use ironwharf_model::error::quoted;
use serde::de::DeserializeOwned;

use super::form::Form;
use super::{input, wording};
use crate::service::check::{Misfit, check};
use crate::service::shape::Shape;

/// How many violations a message reports at most.
const MAX_VIOLATIONS: usize = 32;

/// Why the parameters of a request were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A parameter does not have the form of its type.
    #[error("{message}")]
    Malformed {
        /// Which parameter, and what it must be.
        message: String,
    },
    /// Constraints of the model are violated.
    #[error("{message}")]
    Validation {
        /// Which ones, in the words of the service.
        message: String,
    },
}

impl DecodeError {
    /// The `Code` of the error on the wire.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "MalformedInput",
            Self::Validation { .. } => "ValidationError",
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed { message } => Self::Serialization { message },
            DecodeError::Validation { message } => Self::Validation { message },
        }
    }
}

/// Reads the input of an operation whose input has this shape and type.
pub fn decode<T: DeserializeOwned>(shape: &'static Shape, form: &Form) -> Result<T, DecodeError> {
    let malformed = |message: String| DecodeError::Malformed { message };
    let value = input::read(shape, form).map_err(malformed)?;
    check(shape, &value, MAX_VIOLATIONS).map_err(|misfit| match misfit {
        Misfit::WrongType(message) => DecodeError::Malformed { message },
        Misfit::Violations(violations) => DecodeError::Validation { message: wording::message(&violations) },
    })?;
    // Cannot fail for the operation's own input type: the check has seen
    // every member that the type has.
    serde_json::from_value(value).map_err(|error| malformed(quoted(&error.to_string())))
}
