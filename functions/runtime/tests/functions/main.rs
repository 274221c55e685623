//! The functions as Lambda calls them, over embedded services.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]

mod events;
mod support;
mod template;
