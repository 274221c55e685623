//! Constraints of the service model, and the check of a value against them.
//!
//! A check walks a shape and a JSON value in parallel. A value of the wrong
//! JSON type makes the body unreadable and is reported at once; of the
//! violated constraints the first in the order of the model is reported, and
//! only if all types are right, as the service deserializes before it
//! validates. The walk follows the tables, which have no cycles, so that its
//! depth does not depend on the input.
//!
//! # Wording
//!
//! The service speaks in two voices. Its framework words constraints as
//! `Member must ...`, counts list elements from one (`tags.2.member.key`) and
//! reports a wrong scalar in a list at the list itself. Repository names,
//! image tags and registry ids are validated by its own code, which says
//! `must ...`. Both are reproduced because clients match on the texts.

use std::fmt::Write as _;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use super::json::DecodeError;
use super::scalars::Blob;
use ironwharf_model::error::quoted;

/// A named shape of the model.
#[derive(Debug)]
pub struct Shape {
    /// The name in the model.
    pub name: &'static str,
    /// Its type and constraints.
    pub kind: Kind,
}

/// Type and constraints of a [`Shape`].
#[derive(Debug)]
pub enum Kind {
    /// An object with known members.
    Structure {
        /// The members; others are ignored.
        members: &'static [Member],
    },
    /// An array.
    List {
        /// Shape of the elements.
        member: &'static Shape,
        /// Limits of the number of elements.
        length: Bounds,
    },
    /// An object with free keys.
    Map {
        /// Shape of the keys, a string.
        key: &'static Shape,
        /// Shape of the values.
        value: &'static Shape,
    },
    /// A string.
    String {
        /// Limits of the number of characters.
        length: Bounds,
        /// What the whole string must match.
        pattern: Option<Pattern>,
        /// The allowed values, in the order of the service's messages; empty
        /// if any is allowed.
        values: &'static [&'static str],
    },
    /// A 32-bit integer.
    Integer {
        /// Limits of the value.
        range: Bounds,
    },
    /// A 64-bit integer.
    Long {
        /// Limits of the value.
        range: Bounds,
    },
    /// A number.
    Double,
    /// `true` or `false`.
    Boolean,
    /// A number of seconds since the epoch.
    Timestamp,
    /// A base64 text.
    Blob {
        /// Limits of the number of decoded bytes.
        length: Bounds,
    },
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// The key on the wire.
    pub name: &'static str,
    /// Shape of the value.
    pub shape: &'static Shape,
    /// Whether absence (or `null`) violates the model.
    pub required: bool,
}

impl Member {
    /// A member that must be there.
    #[must_use]
    pub const fn required(name: &'static str, shape: &'static Shape) -> Self {
        Self { name, shape, required: true }
    }

    /// A member that may be absent.
    #[must_use]
    pub const fn optional(name: &'static str, shape: &'static Shape) -> Self {
        Self { name, shape, required: false }
    }
}

/// Inclusive limits of a length or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest allowed number.
    pub min: Option<i64>,
    /// The largest allowed number.
    pub max: Option<i64>,
}

impl Bounds {
    /// No limits.
    pub const NONE: Self = Self { min: None, max: None };

    /// `min` and more.
    #[must_use]
    pub const fn at_least(min: i64) -> Self {
        Self { min: Some(min), max: None }
    }

    /// `max` and less.
    #[must_use]
    pub const fn at_most(max: i64) -> Self {
        Self { min: None, max: Some(max) }
    }

    /// `min` to `max`.
    #[must_use]
    pub const fn between(min: i64, max: i64) -> Self {
        Self { min: Some(min), max: Some(max) }
    }

    /// The violated limit, in the words of the service.
    fn violation(self, subject: &str, number: i64) -> Option<String> {
        match (self.min, self.max) {
            (Some(min), _) if number < min => Some(format!("must have {subject} greater than or equal to {min}")),
            (_, Some(max)) if number > max => Some(format!("must have {subject} less than or equal to {max}")),
            _ => None,
        }
    }

    fn length_violation(self, length: usize) -> Option<String> {
        self.violation("length", i64::try_from(length).unwrap_or(i64::MAX))
    }
}

/// A pattern of the model, compiled on first use.
#[derive(Debug)]
pub struct Pattern {
    source: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// The pattern with this text of the model.
    #[must_use]
    pub const fn new(source: &'static str) -> Self {
        Self { source, compiled: OnceLock::new() }
    }

    /// The text of the model.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        self.source
    }

    /// Whether this engine understands the pattern.
    #[must_use]
    pub fn compiles(&self) -> bool {
        self.compiled().is_some()
    }

    /// Whether the whole of `text` matches.
    ///
    /// The model's patterns are Java's: `\w` and `\S` mean ASCII there, hence
    /// no Unicode mode (which a byte regex needs to permit). Their syntax is
    /// otherwise the same; a test compiles all. Were one beyond this engine,
    /// nothing would match it: refusing is the safe side.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.compiled().is_some_and(|regex| regex.is_match(text.as_bytes()))
    }

    fn compiled(&self) -> Option<&Regex> {
        self.compiled
            .get_or_init(|| RegexBuilder::new(&format!(r"\A(?:{})\z", self.source)).unicode(false).build().ok())
            .as_ref()
    }
}

/// Checks a whole input against its shape.
pub fn check(shape: &'static Shape, value: &Value) -> Result<(), DecodeError> {
    let mut walk = Walk { violation: None };
    walk.value(shape, value, &Path::Root)?;
    walk.violation.map_or(Ok(()), Err)
}

/// Where a value stands, as a list of steps that lives on the stack.
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'static str),
    Index(&'a Path<'a>, usize),
    Key(&'a Path<'a>, &'a str),
}

impl Path<'_> {
    /// The path in the notation of the service: bean names (a small first
    /// letter whatever the wire says) and elements counted from one.
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(parent, name) => join(&parent.text(), &decapitalized(name)),
            Self::Index(parent, index) => join(&parent.text(), &format!("{}.member", index + 1)),
            Self::Key(parent, key) => join(&parent.text(), &format!("{}.member", quoted(key))),
        }
    }
}

fn join(parent: &str, step: &str) -> String {
    if parent.is_empty() { step.to_owned() } else { format!("{parent}.{step}") }
}

fn decapitalized(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + characters.as_str())
}

struct Walk {
    /// The first violated constraint.
    violation: Option<DecodeError>,
}

impl Walk {
    /// Checks one value; an error is a wrong type, constraints are collected.
    fn value(&mut self, shape: &'static Shape, value: &Value, path: &Path<'_>) -> Result<(), DecodeError> {
        match (&shape.kind, value) {
            (Kind::Structure { members }, Value::Object(object)) => {
                for member in *members {
                    let path = Path::Member(path, member.name);
                    match object.get(member.name) {
                        Some(value) if !value.is_null() => {
                            self.value(member.shape, value, &path)?;
                        }
                        _ if member.required => {
                            self.violated(member.shape, &path, "must not be null");
                        }
                        _ => {}
                    }
                }
            }
            (Kind::List { member, length }, Value::Array(array)) => {
                if let Some(reason) = length.length_violation(array.len()) {
                    self.violated(shape, path, &reason);
                }
                for (index, value) in array.iter().enumerate() {
                    let path = Path::Index(path, index);
                    if value.is_null() {
                        self.violated(member, &path, "must not be null");
                    } else {
                        self.value(member, value, &path)?;
                    }
                }
            }
            (Kind::Map { key, value: shape }, Value::Object(object)) => {
                for (name, value) in object {
                    let path = Path::Key(path, name);
                    self.string(key, name, &path);
                    if value.is_null() {
                        self.violated(shape, &path, "must not be null");
                    } else {
                        self.value(shape, value, &path)?;
                    }
                }
            }
            (Kind::String { .. }, Value::String(text)) => self.string(shape, text, path),
            (Kind::Integer { range }, Value::Number(number)) => {
                let value = number
                    .as_i64()
                    .filter(|value| i32::try_from(*value).is_ok())
                    .ok_or_else(|| mismatch("a 32-bit integer", &number.to_string(), path))?;
                self.number(*range, value, shape, path);
            }
            (Kind::Long { range }, Value::Number(number)) => {
                let value = number.as_i64().ok_or_else(|| mismatch("a 64-bit integer", &number.to_string(), path))?;
                self.number(*range, value, shape, path);
            }
            (Kind::Double | Kind::Timestamp, Value::Number(_)) | (Kind::Boolean, Value::Bool(_)) => {}
            (Kind::Blob { length }, Value::String(text)) => {
                let decoded =
                    Blob::decoded_length(text).ok_or_else(|| mismatch("a base64 text", "another string", path))?;
                if let Some(reason) = length.length_violation(decoded) {
                    self.violated(shape, path, &reason);
                }
            }
            _ => return Err(mismatch(expected(&shape.kind), found(value), path)),
        }
        Ok(())
    }

    fn number(&mut self, range: Bounds, value: i64, shape: &Shape, path: &Path<'_>) {
        if let Some(reason) = range.violation("value", value) {
            self.violated(shape, path, &reason);
        }
    }

    fn string(&mut self, shape: &'static Shape, text: &str, path: &Path<'_>) {
        // Only the first violation is reported: do not look for a second one,
        // which may cost a match of a long text.
        if self.violation.is_some() {
            return;
        }
        let Kind::String { length, pattern, values } = &shape.kind else {
            return;
        };
        if let Some(reason) = length.length_violation(text.chars().count()) {
            self.violated(shape, path, &reason);
        } else if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
            // The service prints its patterns without the model's escaped slashes.
            let source = pattern.source().replace(r"\/", "/");
            let reason = match voice(shape, path) {
                Voice::Service => format!("must satisfy regular expression '{source}'"),
                Voice::Framework => format!("must satisfy regular expression pattern: {source}"),
            };
            self.violated(shape, path, &reason);
        } else if !values.is_empty() && !values.contains(&text) {
            let reason = format!("must satisfy enum value set: [{}]", values.join(", "));
            self.violated(shape, path, &reason);
        }
    }

    /// Remembers a violation, `reason` being what stands behind `Member`.
    fn violated(&mut self, shape: &Shape, path: &Path<'_>, reason: &str) {
        if self.violation.is_some() {
            return;
        }
        let scalar = !matches!(shape.kind, Kind::Structure { .. } | Kind::List { .. } | Kind::Map { .. });
        let (parameter, constraint) = match (voice(shape, path), path) {
            // The service's own validation does not know the list.
            (Voice::Service, Path::Index(..)) => (decapitalized(shape.name), reason.to_owned()),
            (Voice::Service, _) => (path.text(), reason.to_owned()),
            (Voice::Framework, Path::Index(list, _)) if scalar => {
                let constraint = format!("Member must satisfy constraint: [Member {reason}]");
                (list.text(), constraint)
            }
            (Voice::Framework, _) => (path.text(), format!("Member {reason}")),
        };
        self.violation = Some(DecodeError::InvalidParameter { parameter, constraint });
    }
}

/// Which part of the service words the refusal of a value.
#[derive(Clone, Copy)]
enum Voice {
    Framework,
    Service,
}

fn voice(shape: &Shape, path: &Path<'_>) -> Voice {
    // Registry ids in a list are the framework's: a refusal of `registryIds`
    // speaks of its members.
    match (shape.name, path) {
        ("RepositoryName", _) | ("RegistryId" | "ImageTag", Path::Member(..)) => Voice::Service,
        _ => Voice::Framework,
    }
}

fn mismatch(expected: &str, found: &str, path: &Path<'_>) -> DecodeError {
    let mut message = path.text();
    if message.is_empty() {
        message.push_str("request body");
    }
    // Writing to a String cannot fail.
    let _ = write!(message, ": expected {expected}, found {}", quoted(found));
    DecodeError::Serialization { message }
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
