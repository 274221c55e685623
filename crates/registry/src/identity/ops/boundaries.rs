//! Permissions boundaries of users and roles.
//!
//! Invariant: a policy's count of uses as a boundary changes in the transaction
//! that sets or removes it.

use ironwharf_cloud::table::identity::{Change, RoleRecord, UserRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    AttachedPermissionsBoundary, DeleteRolePermissionsBoundaryRequest, DeleteUserPermissionsBoundaryRequest,
    PermissionsBoundaryAttachmentType, PutRolePermissionsBoundaryRequest, PutUserPermissionsBoundaryRequest,
};

use super::Call;
use super::holders::Holder;
use super::managed_policies::recount;

/// What can have a permissions boundary.
trait Bounded: Holder {
    fn boundary_mut(&mut self) -> &mut Option<String>;
}

impl Bounded for UserRecord {
    fn boundary_mut(&mut self) -> &mut Option<String> {
        &mut self.boundary
    }
}

impl Bounded for RoleRecord {
    fn boundary_mut(&mut self) -> &mut Option<String> {
        &mut self.boundary
    }
}

macro_rules! boundaries {
    ($record:ident, $name:ident: $put:ident($put_input:ident), $delete:ident($delete_input:ident)) => {
        operation! {
            $put($put_input) -> Empty;
            on |names, input| {
                let acted = names.holder::<$record>(&input.$name).await?;
                Ok(acted.with_boundary(Some(&input.permissions_boundary)))
            };
            run |call, input| set::<$record>(call, &input.$name, Some(input.permissions_boundary)).await;
        }

        operation! {
            $delete($delete_input) -> Empty;
            on |names, input| names.bounded::<$record>(&input.$name).await;
            run |call, input| set::<$record>(call, &input.$name, None).await;
        }
    };
}

boundaries!(UserRecord, user_name:
    PutUserPermissionsBoundary(PutUserPermissionsBoundaryRequest),
    DeleteUserPermissionsBoundary(DeleteUserPermissionsBoundaryRequest)
);
boundaries!(RoleRecord, role_name:
    PutRolePermissionsBoundary(PutRolePermissionsBoundaryRequest),
    DeleteRolePermissionsBoundary(DeleteRolePermissionsBoundaryRequest)
);

async fn set<H: Bounded>(call: &Call<'_>, name: &str, boundary: Option<String>) -> Result<Empty> {
    let stored = call.holder::<H>(name).await?;
    let before = stored.record.boundary();
    if boundary.is_none() && before.is_none() {
        let message = format!("{} {} does not have a permissions boundary.", H::TITLE, stored.record.name());
        return Err(Error::NoSuchEntity { message });
    }
    if boundary.as_deref() == before {
        return Ok(Empty {});
    }
    let mut changes = Vec::new();
    if let Some(arn) = &boundary {
        changes.extend(used(call, arn).await?);
    }
    if let Some(arn) = before {
        changes.extend(unused(call, arn).await?);
    }
    let mut holder = stored.record.clone();
    *holder.boundary_mut() = boundary;
    changes.push(Change::replace(call.account(), &stored, &holder)?);
    call.write(changes).await?;
    Ok(Empty {})
}

/// Counts one use more of a policy as a boundary.
///
/// # Errors
/// [`Error::NoSuchEntity`] if there is no such policy.
pub(super) async fn used(call: &Call<'_>, arn: &str) -> Result<Option<Change>> {
    let counted = recount(call, arn, |policy| policy.boundary_uses += 1).await?;
    let message = || format!("Scope ARN: {} does not exist or is not attachable.", quoted(arn));
    counted.ok_or_else(|| Error::NoSuchEntity { message: message() })
}

/// Counts one use less of a policy as a boundary.
pub(super) async fn unused(call: &Call<'_>, arn: &str) -> Result<Option<Change>> {
    let counted = recount(call, arn, |policy| policy.boundary_uses = policy.boundary_uses.saturating_sub(1));
    Ok(counted.await?.flatten())
}

/// A boundary as answers show it.
pub(super) fn shape(boundary: Option<&str>) -> Option<AttachedPermissionsBoundary> {
    boundary.map(|arn| AttachedPermissionsBoundary {
        permissions_boundary_type: Some(PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
        permissions_boundary_arn: Some(arn.to_owned()),
    })
}
