//! Removing what was in a deleted repository, a page at a time.
//!
//! Nobody can see it any more: its incarnation is gone, and a repository of the
//! same name has another one. What is left is storage.

use ironwharf_cloud::table::{Incarnation, RepositoryKey, Work, WorkKind};
use ironwharf_model::{Error, RepositoryName, Result};
use serde::{Deserialize, Serialize};

use super::{Job, Step};

/// Which repository it was.
#[derive(Debug, Serialize, Deserialize)]
struct Deleted {
    repository: String,
    incarnation: String,
}

/// The work that a deletion leaves.
pub(crate) fn work(key: &RepositoryKey, now_s: i64) -> Result<Work> {
    let RepositoryKey { account, name, incarnation } = key;
    let deleted = Deleted { repository: name.to_string(), incarnation: incarnation.as_str().to_owned() };
    Ok(Work {
        account: account.clone(),
        kind: WorkKind::Purge,
        id: deleted.incarnation.clone(),
        due_at_s: now_s,
        details: serde_json::to_string(&deleted).map_err(Error::internal)?,
    })
}

pub(super) async fn step(job: &Job<'_>) -> Result<Step> {
    let deleted: Deleted = serde_json::from_str(&job.work.details).map_err(Error::internal)?;
    let key = RepositoryKey {
        account: job.work.account.clone(),
        name: RepositoryName::parse(&deleted.repository).map_err(Error::internal)?,
        incarnation: Incarnation::from_stored(&deleted.incarnation),
    };
    let now_s = job.now.unix_timestamp();
    if job.storage.table.purge_repository_page(&key, now_s).await? {
        return Ok(Step::Again { due_at_s: now_s, details: job.work.details.clone() });
    }
    Ok(Step::Done)
}
