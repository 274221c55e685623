//! From the fields of a form to one value, along the shape of the input.
//!
//! Invariant: the depth and the names that are looked for come from the shape;
//! fields that it does not name are ignored, as the service does.
//!
//! A structure is `A.B`, a list `A.member.1`, a map `A.entry.1.key` and
//! `A.entry.1.value`. Elements are counted from one without gaps. A list or
//! map without elements is written `A=`.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::form::Form;
use crate::service::shape::{Kind, Member, Shape};
use ironwharf_model::error::quoted;

/// The value of a whole input. The error is a sentence for the caller.
pub(super) fn read(shape: &'static Shape, form: &Form) -> Result<Value, String> {
    match shape.kind {
        Kind::Structure { members } => Ok(structure(members, form, "")?.unwrap_or_default().into()),
        _ => Err(format!("{} is not the shape of an input", shape.name)),
    }
}

/// The value called `name`, or `None` if no field speaks of it.
fn value(shape: &'static Shape, form: &Form, name: &str) -> Result<Option<Value>, String> {
    match shape.kind {
        Kind::Structure { members } => {
            let object = structure(members, form, &format!("{name}."))?;
            Ok(object.or_else(|| form.get(name).map(|_| Map::new())).map(Value::Object))
        }
        Kind::List { member, .. } => list(member, form, name),
        Kind::Map { key, value } => map(key, value, form, name),
        _ => form.get(name).map(|text| scalar(shape, text, name)).transpose(),
    }
}

fn structure(members: &'static [Member], form: &Form, prefix: &str) -> Result<Option<Map<String, Value>>, String> {
    let mut object = Map::new();
    for member in members {
        if let Some(value) = value(member.shape, form, &format!("{prefix}{}", member.name))? {
            object.insert(member.name.to_owned(), value);
        }
    }
    Ok((!object.is_empty()).then_some(object))
}

fn list(member: &'static Shape, form: &Form, name: &str) -> Result<Option<Value>, String> {
    let Some(count) = elements(form, name, "member")? else {
        return Ok(None);
    };
    let mut array = Vec::with_capacity(count);
    for position in 1..=count {
        let name = format!("{name}.member.{position}");
        array.push(match (value(member, form, &name)?, member.is_scalar()) {
            (Some(value), _) => value,
            // Its fields are all unknown: an element nevertheless.
            (None, false) => empty(member),
            (None, true) => return Err(format!("The parameter {} must have a value", quoted(&name))),
        });
    }
    Ok(Some(Value::Array(array)))
}

fn map(key: &'static Shape, shape: &'static Shape, form: &Form, name: &str) -> Result<Option<Value>, String> {
    let Some(count) = elements(form, name, "entry")? else {
        return Ok(None);
    };
    let mut object = Map::new();
    for position in 1..=count {
        let name = format!("{name}.entry.{position}");
        let key = value(key, form, &format!("{name}.key"))?;
        let (Some(Value::String(key)), Some(value)) = (key, value(shape, form, &format!("{name}.value"))?) else {
            return Err(format!("The parameter {} must have a key and a value", quoted(&name)));
        };
        if object.insert(key, value).is_some() {
            return Err(format!("The parameter {} repeats a key", quoted(&name)));
        }
    }
    Ok(Some(Value::Object(object)))
}

fn empty(shape: &Shape) -> Value {
    match shape.kind {
        Kind::List { .. } => Value::Array(Vec::new()),
        _ => Value::Object(Map::new()),
    }
}

/// The number of elements of a list or map, or `None` if it is not there.
fn elements(form: &Form, name: &str, step: &str) -> Result<Option<usize>, String> {
    let prefix = format!("{name}.{step}.");
    let mut positions = BTreeSet::new();
    for rest in form.behind(&prefix) {
        let position = rest.split_once('.').map_or(rest, |(position, _)| position);
        let position = position_of(position).ok_or_else(|| {
            format!("The parameter {} must have a position from 1", quoted(&format!("{prefix}{rest}")))
        })?;
        positions.insert(position);
    }
    match (form.get(name), positions.last()) {
        (None, None) => Ok(None),
        (Some(""), None) => Ok(Some(0)),
        (Some(_), _) => Err(format!(
            "The parameter {} is a list: give its elements as {}",
            quoted(name),
            quoted(&format!("{prefix}1"))
        )),
        (None, Some(last)) if *last == positions.len() => Ok(Some(positions.len())),
        (None, Some(_)) => {
            Err(format!("The elements of the parameter {} must be counted from 1 without gaps", quoted(name)))
        }
    }
}

/// A position as it is written: decimal, from one, without leading zeros.
fn position_of(text: &str) -> Option<usize> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

/// A scalar as the JSON value that its shape has. Limits are not judged here,
/// except that of what a number can be.
fn scalar(shape: &Shape, text: &str, name: &str) -> Result<Value, String> {
    let (value, expected) = match shape.kind {
        Kind::Integer { .. } => (text.parse::<i32>().ok().map(Value::from), "a 32-bit integer"),
        Kind::Long { .. } => (text.parse::<i64>().ok().map(Value::from), "a 64-bit integer"),
        Kind::Double => (number(text), "a number"),
        Kind::Boolean => (text.parse::<bool>().ok().map(Value::from), "true or false"),
        Kind::Timestamp => (instant(text), "a time in ISO 8601"),
        Kind::Blob { .. } | Kind::String { .. } => return Ok(Value::from(text)),
        Kind::Structure { .. } | Kind::List { .. } | Kind::Map { .. } => (None, "parts"),
    };
    value.ok_or_else(|| format!("The parameter {} must be {expected}", quoted(name)))
}

fn number(text: &str) -> Option<Value> {
    text.parse().ok().and_then(Number::from_f64).map(Value::Number)
}

/// A time as seconds since the epoch, from ISO 8601 or a number of seconds.
fn instant(text: &str) -> Option<Value> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds are exact in an f64 for all years of four digits")]
    let seconds = |time: OffsetDateTime| (time.unix_timestamp_nanos() / 1_000_000) as f64 / 1000.0;
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(time) => Number::from_f64(seconds(time)).map(Value::Number),
        Err(_) => number(text),
    }
}
