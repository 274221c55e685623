//! Versions of managed policies.

use ironwharf_cloud::table::identity::{PolicyRecord, PolicyVersion as StoredVersion};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    CreatePolicyVersionRequest, CreatePolicyVersionResponse, DeletePolicyVersionRequest, GetPolicyVersionRequest,
    GetPolicyVersionResponse, ListPolicyVersionsRequest, ListPolicyVersionsResponse, PolicyVersion,
    SetDefaultPolicyVersionRequest,
};
use ironwharf_wire::query::percent_encode_document;

use super::documents::check_managed;
use super::holders::time;
use super::managed_policies::{AWS_CREATED_AT_S, Managed, own};
use super::paging::Page;
use crate::identity::aws_managed::AwsManagedPolicy;

/// How many versions a policy can have.
const MAX_VERSIONS: usize = 5;

operation! {
    CreatePolicyVersion(CreatePolicyVersionRequest) -> CreatePolicyVersionResponse;
    on |names, input| names.policy(&input.policy_arn).await;
    run |call, input| {
        let stored = own(call, Self::NAME, &input.policy_arn).await?;
        check_managed(&input.policy_document)?;
        let mut policy = stored.record.clone();
        if policy.versions.len() >= MAX_VERSIONS {
            let message = format!(
                "A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you must \
                 delete an existing version."
            );
            return Err(Error::LimitExceeded { message });
        }
        let (number, now_s) = (policy.next_version, call.now_s());
        let version = StoredVersion { number, document: input.policy_document, created_at_s: now_s };
        policy.next_version += 1;
        if input.set_as_default.unwrap_or_default() {
            policy.default_version = number;
        }
        policy.updated_at_s = now_s;
        let shown = shape(&policy, &version);
        policy.versions.push(version);
        call.replace(&stored, &policy).await?;
        Ok(CreatePolicyVersionResponse { policy_version: Some(shown) })
    };
}

operation! {
    GetPolicyVersion(GetPolicyVersionRequest) -> GetPolicyVersionResponse;
    on |names, input| names.policy(&input.policy_arn).await;
    run |call, input| {
        let (arn, id) = (&input.policy_arn, &input.version_id);
        let (shown, document) = match Managed::get(call, arn).await? {
            Managed::Aws(policy) if id == "v1" => (of_aws(), policy.document),
            Managed::Aws(_) => return Err(not_found(arn, id)),
            Managed::Own(stored) => {
                let version = find(&stored.record, arn, id)?;
                let document = Some(percent_encode_document(&version.document));
                let policy_version = Some(PolicyVersion { document, ..shape(&stored.record, version) });
                return Ok(GetPolicyVersionResponse { policy_version });
            }
        };
        let document = Some(percent_encode_document(document));
        Ok(GetPolicyVersionResponse { policy_version: Some(PolicyVersion { document, ..shown }) })
    };
}

operation! {
    ListPolicyVersions(ListPolicyVersionsRequest) -> ListPolicyVersionsResponse;
    on |names, input| names.policy(&input.policy_arn).await;
    run |call, input| {
        let versions = match Managed::get(call, &input.policy_arn).await? {
            Managed::Aws(_) => vec![of_aws()],
            Managed::Own(stored) => shapes(&stored.record),
        };
        let marker = input.marker.as_deref();
        let mut page = Page::open(call, Self::NAME, &input.policy_arn, input.max_items, marker).await?;
        let versions = Some(page.slice(0, versions));
        let (is_truncated, marker) = page.end().await?;
        Ok(ListPolicyVersionsResponse { versions, is_truncated, marker })
    };
}

operation! {
    DeletePolicyVersion(DeletePolicyVersionRequest) -> Empty;
    on |names, input| names.policy(&input.policy_arn).await;
    run |call, input| {
        let stored = own(call, Self::NAME, &input.policy_arn).await?;
        let number = find(&stored.record, &input.policy_arn, &input.version_id)?.number;
        let mut policy = stored.record.clone();
        if number == policy.default_version {
            let message = "Cannot delete the default version of a policy.".to_owned();
            return Err(Error::DeleteConflict { message });
        }
        policy.versions.retain(|version| version.number != number);
        call.replace(&stored, &policy).await?;
        Ok(Empty {})
    };
}

operation! {
    SetDefaultPolicyVersion(SetDefaultPolicyVersionRequest) -> Empty;
    on |names, input| Ok(names.policy(&input.policy_arn).await?.with_policy(&input.policy_arn));
    run |call, input| {
        let stored = own(call, Self::NAME, &input.policy_arn).await?;
        let mut policy = stored.record.clone();
        policy.default_version = find(&stored.record, &input.policy_arn, &input.version_id)?.number;
        policy.updated_at_s = call.now_s();
        call.replace(&stored, &policy).await?;
        Ok(Empty {})
    };
}

fn find<'a>(policy: &'a PolicyRecord, arn: &str, id: &str) -> Result<&'a StoredVersion> {
    let found = policy.versions.iter().find(|version| id == version_id(version.number));
    found.ok_or_else(|| not_found(arn, id))
}

fn not_found(arn: &str, id: &str) -> Error {
    let (arn, id) = (quoted(arn), quoted(id));
    Error::NoSuchEntity { message: format!("Policy {arn} version {id} does not exist or is not attachable.") }
}

fn version_id(number: u32) -> String {
    format!("v{number}")
}

/// A version without its document.
fn shape(policy: &PolicyRecord, version: &StoredVersion) -> PolicyVersion {
    PolicyVersion {
        document: None,
        version_id: Some(version_id(version.number)),
        is_default_version: Some(version.number == policy.default_version),
        create_date: Some(time(version.created_at_s)),
    }
}

/// All versions without their documents, the newest first.
fn shapes(policy: &PolicyRecord) -> Vec<PolicyVersion> {
    policy.versions.iter().rev().map(|version| shape(policy, version)).collect()
}

/// All versions with their documents, as the details of an account show them.
pub(super) fn details(policy: &PolicyRecord) -> Vec<PolicyVersion> {
    let detail = |version: &StoredVersion| {
        let document = Some(percent_encode_document(&version.document));
        PolicyVersion { document, ..shape(policy, version) }
    };
    policy.versions.iter().rev().map(detail).collect()
}

/// The same of a policy of AWS.
pub(super) fn details_of_aws(policy: &AwsManagedPolicy) -> Vec<PolicyVersion> {
    vec![PolicyVersion { document: Some(percent_encode_document(policy.document)), ..of_aws() }]
}

/// The one version of a policy of AWS.
fn of_aws() -> PolicyVersion {
    PolicyVersion {
        document: None,
        version_id: Some(version_id(1)),
        is_default_version: Some(true),
        create_date: Some(time(AWS_CREATED_AT_S)),
    }
}
