//! Who may assume a role. (IAM User Guide: Policy evaluation logic; AWS JSON
//! policy elements: Principal.)

use ironwharf_policy::iam::PolicyKind;
use serde_json::{Value, json};

use crate::support::{OTHER, OWN, PROVIDER, ROLE, Who, World, parse};

const KEY: &str = "token.actions.githubusercontent.com:sub";

const ALLOWED: &str = "Allowed";
const NO_TRUST: &str = "ImplicitDeny because no role trust policy allows the sts:AssumeRole action";
const NO_IDENTITY: &str = "ImplicitDeny because no identity-based policy allows the sts:AssumeRole action";
const NO_BOUNDARY: &str = "ImplicitDeny because no permissions boundary allows the sts:AssumeRole action";
const NO_SESSION: &str = "ImplicitDeny because no session policy allows the sts:AssumeRole action";

fn identity(action: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": ROLE})
}

fn trusts(principal: &str) -> Value {
    json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}})
}

fn assume(who: Who, trust: Value) -> World {
    World { who, action: "sts:AssumeRole", resource: ROLE.to_owned(), trust: Some(trust), ..World::default() }
}

fn check(world: &World, expected: &str) {
    let answer = world.answer();
    let is_expected = if expected == ALLOWED { answer.starts_with("Allowed ") } else { answer == expected };
    assert!(is_expected, "{answer}, not {expected}: {world:?}");
}

#[test]
fn the_trust_policy_has_to_allow_and_the_account_may_delegate() {
    let user = || Who::User(OWN, "ana");
    let session = || Who::Session(OWN, "ci", "run");
    // Who, principal, without an identity policy, with one that allows.
    let cases = [
        (user(), "arn:aws:iam::111122223333:user/ana", ALLOWED, ALLOWED),
        (user(), "*", ALLOWED, ALLOWED),
        (user(), OWN, NO_IDENTITY, ALLOWED),
        (user(), "arn:aws:iam::111122223333:user/ben", NO_TRUST, NO_TRUST),
        (user(), OTHER, NO_TRUST, NO_TRUST),
        (session(), "arn:aws:iam::111122223333:role/ci", ALLOWED, ALLOWED),
        (session(), "arn:aws:sts::111122223333:assumed-role/ci/run", ALLOWED, ALLOWED),
        (session(), "arn:aws:sts::111122223333:assumed-role/ci/other", NO_TRUST, NO_TRUST),
        (session(), OWN, NO_IDENTITY, ALLOWED),
        (Who::User(OTHER, "ana"), "arn:aws:iam::444455556666:user/ana", NO_IDENTITY, ALLOWED),
        (Who::User(OTHER, "ana"), OTHER, NO_IDENTITY, ALLOWED),
        (Who::User(OTHER, "ana"), "*", NO_IDENTITY, ALLOWED),
        (Who::User(OTHER, "ana"), OWN, NO_TRUST, NO_TRUST),
        (Who::Root(OWN), OWN, ALLOWED, ALLOWED),
        (Who::Root(OWN), OTHER, NO_TRUST, NO_TRUST),
        (Who::Root(OTHER), OTHER, ALLOWED, ALLOWED),
        // Never without a signature.
        (Who::Anonymous, "*", NO_TRUST, NO_TRUST),
    ];
    for (who, principal, without, with) in cases {
        let world = assume(who, trusts(principal));
        check(&world, without);
        check(&World { identity: vec![identity("sts:*")], ..world }, with);
    }
}

#[test]
fn the_limits_of_the_caller_hold() {
    let session = || Who::Session(OWN, "ci", "run");
    let silent = || identity("sts:TagSession");
    let with = |principal, boundary: Option<Value>, session_policies: Vec<Value>| World {
        boundary,
        session: session_policies,
        identity: vec![identity("sts:AssumeRole")],
        ..assume(session(), trusts(principal))
    };
    check(&with(OWN, Some(silent()), vec![]), NO_BOUNDARY);
    check(&with(OWN, None, vec![silent()]), NO_SESSION);
    check(&with("arn:aws:iam::111122223333:role/ci", Some(silent()), vec![]), NO_BOUNDARY);
    check(&with("arn:aws:iam::111122223333:role/ci", None, vec![silent()]), NO_SESSION);
    check(&with("arn:aws:sts::111122223333:assumed-role/ci/run", Some(silent()), vec![silent()]), ALLOWED);
}

#[test]
fn an_explicit_deny_wins() {
    let everyone = json!({"Effect": "Deny", "Action": "sts:*", "Principal": "*"});
    let world = assume(Who::User(OWN, "ana"), json!([trusts("*"), everyone]));
    check(&world, "ExplicitDeny with an explicit deny in the role trust policy");
    let deny = json!({"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/t*"});
    let world = World { identity: vec![deny], ..assume(Who::User(OWN, "ana"), trusts("*")) };
    check(&world, "ExplicitDeny with an explicit deny in an identity-based policy");
    let web = World {
        action: "sts:AssumeRoleWithWebIdentity",
        ..assume(
            Who::Federated(PROVIDER),
            json!([web(&json!({})), {"Effect": "Deny", "Action": "sts:*", "Principal": {"AWS": "*"}}]),
        )
    };
    check(&web, "ExplicitDeny with an explicit deny in the role trust policy");
}

fn web(conditions: &Value) -> Value {
    json!({
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": PROVIDER},
        "Condition": conditions,
    })
}

#[test]
fn web_identities_need_their_provider_named() {
    let no_trust = "ImplicitDeny because no role trust policy allows the sts:AssumeRoleWithWebIdentity action";
    let ask = |trust: Value, sub: &str| {
        let mut world = World { action: "sts:AssumeRoleWithWebIdentity", ..assume(Who::Federated(PROVIDER), trust) };
        world.context.insert(KEY.to_owned(), json!(sub));
        world
    };
    let conditions = json!({"StringLike": {KEY: "repo:org/app:*"}});
    check(&ask(web(&conditions), "repo:org/app:ref:refs/heads/main"), ALLOWED);
    check(&ask(web(&conditions), "repo:other/app:ref:refs/heads/main"), no_trust);
    check(&ask(web(&json!({})), "anything"), ALLOWED);
    let anybody = |principal: Value| json!({"Effect": "Allow", "Action": "sts:*", "Principal": principal});
    check(&ask(anybody(json!("*")), "anything"), no_trust);
    check(&ask(anybody(json!({"AWS": "*"})), "anything"), no_trust);
    check(
        &ask(
            anybody(
                json!({"Federated": "arn:aws:iam::444455556666:oidc-provider/token.actions.githubusercontent.com"}),
            ),
            "anything",
        ),
        no_trust,
    );
    let service = World {
        who: Who::Service("ecr.amazonaws.com"),
        ..assume(
            Who::Anonymous,
            json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecr.amazonaws.com"}}),
        )
    };
    check(&service, ALLOWED);
}

#[test]
fn shared_issuers_need_a_condition_on_the_subject() {
    // Conditions, and whether they are enough.
    let cases = [
        (json!({}), false),
        (json!({"StringEquals": {KEY: "repo:org/app:ref:refs/heads/main"}}), true),
        (json!({"StringEquals": {KEY.to_uppercase(): "repo:org/app:ref:refs/heads/main"}}), true),
        (json!({"StringLike": {KEY: ["repo:org/app:*", "repo:org/web:*"]}}), true),
        (json!({"StringEqualsIgnoreCase": {KEY: "repo:org/app:x"}}), true),
        (json!({"ForAnyValue:StringLike": {KEY: "repo:org/*"}}), true),
        (json!({"StringLike": {KEY: "*"}}), false),
        (json!({"StringLike": {KEY: "?*:*"}}), false),
        (json!({"StringLike": {KEY: ["repo:org/app:*", "*"]}}), false),
        (json!({"StringLike": {KEY: format!("${{{KEY}}}")}}), false),
        (json!({"StringEqualsIfExists": {KEY: "repo:org/app:x"}}), false),
        (json!({"ForAllValues:StringEquals": {KEY: "repo:org/app:x"}}), false),
        (json!({"StringNotEquals": {KEY: "repo:org/app:x"}}), false),
        (json!({"Null": {KEY: "false"}}), false),
        (json!({"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}), false),
        (
            json!({"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}, "StringLike": {KEY: "repo:org/*"}}),
            true,
        ),
    ];
    for (conditions, enough) in cases {
        let policy = parse(PolicyKind::Trust, &json!([trusts(OWN), web(&conditions)]));
        let expected = if enough { None } else { Some(1) };
        assert_eq!(policy.web_identity_statements_without(PROVIDER, KEY, &|_, _| true), expected, "{conditions}");
        assert_eq!(
            policy.web_identity_statements_without(
                "arn:aws:iam::111122223333:oidc-provider/own.example",
                KEY,
                &|_, _| true
            ),
            None
        );
    }
    let mut denies = web(&json!({}));
    denies["Effect"] = json!("Deny");
    let mut other_action = web(&json!({}));
    other_action["Action"] = json!("sts:TagSession");
    let mut all_actions = web(&json!({}));
    all_actions["Action"] = json!("sts:Assume*");
    let policy = parse(PolicyKind::Trust, &json!([denies, other_action]));
    assert_eq!(policy.web_identity_statements_without(PROVIDER, KEY, &|_, _| true), None);
    let policy = parse(PolicyKind::Trust, &json!([denies, other_action, all_actions]));
    assert_eq!(policy.web_identity_statements_without(PROVIDER, KEY, &|_, _| true), Some(2));
}
