//! Users in groups.
//!
//! Invariant: whoever adds a user writes the group's record again, so that a
//! group that is being deleted gets no user, and the user's, so that no user
//! has more groups than allowed.

use ironwharf_cloud::table::identity::{Change, GroupRecord, IdentityRecord, Membership, UserRecord, Wanted};
use ironwharf_model::{Error, Result};
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    AddUserToGroupRequest, GetGroupRequest, GetGroupResponse, ListGroupsForUserRequest, ListGroupsForUserResponse,
    RemoveUserFromGroupRequest,
};

use super::documents::quota;
use super::groups::{members_prefix, shape};
use super::paging::Page;
use super::{Call, users};

/// How many groups a user can be in.
const MAX_GROUPS: usize = 10;

operation! {
    AddUserToGroup(AddUserToGroupRequest) -> Empty;
    on |names, input| names.holder::<GroupRecord>(&input.group_name).await;
    run |call, input| {
        let group = call.holder::<GroupRecord>(&input.group_name).await?;
        let stored = call.holder::<UserRecord>(&input.user_name).await?;
        if stored.record.groups.iter().any(|name| is_name_of(name, &group.record)) {
            return Ok(Empty {});
        }
        if stored.record.groups.len() >= MAX_GROUPS {
            return Err(quota("GroupsPerUser", MAX_GROUPS));
        }
        let mut user = stored.record.clone();
        user.groups.push(group.record.name.clone());
        let membership = Membership { group: group.record.name.clone(), user: user.name.clone() };
        let changes = vec![
            Change::replace(call.account(), &stored, &user)?,
            Change::replace(call.account(), &group, &group.record)?,
            Change::create(call.account(), &membership)?,
        ];
        call.write(changes).await?;
        Ok(Empty {})
    };
}

operation! {
    RemoveUserFromGroup(RemoveUserFromGroupRequest) -> Empty;
    on |names, input| names.holder::<GroupRecord>(&input.group_name).await;
    run |call, input| {
        let group = call.holder::<GroupRecord>(&input.group_name).await?.record;
        let stored = call.holder::<UserRecord>(&input.user_name).await?;
        let mut user = stored.record.clone();
        user.groups.retain(|name| !is_name_of(name, &group));
        if user.groups.len() == stored.record.groups.len() {
            let message = format!("User {} is not in group {}.", user.name, group.name);
            return Err(Error::NoSuchEntity { message });
        }
        let membership = Membership { group: group.name, user: user.name.clone() };
        let changes = vec![
            Change::replace(call.account(), &stored, &user)?,
            Change::remove(call.account(), &membership),
        ];
        call.write(changes).await?;
        Ok(Empty {})
    };
}

operation! {
    GetGroup(GetGroupRequest) -> GetGroupResponse;
    on |names, input| names.holder::<GroupRecord>(&input.group_name).await;
    run |call, input| {
        let group = call.holder::<GroupRecord>(&input.group_name).await?.record;
        let mut page = Page::open(call, Self::NAME, &group.id, input.max_items, input.marker.as_deref()).await?;
        let members = page.take::<Membership>(0, &members_prefix(&group), |_member| true).await?;
        let (is_truncated, marker) = page.end().await?;
        let users = users::of_names(call, members.into_iter().map(|member| member.user)).await?;
        let users = users.iter().map(|stored| users::listed(call.account(), &stored.record)).collect();
        Ok(GetGroupResponse { group: shape(call.account(), &group), users, is_truncated, marker })
    };
}

operation! {
    ListGroupsForUser(ListGroupsForUserRequest) -> ListGroupsForUserResponse;
    on |names, input| names.user(Some(&input.user_name)).await;
    run |call, input| {
        let user = call.holder::<UserRecord>(&input.user_name).await?.record;
        let mut page = Page::open(call, Self::NAME, &user.id, input.max_items, input.marker.as_deref()).await?;
        let groups = of_user(call, page.slice(0, user.groups)).await?;
        let (is_truncated, marker) = page.end().await?;
        let groups = groups.iter().map(|group| shape(call.account(), group)).collect();
        Ok(ListGroupsForUserResponse { groups, is_truncated, marker })
    };
}

async fn of_user(call: &Call<'_>, names: Vec<String>) -> Result<Vec<GroupRecord>> {
    let (groups, _) = call
        .table()
        .identities::<GroupRecord, UserRecord>(call.account(), &Wanted::new(names), &Wanted::new([]))
        .await?;
    Ok(groups.into_iter().map(|stored| stored.record).collect())
}

fn is_name_of(name: &str, group: &GroupRecord) -> bool {
    name.to_lowercase() == group.key()
}
