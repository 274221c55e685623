//! The operations of STS.
//!
//! Invariant: nothing is stored of a session. Its token says all there is to
//! say, and its secret is derived from the key id.

mod assume_role;
mod session;
mod session_token;
pub(crate) mod web_identity;
mod who;

use ironwharf_model::{Error, Result};
use ironwharf_wire::query::Form;
use ironwharf_wire::sts::OperationName;

use super::Directory;
use crate::app::App;
use crate::authenticate::Caller;

/// The operations that are served.
pub(crate) const SERVED: &[OperationName] = &[
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
    let call = Call { directory: &directory, caller, form, request_id };
    match operation {
        OperationName::AssumeRole => assume_role::answer(call).await,
        OperationName::GetAccessKeyInfo => who::access_key_info(call).await,
        OperationName::GetCallerIdentity => who::caller_identity(&call),
        OperationName::GetSessionToken => session_token::answer(call).await,
        // Nobody signs this one: it is answered before there is a caller.
        other @ OperationName::AssumeRoleWithWebIdentity => {
            Err(Error::ActionNotServed { service: "STS", action: other.as_str().to_owned() })
        }
    }
}
