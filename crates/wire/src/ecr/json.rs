//! From a request body to a typed input.
//!
//! A body is read strictly (see [`ironwharf_model::strict_json`]), checked against the
//! constraints of the operation's input, and only then given a type. `null`
//! counts as absent and unknown members are ignored, as the service does.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::check::check;
use super::operations::OperationName;
use ironwharf_model::error::quoted;
use ironwharf_model::strict_json;

/// Why a request body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is not JSON, or a value in it has the wrong JSON type.
    #[error("{message}")]
    Serialization {
        /// What was expected where, and what was found.
        message: String,
    },
    /// A constraint of the model is violated.
    #[error("Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'")]
    InvalidParameter {
        /// Path of the parameter, in the notation of the service.
        parameter: String,
        /// The constraint, in the words of the service.
        constraint: String,
    },
}

impl DecodeError {
    /// The `__type` of the error on the wire.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Serialization { .. } => "SerializationException",
            Self::InvalidParameter { .. } => "InvalidParameterException",
        }
    }
}

/// Reads the body of a request for `operation`, whose input type is `T`.
pub fn decode<T: DeserializeOwned>(operation: OperationName, body: &[u8]) -> Result<T, DecodeError> {
    let unreadable = |message: String| DecodeError::Serialization { message };
    let value = if body.is_empty() {
        Value::Object(Map::new())
    } else {
        strict_json::parse(body).map_err(|error| unreadable(error.to_string()))?
    };
    check(operation.input_schema(), &value)?;
    // Cannot fail for the operation's own input type: the check has seen
    // every member that the type has.
    serde_json::from_value(value).map_err(|error| unreadable(quoted(&error.to_string())))
}
