//! Counting the calls of one operation.

use std::collections::BTreeMap;

use ironwharf_tests::{Client, Registry};

/// The calls of one operation, by service and name, such as `S3 PutObject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Calls(BTreeMap<String, u64>);

/// The repositories that the operations use.
pub(crate) const REPOSITORIES: [&str; 4] = ["small", "large", "pushes", "only"];

/// The names of the S3 calls that write.
const S3_WRITES: [&str; 5] =
    ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"];

impl Calls {
    /// What reaches the services while `operation` runs.
    pub(crate) async fn of_operation<T>(registry: &Registry, operation: impl Future<Output = T>) -> Self {
        drop(registry.app().take_counts());
        operation.await;
        Self(registry.app().take_counts())
    }

    /// All calls of a service.
    pub(crate) fn of(&self, service: &str) -> u64 {
        self.named(service).map(|(_, count)| count).sum()
    }

    /// The calls that write to the object store.
    pub(crate) fn s3_writes(&self) -> u64 {
        self.named("S3").filter(|(name, _)| S3_WRITES.contains(name)).map(|(_, count)| count).sum()
    }

    /// The calls of a service in words: `3: 2 GetItem, 1 PutItem`.
    pub(crate) fn in_words(&self, service: &str) -> String {
        let names: Vec<String> = self.named(service).map(|(name, count)| format!("{count} {name}")).collect();
        if names.is_empty() { "0".to_owned() } else { format!("{}: {}", self.of(service), names.join(", ")) }
    }

    fn named<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let prefix = move |call: &'a str| call.strip_prefix(service)?.strip_prefix(' ');
        self.0.iter().filter_map(move |(call, count)| Some((prefix(call)?, *count)))
    }
}

/// A registry whose calls are counted, and a client of it that has logged in.
pub(crate) struct Counted {
    registry: Registry,
    pub(crate) client: Client,
}

impl Counted {
    pub(crate) async fn start() -> Self {
        let registry = Registry::start().await;
        let client = registry.client();
        client.authorization().await;
        Self { registry, client }
    }

    /// What an operation costs on a warm function: one that has seen the
    /// repository lately.
    pub(crate) async fn count<T>(&self, operation: impl Future<Output = T>) -> Calls {
        for repository in REPOSITORIES {
            drop(self.client.get_manifest(repository, "warm").await);
        }
        let calls = Calls::of_operation(&self.registry, operation).await;
        let known = calls.of("DynamoDB") + calls.of("S3");
        assert_eq!(calls.0.values().sum::<u64>(), known, "an operation calls something else: {calls:?}");
        calls
    }

    pub(crate) async fn stop(self) {
        self.registry.stop().await;
    }
}
