//! The AWS services of one machine: DynamoDB, S3, KMS and the part of STS that
//! the registry itself needs, inside this process.
//!
//! The registry talks to the unmodified SDK clients; what it gets from here are
//! the [`SharedHttpClient`]s that those clients send their requests to. One data
//! folder holds any number of Regions, and each Region has its own tables,
//! buckets and keys, as on AWS.
//!
//! ```text
//! <data folder>/lock               held exclusively while the folder is open
//! <data folder>/account            whose data it is
//! <data folder>/credentials.json   what the in-process clients sign with (0600)
//! <data folder>/root.key           seals the material of every KMS key (0600)
//! <data folder>/regions/<region>/dynamodb.sqlite
//! <data folder>/regions/<region>/s3.sqlite
//! <data folder>/regions/<region>/objects/<two hex digits>/<file>
//! <data folder>/regions/<region>/kms.sqlite
//! ```
//!
//! [`sessions`] are what the registry reaches the data of one tenant with, and
//! [`roles`] say what such a session may do: a request for anything else fails,
//! as it does on AWS. The service credentials may do everything.
//!
//! Invariant: no two processes have the same data folder open.
//! Invariant: no Region can read the tables, buckets or keys of another.
//! Invariant: no write is acknowledged before it was given to the disk with fsync.

mod authentication;
mod clock;
mod connector;
mod dynamodb;
mod folder;
mod kms;
mod maintenance;
mod roles;
mod s3;
mod secrets;
mod sessions;
mod sts;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ironwharf_cloud::TenantRoles;
use ironwharf_model::AccountId;
use tokio::task::JoinHandle;

use self::authentication::Gate;
pub use self::roles::{BUCKET_PREFIX, TABLE};
pub use self::s3::{ObjectBody, PublicObjects};
pub use self::secrets::ServiceCredentials;

/// Why a data folder, or a Region in it, cannot be used.
///
/// Every message is one sentence that can be shown to the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data folder open.
    #[error("the data folder {} is in use by another process", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// A file or folder could not be read, created or synced.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "create", "read".
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// A database file could not be opened or brought up to date.
    #[error("cannot open the database {}: {message}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        message: String,
    },
    /// A file of the data folder does not hold what it should.
    #[error("the file {} is damaged: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The data belongs to another account.
    #[error("the data folder {} belongs to account {owner}; start with --account {owner}, or name another folder with --data-dir", path.display())]
    OtherAccount {
        /// The data folder.
        path: PathBuf,
        /// Whose it is.
        owner: AccountId,
    },
    /// The account is none.
    #[error("{account:?} is not the id of an account")]
    InvalidAccount {
        /// What was given as its id.
        account: String,
    },
    /// The policy of a tenant role cannot be used.
    #[error("the policy of the tenant role to {role} cannot be used: {message}")]
    Role {
        /// Which one.
        role: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The name cannot be the name of a Region.
    #[error("{name:?} is not the name of a Region")]
    InvalidRegion {
        /// The name that was asked for.
        name: String,
    },
}

/// An open data folder.
///
/// Dropping it stops the maintenance task. The folder is released when the last
/// [`RegionServices`] is gone too, because their databases are still open.
#[derive(Debug)]
pub struct Embedded {
    inner: Arc<Inner>,
    maintenance: Mutex<Option<JoinHandle<()>>>,
}

/// What the maintenance task shares with [`Embedded`].
#[derive(Debug)]
struct Inner {
    data_dir: PathBuf,
    account: AccountId,
    credentials: ServiceCredentials,
    sessions: Arc<sessions::Sessions>,
    root_key: secrets::RootKey,
    lock: Arc<File>,
    regions: Mutex<BTreeMap<String, Arc<RegionServices>>>,
}

/// The services of one Region.
#[derive(Debug)]
pub struct RegionServices {
    /// Give this to the DynamoDB and DynamoDB Streams clients.
    pub dynamodb: SharedHttpClient,
    /// Give this to the S3 client, together with `force_path_style(true)`.
    pub s3: SharedHttpClient,
    /// Give this to the KMS client.
    pub kms: SharedHttpClient,
    /// Give this to the STS client: it gives out sessions of the tenant roles.
    pub sts: SharedHttpClient,
    /// Serves presigned object URLs on the public port.
    pub objects: PublicObjects,
    tables: dynamodb::Tables,
    /// Keeps the data folder ours while the databases of this Region are open.
    _lock: Arc<File>,
}

impl Embedded {
    /// Opens a data folder, creating it (for its owner only) if it is missing.
    ///
    /// Works without a tokio runtime; [`Embedded::spawn_maintenance`] needs one.
    pub fn open(data_dir: &Path, account: &str) -> Result<Self, OpenError> {
        let account =
            AccountId::parse(account).map_err(|_| OpenError::InvalidAccount { account: account.to_owned() })?;
        folder::create_private(data_dir)?;
        let lock = folder::lock(data_dir)?;
        folder::claim(data_dir, &account)?;
        let credentials = ServiceCredentials::load_or_create(data_dir)?;
        let regions = data_dir.join("regions");
        folder::create_private(&regions)?;
        let has_keys = !folder::names_in(&regions)?.is_empty();
        let root_key = secrets::RootKey::load_or_create(data_dir, has_keys)?;
        Ok(Self {
            inner: Arc::new(Inner {
                data_dir: data_dir.to_owned(),
                account,
                sessions: Arc::new(sessions::Sessions::new(&credentials)),
                credentials,
                root_key,
                lock: Arc::new(lock),
                regions: Mutex::default(),
            }),
            maintenance: Mutex::default(),
        })
    }

    /// The services of a Region, opened or created on first use.
    ///
    /// The first call for a Region does file I/O; later ones only take a lock.
    pub fn region(&self, region: &str) -> Result<Arc<RegionServices>, OpenError> {
        self.inner.region(region)
    }

    /// The Regions that have data in this folder, in order of name.
    pub fn existing_regions(&self) -> Result<Vec<String>, OpenError> {
        self.inner.existing_regions()
    }

    /// The services of a Region that has data in this folder already; `None`
    /// for any other, which is not created.
    pub fn existing_region(&self, region: &str) -> Result<Option<Arc<RegionServices>>, OpenError> {
        let opened = self.inner.regions.lock().unwrap_or_else(PoisonError::into_inner).get(region).map(Arc::clone);
        if opened.is_some() || !self.inner.has_region(region) {
            return Ok(opened);
        }
        self.inner.region(region).map(Some)
    }

    /// The key pair that the in-process clients must sign with.
    ///
    /// It is kept in the data folder because presigned URLs outlive a restart.
    #[must_use]
    pub fn service_credentials(&self) -> &ServiceCredentials {
        &self.inner.credentials
    }

    /// The roles that sessions for the data of one tenant are of.
    #[must_use]
    pub fn tenant_roles(&self, region: &str) -> TenantRoles {
        roles::role_arns(region, &self.inner.account)
    }

    /// Starts the background task that expires items and trims streams.
    ///
    /// Must be called on a tokio runtime. A second call replaces the first task.
    pub fn spawn_maintenance(&self) {
        let task = tokio::spawn(maintenance::run(Arc::clone(&self.inner)));
        let mut slot = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(previous) = slot.replace(task) {
            previous.abort();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let slot = self.maintenance.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = slot.take() {
            task.abort();
        }
    }
}

impl Inner {
    fn region(&self, region: &str) -> Result<Arc<RegionServices>, OpenError> {
        // The map stays locked while a Region opens, so that two first requests
        // cannot open its databases, and sweep its files, at the same time.
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(services) = regions.get(region) {
            return Ok(Arc::clone(services));
        }
        let services = Arc::new(self.open_region(region)?);
        regions.insert(region.to_owned(), Arc::clone(&services));
        Ok(services)
    }

    fn open_region(&self, region: &str) -> Result<RegionServices, OpenError> {
        if !is_region_name(region) {
            return Err(OpenError::InvalidRegion { name: region.to_owned() });
        }
        let dir = self.regions_dir().join(region);
        folder::create_private(&dir)?;
        let tables = dynamodb::Tables::open(&dir.join("dynamodb.sqlite"))?;
        let gate = Gate {
            region: Arc::from(region),
            sessions: Arc::clone(&self.sessions),
            roles: Arc::new(roles::Roles::open(region, &self.account)?),
        };
        let keys = kms::Keys::open(&dir.join("kms.sqlite"), &self.root_key, region, self.account.as_str())?;
        let (s3, objects) = s3::open(&dir, gate.clone(), keys.clone())?;
        folder::sync(&dir)?;
        Ok(RegionServices {
            dynamodb: connector::json_client(tables.clone(), gate.clone()),
            s3,
            kms: connector::json_client(keys, gate.clone()),
            sts: sts::client(gate),
            objects,
            tables,
            _lock: Arc::clone(&self.lock),
        })
    }

    fn existing_regions(&self) -> Result<Vec<String>, OpenError> {
        let dir = self.regions_dir();
        let mut names = folder::names_in(&dir)?;
        names.retain(|name| is_region_name(name));
        names.sort();
        Ok(names)
    }

    fn has_region(&self, region: &str) -> bool {
        is_region_name(region) && self.regions_dir().join(region).is_dir()
    }

    fn regions_dir(&self) -> PathBuf {
        self.data_dir.join("regions")
    }

    fn open_regions(&self) -> Vec<Arc<RegionServices>> {
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.values().map(Arc::clone).collect()
    }
}

/// A Region's name becomes the name of a folder, hence the narrow alphabet.
fn is_region_name(name: &str) -> bool {
    (3..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
