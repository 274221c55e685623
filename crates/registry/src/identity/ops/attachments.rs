//! Managed policies on users, groups and roles.
//!
//! Invariant: a policy's count of attachments changes in the transaction that
//! attaches or detaches it, so that no policy is deleted that is attached.

use ironwharf_cloud::table::identity::{Change, GroupRecord, RoleRecord, UserRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    AttachGroupPolicyRequest, AttachRolePolicyRequest, AttachUserPolicyRequest, AttachedPolicy,
    DetachGroupPolicyRequest, DetachRolePolicyRequest, DetachUserPolicyRequest, ListAttachedGroupPoliciesRequest,
    ListAttachedGroupPoliciesResponse, ListAttachedRolePoliciesRequest, ListAttachedRolePoliciesResponse,
    ListAttachedUserPoliciesRequest, ListAttachedUserPoliciesResponse,
};

use super::Call;
use super::documents::quota;
use super::holders::{Holder, is_under};
use super::managed_policies::{self, PolicyName, recount};
use super::paging::Page;

/// How many managed policies a user, group or role can have.
const MAX_ATTACHED: usize = 10;

macro_rules! attachments {
    ($record:ident, $name:ident:
        $attach:ident($attach_input:ident),
        $detach:ident($detach_input:ident),
        $list:ident($list_input:ident) -> $list_output:ident
    ) => {
        operation! {
            $attach($attach_input) -> Empty;
            on |names, input| Ok(names.bounded::<$record>(&input.$name).await?.with_policy(&input.policy_arn));
            run |call, input| attach::<$record>(call, &input.$name, input.policy_arn).await;
        }

        operation! {
            $detach($detach_input) -> Empty;
            on |names, input| Ok(names.bounded::<$record>(&input.$name).await?.with_policy(&input.policy_arn));
            run |call, input| detach::<$record>(call, &input.$name, &input.policy_arn).await;
        }

        operation! {
            $list($list_input) -> $list_output;
            on |names, input| names.holder::<$record>(&input.$name).await;
            run |call, input| {
                let holder = call.holder::<$record>(&input.$name).await?.record;
                let prefix = input.path_prefix.as_deref();
                let selection = format!("{}|{}", holder.id, prefix.unwrap_or_default());
                let mut page =
                    Page::open(call, Self::NAME, &selection, input.max_items, input.marker.as_deref()).await?;
                let attached_policies = Some(page.slice(0, listed(&holder, prefix)));
                let (is_truncated, marker) = page.end().await?;
                Ok($list_output { attached_policies, is_truncated, marker })
            };
        }
    };
}

attachments!(UserRecord, user_name:
    AttachUserPolicy(AttachUserPolicyRequest),
    DetachUserPolicy(DetachUserPolicyRequest),
    ListAttachedUserPolicies(ListAttachedUserPoliciesRequest) -> ListAttachedUserPoliciesResponse
);
attachments!(GroupRecord, group_name:
    AttachGroupPolicy(AttachGroupPolicyRequest),
    DetachGroupPolicy(DetachGroupPolicyRequest),
    ListAttachedGroupPolicies(ListAttachedGroupPoliciesRequest) -> ListAttachedGroupPoliciesResponse
);
attachments!(RoleRecord, role_name:
    AttachRolePolicy(AttachRolePolicyRequest),
    DetachRolePolicy(DetachRolePolicyRequest),
    ListAttachedRolePolicies(ListAttachedRolePoliciesRequest) -> ListAttachedRolePoliciesResponse
);

async fn attach<H: Holder>(call: &Call<'_>, name: &str, arn: String) -> Result<Empty> {
    let stored = call.holder::<H>(name).await?;
    let mut holder = stored.record.clone();
    if holder.attached().contains(&arn) {
        return Ok(Empty {});
    }
    let counted = recount(call, &arn, |policy| policy.attachments += 1).await?;
    let Some(counted) = counted else {
        let message = format!("Policy {} does not exist or is not attachable.", quoted(&arn));
        return Err(Error::NoSuchEntity { message });
    };
    if holder.attached().len() >= MAX_ATTACHED {
        return Err(quota(H::ATTACHED_QUOTA, MAX_ATTACHED));
    }
    holder.attached_mut().push(arn);
    let mut changes = vec![Change::replace(call.account(), &stored, &holder)?];
    changes.extend(counted);
    call.write(changes).await?;
    Ok(Empty {})
}

async fn detach<H: Holder>(call: &Call<'_>, name: &str, arn: &str) -> Result<Empty> {
    let stored = call.holder::<H>(name).await?;
    let mut holder = stored.record.clone();
    let before = holder.attached().len();
    holder.attached_mut().retain(|attached| attached != arn);
    if holder.attached().len() == before {
        return Err(managed_policies::not_found(arn));
    }
    let counted = recount(call, arn, |policy| policy.attachments = policy.attachments.saturating_sub(1)).await?;
    let mut changes = vec![Change::replace(call.account(), &stored, &holder)?];
    changes.extend(counted.flatten());
    call.write(changes).await?;
    Ok(Empty {})
}

/// What is attached and has a path under `prefix`.
pub(super) fn listed<H: Holder>(holder: &H, prefix: Option<&str>) -> Vec<AttachedPolicy> {
    let listed = |arn: &String| {
        let PolicyName { path, name, .. } = PolicyName::parse(arn)?;
        let attached = AttachedPolicy { policy_name: Some(name.to_owned()), policy_arn: Some(arn.clone()) };
        is_under(path, prefix).then_some(attached)
    };
    holder.attached().iter().filter_map(listed).collect()
}
