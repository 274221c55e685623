//! Repositories: create, describe, delete.

use std::collections::BTreeMap;

use ironwharf_cloud::random;
use ironwharf_cloud::table::{Encryption, Repository};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, RepositoryArn, RepositoryName, Result, TagMutability};
use ironwharf_wire::ecr::shapes::{
    CreateRepositoryRequest, CreateRepositoryResponse, DeleteRepositoryRequest, DeleteRepositoryResponse,
    DescribeRepositoriesRequest, DescribeRepositoriesResponse, EncryptionConfiguration, EncryptionType,
    ImageScanningConfiguration, ImageTagMutability, ImageTagMutabilityExclusionFilter,
    ImageTagMutabilityExclusionFilterType, Repository as RepositoryShape, Tag,
};
use ironwharf_wire::ecr::{OperationName, Timestamp};

use super::paging::PageRequest;
use super::{Call, Operation, Target};
use crate::jobs::purge;
use crate::repositories::{id as repository_id, not_found, with_defaults};

/// The most resource tags on a repository.
pub(super) const MAX_LABELS: usize = 50;

pub(super) struct CreateRepository;

impl Operation for CreateRepository {
    const NAME: OperationName = OperationName::CreateRepository;
    type Input = CreateRepositoryRequest;
    type Output = CreateRepositoryResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    fn request_tags(input: &Self::Input) -> Option<BTreeMap<String, String>> {
        let tags = input.tags.as_ref()?;
        Some(tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect())
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let mutability = input.image_tag_mutability.unwrap_or(ImageTagMutability::Mutable);
        let scanning = input.image_scanning_configuration.and_then(|scanning| scanning.scan_on_push);
        let repository = Repository {
            mutability: mutability_of(mutability, input.image_tag_mutability_exclusion_filters)?,
            scan_on_push: scanning.unwrap_or(false),
            encryption: encryption(input.encryption_configuration)?,
            labels: labels(input.tags.unwrap_or_default())?,
            ..with_defaults(permit.registry(), permit.repository()?, permit.caller().now_ms())
        };
        let created = permit.region().create_repository(permit.table()?, repository, None).await?;
        Ok(CreateRepositoryResponse { repository: Some(shape(call, &created)) })
    }
}

/// A tag mutability as the API gives it, in its two parts.
pub(super) fn mutability_of(
    value: ImageTagMutability,
    filters: Option<Vec<ImageTagMutabilityExclusionFilter>>,
) -> Result<TagMutability> {
    let filters = filters.unwrap_or_default().into_iter().map(|filter| filter.filter).collect();
    TagMutability::parse(value.as_str(), filters)
}

/// The exclusion filters of a tag mutability as the API shows them; none for
/// the values that have none.
pub(super) fn filters_of(mutability: &TagMutability) -> Option<Vec<ImageTagMutabilityExclusionFilter>> {
    let filters = mutability.filters().iter().map(|filter| ImageTagMutabilityExclusionFilter {
        filter_type: ImageTagMutabilityExclusionFilterType::Wildcard,
        filter: filter.clone(),
    });
    Some(filters.collect::<Vec<_>>()).filter(|filters| !filters.is_empty())
}

/// The encryption that a creation template gives a repository now.
pub(crate) fn encryption_of_template(template: &Encryption) -> Result<Encryption> {
    let encryption_type = EncryptionType::parse(&template.encryption_type)
        .ok_or_else(|| Error::internal("a template has an encryption type that does not exist"))?;
    encryption(Some(EncryptionConfiguration { encryption_type, kms_key: template.kms_key.clone() }))
}

/// Encryption that the object store does with its own key. A key per
/// repository is refused rather than promised.
pub(super) fn encryption(configuration: Option<EncryptionConfiguration>) -> Result<Encryption> {
    let Some(EncryptionConfiguration { encryption_type, kms_key }) = configuration else {
        return Ok(Encryption { encryption_type: EncryptionType::Aes256.as_str().to_owned(), kms_key: None });
    };
    let parameter = "encryptionConfiguration";
    match (encryption_type, kms_key) {
        (EncryptionType::Aes256, None) => {
            Ok(Encryption { encryption_type: encryption_type.as_str().to_owned(), kms_key: None })
        }
        (EncryptionType::Aes256, Some(_)) => {
            Err(Error::invalid_parameter(parameter, "kmsKey cannot be used with encryptionType AES256"))
        }
        (EncryptionType::Kms | EncryptionType::KmsDsse, _) => Err(Error::invalid_parameter(
            parameter,
            format!("encryptionType {encryption_type} is not served yet; use AES256"),
        )),
    }
}

/// Resource tags as they are given: at most 50, each key once.
pub(super) fn labels(tags: Vec<Tag>) -> Result<BTreeMap<String, String>> {
    if tags.len() > MAX_LABELS {
        return Err(Error::TooManyTags { limit: MAX_LABELS });
    }
    let mut labels = BTreeMap::new();
    for Tag { key, value } in tags {
        check_label_key(&key)?;
        let shown = quoted(&key);
        if value.chars().count() > 256 {
            return Err(invalid_label(format!("the value of tag \"{shown}\" must have at most 256 characters")));
        }
        if labels.insert(key, value).is_some() {
            return Err(invalid_label(format!("the tag key \"{shown}\" is given twice")));
        }
    }
    Ok(labels)
}

/// Refuses the key of a resource tag that cannot be one.
pub(super) fn check_label_key(key: &str) -> Result<()> {
    let shown = quoted(key);
    if key.is_empty() || key.chars().count() > 128 {
        return Err(invalid_label(format!("the tag key \"{shown}\" must have 1 to 128 characters")));
    }
    if key.to_lowercase().starts_with("aws:") {
        return Err(invalid_label(format!("the tag key \"{shown}\" starts with aws:, which is reserved")));
    }
    Ok(())
}

fn invalid_label(reason: String) -> Error {
    Error::InvalidTagParameter { reason }
}

pub(super) struct DescribeRepositories;

impl Operation for DescribeRepositories {
    const NAME: OperationName = OperationName::DescribeRepositories;
    type Input = DescribeRepositoriesRequest;
    type Output = DescribeRepositoriesResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        match &input.repository_names {
            Some(names) if !names.is_empty() => Target::repositories(input.registry_id.as_deref(), names),
            _ => Target::catalog(input.registry_id.as_deref()),
        }
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (permit, registry) = (&call.permit, call.permit.registry());
        let table = permit.table()?;
        if let Some(names) = input.repository_names {
            if input.max_results.is_some() || input.next_token.is_some() {
                let reason = "maxResults and nextToken cannot be used together with repositoryNames";
                return Err(Error::invalid_parameter("repositoryNames", reason));
            }
            let mut unique = Vec::with_capacity(names.len());
            for name in &names {
                let name = RepositoryName::parse(name)?;
                if !unique.contains(&name) {
                    unique.push(name);
                }
            }
            let found = table.repositories(registry, &unique).await?;
            let is_missing = |name: &&RepositoryName| !found.iter().any(|found| found.key.name == **name);
            if let Some(missing) = unique.iter().find(is_missing) {
                return Err(not_found(registry, missing));
            }
            let repositories = found.iter().map(|found| shape(call, found)).collect();
            return Ok(DescribeRepositoriesResponse { repositories: Some(repositories), next_token: None });
        }
        let page =
            PageRequest::open(permit, "DescribeRepositories", input.max_results, input.next_token.as_deref()).await?;
        let names = table.repository_names(registry, page.position.as_deref(), page.limit).await?;
        let last = names.items.last().filter(|_| names.more);
        let next_token = page.next(last.map(RepositoryName::as_str)).await?;
        // A repository that is deleted in this moment is left out.
        let found = table.repositories(registry, &names.items).await?;
        let repositories = found.iter().map(|found| shape(call, found)).collect();
        Ok(DescribeRepositoriesResponse { repositories: Some(repositories), next_token })
    }
}

pub(super) struct DeleteRepository;

impl Operation for DeleteRepository {
    const NAME: OperationName = OperationName::DeleteRepository;
    type Input = DeleteRepositoryRequest;
    type Output = DeleteRepositoryResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        let table = permit.table()?;
        let repository = table.repository(registry, name).await?.ok_or_else(|| not_found(registry, name))?;
        let force = input.force.unwrap_or(false);
        let not_empty = || Error::RepositoryNotEmpty(repository_id(registry, name));
        let has_images = || async { table.images(&repository.key, None, 1).await.map(|page| !page.items.is_empty()) };
        let now_s = permit.caller().now_s();
        // While it is closed no push commits, so what is empty stays empty.
        let closing = if force { None } else { Some(random::hex::<8>()) };
        if let Some(closing) = &closing {
            if !table.close_repository(&repository.key, closing, now_s).await? {
                return Err(not_found(registry, name));
            }
            if has_images().await? {
                table.reopen_repository(&repository.key, closing).await?;
                return Err(not_empty());
            }
        }
        // What was in it is removed behind the answer, however much it is.
        let purge = purge::work(&repository.key, now_s)?;
        let deleted = table.delete_repository(&repository.key, closing.as_deref(), &purge, now_s).await?;
        permit.region().repositories.forget(registry, name);
        if !deleted {
            return Err(not_found(registry, name));
        }
        call.app.work_made().notify_one();
        Ok(DeleteRepositoryResponse { repository: Some(shape(call, &repository)) })
    }
}

/// A repository as the API describes it.
fn shape(call: &Call<'_>, repository: &Repository) -> RepositoryShape {
    let region = call.permit.caller().region();
    let (account, name) = (&repository.key.account, &repository.key.name);
    let encryption_type = EncryptionType::parse(&repository.encryption.encryption_type);
    RepositoryShape {
        repository_arn: Some(RepositoryArn { region, account, repository: name }.to_string()),
        registry_id: Some(account.to_string()),
        repository_name: Some(name.to_string()),
        repository_uri: Some(format!("{}/{name}", call.app.config().registry_host.host(account, region))),
        created_at: Some(Timestamp::from_epoch_millis(repository.created_at_ms)),
        image_tag_mutability: ImageTagMutability::parse(repository.mutability.as_str()),
        image_tag_mutability_exclusion_filters: filters_of(&repository.mutability),
        image_scanning_configuration: Some(ImageScanningConfiguration { scan_on_push: Some(repository.scan_on_push) }),
        encryption_configuration: encryption_type.map(|encryption_type| EncryptionConfiguration {
            encryption_type,
            kms_key: repository.encryption.kms_key.clone(),
        }),
    }
}
