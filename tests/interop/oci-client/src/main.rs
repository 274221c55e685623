//! Pushes an image with the `oci-client` crate, pulls it back by tag and by digest, compares, and prints the digest.
//!
//! The crate uploads a blob in PATCH requests of at most 4 MiB, each with a Content-Range. The layer has 11 MiB, so it
//! takes three.

use std::env;
use std::error::Error;

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageData, ImageLayer};
use oci_client::manifest::IMAGE_LAYER_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

const USAGE: &str = "usage: oci-client-push-pull HOST REPOSITORY PASSWORD";
const USER: &str = "AWS";
const TAG: &str = "v1";
const LAYER_SIZE: usize = 11 << 20;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [host, repository, password] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let auth = RegistryAuth::Basic(USER.to_owned(), password.clone());
    let tagged = Reference::with_tag(host.clone(), repository.clone(), TAG.to_owned());
    let layer = ImageLayer::new(noise(LAYER_SIZE, SEED), IMAGE_LAYER_MEDIA_TYPE.to_owned(), None);
    let config = config_of(&layer);

    // `Client::new` would hide an error and go on with HTTPS.
    let pusher = Client::try_from(plain_http())?;
    pusher.push(&tagged, std::slice::from_ref(&layer), config.clone(), &auth, None).await?;

    // A client of its own, so that the pulls do not profit from what the push learned.
    let puller = Client::try_from(plain_http())?;
    let pulled = puller.pull(&tagged, &auth, vec![IMAGE_LAYER_MEDIA_TYPE]).await?;
    let digest = compare(&pulled, &layer, &config)?;

    let by_digest = Reference::with_digest(host.clone(), repository.clone(), digest.to_owned());
    let pulled_again = puller.pull(&by_digest, &auth, vec![IMAGE_LAYER_MEDIA_TYPE]).await?;
    if compare(&pulled_again, &layer, &config)? != digest {
        return Err("the digest of the pull by digest differs from that of the pull by tag".into());
    }
    println!("{digest}");
    Ok(())
}

fn plain_http() -> ClientConfig {
    ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() }
}

/// The configuration of an image with this one, uncompressed, layer.
fn config_of(layer: &ImageLayer) -> Config {
    let diff_id = layer.sha256_digest();
    let json = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    Config::oci_v1(json.into_bytes(), None)
}

/// Bytes that look random and are the same in every run (xorshift64*).
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    });
    words.flat_map(u64::to_le_bytes).take(size).collect()
}

/// Checks that what was pulled is what was pushed, and returns the digest of its manifest.
fn compare<'a>(pulled: &'a ImageData, layer: &ImageLayer, config: &Config) -> Result<&'a str> {
    let [pulled_layer] = pulled.layers.as_slice() else {
        return Err(format!("pulled {} layers instead of one", pulled.layers.len()).into());
    };
    if pulled_layer.data != layer.data {
        return Err("the pulled layer differs from the pushed one".into());
    }
    if pulled.config.data != config.data {
        return Err("the pulled configuration differs from the pushed one".into());
    }
    let manifest = pulled.manifest.as_ref().ok_or("the pull gave no manifest")?;
    if manifest.config.digest != config.sha256_digest() {
        return Err("the manifest names another configuration".into());
    }
    if manifest.layers.iter().map(|each| &each.digest).ne([&layer.sha256_digest()]) {
        return Err("the manifest names another layer".into());
    }
    Ok(pulled.digest.as_deref().ok_or("the pull gave no digest")?)
}
