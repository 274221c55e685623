//! A cache whose entries are believed for a while.
//!
//! Invariant: an entry is never given out after its time. Absence is not
//! remembered, so what was just made is found.

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
pub(crate) struct Expiring<K, V>(RwLock<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, V: Clone> Expiring<K, V> {
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (value, read) = entries.get(key)?;
        (read.elapsed() < BELIEVED).then(|| value.clone())
    }

    /// Remembers what was read at `read`: before the call that read it, so that
    /// a slow answer does not live longer.
    pub(crate) fn put(&self, key: K, value: V, read: Instant) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.retain(|_, (_, read)| read.elapsed() < BELIEVED);
        }
        if entries.len() < CAPACITY {
            entries.insert(key, (value, read));
        }
    }

    pub(crate) fn forget(&self, is_stale: impl Fn(&K) -> bool) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|key, _| !is_stale(key));
    }
}
