//! What the documentation of IAM says, as tables; and the engine against a
//! second evaluator.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a panic is how a test fails"
)]

mod differential;
mod documents;
mod matching;
mod naive;
#[path = "../support/mod.rs"]
mod support;
mod variables;
