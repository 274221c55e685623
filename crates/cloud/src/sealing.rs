//! The data keys that seal login tokens, upload ids and page tokens.
//!
//! One key a day, made by KMS and stored wrapped in the table; the table's
//! reader alone can do nothing with it. The keys of two days ago and before
//! are never asked for, so a forged token costs no call.

use std::collections::HashMap;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use ironwharf_model::{Error, Region, Result};

use crate::table::{Table, WrappedKey};

/// Makes and unwraps the keys of one Region.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    client: Client,
    /// The KMS key: an alias, an id or an ARN.
    key: String,
    table: Table,
    region: Region,
}

/// A key's bytes. Not `Debug`: they must not reach a log.
pub struct DataKey(pub [u8; 32]);

impl SealingKeys {
    /// Wraps with the KMS key `key`, stores in `table`.
    #[must_use]
    pub const fn new(client: Client, key: String, table: Table, region: Region) -> Self {
        Self { client, key, table, region }
    }

    /// Creates the KMS key behind its alias if it is not there (on AWS, the
    /// template does).
    pub async fn provision(&self) -> Result<()> {
        match self.client.describe_key().key_id(&self.key).send().await {
            Ok(_) => return Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(aws_sdk_kms::operation::describe_key::DescribeKeyError::is_not_found_exception) => {}
            Err(error) => return Err(service_error("DescribeKey", &error)),
        }
        let created = self.client.create_key().description("Seals registry tokens").send().await;
        let created = created.map_err(|error| service_error("CreateKey", &error))?;
        let id = created.key_metadata.map(|metadata| metadata.key_id).unwrap_or_default();
        let aliased = self.client.create_alias().alias_name(&self.key).target_key_id(id).send().await;
        match aliased {
            Ok(_) => Ok(()),
            // Another process made it first; its key is used.
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_kms::operation::create_alias::CreateAliasError::is_already_exists_exception,
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(service_error("CreateAlias", &error)),
        }
    }

    /// The key of a day, if it has one.
    pub async fn load(&self, day: u32) -> Result<Option<DataKey>> {
        let Some(WrappedKey(wrapped)) = self.table.sealing_key(day).await? else { return Ok(None) };
        let decrypted = self
            .client
            .decrypt()
            .key_id(&self.key)
            .ciphertext_blob(Blob::new(wrapped))
            .set_encryption_context(Some(self.context(day)))
            .send()
            .await
            .map_err(|error| service_error("Decrypt", &error))?;
        let plaintext = decrypted.plaintext.ok_or_else(|| Error::internal("KMS Decrypt gave no plaintext"))?;
        let bytes = plaintext.into_inner().try_into();
        bytes.map(|bytes| Some(DataKey(bytes))).map_err(|_| Error::internal("a sealing key is not 32 bytes"))
    }

    /// The key of a day, made if it has none.
    pub async fn load_or_create(&self, day: u32) -> Result<DataKey> {
        if let Some(key) = self.load(day).await? {
            return Ok(key);
        }
        let generated = self
            .client
            .generate_data_key()
            .key_id(&self.key)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(self.context(day)))
            .send()
            .await
            .map_err(|error| service_error("GenerateDataKey", &error))?;
        let wrapped = generated.ciphertext_blob.ok_or_else(|| Error::internal("KMS gave no wrapped key"))?;
        self.table.put_sealing_key(day, &WrappedKey(wrapped.into_inner())).await?;
        // Read back: another handler may have stored its key first.
        self.load(day).await?.ok_or_else(|| Error::internal("the sealing key just stored is gone"))
    }

    fn context(&self, day: u32) -> HashMap<String, String> {
        HashMap::from([
            ("purpose".to_owned(), "registry-sealing".to_owned()),
            ("region".to_owned(), self.region.to_string()),
            ("day".to_owned(), day.to_string()),
        ])
    }
}

/// A fault of KMS, for the log.
pub(crate) fn service_error<E>(operation: &str, error: &SdkError<E>) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    Error::internal(format!("KMS {operation} failed: {}", DisplayErrorContext(error)))
}
