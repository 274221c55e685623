//! A body of the type `application/x-www-form-urlencoded`.
//!
//! Invariant: a name stands once; two values for one parameter are refused, so
//! that nobody can act on another one than was checked.
//! Invariant: names and values are UTF-8, decoded exactly once.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use ironwharf_model::Error;
use ironwharf_model::error::quoted;

/// The largest number of fields. The largest honest request, a simulation of
/// policies with all their context keys, has some hundreds.
pub const MAX_FIELDS: usize = 2_000;

/// The fields of a form, by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    fields: BTreeMap<String, String>,
}

/// Why a body is not a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A percent sign without two hexadecimal digits behind it.
    #[error("The request body has a percent sign that is not followed by two hexadecimal digits")]
    Escape,
    /// The decoded bytes are not UTF-8.
    #[error("The request body has a parameter that is not UTF-8")]
    NotUtf8,
    /// A parameter is given twice.
    #[error("The parameter '{}' is given more than once", quoted(.name))]
    Duplicate {
        /// Its name.
        name: String,
    },
    /// There are more than [`MAX_FIELDS`] fields.
    #[error("The request body has more than {MAX_FIELDS} parameters")]
    TooManyFields,
}

impl From<FormError> for Error {
    fn from(error: FormError) -> Self {
        Self::Serialization { message: error.to_string() }
    }
}

impl Form {
    /// Reads a body. Empty fields (`a=1&&b=2`) are left out, a field without
    /// `=` has an empty value, and `+` is a space.
    pub fn parse(body: &str) -> Result<Self, FormError> {
        let mut fields = BTreeMap::new();
        for field in body.split('&').filter(|field| !field.is_empty()) {
            if fields.len() == MAX_FIELDS {
                return Err(FormError::TooManyFields);
            }
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if fields.contains_key(&name) {
                return Err(FormError::Duplicate { name });
            }
            fields.insert(name, value);
        }
        Ok(Self { fields })
    }

    /// The operation that is asked for.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.get("Action")
    }

    /// The version of the API that is asked for.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.get("Version")
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// What stands behind `prefix` in the names that begin with it.
    pub(super) fn behind<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map_while(move |(name, _)| name.strip_prefix(prefix))
    }
}

impl fmt::Debug for Form {
    /// Only the number of fields: a token has no place in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Form({} fields)", self.fields.len())
    }
}

fn decoded(text: &str) -> Result<String, FormError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = digit(rest.next())?;
                high * 16 + digit(rest.next())?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| FormError::NotUtf8)
}

fn digit(byte: Option<u8>) -> Result<u8, FormError> {
    match byte {
        Some(byte @ b'0'..=b'9') => Ok(byte - b'0'),
        Some(byte @ b'a'..=b'f') => Ok(byte - b'a' + 10),
        Some(byte @ b'A'..=b'F') => Ok(byte - b'A' + 10),
        _ => Err(FormError::Escape),
    }
}
