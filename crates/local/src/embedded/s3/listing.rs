//! Lists: objects, uploads, parts. All of them come in pages of at most 1000.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rusqlite::params;
use s3s::dto::{
    CommonPrefix, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, MultipartUpload, Object, Part,
};
use s3s::{S3Result, s3_error};

use super::buckets::Buckets;
use super::checksums::Algorithm;
use super::records::{strong, timestamp};
use super::store::{Rows, upload};

/// The most entries of a page.
const PAGE_MAX: usize = 1000;

/// Sorts behind every key that starts with what is before it.
const LAST: char = char::MAX;

impl Buckets {
    pub(super) fn objects(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let max = page_size(input.max_keys);
        let after = match &input.continuation_token {
            Some(token) => decode_token(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let page = self.store.read(|rows| {
            rows.require_bucket(&input.bucket)?;
            let mut page = Page::new(&input, max, after);
            page.fill(rows)?;
            Ok(page)
        })?;
        let is_truncated = page.next.is_some();
        Ok(ListObjectsV2Output {
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            contents: Some(page.objects),
            common_prefixes: Some(page.prefixes),
            is_truncated: Some(is_truncated),
            next_continuation_token: page.next.map(|key| BASE64_URL_SAFE_NO_PAD.encode(key)),
            max_keys: i32::try_from(max).ok(),
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            ..ListObjectsV2Output::default()
        })
    }

    pub(super) fn uploads(&self, input: ListMultipartUploadsInput) -> S3Result<ListMultipartUploadsOutput> {
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented, "Uploads are listed without a delimiter here."));
        }
        let max = page_size(input.max_uploads);
        let prefix = input.prefix.clone().unwrap_or_default();
        let key_marker = input.key_marker.clone().unwrap_or_default();
        // Without an id the marker stands behind all uploads of its key.
        let id_marker = match &input.upload_id_marker {
            Some(id) => id.clone(),
            None => LAST.to_string(),
        };
        let sql = "SELECT id, key, created, headers FROM uploads
                   WHERE bucket = ?1 AND (key, id) > (?2, ?3) AND key >= ?4 AND key < ?5
                   ORDER BY key, id LIMIT ?6";
        let end = format!("{prefix}{LAST}");
        let limit = i64::try_from(max + 1).unwrap_or(i64::MAX);
        let mut found = self.store.read(|rows| {
            rows.require_bucket(&input.bucket)?;
            let params = params![input.bucket, key_marker, id_marker, prefix, end, limit];
            rows.collect(sql, params, upload)
        })?;
        let is_truncated = found.len() > max;
        found.truncate(max);
        let last = found.last().filter(|_| is_truncated);
        Ok(ListMultipartUploadsOutput {
            is_truncated: Some(is_truncated),
            next_key_marker: last.map(|upload| upload.key.clone()),
            next_upload_id_marker: last.map(|upload| upload.id.clone()),
            max_uploads: i32::try_from(max).ok(),
            uploads: Some(
                found
                    .into_iter()
                    .map(|upload| MultipartUpload {
                        upload_id: Some(upload.id),
                        key: Some(upload.key),
                        initiated: Some(timestamp(upload.created)),
                        ..MultipartUpload::default()
                    })
                    .collect(),
            ),
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            ..ListMultipartUploadsOutput::default()
        })
    }

    pub(super) fn parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let max = page_size(input.max_parts);
        let after = input.part_number_marker.unwrap_or_default();
        let mut found = self.store.read(|rows| {
            let upload = rows.upload(&input.upload_id, &input.bucket, &input.key)?;
            rows.parts(&upload.id, after, max + 1)
        })?;
        let is_truncated = found.len() > max;
        found.truncate(max);
        let last = found.last().filter(|_| is_truncated);
        Ok(ListPartsOutput {
            is_truncated: Some(is_truncated),
            next_part_number_marker: last.map(|part| part.number),
            max_parts: i32::try_from(max).ok(),
            part_number_marker: input.part_number_marker,
            parts: Some(
                found
                    .into_iter()
                    .map(|mut part| Part {
                        part_number: Some(part.number),
                        size: i64::try_from(part.content.size()).ok(),
                        e_tag: Some(strong(&part.etag)),
                        last_modified: Some(timestamp(part.modified)),
                        checksum_crc32: part.checksums.remove(&Algorithm::Crc32),
                        checksum_crc32c: part.checksums.remove(&Algorithm::Crc32c),
                        checksum_crc64nvme: part.checksums.remove(&Algorithm::Crc64nvme),
                        checksum_sha1: part.checksums.remove(&Algorithm::Sha1),
                        checksum_sha256: part.checksums.remove(&Algorithm::Sha256),
                    })
                    .collect(),
            ),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        })
    }
}

/// A page of objects while it is filled.
struct Page<'a> {
    bucket: &'a str,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    max: usize,
    /// Everything up to this key was looked at.
    after: String,
    objects: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    /// Where the next page starts, if there is one.
    next: Option<String>,
}

impl<'a> Page<'a> {
    fn new(input: &'a ListObjectsV2Input, max: usize, after: String) -> Self {
        Self {
            bucket: &input.bucket,
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().filter(|text| !text.is_empty()),
            max,
            after,
            objects: Vec::new(),
            prefixes: Vec::new(),
            next: None,
        }
    }

    fn fill(&mut self, rows: &Rows<'_>) -> S3Result<()> {
        let sql = "SELECT key, size, etag, modified FROM objects
                   WHERE bucket = ?1 AND key > ?2 AND key >= ?3 AND key < ?4
                   ORDER BY key LIMIT ?5";
        let end = format!("{}{LAST}", self.prefix);
        let limit = i64::try_from(self.max + 1).unwrap_or(i64::MAX);
        while self.max > 0 {
            let params = params![self.bucket, self.after, self.prefix, end, limit];
            let found = rows.collect(sql, params, |row| {
                let key: String = row.get(0)?;
                Ok(Object {
                    key: Some(key),
                    size: row.get(1)?,
                    e_tag: Some(strong(&row.get::<_, String>(2)?)),
                    last_modified: Some(timestamp(row.get(3)?)),
                    ..Object::default()
                })
            })?;
            if found.is_empty() || !self.take(found) {
                break;
            }
        }
        Ok(())
    }

    /// Takes objects in order; false when the page is full.
    fn take(&mut self, found: Vec<Object>) -> bool {
        for object in found {
            if self.objects.len() + self.prefixes.len() == self.max {
                self.next = Some(self.after.clone());
                return false;
            }
            let key = object.key.clone().unwrap_or_default();
            if let Some(common) = self.common_prefix(&key) {
                self.after = format!("{common}{LAST}");
                let prefix = Some(common);
                self.prefixes.push(CommonPrefix { prefix });
                // The rest of what was found may be behind the same prefix.
                return true;
            }
            self.after = key;
            self.objects.push(object);
        }
        true
    }

    fn common_prefix(&self, key: &str) -> Option<String> {
        let rest = key.strip_prefix(self.prefix)?;
        let (name, _) = rest.split_once(self.delimiter?)?;
        Some(format!("{}{name}{}", self.prefix, self.delimiter?))
    }
}

fn page_size(asked: Option<i32>) -> usize {
    match asked.map(usize::try_from) {
        Some(Ok(count)) => count.min(PAGE_MAX),
        _ => PAGE_MAX,
    }
}

fn decode_token(token: &str) -> S3Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}
