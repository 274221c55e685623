//! What is known of one issuer's keys, and when to ask again.
//!
//! Invariant: keys are never given out later than [`VALID`] after they were
//! asked for; a failure to get newer ones does not make them invalid before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ironwharf_wire::jwt::KeySet;

use super::NoKeys;

/// How long keys are believed.
const VALID: Duration = Duration::from_hours(1);

/// How long nobody asks again for a key that the issuer did not have.
const UNKNOWN_KEY: Duration = Duration::from_mins(1);

/// How long nobody asks again after a failure, when there are no keys.
const FAILED: Duration = Duration::from_secs(30);

/// The keys of an issuer, as far as they are known.
#[derive(Default)]
pub(super) struct KeyCache {
    keys: Option<(Arc<KeySet>, Instant)>,
    /// When the issuer was last asked.
    asked: Option<Instant>,
    /// When the last attempt failed.
    failed: Option<Instant>,
}

/// What the cache has to say.
pub(super) enum Answer {
    /// These keys.
    Keys(Arc<KeySet>),
    /// It is not known; the issuer is to be asked.
    Ask,
    /// The issuer has failed to answer just now.
    Failed,
}

impl Answer {
    /// The end of the matter, unless the issuer has to be asked.
    pub(super) fn settled(self) -> Option<Result<Arc<KeySet>, NoKeys>> {
        match self {
            Self::Keys(keys) => Some(Ok(keys)),
            Self::Ask => None,
            Self::Failed => Some(Err(NoKeys)),
        }
    }
}

impl KeyCache {
    /// What to do for a token whose key is in a set that `is_wanted`.
    pub(super) fn look(&self, now: Instant, is_wanted: impl Fn(&KeySet) -> bool) -> Answer {
        let within = |moment: Option<Instant>, time| moment.is_some_and(|moment| now < moment + time);
        match &self.keys {
            Some((keys, asked)) if now < *asked + VALID => {
                if is_wanted(keys) || within(self.asked, UNKNOWN_KEY) {
                    Answer::Keys(Arc::clone(keys))
                } else {
                    Answer::Ask
                }
            }
            _ if within(self.failed, FAILED) => Answer::Failed,
            _ => Answer::Ask,
        }
    }

    /// Notes what came of asking at `asked`; `None` for a failure.
    pub(super) fn put(&mut self, asked: Instant, now: Instant, keys: Option<KeySet>) {
        self.asked = Some(now);
        match keys {
            Some(keys) => {
                self.keys = Some((Arc::new(keys), asked));
                self.failed = None;
            }
            None => self.failed = Some(now),
        }
    }

    /// Whether forgetting it would change anything.
    pub(super) fn is_of_use(&self, now: Instant) -> bool {
        !matches!(self.look(now, |_| true), Answer::Ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str) -> KeySet {
        let coordinate = "A".repeat(43);
        let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": coordinate, "y": coordinate });
        KeySet::parse(serde_json::json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap()
    }

    fn look(cache: &KeyCache, now: Instant, id: &str) -> &'static str {
        let wanted = |keys: &KeySet| keys.has(ironwharf_wire::jwt::Algorithm::Es256, Some(id));
        match cache.look(now, wanted) {
            Answer::Keys(keys) if wanted(&keys) => "found",
            Answer::Keys(_) => "unknown",
            Answer::Ask => "ask",
            Answer::Failed => "failed",
        }
    }

    #[test]
    fn keys_are_kept_for_an_hour() {
        let (mut cache, start) = (KeyCache::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(look(&cache, start, "a"), "ask");
        cache.put(start, after(5), Some(keys("a")));
        assert_eq!(look(&cache, after(3599), "a"), "found");
        assert_eq!(look(&cache, after(3600), "a"), "ask");
        assert!(cache.is_of_use(after(3599)) && !cache.is_of_use(after(3600)));
    }

    #[test]
    fn an_unknown_key_is_asked_for_once_a_minute() {
        let (mut cache, start) = (KeyCache::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        cache.put(start, start, Some(keys("a")));
        assert_eq!(look(&cache, after(59), "b"), "unknown");
        assert_eq!(look(&cache, after(60), "b"), "ask");
        // A failure counts as having asked, and the old keys stay good.
        cache.put(after(60), after(70), None);
        assert_eq!(look(&cache, after(71), "b"), "unknown");
        assert_eq!(look(&cache, after(71), "a"), "found");
        assert_eq!(look(&cache, after(129), "b"), "unknown");
        assert_eq!(look(&cache, after(130), "b"), "ask");
        cache.put(after(130), after(131), Some(keys("b")));
        assert_eq!(look(&cache, after(132), "b"), "found");
        assert_eq!(look(&cache, after(132), "a"), "unknown");
    }

    #[test]
    fn a_failure_is_remembered_for_half_a_minute() {
        let (mut cache, start) = (KeyCache::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        cache.put(start, start, None);
        assert_eq!(look(&cache, after(29), "a"), "failed");
        assert_eq!(look(&cache, after(30), "a"), "ask");
        cache.put(after(30), after(30), Some(keys("a")));
        assert_eq!(look(&cache, after(31), "a"), "found");
        // After the hour a failure is one.
        cache.put(after(3629), after(3629), None);
        assert_eq!(look(&cache, after(3629), "a"), "found");
        assert_eq!(look(&cache, after(3631), "a"), "failed");
    }
}
