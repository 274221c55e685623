//! The vocabulary of the registry: names, digests, tags, ARNs, media types,
//! manifests and the one error type.
//!
//! Invariant: nothing here does IO or reads a clock.
//! Invariant: a value of one of these types is valid; there is no other way to
//! make one than its `parse`. Storage keys are only ever built from them.

pub mod access_key;
pub mod account_setting;
pub mod arn;
pub mod digest;
pub mod error;
pub mod identity;
pub mod image_status;
pub mod manifest;
pub mod manifest_conversion;
pub mod media_type;
pub mod mutability;
pub mod principal;
pub mod repository;
pub mod strict_json;
pub mod tag;
pub mod template;

pub use access_key::{AccessKeyKind, access_key_id, account_of_access_key};
pub use account_setting::{AccountSetting, AccountSettings};
pub use arn::{NamedRepository, RepositoryArn};
pub use digest::{Algorithm, Digest};
pub use error::{Error, Result};
pub use identity::{AccountId, Region};
pub use image_status::ImageStatus;
pub use manifest::Manifest;
pub use mutability::TagMutability;
pub use principal::{Principal, PrincipalKind};
pub use repository::RepositoryName;
pub use tag::{ImageIdentifier, Reference, Tag};
pub use template::TemplatePrefix;
