//! The policy of a registry.

use ironwharf_model::{Error, Result};
use ironwharf_policy::iam::PolicyKind;
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    DeleteRegistryPolicyRequest, DeleteRegistryPolicyResponse, GetRegistryPolicyRequest, GetRegistryPolicyResponse,
    PutRegistryPolicyRequest, PutRegistryPolicyResponse,
};

use super::{Call, Operation, Target, repository_policy};

pub(super) struct PutRegistryPolicy;

impl Operation for PutRegistryPolicy {
    const NAME: OperationName = OperationName::PutRegistryPolicy;
    type Input = PutRegistryPolicyRequest;
    type Output = PutRegistryPolicyResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let (registry, region) = (call.permit.registry(), call.permit.region());
        repository_policy::parse("policyText", &input.policy_text, PolicyKind::Registry)?;
        call.permit.table()?.put_registry_policy(registry, Some(&input.policy_text)).await?;
        region.policies.forget_registry(registry);
        Ok(PutRegistryPolicyResponse { registry_id: Some(registry.to_string()), policy_text: Some(input.policy_text) })
    }
}

pub(super) struct GetRegistryPolicy;

impl Operation for GetRegistryPolicy {
    const NAME: OperationName = OperationName::GetRegistryPolicy;
    type Input = GetRegistryPolicyRequest;
    type Output = GetRegistryPolicyResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        let registry = call.permit.registry();
        let text = call.permit.table()?.registry_policy(registry).await?;
        let text = text.ok_or_else(|| Error::RegistryPolicyNotFound { registry: registry.clone() })?;
        Ok(GetRegistryPolicyResponse { registry_id: Some(registry.to_string()), policy_text: Some(text) })
    }
}

pub(super) struct DeleteRegistryPolicy;

impl Operation for DeleteRegistryPolicy {
    const NAME: OperationName = OperationName::DeleteRegistryPolicy;
    type Input = DeleteRegistryPolicyRequest;
    type Output = DeleteRegistryPolicyResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        let (registry, region) = (call.permit.registry(), call.permit.region());
        let text = call.permit.table()?.put_registry_policy(registry, None).await?;
        region.policies.forget_registry(registry);
        let text = text.ok_or_else(|| Error::RegistryPolicyNotFound { registry: registry.clone() })?;
        Ok(DeleteRegistryPolicyResponse { registry_id: Some(registry.to_string()), policy_text: Some(text) })
    }
}
