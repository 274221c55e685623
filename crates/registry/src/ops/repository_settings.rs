//! Settings of a repository that can be changed: tag mutability, scan on push.
//!
//! Each change touches its own setting only, so that two at once both count.

use ironwharf_cloud::table::RepositoryChange;
use ironwharf_model::Result;
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    ImageScanningConfiguration, ImageTagMutability, PutImageScanningConfigurationRequest,
    PutImageScanningConfigurationResponse, PutImageTagMutabilityRequest, PutImageTagMutabilityResponse,
};

use super::repositories::{filters_of, mutability_of};
use super::{Call, Operation, Target};

pub(super) struct PutImageTagMutability;

impl Operation for PutImageTagMutability {
    const NAME: OperationName = OperationName::PutImageTagMutability;
    type Input = PutImageTagMutabilityRequest;
    type Output = PutImageTagMutabilityResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (registry, name) = (call.permit.registry(), call.permit.repository()?);
        let mutability = mutability_of(input.image_tag_mutability, input.image_tag_mutability_exclusion_filters)?;
        let change = RepositoryChange::Mutability(&mutability);
        call.permit.region().change_repository(call.permit.table()?, registry, name, change).await?;
        Ok(PutImageTagMutabilityResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            image_tag_mutability: ImageTagMutability::parse(mutability.as_str()),
            image_tag_mutability_exclusion_filters: filters_of(&mutability),
        })
    }
}

pub(super) struct PutImageScanningConfiguration;

impl Operation for PutImageScanningConfiguration {
    const NAME: OperationName = OperationName::PutImageScanningConfiguration;
    type Input = PutImageScanningConfigurationRequest;
    type Output = PutImageScanningConfigurationResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (registry, name) = (call.permit.registry(), call.permit.repository()?);
        let scan_on_push = input.image_scanning_configuration.scan_on_push.unwrap_or(false);
        let change = RepositoryChange::ScanOnPush(scan_on_push);
        call.permit.region().change_repository(call.permit.table()?, registry, name, change).await?;
        Ok(PutImageScanningConfigurationResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            image_scanning_configuration: Some(ImageScanningConfiguration { scan_on_push: Some(scan_on_push) }),
        })
    }
}
