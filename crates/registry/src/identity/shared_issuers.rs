//! Issuers that sign tokens for everybody.
//!
//! A role that trusts one of them without saying whose tokens it means can be
//! assumed by strangers. (IAM User Guide: Create a role for OpenID Connect
//! federation, "Configuring a role for GitHub OIDC identity provider"; Identity
//! provider controls for shared OIDC providers.)
//!
//! Invariant: such a role is refused when it is made, and when it is used, by
//! this one list.

use ironwharf_model::AccountId;
use ironwharf_policy::iam::Policy;

/// An issuer whose tokens strangers get as well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedIssuer {
    /// Its URL without scheme; with a slash at the end, all that start so.
    url: &'static str,
    /// The claim that tells whose a token is.
    claim: &'static str,
    /// How a value of the claim names an owner; none if any value will do.
    owners: &'static [Owner],
}

/// A part of a subject that names an owner: `<name>:<owner>`, and what the
/// owner ends with.
#[derive(Clone, Copy, Debug)]
struct Owner {
    name: &'static str,
    end: char,
}

const fn owner(name: &'static str, end: char) -> Owner {
    Owner { name, end }
}

const fn by(claim: &'static str, url: &'static str) -> SharedIssuer {
    SharedIssuer { url, claim, owners: &[] }
}

/// In a customized subject of GitHub, other parts than `repo` can name the owner.
const GITHUB: &[Owner] = &[
    owner("repo", '/'),
    owner("repository", '/'),
    owner("repository_id", ':'),
    owner("repository_owner", ':'),
    owner("repository_owner_id", ':'),
];

/// All of them.
const SHARED_ISSUERS: [SharedIssuer; 22] = [
    SharedIssuer { url: "token.actions.githubusercontent.com", claim: "sub", owners: GITHUB },
    SharedIssuer { url: "token.actions.githubusercontent.com/", claim: "sub", owners: GITHUB },
    SharedIssuer { url: "gitlab.com", claim: "sub", owners: &[owner("project_path", '/')] },
    SharedIssuer { url: "agent.buildkite.com", claim: "sub", owners: &[owner("organization", ':')] },
    SharedIssuer { url: "app.terraform.io", claim: "sub", owners: &[owner("organization", ':')] },
    by("sub", "accounts.google.com"),
    by("aud", "api.pulumi.com/oidc"),
    by("aud", "cognito-identity.amazonaws.com"),
    by("sub", "oidc-configuration.audit-log.githubusercontent.com"),
    // Each organization has an issuer of its own here, and shares it with all its
    // projects.
    by("sub", "oidc.circleci.com/"),
    by("sub", "oidc.codefresh.io"),
    by("sub", "oidc.op1.openshiftapps.com/"),
    by("sub", "oidc.vercel.com"),
    by("sub", "oidc.vercel.com/"),
    by("sub", "proidc.upbound.io"),
    by("sub", "rh-oidc.s3.us-east-1.amazonaws.com/"),
    by("aud", "sandboxes.cloud"),
    by("sub", "scalr.io"),
    by("sub", "studio.datachain.ai/api"),
    by("sub", "tokens.cloud.shisho.dev"),
    by("sub", "vstoken.actions.githubusercontent.com"),
    by("sub", "gitlab.com/"),
];

impl SharedIssuer {
    /// The shared issuer of a URL without scheme.
    pub(crate) fn of(url: &str) -> Option<&'static Self> {
        let folded = url.to_lowercase();
        let folded = folded.strip_suffix('/').unwrap_or(&folded);
        // A port of 443 is no other issuer.
        let (host, path) = folded.split_once('/').map_or((folded, None), |(host, path)| (host, Some(path)));
        let host = host.strip_suffix(":443").unwrap_or(host);
        let url = path.map_or_else(|| host.to_owned(), |path| format!("{host}/{path}"));
        SHARED_ISSUERS
            .iter()
            .find(|shared| if shared.url.ends_with('/') { url.starts_with(shared.url) } else { url == shared.url })
    }

    /// The claim that a trust policy has to have a condition on.
    pub(crate) const fn claim(&self) -> &'static str {
        self.claim
    }

    /// How the condition has to be, to be added to a message.
    pub(crate) fn advice(&self) -> String {
        let Some(owner) = self.owners.first() else { return String::new() };
        format!(": '{}:<owner>{}', with no wildcard up to there", owner.name, owner.end)
    }

    /// The first statement of a trust policy that lets tokens of everybody in.
    pub(crate) fn open_statement(&self, trust: &Policy, provider: &str, url: &str) -> Option<usize> {
        let key = format!("{url}:{}", self.claim);
        trust.web_identity_statements_without(provider, &key, &|start, is_whole| self.names_owner(start, is_whole))
    }

    /// Whether a value of the claim tells whose tokens are meant, by the text
    /// before its first wildcard.
    fn names_owner(&self, start: &str, is_whole: bool) -> bool {
        self.owners.is_empty() || self.owners.iter().any(|owner| owner.is_in(start, is_whole))
    }
}

impl Owner {
    fn is_in(&self, start: &str, is_whole: bool) -> bool {
        let Some(value) = start.strip_prefix(self.name).and_then(|rest| rest.strip_prefix(':')) else { return false };
        match value.split_once(self.end) {
            Some((owner, _)) => !owner.is_empty(),
            // The value may end with an id, but a repository has an owner before it.
            None => is_whole && self.end == ':' && !value.is_empty(),
        }
    }
}

/// The ARN of the provider of an issuer.
pub(crate) fn provider_arn(account: &AccountId, url: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{url}")
}

/// Whether a trust policy lets anybody whom a shared issuer signs tokens for
/// assume its role, because a statement does not say whose tokens it means.
pub(crate) fn trusts_everybody(trust: &Policy, account: &AccountId, url: &str) -> bool {
    let shared = SharedIssuer::of(url);
    shared.is_some_and(|shared| shared.open_statement(trust, &provider_arn(account, url), url).is_some())
}

#[cfg(test)]
mod tests {
    use ironwharf_policy::iam::PolicyKind;
    use serde_json::json;

    use super::*;

    fn is_open(url: &str, condition: &serde_json::Value) -> bool {
        let account = AccountId::parse("123456789012").unwrap();
        let statement = json!({
            "Effect": "Allow",
            "Principal": { "Federated": provider_arn(&account, url) },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": condition,
        });
        let text = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        trusts_everybody(&Policy::parse(&text, PolicyKind::Trust).unwrap(), &account, url)
    }

    #[test]
    fn shared_issuers_need_their_claim() {
        for shared in SHARED_ISSUERS {
            let url = shared.url.strip_suffix('/').map_or_else(|| shared.url.to_owned(), |url| format!("{url}/x"));
            let like = |claim: &str, value: &str| json!({ "StringLike": { format!("{url}:{claim}"): value } });
            let good = shared.owners.first().map_or("acme", |owner| match owner.name {
                "organization" => "organization:acme:*",
                "project_path" => "project_path:acme/*",
                _ => "repo:acme/*",
            });
            assert!(is_open(&url, &json!({ "Null": { format!("{url}:{}", shared.claim): "false" } })), "{url}");
            assert!(is_open(&url, &like("else", good)) && is_open(&url, &like(shared.claim, "*")), "{url}");
            assert!(!is_open(&url, &like(shared.claim, good)), "{url}");
        }
        let condition = json!({ "Null": { "gitlab.example:sub": "false" } });
        assert!(!is_open("gitlab.example", &condition));
        for (url, shared) in [
            ("notgitlab.com", false),
            ("gitlab.com.example", false),
            ("gitlab.com/group", true),
            ("GitLab.com", true),
            ("gitlab.com:443", true),
            ("oidc.eks.eu-west-1.amazonaws.com/id/X", false),
        ] {
            assert_eq!(SharedIssuer::of(url).is_some(), shared, "{url}");
        }
    }

    #[test]
    fn the_owner_of_a_repository_is_written_out() {
        let url = "token.actions.githubusercontent.com";
        for (subject, open) in [
            ("*", true),
            ("r*", true),
            ("repo:*", true),
            ("repo:*/*:*", true),
            ("repo:acme*", true),
            ("repo:acme*/web:*", true),
            ("repo:a?me/web:*", true),
            ("repo:/web:*", true),
            ("repo:acme", true),
            ("environment:prod", true),
            ("job_workflow_ref:acme/web/x@main", true),
            ("repo:acme/*", false),
            ("repo:acme/web:ref:refs/heads/main", false),
            ("repository_owner:acme:*", false),
            ("repository_owner_id:1234", false),
            ("repository_owner_id:12*", true),
        ] {
            let condition = json!({ "StringLike": { format!("{url}:sub"): subject } });
            assert_eq!(is_open(url, &condition), open, "{subject}");
        }
        let mixed = json!({ "StringLike": { format!("{url}:sub"): ["repo:acme/web:*", "repo:*"] } });
        assert!(is_open(url, &mixed));
    }
}
