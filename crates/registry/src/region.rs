//! The Regions a registry serves, each with its own table, bucket and keys.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use ironwharf_cloud::Cloud;
use ironwharf_model::{Region, Result};
use tokio::sync::RwLock;

use crate::creation_templates::TemplateCache;
use crate::keyring::Keyring;
use crate::pull_times::{PullTimes, Recorder};
use crate::repositories::RepositoryCache;
use crate::resource_policies::PolicyCache;

/// Opens the storage of Regions.
pub trait Regions: Send + Sync {
    /// The storage of a Region; `None` if it is not served. With `create`
    /// (for authenticated callers only), a Region may come into being.
    fn open<'a>(
        &'a self,
        region: &'a Region,
        create: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Cloud>>> + Send + 'a>>;

    /// The Regions that have data.
    fn existing(&self) -> Result<Vec<Region>>;
}

/// The one Region that a deployment on AWS serves.
#[derive(Clone, Debug)]
pub struct SingleRegion(pub Cloud);

impl Regions for SingleRegion {
    fn open<'a>(
        &'a self,
        region: &'a Region,
        _create: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Cloud>>> + Send + 'a>> {
        let cloud = (self.0.region == *region).then(|| self.0.clone());
        Box::pin(std::future::ready(Ok(cloud)))
    }

    fn existing(&self) -> Result<Vec<Region>> {
        Ok(vec![self.0.region.clone()])
    }
}

/// One Region: its storage, and caches over it.
pub(crate) struct RegionState {
    pub(crate) cloud: Cloud,
    pub(crate) keyring: Keyring,
    pub(crate) repositories: RepositoryCache,
    pub(crate) policies: PolicyCache,
    pub(crate) templates: TemplateCache,
    /// Whether new registries start with a template that lets a push create
    /// its repository.
    pub(crate) create_on_push: bool,
    pub(crate) pulls: PullTimes,
}

/// The Regions opened so far.
pub(crate) struct OpenRegions {
    source: Box<dyn Regions>,
    create_on_push: bool,
    open: RwLock<HashMap<Region, Arc<RegionState>>>,
    recorder: Arc<Recorder>,
}

impl OpenRegions {
    pub(crate) fn new(source: Box<dyn Regions>, create_on_push: bool) -> Self {
        Self { source, create_on_push, open: RwLock::default(), recorder: Arc::default() }
    }

    /// Who records when images are pulled.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The Regions that are open.
    pub(crate) async fn opened(&self) -> Vec<Arc<RegionState>> {
        self.open.read().await.values().map(Arc::clone).collect()
    }

    /// The Regions that have data.
    pub(crate) fn existing(&self) -> Result<Vec<Region>> {
        self.source.existing()
    }

    /// A Region that is served; see [`Regions::open`].
    pub(crate) async fn get(&self, region: &Region, create: bool) -> Result<Option<Arc<RegionState>>> {
        if let Some(state) = self.open.read().await.get(region) {
            return Ok(Some(Arc::clone(state)));
        }
        // Held while opening, so that a Region is provisioned once.
        let mut open = self.open.write().await;
        if let Some(state) = open.get(region) {
            return Ok(Some(Arc::clone(state)));
        }
        let Some(cloud) = self.source.open(region, create).await? else { return Ok(None) };
        let keyring = Keyring::new(cloud.sealing.clone());
        let (repositories, policies, templates) = Default::default();
        let create_on_push = self.create_on_push;
        let pulls = PullTimes::new(Arc::clone(&self.recorder));
        let state = Arc::new(RegionState { cloud, keyring, repositories, policies, templates, create_on_push, pulls });
        open.insert(region.clone(), Arc::clone(&state));
        Ok(Some(state))
    }
}
