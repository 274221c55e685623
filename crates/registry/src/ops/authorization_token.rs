//! `GetAuthorizationToken`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::ecr::shapes::{AuthorizationData, GetAuthorizationTokenRequest, GetAuthorizationTokenResponse};
use ironwharf_wire::ecr::{OperationName, Timestamp};
use ironwharf_wire::seal::TokenClaims;

use super::{Call, Operation, Target};

pub(super) struct GetAuthorizationToken;

impl Operation for GetAuthorizationToken {
    const NAME: OperationName = OperationName::GetAuthorizationToken;
    type Input = GetAuthorizationTokenRequest;
    type Output = GetAuthorizationTokenResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target { registry_id: None, repository: None }
    }

    /// The token stands for the caller, whichever registries are named: those
    /// only decide the endpoints, one entry each.
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let caller = call.permit.caller();
        let key = call.permit.region().keyring.current(caller.now_s()).await?;
        let claims = TokenClaims::new(&caller.principal, caller.region(), caller.now_s());
        let password = key.seal_token(&claims).map_err(Error::internal)?;
        let token = STANDARD.encode(format!("AWS:{password}"));
        let registries = match input.registry_ids {
            Some(ids) if !ids.is_empty() => ids.iter().map(|id| AccountId::parse(id)).collect::<Result<_>>()?,
            _ => vec![caller.principal.account.clone()],
        };
        let data = registries.iter().map(|registry| AuthorizationData {
            authorization_token: Some(token.clone()),
            expires_at: Some(Timestamp::from_epoch_millis(claims.expires_at_s * 1000)),
            proxy_endpoint: Some(call.app.config().registry_host.endpoint(registry, caller.region())),
        });
        Ok(GetAuthorizationTokenResponse { authorization_data: Some(data.collect()) })
    }
}
