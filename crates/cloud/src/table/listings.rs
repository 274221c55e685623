//! Listings: pages of items under one partition, in the order of their sort keys.
//!
//! Invariant: a page costs the same whether the partition holds a thousand
//! items or a million.

use std::collections::{BTreeMap, HashMap};

use ironwharf_model::{Digest, Error, ImageStatus, Result, Tag};

use super::attributes::{Item, Read, string};
use super::images::{ImageRecord, needs_look};
use super::key::{IMAGE, RepositoryKey, TAG, referrer_prefix, repository_partition};
use super::{Table, service_error};

/// A page of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// Whether there may be more after it.
    pub more: bool,
}

impl<T> Page<T> {
    pub(super) fn try_map<U>(self, map: impl FnMut(T) -> Result<U>) -> Result<Page<U>> {
        Ok(Page { items: self.items.into_iter().map(map).collect::<Result<_>>()?, more: self.more })
    }
}

/// A tag in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTag {
    /// The tag.
    pub tag: Tag,
    /// The image it names.
    pub digest: Digest,
    /// Whether that can be pulled.
    pub status: ImageStatus,
}

/// A manifest that names another as its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrerRecord {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its artifact type.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether it can be pulled.
    pub status: ImageStatus,
}

impl Table {
    /// Up to `limit` items whose sort key starts with `prefix`, after the sort
    /// key `prefix + after`. `projection` keeps large attributes from travelling.
    pub(super) async fn query_sorted(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        projection: Option<&str>,
    ) -> Result<Page<Item>> {
        let mut items: Vec<Item> = Vec::new();
        let mut start = after.map(|after| {
            HashMap::from([("pk".to_owned(), string(partition)), ("sk".to_owned(), string(format!("{prefix}{after}")))])
        });
        // Asking for one more than the page holds tells whether there is more.
        let wanted = limit.saturating_add(1);
        loop {
            let mut query = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .expression_attribute_values(":pk", string(partition))
                .limit(i32::try_from(wanted - items.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start.take())
                .set_projection_expression(projection.map(str::to_owned));
            query = if prefix.is_empty() {
                query.key_condition_expression("pk = :pk")
            } else {
                query
                    .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                    .expression_attribute_values(":prefix", string(prefix))
            };
            let output = query.send().await.map_err(|error| service_error("Query", error))?;
            items.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            if start.is_none() || items.len() >= wanted {
                let more = items.len() >= wanted;
                items.truncate(limit);
                return Ok(Page { items, more });
            }
        }
    }

    /// Tags in byte order, after the tag `after` (which need not exist).
    pub async fn tags(&self, repository: &RepositoryKey, after: Option<&str>, limit: usize) -> Result<Page<ListedTag>> {
        let partition = repository_partition(repository);
        let page = self.query_sorted(&partition, TAG, after, limit, Some("sk, digest, archive_mark")).await?;
        let mut marked = Vec::new();
        for item in page.items.iter().filter(|item| needs_look(item)) {
            marked.push(item.read_digest("digest")?);
        }
        let looked_at = if marked.is_empty() { Vec::new() } else { self.image_records(repository, &marked).await? };
        page.try_map(|item| {
            let name = item.read_string("sk")?.strip_prefix(TAG).unwrap_or_default();
            let digest = item.read_digest("digest")?;
            // A tag without a mark is one of an active image.
            let image = looked_at.iter().find(|image| needs_look(&item) && image.digest == digest);
            let status = image.map_or(ImageStatus::Active, |image| image.status);
            Ok(ListedTag { tag: Tag::parse(name).map_err(Error::internal)?, digest, status })
        })
    }

    /// Images in the order of their digests, after the digest `after`.
    pub async fn images(
        &self,
        repository: &RepositoryKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ImageRecord>> {
        let partition = repository_partition(repository);
        let page = self.query_sorted(&partition, IMAGE, after, limit, None).await?;
        page.try_map(|item| ImageRecord::from_item(&item))
    }

    /// The referrers of `subject` in the order of their digests.
    pub async fn referrers(
        &self,
        repository: &RepositoryKey,
        subject: &Digest,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ReferrerRecord>> {
        let partition = repository_partition(repository);
        let page = self.query_sorted(&partition, &referrer_prefix(subject), after, limit, None).await?;
        page.try_map(|item| {
            Ok(ReferrerRecord {
                digest: item.read_digest("digest")?,
                media_type: item.read_string("media_type")?.to_owned(),
                size_bytes: item.read_number("size_bytes")?,
                artifact_type: item.read_optional_string("artifact_type")?.map(str::to_owned),
                annotations: item.read_map("annotations")?,
                status: item.read_optional_string("status")?.map_or(Ok(ImageStatus::Active), ImageStatus::parse)?,
            })
        })
    }
}
