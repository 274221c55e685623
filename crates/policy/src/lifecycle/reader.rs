//! Reading the members of a policy's objects, each with the place it is at.

use ironwharf_model::error::quoted;
use serde_json::{Map, Value};

use super::Malformed;
use super::limits::MAX_NUMBER;

/// An object of the document.
pub(super) struct Object<'a> {
    members: &'a Map<String, Value>,
    /// Where it is, such as `rules[0].selection`; empty for the document.
    path: String,
}

impl<'a> Object<'a> {
    /// Reads an object that may have these members and no others.
    pub(super) fn new(value: &'a Value, path: String, known: &[&str]) -> Result<Self, Malformed> {
        let Value::Object(members) = value else {
            let what = if path.is_empty() { "the document" } else { path.as_str() };
            return Err(Malformed::new(format!("{what} must be an object")));
        };
        let object = Self { members, path };
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(Malformed::new(format!("{} is not a known member", object.place(&quoted(unknown))))),
            None => Ok(object),
        }
    }

    /// Where one of its members is.
    pub(super) fn place(&self, member: &str) -> String {
        if self.path.is_empty() { member.to_owned() } else { format!("{}.{member}", self.path) }
    }

    pub(super) fn optional(&self, member: &str) -> Option<&'a Value> {
        self.members.get(member)
    }

    pub(super) fn required(&self, member: &str) -> Result<&'a Value, Malformed> {
        self.optional(member).ok_or_else(|| Malformed::new(format!("{} is missing", self.place(member))))
    }

    pub(super) fn object(&self, member: &str, known: &[&str]) -> Result<Self, Malformed> {
        Self::new(self.required(member)?, self.place(member), known)
    }

    pub(super) fn optional_text(&self, member: &str) -> Result<Option<&'a str>, Malformed> {
        match self.optional(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Malformed::new(format!("{} must be a string", self.place(member)))),
        }
    }

    pub(super) fn text(&self, member: &str) -> Result<&'a str, Malformed> {
        self.required(member)?;
        Ok(self.optional_text(member)?.unwrap_or_default())
    }

    /// A whole number from 1.
    pub(super) fn number(&self, member: &str) -> Result<u32, Malformed> {
        let number = self.required(member)?.as_u64().filter(|number| (1..=MAX_NUMBER).contains(number));
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| {
            Malformed::new(format!("{} must be a whole number from 1 to {MAX_NUMBER}", self.place(member)))
        })
    }

    pub(super) fn list(&self, member: &str) -> Result<&'a [Value], Malformed> {
        match self.required(member)? {
            Value::Array(values) => Ok(values),
            _ => Err(Malformed::new(format!("{} must be a list", self.place(member)))),
        }
    }

    /// A list of one or more texts, none of them empty.
    pub(super) fn optional_texts(&self, member: &str) -> Result<Option<Vec<String>>, Malformed> {
        if self.optional(member).is_none() {
            return Ok(None);
        }
        let texts: Option<Vec<String>> = self
            .list(member)?
            .iter()
            .map(|value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
            .collect();
        match texts.filter(|texts| !texts.is_empty()) {
            Some(texts) => Ok(Some(texts)),
            None => {
                Err(Malformed::new(format!("{} must be a list of one or more non-empty strings", self.place(member))))
            }
        }
    }
}
