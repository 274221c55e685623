//! The operations of IAM.
//!
//! An operation reads records, decides, and writes what it changes in one
//! transaction under the condition that nothing it read has changed. When
//! something has, it is run again from the start.
//!
//! Invariant: the list below is the only one. Dispatch, authorization and the
//! tests derive from it; an operation cannot run without a permit.

/// Declares an operation: its input and output, what it acts on, and what it does.
macro_rules! operation {
    (
        $name:ident($input:ty) -> $output:ty;
        on |$names:ident, $given:ident| $acted:expr;
        run |$call:ident, $taken:ident| $run:expr;
    ) => {
        pub(crate) struct $name;

        impl $crate::identity::ops::Operation for $name {
            const NAME: ironwharf_wire::iam::OperationName = ironwharf_wire::iam::OperationName::$name;
            type Input = $input;
            type Output = $output;

            async fn resource(
                $names: &$crate::identity::ops::Names<'_>,
                $given: &Self::Input,
            ) -> ironwharf_model::Result<$crate::identity::ops::Acted> {
                $acted
            }

            async fn run(
                $call: &$crate::identity::ops::Call<'_>,
                $taken: Self::Input,
            ) -> ironwharf_model::Result<Self::Output> {
                $run
            }
        }
    };
}

mod access_keys;
mod account;
mod acted;
mod attachments;
mod authorization_details;
mod boundaries;
mod context_keys;
mod documents;
mod entities;
mod group_users;
mod groups;
pub(in crate::identity) mod holders;
mod inline_policies;
mod managed_policies;
mod not_kept;
mod oidc_providers;
mod paging;
mod policy_versions;
mod roles;
mod simulate;
mod tags;
mod trust;
mod users;

use http::request::Parts;
use ironwharf_cloud::Table;
use ironwharf_cloud::table::identity::{Change, IdentityRecord, Stored};
use ironwharf_cloud::table::jittered;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::iam::{OperationName, decode, response_xml};
use ironwharf_wire::query::Form;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Directory;
use crate::app::App;
use crate::audit;
use crate::authenticate::Caller;
use crate::authorize::{Permit, Resource, authorize};
pub(crate) use acted::{Acted, Names};
use holders::Holder;

/// How often an operation is run when others change the same records.
const TRIES: u32 = 12;

/// One operation of IAM.
pub(crate) trait Operation {
    /// Its name.
    const NAME: OperationName;
    /// Its input, of which all constraints of the model hold.
    type Input: DeserializeOwned + Clone + Send + Sync;
    /// Its output.
    type Output: Serialize;

    /// What it acts on: an ARN of the caller's account (see [`Names`]) or `*`.
    fn resource(names: &Names<'_>, input: &Self::Input) -> impl Future<Output = Result<Acted>> + Send;

    /// Does it.
    fn run(call: &Call<'_>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// An authorized call.
pub(crate) struct Call<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) permit: &'a Permit,
}

impl Call<'_> {
    pub(crate) fn table(&self) -> &Table {
        self.directory.table()
    }

    pub(crate) fn account(&self) -> &AccountId {
        &self.permit.caller().principal.account
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.permit.caller().now_s()
    }

    /// The user, group or role of a name.
    pub(crate) async fn holder<H: Holder>(&self, name: &str) -> Result<Stored<H>> {
        let stored = self.table().identity::<H>(self.account(), name).await?;
        stored.ok_or_else(|| holders::not_found::<H>(name))
    }

    /// Refuses a caller who may not perform another operation besides.
    pub(crate) async fn require(&self, operation: OperationName, acted: Acted) -> Result<()> {
        let Acted { arn, details } = acted;
        let resource = Resource::Identity { account: self.account().clone(), arn };
        self.permit.require(&format!("iam:{operation}"), &resource, &details).await
    }

    /// Writes one record in the place of what was read.
    pub(crate) async fn replace<R: IdentityRecord>(&self, stored: &Stored<R>, record: &R) -> Result<()> {
        self.write(vec![Change::replace(self.account(), stored, record)?]).await
    }

    /// Writes changes, all or none.
    ///
    /// # Errors
    /// [`Error::ConcurrentModification`] if a record has changed since it was
    /// read: the operation is run again then.
    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<()> {
        if self.permit.audited(self.table()).change_identities(changes).await? {
            return Ok(());
        }
        let message = "Another request has changed the same user, group, role or policy; try again".to_owned();
        Err(Error::ConcurrentModification { message })
    }
}

/// Lists the operations that have behaviour.
macro_rules! operations {
    ($($module:ident :: $operation:ident),+ $(,)?) => {
        /// The operations that are served, by name.
        pub const SERVED: &[OperationName] = &[$(<$module::$operation as Operation>::NAME),+];

        /// Decodes the input, authorizes the call, runs it and encodes the output.
        pub(crate) async fn dispatch(
            app: &App,
            _parts: &Parts,
            caller: Caller,
            operation: OperationName,
            form: &Form,
            request_id: &str,
        ) -> Result<String> {
            // Boxed, because the future of a match has room for all of its arms.
            match operation {
                $(<$module::$operation as Operation>::NAME => {
                    Box::pin(call::<$module::$operation>(app, caller, form, request_id)).await
                })+
            }
        }
    };
}

operations! {
    access_keys::CreateAccessKey,
    access_keys::DeleteAccessKey,
    access_keys::GetAccessKeyLastUsed,
    access_keys::ListAccessKeys,
    access_keys::UpdateAccessKey,
    account::GetAccountSummary,
    attachments::AttachGroupPolicy,
    attachments::AttachRolePolicy,
    attachments::AttachUserPolicy,
    attachments::DetachGroupPolicy,
    attachments::DetachRolePolicy,
    attachments::DetachUserPolicy,
    attachments::ListAttachedGroupPolicies,
    attachments::ListAttachedRolePolicies,
    attachments::ListAttachedUserPolicies,
    authorization_details::GetAccountAuthorizationDetails,
    boundaries::DeleteRolePermissionsBoundary,
    boundaries::DeleteUserPermissionsBoundary,
    boundaries::PutRolePermissionsBoundary,
    boundaries::PutUserPermissionsBoundary,
    context_keys::GetContextKeysForCustomPolicy,
    context_keys::GetContextKeysForPrincipalPolicy,
    entities::ListEntitiesForPolicy,
    group_users::AddUserToGroup,
    group_users::GetGroup,
    group_users::ListGroupsForUser,
    group_users::RemoveUserFromGroup,
    groups::CreateGroup,
    groups::DeleteGroup,
    groups::ListGroups,
    groups::UpdateGroup,
    inline_policies::DeleteGroupPolicy,
    inline_policies::DeleteRolePolicy,
    inline_policies::DeleteUserPolicy,
    inline_policies::GetGroupPolicy,
    inline_policies::GetRolePolicy,
    inline_policies::GetUserPolicy,
    inline_policies::ListGroupPolicies,
    inline_policies::ListRolePolicies,
    inline_policies::ListUserPolicies,
    inline_policies::PutGroupPolicy,
    inline_policies::PutRolePolicy,
    inline_policies::PutUserPolicy,
    managed_policies::CreatePolicy,
    managed_policies::DeletePolicy,
    managed_policies::GetPolicy,
    managed_policies::ListPolicies,
    not_kept::DeleteLoginProfile,
    not_kept::GetLoginProfile,
    not_kept::ListAccountAliases,
    not_kept::ListInstanceProfilesForRole,
    not_kept::ListMFADevices,
    not_kept::ListSSHPublicKeys,
    not_kept::ListServiceSpecificCredentials,
    not_kept::ListSigningCertificates,
    not_kept::ListVirtualMFADevices,
    oidc_providers::AddClientIDToOpenIDConnectProvider,
    oidc_providers::CreateOpenIDConnectProvider,
    oidc_providers::DeleteOpenIDConnectProvider,
    oidc_providers::GetOpenIDConnectProvider,
    oidc_providers::ListOpenIDConnectProviders,
    oidc_providers::RemoveClientIDFromOpenIDConnectProvider,
    oidc_providers::UpdateOpenIDConnectProviderThumbprint,
    policy_versions::CreatePolicyVersion,
    policy_versions::DeletePolicyVersion,
    policy_versions::GetPolicyVersion,
    policy_versions::ListPolicyVersions,
    policy_versions::SetDefaultPolicyVersion,
    roles::CreateRole,
    roles::DeleteRole,
    roles::GetRole,
    roles::ListRoles,
    roles::UpdateAssumeRolePolicy,
    roles::UpdateRole,
    roles::UpdateRoleDescription,
    simulate::SimulateCustomPolicy,
    simulate::SimulatePrincipalPolicy,
    tags::ListOpenIDConnectProviderTags,
    tags::ListPolicyTags,
    tags::ListRoleTags,
    tags::ListUserTags,
    tags::TagOpenIDConnectProvider,
    tags::TagPolicy,
    tags::TagRole,
    tags::TagUser,
    tags::UntagOpenIDConnectProvider,
    tags::UntagPolicy,
    tags::UntagRole,
    tags::UntagUser,
    users::CreateUser,
    users::DeleteUser,
    users::GetUser,
    users::ListUsers,
    users::UpdateUser,
}

async fn call<O: Operation>(app: &App, mut caller: Caller, form: &Form, request_id: &str) -> Result<String> {
    let directory = app.directory().await?;
    let action = format!("iam:{}", O::NAME);
    caller.parameters = audit::form_parameters(form);
    let (input, acted) = match read::<O>(&directory, &caller, form).await {
        Ok(read) => read,
        Err(error) if is_read(O::NAME) && audit::is_absence(&error) => return Err(error),
        Err(error) => {
            audit::refused_input(&caller, &action, &error).await;
            return Err(error);
        }
    };
    let Acted { arn, details } = acted;
    let account = caller.principal.account.clone();
    let resource = Resource::Identity { account: account.clone(), arn };
    let permit = authorize(caller, &action, resource, &details).await?;
    let call = Call { directory: &directory, permit: &permit };
    let mut tries = 1;
    let result = loop {
        match O::run(&call, input.clone()).await {
            Err(Error::ConcurrentModification { .. }) if tries < TRIES => {
                tokio::time::sleep(jittered(tries)).await;
                tries += 1;
            }
            done => break done,
        }
    };
    permit.conclude(result.as_ref().err()).await;
    let output = result?;
    if !is_read(O::NAME) {
        directory.forget(&account);
    }
    response_xml(O::NAME, &output, request_id)
}

/// The input of an operation, and what it acts on.
async fn read<O: Operation>(directory: &Directory, caller: &Caller, form: &Form) -> Result<(O::Input, Acted)> {
    let input: O::Input = decode(O::NAME, form)?;
    let acted = O::resource(&Names { directory, caller }, &input).await?;
    Ok((input, acted))
}

/// Whether an operation only looks.
fn is_read(operation: OperationName) -> bool {
    ["Get", "List", "Simulate"].iter().any(|verb| operation.as_str().starts_with(verb))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_is_served_once() {
        let served: BTreeSet<OperationName> = SERVED.iter().copied().collect();
        assert_eq!(served.len(), SERVED.len());
        let missing: Vec<_> = OperationName::ALL.iter().filter(|name| !served.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
