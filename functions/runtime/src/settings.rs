//! The configuration of a function, from its environment.
//!
//! | variable | what it is |
//! |---|---|
//! | `AWS_REGION` | the Region (Lambda sets it) |
//! | `IRONWHARF_TABLE` | the name of the `DynamoDB` table |
//! | `IRONWHARF_BUCKET` | the name of the S3 bucket |
//! | `IRONWHARF_KMS_KEY` | the KMS key that wraps sealing keys: alias, id or ARN |
//! | `IRONWHARF_REGISTRY_HOST` | the host in image names; may have `{account}` and `{region}` |
//! | `IRONWHARF_ROOT_ACCOUNT` | the account, 12 digits |
//! | `IRONWHARF_ROOT_ACCESS_KEY_ID` | the access key id of its root |
//! | `IRONWHARF_ROOT_SECRET_ACCESS_KEY` | its secret; only what verifies signatures has it: the api function and the ingress |
//! | `IRONWHARF_TENANCY` | `pool` for accounts of many tenants, `silo` for the one of the root alone; `pool` if it is not set |
//! | `IRONWHARF_TENANT_READ_ROLE` | the ARN of the role that tenants' data is read with; optional |
//! | `IRONWHARF_TENANT_WRITE_ROLE` | the same for writing; the pull function has none |
//! | `AWS_ENDPOINT_URL` | other services than AWS's, such as LocalStack's; optional |

use ironwharf_cloud::{CloudConfig, TenantRoles, random};
use ironwharf_model::{AccountId, Region};
use ironwharf_registry::{AppConfig, EgressRules, RateLimits, RegistryHost, RootCredentials, Tenancy};

/// What a function needs to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The registry's part.
    pub app: AppConfig,
    /// The storage's part.
    pub cloud: CloudConfig,
}

impl Settings {
    /// Reads the variables that `variable` knows.
    ///
    /// # Errors
    /// A sentence that names the variable, and what it should be.
    pub fn read(verifies_signatures: bool, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let optional = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &str, what: &str| required(&variable, name, what);

        let region = region(&variable)?;
        let table = required("IRONWHARF_TABLE", "the name of the DynamoDB table")?;
        let bucket = required("IRONWHARF_BUCKET", "the name of the S3 bucket")?;
        let kms_key = required("IRONWHARF_KMS_KEY", "the alias, id or ARN of the KMS key")?;
        let host = required("IRONWHARF_REGISTRY_HOST", HOST)?;
        // Whatever sends events to a function has ended TLS before.
        let registry_host = RegistryHost::parse(&host, true).map_err(|_| invalid("IRONWHARF_REGISTRY_HOST", HOST))?;
        let account = required("IRONWHARF_ROOT_ACCOUNT", ACCOUNT)?;
        let account = AccountId::parse(&account).map_err(|_| invalid("IRONWHARF_ROOT_ACCOUNT", ACCOUNT))?;
        let access_key_id = required("IRONWHARF_ROOT_ACCESS_KEY_ID", "the access key id of the account's root")?;
        let secret_access_key = if verifies_signatures {
            required("IRONWHARF_ROOT_SECRET_ACCESS_KEY", "the secret of the account's root")?
        } else {
            // A function that verifies no signature gets no secret. One that
            // nobody knows stands in, so that no signature could pass.
            random::hex::<32>()
        };
        let tenancy = match optional("IRONWHARF_TENANCY").as_deref() {
            None | Some("pool") => Tenancy::Pool,
            Some("silo") => Tenancy::Silo,
            Some(_) => return Err(invalid("IRONWHARF_TENANCY", "pool or silo")),
        };
        Ok(Self {
            app: AppConfig {
                identity_region: region.clone(),
                region: region.clone(),
                registry_host,
                // As in ECR: whoever wants it makes a creation template.
                create_on_push: false,
                serves_objects: false,
                rate_limits: RateLimits::ECR,
                roots: vec![RootCredentials { account, access_key_id, secret_access_key }],
                egress: EgressRules::default(),
                tenancy,
            },
            cloud: CloudConfig {
                region,
                table,
                bucket,
                kms_key,
                endpoint_url: optional("AWS_ENDPOINT_URL"),
                tenant_roles: TenantRoles {
                    read: optional("IRONWHARF_TENANT_READ_ROLE"),
                    write: optional("IRONWHARF_TENANT_WRITE_ROLE"),
                },
            },
        })
    }
}

/// A variable that has to be there.
///
/// # Errors
/// A sentence that names it, and what it should be.
pub(crate) fn required(variable: impl Fn(&str) -> Option<String>, name: &str, what: &str) -> Result<String, String> {
    variable(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("The environment variable {name} is not set: it must be {what}."))
}

/// The Region.
///
/// # Errors
/// A sentence that names its variable.
pub(crate) fn region(variable: impl Fn(&str) -> Option<String>) -> Result<Region, String> {
    let region = required(variable, "AWS_REGION", REGION)?;
    Region::parse(&region).map_err(|_| invalid("AWS_REGION", REGION))
}

fn invalid(name: &str, what: &str) -> String {
    format!("The environment variable {name} must be {what}.")
}

const REGION: &str = "the name of a Region, such as us-east-1";
const HOST: &str = "the host of the registry, such as registry.example.com or {account}.dkr.ecr.{region}.example.com";
const ACCOUNT: &str = "an account id of 12 digits";

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 8] = [
        ("AWS_REGION", "eu-central-1"),
        ("IRONWHARF_TABLE", "registry"),
        ("IRONWHARF_BUCKET", "registry-blobs"),
        ("IRONWHARF_KMS_KEY", "alias/registry"),
        ("IRONWHARF_REGISTRY_HOST", "registry.example.com"),
        ("IRONWHARF_ROOT_ACCOUNT", "123456789012"),
        ("IRONWHARF_ROOT_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("IRONWHARF_ROOT_SECRET_ACCESS_KEY", "secret"),
    ];

    /// The good environment, with one variable changed; `None` takes it away.
    fn read(verifies_signatures: bool, changed: &str, value: Option<&str>) -> Result<Settings, String> {
        Settings::read(verifies_signatures, |name| {
            if name == changed {
                return value.map(str::to_owned);
            }
            GOOD.iter().find(|(good, _)| *good == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_missing_or_bad_variable_is_named() {
        for (name, _) in GOOD {
            for missing in [None, Some("")] {
                let sentence = read(true, name, missing).unwrap_err();
                assert!(sentence.starts_with(&format!("The environment variable {name} is not set")), "{sentence}");
            }
        }
        for (name, bad) in [
            ("AWS_REGION", "nowhere"),
            ("IRONWHARF_REGISTRY_HOST", "https://registry.example.com"),
            ("IRONWHARF_ROOT_ACCOUNT", "12"),
            ("IRONWHARF_TENANCY", "shared"),
        ] {
            let sentence = read(true, name, Some(bad)).unwrap_err();
            assert!(sentence.starts_with(&format!("The environment variable {name} must be")), "{sentence}");
        }
    }

    #[test]
    fn defaults_are_those_of_ecr() {
        let settings = read(true, "", None).unwrap();
        assert!(!settings.app.create_on_push);
        assert!(!settings.app.serves_objects);
        assert_eq!(settings.cloud.endpoint_url, None);
        assert_eq!(settings.app.tenancy, Tenancy::Pool);
        assert_eq!(read(true, "IRONWHARF_TENANCY", Some("silo")).unwrap().app.tenancy, Tenancy::Silo);
    }

    #[test]
    fn only_what_verifies_signatures_has_the_secret() {
        let secret = |verifies| read(verifies, "", None).unwrap().app.roots[0].secret_access_key.clone();
        assert_eq!(secret(true), "secret");
        assert_eq!(secret(false).len(), 64);
        assert_ne!(secret(false), secret(false));
    }
}
