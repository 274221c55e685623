//! Requests with their policies as JSON, for the engine and for others to judge.

pub(crate) mod generate;

use ironwharf_model::AccountId;
use ironwharf_policy::iam::{
    Attached, Context, Decision, Policies, Policy, PolicyKind, Request, Requester, decide, decide_trust,
};
use serde_json::{Map, Value, json};

pub(crate) const OWN: &str = "111122223333";
pub(crate) const OTHER: &str = "444455556666";
pub(crate) const REPOSITORY: &str = "arn:aws:ecr:eu-west-1:111122223333:repository/a";
pub(crate) const PROVIDER: &str = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com";
pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/target";

/// Who asks; names become ARNs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Who {
    Anonymous,
    Root(&'static str),
    User(&'static str, &'static str),
    Session(&'static str, &'static str, &'static str),
    Federated(&'static str),
    Service(&'static str),
}

impl Who {
    pub(crate) fn account(&self) -> Option<&'static str> {
        match self {
            Self::Root(account) | Self::User(account, _) | Self::Session(account, _, _) => Some(account),
            _ => None,
        }
    }

    /// The ARN (or name) that a policy would name.
    pub(crate) fn arn(&self) -> String {
        match self {
            Self::Anonymous => String::new(),
            Self::Root(account) => format!("arn:aws:iam::{account}:root"),
            Self::User(account, name) => format!("arn:aws:iam::{account}:user/{name}"),
            Self::Session(account, role, session) => format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            Self::Federated(name) | Self::Service(name) => (*name).to_owned(),
        }
    }

    pub(crate) fn role_arn(&self) -> Option<String> {
        match self {
            Self::Session(account, role, _) => Some(format!("arn:aws:iam::{account}:role/{role}")),
            _ => None,
        }
    }
}

/// One request and everything that applies to it. Policies are given as their
/// statements.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) who: Who,
    pub(crate) action: &'static str,
    pub(crate) resource: String,
    pub(crate) resource_account: &'static str,
    pub(crate) context: Map<String, Value>,
    pub(crate) identity: Vec<Value>,
    pub(crate) boundary: Option<Value>,
    pub(crate) session: Vec<Value>,
    pub(crate) repository: Option<Value>,
    pub(crate) registry: Option<Value>,
    pub(crate) trust: Option<Value>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            who: Who::User(OWN, "ana"),
            action: "ecr:PutImage",
            resource: REPOSITORY.to_owned(),
            resource_account: OWN,
            context: Map::new(),
            identity: Vec::new(),
            boundary: None,
            session: Vec::new(),
            repository: None,
            registry: None,
            trust: None,
        }
    }
}

/// A whole document around statements.
pub(crate) fn document(statements: &Value) -> Value {
    if statements.get("Statement").is_some() {
        return statements.clone();
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

pub(crate) fn parse(kind: PolicyKind, statements: &Value) -> Policy {
    let text = document(statements).to_string();
    Policy::parse(&text, kind).unwrap_or_else(|fault| panic!("{fault} in {text}"))
}

/// The context that a map describes: text is one value, an array several.
pub(crate) fn context(keys: &Map<String, Value>) -> Context {
    let mut context = Context::new();
    for (key, value) in keys {
        match value {
            Value::Array(values) => context.insert_list(key, values.iter().map(|value| value.as_str().unwrap())),
            value => context.insert(key, value.as_str().unwrap()),
        }
    }
    context
}

impl World {
    /// What the engine says.
    pub(crate) fn decide(&self) -> Decision {
        let all = |kind, policies: &[Value]| policies.iter().map(|policy| parse(kind, policy)).collect::<Vec<_>>();
        let one = |kind, policy: &Option<Value>| policy.as_ref().map(|policy| parse(kind, policy));
        let identity = all(PolicyKind::Identity, &self.identity);
        let session = all(PolicyKind::Identity, &self.session);
        let boundary = one(PolicyKind::Identity, &self.boundary);
        let repository = one(PolicyKind::Repository, &self.repository);
        let registry = one(PolicyKind::Registry, &self.registry);
        let trust = one(PolicyKind::Trust, &self.trust);
        let names = |policies: &[Policy]| (0..policies.len()).map(|index| format!("policy-{index}")).collect();
        let (identity_ids, session_ids): (Vec<String>, Vec<String>) = (names(&identity), names(&session));
        let identity: Vec<_> = identity.iter().zip(&identity_ids).map(|(policy, id)| Attached { id, policy }).collect();
        let session: Vec<_> = session.iter().zip(&session_ids).map(|(policy, id)| Attached { id, policy }).collect();
        let policies = Policies {
            identity: &identity,
            boundary: boundary.as_ref().map(|policy| Attached { id: "boundary", policy }),
            session: &session,
            repository: repository.as_ref().map(|policy| Attached { id: "repository", policy }),
            registry: registry.as_ref().map(|policy| Attached { id: "registry", policy }),
        };
        let account = self.who.account().map(|account| AccountId::parse(account).unwrap());
        let resource_account = AccountId::parse(self.resource_account).unwrap();
        let (arn, role_arn) = (self.who.arn(), self.who.role_arn().unwrap_or_default());
        let requester = match (&self.who, &account) {
            (Who::Root(_), Some(account)) => Requester::Root { account, incarnation: "" },
            (Who::User(..), Some(account)) => Requester::User { account, incarnation: "", arn: &arn, id: "" },
            (Who::Session(..), Some(account)) => {
                Requester::Session { account, incarnation: "", role_arn: &role_arn, session_arn: &arn, id: "" }
            }
            (Who::Federated(provider), _) => Requester::Federated { provider },
            (Who::Service(name), _) => Requester::Service { name },
            _ => Requester::Anonymous,
        };
        let context = context(&self.context);
        let request = Request {
            requester,
            action: self.action,
            resource: &self.resource,
            resource_account: &resource_account,
            context: &context,
        };
        match &trust {
            None => decide(&request, &policies),
            Some(policy) => decide_trust(&request, &policies, Attached { id: "trust", policy }),
        }
    }

    /// The effect and the reason, as one line.
    pub(crate) fn answer(&self) -> String {
        let decision = self.decide();
        format!("{:?} {}", decision.effect, decision.reason)
    }
}
