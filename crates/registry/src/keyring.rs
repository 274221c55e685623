//! The sealing keys in use: unwrapped once, then in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ironwharf_cloud::SealingKeys;
use ironwharf_model::{Error, Result};
use ironwharf_wire::seal::{KEY_DAYS, SealingKey, day_of};

/// The sealing keys of one Region.
pub(crate) struct Keyring {
    source: SealingKeys,
    keys: RwLock<HashMap<u32, Arc<SealingKey>>>,
}

impl Keyring {
    pub(crate) fn new(source: SealingKeys) -> Self {
        Self { source, keys: RwLock::default() }
    }

    /// The key to seal with now.
    pub(crate) async fn current(&self, now_s: i64) -> Result<Arc<SealingKey>> {
        let day = day_of(now_s);
        if let Some(key) = self.cached(day) {
            return Ok(key);
        }
        let data_key = self.source.load_or_create(day).await?;
        self.remember(day, &data_key.0)
    }

    /// The key of a day that a sealed value names; `None` if nothing sealed on
    /// that day can still be good, which is decided without a call.
    pub(crate) async fn of_day(&self, day: u32, now_s: i64) -> Result<Option<Arc<SealingKey>>> {
        let today = day_of(now_s);
        if day > today || day + KEY_DAYS < today {
            return Ok(None);
        }
        if let Some(key) = self.cached(day) {
            return Ok(Some(key));
        }
        match self.source.load(day).await? {
            Some(data_key) => self.remember(day, &data_key.0).map(Some),
            None => Ok(None),
        }
    }

    /// The keys that upload ids may have been made with, newest first.
    pub(crate) async fn recent(&self, now_s: i64) -> Result<Vec<Arc<SealingKey>>> {
        let today = day_of(now_s);
        let mut keys = vec![self.current(now_s).await?];
        for day in (today.saturating_sub(KEY_DAYS)..today).rev() {
            keys.extend(self.of_day(day, now_s).await?);
        }
        Ok(keys)
    }

    fn cached(&self, day: u32) -> Option<Arc<SealingKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&day).cloned()
    }

    fn remember(&self, day: u32, data_key: &[u8; 32]) -> Result<Arc<SealingKey>> {
        let key = Arc::new(SealingKey::derive(day, data_key).map_err(Error::internal)?);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|kept, _| kept + KEY_DAYS + 1 >= day);
        keys.insert(day, Arc::clone(&key));
        Ok(key)
    }
}
