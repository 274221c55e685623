//! The whole table of errors, as a file that a review can read and that every
//! change to it shows up in.

use std::fmt::Write as _;
use std::path::Path;

use ironwharf_model::error::RepositoryId;
use ironwharf_model::{AccountId, ImageIdentifier, RepositoryName};

use super::*;

/// A row for each kind of error. The patterns are one exhaustive match, so a
/// new variant does not compile until it has its row.
macro_rules! rows {
    ($($name:literal: $pattern:pat => $sample:expr,)+) => {
        fn name(error: &Error) -> &'static str {
            match error {
                $($pattern => $name,)+
            }
        }

        fn samples() -> Vec<Error> {
            vec![$($sample),+]
        }
    };
}

rows! {
    "RepositoryNotFound": Error::RepositoryNotFound(_) => Error::RepositoryNotFound(repository()),
    "RepositoryAlreadyExists": Error::RepositoryAlreadyExists(_) => Error::RepositoryAlreadyExists(repository()),
    "RepositoryNotEmpty": Error::RepositoryNotEmpty(_) => Error::RepositoryNotEmpty(repository()),
    "RepositoryNameInvalid": Error::RepositoryNameInvalid { .. } => Error::RepositoryNameInvalid { name: "Team".into() },
    "RepositoryPolicyNotFound": Error::RepositoryPolicyNotFound(_) => Error::RepositoryPolicyNotFound(repository()),
    "LifecyclePolicyNotFound": Error::LifecyclePolicyNotFound(_) => Error::LifecyclePolicyNotFound(repository()),
    "LifecyclePolicyPreviewNotFound": Error::LifecyclePolicyPreviewNotFound(_) =>
        Error::LifecyclePolicyPreviewNotFound(repository()),
    "LifecyclePolicyPreviewInProgress": Error::LifecyclePolicyPreviewInProgress(_) =>
        Error::LifecyclePolicyPreviewInProgress(repository()),
    "RegistryPolicyNotFound": Error::RegistryPolicyNotFound { .. } =>
        Error::RegistryPolicyNotFound { registry: repository().registry },
    "TemplateNotFound": Error::TemplateNotFound { .. } =>
        Error::TemplateNotFound { registry: repository().registry, prefix: "prod".into() },
    "TemplateAlreadyExists": Error::TemplateAlreadyExists { .. } =>
        Error::TemplateAlreadyExists { registry: repository().registry, prefix: "prod".into() },
    "TemplateNotApplicable": Error::TemplateNotApplicable { .. } => Error::TemplateNotApplicable {
        repository: repository(),
        prefix: "prod".into(),
        reason: "the key is gone".into(),
    },
    "ImageNotFound": Error::ImageNotFound { .. } => Error::ImageNotFound {
        repository: repository(),
        image: ImageIdentifier { digest: None, tag: Some("latest".into()) },
    },
    "ImageTagDoesNotMatchDigest": Error::ImageTagDoesNotMatchDigest { .. } => Error::ImageTagDoesNotMatchDigest {
        repository: repository(),
        tag: "latest".into(),
        digest: "sha256:d1".into(),
    },
    "ImageAlreadyExists": Error::ImageAlreadyExists { .. } => Error::ImageAlreadyExists {
        repository: repository(),
        digest: "sha256:d1".into(),
        tag: Some("latest".into()),
    },
    "ImageTagAlreadyExists": Error::ImageTagAlreadyExists { .. } =>
        Error::ImageTagAlreadyExists { repository: repository(), tag: "latest".into() },
    "ImageReferencedByIndex": Error::ImageReferencedByIndex { .. } => Error::ImageReferencedByIndex { parents: 2 },
    "ImageStorageClassUpdateNotSupported": Error::ImageStorageClassUpdateNotSupported { .. } =>
        Error::ImageStorageClassUpdateNotSupported { repository: repository(), digest: "sha256:d1".into(), reason: "(why)" },
    "ExclusionAlreadyExists": Error::ExclusionAlreadyExists { .. } => Error::ExclusionAlreadyExists {
        registry: repository().registry,
        principal: "arn:aws:iam::123456789012:role/scanner".into(),
    },
    "ExclusionNotFound": Error::ExclusionNotFound { .. } => Error::ExclusionNotFound {
        registry: repository().registry,
        principal: "arn:aws:iam::123456789012:role/scanner".into(),
    },
    "ManifestSyntax": Error::ManifestSyntax { .. } => Error::ManifestSyntax { detail: "duplicate key 'a'".into() },
    "ManifestInvalid": Error::ManifestInvalid { .. } => Error::ManifestInvalid { reason: "schemaVersion must be 2".into() },
    "ManifestTypeUnsupported": Error::ManifestTypeUnsupported { .. } =>
        Error::ManifestTypeUnsupported { media_type: "text/plain".into() },
    "ManifestTooLarge": Error::ManifestTooLarge { .. } => Error::ManifestTooLarge { size_bytes: 5, limit_bytes: 4 },
    "ImageDigestDoesNotMatch": Error::ImageDigestDoesNotMatch { .. } =>
        Error::ImageDigestDoesNotMatch { declared: "sha256:d1".into(), actual: "sha256:d2".into() },
    "LayersNotFound": Error::LayersNotFound { .. } =>
        Error::LayersNotFound { repository: repository(), digests: vec!["sha256:d1".into(), "sha256:d2".into()] },
    "LayerSizeMismatch": Error::LayerSizeMismatch { .. } =>
        Error::LayerSizeMismatch { digest: "sha256:d1".into(), declared_bytes: 1, actual_bytes: 2 },
    "ReferencedImagesNotFound": Error::ReferencedImagesNotFound { .. } =>
        Error::ReferencedImagesNotFound { repository: repository(), digests: vec!["sha256:d1".into()] },
    "LayerNotFound": Error::LayerNotFound { .. } =>
        Error::LayerNotFound { repository: repository(), digest: "sha256:d1".into() },
    "LayerInaccessible": Error::LayerInaccessible { .. } =>
        Error::LayerInaccessible { repository: repository(), digest: "sha256:d1".into() },
    "LayerArchived": Error::LayerArchived { .. } =>
        Error::LayerArchived { repository: repository(), digest: "sha256:d1".into() },
    "LayerReferenced": Error::LayerReferenced { .. } =>
        Error::LayerReferenced { repository: repository(), digest: "sha256:d1".into() },
    "LayerTooLarge": Error::LayerTooLarge { .. } => Error::LayerTooLarge { limit_bytes: 4 },
    "LayerAlreadyExists": Error::LayerAlreadyExists { .. } =>
        Error::LayerAlreadyExists { repository: repository(), digest: "sha256:d1".into() },
    "LayerDigestMismatch": Error::LayerDigestMismatch { .. } =>
        Error::LayerDigestMismatch { declared: "sha256:d1".into(), actual: "sha256:d2".into() },
    "LayerPartOutOfOrder": Error::LayerPartOutOfOrder { .. } => Error::LayerPartOutOfOrder {
        repository: repository(),
        upload_id: "u1".into(),
        first_byte: 7,
        expected_byte: 5,
    },
    "LayerPartLengthMismatch": Error::LayerPartLengthMismatch { .. } =>
        Error::LayerPartLengthMismatch { declared_bytes: 1, actual_bytes: 2 },
    "UploadBusy": Error::UploadBusy { .. } => Error::UploadBusy { repository: repository(), upload_id: "u1".into() },
    "EmptyUpload": Error::EmptyUpload { .. } => Error::EmptyUpload { upload_id: "u1".into() },
    "UploadNotFound": Error::UploadNotFound { .. } =>
        Error::UploadNotFound { repository: repository(), upload_id: "u1".into() },
    "BodyIncomplete": Error::BodyIncomplete { .. } => Error::BodyIncomplete { reason: "end of file".into() },
    "BodyTooLarge": Error::BodyTooLarge { .. } => Error::BodyTooLarge { limit_bytes: 4 },
    "RangeNotSatisfiable": Error::RangeNotSatisfiable { .. } =>
        Error::RangeNotSatisfiable { range: "bytes=9-".into(), total_bytes: 4 },
    "InvalidParameter": Error::InvalidParameter { .. } => Error::invalid_parameter("maxResults", "must be less"),
    "ResourcePolicyInvalid": Error::ResourcePolicyInvalid { .. } => Error::ResourcePolicyInvalid {
        parameter: "PolicyText", of: "repository", detail: "Statement: must be there".into()
    },
    "Serialization": Error::Serialization { .. } => Error::Serialization { message: "tags: expected an array, found a string".into() },
    "Validation": Error::Validation { .. } => Error::Validation { message: "(which, and why)".into() },
    "InvalidInput": Error::InvalidInput { .. } => Error::InvalidInput { message: "(which, and why)".into() },
    "MalformedPolicyDocument": Error::MalformedPolicyDocument { .. } => Error::MalformedPolicyDocument { message: "(which, and why)".into() },
    "TagInvalid": Error::TagInvalid { .. } => Error::TagInvalid { tag: ".x".into() },
    "DigestInvalid": Error::DigestInvalid { .. } => Error::DigestInvalid { digest: "md5:x".into() },
    "PageSizeInvalid": Error::PageSizeInvalid { .. } => Error::PageSizeInvalid { value: "-1".into() },
    "TooManyTags": Error::TooManyTags { .. } => Error::TooManyTags { limit: 50 },
    "InvalidTagParameter": Error::InvalidTagParameter { .. } =>
        Error::InvalidTagParameter { reason: "the tag key \"a\" is given twice".into() },
    "LimitExceeded": Error::LimitExceeded { .. } => Error::LimitExceeded { message: "(which limit)".into() },
    "Kms": Error::Kms { .. } => Error::Kms { code: "DisabledException".into(), message: "(why)".into() },
    "NoSuchEntity": Error::NoSuchEntity { .. } => Error::NoSuchEntity { message: "(which, and why)".into() },
    "EntityAlreadyExists": Error::EntityAlreadyExists { .. } => Error::EntityAlreadyExists { message: "(which, and why)".into() },
    "DeleteConflict": Error::DeleteConflict { .. } => Error::DeleteConflict { message: "(which, and why)".into() },
    "UnmodifiableEntity": Error::UnmodifiableEntity { .. } => Error::UnmodifiableEntity { message: "(which, and why)".into() },
    "ConcurrentModification": Error::ConcurrentModification { .. } => Error::ConcurrentModification { message: "(which, and why)".into() },
    "ExpiredWebIdentityToken": Error::ExpiredWebIdentityToken { .. } => Error::ExpiredWebIdentityToken { message: "(which, and why)".into() },
    "InvalidIdentityToken": Error::InvalidIdentityToken { .. } => Error::InvalidIdentityToken { message: "(which, and why)".into() },
    "IdpRejectedClaim": Error::IdpRejectedClaim { .. } => Error::IdpRejectedClaim { message: "(which, and why)".into() },
    "IdpCommunicationError": Error::IdpCommunicationError { .. } => Error::IdpCommunicationError { message: "(which, and why)".into() },
    "PackedPolicyTooLarge": Error::PackedPolicyTooLarge { .. } => Error::PackedPolicyTooLarge { message: "(which, and why)".into() },
    "UnknownOperation": Error::UnknownOperation { .. } => Error::UnknownOperation { operation: "MakeCoffee".into() },
    "OperationNotServed": Error::OperationNotServed { .. } =>
        Error::OperationNotServed { operation: "StartImageScan".into() },
    "MissingAction": Error::MissingAction => Error::MissingAction,
    "InvalidAction": Error::InvalidAction { .. } =>
        Error::InvalidAction { action: "MakeCoffee".into(), version: "2010-05-08".into() },
    "ActionNotServed": Error::ActionNotServed { .. } =>
        Error::ActionNotServed { service: "IAM", action: "CreateInstanceProfile".into() },
    "RouteNotFound": Error::RouteNotFound { .. } => Error::RouteNotFound { path: "/x".into() },
    "MethodNotAllowed": Error::MethodNotAllowed { .. } => Error::MethodNotAllowed { method: "PUT".into(), allow: "GET" },
    "NotAuthenticated": Error::NotAuthenticated => Error::NotAuthenticated,
    "TokenRefused": Error::TokenRefused => Error::TokenRefused,
    "Signature, missing": Error::Signature { failure: SignatureFailure::Missing, .. } => signature(SignatureFailure::Missing),
    "Signature, incomplete": Error::Signature { failure: SignatureFailure::Incomplete, .. } =>
        signature(SignatureFailure::Incomplete),
    "Signature, invalid": Error::Signature { failure: SignatureFailure::Invalid, .. } => signature(SignatureFailure::Invalid),
    "Signature, unknown key": Error::Signature { failure: SignatureFailure::UnknownKey, .. } =>
        signature(SignatureFailure::UnknownKey),
    "Signature, expired": Error::Signature { failure: SignatureFailure::Expired, .. } => signature(SignatureFailure::Expired),
    "AccessDenied": Error::AccessDenied { .. } => Error::AccessDenied {
        principal: "arn:aws:iam::123456789012:root".into(),
        action: "ecr:PutImage".into(),
        resource: "arn:aws:ecr:us-east-1:123456789012:repository/team/app".into(),
        reason: "no policy allows it".into(),
    },
    "NotAuthorized": Error::NotAuthorized { .. } => Error::NotAuthorized { action: "sts:AssumeRoleWithWebIdentity" },
    "AccountSuspended": Error::AccountSuspended => Error::AccountSuspended,
    "Throttled": Error::Throttled { .. } => Error::Throttled { message: "(which, and why)".into() },
    "StorageFull": Error::StorageFull => Error::StorageFull,
    "Internal": Error::Internal(_) => Error::internal("the secret of the house"),
}

fn repository() -> RepositoryId {
    RepositoryId {
        registry: AccountId::parse("123456789012").unwrap(),
        name: RepositoryName::parse("team/app").unwrap(),
    }
}

fn signature(failure: SignatureFailure) -> Error {
    Error::Signature { failure, message: "(which header, and what is wrong with it)".into() }
}

fn table() -> String {
    let mut table = String::from(
        "Every error: its codes and statuses in AWS JSON, in AWS Query and in OCI Distribution, and its sentence.\n\
         Written by the tests of this crate; UPDATE_SNAPSHOTS=1 writes it anew.\n",
    );
    for error in samples() {
        let Codes { aws, aws_status, query, query_status, oci, oci_status } = codes(&error);
        let [aws_status, query_status, oci_status] = [aws_status, query_status, oci_status].map(|s| s.as_u16());
        // Writing to a String cannot fail.
        let _ = write!(
            table,
            "\n{}\n  JSON  {aws_status} {aws}\n  Query {query_status} {query}\n  OCI   {oci_status} {oci}\n  {error}\n",
            name(&error)
        );
    }
    table
}

#[test]
fn the_table_is_as_it_was_reviewed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error/table.txt");
    let table = table();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(table == reviewed, "the errors have changed; if that is right, run with UPDATE_SNAPSHOTS=1:\n{table}");
}

#[test]
fn statuses_agree_with_whose_fault_it_is() {
    for error in samples() {
        let codes = codes(&error);
        let is_ours = error.is_fault();
        let is_missing = matches!(error, Error::OperationNotServed { .. } | Error::ActionNotServed { .. });
        for status in [codes.aws_status, codes.query_status, codes.oci_status] {
            assert_eq!(status.is_client_error(), !is_ours && !is_missing, "{error:?}");
        }
        assert_eq!(codes.aws_status == StatusCode::BAD_REQUEST, !is_ours && !is_missing, "{error:?}");
    }
}

#[test]
fn bodies_have_the_form_of_their_protocol_and_no_more() {
    for error in samples() {
        let message = error.to_string();
        let Codes { aws, oci, .. } = codes(&error);
        let mut body = aws_body(&error);
        if matches!(error, Error::LayerPartOutOfOrder { .. }) {
            let members = body.as_object_mut().unwrap();
            let extra = ["registryId", "repositoryName", "uploadId", "lastValidByteReceived"];
            let extra = extra.map(|member| members.remove(member).unwrap());
            assert_eq!(extra, [json!("123456789012"), json!("team/app"), json!("u1"), json!(4)]);
        }
        if matches!(error, Error::Kms { .. }) {
            let members = body.as_object_mut().unwrap();
            assert_eq!(members.remove("kmsError"), Some(json!("DisabledException")));
        }
        assert_eq!(body, json!({ "__type": aws, "message": message }));
        let (shown, detail) = match &error {
            Error::ImageNotFound { .. } => (json!("Requested image not found"), json!(message)),
            _ => (json!(message), json!(null)),
        };
        assert_eq!(oci_body(&error), json!({ "errors": [{ "code": oci, "message": shown, "detail": detail }] }));
        assert!(!message.contains("secret of the house"), "the source of a fault is for the log");
    }
}
