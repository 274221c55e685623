//! Parsing manifests: what a manifest refers to, without ever re-encoding it.
//!
//! Invariant: the bytes are never changed; a [`Manifest`] is a view of them.
//! Invariant: parsing is linear in the input and bounded by [`MAX_MANIFEST_BYTES`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::{Error, Result, quoted};
use crate::media_type::{ManifestType, is_foreign_layer};
use crate::strict_json;

/// The largest manifest, 4 MiB (ECR's `ImageManifest` shape; also the limit OCI
/// Distribution 1.1 recommends).
pub const MAX_MANIFEST_BYTES: usize = 4_194_304;

/// The most layers a manifest may list.
pub const MAX_LAYERS: usize = 1_000;

/// The most distinct manifests an index may list. They are all counted as
/// referenced in the one transaction that commits the index, and a `DynamoDB`
/// transaction holds 100 items.
pub const MAX_INDEX_CHILDREN: usize = 90;

/// The longest annotation map kept for referrer listings, in bytes of JSON.
const MAX_REFERRER_ANNOTATIONS_BYTES: usize = 64 * 1024;

/// A reference from a manifest to other content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, as the manifest declares it.
    pub size_bytes: u64,
}

/// What a manifest is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An image or artifact: a config blob and layers.
    Image {
        /// The config blob.
        config: Descriptor,
        /// The layers, foreign ones included.
        layers: Vec<Descriptor>,
    },
    /// An index (or manifest list): other manifests of the same repository.
    Index {
        /// The manifests it lists.
        manifests: Vec<Descriptor>,
    },
}

/// A parsed manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its format.
    pub manifest_type: ManifestType,
    /// What it refers to.
    pub content: Content,
    /// The manifest this one is about (a signature's image, for example).
    pub subject: Option<Descriptor>,
    /// What a referrers listing reports as `artifactType`: the manifest's own,
    /// else its config's media type (OCI Distribution 1.1, "Listing Referrers").
    pub artifact_type: Option<String>,
    /// The annotations, as a referrers listing repeats them.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Parses a manifest. `declared_type` is the `Content-Type` of the request
    /// (or `imageManifestMediaType`); it must agree with the manifest's own
    /// `mediaType` and stands in for it when absent.
    ///
    /// # Errors
    /// [`Error::ManifestTooLarge`], [`Error::ManifestSyntax`], [`Error::ManifestInvalid`]
    /// with the member at fault, [`Error::ManifestTypeUnsupported`].
    pub fn parse(bytes: &[u8], declared_type: Option<&str>) -> Result<Self> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(Error::ManifestTooLarge {
                size_bytes: bytes.len() as u64,
                limit_bytes: MAX_MANIFEST_BYTES as u64,
            });
        }
        let document = strict_json::parse(bytes).map_err(|error| syntax(error.to_string()))?;
        let Value::Object(document) = document else {
            return Err(syntax("a manifest must be a JSON object".to_owned()));
        };
        if document.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
            return Err(invalid("schemaVersion must be 2"));
        }
        let manifest_type = manifest_type(&document, declared_type)?;
        let content = if manifest_type.is_index() { index(&document)? } else { image(&document)? };
        let own_artifact_type = optional_string(&document, "artifactType")?;
        let artifact_type = match (&content, own_artifact_type) {
            (_, Some(own)) => Some(own.to_owned()),
            (Content::Image { config, .. }, None) => Some(config.media_type.clone()),
            (Content::Index { .. }, None) => None,
        };
        let subject = match document.get("subject") {
            None | Some(Value::Null) => None,
            Some(value) => Some(descriptor(value, "subject")?),
        };
        Ok(Self { manifest_type, content, subject, artifact_type, annotations: annotations(&document)? })
    }

    /// The blobs that must be in the repository before this manifest can be:
    /// config and layers without duplicates, foreign layers left out.
    #[must_use]
    pub fn required_blobs(&self) -> Vec<&Descriptor> {
        let Content::Image { config, layers } = &self.content else { return Vec::new() };
        let own_layers = layers.iter().filter(|layer| !is_foreign_layer(&layer.media_type));
        unique(std::iter::once(config).chain(own_layers))
    }

    /// The manifests an index lists, without duplicates.
    #[must_use]
    pub fn children(&self) -> Vec<&Descriptor> {
        let Content::Index { manifests } = &self.content else { return Vec::new() };
        unique(manifests.iter())
    }

    /// The compressed size of an image: its config and layers. Zero for an
    /// index, whose size is that of its largest manifest (ECR's
    /// `imageSizeInBytes`).
    #[must_use]
    pub fn image_size_bytes(&self) -> u64 {
        let Content::Image { config, layers } = &self.content else { return 0 };
        std::iter::once(config).chain(layers).fold(0, |sum, part| sum.saturating_add(part.size_bytes))
    }

    /// The media type of the config blob, which says what kind of artifact this is.
    #[must_use]
    pub fn config_media_type(&self) -> Option<&str> {
        match &self.content {
            Content::Image { config, .. } => Some(&config.media_type),
            Content::Index { .. } => None,
        }
    }
}

fn unique<'a>(descriptors: impl Iterator<Item = &'a Descriptor>) -> Vec<&'a Descriptor> {
    let mut seen = std::collections::BTreeSet::new();
    descriptors.filter(|descriptor| seen.insert(&descriptor.digest)).collect()
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::ManifestInvalid { reason: reason.into() }
}

fn syntax(detail: String) -> Error {
    Error::ManifestSyntax { detail }
}

/// Decides the format. A manifest that says two things at once is refused
/// (GHSA-mc8v-mgrf-8f4m, CVE-2021-41190): clients would disagree about it.
fn manifest_type(document: &Map<String, Value>, declared_type: Option<&str>) -> Result<ManifestType> {
    let own = optional_string(document, "mediaType")?;
    let media_type = own.or(declared_type).ok_or_else(|| {
        invalid("mediaType is missing, and neither a Content-Type nor imageManifestMediaType stands in for it")
    })?;
    let unsupported = |media_type: &str| Error::ManifestTypeUnsupported { media_type: media_type.to_owned() };
    let manifest_type = ManifestType::parse(media_type).ok_or_else(|| unsupported(media_type))?;
    if let Some(declared) = declared_type {
        let declared = ManifestType::parse(declared).ok_or_else(|| unsupported(declared))?;
        if declared != manifest_type {
            return Err(invalid(format!("mediaType '{manifest_type}' contradicts the declared type '{declared}'")));
        }
    }
    let is_present = |member: &str| document.get(member).is_some_and(|value| !value.is_null());
    let (foreign_members, own_member) = if manifest_type.is_index() {
        (["layers", "config"], "manifests")
    } else {
        (["manifests", "fsLayers"], "config")
    };
    for member in foreign_members {
        if is_present(member) {
            return Err(invalid(format!("a manifest of type '{manifest_type}' cannot have '{member}'")));
        }
    }
    if !is_present(own_member) {
        return Err(invalid(format!("a manifest of type '{manifest_type}' must have '{own_member}'")));
    }
    Ok(manifest_type)
}

fn image(document: &Map<String, Value>) -> Result<Content> {
    let config = descriptor(document.get("config").unwrap_or(&Value::Null), "config")?;
    let layers = descriptors(document, "layers", MAX_LAYERS)?;
    Ok(Content::Image { config, layers })
}

fn index(document: &Map<String, Value>) -> Result<Content> {
    let manifests = descriptors(document, "manifests", MAX_LAYERS)?;
    let content = Content::Index { manifests };
    if let Content::Index { manifests } = &content {
        let distinct = unique(manifests.iter()).len();
        if distinct > MAX_INDEX_CHILDREN {
            return Err(invalid(format!("manifests lists {distinct} manifests; the limit is {MAX_INDEX_CHILDREN}")));
        }
    }
    Ok(content)
}

fn descriptors(document: &Map<String, Value>, member: &str, limit: usize) -> Result<Vec<Descriptor>> {
    let list = match document.get(member) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(invalid(format!("{member} must be a list"))),
    };
    if list.len() > limit {
        return Err(invalid(format!("{member} has {} entries; the limit is {limit}", list.len())));
    }
    list.iter().enumerate().map(|(position, value)| descriptor(value, &format!("{member}[{position}]"))).collect()
}

fn descriptor(value: &Value, place: &str) -> Result<Descriptor> {
    let Value::Object(members) = value else {
        return Err(invalid(format!("{place} must be a descriptor object")));
    };
    let text = |member: &str| {
        let value = members.get(member).and_then(Value::as_str);
        value.ok_or_else(|| invalid(format!("{place}.{member} must be a string")))
    };
    let digest_text = text("digest")?;
    let digest = Digest::parse(digest_text)
        .map_err(|_| invalid(format!("{place}.digest '{}' is not a sha256 or sha512 digest", quoted(digest_text))))?;
    let size_bytes = members.get("size").and_then(Value::as_u64);
    let size_bytes = size_bytes
        .filter(|size| i64::try_from(*size).is_ok())
        .ok_or_else(|| invalid(format!("{place}.size must be a whole number of bytes")))?;
    Ok(Descriptor { media_type: text("mediaType")?.to_owned(), digest, size_bytes })
}

fn annotations(document: &Map<String, Value>) -> Result<BTreeMap<String, String>> {
    let members = match document.get("annotations") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(invalid("annotations must be an object")),
    };
    let mut size_bytes = 0;
    let mut annotations = BTreeMap::new();
    for (key, value) in members {
        let text = value.as_str();
        let text = text.ok_or_else(|| invalid(format!("annotations['{}'] must be a string", quoted(key))))?;
        size_bytes += key.len() + text.len();
        // A listing of referrers must stay small whatever is attached; what is
        // left out here is still in the manifest itself.
        if size_bytes <= MAX_REFERRER_ANNOTATIONS_BYTES {
            annotations.insert(key.clone(), text.to_owned());
        }
    }
    Ok(annotations)
}

fn optional_string<'a>(document: &'a Map<String, Value>, member: &str) -> Result<Option<&'a str>> {
    match document.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(format!("{member} must be a string"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blob(text: &str, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::sha256(text.as_bytes()).as_str(), "size": text.len()})
    }

    fn image_manifest() -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": ManifestType::OciImage.as_str(),
            "config": blob("config", "application/vnd.oci.image.config.v1+json"),
            "layers": [
                blob("layer", "application/vnd.oci.image.layer.v1.tar+gzip"),
                blob("layer", "application/vnd.oci.image.layer.v1.tar+gzip"),
                blob("foreign", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            ],
        })
    }

    fn parse(document: &Value, declared: Option<&str>) -> Result<Manifest> {
        Manifest::parse(document.to_string().as_bytes(), declared)
    }

    fn reason(document: &Value, declared: Option<&str>) -> String {
        parse(document, declared).expect_err("refused").to_string()
    }

    #[test]
    fn an_image_requires_its_own_blobs_once() {
        let manifest = parse(&image_manifest(), None).expect("valid");
        assert_eq!(manifest.required_blobs().len(), 2);
        assert_eq!(manifest.image_size_bytes(), 6 + 5 + 5 + 7);
        assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.oci.image.config.v1+json"));
    }

    #[test]
    fn the_declared_type_stands_in_and_must_agree() {
        let mut document = image_manifest();
        assert!(reason(&document, Some(ManifestType::DockerImage.as_str())).contains("contradicts"));
        document.as_object_mut().expect("object").remove("mediaType");
        assert!(reason(&document, None).contains("mediaType is missing"));
        let declared = "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8";
        assert_eq!(parse(&document, Some(declared)).expect("valid").manifest_type, ManifestType::DockerImage);
        assert!(matches!(parse(&document, Some("text/plain")), Err(Error::ManifestTypeUnsupported { .. })));
    }

    #[test]
    fn a_manifest_is_one_thing_only() {
        let mut both = image_manifest();
        both["manifests"] = json!([]);
        assert!(reason(&both, None).contains("'manifests'"));
        let index =
            json!({"schemaVersion": 2, "mediaType": ManifestType::OciIndex.as_str(), "manifests": [], "layers": []});
        assert!(reason(&index, None).contains("'layers'"));
    }

    #[test]
    fn each_malformed_member_is_named() {
        for (pointer, value, expected) in [
            ("/schemaVersion", json!(1), "schemaVersion"),
            ("/config", json!("x"), "config must"),
            ("/config/digest", json!("sha256:short"), "config.digest"),
            ("/config/size", json!(-1), "config.size"),
            ("/config/size", json!(1.5), "config.size"),
            ("/layers", json!({}), "layers must be a list"),
            ("/layers/1/mediaType", json!(3), "layers[1].mediaType"),
            ("/layers", json!(vec![blob("x", "y"); MAX_LAYERS + 1]), "the limit is 1000"),
            ("/mediaType", json!(7), "mediaType must be a string"),
        ] {
            let mut document = image_manifest();
            *document.pointer_mut(pointer).expect("member") = value;
            let reason = reason(&document, None);
            assert!(reason.contains(expected), "{pointer}: {reason}");
        }
        for bytes in [&b"[]"[..], b"", b"{", b"null", b"\xff", b"{\"a\":1,\"a\":2}", b"{} x"] {
            assert!(Manifest::parse(bytes, Some(ManifestType::OciImage.as_str())).is_err());
        }
        let large = vec![b' '; MAX_MANIFEST_BYTES + 1];
        assert!(matches!(Manifest::parse(&large, None), Err(Error::ManifestTooLarge { .. })));
    }
}
