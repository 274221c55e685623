//! What each error is called on the two wires.
//!
//! Invariant: one exhaustive match decides both; a new [`Error`] variant does
//! not compile until it has its codes. A snapshot prints the whole table.

use http::StatusCode;
use ironwharf_model::Error;
use ironwharf_model::error::SignatureFailure;
use serde_json::{Value, json};

/// The codes of one error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// The exception's name in the AWS JSON protocol.
    pub aws: &'static str,
    /// Its status: 400, or 500 for our own faults (and 501 where there is
    /// nothing behind an operation yet).
    pub aws_status: StatusCode,
    /// The error code of OCI Distribution.
    pub oci: &'static str,
    /// Its status.
    pub oci_status: StatusCode,
}

/// The codes of an error on both wires.
#[must_use]
#[expect(clippy::match_same_arms, reason = "one line for each error, in the order of the enum")]
pub fn codes(error: &Error) -> Codes {
    use StatusCode as S;
    let codes = |aws, oci, oci_status| Codes { aws, aws_status: S::BAD_REQUEST, oci, oci_status };
    match error {
        Error::RepositoryNotFound(_) => codes("RepositoryNotFoundException", "NAME_UNKNOWN", S::NOT_FOUND),
        Error::RepositoryAlreadyExists(_) => codes("RepositoryAlreadyExistsException", "DENIED", S::CONFLICT),
        Error::RepositoryNotEmpty(_) => codes("RepositoryNotEmptyException", "DENIED", S::CONFLICT),
        Error::RepositoryNameInvalid { .. } => codes("InvalidParameterException", "NAME_INVALID", S::BAD_REQUEST),

        Error::ImageNotFound { .. } => codes("ImageNotFoundException", "MANIFEST_UNKNOWN", S::NOT_FOUND),
        Error::ImageAlreadyExists { .. } => codes("ImageAlreadyExistsException", "DENIED", S::CONFLICT),
        Error::ImageTagAlreadyExists { .. } => codes("ImageTagAlreadyExistsException", "TAG_INVALID", S::BAD_REQUEST),
        Error::ImageReferencedByIndex { .. } => codes("InvalidParameterException", "DENIED", S::CONFLICT),
        Error::ManifestInvalid { .. } => codes("InvalidParameterException", "MANIFEST_INVALID", S::BAD_REQUEST),
        Error::ManifestTypeUnsupported { .. } => codes("InvalidParameterException", "MANIFEST_INVALID", S::BAD_REQUEST),
        Error::ManifestTooLarge { .. } => codes("InvalidParameterException", "SIZE_INVALID", S::PAYLOAD_TOO_LARGE),
        Error::ImageDigestDoesNotMatch { .. } => {
            codes("ImageDigestDoesNotMatchException", "DIGEST_INVALID", S::BAD_REQUEST)
        }
        Error::LayersNotFound { .. } => codes("LayersNotFoundException", "MANIFEST_BLOB_UNKNOWN", S::BAD_REQUEST),
        Error::LayerSizeMismatch { .. } => codes("InvalidParameterException", "SIZE_INVALID", S::BAD_REQUEST),
        Error::ReferencedImagesNotFound { .. } => {
            codes("ReferencedImagesNotFoundException", "MANIFEST_BLOB_UNKNOWN", S::BAD_REQUEST)
        }

        Error::LayerNotFound { .. } => codes("LayersNotFoundException", "BLOB_UNKNOWN", S::NOT_FOUND),
        Error::LayerInaccessible { .. } => codes("LayerInaccessibleException", "BLOB_UNKNOWN", S::NOT_FOUND),
        Error::LayerReferenced { .. } => codes("InvalidParameterException", "DENIED", S::CONFLICT),
        Error::LayerAlreadyExists { .. } => codes("LayerAlreadyExistsException", "DENIED", S::CONFLICT),
        Error::LayerDigestMismatch { .. } => codes("InvalidLayerException", "DIGEST_INVALID", S::BAD_REQUEST),
        Error::LayerTooLarge { .. } => codes("LimitExceededException", "SIZE_INVALID", S::PAYLOAD_TOO_LARGE),
        Error::LayerPartOutOfOrder { .. } => {
            codes("InvalidLayerPartException", "BLOB_UPLOAD_INVALID", S::RANGE_NOT_SATISFIABLE)
        }
        Error::LayerPartLengthMismatch { .. } => codes("InvalidLayerPartException", "SIZE_INVALID", S::BAD_REQUEST),
        Error::UploadBusy { .. } => codes("InvalidLayerPartException", "BLOB_UPLOAD_INVALID", S::RANGE_NOT_SATISFIABLE),
        Error::EmptyUpload { .. } => codes("EmptyUploadException", "BLOB_UPLOAD_INVALID", S::BAD_REQUEST),
        Error::UploadNotFound { .. } => codes("UploadNotFoundException", "BLOB_UPLOAD_UNKNOWN", S::NOT_FOUND),
        Error::BodyIncomplete { .. } => codes("SerializationException", "SIZE_INVALID", S::BAD_REQUEST),
        Error::BodyTooLarge { .. } => codes("SerializationException", "SIZE_INVALID", S::PAYLOAD_TOO_LARGE),
        Error::RangeNotSatisfiable { .. } => {
            codes("InvalidParameterException", "RANGE_INVALID", S::RANGE_NOT_SATISFIABLE)
        }

        Error::InvalidParameter { .. } => codes("InvalidParameterException", "UNSUPPORTED", S::BAD_REQUEST),
        Error::Serialization { .. } => codes("SerializationException", "UNSUPPORTED", S::BAD_REQUEST),
        Error::TagInvalid { .. } => codes("InvalidParameterException", "TAG_INVALID", S::BAD_REQUEST),
        Error::DigestInvalid { .. } => codes("InvalidParameterException", "DIGEST_INVALID", S::BAD_REQUEST),
        Error::PageSizeInvalid { .. } => {
            codes("InvalidParameterException", "PAGINATION_NUMBER_INVALID", S::BAD_REQUEST)
        }
        Error::TooManyTags { .. } => codes("TooManyTagsException", "DENIED", S::BAD_REQUEST),
        Error::InvalidTagParameter { .. } => codes("InvalidTagParameterException", "DENIED", S::BAD_REQUEST),
        Error::LimitExceeded { .. } => codes("LimitExceededException", "DENIED", S::FORBIDDEN),
        Error::Kms { .. } => codes("KmsException", "DENIED", S::BAD_REQUEST),

        Error::UnknownOperation { .. } => codes("UnknownOperationException", "UNSUPPORTED", S::NOT_FOUND),
        Error::OperationNotServed { .. } => Codes {
            aws_status: S::NOT_IMPLEMENTED,
            ..codes("UnknownOperationException", "UNSUPPORTED", S::NOT_IMPLEMENTED)
        },
        Error::RouteNotFound { .. } => codes("UnknownOperationException", "UNSUPPORTED", S::NOT_FOUND),
        Error::MethodNotAllowed { .. } => codes("UnknownOperationException", "UNSUPPORTED", S::METHOD_NOT_ALLOWED),

        Error::NotAuthenticated => codes("MissingAuthenticationTokenException", "UNAUTHORIZED", S::UNAUTHORIZED),
        Error::TokenRefused => codes("ExpiredTokenException", "DENIED", S::FORBIDDEN),
        Error::Signature { failure, .. } => {
            let aws = match failure {
                SignatureFailure::Missing => "MissingAuthenticationTokenException",
                SignatureFailure::Incomplete => "IncompleteSignatureException",
                SignatureFailure::Invalid => "InvalidSignatureException",
                SignatureFailure::UnknownKey => "UnrecognizedClientException",
                SignatureFailure::Expired => "ExpiredTokenException",
            };
            codes(aws, "UNAUTHORIZED", S::UNAUTHORIZED)
        }
        Error::AccessDenied { .. } => codes("AccessDeniedException", "DENIED", S::FORBIDDEN),

        Error::Internal(_) => Codes {
            aws_status: S::INTERNAL_SERVER_ERROR,
            ..codes("ServerException", "UNKNOWN", S::INTERNAL_SERVER_ERROR)
        },
    }
}

/// The body of an error in the AWS JSON protocol.
#[must_use]
pub fn aws_body(error: &Error) -> Value {
    let mut body = json!({ "__type": codes(error).aws, "message": error.to_string() });
    if let (Error::LayerPartOutOfOrder { repository, upload_id, expected_byte, .. }, Some(members)) =
        (error, body.as_object_mut())
    {
        members.insert("registryId".into(), json!(repository.registry.as_str()));
        members.insert("repositoryName".into(), json!(repository.name.as_str()));
        members.insert("uploadId".into(), json!(upload_id));
        // -1 before the first byte: nothing has been received.
        let last = i64::try_from(*expected_byte).unwrap_or(i64::MAX) - 1;
        members.insert("lastValidByteReceived".into(), json!(last));
    }
    body
}

/// The body of an error in OCI Distribution ("Error Codes").
#[must_use]
pub fn oci_body(error: &Error) -> Value {
    json!({ "errors": [{ "code": codes(error).oci, "message": error.to_string(), "detail": null }] })
}

#[cfg(test)]
mod tests;
