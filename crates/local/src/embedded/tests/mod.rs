//! The embedded services, seen through the SDK's own clients.

mod crash;
mod dynamodb;
mod encryption;
mod folder;
mod kms;
mod multipart;
mod objects;
mod public;
mod speed;
mod tenants;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;

use super::{Embedded, RegionServices};

const REGION: &str = "us-east-1";
const ACCOUNT: &str = "123456789012";
const BUCKET: &str = "layers";

/// The services of one Region in a folder that goes away with them.
struct Fixture {
    embedded: Embedded,
    services: Arc<RegionServices>,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let embedded = Embedded::open(&dir.path().join("data"), ACCOUNT).unwrap();
        let services = embedded.region(REGION).unwrap();
        Self { embedded, services, dir }
    }

    /// Closes the folder and opens it again, as a restart does.
    fn reopen(self) -> Self {
        let Self { embedded, services, dir } = self;
        drop((embedded, services));
        let embedded = Embedded::open(&dir.path().join("data"), ACCOUNT).unwrap();
        let services = embedded.region(REGION).unwrap();
        Self { embedded, services, dir }
    }

    fn credentials(&self) -> Credentials {
        let pair = self.embedded.service_credentials();
        Credentials::new(&pair.access_key_id, &pair.secret_access_key, None, None, "test")
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        self.s3_at("http://localhost:5100")
    }

    fn s3_at(&self, url: &str) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::from_conf(self.s3_config(url).build())
    }

    fn s3_config(&self, url: &str) -> aws_sdk_s3::config::Builder {
        aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(REGION))
            .credentials_provider(self.credentials())
            .endpoint_url(url)
            .force_path_style(true)
            .http_client(self.services.s3.clone())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::disabled())
    }

    async fn bucket(&self) -> aws_sdk_s3::Client {
        let client = self.s3();
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        client
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::v2026_01_12())
            .region(aws_sdk_dynamodb::config::Region::new(REGION))
            .credentials_provider(self.credentials())
            .endpoint_url("http://localhost")
            .http_client(self.services.dynamodb.clone())
            .retry_config(RetryConfig::disabled());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    fn kms(&self) -> aws_sdk_kms::Client {
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(aws_sdk_kms::config::BehaviorVersion::v2026_01_12())
            .region(aws_sdk_kms::config::Region::new(REGION))
            .credentials_provider(self.credentials())
            .endpoint_url("http://localhost")
            .http_client(self.services.kms.clone())
            .retry_config(RetryConfig::disabled());
        aws_sdk_kms::Client::from_conf(config.build())
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The names of all data files.
    fn data_files(&self) -> BTreeSet<String> {
        data_files(&self.data_dir())
    }

    /// Waits until there are so many data files: they go after the answer.
    async fn wait_for_files(&self, count: usize) {
        for _ in 0..200 {
            if self.data_files().len() == count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("expected {count} data files, found {:?}", self.data_files());
    }
}

fn data_files(data_dir: &Path) -> BTreeSet<String> {
    let dir = data_dir.join("regions").join(REGION).join("objects");
    let mut names = BTreeSet::new();
    for sub in std::fs::read_dir(dir).unwrap() {
        for file in std::fs::read_dir(sub.unwrap().path()).unwrap() {
            names.insert(file.unwrap().file_name().into_string().unwrap());
        }
    }
    names
}

async fn put(client: &aws_sdk_s3::Client, key: &str, body: Vec<u8>) -> String {
    let put = client.put_object().bucket(BUCKET).key(key).body(body.into());
    put.send().await.unwrap().e_tag.unwrap()
}

async fn get(client: &aws_sdk_s3::Client, key: &str) -> Vec<u8> {
    let object = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
    collect(object.body).await
}

async fn collect(body: ByteStream) -> Vec<u8> {
    body.collect().await.unwrap().into_bytes().to_vec()
}

/// Bytes that differ from place to place, so that a shifted read is noticed.
fn pattern(size: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// The code of a refused request.
macro_rules! code {
    ($result:expr) => {{
        let error = $result.map(|_| ()).unwrap_err();
        let code = aws_sdk_s3::error::ProvideErrorMetadata::code(&error).map(str::to_owned);
        code.unwrap_or_else(|| panic!("no code in {error:?}"))
    }};
}
use code;

/// A table of the simplest kind, made if it is not there.
async fn dynamodb_items(fixture: &Fixture) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
    let client = fixture.dynamodb();
    let attribute = AttributeDefinition::builder().attribute_name("PK").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("PK").key_type(KeyType::Hash);
    let create = client.create_table().table_name("crash").billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute.build().unwrap()).key_schema(key.build().unwrap());
    // It may be there from before the crash.
    let _ = create.send().await;
    client
}
