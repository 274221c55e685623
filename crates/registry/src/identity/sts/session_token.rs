//! `GetSessionToken`: temporary credentials of a user or root.

use std::collections::BTreeMap;

use ironwharf_model::{Error, Principal, PrincipalKind, Result};
use ironwharf_wire::seal::Bearer;
use ironwharf_wire::sts::shapes::{GetSessionTokenRequest, GetSessionTokenResponse};
use ironwharf_wire::sts::{OperationName, decode, response_xml};

use super::{Call, session};
use crate::authorize::{Details, Resource, ResourcePolicies, decide_with};

const DEFAULT_SECONDS: i64 = 12 * 3600;
const MAX_SECONDS_OF_ROOT: i64 = 3600;

pub(super) async fn answer(call: &Call<'_>) -> Result<String> {
    const NAME: OperationName = OperationName::GetSessionToken;
    let input: GetSessionTokenRequest = decode(NAME, call.form)?;
    let caller = &call.caller;
    let denied = |reason: &str| Error::AccessDenied {
        principal: caller.principal.arn(),
        action: "sts:GetSessionToken".to_owned(),
        resource: "*".to_owned(),
        reason: reason.to_owned(),
    };
    if matches!(caller.principal.kind, PrincipalKind::Session { .. })
        || caller.principal.access_key_id.starts_with("ASIA")
    {
        return Err(denied("because it cannot be called with session credentials"));
    }
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(denied("because there are no MFA devices in this registry"));
    }
    // No policy has to allow it, but one can forbid it.
    let resource = Resource::Identity { account: caller.principal.account.clone(), arn: "*".to_owned() };
    let decision = decide_with(
        caller,
        "sts:GetSessionToken",
        &resource,
        &Details::default(),
        &BTreeMap::new(),
        ResourcePolicies::default(),
    );
    if decision.effect == ironwharf_policy::iam::Effect::ExplicitDeny {
        return Err(denied(&decision.reason.to_string()));
    }
    let mut seconds = input.duration_seconds.map_or(DEFAULT_SECONDS, i64::from);
    if caller.principal.is_root() {
        seconds = seconds.min(MAX_SECONDS_OF_ROOT);
    }
    let access_key_id = session::new_key_id(&caller.principal.account);
    let principal = Principal { access_key_id, ..caller.principal.clone() };
    let bearer = Bearer {
        source_key: Some(caller.principal.access_key_id.clone()),
        ..Bearer::new(principal, caller.bearer.account_incarnation.clone(), caller.now_s())
    };
    let credentials = session::issue(call.directory, bearer, seconds).await?;
    let output = GetSessionTokenResponse { credentials: Some(credentials), ..GetSessionTokenResponse::default() };
    response_xml(NAME, &output, call.request_id)
}
