//! The check of a value against the constraints of its shape.
//!
//! Invariant: what passes has the Rust type of its shape; nothing is left for
//! the deserializer to refuse.
//! Invariant: a value of the wrong type is reported before any violated
//! constraint, as the services deserialize before they validate.
//!
//! The walk goes through a shape and a JSON value in parallel and follows the
//! tables, which have no cycles, so that its depth does not depend on the
//! input. Every protocol words what is found in its own way.

use std::fmt;
use std::fmt::Write as _;

use ironwharf_model::error::quoted;
use serde_json::Value;

use super::scalars::Blob;
use super::shape::{Bounds, Kind, Shape};

/// Why a value does not fit its shape.
#[derive(Debug)]
pub enum Misfit {
    /// A value has the wrong type: what was expected where, and what was found.
    WrongType(String),
    /// Constraints are violated, in the order of the model; at least one.
    Violations(Vec<Violation>),
}

/// A violated constraint.
#[derive(Debug)]
pub struct Violation {
    /// The shape whose constraint it is.
    pub shape: &'static Shape,
    /// Where the value stands in what surrounds it.
    pub position: Position,
    /// Path of the value, in the notation of the services.
    pub path: String,
    /// Path of what surrounds the value.
    pub parent: String,
    /// Which constraint.
    pub reason: Reason,
    /// The value, if it is one text and no secret.
    pub value: Option<String>,
}

/// Where a value stands in what surrounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// It is the whole input.
    Root,
    /// In a member of a structure.
    Member,
    /// In a list.
    Element,
    /// In a map.
    Entry,
}

/// A constraint that is not met. Its text is what the services say behind
/// `Member`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A required value is absent.
    Absent,
    /// The length or value is too small.
    Below {
        /// `length` or `value`.
        measure: &'static str,
        /// The limit.
        limit: i64,
    },
    /// The length or value is too large.
    Above {
        /// `length` or `value`.
        measure: &'static str,
        /// The limit.
        limit: i64,
    },
    /// The text does not match.
    Pattern(String),
    /// The text is none of these.
    NotOneOf(&'static [&'static str]),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("must not be null"),
            Self::Below { measure, limit } => write!(formatter, "must have {measure} greater than or equal to {limit}"),
            Self::Above { measure, limit } => write!(formatter, "must have {measure} less than or equal to {limit}"),
            Self::Pattern(source) => write!(formatter, "must satisfy regular expression pattern: {source}"),
            Self::NotOneOf(values) => write!(formatter, "must satisfy enum value set: [{}]", values.join(", ")),
        }
    }
}

impl Reason {
    /// The constraints of a text's shape, whether it meets them or not, in the
    /// order in which the services list them.
    #[must_use]
    pub fn all_of(shape: &Shape) -> Vec<Self> {
        let Kind::String { length, pattern, values } = &shape.kind else {
            return vec![Self::Absent];
        };
        let measure = "length";
        let above = length.max.map(|limit| Self::Above { measure, limit });
        let below = length.min.map(|limit| Self::Below { measure, limit });
        let pattern = pattern.as_ref().map(|pattern| Self::Pattern(printed(pattern.source())));
        let one_of = (!values.is_empty()).then_some(Self::NotOneOf(values));
        [above, below, pattern, one_of, Some(Self::Absent)].into_iter().flatten().collect()
    }

    fn of_bounds(bounds: Bounds, measure: &'static str, number: i64) -> Option<Self> {
        match (bounds.min, bounds.max) {
            (Some(limit), _) if number < limit => Some(Self::Below { measure, limit }),
            (_, Some(limit)) if number > limit => Some(Self::Above { measure, limit }),
            _ => None,
        }
    }

    fn of_length(bounds: Bounds, length: usize) -> Option<Self> {
        Self::of_bounds(bounds, "length", i64::try_from(length).unwrap_or(i64::MAX))
    }
}

/// The services print their patterns without the model's escaped slashes.
fn printed(source: &str) -> String {
    source.replace(r"\/", "/")
}

/// Checks a whole input against its shape and reports at most `limit`
/// violations. What comes behind them is not looked for: a pattern may have a
/// long text to go through.
pub fn check(shape: &'static Shape, value: &Value, limit: usize) -> Result<(), Misfit> {
    let mut walk = Walk { violations: Vec::new(), limit };
    walk.value(shape, value, &Path::Root).map_err(Misfit::WrongType)?;
    if walk.violations.is_empty() { Ok(()) } else { Err(Misfit::Violations(walk.violations)) }
}

/// Where a value stands, as a list of steps that lives on the stack.
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'static str),
    Index(&'a Path<'a>, usize),
    Key(&'a Path<'a>, &'a str),
}

impl Path<'_> {
    /// The path in the notation of the services: bean names (a small first
    /// letter whatever the wire says) and elements counted from one.
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(parent, name) => join(&parent.text(), &decapitalized(name)),
            Self::Index(parent, index) => join(&parent.text(), &format!("{}.member", index + 1)),
            Self::Key(parent, key) => join(&parent.text(), &format!("{}.member", quoted(key))),
        }
    }

    fn parent_text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(parent, _) | Self::Index(parent, _) | Self::Key(parent, _) => parent.text(),
        }
    }

    const fn position(&self) -> Position {
        match self {
            Self::Root => Position::Root,
            Self::Member(..) => Position::Member,
            Self::Index(..) => Position::Element,
            Self::Key(..) => Position::Entry,
        }
    }
}

fn join(parent: &str, step: &str) -> String {
    if parent.is_empty() { step.to_owned() } else { format!("{parent}.{step}") }
}

/// `name` with a small first letter.
pub(crate) fn decapitalized(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + characters.as_str())
}

struct Walk {
    violations: Vec<Violation>,
    limit: usize,
}

impl Walk {
    /// Checks one value; an error is a wrong type, constraints are collected.
    fn value(&mut self, shape: &'static Shape, value: &Value, path: &Path<'_>) -> Result<(), String> {
        match (&shape.kind, value) {
            (Kind::Structure { members }, Value::Object(object)) => {
                for member in *members {
                    let path = Path::Member(path, member.name);
                    match object.get(member.name) {
                        Some(value) if !value.is_null() => self.value(member.shape, value, &path)?,
                        _ if member.required => self.violated(member.shape, &path, Some(Reason::Absent), None),
                        _ => {}
                    }
                }
            }
            (Kind::List { member, length }, Value::Array(array)) => {
                self.violated(shape, path, Reason::of_length(*length, array.len()), None);
                for (index, value) in array.iter().enumerate() {
                    self.present(member, value, &Path::Index(path, index))?;
                }
            }
            (Kind::Map { key, value: shape }, Value::Object(object)) => {
                for (name, value) in object {
                    let path = Path::Key(path, name);
                    self.string(key, name, &path);
                    self.present(shape, value, &path)?;
                }
            }
            (Kind::String { .. }, Value::String(text)) => self.string(shape, text, path),
            (Kind::Integer { range }, Value::Number(number)) => {
                let value = number
                    .as_i64()
                    .filter(|value| i32::try_from(*value).is_ok())
                    .ok_or_else(|| mismatch("a 32-bit integer", &number.to_string(), path))?;
                self.violated(shape, path, Reason::of_bounds(*range, "value", value), Some(&value.to_string()));
            }
            (Kind::Long { range }, Value::Number(number)) => {
                let value = number.as_i64().ok_or_else(|| mismatch("a 64-bit integer", &number.to_string(), path))?;
                self.violated(shape, path, Reason::of_bounds(*range, "value", value), Some(&value.to_string()));
            }
            (Kind::Double | Kind::Timestamp, Value::Number(_)) | (Kind::Boolean, Value::Bool(_)) => {}
            (Kind::Blob { length }, Value::String(text)) => {
                let decoded =
                    Blob::decoded_length(text).ok_or_else(|| mismatch("a base64 text", "another string", path))?;
                self.violated(shape, path, Reason::of_length(*length, decoded), None);
            }
            _ => return Err(mismatch(expected(&shape.kind), found(value), path)),
        }
        Ok(())
    }

    /// Checks a value that must be there: lists and maps have no gaps.
    fn present(&mut self, shape: &'static Shape, value: &Value, path: &Path<'_>) -> Result<(), String> {
        if value.is_null() {
            self.violated(shape, path, Some(Reason::Absent), None);
            return Ok(());
        }
        self.value(shape, value, path)
    }

    fn string(&mut self, shape: &'static Shape, text: &str, path: &Path<'_>) {
        let Kind::String { length, pattern, values } = &shape.kind else {
            return;
        };
        if self.is_full() {
            return;
        }
        let characters = text.chars().count();
        let reason = Reason::of_length(*length, characters)
            .or_else(|| {
                let pattern = pattern.as_ref().filter(|pattern| !pattern.matches(text))?;
                Some(Reason::Pattern(printed(pattern.source())))
            })
            .or_else(|| (!values.is_empty() && !values.contains(&text)).then_some(Reason::NotOneOf(values)));
        self.violated(shape, path, reason, Some(text));
    }

    fn is_full(&self) -> bool {
        self.violations.len() >= self.limit
    }

    /// Remembers a violation, if there is one.
    fn violated(&mut self, shape: &'static Shape, path: &Path<'_>, reason: Option<Reason>, value: Option<&str>) {
        let Some(reason) = reason else {
            return;
        };
        if self.is_full() {
            return;
        }
        self.violations.push(Violation {
            shape,
            position: path.position(),
            path: path.text(),
            parent: path.parent_text(),
            reason,
            value: value.filter(|_| !shape.sensitive).map(quoted),
        });
    }
}

fn mismatch(expected: &str, found: &str, path: &Path<'_>) -> String {
    let mut message = path.text();
    if message.is_empty() {
        message.push_str("request body");
    }
    // Writing to a String cannot fail.
    let _ = write!(message, ": expected {expected}, found {}", quoted(found));
    message
}

const fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure { .. } | Kind::Map { .. } => "an object",
        Kind::List { .. } => "an array",
        Kind::String { .. } => "a string",
        Kind::Integer { .. } => "a 32-bit integer",
        Kind::Long { .. } => "a 64-bit integer",
        Kind::Double | Kind::Timestamp => "a number",
        Kind::Boolean => "a boolean",
        Kind::Blob { .. } => "a base64 text",
    }
}

const fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
