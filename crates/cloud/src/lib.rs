//! The registry's storage: concrete structs over the AWS SDK clients, each
//! access pattern one method.
//!
//! Invariant: this is the only crate that imports `aws-sdk-*`. There is no
//! storage trait and no fake: on one machine the embedded services stand in
//! below the SDK, at its HTTP client.

pub mod connect;
mod encryption;
#[cfg(feature = "event-bus")]
pub mod event_bus;
pub mod key_secrets;
pub mod objects;
pub mod random;
pub mod sealing;
pub mod table;
pub mod tenancy;
pub mod tenant_keys;

pub use connect::{Cloud, CloudConfig, HttpClients};
pub use encryption::Encryption;
pub use key_secrets::{KeySecrets, SealedSecret};
pub use objects::{Objects, PresignHost};
pub use sealing::SealingKeys;
pub use table::Table;
pub use tenancy::{Mode, TenantRoles, TenantStorage, Tenants};
pub use tenant_keys::TenantKeys;

/// The code with which embedded services say that their disk is full. AWS has
/// none: there it is never full.
pub const STORAGE_FULL: &str = "InsufficientStorage";
