//! Uploads in parts. Completing one, and copying into one, moves no byte: the
//! object lists the segments of its parts.

use std::ops::Range;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CopyPartResult, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::buckets::Buckets;
use super::checksums::{Algorithm, Checksums, Claims};
use super::content::Content;
use super::files::random_name;
use super::incoming::receive;
use super::objects::{WriteConditions, copy_source, refuse_sealed};
use super::records::{Object, Part, object_headers, strong, timestamp};
use super::store::{Changes, internal};
use crate::embedded::clock::now;
use crate::embedded::sessions::TenantSession;

/// Every part but the last has at least this size.
const PART_MIN: u64 = 5 * 1024 * 1024;

/// The highest part number.
const PART_NUMBER_MAX: i32 = 10_000;

impl Buckets {
    pub(super) async fn start_upload(
        &self,
        ask: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let mut input = ask.input;
        let mut headers = object_headers!(input);
        let session = ask.extensions.get::<TenantSession>();
        self.vault.seal(session, &input.bucket, &input.key, &mut headers.encryption)?;
        let id = random_name().map_err(internal)?;
        let answer = CreateMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(id.clone()),
            server_side_encryption: headers.encryption.algorithm(),
            ssekms_key_id: headers.encryption.key.clone(),
            bucket_key_enabled: headers.encryption.bucket_key,
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..CreateMultipartUploadOutput::default()
        };
        let change = move |changes: &Changes<'_>| {
            changes.rows().require_bucket(&input.bucket)?;
            changes.create_upload(&input.bucket, &id, &input.key, now(), &headers)
        };
        self.commit(None, change).await?;
        Ok(answer)
    }

    pub(super) async fn put_part(&self, ask: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
        let mut input = ask.input;
        check_part_number(input.part_number)?;
        let upload = self.store.read(|rows| rows.upload(&input.upload_id, &input.bucket, &input.key))?;
        let claims = Claims::new(&ask.headers);
        let hasher = claims.hasher();
        let keys = self.vault.open(ask.extensions.get::<TenantSession>(), &upload.headers.encryption)?;
        let received = receive(&self.files, input.body.take(), input.content_length, hasher, keys.as_ref());
        let received = received.await?;
        let part = Part {
            number: input.part_number,
            etag: random_name().map_err(internal)?,
            modified: now(),
            checksums: claims.verify(received.computed, ask.trailing_headers.as_ref())?,
            content: received.content,
        };
        let sum = |algorithm| part.checksums.get(&algorithm).cloned();
        let answer = UploadPartOutput {
            e_tag: Some(strong(&part.etag)),
            checksum_crc32: sum(Algorithm::Crc32),
            checksum_crc32c: sum(Algorithm::Crc32c),
            checksum_crc64nvme: sum(Algorithm::Crc64nvme),
            checksum_sha1: sum(Algorithm::Sha1),
            checksum_sha256: sum(Algorithm::Sha256),
            server_side_encryption: upload.headers.encryption.algorithm(),
            ssekms_key_id: upload.headers.encryption.key,
            bucket_key_enabled: upload.headers.encryption.bucket_key,
            ..UploadPartOutput::default()
        };
        let change = move |changes: &Changes<'_>| {
            // It may have been completed or aborted while the body came in.
            let rows = changes.rows();
            rows.upload(&input.upload_id, &input.bucket, &input.key)?;
            changes.put_part(&input.upload_id, &part)
        };
        self.commit(received.fresh, change).await?;
        Ok(answer)
    }

    pub(super) async fn copy_part(&self, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
        check_part_number(input.part_number)?;
        let (from_bucket, from_key) = copy_source(&input.copy_source)?;
        let etag = random_name().map_err(internal)?;
        let change = move |changes: &Changes<'_>| {
            let rows = changes.rows();
            let upload = rows.upload(&input.upload_id, &input.bucket, &input.key)?;
            let source = rows.object(&from_bucket, &from_key)?;
            refuse_sealed(source.content.is_sealed() || upload.headers.encryption.wrapped.is_some())?;
            let range = copy_range(input.copy_source_range.as_deref(), source.content.size())?;
            let part = Part {
                number: input.part_number,
                etag,
                modified: now(),
                checksums: Checksums::new(),
                content: source.content.slice(&range),
            };
            changes.put_part(&input.upload_id, &part)?;
            Ok(part)
        };
        let part = self.commit(None, change).await?;
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(strong(&part.etag)),
                last_modified: Some(timestamp(part.modified)),
                ..CopyPartResult::default()
            }),
            ..UploadPartCopyOutput::default()
        })
    }

    pub(super) async fn complete_upload(
        &self,
        mut input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let listed = input.multipart_upload.take().and_then(|list| list.parts);
        let listed = listed.filter(|parts| !parts.is_empty()).ok_or_else(|| {
            s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate \
                 against our published schema"
            )
        })?;
        let conditions = WriteConditions { if_match: input.if_match.take(), if_none_match: input.if_none_match.take() };
        let etag = format!("{}-{}", random_name().map_err(internal)?, listed.len());
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let change = move |changes: &Changes<'_>| {
            let rows = changes.rows();
            let upload = rows.upload(&input.upload_id, &input.bucket, &input.key)?;
            let parts = rows.parts(&upload.id, 0, usize::MAX)?;
            let object = Object { etag, modified: now(), headers: upload.headers, content: join(&parts, &listed)? };
            conditions.check(rows.find_object(&input.bucket, &input.key)?.as_ref())?;
            changes.put_object(&input.bucket, &input.key, &object)?;
            changes.delete_upload(&upload.id)?;
            Ok(object)
        };
        let object = self.commit(None, change).await?;
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{key}")),
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(strong(&object.etag)),
            server_side_encryption: object.headers.encryption.algorithm(),
            ssekms_key_id: object.headers.encryption.key,
            bucket_key_enabled: object.headers.encryption.bucket_key,
            ..CompleteMultipartUploadOutput::default()
        })
    }

    pub(super) async fn abort_upload(&self, input: AbortMultipartUploadInput) -> S3Result<AbortMultipartUploadOutput> {
        let change = move |changes: &Changes<'_>| {
            let rows = changes.rows();
            let upload = rows.upload(&input.upload_id, &input.bucket, &input.key)?;
            changes.delete_upload(&upload.id)
        };
        self.commit(None, change).await?;
        Ok(AbortMultipartUploadOutput::default())
    }
}

/// The content of the listed parts, in the order of the list.
fn join(parts: &[Part], listed: &[CompletedPart]) -> S3Result<Content> {
    let mut content = Content::default();
    let mut previous = 0;
    let mut is_last_allowed = true;
    for entry in listed {
        let number = entry.part_number.unwrap_or_default();
        if number <= previous {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. \
                 Parts must be ordered by part number."
            ));
        }
        previous = number;
        let invalid = || {
            s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found. The part may not have \
                 been uploaded, or the specified entity tag may not match the part's entity tag."
            )
        };
        let position = parts.binary_search_by_key(&number, |part| part.number);
        let part = position.ok().and_then(|position| parts.get(position));
        let part = part.ok_or_else(invalid)?;
        let is_same = entry.e_tag.as_ref().map(ETag::value) == Some(&part.etag);
        if !is_same {
            return Err(invalid());
        }
        if !is_last_allowed {
            return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
        }
        is_last_allowed = part.content.size() >= PART_MIN;
        content.append(&part.content);
    }
    Ok(content)
}

/// The bytes `x-amz-copy-source-range` names, or all of them.
fn copy_range(range: Option<&str>, size: u64) -> S3Result<Range<u64>> {
    let Some(text) = range else {
        return Ok(0..size);
    };
    let bounds = text.strip_prefix("bytes=").and_then(|text| {
        let (first, last) = text.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
    });
    match bounds {
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        Some((first, last)) if first <= last => {
            Err(s3_error!(InvalidRange, "The requested range is not satisfiable: the source has {size} bytes."))
        }
        _ => Err(s3_error!(InvalidArgument, "The x-amz-copy-source-range value must be of the form bytes=first-last")),
    }
}

fn check_part_number(number: i32) -> S3Result<()> {
    if (1..=PART_NUMBER_MAX).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and {PART_NUMBER_MAX}, inclusive"))
}
