//! The time, as rows keep it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in whole seconds since the epoch.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
