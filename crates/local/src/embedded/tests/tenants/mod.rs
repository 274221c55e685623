//! Sessions of tenants: each reaches its own data, and nothing else.

mod items;
mod objects;
mod planted;
mod sessions;
mod speed;
mod uploads;

use std::sync::Arc;

use aws_credential_types::Credentials;
use ironwharf_cloud::{Cloud, Encryption, Mode};
use ironwharf_model::{AccountId, Region};
use ironwharf_registry::Regions as _;

use super::code;
use crate::counting::CallCounts;
use crate::embedded::clock::now;
use crate::embedded::sessions::{TemporaryCredentials, TenantSession};
use crate::embedded::{BUCKET_PREFIX, Embedded, RegionServices, TABLE};
use crate::regions::EmbeddedRegions;

const REGION: &str = "us-east-1";
const ONE: &str = "111111111111";
const OTHER: &str = "222222222222";

/// The storage of one Region, with an item and an object of each of two tenants.
struct Storage {
    embedded: Arc<Embedded>,
    services: Arc<RegionServices>,
    cloud: Cloud,
    counts: CallCounts,
    _folder: tempfile::TempDir,
}

fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

fn bucket() -> String {
    format!("{BUCKET_PREFIX}{REGION}")
}

impl Storage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let embedded = Arc::new(Embedded::open(folder.path(), super::ACCOUNT).unwrap());
        let counts = CallCounts::default();
        let region = Region::parse(REGION).unwrap();
        let regions =
            EmbeddedRegions { embedded: Arc::clone(&embedded), region: region.clone(), counts: Some(counts.clone()) };
        let cloud = regions.open(&region, true).await.unwrap().unwrap();
        let services = embedded.region(REGION).unwrap();
        let storage = Self { embedded, services, cloud, counts, _folder: folder };
        for tenant in [ONE, OTHER] {
            let put = storage.dynamodb(storage.service()).put_item().table_name(TABLE);
            let item = [("pk", format!("T#{tenant}#X")), ("sk", "x".to_owned())];
            let item = item.map(|(name, value)| (name.to_owned(), items::text(&value)));
            put.set_item(Some(item.into())).send().await.unwrap();
            let bytes = tenant.as_bytes().to_vec().into();
            storage.cloud.objects.put(&format!("{tenant}/blob"), bytes, &Encryption::Aes256).await.unwrap();
        }
        storage
    }

    /// The service credentials.
    fn service(&self) -> Credentials {
        let pair = self.embedded.service_credentials();
        Credentials::new(&pair.access_key_id, &pair.secret_access_key, None, None, "test")
    }

    fn issue(&self, tenant: &str, mode: Mode, ends_at_s: i64) -> TemporaryCredentials {
        self.embedded.inner.sessions.issue(&TenantSession { tenant: account(tenant), mode }, ends_at_s)
    }

    /// A session of a tenant that is good for ten minutes.
    fn session(&self, tenant: &str, mode: Mode) -> Credentials {
        credentials(self.issue(tenant, mode, now() + 600))
    }

    fn dynamodb(&self, credentials: Credentials) -> aws_sdk_dynamodb::Client {
        use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(credentials)
            .endpoint_url("http://localhost")
            .http_client(self.services.dynamodb.clone())
            .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    fn s3(&self, credentials: Credentials) -> aws_sdk_s3::Client {
        use aws_sdk_s3::config::{BehaviorVersion, Region};
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(credentials)
            .endpoint_url("http://localhost:5100")
            .force_path_style(true)
            .http_client(self.services.s3.clone())
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled());
        aws_sdk_s3::Client::from_conf(config.build())
    }
}

fn credentials(issued: TemporaryCredentials) -> Credentials {
    let TemporaryCredentials { access_key_id, secret_access_key, token } = issued;
    Credentials::new(access_key_id, secret_access_key, Some(token), None, "test")
}
