//! Access keys of users and of the root.
//!
//! Invariant: a key is made and deleted in one transaction with the list of
//! keys in its owner's record, so that nobody has more than two.

use ironwharf_cloud::table::identity::{AccessKeyRecord, AccountRecord, Change, Stored, UserRecord, Wanted};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    AccessKey, AccessKeyLastUsed, AccessKeyMetadata, CreateAccessKeyRequest, CreateAccessKeyResponse,
    DeleteAccessKeyRequest, GetAccessKeyLastUsedRequest, GetAccessKeyLastUsedResponse, ListAccessKeysRequest,
    ListAccessKeysResponse, StatusType, UpdateAccessKeyRequest,
};

use super::documents::quota;
use super::holders::time;
use super::paging::Page;
use super::{Acted, Call, users};
use crate::identity::access_keys::new_key;

/// How many keys a user or the root can have.
const MAX_KEYS: usize = 2;

/// What the root is called where a user's name is wanted.
pub(super) const ROOT: &str = "root";

/// Whose keys are spoken of.
enum Owner {
    User(Stored<UserRecord>),
    Root(Stored<AccountRecord>),
}

impl Owner {
    /// The user of a name; without one, whoever calls.
    async fn find(call: &Call<'_>, name: Option<String>) -> Result<Self> {
        if name.is_none() && call.permit.caller().principal.is_root() {
            let stored = call.table().identity::<AccountRecord>(call.account(), "").await?;
            return stored.map(Self::Root).ok_or_else(|| {
                let message = "The keys of this account's root come from the configuration of the registry and cannot \
                               be changed here: make a user, and keys for it";
                Error::Validation { message: message.to_owned() }
            });
        }
        let name = users::named(call, name)?;
        Ok(Self::User(call.holder::<UserRecord>(&name).await?))
    }

    fn name(&self) -> &str {
        self.user().unwrap_or(ROOT)
    }

    fn user(&self) -> Option<&str> {
        match self {
            Self::User(stored) => Some(&stored.record.name),
            Self::Root(_) => None,
        }
    }

    fn keys(&self) -> &[String] {
        match self {
            Self::User(stored) => &stored.record.access_keys,
            Self::Root(stored) => &stored.record.root_keys,
        }
    }

    /// The change that gives the owner other keys.
    fn with_keys(&self, call: &Call<'_>, keys: Vec<String>) -> Result<Change> {
        match self {
            Self::User(stored) => {
                let user = UserRecord { access_keys: keys, ..stored.record.clone() };
                Change::replace(call.account(), stored, &user)
            }
            Self::Root(stored) => {
                let account = AccountRecord { root_keys: keys, ..stored.record.clone() };
                Change::replace(call.account(), stored, &account)
            }
        }
    }

    /// One of the owner's keys.
    async fn key(&self, call: &Call<'_>, id: &str) -> Result<Stored<AccessKeyRecord>> {
        if !self.keys().iter().any(|known| known == id) {
            return Err(not_found(id));
        }
        call.table().identity(call.account(), id).await?.ok_or_else(|| not_found(id))
    }
}

fn not_found(id: &str) -> Error {
    Error::NoSuchEntity { message: format!("The Access Key with id {} cannot be found.", quoted(id)) }
}

const fn status(key: &AccessKeyRecord) -> StatusType {
    if key.active { StatusType::Active } else { StatusType::Inactive }
}

operation! {
    CreateAccessKey(CreateAccessKeyRequest) -> CreateAccessKeyResponse;
    on |names, input| names.user(input.user_name.as_deref()).await;
    run |call, input| {
        let owner = Owner::find(call, input.user_name).await?;
        if owner.keys().len() >= MAX_KEYS {
            return Err(quota("AccessKeysPerUser", MAX_KEYS));
        }
        let key = new_key(call.directory, call.account(), owner.user(), call.now_s()).await?;
        let keys = owner.keys().iter().cloned().chain([key.record.id.clone()]).collect();
        call.write(vec![owner.with_keys(call, keys)?, Change::create(call.account(), &key.record)?]).await?;
        let access_key = AccessKey {
            user_name: owner.name().to_owned(),
            access_key_id: key.record.id.clone(),
            status: status(&key.record),
            secret_access_key: key.secret,
            create_date: Some(time(key.record.created_at_s)),
        };
        Ok(CreateAccessKeyResponse { access_key })
    };
}

operation! {
    ListAccessKeys(ListAccessKeysRequest) -> ListAccessKeysResponse;
    on |names, input| names.user(input.user_name.as_deref()).await;
    run |call, input| {
        let owner = Owner::find(call, input.user_name).await?;
        let mut page = Page::open(call, Self::NAME, owner.name(), input.max_items, input.marker.as_deref()).await?;
        let ids = Wanted::<AccessKeyRecord>::new(page.slice(0, owner.keys().to_vec()));
        let (is_truncated, marker) = page.end().await?;
        let (keys, _) = call.table().identities::<_, UserRecord>(call.account(), &ids, &Wanted::new([])).await?;
        let shape = |Stored { record, .. }: &Stored<AccessKeyRecord>| AccessKeyMetadata {
            user_name: Some(owner.name().to_owned()),
            access_key_id: Some(record.id.clone()),
            status: Some(status(record)),
            create_date: Some(time(record.created_at_s)),
        };
        let access_key_metadata = keys.iter().map(shape).collect();
        Ok(ListAccessKeysResponse { access_key_metadata, is_truncated, marker })
    };
}

operation! {
    UpdateAccessKey(UpdateAccessKeyRequest) -> Empty;
    on |names, input| names.user(input.user_name.as_deref()).await;
    run |call, input| {
        let active = match input.status {
            StatusType::Active => true,
            StatusType::Inactive => false,
            StatusType::Expired => {
                let message = "An access key can be made Active or Inactive".to_owned();
                return Err(Error::Validation { message });
            }
        };
        let owner = Owner::find(call, input.user_name).await?;
        let stored = owner.key(call, &input.access_key_id).await?;
        call.replace(&stored, &AccessKeyRecord { active, ..stored.record.clone() }).await?;
        Ok(Empty {})
    };
}

operation! {
    DeleteAccessKey(DeleteAccessKeyRequest) -> Empty;
    on |names, input| names.user(input.user_name.as_deref()).await;
    run |call, input| {
        let owner = Owner::find(call, input.user_name).await?;
        let stored = owner.key(call, &input.access_key_id).await?;
        let keys = owner.keys().iter().filter(|id| **id != input.access_key_id).cloned().collect();
        call.write(vec![owner.with_keys(call, keys)?, Change::delete(call.account(), &stored)]).await?;
        Ok(Empty {})
    };
}

operation! {
    GetAccessKeyLastUsed(GetAccessKeyLastUsedRequest) -> GetAccessKeyLastUsedResponse;
    on |names, input| {
        let id = &input.access_key_id;
        let stored = names.directory.table().identity::<AccessKeyRecord>(names.account(), id).await?;
        match stored.and_then(|stored| stored.record.user) {
            Some(user) => names.user(Some(&user)).await,
            None => Ok(Acted::any()),
        }
    };
    run |call, input| {
        let id = &input.access_key_id;
        let stored = call.table().identity::<AccessKeyRecord>(call.account(), id).await?;
        let key = stored.ok_or_else(|| not_found(id))?.record;
        let unused = || "N/A".to_owned();
        let last_used = match call.table().key_use(call.account(), id).await? {
            Some(used) => AccessKeyLastUsed {
                last_used_date: Some(time(used.at_s)),
                service_name: used.service,
                region: used.region,
            },
            None => AccessKeyLastUsed { last_used_date: None, service_name: unused(), region: unused() },
        };
        let user_name = Some(key.user.unwrap_or_else(|| ROOT.to_owned()));
        Ok(GetAccessKeyLastUsedResponse { user_name, access_key_last_used: Some(last_used) })
    };
}
