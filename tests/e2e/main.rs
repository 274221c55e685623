//! The whole server over its socket: what clients see, and what they must not.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod accepted_media_types;
mod access;
mod account_ids;
mod account_settings;
mod accounts;
mod api_images;
mod api_layers;
mod api_listings;
mod api_regions;
mod api_repositories;
mod archive;
mod audit;
mod encryption;
mod every_door;
mod front_door;
mod hostile_api;
mod hostile_http;
mod hostile_routes;
mod isolation;
mod lifecycle;
mod not_yet_served;
mod oci_blobs;
mod oci_listings;
mod oci_manifests;
mod oci_names;
mod oci_uploads;
mod pull_times;
mod rate_limits;
mod referrers_api;
mod repository_deletion;
mod repository_settings;
mod sessions;
mod templates;
mod web_identity;
mod web_identity_tokens;
mod words;
