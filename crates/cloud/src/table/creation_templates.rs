//! Repository creation templates.
//!
//! Invariant: a template is replaced only as it was read: every change raises
//! its revision.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use ironwharf_model::{AccountId, Error, Result, TagMutability, TemplatePrefix};

use super::attributes::{self, Build, Item, Read, number};
use super::blobs::is_condition_failure;
use super::key::{Key, template_partition};
use super::listings::Page;
use super::resource_policies::ResourcePolicy;
use super::{Table, service_error};

/// How a template wants layers encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateEncryption {
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub encryption_type: String,
    /// The KMS key as it was named; the managed one, if none is.
    pub kms_key: Option<String>,
}

/// What repositories of a prefix are created with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTemplate {
    /// For which names.
    pub prefix: TemplatePrefix,
    /// The prefix as its owner wrote it.
    pub given_prefix: String,
    /// What its owner says about it.
    pub description: Option<String>,
    /// What creates repositories from it: `CREATE_ON_PUSH` and others.
    pub applied_for: Vec<String>,
    /// Whether tags can be moved.
    pub mutability: TagMutability,
    /// How layers are encrypted.
    pub encryption: TemplateEncryption,
    /// The resource tags.
    pub labels: BTreeMap<String, String>,
    /// The repository's policy.
    pub repository_policy: Option<ResourcePolicy>,
    /// The text of the repository's lifecycle policy.
    pub lifecycle_policy: Option<String>,
    /// A role that ECR would create the repository with.
    pub custom_role_arn: Option<String>,
    /// When it was created, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// When it was changed, in milliseconds since the epoch.
    pub updated_at_ms: i64,
}

/// A template that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreationTemplate {
    /// What it says.
    pub template: NewTemplate,
    /// How often it has been changed.
    pub revision: u64,
}

impl NewTemplate {
    fn to_item(&self, account: &AccountId, revision: u64) -> Item {
        let policy = self.repository_policy.as_ref();
        let principals = policy.map(|policy| policy.principals.clone()).unwrap_or_default();
        Build::new(&Key::CreationTemplate { account, prefix: &self.prefix })
            .string("given_prefix", &self.given_prefix)
            .optional_string("description", self.description.as_deref())
            .list("applied_for", self.applied_for.iter().cloned())
            .string("mutability", self.mutability.as_str())
            .list("mutability_filters", self.mutability.filters().iter().cloned())
            .string("encryption_type", &self.encryption.encryption_type)
            .optional_string("kms_key", self.encryption.kms_key.as_deref())
            .map("labels", &self.labels)
            .optional_string("repository_policy", policy.map(|policy| policy.text.as_str()))
            .map("repository_policy_principals", &principals)
            .optional_string("lifecycle_policy", self.lifecycle_policy.as_deref())
            .optional_string("custom_role_arn", self.custom_role_arn.as_deref())
            .number("created_at_ms", self.created_at_ms)
            .number("updated_at_ms", self.updated_at_ms)
            .number("revision", revision)
            .item()
    }
}

impl CreationTemplate {
    fn from_item(item: &Item) -> Result<Self> {
        let text = |name: &str| item.read_optional_string(name).map(|text| text.map(str::to_owned));
        let owned = |name: &str| item.read_list(name).map(|list| list.into_iter().map(str::to_owned).collect());
        let mutability = TagMutability::parse(item.read_string("mutability")?, owned("mutability_filters")?);
        let principals = item.read_map("repository_policy_principals")?;
        let template = NewTemplate {
            prefix: prefix_of(item)?,
            given_prefix: item.read_string("given_prefix")?.to_owned(),
            description: text("description")?,
            applied_for: owned("applied_for")?,
            mutability: mutability.map_err(Error::internal)?,
            encryption: TemplateEncryption {
                encryption_type: item.read_string("encryption_type")?.to_owned(),
                kms_key: text("kms_key")?,
            },
            labels: item.read_map("labels")?,
            repository_policy: text("repository_policy")?.map(|text| ResourcePolicy { text, principals }),
            lifecycle_policy: text("lifecycle_policy")?,
            custom_role_arn: text("custom_role_arn")?,
            created_at_ms: item.read_number("created_at_ms")?,
            updated_at_ms: item.read_number("updated_at_ms")?,
        };
        Ok(Self { template, revision: item.read_number("revision")? })
    }
}

fn prefix_of(item: &Item) -> Result<TemplatePrefix> {
    TemplatePrefix::parse(item.read_string("sk")?).map_err(Error::internal)
}

impl Table {
    /// The write of a template whose prefix is not taken.
    pub(super) fn put_new_template(&self, account: &AccountId, template: &NewTemplate) -> Result<TransactWriteItem> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(template.to_item(account, 1)))
            .condition_expression("attribute_not_exists(pk)");
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
    }

    /// Creates a template; `false` if its prefix is taken.
    pub async fn create_template(&self, account: &AccountId, template: &NewTemplate) -> Result<bool> {
        let written = self.transact(vec![self.put_new_template(account, template)?]).await?;
        Ok(matches!(written, super::Transaction::Written))
    }

    /// Replaces a template that is still at `revision`; `false` if it is not.
    pub async fn replace_template(&self, account: &AccountId, template: &NewTemplate, revision: u64) -> Result<bool> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(template.to_item(account, revision + 1)))
            .condition_expression("revision = :revision")
            .expression_attribute_values(":revision", number(revision));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failure(&error) => Ok(false),
            Err(error) => Err(service_error("PutItem", error)),
        }
    }

    /// Deletes a template; what it was.
    pub async fn delete_template(
        &self,
        account: &AccountId,
        prefix: &TemplatePrefix,
    ) -> Result<Option<CreationTemplate>> {
        use aws_sdk_dynamodb::types::ReturnValue::AllOld;
        let key = attributes::key(&Key::CreationTemplate { account, prefix });
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key)).return_values(AllOld);
        let deleted = delete.send().await.map_err(|error| service_error("DeleteItem", error))?.attributes;
        deleted.filter(|item| !item.is_empty()).map(|item| CreationTemplate::from_item(&item)).transpose()
    }

    /// The template of a prefix, if there is one.
    pub async fn template(&self, account: &AccountId, prefix: &TemplatePrefix) -> Result<Option<CreationTemplate>> {
        let item = self.get(&Key::CreationTemplate { account, prefix }).await?;
        item.map(|item| CreationTemplate::from_item(&item)).transpose()
    }

    /// Several templates; those that are not there are left out.
    pub async fn templates_of(
        &self,
        account: &AccountId,
        prefixes: &[TemplatePrefix],
    ) -> Result<Vec<CreationTemplate>> {
        let keys: Vec<Key<'_>> = prefixes.iter().map(|prefix| Key::CreationTemplate { account, prefix }).collect();
        let found = self.get_all(&keys).await?;
        keys.iter().filter_map(|key| found.item(key)).map(CreationTemplate::from_item).collect()
    }

    /// A page of templates in the order of their prefixes, after `after`.
    pub async fn templates(
        &self,
        account: &AccountId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<CreationTemplate>> {
        let page = self.query_sorted(&template_partition(account), "", after, limit, None).await?;
        page.try_map(|item| CreationTemplate::from_item(&item))
    }

    /// The prefixes of up to `limit` templates, with what each is applied for.
    pub async fn template_prefixes(
        &self,
        account: &AccountId,
        limit: usize,
    ) -> Result<Vec<(TemplatePrefix, Vec<String>)>> {
        let partition = template_partition(account);
        let page = self.query_sorted(&partition, "", None, limit, Some("sk, applied_for")).await?;
        let entry = |item: &Item| {
            let applied_for = item.read_list("applied_for")?.into_iter().map(str::to_owned).collect();
            Ok((prefix_of(item)?, applied_for))
        };
        page.items.iter().map(entry).collect()
    }
}
