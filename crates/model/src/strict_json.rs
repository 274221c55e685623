//! JSON without the liberties that make two readers see two documents.
//!
//! A document is refused when it repeats an object key (after unescaping),
//! nests deeper than [`MAX_DEPTH`], holds more than [`MAX_VALUES`] values,
//! has anything but white space behind its end, starts with a byte order mark
//! or is not UTF-8. What is accepted means the same to every other reader,
//! which matters for manifests: they are stored byte for byte and interpreted
//! again by clients.
//!
//! Time is linear in the input (times the logarithm of an object's size), the
//! stack is bounded by [`MAX_DEPTH`], and memory by the input plus a constant
//! for [`MAX_VALUES`] values: without that limit, a few megabytes of `{"":0}`
//! would unfold to hundreds.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::quoted;

/// The deepest nesting of arrays and objects that is read.
pub const MAX_DEPTH: usize = 64;

/// The largest number of values (containers and scalars) in a document. A
/// manifest of the largest size with nothing but layer descriptors stays
/// below half of it.
pub const MAX_VALUES: usize = 1 << 18;

/// Why a document was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictJsonError {
    /// The document starts with a byte order mark.
    #[error("unexpected byte order mark at offset 0")]
    ByteOrderMark,
    /// The bytes are not UTF-8.
    #[error("invalid UTF-8 at offset {offset}")]
    InvalidUtf8 {
        /// Offset of the first wrong byte.
        offset: usize,
    },
    /// The text is not JSON.
    #[error("invalid JSON at offset {offset}: {reason}")]
    Syntax {
        /// Offset at which reading ended: the wrong byte or the one behind it.
        offset: usize,
        /// What was wrong.
        reason: String,
    },
    /// Something follows the document.
    #[error("trailing characters at offset {offset}")]
    TrailingBytes {
        /// Offset of the first byte that does not belong to the document.
        offset: usize,
    },
    /// An object holds the same key twice.
    #[error("duplicate key '{path}'")]
    DuplicateKey {
        /// Path of the repeated member, such as `layers[2].digest`.
        path: String,
    },
    /// The nesting exceeds [`MAX_DEPTH`].
    #[error("nesting deeper than {MAX_DEPTH} levels at '{}'", beginning(path))]
    TooDeep {
        /// Path of the first container that is too deep.
        path: String,
    },
    /// The document has more than [`MAX_VALUES`] values.
    #[error("more than {MAX_VALUES} values at '{path}'")]
    TooManyValues {
        /// Path of the first value too many.
        path: String,
    },
}

/// Enough of a deep path to find it.
fn beginning(path: &str) -> String {
    const SHOWN: usize = 40;
    if path.chars().count() <= SHOWN {
        path.to_owned()
    } else {
        path.chars().take(SHOWN).chain("...".chars()).collect()
    }
}

/// Reads one JSON document.
pub fn parse(bytes: &[u8]) -> Result<Value, StrictJsonError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(StrictJsonError::ByteOrderMark);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| StrictJsonError::InvalidUtf8 { offset: error.valid_up_to() })?;
    let reading = Reading::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let root = Slot { reading: &reading, place: &Place::Root, depth: 0 };
    let value = match root.deserialize(&mut deserializer) {
        Ok(value) => value,
        Err(error) => {
            return Err(reading.fault.take().unwrap_or_else(|| StrictJsonError::Syntax {
                offset: offset_of(&error, bytes),
                reason: reason_of(&error),
            }));
        }
    };
    deserializer.end().map_err(|error| StrictJsonError::TrailingBytes { offset: offset_of(&error, bytes) })?;
    Ok(value)
}

/// `serde_json` counts lines and columns; registries speak of offsets.
fn offset_of(error: &serde_json::Error, bytes: &[u8]) -> usize {
    let line_start: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    // At the end of the input the column points at the last byte read.
    let column = if error.is_eof() { error.column() } else { error.column().saturating_sub(1) };
    line_start.saturating_add(column).min(bytes.len())
}

fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    quoted(text.get(..end).unwrap_or(&text))
}

/// State of one `parse`. Cells, because serde hands visitors out by value
/// while their parents are still alive.
#[derive(Default)]
struct Reading {
    values: Cell<usize>,
    /// The refusal of this module behind a serde error, which can only carry text.
    fault: Cell<Option<StrictJsonError>>,
}

/// Where a value stands, as a list of steps that lives on the stack.
enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// The path as text, bounded like any excerpt. Only made for errors.
    fn path(&self) -> String {
        let mut steps = Vec::new();
        let mut place = self;
        loop {
            place = match place {
                Place::Root => break,
                Place::Key(parent, key) => {
                    steps.push(format!(".{}", quoted(key)));
                    parent
                }
                Place::Index(parent, index) => {
                    steps.push(format!("[{index}]"));
                    parent
                }
            };
        }
        steps.reverse();
        let path = steps.concat();
        quoted(path.strip_prefix('.').unwrap_or(&path))
    }
}

/// The place of a value that is about to be read.
struct Slot<'a> {
    reading: &'a Reading,
    place: &'a Place<'a>,
    /// How many containers are open around the value.
    depth: usize,
}

impl Slot<'_> {
    fn refuse<E: serde::de::Error>(&self, fault: StrictJsonError) -> E {
        let error = E::custom(&fault);
        self.reading.fault.set(Some(fault));
        error
    }

    fn enter<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        let path = self.place.path();
        Err(self.refuse(StrictJsonError::TooDeep { path }))
    }
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let count = self.reading.values.get() + 1;
        if count > MAX_VALUES {
            let path = self.place.path();
            return Err(self.refuse(StrictJsonError::TooManyValues { path }));
        }
        self.reading.values.set(count);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut array = Vec::new();
        loop {
            let place = Place::Index(self.place, array.len());
            let slot = Slot { reading: self.reading, place: &place, depth: self.depth + 1 };
            match sequence.next_element_seed(slot)? {
                Some(value) => array.push(value),
                None => return Ok(Value::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let place = Place::Key(self.place, &key);
            if object.contains_key(&key) {
                let path = place.path();
                return Err(self.refuse(StrictJsonError::DuplicateKey { path }));
            }
            let value = map.next_value_seed(Slot { reading: self.reading, place: &place, depth: self.depth + 1 })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn ordinary_documents_are_read() {
        let text = r#" {"a":[1,-2,3.5,true,null,"\u00e9\ud83d\ude00"],"b":{},"c":18446744073709551615} "#;
        let expected = json!({"a": [1, -2, 3.5, true, null, "é😀"], "b": {}, "c": 18_446_744_073_709_551_615_u64});
        assert_eq!(parse(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn refusals_name_the_place() {
        let cases: [(&[u8], &str); 20] = [
            (b"\xEF\xBB\xBF{}", "unexpected byte order mark at offset 0"),
            (b"{\"a\":\"\xFF\"}", "invalid UTF-8 at offset 6"),
            (b"\"\xED\xA0\x80\"", "invalid UTF-8 at offset 1"),
            (b"{} x", "trailing characters at offset 3"),
            (b"{}\n{}", "trailing characters at offset 3"),
            (b"{}\0", "trailing characters at offset 2"),
            (br#"{"a":1,"a":1}"#, "duplicate key 'a'"),
            (br#"{"a":1,"\u0061":2}"#, "duplicate key 'a'"),
            (br#"{"layers":[{},{"digest":1,"digest":2}]}"#, "duplicate key 'layers[1].digest'"),
            (b"{\"a\\nb\":1,\"a\\nb\":1}", "duplicate key 'a\\nb'"),
            (b"", "invalid JSON at offset 0: EOF while parsing a value"),
            (b"[1,", "invalid JSON at offset 3: EOF while parsing a value"),
            (b"[1,]", "invalid JSON at offset 3: trailing comma"),
            (b"[01]", "invalid JSON at offset 2: invalid number"),
            (b"[\n  NaN]", "invalid JSON at offset 4: expected value"),
            (b"{'a':1}", "invalid JSON at offset 1: key must be a string"),
            (b"[1e999]", "invalid JSON at offset 5: number out of range"),
            (b"\"a\nb\"", "invalid JSON at offset 3: control character (\\u0000-\\u001F) found while parsing a string"),
            (br#""\ud800""#, "invalid JSON at offset 7: unexpected end of hex escape"),
            (b"// c\n{}", "invalid JSON at offset 0: expected value"),
        ];
        for (bytes, message) in cases {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(parse(bytes).unwrap_err().to_string(), message, "{shown}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        let path = "[0]".repeat(MAX_DEPTH);
        assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()), Err(StrictJsonError::TooDeep { path }));
        // Far deeper than any stack, and without an end.
        assert!(matches!(parse("{\"a\":[".repeat(1_000_000).as_bytes()), Err(StrictJsonError::TooDeep { .. })));
    }

    #[test]
    fn values_are_limited() {
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
        assert!(parse(list(MAX_VALUES).as_bytes()).is_ok());
        assert!(matches!(parse(list(MAX_VALUES + 1).as_bytes()), Err(StrictJsonError::TooManyValues { .. })));
    }

    #[test]
    fn messages_are_bounded() {
        let key = "k".repeat(1 << 20);
        let error = parse(format!(r#"{{"{key}":1,"{key}":1}}"#).as_bytes()).unwrap_err();
        assert!(error.to_string().chars().count() < 300);
        assert_eq!(quoted("a\u{1b}[0m\u{202E}b"), "a\\u{1b}[0m\\u{202e}b");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn structural_noise_is_judged_as_serde_json_does(
            text in r#"[\[\]{}:,"a0-9.eE\\ -]{0,24}"#,
        ) {
            // Stricter, never laxer.
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }

        #[test]
        fn written_values_read_back(value in any_json()) {
            let text = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(parse(&text).unwrap(), serde_json::from_slice::<Value>(&text).unwrap());
        }
    }
}
