//! Policy variables. (IAM User Guide: Variables and tags.)

use serde_json::{Value, json};

use crate::support::World;

fn context() -> Value {
    json!({
        "aws:username": "ana",
        "aws:PrincipalTag/team": "*",
        "aws:PrincipalTag/empty": "",
        "aws:PrincipalTag/dollar": "${aws:username}",
        "aws:PrincipalTag/shift": ":111122223333:user/ana",
        "aws:PrincipalTag/upper": "ANA",
        "aws:TagKeys": ["ana"],
        "aws:SecureTransport": "true",
    })
}

fn world(version: &str, statement: Value, name: &str) -> World {
    World {
        resource: format!("arn:aws:ecr:eu-west-1:111122223333:repository/{name}"),
        context: context().as_object().unwrap().clone(),
        identity: vec![json!({"Version": version, "Statement": statement})],
        ..World::default()
    }
}

fn allows(statement: Value, name: &str) -> bool {
    world("2012-10-17", statement, name).decide().is_allowed()
}

/// Whether a Deny with these elements applies.
fn denies(mut statement: Value, name: &str) -> bool {
    statement["Effect"] = json!("Deny");
    let everything = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    !allows(json!([everything, statement]), name)
}

#[test]
fn in_resources() {
    // Pattern of the name, name, whether Allow applies, whether Deny does.
    let cases = [
        ("${aws:username}", "ana", true, true),
        ("${AWS:UserName}", "ana", true, true),
        ("${aws:username}/*", "ana/web", true, true),
        ("${aws:username}", "ben", false, false),
        ("team-${aws:username}-?", "team-ana-1", true, true),
        // A value is text, never a pattern, and never another variable.
        ("${aws:PrincipalTag/team}", "anything", false, false),
        ("${aws:PrincipalTag/team}", "*", true, true),
        ("${aws:PrincipalTag/dollar}", "ana", false, false),
        ("${aws:PrincipalTag/dollar}", "${aws:username}", true, true),
        // Empty is a value; missing is none.
        ("a${aws:PrincipalTag/empty}na", "ana", true, true),
        ("${aws:PrincipalTag/none}", "", false, true),
        ("${aws:PrincipalTag/none}*", "ana", false, true),
        ("${aws:PrincipalTag/none, 'ana'}", "ana", true, true),
        ("${aws:PrincipalTag/none,'ana'}", "ana", true, true),
        ("${aws:PrincipalTag/none, '*'}", "ana", false, false),
        ("${aws:PrincipalTag/none, ''}ana", "ana", true, true),
        ("${aws:username, 'ben'}", "ana", true, true),
        // A multivalued key has no one value, whatever its number of values.
        ("${aws:TagKeys}", "ana", false, true),
        ("${aws:TagKeys, 'ana'}", "ana", false, true),
        ("${*}", "*", true, true),
        ("${*}", "ana", false, false),
        ("a${?}a", "ana", false, false),
        ("a${?}a", "a?a", true, true),
        ("${$}{aws:username}", "${aws:username}", true, true),
        ("$", "$", true, true),
    ];
    for (pattern, name, allow, deny) in cases {
        let resource = format!("arn:aws:ecr:*:*:repository/{pattern}");
        let statement = json!({"Effect": "Allow", "Action": "*", "Resource": resource});
        assert_eq!(allows(statement.clone(), name), allow, "Allow {pattern} {name}");
        assert_eq!(denies(statement, name), deny, "Deny {pattern} {name}");
    }
}

#[test]
fn one_entry_without_a_value_leaves_the_others_alone() {
    let statement = json!({
        "Effect": "Allow", "Action": "*",
        "Resource": ["arn:aws:ecr:*:*:repository/${aws:none}", "arn:aws:ecr:*:*:repository/ana"],
    });
    assert!(allows(statement.clone(), "ana"));
    assert!(!allows(statement, "ben"));
    let not = json!({
        "Effect": "Allow", "Action": "*",
        "NotResource": ["arn:aws:ecr:*:*:repository/${aws:none}", "arn:aws:ecr:*:*:repository/ana"],
    });
    assert!(!allows(not.clone(), "ana"));
    assert!(!allows(not.clone(), "ben"), "what is excepted is not known, so nothing is granted");
    assert!(!denies(not.clone(), "ana"));
    assert!(denies(not, "ben"));
}

#[test]
fn in_conditions() {
    // Operator, key, value, whether Allow applies, whether Deny does.
    let cases = [
        ("StringEquals", "aws:username", "${aws:username}", true, true),
        ("StringEquals", "aws:PrincipalTag/upper", "${aws:username}", false, false),
        ("StringEqualsIgnoreCase", "aws:PrincipalTag/upper", "${aws:username}", true, true),
        ("StringNotEqualsIgnoreCase", "aws:PrincipalTag/upper", "${aws:username}", false, false),
        ("StringEquals", "aws:PrincipalTag/team", "${*}", true, true),
        ("StringEquals", "aws:username", "*", false, false),
        ("StringLike", "aws:username", "${*}", false, false),
        ("StringLike", "aws:username", "${aws:PrincipalTag/team}", false, false),
        ("StringLike", "aws:username", "a${aws:none, 'n'}?", true, true),
        ("StringEquals", "aws:username", "${aws:none}", false, true),
        ("StringNotEquals", "aws:username", "${aws:none}", false, true),
        ("StringEquals", "aws:none", "${aws:none}", false, false),
        ("StringEqualsIfExists", "aws:none", "${aws:none}", true, true),
        ("StringNotEquals", "aws:none", "${aws:username}", true, true),
        ("Bool", "aws:SecureTransport", "${aws:SecureTransport}", true, true),
        ("ArnLike", "aws:PrincipalArn", "${aws:PrincipalArn}", true, true),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/${aws:username}", true, true),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/${aws:none}", false, true),
        // The colons of a value do not make parts.
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam:${aws:PrincipalTag/shift}:*:*", false, false),
    ];
    for (operator, key, value, allow, deny) in cases {
        let statement =
            json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {key: value}}});
        let ask = |statement: Value| {
            let mut world = world("2012-10-17", statement, "a");
            world.context.insert("aws:PrincipalArn".into(), json!("arn:aws:iam::111122223333:user/ana"));
            world.decide().is_allowed()
        };
        assert_eq!(ask(statement.clone()), allow, "Allow {operator} {key} {value}");
        let mut deny_statement = statement;
        deny_statement["Effect"] = json!("Deny");
        let everything = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        assert_eq!(!ask(json!([everything, deny_statement])), deny, "Deny {operator} {key} {value}");
    }
}

#[test]
fn the_first_version_has_none() {
    let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:ecr:*:*:repository/${aws:username}"});
    assert!(!world("2008-10-17", statement.clone(), "ana").decide().is_allowed());
    assert!(world("2008-10-17", statement.clone(), "${aws:username}").decide().is_allowed());
    let without_version = json!({"Statement": statement});
    let world = World { identity: vec![without_version], ..world("2008-10-17", json!({}), "ana") };
    assert!(!world.decide().is_allowed());
    // Not even where the text would be no variable.
    let odd = json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:ecr:*:*:repository/${"});
    assert!(self::world("2008-10-17", odd, "${").decide().is_allowed());
}

#[test]
fn missing_keys_are_reported() {
    let statement = json!([
        {
            "Effect": "Allow", "Action": "ecr:*", "Resource": "arn:aws:ecr:*:*:repository/${aws:none}",
            "Condition": {"StringEquals": {"aws:username": "ana", "AWS:None": "a", "aws:other": "${aws:third}"}},
        },
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:unasked": "true"}}},
    ]);
    let mut missing = world("2012-10-17", statement, "a").decide().missing_context;
    missing.sort();
    assert_eq!(missing, ["aws:none", "aws:other", "aws:third"]);
}
