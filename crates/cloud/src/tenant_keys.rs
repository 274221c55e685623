//! The KMS keys of tenants: which ones there are, and whose they are.
//!
//! A key of the deployment's account is the tenant's whose account is in its tag
//! `tenant`. A key of another account is the tenant's if it is that account.
//! The tenant's own names for keys, `alias/<name>`, are the aliases
//! `alias/ironwharf/<tenant>/<name>` of the deployment; `alias/aws/ecr` is
//! `alias/ironwharf/<tenant>/ecr`, which is made when it is first needed.
//!
//! Invariant: a key that is not the tenant's is answered like one that is not
//! there, whatever it is called and whatever its state is.
//! Invariant: a tenant has one managed key in a Region, the one behind its alias.

use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType, Tag};
use ironwharf_model::{AccountId, Error, Region, Result};
use tokio::sync::{Mutex, OnceCell};

use crate::sealing::service_error;
use crate::tenancy::TENANT_TAG;

/// What the tenants' aliases start with.
const ALIAS_PREFIX: &str = "alias/ironwharf/";

/// The tenant's name for its managed key.
const MANAGED: &str = "aws/ecr";

/// How the alias of a managed key ends.
const MANAGED_ALIAS: &str = "ecr";

/// How long KMS keeps a key that lost a race: as short as it can be.
const DELETION_DAYS: i32 = 7;

/// Finds and makes the keys of tenants in one Region.
#[derive(Clone, Debug)]
pub struct TenantKeys {
    client: Client,
    /// The deployment's own key, which tells its account.
    own_key: String,
    region: Region,
    own_account: Arc<OnceCell<String>>,
    /// Held while a managed key is made, so that in one process one is.
    making: Arc<Mutex<()>>,
}

/// A key that may be used for a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableKey {
    /// Its ARN.
    pub arn: String,
    /// Whether it is the tenant's managed key.
    pub managed: bool,
}

/// A key of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantKey {
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The tenant's names for it, `alias/…`.
    pub aliases: Vec<String>,
    /// What it was created with.
    pub description: String,
    /// KMS's word for its state: `Enabled`, `Disabled`, `PendingDeletion`, …
    pub state: String,
    /// When it was created, in seconds since the epoch.
    pub created_at_s: i64,
}

/// A name of a key as somebody gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyName<'a> {
    /// Region and account of an ARN.
    place: Option<(&'a str, &'a str)>,
    resource: KeyResource<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyResource<'a> {
    Id(&'a str),
    /// Without the `alias/`.
    Alias(&'a str),
}

impl<'a> KeyName<'a> {
    /// Reads a key id, the ARN of a key, an alias, or the ARN of an alias.
    fn parse(text: &'a str) -> Option<Self> {
        let Some(arn) = text.strip_prefix("arn:") else {
            let alias = text.strip_prefix("alias/");
            let resource = alias.map_or_else(|| key_id(text).map(KeyResource::Id), alias_resource)?;
            return Some(Self { place: None, resource });
        };
        let mut parts = arn.splitn(5, ':');
        let (partition, service) = (parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        if !partition.starts_with("aws") || service != "kms" || region.is_empty() || !is_account {
            return None;
        }
        let resource = match resource.split_once('/')? {
            ("key", id) => KeyResource::Id(key_id(id)?),
            ("alias", name) => alias_resource(name)?,
            _ => return None,
        };
        Some(Self { place: Some((region, account)), resource })
    }
}

/// A UUID, or the id of a multi-Region key.
fn key_id(text: &str) -> Option<&str> {
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_id = match text.strip_prefix("mrk-") {
        Some(rest) => rest.len() == 32 && hex(rest),
        None => text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.split('-').all(hex),
    };
    is_id.then_some(text)
}

fn alias_resource(name: &str) -> Option<KeyResource<'_>> {
    is_alias_name(name).then_some(KeyResource::Alias(name))
}

/// Whether an alias may be called so, by the letters of its name.
fn is_alias_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
    (1..=250).contains(&name.len()) && name.bytes().all(is_letter)
}

/// The answer for a key that is not there, or that is not the tenant's.
fn not_found(given: &str) -> Error {
    let code = "NotFoundException".to_owned();
    Error::Kms { code, message: format!("Key '{}' does not exist", ironwharf_model::error::quoted(given)) }
}

impl TenantKeys {
    /// The keys behind `client`; `own_key` is the deployment's own.
    #[must_use]
    pub fn new(client: Client, own_key: String, region: Region) -> Self {
        let (own_account, making) = Default::default();
        Self { client, own_key, region, own_account, making }
    }

    /// The key that a tenant means by `given`, if it can encrypt.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for what is no name of a key;
    /// [`Error::Kms`] if there is no such key of the tenant, or it cannot be used.
    pub async fn resolve(&self, tenant: &AccountId, given: &str) -> Result<UsableKey> {
        if self.means_managed(tenant, given)? {
            return self.managed(tenant).await;
        }
        let key = self.find(tenant, given).await?;
        usable(key, false)
    }

    /// The tenant's managed key, made if there is none yet.
    ///
    /// # Errors
    /// [`Error::Kms`] if it is disabled.
    pub async fn managed(&self, tenant: &AccountId) -> Result<UsableKey> {
        let alias = format!("{ALIAS_PREFIX}{tenant}/{MANAGED_ALIAS}");
        let _making = self.making.lock().await;
        let found = if let Some(key) = self.describe(&alias).await? {
            key
        } else {
            let description = format!("Encrypts the repositories of account {tenant} that name no other key");
            let key = self.create_key(tenant, &description).await?;
            if self.create_alias(&alias, &key.key_id).await? {
                key
            } else {
                // Another process was first.
                self.schedule_deletion(&key.key_id).await?;
                let first = self.describe(&alias).await?;
                first.ok_or_else(|| Error::internal(format!("{alias} is there and names no key")))?
            }
        };
        if !self.belongs(tenant, &found).await? {
            return Err(Error::internal(format!("{alias} names a key without the tenant's tag")));
        }
        usable(found, true)
    }

    /// Makes a key for a tenant; with an alias, it can name the key so.
    ///
    /// # Errors
    /// [`Error::Validation`] for an alias that cannot be; [`Error::EntityAlreadyExists`]
    /// for one that is there.
    pub async fn create(&self, tenant: &AccountId, alias: Option<&str>, description: &str) -> Result<TenantKey> {
        let alias = alias.map(|alias| tenant_alias(tenant, alias)).transpose()?;
        let taken = || {
            let message = format!("Account {tenant} has a key with this alias already");
            Error::EntityAlreadyExists { message }
        };
        if let Some(alias) = &alias
            && self.describe(alias).await?.is_some()
        {
            return Err(taken());
        }
        let key = self.create_key(tenant, description).await?;
        if let Some(alias) = &alias
            && !self.create_alias(alias, &key.key_id).await?
        {
            self.schedule_deletion(&key.key_id).await?;
            return Err(taken());
        }
        self.shape(tenant, key).await
    }

    /// The keys of a tenant in the deployment's account. It asks for the tags of
    /// every key there is, so it is for people and not for requests.
    pub async fn list(&self, tenant: &AccountId) -> Result<Vec<TenantKey>> {
        let mut found = Vec::new();
        let mut pages = self.client.list_keys().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| service_error("ListKeys", &error))?;
            for key in page.keys.unwrap_or_default() {
                let Some(id) = key.key_id else { continue };
                if self.tag_of(&id).await?.as_deref() == Some(tenant.as_str())
                    && let Some(key) = self.describe(&id).await?
                {
                    found.push(self.shape(tenant, key).await?);
                }
            }
        }
        Ok(found)
    }

    /// Switches a key of a tenant on or off.
    ///
    /// # Errors
    /// As [`TenantKeys::resolve`].
    pub async fn set_enabled(&self, tenant: &AccountId, given: &str, enabled: bool) -> Result<TenantKey> {
        let alias = format!("{ALIAS_PREFIX}{tenant}/{MANAGED_ALIAS}");
        let given = if self.means_managed(tenant, given)? { &alias } else { given };
        let key = self.find(tenant, given).await?;
        let id = key.key_id;
        let (operation, refused) = if enabled {
            ("EnableKey", self.client.enable_key().key_id(&id).send().await.err().as_ref().map(kms_error))
        } else {
            ("DisableKey", self.client.disable_key().key_id(&id).send().await.err().as_ref().map(kms_error))
        };
        if let Some((code, message)) = refused {
            return Err(match code {
                Some(code) if code == "KMSInvalidStateException" => Error::Kms { code, message },
                code => Error::internal(format!("KMS {operation} failed: {} {message}", code.unwrap_or_default())),
            });
        }
        let key = self.describe(&id).await?.ok_or_else(|| not_found(given))?;
        self.shape(tenant, key).await
    }

    /// Whether a tenant means its managed key.
    fn means_managed(&self, tenant: &AccountId, given: &str) -> Result<bool> {
        let name = KeyName::parse(given).ok_or_else(|| malformed(given))?;
        let is_named = name.resource == KeyResource::Alias(MANAGED);
        let is_here =
            name.place.is_none_or(|(region, account)| region == self.region.as_str() && account == tenant.as_str());
        Ok(is_named && is_here)
    }

    /// The tenant's key of this name.
    async fn find(&self, tenant: &AccountId, given: &str) -> Result<KeyMetadata> {
        let name = KeyName::parse(given).ok_or_else(|| malformed(given))?;
        let own_account = self.own_account().await?;
        let scoped = |alias: &str| format!("{ALIAS_PREFIX}{tenant}/{alias}");
        let candidates = match (name.place, name.resource) {
            (Some((region, _)), _) if region != self.region.as_str() => Vec::new(),
            (Some((_, account)), _) if account == own_account => vec![given.to_owned()],
            (Some((_, account)), KeyResource::Alias(alias)) if account == tenant.as_str() => {
                vec![scoped(alias), given.to_owned()]
            }
            (Some((_, account)), KeyResource::Id(_)) if account == tenant.as_str() => vec![given.to_owned()],
            (Some(_), _) => Vec::new(),
            (None, KeyResource::Alias(alias)) => vec![scoped(alias), given.to_owned()],
            (None, KeyResource::Id(_)) => vec![given.to_owned()],
        };
        for candidate in candidates {
            if let Some(key) = self.describe(&candidate).await?
                && self.belongs(tenant, &key).await?
            {
                return Ok(key);
            }
        }
        Err(not_found(given))
    }

    /// Whether a key is the tenant's. See the module's words on it.
    async fn belongs(&self, tenant: &AccountId, key: &KeyMetadata) -> Result<bool> {
        let own_account = self.own_account().await?;
        match account_of(key) {
            Some(account) if account == own_account => {
                Ok(self.tag_of(&key.key_id).await?.as_deref() == Some(tenant.as_str()))
            }
            account => Ok(account.as_deref() == Some(tenant.as_str())),
        }
    }

    /// The account that the deployment's keys are in.
    async fn own_account(&self) -> Result<&str> {
        let ask = async || {
            if let Some(KeyName { place: Some((_, account)), .. }) = KeyName::parse(&self.own_key) {
                return Ok(account.to_owned());
            }
            let own = self.describe(&self.own_key).await?.and_then(|key| account_of(&key));
            own.ok_or_else(|| Error::internal("the deployment's own key cannot be described"))
        };
        self.own_account.get_or_try_init(ask).await.map(String::as_str)
    }

    /// A key, unless there is none or the process may not see it.
    async fn describe(&self, name: &str) -> Result<Option<KeyMetadata>> {
        match self.client.describe_key().key_id(name).send().await {
            Ok(described) => Ok(described.key_metadata),
            Err(error) if is_absent(error.code()) => Ok(None),
            Err(error) => Err(service_error("DescribeKey", &error)),
        }
    }

    /// The tenant in a key's tags.
    async fn tag_of(&self, key_id: &str) -> Result<Option<String>> {
        let mut pages = self.client.list_resource_tags().key_id(key_id).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) if is_absent(error.code()) => return Ok(None),
                Err(error) => return Err(service_error("ListResourceTags", &error)),
            };
            let mut tags = page.tags.unwrap_or_default().into_iter();
            if let Some(tag) = tags.find(|tag| tag.tag_key == TENANT_TAG) {
                return Ok(Some(tag.tag_value));
            }
        }
        Ok(None)
    }

    async fn create_key(&self, tenant: &AccountId, description: &str) -> Result<KeyMetadata> {
        let tag = Tag::builder().tag_key(TENANT_TAG).tag_value(tenant.as_str()).build().map_err(Error::internal)?;
        let created = self.client.create_key().description(description).tags(tag).send().await;
        let created = created.map_err(|error| service_error("CreateKey", &error))?;
        created.key_metadata.ok_or_else(|| Error::internal("KMS CreateKey gave no key"))
    }

    /// Names a key; `false` if the name is taken.
    async fn create_alias(&self, alias: &str, key_id: &str) -> Result<bool> {
        match self.client.create_alias().alias_name(alias).target_key_id(key_id).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("AlreadyExistsException") => Ok(false),
            Err(error) => Err(service_error("CreateAlias", &error)),
        }
    }

    async fn schedule_deletion(&self, key_id: &str) -> Result<()> {
        let scheduled = self.client.schedule_key_deletion().key_id(key_id).pending_window_in_days(DELETION_DAYS);
        scheduled.send().await.map(drop).map_err(|error| service_error("ScheduleKeyDeletion", &error))
    }

    async fn shape(&self, tenant: &AccountId, key: KeyMetadata) -> Result<TenantKey> {
        let mut aliases = Vec::new();
        let mut pages = self.client.list_aliases().key_id(&key.key_id).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| service_error("ListAliases", &error))?;
            let names = page.aliases.unwrap_or_default().into_iter().filter_map(|alias| alias.alias_name);
            aliases.extend(names.map(|name| shown_alias(tenant, &name)));
        }
        Ok(TenantKey {
            id: key.key_id,
            arn: key.arn.unwrap_or_default(),
            aliases,
            description: key.description.unwrap_or_default(),
            state: key.key_state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
            created_at_s: key.creation_date.map(|created| created.secs()).unwrap_or_default(),
        })
    }
}

/// The alias behind a tenant's name for a key that is being made.
fn tenant_alias(tenant: &AccountId, alias: &str) -> Result<String> {
    let name = alias.strip_prefix("alias/").unwrap_or(alias);
    let is_reserved = name == MANAGED_ALIAS || name.starts_with("aws/");
    if is_reserved || name.len() > 200 || !is_alias_name(name) {
        let message =
            "alias must have 1 to 200 letters, digits, slashes, underscores and hyphens, must not start with \
                       aws/ and must not be ecr, which is the managed key's"
                .to_owned();
        return Err(Error::Validation { message });
    }
    Ok(format!("{ALIAS_PREFIX}{tenant}/{name}"))
}

/// An alias as the tenant names it.
fn shown_alias(tenant: &AccountId, alias: &str) -> String {
    match alias.strip_prefix(ALIAS_PREFIX).and_then(|rest| rest.strip_prefix(tenant.as_str())?.strip_prefix('/')) {
        Some(MANAGED_ALIAS) => format!("alias/{MANAGED}"),
        Some(name) => format!("alias/{name}"),
        None => alias.to_owned(),
    }
}

/// The account of a key. KMS need not say it apart from the ARN.
fn account_of(key: &KeyMetadata) -> Option<String> {
    let named = || {
        let place = KeyName::parse(key.arn.as_deref()?)?.place;
        place.map(|(_, account)| account.to_owned())
    };
    key.aws_account_id.clone().or_else(named)
}

/// Refuses a key that cannot encrypt objects now.
fn usable(key: KeyMetadata, managed: bool) -> Result<UsableKey> {
    let arn = key.arn.ok_or_else(|| Error::internal("KMS described a key without an ARN"))?;
    let refusal = |code: &str, message: String| Err(Error::Kms { code: code.to_owned(), message });
    match key.key_state {
        Some(KeyState::Enabled) => {}
        Some(KeyState::Disabled) => return refusal("DisabledException", format!("{arn} is disabled.")),
        state => {
            let state = state.map(|state| state.as_str().to_owned()).unwrap_or_default();
            return refusal("KMSInvalidStateException", format!("{arn} is in the state {state}."));
        }
    }
    if key.key_usage != Some(KeyUsageType::EncryptDecrypt) || key.key_spec != Some(KeySpec::SymmetricDefault) {
        return refusal(
            "InvalidKeyUsageException",
            format!("{arn} is not a symmetric key that encrypts and decrypts."),
        );
    }
    Ok(UsableKey { arn, managed })
}

fn malformed(given: &str) -> Error {
    let shown = ironwharf_model::error::quoted(given);
    let reason = format!("kmsKey \"{shown}\" must be a key id, the ARN of a key, an alias or the ARN of an alias");
    Error::invalid_parameter("encryptionConfiguration", reason)
}

/// Whether an error means that for this process there is no such key.
fn is_absent(code: Option<&str>) -> bool {
    matches!(code, Some("NotFoundException" | "InvalidArnException" | "AccessDeniedException"))
}

fn kms_error<E>(error: &SdkError<E>) -> (Option<String>, String)
where
    SdkError<E>: aws_sdk_kms::error::ProvideErrorMetadata,
{
    (error.code().map(str::to_owned), error.message().unwrap_or("no reason given").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys() {
        let id = "0a1b2c3d-0a1b-4c2d-8a1b-0a1b2c3d4e5f";
        let multi = "mrk-0123456789abcdef0123456789abcdef";
        let place = Some(("eu-west-1", "123456789012"));
        for (text, place, resource) in [
            (id.to_owned(), None, KeyResource::Id(id)),
            (multi.to_owned(), None, KeyResource::Id(multi)),
            ("alias/a/b_c-1".to_owned(), None, KeyResource::Alias("a/b_c-1")),
            (format!("arn:aws:kms:eu-west-1:123456789012:key/{id}"), place, KeyResource::Id(id)),
            ("arn:aws-cn:kms:eu-west-1:123456789012:alias/x".to_owned(), place, KeyResource::Alias("x")),
        ] {
            assert_eq!(KeyName::parse(&text), Some(KeyName { place, resource }), "{text}");
        }
        for text in [
            "",
            "x",
            "alias/",
            "alias/a b",
            "alias/a:b",
            "alias/ä",
            "0A1B2C3D-0a1b-4c2d-8a1b-0a1b2c3d4e5f",
            "0a1b2c3d0a1b4c2d8a1b0a1b2c3d4e5f",
            "mrk-0123",
            "arn:aws:kms:eu-west-1:123456789012",
            "arn:aws:kms:eu-west-1:123456789012:key/x",
            "arn:aws:kms:eu-west-1:12345678901x:alias/x",
            "arn:aws:kms::123456789012:alias/x",
            "arn:aws:s3:eu-west-1:123456789012:alias/x",
            "arn:aws:kms:eu-west-1:123456789012:alias/x:y",
            "arn:aws:kms:eu-west-1:123456789012:grant/x",
        ] {
            assert_eq!(KeyName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn aliases_stay_within_their_tenant() {
        let tenant = AccountId::parse("111111111111").unwrap();
        assert_eq!(tenant_alias(&tenant, "alias/team").unwrap(), "alias/ironwharf/111111111111/team");
        assert_eq!(shown_alias(&tenant, "alias/ironwharf/111111111111/team"), "alias/team");
        assert_eq!(shown_alias(&tenant, "alias/ironwharf/111111111111/ecr"), "alias/aws/ecr");
        assert_eq!(shown_alias(&tenant, "alias/elsewhere"), "alias/elsewhere");
        for bad in ["", "ecr", "alias/ecr", "aws/ecr", "a b", "a:b", "../x", &"x".repeat(201)] {
            assert!(tenant_alias(&tenant, bad).is_err(), "{bad}");
        }
    }
}
