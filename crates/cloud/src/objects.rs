//! The bytes of blobs, in one bucket.
//!
//! Invariant: an object's key is `<account>/<32 random hex digits>`, new for
//! every attempt to write; no object is ever written over, so a slow request
//! cannot change what another one has committed.
//! Invariant: only the collector deletes objects.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use bytes::Bytes;
use ironwharf_model::{AccountId, Error, Result};

use crate::table::UploadPart;
use crate::{Encryption, STORAGE_FULL};

/// How long a presigned URL works: long enough to start the download of a
/// large layer over a slow line, and then clients come back for a new one.
pub const PRESIGNED_SECONDS: u64 = 15 * 60;

/// The bucket of one Region.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    bucket: String,
}

/// The host a presigned URL is for.
#[derive(Clone, Copy, Debug)]
pub enum PresignHost<'a> {
    /// The object store's own.
    ObjectStore,
    /// The host (and port) the caller reached the registry at: the registry
    /// serves the object store itself there.
    Registry(&'a str),
}

impl Objects {
    /// The bucket `bucket`, reached through `client`.
    #[must_use]
    pub const fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Creates the bucket if it is not there (on AWS, the template does).
    pub async fn provision(&self, region: &str) -> Result<()> {
        use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
        let mut create = self.client.create_bucket().bucket(&self.bucket);
        // us-east-1 is the one Region that must not be named.
        if region != "us-east-1" {
            let location = BucketLocationConstraint::from(region);
            create = create.create_bucket_configuration(
                CreateBucketConfiguration::builder().location_constraint(location).build(),
            );
        }
        match create.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_s3::operation::create_bucket::CreateBucketError::is_bucket_already_owned_by_you,
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(service_error("CreateBucket", &error)),
        }
    }

    /// A key no object has had before.
    #[must_use]
    pub fn new_key(account: &AccountId) -> String {
        format!("{account}/{}", crate::random::hex::<16>())
    }

    /// Writes a whole object.
    pub async fn put(&self, key: &str, bytes: Bytes, encryption: &Encryption) -> Result<()> {
        let sealed = Sealed::of(encryption);
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .set_server_side_encryption(sealed.algorithm)
            .set_ssekms_key_id(sealed.key)
            .set_bucket_key_enabled(sealed.bucket_key)
            .body(ByteStream::from(bytes))
            .customize()
            .disable_payload_signing()
            .send()
            .await
            .map(drop)
            .map_err(|error| service_error("PutObject", &error))
    }

    /// Starts an object that is written in parts; its id.
    pub async fn start_parts(&self, key: &str, encryption: &Encryption) -> Result<String> {
        let sealed = Sealed::of(encryption);
        let started = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .set_server_side_encryption(sealed.algorithm)
            .set_ssekms_key_id(sealed.key)
            .set_bucket_key_enabled(sealed.bucket_key)
            .send()
            .await;
        let started = started.map_err(|error| service_error("CreateMultipartUpload", &error))?;
        started.upload_id.ok_or_else(|| Error::internal("S3 CreateMultipartUpload gave no id"))
    }

    /// Writes one part.
    pub async fn put_part(&self, key: &str, id: &str, number: i32, bytes: Bytes) -> Result<UploadPart> {
        let written = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .part_number(number)
            .body(ByteStream::from(bytes))
            .customize()
            .disable_payload_signing()
            .send()
            .await
            .map_err(|error| service_error("UploadPart", &error))?;
        let etag = written.e_tag.ok_or_else(|| Error::internal("S3 UploadPart gave no entity tag"))?;
        Ok(UploadPart { number, etag })
    }

    /// Puts the parts together, where they are.
    pub async fn finish_parts(&self, key: &str, id: &str, parts: &[UploadPart]) -> Result<()> {
        let parts =
            parts.iter().map(|part| CompletedPart::builder().part_number(part.number).e_tag(&part.etag).build());
        let list = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .multipart_upload(list)
            .send()
            .await
            .map(drop)
            .map_err(|error| service_error("CompleteMultipartUpload", &error))
    }

    /// Drops an object's parts. One that is gone already is fine.
    pub async fn abort_parts(&self, key: &str, id: &str) -> Result<()> {
        let aborted = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id).send().await;
        match aborted {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_s3::operation::abort_multipart_upload::AbortMultipartUploadError::is_no_such_upload,
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(service_error("AbortMultipartUpload", &error)),
        }
    }

    /// Reads a whole object; for small ones, such as a large manifest or the
    /// tail of an upload.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let got = self.read(key).await?;
        let bytes = got.collect().await.map_err(|error| Error::internal(format!("reading an object: {error}")))?;
        Ok(bytes.into_bytes())
    }

    /// Reads an object as a stream.
    pub async fn read(&self, key: &str) -> Result<ByteStream> {
        let got = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        got.map(|got| got.body).map_err(|error| service_error("GetObject", &error))
    }

    /// A URL that reads one object, and nothing else, for a while.
    ///
    /// For [`PresignHost::Registry`] it is only path and query: it can lead
    /// nowhere but to the host the caller is already talking to.
    pub async fn presign(&self, key: &str, host: PresignHost<'_>) -> Result<String> {
        let expiry = PresigningConfig::expires_in(Duration::from_secs(PRESIGNED_SECONDS)).map_err(Error::internal)?;
        let get = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .response_content_type("application/octet-stream")
            .customize();
        let get = match host {
            PresignHost::ObjectStore => get,
            PresignHost::Registry(host) => get.config_override(
                aws_sdk_s3::config::Builder::new().endpoint_url(format!("http://{host}")).force_path_style(true),
            ),
        };
        let presigned = get.presigned(expiry).await.map_err(|error| service_error("GetObject", &error))?;
        let url = presigned.uri();
        match host {
            PresignHost::ObjectStore => Ok(url.to_owned()),
            PresignHost::Registry(host) => {
                let relative = url.strip_prefix("http://").and_then(|rest| rest.strip_prefix(host));
                relative.map(str::to_owned).ok_or_else(|| Error::internal("a presigned URL is not for its host"))
            }
        }
    }
}

/// What S3 is asked to encrypt with. For AES-256 nothing is asked: the bucket
/// has a default.
#[derive(Default)]
struct Sealed {
    algorithm: Option<ServerSideEncryption>,
    key: Option<String>,
    bucket_key: Option<bool>,
}

impl Sealed {
    fn of(encryption: &Encryption) -> Self {
        match encryption {
            Encryption::Aes256 => Self::default(),
            // With a key of the bucket's, S3 asks KMS once for many objects.
            Encryption::Kms { key } => {
                Self { algorithm: Some(ServerSideEncryption::AwsKms), key: Some(key.clone()), bucket_key: Some(true) }
            }
            // S3 has no such key for two layers.
            Encryption::KmsDsse { key } => {
                Self { algorithm: Some(ServerSideEncryption::AwsKmsDsse), key: Some(key.clone()), bucket_key: None }
            }
        }
    }
}

/// A fault of S3, for the log; or what KMS says of a key that S3 was to use,
/// for the caller.
fn service_error<E>(operation: &str, error: &SdkError<E>) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
    SdkError<E>: ProvideErrorMetadata,
{
    let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    if let Some(code) = code.strip_prefix("KMS.") {
        return Error::Kms { code: code.to_owned(), message: message.to_owned() };
    }
    if code == STORAGE_FULL {
        return Error::StorageFull;
    }
    // The message names the deployment's own role; the caller has no use for it.
    if code == "AccessDenied" && message.contains(" kms:") {
        let message = "The registry may not use the repository's key".to_owned();
        return Error::Kms { code: "AccessDeniedException".to_owned(), message };
    }
    Error::internal(format!("S3 {operation} failed: {}", DisplayErrorContext(error)))
}
