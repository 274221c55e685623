//! ECR's sentences, which clients and scripts search for.

use ironwharf_local::test_app::TestApp;
use serde_json::Value;

pub(crate) const ACCOUNT: &str = TestApp::ACCOUNT;

pub(crate) fn no_repository(name: &str) -> String {
    format!("The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'")
}

pub(crate) fn no_image(repository: &str, digest: Option<&str>, tag: Option<&str>) -> String {
    let (digest, tag) = (digest.unwrap_or("null"), tag.unwrap_or("null"));
    format!(
        "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository \
         with name '{repository}' in the registry with id '{ACCOUNT}'"
    )
}

pub(crate) fn no_layers(repository: &str, digests: &[&str]) -> String {
    format!("Layers with digests '[{}]' {}", digests.join(", "), required_for(repository))
}

pub(crate) fn no_children(repository: &str, digests: &[&str]) -> String {
    format!("Images with digests '[{}]' {}", digests.join(", "), required_for(repository))
}

fn required_for(repository: &str) -> String {
    format!(
        "required for pushing image into repository with name '{repository}' in the registry with id '{ACCOUNT}' do not exist"
    )
}

pub(crate) fn invalid(parameter: &str, constraint: &str) -> String {
    format!("Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'")
}

/// A digest that nothing has.
pub(crate) fn unknown_digest() -> String {
    format!("sha256:{}", "0123456789abcdef".repeat(4))
}

/// The texts of a list, at a pointer into each of its elements.
pub(crate) fn texts(list: &Value, pointer: &str) -> Vec<String> {
    let text = |item: &Value| item.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    list.as_array().expect("a list").iter().map(text).collect()
}
