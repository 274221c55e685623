//! Registries as wholes: their policy and settings, and the template that a new
//! one starts with.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use ironwharf_model::{AccountId, AccountSetting, AccountSettings, Error, Result};

use super::attributes::{self, Item, Read, string};
use super::creation_templates::NewTemplate;
use super::key::Key;
use super::resource_policies::ResourcePolicy;
use super::{Table, Transaction, failed_condition, service_error};

/// That a registry has got what new ones start with.
const STARTED: &str = "started";

/// What is decided for a registry as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// Its policy.
    pub policy: Option<ResourcePolicy>,
    /// Its settings.
    pub settings: AccountSettings,
    /// Whether it has got what new registries start with.
    pub started: bool,
}

impl Table {
    /// What is decided for a registry, in one call.
    pub async fn registry(&self, account: &AccountId) -> Result<Registry> {
        let (policy, settings) = (Key::RegistryPolicy { account }, Key::AccountSettings { account });
        let found = self.get_all(&[policy.clone(), settings.clone()]).await?;
        let policy = found.item(&policy).map(ResourcePolicy::from_item).transpose()?;
        let item = found.item(&settings);
        let started = item.is_some_and(|item| item.contains_key(STARTED));
        let settings = item.map(read_settings).transpose()?.unwrap_or_default();
        Ok(Registry { policy, settings, started })
    }

    /// Sets one setting and leaves the others alone.
    pub async fn put_account_setting(
        &self,
        account: &AccountId,
        setting: AccountSetting,
        value: &'static str,
    ) -> Result<()> {
        let put = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::AccountSettings { account })))
            .update_expression("SET #setting = :value")
            .expression_attribute_names("#setting", setting.as_str())
            .expression_attribute_values(":value", string(value));
        put.send().await.map(drop).map_err(|error| service_error("UpdateItem", error))
    }

    /// Gives a registry the template that new ones start with, once: what has
    /// been deleted since stays deleted, and what is there is left alone.
    pub async fn start_registry(&self, account: &AccountId, template: &NewTemplate) -> Result<()> {
        let put = self.put_new_template(account, template)?;
        let outcome = self.transact(vec![self.mark_started(account)?, put]).await?;
        match outcome {
            Transaction::Refused(reasons) if failed_condition(&reasons, 0).is_none() => {
                // Its owner has made one before.
                self.transact(vec![self.mark_started(account)?]).await.map(drop)
            }
            Transaction::Written | Transaction::Refused(_) => Ok(()),
        }
    }

    fn mark_started(&self, account: &AccountId) -> Result<TransactWriteItem> {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::AccountSettings { account })))
            .update_expression(format!("SET {STARTED} = :true"))
            .condition_expression(format!("attribute_not_exists({STARTED})"))
            .expression_attribute_values(":true", AttributeValue::Bool(true));
        Ok(TransactWriteItem::builder().update(update.build().map_err(Error::internal)?).build())
    }
}

/// Values that this version does not know are as if they were not set.
fn read_settings(item: &Item) -> Result<AccountSettings> {
    let mut settings = AccountSettings::default();
    for setting in AccountSetting::ALL {
        let stored = item.read_optional_string(setting.as_str())?;
        if let Some(value) = stored.and_then(|value| setting.parse_value(value).ok()) {
            settings.set(setting, value);
        }
    }
    Ok(settings)
}
