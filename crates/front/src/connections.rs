//! How many connections are open at a time.
//!
//! Invariant: a connection keeps its [`Place`] for as long as it is open.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Frame, SizeHint};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a connection may be without a request while others wait for a place.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same while the server stops. The end of an answer may still be on its way to
/// a slow client then.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

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
    wanted: Arc<Notify>,
    activity: Activity,
}

/// What is going on on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    /// How many requests wait for their answers.
    requests: AtomicUsize,
    /// When there was the last one; none yet: when the connection was made.
    last: Mutex<Instant>,
    /// Whether there was one.
    answered: AtomicBool,
}

/// A request that waits for its answer, or for the end of it.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

/// The body of an answer, which keeps its connection busy until it is sent.
#[derive(Debug)]
pub(crate) struct Sent<B> {
    body: B,
    _busy: Busy,
}

impl<B> Sent<B> {
    pub(crate) const fn new(body: B, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for Sent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Activity {
    fn new() -> Self {
        let (requests, last) = (AtomicUsize::new(0), Mutex::new(Instant::now()));
        Self(Arc::new(State { requests, last, answered: AtomicBool::new(false) }))
    }

    /// Says that a request waits, until the value is dropped.
    pub(crate) fn request(&self) -> Busy {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// Since when no request waits; `None` while one does.
    fn idle_since(&self) -> Option<Instant> {
        let last = *self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        (self.0.requests.load(Ordering::Acquire) == 0).then_some(last)
    }

    fn is_idle_for(&self, patience: Duration) -> bool {
        self.idle_since().is_some_and(|since| since + patience <= Instant::now())
    }

    /// Done when no request has waited for as long as an answer may be on its way,
    /// if there was one.
    pub(crate) async fn is_over(&self) {
        loop {
            let patience = if self.0.answered.load(Ordering::Acquire) { LAST_PATIENCE } else { PATIENCE };
            if self.is_idle_for(patience) {
                return;
            }
            sleep_until(self.idle_since().unwrap_or_else(Instant::now) + patience).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Activity(state) = &self.0;
        *state.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        state.answered.store(true, Ordering::Release);
        state.requests.fetch_sub(1, Ordering::AcqRel);
    }
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
                    Ok(permit) => return Place { _permit: permit, wanted: Arc::clone(&self.wanted), activity: Activity::new() },
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
    pub(crate) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Done when somebody waits for the place of this connection, on which no
    /// request has waited for a moment: it is silent, or half a request, or
    /// between two.
    pub(crate) async fn is_wanted(&self) {
        loop {
            self.wanted.notified().await;
            if self.activity.is_idle_for(PATIENCE) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_without_a_request_make_room() {
        let connections = Connections::new(2);
        let (busy, idle) = (connections.place().await, connections.place().await);
        let request = busy.activity().request();
        let idle = tokio::spawn(async move { idle.is_wanted().await });
        // Whoever waits gets the idle one's place.
        let _third = connections.place().await;
        idle.await.unwrap();
        let wanted = tokio::spawn(async move { busy.is_wanted().await });
        let waiting = tokio::time::timeout(Duration::from_hours(1), connections.place());
        assert!(waiting.await.is_err(), "the busy one keeps its own");
        drop(request);
        let _fourth = connections.place().await;
        wanted.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_over_a_moment_after_its_last_request() {
        let silent = Activity::new();
        let since = Instant::now();
        silent.is_over().await;
        assert_eq!(since.elapsed().as_secs(), PATIENCE.as_secs());
        let activity = Activity::new();
        let request = activity.request();
        let still = tokio::time::timeout(Duration::from_hours(1), activity.is_over()).await;
        assert!(still.is_err(), "a request waits");
        drop(request);
        let since = Instant::now();
        activity.is_over().await;
        assert_eq!(since.elapsed().as_secs(), LAST_PATIENCE.as_secs());
    }
}
