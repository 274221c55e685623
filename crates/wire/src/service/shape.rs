//! The tables of the service models: shapes and their constraints.
//!
//! Invariant: the tables refer to each other without cycles, so that a walk
//! along them ends whatever the input.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

/// A named shape of the model.
#[derive(Debug)]
pub struct Shape {
    /// The name in the model.
    pub name: &'static str,
    /// Its type and constraints.
    pub kind: Kind,
    /// Whether a value is a secret, which no message may repeat.
    pub sensitive: bool,
}

impl Shape {
    /// A structure without members: the input of an operation that takes none.
    pub const EMPTY: Self = Self { name: "Empty", kind: Kind::Structure { members: &[] }, sensitive: false };

    /// Whether a value is one text: neither a structure nor a list nor a map.
    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        !matches!(self.kind, Kind::Structure { .. } | Kind::List { .. } | Kind::Map { .. })
    }
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
    /// no Unicode mode (which a byte regex needs to permit), except where the
    /// pattern speaks of other characters itself. Were one beyond this engine,
    /// nothing would match it: refusing is the safe side; a test compiles all.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.compiled().is_some_and(|regex| regex.is_match(text.as_bytes()))
    }

    fn compiled(&self) -> Option<&Regex> {
        self.compiled
            .get_or_init(|| {
                let speaks_unicode = self.source.contains(r"\u") || self.source.contains(r"\p{");
                // Java's `\u` has four digits; the model means the whole range.
                let source = if self.source.contains(ASTRAL) {
                    Cow::Owned(self.source.replace(ASTRAL, r"\u{10000}-\u{10FFFF}"))
                } else {
                    Cow::Borrowed(self.source)
                };
                RegexBuilder::new(&format!(r"\A(?:{source})\z")).unicode(speaks_unicode).build().ok()
            })
            .as_ref()
    }
}

/// How the models write the characters beyond the Basic Multilingual Plane.
const ASTRAL: &str = r"\u10000-\u10FFFF";
