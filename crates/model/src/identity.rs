//! Whose a registry is, and where: accounts and Regions.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A 12-digit AWS account id; the id of a tenant and of its registry.
///
/// Invariant: exactly 12 ASCII digits. Every tenant key prefix is built from
/// this type, so a wildcard or a separator can never reach a key builder.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

impl AccountId {
    /// Parses an account id (`registryId` in the API).
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_parameter(
            "registryId",
            format!("'{}' must be an account id of 12 digits", crate::error::quoted(text)),
        ))
    }

    /// The 12 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AccountId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<AccountId> for String {
    fn from(account: AccountId) -> Self {
        account.0
    }
}

/// A Region name such as `us-east-1`.
///
/// Invariant: lower-case ASCII letters, digits and single hyphens, at most 32
/// bytes, at least two hyphens, ending in a digit: safe as a folder and bucket name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(String);

impl Region {
    /// Parses a Region name by its form; whether it is served is a question
    /// for the caller.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split('-');
        let mut count = 0;
        let parts_are_plain = parts.all(|part| {
            count += 1;
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
        let starts_with_letter = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let ends_with_digit = text.bytes().last().is_some_and(|byte| byte.is_ascii_digit());
        if parts_are_plain && starts_with_letter && ends_with_digit && count >= 3 && text.len() <= 32 {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_parameter(
            "region",
            format!("'{}' is not a Region name such as us-east-1", crate::error::quoted(text)),
        ))
    }

    /// Whether AWS has a Region of this name (in November 2026).
    #[must_use]
    pub fn is_of_aws(&self) -> bool {
        REGIONS_OF_AWS.contains(&self.as_str())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The Regions of AWS, in all its partitions.
const REGIONS_OF_AWS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

macro_rules! display_as_str {
    ($($type:ty),*) => {$(
        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
        impl std::fmt::Debug for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    )*};
}
pub(crate) use display_as_str;
display_as_str!(AccountId, Region);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_regions_of_aws_are_regions() {
        for name in REGIONS_OF_AWS {
            assert!(Region::parse(name).unwrap().is_of_aws());
        }
        assert!(!Region::parse("us-east-17").unwrap().is_of_aws());
    }

    #[test]
    fn account_ids_are_twelve_digits() {
        assert!(AccountId::parse("000000000000").is_ok());
        for bad in ["", "00000000000", "0000000000000", "00000000000*", "0000000000٠٠", "00000000000#"] {
            assert!(AccountId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn regions_are_safe_path_components() {
        for good in ["us-east-1", "us-gov-west-1", "ap-southeast-7", "us-iso-east-1"] {
            assert!(Region::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", "..", "us-east", "us--1", "US-EAST-1", "us-east-1/..", "-us-east-1", "us east-1", "1-2-3"] {
            assert!(Region::parse(bad).is_err(), "{bad:?}");
        }
    }
}
