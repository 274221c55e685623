//! Trust policies of roles.
//!
//! Invariant: a role never trusts all tokens of an issuer that signs tokens for
//! everybody.

use std::collections::BTreeMap;

use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_policy::iam::{Policy, PolicyKind};
use serde_json::Value;

use super::Call;
use super::documents::{STORED_BYTES, characters, check, quota};
use crate::identity::named_principals::unique_ids;
use crate::identity::shared_issuers::SharedIssuer;

/// How many characters a trust policy may have, white space apart.
const MAX_CHARACTERS: usize = 2_048;

/// Checks the trust policy of a role; the unique ids of the users and roles that
/// it names. A user or role that is made again under the same name is another
/// one, and not trusted.
pub(super) async fn check_trust_policy(call: &Call<'_>, document: &str) -> Result<BTreeMap<String, String>> {
    let policy = check(document, PolicyKind::Trust)?;
    if characters(document) > MAX_CHARACTERS || document.len() > STORED_BYTES {
        return Err(quota("ACLSizePerRole", MAX_CHARACTERS));
    }
    check_issuers(&policy)?;
    unique_ids(call.table(), &policy, call.account()).await?.map_err(|arn| {
        let message = format!("Invalid principal in policy: \"AWS\":\"{}\"", quoted(&arn));
        Error::MalformedPolicyDocument { message }
    })
}

fn check_issuers(policy: &Policy) -> Result<()> {
    for provider in principals(policy.text(), "Federated") {
        let issuer = provider.split_once(":oidc-provider/").map_or(provider.as_str(), |(_, issuer)| issuer);
        let Some(shared) = SharedIssuer::of(issuer) else { continue };
        if let Some(index) = shared.open_statement(policy, &provider, issuer) {
            let (issuer, claim) = (quoted(issuer), shared.claim());
            let message = format!(
                "Statement[{index}]: the issuer {issuer} signs tokens for everybody, so there must be a condition on \
                 {issuer}:{claim} that says whose tokens are trusted{}",
                shared.advice()
            );
            return Err(Error::MalformedPolicyDocument { message });
        }
    }
    Ok(())
}

/// The principals of one type in a document that is a policy.
fn principals(document: &str, kind: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let statements = document.get("Statement").map(each).unwrap_or_default();
    let named = statements.into_iter().filter_map(|statement| statement.get("Principal")?.get(kind));
    named.flat_map(each).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// One value or those of a list.
fn each(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(provider: &str, condition: &str) -> Result<()> {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Federated":"{provider}"}},
            "Action":"sts:AssumeRoleWithWebIdentity"{condition}}}]}}"#
        );
        check_issuers(&Policy::parse(&text, PolicyKind::Trust).unwrap())
    }

    #[test]
    fn a_shared_issuer_needs_a_condition_on_the_subject() {
        let arn = |issuer: &str| format!("arn:aws:iam::123456789012:oidc-provider/{issuer}");
        let on = |key: &str| format!(r#","Condition":{{"StringLike":{{"{key}":"repo:acme/*"}}}}"#);
        for issuer in ["agent.buildkite.com", "token.actions.githubusercontent.com", "oidc.circleci.com/org/x"] {
            assert!(checked(&arn(issuer), "").is_err(), "{issuer}");
            assert!(checked(&arn(issuer), &on(&format!("{issuer}:aud"))).is_err(), "{issuer}");
        }
        let github = "token.actions.githubusercontent.com";
        assert!(checked(&arn(github), &on(&format!("{github}:sub"))).is_ok());
        assert!(checked("accounts.google.com", "").is_err());
        assert!(checked(&arn("oidc.eks.eu-west-1.amazonaws.com/id/X"), "").is_ok());
    }

    #[test]
    fn principals_are_found_in_one_or_many_statements() {
        let one = r#"{"Statement":{"Principal":{"AWS":"a"}}}"#;
        let many = r#"{"Statement":[{"Principal":{"AWS":["a","b"]}},{"Principal":"*"},{"Principal":{"AWS":"c"}}]}"#;
        assert_eq!(principals(one, "AWS"), ["a"]);
        assert_eq!(principals(many, "AWS"), ["a", "b", "c"]);
        assert!(principals(many, "Federated").is_empty());
    }
}
