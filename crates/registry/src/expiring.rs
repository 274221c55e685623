//! A cache whose entries are believed for a while.
//!
//! Invariant: an entry is never given out after its time. Absence is not
//! remembered, so what was just made is found.
//! Invariant: what was read before something was forgotten is not remembered:
//! it may be what the change behind the forgetting has replaced.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long what was read about who may do what is believed. What is taken
/// away is taken away everywhere after that.
pub(crate) const BELIEVED: Duration = Duration::from_secs(30);

/// How many entries are kept at most.
const CAPACITY: usize = 10_000;

/// Values read lately.
pub(crate) struct Expiring<K, V>(RwLock<Entries<K, V>>);

struct Entries<K, V> {
    known: HashMap<K, (V, Instant)>,
    /// When something was last forgotten.
    forgotten: Option<Instant>,
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self(RwLock::new(Entries { known: HashMap::new(), forgotten: None }))
    }
}

impl<K: Eq + Hash, V: Clone> Expiring<K, V> {
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (value, read) = entries.known.get(key)?;
        (read.elapsed() < BELIEVED).then(|| value.clone())
    }

    /// Remembers what was read at `read`: before the call that read it, so that
    /// a slow answer does not live longer.
    pub(crate) fn put(&self, key: K, value: V, read: Instant) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.forgotten.is_some_and(|forgotten| read <= forgotten) {
            return;
        }
        if entries.known.len() >= CAPACITY {
            entries.known.retain(|_, (_, read)| read.elapsed() < BELIEVED);
        }
        if entries.known.len() < CAPACITY {
            entries.known.insert(key, (value, read));
        }
    }

    pub(crate) fn forget(&self, is_stale: impl Fn(&K) -> bool) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.known.retain(|key, _| !is_stale(key));
        entries.forgotten = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_remembered() {
        let cache = Expiring::default();
        let before = Instant::now();
        cache.put("a", 1, before);
        assert_eq!(cache.get("a"), Some(1));
        cache.forget(|key| *key == "a");
        assert_eq!(cache.get("a"), None);
        cache.put("a", 1, before);
        assert_eq!(cache.get("a"), None);
        cache.put("a", 2, Instant::now() + Duration::from_nanos(1));
        assert_eq!(cache.get("a"), Some(2));
    }

    #[test]
    fn what_was_read_is_believed_for_thirty_seconds_and_no_longer() {
        let cache = Expiring::<u8, &str>::default();
        let now = Instant::now();
        let before = |seconds| now.checked_sub(Duration::from_secs(seconds)).expect("the machine runs for a while");
        cache.put(1, "fresh", before(29));
        cache.put(2, "old", before(30));
        assert_eq!(cache.get(&1), Some("fresh"));
        assert_eq!(cache.get(&2), None);
        // A slow answer does not make older news younger.
        cache.put(1, "slow", before(31));
        assert_eq!(cache.get(&1), None);
    }

    #[test]
    fn a_full_cache_makes_room_and_grows_no_further() {
        let cache = Expiring::<usize, ()>::default();
        let now = Instant::now();
        let old = now.checked_sub(BELIEVED).expect("the machine runs for a while");
        (0..CAPACITY).for_each(|key| cache.put(key, (), old));
        cache.put(CAPACITY, (), now);
        assert_eq!(cache.0.read().unwrap().known.len(), 1);
        (0..2 * CAPACITY).for_each(|key| cache.put(key, (), now));
        assert_eq!(cache.0.read().unwrap().known.len(), CAPACITY);
    }
}
