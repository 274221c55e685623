//! Why a request was not accepted as signed.

use std::borrow::Cow;

/// A refusal, with a sentence that names the header or parameter at fault.
///
/// The sentences repeat names and dates of the request, never a signature, a
/// secret or a session token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigV4Error {
    /// Neither an `Authorization` header nor presigned parameters.
    #[error("Missing Authentication Token")]
    MissingAuthenticationToken,
    /// The authorization is not well-formed, or contradicts itself.
    #[error("{0}")]
    IncompleteSignature(Cow<'static, str>),
    /// Well-formed, but not valid: wrong time, scope, body or signature.
    #[error("{0}")]
    InvalidSignature(Cow<'static, str>),
    /// No such access key, or not an active one.
    #[error("The security token included in the request is invalid.")]
    UnrecognizedClient,
}

impl SigV4Error {
    /// The error code of the AWS JSON protocols ("Common Errors" in the Amazon
    /// ECR API Reference).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature(_) => "IncompleteSignatureException",
            Self::InvalidSignature(_) => "InvalidSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
        }
    }

    pub(super) fn incomplete(message: impl Into<Cow<'static, str>>) -> Self {
        Self::IncompleteSignature(message.into())
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidSignature(message.into())
    }
}
