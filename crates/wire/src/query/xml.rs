//! Answers as XML.
//!
//! Invariant: the output is well-formed XML 1.0; characters that XML cannot
//! hold, not even as a reference, become U+FFFD.
//! Invariant: members stand in the order of the model.

use serde_json::{Map, Number, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::service::shape::{Kind, Shape};

/// The answer to an operation. `output` is what serde makes of the typed
/// output, with its shape; an operation without output has none.
#[must_use]
pub fn response_xml(
    namespace: &str,
    operation: &str,
    output: Option<(&'static Shape, &Value)>,
    request_id: &str,
) -> String {
    let mut out = String::new();
    open_root(&mut out, &format!("{operation}Response"), namespace);
    if let Some((shape, value)) = output {
        element(&mut out, &format!("{operation}Result"), |out| write_value(out, shape, value));
    }
    element(&mut out, "ResponseMetadata", |out| {
        element(out, "RequestId", |out| escape(out, request_id));
    });
    close(&mut out, &format!("{operation}Response"));
    out
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller's.
    Sender,
    /// The service's.
    Receiver,
}

impl Fault {
    /// The value of `Type` on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "Sender",
            Self::Receiver => "Receiver",
        }
    }
}

/// The answer to a request that failed.
#[must_use]
pub fn error_xml(namespace: &str, fault: Fault, code: &str, message: &str, request_id: &str) -> String {
    let mut out = String::new();
    open_root(&mut out, "ErrorResponse", namespace);
    element(&mut out, "Error", |out| {
        for (name, text) in [("Type", fault.as_str()), ("Code", code), ("Message", message)] {
            element(out, name, |out| escape(out, text));
        }
    });
    element(&mut out, "RequestId", |out| escape(out, request_id));
    close(&mut out, "ErrorResponse");
    out
}

fn write_value(out: &mut String, shape: &Shape, value: &Value) {
    match (&shape.kind, value) {
        (Kind::Structure { members }, Value::Object(object)) => {
            for member in *members {
                if let Some(value) = object.get(member.name).filter(|value| !value.is_null()) {
                    element(out, member.name, |out| write_value(out, member.shape, value));
                }
            }
        }
        (Kind::List { member, .. }, Value::Array(array)) => {
            for value in array {
                element(out, "member", |out| write_value(out, member, value));
            }
        }
        (Kind::Map { value: shape, .. }, Value::Object(object)) => write_entries(out, shape, object),
        (Kind::Timestamp, Value::Number(seconds)) => escape(out, &iso_8601(seconds)),
        (_, Value::String(text)) => escape(out, text),
        (_, Value::Bool(_) | Value::Number(_)) => escape(out, &value.to_string()),
        // What serde makes of a typed output has its shape.
        _ => {}
    }
}

fn write_entries(out: &mut String, shape: &Shape, object: &Map<String, Value>) {
    for (key, value) in object {
        element(out, "entry", |out| {
            element(out, "key", |out| escape(out, key));
            element(out, "value", |out| write_value(out, shape, value));
        });
    }
}

/// A time as both services write it: in UTC and whole seconds.
fn iso_8601(seconds: &Number) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and then it is no time")]
    let whole = seconds.as_f64().unwrap_or_default().floor() as i64;
    let time = OffsetDateTime::from_unix_timestamp(whole).ok();
    // Clients read a number of seconds as well.
    time.and_then(|time| time.format(FORMAT).ok()).unwrap_or_else(|| whole.to_string())
}

/// Opens the outermost element. Names come from the tables and need no escape.
fn open_root(out: &mut String, name: &str, namespace: &str) {
    out.push('<');
    out.push_str(name);
    out.push_str(" xmlns=\"");
    escape(out, namespace);
    out.push_str("\">");
}

fn close(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn element(out: &mut String, name: &str, content: impl FnOnce(&mut String)) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    content(out);
    close(out, name);
}

/// Appends a text. White space other than the blank is written as a reference,
/// so that no parser normalizes it.
fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
}
