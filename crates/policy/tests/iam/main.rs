//! What the documentation of IAM says, as tables; and the engine against a
//! second evaluator.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a panic is how a test fails, and its values are built where they are used"
)]

mod bombs;
mod conditions;
mod differential;
mod documents;
mod evaluation;
mod matching;
mod naive;
#[path = "../support/mod.rs"]
mod support;
mod trust;
mod variables;
