//! `GetAuthorizationToken`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::ecr::shapes::{AuthorizationData, GetAuthorizationTokenRequest, GetAuthorizationTokenResponse};
use ironwharf_wire::ecr::{OperationName, Timestamp};
use ironwharf_wire::seal::{TOKEN_SECONDS, TokenClaims};

use super::{Call, Operation, Target};

pub(super) struct GetAuthorizationToken;

impl Operation for GetAuthorizationToken {
    const NAME: OperationName = OperationName::GetAuthorizationToken;
    type Input = GetAuthorizationTokenRequest;
    type Output = GetAuthorizationTokenResponse;

    fn target(_: &Self::Input) -> Target<'_> {
        Target::registry()
    }

    /// A token stands for the caller in whichever registry; the registries that
    /// are named decide the endpoints, one entry each, and where a token leads
    /// on a host that stands for no registry in particular (`localhost`).
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let caller = call.permit.caller();
        let key = call.permit.region().keyring.current(caller.now_s()).await?;
        let registries = match input.registry_ids {
            Some(ids) if !ids.is_empty() => ids.iter().map(|id| AccountId::parse(id)).collect::<Result<_>>()?,
            _ => vec![caller.principal.account.clone()],
        };
        let expires_at_s = caller.now_s() + TOKEN_SECONDS;
        let data = registries.into_iter().map(|registry| {
            let proxy_endpoint = call.app.config().registry_host.endpoint(&registry, caller.region());
            let claims = TokenClaims {
                bearer: caller.bearer.clone(),
                region: caller.region().to_string(),
                registry,
                issued_at_s: caller.now_s(),
                expires_at_s,
            };
            let password = key.seal_token(&claims).map_err(Error::internal)?;
            Ok(AuthorizationData {
                authorization_token: Some(STANDARD.encode(format!("AWS:{password}"))),
                expires_at: Some(Timestamp::from_epoch_millis(expires_at_s * 1000)),
                proxy_endpoint: Some(proxy_endpoint),
            })
        });
        Ok(GetAuthorizationTokenResponse { authorization_data: Some(data.collect::<Result<_>>()?) })
    }
}
