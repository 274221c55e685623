//! What the rows hold besides bytes: headers, versions, times.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use s3s::dto::{ETag, ServerSideEncryption, Timestamp};
use serde::{Deserialize, Serialize};

use super::checksums::Checksums;
use super::content::Content;

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Opaque: it identifies the content but is not a hash of it.
    pub(super) etag: String,
    /// Seconds since the epoch.
    pub(super) modified: i64,
    /// What is sent along with the content.
    pub(super) headers: ObjectHeaders,
    /// The content.
    pub(super) content: Content,
}

/// An upload in parts that is under way.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    /// The upload id.
    pub(super) id: String,
    /// The key the object will have.
    pub(super) key: String,
    /// Seconds since the epoch.
    pub(super) created: i64,
    /// The headers the object will have.
    pub(super) headers: ObjectHeaders,
}

/// A part of an upload.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// 1 to 10000.
    pub(super) number: i32,
    /// Opaque, as of an object.
    pub(super) etag: String,
    /// Seconds since the epoch.
    pub(super) modified: i64,
    /// What was asked for when the part was sent.
    pub(super) checksums: Checksums,
    /// The content.
    pub(super) content: Content,
}

/// The headers that are stored with an object and sent with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ObjectHeaders {
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) user: BTreeMap<String, String>,
    pub(super) encryption: Encryption,
    pub(super) checksums: Checksums,
}

/// What was asked for with `x-amz-server-side-encryption*`. `AES256` is kept and
/// repeated; with `aws:kms` and `aws:kms:dsse` the bytes are encrypted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Encryption {
    algorithm: Option<String>,
    pub(super) key: Option<String>,
    pub(super) bucket_key: Option<bool>,
    /// The data keys, wrapped by KMS, in base64.
    pub(super) wrapped: Option<String>,
    /// The ARN of the object they are for.
    pub(super) object: Option<String>,
}

impl Encryption {
    pub(super) fn new(algorithm: Option<&ServerSideEncryption>, key: Option<String>, bucket_key: Option<bool>) -> Self {
        let algorithm = algorithm.map(|algorithm| algorithm.as_str().to_owned());
        Self { algorithm, key, bucket_key, ..Self::default() }
    }

    /// The header's value.
    pub(super) fn algorithm(&self) -> Option<ServerSideEncryption> {
        self.algorithm.clone().map(ServerSideEncryption::from)
    }
}

/// [`ObjectHeaders`] from the input of any operation that makes an object.
macro_rules! object_headers {
    ($input:expr) => {
        $crate::embedded::s3::records::ObjectHeaders {
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            user: $input.metadata.take().unwrap_or_default().into_iter().collect(),
            encryption: $crate::embedded::s3::records::Encryption::new(
                $input.server_side_encryption.as_ref(),
                $input.ssekms_key_id.take(),
                $input.bucket_key_enabled,
            ),
            checksums: std::collections::BTreeMap::new(),
        }
    };
}
pub(super) use object_headers;

/// A stored time as it is sent.
pub(super) fn timestamp(seconds: i64) -> Timestamp {
    let since_epoch = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    Timestamp::from(UNIX_EPOCH + since_epoch)
}

/// A stored `ETag` as it is sent.
pub(super) fn strong(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}
