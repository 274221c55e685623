//! Repository creation templates: what repositories of a prefix are created
//! with, when a push (or a replication, or a pull through the cache) needs them.
//!
//! Invariant: whoever sets what a template says could have set it on the
//! repositories: the policies in it take the rights to set policies.

use std::collections::BTreeSet;

use ironwharf_cloud::table::{CreationTemplate, NewTemplate, TemplateEncryption};
use ironwharf_model::error::quoted;
use ironwharf_model::{AccountId, Error, Result, TagMutability, TemplatePrefix};
use ironwharf_wire::ecr::shapes::{
    CreateRepositoryCreationTemplateRequest, CreateRepositoryCreationTemplateResponse,
    DeleteRepositoryCreationTemplateRequest, DeleteRepositoryCreationTemplateResponse,
    DescribeRepositoryCreationTemplatesRequest, DescribeRepositoryCreationTemplatesResponse, EncryptionConfiguration,
    EncryptionConfigurationForRepositoryCreationTemplate, EncryptionType, ImageTagMutability,
    ImageTagMutabilityExclusionFilter, RCTAppliedFor, RepositoryCreationTemplate, Tag,
    UpdateRepositoryCreationTemplateRequest, UpdateRepositoryCreationTemplateResponse,
};
use ironwharf_wire::ecr::{OperationName, Timestamp};

use super::paging::{DEFAULT_RESULTS, PageRequest};
use super::repositories::{filters_of, labels, mutability_of};
use super::repository_tags::tags_of;
use super::{Call, Operation, Target, policy_text};
use crate::authorize::{Details, Resource};
use crate::creation_templates::MAX_TEMPLATES;
use crate::encryption::encryption_of;
use crate::identity::named_principals;

/// The characters of a lifecycle policy (quotas of ECR).
const LIFECYCLE_POLICY_CHARACTERS: std::ops::RangeInclusive<usize> = 100..=30_720;

/// How often a change that collides with another is tried.
const TRIES: u32 = 20;

/// How many prefixes can be asked for at once.
const MAX_PREFIXES: usize = 100;

/// What of a template a request gives. What is not given is left as it is.
struct Given {
    description: Option<String>,
    encryption: Option<EncryptionConfigurationForRepositoryCreationTemplate>,
    tags: Option<Vec<Tag>>,
    mutability: Option<ImageTagMutability>,
    filters: Option<Vec<ImageTagMutabilityExclusionFilter>>,
    repository_policy: Option<String>,
    lifecycle_policy: Option<String>,
    applied_for: Option<Vec<RCTAppliedFor>>,
    custom_role_arn: Option<String>,
}

/// An empty text takes away what was there.
fn unless_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Given {
    /// Refuses what the caller could not do to a repository of the prefix, and
    /// a key that could not be used for it.
    /// (Service Authorization Reference: dependent actions of the operations.)
    async fn authorize(&self, call: &Call<'_>, prefix: &TemplatePrefix) -> Result<()> {
        let repositories = Resource::Under { account: call.permit.registry().clone(), prefix: prefix.clone() };
        let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        let tagged = self.tags.as_ref().is_some_and(|tags| !tags.is_empty());
        for (needed, action) in [
            (true, "ecr:CreateRepository"),
            (set(&self.repository_policy), "ecr:SetRepositoryPolicy"),
            (set(&self.lifecycle_policy), "ecr:PutLifecyclePolicy"),
            (tagged, "ecr:TagResource"),
        ] {
            if needed {
                let request_tags = self
                    .tags
                    .as_ref()
                    .filter(|_| tagged)
                    .map(|tags| tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect());
                let details = Details { request_tags, ..Details::default() };
                call.permit.require(action, &repositories, &details).await?;
            }
        }
        if let Some(arn) = self.custom_role_arn.as_deref().and_then(unless_empty) {
            check_role(&arn, call.permit.registry())?;
            let role = Resource::Identity { account: call.permit.registry().clone(), arn };
            call.permit.require("iam:PassRole", &role, &Details::default()).await?;
        }
        if let Some(given) = &self.encryption {
            // Refused now rather than when a repository is needed.
            let kms_key = given.kms_key.as_deref().and_then(unless_empty);
            let encryption_type = given.encryption_type;
            let encryption =
                encryption_of(&call.permit, Some(EncryptionConfiguration { encryption_type, kms_key })).await;
            encryption.map_err(|error| at("encryptionConfiguration", error))?;
        }
        Ok(())
    }

    /// Changes a template to what is given.
    async fn apply(&self, call: &Call<'_>, template: &mut NewTemplate) -> Result<()> {
        if let Some(description) = &self.description {
            template.description = unless_empty(description);
        }
        if let Some(given) = &self.encryption {
            let kms_key = given.kms_key.as_deref().and_then(unless_empty);
            let encryption_type = given.encryption_type.as_str().to_owned();
            template.encryption = TemplateEncryption { encryption_type, kms_key };
        }
        if let Some(tags) = &self.tags {
            template.labels = labels(tags.clone()).map_err(|error| at("resourceTags", error))?;
        }
        match (&self.mutability, &self.filters) {
            (None, None) => {}
            (Some(value), filters) => {
                let keeps = filters.is_none() && value.as_str() == template.mutability.as_str();
                if !keeps {
                    template.mutability = mutability_of(*value, filters.clone())?;
                }
            }
            (None, Some(filters)) => {
                let filters = filters.iter().map(|filter| filter.filter.clone()).collect();
                template.mutability = TagMutability::parse(template.mutability.as_str(), filters)?;
            }
        }
        if let Some(policy) = &self.repository_policy {
            template.repository_policy = match unless_empty(policy) {
                Some(text) => Some(policy_text::check(call, policy_text::PolicyOf::Template, &text).await?.0),
                None => None,
            };
        }
        if let Some(policy) = &self.lifecycle_policy {
            template.lifecycle_policy = unless_empty(policy);
            if let Some(policy) = &template.lifecycle_policy {
                check_lifecycle_policy(policy)?;
            }
        }
        if let Some(reasons) = &self.applied_for {
            let reasons: BTreeSet<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
            if reasons.is_empty() {
                let constraint = "must have at least one of REPLICATION, PULL_THROUGH_CACHE, CREATE_ON_PUSH";
                return Err(Error::invalid_parameter("appliedFor", constraint));
            }
            template.applied_for = reasons.into_iter().map(str::to_owned).collect();
        }
        if let Some(arn) = &self.custom_role_arn {
            template.custom_role_arn = unless_empty(arn);
        }
        Ok(())
    }
}

/// Errors about tags and keys as operations on templates have them: of their
/// own they have none.
fn at(parameter: &str, error: Error) -> Error {
    match error {
        Error::InvalidTagParameter { reason } => Error::invalid_parameter(parameter, reason),
        Error::TooManyTags { .. } | Error::Kms { .. } => Error::invalid_parameter(parameter, error.to_string()),
        other => other,
    }
}

/// Refuses what is not the ARN of a role of the account.
fn check_role(text: &str, account: &AccountId) -> Result<()> {
    let invalid = |why: &str| Error::invalid_parameter("customRoleArn", format!("\"{}\" {why}", quoted(text)));
    let role = text.strip_prefix("arn:").and_then(|rest| rest.split_once(":iam::"));
    let named = role.and_then(|(partition, rest)| Some((partition, rest.split_once(":role/")?)));
    match named {
        Some(("aws" | "aws-cn" | "aws-us-gov", (owner, name))) if is_role_name(name) => {
            if owner == account.as_str() {
                Ok(())
            } else {
                Err(invalid("is not a role of this account"))
            }
        }
        _ => Err(invalid("is not the ARN of a role")),
    }
}

/// A path and a name, in the characters of IAM.
fn is_role_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    name.split('/').all(|part| !part.is_empty() && part.bytes().all(is_plain))
}

/// Refuses what `PutLifecyclePolicy` would not take.
fn check_lifecycle_policy(text: &str) -> Result<()> {
    let invalid = |reason: String| Error::invalid_parameter("lifecyclePolicy", reason);
    if !LIFECYCLE_POLICY_CHARACTERS.contains(&text.chars().count()) {
        let (least, most) = (LIFECYCLE_POLICY_CHARACTERS.start(), LIFECYCLE_POLICY_CHARACTERS.end());
        return Err(invalid(format!("a lifecycle policy must have {least} to {most} characters")));
    }
    let parsed = ironwharf_policy::lifecycle::Policy::parse(text);
    parsed.map(drop).map_err(|error| invalid(format!("Lifecycle policy validation failure: {error}")))
}

fn not_found(registry: &AccountId, prefix: &str) -> Error {
    Error::TemplateNotFound { registry: registry.clone(), prefix: prefix.to_owned() }
}

/// A template as the API shows it, with the ids of users and roles that are gone.
async fn shown(call: &Call<'_>, mut template: NewTemplate) -> Result<RepositoryCreationTemplate> {
    if let Some(policy) = &mut template.repository_policy {
        let (identities, own) = (call.permit.caller().directory.table(), call.permit.registry());
        policy.text = named_principals::shown(identities, own, &policy.text, &policy.principals).await?;
    }
    Ok(shape(template))
}

fn shape(template: NewTemplate) -> RepositoryCreationTemplate {
    let applied_for = template.applied_for.iter().filter_map(|reason| RCTAppliedFor::parse(reason)).collect();
    let encryption_type = EncryptionType::parse(&template.encryption.encryption_type);
    RepositoryCreationTemplate {
        prefix: Some(template.given_prefix),
        description: template.description,
        encryption_configuration: encryption_type.map(|encryption_type| {
            EncryptionConfigurationForRepositoryCreationTemplate {
                encryption_type,
                kms_key: template.encryption.kms_key.clone(),
            }
        }),
        resource_tags: Some(tags_of(&template.labels)).filter(|tags| !tags.is_empty()),
        image_tag_mutability: ImageTagMutability::parse(template.mutability.as_str()),
        image_tag_mutability_exclusion_filters: filters_of(&template.mutability),
        repository_policy: template.repository_policy.map(|policy| policy.text),
        lifecycle_policy: template.lifecycle_policy,
        applied_for: Some(applied_for),
        custom_role_arn: template.custom_role_arn,
        created_at: Some(Timestamp::from_epoch_millis(template.created_at_ms)),
        updated_at: Some(Timestamp::from_epoch_millis(template.updated_at_ms)),
    }
}

pub(super) struct CreateRepositoryCreationTemplate;

impl Operation for CreateRepositoryCreationTemplate {
    const NAME: OperationName = OperationName::CreateRepositoryCreationTemplate;
    type Input = CreateRepositoryCreationTemplateRequest;
    type Output = CreateRepositoryCreationTemplateResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (permit, registry) = (&call.permit, call.permit.registry());
        let table = permit.table()?;
        let now_ms = permit.caller().now_ms();
        let given = Given {
            description: input.description,
            encryption: input.encryption_configuration,
            tags: input.resource_tags,
            mutability: Some(input.image_tag_mutability.unwrap_or(ImageTagMutability::Mutable)),
            filters: input.image_tag_mutability_exclusion_filters,
            repository_policy: input.repository_policy,
            lifecycle_policy: input.lifecycle_policy,
            applied_for: Some(input.applied_for),
            custom_role_arn: input.custom_role_arn,
        };
        let mut template = NewTemplate {
            prefix: TemplatePrefix::parse(&input.prefix)?,
            given_prefix: input.prefix,
            description: None,
            applied_for: Vec::new(),
            mutability: TagMutability::default(),
            encryption: TemplateEncryption {
                encryption_type: EncryptionType::Aes256.as_str().to_owned(),
                kms_key: None,
            },
            labels: std::collections::BTreeMap::new(),
            repository_policy: None,
            lifecycle_policy: None,
            custom_role_arn: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        given.apply(call, &mut template).await?;
        given.authorize(call, &template.prefix).await?;
        // Two that are created at once can both be the last: nothing counts them.
        if table.template_prefixes(registry, MAX_TEMPLATES).await?.len() >= MAX_TEMPLATES {
            let message = format!("A registry can have at most {MAX_TEMPLATES} repository creation templates");
            return Err(Error::LimitExceeded { message });
        }
        let created = table.create_template(registry, &template).await?;
        permit.region().templates.forget(registry);
        if !created {
            let prefix = template.given_prefix;
            return Err(Error::TemplateAlreadyExists { registry: registry.clone(), prefix });
        }
        Ok(CreateRepositoryCreationTemplateResponse {
            registry_id: Some(registry.to_string()),
            repository_creation_template: Some(shape(template)),
        })
    }
}

pub(super) struct UpdateRepositoryCreationTemplate;

impl Operation for UpdateRepositoryCreationTemplate {
    const NAME: OperationName = OperationName::UpdateRepositoryCreationTemplate;
    type Input = UpdateRepositoryCreationTemplateRequest;
    type Output = UpdateRepositoryCreationTemplateResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (permit, registry) = (&call.permit, call.permit.registry());
        let table = permit.table()?;
        let prefix = TemplatePrefix::parse(&input.prefix)?;
        let given = Given {
            description: input.description,
            encryption: input.encryption_configuration,
            tags: input.resource_tags,
            mutability: input.image_tag_mutability,
            filters: input.image_tag_mutability_exclusion_filters,
            repository_policy: input.repository_policy,
            lifecycle_policy: input.lifecycle_policy,
            applied_for: input.applied_for,
            custom_role_arn: input.custom_role_arn,
        };
        given.authorize(call, &prefix).await?;
        for tries in 0..TRIES {
            let stored = table.template(registry, &prefix).await?;
            let Some(CreationTemplate { mut template, revision }) = stored else {
                return Err(not_found(registry, &input.prefix));
            };
            given.apply(call, &mut template).await?;
            template.updated_at_ms = permit.caller().now_ms();
            let replaced = table.replace_template(registry, &template, revision).await?;
            permit.region().templates.forget(registry);
            if replaced {
                return Ok(UpdateRepositoryCreationTemplateResponse {
                    registry_id: Some(registry.to_string()),
                    repository_creation_template: Some(shown(call, template).await?),
                });
            }
            // Somebody else was first.
            tokio::time::sleep(ironwharf_cloud::table::jittered(tries)).await;
        }
        let message = format!("The template '{prefix}' is being changed by too many requests at once. Try again.");
        Err(Error::Throttled { message })
    }
}

pub(super) struct DeleteRepositoryCreationTemplate;

impl Operation for DeleteRepositoryCreationTemplate {
    const NAME: OperationName = OperationName::DeleteRepositoryCreationTemplate;
    type Input = DeleteRepositoryCreationTemplateRequest;
    type Output = DeleteRepositoryCreationTemplateResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let registry = call.permit.registry();
        let deleted = call.permit.table()?.delete_template(registry, &TemplatePrefix::parse(&input.prefix)?).await?;
        call.permit.region().templates.forget(registry);
        let deleted = deleted.ok_or_else(|| not_found(registry, &input.prefix))?;
        Ok(DeleteRepositoryCreationTemplateResponse {
            registry_id: Some(registry.to_string()),
            repository_creation_template: Some(shown(call, deleted.template).await?),
        })
    }
}

pub(super) struct DescribeRepositoryCreationTemplates;

impl Operation for DescribeRepositoryCreationTemplates {
    const NAME: OperationName = OperationName::DescribeRepositoryCreationTemplates;
    type Input = DescribeRepositoryCreationTemplatesRequest;
    type Output = DescribeRepositoryCreationTemplatesResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    fn page_size(input: &mut Self::Input) -> Option<(&mut Option<i32>, i32)> {
        input.prefixes.is_none().then_some((&mut input.max_results, DEFAULT_RESULTS))
    }

    /// Prefixes that have no template are left out: the operation has no error
    /// for them.
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (permit, registry) = (&call.permit, call.permit.registry());
        let table = permit.table()?;
        let mut next_token = None;
        let found = if let Some(prefixes) = input.prefixes.filter(|prefixes| !prefixes.is_empty()) {
            if prefixes.len() > MAX_PREFIXES {
                let constraint = format!("Member must have length less than or equal to {MAX_PREFIXES}");
                return Err(Error::invalid_parameter("prefixes", constraint));
            }
            let prefixes = prefixes.iter().map(|prefix| TemplatePrefix::parse(prefix));
            let prefixes: BTreeSet<TemplatePrefix> = prefixes.collect::<Result<_>>()?;
            table.templates_of(registry, &prefixes.into_iter().collect::<Vec<_>>()).await?
        } else {
            let listing = "DescribeRepositoryCreationTemplates";
            let page = PageRequest::open(permit, listing, input.max_results, input.next_token.as_deref()).await?;
            let found = table.templates(registry, page.position.as_deref(), page.limit).await?;
            let last = found.items.last().filter(|_| found.more).map(|last| last.template.prefix.to_string());
            next_token = page.next(last.as_deref()).await?;
            found.items
        };
        let mut templates = Vec::with_capacity(found.len());
        for found in found {
            templates.push(shown(call, found.template).await?);
        }
        Ok(DescribeRepositoryCreationTemplatesResponse {
            registry_id: Some(registry.to_string()),
            repository_creation_templates: Some(templates),
            next_token,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_the_account_are_taken() {
        let account = AccountId::parse("123456789012").unwrap();
        for good in ["role/app", "role/service/path/app", "role/a.b@c+d=e,f_g-h"] {
            assert!(check_role(&format!("arn:aws:iam::123456789012:{good}"), &account).is_ok(), "{good}");
        }
        for bad in [
            "app",
            "arn:aws:iam::123456789012:user/app",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:iam::123456789012:role/*",
            "arn:aws:iam::123456789012:role//app",
            "arn:aws:iam::210987654321:role/app",
            "arn:any:iam::123456789012:role/app",
        ] {
            assert!(check_role(bad, &account).is_err(), "{bad}");
        }
    }
}
