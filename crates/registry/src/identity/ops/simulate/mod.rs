//! Simulation: what policies would say to a request.
//!
//! Invariant: nothing is decided here but by the engine that decides requests.

mod evaluation;
pub(super) mod source;

use ironwharf_model::{AccountId, Result};
use ironwharf_policy::iam::{Context, PolicyKind};
use ironwharf_wire::iam::OperationName;
use ironwharf_wire::iam::shapes::{
    ContextEntry, ContextKeyTypeEnum, PolicyIdentifier, SimulateCustomPolicyRequest, SimulatePolicyResponse,
    SimulatePrincipalPolicyRequest,
};

use super::paging::Page;
use super::{Acted, Call};
use crate::identity::grants::NamedPolicy;
use evaluation::Simulation;
use source::{Source, Subject, given, invalid};

/// How many pairs of an action and a resource one simulation can have, on all
/// its pages.
const MAX_PAIRS: usize = 10_000;

operation! {
    SimulateCustomPolicy(SimulateCustomPolicyRequest) -> SimulatePolicyResponse;
    on |_names, _input| Ok(Acted::any());
    run |call, input| {
        if input.ordered_organization_policy_input_list.is_some_and(|list| !list.is_empty()) {
            return Err(invalid("This registry has no policies of organizations"));
        }
        let source = Source::custom(given("PolicyInputList", &input.policy_input_list)?);
        let asked = Asked {
            actions: input.action_names,
            resources: input.resource_arns,
            boundary: input.permissions_boundary_policy_input_list,
            resource_policy: input.resource_policy,
            resource_owner: input.resource_owner,
            caller: input.caller_arn,
            context: input.context_entries,
            max_items: input.max_items,
            marker: input.marker,
        };
        simulate(call, Self::NAME, source, asked).await
    };
}

operation! {
    SimulatePrincipalPolicy(SimulatePrincipalPolicyRequest) -> SimulatePolicyResponse;
    on |_names, input| Ok(Acted::on(input.policy_source_arn.clone()));
    run |call, input| {
        let mut source = Source::find(call, &input.policy_source_arn).await?;
        exclude(&mut source, &input.policy_exclusion_list.unwrap_or_default());
        source.identity.extend(given("PolicyInputList", input.policy_input_list.as_deref().unwrap_or_default())?);
        let asked = Asked {
            actions: input.action_names,
            resources: input.resource_arns,
            boundary: input.permissions_boundary_policy_input_list,
            resource_policy: input.resource_policy,
            resource_owner: input.resource_owner,
            caller: input.caller_arn,
            context: input.context_entries,
            max_items: input.max_items,
            marker: input.marker,
        };
        simulate(call, Self::NAME, source, asked).await
    };
}

/// What both kinds of simulation are asked.
struct Asked {
    actions: Vec<String>,
    resources: Option<Vec<String>>,
    boundary: Option<Vec<String>>,
    resource_policy: Option<String>,
    resource_owner: Option<String>,
    caller: Option<String>,
    context: Option<Vec<ContextEntry>>,
    max_items: Option<i32>,
    marker: Option<String>,
}

async fn simulate(
    call: &Call<'_>,
    operation: OperationName,
    source: Source,
    asked: Asked,
) -> Result<SimulatePolicyResponse> {
    let caller = asked.caller.as_deref().map(Subject::user).transpose()?;
    let resource_policy = match &asked.resource_policy {
        None => None,
        Some(_) if caller.is_none() && source.subject.is_none() => {
            return Err(invalid("CallerArn must be given with ResourcePolicy"));
        }
        Some(text) => Some(source::compiled("ResourcePolicy".to_owned(), text, PolicyKind::Repository)?),
    };
    // What is known of the source is not true of another caller.
    let mut context = if caller.is_none() { source.context } else { Context::new() };
    context.extend(read_context(asked.context.unwrap_or_default())?);
    let subject = caller.or(source.subject).unwrap_or_else(|| Subject::nobody(call.account()));
    let resource_account = match &asked.resource_owner {
        Some(owner) => read_owner(owner)?,
        None => subject.account().clone(),
    };
    let boundary = boundary(asked.boundary.as_deref().unwrap_or_default())?.or(source.boundary);
    let simulation =
        Simulation { subject, identity: source.identity, boundary, resource_policy, resource_account, context };

    let resources = asked.resources.filter(|resources| !resources.is_empty());
    let resources = resources.unwrap_or_else(|| vec!["*".to_owned()]);
    if asked.actions.len().saturating_mul(resources.len()) > MAX_PAIRS {
        return Err(invalid("There are too many actions and resources: simulate some at a time"));
    }
    if asked.actions.iter().any(|action| !action.contains(':')) {
        return Err(invalid("An action has the form of service:Action"));
    }
    let of_action = |action| resources.iter().map(move |resource: &String| (action, resource));
    let pairs: Vec<(&String, &String)> = asked.actions.iter().flat_map(of_action).collect();
    let mut page = Page::open(call, operation, "", asked.max_items, asked.marker.as_deref()).await?;
    let mut results = Vec::new();
    for (action, resource) in page.slice(0, pairs) {
        results.push(simulation.evaluate(action, resource));
        // Large policies take their time; others must get some too.
        tokio::task::yield_now().await;
    }
    let (is_truncated, marker) = page.end().await?;
    Ok(SimulatePolicyResponse { evaluation_results: Some(results), is_truncated, marker })
}

fn boundary(texts: &[String]) -> Result<Option<NamedPolicy>> {
    if texts.len() > 1 {
        return Err(invalid("There can be one permissions boundary"));
    }
    Ok(given("PermissionsBoundaryPolicyInputList", texts)?.pop())
}

/// Leaves policies out that the request does not want to be looked at.
fn exclude(source: &mut Source, excluded: &[PolicyIdentifier]) {
    let names = |identifier: &PolicyIdentifier, id: &str| {
        let inline = identifier.inline_policy_identifier.as_ref();
        let inline = inline.map(|of| format!("{}_{}_{}", of.attachment_type, of.attachment_name, of.policy_name));
        identifier.policy_arn.as_deref() == Some(id) || inline.as_deref() == Some(id)
    };
    let is_kept = |named: &NamedPolicy| !excluded.iter().any(|identifier| names(identifier, &named.id));
    source.identity.retain(is_kept);
    source.boundary = source.boundary.take().filter(is_kept);
}

fn read_context(entries: Vec<ContextEntry>) -> Result<Context> {
    use ContextKeyTypeEnum as Type;
    let mut context = Context::new();
    for entry in entries {
        let name = entry.context_key_name.ok_or_else(|| invalid("A context entry has no ContextKeyName"))?;
        let mut values = entry.context_key_values.unwrap_or_default();
        let is_list = matches!(
            entry.context_key_type,
            Some(
                Type::StringList
                    | Type::NumericList
                    | Type::BooleanList
                    | Type::IpList
                    | Type::BinaryList
                    | Type::DateList
            )
        );
        match (is_list, values.len()) {
            (true, _) => context.insert_list(&name, values),
            (false, 1) => context.insert(&name, values.pop().unwrap_or_default()),
            (false, _) => return Err(invalid("A context entry that is no list has one value")),
        }
    }
    Ok(context)
}

/// The account that owns the resources: its id, or the ARN of its root.
fn read_owner(owner: &str) -> Result<AccountId> {
    let id = owner.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root")).unwrap_or(owner);
    AccountId::parse(id).map_err(|_| invalid("ResourceOwner must be the ARN of the root of an account"))
}

#[cfg(test)]
mod tests {
    use ironwharf_model::Error;

    use super::*;

    fn entry(kind: Option<ContextKeyTypeEnum>, values: &[&str]) -> ContextEntry {
        ContextEntry {
            context_key_name: Some("aws:TagKeys".to_owned()),
            context_key_values: Some(values.iter().map(ToString::to_string).collect()),
            context_key_type: kind,
        }
    }

    #[test]
    fn a_list_of_one_is_not_a_value() {
        let of = |entry| read_context(vec![entry]).unwrap();
        let mut list = Context::new();
        list.insert_list("aws:tagkeys", ["a"]);
        let mut one = Context::new();
        one.insert("aws:tagkeys", "a");
        assert_eq!(of(entry(Some(ContextKeyTypeEnum::StringList), &["a"])), list);
        assert_eq!(of(entry(Some(ContextKeyTypeEnum::String), &["a"])), one);
        assert!(read_context(vec![entry(None, &["a", "b"])]).is_err());
    }

    #[test]
    fn owners_are_accounts() {
        assert!(read_owner("arn:aws:iam::123456789012:root").is_ok());
        assert!(read_owner("123456789012").is_ok());
        assert!(matches!(read_owner("arn:aws:iam::123456789012:user/a"), Err(Error::InvalidInput { .. })));
    }
}
