//! The wire protocols: OCI Distribution and the AWS APIs, which speak JSON (ECR)
//! or Query (IAM and STS).
//!
//! Invariant: nothing here does IO or reads a clock; time is an argument.
//! Invariant: what a request says is parsed here, completely, before anything
//! acts on it.

#[macro_use]
pub mod service;

pub mod ecr;
pub mod error;
pub mod iam;
pub mod jwt;
pub mod paging;
pub mod query;
pub mod range;
pub mod route;
pub mod seal;
pub mod sigv4;
pub mod sts;
