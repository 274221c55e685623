//! Roles.

use std::collections::BTreeMap;

use ironwharf_cloud::table::identity::{Change, RoleRecord};
use ironwharf_model::Result;
use ironwharf_model::principal::iam_arn;
use ironwharf_wire::iam::shapes::{
    CreateRoleRequest, CreateRoleResponse, DeleteRoleRequest, GetRoleRequest, GetRoleResponse, ListRolesRequest,
    ListRolesResponse, Role, UpdateAssumeRolePolicyRequest, UpdateRoleDescriptionRequest,
    UpdateRoleDescriptionResponse, UpdateRoleRequest, UpdateRoleResponse,
};
use ironwharf_wire::iam::{Empty, OperationName};
use ironwharf_wire::query::percent_encode_document;

use super::holders::{Holder, already_exists, check_no_policies, is_under, path_or_root, time};
use super::paging::Page;
use super::trust::check_trust_policy;
use super::{Acted, Call, boundaries, tags};
use crate::identity::named_principals::shown;
use crate::identity::unique_id::{IdKind, unique_id};

/// How long a session may last where nothing else is said, in seconds.
const DEFAULT_SESSION_S: i64 = 3_600;

operation! {
    CreateRole(CreateRoleRequest) -> CreateRoleResponse;
    on |names, input| {
        let path = input.path.as_deref().unwrap_or("/");
        let acted = Acted::on(iam_arn(names.account(), "role", path, &input.role_name));
        let acted = acted.with_boundary(input.permissions_boundary.as_deref());
        Ok(acted.with_request_tags(tags::requested(input.tags.as_deref())))
    };
    run |call, input| create(call, input).await;
}

async fn create(call: &Call<'_>, input: CreateRoleRequest) -> Result<CreateRoleResponse> {
    let mut role = RoleRecord {
        name: input.role_name,
        path: path_or_root(input.path),
        id: unique_id(IdKind::Role),
        created_at_s: call.now_s(),
        description: input.description,
        trust_policy: input.assume_role_policy_document,
        trusted_ids: BTreeMap::new(),
        max_session_s: input.max_session_duration.map_or(DEFAULT_SESSION_S, i64::from),
        inline_policies: BTreeMap::new(),
        attached_policies: Vec::new(),
        boundary: input.permissions_boundary,
        tags: tags::read(input.tags.as_deref().unwrap_or_default())?,
        revoked_before_s: 0,
    };
    if !role.tags.is_empty() {
        let acted = Acted::on(role.arn(call.account())).with_request_tags(Some(role.tags.clone()));
        call.require(OperationName::TagRole, acted).await?;
    }
    role.trusted_ids = check_trust_policy(call, &role.trust_policy).await?;
    if call.table().identity::<RoleRecord>(call.account(), &role.name).await?.is_some() {
        return Err(already_exists::<RoleRecord>(&role.name));
    }
    let mut changes = vec![Change::create(call.account(), &role)?];
    if let Some(arn) = &role.boundary {
        changes.extend(boundaries::used(call, arn).await?);
    }
    call.write(changes).await?;
    Ok(CreateRoleResponse { role: described(call, &role).await? })
}

operation! {
    GetRole(GetRoleRequest) -> GetRoleResponse;
    on |names, input| names.holder::<RoleRecord>(&input.role_name).await;
    run |call, input| {
        let role = call.holder::<RoleRecord>(&input.role_name).await?.record;
        Ok(GetRoleResponse { role: described(call, &role).await? })
    };
}

operation! {
    ListRoles(ListRolesRequest) -> ListRolesResponse;
    on |_names, _input| Ok(Acted::any());
    run |call, input| {
        let prefix = input.path_prefix.as_deref();
        let selection = prefix.unwrap_or_default();
        let mut page = Page::open(call, Self::NAME, selection, input.max_items, input.marker.as_deref()).await?;
        let roles = page.take::<RoleRecord>(0, "", |role| is_under(&role.path, prefix)).await?;
        let (is_truncated, marker) = page.end().await?;
        let mut shown = Vec::with_capacity(roles.len());
        for role in &roles {
            shown.push(listed(call, role).await?);
        }
        let roles = shown;
        Ok(ListRolesResponse { roles, is_truncated, marker })
    };
}

operation! {
    UpdateRole(UpdateRoleRequest) -> UpdateRoleResponse;
    on |names, input| names.holder::<RoleRecord>(&input.role_name).await;
    run |call, input| {
        let stored = call.holder::<RoleRecord>(&input.role_name).await?;
        let mut role = stored.record.clone();
        role.description = input.description.or(role.description);
        role.max_session_s = input.max_session_duration.map_or(role.max_session_s, i64::from);
        call.replace(&stored, &role).await?;
        Ok(UpdateRoleResponse {})
    };
}

operation! {
    UpdateRoleDescription(UpdateRoleDescriptionRequest) -> UpdateRoleDescriptionResponse;
    on |names, input| names.holder::<RoleRecord>(&input.role_name).await;
    run |call, input| {
        let stored = call.holder::<RoleRecord>(&input.role_name).await?;
        let role = RoleRecord { description: Some(input.description), ..stored.record.clone() };
        call.replace(&stored, &role).await?;
        Ok(UpdateRoleDescriptionResponse { role: Some(described(call, &role).await?) })
    };
}

operation! {
    UpdateAssumeRolePolicy(UpdateAssumeRolePolicyRequest) -> Empty;
    on |names, input| names.holder::<RoleRecord>(&input.role_name).await;
    run |call, input| {
        let stored = call.holder::<RoleRecord>(&input.role_name).await?;
        let trusted_ids = check_trust_policy(call, &input.policy_document).await?;
        let role = RoleRecord { trust_policy: input.policy_document, trusted_ids, ..stored.record.clone() };
        call.replace(&stored, &role).await?;
        Ok(Empty {})
    };
}

operation! {
    DeleteRole(DeleteRoleRequest) -> Empty;
    on |names, input| names.holder::<RoleRecord>(&input.role_name).await;
    run |call, input| {
        let stored = call.holder::<RoleRecord>(&input.role_name).await?;
        check_no_policies(&stored.record)?;
        let mut changes = vec![Change::delete(call.account(), &stored)];
        if let Some(arn) = &stored.record.boundary {
            changes.extend(boundaries::unused(call, arn).await?);
        }
        call.write(changes).await?;
        Ok(Empty {})
    };
}

/// A role as `GetRole` shows it.
async fn described(call: &Call<'_>, role: &RoleRecord) -> Result<Role> {
    Ok(Role {
        permissions_boundary: boundaries::shape(role.boundary.as_deref()),
        tags: tags::shape(&role.tags),
        ..listed(call, role).await?
    })
}

/// A role as listings show it.
async fn listed(call: &Call<'_>, role: &RoleRecord) -> Result<Role> {
    let trust_policy = shown(call.table(), call.account(), &role.trust_policy, &role.trusted_ids).await?;
    Ok(Role {
        path: role.path.clone(),
        role_name: role.name.clone(),
        role_id: role.id.clone(),
        arn: role.arn(call.account()),
        create_date: time(role.created_at_s),
        assume_role_policy_document: Some(percent_encode_document(&trust_policy)),
        description: role.description.clone(),
        max_session_duration: i32::try_from(role.max_session_s).ok(),
        ..Role::default()
    })
}
