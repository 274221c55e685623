//! `ironwharf login-password`: what `aws ecr get-login-password` does, for
//! machines without the AWS CLI.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_model::AccountId;
use serde_json::{Value, json};

use crate::api_client::{self, ECR};
use crate::cli::Sentence;
use crate::credentials::{Endpoint, RootKey};

/// Asks the running server for a password; with `registry`, for one that leads
/// to another account's registry.
///
/// # Errors
/// One sentence: no server, or the server's own message.
pub async fn fetch(root: &RootKey, server: &Endpoint, registry: Option<&AccountId>) -> Result<String, Sentence> {
    let input = registry.map_or_else(|| json!({}), |registry| json!({ "registryIds": [registry] }));
    let answer = api_client::call(root, server, ECR, "GetAuthorizationToken", &input).await?;
    let token = answer.pointer("/authorizationData/0/authorizationToken").and_then(Value::as_str);
    let decoded = token.and_then(|token| STANDARD.decode(token).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
    let password = decoded.as_deref().and_then(|decoded| decoded.strip_prefix("AWS:"));
    password.map(str::to_owned).ok_or_else(|| "the registry's answer has no token".to_owned())
}
