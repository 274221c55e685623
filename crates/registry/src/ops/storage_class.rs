//! Into the archive and back.

use ironwharf_model::{Error, ImageStatus, Result};
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    ImageIdentifier, TargetStorageClass, UpdateImageStorageClassRequest, UpdateImageStorageClassResponse,
};

use super::images::{named_images, status};
use super::{Call, Operation, Target};
use crate::repositories::id as repository_id;
use crate::storage_class::{Change, Storage, archive, restore};

/// How often is decided again because the image changed. Every round in which
/// one fails, another request succeeded.
const TRIES: u32 = 100;

pub(super) struct UpdateImageStorageClass;

impl Operation for UpdateImageStorageClass {
    const NAME: OperationName = OperationName::UpdateImageStorageClass;
    type Input = UpdateImageStorageClassRequest;
    type Output = UpdateImageStorageClassResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    /// An image that is where it is to go stays there; what follows it does so
    /// again.
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let repository = permit.find_repository().await?;
        let (storage, now_ms) = (Storage::of(permit)?, permit.caller().now_ms());
        let ids = [input.image_id];
        for tries in 0..TRIES {
            let images = named_images(call, &repository.key, "imageId", &ids).await?;
            let image = images.first().ok_or_else(|| Error::internal("an image that was found is not there"))?;
            let (changed, reached) = match input.target_storage_class {
                TargetStorageClass::Archive => {
                    (archive(storage, &repository.key, image, now_ms).await?, ImageStatus::Archived)
                }
                TargetStorageClass::Standard => {
                    (restore(storage, &repository.key, image, now_ms).await?, ImageStatus::Active)
                }
            };
            match changed {
                Change::Made => {
                    let [id] = ids;
                    return Ok(UpdateImageStorageClassResponse {
                        registry_id: Some(permit.registry().to_string()),
                        repository_name: Some(input.repository_name),
                        image_id: Some(ImageIdentifier { image_digest: Some(image.digest.to_string()), ..id }),
                        image_status: Some(status(reached)),
                    });
                }
                Change::Listed => {
                    return Err(Error::ImageStorageClassUpdateNotSupported {
                        repository: repository_id(permit.registry(), permit.repository()?),
                        digest: image.digest.to_string(),
                        reason: "a manifest list or index that can be pulled contains it; archive that first",
                    });
                }
                Change::Conflict => tokio::time::sleep(ironwharf_cloud::table::jittered(tries.min(5))).await,
            }
        }
        Err(Error::internal(format!("a storage class was decided {TRIES} times and the image changed each time")))
    }
}
