//! What AWS does by itself and an embedded database does not: expiry.
//!
//! Invariant: no answer to a request depends on this task having run.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;

/// Expired items go within this time; DynamoDB itself promises "a few days".
const TTL_SWEEP_EVERY: Duration = Duration::from_mins(1);

/// One stream trim for every so many sweeps, that is hourly.
const SWEEPS_PER_TRIM: u32 = 60;

/// Sweeps until the task is aborted.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut clock = tokio::time::interval(TTL_SWEEP_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 0_u32.. {
        clock.tick().await;
        let trim = tick % SWEEPS_PER_TRIM == 0;
        for services in inner.open_regions() {
            let sweep = tokio::task::spawn_blocking(move || {
                services.tables.expire_items();
                if trim {
                    services.tables.trim_streams();
                }
            });
            if let Err(error) = sweep.await {
                tracing::error!(%error, "the sweep of expired items stopped early");
            }
        }
    }
}
