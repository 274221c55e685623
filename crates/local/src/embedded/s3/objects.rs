//! Whole objects: put, get, head, delete, copy.
//!
//! Invariant: a condition is checked in the transaction that acts on it.

use std::sync::Arc;

use http::header::CONTENT_RANGE;
use http::{HeaderMap, HeaderValue};
use ironwharf_wire::range::unsatisfiable_content_range;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETagCondition, GetObjectInput, GetObjectOutput,
    HeadObjectInput, HeadObjectOutput, MetadataDirective, PutObjectInput, PutObjectOutput, Range, Timestamp,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::buckets::Buckets;
use super::checksums::{Algorithm, Claims};
use super::files::random_name;
use super::incoming::receive;
use super::outgoing;
use super::records::{Encryption, Object, object_headers, strong, timestamp};
use super::store::{Changes, internal};
use crate::embedded::clock::now;
use crate::embedded::sessions::TenantSession;

/// The most objects one `DeleteObjects` may name.
const DELETE_MAX: usize = 1000;

/// `If-Match` and `If-None-Match` of a write.
#[derive(Debug, Default)]
pub(super) struct WriteConditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl WriteConditions {
    /// Checks them against what is under the key now.
    pub(super) fn check(&self, current: Option<&Object>) -> S3Result<()> {
        let failed = || s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold");
        if let Some(condition) = &self.if_none_match
            && current.is_some_and(|object| matches(condition, object))
        {
            return Err(failed());
        }
        match (&self.if_match, current) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(condition), Some(object)) if matches(condition, object) => Ok(()),
            (Some(_), Some(_)) => Err(failed()),
        }
    }
}

/// `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since` of a read.
struct ReadConditions {
    equals: Option<ETagCondition>,
    differs_from: Option<ETagCondition>,
    changed_since: Option<Timestamp>,
    unchanged_since: Option<Timestamp>,
}

impl ReadConditions {
    /// An `ETag` condition makes the time condition of its kind void.
    fn check(&self, object: &Object) -> S3Result<()> {
        let modified = timestamp(object.modified);
        let is_stale = match (&self.equals, &self.unchanged_since) {
            (Some(condition), _) => !matches(condition, object),
            (None, Some(time)) => modified > *time,
            (None, None) => false,
        };
        if is_stale {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        let is_known = match (&self.differs_from, &self.changed_since) {
            (Some(condition), _) => matches(condition, object),
            (None, Some(time)) => modified <= *time,
            (None, None) => false,
        };
        if is_known {
            return Err(s3_error!(NotModified));
        }
        Ok(())
    }
}

fn matches(condition: &ETagCondition, object: &Object) -> bool {
    match condition.as_etag() {
        Some(etag) => etag.value() == object.etag,
        None => true,
    }
}

impl Buckets {
    pub(super) async fn put(&self, ask: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let mut input = ask.input;
        let conditions = WriteConditions { if_match: input.if_match.take(), if_none_match: input.if_none_match.take() };
        // Checked again in the transaction; here it spares the disk a body.
        self.store.read(|rows| {
            rows.require_bucket(&input.bucket)?;
            conditions.check(rows.find_object(&input.bucket, &input.key)?.as_ref())
        })?;
        let claims = Claims::new(&ask.headers);
        let hasher = claims.hasher();
        let mut headers = object_headers!(input);
        let session = ask.extensions.get::<TenantSession>();
        let keys = self.vault.seal(session, &input.bucket, &input.key, &mut headers.encryption)?;
        let received = receive(&self.files, input.body.take(), input.content_length, hasher, keys.as_ref());
        let received = received.await?;
        headers.checksums = claims.verify(received.computed, ask.trailing_headers.as_ref())?;
        let object =
            Object { etag: random_name().map_err(internal)?, modified: now(), headers, content: received.content };
        let answer = PutObjectOutput {
            e_tag: Some(strong(&object.etag)),
            server_side_encryption: object.headers.encryption.algorithm(),
            ssekms_key_id: object.headers.encryption.key.clone(),
            bucket_key_enabled: object.headers.encryption.bucket_key,
            checksum_crc32: sum(&object, Algorithm::Crc32),
            checksum_crc32c: sum(&object, Algorithm::Crc32c),
            checksum_crc64nvme: sum(&object, Algorithm::Crc64nvme),
            checksum_sha1: sum(&object, Algorithm::Sha1),
            checksum_sha256: sum(&object, Algorithm::Sha256),
            ..PutObjectOutput::default()
        };
        let change = move |changes: &Changes<'_>| {
            let rows = changes.rows();
            rows.require_bucket(&input.bucket)?;
            conditions.check(rows.find_object(&input.bucket, &input.key)?.as_ref())?;
            changes.put_object(&input.bucket, &input.key, &object)
        };
        self.commit(received.fresh, change).await?;
        Ok(answer)
    }

    pub(super) fn get(&self, ask: S3Request<GetObjectInput>) -> S3Result<GetObjectOutput> {
        let input = ask.input;
        refuse_part_number(input.part_number)?;
        let (object, held) = self.files.hold(|| -> S3Result<_> {
            let object = self.store.read(|rows| rows.object(&input.bucket, &input.key))?;
            let files = object.content.files().into_iter().collect();
            Ok((object, files))
        })?;
        let conditions = ReadConditions {
            equals: input.if_match,
            differs_from: input.if_none_match,
            changed_since: input.if_modified_since,
            unchanged_since: input.if_unmodified_since,
        };
        conditions.check(&object)?;
        let keys = self.vault.open(ask.extensions.get::<TenantSession>(), &object.headers.encryption)?;
        let with_sums = input.checksum_mode.is_some() && input.range.is_none();
        let view = View::new(object, input.range, with_sums)?;
        let object = &view.object;
        let headers = object.headers.clone();
        Ok(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(view.length),
            content_range: view.content_range.clone(),
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            // The service applies the `response-*` parameters to what is said here.
            content_type: headers.content_type,
            cache_control: headers.cache_control,
            content_disposition: headers.content_disposition,
            content_encoding: headers.content_encoding,
            content_language: headers.content_language,
            metadata: Some(headers.user.into_iter().collect()),
            server_side_encryption: headers.encryption.algorithm(),
            ssekms_key_id: headers.encryption.key,
            bucket_key_enabled: headers.encryption.bucket_key,
            checksum_crc32: sum(object, Algorithm::Crc32),
            checksum_crc32c: sum(object, Algorithm::Crc32c),
            checksum_crc64nvme: sum(object, Algorithm::Crc64nvme),
            checksum_sha1: sum(object, Algorithm::Sha1),
            checksum_sha256: sum(object, Algorithm::Sha256),
            body: Some(outgoing::stream(view.object.content, held, keys)),
            ..GetObjectOutput::default()
        })
    }

    pub(super) fn head(&self, input: HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
        refuse_part_number(input.part_number)?;
        let object = self.store.read(|rows| rows.object(&input.bucket, &input.key))?;
        let conditions = ReadConditions {
            equals: input.if_match,
            differs_from: input.if_none_match,
            changed_since: input.if_modified_since,
            unchanged_since: input.if_unmodified_since,
        };
        conditions.check(&object)?;
        let with_sums = input.checksum_mode.is_some() && input.range.is_none();
        let view = View::new(object, input.range, with_sums)?;
        let object = view.object;
        let is_partial = view.content_range.is_some();
        let mut answer = S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(view.length),
            content_range: view.content_range,
            e_tag: Some(strong(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            checksum_crc32: sum(&object, Algorithm::Crc32),
            checksum_crc32c: sum(&object, Algorithm::Crc32c),
            checksum_crc64nvme: sum(&object, Algorithm::Crc64nvme),
            checksum_sha1: sum(&object, Algorithm::Sha1),
            checksum_sha256: sum(&object, Algorithm::Sha256),
            content_type: input.response_content_type.or(object.headers.content_type),
            cache_control: input.response_cache_control.or(object.headers.cache_control),
            content_disposition: input.response_content_disposition.or(object.headers.content_disposition),
            content_encoding: input.response_content_encoding.or(object.headers.content_encoding),
            content_language: input.response_content_language.or(object.headers.content_language),
            metadata: Some(object.headers.user.into_iter().collect()),
            server_side_encryption: object.headers.encryption.algorithm(),
            ssekms_key_id: object.headers.encryption.key,
            bucket_key_enabled: object.headers.encryption.bucket_key,
            ..HeadObjectOutput::default()
        });
        if is_partial {
            answer.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(answer)
    }

    pub(super) async fn delete(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        let conditions = WriteConditions { if_match: input.if_match, if_none_match: None };
        let change = move |changes: &Changes<'_>| {
            let rows = changes.rows();
            rows.require_bucket(&input.bucket)?;
            if conditions.if_match.is_some() {
                conditions.check(rows.find_object(&input.bucket, &input.key)?.as_ref())?;
            }
            changes.delete_object(&input.bucket, &input.key)
        };
        self.commit(None, change).await?;
        Ok(DeleteObjectOutput::default())
    }

    pub(super) async fn delete_many(&self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        let keys = input.delete.objects.into_iter().map(|object| object.key);
        let keys: Arc<[String]> = keys.collect();
        if keys.is_empty() || keys.len() > DELETE_MAX {
            return Err(s3_error!(MalformedXML, "A request may name 1 to {DELETE_MAX} objects."));
        }
        let to_delete = Arc::clone(&keys);
        let change = move |changes: &Changes<'_>| {
            changes.rows().require_bucket(&input.bucket)?;
            to_delete.iter().try_for_each(|key| changes.delete_object(&input.bucket, key))
        };
        self.commit(None, change).await?;
        let deleted = keys.iter().map(|key| DeletedObject { key: Some(key.clone()), ..DeletedObject::default() });
        let is_quiet = input.delete.quiet.unwrap_or_default();
        Ok(DeleteObjectsOutput { deleted: (!is_quiet).then(|| deleted.collect()), ..DeleteObjectsOutput::default() })
    }

    pub(super) async fn copy(&self, mut input: CopyObjectInput) -> S3Result<CopyObjectOutput> {
        let (from_bucket, from_key) = copy_source(&input.copy_source)?;
        let directive = input.metadata_directive.take();
        let replaces = directive.is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let headers = object_headers!(input);
        refuse_sealed(headers.encryption.key.is_some())?;
        let conditions = ReadConditions {
            equals: input.copy_source_if_match.take(),
            differs_from: input.copy_source_if_none_match.take(),
            changed_since: input.copy_source_if_modified_since.take(),
            unchanged_since: input.copy_source_if_unmodified_since.take(),
        };
        let change = move |changes: &Changes<'_>| {
            let rows = changes.rows();
            rows.require_bucket(&input.bucket)?;
            let mut object = rows.object(&from_bucket, &from_key)?;
            if conditions.check(&object).is_err() {
                return Err(s3_error!(PreconditionFailed));
            }
            refuse_sealed(object.content.is_sealed())?;
            object.modified = now();
            let checksums = std::mem::take(&mut object.headers.checksums);
            if replaces {
                object.headers = headers;
            } else {
                // Encryption belongs to the copy, not to what was copied.
                object.headers.encryption = headers.encryption;
            }
            object.headers.checksums = checksums;
            changes.put_object(&input.bucket, &input.key, &object)?;
            Ok(object)
        };
        let object = self.commit(None, change).await?;
        let Encryption { key, bucket_key, .. } = object.headers.encryption.clone();
        Ok(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(strong(&object.etag)),
                last_modified: Some(timestamp(object.modified)),
                ..CopyObjectResult::default()
            }),
            server_side_encryption: object.headers.encryption.algorithm(),
            ssekms_key_id: key,
            bucket_key_enabled: bucket_key,
            ..CopyObjectOutput::default()
        })
    }
}

/// The part of an object that a read asked for.
struct View {
    object: Object,
    length: i64,
    content_range: Option<String>,
}

impl View {
    fn new(mut object: Object, range: Option<Range>, with_sums: bool) -> S3Result<Self> {
        let size = object.content.size();
        let mut content_range = None;
        // The last bytes of nothing are nothing, whole.
        if let Some(range) = range.filter(|range| size > 0 || matches!(range, Range::Int { .. })) {
            let range = range.check(size).map_err(|_| unsatisfiable(size))?;
            let last = range.end.saturating_sub(1);
            content_range = Some(format!("bytes {}-{last}/{size}", range.start));
            object.content = object.content.slice(&range);
        }
        if !with_sums {
            object.headers.checksums.clear();
        }
        Ok(Self { length: i64::try_from(object.content.size()).map_err(internal)?, content_range, object })
    }
}

/// 416, with the size of the object as RFC 9110, section 15.5.17, asks for.
fn unsatisfiable(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable: the object has {size} bytes.");
    if let Ok(range) = HeaderValue::try_from(unsatisfiable_content_range(size)) {
        error.set_headers(HeaderMap::from_iter([(CONTENT_RANGE, range)]));
    }
    error
}

/// A checksum that was asked for when the object was put.
fn sum(object: &Object, algorithm: Algorithm) -> Option<String> {
    object.headers.checksums.get(&algorithm).cloned()
}

/// The bucket and key of `x-amz-copy-source`.
pub(super) fn copy_source(source: &CopySource) -> S3Result<(String, String)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket.to_string(), key.to_string())),
        _ => Err(s3_error!(NotImplemented, "Copies are made from buckets only.")),
    }
}

/// A copy shares the bytes of its source, so it cannot be under another data key.
pub(super) fn refuse_sealed(is_sealed: bool) -> S3Result<()> {
    if is_sealed { Err(s3_error!(NotImplemented, "Objects under a KMS key cannot be copied here.")) } else { Ok(()) }
}

/// Objects do not remember where their parts began.
fn refuse_part_number(number: Option<i32>) -> S3Result<()> {
    match number {
        None => Ok(()),
        Some(_) => Err(s3_error!(NotImplemented, "Objects are read by Range here, not by part number.")),
    }
}
