//! Reading the JSON of a document: objects with known members, lists of text.
//!
//! Invariant: a member that is not known is refused, and so is a list that is
//! empty: neither can have been meant.

use ironwharf_model::error::quoted;
use serde_json::{Map, Value};

use super::limits::MAX_LIST;
use super::malformed::MalformedPolicy;

/// The members of an object, none of them outside `known`.
pub(super) fn members<'a>(value: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>, MalformedPolicy> {
    let members = object(value)?;
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(MalformedPolicy::here("is not a known element").within(&quoted(unknown))),
        None => Ok(members),
    }
}

/// The members of an object.
pub(super) fn object(value: &Value) -> Result<&Map<String, Value>, MalformedPolicy> {
    value.as_object().ok_or_else(|| MalformedPolicy::here("must be an object"))
}

/// A member that is text.
pub(super) fn text(value: &Value) -> Result<&str, MalformedPolicy> {
    value.as_str().ok_or_else(|| MalformedPolicy::here("must be a string"))
}

/// One text or a list of texts, each read by `read`.
pub(super) fn texts<T>(
    value: &Value,
    read: impl Fn(&str) -> Result<T, MalformedPolicy>,
) -> Result<Vec<T>, MalformedPolicy> {
    each(value, |entry| match entry {
        Value::String(entry) => read(entry),
        _ => Err(MalformedPolicy::here("must be a string")),
    })
}

/// The same for values of conditions, where numbers and booleans need no quotes.
pub(super) fn list<T>(
    value: &Value,
    read: impl Fn(&str) -> Result<T, MalformedPolicy>,
) -> Result<Vec<T>, MalformedPolicy> {
    each(value, |entry| match entry {
        Value::String(entry) => read(entry),
        Value::Number(number) => read(&number.to_string()),
        Value::Bool(boolean) => read(if *boolean { "true" } else { "false" }),
        _ => Err(MalformedPolicy::here("must be a string, a number or a boolean")),
    })
}

fn each<T>(value: &Value, read: impl Fn(&Value) -> Result<T, MalformedPolicy>) -> Result<Vec<T>, MalformedPolicy> {
    let Value::Array(entries) = value else { return Ok(vec![read(value)?]) };
    if entries.is_empty() {
        return Err(MalformedPolicy::here("must not be empty"));
    }
    if entries.len() > MAX_LIST {
        return Err(MalformedPolicy::here(format!("must have at most {MAX_LIST} entries")));
    }
    let indexed = entries.iter().enumerate();
    indexed.map(|(index, entry)| read(entry).map_err(|fault| fault.within(&format!("[{index}]")))).collect()
}
