//! Trust policies of roles.
//!
//! Invariant: a role never trusts all tokens of an issuer that signs tokens for
//! everybody.

use std::collections::BTreeMap;

use ironwharf_cloud::Table;
use ironwharf_cloud::table::identity::{RoleRecord, UserRecord};
use ironwharf_model::error::quoted;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_policy::iam::{Policy, PolicyKind};
use serde_json::Value;

use super::Call;
use super::documents::{STORED_BYTES, characters, check, quota};
use super::holders::Holder;
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
    let mut ids = BTreeMap::new();
    for principal in principals(document, "AWS") {
        let Some(named) = Named::parse(&principal) else { continue };
        let id = named.id(call.table()).await?.ok_or_else(|| {
            let message = format!("Invalid principal in policy: \"AWS\":\"{}\"", quoted(&principal));
            Error::MalformedPolicyDocument { message }
        })?;
        ids.insert(principal, id);
    }
    Ok(ids)
}

/// The trust policy as it is shown: in the place of a user or role that is gone
/// there is its unique id.
pub(super) async fn shown_trust_policy(table: &Table, role: &RoleRecord) -> Result<String> {
    let mut gone = BTreeMap::new();
    for (arn, id) in &role.trusted_ids {
        let Some(named) = Named::parse(arn) else { continue };
        if named.id(table).await?.as_ref() != Some(id) {
            gone.insert(arn, id);
        }
    }
    // Only an ARN as a whole is between quotation marks, and it needs no escapes.
    Ok(gone
        .into_iter()
        .fold(role.trust_policy.clone(), |text, (arn, id)| text.replace(&format!("\"{arn}\""), &format!("\"{id}\""))))
}

/// A user or role that a policy names; that of a session for the session.
enum Named<'a> {
    User { account: AccountId, name: &'a str, arn: &'a str },
    Role { account: AccountId, name: &'a str, arn: Option<&'a str> },
}

impl<'a> Named<'a> {
    /// Reads an ARN; `None` for what has no unique id.
    fn parse(arn: &'a str) -> Option<Self> {
        let rest = arn.strip_prefix("arn:aws:")?;
        let (service, rest) = rest.split_once("::")?;
        let (account, resource) = rest.split_once(':')?;
        let account = AccountId::parse(account).ok()?;
        let (kind, rest) = resource.split_once('/')?;
        let name = rest.rsplit('/').next().unwrap_or(rest);
        match (service, kind) {
            ("iam", "user") => Some(Self::User { account, name, arn }),
            ("iam", "role") => Some(Self::Role { account, name, arn: Some(arn) }),
            ("sts", "assumed-role") => Some(Self::Role { account, name: rest.split_once('/')?.0, arn: None }),
            _ => None,
        }
    }

    /// Its unique id, if it is there now.
    async fn id(&self, table: &Table) -> Result<Option<String>> {
        Ok(match self {
            Self::User { account, name, arn } => {
                let stored = table.identity::<UserRecord>(account, name).await?;
                stored.map(|stored| stored.record).filter(|user| user.arn(account) == *arn).map(|user| user.id)
            }
            Self::Role { account, name, arn } => {
                let stored = table.identity::<RoleRecord>(account, name).await?.map(|stored| stored.record);
                let is_meant =
                    |role: &RoleRecord| arn.map_or_else(|| role.name == *name, |arn| role.arn(account) == arn);
                stored.filter(is_meant).map(|role| role.id)
            }
        })
    }
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
