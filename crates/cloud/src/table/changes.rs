//! What the stream of the table tells: the images that a record is about.
//!
//! Invariant: an image item alone says all that an event tells of an image, its
//! tags too, so a push is one record and not one for each tag.
//! Invariant: a record that is about something else is none of ours and no error;
//! one about an image that cannot be read is an error that says what is wrong.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_model::{AccountId, Error, RepositoryName, Result};
use serde::Deserialize;

use super::attributes::{Item, PARTITION, Read, SORT};
use super::images::ImageRecord;
use super::key::IMAGE;

/// An image before and after a change. Both are there for a change of its item,
/// one for its push and for its deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageChange {
    /// The registry.
    pub account: AccountId,
    /// The repository.
    pub repository: RepositoryName,
    /// What it was.
    pub before: Option<ImageRecord>,
    /// What it is.
    pub after: Option<ImageRecord>,
    /// When the change was made, in seconds since the epoch.
    pub at_seconds: i64,
}

/// A record of the stream, as far as it is of interest.
#[derive(Debug, Deserialize)]
pub struct StreamRecord {
    dynamodb: Change,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    keys: BTreeMap<String, Attribute>,
    #[serde(default)]
    old_image: Option<BTreeMap<String, Attribute>>,
    #[serde(default)]
    new_image: Option<BTreeMap<String, Attribute>>,
    sequence_number: String,
    /// Seconds, with or without a fraction.
    approximate_creation_date_time: f64,
}

/// An attribute as the JSON of events has it.
#[derive(Debug, Deserialize)]
enum Attribute {
    S(String),
    N(String),
    B(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    #[serde(rename = "NULL")]
    Null(bool),
    #[serde(rename = "SS")]
    Ss(Vec<String>),
    #[serde(rename = "NS")]
    Ns(Vec<String>),
    #[serde(rename = "BS")]
    Bs(Vec<String>),
    L(Vec<Attribute>),
    M(BTreeMap<String, Attribute>),
}

impl StreamRecord {
    /// The place of the record in its shard, by which a function says how far it
    /// has come.
    #[must_use]
    pub fn sequence_number(&self) -> &str {
        &self.dynamodb.sequence_number
    }

    /// The change of an image that it tells of, if it tells of one.
    ///
    /// # Errors
    /// A stored image that cannot be read.
    pub fn into_image_change(self) -> Result<Option<ImageChange>> {
        let Change { keys, old_image, new_image, approximate_creation_date_time, .. } = self.dynamodb;
        let keys = item(keys)?;
        let (partition, sort) = (keys.read_string(PARTITION)?, keys.read_string(SORT)?);
        if !sort.starts_with(IMAGE) {
            return Ok(None);
        }
        let (account, repository) = place(partition)?;
        let image = |attributes: Option<_>| attributes.map(|all| ImageRecord::from_item(&item(all)?)).transpose();
        #[expect(clippy::cast_possible_truncation, reason = "seconds since the epoch fit")]
        let at_seconds = approximate_creation_date_time as i64;
        Ok(Some(ImageChange { account, repository, before: image(old_image)?, after: image(new_image)?, at_seconds }))
    }
}

/// The registry and the repository in the partition key of an image.
fn place(partition: &str) -> Result<(AccountId, RepositoryName)> {
    let mut parts = partition.split('#');
    let (Some("T"), Some(account), Some("R"), Some(name)) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::internal(format!("'{partition}' is not the partition of an image")));
    };
    Ok((AccountId::parse(account)?, RepositoryName::parse(name)?))
}

fn item(attributes: BTreeMap<String, Attribute>) -> Result<Item> {
    attributes.into_iter().map(|(name, attribute)| Ok((name, value(attribute)?))).collect()
}

fn value(attribute: Attribute) -> Result<AttributeValue> {
    Ok(match attribute {
        Attribute::S(text) => AttributeValue::S(text),
        Attribute::N(digits) => AttributeValue::N(digits),
        Attribute::B(text) => AttributeValue::B(bytes(&text)?),
        Attribute::Bool(is_true) => AttributeValue::Bool(is_true),
        Attribute::Null(is_null) => AttributeValue::Null(is_null),
        Attribute::Ss(members) => AttributeValue::Ss(members),
        Attribute::Ns(members) => AttributeValue::Ns(members),
        Attribute::Bs(members) => AttributeValue::Bs(members.iter().map(|text| bytes(text)).collect::<Result<_>>()?),
        Attribute::L(members) => AttributeValue::L(members.into_iter().map(value).collect::<Result<_>>()?),
        Attribute::M(members) => AttributeValue::M(item(members)?),
    })
}

fn bytes(text: &str) -> Result<Blob> {
    STANDARD.decode(text).map(Blob::new).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(keys: &Value, old: &Value, new: &Value) -> StreamRecord {
        let mut change = json!({
            "Keys": keys, "SequenceNumber": "111", "ApproximateCreationDateTime": 1_795_860_000.25, "SizeBytes": 1,
        });
        for (name, image) in [("OldImage", old), ("NewImage", new)] {
            if !image.is_null() {
                change[name] = image.clone();
            }
        }
        serde_json::from_value(json!({ "eventID": "1", "eventName": "INSERT", "dynamodb": change })).unwrap()
    }

    fn image(tags: &[&str]) -> Value {
        let mut image = json!({
            "digest": { "S": format!("sha256:{}", "0".repeat(64)) },
            "media_type": { "S": "application/vnd.oci.image.manifest.v1+json" },
            "size_bytes": { "N": "12" },
            "pushed_at_ms": { "N": "1795860000000" },
            "parents": { "N": "0" },
            "push": { "S": "p" },
            "revision": { "N": "1" },
            "annotations": { "M": { "a": { "S": "b" }, "bytes": { "B": "AAE=" }, "n": { "NULL": true } } },
            "other": { "L": [{ "BOOL": true }, { "NS": ["1"] }, { "BS": ["AAE="] }] },
        });
        if !tags.is_empty() {
            image["tags"] = json!({ "SS": tags });
        }
        image
    }

    #[test]
    fn a_record_of_an_image_is_its_change() {
        let keys = json!({ "pk": { "S": "T#123456789012#R#team/app#0011223344556677" }, "sk": { "S": "I#sha256:0" } });
        let record = record(&keys, &image(&[]), &image(&["b", "a"]));
        assert_eq!(record.sequence_number(), "111");
        let change = record.into_image_change().unwrap().unwrap();
        assert_eq!((change.account.as_str(), change.repository.as_str()), ("123456789012", "team/app"));
        assert_eq!(change.at_seconds, 1_795_860_000);
        assert_eq!(change.before.unwrap().tags, Vec::<String>::new());
        assert_eq!(change.after.unwrap().tags, ["a", "b"]);
    }

    #[test]
    fn other_records_are_passed_over_and_damaged_ones_are_not() {
        let of = |pk: &str, sk: &str, new: &Value| {
            let keys = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
            record(&keys, &Value::Null, new).into_image_change()
        };
        for (pk, sk) in [
            ("T#123456789012#R#app#00", "T#latest"),
            ("T#123456789012#P#x", "PUSH"),
            ("SYSTEM#SEALING-KEYS", "00020785"),
        ] {
            assert_eq!(of(pk, sk, &json!({ "x": { "S": "y" } })).unwrap(), None, "{pk} {sk}");
        }
        let partition = "T#123456789012#R#app#00";
        assert!(of(partition, "I#sha256:0", &json!({ "digest": { "S": "x" } })).is_err());
        assert!(of("T#123456789012#B#sha256:0", "I#sha256:0", &image(&[])).is_err());
    }
}
