//! Which context keys policies ask about.

use std::collections::BTreeMap;

use ironwharf_wire::iam::shapes::{
    GetContextKeysForCustomPolicyRequest, GetContextKeysForPolicyResponse, GetContextKeysForPrincipalPolicyRequest,
};

use super::Acted;
use super::simulate::source::{self, Source};
use crate::identity::grants::NamedPolicy;

operation! {
    GetContextKeysForCustomPolicy(GetContextKeysForCustomPolicyRequest) -> GetContextKeysForPolicyResponse;
    on |_names, _input| Ok(Acted::any());
    run |_call, input| Ok(keys_of(&source::given("PolicyInputList", &input.policy_input_list)?));
}

operation! {
    GetContextKeysForPrincipalPolicy(GetContextKeysForPrincipalPolicyRequest) -> GetContextKeysForPolicyResponse;
    on |_names, input| Ok(Acted::on(input.policy_source_arn.clone()));
    run |call, input| {
        let mut policies = Source::find(call, &input.policy_source_arn).await?.identity;
        policies.extend(source::given("PolicyInputList", input.policy_input_list.as_deref().unwrap_or_default())?);
        Ok(keys_of(&policies))
    };
}

/// The keys as they are written first, each once.
fn keys_of(policies: &[NamedPolicy]) -> GetContextKeysForPolicyResponse {
    let mut keys = BTreeMap::new();
    for key in policies.iter().flat_map(|named| named.policy.context_keys()) {
        keys.entry(key.to_lowercase()).or_insert(key);
    }
    GetContextKeysForPolicyResponse { context_key_names: Some(keys.into_values().collect()) }
}
