//! Values that conditions compare as something else than text.
//!
//! Invariant: no floating point and no rounding: what is not read exactly is
//! not read.

pub(super) mod arn;
pub(super) mod date;
pub(super) mod network;
pub(super) mod number;
