//! The request context: what the caller knows about the request.
//!
//! Invariant: names are compared without regard to case, and kept as given.
//! Invariant: one value and a list of one value are told apart.

use std::collections::BTreeMap;

/// The value of a context key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextValue {
    /// A single-valued key, such as `aws:username`.
    One(String),
    /// A multivalued key, such as `aws:TagKeys`.
    Many(Vec<String>),
    /// A single-valued key that the request gives several times, in different
    /// cases of letters: what is not so for each of the values is not so.
    Each(Vec<String>),
}

/// Context keys with their values.
///
/// The engine reads nothing else about a request: `aws:SourceIp`,
/// `aws:CurrentTime`, `aws:PrincipalArn` and all others are put here by the
/// caller. (IAM User Guide: Policy evaluation logic, "Processing the request
/// context".)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// By lower-case name.
    values: BTreeMap<String, ContextValue>,
}

impl Context {
    /// A context without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a single-valued key.
    pub fn insert(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(key.to_lowercase(), ContextValue::One(value.into()));
    }

    /// Sets a single-valued key, or adds a value if it has one: tags whose keys
    /// differ in case only are one condition key.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        let (key, value) = (key.to_lowercase(), value.into());
        let values = match self.values.remove(&key) {
            None => vec![],
            Some(ContextValue::One(before)) => vec![before],
            Some(ContextValue::Many(before) | ContextValue::Each(before)) => before,
        };
        let value = if values.is_empty() {
            ContextValue::One(value)
        } else {
            ContextValue::Each(values.into_iter().chain([value]).collect())
        };
        self.values.insert(key, value);
    }

    /// Sets a multivalued key.
    pub fn insert_list<T: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        let values = values.into_iter().map(Into::into).collect();
        self.values.insert(key.to_lowercase(), ContextValue::Many(values));
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&ContextValue> {
        self.get_folded(&key.to_lowercase())
    }

    /// The value of a key that is lower case already, as all keys of compiled policies are.
    pub(super) fn get_folded(&self, key: &str) -> Option<&ContextValue> {
        self.values.get(key)
    }

    /// Takes over the keys of `other`, whose values win.
    pub fn extend(&mut self, other: Self) {
        self.values.extend(other.values);
    }

    /// Names (in lower case) and values, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ContextValue)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }
}
