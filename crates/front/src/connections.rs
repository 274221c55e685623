//! How many connections are open at a time.
//!
//! Invariant: a connection keeps its [`Place`] for as long as it is open.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a connection may be silent while others wait for a place.
const PATIENCE: Duration = Duration::from_secs(1);

/// The limit of a process whose limit is not known.
const USUAL_LIMIT: usize = 1024;

/// Lets this process have as many files open as it is allowed to ask for, and
/// says how many: the usual soft limit is made for programs that use `select`.
fn raise_descriptor_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    // No limit at all is more than anybody opens.
    limit.map_or(USUAL_LIMIT * USUAL_LIMIT, |limit| usize::try_from(limit).unwrap_or(USUAL_LIMIT))
}

/// The places for connections.
#[derive(Debug)]
pub(crate) struct Connections {
    free: Arc<Semaphore>,
    wanted: Arc<Notify>,
}

/// A connection's place, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    since: Instant,
    wanted: Arc<Notify>,
}

impl Connections {
    /// Half as many as the process may have open files: a request may need one
    /// or two of its own.
    pub(crate) fn of_this_process() -> Self {
        Self::new(raise_descriptor_limit() / 2)
    }

    fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(most)), wanted: Arc::new(Notify::new()) }
    }

    /// Waits for a place, and asks silent connections for theirs meanwhile.
    pub(crate) async fn place(&self) -> Place {
        let acquired = Arc::clone(&self.free).acquire_owned();
        let mut acquired = std::pin::pin!(acquired);
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                permit = &mut acquired => match permit {
                    Ok(permit) => return Place { _permit: permit, since: Instant::now(), wanted: Arc::clone(&self.wanted) },
                    // Nobody closes the semaphore.
                    Err(_) => std::future::pending().await,
                },
                () = sleep(PATIENCE / 4) => {}
            }
            if !told {
                told = true;
                tracing::warn!("as many connections are open as may be; new ones wait");
            }
            self.wanted.notify_waiters();
        }
    }
}

impl Place {
    /// Done when somebody waits for the place of this connection, which has
    /// been silent for long enough.
    pub(crate) async fn is_wanted(&self) {
        sleep_until(self.since + PATIENCE).await;
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silent_connections_make_room() {
        let connections = Connections::new(2);
        let (busy, silent) = (connections.place().await, connections.place().await);
        let silent = tokio::spawn(async move { silent.is_wanted().await });
        // Whoever waits gets the silent one's place, and the busy one keeps its own.
        let third = connections.place().await;
        silent.await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_hours(1), connections.place());
        assert!(waiting.await.is_err(), "nobody is silent any more");
        drop(third);
        let _fourth = connections.place().await;
        drop(busy);
        let _fifth = connections.place().await;
    }
}
