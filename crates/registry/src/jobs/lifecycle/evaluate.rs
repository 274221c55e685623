//! Evaluating a policy over a repository, page by page.

use ironwharf_cloud::Table;
use ironwharf_cloud::table::{ImageRecord, PAGE_ACTS, PlannedAct, RepositoryKey};
use ironwharf_model::Result;
use ironwharf_policy::lifecycle::{Act, Action, Evaluation, Image, Listed, Outcome, Policy, StorageClass};

/// How many images are read at a time.
const READ: usize = 1_000;

/// How many pages are written at a time.
const WRITTEN: usize = 25;

/// What a policy says of the images that are there now.
pub(super) async fn outcome<'p>(
    table: &Table,
    key: &RepositoryKey,
    policy: &'p Policy,
    now_ms: i64,
) -> Result<Outcome<'p>> {
    let mut evaluation = Evaluation::new(policy, now_ms);
    let mut after: Option<String> = None;
    loop {
        let page = table.images(key, after.as_deref(), READ).await?;
        for record in &page.items {
            evaluation.add(&image(record));
        }
        after = page.items.last().map(|record| record.digest.to_string());
        if !page.more {
            return Ok(evaluation.finish());
        }
    }
}

fn image(record: &ImageRecord) -> Image<'_> {
    Image {
        digest: &record.digest,
        tags: &record.tags,
        status: record.status,
        pushed_at_ms: record.pushed_at_ms,
        activated_at_ms: record.activated_at_ms,
        archived_at_ms: record.archived_at_ms,
        pulled_at_ms: record.pulled_at_ms,
        listed: match record.parents {
            0 => Listed::Nowhere,
            parents if parents > record.archived_parents => Listed::Active,
            _ => Listed::InArchive,
        },
        subject: record.subject.as_ref(),
        stamp: record.stamp(),
    }
}

/// Writes what is to be done as the pages of a run.
pub(super) async fn write_pages(
    table: &Table,
    key: &RepositoryKey,
    run: &str,
    outcome: &Outcome<'_>,
    now_s: i64,
) -> Result<()> {
    let mut acts = outcome.acts().map(planned);
    let mut first = 0;
    loop {
        let some: Vec<PlannedAct> = acts.by_ref().take(PAGE_ACTS * WRITTEN).collect();
        if some.is_empty() {
            return Ok(());
        }
        table.put_lifecycle_pages(key, run, first, &some, now_s).await?;
        first += u32::try_from(WRITTEN).unwrap_or(u32::MAX);
    }
}

fn planned(act: Act<'_>) -> PlannedAct {
    PlannedAct {
        digest: act.digest,
        stamp: act.stamp,
        rule_priority: act.rule.priority,
        archives: act.rule.action == Action::Archive,
        follows: act.follows,
        tagged: act.tagged,
        archived: act.storage_class == StorageClass::Archive,
    }
}
