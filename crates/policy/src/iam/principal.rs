//! `Principal` and `NotPrincipal`.
//!
//! Invariant: `*` stands alone: an ARN with a wildcard is refused, so a name is
//! only ever compared as a whole.
//! Invariant: `NotPrincipal` never grants: with `Allow` it is refused.
//! Invariant: a name that is bound to a unique id means that user, role or account,
//! whatever it is called now, and not whoever has the name later.

use std::collections::BTreeMap;

use ironwharf_model::AccountId;
use ironwharf_model::error::quoted;
use serde_json::Value;

use super::PolicyKind;
use super::elements::{members, texts};
use super::malformed::MalformedPolicy;
use super::requester::Requester;
use super::statement::StatementEffect;

/// The unique id of nobody: of a name that nobody had when a policy was set.
pub const NOBODY: &str = "";

/// The principals that a statement is about.
#[derive(Clone, Debug)]
pub(super) struct Principals {
    negated: bool,
    names: Vec<Name>,
}

/// One principal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// `"*"`.
    Everyone,
    /// `{"AWS": "*"}`.
    EveryAws,
    /// An account, which stands for everybody in it.
    Account(AccountId, Meant),
    User(Holder),
    Role(Holder),
    Session(Holder),
    Federated(String),
    Service(String),
    /// A canonical user of S3: nobody here.
    Nobody,
}

/// A user, a role or a role's session.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    arn: String,
    meant: Meant,
}

/// Whom a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    /// Whoever has it.
    ByName,
    /// Who has this unique id.
    Id(String),
    /// Nobody had it when the policy was set. Whoever gets it later is granted
    /// nothing by it, and is denied all the same.
    Unknown,
}

impl Meant {
    /// Whether who asks is meant, who may or may not have the name.
    fn is(&self, has_name: bool, id: &str, effect: StatementEffect) -> bool {
        match self {
            Self::ByName => has_name,
            Self::Id(bound) => bound == id,
            Self::Unknown => has_name && effect == StatementEffect::Deny,
        }
    }

    fn bound(id: Option<&String>) -> Self {
        match id.map(String::as_str) {
            None => Self::ByName,
            Some(NOBODY) => Self::Unknown,
            Some(id) => Self::Id(id.to_owned()),
        }
    }
}

impl Holder {
    /// Whether a user or role is meant, who may have been renamed.
    fn is(&self, arn: &str, id: &str, effect: StatementEffect) -> bool {
        self.meant.is(self.arn == arn, id, effect)
    }

    /// Whether a session is meant: of this role, and of this name.
    fn is_session(&self, arn: &str, id: &str, effect: StatementEffect) -> bool {
        self.arn == arn && self.is(arn, id, effect)
    }
}

/// How a statement reached the requester, from the weakest grant to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// By the account, which delegates to its identity policies.
    Account,
    /// By the role, which permissions boundary and session policies limit.
    Role,
    /// By the requester's own name or by `*`.
    Direct,
}

impl Principals {
    /// Reads the element. (IAM User Guide: Principal, `NotPrincipal`.)
    pub(super) fn parse(value: &Value, negated: bool, kind: PolicyKind) -> Result<Self, MalformedPolicy> {
        let principals = Self { negated, names: names(value, kind)? };
        let is_everyone = |name: &Name| matches!(name, Name::Everyone | Name::EveryAws);
        if negated && principals.names.iter().any(is_everyone) {
            return Err(MalformedPolicy::here("must not be '*': it would be about nobody"));
        }
        Ok(principals)
    }

    /// How the element reaches the requester, if it does.
    pub(super) fn reach(&self, requester: &Requester<'_>, effect: StatementEffect) -> Option<Standing> {
        if self.negated {
            return (!self.exempt(requester)).then_some(Standing::Direct);
        }
        self.names.iter().filter_map(|name| name.reaches(requester, effect)).max()
    }

    /// Whether `NotPrincipal` leaves the requester alone: it names the requester
    /// and everything the requester is part of, as the page on `NotPrincipal`
    /// tells to write it. What it leaves out is denied.
    fn exempt(&self, requester: &Requester<'_>) -> bool {
        // Being left out is as good as being granted.
        let reached = |name: &Name| name.reaches(requester, StatementEffect::Allow);
        let named =
            |is_kind: &dyn Fn(&Name) -> bool| self.names.iter().any(|name| is_kind(name) && reached(name).is_some());
        let of_account = named(&|name| matches!(name, Name::Account(..)));
        match *requester {
            Requester::Anonymous => false,
            Requester::Root { .. } => of_account,
            Requester::User { .. } => of_account && named(&|name| matches!(name, Name::User(_))),
            Requester::Session { .. } => {
                of_account
                    && named(&|name| matches!(name, Name::Session(_)))
                    && named(&|name| matches!(name, Name::Role(_)))
            }
            Requester::Federated { .. } => named(&|name| matches!(name, Name::Federated(_))),
            Requester::Service { .. } => named(&|name| matches!(name, Name::Service(_))),
        }
    }

    /// The ARNs of the users, roles and sessions that the element names.
    pub(super) fn holders(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| match name {
            Name::User(holder) | Name::Role(holder) | Name::Session(holder) => Some(holder.arn.as_str()),
            _ => None,
        })
    }

    /// The accounts that the element names.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &AccountId> {
        self.names.iter().filter_map(|name| match name {
            Name::Account(account, _) => Some(account),
            _ => None,
        })
    }

    /// Binds the names to the unique ids of those who have them.
    pub(super) fn bind(&mut self, ids: &BTreeMap<String, String>) {
        for name in &mut self.names {
            match name {
                Name::User(holder) | Name::Role(holder) | Name::Session(holder) => {
                    holder.meant = Meant::bound(ids.get(&holder.arn));
                }
                Name::Account(account, meant) => *meant = Meant::bound(ids.get(account.as_str())),
                _ => {}
            }
        }
    }

    /// Whether the element names the federated provider.
    pub(super) fn name_provider(&self, provider: &str) -> bool {
        !self.negated && self.names.iter().any(|name| matches!(name, Name::Federated(named) if named == provider))
    }
}

impl Name {
    fn reaches(&self, requester: &Requester<'_>, effect: StatementEffect) -> Option<Standing> {
        let by = |matches: bool, standing: Standing| matches.then_some(standing);
        match (self, *requester) {
            // Whoever forbids something to everyone means everyone.
            (Self::Everyone | Self::EveryAws, _) if effect == StatementEffect::Deny => Some(Standing::Direct),
            // A token of any issuer is not a principal yet: its provider has to be named.
            (Self::Everyone | Self::EveryAws, Requester::Federated { .. })
            | (Self::EveryAws, Requester::Service { .. }) => None,
            (Self::Everyone | Self::EveryAws, _) => Some(Standing::Direct),
            (Self::Account(named, meant), _) => {
                let has_name = requester.account() == Some(named);
                let incarnation = requester.incarnation().unwrap_or_default();
                by(has_name && meant.is(has_name, incarnation, effect), Standing::Account)
            }
            (Self::User(named), Requester::User { arn, id, .. }) => by(named.is(arn, id, effect), Standing::Direct),
            (Self::Role(named), Requester::Session { role_arn, id, .. }) => {
                by(named.is(role_arn, id, effect), Standing::Role)
            }
            (Self::Session(named), Requester::Session { session_arn, id, .. }) => {
                by(named.is_session(session_arn, id, effect), Standing::Direct)
            }
            (Self::Federated(named), Requester::Federated { provider }) => by(named == provider, Standing::Direct),
            (Self::Service(named), Requester::Service { name }) => by(named == name, Standing::Direct),
            _ => None,
        }
    }
}

fn names(value: &Value, kind: PolicyKind) -> Result<Vec<Name>, MalformedPolicy> {
    if value.as_str() == Some("*") {
        return Ok(vec![Name::Everyone]);
    }
    if value.is_string() {
        return Err(MalformedPolicy::here("must be '*' or an object"));
    }
    let types: &[&str] = match kind {
        PolicyKind::Trust => &["AWS", "Federated", "Service"],
        _ => &["AWS", "CanonicalUser", "Service"],
    };
    let mut names = Vec::new();
    for (name, value) in members(value, types)? {
        let read = match name.as_str() {
            "AWS" => aws,
            "Federated" => federated,
            "Service" => service,
            _ => canonical_user,
        };
        names.extend(texts(value, read).map_err(|fault| fault.within(name))?);
    }
    if names.is_empty() {
        return Err(MalformedPolicy::here("must not be empty"));
    }
    Ok(names)
}

fn aws(text: &str) -> Result<Name, MalformedPolicy> {
    if text == "*" {
        return Ok(Name::EveryAws);
    }
    if let Ok(account) = AccountId::parse(text) {
        return Ok(Name::Account(account, Meant::ByName));
    }
    if text.contains(['*', '?']) {
        return Err(MalformedPolicy::here(format!("'{}' has a wildcard; only '*' alone may", quoted(text))));
    }
    arn(text).ok_or_else(|| {
        MalformedPolicy::here(format!(
            "'{}' must be '*', an account, or the ARN of an account, a user, a role or a session",
            quoted(text)
        ))
    })
}

fn arn(text: &str) -> Option<Name> {
    let mut parts = text.splitn(6, ':');
    let (arn, partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (account, resource) = (AccountId::parse(parts.next()?).ok()?, parts.next()?);
    if arn != "arn" || !matches!(partition, "aws" | "aws-cn" | "aws-us-gov") || !region.is_empty() {
        return None;
    }
    let whole = Holder { arn: text.to_owned(), meant: Meant::ByName };
    // A path takes more than a name does, but a variable is always a mistake.
    let is_name = |name: &str| {
        let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'$' | b'{' | b'}' | b':'));
        !name.is_empty() && !name.ends_with('/') && is_plain
    };
    match (service, resource.split_once('/')) {
        ("iam", None) if resource == "root" => Some(Name::Account(account, Meant::ByName)),
        ("iam", Some(("user", name))) if is_name(name) => Some(Name::User(whole)),
        ("iam", Some(("role", name))) if is_name(name) => Some(Name::Role(whole)),
        ("sts", Some(("assumed-role", rest))) => {
            let (role, session) = rest.split_once('/')?;
            (is_name(role) && is_name(session) && !session.contains('/')).then_some(Name::Session(whole))
        }
        _ => None,
    }
}

/// An identity provider of the account, or one of those that need no provider.
fn federated(text: &str) -> Result<Name, MalformedPolicy> {
    let is_plain = !text.contains(['*', '?']) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let mut parts = text.splitn(6, ':');
    let is_provider = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| matches!(partition, "aws" | "aws-cn" | "aws-us-gov"))
        && parts.next() == Some("iam")
        && parts.next() == Some("")
        && parts.next().is_some_and(|account| AccountId::parse(account).is_ok())
        && parts
            .next()
            .and_then(|resource| resource.split_once('/'))
            .is_some_and(|(kind, name)| matches!(kind, "oidc-provider" | "saml-provider") && !name.is_empty());
    if is_plain && (is_provider || is_host(text)) {
        return Ok(Name::Federated(text.to_owned()));
    }
    Err(MalformedPolicy::here(format!("'{}' must be the ARN or the host of an identity provider", quoted(text))))
}

fn service(text: &str) -> Result<Name, MalformedPolicy> {
    if is_host(text) {
        return Ok(Name::Service(text.to_owned()));
    }
    Err(MalformedPolicy::here(format!("'{}' must be a service such as ecr.amazonaws.com", quoted(text))))
}

fn canonical_user(text: &str) -> Result<Name, MalformedPolicy> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Name::Nobody);
    }
    Err(MalformedPolicy::here(format!("'{}' must be the 64 hexadecimal digits of a canonical user", quoted(text))))
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.contains('.') && text.split('.').all(is_label)
}
