//! Who has a managed policy.

use std::collections::BTreeMap;

use ironwharf_cloud::table::identity::{GroupRecord, RoleRecord, UserRecord};
use ironwharf_model::Result;
use ironwharf_wire::iam::shapes::{
    EntityType, ListEntitiesForPolicyRequest, ListEntitiesForPolicyResponse, PolicyGroup, PolicyRole, PolicyUsageType,
    PolicyUser,
};

use super::Call;
use super::holders::{Holder, is_under};
use super::managed_policies::Managed;
use super::paging::Page;

/// How often a policy is used.
#[derive(Clone, Copy, Default)]
pub(super) struct Uses {
    /// By how many users, groups and roles.
    pub(super) attachments: u32,
    /// By how many users and roles as their boundary.
    pub(super) boundary_uses: u32,
}

/// How often the account uses each policy of AWS. They have no records that
/// could count.
pub(super) async fn uses_of_aws_managed(call: &Call<'_>) -> Result<BTreeMap<String, Uses>> {
    let mut uses = BTreeMap::new();
    count::<UserRecord>(call, &mut uses).await?;
    count::<GroupRecord>(call, &mut uses).await?;
    count::<RoleRecord>(call, &mut uses).await?;
    Ok(uses)
}

async fn count<H: Holder>(call: &Call<'_>, uses: &mut BTreeMap<String, Uses>) -> Result<()> {
    for holder in call.table().all_identities::<H>(call.account(), "").await? {
        for arn in holder.attached() {
            uses.entry(arn.clone()).or_default().attachments += 1;
        }
        if let Some(arn) = holder.boundary() {
            uses.entry(arn.to_owned()).or_default().boundary_uses += 1;
        }
    }
    Ok(())
}

operation! {
    ListEntitiesForPolicy(ListEntitiesForPolicyRequest) -> ListEntitiesForPolicyResponse;
    on |names, input| names.policy(&input.policy_arn).await;
    run |call, input| {
        Managed::get(call, &input.policy_arn).await?;
        let kind = input.entity_filter;
        let selection = format!(
            "{}|{kind:?}|{:?}|{}",
            input.policy_arn,
            input.policy_usage_filter,
            input.path_prefix.as_deref().unwrap_or_default()
        );
        let marker = input.marker.as_deref();
        let mut page = Page::open(call, Self::NAME, &selection, input.max_items, marker).await?;
        let wants = |wanted: EntityType| kind.is_none_or(|kind| kind == wanted);
        let mut answer = ListEntitiesForPolicyResponse::default();
        if wants(EntityType::Group) {
            let groups = page.take::<GroupRecord>(0, "", |group| has(group, &input)).await?;
            let shape = |group: GroupRecord| PolicyGroup { group_name: Some(group.name), group_id: Some(group.id) };
            answer.policy_groups = Some(groups.into_iter().map(shape).collect());
        }
        if wants(EntityType::User) {
            let users = page.take::<UserRecord>(1, "", |user| has(user, &input)).await?;
            let shape = |user: UserRecord| PolicyUser { user_name: Some(user.name), user_id: Some(user.id) };
            answer.policy_users = Some(users.into_iter().map(shape).collect());
        }
        if wants(EntityType::Role) {
            let roles = page.take::<RoleRecord>(2, "", |role| has(role, &input)).await?;
            let shape = |role: RoleRecord| PolicyRole { role_name: Some(role.name), role_id: Some(role.id) };
            answer.policy_roles = Some(roles.into_iter().map(shape).collect());
        }
        let (is_truncated, marker) = page.end().await?;
        Ok(ListEntitiesForPolicyResponse { is_truncated, marker, ..answer })
    };
}

/// Whether the policy that is asked for is on `holder` in the way that is asked for.
fn has<H: Holder>(holder: &H, input: &ListEntitiesForPolicyRequest) -> bool {
    let arn = &input.policy_arn;
    let attached = || holder.attached().contains(arn);
    let is_boundary = || holder.boundary() == Some(arn.as_str());
    let fits = match input.policy_usage_filter {
        None => attached() || is_boundary(),
        Some(PolicyUsageType::PermissionsPolicy) => attached(),
        Some(PolicyUsageType::PermissionsBoundary) => is_boundary(),
    };
    fits && is_under(holder.path(), input.path_prefix.as_deref())
}
