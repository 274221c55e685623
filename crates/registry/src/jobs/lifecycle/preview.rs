//! Finding out what a lifecycle policy would do.

use ironwharf_cloud::table::{LifecyclePreviewRecord, PreviewCounts, PreviewStatus, RepositoryKey, Work, WorkKind};
use ironwharf_model::{Error, Result};
use ironwharf_policy::lifecycle::{Action, Policy};
use serde::{Deserialize, Serialize};

use super::super::{Job, Step};
use super::{evaluate, now_ms, repository_of, work_of};

/// How long a preview is tried before it is given up.
const TRIED_SECONDS: i64 = 10 * 60;

/// What a preview needs to know.
#[derive(Debug, Serialize, Deserialize)]
struct Details {
    repository: String,
    /// The run whose pages nobody needs any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<String>,
}

/// The work of a preview that takes the place of `former`.
pub(crate) fn work(key: &RepositoryKey, former: Option<&LifecyclePreviewRecord>, now_s: i64) -> Result<Work> {
    let details = Details { repository: key.name.to_string(), former: former.map(|former| former.run.clone()) };
    let details = serde_json::to_string(&details).map_err(Error::internal)?;
    Ok(work_of(WorkKind::LifecyclePreview, key, now_s, details))
}

pub(in crate::jobs) async fn step(job: &Job<'_>) -> Result<Step> {
    let details: Details = serde_json::from_str(&job.work.details).map_err(Error::internal)?;
    let table = &job.storage.table;
    let Some(key) = repository_of(job, &details.repository).await? else { return Ok(Step::Done) };
    let preview = table.lifecycle_preview(&key).await?;
    let Some(preview) = preview.filter(|preview| preview.status == PreviewStatus::InProgress) else {
        return Ok(Step::Done);
    };
    let ended = match evaluated(job, &key, &preview).await {
        Ok(counts) => LifecyclePreviewRecord { status: PreviewStatus::Complete, counts, ..preview },
        Err(error) if job.now.unix_timestamp() - preview.started_at_s > TRIED_SECONDS => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, source, "a lifecycle policy preview was given up");
            LifecyclePreviewRecord { status: PreviewStatus::Failed, ..preview }
        }
        Err(error) => return Err(error),
    };
    table.end_lifecycle_preview(&key, &ended).await?;
    if let Some(former) = details.former {
        table.delete_lifecycle_pages(&key, &former).await?;
    }
    Ok(Step::Done)
}

/// Writes the pages of a preview; what is on them, in numbers.
async fn evaluated(job: &Job<'_>, key: &RepositoryKey, preview: &LifecyclePreviewRecord) -> Result<PreviewCounts> {
    let table = &job.storage.table;
    let policy = Policy::parse(&preview.text).map_err(Error::internal)?;
    let outcome = evaluate::outcome(table, key, &policy, now_ms(job)).await?;
    evaluate::write_pages(table, key, &preview.run, &outcome, job.now.unix_timestamp()).await?;
    let mut counts = PreviewCounts::default();
    for act in outcome.acts() {
        match act.rule.action {
            Action::Expire => counts.expiring += 1,
            Action::Archive => counts.archiving += 1,
        }
    }
    Ok(counts)
}
