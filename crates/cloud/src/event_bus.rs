//! The bus of `EventBridge` that others are told of images over.

use aws_credential_types::Credentials;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use ironwharf_model::{Error, Region, Result};

use crate::connect::{https_client, sdk_config};

/// The source of the events. Those that begin with `aws.` are AWS's own, which
/// nobody else may use.
pub const SOURCE: &str = "ironwharf.ecr";

/// The most events of one call.
pub const EVENTS_PER_CALL: usize = 10;

/// An event on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusEvent {
    /// Its `detail-type`.
    pub detail_type: &'static str,
    /// Its `detail`, as JSON.
    pub detail: String,
    /// Its `time`, in seconds since the epoch.
    pub at_seconds: i64,
}

/// A bus.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: Client,
    /// Its name or ARN.
    name: String,
}

impl EventBus {
    /// The bus `name` of AWS (or `endpoint_url`), reached with the credentials of
    /// the environment.
    pub async fn connect(region: &Region, name: String, endpoint_url: Option<&str>) -> Self {
        Self { client: Client::new(&sdk_config(region, endpoint_url).await), name }
    }

    /// The bus `name` at another endpoint than AWS, reached with these credentials.
    #[must_use]
    pub fn with_credentials(region: &Region, name: String, endpoint_url: &str, key: &str, secret: &str) -> Self {
        let config = aws_sdk_eventbridge::Config::builder()
            .behavior_version(aws_sdk_eventbridge::config::BehaviorVersion::latest())
            .region(aws_sdk_eventbridge::config::Region::new(region.to_string()))
            .credentials_provider(Credentials::new(key, secret, None, None, "given"))
            .http_client(https_client())
            .endpoint_url(endpoint_url)
            .build();
        Self { client: Client::from_conf(config), name }
    }

    /// Puts [`EVENTS_PER_CALL`] events at most on the bus.
    ///
    /// # Errors
    /// One of them was refused; others may be on the bus.
    pub async fn put(&self, events: &[BusEvent]) -> Result<()> {
        let entry = |event: &BusEvent| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(event.detail_type)
                .detail(&event.detail)
                .time(DateTime::from_secs(event.at_seconds))
                .build()
        };
        let put = self.client.put_events().set_entries(Some(events.iter().map(entry).collect()));
        let answer = put.send().await.map_err(|error| {
            Error::internal(format!("EventBridge PutEvents failed: {}", DisplayErrorContext(error)))
        })?;
        match answer.entries().iter().find_map(|entry| entry.error_code().map(|code| (code, entry.error_message()))) {
            Some((code, message)) => Err(Error::internal(format!(
                "EventBridge refused {} of {} events: {code}: {}",
                answer.failed_entry_count(),
                events.len(),
                message.unwrap_or_default()
            ))),
            None => Ok(()),
        }
    }
}
