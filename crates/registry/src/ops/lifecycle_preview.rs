//! Previews of lifecycle policies: what a policy would do, without doing it.
//!
//! What a preview finds is kept as digests; tags and times of the images are
//! those of the moment in which the results are asked for.

use std::collections::{HashMap, HashSet};

use ironwharf_cloud::random;
use ironwharf_cloud::table::{
    ImageRecord, LifecyclePreviewRecord, PAGE_ACTS, PlannedAct, PreviewCounts, PreviewStatus, RepositoryKey,
};
use ironwharf_model::{Digest, Error, Reference, Result, Tag};
use ironwharf_wire::ecr::shapes::{
    GetLifecyclePolicyPreviewRequest, GetLifecyclePolicyPreviewResponse, ImageActionType, ImageIdentifier,
    LifecyclePolicyPreviewResult, LifecyclePolicyPreviewStatus, LifecyclePolicyPreviewSummary,
    LifecyclePolicyRuleAction, LifecyclePolicyStorageClass, LifecyclePolicyTargetStorageClass,
    StartLifecyclePolicyPreviewRequest, StartLifecyclePolicyPreviewResponse, TagStatus, TransitioningImageTotalCount,
};
use ironwharf_wire::ecr::{OperationName, Timestamp};

use super::lifecycle::check;
use super::paging::{DEFAULT_RESULTS, PageRequest};
use super::repository_policy::current;
use super::{Call, Operation, Target};
use crate::jobs::lifecycle::preview;
use crate::repositories::{id as repository_id, not_found};

/// How long the results of a preview can be asked for.
const KEPT_SECONDS: i64 = 24 * 3600;

pub(super) struct StartLifecyclePolicyPreview;

impl Operation for StartLifecyclePolicyPreview {
    const NAME: OperationName = OperationName::StartLifecyclePolicyPreview;
    type Input = StartLifecyclePolicyPreviewRequest;
    type Output = StartLifecyclePolicyPreviewResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        if let Some(text) = &input.lifecycle_policy_text {
            check(text)?;
        }
        let table = permit.table()?;
        let repository = current(call).await?;
        let text = match input.lifecycle_policy_text {
            Some(text) => text,
            None => match table.lifecycle_policy(&repository).await? {
                Some(policy) => policy.text,
                None => return Err(Error::LifecyclePolicyNotFound(repository_id(registry, name))),
            },
        };
        let now_s = permit.caller().now_s();
        let former = table.lifecycle_preview(&repository).await?;
        let started = LifecyclePreviewRecord {
            run: random::hex::<8>(),
            text,
            status: PreviewStatus::InProgress,
            started_at_s: now_s,
            counts: PreviewCounts::default(),
        };
        let work = preview::work(&repository, former.as_ref(), now_s)?;
        match table.start_lifecycle_preview(&repository, &started, &work).await? {
            Some(true) => {}
            Some(false) => return Err(Error::LifecyclePolicyPreviewInProgress(repository_id(registry, name))),
            None => {
                permit.region().repositories.forget(registry, name);
                return Err(not_found(registry, name));
            }
        }
        call.app.work_made().notify_one();
        Ok(StartLifecyclePolicyPreviewResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            lifecycle_policy_text: Some(started.text),
            status: Some(LifecyclePolicyPreviewStatus::InProgress),
        })
    }
}

pub(super) struct GetLifecyclePolicyPreview;

impl Operation for GetLifecyclePolicyPreview {
    const NAME: OperationName = OperationName::GetLifecyclePolicyPreview;
    type Input = GetLifecyclePolicyPreviewRequest;
    type Output = GetLifecyclePolicyPreviewResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    fn page_size(input: &mut Self::Input) -> Option<(&mut Option<i32>, i32)> {
        input.image_ids.is_none().then_some((&mut input.max_results, DEFAULT_RESULTS))
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        if input.image_ids.is_some() && (input.max_results.is_some() || input.next_token.is_some()) {
            let reason = "maxResults and nextToken cannot be used together with imageIds";
            return Err(Error::invalid_parameter("imageIds", reason));
        }
        let repository = current(call).await?;
        let preview = permit.table()?.lifecycle_preview(&repository).await?;
        let preview = preview.ok_or_else(|| Error::LifecyclePolicyPreviewNotFound(repository_id(registry, name)))?;
        let status = status(&preview, permit.caller().now_s());
        let tags = input.filter.and_then(|filter| filter.tag_status).unwrap_or(TagStatus::Any);
        let mut output = GetLifecyclePolicyPreviewResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            lifecycle_policy_text: Some(preview.text.clone()),
            status: Some(status),
            preview_results: Some(Vec::new()),
            ..GetLifecyclePolicyPreviewResponse::default()
        };
        let incarnation = repository.incarnation.as_str();
        let selection = format!("{}|{name}|{incarnation}|{}|{tags}", Self::NAME, preview.run);
        let page = PageRequest::open(permit, &selection, input.max_results, input.next_token.as_deref()).await?;
        if status != LifecyclePolicyPreviewStatus::Complete {
            return Ok(output);
        }
        let found = Found { call, repository: &repository, run: &preview.run, tags };
        let (acts, next) = match &input.image_ids {
            Some(ids) => (found.named(ids).await?, None),
            None => found.page(page.position.as_deref(), page.limit).await?,
        };
        output.next_token = page.next(next.map(|next| next.to_string()).as_deref()).await?;
        output.preview_results = Some(found.results(&acts).await?);
        output.summary = Some(summary(preview.counts));
        Ok(output)
    }
}

fn status(preview: &LifecyclePreviewRecord, now_s: i64) -> LifecyclePolicyPreviewStatus {
    match preview.status {
        PreviewStatus::InProgress => LifecyclePolicyPreviewStatus::InProgress,
        PreviewStatus::Failed => LifecyclePolicyPreviewStatus::Failed,
        PreviewStatus::Complete if now_s - preview.started_at_s > KEPT_SECONDS => LifecyclePolicyPreviewStatus::Expired,
        PreviewStatus::Complete => LifecyclePolicyPreviewStatus::Complete,
    }
}

fn summary(counts: PreviewCounts) -> LifecyclePolicyPreviewSummary {
    let count = |count: u64| Some(i32::try_from(count).unwrap_or(i32::MAX));
    let archiving = TransitioningImageTotalCount {
        target_storage_class: Some(LifecyclePolicyTargetStorageClass::Archive),
        image_total_count: count(counts.archiving),
    };
    LifecyclePolicyPreviewSummary {
        expiring_image_total_count: count(counts.expiring),
        transitioning_image_total_counts: (counts.archiving > 0).then(|| vec![archiving]),
    }
}

/// What a preview found, and which of it is asked for.
struct Found<'a> {
    call: &'a Call<'a>,
    repository: &'a RepositoryKey,
    run: &'a str,
    tags: TagStatus,
}

impl Found<'_> {
    fn shows(&self, act: &PlannedAct) -> bool {
        match self.tags {
            TagStatus::Any => true,
            TagStatus::Tagged => act.tagged,
            TagStatus::Untagged => !act.tagged,
        }
    }

    /// The acts of a page of the run; none behind its end.
    async fn read(&self, page: u32) -> Result<Vec<PlannedAct>> {
        let found = self.call.permit.table()?.lifecycle_page(self.repository, self.run, page).await?;
        Ok(found.unwrap_or_default())
    }

    /// Up to `limit` acts from a position on (a number of acts), and where the
    /// next page starts if there is one.
    async fn page(&self, position: Option<&str>, limit: usize) -> Result<(Vec<PlannedAct>, Option<usize>)> {
        let start: usize = position.map_or(Ok(0), str::parse).map_err(Error::internal)?;
        let mut shown = Vec::new();
        let (mut number, mut skip) = (start / PAGE_ACTS, start % PAGE_ACTS);
        loop {
            let acts = self.read(u32::try_from(number).map_err(Error::internal)?).await?;
            let is_last = acts.len() < PAGE_ACTS;
            for (index, act) in acts.into_iter().enumerate().skip(skip) {
                if !self.shows(&act) {
                    continue;
                }
                if shown.len() == limit {
                    return Ok((shown, Some(number * PAGE_ACTS + index)));
                }
                shown.push(act);
            }
            if is_last {
                return Ok((shown, None));
            }
            (number, skip) = (number + 1, 0);
        }
    }

    /// The acts on some images; those on which there is none are left out.
    async fn named(&self, ids: &[ImageIdentifier]) -> Result<Vec<PlannedAct>> {
        let wanted = self.digests(ids).await?;
        let mut shown = Vec::new();
        for number in 0.. {
            let acts = self.read(number).await?;
            let is_last = acts.len() < PAGE_ACTS;
            shown.extend(acts.into_iter().filter(|act| wanted.contains(&act.digest) && self.shows(act)));
            if is_last {
                break;
            }
        }
        Ok(shown)
    }

    async fn digests(&self, ids: &[ImageIdentifier]) -> Result<HashSet<Digest>> {
        let invalid = |error: Error| Error::invalid_parameter("imageIds", error.to_string());
        let (mut wanted, mut tags) = (HashSet::new(), Vec::new());
        for id in ids {
            let digest = id.image_digest.as_deref().map(Digest::parse).transpose().map_err(invalid)?;
            let tag = id.image_tag.as_deref().map(Tag::parse).transpose().map_err(invalid)?;
            match (tag, digest) {
                (Some(tag), digest) => tags.push((tag, digest)),
                (None, Some(digest)) => drop(wanted.insert(digest)),
                (None, None) => {
                    let reason = "Invalid request parameters: both tag and digest cannot be null";
                    return Err(Error::invalid_parameter("imageIds", reason));
                }
            }
        }
        let references: Vec<Reference> = tags.iter().map(|(tag, _)| Reference::Tag(tag.clone())).collect();
        let (_, records) = self.call.permit.table()?.manifests(self.repository, &references).await?;
        for ((_, expected), record) in tags.into_iter().zip(records) {
            let named = record.map(|record| record.digest);
            wanted.extend(named.filter(|named| expected.is_none_or(|expected| expected == *named)));
        }
        Ok(wanted)
    }

    /// The acts with what is known of their images now.
    async fn results(&self, acts: &[PlannedAct]) -> Result<Vec<LifecyclePolicyPreviewResult>> {
        let digests: Vec<Digest> = acts.iter().map(|act| act.digest.clone()).collect();
        let images = self.call.permit.table()?.image_records(self.repository, &digests).await?;
        let images: HashMap<&Digest, &ImageRecord> = images.iter().map(|image| (&image.digest, image)).collect();
        Ok(acts.iter().map(|act| result(act, images.get(&act.digest).copied())).collect())
    }
}

fn result(act: &PlannedAct, image: Option<&ImageRecord>) -> LifecyclePolicyPreviewResult {
    let action = if act.archives {
        LifecyclePolicyRuleAction {
            r#type: Some(ImageActionType::Transition),
            target_storage_class: Some(LifecyclePolicyTargetStorageClass::Archive),
        }
    } else {
        LifecyclePolicyRuleAction { r#type: Some(ImageActionType::Expire), target_storage_class: None }
    };
    LifecyclePolicyPreviewResult {
        image_tags: Some(image.map(|image| image.tags.clone()).unwrap_or_default()),
        image_digest: Some(act.digest.to_string()),
        image_pushed_at: image.map(|image| Timestamp::from_epoch_millis(image.pushed_at_ms)),
        action: Some(action),
        applied_rule_priority: Some(i32::try_from(act.rule_priority).unwrap_or(i32::MAX)),
        storage_class: Some(if act.archived {
            LifecyclePolicyStorageClass::Archive
        } else {
            LifecyclePolicyStorageClass::Standard
        }),
    }
}
