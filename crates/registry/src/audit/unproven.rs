//! Refusals of requests that have proven nobody: a wrong signature, a key that
//! is not there or switched off, a login that has ended, a web identity token
//! that no issuer vouches for.
//!
//! Anybody can send them, as many as they like, so they are the one kind of
//! event that is not kept each: of one account so many a minute, the others are
//! only logged. Whoever is named is what the request claims, and nothing more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ironwharf_model::AccountId;

/// How many refusals are kept of an account a minute.
const PER_MINUTE: u32 = 10;

/// Of how many accounts is counted at a time.
const ACCOUNTS: usize = 10_000;

/// Counts what was kept in the current minute.
#[derive(Debug, Default)]
pub(crate) struct Unproven(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    minute: i64,
    kept: HashMap<AccountId, u32>,
}

impl Unproven {
    /// Whether another refusal is kept of this account; counts it if so.
    pub(super) fn keeps(&self, account: &AccountId, now_s: i64) -> bool {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_s.div_euclid(60);
        if current.minute != minute {
            *current = Minute { minute, kept: HashMap::new() };
        }
        if current.kept.len() >= ACCOUNTS && !current.kept.contains_key(account) {
            return false;
        }
        let kept = current.kept.entry(account.clone()).or_default();
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
