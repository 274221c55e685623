//! The manifest media types the registry understands.

use std::fmt;

/// The format of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestType {
    /// Docker image manifest, version 2, schema 2.
    DockerImage,
    /// Docker manifest list.
    DockerList,
    /// OCI image manifest.
    OciImage,
    /// OCI image index.
    OciIndex,
}

impl ManifestType {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::OciImage, Self::OciIndex, Self::DockerImage, Self::DockerList];

    /// The media type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DockerImage => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::OciImage => "application/vnd.oci.image.manifest.v1+json",
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
        }
    }

    /// Finds the format of a media type; parameters (`; charset=utf-8`) are
    /// not part of it.
    #[must_use]
    pub fn parse(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or(media_type).trim();
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(essence))
    }

    /// Whether manifests of this format list other manifests.
    #[must_use]
    pub const fn is_index(self) -> bool {
        matches!(self, Self::DockerList | Self::OciIndex)
    }
}

impl fmt::Display for ManifestType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a layer of this media type may be absent from the registry: foreign
/// (Docker) and non-distributable (OCI) layers are fetched from elsewhere by
/// the client. The registry never follows their `urls`.
#[must_use]
pub fn is_foreign_layer(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}
