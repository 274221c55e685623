//! Groups.

use std::collections::BTreeMap;

use ironwharf_cloud::table::identity::{Change, GroupRecord, IdentityRecord, Membership, UserRecord, Wanted};
use ironwharf_model::principal::iam_arn;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    CreateGroupRequest, CreateGroupResponse, DeleteGroupRequest, Group, ListGroupsRequest, ListGroupsResponse,
    UpdateGroupRequest,
};

use super::holders::{Holder, already_exists, check_no_policies, is_under, moved, path_or_root, time};
use super::paging::Page;
use super::{Acted, Call};
use crate::identity::unique_id::{IdKind, unique_id};

/// How many users a group can have whose name is changed: all of them change in
/// one transaction, which has at most 100 items.
const MAX_RENAMED: usize = 32;

operation! {
    CreateGroup(CreateGroupRequest) -> CreateGroupResponse;
    on |names, input| {
        let path = input.path.as_deref().unwrap_or("/");
        Ok(Acted::on(iam_arn(names.account(), "group", path, &input.group_name)))
    };
    run |call, input| {
        let group = GroupRecord {
            name: input.group_name,
            path: path_or_root(input.path),
            id: unique_id(IdKind::Group),
            created_at_s: call.now_s(),
            inline_policies: BTreeMap::new(),
            attached_policies: Vec::new(),
        };
        if call.table().identity::<GroupRecord>(call.account(), &group.name).await?.is_some() {
            return Err(already_exists::<GroupRecord>(&group.name));
        }
        call.write(vec![Change::create(call.account(), &group)?]).await?;
        Ok(CreateGroupResponse { group: shape(call.account(), &group) })
    };
}

operation! {
    ListGroups(ListGroupsRequest) -> ListGroupsResponse;
    on |_names, _input| Ok(Acted::any());
    run |call, input| {
        let prefix = input.path_prefix.as_deref();
        let selection = prefix.unwrap_or_default();
        let mut page = Page::open(call, Self::NAME, selection, input.max_items, input.marker.as_deref()).await?;
        let groups = page.take::<GroupRecord>(0, "", |group| is_under(&group.path, prefix)).await?;
        let (is_truncated, marker) = page.end().await?;
        let groups = groups.iter().map(|group| shape(call.account(), group)).collect();
        Ok(ListGroupsResponse { groups, is_truncated, marker })
    };
}

operation! {
    UpdateGroup(UpdateGroupRequest) -> Empty;
    on |names, input| names.holder::<GroupRecord>(&input.group_name).await;
    run |call, input| {
        let stored = call.holder::<GroupRecord>(&input.group_name).await?;
        let mut group = stored.record.clone();
        group.path = input.new_path.unwrap_or(group.path);
        group.name = input.new_group_name.unwrap_or(group.name);
        let arn = group.arn(call.account());
        if arn != stored.record.arn(call.account()) {
            call.require(Self::NAME, Acted::on(arn)).await?;
        }
        let is_same = group.key() == stored.record.key();
        if !is_same && call.table().identity::<GroupRecord>(call.account(), &group.name).await?.is_some() {
            return Err(already_exists::<GroupRecord>(&group.name));
        }
        let mut changes = moved(call.account(), &stored, &group)?;
        if group.name != stored.record.name {
            changes.extend(renamed(call, &stored.record, &group.name).await?);
        }
        call.write(changes).await?;
        Ok(Empty {})
    };
}

/// What else changes with a group's name: its users and their memberships.
async fn renamed(call: &Call<'_>, group: &GroupRecord, name: &str) -> Result<Vec<Change>> {
    let members = call.table().list_identities(call.account(), &members_prefix(group), None, MAX_RENAMED + 1).await?;
    let members: Vec<Membership> = members.items;
    if members.len() > MAX_RENAMED {
        let message = format!("A group with more than {MAX_RENAMED} users cannot be given another name.");
        return Err(Error::LimitExceeded { message });
    }
    let users = Wanted::<UserRecord>::new(members.iter().map(|member| member.user.clone()));
    let memberships = Wanted::<Membership>::new(members.iter().map(IdentityRecord::key));
    let (users, memberships) = call.table().identities(call.account(), &users, &memberships).await?;
    let mut changes = Vec::new();
    for stored in users {
        let mut user = stored.record.clone();
        for of_user in &mut user.groups {
            if of_user.to_lowercase() == group.key() {
                name.clone_into(of_user);
            }
        }
        changes.push(Change::replace(call.account(), &stored, &user)?);
    }
    for stored in memberships {
        let membership = Membership { group: name.to_owned(), ..stored.record.clone() };
        changes.extend(moved(call.account(), &stored, &membership)?);
    }
    Ok(changes)
}

operation! {
    DeleteGroup(DeleteGroupRequest) -> Empty;
    on |names, input| names.holder::<GroupRecord>(&input.group_name).await;
    run |call, input| {
        let stored = call.holder::<GroupRecord>(&input.group_name).await?;
        let prefix = members_prefix(&stored.record);
        let members = call.table().list_identities::<Membership>(call.account(), &prefix, None, 1).await?;
        if !members.items.is_empty() {
            let message = "Cannot delete entity, must remove users from group first.".to_owned();
            return Err(Error::DeleteConflict { message });
        }
        check_no_policies(&stored.record)?;
        call.write(vec![Change::delete(call.account(), &stored)]).await?;
        Ok(Empty {})
    };
}

/// What the keys of the memberships of a group start with.
pub(super) fn members_prefix(group: &GroupRecord) -> String {
    format!("{}/", group.key())
}

/// A group as answers show it.
pub(super) fn shape(account: &AccountId, group: &GroupRecord) -> Group {
    Group {
        path: group.path.clone(),
        group_name: group.name.clone(),
        group_id: group.id.clone(),
        arn: group.arn(account),
        create_date: time(group.created_at_s),
    }
}
