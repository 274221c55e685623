//! Why a token is not accepted.

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It is not a token of the form that is accepted.
    #[error("The ID Token provided is not a valid JWT. {0}")]
    Malformed(String),
    /// A claim that must be there is not.
    #[error("Missing a required claim: {0}")]
    MissingClaim(&'static str),
    /// A claim does not have the form it must have.
    #[error("The claim {claim} of the token {reason}")]
    InvalidClaim {
        /// Which.
        claim: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The issuer has no such key.
    #[error("The identity provider has no key that could have signed the token")]
    UnknownKey,
    /// The signature is not the one of the key.
    #[error("The signature of the token is not valid")]
    Signature,
}

impl JwtError {
    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}
