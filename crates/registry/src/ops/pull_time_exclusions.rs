//! Principals whose pulls do not move an image's last recorded pull time:
//! scanners, mirrors.

use ironwharf_cloud::table::{PullTimeExclusions, jittered};
use ironwharf_model::{Error, Result};
use ironwharf_wire::ecr::shapes::{
    DeregisterPullTimeUpdateExclusionRequest, DeregisterPullTimeUpdateExclusionResponse,
    ListPullTimeUpdateExclusionsRequest, ListPullTimeUpdateExclusionsResponse, RegisterPullTimeUpdateExclusionRequest,
    RegisterPullTimeUpdateExclusionResponse,
};
use ironwharf_wire::ecr::{OperationName, Timestamp};

use super::paging::PageRequest;
use super::{Call, Operation, Target};

/// The most that a registry may have (Amazon ECR service quotas).
const LIMIT: usize = 100;

/// How often a change is decided again because another one came between.
const TRIES: u32 = 100;

/// Changes the exclusions of the registry, as they were read.
async fn change(call: &Call<'_>, decide: impl Fn(&mut PullTimeExclusions) -> Result<()>) -> Result<()> {
    let (registry, table) = (call.permit.registry(), call.permit.table()?);
    for tries in 0..TRIES {
        let mut exclusions = table.pull_time_exclusions(registry).await?;
        decide(&mut exclusions)?;
        if table.put_pull_time_exclusions(registry, &exclusions).await? {
            return Ok(());
        }
        tokio::time::sleep(jittered(tries.min(5))).await;
    }
    Err(Error::internal(format!("the exclusions were decided {TRIES} times and something changed each time")))
}

pub(super) struct RegisterPullTimeUpdateExclusion;

impl Operation for RegisterPullTimeUpdateExclusion {
    const NAME: OperationName = OperationName::RegisterPullTimeUpdateExclusion;
    type Input = RegisterPullTimeUpdateExclusionRequest;
    type Output = RegisterPullTimeUpdateExclusionResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let principal = &input.principal_arn;
        change(call, |exclusions| {
            if exclusions.principals.contains(principal) {
                let registry = call.permit.registry().clone();
                return Err(Error::ExclusionAlreadyExists { registry, principal: principal.clone() });
            }
            if exclusions.principals.len() >= LIMIT {
                let message = format!("A registry can have at most {LIMIT} pull time update exclusions");
                return Err(Error::LimitExceeded { message });
            }
            exclusions.principals.push(principal.clone());
            Ok(())
        })
        .await?;
        Ok(RegisterPullTimeUpdateExclusionResponse {
            principal_arn: Some(input.principal_arn),
            created_at: Some(Timestamp::from_epoch_millis(call.permit.caller().now_ms())),
        })
    }
}

pub(super) struct DeregisterPullTimeUpdateExclusion;

impl Operation for DeregisterPullTimeUpdateExclusion {
    const NAME: OperationName = OperationName::DeregisterPullTimeUpdateExclusion;
    type Input = DeregisterPullTimeUpdateExclusionRequest;
    type Output = DeregisterPullTimeUpdateExclusionResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let principal = &input.principal_arn;
        change(call, |exclusions| {
            let before = exclusions.principals.len();
            exclusions.principals.retain(|excluded| excluded != principal);
            if exclusions.principals.len() == before {
                let registry = call.permit.registry().clone();
                return Err(Error::ExclusionNotFound { registry, principal: principal.clone() });
            }
            Ok(())
        })
        .await?;
        Ok(DeregisterPullTimeUpdateExclusionResponse { principal_arn: Some(input.principal_arn) })
    }
}

pub(super) struct ListPullTimeUpdateExclusions;

impl Operation for ListPullTimeUpdateExclusions {
    const NAME: OperationName = OperationName::ListPullTimeUpdateExclusions;
    type Input = ListPullTimeUpdateExclusionsRequest;
    type Output = ListPullTimeUpdateExclusionsResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    /// In the order of the ARNs.
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let token = input.next_token.as_deref();
        let page = PageRequest::open(permit, Self::NAME.as_str(), input.max_results, token).await?;
        let exclusions = permit.table()?.pull_time_exclusions(permit.registry()).await?;
        let is_after = |principal: &String| page.position.as_ref().is_none_or(|position| principal > position);
        let mut rest = exclusions.principals.into_iter().filter(is_after);
        let listed: Vec<String> = rest.by_ref().take(page.limit).collect();
        let last = listed.last().map(String::as_str).filter(|_| rest.next().is_some());
        let next_token = page.next(last).await?;
        Ok(ListPullTimeUpdateExclusionsResponse { pull_time_update_exclusions: Some(listed), next_token })
    }
}
