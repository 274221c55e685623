//! Refusals of requests that have proven nobody: a wrong signature, a key that
//! is not there or switched off, a login that has ended, a web identity token
//! that no issuer vouches for.
//!
//! Anybody can send them, as many as they like, so they are the one kind of
//! event that is not kept each: of one account so many a minute, the others are
//! only logged. Whoever is named is what the request claims, and nothing more.
//!
//! Refusals of another account's principals are kept likewise, in the trail of
//! the account they wanted something of: so many a minute for each two accounts.
//! Their own trail has all of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use ironwharf_model::AccountId;

/// How many refusals are kept a minute, of an account or of two.
const PER_MINUTE: u32 = 10;

/// Of how many is counted at a time.
const COUNTED: usize = 10_000;

/// Refusals of requests that name an account and prove nothing.
pub(crate) type Unproven = Kept<AccountId>;

/// Refusals of a principal's account by another, in this order.
pub(crate) type Foreign = Kept<(AccountId, AccountId)>;

/// Counts what was kept in the current minute.
#[derive(Debug)]
pub(crate) struct Kept<K>(Mutex<Minute<K>>);

#[derive(Debug)]
struct Minute<K> {
    minute: i64,
    kept: HashMap<K, u32>,
}

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self(Mutex::new(Minute { minute: 0, kept: HashMap::new() }))
    }
}

impl<K: Clone + Eq + Hash> Kept<K> {
    /// Whether another refusal is kept of this one; counts it if so.
    pub(super) fn keeps(&self, of: &K, now_s: i64) -> bool {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_s.div_euclid(60);
        if current.minute != minute {
            *current = Minute { minute, kept: HashMap::new() };
        }
        if current.kept.len() >= COUNTED && !current.kept.contains_key(of) {
            return false;
        }
        let kept = current.kept.entry(of.clone()).or_default();
        if *kept >= PER_MINUTE {
            return false;
        }
        *kept += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_fill_a_trail() {
        let unproven = Unproven::default();
        let (a, b) = (AccountId::parse("111111111111").unwrap(), AccountId::parse("222222222222").unwrap());
        let kept = |account, now_s| (0..1_000).filter(|_| unproven.keeps(account, now_s)).count();
        assert_eq!(kept(&a, 600), 10);
        assert_eq!(kept(&a, 659), 0);
        assert_eq!(kept(&b, 659), 10);
        assert_eq!(kept(&a, 660), 10);
    }
}
