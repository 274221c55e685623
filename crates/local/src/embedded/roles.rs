//! The tenant data roles: what a session may reach.
//!
//! The policies are those of `infra/tenant-roles/`, which the template of AWS
//! includes as well; here its `Fn::Sub` are resolved to the names of this
//! machine.
//!
//! Invariant: what the policy does not grant is refused; a request that cannot
//! be read asks for nothing that is granted.

use ironwharf_cloud::Mode;
use ironwharf_cloud::tenancy::TENANT_TAG;
use ironwharf_model::{AccountId, Region, arn};
use ironwharf_policy::iam::{Attached, Context, Policies, Policy, PolicyKind, Request, Requester, decide};
use serde_json::Value;

use super::OpenError;
use super::sessions::{TenantSession, mode_name};

/// The name of the registry's table.
pub const TABLE: &str = "ironwharf";

/// What a bucket's name starts with; the Region follows.
pub const BUCKET_PREFIX: &str = "ironwharf-";

const READ: &str = include_str!("../../../../infra/tenant-roles/read.json");
const WRITE: &str = include_str!("../../../../infra/tenant-roles/write.json");

/// The roles, with their policies for the resources of one Region.
#[derive(Debug)]
pub(super) struct Roles {
    account: AccountId,
    region: String,
    partition: &'static str,
    read: Policy,
    write: Policy,
}

/// One thing that a request does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    /// Such as `dynamodb:GetItem`.
    pub(super) action: String,
    /// An ARN, or `*`.
    pub(super) resource: String,
    /// The partition keys of the items (`dynamodb:LeadingKeys`).
    pub(super) leading_keys: Option<Vec<String>>,
    /// Condition keys of this access, with their values.
    pub(super) conditions: Vec<(String, String)>,
}

impl Access {
    /// Access without condition keys of its own.
    pub(super) fn new(action: &str, resource: &str) -> Self {
        Self { action: action.to_owned(), resource: resource.to_owned(), leading_keys: None, conditions: Vec::new() }
    }
}

impl Roles {
    /// The roles of the account that all data is in.
    pub(super) fn open(region: &str, account: &AccountId) -> Result<Self, OpenError> {
        let partition = Region::parse(region).map_or("aws", |region| arn::partition(&region));
        let names = |name: &str| match name {
            "Table.Arn" => Some(format!("arn:{partition}:dynamodb:{region}:{account}:table/{TABLE}")),
            "Bucket.Arn" => Some(format!("arn:{partition}:s3:::{BUCKET_PREFIX}{region}")),
            // There is no such key here: nothing is encrypted that is not asked for.
            "BlobKey.Arn" => Some(format!("arn:{partition}:kms:{region}:{account}:key/none")),
            "AWS::Region" => Some(region.to_owned()),
            "AWS::Partition" => Some(partition.to_owned()),
            "AWS::AccountId" => Some(account.to_string()),
            _ => None,
        };
        let policy = |mode: Mode, text: &str| {
            let unusable = |message: String| OpenError::Role { role: mode_name(mode), message };
            let document = serde_json::from_str(text).map_err(|error| unusable(error.to_string()))?;
            let document = resolved(document, &names).ok_or_else(|| unusable("a name is unknown".to_owned()))?;
            Policy::parse(&document.to_string(), PolicyKind::Identity).map_err(|error| unusable(error.to_string()))
        };
        Ok(Self {
            account: account.clone(),
            region: region.to_owned(),
            partition,
            read: policy(Mode::Read, READ)?,
            write: policy(Mode::Write, WRITE)?,
        })
    }

    /// The mode of a role, given its ARN.
    pub(super) fn mode_of(&self, role_arn: &str) -> Option<Mode> {
        [Mode::Read, Mode::Write].into_iter().find(|mode| role_arn_in(self.partition, &self.account, *mode) == role_arn)
    }

    /// How a session of a tenant is called in messages.
    pub(super) fn session_arn(&self, session: &TenantSession) -> String {
        let Self { account, partition, .. } = self;
        let (role, tenant) = (mode_name(session.mode), &session.tenant);
        format!("arn:{partition}:sts::{account}:assumed-role/{ROLE_PREFIX}{role}/{tenant}")
    }

    /// The ARN of a table, given its name or already its ARN.
    pub(super) fn table_arn(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        let Self { account, region, partition, .. } = self;
        format!("arn:{partition}:dynamodb:{region}:{account}:table/{name}")
    }

    /// The ARN of a bucket, or of a key in it.
    pub(super) fn s3_arn(&self, bucket: &str, key: Option<&str>) -> String {
        let partition = self.partition;
        key.map_or_else(
            || format!("arn:{partition}:s3:::{bucket}"),
            |key| format!("arn:{partition}:s3:::{bucket}/{key}"),
        )
    }

    /// Refuses what the session's role does not allow, with the sentence of AWS.
    pub(super) fn check(&self, session: &TenantSession, accesses: &[Access]) -> Result<(), String> {
        let policy = match session.mode {
            Mode::Read => &self.read,
            Mode::Write => &self.write,
        };
        let role_arn = role_arn_in(self.partition, &self.account, session.mode);
        let session_arn = self.session_arn(session);
        let requester = Requester::Session {
            account: &self.account,
            incarnation: "",
            role_arn: &role_arn,
            session_arn: &session_arn,
            id: "",
        };
        let identity = [Attached { id: mode_name(session.mode), policy }];
        let policies = Policies { identity: &identity, ..Policies::default() };
        let mut context = Context::new();
        context.insert(&format!("aws:PrincipalTag/{TENANT_TAG}"), session.tenant.as_str());
        for access in accesses {
            let mut context = context.clone();
            if let Some(keys) = &access.leading_keys {
                context.insert_list("dynamodb:LeadingKeys", keys.iter().cloned());
            }
            for (key, value) in &access.conditions {
                context.insert(key, value);
            }
            let request = Request {
                requester,
                action: &access.action,
                resource: &access.resource,
                resource_account: &self.account,
                context: &context,
            };
            let decision = decide(&request, &policies);
            if !decision.is_allowed() {
                let Access { action, resource, .. } = access;
                return Err(format!(
                    "User: {session_arn} is not authorized to perform: {action} on resource: {resource} {}",
                    decision.reason
                ));
            }
        }
        Ok(())
    }
}

/// What the name of a role starts with; its mode follows.
const ROLE_PREFIX: &str = "ironwharf-tenant-";

fn role_arn_in(partition: &str, account: &AccountId, mode: Mode) -> String {
    format!("arn:{partition}:iam::{account}:role/{ROLE_PREFIX}{}", mode_name(mode))
}

/// The ARNs of the roles in a Region.
pub(super) fn role_arns(region: &str, account: &AccountId) -> ironwharf_cloud::TenantRoles {
    let partition = Region::parse(region).map_or("aws", |region| arn::partition(&region));
    let arn = |mode| Some(role_arn_in(partition, account, mode));
    ironwharf_cloud::TenantRoles { read: arn(Mode::Read), write: arn(Mode::Write) }
}

/// Resolves every `Fn::Sub` in a document; `None` if one has a name that is unknown.
fn resolved(value: Value, names: &impl Fn(&str) -> Option<String>) -> Option<Value> {
    Some(match value {
        Value::Array(list) => {
            Value::Array(list.into_iter().map(|value| resolved(value, names)).collect::<Option<_>>()?)
        }
        Value::Object(members) => match members.get("Fn::Sub") {
            Some(Value::String(text)) if members.len() == 1 => Value::String(substituted(text, names)?),
            _ => Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| Some((name, resolved(value, names)?)))
                    .collect::<Option<_>>()?,
            ),
        },
        other => other,
    })
}

/// Puts values in place of `${Name}`; `${!name}` stands for `${name}` itself.
fn substituted(text: &str, names: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}')?;
        out.push_str(before);
        match name.strip_prefix('!') {
            Some(literal) => {
                out.push_str("${");
                out.push_str(literal);
                out.push('}');
            }
            None => out.push_str(&names(name)?),
        }
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}
