//! The Regions of one machine: embedded ones, or another endpoint's.

use std::pin::Pin;
use std::sync::Arc;

use ironwharf_cloud::{Cloud, CloudConfig, HttpClients, TenantRoles};
use ironwharf_model::{Error, Region, Result};
use ironwharf_registry::Regions;

use crate::counting::CallCounts;
use crate::embedded::{BUCKET_PREFIX, Embedded, TABLE};

fn config(region: &Region, endpoint_url: Option<String>, tenant_roles: TenantRoles) -> CloudConfig {
    CloudConfig {
        region: region.clone(),
        table: TABLE.to_owned(),
        bucket: format!("{BUCKET_PREFIX}{region}"),
        kms_key: "alias/ironwharf".to_owned(),
        endpoint_url,
        tenant_roles,
    }
}

/// Regions in the data folder. A Region of AWS comes into being when an
/// authenticated request names it; each has its own databases, so names that
/// somebody makes up do not.
#[derive(Clone, Debug)]
pub struct EmbeddedRegions {
    /// The data folder.
    pub embedded: Arc<Embedded>,
    /// The Region of requests that name none, which may have any name.
    pub region: Region,
    /// Counts calls, if anyone wants to know.
    pub counts: Option<CallCounts>,
}

/// Whether a Region may come into being.
fn is_servable(region: &Region, own: &Region) -> bool {
    region == own || region.is_of_aws()
}

impl EmbeddedRegions {
    async fn open_region(&self, region: &Region, create: bool) -> Result<Option<Cloud>> {
        let embedded = Arc::clone(&self.embedded);
        let name = region.to_string();
        // Opening databases is file I/O.
        let may_begin = create && is_servable(region, &self.region);
        let services = tokio::task::spawn_blocking(move || {
            if may_begin { embedded.region(&name).map(Some) } else { embedded.existing_region(&name) }
        });
        let services = services.await.map_err(Error::internal)?.map_err(Error::internal)?;
        let Some(services) = services else { return Ok(None) };
        let counted = |client: &aws_smithy_runtime_api::client::http::SharedHttpClient| match &self.counts {
            Some(counts) => counts.around(client.clone()),
            None => client.clone(),
        };
        let credentials = self.embedded.service_credentials();
        let clients = HttpClients {
            dynamodb: counted(&services.dynamodb),
            s3: counted(&services.s3),
            kms: counted(&services.kms),
            sts: counted(&services.sts),
            credentials: (credentials.access_key_id.clone(), credentials.secret_access_key.clone()),
        };
        let roles = self.embedded.tenant_roles(region.as_str());
        let cloud = Cloud::embedded(config(region, None, roles), &clients);
        cloud.provision().await?;
        Ok(Some(cloud))
    }
}

impl Regions for EmbeddedRegions {
    fn open<'a>(
        &'a self,
        region: &'a Region,
        create: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Cloud>>> + Send + 'a>> {
        Box::pin(self.open_region(region, create))
    }

    fn existing(&self) -> Result<Vec<Region>> {
        let names = self.embedded.existing_regions().map_err(Error::internal)?;
        names.iter().map(|name| Region::parse(name)).collect()
    }
}

/// Regions of another endpoint, such as `LocalStack`.
#[derive(Clone, Debug)]
pub struct EndpointRegions {
    /// Its URL.
    pub endpoint_url: String,
    /// The Region that is there from the start.
    pub region: Region,
}

impl Regions for EndpointRegions {
    fn open<'a>(
        &'a self,
        region: &'a Region,
        create: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Cloud>>> + Send + 'a>> {
        Box::pin(async move {
            // What an unverified token names is not worth a connection.
            if (!create && *region != self.region) || !is_servable(region, &self.region) {
                return Ok(None);
            }
            // There are no tenant roles there: the credentials of the process
            // reach everything.
            let config = config(region, Some(self.endpoint_url.clone()), TenantRoles::default());
            let cloud = Cloud::connect(config).await;
            if create {
                cloud.provision().await?;
            }
            Ok(Some(cloud))
        })
    }

    fn existing(&self) -> Result<Vec<Region>> {
        Ok(vec![self.region.clone()])
    }
}
