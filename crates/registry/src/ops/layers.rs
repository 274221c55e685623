//! Layers: what the data plane does with blobs, as API calls.

use ironwharf_cloud::PresignHost;
use ironwharf_cloud::table::{LayerState, RepositoryKey};
use ironwharf_model::{Algorithm, Digest, Error, Result};
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    BatchCheckLayerAvailabilityRequest, BatchCheckLayerAvailabilityResponse, CompleteLayerUploadRequest,
    CompleteLayerUploadResponse, GetDownloadUrlForLayerRequest, GetDownloadUrlForLayerResponse,
    InitiateLayerUploadRequest, InitiateLayerUploadResponse, Layer, LayerAvailability, LayerFailure, LayerFailureCode,
    UploadLayerPartRequest, UploadLayerPartResponse,
};
use ironwharf_wire::range::ByteRange;

use super::{Call, Operation, Target};
use crate::app::host;
use crate::body;
use crate::repositories::id as repository_id;
use crate::storage_class::is_layer_archived;
use crate::upload::{self, Upload};

/// The part size that clients are told to use.
const PART_SIZE_BYTES: i64 = 10 * 1024 * 1024;

pub(super) struct BatchCheckLayerAvailability;

impl Operation for BatchCheckLayerAvailability {
    const NAME: OperationName = OperationName::BatchCheckLayerAvailability;
    type Input = BatchCheckLayerAvailabilityRequest;
    type Output = BatchCheckLayerAvailabilityResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let mut digests = Vec::new();
        let mut failures = Vec::new();
        for text in input.layer_digests {
            match Digest::parse(&text) {
                Ok(digest) => digests.push(digest),
                Err(error) => {
                    let failure_code = if text.is_empty() {
                        LayerFailureCode::MissingLayerDigest
                    } else {
                        LayerFailureCode::InvalidLayerDigest
                    };
                    failures.push(LayerFailure {
                        layer_digest: Some(text),
                        failure_code: Some(failure_code),
                        failure_reason: Some(error.to_string()),
                    });
                }
            }
        }
        let table = permit.table()?;
        let read = |key: RepositoryKey| {
            let digests = &digests;
            async move { table.layers(&key, digests).await }
        };
        let (repository, found) = permit.region().read_in(table, permit.registry(), permit.repository()?, read).await?;
        let mut layers = Vec::with_capacity(found.len());
        for layer in &found {
            let blob = layer.available();
            let availability = match blob {
                None => LayerAvailability::Unavailable,
                Some(_) if is_layer_archived(table, &repository.key, layer).await? => LayerAvailability::Archived,
                Some(_) => LayerAvailability::Available,
            };
            layers.push(Layer {
                layer_digest: Some(layer.digest.to_string()),
                layer_availability: Some(availability),
                layer_size: blob.map(|blob| i64::try_from(blob.size_bytes).unwrap_or(i64::MAX)),
                media_type: None,
            });
        }
        Ok(BatchCheckLayerAvailabilityResponse { layers: Some(layers), failures: Some(failures) })
    }
}

pub(super) struct InitiateLayerUpload;

impl Operation for InitiateLayerUpload {
    const NAME: OperationName = OperationName::InitiateLayerUpload;
    type Input = InitiateLayerUploadRequest;
    type Output = InitiateLayerUploadResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let repository = permit.find_repository().await?;
        let upload_id = upload::start(permit, &repository.key).await?;
        Ok(InitiateLayerUploadResponse { upload_id: Some(upload_id), part_size: Some(PART_SIZE_BYTES) })
    }
}

pub(super) struct UploadLayerPart;

impl Operation for UploadLayerPart {
    const NAME: OperationName = OperationName::UploadLayerPart;
    type Input = UploadLayerPartRequest;
    type Output = UploadLayerPartResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let range = part_range(&input)?;
        let repository = permit.find_repository().await?;
        let upload = Upload::find(permit, &repository.key, &input.upload_id).await?;
        let offset_bytes = upload.append(Some(range), &mut body::full(input.layer_part_blob.0)).await?;
        Ok(UploadLayerPartResponse {
            registry_id: Some(permit.registry().to_string()),
            repository_name: Some(input.repository_name),
            upload_id: Some(input.upload_id),
            last_byte_received: Some(i64::try_from(offset_bytes).unwrap_or(i64::MAX) - 1),
        })
    }
}

fn part_range(input: &UploadLayerPartRequest) -> Result<ByteRange> {
    let first = u64::try_from(input.part_first_byte).ok();
    let last = u64::try_from(input.part_last_byte).ok();
    first.zip(last).and_then(|(first, last)| ByteRange::new(first, last)).ok_or_else(|| {
        let (first, last) = (input.part_first_byte, input.part_last_byte);
        Error::invalid_parameter(
            "partLastByte",
            format!("the part from byte {first} to byte {last} ends before it starts"),
        )
    })
}

pub(super) struct CompleteLayerUpload;

impl Operation for CompleteLayerUpload {
    const NAME: OperationName = OperationName::CompleteLayerUpload;
    type Input = CompleteLayerUploadRequest;
    type Output = CompleteLayerUploadResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let digest = one_digest(&input.layer_digests)?;
        let repository = permit.find_repository().await?;
        let upload = Upload::find(permit, &repository.key, &input.upload_id).await?;
        if upload.offset_bytes().await? == 0 {
            return Err(Error::EmptyUpload { upload_id: input.upload_id });
        }
        let (_, layers) = permit.table()?.layers(&repository.key, std::slice::from_ref(&digest)).await?;
        // One that may be in the archive is taken out by this upload.
        let is_there = |layer: &LayerState| layer.available().is_some() && layer.archive_mark.is_none();
        if layers.first().is_some_and(is_there) {
            upload.cancel().await?;
            let repository = repository_id(permit.registry(), permit.repository()?);
            return Err(Error::LayerAlreadyExists { repository, digest: digest.to_string() });
        }
        let finished = upload.finish(&digest, None, &mut body::empty()).await?;
        Ok(CompleteLayerUploadResponse {
            registry_id: Some(permit.registry().to_string()),
            repository_name: Some(input.repository_name),
            upload_id: Some(input.upload_id),
            layer_digest: Some(finished.digest.to_string()),
        })
    }
}

/// The digest to go by: of several, the SHA-256 one, as ECR does. Two that
/// differ cannot both be the layer's.
fn one_digest(digests: &[String]) -> Result<Digest> {
    let parsed: Vec<Digest> =
        digests.iter().map(|text| digest_parameter("layerDigests", text)).collect::<Result<_>>()?;
    for (index, digest) in parsed.iter().enumerate() {
        let other = parsed.iter().take(index).find(|other| other.algorithm() == digest.algorithm() && *other != digest);
        if let Some(other) = other {
            let sentence = format!("names two digests that cannot both be the layer's: '{other}' and '{digest}'");
            return Err(Error::invalid_parameter("layerDigests", sentence));
        }
    }
    let preferred = parsed.iter().find(|digest| digest.algorithm() == Algorithm::Sha256).or(parsed.first());
    preferred.cloned().ok_or_else(|| Error::invalid_parameter("layerDigests", "must not be empty"))
}

pub(super) fn digest_parameter(parameter: &str, text: &str) -> Result<Digest> {
    Digest::parse(text).map_err(|error| Error::invalid_parameter(parameter, error.to_string()))
}

pub(super) struct GetDownloadUrlForLayer;

impl Operation for GetDownloadUrlForLayer {
    const NAME: OperationName = OperationName::GetDownloadUrlForLayer;
    type Input = GetDownloadUrlForLayerRequest;
    type Output = GetDownloadUrlForLayerResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let digest = digest_parameter("layerDigest", &input.layer_digest)?;
        let table = permit.table()?;
        let name = permit.repository()?;
        let layer = || (repository_id(permit.registry(), name), digest.to_string());
        let read = |key: RepositoryKey| {
            let digest = &digest;
            async move { table.layers(&key, std::slice::from_ref(digest)).await }
        };
        let (repository, layers) = permit.region().read_in(table, permit.registry(), name, read).await?;
        let Some((found, blob)) = layers.first().and_then(|layer| Some((layer, layer.readable()?))) else {
            let (repository, digest) = layer();
            return Err(Error::LayerNotFound { repository, digest });
        };
        if is_layer_archived(table, &repository.key, found).await? {
            let (repository, digest) = layer();
            return Err(Error::LayerArchived { repository, digest });
        }
        if !table.is_referenced(&repository.key, &digest).await? {
            let (repository, digest) = layer();
            return Err(Error::LayerInaccessible { repository, digest });
        }
        let objects = permit.objects()?;
        let config = call.app.config();
        let own_host = config.registry_host.host(permit.registry(), permit.caller().region());
        let download_url = if config.serves_objects {
            let host = host(call.parts).unwrap_or(&own_host);
            // Only the registry's own name is known to be behind TLS.
            let scheme = if host == own_host { config.registry_host.scheme() } else { "http" };
            format!("{scheme}://{host}{}", objects.presign(&blob.object, PresignHost::Registry(host)).await?)
        } else {
            objects.presign(&blob.object, PresignHost::ObjectStore).await?
        };
        Ok(GetDownloadUrlForLayerResponse { download_url: Some(download_url), layer_digest: Some(digest.to_string()) })
    }
}
