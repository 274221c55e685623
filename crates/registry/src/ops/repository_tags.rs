//! The resource tags of repositories.

use std::collections::BTreeMap;

use ironwharf_model::{Error, Result};
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, Tag, TagResourceRequest, TagResourceResponse,
    UntagResourceRequest, UntagResourceResponse,
};

use super::repositories::{MAX_LABELS, check_label_key, labels};
use super::{Call, Operation, Target};
use crate::repositories::not_found;

pub(super) struct TagResource;

impl Operation for TagResource {
    const NAME: OperationName = OperationName::TagResource;
    type Input = TagResourceRequest;
    type Output = TagResourceResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::arn(&input.resource_arn)
    }

    fn request_tags(input: &Self::Input) -> Option<BTreeMap<String, String>> {
        Some(input.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect())
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (registry, name) = (call.permit.registry(), call.permit.repository()?);
        let given = labels(input.tags)?;
        let add = |labels: &mut BTreeMap<String, String>| {
            labels.extend(given.clone());
            if labels.len() > MAX_LABELS { Err(Error::TooManyTags { limit: MAX_LABELS }) } else { Ok(()) }
        };
        call.permit.region().change_labels(call.permit.table()?, registry, name, add).await?;
        Ok(TagResourceResponse {})
    }
}

pub(super) struct UntagResource;

impl Operation for UntagResource {
    const NAME: OperationName = OperationName::UntagResource;
    type Input = UntagResourceRequest;
    type Output = UntagResourceResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::arn(&input.resource_arn)
    }

    /// Conditions ask for the keys, of which there are no values.
    fn request_tags(input: &Self::Input) -> Option<BTreeMap<String, String>> {
        Some(input.tag_keys.iter().map(|key| (key.clone(), String::new())).collect())
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (registry, name) = (call.permit.registry(), call.permit.repository()?);
        input.tag_keys.iter().try_for_each(|key| check_label_key(key))?;
        let remove = |labels: &mut BTreeMap<String, String>| {
            labels.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        };
        call.permit.region().change_labels(call.permit.table()?, registry, name, remove).await?;
        Ok(UntagResourceResponse {})
    }
}

pub(super) struct ListTagsForResource;

impl Operation for ListTagsForResource {
    const NAME: OperationName = OperationName::ListTagsForResource;
    type Input = ListTagsForResourceRequest;
    type Output = ListTagsForResourceResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::arn(&input.resource_arn)
    }

    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        let (registry, name) = (call.permit.registry(), call.permit.repository()?);
        let found = call.permit.table()?.repository(registry, name).await?;
        let found = found.ok_or_else(|| not_found(registry, name))?;
        Ok(ListTagsForResourceResponse { tags: Some(tags_of(&found.labels)) })
    }
}

/// Resource tags as the API shows them.
pub(super) fn tags_of(labels: &BTreeMap<String, String>) -> Vec<Tag> {
    labels.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}
