//! Values that end at a known time, replaced before they do.
//!
//! Invariant: for one key, one renewal runs at a time, and everybody who asks
//! meanwhile gets its outcome.
//! Invariant: a failure is nobody's but theirs who waited for it; the next one
//! to ask tries again.
//! Invariant: the number of values is bounded; the one that was asked for
//! longest ago goes first.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use ironwharf_model::{Error, Result};

/// Values by key.
pub(super) struct Leases<K, V> {
    slots: RwLock<HashMap<K, Arc<Slot<V>>>>,
    capacity: usize,
    /// A value is replaced when less than this is left of it.
    renewed_before: Duration,
    /// Counts what was asked for, so that slots know which of them was last.
    asked: AtomicU64,
}

/// The place of one key.
struct Slot<V> {
    /// The value, and when it ends.
    lease: RwLock<Option<(V, SystemTime)>>,
    /// Held by whoever is getting a new one.
    renewing: tokio::sync::Mutex<()>,
    /// How many renewals failed so far, and why the last one did.
    failures: Mutex<(u64, String)>,
    last_asked: AtomicU64,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        let (lease, renewing, failures, last_asked) = Default::default();
        Self { lease, renewing, failures, last_asked }
    }
}

impl<V: Clone> Slot<V> {
    fn current(&self, now: SystemTime, renewed_before: Duration) -> Option<V> {
        let lease = self.lease.read().unwrap_or_else(PoisonError::into_inner);
        let (value, ends) = lease.as_ref()?;
        let left = ends.duration_since(now).unwrap_or_default();
        (left >= renewed_before).then(|| value.clone())
    }

    fn failures(&self) -> (u64, String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Leases<K, V> {
    pub(super) fn new(capacity: usize, renewed_before: Duration) -> Self {
        Self { slots: RwLock::default(), capacity, renewed_before, asked: AtomicU64::default() }
    }

    /// The value of `key`, from `renew` if there is none that lasts.
    pub(super) async fn get<F>(&self, key: &K, now: impl Fn() -> SystemTime, renew: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<(V, SystemTime)>>,
    {
        let slot = self.slot(key);
        if let Some(value) = slot.current(now(), self.renewed_before) {
            return Ok(value);
        }
        let (failed_before, _) = slot.failures();
        let _renewing = slot.renewing.lock().await;
        if let Some(value) = slot.current(now(), self.renewed_before) {
            return Ok(value);
        }
        let (failed, reason) = slot.failures();
        if failed != failed_before {
            return Err(Error::internal(reason));
        }
        match renew().await {
            Ok((value, ends)) => {
                *slot.lease.write().unwrap_or_else(PoisonError::into_inner) = Some((value.clone(), ends));
                Ok(value)
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                *slot.failures.lock().unwrap_or_else(PoisonError::into_inner) = (failed + 1, source);
                Err(error)
            }
        }
    }

    fn slot(&self, key: &K) -> Arc<Slot<V>> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let known = self.slots.read().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone);
        let slot = known.unwrap_or_else(|| self.insert(key));
        slot.last_asked.store(asked, Ordering::Relaxed);
        slot
    }

    fn insert(&self, key: &K) -> Arc<Slot<V>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(key) && slots.len() >= self.capacity {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.last_asked.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                slots.remove(&oldest);
            }
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const LEFT: Duration = Duration::from_mins(20);

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(400_000)
    }

    #[tokio::test]
    async fn fifty_who_ask_at_once_cost_one_renewal() {
        let leases = Arc::new(Leases::new(8, LEFT));
        let renewals = Arc::new(AtomicUsize::new(0));
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (leases, renewals) = (Arc::clone(&leases), Arc::clone(&renewals));
            asking.spawn(async move {
                let renew = || async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok((renewals.fetch_add(1, Ordering::SeqCst), start() + HOUR))
                };
                leases.get(&"key", start, renew).await.unwrap()
            });
        }
        assert_eq!(asking.join_all().await, [0; 50]);
        assert_eq!(renewals.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_shared_by_those_who_waited_and_not_kept() {
        let leases: Arc<Leases<&str, u8>> = Arc::new(Leases::new(8, LEFT));
        let renewals = Arc::new(AtomicUsize::new(0));
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (leases, renewals) = (Arc::clone(&leases), Arc::clone(&renewals));
            asking.spawn(async move {
                let renew = || async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    renewals.fetch_add(1, Ordering::SeqCst);
                    Err(Error::internal("throttled"))
                };
                leases.get(&"key", start, renew).await.is_err()
            });
        }
        assert_eq!(asking.join_all().await, [true; 50]);
        assert_eq!(renewals.load(Ordering::SeqCst), 1);
        let renewed = leases.get(&"key", start, || async { Ok((7, start() + HOUR)) }).await;
        assert_eq!(renewed.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_value_is_replaced_twenty_minutes_before_it_ends() {
        let leases = Leases::new(8, LEFT);
        let ask = async |minutes: u64, value: u64| {
            let now = start() + Duration::from_mins(minutes);
            leases.get(&"key", || now, || async { Ok((value, now + HOUR)) }).await.unwrap()
        };
        assert_eq!(ask(0, 0).await, 0);
        assert_eq!(ask(39, 39).await, 0);
        assert_eq!(ask(40, 40).await, 0, "20 minutes are left");
        assert_eq!(ask(41, 41).await, 41);
        assert_eq!(ask(81, 81).await, 41);
        assert_eq!(ask(500, 500).await, 500, "long after its end");
    }

    #[tokio::test]
    async fn what_was_asked_for_longest_ago_goes_first() {
        let leases = Leases::new(2, LEFT);
        let ask =
            async |key: u8, value: u8| leases.get(&key, start, || async { Ok((value, start() + HOUR)) }).await.unwrap();
        assert_eq!(ask(1, 10).await, 10);
        assert_eq!(ask(2, 20).await, 20);
        assert_eq!(ask(1, 11).await, 10);
        assert_eq!(ask(3, 30).await, 30, "2 goes");
        assert_eq!(ask(1, 12).await, 10);
        assert_eq!(ask(2, 21).await, 21);
    }
}
