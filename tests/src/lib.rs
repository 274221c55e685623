//! What the tests of the whole server share: a registry of their own, a client
//! that hides nothing of the wire, and images to push.
//!
//! Everything here fails a test by panicking; that is what it is for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a panic is how a test fails"
)]

pub mod client;
pub mod images;
pub mod issuer;
pub mod raw;
pub mod registry;

pub use client::{Client, Key, Reply};
pub use images::{Image, bytes_of, digest_of};
pub use issuer::{Issuer, SigningKey};
pub use registry::Registry;
