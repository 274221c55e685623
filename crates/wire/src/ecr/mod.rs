//! The ECR API: its operations, shapes, constraints and JSON forms.
//!
//! Three modules are generated from the service model by `cargo xtask codegen`
//! ([`operations`], [`schema`], [`shapes`]); the others are written by hand and
//! give them meaning. A request body becomes a typed input only through
//! [`decode`], which checks every constraint of the model: a handler that holds
//! an input may rely on all of them.

pub mod check;
pub mod json;
pub mod operations;
pub mod schema;
pub mod shapes;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
mod tests;

pub use crate::service::scalars::{self, Blob, Timestamp};
pub use json::{DecodeError, decode};
pub use operations::{ErrorName, OperationName, SIGNING_NAME, TARGET_PREFIX};
