//! Decisions that need nothing but their arguments.
//!
//! Invariant: nothing here does IO or reads a clock, and no decision fails;
//! evaluation is linear in its input, whatever the pattern.

pub mod iam;
pub mod lifecycle;
pub mod tags;
pub mod wildcard;
