//! Applying lifecycle policies: soon after a policy is put, and every hour from
//! then on.
//!
//! A run begins with an evaluation, which writes what is to be done as pages
//! into the table; each further step does one page. After a run that has done
//! something the policy is evaluated again at once, because what an index listed
//! is free when the index has gone.
//!
//! Invariant: an image is acted on only if it is as it was evaluated: its push
//! and its revision are conditions of the write.
//! Invariant: what a policy said is not done any more once it is another one;
//! that is looked at before every ten images.
//! Invariant: a run that is interrupted goes on at the page it had come to, and
//! what of that page was done already is found changed, and left.

mod evaluate;
pub(crate) mod preview;

use std::collections::HashMap;

use ironwharf_cloud::table::{
    ImageRecord, Incarnation, LifecyclePolicyRecord, PlannedAct, RepositoryKey, Work, WorkKind,
};
use ironwharf_cloud::{Table, random};
use ironwharf_model::{Digest, Error, ImageStatus, RepositoryName, Result};
use ironwharf_policy::lifecycle::Policy;
use serde::{Deserialize, Serialize};

use super::{Job, Step};
use crate::audit::lifecycle::{IMAGES_PER_EVENT, PolicyExecution};
use crate::delete_image::delete_as_read;
use crate::storage_class::{Change, Storage, archive};

/// How long after a policy was applied it is looked at again.
const EVERY_SECONDS: i64 = 3600;

/// What is known of the work between its steps.
#[derive(Debug, Serialize, Deserialize)]
struct Details {
    repository: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
}

/// A run under way.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    /// Its pages are under this id.
    id: String,
    /// The version of the policy it is of.
    version: String,
    /// The page to go on with.
    page: u32,
    /// Whether it has done anything yet.
    acted: bool,
}

impl Details {
    fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }
}

/// The work of applying the policy of a repository.
pub(crate) fn work(key: &RepositoryKey, now_s: i64) -> Result<Work> {
    let details = Details { repository: key.name.to_string(), run: None };
    Ok(work_of(WorkKind::Lifecycle, key, now_s, details.to_json()?))
}

fn work_of(kind: WorkKind, key: &RepositoryKey, now_s: i64, details: String) -> Work {
    let RepositoryKey { account, incarnation, .. } = key;
    Work { account: account.clone(), kind, id: incarnation.as_str().to_owned(), due_at_s: now_s, details }
}

/// The repository that work is about; `None` if it is not there any more.
async fn repository_of(job: &Job<'_>, name: &str) -> Result<Option<RepositoryKey>> {
    let key = RepositoryKey {
        account: job.work.account.clone(),
        name: RepositoryName::parse(name).map_err(Error::internal)?,
        incarnation: Incarnation::from_stored(&job.work.id),
    };
    let current = job.storage.table.repository(&key.account, &key.name).await?;
    Ok(current.is_some_and(|current| current.key == key).then_some(key))
}

fn now_ms(job: &Job<'_>) -> i64 {
    i64::try_from(job.now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

pub(super) async fn step(job: &Job<'_>) -> Result<Step> {
    let details: Details = serde_json::from_str(&job.work.details).map_err(Error::internal)?;
    let table = &job.storage.table;
    let Some(key) = repository_of(job, &details.repository).await? else { return Ok(Step::Done) };
    let policy = table.lifecycle_policy(&key).await?;
    match (policy, details.run) {
        (Some(policy), Some(run)) if run.version == policy.version => apply_page(job, &key, &policy, run).await,
        (policy, run) => {
            if let Some(run) = run {
                table.delete_lifecycle_pages(&key, &run.id).await?;
            }
            match policy {
                Some(policy) => begin(job, &key, &policy).await,
                None => Ok(Step::Done),
            }
        }
    }
}

/// Evaluates the policy, and writes down what is to be done.
async fn begin(job: &Job<'_>, key: &RepositoryKey, policy: &LifecyclePolicyRecord) -> Result<Step> {
    let table = &job.storage.table;
    let rules = Policy::parse(&policy.text).map_err(Error::internal)?;
    let outcome = evaluate::outcome(table, key, &rules, now_ms(job)).await?;
    if outcome.is_empty() {
        return done_for_now(job, key, policy).await;
    }
    let id = random::hex::<8>();
    evaluate::write_pages(table, key, &id, &outcome, job.now.unix_timestamp()).await?;
    let run = Run { id, version: policy.version.clone(), page: 0, acted: false };
    again(job, key, Some(run), 0)
}

async fn done_for_now(job: &Job<'_>, key: &RepositoryKey, policy: &LifecyclePolicyRecord) -> Result<Step> {
    job.storage.table.lifecycle_evaluated(key, &policy.version, now_ms(job)).await?;
    again(job, key, None, EVERY_SECONDS)
}

fn again(job: &Job<'_>, key: &RepositoryKey, run: Option<Run>, in_s: i64) -> Result<Step> {
    let details = Details { repository: key.name.to_string(), run };
    Ok(Step::Again { due_at_s: job.now.unix_timestamp() + in_s, details: details.to_json()? })
}

async fn apply_page(job: &Job<'_>, key: &RepositoryKey, policy: &LifecyclePolicyRecord, mut run: Run) -> Result<Step> {
    let table = &job.storage.table;
    let Some(acts) = table.lifecycle_page(key, &run.id, run.page).await? else {
        table.delete_lifecycle_pages(key, &run.id).await?;
        // A run has a first page. If it is not there it has expired, unread.
        if run.acted || run.page == 0 {
            return again(job, key, None, 0);
        }
        return done_for_now(job, key, policy).await;
    };
    let rules = Policy::parse(&policy.text).map_err(Error::internal)?;
    let digests: Vec<Digest> = acts.iter().map(|act| act.digest.clone()).collect();
    let images = table.image_records(key, &digests).await?;
    let images: HashMap<&Digest, &ImageRecord> = images.iter().map(|image| (&image.digest, image)).collect();
    let unchanged: Vec<(&PlannedAct, &ImageRecord)> = acts
        .iter()
        .filter_map(|act| Some((act, *images.get(&act.digest)?)))
        .filter(|(act, image)| image.stamp() == act.stamp)
        .collect();
    for group in unchanged.chunks(IMAGES_PER_EVENT) {
        let current = table.lifecycle_policy(key).await?;
        if current.is_none_or(|current| current.version != policy.version) {
            // The next step, or that of the new work, sees what is there now.
            return again(job, key, Some(run), 0);
        }
        let mut done = Vec::with_capacity(group.len());
        for (act, image) in group {
            if apply(job, key, act, image).await? {
                done.push((*act, *image));
            }
        }
        if !done.is_empty() {
            run.acted = true;
            let execution = PolicyExecution { region: &job.region.cloud.region, repository: key, policy: &rules, done };
            execution.write(table, policy, now_ms(job)).await;
        }
    }
    run.page += 1;
    again(job, key, Some(run), 0)
}

/// Acts on one image; `false` if it has changed, or what it refers to is there.
async fn apply(job: &Job<'_>, key: &RepositoryKey, act: &PlannedAct, image: &ImageRecord) -> Result<bool> {
    let storage = Storage { table: &job.storage.table, objects: &job.storage.objects };
    if act.follows && !subject_has_gone(storage.table, key, act, image).await? {
        return Ok(false);
    }
    if act.archives {
        return Ok(archive(storage, key, image, now_ms(job)).await? == Change::Made);
    }
    match delete_as_read(storage, key, image, job.now.unix_timestamp()).await {
        Err(Error::ImageReferencedByIndex { .. }) => Ok(false),
        deleted => deleted,
    }
}

/// Whether the image that this one follows has gone where this one is to go.
async fn subject_has_gone(table: &Table, key: &RepositoryKey, act: &PlannedAct, image: &ImageRecord) -> Result<bool> {
    let Some(subject) = &image.subject else { return Ok(false) };
    let found = table.image_records(key, std::slice::from_ref(subject)).await?;
    Ok(found.iter().all(|subject| act.archives && subject.status == ImageStatus::Archived))
}
