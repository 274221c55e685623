//! One simulated request, and what is told of its decision.

use ironwharf_model::AccountId;
use ironwharf_policy::iam::{
    Attached, Context, Decision, Effect, Matched, Policies, PolicyType, Position as TextPosition, Request, decide,
};
use ironwharf_wire::iam::shapes::{
    EvaluationResult, PermissionsBoundaryDecisionDetail, PolicyEvaluationDecisionType, PolicySourceType, Position,
    ResourceSpecificResult, Statement,
};

use super::source::Subject;
use crate::identity::grants::NamedPolicy;

/// Everything that requests are decided by.
pub(super) struct Simulation {
    pub(super) subject: Subject,
    pub(super) identity: Vec<NamedPolicy>,
    pub(super) boundary: Option<NamedPolicy>,
    pub(super) resource_policy: Option<NamedPolicy>,
    pub(super) resource_account: AccountId,
    pub(super) context: Context,
}

impl Simulation {
    /// The decision on one action and one resource.
    pub(super) fn evaluate(&self, action: &str, resource: &str) -> EvaluationResult {
        let identity: Vec<Attached<'_>> = self.identity.iter().map(NamedPolicy::attached).collect();
        let policies = Policies {
            identity: &identity,
            boundary: self.boundary.as_ref().map(NamedPolicy::attached),
            repository: self.resource_policy.as_ref().map(NamedPolicy::attached),
            ..Policies::default()
        };
        let decision = decide(&self.request(action, resource, &self.resource_account), &policies);
        let eval_decision = shown(decision.effect);
        let matched_statements = Some(self.statements(&decision));
        let missing_context_values = Some(decision.missing_context);
        let permissions_boundary_decision_detail = self.boundary.as_ref().map(|boundary| {
            let allowed = self.allows(boundary, action, resource);
            PermissionsBoundaryDecisionDetail { allowed_by_permissions_boundary: Some(allowed) }
        });
        let of_resource = ResourceSpecificResult {
            eval_resource_name: resource.to_owned(),
            eval_resource_decision: eval_decision,
            matched_statements: matched_statements.clone(),
            missing_context_values: missing_context_values.clone(),
            eval_decision_details: None,
            permissions_boundary_decision_detail: permissions_boundary_decision_detail.clone(),
        };
        EvaluationResult {
            eval_action_name: action.to_owned(),
            eval_resource_name: Some(resource.to_owned()),
            eval_decision,
            matched_statements,
            missing_context_values,
            organizations_decision_detail: None,
            permissions_boundary_decision_detail,
            eval_decision_details: None,
            resource_specific_results: Some(vec![of_resource]),
        }
    }

    fn request<'a>(&'a self, action: &'a str, resource: &'a str, resource_account: &'a AccountId) -> Request<'a> {
        Request { requester: self.subject.requester(), action, resource, resource_account, context: &self.context }
    }

    /// Whether a boundary, taken by itself, allows the request.
    fn allows(&self, boundary: &NamedPolicy, action: &str, resource: &str) -> bool {
        let request = self.request(action, resource, self.subject.account());
        decide(&request, &Policies { identity: &[boundary.attached()], ..Policies::default() }).is_allowed()
    }

    fn statements(&self, decision: &Decision) -> Vec<Statement> {
        decision.matched.iter().map(|matched| self.statement(matched)).collect()
    }

    fn statement(&self, matched: &Matched) -> Statement {
        let named = match matched.policy_type {
            PolicyType::Boundary => self.boundary.as_ref(),
            PolicyType::Repository => self.resource_policy.as_ref(),
            _ => self.identity.iter().find(|named| named.id == matched.policy),
        };
        let span = named
            .and_then(|named| named.policy.statements().get(matched.statement))
            .map(ironwharf_policy::iam::Statement::span);
        Statement {
            source_policy_id: Some(matched.policy.clone()),
            source_policy_type: Some(source_type(matched)),
            start_position: span.map(|span| position(span.start)),
            end_position: span.map(|span| position(span.end)),
        }
    }
}

const fn shown(effect: Effect) -> PolicyEvaluationDecisionType {
    match effect {
        Effect::Allowed => PolicyEvaluationDecisionType::Allowed,
        Effect::ExplicitDeny => PolicyEvaluationDecisionType::ExplicitDeny,
        Effect::ImplicitDeny => PolicyEvaluationDecisionType::ImplicitDeny,
    }
}

/// The names of policies tell what they are: see [`Grants`](crate::identity::Grants).
fn source_type(matched: &Matched) -> PolicySourceType {
    const KINDS: [(&str, PolicySourceType); 5] = [
        ("arn:aws:iam::aws:", PolicySourceType::AwsManaged),
        ("arn:", PolicySourceType::UserManaged),
        ("user_", PolicySourceType::User),
        ("group_", PolicySourceType::Group),
        ("role_", PolicySourceType::Role),
    ];
    if matched.policy_type == PolicyType::Repository {
        return PolicySourceType::Resource;
    }
    let found = KINDS.iter().find(|(start, _)| matched.policy.starts_with(start));
    found.map_or(PolicySourceType::None, |(_, kind)| *kind)
}

fn position(at: TextPosition) -> Position {
    Position { line: i32::try_from(at.line).ok(), column: i32::try_from(at.column).ok() }
}
