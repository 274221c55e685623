//! The sealing keys in use: unwrapped once, then in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ironwharf_cloud::SealingKeys;
use ironwharf_model::{Error, Result};
use ironwharf_wire::seal::{KEY_DAYS, SealingKey, UploadOwner, day_of};

/// The sealing keys of one Region.
pub(crate) struct Keyring {
    source: SealingKeys,
    /// By day. A past day without a key will never have one: that is
    /// remembered too.
    keys: RwLock<HashMap<u32, Known>>,
}

/// What is known of a day.
#[derive(Clone)]
enum Known {
    Key(Arc<SealingKey>),
    NoKey,
}

impl Keyring {
    pub(crate) fn new(source: SealingKeys) -> Self {
        Self { source, keys: RwLock::default() }
    }

    /// The key to seal with now.
    pub(crate) async fn current(&self, now_s: i64) -> Result<Arc<SealingKey>> {
        let day = day_of(now_s);
        if let Some(Known::Key(key)) = self.cached(day) {
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
        match self.cached(day) {
            Some(Known::Key(key)) => return Ok(Some(key)),
            Some(Known::NoKey) => return Ok(None),
            None => {}
        }
        if let Some(data_key) = self.source.load(day).await? {
            self.remember(day, &data_key.0).map(Some)
        } else {
            if day < today {
                self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(day, Known::NoKey);
            }
            Ok(None)
        }
    }

    /// Whether an upload id was made for this owner with a key that is still
    /// good. The newest key is nearly always the one.
    pub(crate) async fn owns_upload(&self, owner: &UploadOwner<'_>, id: &str, now_s: i64) -> Result<bool> {
        let today = day_of(now_s);
        for day in (today.saturating_sub(KEY_DAYS)..=today).rev() {
            if self.of_day(day, now_s).await?.is_some_and(|key| key.owns_upload(owner, id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn cached(&self, day: u32) -> Option<Known> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&day).cloned()
    }

    fn remember(&self, day: u32, data_key: &[u8; 32]) -> Result<Arc<SealingKey>> {
        let key = Arc::new(SealingKey::derive(day, data_key).map_err(Error::internal)?);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|kept, _| kept + KEY_DAYS + 1 >= day);
        keys.insert(day, Known::Key(Arc::clone(&key)));
        Ok(key)
    }
}
