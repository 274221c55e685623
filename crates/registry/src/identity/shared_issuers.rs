//! Issuers that sign tokens for everybody.
//!
//! A role that trusts one of them without saying whose tokens it means can be
//! assumed by strangers. (IAM User Guide: Create a role for OpenID Connect
//! federation, "Configuring a role for GitHub OIDC identity provider"; Identity
//! providers with shared OIDC issuers.)
//!
//! Invariant: such a role is refused when it is made, and when it is used.

use ironwharf_model::AccountId;
use ironwharf_policy::iam::Policy;

/// Their hosts.
pub(crate) const SHARED_ISSUERS: [&str; 5] = [
    "token.actions.githubusercontent.com",
    "gitlab.com",
    "accounts.google.com",
    "agent.buildkite.com",
    "app.terraform.io",
];

/// Whether the issuer of a URL without scheme is shared.
pub(crate) fn is_shared(url: &str) -> bool {
    let host = url.split(['/', ':']).next().unwrap_or_default();
    SHARED_ISSUERS.iter().any(|shared| shared.eq_ignore_ascii_case(host))
}

/// The ARN of the provider of an issuer.
pub(crate) fn provider_arn(account: &AccountId, url: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{url}")
}

/// Whether a trust policy lets anybody whom a shared issuer signs tokens for
/// assume its role, because a statement says nothing about the subject.
pub(crate) fn trusts_everybody(trust: &Policy, account: &AccountId, url: &str) -> bool {
    let subject = format!("{url}:sub");
    is_shared(url) && trust.web_identity_statements_without(&provider_arn(account, url), &subject).is_some()
}

#[cfg(test)]
mod tests {
    use ironwharf_policy::iam::PolicyKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn shared_issuers_need_a_subject() {
        let account = AccountId::parse("123456789012").unwrap();
        let trust = |url: &str, condition: serde_json::Value| {
            let statement = json!({
                "Effect": "Allow",
                "Principal": { "Federated": provider_arn(&account, url) },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": condition,
            });
            let text = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
            trusts_everybody(&Policy::parse(&text, PolicyKind::Trust).unwrap(), &account, url)
        };
        for shared in SHARED_ISSUERS {
            assert!(trust(shared, json!({ "StringEquals": { format!("{shared}:aud"): "sts.amazonaws.com" } })));
            assert!(!trust(shared, json!({ "StringEquals": { format!("{shared}:sub"): "repo:a/b" } })));
        }
        assert!(trust("GitLab.com", json!({ "Null": { "gitlab.com:sub": "false" } })));
        assert!(!trust("gitlab.example", json!({ "Null": { "gitlab.example:sub": "false" } })));
        assert!(!is_shared("notgitlab.com") && !is_shared("gitlab.com.example") && is_shared("gitlab.com/group"));
    }
}
