//! Any bytes parse as a manifest or fail, always alike and within the limits.
#![no_main]

use ironwharf_model::manifest::{Content, MAX_INDEX_CHILDREN, MAX_LAYERS, Manifest};
use libfuzzer_sys::fuzz_target;

const DECLARED_TYPES: [Option<&str>; 6] = [
    None,
    Some("application/vnd.oci.image.manifest.v1+json"),
    Some("application/vnd.oci.image.index.v1+json"),
    Some("application/vnd.docker.distribution.manifest.v2+json"),
    Some("application/vnd.docker.distribution.manifest.list.v2+json"),
    Some("text/plain"),
];

fuzz_target!(|input: &[u8]| {
    // The first byte selects the content type of the request.
    let Some((selector, bytes)) = input.split_first() else { return };
    let declared = DECLARED_TYPES[usize::from(*selector) % DECLARED_TYPES.len()];
    let parsed = Manifest::parse(bytes, declared);
    let manifest = match (parsed, Manifest::parse(bytes, declared)) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first, second);
            first
        }
        (Err(first), Err(second)) => return assert_eq!(first.to_string(), second.to_string()),
        (first, second) => panic!("{first:?} or {second:?}"),
    };
    match &manifest.content {
        Content::Image { layers, .. } => assert!(layers.len() <= MAX_LAYERS && manifest.children().is_empty()),
        Content::Index { .. } => {
            assert!(manifest.children().len() <= MAX_INDEX_CHILDREN && manifest.required_blobs().is_empty());
        }
    }
    let _ = manifest.image_size_bytes();
    let _ = manifest.config_media_type();
});
