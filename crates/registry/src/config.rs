//! What an operator decides.

use ironwharf_model::{AccountId, Region};

use crate::egress::EgressRules;
use crate::throttle::RateLimits;

/// The configuration of a running registry.
#[derive(Clone, Debug)]
pub struct AppConfig {
    /// The Region of requests that name none.
    pub region: Region,
    /// The Region whose table holds the accounts, users, roles and policies.
    pub identity_region: Region,
    /// The host clients reach the registry at.
    pub registry_host: RegistryHost,
    /// Whether registries start with a template that lets a push create its
    /// repository. On AWS nothing is written for them, as in ECR.
    pub create_on_push: bool,
    /// Whether this process serves the object store on its own port, so that
    /// downloads are redirected to the host the caller is talking to.
    pub serves_objects: bool,
    /// How often a tenant may do what.
    pub rate_limits: RateLimits,
    /// The root keys that need no record: of the account that operates the registry.
    pub roots: Vec<RootCredentials>,
    /// Where the registry connects to when a tenant names a host.
    pub egress: EgressRules,
    /// Whose the registry is.
    pub tenancy: Tenancy,
}

/// Whose a registry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tenancy {
    /// Many tenants', with an account each.
    #[default]
    Pool,
    /// One account's own, that of the root: there is no other.
    Silo,
}

/// The root credentials of an account.
#[derive(Clone)]
pub struct RootCredentials {
    /// The account.
    pub account: AccountId,
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
}

impl std::fmt::Debug for RootCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RootCredentials")
            .field("account", &self.account)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// A template for the host of a registry: `localhost:5100`, or
/// `{account}.dkr.ecr.{region}.amazonaws.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryHost {
    template: String,
    tls: bool,
}

impl RegistryHost {
    /// Checks a template.
    ///
    /// # Errors
    /// A sentence, if it is not a host with an optional port after its
    /// placeholders are filled in.
    pub fn parse(template: &str, tls: bool) -> Result<Self, String> {
        let filled = template.replace("{account}", "000000000000").replace("{region}", "us-east-1");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
        let is_host = filled.bytes().all(is_plain) && filled.parse::<http::uri::Authority>().is_ok();
        if is_host {
            Ok(Self { template: template.to_owned(), tls })
        } else {
            Err(format!(
                "'{template}' is not a host name: use a host with an optional port, with {{account}} and {{region}} where they belong"
            ))
        }
    }

    /// The host of an account's registry in a Region, as image names start.
    #[must_use]
    pub fn host(&self, account: &AccountId, region: &Region) -> String {
        self.template.replace("{account}", account.as_str()).replace("{region}", region.as_str())
    }

    /// What a host says of the registry it stands for, if it is of the
    /// template's form: the account and the Region, where the template has them.
    #[must_use]
    pub fn read(&self, host: &str) -> Option<(Option<AccountId>, Option<Region>)> {
        let (mut account, mut region) = (None, None);
        let (mut template, mut rest) = (self.template.as_str(), host);
        while let Some((literal, after)) = template.split_once('{') {
            rest = rest.strip_prefix(literal)?;
            let (placeholder, after) = after.split_once('}')?;
            // A value ends where the next literal character stands.
            let end = after.chars().next().map_or(Some(rest.len()), |next| rest.find(next))?;
            let (value, remaining) = rest.split_at_checked(end)?;
            match placeholder {
                "account" => account = Some(AccountId::parse(value).ok()?),
                _ => region = Some(Region::parse(value).ok()?),
            }
            (template, rest) = (after, remaining);
        }
        (template == rest).then_some((account, region))
    }

    /// The URL of an account's registry in a Region.
    #[must_use]
    pub fn endpoint(&self, account: &AccountId, region: &Region) -> String {
        format!("{}://{}", self.scheme(), self.host(account, region))
    }

    /// How clients reach the host: `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_filled_in() {
        let account = AccountId::parse("123456789012").unwrap();
        let region = Region::parse("eu-west-1").unwrap();
        let host = RegistryHost::parse("{account}.dkr.ecr.{region}.amazonaws.com", true).unwrap();
        assert_eq!(host.endpoint(&account, &region), "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com");
        assert_eq!(host.read("123456789012.dkr.ecr.eu-west-1.amazonaws.com"), Some((Some(account), Some(region))));
        for other in
            ["localhost:5100", "12.dkr.ecr.eu-west-1.amazonaws.com", "123456789012.dkr.ecr.eu-west-1.amazonaws.com:1"]
        {
            assert_eq!(host.read(other), None, "{other}");
        }
        assert_eq!(RegistryHost::parse("localhost:5100", false).unwrap().read("localhost:5100"), Some((None, None)));
        for bad in ["", "a b", "http://x", "x/y", "{acount}.example.com", "x?y"] {
            assert!(RegistryHost::parse(bad, false).is_err(), "{bad:?}");
        }
    }
}
