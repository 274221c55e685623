//! The evaluation: all policies that apply, and one decision.
//!
//! Invariant: there is no way to `Allowed` past an explicit deny, except that
//! the root user of an account can always repair the policies of its own
//! registry.
//! Invariant: without a statement or a root user that grants, nothing is allowed.

use super::decision::{Decision, Effect, Matched, PolicyType, Reason};
use super::policy::Policy;
use super::principal::Standing;
use super::requester::{Request, Requester};
use super::statement::{Question, StatementEffect};

/// A policy under the name that messages and simulations have for it.
#[derive(Clone, Copy, Debug)]
pub struct Attached<'a> {
    /// The name.
    pub id: &'a str,
    /// The policy.
    pub policy: &'a Policy,
}

/// The policies that apply to a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'a> {
    /// Those of the requester: inline, managed, and those of its groups.
    pub identity: &'a [Attached<'a>],
    /// The requester's permissions boundary.
    pub boundary: Option<Attached<'a>>,
    /// Given when the session was made; what any of them allows, all of them allow.
    pub session: &'a [Attached<'a>],
    /// Of the repository that is asked for.
    pub repository: Option<Attached<'a>>,
    /// Of the registry that owns the resource.
    pub registry: Option<Attached<'a>>,
}

/// What the root user may do in its own registry whatever a resource-based
/// policy says. A policy that denies everything to everybody could not be
/// removed otherwise; S3 does the same for the bucket policy.
const REPAIRS: [&str; 6] = [
    "ecr:setrepositorypolicy",
    "ecr:getrepositorypolicy",
    "ecr:deleterepositorypolicy",
    "ecr:putregistrypolicy",
    "ecr:getregistrypolicy",
    "ecr:deleteregistrypolicy",
];

/// What resource-based policies cannot grant: it has no resource.
const WITHOUT_RESOURCE: &str = "ecr:getauthorizationtoken";

/// Decides a request to a registry.
///
/// An explicit deny in any policy wins. Within an account, identity policies
/// *or* a resource-based policy have to allow; across accounts, both. Permissions
/// boundary and session policies limit what identity policies allow, and what a
/// resource-based policy grants to a role; a grant to the user, to the session
/// or to `*` is not limited by what they do not mention. The repository's and
/// the registry's policy count as one. (IAM User Guide: Policy evaluation logic;
/// Cross-account policy evaluation logic; AWS JSON policy elements: Principal.)
pub fn decide(request: &Request<'_>, policies: &Policies<'_>) -> Decision {
    let mut evaluation = Evaluation::new(request);
    evaluation.of_requester(policies);
    let repairs = evaluation.is_own_root() && REPAIRS.contains(&evaluation.question.action.as_str());
    let grants = evaluation.question.action != WITHOUT_RESOURCE;
    for (attached, policy_type) in
        [(policies.repository, PolicyType::Repository), (policies.registry, PolicyType::Registry)]
    {
        evaluation.of_resource(attached, policy_type, grants, !repairs);
    }
    let outcome = evaluation.outcome(PolicyType::Repository);
    evaluation.decision(outcome)
}

/// Decides whether the requester may assume the role with this trust policy;
/// `request.resource` is the role's ARN.
///
/// A role's trust policy has to allow it even within the account. If it names
/// the user, the role or session that asks, or `*`, that is enough; if it names
/// the account, the requester's identity policies have to allow it too. Across
/// accounts they always have to. An unsigned request never assumes a role.
/// (IAM User Guide: Policy evaluation logic, "Resource-based policies"; How IAM
/// roles differ from resource-based policies.)
///
/// That the root user of an account cannot assume roles is a rule of STS and
/// not of policies; whoever serves `AssumeRole` has to add it.
pub fn decide_trust(request: &Request<'_>, policies: &Policies<'_>, trust: Attached<'_>) -> Decision {
    let mut evaluation = Evaluation::new(request);
    evaluation.of_requester(policies);
    let is_signed = request.requester != Requester::Anonymous;
    evaluation.of_resource(Some(trust), PolicyType::Trust, is_signed, true);
    // Identity policies alone never open a role, not even to the root user.
    let outcome = match evaluation.resource {
        None => Outcome::NotGranted(PolicyType::Trust),
        Some(_) => evaluation.outcome(PolicyType::Trust),
    };
    evaluation.decision(outcome)
}

/// What allows, or what was needed and does not.
#[derive(Clone, Copy)]
enum Outcome {
    AccountRoot,
    Granted(PolicyType),
    NotGranted(PolicyType),
}

/// What the policies say, as far as they have been asked.
struct Evaluation<'a> {
    request: &'a Request<'a>,
    question: Question<'a>,
    allows: Vec<Matched>,
    denies: Vec<Matched>,
    missing: Vec<String>,
    identity: bool,
    /// Boundary and session policies, if there are any, and whether they allow.
    limits: [Option<(PolicyType, bool)>; 2],
    /// The strongest grant of a resource-based policy, and where it is.
    resource: Option<(Standing, PolicyType)>,
}

impl<'a> Evaluation<'a> {
    fn new(request: &'a Request<'a>) -> Self {
        Self {
            request,
            question: Question {
                requester: request.requester,
                action: request.action.to_ascii_lowercase(),
                resource: request.resource,
                context: request.context,
            },
            allows: Vec::new(),
            denies: Vec::new(),
            missing: Vec::new(),
            identity: false,
            limits: [None; 2],
            resource: None,
        }
    }

    fn of_requester(&mut self, policies: &Policies<'_>) {
        for attached in policies.identity {
            self.identity |= self.ask(*attached, PolicyType::Identity, true, true).is_some();
        }
        let boundary = policies
            .boundary
            .map(|attached| (PolicyType::Boundary, self.ask(attached, PolicyType::Boundary, true, true).is_some()));
        let mut session = None;
        for attached in policies.session {
            let allows = self.ask(*attached, PolicyType::Session, true, true).is_some();
            let before = session.is_some_and(|(_, before)| before);
            session = Some((PolicyType::Session, before || allows));
        }
        self.limits = [boundary, session];
    }

    fn of_resource(&mut self, attached: Option<Attached<'_>>, policy_type: PolicyType, grants: bool, denies: bool) {
        let Some(attached) = attached else { return };
        let granted = self.ask(attached, policy_type, grants, denies);
        if let Some(standing) = granted
            && self.resource.is_none_or(|(strongest, _)| strongest < standing)
        {
            self.resource = Some((standing, policy_type));
        }
    }

    /// Asks all statements of a policy; the strongest grant among them.
    fn ask(&mut self, attached: Attached<'_>, policy_type: PolicyType, grants: bool, denies: bool) -> Option<Standing> {
        let mut strongest = None;
        for (index, statement) in attached.policy.statements().iter().enumerate() {
            let Some(standing) = statement.applies(&self.question, &mut self.missing) else { continue };
            let matched = || Matched { policy: attached.id.to_owned(), policy_type, statement: index };
            match statement.effect() {
                StatementEffect::Allow if grants => {
                    self.allows.push(matched());
                    strongest = strongest.max(Some(standing));
                }
                StatementEffect::Deny if denies => self.denies.push(matched()),
                StatementEffect::Allow | StatementEffect::Deny => {}
            }
        }
        strongest
    }

    fn is_same_account(&self) -> bool {
        self.request.requester.account() == Some(self.request.resource_account)
    }

    fn is_root(&self) -> bool {
        matches!(self.request.requester, Requester::Root { .. })
    }

    fn is_own_root(&self) -> bool {
        self.is_root() && self.is_same_account()
    }

    /// Whether the requester's own side grants: by its identity policies, which
    /// a root user does not need.
    fn speaks_for_itself(&self) -> bool {
        self.identity || self.is_root()
    }

    /// The first of boundary and session policies that does not allow the action.
    fn limited_by(&self) -> Option<PolicyType> {
        self.limits.iter().flatten().find(|(_, allows)| !allows).map(|(policy_type, _)| *policy_type)
    }

    /// What policies grant, explicit denies apart. `resource_type` is the type
    /// that is named when a resource-based policy would be needed.
    fn outcome(&self, resource_type: PolicyType) -> Outcome {
        let grant_of_resource = match self.resource {
            Some((_, policy_type)) => Outcome::Granted(policy_type),
            None => Outcome::NotGranted(resource_type),
        };
        if self.request.requester.account().is_none() {
            return grant_of_resource;
        }
        if self.is_same_account() {
            return self.outcome_within_account();
        }
        if !self.speaks_for_itself() {
            return Outcome::NotGranted(PolicyType::Identity);
        }
        self.limited_by().map_or(grant_of_resource, Outcome::NotGranted)
    }

    fn outcome_within_account(&self) -> Outcome {
        let granted = match self.resource {
            Some((Standing::Direct, policy_type)) => return Outcome::Granted(policy_type),
            _ if self.is_root() => Outcome::AccountRoot,
            _ if self.identity => Outcome::Granted(PolicyType::Identity),
            Some((Standing::Role, policy_type)) => Outcome::Granted(policy_type),
            // The account leaves it to its identity policies.
            Some((Standing::Account, _)) | None => return Outcome::NotGranted(PolicyType::Identity),
        };
        self.limited_by().map_or(granted, Outcome::NotGranted)
    }

    fn decision(self, outcome: Outcome) -> Decision {
        let action = self.request.action.to_owned();
        let (effect, reason) = match (self.denies.first(), outcome) {
            (Some(deny), _) => (Effect::ExplicitDeny, Reason::Denied { by: deny.policy_type }),
            (None, Outcome::AccountRoot) => (Effect::Allowed, Reason::AccountRoot),
            (None, Outcome::Granted(by)) => (Effect::Allowed, Reason::Granted { by, action }),
            (None, Outcome::NotGranted(by)) => (Effect::ImplicitDeny, Reason::NotGranted { by, action }),
        };
        let matched = if effect == Effect::ExplicitDeny { self.denies } else { self.allows };
        Decision { effect, reason, matched, missing_context: self.missing }
    }
}
