//! The events function: records of the table's stream in, events on a bus out.
//!
//! The environment is two variables of those in [`crate::settings`] and one of its
//! own: `AWS_REGION`, `AWS_ENDPOINT_URL`, and `IRONWHARF_EVENT_BUS`, the name of the
//! bus.
//!
//! Invariant: records are told of in their order, and what the function says is
//! done is on the bus. What it says failed, and all after it, is sent again: an
//! event may come twice, and none is left out.

use std::pin::Pin;
use std::task::{Context, Poll};

use ironwharf_cloud::event_bus::{BusEvent, EVENTS_PER_CALL, EventBus};
use ironwharf_cloud::table::StreamRecord;
use ironwharf_model::{Error, Region};
use ironwharf_registry::events::events_of;
use lambda_http::{LambdaEvent, Service};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::settings::{region, required};
use crate::start::start_log;

/// What tells of images, as the service of one Lambda function.
#[derive(Clone, Debug)]
pub struct Events {
    bus: EventBus,
}

/// A batch of records.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    records: Vec<StreamRecord>,
}

/// How far a batch was done: without a failure, all of it. (Lambda, "Reporting
/// batch item failures": everything from the first failure on is sent again.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The record that could not be told of, if there is one.
    pub batch_item_failures: Vec<Failure>,
}

/// A record that could not be told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Its place in the shard.
    pub item_identifier: String,
}

/// Events that wait for each other, so that a call has several.
#[derive(Default)]
struct Waiting {
    /// The record that the first of them is of.
    since: Option<String>,
    events: Vec<BusEvent>,
}

impl Events {
    /// Tells `bus`.
    #[must_use]
    pub const fn new(bus: EventBus) -> Self {
        Self { bus }
    }

    /// The function as its environment describes it.
    ///
    /// # Errors
    /// A sentence about the variable that is missing or wrong.
    pub async fn start() -> Result<Self, String> {
        start_log()?;
        let variable = |name: &str| std::env::var(name).ok();
        let region: Region = region(variable)?;
        let name = required(variable, "IRONWHARF_EVENT_BUS", "the name of the bus of EventBridge")?;
        let endpoint_url = variable("AWS_ENDPOINT_URL").filter(|url| !url.is_empty());
        Ok(Self::new(EventBus::connect(&region, name, endpoint_url.as_deref()).await))
    }

    /// Tells of the records in an event, given as JSON.
    ///
    /// # Errors
    /// A sentence, if the event is not one of a stream.
    pub async fn tell(&self, event: &str) -> Result<Told, String> {
        let Batch { records } =
            serde_json::from_str(event).map_err(|error| format!("the event is not of a table's stream: {error}"))?;
        let mut waiting = Waiting::default();
        for record in records {
            let sequence_number = record.sequence_number().to_owned();
            let events = match record.into_image_change() {
                Ok(change) => change.iter().flat_map(events_of).collect::<Vec<_>>(),
                Err(error) => {
                    return Ok(match self.flush(&mut waiting).await {
                        Told { batch_item_failures } if batch_item_failures.is_empty() => {
                            failed(&sequence_number, &error)
                        }
                        earlier => earlier,
                    });
                }
            };
            for event in events {
                if waiting.events.len() == EVENTS_PER_CALL {
                    let told = self.flush(&mut waiting).await;
                    if !told.batch_item_failures.is_empty() {
                        return Ok(told);
                    }
                }
                waiting.since.get_or_insert_with(|| sequence_number.clone());
                let detail = serde_json::to_string(&event.detail).map_err(|error| error.to_string())?;
                waiting.events.push(BusEvent { detail_type: event.detail_type, detail, at_seconds: event.at_seconds });
            }
        }
        Ok(self.flush(&mut waiting).await)
    }

    async fn flush(&self, waiting: &mut Waiting) -> Told {
        let Waiting { since, events } = std::mem::take(waiting);
        let Some(since) = since else { return Told::default() };
        match self.bus.put(&events).await {
            Ok(()) => {
                tracing::info!(events = events.len(), "told");
                Told::default()
            }
            Err(error) => failed(&since, &error),
        }
    }
}

fn failed(sequence_number: &str, error: &Error) -> Told {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(sequence_number, %error, source, "a record could not be told of");
    Told { batch_item_failures: vec![Failure { item_identifier: sequence_number.to_owned() }] }
}

impl Service<LambdaEvent<Box<RawValue>>> for Events {
    type Response = Told;
    type Error = String;
    type Future = Pin<Box<dyn Future<Output = Result<Told, String>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: LambdaEvent<Box<RawValue>>) -> Self::Future {
        let events = self.clone();
        Box::pin(async move { events.tell(event.payload.get()).await })
    }
}
