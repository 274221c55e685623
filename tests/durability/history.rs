//! Whether what clients saw of one tag can have happened one after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a tag named: a digest, or nothing.
pub(crate) type Value = Option<String>;

/// What clients did with one tag and saw of it. Every value is written once.
#[derive(Default)]
pub(crate) struct History {
    /// Only its order matters: an operation that ended before another started
    /// has the smaller times.
    clock: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

#[derive(Clone, Debug)]
struct Operation {
    is_write: bool,
    value: Value,
    start: u64,
    end: u64,
}

/// The span from the first end to the last start of the operations on a value.
#[derive(Debug)]
struct Zone<'a> {
    value: &'a Value,
    first_end: u64,
    last_start: u64,
}

impl Zone<'_> {
    /// Between its two times the tag had this value, and no other.
    const fn is_forward(&self) -> bool {
        self.first_end < self.last_start
    }

    const fn from(&self) -> u64 {
        if self.is_forward() { self.first_end } else { self.last_start }
    }

    const fn to(&self) -> u64 {
        if self.is_forward() { self.last_start } else { self.first_end }
    }
}

impl History {
    /// A time later than all before.
    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Notes a push that started at `start` and was acknowledged now.
    pub(crate) fn wrote(&self, digest: &str, start: u64) {
        self.note(true, Some(digest.to_owned()), start);
    }

    /// Notes what a pull that started at `start` saw.
    pub(crate) fn read(&self, value: Value, start: u64) {
        self.note(false, value, start);
    }

    fn note(&self, is_write: bool, value: Value, start: u64) {
        let operation = Operation { is_write, value, start, end: self.now() };
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// How many pulls were noted.
    pub(crate) fn reads(&self) -> usize {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.iter().filter(|operation| !operation.is_write).count()
    }

    /// Fails unless there is an order of all operations, each at one moment
    /// between its start and its end, in which every pull sees the last push
    /// before it.
    ///
    /// For values that are written once this can be decided from the zones of
    /// the values (Gibbons and Korach, "Testing Shared Memories", 1997): no
    /// value is read before it is written, no two forward zones overlap, and
    /// no backward zone lies in a forward one.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // At first the tag named nothing.
        operations.push(Operation { is_write: true, value: None, start: 0, end: 0 });
        let mut by_value: BTreeMap<&Value, Vec<&Operation>> = BTreeMap::new();
        for operation in &operations {
            by_value.entry(&operation.value).or_default().push(operation);
        }
        let mut zones = Vec::new();
        for (value, operations) in &by_value {
            let writes: Vec<_> = operations.iter().filter(|operation| operation.is_write).collect();
            let [write] = writes.as_slice() else {
                return Err(format!("{value:?} was acknowledged {} times and seen", writes.len()));
            };
            if let Some(early) = operations.iter().find(|operation| operation.end < write.start) {
                return Err(format!("{early:?} saw what was pushed later by {write:?}"));
            }
            let first_end = operations.iter().map(|operation| operation.end).min().unwrap_or_default();
            let last_start = operations.iter().map(|operation| operation.start).max().unwrap_or_default();
            zones.push(Zone { value, first_end, last_start });
        }
        for forward in zones.iter().filter(|zone| zone.is_forward()) {
            for other in zones.iter().filter(|other| other.value != forward.value) {
                let overlaps = other.from() < forward.to() && forward.from() < other.to();
                let lies_within = forward.from() < other.from() && other.to() < forward.to();
                if if other.is_forward() { overlaps } else { lies_within } {
                    return Err(format!("{forward:?} and {other:?} exclude each other"));
                }
            }
        }
        Ok(())
    }
}

/// A history of `(what, value, start, end)`.
fn history(operations: &[(&str, &str, u64, u64)]) -> History {
    let history = History::default();
    for (what, value, start, end) in operations {
        let value = Some((*value).to_owned()).filter(|value| !value.is_empty());
        let operation = Operation { is_write: *what == "push", value, start: *start, end: *end };
        history.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }
    history
}

#[test]
fn good_histories_pass() {
    for good in [
        &[][..],
        &[("pull", "", 1, 2), ("push", "a", 3, 4), ("pull", "a", 5, 6)],
        // Pulls beside a push may see it or not.
        &[("push", "a", 1, 9), ("pull", "", 2, 3), ("pull", "a", 4, 5), ("pull", "a", 6, 7)],
        // Of pushes side by side, any may be the last.
        &[("push", "a", 1, 4), ("push", "b", 2, 3), ("pull", "a", 5, 6)],
        &[("push", "a", 1, 4), ("push", "b", 2, 3), ("pull", "b", 5, 6)],
    ] {
        assert_eq!(history(good).check(), Ok(()), "{good:?}");
    }
}

#[test]
fn bad_histories_do_not() {
    for bad in [
        // A lost push: nothing is seen of it after it was acknowledged.
        &[("push", "a", 1, 2), ("pull", "", 3, 4)][..],
        &[("push", "a", 1, 2), ("push", "b", 3, 4), ("pull", "a", 5, 6)],
        // Seen, and then no longer.
        &[("push", "a", 1, 9), ("pull", "a", 2, 3), ("pull", "", 4, 5)],
        &[("push", "a", 1, 9), ("push", "b", 2, 10), ("pull", "a", 3, 4), ("pull", "b", 5, 6), ("pull", "a", 7, 8)],
        // Seen before it was pushed, or never pushed.
        &[("pull", "a", 1, 2), ("push", "a", 3, 4)],
        &[("pull", "a", 1, 2)],
    ] {
        assert!(history(bad).check().is_err(), "{bad:?}");
    }
}
