//! The KMS keys of tenants, in the Region of the request. A tenant names them
//! when it creates a repository; only the operator makes them.

use ironwharf_cloud::tenant_keys::TenantKey;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::service::scalars::Timestamp;
use serde::{Deserialize, Serialize};

use super::Call;

/// What the description of a key may have, in characters. (KMS.)
const MAX_DESCRIPTION: usize = 8192;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateRequest {
    account_id: AccountId,
    alias: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListRequest {
    account_id: AccountId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeyRequest {
    account_id: AccountId,
    /// Its id, its ARN, or the tenant's alias.
    key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyShape {
    key_id: String,
    key_arn: String,
    aliases: Vec<String>,
    description: String,
    state: String,
    created_at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct KeyResponse {
    key: KeyShape,
}

#[derive(Serialize)]
pub(super) struct ListResponse {
    keys: Vec<KeyShape>,
}

impl From<TenantKey> for KeyShape {
    fn from(key: TenantKey) -> Self {
        Self {
            key_id: key.id,
            key_arn: key.arn,
            aliases: key.aliases,
            description: key.description,
            state: key.state,
            created_at: Timestamp::from_epoch_millis(key.created_at_s * 1000),
        }
    }
}

impl Call<'_> {
    pub(super) async fn create_key(&self, input: CreateRequest) -> Result<KeyResponse> {
        self.check_account(&input.account_id).await?;
        let description = input.description.unwrap_or_default();
        if description.chars().count() > MAX_DESCRIPTION {
            let message = format!("description must have at most {MAX_DESCRIPTION} characters");
            return Err(Error::Validation { message });
        }
        let keys = &self.permit.region().cloud.tenant_keys;
        let key = keys.create(&input.account_id, input.alias.as_deref(), &description).await?;
        Ok(KeyResponse { key: key.into() })
    }

    pub(super) async fn list_keys(&self, input: ListRequest) -> Result<ListResponse> {
        self.check_account(&input.account_id).await?;
        let keys = self.permit.region().cloud.tenant_keys.list(&input.account_id).await?;
        Ok(ListResponse { keys: keys.into_iter().map(KeyShape::from).collect() })
    }

    /// Switches a key on or off. What is under a key that is off can be neither
    /// read nor written.
    pub(super) async fn set_key(&self, input: KeyRequest, enabled: bool) -> Result<KeyResponse> {
        self.check_account(&input.account_id).await?;
        let keys = &self.permit.region().cloud.tenant_keys;
        match keys.set_enabled(&input.account_id, &input.key_id, enabled).await {
            Ok(key) => Ok(KeyResponse { key: key.into() }),
            Err(Error::InvalidParameter { constraint, .. }) => Err(Error::Validation { message: constraint }),
            Err(error) => Err(error),
        }
    }

    async fn check_account(&self, account: &AccountId) -> Result<()> {
        // The operator's account has no record.
        if self.directory.is_operator(account) {
            return Ok(());
        }
        self.stored(account).await.map(drop)
    }
}
