//! Who is asking, and whose a key is.

use ironwharf_model::{Error, Result, account_of_access_key};
use ironwharf_wire::sts::shapes::{GetAccessKeyInfoRequest, GetAccessKeyInfoResponse, GetCallerIdentityResponse};
use ironwharf_wire::sts::{OperationName, decode, response_xml};

use super::Call;
use crate::audit::refused_input;
use crate::authorize::{Details, Resource, authorize};

/// `GetCallerIdentity`, which everybody may always ask.
pub(super) fn caller_identity(call: &Call<'_>) -> Result<String> {
    let principal = &call.caller.principal;
    let output = GetCallerIdentityResponse {
        user_id: Some(principal.user_id()),
        account: Some(principal.account.to_string()),
        arn: Some(principal.arn()),
    };
    response_xml(OperationName::GetCallerIdentity, &output, call.request_id)
}

/// `GetAccessKeyInfo`: the account is read out of the id, so this says nothing
/// about whether there is such a key.
pub(super) async fn access_key_info(call: Call<'_>) -> Result<String> {
    const NAME: OperationName = OperationName::GetAccessKeyInfo;
    const ACTION: &str = "sts:GetAccessKeyInfo";
    let decoded: Result<GetAccessKeyInfoRequest> = decode(NAME, call.form).map_err(Error::from);
    if let Err(error) = &decoded {
        refused_input(&call.caller, ACTION, error).await;
    }
    let input = decoded?;
    let account = call.caller.principal.account.clone();
    let root = call.directory.root_of_key(&input.access_key_id);
    let resource = Resource::Identity { account, arn: "*".to_owned() };
    let permit = authorize(call.caller, ACTION, resource, &Details::default()).await?;
    let account = root.or_else(|| account_of_access_key(&input.access_key_id)).ok_or_else(|| {
        let shown = ironwharf_model::error::quoted(&input.access_key_id);
        Error::Validation { message: format!("'{shown}' is not an access key id of this registry") }
    });
    permit.conclude(account.as_ref().err()).await;
    let account = account?;
    response_xml(NAME, &GetAccessKeyInfoResponse { account: Some(account.to_string()) }, call.request_id)
}
