//! The IAM API: its operations, shapes, constraints and the two ends of its wire.
//!
//! Invariant: a form becomes a typed input only through [`decode`], which
//! checks every constraint of the model.
//!
//! Three modules are generated from the service model by `cargo xtask codegen`
//! ([`operations`], [`schema`], [`shapes`]).

pub mod operations;
pub mod schema;
pub mod shapes;

use ironwharf_model::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::query::DecodeError;
use crate::query::{self, Form, Service};
pub use crate::service::Empty;
pub use crate::service::scalars::{Blob, Timestamp};
pub use operations::{API_VERSION, ErrorName, OperationName, SIGNING_NAME, XML_NAMESPACE};

/// The service, for what does not depend on an operation.
pub const SERVICE: Service = Service {
    name: operations::SERVICE_NAME,
    version: API_VERSION,
    namespace: XML_NAMESPACE,
    other_operations: operations::OTHER_OPERATIONS,
};

/// The operation that a form asks for, in this version of the API.
pub fn operation(form: &Form) -> Result<OperationName> {
    SERVICE.operation(form, OperationName::parse)
}

/// Reads the input of `operation`, whose input type is `T` ([`Empty`] if it
/// takes none).
pub fn decode<T: DeserializeOwned>(operation: OperationName, form: &Form) -> Result<T, DecodeError> {
    query::decode(operation.input_schema(), form)
}

/// The answer to `operation` with its output ([`Empty`] if it has none).
pub fn response_xml<T: Serialize>(operation: OperationName, output: &T, request_id: &str) -> Result<String> {
    SERVICE.response(operation.as_str(), operation.output_schema(), output, request_id)
}
