//! Repositories: create, describe, delete.

use std::collections::BTreeMap;

use ironwharf_cloud::random;
use ironwharf_cloud::table::{FirstPolicies, Repository, RepositoryKey};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, RepositoryArn, RepositoryName, Result, TagMutability};
use ironwharf_wire::ecr::shapes::{
    CreateRepositoryRequest, CreateRepositoryResponse, DeleteRepositoryRequest, DeleteRepositoryResponse,
    DescribeRepositoriesRequest, DescribeRepositoriesResponse, ImageScanningConfiguration, ImageTagMutability,
    ImageTagMutabilityExclusionFilter, ImageTagMutabilityExclusionFilterType, Repository as RepositoryShape, Tag,
};
use ironwharf_wire::ecr::{OperationName, Timestamp};

use super::paging::{DEFAULT_RESULTS, PageRequest};
use super::{Call, Operation, Target};
use crate::authorize::{Details, Resource};
use crate::encryption::{encryption_of, shape_of};
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

    /// Tags take the right to tag as well.
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        if let Some(tags) = Self::request_tags(&input).filter(|tags| !tags.is_empty()) {
            let (account, name) = (permit.registry().clone(), permit.repository()?.clone());
            let details = Details { request_tags: Some(tags), ..Details::default() };
            permit.require("ecr:TagResource", &Resource::Repository { account, name }, &details).await?;
        }
        let mutability = input.image_tag_mutability.unwrap_or(ImageTagMutability::Mutable);
        let scanning = input.image_scanning_configuration.and_then(|scanning| scanning.scan_on_push);
        let defaults = with_defaults(permit.registry(), permit.repository()?, permit.caller().now_ms());
        let encryption = encryption_of(permit, input.encryption_configuration).await?;
        let repository = Repository {
            key: RepositoryKey { encryption, ..defaults.key.clone() },
            mutability: mutability_of(mutability, input.image_tag_mutability_exclusion_filters)?,
            scan_on_push: scanning.unwrap_or(false),
            labels: labels(input.tags.unwrap_or_default())?,
            ..defaults
        };
        let created = permit.region().create_repository(permit.table()?, repository, FirstPolicies::default()).await?;
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
        if let Some(odd) = odd_character(&value) {
            return Err(invalid_label(format!("the value of tag \"{shown}\" has {odd}, {LABEL_CHARACTERS}")));
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
    if let Some(odd) = odd_character(key) {
        return Err(invalid_label(format!("the tag key \"{shown}\" has {odd}, {LABEL_CHARACTERS}")));
    }
    if key.to_lowercase().starts_with("aws:") {
        return Err(invalid_label(format!("the tag key \"{shown}\" starts with aws:, which is reserved")));
    }
    Ok(())
}

/// What a resource tag is made of. (AWS General Reference: tag naming limits.)
const LABEL_CHARACTERS: &str = "but only letters, digits, spaces and + - = . _ : / @ are allowed";

/// The first character that no resource tag has, shown so that it can be seen.
fn odd_character(text: &str) -> Option<String> {
    let is_allowed = |character: char| {
        character.is_alphanumeric() || matches!(character, ' ' | '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@')
    };
    text.chars().find(|character| !is_allowed(*character)).map(|odd| format!("'{}'", odd.escape_default()))
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

    fn page_size(input: &mut Self::Input) -> Option<(&mut Option<i32>, i32)> {
        input.repository_names.is_none().then_some((&mut input.max_results, DEFAULT_RESULTS))
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
    RepositoryShape {
        repository_arn: Some(RepositoryArn { region, account, repository: name }.to_string()),
        registry_id: Some(account.to_string()),
        repository_name: Some(name.to_string()),
        repository_uri: Some(format!("{}/{name}", call.app.config().registry_host.host(account, region))),
        created_at: Some(Timestamp::from_epoch_millis(repository.created_at_ms)),
        image_tag_mutability: ImageTagMutability::parse(repository.mutability.as_str()),
        image_tag_mutability_exclusion_filters: filters_of(&repository.mutability),
        image_scanning_configuration: Some(ImageScanningConfiguration { scan_on_push: Some(repository.scan_on_push) }),
        encryption_configuration: shape_of(&repository.key.encryption),
    }
}
