//! Users.

use std::collections::BTreeMap;

use ironwharf_cloud::table::identity::{Change, Stored, UserRecord};
use ironwharf_model::principal::iam_arn;
use ironwharf_model::{AccountId, Error, PrincipalKind, Result};
use ironwharf_wire::iam::shapes::{
    AttachedPermissionsBoundary, CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse,
    PermissionsBoundaryAttachmentType, Tag, User,
};
use ironwharf_wire::iam::{OperationName, Timestamp};

use super::{Acted, Call, Names, Operation};
use crate::identity::unique_id::{IdKind, unique_id};

pub(crate) struct CreateUser;

impl Operation for CreateUser {
    const NAME: OperationName = OperationName::CreateUser;
    type Input = CreateUserRequest;
    type Output = CreateUserResponse;

    async fn resource(names: &Names<'_>, input: &Self::Input) -> Result<Acted> {
        let path = input.path.as_deref().unwrap_or("/");
        Ok(Acted::on(iam_arn(names.account(), "user", path, &input.user_name)))
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let user = UserRecord {
            name: input.user_name,
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            id: unique_id(IdKind::User),
            created_at_s: call.now_s(),
            inline_policies: BTreeMap::new(),
            attached_policies: Vec::new(),
            boundary: None,
            groups: Vec::new(),
            access_keys: Vec::new(),
            tags: BTreeMap::new(),
            revoked_before_s: 0,
        };
        if call.table().identity::<UserRecord>(call.account(), &user.name).await?.is_some() {
            let message = format!("User with name {} already exists.", user.name);
            return Err(Error::EntityAlreadyExists { message });
        }
        call.write(vec![Change::create(call.account(), &user)?]).await?;
        Ok(CreateUserResponse { user: Some(shape(call.account(), &user)) })
    }
}

pub(crate) struct GetUser;

impl Operation for GetUser {
    const NAME: OperationName = OperationName::GetUser;
    type Input = GetUserRequest;
    type Output = GetUserResponse;

    async fn resource(names: &Names<'_>, input: &Self::Input) -> Result<Acted> {
        names.user(input.user_name.as_deref()).await
    }

    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let own = match &call.permit.caller().principal.kind {
            PrincipalKind::User { name, .. } => Some(name.clone()),
            _ => None,
        };
        let name = input.user_name.or(own);
        let name = name.ok_or_else(|| Error::Validation { message: "Must specify userName".to_owned() })?;
        let Stored { record, .. } = stored(call, &name).await?;
        Ok(GetUserResponse { user: shape(call.account(), &record) })
    }
}

/// The user of a name.
pub(super) async fn stored(call: &Call<'_>, name: &str) -> Result<Stored<UserRecord>> {
    let stored = call.table().identity::<UserRecord>(call.account(), name).await?;
    let message = || format!("The user with name {} cannot be found.", ironwharf_model::error::quoted(name));
    stored.ok_or_else(|| Error::NoSuchEntity { message: message() })
}

fn shape(account: &AccountId, user: &UserRecord) -> User {
    let boundary = user.boundary.as_ref().map(|arn| AttachedPermissionsBoundary {
        permissions_boundary_type: Some(PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
        permissions_boundary_arn: Some(arn.clone()),
    });
    let tags = user.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() });
    User {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.id.clone(),
        arn: iam_arn(account, "user", &user.path, &user.name),
        create_date: Timestamp::from_epoch_millis(user.created_at_s * 1000),
        password_last_used: None,
        permissions_boundary: boundary,
        tags: (!user.tags.is_empty()).then(|| tags.collect()),
    }
}
