//! The lifecycle policies of repositories.

use ironwharf_cloud::table::LifecyclePolicyRecord;
use ironwharf_model::{Error, Result};
use ironwharf_policy::lifecycle::Policy;
use ironwharf_wire::ecr::shapes::{
    DeleteLifecyclePolicyRequest, DeleteLifecyclePolicyResponse, GetLifecyclePolicyRequest, GetLifecyclePolicyResponse,
    PutLifecyclePolicyRequest, PutLifecyclePolicyResponse,
};
use ironwharf_wire::ecr::{OperationName, Timestamp};

use super::repository_policy::current;
use super::{Call, Operation, Target};
use crate::jobs::lifecycle::work;
use crate::repositories::{id as repository_id, not_found};

/// Refuses a text that is no lifecycle policy, with the place and the reason.
pub(super) fn check(text: &str) -> Result<()> {
    Policy::parse(text).map(drop).map_err(|malformed| {
        Error::invalid_parameter("LifecyclePolicyText", format!("Lifecycle policy validation failure: {malformed}"))
    })
}

/// When a policy was applied last; ECR's answer for one that was not is the epoch.
fn evaluated_at(policy: &LifecyclePolicyRecord) -> Timestamp {
    Timestamp::from_epoch_millis(policy.evaluated_at_ms.unwrap_or(0))
}

pub(super) struct PutLifecyclePolicy;

impl Operation for PutLifecyclePolicy {
    const NAME: OperationName = OperationName::PutLifecyclePolicy;
    type Input = PutLifecyclePolicyRequest;
    type Output = PutLifecyclePolicyResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        check(&input.lifecycle_policy_text)?;
        let repository = current(call).await?;
        let work = work(&repository, permit.caller().now_s())?;
        if !permit.table()?.put_lifecycle_policy(&repository, &input.lifecycle_policy_text, &work).await? {
            permit.region().repositories.forget(registry, name);
            return Err(not_found(registry, name));
        }
        call.app.work_made().notify_one();
        Ok(PutLifecyclePolicyResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            lifecycle_policy_text: Some(input.lifecycle_policy_text),
        })
    }
}

pub(super) struct GetLifecyclePolicy;

impl Operation for GetLifecyclePolicy {
    const NAME: OperationName = OperationName::GetLifecyclePolicy;
    type Input = GetLifecyclePolicyRequest;
    type Output = GetLifecyclePolicyResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        let policy = permit.table()?.lifecycle_policy(&current(call).await?).await?;
        let policy = policy.ok_or_else(|| Error::LifecyclePolicyNotFound(repository_id(registry, name)))?;
        Ok(GetLifecyclePolicyResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            last_evaluated_at: Some(evaluated_at(&policy)),
            lifecycle_policy_text: Some(policy.text),
        })
    }
}

pub(super) struct DeleteLifecyclePolicy;

impl Operation for DeleteLifecyclePolicy {
    const NAME: OperationName = OperationName::DeleteLifecyclePolicy;
    type Input = DeleteLifecyclePolicyRequest;
    type Output = DeleteLifecyclePolicyResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    async fn run(call: &Call<'_>, _: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let (registry, name) = (permit.registry(), permit.repository()?);
        let policy = permit.table()?.delete_lifecycle_policy(&current(call).await?).await?;
        let policy = policy.ok_or_else(|| Error::LifecyclePolicyNotFound(repository_id(registry, name)))?;
        Ok(DeleteLifecyclePolicyResponse {
            registry_id: Some(registry.to_string()),
            repository_name: Some(name.to_string()),
            last_evaluated_at: Some(evaluated_at(&policy)),
            lifecycle_policy_text: Some(policy.text),
        })
    }
}
