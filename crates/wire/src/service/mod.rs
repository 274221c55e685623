//! What the AWS services have in common: shapes, constraints and scalars.
//!
//! Invariant: nothing here knows a service or a protocol; the generated tables
//! of a service are written in these terms.

#[macro_use]
mod string_enum;

pub mod check;
pub mod scalars;
pub mod shape;

use serde::{Deserialize, Serialize};

/// The input of an operation that takes none, and the output of one that has
/// none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}
