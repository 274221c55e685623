//! The identity service: accounts, users, groups, roles, keys and policies.
//!
//! Identity belongs to no Region: its records are in the table of the identity
//! Region, and everything reads them there, through [`directory`]'s cache.
//!
//! Invariant: what a principal may do is taken from its records as they were at
//! most 30 seconds ago, never from what a token says about its policies.

pub(crate) mod access_keys;
pub(crate) mod aws_managed;
pub(crate) mod directory;
pub(crate) mod grants;
pub(crate) mod named_principals;
pub(crate) mod oidc;
pub(crate) mod ops;
pub(crate) mod query_api;
pub(crate) mod shared_issuers;
pub(crate) mod sts;
pub(crate) mod unique_id;

pub use ops::SERVED as IAM_OPERATIONS;
pub use sts::SERVED as STS_OPERATIONS;

pub(crate) use directory::Directory;
pub(crate) use grants::Grants;
