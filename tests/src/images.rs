//! Images to push: small, and different for different seeds.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

/// Media types.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A Docker schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// An OCI layer.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The empty configuration of an artifact.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A manifest and the blobs it needs.
#[derive(Clone, Debug)]
pub struct Image {
    /// The type of the manifest.
    pub media_type: &'static str,
    /// The manifest, byte for byte.
    pub manifest: Bytes,
    /// Its digest.
    pub digest: String,
    /// The configuration and the layers; none for an index.
    pub blobs: Vec<Bytes>,
}

impl Image {
    /// An OCI image with a configuration and one layer, different for every seed.
    #[must_use]
    pub fn new(seed: &str) -> Self {
        let config = json!({ "architecture": "amd64", "os": "linux", "created_by": seed }).to_string();
        Self::of(vec![config.into(), Bytes::from(format!("the layer of {seed}"))])
    }

    /// An OCI image of a configuration and layers.
    #[must_use]
    pub fn of(blobs: Vec<Bytes>) -> Self {
        let layers: Vec<Value> = blobs[1..].iter().map(|layer| descriptor(OCI_LAYER, layer)).collect();
        Self::with_blobs(
            &json!({
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": descriptor(OCI_CONFIG, &blobs[0]),
                "layers": layers,
            }),
            blobs,
        )
    }

    /// An OCI artifact of this type about `subject`.
    #[must_use]
    pub fn artifact(artifact_type: &str, subject: &Self, seed: &str) -> Self {
        let blobs = vec![Bytes::from_static(b"{}"), Bytes::from(format!("about {}: {seed}", subject.digest))];
        Self::with_blobs(
            &json!({
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": artifact_type,
                "config": descriptor(OCI_EMPTY, &blobs[0]),
                "layers": [descriptor("application/octet-stream", &blobs[1])],
                "subject": subject.descriptor(),
                "annotations": { "seed": seed },
            }),
            blobs,
        )
    }

    /// An OCI index of images, which must be pushed before it.
    #[must_use]
    pub fn index(children: &[&Self]) -> Self {
        let manifests: Vec<Value> = children.iter().map(|child| child.descriptor()).collect();
        Self::from_json(&json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests }))
    }

    /// A manifest that needs no blob. Its type is its `mediaType`.
    #[must_use]
    pub fn from_json(manifest: &Value) -> Self {
        Self::with_blobs(manifest, Vec::new())
    }

    fn with_blobs(manifest: &Value, blobs: Vec<Bytes>) -> Self {
        let known = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];
        let media_type = known.into_iter().find(|known| manifest["mediaType"] == *known).expect("a known media type");
        let manifest = Bytes::from(manifest.to_string());
        Self { media_type, digest: digest_of(&manifest), manifest, blobs }
    }

    /// The manifest as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.manifest).expect("JSON")
    }

    /// The manifest as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.manifest).expect("JSON")
    }

    /// What names this image in an index or as a subject.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        descriptor(self.media_type, &self.manifest)
    }

    /// The digests of its blobs.
    #[must_use]
    pub fn blob_digests(&self) -> Vec<String> {
        self.blobs.iter().map(|blob| digest_of(blob)).collect()
    }
}

/// The descriptor of content.
#[must_use]
pub fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest_of(content), "size": content.len() })
}

/// `sha256:…`.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    named("sha256", &Sha256::digest(bytes))
}

/// `sha512:…`.
#[must_use]
pub fn sha512_of(bytes: &[u8]) -> String {
    named("sha512", &Sha512::digest(bytes))
}

fn named(algorithm: &str, hash: &[u8]) -> String {
    let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{algorithm}:{}", hex.concat())
}

/// Bytes that do not repeat at any distance a part or a buffer could have, so
/// that swapped, lost and doubled pieces all change the digest.
#[must_use]
pub fn bytes_of(length: usize, seed: u64) -> Bytes {
    // SplitMix64: a few lines, and the same on every machine.
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}
