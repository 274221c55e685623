//! The AWS Query protocol: a form in, XML out. IAM and STS speak it.
//!
//! Invariant: a form becomes a typed input only through [`decode`], which
//! checks every constraint of the model: a handler that holds an input may
//! rely on all of them.
//! Invariant: every answer is well-formed XML, whatever texts are in it.
//!
//! The tables of a service tell how its inputs are read and its outputs are
//! written; nothing here knows an operation.

mod decode;
mod document;
mod form;
mod input;
mod service;
mod wording;
mod xml;

pub use decode::{DecodeError, decode};
pub use document::percent_encode_document;
pub use form::{Form, FormError, MAX_FIELDS};
pub use service::Service;
pub use xml::{Fault, error_xml, response_xml};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
mod tests;
