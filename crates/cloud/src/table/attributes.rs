//! Reading and writing the attributes of items.
//!
//! Invariant: an attribute that is missing or of another type than it was
//! written with is a fault of ours, reported with the attribute's name, never
//! a default value.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use ironwharf_model::{Digest, Error, Result};

use super::key::Key;

/// The attributes of an item, the key included.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The name of the partition key attribute.
pub(crate) const PARTITION: &str = "pk";
/// The name of the sort key attribute.
pub(crate) const SORT: &str = "sk";
/// The name of the time-to-live attribute, in epoch seconds.
pub(crate) const EXPIRES: &str = "expires_at";

/// The key attributes of an item.
pub(crate) fn key(key: &Key<'_>) -> Item {
    encoded_key(key.encode())
}

/// The key attributes of an item, from its encoded key.
pub(crate) fn encoded_key((partition, sort): (String, String)) -> Item {
    HashMap::from([(PARTITION.to_owned(), string(partition)), (SORT.to_owned(), string(sort))])
}

/// Puts an item together.
pub(crate) struct Build(Item);

impl Build {
    pub(crate) fn new(of: &Key<'_>) -> Self {
        Self(key(of))
    }

    pub(crate) fn string(mut self, name: &str, text: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), string(text));
        self
    }

    pub(crate) fn optional_string(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.string(name, text),
            None => self,
        }
    }

    pub(crate) fn number(mut self, name: &str, number: impl Into<i128>) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::N(number.into().to_string()));
        self
    }

    pub(crate) fn boolean(mut self, name: &str, value: bool) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::Bool(value));
        self
    }

    pub(crate) fn binary(mut self, name: &str, bytes: &[u8]) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::B(Blob::new(bytes)));
        self
    }

    /// A set; `DynamoDB` has no empty sets, so an empty one is absent.
    pub(crate) fn set(mut self, name: &str, members: impl IntoIterator<Item = String>) -> Self {
        let members: Vec<String> = members.into_iter().collect();
        if !members.is_empty() {
            self.0.insert(name.to_owned(), AttributeValue::Ss(members));
        }
        self
    }

    pub(crate) fn list(mut self, name: &str, members: impl IntoIterator<Item = String>) -> Self {
        self.0.insert(name.to_owned(), list(members));
        self
    }

    pub(crate) fn map(mut self, name: &str, members: &BTreeMap<String, String>) -> Self {
        self.0.insert(name.to_owned(), map(members));
        self
    }

    pub(crate) fn item(self) -> Item {
        self.0
    }
}

/// A string attribute.
pub(crate) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub(crate) fn number(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

/// A list of strings.
pub(crate) fn list(members: impl IntoIterator<Item = String>) -> AttributeValue {
    AttributeValue::L(members.into_iter().map(AttributeValue::S).collect())
}

/// A map of strings.
pub(crate) fn map(members: &BTreeMap<String, String>) -> AttributeValue {
    let members = members.iter().map(|(key, value)| (key.clone(), AttributeValue::S(value.clone())));
    AttributeValue::M(members.collect())
}

/// Reads attributes of a stored item.
pub(crate) trait Read {
    fn attribute(&self, name: &str) -> Option<&AttributeValue>;

    fn read_string(&self, name: &str) -> Result<&str> {
        self.read_optional_string(name)?.ok_or_else(|| corrupt(name))
    }

    fn read_optional_string(&self, name: &str) -> Result<Option<&str>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(corrupt(name)),
        }
    }

    fn read_digest(&self, name: &str) -> Result<Digest> {
        Digest::parse(self.read_string(name)?).map_err(|_| corrupt(name))
    }

    fn read_optional_digest(&self, name: &str) -> Result<Option<Digest>> {
        let text = self.read_optional_string(name)?;
        text.map(|text| Digest::parse(text).map_err(|_| corrupt(name))).transpose()
    }

    fn read_number<N: std::str::FromStr>(&self, name: &str) -> Result<N> {
        self.read_optional_number(name)?.ok_or_else(|| corrupt(name))
    }

    fn read_optional_number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|_| corrupt(name)),
            Some(_) => Err(corrupt(name)),
        }
    }

    fn read_boolean(&self, name: &str) -> Result<bool> {
        match self.attribute(name) {
            Some(AttributeValue::Bool(value)) => Ok(*value),
            _ => Err(corrupt(name)),
        }
    }

    fn read_optional_binary(&self, name: &str) -> Result<Option<&[u8]>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::B(bytes)) => Ok(Some(bytes.as_ref())),
            Some(_) => Err(corrupt(name)),
        }
    }

    /// A set; absent means empty.
    fn read_set(&self, name: &str) -> Result<Vec<String>> {
        match self.attribute(name) {
            None => Ok(Vec::new()),
            Some(AttributeValue::Ss(members)) => Ok(members.clone()),
            Some(_) => Err(corrupt(name)),
        }
    }

    fn read_list(&self, name: &str) -> Result<Vec<&str>> {
        match self.attribute(name) {
            None => Ok(Vec::new()),
            Some(AttributeValue::L(members)) => {
                members.iter().map(|member| member.as_s().map(String::as_str).map_err(|_| corrupt(name))).collect()
            }
            Some(_) => Err(corrupt(name)),
        }
    }

    fn read_map(&self, name: &str) -> Result<BTreeMap<String, String>> {
        match self.attribute(name) {
            None => Ok(BTreeMap::new()),
            Some(AttributeValue::M(members)) => {
                let entry = |(key, value): (&String, &AttributeValue)| {
                    value.as_s().map(|value| (key.clone(), value.clone())).map_err(|_| corrupt(name))
                };
                members.iter().map(entry).collect()
            }
            Some(_) => Err(corrupt(name)),
        }
    }
}

impl Read for Item {
    fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.get(name)
    }
}

fn corrupt(name: &str) -> Error {
    Error::internal(format!("the stored attribute '{name}' is missing or not of its type"))
}
