//! The jobs function: what has to be done when nobody asks.
//!
//! | event | what is done |
//! |---|---|
//! | `{"job": "work"}`, from a schedule | the work that is due: lifecycle policies, previews, the purge of deleted repositories |
//! | a batch of lines from the logs of functions that serve pulls | the times of the pulls are recorded |
//!
//! Invariant: every step can be done again: whoever sends the event repeats it
//! when the function fails, and two instances may run at once.
//! Invariant: no step is begun in the last [`RESERVE`] before the function would
//! be stopped; what is left is due at the next event.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lambda_events::event::cloudwatch_logs::LogsEvent;
use ironwharf_model::Region;
use ironwharf_registry::{App, NotedPull, PULL_LOG_TARGET};
use lambda_http::{LambdaEvent, Service};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::start::start;

/// How long a round of steps may take; in the template the function may take
/// three times as long.
pub const RESERVE: Duration = Duration::from_mins(5);

/// The registry's work as the service of one Lambda function.
#[derive(Clone)]
pub struct Jobs {
    app: App,
    region: Region,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Steps of work.
    pub steps: usize,
    /// Pulls that were recorded, or passed over.
    pub pulls: usize,
}

/// What the schedule sends.
#[derive(Deserialize)]
struct Scheduled {
    job: Job,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Job {
    Work,
}

/// A line of a log, as far as it is of interest.
#[derive(Deserialize)]
struct Line {
    target: String,
    fields: serde_json::Value,
}

impl Jobs {
    /// The work of a registry in a Region.
    #[must_use]
    pub const fn new(app: App, region: Region) -> Self {
        Self { app, region }
    }

    /// The function as its environment describes it.
    ///
    /// # Errors
    /// A sentence about the variable that is missing or wrong.
    pub async fn start() -> Result<Self, String> {
        let (app, region) = start(false).await?;
        Ok(Self::new(app, region))
    }

    /// Does what an event, given as JSON, asks for, until `deadline_ms` (since
    /// the epoch) comes near.
    ///
    /// # Errors
    /// A sentence, if the event is none of these, or something could not be done
    /// and should be tried again.
    pub async fn run(&self, event: &str, deadline_ms: u64) -> Result<Done, String> {
        if let Ok(Scheduled { job: Job::Work }) = serde_json::from_str(event) {
            return self.work(deadline_ms).await;
        }
        match serde_json::from_str(event) {
            Ok(logs) => self.record(&logs).await,
            Err(error) => Err(format!("the event is neither of the schedule nor of a log: {error}")),
        }
    }

    /// Does the work that is due, a round at a time.
    async fn work(&self, deadline_ms: u64) -> Result<Done, String> {
        let mut done = Done::default();
        loop {
            let now = OffsetDateTime::now_utc();
            let round = Box::pin(self.app.do_due_work(&self.region, now)).await;
            let steps = round.map_err(|error| failed("the list of work could not be read", &error))?;
            done.steps += steps;
            if steps == 0 || is_near(deadline_ms) {
                return Ok(done);
            }
        }
    }

    /// Records the pulls that lines of a log note.
    async fn record(&self, logs: &LogsEvent) -> Result<Done, String> {
        let lines = logs.aws_logs.data.log_events.iter();
        let noted: Vec<NotedPull> = lines.filter_map(|entry| pull_of(&entry.message)).collect();
        let recorded = self.app.record_noted_pulls(&self.region, &noted).await;
        recorded.map_err(|error| failed("the times of pulls could not be recorded", &error))?;
        Ok(Done { pulls: noted.len(), ..Done::default() })
    }
}

/// The pull that a line notes. Lambda itself writes lines too, and so do faults.
fn pull_of(line: &str) -> Option<NotedPull> {
    let line: Line = serde_json::from_str(line).ok()?;
    if line.target != PULL_LOG_TARGET {
        return None;
    }
    serde_json::from_value(line.fields).ok()
}

fn is_near(deadline_ms: u64) -> bool {
    let now_ms = u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(u64::MAX);
    let reserve_ms = u64::try_from(RESERVE.as_millis()).unwrap_or(u64::MAX);
    now_ms.saturating_add(reserve_ms) >= deadline_ms
}

/// What went wrong, for whoever reads the log of the function.
fn failed(what: &str, error: &ironwharf_model::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{what}: {error} {source}")
}

impl Service<LambdaEvent<Box<RawValue>>> for Jobs {
    type Response = Done;
    type Error = String;
    type Future = Pin<Box<dyn Future<Output = Result<Done, String>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: LambdaEvent<Box<RawValue>>) -> Self::Future {
        let jobs = self.clone();
        Box::pin(async move {
            let done = jobs.run(event.payload.get(), event.context.deadline).await?;
            tracing::info!(steps = done.steps, pulls = done.pulls, "done");
            Ok(done)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_note_no_pull_are_passed_over() {
        for line in [
            "START RequestId: 8f5c Version: $LATEST",
            r#"{"level":"INFO","fields":{"message":"answered"},"target":"ironwharf_registry::app"}"#,
            r#"{"level":"INFO","fields":{"message":"an image was pulled"},"target":"ironwharf::pull"}"#,
        ] {
            assert_eq!(pull_of(line), None, "{line}");
        }
        let line = r#"{"level":"INFO","fields":{"message":"an image was pulled","account":"123456789012","repository":
            "app","incarnation":"i","digest":"sha256:x","principal":"arn","at_ms":7},"target":"ironwharf::pull","span":{}}"#;
        let pull = pull_of(line).unwrap();
        assert_eq!((pull.repository.as_str(), pull.at_ms), ("app", 7));
    }
}
