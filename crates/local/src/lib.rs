//! The registry on one machine: the same handlers as on AWS, over services
//! embedded in the process, behind one port.
//!
//! Invariant: nothing here decides what a request means; that is
//! `ironwharf_registry`'s.

mod account;
pub mod api_client;
mod audit;
pub mod cli;
pub mod counting;
pub mod credentials;
pub mod embedded;
mod key;
pub mod logging;
pub mod login_password;
pub mod regions;
pub mod server;
pub mod test_app;
