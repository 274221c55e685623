//! `GetAccountAuthorizationDetails`: everybody and everything they may do.

use ironwharf_cloud::table::identity::{GroupRecord, PolicyRecord, RoleRecord, UserRecord};
use ironwharf_model::{AccountId, Result};
use ironwharf_wire::iam::OperationName;
use ironwharf_wire::iam::shapes::{
    EntityType, GetAccountAuthorizationDetailsRequest, GetAccountAuthorizationDetailsResponse, GroupDetail,
    ManagedPolicyDetail, RoleDetail, UserDetail,
};
use ironwharf_wire::query::percent_encode_document;

use super::entities::{Uses, uses_of_aws_managed};
use super::holders::{Holder, time};
use super::managed_policies::{AWS_CREATED_AT_S, arn_of, count};
use super::paging::Page;
use super::{Acted, Call, attachments, boundaries, inline_policies, policy_versions, tags};
use crate::identity::aws_managed::{self, AwsManagedPolicy};
use crate::identity::named_principals::shown;

operation! {
    GetAccountAuthorizationDetails(GetAccountAuthorizationDetailsRequest) -> GetAccountAuthorizationDetailsResponse;
    on |_names, _input| Ok(Acted::any());
    run |call, input| details(call, input).await;
}

async fn details(
    call: &Call<'_>,
    input: GetAccountAuthorizationDetailsRequest,
) -> Result<GetAccountAuthorizationDetailsResponse> {
    const NAME: OperationName = OperationName::GetAccountAuthorizationDetails;
    let mut filter = input.filter.unwrap_or_default();
    filter.sort_unstable();
    filter.dedup();
    let wants = |kind: EntityType| filter.is_empty() || filter.contains(&kind);
    let mut page = Page::open(call, NAME, &format!("{filter:?}"), input.max_items, input.marker.as_deref()).await?;
    let account = call.account();
    let mut answer = GetAccountAuthorizationDetailsResponse::default();
    if wants(EntityType::User) {
        let users = page.take::<UserRecord>(0, "", |_user| true).await?;
        answer.user_detail_list = Some(users.into_iter().map(|user| user_detail(account, user)).collect());
    }
    if wants(EntityType::Group) {
        let groups = page.take::<GroupRecord>(1, "", |_group| true).await?;
        answer.group_detail_list = Some(groups.into_iter().map(|group| group_detail(account, group)).collect());
    }
    if wants(EntityType::Role) {
        let roles = page.take::<RoleRecord>(2, "", |_role| true).await?;
        let mut details = Vec::with_capacity(roles.len());
        for role in roles {
            let trust_policy = shown(call.table(), call.account(), &role.trust_policy, &role.trusted_ids).await?;
            details.push(role_detail(account, role, &trust_policy));
        }
        answer.role_detail_list = Some(details);
    }
    let mut policies = Vec::new();
    if wants(EntityType::LocalManagedPolicy) {
        let own = page.take::<PolicyRecord>(3, "", |_policy| true).await?;
        policies.extend(own.into_iter().map(|policy| policy_detail(account, policy)));
    }
    if wants(EntityType::AwsManagedPolicy) {
        let uses = uses_of_aws_managed(call).await?;
        let detail = |policy: &AwsManagedPolicy| Some(detail_of_aws(policy, *uses.get(&policy.arn())?));
        policies.extend(page.slice(4, aws_managed::ALL.iter().filter_map(detail).collect()));
    }
    answer.policies = Some(policies);
    let (is_truncated, marker) = page.end().await?;
    Ok(GetAccountAuthorizationDetailsResponse { is_truncated, marker, ..answer })
}

fn user_detail(account: &AccountId, user: UserRecord) -> UserDetail {
    UserDetail {
        arn: Some(user.arn(account)),
        create_date: Some(time(user.created_at_s)),
        user_policy_list: Some(inline_policies::details(&user)),
        attached_managed_policies: Some(attachments::listed(&user, None)),
        permissions_boundary: boundaries::shape(user.boundary.as_deref()),
        tags: Some(tags::shapes(&user.tags)),
        path: Some(user.path),
        user_name: Some(user.name),
        user_id: Some(user.id),
        group_list: Some(user.groups),
    }
}

fn group_detail(account: &AccountId, group: GroupRecord) -> GroupDetail {
    GroupDetail {
        arn: Some(group.arn(account)),
        create_date: Some(time(group.created_at_s)),
        group_policy_list: Some(inline_policies::details(&group)),
        attached_managed_policies: Some(attachments::listed(&group, None)),
        path: Some(group.path),
        group_name: Some(group.name),
        group_id: Some(group.id),
    }
}

fn role_detail(account: &AccountId, role: RoleRecord, trust_policy: &str) -> RoleDetail {
    RoleDetail {
        arn: Some(role.arn(account)),
        create_date: Some(time(role.created_at_s)),
        assume_role_policy_document: Some(percent_encode_document(trust_policy)),
        instance_profile_list: Some(Vec::new()),
        role_policy_list: Some(inline_policies::details(&role)),
        attached_managed_policies: Some(attachments::listed(&role, None)),
        permissions_boundary: boundaries::shape(role.boundary.as_deref()),
        tags: Some(tags::shapes(&role.tags)),
        role_last_used: None,
        path: Some(role.path),
        role_name: Some(role.name),
        role_id: Some(role.id),
    }
}

fn policy_detail(account: &AccountId, policy: PolicyRecord) -> ManagedPolicyDetail {
    ManagedPolicyDetail {
        arn: Some(arn_of(account, &policy)),
        default_version_id: Some(format!("v{}", policy.default_version)),
        attachment_count: Some(count(policy.attachments)),
        permissions_boundary_usage_count: Some(count(policy.boundary_uses)),
        is_attachable: Some(true),
        create_date: Some(time(policy.created_at_s)),
        update_date: Some(time(policy.updated_at_s)),
        policy_version_list: Some(policy_versions::details(&policy)),
        policy_name: Some(policy.name),
        policy_id: Some(policy.id),
        path: Some(policy.path),
        description: policy.description,
    }
}

fn detail_of_aws(policy: &AwsManagedPolicy, uses: Uses) -> ManagedPolicyDetail {
    ManagedPolicyDetail {
        policy_name: Some(policy.name.to_owned()),
        policy_id: Some(policy.id.to_owned()),
        arn: Some(policy.arn()),
        path: Some("/".to_owned()),
        default_version_id: Some("v1".to_owned()),
        attachment_count: Some(count(uses.attachments)),
        permissions_boundary_usage_count: Some(count(uses.boundary_uses)),
        is_attachable: Some(true),
        description: Some(policy.description.to_owned()),
        create_date: Some(time(AWS_CREATED_AT_S)),
        update_date: Some(time(AWS_CREATED_AT_S)),
        policy_version_list: Some(policy_versions::details_of_aws(policy)),
    }
}
