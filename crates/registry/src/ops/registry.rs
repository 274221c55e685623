//! The registry as a whole.

use ironwharf_model::Result;
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{DescribeRegistryRequest, DescribeRegistryResponse, ReplicationConfiguration};

use super::{Call, Operation, Target};

pub(super) struct DescribeRegistry;

impl Operation for DescribeRegistry {
    const NAME: OperationName = OperationName::DescribeRegistry;
    type Input = DescribeRegistryRequest;
    type Output = DescribeRegistryResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    /// There is no replication to configure yet, so there are no rules.
    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        Ok(DescribeRegistryResponse {
            registry_id: Some(call.permit.registry().to_string()),
            replication_configuration: Some(ReplicationConfiguration { rules: Vec::new() }),
        })
    }
}
