//! Storage as one tenant sees it: clients that sign with a session that can
//! reach nothing but the tenant's own items and objects.
//!
//! The sessions are of the tenant data roles in `infra/tenant-roles/`, with the
//! tenant as their session tag; the policies of those roles say what the tag
//! may reach. A bug that mixes up two tenants is refused by the services.
//!
//! Invariant: a session's tag is an [`AccountId`], which is 12 digits: no
//! wildcard and no separator ever gets into a policy variable.
//! Invariant: a view that is given out signs for 20 more minutes at least, so
//! that a presigned URL never outlives its session.

mod leases;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::error::DisplayErrorContext;
use aws_sdk_sts::types::Tag;
use ironwharf_model::{AccountId, Error, Result};

use crate::objects::{Objects, PRESIGNED_SECONDS};
use crate::table::Table;
use leases::Leases;

/// The key of the session tag that says whose data a session may reach.
pub const TENANT_TAG: &str = "tenant";

/// How long a session lives: the most that a role may ask of another one.
const SESSION_SECONDS: i32 = 60 * 60;

/// What is left of a session when it is replaced: the life of a presigned URL
/// and five minutes.
const RENEWED_BEFORE: Duration = Duration::from_secs(PRESIGNED_SECONDS + 5 * 60);

/// How many sessions are kept at most.
const CAPACITY: usize = 512;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Pulls and listings.
    Read,
    /// Pushes and changes, and what they have to read.
    Write,
}

/// The ARNs of the tenant data roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantRoles {
    /// For [`Mode::Read`].
    pub read: Option<String>,
    /// For [`Mode::Write`]; a process that only reads has none.
    pub write: Option<String>,
}

/// The storage of one tenant in one Region.
#[derive(Clone, Debug)]
pub struct TenantStorage {
    /// Metadata.
    pub table: Table,
    /// Blobs.
    pub objects: Objects,
}

/// Gives out the storage of tenants.
#[derive(Clone)]
pub struct Tenants(Arc<Source>);

enum Source {
    /// No roles are configured: everything is reached with the credentials of
    /// the process, as with another endpoint than AWS.
    Unscoped(Arc<TenantStorage>),
    Scoped(Box<Scoped>),
}

/// What the storage of a tenant is made of.
struct Scoped {
    roles: TenantRoles,
    clients: TenantClients,
    leases: Leases<(AccountId, Mode), Arc<TenantStorage>>,
}

/// The clients of a Region without credentials of a tenant. The connections
/// below them are shared by all tenants.
pub(crate) struct TenantClients {
    pub(crate) sts: aws_sdk_sts::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Config,
    pub(crate) s3: aws_sdk_s3::Config,
    pub(crate) table: String,
    pub(crate) bucket: String,
}

impl fmt::Debug for Tenants {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles = match &*self.0 {
            Source::Unscoped(_) => None,
            Source::Scoped(scoped) => Some(&scoped.roles),
        };
        formatter.debug_struct("Tenants").field("roles", &roles).finish_non_exhaustive()
    }
}

impl Tenants {
    /// The same storage for everybody.
    pub(crate) fn unscoped(storage: TenantStorage) -> Self {
        Self(Arc::new(Source::Unscoped(Arc::new(storage))))
    }

    /// Storage scoped by sessions of `roles`.
    pub(crate) fn scoped(roles: TenantRoles, clients: TenantClients) -> Self {
        let leases = Leases::new(CAPACITY, RENEWED_BEFORE);
        Self(Arc::new(Source::Scoped(Box::new(Scoped { roles, clients, leases }))))
    }

    /// The storage of `tenant`. Costs a call of STS for a tenant that was not
    /// here within the last 40 minutes.
    pub async fn storage(&self, tenant: &AccountId, mode: Mode) -> Result<Arc<TenantStorage>> {
        match &*self.0 {
            Source::Unscoped(storage) => Ok(Arc::clone(storage)),
            Source::Scoped(scoped) => {
                let key = (tenant.clone(), mode);
                scoped.leases.get(&key, SystemTime::now, || scoped.open(tenant, mode)).await
            }
        }
    }
}

impl Scoped {
    /// Storage with a new session, and when the session ends.
    async fn open(&self, tenant: &AccountId, mode: Mode) -> Result<(Arc<TenantStorage>, SystemTime)> {
        let role = match mode {
            Mode::Read => &self.roles.read,
            Mode::Write => &self.roles.write,
        };
        let role = role.as_ref().ok_or_else(|| Error::internal(format!("there is no tenant role to {mode:?} with")))?;
        let (credentials, ends) = self.assume(role, tenant).await?;
        let provider = SharedCredentialsProvider::new(credentials);
        let TenantClients { dynamodb, s3, table, bucket, .. } = &self.clients;
        let dynamodb = dynamodb.to_builder().credentials_provider(provider.clone()).build();
        let s3 = s3.to_builder().credentials_provider(provider).build();
        let storage = TenantStorage {
            table: Table::new(aws_sdk_dynamodb::Client::from_conf(dynamodb), table.clone()),
            objects: Objects::new(aws_sdk_s3::Client::from_conf(s3), bucket.clone()),
        };
        Ok((Arc::new(storage), ends))
    }

    async fn assume(&self, role: &str, tenant: &AccountId) -> Result<(Credentials, SystemTime)> {
        let tag = Tag::builder().key(TENANT_TAG).value(tenant.as_str()).build().map_err(Error::internal)?;
        let assumed = self
            .clients
            .sts
            .assume_role()
            .role_arn(role)
            .role_session_name(tenant.as_str())
            .duration_seconds(SESSION_SECONDS)
            .tags(tag)
            .send()
            .await
            .map_err(|error| Error::internal(format!("STS AssumeRole failed: {}", DisplayErrorContext(error))))?;
        let session = assumed.credentials.ok_or_else(|| Error::internal("STS AssumeRole gave no credentials"))?;
        let ends = SystemTime::try_from(session.expiration).map_err(Error::internal)?;
        let (id, secret, token) = (session.access_key_id, session.secret_access_key, session.session_token);
        Ok((Credentials::new(id, secret, Some(token), Some(ends), "tenant session"), ends))
    }
}
