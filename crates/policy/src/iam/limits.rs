//! What bounds the work that one document can ask for.
//!
//! Invariant: nothing here is a quota of IAM or ECR; those are the business of
//! whoever stores the document, and are smaller.

/// The largest text that is read, in bytes. IAM does not count white space, so
/// there is room for some.
pub(super) const MAX_TEXT: usize = 32 * 1024;

/// The largest number of statements in a document.
pub(super) const MAX_STATEMENTS: usize = 500;

/// The largest number of entries in one list.
pub(super) const MAX_LIST: usize = 1_000;

/// The largest number of `?` in a document. Finding a run of text takes linear
/// time; a run that holds `?` has to be tried at every position.
pub(super) const MAX_QUESTION_MARKS: usize = 64;

/// The longest value of the request that is compared. A longer one is neither
/// equal nor different: an `Allow` does not apply, a `Deny` does.
pub(super) const MAX_VALUE: usize = 1024;
