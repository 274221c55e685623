//! What each operation costs on AWS: the calls that reach the services, counted
//! below the SDK, against the budgets and the table in `ARCHITECTURE.md`.
//!
//! `UPDATE_CALLS=1` writes the table anew.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod large_repository;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod table;
