//! The operations S3 has here, and where each of them is.
//!
//! Invariant: an operation that is not in this list answers `NotImplemented`.

use std::path::Path;
use std::sync::Arc;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput,
    ListPartsOutput, PutObjectInput, PutObjectOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::files::{DataFiles, Fresh};
use super::store::{Changes, Store, internal};
use super::vault::Vault;
use crate::embedded::OpenError;
use crate::embedded::clock::now;

/// The buckets of one Region.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    pub(super) store: Arc<Store>,
    pub(super) files: Arc<DataFiles>,
    pub(super) vault: Vault,
    region: Arc<str>,
}

impl Buckets {
    /// Opens the rows and the files, and removes the files that have no row.
    pub(super) fn open(dir: &Path, vault: Vault) -> Result<Self, OpenError> {
        let path = dir.join("s3.sqlite");
        let store = Store::open(&path)?;
        let files = DataFiles::open(dir.join("objects"))?;
        let wanted = store.all_files().map_err(|error| OpenError::Database { path, message: error.to_string() })?;
        files.sweep(wanted)?;
        let region = Arc::clone(&vault.region);
        Ok(Self { store: Arc::new(store), files: Arc::new(files), vault, region })
    }

    /// Commits a change on a blocking thread, then removes the files it freed.
    ///
    /// `fresh` goes along to that thread because the request may be cancelled
    /// here while the commit is under way there.
    pub(super) async fn commit<T: Send + 'static>(
        &self,
        fresh: Option<Fresh>,
        change: impl FnOnce(&Changes<'_>) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let buckets = self.clone();
        let commit = move || {
            let (value, unused) = buckets.store.write(fresh, change)?;
            buckets.files.discard(&unused);
            Ok(value)
        };
        tokio::task::spawn_blocking(commit).await.map_err(internal)?
    }

    async fn create_bucket_row(&self, name: String) -> S3Result<()> {
        let change = move |changes: &Changes<'_>| changes.create_bucket(&name, now());
        if self.commit(None, change).await? {
            return Ok(());
        }
        Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it."
        ))
    }
}

/// What the service is asked.
type Ask<T> = S3Request<T>;
/// What it answers.
type Answer<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl S3 for Buckets {
    async fn create_bucket(&self, ask: Ask<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        self.create_bucket_row(ask.input.bucket).await?;
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, ask: Ask<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.store.read(|rows| rows.require_bucket(&ask.input.bucket))?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.region.to_string()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn put_object(&self, ask: Ask<PutObjectInput>) -> Answer<PutObjectOutput> {
        self.put(ask).await.map(S3Response::new)
    }

    async fn get_object(&self, ask: Ask<GetObjectInput>) -> Answer<GetObjectOutput> {
        self.get(ask).map(S3Response::new)
    }

    async fn head_object(&self, ask: Ask<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        self.head(ask.input)
    }

    async fn delete_object(&self, ask: Ask<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.delete(ask.input).await.map(S3Response::new)
    }

    async fn delete_objects(&self, ask: Ask<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        self.delete_many(ask.input).await.map(S3Response::new)
    }

    async fn copy_object(&self, ask: Ask<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        self.copy(ask.input).await.map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        ask: Ask<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        self.start_upload(ask).await.map(S3Response::new)
    }

    async fn upload_part(&self, ask: Ask<UploadPartInput>) -> Answer<UploadPartOutput> {
        self.put_part(ask).await.map(S3Response::new)
    }

    async fn upload_part_copy(&self, ask: Ask<UploadPartCopyInput>) -> Answer<UploadPartCopyOutput> {
        self.copy_part(ask.input).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        ask: Ask<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        self.complete_upload(ask.input).await.map(S3Response::new)
    }

    async fn abort_multipart_upload(&self, ask: Ask<AbortMultipartUploadInput>) -> Answer<AbortMultipartUploadOutput> {
        self.abort_upload(ask.input).await.map(S3Response::new)
    }

    async fn list_parts(&self, ask: Ask<ListPartsInput>) -> Answer<ListPartsOutput> {
        self.parts(ask.input).map(S3Response::new)
    }

    async fn list_multipart_uploads(&self, ask: Ask<ListMultipartUploadsInput>) -> Answer<ListMultipartUploadsOutput> {
        self.uploads(ask.input).map(S3Response::new)
    }

    async fn list_objects_v2(&self, ask: Ask<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        self.objects(ask.input).map(S3Response::new)
    }
}
