//! Inline policies of users, groups and roles.

use ironwharf_cloud::table::identity::{GroupRecord, RoleRecord, UserRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_policy::iam::PolicyKind;
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    DeleteGroupPolicyRequest, DeleteRolePolicyRequest, DeleteUserPolicyRequest, GetGroupPolicyRequest,
    GetGroupPolicyResponse, GetRolePolicyRequest, GetRolePolicyResponse, GetUserPolicyRequest, GetUserPolicyResponse,
    ListGroupPoliciesRequest, ListGroupPoliciesResponse, ListRolePoliciesRequest, ListRolePoliciesResponse,
    ListUserPoliciesRequest, ListUserPoliciesResponse, PolicyDetail, PutGroupPolicyRequest, PutRolePolicyRequest,
    PutUserPolicyRequest,
};
use ironwharf_wire::query::percent_encode_document;

use super::Call;
use super::documents::{STORED_BYTES, characters, check};
use super::holders::Holder;
use super::paging::Page;

macro_rules! inline_policies {
    ($record:ident, $name:ident:
        $put:ident($put_input:ident),
        $get:ident($get_input:ident) -> $get_output:ident,
        $list:ident($list_input:ident) -> $list_output:ident,
        $delete:ident($delete_input:ident)
    ) => {
        operation! {
            $put($put_input) -> Empty;
            on |names, input| names.bounded::<$record>(&input.$name).await;
            run |call, input| put::<$record>(call, &input.$name, input.policy_name, input.policy_document).await;
        }

        operation! {
            $get($get_input) -> $get_output;
            on |names, input| names.holder::<$record>(&input.$name).await;
            run |call, input| {
                let ($name, policy_document) = get::<$record>(call, &input.$name, &input.policy_name).await?;
                Ok($get_output { $name, policy_name: input.policy_name, policy_document })
            };
        }

        operation! {
            $list($list_input) -> $list_output;
            on |names, input| names.holder::<$record>(&input.$name).await;
            run |call, input| {
                let holder = call.holder::<$record>(&input.$name).await?.record;
                let id = &holder.id;
                let mut page = Page::open(call, Self::NAME, id, input.max_items, input.marker.as_deref()).await?;
                let policy_names = page.slice(0, holder.inline_policies.into_keys().collect());
                let (is_truncated, marker) = page.end().await?;
                Ok($list_output { policy_names, is_truncated, marker })
            };
        }

        operation! {
            $delete($delete_input) -> Empty;
            on |names, input| names.bounded::<$record>(&input.$name).await;
            run |call, input| delete::<$record>(call, &input.$name, &input.policy_name).await;
        }
    };
}

inline_policies!(UserRecord, user_name:
    PutUserPolicy(PutUserPolicyRequest),
    GetUserPolicy(GetUserPolicyRequest) -> GetUserPolicyResponse,
    ListUserPolicies(ListUserPoliciesRequest) -> ListUserPoliciesResponse,
    DeleteUserPolicy(DeleteUserPolicyRequest)
);
inline_policies!(GroupRecord, group_name:
    PutGroupPolicy(PutGroupPolicyRequest),
    GetGroupPolicy(GetGroupPolicyRequest) -> GetGroupPolicyResponse,
    ListGroupPolicies(ListGroupPoliciesRequest) -> ListGroupPoliciesResponse,
    DeleteGroupPolicy(DeleteGroupPolicyRequest)
);
inline_policies!(RoleRecord, role_name:
    PutRolePolicy(PutRolePolicyRequest),
    GetRolePolicy(GetRolePolicyRequest) -> GetRolePolicyResponse,
    ListRolePolicies(ListRolePoliciesRequest) -> ListRolePoliciesResponse,
    DeleteRolePolicy(DeleteRolePolicyRequest)
);

async fn put<H: Holder>(call: &Call<'_>, name: &str, policy: String, document: String) -> Result<Empty> {
    check(&document, PolicyKind::Identity)?;
    let stored = call.holder::<H>(name).await?;
    let mut holder = stored.record.clone();
    holder.inline_mut().insert(policy, document);
    let counted: usize = holder.inline().values().map(|document| characters(document)).sum();
    let kept: usize = holder.inline().values().map(String::len).sum();
    let exceeded = |limit: usize| {
        let (word, name) = (H::WORD, holder.name());
        Err(Error::LimitExceeded {
            message: format!("Maximum policy size of {limit} bytes exceeded for {word} {name}"),
        })
    };
    if counted > H::INLINE_CHARACTERS {
        return exceeded(H::INLINE_CHARACTERS);
    }
    if kept > STORED_BYTES {
        return exceeded(STORED_BYTES);
    }
    call.replace(&stored, &holder).await?;
    Ok(Empty {})
}

/// The holder's name and the encoded document.
async fn get<H: Holder>(call: &Call<'_>, name: &str, policy: &str) -> Result<(String, String)> {
    let holder = call.holder::<H>(name).await?.record;
    let document = holder.inline().get(policy).ok_or_else(|| not_found::<H>(policy))?;
    Ok((holder.name().to_owned(), percent_encode_document(document)))
}

async fn delete<H: Holder>(call: &Call<'_>, name: &str, policy: &str) -> Result<Empty> {
    let stored = call.holder::<H>(name).await?;
    let mut holder = stored.record.clone();
    holder.inline_mut().remove(policy).ok_or_else(|| not_found::<H>(policy))?;
    call.replace(&stored, &holder).await?;
    Ok(Empty {})
}

fn not_found<H: Holder>(policy: &str) -> Error {
    Error::NoSuchEntity { message: format!("The {} policy with name {} cannot be found.", H::WORD, quoted(policy)) }
}

/// All of them, as the details of an account show them.
pub(super) fn details<H: Holder>(holder: &H) -> Vec<PolicyDetail> {
    let detail = |(name, document): (&String, &String)| PolicyDetail {
        policy_name: Some(name.clone()),
        policy_document: Some(percent_encode_document(document)),
    };
    holder.inline().iter().map(detail).collect()
}
