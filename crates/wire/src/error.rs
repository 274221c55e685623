//! What each error is called on the wires: AWS JSON, AWS Query and OCI.
//!
//! Invariant: one exhaustive match decides all; a new [`Error`] variant does
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
    /// The code in the AWS Query protocol.
    pub query: &'static str,
    /// Its status.
    pub query_status: StatusCode,
    /// The error code of OCI Distribution.
    pub oci: &'static str,
    /// Its status.
    pub oci_status: StatusCode,
}

impl Codes {
    /// An error whose name in AWS Query is that in AWS JSON without its suffix.
    fn new(aws: &'static str, aws_status: StatusCode, oci: &'static str, oci_status: StatusCode) -> Self {
        let query = aws.strip_suffix("Exception").unwrap_or(aws);
        Self { aws, aws_status, query, query_status: aws_status, oci, oci_status }
    }

    fn with_query(self, query: &'static str, query_status: StatusCode) -> Self {
        Self { query, query_status, ..self }
    }
}

/// The codes of an error on all wires.
#[must_use]
#[expect(clippy::match_same_arms, reason = "one line for each error, in the order of the enum")]
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn codes(error: &Error) -> Codes {
    use StatusCode as S;
    let codes = |aws, oci, oci_status| Codes::new(aws, S::BAD_REQUEST, oci, oci_status);
    match error {
        Error::RepositoryNotFound(_) => codes("RepositoryNotFoundException", "NAME_UNKNOWN", S::NOT_FOUND),
        Error::RepositoryAlreadyExists(_) => codes("RepositoryAlreadyExistsException", "DENIED", S::CONFLICT),
        Error::RepositoryNotEmpty(_) => codes("RepositoryNotEmptyException", "DENIED", S::CONFLICT),
        Error::RepositoryNameInvalid { .. } => codes("InvalidParameterException", "NAME_INVALID", S::BAD_REQUEST),
        Error::RepositoryPolicyNotFound(_) => codes("RepositoryPolicyNotFoundException", "DENIED", S::NOT_FOUND),
        Error::LifecyclePolicyNotFound(_) => codes("LifecyclePolicyNotFoundException", "DENIED", S::NOT_FOUND),
        Error::LifecyclePolicyPreviewNotFound(_) => {
            codes("LifecyclePolicyPreviewNotFoundException", "DENIED", S::NOT_FOUND)
        }
        Error::LifecyclePolicyPreviewInProgress(_) => {
            codes("LifecyclePolicyPreviewInProgressException", "DENIED", S::CONFLICT)
        }
        Error::RegistryPolicyNotFound { .. } => codes("RegistryPolicyNotFoundException", "DENIED", S::NOT_FOUND),
        Error::TemplateNotFound { .. } => codes("TemplateNotFoundException", "DENIED", S::NOT_FOUND),
        Error::TemplateAlreadyExists { .. } => codes("TemplateAlreadyExistsException", "DENIED", S::CONFLICT),
        Error::TemplateNotApplicable { .. } => codes("InvalidParameterException", "DENIED", S::BAD_REQUEST),

        Error::ImageNotFound { .. } => codes("ImageNotFoundException", "MANIFEST_UNKNOWN", S::NOT_FOUND),
        Error::ImageTagDoesNotMatchDigest { .. } => codes("ImageNotFoundException", "MANIFEST_UNKNOWN", S::NOT_FOUND),
        Error::ImageAlreadyExists { .. } => codes("ImageAlreadyExistsException", "DENIED", S::CONFLICT),
        Error::ImageTagAlreadyExists { .. } => codes("ImageTagAlreadyExistsException", "TAG_INVALID", S::BAD_REQUEST),
        Error::ImageReferencedByIndex { .. } => codes("InvalidParameterException", "DENIED", S::CONFLICT),
        Error::ImageStorageClassUpdateNotSupported { .. } => {
            codes("ImageStorageClassUpdateNotSupportedException", "DENIED", S::CONFLICT)
        }
        Error::ExclusionAlreadyExists { .. } => codes("ExclusionAlreadyExistsException", "DENIED", S::CONFLICT),
        Error::ExclusionNotFound { .. } => codes("ExclusionNotFoundException", "DENIED", S::NOT_FOUND),
        Error::ManifestSyntax { .. } => codes("InvalidParameterException", "MANIFEST_INVALID", S::BAD_REQUEST),
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
        Error::LayerArchived { .. } => codes("LayerInaccessibleException", "BLOB_UNKNOWN", S::NOT_FOUND),
        Error::LayerReferenced { .. } => codes("InvalidParameterException", "DENIED", S::CONFLICT),
        Error::LayerAlreadyExists { .. } => codes("LayerAlreadyExistsException", "DENIED", S::CONFLICT),
        Error::LayerDigestMismatch { .. } => codes("InvalidLayerException", "DIGEST_INVALID", S::BAD_REQUEST),
        Error::LayerTooLarge { .. } => codes("LimitExceededException", "SIZE_INVALID", S::PAYLOAD_TOO_LARGE),
        Error::LayerPartOutOfOrder { .. } => {
            codes("InvalidLayerPartException", "BLOB_UPLOAD_INVALID", S::RANGE_NOT_SATISFIABLE)
        }
        Error::LayerPartLengthMismatch { .. } => codes("InvalidLayerPartException", "SIZE_INVALID", S::BAD_REQUEST),
        Error::UploadBusy { .. } => codes("InvalidLayerPartException", "BLOB_UPLOAD_INVALID", S::CONFLICT),
        Error::EmptyUpload { .. } => codes("EmptyUploadException", "BLOB_UPLOAD_INVALID", S::BAD_REQUEST),
        Error::UploadNotFound { .. } => codes("UploadNotFoundException", "BLOB_UPLOAD_UNKNOWN", S::NOT_FOUND),
        Error::BodyIncomplete { .. } => {
            codes("SerializationException", "SIZE_INVALID", S::BAD_REQUEST).with_query("MalformedInput", S::BAD_REQUEST)
        }
        Error::BodyTooLarge { .. } => codes("SerializationException", "SIZE_INVALID", S::PAYLOAD_TOO_LARGE)
            .with_query("RequestEntityTooLarge", S::PAYLOAD_TOO_LARGE),
        Error::RangeNotSatisfiable { .. } => {
            codes("InvalidParameterException", "RANGE_INVALID", S::RANGE_NOT_SATISFIABLE)
        }

        Error::InvalidParameter { .. } => codes("InvalidParameterException", "UNSUPPORTED", S::BAD_REQUEST)
            .with_query("ValidationError", S::BAD_REQUEST),
        Error::ResourcePolicyInvalid { .. } => codes("InvalidParameterException", "UNSUPPORTED", S::BAD_REQUEST),
        Error::Serialization { .. } => {
            codes("SerializationException", "UNSUPPORTED", S::BAD_REQUEST).with_query("MalformedInput", S::BAD_REQUEST)
        }
        Error::Validation { .. } => {
            codes("ValidationException", "UNSUPPORTED", S::BAD_REQUEST).with_query("ValidationError", S::BAD_REQUEST)
        }
        Error::InvalidInput { .. } => {
            codes("InvalidParameterException", "UNSUPPORTED", S::BAD_REQUEST).with_query("InvalidInput", S::BAD_REQUEST)
        }
        Error::MalformedPolicyDocument { .. } => codes("InvalidParameterException", "UNSUPPORTED", S::BAD_REQUEST)
            .with_query("MalformedPolicyDocument", S::BAD_REQUEST),
        Error::TagInvalid { .. } => codes("InvalidParameterException", "TAG_INVALID", S::BAD_REQUEST),
        Error::DigestInvalid { .. } => codes("InvalidParameterException", "DIGEST_INVALID", S::BAD_REQUEST),
        Error::PageSizeInvalid { .. } => {
            codes("InvalidParameterException", "PAGINATION_NUMBER_INVALID", S::BAD_REQUEST)
        }
        Error::TooManyTags { .. } => codes("TooManyTagsException", "DENIED", S::BAD_REQUEST),
        Error::InvalidTagParameter { .. } => codes("InvalidTagParameterException", "DENIED", S::BAD_REQUEST),
        Error::LimitExceeded { .. } => {
            codes("LimitExceededException", "DENIED", S::FORBIDDEN).with_query("LimitExceeded", S::CONFLICT)
        }
        Error::Kms { .. } => codes("KmsException", "DENIED", S::BAD_REQUEST),

        Error::NoSuchEntity { .. } => {
            codes("NoSuchEntityException", "DENIED", S::NOT_FOUND).with_query("NoSuchEntity", S::NOT_FOUND)
        }
        Error::EntityAlreadyExists { .. } => {
            codes("EntityAlreadyExistsException", "DENIED", S::CONFLICT).with_query("EntityAlreadyExists", S::CONFLICT)
        }
        Error::DeleteConflict { .. } => {
            codes("DeleteConflictException", "DENIED", S::CONFLICT).with_query("DeleteConflict", S::CONFLICT)
        }
        Error::UnmodifiableEntity { .. } => codes("UnmodifiableEntityException", "DENIED", S::BAD_REQUEST),
        Error::ConcurrentModification { .. } => codes("ConcurrentModificationException", "DENIED", S::CONFLICT)
            .with_query("ConcurrentModification", S::CONFLICT),

        Error::ExpiredWebIdentityToken { .. } => codes("ExpiredTokenException", "UNAUTHORIZED", S::UNAUTHORIZED)
            .with_query("ExpiredTokenException", S::BAD_REQUEST),
        Error::InvalidIdentityToken { .. } => codes("InvalidIdentityTokenException", "UNAUTHORIZED", S::UNAUTHORIZED),
        Error::IdpRejectedClaim { .. } => {
            codes("IDPRejectedClaimException", "DENIED", S::FORBIDDEN).with_query("IDPRejectedClaim", S::FORBIDDEN)
        }
        Error::IdpCommunicationError { .. } => codes("IDPCommunicationErrorException", "DENIED", S::BAD_REQUEST),
        Error::PackedPolicyTooLarge { .. } => codes("PackedPolicyTooLargeException", "DENIED", S::BAD_REQUEST),

        Error::UnknownOperation { .. } => codes("UnknownOperationException", "UNSUPPORTED", S::NOT_FOUND),
        Error::OperationNotServed { .. } | Error::ActionNotServed { .. } => {
            Codes::new("UnknownOperationException", S::NOT_IMPLEMENTED, "UNSUPPORTED", S::NOT_IMPLEMENTED)
                .with_query("UnknownOperationException", S::NOT_IMPLEMENTED)
        }
        Error::MissingAction => {
            codes("UnknownOperationException", "UNSUPPORTED", S::NOT_FOUND).with_query("MissingAction", S::BAD_REQUEST)
        }
        Error::InvalidAction { .. } => {
            codes("UnknownOperationException", "UNSUPPORTED", S::NOT_FOUND).with_query("InvalidAction", S::BAD_REQUEST)
        }
        Error::RouteNotFound { .. } => codes("UnknownOperationException", "UNSUPPORTED", S::NOT_FOUND),
        Error::MethodNotAllowed { .. } => codes("UnknownOperationException", "UNSUPPORTED", S::METHOD_NOT_ALLOWED),

        Error::NotAuthenticated => codes("MissingAuthenticationTokenException", "UNAUTHORIZED", S::UNAUTHORIZED)
            .with_query("MissingAuthenticationToken", S::FORBIDDEN),
        Error::TokenRefused => {
            codes("ExpiredTokenException", "DENIED", S::FORBIDDEN).with_query("ExpiredToken", S::FORBIDDEN)
        }
        Error::Signature { failure, .. } => {
            let (aws, query, query_status) = match failure {
                SignatureFailure::Missing => {
                    ("MissingAuthenticationTokenException", "MissingAuthenticationToken", S::FORBIDDEN)
                }
                SignatureFailure::Incomplete => ("IncompleteSignatureException", "IncompleteSignature", S::BAD_REQUEST),
                SignatureFailure::Invalid => ("InvalidSignatureException", "SignatureDoesNotMatch", S::FORBIDDEN),
                SignatureFailure::UnknownKey => ("UnrecognizedClientException", "InvalidClientTokenId", S::FORBIDDEN),
                SignatureFailure::Expired => ("ExpiredTokenException", "ExpiredToken", S::FORBIDDEN),
            };
            codes(aws, "UNAUTHORIZED", S::UNAUTHORIZED).with_query(query, query_status)
        }
        Error::AccessDenied { .. } => {
            codes("AccessDeniedException", "DENIED", S::FORBIDDEN).with_query("AccessDenied", S::FORBIDDEN)
        }
        Error::NotAuthorized { .. } | Error::AccountSuspended => {
            codes("AccessDeniedException", "DENIED", S::FORBIDDEN).with_query("AccessDenied", S::FORBIDDEN)
        }
        Error::Throttled { .. } => codes("ThrottlingException", "TOOMANYREQUESTS", S::TOO_MANY_REQUESTS),

        Error::StorageFull => {
            Codes::new("ServerException", S::INSUFFICIENT_STORAGE, "UNKNOWN", S::INSUFFICIENT_STORAGE)
                .with_query("ServiceFailure", S::INSUFFICIENT_STORAGE)
        }
        Error::Internal(_) => {
            Codes::new("ServerException", S::INTERNAL_SERVER_ERROR, "UNKNOWN", S::INTERNAL_SERVER_ERROR)
                .with_query("InternalFailure", S::INTERNAL_SERVER_ERROR)
        }
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
    if let (Error::Kms { code, .. }, Some(members)) = (error, body.as_object_mut()) {
        members.insert("kmsError".into(), json!(code));
    }
    body
}

/// The body of an error in OCI Distribution ("Error Codes").
///
/// Of an image that is not there ECR says less on this wire than in its API; the
/// sentence of the API is the detail.
#[must_use]
pub fn oci_body(error: &Error) -> Value {
    let sentence = error.to_string();
    let (message, detail) = match error {
        Error::ImageNotFound { .. } => ("Requested image not found".to_owned(), json!(sentence)),
        _ => (sentence, Value::Null),
    };
    json!({ "errors": [{ "code": codes(error).oci, "message": message, "detail": detail }] })
}

#[cfg(test)]
mod tests;
