//! The functions as Lambda calls them, and the ingress as a load balancer does, over embedded services.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]

mod events;
mod ingress;
mod jobs;
mod support;
mod template;
mod told;
