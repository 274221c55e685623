//! The settings of a registry as a whole (`PutAccountSetting`).

use std::collections::BTreeMap;

use crate::error::{Error, Result, quoted};

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountSetting {
    /// Which engine basic scans use. (Clair, the one before, is retired.)
    BasicScanTypeVersion,
    /// Which actions the registry's policy is asked about: three in `V1`, all
    /// in `V2`.
    RegistryPolicyScope,
    /// Whether a push can mount a blob of another repository.
    BlobMounting,
}

impl AccountSetting {
    /// Every setting.
    pub const ALL: [Self; 3] = [Self::BasicScanTypeVersion, Self::RegistryPolicyScope, Self::BlobMounting];

    /// Reads a name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|setting| setting.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            let constraint = format!("\"{}\" is not the name of an account setting: [{names}]", quoted(name));
            Error::invalid_parameter("name", constraint)
        })
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BasicScanTypeVersion => "BASIC_SCAN_TYPE_VERSION",
            Self::RegistryPolicyScope => "REGISTRY_POLICY_SCOPE",
            Self::BlobMounting => "BLOB_MOUNTING",
        }
    }

    /// What it can be. The first is what it is until somebody says otherwise;
    /// that of blob mounting is `DISABLED` in ECR.
    #[must_use]
    pub const fn values(self) -> &'static [&'static str] {
        match self {
            Self::BasicScanTypeVersion => &["AWS_NATIVE"],
            Self::RegistryPolicyScope => &["V2", "V1"],
            Self::BlobMounting => &["ENABLED", "DISABLED"],
        }
    }

    /// Reads a value.
    pub fn parse_value(self, value: &str) -> Result<&'static str> {
        self.values().iter().find(|known| **known == value).copied().ok_or_else(|| {
            let (name, values) = (self.as_str(), self.values().join(", "));
            let constraint = format!("\"{}\" is not a value of {name}: [{values}]", quoted(value));
            Error::invalid_parameter("value", constraint)
        })
    }
}

/// The settings of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountSettings(BTreeMap<AccountSetting, &'static str>);

impl AccountSettings {
    /// Sets one to a value from [`AccountSetting::parse_value`].
    pub fn set(&mut self, setting: AccountSetting, value: &'static str) {
        self.0.insert(setting, value);
    }

    /// The value of one, or what it is by default.
    #[must_use]
    pub fn value(&self, setting: AccountSetting) -> &'static str {
        let default = setting.values().first().copied().unwrap_or_default();
        self.0.get(&setting).copied().unwrap_or(default)
    }

    /// Whether the registry's policy is asked about an action such as
    /// `ecr:PutImage`.
    #[must_use]
    pub fn registry_policy_covers(&self, action: &str) -> bool {
        /// What version 1 of the scope covers (ECR user guide, "Registry policy scope").
        const VERSION_1: [&str; 3] = ["ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"];
        self.value(AccountSetting::RegistryPolicyScope) != "V1" || VERSION_1.contains(&action)
    }

    /// Whether a push can mount a blob of another repository.
    #[must_use]
    pub fn mounts_blobs(&self) -> bool {
        self.value(AccountSetting::BlobMounting) == "ENABLED"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_their_values_and_no_others() {
        for setting in AccountSetting::ALL {
            assert_eq!(AccountSetting::parse(setting.as_str()).unwrap(), setting);
            for value in setting.values() {
                assert_eq!(setting.parse_value(value).unwrap(), *value);
                assert!(setting.parse_value(&value.to_lowercase()).is_err());
            }
        }
        assert!(AccountSetting::parse("blob_mounting").is_err());
        assert!(AccountSetting::BasicScanTypeVersion.parse_value("CLAIR").is_err());
        assert!(AccountSetting::RegistryPolicyScope.parse_value("ENABLED").is_err());
    }

    #[test]
    fn what_is_not_set_is_the_default() {
        let mut settings = AccountSettings::default();
        assert!(settings.mounts_blobs());
        assert!(settings.registry_policy_covers("ecr:PutImage"));
        settings.set(AccountSetting::BlobMounting, "DISABLED");
        settings.set(AccountSetting::RegistryPolicyScope, "V1");
        assert!(!settings.mounts_blobs());
        assert!(!settings.registry_policy_covers("ecr:PutImage"));
        assert!(settings.registry_policy_covers("ecr:CreateRepository"));
        assert_eq!(settings.value(AccountSetting::BasicScanTypeVersion), "AWS_NATIVE");
    }
}
