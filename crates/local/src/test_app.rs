//! A registry for tests: its own port, its own folder, gone when dropped.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ironwharf_cloud::Cloud;
use ironwharf_model::{AccountId, Region};
use ironwharf_registry::{App, EgressRules, RateLimits, Regions as _, RegistryHost};
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::Sentence;
use crate::counting::CallCounts;
use crate::credentials::RootKey;
use crate::embedded::Embedded;
use crate::regions::EmbeddedRegions;
use crate::server::{ServeOptions, Server};

/// A running registry.
pub struct TestApp {
    address: SocketAddr,
    counts: CallCounts,
    embedded: Option<Arc<Embedded>>,
    app: App,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl fmt::Debug for TestApp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TestApp").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What differs between tests.
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// As `--create-on-push`.
    pub create_on_push: bool,
    /// As `--registry-host`.
    pub registry_host: Option<&'static str>,
    /// As `--rate-limits`.
    pub rate_limits: RateLimits,
    /// As `--allow-private-issuers` and `--issuer-ca`.
    pub egress: EgressRules,
}

impl Default for TestOptions {
    fn default() -> Self {
        let (rate_limits, egress) = (RateLimits::Unlimited, EgressRules::default());
        Self { create_on_push: true, registry_host: None, rate_limits, egress }
    }
}

impl TestApp {
    /// The access key id of the root.
    pub const ACCESS_KEY_ID: &str = "AKIATESTTESTTESTTEST";
    /// Its secret.
    pub const SECRET_ACCESS_KEY: &str = "test/secret/of/the/root/account";
    /// The account.
    pub const ACCOUNT: &str = "123456789012";
    /// The Region.
    pub const REGION: &str = "us-east-1";

    /// Starts a registry over `data_dir`.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub async fn start(data_dir: &Path, options: TestOptions) -> Result<Self, Sentence> {
        let counts = CallCounts::default();
        let options = ServeOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: data_dir.to_owned(),
            account: AccountId::parse(Self::ACCOUNT).map_err(|error| error.to_string())?,
            region: Region::parse(Self::REGION).map_err(|error| error.to_string())?,
            registry_host: options.registry_host.map(|host| RegistryHost::parse(host, false)).transpose()?,
            endpoint_url: None,
            create_on_push: options.create_on_push,
            rate_limits: options.rate_limits,
            egress: options.egress,
            root: RootKey {
                access_key_id: Self::ACCESS_KEY_ID.to_owned(),
                secret_access_key: Self::SECRET_ACCESS_KEY.to_owned(),
            },
        };
        let server = Server::bind(options, Some(counts.clone())).await?;
        let (address, embedded, app) = (server.address(), server.embedded(), server.app().clone());
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server.run(async move {
            // A dropped sender means the same as a sent word.
            let _ = stopped.await;
        }));
        Ok(Self { address, counts, embedded, app, stop, server })
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls to the services since the last time.
    #[must_use]
    pub fn take_counts(&self) -> BTreeMap<String, u64> {
        self.counts.take()
    }

    /// The storage of a Region as the registry has it, to look behind the wire.
    ///
    /// # Errors
    /// If the Region has no data, or cannot be opened.
    pub async fn cloud(&self, region: &Region) -> Result<Cloud, Sentence> {
        let missing = || format!("there is no storage of {region}");
        let embedded = self.embedded.clone().ok_or_else(missing)?;
        let opened = EmbeddedRegions { embedded, region: region.clone(), counts: None }.open(region, false).await;
        opened.map_err(|error| error.to_string())?.ok_or_else(missing)
    }

    /// Does one step of all work that would be due in the default Region at
    /// this time, as a schedule does; how many steps there were.
    ///
    /// # Errors
    /// If the list of work cannot be read.
    pub async fn do_work_at(&self, now: OffsetDateTime) -> Result<usize, Sentence> {
        let region = Region::parse(Self::REGION).map_err(|error| error.to_string())?;
        self.app.do_due_work(&region, now).await.map_err(|error| error.to_string())
    }

    /// Stops the registry and waits until it is gone, so that its folder can
    /// be opened again.
    pub async fn stop(self) {
        // The server is the last to hold on to the folder.
        let Self { app, embedded, stop, server, .. } = self;
        drop((app, embedded, stop));
        // The task ends by itself; a panic in it was a failed test already.
        let _ = server.await;
    }
}
