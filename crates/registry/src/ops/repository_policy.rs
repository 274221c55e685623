//! The policies of repositories.

use ironwharf_cloud::table::RepositoryKey;
use ironwharf_model::{Error, Result};
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    DeleteRepositoryPolicyRequest, DeleteRepositoryPolicyResponse, GetRepositoryPolicyRequest,
    GetRepositoryPolicyResponse, SetRepositoryPolicyRequest, SetRepositoryPolicyResponse,
};

use super::policy_text::{PolicyOf, check};
use super::{Call, Operation, Target};
use crate::authorize::{Details, Resource, ResourcePolicies, decide_with};
use crate::identity::named_principals::shown;
use crate::repositories::{id as repository_id, not_found};

/// The repository as it is now: a policy is set on one incarnation.
pub(super) async fn current(call: &Call<'_>) -> Result<RepositoryKey> {
    let (permit, region) = (&call.permit, call.permit.region());
    let found = permit.table()?.repository(permit.registry(), permit.repository()?).await?;
    match found {
        Some(repository) => Ok(region.repositories.put(repository).key.clone()),
        None => Err(not_found(permit.registry(), permit.repository()?)),
    }
}

pub(super) struct SetRepositoryPolicy;

impl Operation for SetRepositoryPolicy {
    const NAME: OperationName = OperationName::SetRepositoryPolicy;
    type Input = SetRepositoryPolicyRequest;
    type Output = SetRepositoryPolicyResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        let (policy, compiled) = check(call, PolicyOf::Repository, &input.policy_text).await?;
        let repository = current(call).await?;
        if !input.force.unwrap_or(false) {
            let resource = Resource::Repository { account: registry.clone(), name: name.clone() };
            let rules = permit.region().registry_rules(permit.table()?, registry).await?;
            let action = "ecr:SetRepositoryPolicy";
            let policies = ResourcePolicies { repository: Some(&compiled), registry: rules.policy_for(action) };
            let (_, labels) = permit.region().access_of(permit.table()?, registry, name).await?;
            let decision = decide_with(permit.caller(), action, &resource, &Details::default(), &labels, policies);
            if !decision.is_allowed() {
                let reason = "this policy would keep you from setting another one; use force if that is what you want";
                return Err(Error::invalid_parameter("policyText", reason));
            }
        }
        let is_set = permit.table()?.put_repository_policy(&repository, &policy).await?;
        permit.region().policies.forget_repository(registry, name);
        if !is_set {
            // Deleted since it was read. One of the same name is another.
            permit.region().repositories.forget(registry, name);
            return Err(not_found(registry, name));
        }
        Ok(SetRepositoryPolicyResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            policy_text: Some(input.policy_text),
        })
    }
}

pub(super) struct GetRepositoryPolicy;

impl Operation for GetRepositoryPolicy {
    const NAME: OperationName = OperationName::GetRepositoryPolicy;
    type Input = GetRepositoryPolicyRequest;
    type Output = GetRepositoryPolicyResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        let policy = permit.table()?.repository_policy(&current(call).await?).await?;
        let policy = policy.ok_or_else(|| Error::RepositoryPolicyNotFound(repository_id(registry, name)))?;
        let text = shown(permit.caller().directory.table(), registry, &policy.text, &policy.principals).await?;
        Ok(GetRepositoryPolicyResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            policy_text: Some(text),
        })
    }
}

pub(super) struct DeleteRepositoryPolicy;

impl Operation for DeleteRepositoryPolicy {
    const NAME: OperationName = OperationName::DeleteRepositoryPolicy;
    type Input = DeleteRepositoryPolicyRequest;
    type Output = DeleteRepositoryPolicyResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        let policy = permit.table()?.delete_repository_policy(&current(call).await?).await?;
        permit.region().policies.forget_repository(registry, name);
        let policy = policy.ok_or_else(|| Error::RepositoryPolicyNotFound(repository_id(registry, name)))?;
        Ok(DeleteRepositoryPolicyResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            policy_text: Some(policy.text),
        })
    }
}
