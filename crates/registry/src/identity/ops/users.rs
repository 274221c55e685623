//! Users.

use std::collections::BTreeMap;

use ironwharf_cloud::table::identity::{
    AccessKeyRecord, Change, GroupRecord, IdentityRecord, Membership, Stored, UserRecord, Wanted,
};
use ironwharf_model::principal::iam_arn;
use ironwharf_model::{AccountId, Error, PrincipalKind, Result};
use ironwharf_wire::iam::shapes::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, GetUserRequest, GetUserResponse, ListUsersRequest,
    ListUsersResponse, UpdateUserRequest, User,
};
use ironwharf_wire::iam::{Empty, OperationName};

use super::holders::{Holder, already_exists, check_no_policies, is_under, moved, path_or_root, time};
use super::paging::Page;
use super::{Acted, Call, access_keys, boundaries, tags};
use crate::identity::unique_id::{IdKind, unique_id};

operation! {
    CreateUser(CreateUserRequest) -> CreateUserResponse;
    on |names, input| {
        let path = input.path.as_deref().unwrap_or("/");
        let acted = Acted::on(iam_arn(names.account(), "user", path, &input.user_name));
        let acted = acted.with_boundary(input.permissions_boundary.as_deref());
        Ok(acted.with_request_tags(tags::requested(input.tags.as_deref())))
    };
    run |call, input| create(call, input).await;
}

async fn create(call: &Call<'_>, input: CreateUserRequest) -> Result<CreateUserResponse> {
    let user = UserRecord {
        name: input.user_name,
        path: path_or_root(input.path),
        id: unique_id(IdKind::User),
        created_at_s: call.now_s(),
        inline_policies: BTreeMap::new(),
        attached_policies: Vec::new(),
        boundary: input.permissions_boundary,
        groups: Vec::new(),
        access_keys: Vec::new(),
        tags: tags::read(input.tags.as_deref().unwrap_or_default())?,
        revoked_before_s: 0,
    };
    if !user.tags.is_empty() {
        let acted = Acted::on(user.arn(call.account())).with_request_tags(Some(user.tags.clone()));
        call.require(OperationName::TagUser, acted).await?;
    }
    if call.table().identity::<UserRecord>(call.account(), &user.name).await?.is_some() {
        return Err(already_exists::<UserRecord>(&user.name));
    }
    let mut changes = vec![Change::create(call.account(), &user)?];
    if let Some(arn) = &user.boundary {
        changes.extend(boundaries::used(call, arn).await?);
    }
    call.write(changes).await?;
    Ok(CreateUserResponse { user: Some(described(call.account(), &user)) })
}

operation! {
    GetUser(GetUserRequest) -> GetUserResponse;
    on |names, input| names.user(input.user_name.as_deref()).await;
    run |call, input| {
        let principal = &call.permit.caller().principal;
        if input.user_name.is_none() && principal.is_root() {
            let user = User {
                path: "/".to_owned(),
                user_name: access_keys::ROOT.to_owned(),
                user_id: principal.user_id(),
                arn: principal.arn(),
                ..User::default()
            };
            return Ok(GetUserResponse { user });
        }
        let name = named(call, input.user_name)?;
        let user = call.holder::<UserRecord>(&name).await?.record;
        Ok(GetUserResponse { user: described(call.account(), &user) })
    };
}

/// The name of a user; without one, that of the user who calls.
pub(super) fn named(call: &Call<'_>, name: Option<String>) -> Result<String> {
    match (name, &call.permit.caller().principal.kind) {
        (Some(name), _) => Ok(name),
        (None, PrincipalKind::User { name, .. }) => Ok(name.clone()),
        (None, _) => {
            let message = "Must specify userName when calling with non-User credentials".to_owned();
            Err(Error::Validation { message })
        }
    }
}

operation! {
    ListUsers(ListUsersRequest) -> ListUsersResponse;
    on |_names, _input| Ok(Acted::any());
    run |call, input| {
        let prefix = input.path_prefix.as_deref();
        let selection = prefix.unwrap_or_default();
        let mut page = Page::open(call, Self::NAME, selection, input.max_items, input.marker.as_deref()).await?;
        let users = page.take::<UserRecord>(0, "", |user| is_under(&user.path, prefix)).await?;
        let (is_truncated, marker) = page.end().await?;
        let users = users.iter().map(|user| listed(call.account(), user)).collect();
        Ok(ListUsersResponse { users, is_truncated, marker })
    };
}

operation! {
    UpdateUser(UpdateUserRequest) -> Empty;
    on |names, input| names.user(Some(&input.user_name)).await;
    run |call, input| {
        let stored = call.holder::<UserRecord>(&input.user_name).await?;
        let mut user = stored.record.clone();
        user.path = input.new_path.unwrap_or(user.path);
        user.name = input.new_user_name.unwrap_or(user.name);
        let arn = user.arn(call.account());
        if arn != stored.record.arn(call.account()) {
            call.require(Self::NAME, Acted::on(arn)).await?;
        }
        let is_same = user.key() == stored.record.key();
        if !is_same && call.table().identity::<UserRecord>(call.account(), &user.name).await?.is_some() {
            return Err(already_exists::<UserRecord>(&user.name));
        }
        let mut changes = moved(call.account(), &stored, &user)?;
        if user.name != stored.record.name {
            changes.extend(renamed(call, &stored.record, &user.name).await?);
        }
        call.write(changes).await?;
        Ok(Empty {})
    };
}

/// What else changes with a user's name: its keys and its memberships.
async fn renamed(call: &Call<'_>, user: &UserRecord, name: &str) -> Result<Vec<Change>> {
    let keys = Wanted::<AccessKeyRecord>::new(user.access_keys.iter().cloned());
    let member = |group: &String| Membership { group: group.clone(), user: user.name.clone() }.key();
    let memberships = Wanted::<Membership>::new(user.groups.iter().map(member));
    let (keys, memberships) = call.table().identities(call.account(), &keys, &memberships).await?;
    let mut changes = Vec::new();
    for stored in keys {
        let key = AccessKeyRecord { user: Some(name.to_owned()), ..stored.record.clone() };
        changes.push(Change::replace(call.account(), &stored, &key)?);
    }
    for stored in memberships {
        let membership = Membership { user: name.to_owned(), ..stored.record.clone() };
        changes.extend(moved(call.account(), &stored, &membership)?);
    }
    Ok(changes)
}

operation! {
    DeleteUser(DeleteUserRequest) -> Empty;
    on |names, input| names.user(Some(&input.user_name)).await;
    run |call, input| {
        let stored = call.holder::<UserRecord>(&input.user_name).await?;
        let user = &stored.record;
        let conflict = |message: &str| Err(Error::DeleteConflict { message: message.to_owned() });
        if !user.access_keys.is_empty() {
            return conflict("Cannot delete entity, must delete access keys first.");
        }
        if !user.groups.is_empty() {
            return conflict("Cannot delete entity, must remove users from group first.");
        }
        check_no_policies(user)?;
        let mut changes = vec![Change::delete(call.account(), &stored)];
        if let Some(arn) = &user.boundary {
            changes.extend(boundaries::unused(call, arn).await?);
        }
        call.write(changes).await?;
        Ok(Empty {})
    };
}

/// Users of these names, in the order of the names.
pub(super) async fn of_names(
    call: &Call<'_>,
    names: impl IntoIterator<Item = String>,
) -> Result<Vec<Stored<UserRecord>>> {
    let (users, _) = call
        .table()
        .identities::<UserRecord, GroupRecord>(call.account(), &Wanted::new(names), &Wanted::new([]))
        .await?;
    Ok(users)
}

/// A user as `GetUser` shows it.
fn described(account: &AccountId, user: &UserRecord) -> User {
    User {
        permissions_boundary: boundaries::shape(user.boundary.as_deref()),
        tags: tags::shape(&user.tags),
        ..listed(account, user)
    }
}

/// A user as listings show it.
pub(super) fn listed(account: &AccountId, user: &UserRecord) -> User {
    User {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.id.clone(),
        arn: user.arn(account),
        create_date: time(user.created_at_s),
        password_last_used: None,
        permissions_boundary: None,
        tags: None,
    }
}
