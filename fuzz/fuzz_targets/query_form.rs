//! A form that is read and passes the checks of its operation always has its
//! type, and whatever was in it is sent back as XML without markup of its own.
#![no_main]

use ironwharf_wire::query::{DecodeError, Fault, Form, error_xml};
use ironwharf_wire::{iam, sts};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let Ok(body) = str::from_utf8(input) else { return };
    let form = match Form::parse(body) {
        Ok(form) => form,
        Err(error) => return sent_back(&error.to_string()),
    };
    if let Ok(operation) = iam::operation(&form) {
        let checked = iam::decode::<Value>(operation, &form);
        macro_rules! typed {
            ($($name:ident: $input:ident,)+) => {
                match operation {
                    $(iam::OperationName::$name => {
                        agree(&checked, iam::decode::<iam::shapes::$input>(operation, &form));
                    })+
                    _ => {}
                }
            };
        }
        typed! {
            CreateUser: CreateUserRequest,
            ListUsers: ListUsersRequest,
            TagUser: TagUserRequest,
            UntagUser: UntagUserRequest,
            UpdateAccessKey: UpdateAccessKeyRequest,
            CreateRole: CreateRoleRequest,
            PutRolePolicy: PutRolePolicyRequest,
            CreatePolicyVersion: CreatePolicyVersionRequest,
            CreateOpenIDConnectProvider: CreateOpenIDConnectProviderRequest,
            GetAccountAuthorizationDetails: GetAccountAuthorizationDetailsRequest,
            SimulateCustomPolicy: SimulateCustomPolicyRequest,
            SimulatePrincipalPolicy: SimulatePrincipalPolicyRequest,
        }
    }
    if let Ok(operation) = sts::operation(&form) {
        let checked = sts::decode::<Value>(operation, &form);
        match operation {
            sts::OperationName::AssumeRole => {
                agree(&checked, sts::decode::<sts::shapes::AssumeRoleRequest>(operation, &form));
            }
            sts::OperationName::AssumeRoleWithWebIdentity => {
                agree(&checked, sts::decode::<sts::shapes::AssumeRoleWithWebIdentityRequest>(operation, &form));
            }
            sts::OperationName::GetSessionToken => {
                agree(&checked, sts::decode::<sts::shapes::GetSessionTokenRequest>(operation, &form));
            }
            _ => {}
        }
    }
});

fn agree<T>(checked: &Result<Value, DecodeError>, typed: Result<T, DecodeError>) {
    let as_value = checked.as_ref().map(|_| ()).map_err(DecodeError::clone);
    let as_type = typed.map(|_| ());
    assert_eq!(as_type, as_value);
    if let Err(error) = as_type {
        sent_back(&error.to_string());
    }
}

/// The message of an error adds no element to the answer.
fn sent_back(message: &str) {
    let elements = |message: &str| error_xml("n", Fault::Sender, "Code", message, "id").matches('<').count();
    assert_eq!(elements(message), elements(""));
}
