//! Lifecycle policies, their previews, and what their evaluations found.
//!
//! Invariant: all of it is in the partition of the repository's incarnation, and
//! goes with it.
//! Invariant: a policy is written together with the work of applying it, and a
//! preview together with the work of finding it out.
//! Invariant: the pages of a run are written before anything points to them, and
//! never changed.

use std::fmt::Write as _;

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, DeleteRequest, Put, TransactWriteItem, WriteRequest};
use ironwharf_model::{Digest, Error, Result};

use super::attributes::{self, Build, EXPIRES, Item, Read, number, string};
use super::blobs::is_condition_failure;
use super::images::ImageRecord;
use super::key::{Key, RepositoryKey, repository_partition};
use super::work::Work;
use super::{Table, Transaction, failed_condition, service_error};

/// How many images a page of a run is about.
pub const PAGE_ACTS: usize = 100;

/// How long the pages of a run are kept if nobody removes them.
const RUN_SECONDS: i64 = 2 * 24 * 3600;

/// A repository's lifecycle policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecyclePolicyRecord {
    /// As it was given.
    pub text: String,
    /// Another one for each policy that is put.
    pub version: String,
    /// When it was last found to have nothing left to do, in milliseconds since
    /// the epoch.
    pub evaluated_at_ms: Option<i64>,
}

impl LifecyclePolicyRecord {
    fn from_item(item: &Item) -> Result<Self> {
        Ok(Self {
            text: item.read_string("policy")?.to_owned(),
            version: item.read_string("version")?.to_owned(),
            evaluated_at_ms: item.read_optional_number("evaluated_at_ms")?,
        })
    }
}

/// How far a preview is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviewStatus {
    /// It is being worked on.
    InProgress,
    /// Its pages are there.
    Complete,
    /// It was given up.
    Failed,
}

impl PreviewStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let all = [Self::InProgress, Self::Complete, Self::Failed];
        let found = all.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| Error::internal(format!("'{text}' is not a status of a preview")))
    }
}

/// What a preview found, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreviewCounts {
    /// How many images would expire.
    pub expiring: u64,
    /// How many would go into the archive.
    pub archiving: u64,
}

/// The last preview of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecyclePreviewRecord {
    /// Its id, under which its pages are.
    pub run: String,
    /// The policy.
    pub text: String,
    /// How far it is.
    pub status: PreviewStatus,
    /// When it was asked for, in seconds since the epoch.
    pub started_at_s: i64,
    /// What it found.
    pub counts: PreviewCounts,
}

impl LifecyclePreviewRecord {
    fn item(&self, repository: &RepositoryKey) -> Item {
        Build::new(&Key::LifecyclePreview { repository })
            .string("run", &self.run)
            .string("policy", &self.text)
            .string("preview_status", self.status.as_str())
            .number("started_at", self.started_at_s)
            .number("expiring", self.counts.expiring)
            .number("archiving", self.counts.archiving)
            .item()
    }

    fn from_item(item: &Item) -> Result<Self> {
        Ok(Self {
            run: item.read_string("run")?.to_owned(),
            text: item.read_string("policy")?.to_owned(),
            status: PreviewStatus::parse(item.read_string("preview_status")?)?,
            started_at_s: item.read_number("started_at")?,
            counts: PreviewCounts {
                expiring: item.read_number("expiring")?,
                archiving: item.read_number("archiving")?,
            },
        })
    }
}

/// What an evaluation found to be done with an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct PlannedAct {
    /// The image.
    pub digest: Digest,
    /// As [`ImageRecord::stamp`] was when it was evaluated.
    pub stamp: u64,
    /// The priority of the rule that acts.
    pub rule_priority: u32,
    /// Whether it goes into the archive, and does not expire.
    pub archives: bool,
    /// Whether it is because of the image that it refers to.
    pub follows: bool,
    /// Whether it had tags.
    pub tagged: bool,
    /// Whether it was in the archive.
    pub archived: bool,
}

impl PlannedAct {
    /// One line, so that a page is one list.
    fn line(&self) -> String {
        let mut line = format!("{} {:016x} {} ", self.digest, self.stamp, self.rule_priority);
        let flags = [('a', self.archives), ('f', self.follows), ('t', self.tagged), ('s', self.archived)];
        for (letter, _) in flags.into_iter().filter(|(_, is_set)| *is_set) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{letter}");
        }
        line
    }

    fn parse(line: &str) -> Result<Self> {
        let corrupt = || Error::internal("a line of a lifecycle run cannot be read");
        let mut words = line.split(' ');
        let mut word = || words.next().ok_or_else(corrupt);
        let digest = Digest::parse(word()?).map_err(Error::internal)?;
        let stamp = u64::from_str_radix(word()?, 16).map_err(Error::internal)?;
        let rule_priority = word()?.parse().map_err(Error::internal)?;
        let flags = word()?;
        let has = |letter: char| flags.contains(letter);
        Ok(Self {
            digest,
            stamp,
            rule_priority,
            archives: has('a'),
            follows: has('f'),
            tagged: has('t'),
            archived: has('s'),
        })
    }
}

impl ImageRecord {
    /// A number that is another one whenever the image has changed; a recorded
    /// pull is a change too.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        // Not for secrets: a tenant could only confuse an image with another
        // state of itself.
        let bytes = Digest::sha256(format!("{}#{}", self.push, self.revision).as_bytes());
        let hex = bytes.as_str().split(':').nth(1).and_then(|hex| hex.get(..16));
        hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or_default()
    }
}

/// The item of a policy that nothing has been done for yet.
pub(super) fn policy_item(repository: &RepositoryKey, text: &str) -> Item {
    Build::new(&Key::LifecyclePolicy { repository })
        .string("policy", text)
        .string("version", crate::random::hex::<8>())
        .item()
}

impl Table {
    /// The lifecycle policy of a repository.
    pub async fn lifecycle_policy(&self, repository: &RepositoryKey) -> Result<Option<LifecyclePolicyRecord>> {
        let item = self.get(&Key::LifecyclePolicy { repository }).await?;
        item.as_ref().map(LifecyclePolicyRecord::from_item).transpose()
    }

    /// Sets the lifecycle policy of a repository, and puts `work`, which applies
    /// it, on the list. `false` if the repository is gone.
    pub async fn put_lifecycle_policy(&self, repository: &RepositoryKey, text: &str, work: &Work) -> Result<bool> {
        let item = policy_item(repository, text);
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).build().map_err(Error::internal)?;
        let put = TransactWriteItem::builder().put(put).build();
        let writes = vec![put, self.put_work_write(work)?, self.is_current(repository)?];
        Ok(matches!(self.transact(writes).await?, Transaction::Written))
    }

    /// That the repository is there, and is this incarnation.
    pub(super) fn is_current(&self, repository: &RepositoryKey) -> Result<TransactWriteItem> {
        let RepositoryKey { account, name, incarnation, .. } = repository;
        let check = ConditionCheck::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Repository { account, name })))
            .condition_expression("incarnation = :incarnation")
            .expression_attribute_values(":incarnation", string(incarnation.as_str()))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Removes the lifecycle policy of a repository; what it was. The work of
    /// applying it finds nothing, and ends.
    pub async fn delete_lifecycle_policy(&self, repository: &RepositoryKey) -> Result<Option<LifecyclePolicyRecord>> {
        let Some(policy) = self.lifecycle_policy(repository).await? else { return Ok(None) };
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::LifecyclePolicy { repository })))
            .condition_expression("attribute_exists(pk)")
            .build()
            .map_err(Error::internal)?;
        let delete = TransactWriteItem::builder().delete(delete).build();
        let deleted = self.transact(vec![delete]).await?;
        Ok(matches!(deleted, Transaction::Written).then_some(policy))
    }

    /// Notes when a policy was applied; nothing happens if it is another one now.
    pub async fn lifecycle_evaluated(&self, repository: &RepositoryKey, version: &str, at_ms: i64) -> Result<()> {
        let noted = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::LifecyclePolicy { repository })))
            .update_expression("SET evaluated_at_ms = :at")
            .condition_expression("version = :version")
            .expression_attribute_values(":at", number(at_ms))
            .expression_attribute_values(":version", string(version))
            .send()
            .await;
        match noted {
            Ok(_) => Ok(()),
            Err(error) if is_condition_failure(&error) => Ok(()),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// The last preview of a repository.
    pub async fn lifecycle_preview(&self, repository: &RepositoryKey) -> Result<Option<LifecyclePreviewRecord>> {
        let item = self.get(&Key::LifecyclePreview { repository }).await?;
        item.as_ref().map(LifecyclePreviewRecord::from_item).transpose()
    }

    /// Starts a preview in place of the one before, and puts its work on the
    /// list. `Ok(false)` if one is in progress; none of it if the repository is
    /// gone.
    pub async fn start_lifecycle_preview(
        &self,
        repository: &RepositoryKey,
        preview: &LifecyclePreviewRecord,
        work: &Work,
    ) -> Result<Option<bool>> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(preview.item(repository)))
            .condition_expression("attribute_not_exists(pk) OR preview_status <> :busy")
            .expression_attribute_values(":busy", string(PreviewStatus::InProgress.as_str()))
            .build()
            .map_err(Error::internal)?;
        let put = TransactWriteItem::builder().put(put).build();
        let writes = vec![put, self.put_work_write(work)?, self.is_current(repository)?];
        match self.transact(writes).await? {
            Transaction::Written => Ok(Some(true)),
            Transaction::Refused(reasons) if failed_condition(&reasons, 0).is_some() => Ok(Some(false)),
            Transaction::Refused(_) => Ok(None),
        }
    }

    /// Ends a preview; nothing happens if it is another one by now.
    pub async fn end_lifecycle_preview(
        &self,
        repository: &RepositoryKey,
        preview: &LifecyclePreviewRecord,
    ) -> Result<()> {
        let ended = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(preview.item(repository)))
            .condition_expression("run = :run")
            .expression_attribute_values(":run", string(&preview.run))
            .send()
            .await;
        match ended {
            Ok(_) => Ok(()),
            Err(error) if is_condition_failure(&error) => Ok(()),
            Err(error) => Err(service_error("PutItem", error)),
        }
    }

    /// Writes pages of a run, from the page `first` on, [`PAGE_ACTS`] acts each.
    pub async fn put_lifecycle_pages(
        &self,
        repository: &RepositoryKey,
        run: &str,
        first: u32,
        acts: &[PlannedAct],
        now_s: i64,
    ) -> Result<()> {
        let pages = (first..).zip(acts.chunks(PAGE_ACTS)).map(|(page, acts)| {
            Build::new(&Key::LifecyclePage { repository, run, page })
                .list("acts", acts.iter().map(PlannedAct::line))
                .number(EXPIRES, now_s + RUN_SECONDS)
                .item()
        });
        self.put_all(pages.collect()).await
    }

    /// A page of a run; none behind the last.
    pub async fn lifecycle_page(
        &self,
        repository: &RepositoryKey,
        run: &str,
        page: u32,
    ) -> Result<Option<Vec<PlannedAct>>> {
        let Some(item) = self.get(&Key::LifecyclePage { repository, run, page }).await? else { return Ok(None) };
        item.read_list("acts")?.into_iter().map(PlannedAct::parse).collect::<Result<_>>().map(Some)
    }

    /// Removes the pages of a run.
    pub async fn delete_lifecycle_pages(&self, repository: &RepositoryKey, run: &str) -> Result<()> {
        let (partition, prefix) = (repository_partition(repository), format!("RUN#{run}#"));
        loop {
            let page = self.query_sorted(&partition, &prefix, None, 500, Some("pk, sk")).await?;
            let mut deletions = Vec::with_capacity(page.items.len());
            for item in page.items {
                let delete = DeleteRequest::builder().set_key(Some(item)).build().map_err(Error::internal)?;
                deletions.push(WriteRequest::builder().delete_request(delete).build());
            }
            self.write_all(deletions).await?;
            if !page.more {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_come_back() {
        for flags in 0..16_u8 {
            let set = |bit: u8| flags & (1 << bit) != 0;
            let act = PlannedAct {
                digest: Digest::sha256(&[flags]),
                stamp: u64::from(flags) << 50,
                rule_priority: u32::from(flags) * 1000 + 1,
                archives: set(0),
                follows: set(1),
                tagged: set(2),
                archived: set(3),
            };
            assert_eq!(PlannedAct::parse(&act.line()).expect("a line"), act);
        }
    }
}
