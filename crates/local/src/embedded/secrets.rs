//! The two secrets of a data folder: the clients' key pair and the root key.
//!
//! Invariant: neither secret is printed by `Debug`.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{OpenError, folder};

/// The key pair that in-process clients sign with and the services check.
#[derive(Clone, Serialize, Deserialize)]
pub struct ServiceCredentials {
    /// The access key id, which is visible in presigned URLs.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
}

impl fmt::Debug for ServiceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl ServiceCredentials {
    /// The key pair of a data folder, generated on first use.
    pub(super) fn load_or_create(data_dir: &Path) -> Result<Self, OpenError> {
        let path = data_dir.join("credentials.json");
        let damaged = |error: serde_json::Error| OpenError::Damaged { path: path.clone(), message: error.to_string() };
        let bytes = folder::read_or_create_secret(&path, || {
            let pair = Self {
                access_key_id: format!("IWLOCAL{}", hex(&random::<8>(&path)?).to_uppercase()),
                secret_access_key: BASE64_STANDARD.encode(random::<30>(&path)?),
            };
            serde_json::to_vec_pretty(&pair).map_err(damaged)
        })?;
        serde_json::from_slice(&bytes).map_err(damaged)
    }
}

/// The key that seals the material of all KMS keys of a data folder.
#[derive(Clone)]
pub(super) struct RootKey([u8; 32]);

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

impl RootKey {
    /// The root key of a data folder, generated on first use. With keys that an
    /// earlier one sealed (`has_keys`) another one would be of no use.
    pub(super) fn load_or_create(data_dir: &Path, has_keys: bool) -> Result<Self, OpenError> {
        let path = data_dir.join("root.key");
        if has_keys && !path.exists() {
            let message = "it is missing, and nothing in this data folder can be read without it; put it back";
            return Err(OpenError::Damaged { path, message: message.to_owned() });
        }
        let bytes = folder::read_or_create_secret(&path, || Ok(random::<32>(&path)?.to_vec()))?;
        match bytes.try_into() {
            Ok(key) => Ok(Self(key)),
            Err(_) => Err(OpenError::Damaged { path, message: "it must hold 32 bytes".to_owned() }),
        }
    }

    /// The key itself.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Random bytes for a file that is being made.
fn random<const N: usize>(path: &Path) -> Result<[u8; N], OpenError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| OpenError::Io {
        action: "find random bytes for",
        path: path.to_owned(),
        source: std::io::Error::other("the system has no randomness to give"),
    })?;
    Ok(bytes)
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
