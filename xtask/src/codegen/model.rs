//! A service model in its compact form: facts only, no documentation.
//!
//! Invariant: the order of operations and members is that of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::names::type_name;

/// A JSON object in the order of the file.
pub(super) struct Ordered<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// The protocol of a service.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Protocol {
    /// AWS JSON: the operation in a header, JSON in both bodies.
    #[serde(rename = "json 1.1")]
    Json,
    /// AWS Query: the operation and its input in a form, the output as XML.
    #[serde(rename = "query")]
    Query,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ModelFile {
    pub(super) service: String,
    pub(super) protocol: Protocol,
    pub(super) signing_name: String,
    pub(super) api_version: Option<String>,
    pub(super) xml_namespace: Option<String>,
    pub(super) operations: Ordered<Operation>,
    /// The other operations of the service, which have no shapes here.
    #[serde(default)]
    pub(super) unserved: Vec<String>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) input: Option<String>,
    pub(super) output: Option<String>,
    pub(super) errors: Vec<String>,
}

/// What an error is in the Query protocol.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct QueryError {
    pub(super) code: String,
    pub(super) http_status_code: u16,
}

#[derive(Deserialize)]
pub(super) struct Bounds {
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Shape {
    Structure {
        #[serde(default)]
        required: Vec<String>,
        members: Ordered<String>,
        #[serde(default)]
        fault: bool,
        error: Option<QueryError>,
    },
    List {
        member: String,
        #[serde(flatten)]
        bounds: Bounds,
    },
    Map {
        key: String,
        value: String,
    },
    String {
        #[serde(rename = "enum", default)]
        values: Vec<String>,
        pattern: Option<String>,
        #[serde(flatten)]
        bounds: Bounds,
        #[serde(default)]
        sensitive: bool,
    },
    Integer(Bounds),
    Long(Bounds),
    Blob(Bounds),
    Double,
    Boolean,
    Timestamp,
}

pub(super) struct Model {
    pub(super) file: ModelFile,
    /// Where it was read from, relative to the workspace.
    pub(super) path: &'static str,
}

impl Model {
    pub(super) fn read(root: &Path, path: &'static str) -> Result<Self, String> {
        let text = std::fs::read_to_string(root.join(path)).map_err(|error| format!("cannot read {path}: {error}"))?;
        let file: ModelFile =
            serde_json::from_str(&text).map_err(|error| format!("cannot understand {path}: {error}"))?;
        if file.protocol == Protocol::Query && (file.api_version.is_none() || file.xml_namespace.is_none()) {
            return Err(format!("{path}: a service of the Query protocol has an apiVersion and an xmlNamespace"));
        }
        Ok(Self { file, path })
    }

    pub(super) fn operations(&self) -> &[(String, Operation)] {
        &self.file.operations.0
    }

    pub(super) fn shape(&self, name: &str) -> Result<&Shape, String> {
        self.file.shapes.get(name).ok_or_else(|| format!("the model names shape {name} but does not define it"))
    }

    /// The inputs of all operations.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &str> {
        self.operations().iter().filter_map(|(_, operation)| operation.input.as_deref())
    }

    /// The outputs of all operations.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &str> {
        self.operations().iter().filter_map(|(_, operation)| operation.output.as_deref())
    }

    /// The shapes reachable from `roots`, by name.
    pub(super) fn reachable<'a>(&'a self, roots: impl Iterator<Item = &'a str>) -> Result<BTreeSet<&'a str>, String> {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<&str> = roots.collect();
        while let Some(name) = pending.pop() {
            if !seen.insert(name) {
                continue;
            }
            match self.shape(name)? {
                Shape::Structure { members, .. } => {
                    pending.extend(members.0.iter().map(|(_, shape)| shape.as_str()));
                }
                Shape::List { member, .. } => pending.push(member),
                Shape::Map { key, value } => pending.extend([key.as_str(), value.as_str()]),
                _ => {}
            }
        }
        Ok(seen)
    }

    /// The Rust type of a shape.
    pub(super) fn rust_type(&self, name: &str) -> Result<String, String> {
        Ok(match self.shape(name)? {
            Shape::List { member, .. } => format!("Vec<{}>", self.rust_type(member)?),
            Shape::Map { key, value } => format!("BTreeMap<{}, {}>", self.rust_type(key)?, self.rust_type(value)?),
            Shape::String { values, .. } if values.is_empty() => "String".to_owned(),
            Shape::Structure { .. } | Shape::String { .. } => type_name(name),
            Shape::Integer(_) => "i32".to_owned(),
            Shape::Long(_) => "i64".to_owned(),
            Shape::Blob(_) => "Blob".to_owned(),
            Shape::Double => "f64".to_owned(),
            Shape::Boolean => "bool".to_owned(),
            Shape::Timestamp => "Timestamp".to_owned(),
        })
    }

    /// Whether the Rust type of a shape has a default. An enumeration has
    /// none: picking a value would invent a fact.
    pub(super) fn has_default(&self, name: &str) -> Result<bool, String> {
        Ok(match self.shape(name)? {
            Shape::String { values, .. } => values.is_empty(),
            Shape::Structure { required, members, .. } => {
                for (member, shape) in &members.0 {
                    if required.contains(member) && !self.has_default(shape)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => true,
        })
    }
}
