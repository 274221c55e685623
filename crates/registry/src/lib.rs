//! The registry: one set of handlers for OCI Distribution and the ECR API,
//! over the same state.
//!
//! A request goes through the same steps on both protocols: it is parsed, its
//! sender is authenticated, the action is authorized, the handler runs.
//!
//! Invariant: a handler takes a [`authorize::Permit`], and only
//! [`authorize::authorize`] makes one; what is not authorized does not run.
//! Invariant: no handler keeps state between requests but caches that may be
//! dropped at any time.

pub mod app;
mod audit;
pub mod authenticate;
pub mod authorize;
pub mod aws;
pub mod body;
pub mod config;
mod creation_templates;
mod delete_image;
mod egress;
mod encryption;
pub mod events;
mod expiring;
pub mod identity;
mod jobs;
mod keyring;
mod new_registries;
pub mod oci;
mod operator;
pub mod ops;
mod pull_image;
mod pull_times;
mod push_image;
mod region;
mod repositories;
mod resource_policies;
mod storage_class;
pub mod throttle;
mod upload;

pub use app::App;
pub use authenticate::ClientAddress;
pub use body::Body;
pub use config::{AppConfig, RegistryHost, RootCredentials, Tenancy};
pub use egress::EgressRules;
pub use operator::SERVED as OPERATOR_OPERATIONS;
pub use pull_times::{LOG_TARGET as PULL_LOG_TARGET, NotedPull};
pub use region::{Regions, SingleRegion};
pub use throttle::RateLimits;
