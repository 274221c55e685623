//! The encryption a repository is created with.

use ironwharf_cloud::Encryption;
use ironwharf_cloud::table::TemplateEncryption;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::ecr::shapes::{EncryptionConfiguration, EncryptionType};

use crate::authorize::{Details, Permit, Resource};
use crate::region::RegionState;

/// Where the configuration stands in a request.
const PARAMETER: &str = "encryptionConfiguration";

/// What a caller needs to be allowed on a key of the customer's. (ECR User
/// Guide: Encryption at rest, required IAM permissions.)
const KEY_ACTIONS: [&str; 3] = ["kms:CreateGrant", "kms:RetireGrant", "kms:DescribeKey"];

/// The encryption that `configuration` asks for, of a repository in the
/// permit's registry. None asked for is AES-256.
pub(crate) async fn encryption_of(
    permit: &Permit,
    configuration: Option<EncryptionConfiguration>,
) -> Result<Encryption> {
    let Some(EncryptionConfiguration { encryption_type, kms_key }) = configuration else {
        return Ok(Encryption::Aes256);
    };
    match (encryption_type, kms_key) {
        (EncryptionType::Aes256, None) => Ok(Encryption::Aes256),
        (EncryptionType::Aes256, Some(_)) => {
            Err(Error::invalid_parameter(PARAMETER, "kmsKey cannot be used with encryptionType AES256"))
        }
        (EncryptionType::Kms, given) => Ok(Encryption::Kms { key: key_of(permit, given.as_deref()).await? }),
        (EncryptionType::KmsDsse, given) => Ok(Encryption::KmsDsse { key: key_of(permit, given.as_deref()).await? }),
    }
}

/// The encryption of a repository that a template of `account` creates now. The
/// rights to the key were asked for when the template was made.
pub(crate) async fn encryption_of_template(
    region: &RegionState,
    account: &AccountId,
    template: &TemplateEncryption,
) -> Result<Encryption> {
    let unknown = || Error::internal("a template has an encryption type that does not exist");
    let encryption_type = EncryptionType::parse(&template.encryption_type).ok_or_else(unknown)?;
    let key = async || {
        let keys = &region.cloud.tenant_keys;
        let key = match &template.kms_key {
            None => keys.managed(account).await?,
            Some(given) => keys.resolve(account, given).await?,
        };
        Ok::<_, Error>(key.arn)
    };
    match encryption_type {
        EncryptionType::Aes256 => Ok(Encryption::Aes256),
        EncryptionType::Kms => Ok(Encryption::Kms { key: key().await? }),
        EncryptionType::KmsDsse => Ok(Encryption::KmsDsse { key: key().await? }),
    }
}

/// The ARN of the key to use: the one named, or the tenant's managed one.
async fn key_of(permit: &Permit, given: Option<&str>) -> Result<String> {
    let (keys, tenant) = (&permit.region().cloud.tenant_keys, permit.registry());
    let key = match given {
        None => keys.managed(tenant).await?,
        Some(given) => keys.resolve(tenant, given).await?,
    };
    if !key.managed {
        let resource = Resource::Identity { account: tenant.clone(), arn: key.arn.clone() };
        for action in KEY_ACTIONS {
            permit.require(action, &resource, &Details::default()).await?;
        }
    }
    Ok(key.arn)
}

/// An encryption as the API describes it.
pub(crate) fn shape_of(encryption: &Encryption) -> Option<EncryptionConfiguration> {
    let encryption_type = EncryptionType::parse(encryption.type_name())?;
    Some(EncryptionConfiguration { encryption_type, kms_key: encryption.kms_key().map(str::to_owned) })
}
