//! What IAM knows and this registry does not keep: passwords, MFA devices,
//! certificates, instance profiles. Tools ask for it before they delete a user
//! or a role, and learn that there is none.

use ironwharf_cloud::table::identity::{RoleRecord, UserRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    DeleteLoginProfileRequest, GetLoginProfileRequest, GetLoginProfileResponse, ListAccountAliasesRequest,
    ListAccountAliasesResponse, ListInstanceProfilesForRoleRequest, ListInstanceProfilesForRoleResponse,
    ListMFADevicesRequest, ListMFADevicesResponse, ListSSHPublicKeysRequest, ListSSHPublicKeysResponse,
    ListServiceSpecificCredentialsRequest, ListServiceSpecificCredentialsResponse, ListSigningCertificatesRequest,
    ListSigningCertificatesResponse, ListVirtualMFADevicesRequest, ListVirtualMFADevicesResponse,
};

use super::{Acted, Call, users};

macro_rules! empty_lists_of_users {
    ($($list:ident($input:ident) -> $output:ident { $member:ident: $empty:expr };)+) => {$(
        operation! {
            $list($input) -> $output;
            on |names, input| names.user(input.user_name.as_deref()).await;
            run |call, input| {
                check_user(call, input.user_name).await?;
                Ok($output { $member: $empty, is_truncated: Some(false), marker: None })
            };
        }
    )+};
}

empty_lists_of_users! {
    ListMFADevices(ListMFADevicesRequest) -> ListMFADevicesResponse { mfa_devices: Vec::new() };
    ListSSHPublicKeys(ListSSHPublicKeysRequest) -> ListSSHPublicKeysResponse { ssh_public_keys: Some(Vec::new()) };
    ListServiceSpecificCredentials(ListServiceSpecificCredentialsRequest) -> ListServiceSpecificCredentialsResponse {
        service_specific_credentials: Some(Vec::new())
    };
    ListSigningCertificates(ListSigningCertificatesRequest) -> ListSigningCertificatesResponse {
        certificates: Vec::new()
    };
}

operation! {
    ListVirtualMFADevices(ListVirtualMFADevicesRequest) -> ListVirtualMFADevicesResponse;
    on |_names, _input| Ok(Acted::any());
    run |_call, _input| {
        let virtual_mfa_devices = Vec::new();
        Ok(ListVirtualMFADevicesResponse { virtual_mfa_devices, is_truncated: Some(false), marker: None })
    };
}

operation! {
    ListAccountAliases(ListAccountAliasesRequest) -> ListAccountAliasesResponse;
    on |_names, _input| Ok(Acted::any());
    run |_call, _input| {
        let account_aliases = Vec::new();
        Ok(ListAccountAliasesResponse { account_aliases, is_truncated: Some(false), marker: None })
    };
}

operation! {
    ListInstanceProfilesForRole(ListInstanceProfilesForRoleRequest) -> ListInstanceProfilesForRoleResponse;
    on |names, input| names.holder::<RoleRecord>(&input.role_name).await;
    run |call, input| {
        call.holder::<RoleRecord>(&input.role_name).await?;
        let instance_profiles = Vec::new();
        Ok(ListInstanceProfilesForRoleResponse { instance_profiles, is_truncated: Some(false), marker: None })
    };
}

operation! {
    GetLoginProfile(GetLoginProfileRequest) -> GetLoginProfileResponse;
    on |names, input| names.user(input.user_name.as_deref()).await;
    run |call, input| Err(no_login_profile(call, input.user_name).await?);
}

operation! {
    DeleteLoginProfile(DeleteLoginProfileRequest) -> Empty;
    on |names, input| names.user(input.user_name.as_deref()).await;
    run |call, input| Err(no_login_profile(call, input.user_name).await?);
}

async fn no_login_profile(call: &Call<'_>, name: Option<String>) -> Result<Error> {
    let name = users::named(call, name)?;
    call.holder::<UserRecord>(&name).await?;
    Ok(Error::NoSuchEntity { message: format!("Login Profile for User {} cannot be found.", quoted(&name)) })
}

/// Checks that the user whose things are listed is there.
async fn check_user(call: &Call<'_>, name: Option<String>) -> Result<()> {
    if name.is_none() && call.permit.caller().principal.is_root() {
        return Ok(());
    }
    let name = users::named(call, name)?;
    call.holder::<UserRecord>(&name).await?;
    Ok(())
}
