//! The operator's API: accounts, and the keys of tenants. AWS JSON 1.1, signed for the service
//! `ironwharf`.
//!
//! Invariant: only principals of the operator's own account get through, and
//! only where their policies allow the `ironwharf:` action.

mod keys;

use ironwharf_cloud::table::identity::{AccountRecord, AccountStatus, Change, RoleRecord, Stored, UserRecord};
use ironwharf_cloud::{Mode, random};
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::service::scalars::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::audit::lookup::{self, LookupRequest, LookupResponse};
use crate::authenticate::Caller;
use crate::authorize::{Details, Permit, Resource, authorize};
use crate::config::Tenancy;
use crate::identity::Directory;
use crate::identity::access_keys::{NewAccessKey, new_key};

/// What the operation's name follows in `X-Amz-Target`.
pub(crate) const TARGET_PREFIX: &str = "Ironwharf_20261101";

/// The SigV4 service name.
pub(crate) const SERVICE: &str = "ironwharf";

/// How often a free account id is looked for.
const ID_TRIES: u32 = 8;

/// The longest name of an account, in characters.
const MAX_NAME: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateAccountRequest {
    account_id: Option<AccountId>,
    account_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccountRequest {
    account_id: AccountId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RevokeRequest {
    account_id: AccountId,
    user_name: Option<String>,
    role_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListRequest {
    max_results: Option<usize>,
    /// The last account of the page before.
    next_token: Option<AccountId>,
}

#[derive(Deserialize)]
struct EventsRequest {
    #[serde(rename = "accountId")]
    account_id: AccountId,
    /// The rest is as `LookupEvents` of CloudTrail has it.
    #[serde(flatten)]
    lookup: LookupRequest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountShape {
    account_id: AccountId,
    account_name: String,
    status: &'static str,
    created_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountResponse {
    account: AccountShape,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_access_key: Option<RootKeyShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RootKeyShape {
    access_key_id: String,
    secret_access_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListResponse {
    accounts: Vec<AccountShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<AccountId>,
}

#[derive(Serialize)]
struct Nothing {}

impl AccountShape {
    fn of(record: &AccountRecord) -> Self {
        Self {
            account_id: record.id.clone(),
            account_name: record.name.clone(),
            status: match record.status {
                AccountStatus::Active => "ACTIVE",
                AccountStatus::Suspended => "SUSPENDED",
            },
            created_at: Timestamp::from_epoch_millis(record.created_at_s * 1000),
        }
    }
}

/// An authorized call.
struct Call<'a> {
    app: &'a App,
    directory: &'a Directory,
    permit: Permit,
}

/// The operations, by name.
pub const SERVED: &[&str] = &[
    "CreateAccount",
    "CreateKey",
    "CreateRootAccessKey",
    "DeleteAccount",
    "DescribeAccount",
    "DisableKey",
    "EnableKey",
    "ListAccounts",
    "ListKeys",
    "LookupEvents",
    "ResumeAccount",
    "RevokeSessions",
    "SuspendAccount",
];

/// Authorizes the call, runs it and encodes the output.
pub(crate) async fn dispatch(app: &App, mut caller: Caller, operation: &str, body: &[u8]) -> Result<Vec<u8>> {
    if !SERVED.contains(&operation) {
        return Err(Error::UnknownOperation { operation: operation.to_owned() });
    }
    let directory = app.directory().await?;
    caller.parameters = serde_json::from_slice(body).ok().as_ref().and_then(crate::audit::parameters);
    let own = caller.principal.account.clone();
    let action = format!("ironwharf:{operation}");
    if !directory.is_operator(&own) {
        return Err(Error::AccessDenied {
            principal: caller.principal.arn(),
            action,
            resource: "*".to_owned(),
            reason: "because the account is not the operator's".to_owned(),
        });
    }
    let resource = Resource::Identity { account: own, arn: "*".to_owned() };
    let permit = authorize(caller, &action, resource, &Details::default()).await?;
    let call = Call { app, directory: &directory, permit };
    let result = call.run(operation, body).await;
    call.permit.conclude(result.as_ref().err()).await;
    result
}

impl Call<'_> {
    async fn run(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>> {
        let call = self;
        match operation {
            "CreateAccount" => encode(&call.create(decode(body)?).await?),
            "CreateRootAccessKey" => encode(&call.create_root_key(decode(body)?).await?),
            "DeleteAccount" => encode(&call.delete(decode(body)?).await?),
            "CreateKey" => encode(&call.create_key(decode(body)?).await?),
            "DescribeAccount" => encode(&call.describe(decode(body)?).await?),
            "DisableKey" => encode(&call.set_key(decode(body)?, false).await?),
            "EnableKey" => encode(&call.set_key(decode(body)?, true).await?),
            "ListKeys" => encode(&call.list_keys(decode(body)?).await?),
            "ListAccounts" => encode(&call.list(&decode(body)?).await?),
            "ResumeAccount" => encode(&call.set_status(decode(body)?, AccountStatus::Active).await?),
            "RevokeSessions" => encode(&call.revoke(decode(body)?).await?),
            "SuspendAccount" => encode(&call.set_status(decode(body)?, AccountStatus::Suspended).await?),
            "LookupEvents" => encode(&call.events(decode(body)?).await?),
            other => Err(Error::UnknownOperation { operation: other.to_owned() }),
        }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Error::Validation { message: error.to_string() })
}

fn encode<T: Serialize>(output: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(output).map_err(Error::internal)
}

impl Call<'_> {
    fn now_s(&self) -> i64 {
        self.permit.caller().now_s()
    }

    async fn stored(&self, account: &AccountId) -> Result<Stored<AccountRecord>> {
        let stored = self.directory.table().identity::<AccountRecord>(account, "").await?;
        stored.ok_or_else(|| Error::NoSuchEntity { message: format!("There is no account {account}") })
    }

    async fn write(&self, account: &AccountId, changes: Vec<Change>) -> Result<()> {
        let written = self.permit.audited(self.directory.table()).change_identities(changes).await?;
        self.directory.forget(account);
        if written {
            return Ok(());
        }
        let message = format!("Another request has changed account {account}; try again");
        Err(Error::ConcurrentModification { message })
    }

    async fn create(&self, input: CreateAccountRequest) -> Result<AccountResponse> {
        if self.app.config().tenancy == Tenancy::Silo {
            let message = "This registry is one account's own (its tenancy is 'silo'): it has no others".to_owned();
            return Err(Error::Validation { message });
        }
        let name = input.account_name.trim().to_owned();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            let message = format!("accountName must have 1 to {MAX_NAME} characters");
            return Err(Error::Validation { message });
        }
        let taken = |id: &AccountId| Error::EntityAlreadyExists { message: format!("Account {id} already exists") };
        let tries = if input.account_id.is_some() { 1 } else { ID_TRIES };
        let mut last = None;
        for _ in 0..tries {
            let id = match &input.account_id {
                Some(id) => id.clone(),
                None => random_account()?,
            };
            if self.directory.is_operator(&id) {
                last = Some(taken(&id));
                continue;
            }
            let NewAccessKey { record: key, secret } = new_key(self.directory, &id, None, self.now_s()).await?;
            let record = AccountRecord {
                id: id.clone(),
                name: name.clone(),
                created_at_s: self.now_s(),
                incarnation: random::hex::<8>(),
                trail_begins_at_ms: self.permit.caller().now_ms(),
                status: AccountStatus::Active,
                root_keys: vec![key.id.clone()],
                revoked_before_s: 0,
            };
            let changes = vec![Change::create(&id, &record)?, Change::create(&id, &key)?];
            // Listed first: an account that is not in the list could be forgotten,
            // a place in the list without an account is passed over.
            self.directory.table().enlist_account(&id, true).await?;
            if self.permit.audited(self.directory.table()).change_identities(changes).await? {
                self.directory.forget(&id);
                let root_access_key = Some(RootKeyShape { access_key_id: key.id, secret_access_key: secret });
                return Ok(AccountResponse { account: AccountShape::of(&record), root_access_key });
            }
            last = Some(taken(&id));
        }
        Err(last.unwrap_or_else(|| Error::internal("no account id was tried")))
    }

    /// A second root key, for rotating the first or after losing it.
    async fn create_root_key(&self, input: AccountRequest) -> Result<AccountResponse> {
        const MAX_KEYS: usize = 2;
        let id = input.account_id;
        let stored = self.stored(&id).await?;
        let NewAccessKey { record: key, secret } = new_key(self.directory, &id, None, self.now_s()).await?;
        let mut record = stored.record.clone();
        record.root_keys.push(key.id.clone());
        let mut changes = vec![Change::create(&id, &key)?];
        // The oldest goes: whoever asks for a new key has lost it or replaces it.
        if record.root_keys.len() > MAX_KEYS {
            let oldest = record.root_keys.remove(0);
            let table = self.directory.table();
            if let Some(oldest) =
                table.identity::<ironwharf_cloud::table::identity::AccessKeyRecord>(&id, &oldest).await?
            {
                changes.push(Change::delete(&id, &oldest));
            }
        }
        changes.push(Change::replace(&id, &stored, &record)?);
        self.write(&id, changes).await?;
        let root_access_key = Some(RootKeyShape { access_key_id: key.id, secret_access_key: secret });
        Ok(AccountResponse { account: AccountShape::of(&record), root_access_key })
    }

    async fn describe(&self, input: AccountRequest) -> Result<AccountResponse> {
        let stored = self.stored(&input.account_id).await?;
        Ok(AccountResponse { account: AccountShape::of(&stored.record), root_access_key: None })
    }

    async fn list(&self, input: &ListRequest) -> Result<ListResponse> {
        let limit = input.max_results.unwrap_or(100).clamp(1, 1000);
        let table = self.directory.table();
        let page = table.accounts(input.next_token.as_ref().map(AccountId::as_str), limit).await?;
        let next_token = page.items.last().filter(|_| page.more).cloned();
        let mut accounts = Vec::with_capacity(page.items.len());
        for id in &page.items {
            if let Some(stored) = table.identity::<AccountRecord>(id, "").await? {
                accounts.push(AccountShape::of(&stored.record));
            }
        }
        Ok(ListResponse { accounts, next_token })
    }

    /// The audit trail of any account, in the Region of the request.
    async fn events(&self, input: EventsRequest) -> Result<LookupResponse> {
        let table = &self.permit.region().cloud.table;
        lookup::lookup(table, &input.account_id, input.lookup, 0, self.permit.caller().now_ms()).await
    }

    async fn set_status(&self, input: AccountRequest, status: AccountStatus) -> Result<AccountResponse> {
        let stored = self.stored(&input.account_id).await?;
        let record = AccountRecord { status, ..stored.record.clone() };
        self.write(&record.id, vec![Change::replace(&record.id, &stored, &record)?]).await?;
        Ok(AccountResponse { account: AccountShape::of(&record), root_access_key: None })
    }

    /// Ends all sessions and login tokens issued until now: of a user, of a
    /// role, or of everybody in the account.
    async fn revoke(&self, input: RevokeRequest) -> Result<Nothing> {
        let (id, table) = (&input.account_id, self.directory.table());
        // What was issued in this very second ends too.
        let before = self.now_s() + 1;
        let missing = |what: &str| Error::NoSuchEntity { message: format!("There is no {what} in account {id}") };
        let change = match (&input.user_name, &input.role_name) {
            (None, None) => {
                let stored = self.stored(id).await?;
                let record = AccountRecord { revoked_before_s: before, ..stored.record.clone() };
                Change::replace(id, &stored, &record)?
            }
            (Some(name), None) => {
                let stored = table.identity::<UserRecord>(id, name).await?.ok_or_else(|| missing("such user"))?;
                let record = UserRecord { revoked_before_s: before, ..stored.record.clone() };
                Change::replace(id, &stored, &record)?
            }
            (None, Some(name)) => {
                let stored = table.identity::<RoleRecord>(id, name).await?.ok_or_else(|| missing("such role"))?;
                let record = RoleRecord { revoked_before_s: before, ..stored.record.clone() };
                Change::replace(id, &stored, &record)?
            }
            (Some(_), Some(_)) => {
                let message = "give userName or roleName, not both".to_owned();
                return Err(Error::Validation { message });
            }
        };
        self.write(id, vec![change]).await?;
        Ok(Nothing {})
    }

    /// Deletes a suspended account without repositories, and in all Regions that
    /// are known here what another account of the same id would come upon (see
    /// [`ironwharf_cloud::table::Key`]). Its KMS keys stay: they are the operator's.
    ///
    /// The account goes last, so that a deletion which fails can be repeated.
    async fn delete(&self, input: AccountRequest) -> Result<Nothing> {
        let id = input.account_id;
        let stored = self.stored(&id).await?;
        let conflict = |message: String| Error::DeleteConflict { message };
        if stored.record.status != AccountStatus::Suspended {
            return Err(conflict(format!("Account {id} is active; suspend it first")));
        }
        let mut regions = Vec::new();
        for region in self.app.regions().existing()? {
            let Some(region) = self.app.regions().get(&region, false).await? else { continue };
            let storage = region.cloud.tenants.storage(&id, Mode::Read).await?;
            let names = storage.table.repository_names(&id, None, 1).await?;
            if let Some(name) = names.items.first() {
                let region = &region.cloud.region;
                return Err(conflict(format!(
                    "Account {id} has repositories ('{name}' in {region}, for one); delete them first"
                )));
            }
            regions.push(region);
        }
        for region in regions {
            region.cloud.table.remove_registry(&id).await?;
            region.policies.forget_registry(&id);
            region.templates.forget(&id);
        }
        let table = self.directory.table();
        table.remove_identities(&id).await?;
        self.write(&id, vec![Change::delete(&id, &stored)]).await?;
        table.enlist_account(&id, false).await?;
        Ok(Nothing {})
    }
}

/// Twelve random digits.
fn random_account() -> Result<AccountId> {
    let number = u64::from_be_bytes(random::bytes()) % 1_000_000_000_000;
    AccountId::parse(&format!("{number:012}"))
}
