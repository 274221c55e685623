//! When images were pulled last, and whose pulls do not count.
//!
//! Invariant: the exclusions of a registry are one item, written under the
//! condition that it is as it was read.

use ironwharf_model::{AccountId, Digest, Result};

use super::attributes::{self, Build, Read, number};
use super::blobs::is_condition_failure;
use super::key::{Key, RepositoryKey};
use super::{Table, service_error};

/// The principals of a registry whose pulls do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullTimeExclusions {
    /// Their ARNs, in order.
    pub principals: Vec<String>,
    /// Changes with every change; 0 if there have never been any.
    revision: u64,
}

impl Table {
    /// Notes that an image was pulled, unless that was noted at or after
    /// `unless_since_ms` (`false` then). It adds to the image's revision.
    pub async fn record_pull(
        &self,
        repository: &RepositoryKey,
        digest: &Digest,
        pulled_at_ms: i64,
        unless_since_ms: i64,
    ) -> Result<bool> {
        let recorded = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(attributes::key(&Key::Image { repository, digest })))
            .update_expression("SET pulled_at_ms = :now ADD revision :one")
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(pulled_at_ms) OR pulled_at_ms < :since)",
            )
            .expression_attribute_values(":now", number(pulled_at_ms))
            .expression_attribute_values(":since", number(unless_since_ms))
            .expression_attribute_values(":one", number(1))
            .send()
            .await;
        match recorded {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failure(&error) => Ok(false),
            Err(error) => Err(service_error("UpdateItem", error)),
        }
    }

    /// The principals of a registry whose pulls do not count.
    pub async fn pull_time_exclusions(&self, account: &AccountId) -> Result<PullTimeExclusions> {
        let Some(item) = self.get(&Key::PullTimeExclusions { account }).await? else {
            return Ok(PullTimeExclusions::default());
        };
        let mut principals = item.read_set("principals")?;
        principals.sort_unstable();
        Ok(PullTimeExclusions { principals, revision: item.read_number("revision")? })
    }

    /// Replaces them; `false` if they have changed since they were read.
    pub async fn put_pull_time_exclusions(&self, account: &AccountId, changed: &PullTimeExclusions) -> Result<bool> {
        let item = Build::new(&Key::PullTimeExclusions { account })
            .set("principals", changed.principals.iter().cloned())
            .number("revision", changed.revision + 1);
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item.item()))
            .condition_expression("attribute_not_exists(pk) OR revision = :revision")
            .expression_attribute_values(":revision", number(changed.revision));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failure(&error) => Ok(false),
            Err(error) => Err(service_error("PutItem", error)),
        }
    }
}
