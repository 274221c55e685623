//! A second evaluator, written for the tests from the same pages: it reads the
//! JSON again for every request, tries everything, and shares no code with the
//! engine. Slow and literal on purpose.

use serde_json::{Map, Value};

use crate::support::{Who, World};

/// `Some(true)`, `Some(false)`, or `None` for what cannot be said.
type Said = Option<bool>;

fn or(all: &[Said]) -> Said {
    if all.contains(&Some(true)) {
        Some(true)
    } else if all.contains(&None) {
        None
    } else {
        Some(false)
    }
}

fn and(all: &[Said]) -> Said {
    if all.contains(&Some(false)) {
        Some(false)
    } else if all.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn not(said: Said) -> Said {
    said.map(|said| !said)
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        value => vec![value.as_str().unwrap().to_owned()],
    }
}

/// A character of a pattern, after variables have been put in.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Is(char),
    Any,
    AnyMany,
}

fn glob(pattern: &[Mark], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [Mark::AnyMany, rest @ ..] => (0..=text.len()).any(|taken| glob(rest, &text[taken..])),
        [Mark::Any, rest @ ..] => !text.is_empty() && glob(rest, &text[1..]),
        [Mark::Is(wanted), rest @ ..] => text.first() == Some(wanted) && glob(rest, &text[1..]),
    }
}

fn lookup<'a>(context: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    context.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn expand(text: &str, wildcards: bool, context: &Map<String, Value>) -> Option<Vec<Mark>> {
    let characters: Vec<char> = text.chars().collect();
    let mut marks = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        if characters[at..].starts_with(&['$', '{']) {
            let end = at + characters[at..].iter().position(|character| *character == '}').unwrap();
            let inside: String = characters[at + 2..end].iter().collect();
            at = end + 1;
            if ["*", "?", "$"].contains(&inside.as_str()) {
                marks.extend(inside.chars().map(Mark::Is));
                continue;
            }
            let (key, default) = match inside.split_once(", ") {
                Some((key, default)) => (key.to_owned(), Some(default.trim_matches('\'').to_owned())),
                None => (inside, None),
            };
            let value = match lookup(context, &key) {
                Some(Value::String(value)) => value.clone(),
                Some(_) => return None,
                None => default?,
            };
            marks.extend(value.chars().map(Mark::Is));
            continue;
        }
        marks.push(match characters[at] {
            '*' if wildcards => Mark::AnyMany,
            '?' if wildcards => Mark::Any,
            character => Mark::Is(character),
        });
        at += 1;
    }
    Some(marks)
}

fn text_matches(pattern: &str, wildcards: bool, text: &str, context: &Map<String, Value>) -> Said {
    let marks = expand(pattern, wildcards, context)?;
    Some(glob(&marks, &text.chars().collect::<Vec<_>>()))
}

fn arn_matches(pattern: &str, text: &str, context: &Map<String, Value>) -> Said {
    if pattern == "*" {
        return Some(true);
    }
    // All generated variables stand behind the fifth colon.
    let patterns: Vec<&str> = pattern.splitn(6, ':').collect();
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    if parts.len() != 6 {
        return Some(false);
    }
    and(&(0..6).map(|part| text_matches(patterns[part], true, parts[part], context)).collect::<Vec<_>>())
}

fn ip(text: &str) -> u32 {
    text.split('.').fold(0, |sum, part| sum * 256 + part.parse::<u32>().unwrap())
}

fn in_network(network: &str, address: &str) -> bool {
    let (base, prefix) = network.split_once('/').unwrap_or((network, "32"));
    (0..prefix.parse::<u32>().unwrap()).all(|bit| (ip(base) >> (31 - bit)) & 1 == (ip(address) >> (31 - bit)) & 1)
}

/// One value of the request against one value of the policy.
fn compare(operator: &str, given: &str, wanted: &str, context: &Map<String, Value>) -> Said {
    let number = |text: &str| text.parse::<f64>().unwrap();
    match operator {
        "StringEquals" => text_matches(wanted, false, given, context),
        "StringEqualsIgnoreCase" => {
            let marks = expand(wanted, false, context)?;
            let wanted: String =
                marks.iter().filter_map(|mark| if let Mark::Is(is) = mark { Some(*is) } else { None }).collect();
            Some(wanted.to_lowercase() == given.to_lowercase())
        }
        "StringLike" => text_matches(wanted, true, given, context),
        "ArnEquals" | "ArnLike" => arn_matches(wanted, given, context),
        "IpAddress" => Some(in_network(wanted, given)),
        "NumericEquals" => Some((number(given) - number(wanted)).abs() < 1e-9),
        "NumericLessThan" => Some(number(given) < number(wanted)),
        "NumericLessThanEquals" => Some(number(given) <= number(wanted)),
        "NumericGreaterThan" => Some(number(given) > number(wanted)),
        "NumericGreaterThanEquals" => Some(number(given) >= number(wanted)),
        // All generated dates have one form, which sorts as text.
        "Bool" | "DateEquals" => Some(given == wanted),
        "DateLessThan" => Some(given < wanted),
        "DateLessThanEquals" => Some(given <= wanted),
        "DateGreaterThan" => Some(given > wanted),
        other => panic!("{other} is not generated"),
    }
}

fn condition(name: &str, key: &str, wanted: &Value, context: &Map<String, Value>) -> Said {
    let given = lookup(context, key).map(strings).unwrap_or_default();
    if name == "Null" {
        return Some((wanted.as_str() == Some("true")) == given.is_empty());
    }
    let (set, rest) = name.split_once(':').map_or((None, name), |(set, rest)| (Some(set), rest));
    let if_exists = rest.ends_with("IfExists");
    let base = rest.trim_end_matches("IfExists");
    let negated = base.contains("Not");
    let base = base.replace("Not", "");
    let one = |given: &String| {
        let any = or(&strings(wanted).iter().map(|wanted| compare(&base, given, wanted, context)).collect::<Vec<_>>());
        if negated { not(any) } else { any }
    };
    let each: Vec<Said> = given.iter().map(one).collect();
    match set {
        None if given.is_empty() => Some(negated || if_exists),
        None if given.len() == 1 => each[0],
        None => None,
        Some("ForAllValues") if given.iter().all(String::is_empty) => Some(true),
        Some("ForAllValues") => and(&each),
        Some(_) if given.is_empty() => Some(if_exists),
        Some(_) if given.iter().all(String::is_empty) => Some(false),
        Some(_) => or(&each),
    }
}

/// 0 is no match, 1 the account, 2 the role, 3 the requester or everyone.
fn principal(value: &Value, who: &Who, negated: bool, denies: bool) -> u8 {
    let names: Vec<String> = match value {
        Value::String(name) => vec![name.clone()],
        value => value.as_object().unwrap().values().flat_map(strings).collect(),
    };
    let has = |name: &str| names.iter().any(|known| known == name);
    let has_account = who.account().is_some_and(|account| has(account) || has(&format!("arn:aws:iam::{account}:root")));
    if negated {
        let chain = match who {
            Who::Root(_) => has_account,
            Who::User(..) => has_account && has(&who.arn()),
            Who::Session(..) => has_account && has(&who.arn()) && has(&who.role_arn().unwrap()),
            Who::Service(name) => has(name),
            _ => false,
        };
        return if chain { 0 } else { 3 };
    }
    let everyone = match who {
        Who::Federated(_) => has("*") && denies,
        Who::Service(_) => has("*") && (value.is_string() || denies),
        _ => has("*"),
    };
    if everyone || *who != Who::Anonymous && !matches!(who, Who::Root(_)) && has(&who.arn()) {
        3
    } else if who.role_arn().is_some_and(|role| has(&role)) {
        2
    } else {
        u8::from(has_account)
    }
}

/// How much the statement grants (or denies), 0 for nothing.
fn statement(statement: &Value, world: &World) -> u8 {
    let denies = statement["Effect"] == "Deny";
    let action = world.action.to_lowercase();
    let names = |value: &Value| {
        strings(value)
            .iter()
            .any(|pattern| text_matches(&pattern.to_lowercase(), true, &action, &Map::new()) == Some(true))
    };
    let action = statement.get("Action").map_or_else(|| !names(&statement["NotAction"]), names);
    let covers = |value: &Value| {
        or(&strings(value)
            .iter()
            .map(|pattern| arn_matches(pattern, &world.resource, &world.context))
            .collect::<Vec<_>>())
    };
    let resource = match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(value), _) => covers(value),
        (None, Some(value)) => not(covers(value)),
        (None, None) => Some(true),
    };
    let mut all = vec![Some(action), resource];
    if let Some(operators) = statement.get("Condition") {
        for (name, keys) in operators.as_object().unwrap() {
            for (key, wanted) in keys.as_object().unwrap() {
                all.push(condition(name, key, wanted, &world.context));
            }
        }
    }
    let applies = and(&all).unwrap_or(denies);
    let reach = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(value), _) => principal(value, &world.who, false, denies),
        (None, Some(value)) => principal(value, &world.who, true, denies),
        (None, None) => 3,
    };
    if applies { reach } else { 0 }
}

/// The strongest grant and the strongest denial of a policy.
fn policy(statements: &Value, world: &World) -> (u8, u8) {
    let strongest = |effect: &str| {
        let chosen = statements.as_array().unwrap().iter().filter(|statement| statement["Effect"] == effect);
        chosen.map(|chosen| statement(chosen, world)).max().unwrap_or(0)
    };
    (strongest("Allow"), strongest("Deny"))
}

type Answers<'a> = &'a [(u8, u8)];

fn decide_trust(
    world: &World,
    identity: Answers<'_>,
    boundary: Answers<'_>,
    session: Answers<'_>,
    trust: (u8, u8),
) -> &'static str {
    let denied = |policies: Answers<'_>| policies.iter().any(|(_, denies)| *denies > 0);
    let allowed = |policies: Answers<'_>| policies.iter().any(|(allows, _)| *allows > 0);
    if denied(identity) || denied(boundary) || denied(session) || trust.1 > 0 {
        return "ExplicitDeny";
    }
    let own = matches!(world.who, Who::Root(_)) || allowed(identity);
    let limits = (boundary.is_empty() || allowed(boundary)) && (session.is_empty() || allowed(session));
    let is_allowed = match (world.who.account(), trust.0) {
        (_, 0) => false,
        (None, _) => world.who != Who::Anonymous,
        (Some(account), 3) if account == world.resource_account => true,
        (Some(account), 2) if account == world.resource_account => limits,
        _ => own && limits,
    };
    if is_allowed { "Allowed" } else { "ImplicitDeny" }
}

/// `Allowed`, `ExplicitDeny` or `ImplicitDeny`.
pub(crate) fn decide(world: &World) -> &'static str {
    let of = |policies: &[Value]| policies.iter().map(|one| policy(one, world)).collect::<Vec<_>>();
    let identity = of(&world.identity);
    let boundary = of(world.boundary.as_slice());
    let session = of(&world.session);
    let resource = of(&[world.repository.as_slice(), world.registry.as_slice()].concat());
    let denied = |policies: &[(u8, u8)]| policies.iter().any(|(_, denies)| *denies > 0);
    let allowed = |policies: &[(u8, u8)]| policies.iter().any(|(allows, _)| *allows > 0);
    if let Some(trust) = &world.trust {
        return decide_trust(world, &identity, &boundary, &session, policy(trust, world));
    }
    let same = world.who.account() == Some(world.resource_account);
    let root = matches!(world.who, Who::Root(_));
    let repairs = root && same && world.action == "ecr:SetRepositoryPolicy";
    if denied(&identity) || denied(&boundary) || denied(&session) || denied(&resource) && !repairs {
        return "ExplicitDeny";
    }
    let mut grant = resource.iter().map(|(allows, _)| *allows).max().unwrap_or(0);
    if world.action == "ecr:GetAuthorizationToken" {
        grant = 0;
    }
    let own = root || allowed(&identity);
    let limits = (boundary.is_empty() || allowed(&boundary)) && (session.is_empty() || allowed(&session));
    let is_allowed = if world.who.account().is_none() {
        grant > 0
    } else if same {
        grant == 3 || (own || grant == 2) && limits
    } else {
        grant > 0 && own && limits
    };
    if is_allowed { "Allowed" } else { "ImplicitDeny" }
}
