//! Images: put, get, list, describe, delete.

use std::collections::BTreeSet;

use bytes::Bytes;
use ironwharf_cloud::table::{ImageRecord, RepositoryKey, TagRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::{self as model, Digest, Error, Reference, Result, Tag};
use ironwharf_wire::ecr::shapes::{
    BatchDeleteImageRequest, BatchDeleteImageResponse, BatchGetImageRequest, BatchGetImageResponse,
    DescribeImagesRequest, DescribeImagesResponse, Image, ImageDetail, ImageFailure, ImageFailureCode, ImageIdentifier,
    ImageStatus, ImageStatusFilter, ListImagesRequest, ListImagesResponse, PutImageRequest, PutImageResponse,
    TagStatus,
};
use ironwharf_wire::ecr::{OperationName, Timestamp};

use super::layers::digest_parameter;
use super::paging::{DEFAULT_RESULTS, PageRequest};
use super::{Call, Operation, Target};
use crate::delete_image::{LastTag, delete_image, delete_tag};
use crate::pull_image;
use crate::push_image::{self, Push};
use crate::repositories::id as repository_id;

/// How many images are read at a time while a filter leaves some out.
const READ: usize = 500;

/// How often is read for one page at most. A filter that leaves out very many
/// images makes short pages.
const ROUNDS: usize = 20;

pub(super) struct PutImage;

impl Operation for PutImage {
    const NAME: OperationName = OperationName::PutImage;
    type Input = PutImageRequest;
    type Output = PutImageResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let tag = input.image_tag.as_deref().map(tag_parameter).transpose()?;
        let digest = input.image_digest.as_deref().map(|text| digest_parameter("imageDigest", text)).transpose()?;
        let repository = permit.find_repository().await?;
        let pushed = push_image::push(Push {
            permit,
            repository: &repository.key,
            bytes: Bytes::copy_from_slice(input.image_manifest.as_bytes()),
            declared_type: input.image_manifest_media_type.as_deref(),
            tag: tag.as_ref(),
            digest: digest.as_ref(),
        })
        .await?;
        if pushed.existed {
            return Err(Error::ImageAlreadyExists {
                repository: repository_id(permit.registry(), permit.repository()?),
                digest: pushed.digest.to_string(),
                tag: input.image_tag,
            });
        }
        Ok(PutImageResponse {
            image: Some(Image {
                registry_id: Some(permit.registry().to_string()),
                repository_name: Some(input.repository_name),
                image_id: Some(ImageIdentifier {
                    image_digest: Some(pushed.digest.to_string()),
                    image_tag: input.image_tag,
                }),
                image_manifest: Some(input.image_manifest),
                image_manifest_media_type: Some(pushed.manifest.manifest_type.to_string()),
            }),
        })
    }
}

fn tag_parameter(text: &str) -> Result<Tag> {
    Tag::parse(text).map_err(|error| Error::invalid_parameter("imageTag", error.to_string()))
}

/// One entry of a batch: how it names its image, or why it does not.
enum Named {
    Digest(Digest),
    Tag(Tag, Option<Digest>),
    Fault(ImageFailureCode, String),
}

impl Named {
    fn parse(id: &ImageIdentifier) -> Self {
        let Ok(digest) = id.image_digest.as_deref().map(Digest::parse).transpose() else {
            let reason = "Invalid request parameters: image digest should satisfy the regex \
                          '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
            return Self::Fault(ImageFailureCode::InvalidImageDigest, reason.to_owned());
        };
        match (digest, id.image_tag.as_deref()) {
            (Some(digest), None) => Self::Digest(digest),
            (digest, Some(tag)) => match Tag::parse(tag) {
                Ok(tag) => Self::Tag(tag, digest),
                Err(error) => {
                    Self::Fault(ImageFailureCode::InvalidImageTag, format!("Invalid request parameters: {error}"))
                }
            },
            (None, None) => Self::Fault(
                ImageFailureCode::MissingDigestAndTag,
                "Invalid request parameters: both tag and digest cannot be null".to_owned(),
            ),
        }
    }

    fn reference(&self) -> Option<Reference> {
        match self {
            Self::Digest(digest) => Some(Reference::Digest(digest.clone())),
            Self::Tag(tag, _) => Some(Reference::Tag(tag.clone())),
            Self::Fault(..) => None,
        }
    }
}

fn failure(id: &ImageIdentifier, code: ImageFailureCode, reason: &str) -> ImageFailure {
    ImageFailure { image_id: Some(id.clone()), failure_code: Some(code), failure_reason: Some(reason.to_owned()) }
}

fn not_found_failure(id: &ImageIdentifier) -> ImageFailure {
    failure(id, ImageFailureCode::ImageNotFound, "Requested image not found")
}

fn mismatch_failure(id: &ImageIdentifier) -> ImageFailure {
    let reason = "The image tag does not name the image with this digest";
    failure(id, ImageFailureCode::ImageTagDoesNotMatchDigest, reason)
}

/// The most bytes of manifests in one answer, which is put together in memory. ECR
/// names no limit; a hundred ordinary manifests have less than a tenth of it.
const MANIFESTS_BYTES: usize = 16 * 1024 * 1024;

pub(super) struct BatchGetImage;

impl Operation for BatchGetImage {
    const NAME: OperationName = OperationName::BatchGetImage;
    type Input = BatchGetImageRequest;
    type Output = BatchGetImageResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let accepted = input.accepted_media_types.as_deref().unwrap_or_default();
        let named: Vec<Named> = input.image_ids.iter().map(Named::parse).collect();
        let references: Vec<Reference> = named.iter().filter_map(Named::reference).collect();
        let table = permit.table()?;
        let read = |key: RepositoryKey| {
            let references = &references;
            async move { table.manifests(&key, references).await }
        };
        let (repository, records) =
            permit.region().read_in(table, permit.registry(), permit.repository()?, read).await?;
        let mut records = records.into_iter();
        let (mut images, mut failures, mut manifests_bytes) = (Vec::new(), Vec::new(), 0);
        for (id, named) in input.image_ids.iter().zip(named) {
            let record: Option<TagRecord> = match &named {
                Named::Fault(code, reason) => {
                    failures.push(failure(id, *code, reason));
                    continue;
                }
                Named::Digest(_) | Named::Tag(..) => records.next().flatten(),
            };
            let Some(record) = record else {
                failures.push(not_found_failure(id));
                continue;
            };
            if let Named::Tag(_, Some(expected)) = &named
                && *expected != record.digest
            {
                failures.push(mismatch_failure(id));
                continue;
            }
            if record.status == model::ImageStatus::Archived {
                let reason = "Requested image is archived; restore it first";
                failures.push(failure(id, ImageFailureCode::ImageInaccessible, reason));
                continue;
            }
            let manifest = pull_image::load(permit, record).await?;
            permit.region().pulls.note(permit, &repository.key, &manifest.digest);
            // What is asked for by digest is that and nothing else.
            let manifest = match &named {
                Named::Tag(_, None) => manifest.accepted_as(accepted),
                Named::Tag(..) | Named::Digest(_) | Named::Fault(..) => manifest,
            };
            let text = String::from_utf8(manifest.bytes.to_vec()).map_err(Error::internal)?;
            manifests_bytes += text.len();
            if manifests_bytes > MANIFESTS_BYTES {
                let reason = "the manifests of these images have more than 16 MiB: ask for fewer at once";
                return Err(Error::invalid_parameter("imageIds", reason));
            }
            images.push(Image {
                registry_id: Some(permit.registry().to_string()),
                repository_name: Some(input.repository_name.clone()),
                image_id: Some(ImageIdentifier {
                    image_digest: Some(manifest.digest.to_string()),
                    image_tag: id.image_tag.clone(),
                }),
                image_manifest: Some(text),
                image_manifest_media_type: Some(manifest.media_type),
            });
        }
        Ok(BatchGetImageResponse { images: Some(images), failures: Some(failures) })
    }
}

pub(super) struct BatchDeleteImage;

impl Operation for BatchDeleteImage {
    const NAME: OperationName = OperationName::BatchDeleteImage;
    type Input = BatchDeleteImageRequest;
    type Output = BatchDeleteImageResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    /// By tag: the tag, and with the last one the image. By digest: the image
    /// with all its tags, one entry each.
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let repository = permit.find_repository().await?;
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        // Indexes go before what they list, whichever order they are named in.
        let mut waiting: Vec<&ImageIdentifier> = input.image_ids.iter().collect();
        loop {
            let mut referenced = Vec::new();
            let before = waiting.len();
            for id in waiting {
                match delete_one(permit, &repository.key, id).await {
                    Ok(ids) => deleted.extend(ids),
                    Err(Deletion::Failed(failure)) => failures.push(*failure),
                    Err(Deletion::Referenced) => referenced.push(id),
                    Err(Deletion::Error(error)) => return Err(error),
                }
            }
            if referenced.len() == before || referenced.is_empty() {
                let reason = "Requested image referenced by manifest list";
                let code = ImageFailureCode::ImageReferencedByManifestList;
                failures.extend(referenced.into_iter().map(|id| failure(id, code, reason)));
                break;
            }
            waiting = referenced;
        }
        Ok(BatchDeleteImageResponse { image_ids: Some(deleted), failures: Some(failures) })
    }
}

/// Why one entry was not deleted.
enum Deletion {
    Failed(Box<ImageFailure>),
    Referenced,
    Error(Error),
}

async fn delete_one(
    permit: &crate::authorize::Permit,
    repository: &RepositoryKey,
    id: &ImageIdentifier,
) -> std::result::Result<Vec<ImageIdentifier>, Deletion> {
    let identifier = |digest: &Digest, tag: Option<String>| ImageIdentifier {
        image_digest: Some(digest.to_string()),
        image_tag: tag,
    };
    let outcome = match Named::parse(id) {
        Named::Fault(code, reason) => return Err(Deletion::Failed(Box::new(failure(id, code, &reason)))),
        Named::Digest(digest) => delete_image(permit, repository, &digest).await.map(|tags| {
            if tags.is_empty() {
                return vec![identifier(&digest, None)];
            }
            tags.into_iter().map(|tag| identifier(&digest, Some(tag))).collect()
        }),
        Named::Tag(tag, expected) => {
            let deleted = delete_tag(permit, repository, &tag, expected.as_ref(), LastTag::DeletesImage).await;
            deleted.map(|digest| vec![identifier(&digest, Some(tag.to_string()))])
        }
    };
    outcome.map_err(|error| match error {
        Error::ImageTagDoesNotMatchDigest { .. } => Deletion::Failed(Box::new(mismatch_failure(id))),
        Error::ImageNotFound { .. } => Deletion::Failed(Box::new(not_found_failure(id))),
        Error::ImageReferencedByIndex { .. } => Deletion::Referenced,
        error => Deletion::Error(error),
    })
}

/// Which images a listing shows.
#[derive(Clone, Copy, Debug)]
struct Filter {
    tags: TagStatus,
    status: ImageStatusFilter,
}

impl Filter {
    fn new(tags: Option<TagStatus>, status: Option<ImageStatusFilter>) -> Self {
        Self { tags: tags.unwrap_or(TagStatus::Any), status: status.unwrap_or(ImageStatusFilter::Active) }
    }

    /// How many images to read for `missing` of a page, for the `round`th time.
    /// Most images are active, so that as many as are missing are enough as a
    /// rule, whatever the size of the repository.
    fn read(self, missing: usize, round: usize) -> usize {
        let shows_most =
            self.tags == TagStatus::Any && matches!(self.status, ImageStatusFilter::Active | ImageStatusFilter::Any);
        if shows_most && round == 0 { missing } else { missing.max(READ) }
    }

    fn shows(self, image: &ImageRecord) -> bool {
        let tagged = !image.tags.is_empty();
        let has_tags = match self.tags {
            TagStatus::Any => true,
            TagStatus::Tagged => tagged,
            TagStatus::Untagged => !tagged,
        };
        let has_status = match self.status {
            ImageStatusFilter::Any => true,
            ImageStatusFilter::Active => image.status == model::ImageStatus::Active,
            ImageStatusFilter::Archived => image.status == model::ImageStatus::Archived,
            ImageStatusFilter::Activating => image.status == model::ImageStatus::Activating,
        };
        has_tags && has_status
    }

    fn selection(self, operation: OperationName, repository: &RepositoryKey) -> String {
        let incarnation = repository.incarnation.as_str();
        format!("{operation}|{}|{incarnation}|{}|{}", repository.name, self.tags, self.status)
    }
}

pub(super) struct ListImages;

impl Operation for ListImages {
    const NAME: OperationName = OperationName::ListImages;
    type Input = ListImagesRequest;
    type Output = ListImagesResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    /// One entry for each tag of an image, and one for an image without.
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let filter = input
            .filter
            .map_or_else(|| Filter::new(None, None), |filter| Filter::new(filter.tag_status, filter.image_status));
        let repository = permit.find_repository().await?;
        let selection = filter.selection(Self::NAME, &repository.key);
        let page = PageRequest::open(permit, &selection, input.max_results, input.next_token.as_deref()).await?;
        let mut rows = Rows::new(page.limit, page.position.as_deref());
        let table = permit.table()?;
        for round in 0..ROUNDS {
            let limit = filter.read(rows.missing() + 1, round);
            let images = table.images(&repository.key, rows.after.as_deref(), limit).await?;
            for image in images.items {
                if !rows.add(&image, filter.shows(&image)) {
                    break;
                }
            }
            if !images.more || rows.full {
                break;
            }
            // The page ends here, with what it has.
            rows.full = round + 1 == ROUNDS;
        }
        let next_token = page.next(rows.position().as_deref()).await?;
        Ok(ListImagesResponse { image_ids: Some(rows.listed), next_token })
    }
}

/// The rows of a page of `ListImages`. An image's tags can go over several
/// pages, so a position is the last image that is listed whole, and the last
/// tag of the one after it.
struct Rows {
    limit: usize,
    listed: Vec<ImageIdentifier>,
    after: Option<String>,
    within: Option<String>,
    full: bool,
}

impl Rows {
    fn new(limit: usize, position: Option<&str>) -> Self {
        let (after, within) = position.and_then(|position| position.split_once('|')).unwrap_or_default();
        let present = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self { limit, listed: Vec::new(), after: present(after), within: present(within), full: false }
    }

    fn missing(&self) -> usize {
        self.limit - self.listed.len()
    }

    /// Adds an image; `false` once the page is full.
    fn add(&mut self, image: &ImageRecord, shown: bool) -> bool {
        let digest = Some(image.digest.to_string());
        let row = |tag: Option<String>| ImageIdentifier { image_digest: digest.clone(), image_tag: tag };
        if shown && image.tags.is_empty() {
            if self.missing() == 0 {
                self.full = true;
                return false;
            }
            self.listed.push(row(None));
        } else if shown {
            for tag in &image.tags {
                if self.within.as_ref().is_some_and(|within| tag <= within) {
                    continue;
                }
                if self.missing() == 0 {
                    self.full = true;
                    return false;
                }
                self.listed.push(row(Some(tag.clone())));
                self.within = Some(tag.clone());
            }
        }
        self.within = None;
        self.after.clone_from(&digest);
        true
    }

    /// Where the next page starts, if there is one.
    fn position(&self) -> Option<String> {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        self.full.then(|| format!("{}|{}", part(&self.after), part(&self.within)))
    }
}

pub(super) struct DescribeImages;

impl Operation for DescribeImages {
    const NAME: OperationName = OperationName::DescribeImages;
    type Input = DescribeImagesRequest;
    type Output = DescribeImagesResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    fn page_size(input: &mut Self::Input) -> Option<(&mut Option<i32>, i32)> {
        input.image_ids.is_none().then_some((&mut input.max_results, DEFAULT_RESULTS))
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let is_filtered = input.filter.is_some();
        let filter = input
            .filter
            .map_or_else(|| Filter::new(None, None), |filter| Filter::new(filter.tag_status, filter.image_status));
        let repository = permit.find_repository().await?;
        if let Some(ids) = &input.image_ids {
            if input.max_results.is_some() || input.next_token.is_some() {
                let reason = "maxResults and nextToken cannot be used together with imageIds";
                return Err(Error::invalid_parameter("imageIds", reason));
            }
            // What is named is shown, unless the caller asks for some of it only.
            let images = named_images(call, &repository.key, "imageIds", ids).await?;
            let shown = images.iter().filter(|image| !is_filtered || filter.shows(image));
            let details = shown.map(|image| detail(call, image)).collect::<Result<_>>()?;
            return Ok(DescribeImagesResponse { image_details: Some(details), next_token: None });
        }
        let selection = filter.selection(Self::NAME, &repository.key);
        let page = PageRequest::open(permit, &selection, input.max_results, input.next_token.as_deref()).await?;
        let table = permit.table()?;
        let mut after = page.position.clone();
        let mut shown: Vec<ImageRecord> = Vec::new();
        let mut more = true;
        for round in 0..ROUNDS {
            if !more || shown.len() == page.limit {
                break;
            }
            let limit = filter.read(page.limit - shown.len(), round);
            let images = table.images(&repository.key, after.as_deref(), limit).await?;
            more = images.more;
            for image in images.items {
                if shown.len() == page.limit {
                    more = true;
                    break;
                }
                after = Some(image.digest.to_string());
                if filter.shows(&image) {
                    shown.push(image);
                }
            }
        }
        let next_token = page.next(after.as_deref().filter(|_| more)).await?;
        let details = shown.iter().map(|image| detail(call, image)).collect::<Result<_>>()?;
        Ok(DescribeImagesResponse { image_details: Some(details), next_token })
    }
}

/// The images a caller names, without repetitions; one that is not there fails
/// the whole call.
pub(super) async fn named_images(
    call: &Call<'_>,
    repository: &RepositoryKey,
    parameter: &str,
    ids: &[ImageIdentifier],
) -> Result<Vec<ImageRecord>> {
    let permit = &call.permit;
    let table = permit.table()?;
    let not_found = |id: &ImageIdentifier| Error::ImageNotFound {
        repository: repository_id(&repository.account, &repository.name),
        image: model::ImageIdentifier {
            digest: id.image_digest.as_deref().map(quoted),
            tag: id.image_tag.as_deref().map(quoted),
        },
    };
    let named: Vec<Named> = ids.iter().map(Named::parse).collect();
    let tags: Vec<Reference> =
        named.iter().filter(|named| matches!(named, Named::Tag(..))).filter_map(Named::reference).collect();
    let (_, records) = table.manifests(repository, &tags).await?;
    let mut records = records.into_iter();
    let mut digests = Vec::with_capacity(ids.len());
    for (id, named) in ids.iter().zip(&named) {
        let digest = match named {
            Named::Digest(digest) => Some(digest.clone()),
            Named::Tag(_, expected) => {
                let current = records.next().flatten().map(|record| record.digest);
                current.filter(|current| expected.as_ref().is_none_or(|expected| expected == current))
            }
            Named::Fault(_, reason) => return Err(Error::invalid_parameter(parameter, reason.clone())),
        };
        digests.push(digest.ok_or_else(|| not_found(id))?);
    }
    let found = table.image_records(repository, &digests).await?;
    for (id, digest) in ids.iter().zip(&digests) {
        if !found.iter().any(|image| image.digest == *digest) {
            return Err(not_found(id));
        }
    }
    let mut seen = BTreeSet::new();
    Ok(found.into_iter().filter(|image| seen.insert(image.digest.clone())).collect())
}

/// The status as the API has it.
pub(super) const fn status(status: model::ImageStatus) -> ImageStatus {
    match status {
        model::ImageStatus::Active => ImageStatus::Active,
        model::ImageStatus::Archived => ImageStatus::Archived,
        model::ImageStatus::Activating => ImageStatus::Activating,
    }
}

fn detail(call: &Call<'_>, image: &ImageRecord) -> Result<ImageDetail> {
    Ok(ImageDetail {
        registry_id: Some(call.permit.registry().to_string()),
        repository_name: Some(call.permit.repository()?.to_string()),
        image_digest: Some(image.digest.to_string()),
        image_tags: Some(image.tags.clone()).filter(|tags| !tags.is_empty()),
        image_size_in_bytes: Some(i64::try_from(image.size_bytes).unwrap_or(i64::MAX)),
        image_pushed_at: Some(Timestamp::from_epoch_millis(image.pushed_at_ms)),
        image_manifest_media_type: Some(image.media_type.clone()),
        artifact_media_type: image.config_media_type.clone().or_else(|| image.artifact_type.clone()),
        subject_manifest_digest: image.subject.as_ref().map(ToString::to_string),
        image_status: Some(status(image.status)),
        last_archived_at: image.archived_at_ms.map(Timestamp::from_epoch_millis),
        last_activated_at: image.activated_at_ms.map(Timestamp::from_epoch_millis),
        last_recorded_pull_time: image.pulled_at_ms.map(Timestamp::from_epoch_millis),
        ..ImageDetail::default()
    })
}
