//! Work that goes on after an answer was given: purging deleted repositories,
//! applying lifecycle policies.
//!
//! Work is an item of the table (`cloud/src/table/work.rs`), so it survives the
//! process. It goes in steps: a worker takes what is due, does a part of it, and
//! says where to go on. On AWS the jobs function calls [`App::do_due_work`] every
//! minute; on one machine a task of the server does.
//!
//! Invariant: a step can be done twice, and by two workers at once.
//! Invariant: work of a tenant is done with the storage of that tenant only.

pub(crate) mod lifecycle;
pub(crate) mod purge;

use std::time::Duration;

use ironwharf_cloud::table::{LeasedWork, Work, WorkKind};
use ironwharf_cloud::{Mode, TenantStorage};
use ironwharf_model::{Region, Result};
use time::OffsetDateTime;

use crate::app::App;
use crate::region::RegionState;

/// How many pieces of work are looked for at a time.
const BATCH: usize = 50;

/// How long after a fault a step is tried again.
const RETRY_SECONDS: i64 = 60;

/// How a step of a piece of work ended.
pub(crate) enum Step {
    /// There is nothing left to do.
    Done,
    /// There is, at this time (seconds since the epoch), from there on.
    Again { due_at_s: i64, details: String },
}

/// A step that is being done.
pub(crate) struct Job<'a> {
    pub(crate) region: &'a RegionState,
    /// The storage of the work's tenant.
    pub(crate) storage: &'a TenantStorage,
    pub(crate) work: &'a Work,
    pub(crate) now: OffsetDateTime,
}

impl App {
    /// Does what is due in a Region; how many steps were done. A step that
    /// fails is logged and tried again later.
    ///
    /// # Errors
    /// If the list of work cannot be read.
    pub async fn do_due_work(&self, region: &Region, now: OffsetDateTime) -> Result<usize> {
        let Some(region) = self.regions().get(region, false).await? else { return Ok(0) };
        let table = &region.cloud.table;
        let mut done = 0;
        for kind in WorkKind::ALL {
            for place in table.due_work(kind, now.unix_timestamp(), BATCH).await? {
                let Some(leased) = table.lease_work(&place, now.unix_timestamp()).await? else { continue };
                if let Err(error) = Box::pin(step(&region, &leased, now)).await {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    let account = leased.work.account.as_str();
                    tracing::error!(account, kind = kind.as_str(), id = leased.work.id, %error, source, "work failed");
                    let retry_at_s = now.unix_timestamp() + RETRY_SECONDS;
                    table.postpone_work(&leased, retry_at_s, &leased.work.details).await?;
                }
                done += 1;
            }
        }
        Ok(done)
    }

    /// Does what becomes due in any Region, until it is dropped.
    pub async fn do_work(&self) {
        loop {
            let mut done = 0;
            let regions = self.regions().existing().unwrap_or_default();
            for region in regions {
                match self.do_due_work(&region, OffsetDateTime::now_utc()).await {
                    Ok(steps) => done += steps,
                    Err(error) => tracing::error!(%error, %region, "the list of work could not be read"),
                }
            }
            if done == 0 {
                // Whoever makes work says so; the clock is for what is due later.
                let _ = tokio::time::timeout(Duration::from_secs(30), self.work_made().notified()).await;
            }
        }
    }
}

async fn step(region: &RegionState, leased: &LeasedWork, now: OffsetDateTime) -> Result<()> {
    let work = &leased.work;
    let storage = region.cloud.tenants.storage(&work.account, Mode::Write).await?;
    let job = Job { region, storage: &storage, work, now };
    let ended = match work.kind {
        WorkKind::Purge => purge::step(&job).await,
        WorkKind::Lifecycle => lifecycle::step(&job).await,
        WorkKind::LifecyclePreview => lifecycle::preview::step(&job).await,
    };
    let table = &region.cloud.table;
    match ended? {
        Step::Done => table.finish_work(leased).await,
        Step::Again { due_at_s, details } => table.postpone_work(leased, due_at_s, &details).await.map(drop),
    }
}
