//! The policy of a registry.

use ironwharf_model::{Error, Result};
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    DeleteRegistryPolicyRequest, DeleteRegistryPolicyResponse, GetRegistryPolicyRequest, GetRegistryPolicyResponse,
    PutRegistryPolicyRequest, PutRegistryPolicyResponse,
};

use super::policy_text::{PolicyOf, check};
use super::{Call, Operation, Target};
use crate::identity::named_principals::shown;

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
        let (policy, _) = check(call, PolicyOf::Registry, &input.policy_text).await?;
        call.permit.table()?.put_registry_policy(registry, &policy).await?;
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
        let policy = call.permit.table()?.registry_policy(registry).await?;
        let policy = policy.ok_or_else(|| Error::RegistryPolicyNotFound { registry: registry.clone() })?;
        let text = shown(call.permit.caller().directory.table(), registry, &policy.text, &policy.principals).await?;
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
        let policy = call.permit.table()?.delete_registry_policy(registry).await?;
        region.policies.forget_registry(registry);
        let policy = policy.ok_or_else(|| Error::RegistryPolicyNotFound { registry: registry.clone() })?;
        Ok(DeleteRegistryPolicyResponse { registry_id: Some(registry.to_string()), policy_text: Some(policy.text) })
    }
}
