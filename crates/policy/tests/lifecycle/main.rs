//! Lifecycle policies: the documentation's examples, every refusal, and
//! properties against a second evaluator.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod bounds;
mod clocks;
mod documents;
mod examples;
mod properties;
mod references;
mod scene;
