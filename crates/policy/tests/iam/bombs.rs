//! Policies that are written to be expensive. No wall time is asserted here: a
//! matcher that is not linear would not end within the life of a test.

use ironwharf_policy::iam::{Policy, PolicyKind};
use serde_json::{Value, json};

use crate::support::World;

fn decide(statements: Value, context: Value) -> bool {
    let resource = format!("arn:aws:ecr:eu-west-1:111122223333:repository/{}b", "a".repeat(255));
    let context = context.as_object().unwrap().clone();
    World { resource, context, identity: vec![statements], ..World::default() }.decide().is_allowed()
}

#[test]
fn patterns_of_ten_kilobytes() {
    for pattern in [
        "*a".repeat(5_000),
        "*a*".repeat(3_300),
        format!("*{}c*", "a".repeat(10_000)),
        format!("{}c", "*a?".repeat(32)),
    ] {
        let resource = format!("arn:aws:ecr:*:*:repository/{pattern}c");
        let statement = json!({
            "Effect": "Allow", "Action": "*", "Resource": resource,
            "Condition": {"StringLike": {"aws:UserAgent": pattern}},
        });
        assert!(!decide(statement, json!({"aws:UserAgent": "a".repeat(1_000)})));
    }
}

#[test]
fn many_statements_lists_and_variables() {
    let statement = json!({"Effect": "Allow", "Action": "ecr:*x", "Resource": "*"});
    assert!(!decide(json!(vec![statement; 500]), json!({})));
    let list = |count: usize| {
        let entry = "${aws:a}${aws:a}";
        json!({
            "Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {"StringLike": {"aws:b": vec![entry; count]}},
        })
    };
    assert!(!decide(list(1_000), json!({"aws:a": "a".repeat(1_000), "aws:b": "b".repeat(1_000)})));
    let fault = |value: Value| {
        let text = json!({"Version": "2012-10-17", "Statement": value}).to_string();
        Policy::parse(&text, PolicyKind::Identity).unwrap_err().to_string()
    };
    assert_eq!(fault(list(1_001)), "Statement.Condition.StringLike.aws:b: must have at most 1000 entries");
    let marks = json!({"Effect": "Allow", "Action": "*", "Resource": format!("arn:aws:ecr:*:*:{}", "?a".repeat(65))});
    assert_eq!(fault(marks), "a policy has at most 64 question marks");
}

#[test]
fn messages_are_bounded() {
    let long = "x".repeat(20_000);
    for statement in [
        json!({"Effect": "Allow", "Action": long, "Resource": "*"}),
        json!({long.clone(): 1}),
        json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {long.clone(): [null]}}}),
        json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {long.clone(): {}}}),
    ] {
        let text = json!({"Statement": statement}).to_string();
        let fault = Policy::parse(&text, PolicyKind::Identity).unwrap_err().to_string();
        assert!(fault.chars().count() < 600, "{} characters", fault.chars().count());
        assert!(!fault.contains(char::is_control));
    }
}
