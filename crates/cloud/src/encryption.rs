//! How the bytes of a repository are encrypted at rest.
//!
//! Invariant: repositories with different encryption share no bytes: what they
//! hold is in different partitions of the table (see [`Encryption::scope`]).

use ironwharf_model::{Digest, Error, Result};

/// What a repository's layers and large manifests are encrypted with
/// (`encryptionConfiguration`). It never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// With what the bucket does by itself.
    #[default]
    Aes256,
    /// By S3 with a data key for each object, under a KMS key.
    Kms {
        /// The key's ARN.
        key: String,
    },
    /// The same in two layers.
    KmsDsse {
        /// The key's ARN.
        key: String,
    },
}

impl Encryption {
    /// Its name in the API.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms { .. } => "KMS",
            Self::KmsDsse { .. } => "KMS_DSSE",
        }
    }

    /// The ARN of the KMS key, if there is one.
    #[must_use]
    pub fn kms_key(&self) -> Option<&str> {
        match self {
            Self::Aes256 => None,
            Self::Kms { key } | Self::KmsDsse { key } => Some(key),
        }
    }

    /// Reads a stored one.
    ///
    /// # Errors
    /// [`Error::Internal`] for what was never stored.
    pub fn from_stored(type_name: &str, kms_key: Option<&str>) -> Result<Self> {
        match (type_name, kms_key) {
            ("AES256", None) => Ok(Self::Aes256),
            ("KMS", Some(key)) => Ok(Self::Kms { key: key.to_owned() }),
            ("KMS_DSSE", Some(key)) => Ok(Self::KmsDsse { key: key.to_owned() }),
            _ => Err(Error::internal(format!("'{type_name}' with key {kms_key:?} is no stored encryption"))),
        }
    }

    /// What sets the blobs of this encryption apart from the account's others:
    /// 32 hex digits of a hash of type and key. None for AES-256.
    #[must_use]
    pub fn scope(&self) -> Option<String> {
        let key = self.kms_key()?;
        let digest = Digest::sha256(format!("{} {key}", self.type_name()).as_bytes());
        let (_, hex) = digest.as_str().split_once(':')?;
        hex.get(..32).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_key_make_the_scope() {
        let key = |name: &str| format!("arn:aws:kms:us-east-1:123456789012:key/{name}");
        let all = [
            Encryption::Aes256,
            Encryption::Kms { key: key("a") },
            Encryption::Kms { key: key("b") },
            Encryption::KmsDsse { key: key("a") },
        ];
        let scopes: std::collections::BTreeSet<_> = all.iter().map(Encryption::scope).collect();
        assert_eq!(scopes.len(), all.len());
        assert_eq!(all[0].scope(), None);
        assert!(all[1..].iter().all(|encryption| encryption.scope().is_some_and(|scope| scope.len() == 32)));
        for encryption in all {
            let stored = Encryption::from_stored(encryption.type_name(), encryption.kms_key());
            assert_eq!(stored.unwrap(), encryption);
        }
        for (name, key) in [("KMS", None), ("AES256", Some("k")), ("ROT13", None)] {
            assert!(Encryption::from_stored(name, key).is_err());
        }
    }
}
