//! The encryption a repository is created with.

use ironwharf_cloud::Encryption;
use ironwharf_model::{Error, Result};
use ironwharf_wire::ecr::shapes::{EncryptionConfiguration, EncryptionType};

use crate::authorize::Permit;

/// Where the configuration stands in a request.
const PARAMETER: &str = "encryptionConfiguration";

/// The encryption that `configuration` asks for, of a repository in the
/// permit's registry. None asked for is AES-256.
pub(crate) async fn encryption_of(
    permit: &Permit,
    configuration: Option<EncryptionConfiguration>,
) -> Result<Encryption> {
    let _ = permit;
    let Some(EncryptionConfiguration { encryption_type, kms_key }) = configuration else {
        return Ok(Encryption::Aes256);
    };
    match (encryption_type, kms_key) {
        (EncryptionType::Aes256, None) => Ok(Encryption::Aes256),
        (EncryptionType::Aes256, Some(_)) => {
            Err(Error::invalid_parameter(PARAMETER, "kmsKey cannot be used with encryptionType AES256"))
        }
        (EncryptionType::Kms | EncryptionType::KmsDsse, _) => Err(Error::invalid_parameter(
            PARAMETER,
            format!("encryptionType {encryption_type} is not served yet; use AES256"),
        )),
    }
}

/// An encryption as the API describes it.
pub(crate) fn shape_of(encryption: &Encryption) -> Option<EncryptionConfiguration> {
    let encryption_type = EncryptionType::parse(encryption.type_name())?;
    Some(EncryptionConfiguration { encryption_type, kms_key: encryption.kms_key().map(str::to_owned) })
}
