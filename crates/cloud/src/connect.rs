//! Connecting to the services of one Region: AWS itself, another endpoint that
//! speaks its protocols, or services embedded in this process.

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ironwharf_model::{Region, Result};

use crate::key_secrets::KeySecrets;
use crate::objects::Objects;
use crate::sealing::SealingKeys;
use crate::table::Table;
use crate::tenancy::{TenantClients, TenantRoles, TenantStorage, Tenants};
use crate::tenant_keys::TenantKeys;

/// How to reach the services, and what they are called.
#[derive(Clone, Debug)]
pub struct CloudConfig {
    /// The Region.
    pub region: Region,
    /// The table's name.
    pub table: String,
    /// The bucket's name.
    pub bucket: String,
    /// The KMS key that wraps sealing keys: an alias, an id or an ARN.
    pub kms_key: String,
    /// Another endpoint than AWS, for all services.
    pub endpoint_url: Option<String>,
    /// The roles that tenants' data is reached with. Without any, the
    /// credentials of the process reach everything.
    pub tenant_roles: TenantRoles,
}

pub(crate) fn https_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// What the clients of AWS (or `endpoint_url`) share, with the credentials of the
/// environment: the function's role, a profile, or variables.
pub(crate) async fn sdk_config(region: &Region, endpoint_url: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https_client())
        .region(aws_config::Region::new(region.to_string()));
    if let Some(endpoint_url) = endpoint_url {
        loader = loader.endpoint_url(endpoint_url);
    }
    loader.load().await
}

/// Services in this process: one HTTP client each, which never opens a connection.
#[derive(Clone, Debug)]
pub struct HttpClients {
    /// `DynamoDB`.
    pub dynamodb: SharedHttpClient,
    /// S3.
    pub s3: SharedHttpClient,
    /// KMS.
    pub kms: SharedHttpClient,
    /// STS.
    pub sts: SharedHttpClient,
    /// The access key id and secret the services know.
    pub credentials: (String, String),
}

/// The storage of one Region.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// The Region.
    pub region: Region,
    /// Metadata, reached with the credentials of the process: for what is no
    /// tenant's, and for the identity service.
    pub table: Table,
    /// Blobs, reached with the credentials of the process.
    pub objects: Objects,
    /// The same for one tenant at a time.
    pub tenants: Tenants,
    /// Sealing keys.
    pub sealing: SealingKeys,
    /// The secrets of access keys.
    pub key_secrets: KeySecrets,
    /// The KMS keys of tenants.
    pub tenant_keys: TenantKeys,
}

impl Cloud {
    /// Connects to AWS (or `endpoint_url`) with the credentials of the
    /// environment: the function's role, a profile, or variables.
    pub async fn connect(config: CloudConfig) -> Self {
        let shared = sdk_config(&config.region, config.endpoint_url.as_deref()).await;
        Self::from_sdk(&shared, config, None)
    }

    /// Connects to services in this process.
    #[must_use]
    pub fn embedded(config: CloudConfig, clients: &HttpClients) -> Self {
        let (access_key_id, secret) = &clients.credentials;
        let credentials = Credentials::new(access_key_id, secret, None, None, "embedded");
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_config::Region::new(config.region.to_string()))
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
            .endpoint_url("http://embedded.localhost")
            // What is refused in process is refused for good.
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(aws_config::stalled_stream_protection::StalledStreamProtectionConfig::disabled())
            .build();
        Self::from_sdk(&shared, config, Some(clients))
    }

    fn from_sdk(shared: &SdkConfig, config: CloudConfig, clients: Option<&HttpClients>) -> Self {
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(shared);
        // A connection to the object store is TLS, and every blob has a digest
        // that is checked: a second checksum of the same bytes buys nothing.
        let mut s3 = aws_sdk_s3::config::Builder::from(shared)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .force_path_style(clients.is_some() || config.endpoint_url.is_some());
        let mut kms = aws_sdk_kms::config::Builder::from(shared);
        let mut sts = aws_sdk_sts::config::Builder::from(shared);
        if let Some(clients) = clients {
            dynamodb = dynamodb.http_client(clients.dynamodb.clone());
            s3 = s3.http_client(clients.s3.clone());
            kms = kms.http_client(clients.kms.clone());
            sts = sts.http_client(clients.sts.clone());
        }
        let (dynamodb, s3) = (dynamodb.build(), s3.build());
        let table = Table::new(aws_sdk_dynamodb::Client::from_conf(dynamodb.clone()), config.table.clone());
        let objects = Objects::new(aws_sdk_s3::Client::from_conf(s3.clone()), config.bucket.clone());
        let tenants = if config.tenant_roles == TenantRoles::default() {
            Tenants::unscoped(TenantStorage { table: table.clone(), objects: objects.clone() })
        } else {
            let sts = aws_sdk_sts::Client::from_conf(sts.build());
            let clients = TenantClients { sts, dynamodb, s3, table: config.table, bucket: config.bucket };
            Tenants::scoped(config.tenant_roles, clients)
        };
        let kms = aws_sdk_kms::Client::from_conf(kms.build());
        let key_secrets = KeySecrets::new(kms.clone(), config.kms_key.clone());
        let tenant_keys = TenantKeys::new(kms.clone(), config.kms_key.clone(), config.region.clone());
        let sealing = SealingKeys::new(kms, config.kms_key, table.clone(), config.region.clone());
        Self { region: config.region, table, objects, tenants, sealing, key_secrets, tenant_keys }
    }

    /// Creates the table, the bucket and the key if they are not there.
    pub async fn provision(&self) -> Result<()> {
        self.table.provision().await?;
        self.objects.provision(self.region.as_str()).await?;
        self.sealing.provision().await
    }
}
