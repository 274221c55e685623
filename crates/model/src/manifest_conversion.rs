//! Image manifests in the other format: OCI as Docker schema 2, and back.
//!
//! The two say the same in other words, so a converted manifest names the same
//! blobs. What the other format has no words for is not converted: indexes
//! (whose children would have to change), artifacts, subjects, layers of other
//! kinds. Annotations are left out, as the other format has none. Schema 1 is
//! neither made nor read: it has to be signed, and names layers that schema 2
//! does not list.
//!
//! Invariant: the result is a manifest that [`Manifest::parse`] takes, of the
//! type that was asked for, with the same required blobs.

use serde_json::{Map, Value, json};

use crate::manifest::{Content, Manifest};
use crate::media_type::ManifestType;
use crate::strict_json;

/// What a blob is called in OCI and in Docker manifests.
const CONFIG: (&str, &str) =
    ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json");
const LAYERS: [(&str, &str); 3] = [
    ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ),
];

/// The bytes of a manifest in another format; `None` if it cannot be said in
/// that.
#[must_use]
pub fn convert(bytes: &[u8], from: ManifestType, to: ManifestType) -> Option<Vec<u8>> {
    let to_docker = match (from, to) {
        (ManifestType::OciImage, ManifestType::DockerImage) => true,
        (ManifestType::DockerImage, ManifestType::OciImage) => false,
        _ => return None,
    };
    let manifest = Manifest::parse(bytes, Some(from.as_str())).ok()?;
    if manifest.subject.is_some() || !matches!(manifest.content, Content::Image { .. }) {
        return None;
    }
    let Value::Object(document) = strict_json::parse(bytes).ok()? else { return None };
    if document.get("artifactType").is_some_and(|own| !own.is_null()) {
        return None;
    }
    let renamed = |descriptor: &Value, names: &[(&str, &str)]| -> Option<Value> {
        let descriptor = descriptor.as_object()?;
        let media_type = descriptor.get("mediaType")?.as_str()?;
        let other = names.iter().find_map(|(oci, docker)| match to_docker {
            true if *oci == media_type => Some(*docker),
            false if *docker == media_type => Some(*oci),
            _ => None,
        })?;
        let mut kept: Map<String, Value> = descriptor
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "digest" | "size" | "urls"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        kept.insert("mediaType".to_owned(), json!(other));
        Some(Value::Object(kept))
    };
    let config = renamed(document.get("config")?, &[CONFIG])?;
    let layers = match document.get("layers") {
        None | Some(Value::Null) => Vec::new(),
        Some(layers) => layers.as_array()?.iter().map(|layer| renamed(layer, &LAYERS)).collect::<Option<Vec<_>>>()?,
    };
    let converted = json!({ "schemaVersion": 2, "mediaType": to.as_str(), "config": config, "layers": layers });
    Some(converted.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;

    fn descriptor(media_type: &str, content: &str) -> Value {
        json!({ "mediaType": media_type, "digest": Digest::sha256(content.as_bytes()).as_str(), "size": content.len() })
    }

    fn image(layers: &[&str]) -> Value {
        let layers: Vec<Value> = layers.iter().map(|layer| descriptor(layer, layer)).collect();
        json!({
            "schemaVersion": 2,
            "mediaType": ManifestType::OciImage.as_str(),
            "config": descriptor(CONFIG.0, "config"),
            "layers": layers,
            "annotations": { "a": "b" },
        })
    }

    fn to_docker(document: &Value) -> Option<Vec<u8>> {
        convert(document.to_string().as_bytes(), ManifestType::OciImage, ManifestType::DockerImage)
    }

    #[test]
    fn what_cannot_be_said_is_not_converted() {
        assert!(to_docker(&image(&[LAYERS[0].0])).is_some());
        for (member, value) in [
            ("subject", descriptor(ManifestType::OciImage.as_str(), "subject")),
            ("artifactType", json!("application/vnd.example.sbom")),
            ("config", descriptor("application/vnd.oci.empty.v1+json", "{}")),
            ("layers", json!([descriptor("application/vnd.oci.image.layer.v1.tar+zstd", "zstd")])),
            ("layers", json!([descriptor(LAYERS[0].1, "a layer of Docker in an image of OCI")])),
            ("schemaVersion", json!(1)),
        ] {
            let mut document = image(&[LAYERS[0].0]);
            document[member] = value;
            assert_eq!(to_docker(&document), None, "{document}");
        }
        let document = image(&[]).to_string();
        for (from, to) in [
            (ManifestType::OciImage, ManifestType::OciImage),
            (ManifestType::OciImage, ManifestType::DockerList),
            (ManifestType::OciIndex, ManifestType::DockerList),
            (ManifestType::DockerImage, ManifestType::OciImage),
        ] {
            assert_eq!(convert(document.as_bytes(), from, to), None, "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn a_converted_image_has_the_same_blobs(kinds in prop::collection::vec(0..3_usize, 0..8), urls in any::<bool>()) {
            let mut document = image(&kinds.iter().map(|kind| LAYERS[*kind].0).collect::<Vec<_>>());
            if let (true, Some(layer)) = (urls, document["layers"].get_mut(0)) {
                layer["urls"] = json!(["https://example.com/layer"]);
            }
            let docker = to_docker(&document).expect("an image");
            let original = Manifest::parse(document.to_string().as_bytes(), None).expect("valid");
            let converted = Manifest::parse(&docker, None).expect("valid");
            prop_assert_eq!(converted.manifest_type, ManifestType::DockerImage);
            let digests = |manifest: &Manifest| -> Vec<(Digest, u64)> {
                manifest.required_blobs().into_iter().map(|blob| (blob.digest.clone(), blob.size_bytes)).collect()
            };
            prop_assert_eq!(digests(&original), digests(&converted));
            // And back: the same but for the annotations.
            let back = convert(&docker, ManifestType::DockerImage, ManifestType::OciImage).expect("an image");
            let back: Value = serde_json::from_slice(&back).expect("JSON");
            document.as_object_mut().expect("an object").remove("annotations");
            prop_assert_eq!(back, document);
        }
    }
}
