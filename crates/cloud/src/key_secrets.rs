//! The secrets of access keys at rest: each under a data key of its own, which
//! is under the KMS key.
//!
//! Invariant: a stored secret opens only for the account and the key id it was
//! sealed for, because both are in the encryption context.

use std::collections::HashMap;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_model::{AccountId, Error, Result};
use ring::aead;

use crate::sealing::service_error;

/// Seals and opens the secrets of access keys.
#[derive(Clone, Debug)]
pub struct KeySecrets {
    client: Client,
    /// The KMS key: an alias, an id or an ARN.
    key: String,
}

/// A sealed secret; both parts in base64.
pub struct SealedSecret {
    /// The secret under its data key.
    pub sealed_secret: String,
    /// The data key under the KMS key.
    pub wrapped_key: String,
}

impl KeySecrets {
    /// Wraps with the KMS key `key`.
    #[must_use]
    pub const fn new(client: Client, key: String) -> Self {
        Self { client, key }
    }

    /// Seals the secret of a key that is being made.
    pub async fn seal(&self, account: &AccountId, access_key_id: &str, secret: &str) -> Result<SealedSecret> {
        let generated = self
            .client
            .generate_data_key()
            .key_id(&self.key)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(context(account, access_key_id)))
            .send()
            .await
            .map_err(|error| service_error("GenerateDataKey", &error))?;
        let missing = || Error::internal("KMS gave no data key");
        let data_key = cipher(generated.plaintext.ok_or_else(missing)?.as_ref())?;
        let wrapped_key = generated.ciphertext_blob.ok_or_else(missing)?;
        let mut sealed = secret.as_bytes().to_vec();
        // A data key is used once, so any nonce does.
        data_key
            .seal_in_place_append_tag(nonce(), aead::Aad::from(access_key_id.as_bytes()), &mut sealed)
            .map_err(|_| Error::internal("a secret cannot be sealed"))?;
        Ok(SealedSecret { sealed_secret: STANDARD.encode(sealed), wrapped_key: STANDARD.encode(wrapped_key.as_ref()) })
    }

    /// Opens a stored secret.
    pub async fn open(&self, account: &AccountId, access_key_id: &str, stored: &SealedSecret) -> Result<String> {
        let damaged = || Error::internal(format!("the stored secret of {access_key_id} does not open"));
        let wrapped_key = STANDARD.decode(&stored.wrapped_key).map_err(|_| damaged())?;
        let decrypted = self
            .client
            .decrypt()
            .key_id(&self.key)
            .ciphertext_blob(Blob::new(wrapped_key))
            .set_encryption_context(Some(context(account, access_key_id)))
            .send()
            .await
            .map_err(|error| service_error("Decrypt", &error))?;
        let data_key = cipher(decrypted.plaintext.ok_or_else(damaged)?.as_ref())?;
        let mut sealed = STANDARD.decode(&stored.sealed_secret).map_err(|_| damaged())?;
        let opened = data_key
            .open_in_place(nonce(), aead::Aad::from(access_key_id.as_bytes()), &mut sealed)
            .map_err(|_| damaged())?;
        String::from_utf8(opened.to_vec()).map_err(|_| damaged())
    }
}

fn context(account: &AccountId, access_key_id: &str) -> HashMap<String, String> {
    HashMap::from([
        ("purpose".to_owned(), "access-key".to_owned()),
        ("account".to_owned(), account.to_string()),
        ("access-key-id".to_owned(), access_key_id.to_owned()),
    ])
}

fn cipher(key: &[u8]) -> Result<aead::LessSafeKey> {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, key);
    key.map(aead::LessSafeKey::new).map_err(|_| Error::internal("a data key is not 32 bytes"))
}

fn nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}
