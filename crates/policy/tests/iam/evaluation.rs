//! How policies of all types come to one decision. (IAM User Guide: Policy
//! evaluation logic; Cross-account policy evaluation logic.)

use ironwharf_policy::iam::{Effect, Matched, PolicyType};
use serde_json::{Value, json};

use crate::support::{OTHER, OWN, Who, World};

const USER: &str = "arn:aws:iam::111122223333:user/ana";
const ROLE: &str = "arn:aws:iam::111122223333:role/ci";
const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/ci/run";
const FOREIGN_USER: &str = "arn:aws:iam::444455556666:user/ana";
const FOREIGN_ROLE: &str = "arn:aws:iam::444455556666:role/ci";
const FOREIGN_SESSION: &str = "arn:aws:sts::444455556666:assumed-role/ci/run";

const ALLOWED: &str = "Allowed";
const NO_IDENTITY: &str = "ImplicitDeny because no identity-based policy allows the ecr:PutImage action";
const NO_BOUNDARY: &str = "ImplicitDeny because no permissions boundary allows the ecr:PutImage action";
const NO_SESSION: &str = "ImplicitDeny because no session policy allows the ecr:PutImage action";
const NO_RESOURCE: &str = "ImplicitDeny because no resource-based policy allows the ecr:PutImage action";

fn allow() -> Value {
    json!({"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*"})
}

fn deny() -> Value {
    json!({"Effect": "Deny", "Action": "ecr:PutImage", "Resource": "*"})
}

/// A policy that says nothing about the request.
fn silent() -> Value {
    json!({"Effect": "Allow", "Action": "ecr:DescribeImages", "Resource": "*"})
}

fn grant(principal: &str) -> Value {
    json!({"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*", "Principal": {"AWS": principal}})
}

fn forbid(principal: &str) -> Value {
    json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": {"AWS": principal}})
}

fn user() -> Who {
    Who::User(OWN, "ana")
}

fn session() -> Who {
    Who::Session(OWN, "ci", "run")
}

fn check(world: &World, expected: &str, what: &str) {
    let answer = world.answer();
    let is_expected = if expected == ALLOWED { answer.starts_with("Allowed ") } else { answer == expected };
    assert!(is_expected, "{what}: {answer}, not {expected}");
}

#[test]
fn nothing_is_allowed_by_default() {
    check(&World::default(), NO_IDENTITY, "a user without policies");
    check(&World { who: session(), ..World::default() }, NO_IDENTITY, "a session without policies");
    check(&World { who: Who::Anonymous, ..World::default() }, NO_RESOURCE, "nobody");
    check(&World { who: Who::Service("ecr.amazonaws.com"), ..World::default() }, NO_RESOURCE, "a service");
    check(&World { who: Who::User(OTHER, "ana"), ..World::default() }, NO_IDENTITY, "a foreigner");
    check(&World { who: Who::Root(OTHER), ..World::default() }, NO_RESOURCE, "a foreign root");
    check(&World { who: Who::Root(OWN), ..World::default() }, ALLOWED, "the root");
}

#[test]
fn within_an_account_either_side_is_enough() {
    let cases = [
        (vec![allow()], None, ALLOWED),
        (vec![silent(), allow()], None, ALLOWED),
        (vec![silent()], Some(silent()), NO_IDENTITY),
        (vec![], Some(grant(USER)), ALLOWED),
        (vec![silent()], Some(grant(USER)), ALLOWED),
        (vec![], Some(grant("*")), ALLOWED),
        // The account leaves it to its identity policies.
        (vec![], Some(grant(OWN)), NO_IDENTITY),
        (vec![allow()], Some(grant(OWN)), ALLOWED),
        (vec![], Some(grant("arn:aws:iam::111122223333:user/ben")), NO_IDENTITY),
        (vec![], Some(grant(ROLE)), NO_IDENTITY),
    ];
    for (identity, resource, expected) in cases {
        let what = format!("{identity:?} {resource:?}");
        for registry in [false, true] {
            let mut policy = resource.clone();
            if let Some(policy) = policy.as_mut().filter(|policy| policy.get("Principal").is_none()) {
                policy["Principal"] = json!("*");
            }
            let (repository, registry) = if registry { (None, policy) } else { (policy, None) };
            check(&World { identity: identity.clone(), repository, registry, ..World::default() }, expected, &what);
        }
    }
}

/// Boundary, session policy, principal of the resource-based policy, expected;
/// without identity policies and with one that allows.
#[test]
fn boundaries_and_session_policies_limit() {
    let cases = [
        (user(), Some(allow()), None, None, NO_IDENTITY, ALLOWED),
        (user(), Some(silent()), None, None, NO_IDENTITY, NO_BOUNDARY),
        (user(), Some(silent()), None, Some(USER), ALLOWED, ALLOWED),
        (user(), Some(silent()), None, Some("*"), ALLOWED, ALLOWED),
        (user(), Some(silent()), None, Some(OWN), NO_IDENTITY, NO_BOUNDARY),
        (session(), None, Some(silent()), None, NO_IDENTITY, NO_SESSION),
        (session(), None, Some(allow()), None, NO_IDENTITY, ALLOWED),
        (session(), Some(silent()), Some(allow()), None, NO_IDENTITY, NO_BOUNDARY),
        (session(), Some(allow()), Some(silent()), None, NO_IDENTITY, NO_SESSION),
        (session(), Some(allow()), Some(allow()), None, NO_IDENTITY, ALLOWED),
        // Granted to the role: limited by both.
        (session(), None, None, Some(ROLE), ALLOWED, ALLOWED),
        (session(), Some(silent()), None, Some(ROLE), NO_BOUNDARY, NO_BOUNDARY),
        (session(), None, Some(silent()), Some(ROLE), NO_SESSION, NO_SESSION),
        (session(), Some(allow()), Some(allow()), Some(ROLE), ALLOWED, ALLOWED),
        // Granted to the session itself: by neither.
        (session(), Some(silent()), Some(silent()), Some(SESSION), ALLOWED, ALLOWED),
        (session(), Some(silent()), Some(silent()), Some("*"), ALLOWED, ALLOWED),
        (session(), Some(silent()), Some(silent()), Some(OWN), NO_IDENTITY, NO_BOUNDARY),
    ];
    for (who, boundary, session, principal, without, with) in cases {
        let what = format!("{who:?} {boundary:?} {session:?} {principal:?}");
        let world = World {
            who,
            boundary,
            session: session.into_iter().collect(),
            repository: principal.map(grant),
            ..World::default()
        };
        check(&world, without, &what);
        check(&World { identity: vec![allow()], ..world }, with, &what);
    }
}

#[test]
fn session_policies_are_one_set() {
    let with = |session| World { who: self::session(), identity: vec![allow()], session, ..World::default() };
    check(&with(vec![silent(), allow()]), ALLOWED, "one of two allows");
    check(&with(vec![silent(), silent()]), NO_SESSION, "none allows");
    check(&with(vec![]), ALLOWED, "no session policies");
}

#[test]
fn across_accounts_both_sides_have_to_allow() {
    let user = || Who::User(OTHER, "ana");
    let session = || Who::Session(OTHER, "ci", "run");
    let cases = [
        (user(), vec![allow()], None, NO_RESOURCE),
        (user(), vec![], Some(FOREIGN_USER), NO_IDENTITY),
        (user(), vec![allow()], Some(FOREIGN_USER), ALLOWED),
        (user(), vec![allow()], Some(OTHER), ALLOWED),
        (user(), vec![allow()], Some("*"), ALLOWED),
        (user(), vec![], Some("*"), NO_IDENTITY),
        (user(), vec![allow()], Some(OWN), NO_RESOURCE),
        (user(), vec![allow()], Some(USER), NO_RESOURCE),
        (session(), vec![allow()], Some(FOREIGN_ROLE), ALLOWED),
        (session(), vec![allow()], Some(FOREIGN_SESSION), ALLOWED),
        (session(), vec![], Some(FOREIGN_SESSION), NO_IDENTITY),
        (session(), vec![allow()], Some(OTHER), ALLOWED),
        (Who::Root(OTHER), vec![], None, NO_RESOURCE),
        (Who::Root(OTHER), vec![], Some(OTHER), ALLOWED),
        (Who::Root(OTHER), vec![], Some("*"), ALLOWED),
        (Who::Root(OTHER), vec![], Some(FOREIGN_USER), NO_RESOURCE),
    ];
    for (who, identity, principal, expected) in cases {
        let what = format!("{who:?} {identity:?} {principal:?}");
        let world = World { who, identity, repository: principal.map(grant), ..World::default() };
        check(&world, expected, &what);
        // The registry's policy counts as the same side.
        check(&World { registry: world.repository.clone(), repository: None, ..world }, expected, &what);
    }
    let limited = |who, boundary: Option<Value>, session: Vec<Value>, principal| World {
        who,
        identity: vec![allow()],
        boundary,
        session,
        repository: Some(grant(principal)),
        ..World::default()
    };
    check(&limited(user(), Some(silent()), vec![], FOREIGN_USER), NO_BOUNDARY, "the own account's limits hold abroad");
    check(&limited(session(), None, vec![silent()], FOREIGN_SESSION), NO_SESSION, "and so do those of the session");
}

#[test]
fn an_explicit_deny_anywhere_wins() {
    let granted = |who: Who| World {
        who,
        identity: vec![allow()],
        boundary: Some(allow()),
        session: vec![allow()],
        repository: Some(grant("*")),
        registry: Some(grant("*")),
        ..World::default()
    };
    let with_deny = |statements: &Value| json!([statements, deny()]);
    for who in [user(), session(), Who::User(OTHER, "ana"), Who::Session(OTHER, "ci", "run")] {
        let world = granted(who.clone());
        check(&world, ALLOWED, "before");
        let cases = [
            (World { identity: vec![allow(), deny()], ..world.clone() }, "an identity-based policy"),
            (World { boundary: Some(with_deny(&allow())), ..world.clone() }, "a permissions boundary"),
            (World { session: vec![allow(), deny()], ..world.clone() }, "a session policy"),
            (World { repository: Some(json!([grant("*"), forbid("*")])), ..world.clone() }, "a resource-based policy"),
            (World { registry: Some(json!([grant("*"), forbid("*")])), ..world.clone() }, "a resource-based policy"),
        ];
        for (world, place) in cases {
            check(&world, &format!("ExplicitDeny with an explicit deny in {place}"), &format!("{who:?}"));
        }
    }
    let nobody =
        World { who: Who::Anonymous, repository: Some(grant("*")), registry: Some(forbid("*")), ..World::default() };
    check(&nobody, "ExplicitDeny with an explicit deny in a resource-based policy", "nobody");
}

#[test]
fn the_root_is_bound_by_resource_policies_but_can_always_repair_them() {
    let root = |action, account| World {
        who: Who::Root(account),
        action,
        repository: Some(forbid("*")),
        registry: Some(json!([grant("*"), forbid("*")])),
        ..World::default()
    };
    let denied = "ExplicitDeny with an explicit deny in a resource-based policy";
    for action in ["ecr:PutImage", "ecr:DeleteRepository", "ecr:PutLifecyclePolicy"] {
        check(&root(action, OWN), denied, action);
    }
    for action in [
        "ecr:SetRepositoryPolicy",
        "ecr:GetRepositoryPolicy",
        "ecr:deleterepositorypolicy",
        "ecr:PutRegistryPolicy",
        "ecr:GetRegistryPolicy",
        "ecr:DeleteRegistryPolicy",
    ] {
        check(&root(action, OWN), ALLOWED, action);
        check(&root(action, OTHER), denied, action);
        let user = World {
            who: user(),
            identity: vec![json!({"Effect": "Allow", "Action": "*", "Resource": "*"})],
            ..root(action, OWN)
        };
        check(&user, denied, action);
    }
}

#[test]
fn a_token_is_granted_by_identity_policies_only() {
    let token = |who: Who, identity: Vec<Value>, registry: Value| World {
        action: "ecr:GetAuthorizationToken",
        resource: "*".to_owned(),
        who,
        identity,
        registry: Some(registry),
        ..World::default()
    };
    let all = |effect: &str| json!({"Effect": effect, "Action": "ecr:*", "Resource": "*", "Principal": "*"});
    let identity = |resource: &str| vec![json!({"Effect": "Allow", "Action": "ecr:*", "Resource": resource})];
    let missing = "ImplicitDeny because no identity-based policy allows the ecr:GetAuthorizationToken action";
    check(&token(user(), vec![], all("Allow")), missing, "by the registry's policy");
    check(&token(user(), identity("arn:aws:ecr:*:*:repository/*"), all("Allow")), missing, "for repositories");
    check(&token(user(), identity("*"), all("Allow")), ALLOWED, "by the identity policy");
    let denied = "ExplicitDeny with an explicit deny in a resource-based policy";
    check(&token(user(), identity("*"), all("Deny")), denied, "against the registry's policy");
    let nobody = "ImplicitDeny because no resource-based policy allows the ecr:GetAuthorizationToken action";
    check(&token(Who::Anonymous, vec![], all("Allow")), nobody, "for nobody");
}

#[test]
fn the_statements_that_decide_are_named() {
    let matched = |policy: &str, policy_type, statement| Matched { policy: policy.to_owned(), policy_type, statement };
    let world = World {
        identity: vec![silent(), json!([silent(), allow()])],
        repository: Some(grant(USER)),
        registry: Some(json!([silent_resource(), forbid(USER)])),
        ..World::default()
    };
    let decision = world.decide();
    assert_eq!(decision.effect, Effect::ExplicitDeny);
    assert_eq!(decision.matched, [matched("registry", PolicyType::Registry, 1)]);
    let decision = World { registry: None, ..world }.decide();
    assert_eq!(decision.effect, Effect::Allowed);
    assert_eq!(
        decision.matched,
        [matched("policy-1", PolicyType::Identity, 1), matched("repository", PolicyType::Repository, 0)]
    );
    assert_eq!(decision.reason.to_string(), "because a resource-based policy allows the ecr:PutImage action");
}

fn silent_resource() -> Value {
    json!({"Effect": "Allow", "Action": "ecr:DescribeImages", "Resource": "*", "Principal": "*"})
}
