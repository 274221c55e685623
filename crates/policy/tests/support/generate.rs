//! Random requests with random policies, from few names, so that they meet.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::{OTHER, OWN, PROVIDER, ROLE, Who, World};

const PREFIX: &str = "arn:aws:ecr:eu-west-1:111122223333:repository/";

fn one_or_list(entries: Vec<&'static str>, most: usize) -> impl Strategy<Value = Value> {
    subsequence(entries, 1..=most).prop_map(|chosen| match chosen.as_slice() {
        [single] => json!(single),
        several => json!(several),
    })
}

fn actions() -> impl Strategy<Value = Value> {
    one_or_list(
        vec![
            "*",
            "ecr:*",
            "ecr:Put*",
            "ECR:putimage",
            "ecr:BatchGetImage",
            "ecr:*Image",
            "ecr:?utImage",
            "ecr:GetAuthorizationToken",
            "ecr:Set*",
            "ecr:DescribeImages",
        ],
        3,
    )
}

fn resources() -> impl Strategy<Value = Value> {
    one_or_list(
        vec![
            "*",
            "arn:aws:ecr:eu-west-1:111122223333:repository/a",
            "arn:aws:ecr:eu-west-1:111122223333:repository/a*",
            "arn:aws:ecr:eu-west-1:111122223333:repository/?",
            "arn:aws:ecr:*:111122223333:repository/a/*",
            "arn:aws:ecr:eu-*-1:*:repository/*",
            "arn:aws:ecr:us-east-1:*:repository/*",
            "arn:aws:ecr:*:*:repository/${aws:username}",
            "arn:aws:ecr:*:*:repository/${aws:username}/*",
            "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team, 'a'}",
            "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}/?",
            "arn:aws:ecr:*:*:repository/a${*}",
        ],
        3,
    )
}

fn principals() -> impl Strategy<Value = Value> {
    let names = vec![
        "*",
        OWN,
        OTHER,
        "arn:aws:iam::111122223333:root",
        "arn:aws:iam::444455556666:root",
        "arn:aws:iam::111122223333:user/ana",
        "arn:aws:iam::111122223333:user/ben",
        "arn:aws:iam::444455556666:user/ana",
        "arn:aws:iam::111122223333:role/ci",
        "arn:aws:iam::444455556666:role/ci",
        "arn:aws:sts::111122223333:assumed-role/ci/run",
        "arn:aws:sts::444455556666:assumed-role/ci/run",
        "arn:aws:sts::111122223333:assumed-role/ci/other",
    ];
    prop_oneof![
        1 => Just(json!("*")),
        7 => one_or_list(names, 2).prop_map(|names| json!({"AWS": names})),
        1 => Just(json!({"Service": "ecr.amazonaws.com", "AWS": OTHER})),
    ]
}

/// Operators, a key that they suit, and values.
fn condition() -> impl Strategy<Value = (String, &'static str, Value)> {
    let strings =
        || one_or_list(vec!["ana", "a", "AN*", "a*", "?na", "", "${aws:username}", "${aws:PrincipalTag/team}"], 3);
    let string = (
        select(vec!["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringLike", "StringNotLike"]),
        select(vec!["", "IfExists"]),
        select(vec!["aws:username", "AWS:PrincipalTag/team"]),
        strings(),
    )
        .prop_map(|(name, suffix, key, values)| (format!("{name}{suffix}"), key, values));
    let set = (
        select(vec!["ForAllValues:", "ForAnyValue:"]),
        select(vec!["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]),
        one_or_list(vec!["one", "two", "t*", "three"], 3),
    )
        .prop_map(|(set, name, values)| (format!("{set}{name}"), "aws:TagKeys", values));
    let number = (
        select(vec![
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEqualsIfExists",
        ]),
        one_or_list(vec!["0", "10", "300"], 2),
    )
        .prop_map(|(name, values)| (name.to_owned(), "aws:MultiFactorAuthAge", values));
    let date = (
        select(vec!["DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan"]),
        one_or_list(vec!["2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"], 2),
    )
        .prop_map(|(name, values)| (name.to_owned(), "aws:CurrentTime", values));
    let address = (
        select(vec!["IpAddress", "NotIpAddress", "NotIpAddressIfExists"]),
        one_or_list(vec!["203.0.113.0/24", "198.51.100.7", "128.0.0.0/1"], 2),
    )
        .prop_map(|(name, values)| (name.to_owned(), "aws:SourceIp", values));
    let arn = (
        select(vec!["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLikeIfExists"]),
        one_or_list(
            vec![
                "arn:aws:iam::*:user/ana",
                "arn:aws:iam::111122223333:user/*",
                "arn:*:iam::111122223333:role/ci",
                "arn:aws:iam::444455556666:user/${aws:username}",
            ],
            2,
        ),
    )
        .prop_map(|(name, values)| (name.to_owned(), "aws:PrincipalArn", values));
    let boolean = (select(vec!["Bool", "BoolIfExists"]), select(vec![json!("true"), json!("false")]))
        .prop_map(|(name, value)| (name.to_owned(), "aws:SecureTransport", value));
    let null = (
        select(vec!["aws:username", "aws:TagKeys", "aws:PrincipalTag/team", "aws:SourceIp"]),
        select(vec![json!("true"), json!("false")]),
    )
        .prop_map(|(key, value)| ("Null".to_owned(), key, value));
    prop_oneof![4 => string, 2 => set, 1 => number, 1 => date, 1 => address, 1 => arn, 1 => boolean, 1 => null]
}

fn conditions() -> impl Strategy<Value = Value> {
    vec(condition(), 1..3).prop_map(|conditions| {
        let mut operators = Map::new();
        for (name, key, values) in conditions {
            let keys = operators.entry(name).or_insert_with(|| json!({}));
            keys.as_object_mut().unwrap().insert(key.to_owned(), values);
        }
        Value::Object(operators)
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Identity,
    Repository,
    Registry,
    /// Identity policies of who assumes a role.
    Caller,
    Trust,
}

fn role_actions() -> impl Strategy<Value = Value> {
    one_or_list(vec!["sts:AssumeRole", "sts:*", "STS:assume*", "sts:TagSession", "sts:?ssumeRole"], 2)
}

fn role_resources() -> impl Strategy<Value = Value> {
    let patterns = vec![
        "*",
        ROLE,
        "arn:aws:iam::*:role/*",
        "arn:aws:iam::111122223333:role/t?rget",
        "arn:aws:iam::111122223333:role/${aws:username}",
        "arn:aws:iam::111122223333:role/${aws:PrincipalTag/team, 'target'}",
        "arn:aws:iam::444455556666:role/*",
    ];
    one_or_list(patterns, 2)
}

fn trusted() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => principals(),
        1 => Just(json!({"Federated": PROVIDER})),
        1 => Just(json!({"Federated": ["accounts.google.com", PROVIDER], "AWS": OWN})),
    ]
}

fn statement(kind: Kind) -> impl Strategy<Value = Value> {
    let resource = match kind {
        Kind::Repository => option::weighted(0.2, resources()).boxed(),
        Kind::Identity | Kind::Registry => resources().prop_map(Some).boxed(),
        Kind::Caller => role_resources().prop_map(Some).boxed(),
        Kind::Trust => Just(None).boxed(),
    };
    let (actions, principals) = match kind {
        Kind::Caller | Kind::Trust => (role_actions().boxed(), trusted().boxed()),
        _ => (actions().boxed(), principals().boxed()),
    };
    let elements = (actions, prop::bool::weighted(0.1), resource, prop::bool::weighted(0.1), principals);
    (elements, option::weighted(0.4, conditions()), prop::bool::weighted(0.25), prop::bool::weighted(0.1)).prop_map(
        move |((actions, not_action, resources, not_resource, principals), conditions, denies, not_principal)| {
            let mut statement = Map::new();
            statement.insert("Effect".into(), json!(if denies { "Deny" } else { "Allow" }));
            let not_action = not_action && kind != Kind::Trust;
            statement.insert(if not_action { "NotAction" } else { "Action" }.into(), actions);
            if let Some(resources) = resources {
                statement.insert(if not_resource { "NotResource" } else { "Resource" }.into(), resources);
            }
            if !matches!(kind, Kind::Identity | Kind::Caller) {
                let is_everyone = principals.to_string().contains("\"*\"");
                let not_principal = denies && not_principal && !is_everyone && kind != Kind::Trust;
                let name = if not_principal { "NotPrincipal" } else { "Principal" };
                statement.insert(name.into(), principals);
            }
            if let Some(conditions) = conditions {
                statement.insert("Condition".into(), conditions);
            }
            Value::Object(statement)
        },
    )
}

fn policy(kind: Kind) -> impl Strategy<Value = Value> {
    vec(statement(kind), 1..4).prop_map(Value::Array)
}

fn context() -> impl Strategy<Value = Map<String, Value>> {
    let text = |values: &[&'static str]| select(values.iter().map(|value| json!(value)).collect::<Vec<_>>());
    let keys = (
        option::weighted(0.7, text(&["ana", "ben", "AN*", "*", ""])),
        option::weighted(0.5, text(&["a", "ana", "a*", "Ana"])),
        option::weighted(0.6, subsequence(vec!["one", "two", "three"], 0..=3).prop_map(|list| json!(list))),
        option::weighted(0.6, text(&["0", "10", "10.5", "301"])),
        option::weighted(0.8, text(&["2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-06-01T00:00:01Z"])),
        option::weighted(0.8, text(&["203.0.113.9", "198.51.100.7", "192.0.2.1"])),
        option::weighted(0.8, text(&["true", "false"])),
    );
    keys.prop_map(|(username, team, tags, age, time, address, transport)| {
        [
            ("aws:username", username),
            ("aws:PrincipalTag/team", team),
            ("aws:TagKeys", tags),
            ("aws:MultiFactorAuthAge", age),
            ("aws:CurrentTime", time),
            ("aws:SourceIp", address),
            ("aws:SecureTransport", transport),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    })
}

/// A request to a registry.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let who = prop_oneof![
        4 => Just(Who::User(OWN, "ana")),
        4 => Just(Who::Session(OWN, "ci", "run")),
        1 => Just(Who::Root(OWN)),
        2 => Just(Who::User(OTHER, "ana")),
        2 => Just(Who::Session(OTHER, "ci", "run")),
        1 => Just(Who::Root(OTHER)),
        1 => Just(Who::Anonymous),
        1 => Just(Who::Service("ecr.amazonaws.com")),
    ];
    let action = select(vec![
        "ecr:PutImage",
        "ecr:PutImage",
        "ecr:BatchGetImage",
        "ecr:SetRepositoryPolicy",
        "ecr:GetAuthorizationToken",
    ]);
    let request = (who, action, select(vec!["a", "a/b", "ana", "ana/x", "b"]), context());
    let policies = (
        vec(policy(Kind::Identity), 0..3),
        option::weighted(0.3, policy(Kind::Identity)),
        vec(policy(Kind::Identity), 0..2),
        option::weighted(0.7, policy(Kind::Repository)),
        option::weighted(0.2, policy(Kind::Registry)),
    );
    (request, policies).prop_map(|((who, action, name, mut context), policies)| {
        let (identity, boundary, session, repository, registry) = policies;
        let is_session = matches!(who, Who::Session(..));
        let is_named = matches!(who, Who::User(..)) || is_session;
        if let Some(arn) = who.role_arn().or_else(|| is_named.then(|| who.arn())) {
            context.insert("aws:PrincipalArn".to_owned(), json!(arn));
        }
        let token = action == "ecr:GetAuthorizationToken";
        World {
            action,
            resource: if token { "*".to_owned() } else { format!("{PREFIX}{name}") },
            // A token is always for the caller's own registry.
            resource_account: who.account().filter(|_| token).unwrap_or(OWN),
            context,
            identity: if is_named { identity } else { Vec::new() },
            boundary: boundary.filter(|_| is_named),
            session: if is_session { session } else { Vec::new() },
            repository: repository.filter(|_| !token),
            registry,
            trust: None,
            who,
        }
    })
}

/// A request to assume a role.
pub(crate) fn role_world() -> impl Strategy<Value = World> {
    let who = prop_oneof![
        4 => Just(Who::User(OWN, "ana")),
        4 => Just(Who::Session(OWN, "ci", "run")),
        1 => Just(Who::Root(OWN)),
        2 => Just(Who::User(OTHER, "ana")),
        2 => Just(Who::Session(OTHER, "ci", "run")),
        1 => Just(Who::Root(OTHER)),
        1 => Just(Who::Anonymous),
        1 => Just(Who::Service("ecr.amazonaws.com")),
        2 => Just(Who::Federated(PROVIDER)),
    ];
    let policies = (
        vec(policy(Kind::Caller), 0..3),
        option::weighted(0.3, policy(Kind::Caller)),
        vec(policy(Kind::Caller), 0..2),
        policy(Kind::Trust),
    );
    (who, context(), policies).prop_map(|(who, context, (identity, boundary, session, trust))| {
        let is_session = matches!(who, Who::Session(..));
        let is_named = matches!(who, Who::User(..)) || is_session;
        World {
            action: "sts:AssumeRole",
            resource: ROLE.to_owned(),
            context,
            identity: if is_named { identity } else { Vec::new() },
            boundary: boundary.filter(|_| is_named),
            session: if is_session { session } else { Vec::new() },
            trust: Some(trust),
            who,
            ..World::default()
        }
    })
}

/// Any JSON, with the names of elements among its keys.
pub(crate) fn noise() -> impl Strategy<Value = Value> {
    let words = || {
        select(vec![
            "Version",
            "2012-10-17",
            "Id",
            "Statement",
            "Sid",
            "Effect",
            "Allow",
            "Deny",
            "Principal",
            "NotPrincipal",
            "AWS",
            "Action",
            "NotAction",
            "ecr:*",
            "sts:AssumeRole",
            "Resource",
            "*",
            "Condition",
            "StringLike",
            "ForAllValues:ArnLike",
            "Null",
            "aws:username",
            "${aws:username}",
            "${",
            "${a,'b'}",
            "true",
            OWN,
            "arn:aws:ecr:*:*:repository/${x}",
            "arn:aws:iam::111122223333:root",
            "é?*",
            "2026-01-01",
            "10.0.0.0/8",
            "",
        ])
    };
    let leaf = prop_oneof![6 => words().prop_map(Value::from), 1 => any::<i64>().prop_map(Value::from), 1 => Just(Value::Null)];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(words(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}
