//! The two wire protocols: OCI Distribution and the AWS APIs.
//!
//! Invariant: nothing here does IO or reads a clock; time is an argument.
//! Invariant: what a request says is parsed here, completely, before anything
//! acts on it.

pub mod ecr;
pub mod error;
pub mod paging;
pub mod range;
pub mod route;
pub mod seal;
pub mod sigv4;
