//! The one error type. What each variant is called on the two wires, and with
//! which status, is one exhaustive match in `ironwharf_wire::error`.
//!
//! Invariant: `Display` is the sentence for the caller. It holds no secret, no
//! internal name, and no word about another tenant.
//! Invariant: only [`Error::Internal`] is the registry's own fault; its source
//! is for the log and is never sent.

use crate::identity::AccountId;
use crate::repository::RepositoryName;
use crate::tag::ImageIdentifier;

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where a repository is: in which registry, under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryId {
    /// The registry's account.
    pub registry: AccountId,
    /// The repository's name.
    pub name: RepositoryName,
}

impl RepositoryId {
    /// ECR's phrase for a repository in its messages.
    fn phrase(&self) -> String {
        format!("the repository with name '{}' in the registry with id '{}'", self.name, self.registry)
    }
}

/// How a signed request failed to prove who sent it (SigV4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFailure {
    /// There is no signature.
    Missing,
    /// The signature's form is wrong.
    Incomplete,
    /// The signature does not match, or its date is too far away.
    Invalid,
    /// The access key is not known.
    UnknownKey,
    /// A session token that is not valid (any more).
    Expired,
}

/// Everything that can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // --- repositories -------------------------------------------------------
    /// The repository is not there (or the caller may not know that it is).
    #[error("The repository with name '{}' does not exist in the registry with id '{}'", .0.name, .0.registry)]
    RepositoryNotFound(RepositoryId),
    /// A repository of this name is there already.
    #[error("The repository with name '{}' already exists in the registry with id '{}'", .0.name, .0.registry)]
    RepositoryAlreadyExists(RepositoryId),
    /// A repository with images is deleted only by force.
    #[error("The repository with name '{}' in registry with id '{}' cannot be deleted because it still contains images", .0.name, .0.registry)]
    RepositoryNotEmpty(RepositoryId),
    /// The text is not a repository name.
    #[error("Invalid parameter at 'repositoryName' failed to satisfy constraint: '\"{}\" must be 2 to 256 characters of lower-case letters and digits, joined by single periods, one or two underscores, hyphens or slashes'", quoted(.name))]
    RepositoryNameInvalid {
        /// What was given.
        name: String,
    },

    /// The repository has no policy.
    #[error("Repository policy does not exist for {}", .0.phrase())]
    RepositoryPolicyNotFound(RepositoryId),
    /// The repository has no lifecycle policy.
    #[error("Lifecycle policy does not exist for {}", .0.phrase())]
    LifecyclePolicyNotFound(RepositoryId),
    /// No preview of a lifecycle policy was ever asked for.
    #[error("Lifecycle policy preview does not exist for {}", .0.phrase())]
    LifecyclePolicyPreviewNotFound(RepositoryId),
    /// The last preview has not ended yet.
    #[error("Lifecycle policy preview is in progress for {}; wait until it is complete", .0.phrase())]
    LifecyclePolicyPreviewInProgress(RepositoryId),
    /// The registry has no policy.
    #[error("Registry policy does not exist in the registry with id '{registry}'")]
    RegistryPolicyNotFound {
        /// The registry's account.
        registry: AccountId,
    },

    // --- repository creation templates ----------------------------------------
    /// No template of this prefix.
    #[error("The repository creation template with prefix '{}' does not exist in the registry with id '{registry}'", quoted(.prefix))]
    TemplateNotFound {
        /// The registry's account.
        registry: AccountId,
        /// What was asked for.
        prefix: String,
    },
    /// A template of this prefix is there already.
    #[error("The repository creation template with prefix '{}' already exists in the registry with id '{registry}'", quoted(.prefix))]
    TemplateAlreadyExists {
        /// The registry's account.
        registry: AccountId,
        /// The prefix.
        prefix: String,
    },
    /// A push needs a repository, and the template for it cannot be applied.
    #[error("The repository '{}' cannot be created from the repository creation template with prefix '{prefix}': {reason}", .repository.name)]
    TemplateNotApplicable {
        /// The repository.
        repository: RepositoryId,
        /// Which template.
        prefix: String,
        /// What is in the way.
        reason: String,
    },

    // --- images -------------------------------------------------------------
    /// No image of this tag or digest.
    #[error("The image with imageId {image} does not exist within {}", .repository.phrase())]
    ImageNotFound {
        /// Where it was looked for.
        repository: RepositoryId,
        /// What was looked for.
        image: ImageIdentifier,
    },
    /// The tag names another image than the one with this digest.
    #[error("The image tag '{tag}' does not name the image with digest '{digest}' in {}", .repository.phrase())]
    ImageTagDoesNotMatchDigest {
        /// The repository.
        repository: RepositoryId,
        /// The tag.
        tag: String,
        /// The digest it was expected to name.
        digest: String,
    },
    /// This digest has this tag already (`PutImage`).
    #[error("Image with digest '{digest}' and tag '{}' already exists in the repository with name '{}' in registry with id '{}'", .tag.as_deref().unwrap_or("null"), .repository.name, .repository.registry)]
    ImageAlreadyExists {
        /// The repository.
        repository: RepositoryId,
        /// The image.
        digest: String,
        /// The tag that was to be put, if any.
        tag: Option<String>,
    },
    /// The tag names another image and is immutable.
    #[error("The image tag '{tag}' already exists in the '{}' repository and cannot be overwritten because the repository is immutable.", .repository.name)]
    ImageTagAlreadyExists {
        /// The repository.
        repository: RepositoryId,
        /// The tag.
        tag: String,
    },
    /// The image is part of an index that is still there.
    #[error(
        "Requested image referenced by manifest list: delete the {parents} manifest list(s) or index(es) that contain it first"
    )]
    ImageReferencedByIndex {
        /// How many refer to it.
        parents: u64,
    },
    /// The image cannot go into the archive.
    #[error("The storage class of image '{digest}' in {} cannot be updated: {reason}", .repository.phrase())]
    ImageStorageClassUpdateNotSupported {
        /// The repository.
        repository: RepositoryId,
        /// The image.
        digest: String,
        /// What is in the way.
        reason: &'static str,
    },
    /// The pulls of this principal are excluded already.
    #[error(
        "A pull time update exclusion for the principal with ARN '{principal}' already exists in the registry with id '{registry}'"
    )]
    ExclusionAlreadyExists {
        /// The registry's account.
        registry: AccountId,
        /// The ARN.
        principal: String,
    },
    /// The pulls of this principal are not excluded.
    #[error(
        "A pull time update exclusion for the principal with ARN '{principal}' does not exist in the registry with id '{registry}'"
    )]
    ExclusionNotFound {
        /// The registry's account.
        registry: AccountId,
        /// The ARN.
        principal: String,
    },
    /// The manifest is no JSON object. (The first sentence is ECR's.)
    #[error("Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'. {detail}.")]
    ManifestSyntax {
        /// What is wrong, and where.
        detail: String,
    },
    /// The manifest cannot be accepted as it is.
    #[error("Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{reason}'")]
    ManifestInvalid {
        /// What is wrong, naming the member.
        reason: String,
    },
    /// The manifest's format is not one the registry stores.
    #[error("Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'media type \"{}\" is not supported; use an OCI image manifest or index, or a Docker schema 2 manifest or manifest list'", quoted(.media_type))]
    ManifestTypeUnsupported {
        /// What was given.
        media_type: String,
    },
    /// The manifest is too large.
    #[error(
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'a manifest of {size_bytes} bytes exceeds the limit of {limit_bytes} bytes'"
    )]
    ManifestTooLarge {
        /// Its size, or what of it had been read.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The digest of the manifest is not what the caller said.
    #[error("The specified image digest '{declared}' does not match the digest '{actual}' of the image manifest")]
    ImageDigestDoesNotMatch {
        /// What the caller said.
        declared: String,
        /// What it is.
        actual: String,
    },
    /// The manifest names blobs that are not in the repository.
    #[error("Layers with digests '[{}]' required for pushing image into repository with name '{}' in the registry with id '{}' do not exist", .digests.join(", "), .repository.name, .repository.registry)]
    LayersNotFound {
        /// The repository.
        repository: RepositoryId,
        /// The missing blobs.
        digests: Vec<String>,
    },
    /// A layer's declared size is not its size.
    #[error(
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'layer {digest} is declared with {declared_bytes} bytes but has {actual_bytes}'"
    )]
    LayerSizeMismatch {
        /// The layer.
        digest: String,
        /// The size in the manifest.
        declared_bytes: u64,
        /// The size of the blob.
        actual_bytes: u64,
    },
    /// The index names manifests that are not in the repository.
    #[error("Images with digests '[{}]' required for pushing image into repository with name '{}' in the registry with id '{}' do not exist", .digests.join(", "), .repository.name, .repository.registry)]
    ReferencedImagesNotFound {
        /// The repository.
        repository: RepositoryId,
        /// The missing manifests.
        digests: Vec<String>,
    },

    // --- layers and uploads -------------------------------------------------
    /// No such layer to download.
    #[error("The layer with digest {digest} does not exist within {}", .repository.phrase())]
    LayerNotFound {
        /// The repository.
        repository: RepositoryId,
        /// The layer.
        digest: String,
    },
    /// The layer is there but no image refers to it, so it cannot be downloaded.
    #[error("The layer with digest {digest} within {} is not referenced by an image", .repository.phrase())]
    LayerInaccessible {
        /// The repository.
        repository: RepositoryId,
        /// The layer.
        digest: String,
    },
    /// The images that refer to the layer are in the archive.
    #[error("The layer with digest {digest} within {} is archived; restore an image that has it first", .repository.phrase())]
    LayerArchived {
        /// The repository.
        repository: RepositoryId,
        /// The layer.
        digest: String,
    },
    /// An image needs the layer, so it cannot be deleted.
    #[error("The layer with digest {digest} within {} is referenced by an image; delete the image first", .repository.phrase())]
    LayerReferenced {
        /// The repository.
        repository: RepositoryId,
        /// The layer.
        digest: String,
    },
    /// The upload outgrew the largest layer.
    #[error("The layer exceeds the limit of {limit_bytes} bytes")]
    LayerTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The layer was there before this upload ended (`CompleteLayerUpload`).
    #[error("The layer with digest '{digest}' already exists in the repository with name '{}' in the registry with id '{}'", .repository.name, .repository.registry)]
    LayerAlreadyExists {
        /// The repository.
        repository: RepositoryId,
        /// The layer.
        digest: String,
    },
    /// The uploaded bytes have another digest.
    #[error("The digest of the uploaded bytes is '{actual}' and not '{declared}'")]
    LayerDigestMismatch {
        /// What the caller said.
        declared: String,
        /// What they have.
        actual: String,
    },
    /// The part does not continue where the last one ended.
    #[error(
        "The layer part starts at byte {first_byte}, but the next byte of the upload with id '{upload_id}' is {expected_byte}"
    )]
    LayerPartOutOfOrder {
        /// The repository.
        repository: RepositoryId,
        /// The upload.
        upload_id: String,
        /// Where the part starts.
        first_byte: u64,
        /// Where it should start.
        expected_byte: u64,
    },
    /// The part's length does not fit its declared range.
    #[error("The layer part has {actual_bytes} bytes, but its range covers {declared_bytes}")]
    LayerPartLengthMismatch {
        /// What the range covers.
        declared_bytes: u64,
        /// What arrived.
        actual_bytes: u64,
    },
    /// Another request wrote to the same upload at the same time.
    #[error("Another request is writing to the upload with id '{upload_id}'")]
    UploadBusy {
        /// The repository.
        repository: RepositoryId,
        /// The upload.
        upload_id: String,
    },
    /// The upload has no parts (`CompleteLayerUpload`).
    #[error("There are no layer parts in the upload with id '{upload_id}'")]
    EmptyUpload {
        /// The upload.
        upload_id: String,
    },
    /// No such upload, or it has ended.
    #[error("The upload with id '{}' does not exist within {}", quoted(.upload_id), .repository.phrase())]
    UploadNotFound {
        /// The repository.
        repository: RepositoryId,
        /// What was given.
        upload_id: String,
    },
    /// The request ended before its body did.
    #[error("The request body ended early: {reason}")]
    BodyIncomplete {
        /// How it ended.
        reason: String,
    },
    /// The request body is larger than the operation takes.
    #[error("The request body exceeds the limit of {limit_bytes} bytes")]
    BodyTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The requested range lies outside the content.
    #[error("The range '{}' lies outside the {total_bytes} bytes of the content", quoted(.range))]
    RangeNotSatisfiable {
        /// What was asked for.
        range: String,
        /// The size of the content.
        total_bytes: u64,
    },

    // --- input --------------------------------------------------------------
    /// A parameter breaks a constraint.
    #[error("Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'")]
    InvalidParameter {
        /// The parameter, as a path.
        parameter: String,
        /// The constraint, with the value if it helps.
        constraint: String,
    },
    /// What should be the policy of a repository or registry is none. (The first
    /// sentence is ECR's.)
    #[error(
        "Invalid parameter at '{parameter}' failed to satisfy constraint: 'Invalid {of} policy provided'. {detail}."
    )]
    ResourcePolicyInvalid {
        /// The parameter.
        parameter: &'static str,
        /// `repository` or `registry`.
        of: &'static str,
        /// What is wrong, and where.
        detail: String,
    },
    /// The body is not what the operation's shape says.
    #[error("{message}")]
    Serialization {
        /// Which member, and what was found.
        message: String,
    },
    /// Parameters break constraints (IAM and STS).
    #[error("{message}")]
    Validation {
        /// Which parameters and constraints, in the words of the service.
        message: String,
    },
    /// What the parameters say cannot be (IAM).
    #[error("{message}")]
    InvalidInput {
        /// Why.
        message: String,
    },
    /// A policy document is not one, or says what it must not.
    #[error("{message}")]
    MalformedPolicyDocument {
        /// What is wrong with it.
        message: String,
    },
    /// The text is not a tag.
    #[error("'{}' is not a tag: a tag has 1 to 128 letters, digits, underscores, periods and hyphens and starts with none of the last two", quoted(.tag))]
    TagInvalid {
        /// What was given.
        tag: String,
    },
    /// The text is not a digest.
    #[error("'{}' is not a digest: use sha256 or sha512, a colon and lower-case hex", quoted(.digest))]
    DigestInvalid {
        /// What was given.
        digest: String,
    },
    /// `n` is not a page size.
    #[error("'{}' is not a page size: n must be a whole number from 0", quoted(.value))]
    PageSizeInvalid {
        /// What was given.
        value: String,
    },
    /// Too many resource tags.
    #[error("A repository can have at most {limit} tags")]
    TooManyTags {
        /// The limit.
        limit: usize,
    },
    /// A resource tag that is not allowed.
    #[error("Invalid parameter at 'tags' failed to satisfy constraint: '{reason}'")]
    InvalidTagParameter {
        /// Why.
        reason: String,
    },
    /// A quota is used up.
    #[error("{message}")]
    LimitExceeded {
        /// Which, and its value.
        message: String,
    },
    /// The encryption key cannot be used.
    #[error("{message}")]
    Kms {
        /// KMS's name for it, such as `DisabledException`.
        code: String,
        /// Why.
        message: String,
    },

    // --- users, roles and policies ------------------------------------------
    /// No such user, group, role, policy or key.
    #[error("{message}")]
    NoSuchEntity {
        /// Which, and that it is not there.
        message: String,
    },
    /// A user, group, role or policy of this name is there already.
    #[error("{message}")]
    EntityAlreadyExists {
        /// Which, and that it is there.
        message: String,
    },
    /// What is attached to it, or in it, is to be removed first.
    #[error("{message}")]
    DeleteConflict {
        /// What is in the way.
        message: String,
    },
    /// Only the registry itself may change it.
    #[error("{message}")]
    UnmodifiableEntity {
        /// What, and why.
        message: String,
    },
    /// Another request has changed it at the same time.
    #[error("{message}")]
    ConcurrentModification {
        /// What was changed.
        message: String,
    },

    // --- temporary credentials ----------------------------------------------
    /// The web identity token is not valid any more.
    #[error("{message}")]
    ExpiredWebIdentityToken {
        /// Since when.
        message: String,
    },
    /// The web identity token is not one, or its signature is wrong.
    #[error("{message}")]
    InvalidIdentityToken {
        /// What is wrong with it.
        message: String,
    },
    /// A claim of the web identity token is not accepted.
    #[error("{message}")]
    IdpRejectedClaim {
        /// Which one.
        message: String,
    },
    /// The identity provider could not be asked for its keys.
    #[error("{message}")]
    IdpCommunicationError {
        /// Why.
        message: String,
    },
    /// Session policies and tags are too large together.
    #[error("{message}")]
    PackedPolicyTooLarge {
        /// By how much.
        message: String,
    },

    // --- protocol -----------------------------------------------------------
    /// No operation of this name.
    #[error("The operation '{}' is not an operation of this API", quoted(.operation))]
    UnknownOperation {
        /// What was asked for.
        operation: String,
    },
    /// An operation of the API that is not there yet.
    #[error("{operation} is an operation of the ECR API that this registry does not serve yet")]
    OperationNotServed {
        /// Its name.
        operation: String,
    },
    /// A form without the name of an operation.
    #[error("The request must contain the parameter Action")]
    MissingAction,
    /// No operation of this name in this version of the API.
    #[error("Could not find operation {} for version {}", quoted(.action), quoted(.version))]
    InvalidAction {
        /// What was asked for.
        action: String,
        /// The version that was asked for.
        version: String,
    },
    /// An operation of IAM or STS that is not there yet.
    #[error("{action} is an operation of the {service} API that this registry does not serve yet")]
    ActionNotServed {
        /// The service.
        service: &'static str,
        /// Its name.
        action: String,
    },
    /// Nothing is served at this path.
    #[error("There is nothing at '{}'", quoted(.path))]
    RouteNotFound {
        /// The path.
        path: String,
    },
    /// The path is served, but not with this method.
    #[error("The method {} is not allowed here; allowed: {}", quoted(.method), .allow)]
    MethodNotAllowed {
        /// What was tried.
        method: String,
        /// What works.
        allow: &'static str,
    },

    // --- who may ------------------------------------------------------------
    /// No (usable) credentials: the caller is told how to present them.
    #[error("Not Authorized")]
    NotAuthenticated,
    /// A login token that is not, or no longer, good.
    #[error("Your authorization token has expired. Reauthenticate and try again.")]
    TokenRefused,
    /// A signed request that does not prove who sent it.
    #[error("{message}")]
    Signature {
        /// In which way.
        failure: SignatureFailure,
        /// What is wrong, naming the header.
        message: String,
    },
    /// The caller is known and may not do this.
    #[error("User: {principal} is not authorized to perform: {action} on resource: {resource} {reason}")]
    AccessDenied {
        /// Who.
        principal: String,
        /// What, as an IAM action.
        action: String,
        /// On which ARN.
        resource: String,
        /// Why not: `because …` or `with an explicit deny in …`.
        reason: String,
    },

    /// Whoever asks, with a token of somebody else's, may not do this. It says
    /// the same whether or not what was asked for is there.
    #[error("Not authorized to perform {action}")]
    NotAuthorized {
        /// What, as an IAM action.
        action: &'static str,
    },

    /// The account is suspended: nobody may do anything with it.
    #[error("The account is suspended")]
    AccountSuspended,
    /// Too many requests.
    #[error("{message}")]
    Throttled {
        /// Of which kind.
        message: String,
    },

    // --- ours ---------------------------------------------------------------
    /// The disk under the embedded services is full. On AWS it never is.
    #[error(
        "The registry's disk is full: nothing can be stored before its operator makes room. What is stored can be read."
    )]
    StorageFull,
    /// A fault of the registry or of a service below it.
    #[error("The registry could not complete the request. Try again; if it happens again, report the request id.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether it is no answer to the request but a fault, after which it is not
    /// known what was done.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        matches!(self, Self::Internal(_) | Self::StorageFull)
    }

    /// [`Error::InvalidParameter`].
    pub fn invalid_parameter(parameter: impl Into<String>, constraint: impl Into<String>) -> Self {
        Self::InvalidParameter { parameter: parameter.into(), constraint: constraint.into() }
    }

    /// [`Error::Internal`] of a source or a sentence for the log.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }
}

/// Prepares a caller's own text for a message: cut after 256 characters, with
/// control characters and those that reorder text escaped (no forged log
/// lines, no terminal codes).
#[must_use]
pub fn quoted(text: &str) -> String {
    const LIMIT: usize = 256;
    let mut quoted = String::with_capacity(text.len().min(LIMIT));
    for (count, character) in text.chars().enumerate() {
        if count == LIMIT {
            quoted.push('…');
            break;
        }
        let reorders = matches!(character,
            '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}');
        if character.is_control() || reorders {
            quoted.extend(character.escape_default());
        } else {
            quoted.push(character);
        }
    }
    quoted
}
