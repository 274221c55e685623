//! The operations of STS.
//!
//! Invariant: nothing is stored of a session. Its token says all there is to
//! say, and its secret is derived from the key id.

mod assume_role;
mod session;
mod session_token;
pub(crate) mod web_identity;
mod who;

use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::query::Form;
use ironwharf_wire::sts::OperationName;

use super::Directory;
use crate::app::App;
use crate::audit::{Act, form_parameters};
use crate::authenticate::Caller;

/// The operations that are served.
pub const SERVED: &[OperationName] = &[
    OperationName::AssumeRole,
    OperationName::AssumeRoleWithWebIdentity,
    OperationName::GetAccessKeyInfo,
    OperationName::GetCallerIdentity,
    OperationName::GetSessionToken,
];

/// A signed call.
struct Call<'a> {
    directory: &'a Directory,
    caller: Caller,
    form: &'a Form,
    request_id: &'a str,
}

/// Answers a signed request. Each operation is authorized in its own way: by a
/// role's trust policy, by the caller's policies, or by being the caller.
pub(crate) async fn dispatch(
    app: &App,
    caller: Caller,
    operation: OperationName,
    form: &Form,
    request_id: &str,
) -> Result<String> {
    let directory = app.directory().await?;
    let caller = Caller { parameters: form_parameters(form), ..caller };
    let call = Call { directory: &directory, caller, form, request_id };
    match operation {
        OperationName::AssumeRole => {
            let result = assume_role::answer(&call).await;
            let role = form.get("RoleArn").unwrap_or("*");
            let account = assume_role::RoleName::parse(role).map(|role| role.account);
            let recipient = account.unwrap_or_else(|_| call.caller.principal.account.clone());
            call.note("sts:AssumeRole", &recipient, role, result.as_ref().err()).await;
            result
        }
        OperationName::GetAccessKeyInfo => who::access_key_info(call).await,
        OperationName::GetCallerIdentity => who::caller_identity(&call),
        OperationName::GetSessionToken => {
            let result = session_token::answer(&call).await;
            let account = &call.caller.principal.account;
            call.note("sts:GetSessionToken", account, "*", result.as_ref().err()).await;
            result
        }
        // Nobody signs this one: it is answered before there is a caller.
        other @ OperationName::AssumeRoleWithWebIdentity => {
            Err(Error::ActionNotServed { service: "STS", action: other.as_str().to_owned() })
        }
    }
}

impl Call<'_> {
    /// Notes that credentials were issued, or refused.
    async fn note(&self, action: &str, recipient: &AccountId, resource: &str, error: Option<&Error>) {
        let act = Act { caller: &self.caller, action, recipient, resource };
        match error {
            None => act.done().await,
            Some(error) => act.failed(error).await,
        }
    }
}
