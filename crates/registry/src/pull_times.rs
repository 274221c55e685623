//! When images were pulled last, recorded behind the requests.
//!
//! A pull is only noted, and only if it was not within a day. In a server the
//! note goes into a queue in memory, and a task ([`App::record_pulls`]) writes it.
//! A function is frozen after its answer and has no tasks: there the note is a
//! line of the log ([`App::log_pulls`]), a subscription of the log brings it to
//! the jobs function, and that writes it ([`App::record_noted_pulls`]).
//!
//! A recorded pull adds to the image's revision, so that whoever decides to
//! archive or delete an image because nobody pulls it looks again. That can
//! happen once a day, and a deletion that it gets in the way of is tried again.
//!
//! Invariant: no pull waits for this. The queue is bounded; what does not fit
//! is forgotten, and the next pull is noted again.
//! Invariant: whether a principal is excluded is read after its pull.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ironwharf_cloud::table::{Incarnation, RepositoryKey};
use ironwharf_cloud::{Encryption, Mode, TenantStorage};
use ironwharf_model::{AccountId, Digest, Error, Region, RepositoryName, Result};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::app::App;
use crate::authorize::Permit;
use crate::region::RegionState;

/// How often a pull of an image is recorded at most.
const EVERY_MS: i64 = 24 * 3600 * 1000;

/// When an image is looked at again whose pull another process had recorded.
const AGAIN_MS: i64 = 3600 * 1000;

/// How many pulls wait at most.
const WAITING: usize = 10_000;

/// How many images are remembered at most.
const REMEMBERED: usize = 20_000;

/// The target of the lines of a log that note pulls.
pub const LOG_TARGET: &str = "ironwharf::pull";

/// A pull as a line of a log notes it. The line's fields have these names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NotedPull {
    /// The account of the repository.
    pub account: AccountId,
    /// The repository.
    pub repository: String,
    /// Which repository of this name.
    pub incarnation: String,
    /// The image.
    pub digest: String,
    /// The ARN of the user or role that pulled.
    pub principal: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

impl NotedPull {
    fn read(&self) -> Result<Pull> {
        let repository = RepositoryKey {
            account: self.account.clone(),
            name: RepositoryName::parse(&self.repository)?,
            incarnation: Incarnation::from_stored(&self.incarnation),
            // No layer is written.
            encryption: Encryption::Aes256,
        };
        let place = (repository, Digest::parse(&self.digest)?);
        Ok(Pull { place, principal: self.principal.clone(), at_ms: self.at_ms })
    }
}

/// An image.
type Place = (RepositoryKey, Digest);

/// A pull that is to be recorded.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Pull {
    place: Place,
    /// The ARN of the user or role.
    principal: String,
    at_ms: i64,
}

/// Who records, for all Regions.
#[derive(Default)]
pub(crate) struct Recorder {
    /// Whether a task of this process records what is noted.
    is_there: AtomicBool,
    /// Whether whoever reads the log does.
    reads_log: AtomicBool,
    noted: Notify,
}

/// The pulls of one Region.
pub(crate) struct PullTimes {
    recorder: Arc<Recorder>,
    /// Held by whoever records.
    recording: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Pull>,
    /// Who waits: an image and a principal, once.
    queued: HashSet<(Place, String)>,
    /// When a pull of an image is of interest again.
    not_before_ms: HashMap<Place, i64>,
    /// When a line about the pull of an image by a principal is. Whether the
    /// principal counts is not known here.
    not_logged_before_ms: HashMap<(Place, String), i64>,
}

/// Remembers something until a time, unless too much is remembered already.
fn remember<K: Eq + Hash>(known: &mut HashMap<K, i64>, key: K, until_ms: i64, now_ms: i64) {
    if known.len() >= REMEMBERED {
        known.retain(|_, until_ms| *until_ms > now_ms);
    }
    if known.len() < REMEMBERED {
        known.insert(key, until_ms);
    }
}

impl PullTimes {
    pub(crate) fn new(recorder: Arc<Recorder>) -> Self {
        Self { recorder, recording: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the caller has pulled an image.
    pub(crate) fn note(&self, permit: &Permit, repository: &RepositoryKey, digest: &Digest) {
        if self.recorder.reads_log.load(Ordering::Relaxed) {
            return self.log(permit, repository, digest);
        }
        if !self.recorder.is_there.load(Ordering::Relaxed) {
            return;
        }
        let (place, at_ms) = ((repository.clone(), digest.clone()), permit.caller().now_ms());
        let mut state = self.state();
        if state.waiting.len() >= WAITING || state.not_before_ms.get(&place).is_some_and(|until| at_ms < *until) {
            return;
        }
        let principal = permit.caller().principal.issuer_arn();
        if state.queued.insert((place.clone(), principal.clone())) {
            state.waiting.push_back(Pull { place, principal, at_ms });
            self.recorder.noted.notify_one();
        }
    }

    /// Writes a line about a pull, once a day for each principal.
    fn log(&self, permit: &Permit, repository: &RepositoryKey, digest: &Digest) {
        let (principal, at_ms) = (permit.caller().principal.issuer_arn(), permit.caller().now_ms());
        let who = ((repository.clone(), digest.clone()), principal);
        let mut state = self.state();
        if state.not_logged_before_ms.get(&who).is_some_and(|until_ms| at_ms < *until_ms) {
            return;
        }
        let RepositoryKey { account, name, incarnation, .. } = repository;
        tracing::info!(
            target: LOG_TARGET,
            %account,
            repository = %name,
            incarnation = incarnation.as_str(),
            %digest,
            principal = who.1,
            at_ms,
            "an image was pulled",
        );
        remember(&mut state.not_logged_before_ms, who, at_ms + EVERY_MS, at_ms);
    }

    /// The pull that waits longest. It waits until it is done, so that nothing
    /// is lost when whoever records is stopped.
    fn next(&self) -> Option<Pull> {
        self.state().waiting.front().cloned()
    }

    fn done(&self, pull: Pull, until_ms: Option<i64>, now_ms: i64) {
        let mut state = self.state();
        state.waiting.pop_front();
        let Pull { place, principal, .. } = pull;
        if let Some(until_ms) = until_ms {
            remember(&mut state.not_before_ms, place.clone(), until_ms, now_ms);
        }
        state.queued.remove(&(place, principal));
    }
}

/// The principals of a registry whose pulls do not count, and when they were read.
struct Excluded {
    principals: Vec<String>,
    read_at_ms: i64,
}

impl RegionState {
    /// Records the pulls that wait.
    async fn record_waiting_pulls(&self) {
        let _recording = self.pulls.recording.lock().await;
        let mut excluded = HashMap::new();
        while let Some(pull) = self.pulls.next() {
            let now_ms = now_ms();
            let until_ms = match self.record_pull(&pull, &mut excluded).await {
                Ok(until_ms) => until_ms,
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, source, "the time of a pull was not recorded");
                    None
                }
            };
            self.pulls.done(pull, until_ms, now_ms);
        }
    }

    /// Until when a pull of the image is of no interest, if that is known.
    async fn record_pull(&self, pull: &Pull, excluded: &mut HashMap<AccountId, Excluded>) -> Result<Option<i64>> {
        let (repository, digest) = &pull.place;
        let storage = self.cloud.tenants.storage(&repository.account, Mode::Write).await?;
        if is_excluded(&storage, pull, excluded).await? {
            return Ok(None);
        }
        let written = storage.table.record_pull(repository, digest, pull.at_ms, pull.at_ms - EVERY_MS).await?;
        Ok(Some(pull.at_ms + if written { EVERY_MS } else { AGAIN_MS }))
    }
}

async fn is_excluded(
    storage: &TenantStorage,
    pull: &Pull,
    excluded: &mut HashMap<AccountId, Excluded>,
) -> Result<bool> {
    let account = &pull.place.0.account;
    // Exclusions that were set before the pull must be among them.
    if excluded.get(account).is_none_or(|excluded| excluded.read_at_ms <= pull.at_ms) {
        let read_at_ms = now_ms();
        let exclusions = storage.table.pull_time_exclusions(account).await?;
        excluded.insert(account.clone(), Excluded { principals: exclusions.principals, read_at_ms });
    }
    Ok(excluded.get(account).is_some_and(|excluded| excluded.principals.contains(&pull.principal)))
}

fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

impl App {
    /// Records when images of a Region are pulled, until it is dropped.
    ///
    /// Pulls are noted from this call on, not from the first poll.
    pub fn record_pulls(&self) -> impl Future<Output = ()> + Send + use<> {
        let app = self.clone();
        app.regions().recorder().is_there.store(true, Ordering::Relaxed);
        async move {
            loop {
                app.regions().recorder().noted.notified().await;
                app.flush_pulls().await;
            }
        }
    }

    /// Notes pulls in the log from now on, for [`App::record_noted_pulls`].
    pub fn log_pulls(&self) {
        self.regions().recorder().reads_log.store(true, Ordering::Relaxed);
    }

    /// Records pulls that were noted in a log. It can be done again.
    ///
    /// # Errors
    /// Of those that could not be recorded, the last one's, when all others are.
    /// What is no image is passed over.
    pub async fn record_noted_pulls(&self, region: &Region, noted: &[NotedPull]) -> Result<()> {
        let region = self.regions().get(region, false).await?;
        let region = region.ok_or_else(|| Error::internal("the Region of the pulls is not served"))?;
        let (mut excluded, mut result) = (HashMap::new(), Ok(()));
        for noted in noted {
            match noted.read() {
                Ok(pull) => {
                    if let Err(error) = region.record_pull(&pull, &mut excluded).await {
                        result = Err(error);
                    }
                }
                Err(error) => tracing::warn!(%error, "a line of the log notes no pull of an image"),
            }
        }
        result
    }

    /// Records what waits to be recorded: the last thing before the end.
    pub async fn flush_pulls(&self) {
        for region in self.regions().opened().await {
            region.record_waiting_pulls().await;
        }
    }
}
