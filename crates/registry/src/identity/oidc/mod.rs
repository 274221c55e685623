//! The keys of OpenID Connect issuers.
//!
//! Invariant: keys come from the issuer itself, over a connection to its own
//! name, and are believed for an hour.
//! Invariant: how often an issuer is asked does not depend on how many tokens
//! arrive, nor on what they say.

mod discovery;
mod key_cache;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ironwharf_model::error::quoted;
use ironwharf_wire::jwt::{KeySet, UnverifiedToken};

use crate::egress::{Egress, EgressRules};
use key_cache::{Answer, KeyCache};

/// The most issuers that are remembered.
const MAX_ISSUERS: usize = 10_000;

/// The issuer's keys cannot be had. Why is in the log.
pub(crate) struct NoKeys;

/// The issuers whose tokens have been checked.
pub(crate) struct Issuers {
    egress: Egress,
    known: Mutex<HashMap<String, Arc<Issuer>>>,
}

#[derive(Default)]
struct Issuer {
    cache: Mutex<KeyCache>,
    /// Held by whoever asks the issuer, so that nobody else does.
    asking: tokio::sync::Mutex<()>,
}

impl Issuer {
    fn look(&self, token: &UnverifiedToken<'_>) -> Answer {
        let is_wanted = |keys: &KeySet| keys.has(token.algorithm(), token.key_id());
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).look(Instant::now(), is_wanted)
    }
}

impl Issuers {
    pub(crate) fn new(rules: EgressRules) -> Self {
        Self { egress: Egress::new(rules), known: Mutex::default() }
    }

    /// The keys to check a token of `issuer` with.
    pub(crate) async fn keys(&self, issuer: &str, token: &UnverifiedToken<'_>) -> Result<Arc<KeySet>, NoKeys> {
        let known = self.known(issuer);
        if let Some(answered) = known.look(token).settled() {
            return answered;
        }
        let asking = known.asking.lock().await;
        // Somebody else may have asked in the meantime.
        if let Some(answered) = known.look(token).settled() {
            return answered;
        }
        let asked = Instant::now();
        let fetched = discovery::fetch(&self.egress, issuer).await;
        let keys = fetched.map_err(|error| {
            tracing::warn!(issuer = quoted(issuer), %error, "cannot get the keys of an identity provider");
        });
        known.cache.lock().unwrap_or_else(PoisonError::into_inner).put(asked, Instant::now(), keys.ok());
        drop(asking);
        known.look(token).settled().unwrap_or(Err(NoKeys))
    }

    fn known(&self, issuer: &str) -> Arc<Issuer> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(issuer) {
            return Arc::clone(found);
        }
        if known.len() >= MAX_ISSUERS {
            let now = Instant::now();
            known.retain(|_, kept| {
                Arc::strong_count(kept) > 1 || kept.cache.lock().unwrap_or_else(PoisonError::into_inner).is_of_use(now)
            });
        }
        let made = Arc::new(Issuer::default());
        if known.len() < MAX_ISSUERS {
            known.insert(issuer.to_owned(), Arc::clone(&made));
        }
        made
    }
}
