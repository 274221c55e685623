//! Managed policies: those of the account, and those that AWS has everywhere.
//!
//! Invariant: an ARN names a policy only if it is its ARN to the letter.

use std::collections::BTreeMap;

use ironwharf_cloud::Table;
use ironwharf_cloud::table::identity::{Change, PolicyRecord, PolicyVersion, Stored};
use ironwharf_model::error::quoted;
use ironwharf_model::principal::iam_arn;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::iam::shapes::{
    CreatePolicyRequest, CreatePolicyResponse, DeletePolicyRequest, GetPolicyRequest, GetPolicyResponse,
    ListPoliciesRequest, ListPoliciesResponse, Policy, PolicyScopeType, PolicyUsageType,
};
use ironwharf_wire::iam::{Empty, OperationName};

use super::documents::check_managed;
use super::entities::{Uses, uses_of_aws_managed};
use super::holders::{is_under, path_or_root, time};
use super::paging::Page;
use super::{Acted, Call, tags};
use crate::identity::aws_managed::{self, AwsManagedPolicy};
use crate::identity::unique_id::{IdKind, unique_id};

/// When AWS made its policies of ECR, in epoch seconds.
pub(super) const AWS_CREATED_AT_S: i64 = 1_450_717_416;

/// The parts of the ARN of a managed policy.
pub(super) struct PolicyName<'a> {
    pub(super) account: &'a str,
    pub(super) path: &'a str,
    pub(super) name: &'a str,
}

impl<'a> PolicyName<'a> {
    /// Reads `arn:aws:iam::<account>:policy/<path>/<name>`.
    pub(super) fn parse(arn: &'a str) -> Option<Self> {
        let (account, rest) = arn.strip_prefix("arn:aws:iam::")?.split_once(":policy")?;
        let (_, name) = rest.rsplit_once('/')?;
        let path = rest.strip_suffix(name)?;
        (path.starts_with('/') && !name.is_empty()).then_some(Self { account, path, name })
    }
}

/// A managed policy.
pub(super) enum Managed {
    Aws(&'static AwsManagedPolicy),
    Own(Stored<PolicyRecord>),
}

impl Managed {
    /// The policy of an ARN.
    pub(super) async fn find(table: &Table, account: &AccountId, arn: &str) -> Result<Option<Self>> {
        if let Some(policy) = AwsManagedPolicy::of_arn(arn) {
            return Ok(Some(Self::Aws(policy)));
        }
        let Some(parsed) = PolicyName::parse(arn).filter(|parsed| parsed.account == account.as_str()) else {
            return Ok(None);
        };
        let stored = table.identity::<PolicyRecord>(account, parsed.name).await?;
        Ok(stored.filter(|stored| arn_of(account, &stored.record) == arn).map(Self::Own))
    }

    /// The same, and an error if there is none.
    pub(super) async fn get(call: &Call<'_>, arn: &str) -> Result<Self> {
        Self::find(call.table(), call.account(), arn).await?.ok_or_else(|| not_found(arn))
    }
}

/// The policy of an ARN, which is to be changed.
pub(super) async fn own(call: &Call<'_>, operation: OperationName, arn: &str) -> Result<Stored<PolicyRecord>> {
    match Managed::get(call, arn).await? {
        Managed::Own(stored) => Ok(stored),
        Managed::Aws(_) => Err(Error::AccessDenied {
            principal: call.permit.caller().principal.arn(),
            action: format!("iam:{operation}"),
            resource: quoted(arn),
            reason: "because policies that are managed by AWS cannot be changed".to_owned(),
        }),
    }
}

/// The change that counts the uses of a policy anew. There is none for a policy
/// of AWS, and `None` if there is no such policy.
pub(super) async fn recount(
    call: &Call<'_>,
    arn: &str,
    count: impl FnOnce(&mut PolicyRecord) + Send,
) -> Result<Option<Option<Change>>> {
    match Managed::find(call.table(), call.account(), arn).await? {
        None => Ok(None),
        Some(Managed::Aws(_)) => Ok(Some(None)),
        Some(Managed::Own(stored)) => {
            let mut policy = stored.record.clone();
            count(&mut policy);
            Ok(Some(Some(Change::replace(call.account(), &stored, &policy)?)))
        }
    }
}

pub(super) fn not_found(arn: &str) -> Error {
    Error::NoSuchEntity { message: format!("Policy {} was not found.", quoted(arn)) }
}

pub(super) fn arn_of(account: &AccountId, policy: &PolicyRecord) -> String {
    iam_arn(account, "policy", &policy.path, &policy.name)
}

operation! {
    CreatePolicy(CreatePolicyRequest) -> CreatePolicyResponse;
    on |names, input| {
        let path = input.path.as_deref().unwrap_or("/");
        let acted = Acted::on(iam_arn(names.account(), "policy", path, &input.policy_name));
        Ok(acted.with_request_tags(tags::requested(input.tags.as_deref())))
    };
    run |call, input| create(call, input).await;
}

async fn create(call: &Call<'_>, input: CreatePolicyRequest) -> Result<CreatePolicyResponse> {
    let tags = tags::read(input.tags.as_deref().unwrap_or_default())?;
    check_managed(&input.policy_document)?;
    let now_s = call.now_s();
    let policy = PolicyRecord {
        name: input.policy_name,
        path: path_or_root(input.path),
        id: unique_id(IdKind::Policy),
        description: input.description,
        created_at_s: now_s,
        updated_at_s: now_s,
        versions: vec![PolicyVersion { number: 1, document: input.policy_document, created_at_s: now_s }],
        default_version: 1,
        next_version: 2,
        attachments: 0,
        boundary_uses: 0,
        tags,
    };
    if !policy.tags.is_empty() {
        let acted = Acted::on(arn_of(call.account(), &policy)).with_request_tags(Some(policy.tags.clone()));
        call.require(OperationName::TagPolicy, acted).await?;
    }
    if call.table().identity::<PolicyRecord>(call.account(), &policy.name).await?.is_some() {
        let message = format!("A policy called {} already exists. Duplicate names are not allowed.", policy.name);
        return Err(Error::EntityAlreadyExists { message });
    }
    call.write(vec![Change::create(call.account(), &policy)?]).await?;
    Ok(CreatePolicyResponse { policy: Some(described(call.account(), &policy)) })
}

operation! {
    GetPolicy(GetPolicyRequest) -> GetPolicyResponse;
    on |names, input| names.policy(&input.policy_arn).await;
    run |call, input| {
        let policy = match Managed::get(call, &input.policy_arn).await? {
            Managed::Own(stored) => described(call.account(), &stored.record),
            Managed::Aws(policy) => {
                let uses = uses_of_aws_managed(call).await?;
                let description = Some(policy.description.to_owned());
                Policy { description, ..listed_of_aws(policy, &uses) }
            }
        };
        Ok(GetPolicyResponse { policy: Some(policy) })
    };
}

operation! {
    ListPolicies(ListPoliciesRequest) -> ListPoliciesResponse;
    on |_names, _input| Ok(Acted::any());
    run |call, input| list(call, input).await;
}

async fn list(call: &Call<'_>, input: ListPoliciesRequest) -> Result<ListPoliciesResponse> {
    let scope = input.scope.unwrap_or(PolicyScopeType::All);
    let only_attached = input.only_attached.unwrap_or_default();
    let prefix = input.path_prefix.as_deref();
    let usage = input.policy_usage_filter;
    let selection = format!("{scope}|{only_attached}|{usage:?}|{}", prefix.unwrap_or_default());
    let is_used = |attachments: u32, boundary_uses: u32| {
        let fits = match usage {
            None => true,
            Some(PolicyUsageType::PermissionsPolicy) => attachments > 0,
            Some(PolicyUsageType::PermissionsBoundary) => boundary_uses > 0,
        };
        fits && (!only_attached || attachments > 0)
    };
    let mut page =
        Page::open(call, OperationName::ListPolicies, &selection, input.max_items, input.marker.as_deref()).await?;
    let mut policies = Vec::new();
    if scope != PolicyScopeType::Aws {
        let keep =
            |policy: &PolicyRecord| is_under(&policy.path, prefix) && is_used(policy.attachments, policy.boundary_uses);
        let own = page.take::<PolicyRecord>(0, "", keep).await?;
        policies.extend(own.iter().map(|policy| listed(call.account(), policy)));
    }
    if scope != PolicyScopeType::Local {
        let uses = uses_of_aws_managed(call).await?;
        let count = |policy: &AwsManagedPolicy| uses.get(&policy.arn()).copied().unwrap_or_default();
        let keep = |policy: &&AwsManagedPolicy| {
            let Uses { attachments, boundary_uses } = count(policy);
            is_under("/", prefix) && is_used(attachments, boundary_uses)
        };
        let of_aws = aws_managed::ALL.iter().filter(keep).map(|policy| listed_of_aws(policy, &uses)).collect();
        policies.extend(page.slice(1, of_aws));
    }
    let (is_truncated, marker) = page.end().await?;
    Ok(ListPoliciesResponse { policies: Some(policies), is_truncated, marker })
}

operation! {
    DeletePolicy(DeletePolicyRequest) -> Empty;
    on |names, input| names.policy(&input.policy_arn).await;
    run |call, input| {
        let stored = own(call, Self::NAME, &input.policy_arn).await?;
        let conflict = |message: &str| Err(Error::DeleteConflict { message: message.to_owned() });
        if stored.record.attachments > 0 || stored.record.boundary_uses > 0 {
            return conflict("Cannot delete a policy attached to entities.");
        }
        if stored.record.versions.len() > 1 {
            return conflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's \
                 versions. The default version is deleted with the policy.",
            );
        }
        call.write(vec![Change::delete(call.account(), &stored)]).await?;
        Ok(Empty {})
    };
}

/// A policy as `GetPolicy` shows it.
fn described(account: &AccountId, policy: &PolicyRecord) -> Policy {
    Policy { description: policy.description.clone(), tags: tags::shape(&policy.tags), ..listed(account, policy) }
}

/// A policy as listings show it.
fn listed(account: &AccountId, policy: &PolicyRecord) -> Policy {
    Policy {
        policy_name: Some(policy.name.clone()),
        policy_id: Some(policy.id.clone()),
        arn: Some(arn_of(account, policy)),
        path: Some(policy.path.clone()),
        default_version_id: Some(format!("v{}", policy.default_version)),
        attachment_count: Some(count(policy.attachments)),
        permissions_boundary_usage_count: Some(count(policy.boundary_uses)),
        is_attachable: Some(true),
        description: None,
        create_date: Some(time(policy.created_at_s)),
        update_date: Some(time(policy.updated_at_s)),
        tags: None,
    }
}

fn listed_of_aws(policy: &AwsManagedPolicy, uses: &BTreeMap<String, Uses>) -> Policy {
    let Uses { attachments, boundary_uses } = uses.get(&policy.arn()).copied().unwrap_or_default();
    Policy {
        policy_name: Some(policy.name.to_owned()),
        policy_id: Some(policy.id.to_owned()),
        arn: Some(policy.arn()),
        path: Some("/".to_owned()),
        default_version_id: Some("v1".to_owned()),
        attachment_count: Some(count(attachments)),
        permissions_boundary_usage_count: Some(count(boundary_uses)),
        is_attachable: Some(true),
        description: None,
        create_date: Some(time(AWS_CREATED_AT_S)),
        update_date: Some(time(AWS_CREATED_AT_S)),
        tags: None,
    }
}

/// A count as answers have it.
pub(super) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
