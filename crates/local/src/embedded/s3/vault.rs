//! The data keys of encrypted objects: made, wrapped and unwrapped by KMS.
//!
//! The wrapped key stands in the headers of its object, or of its upload in
//! parts until that is complete.
//!
//! Invariant: a wrapped key opens for the object it was made for only, because
//! the object's ARN is the encryption context.
//! Invariant: a tenant's session uses a key only if its role allows it to, with
//! the tags of the key as they are now.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use s3s::dto::ServerSideEncryption;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::records::Encryption;
use super::sealed::{DataKeys, KEY_LEN};
use super::store::internal;
use crate::embedded::kms::{KeyUse, Keys, Refusal};
use crate::embedded::roles::{Access, Roles};
use crate::embedded::sessions::TenantSession;

/// What S3 asks KMS.
#[derive(Debug, Clone)]
pub(super) struct Vault {
    pub(super) keys: Keys,
    pub(super) roles: Arc<Roles>,
    pub(super) region: Arc<str>,
}

impl Vault {
    /// Makes the data keys of a new object, if it is to be encrypted, and notes
    /// them in its headers.
    pub(super) fn seal(
        &self,
        session: Option<&TenantSession>,
        bucket: &str,
        key: &str,
        encryption: &mut Encryption,
    ) -> S3Result<Option<DataKeys>> {
        let Some(layers) = layers(encryption)? else { return Ok(None) };
        let Some(name) = encryption.key.clone() else {
            return Err(s3_error!(NotImplemented, "Name the key to encrypt with; there is no default one here."));
        };
        let used = self.keys.key_use(&name).map_err(|refusal| refused(&refusal))?;
        self.check(session, "kms:GenerateDataKey", &used)?;
        let object = self.roles.s3_arn(bucket, Some(key));
        let made = self.keys.new_data_key(&used.arn, KEY_LEN * layers, &context(&object));
        let (plaintext, wrapped) = made.map_err(|refusal| refused(&refusal))?;
        encryption.key = Some(used.arn);
        encryption.wrapped = Some(BASE64_STANDARD.encode(wrapped));
        encryption.object = Some(object);
        Ok(Some(DataKeys::new(&plaintext)))
    }

    /// The data keys of an object, if it is encrypted.
    pub(super) fn open(&self, session: Option<&TenantSession>, encryption: &Encryption) -> S3Result<Option<DataKeys>> {
        let (Some(wrapped), Some(object)) = (&encryption.wrapped, &encryption.object) else { return Ok(None) };
        let name = encryption.key.clone().unwrap_or_default();
        let used = self.keys.key_use(&name).map_err(|refusal| refused(&refusal))?;
        self.check(session, "kms:Decrypt", &used)?;
        let wrapped = BASE64_STANDARD.decode(wrapped).map_err(internal)?;
        let opened = self.keys.open_data_key(&wrapped, &context(object)).map_err(|refusal| refused(&refusal))?;
        Ok(Some(DataKeys::new(&opened)))
    }

    fn check(&self, session: Option<&TenantSession>, action: &str, key: &KeyUse) -> S3Result<()> {
        let Some(session) = session else { return Ok(()) };
        let mut conditions = vec![("kms:ViaService".to_owned(), format!("s3.{}.amazonaws.com", self.region))];
        conditions.extend(key.tags.iter().map(|(name, value)| (format!("aws:ResourceTag/{name}"), value.clone())));
        let access = Access { conditions, ..Access::new(action, &key.arn) };
        self.roles.check(session, &[access]).map_err(|message| {
            tracing::warn!(message, "a tenant's session was refused a key");
            s3_error!(AccessDenied, "{message}")
        })
    }
}

/// In how many layers an object is to be encrypted; `None` if it is not.
fn layers(encryption: &Encryption) -> S3Result<Option<usize>> {
    match encryption.algorithm().as_ref().map(ServerSideEncryption::as_str) {
        Some(ServerSideEncryption::AWS_KMS) => Ok(Some(1)),
        Some(ServerSideEncryption::AWS_KMS_DSSE) => Ok(Some(2)),
        _ if encryption.key.is_some() => Err(s3_error!(
            InvalidArgument,
            "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
        )),
        None | Some(ServerSideEncryption::AES256) => Ok(None),
        Some(other) => Err(s3_error!(InvalidArgument, "The encryption method {other} is not supported.")),
    }
}

fn context(object: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("aws:s3:arn".to_owned(), object.to_owned())])
}

/// A refusal of KMS as S3 passes it on.
fn refused(refusal: &Refusal) -> S3Error {
    if refusal.status != StatusCode::BAD_REQUEST.as_u16() {
        return s3_error!(InternalError, "We encountered an internal error. Please try again.");
    }
    let code = S3ErrorCode::Custom(format!("KMS.{}", refusal.code).into());
    let mut error = S3Error::with_message(code, refusal.message.clone());
    error.set_status_code(StatusCode::BAD_REQUEST);
    error
}
