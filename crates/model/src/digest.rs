//! Content digests: the only names of blobs and manifests that can be trusted.

use sha2::{Digest as _, Sha256, Sha512};

use crate::error::{Error, Result};

/// The hash algorithms of the OCI image specification that the registry serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, what every client uses.
    Sha256,
    /// SHA-512, optional in the specification.
    Sha512,
}

impl Algorithm {
    /// The prefix of a digest, such as `sha256`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A digest such as `sha256:<64 lower-case hex digits>`.
///
/// Invariant: a known algorithm, lower-case hex of exactly its length.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    text: String,
}

impl Digest {
    /// Parses a digest. Other algorithms, upper case and wrong lengths are
    /// refused: they would make a second name for the same bytes.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || Error::DigestInvalid { digest: text.to_owned() };
        let (name, hex) = text.split_once(':').ok_or_else(invalid)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(invalid()),
        };
        let is_lower_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if hex.len() != algorithm.hex_length() || !hex.bytes().all(is_lower_hex) {
            return Err(invalid());
        }
        Ok(Self { algorithm, text: text.to_owned() })
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::from_hash(algorithm, &Sha256::digest(bytes)),
            Algorithm::Sha512 => Self::from_hash(algorithm, &Sha512::digest(bytes)),
        }
    }

    /// The SHA-256 digest of `bytes`.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// Names a finished hash. `hash` must be the output of `algorithm`.
    #[must_use]
    pub fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(algorithm.as_str().len() + 1 + hash.len() * 2);
        text.push_str(algorithm.as_str());
        text.push(':');
        for byte in hash {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self { algorithm, text }
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The whole digest, `algorithm:hex`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

crate::identity::display_as_str!(Digest);

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_of_known_bytes() {
        assert_eq!(Digest::sha256(b"").as_str(), EMPTY);
        assert!(Digest::of(Algorithm::Sha512, b"abc").as_str().starts_with("sha512:ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn one_name_per_content() {
        assert!(Digest::parse(EMPTY).is_ok());
        let upper = EMPTY.to_uppercase();
        let swapped = EMPTY.replace("sha256", "SHA256");
        let md5 = EMPTY.replace("sha256", "md5");
        let path = format!("{EMPTY}/../x");
        let short = "sha256:e3b0".to_owned();
        let as_sha512 = EMPTY.replace("sha256", "sha512");
        for bad in ["", "sha256", "sha256:", ":", &upper, &swapped, &md5, &path, &short, &as_sha512] {
            assert!(Digest::parse(bad).is_err(), "{bad:?}");
        }
    }
}
