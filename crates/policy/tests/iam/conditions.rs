//! Condition operators. (IAM User Guide: Condition operators; Creating a
//! condition with multiple keys or values.)

use serde_json::{Value, json};

use crate::support::World;

/// Whether an Allow with these conditions applies, and whether a Deny does.
fn holds(conditions: &Value, context: &Value) -> (bool, bool) {
    let ask = |effect: &str| {
        let everything = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        let statement = json!({"Effect": effect, "Action": "*", "Resource": "*", "Condition": conditions});
        let identity = if effect == "Deny" { json!([everything, statement]) } else { statement };
        let context = context.as_object().unwrap().clone();
        World { context, identity: vec![identity], ..World::default() }.decide().is_allowed()
    };
    (ask("Allow"), !ask("Deny"))
}

/// Operator, value of the policy, value of the request (`null`: missing), expected.
fn check(cases: &[(&str, Value, Value, bool)]) {
    for (operator, wanted, given, expected) in cases {
        let context = if given.is_null() { json!({}) } else { json!({"aws:Key": given}) };
        let result = holds(&json!({*operator: {"aws:key": wanted}}), &context);
        assert_eq!(result, (*expected, *expected), "{operator} {wanted} against {given}");
    }
}

#[test]
fn strings() {
    check(&[
        ("StringEquals", json!("a"), json!("a"), true),
        ("StringEquals", json!("a"), json!("A"), false),
        ("StringEquals", json!("a*"), json!("ab"), false),
        ("StringEquals", json!("a*"), json!("a*"), true),
        ("StringEquals", json!(["a", "b"]), json!("b"), true),
        ("StringEquals", json!(["a", "b"]), json!("c"), false),
        ("StringEquals", json!("a"), json!(""), false),
        ("StringEquals", json!(""), json!(""), true),
        ("StringEquals", json!("a"), json!(null), false),
        ("StringEquals", json!("10"), json!("10"), true),
        ("StringEquals", json!(true), json!("true"), true),
        ("StringNotEquals", json!("a"), json!("b"), true),
        ("StringNotEquals", json!("a"), json!("a"), false),
        ("StringNotEquals", json!(["a", "b"]), json!("b"), false),
        ("StringNotEquals", json!(["a", "b"]), json!("c"), true),
        ("StringNotEquals", json!("a"), json!(null), true),
        ("StringEqualsIgnoreCase", json!("Straße"), json!("STRAßE"), true),
        ("StringEqualsIgnoreCase", json!("a*"), json!("AB"), false),
        ("StringNotEqualsIgnoreCase", json!("a"), json!("A"), false),
        ("StringNotEqualsIgnoreCase", json!("a"), json!("b"), true),
        ("StringLike", json!("a*c"), json!("abbc"), true),
        ("StringLike", json!("a*c"), json!("ac"), true),
        ("StringLike", json!("a?c"), json!("ac"), false),
        ("StringLike", json!("a?c"), json!("aéc"), true),
        ("StringLike", json!("a*"), json!("A"), false),
        ("StringLike", json!("*"), json!(""), true),
        ("StringLike", json!("*"), json!(null), false),
        ("StringLike", json!(["x*", "*y"]), json!("ay"), true),
        ("StringNotLike", json!("a*"), json!("ab"), false),
        ("StringNotLike", json!(["a*", "b*"]), json!("c"), true),
        ("StringNotLike", json!("a*"), json!(null), true),
    ]);
}

#[test]
fn if_exists() {
    check(&[
        ("StringEqualsIfExists", json!("a"), json!(null), true),
        ("StringEqualsIfExists", json!("a"), json!("a"), true),
        ("StringEqualsIfExists", json!("a"), json!("b"), false),
        ("StringNotEqualsIfExists", json!("a"), json!(null), true),
        ("StringNotEqualsIfExists", json!("a"), json!("a"), false),
        ("NumericLessThanIfExists", json!("5"), json!(null), true),
        ("BoolIfExists", json!("true"), json!("false"), false),
        ("IpAddressIfExists", json!("10.0.0.0/8"), json!(null), true),
        ("ForAnyValue:StringEqualsIfExists", json!("a"), json!(null), true),
        ("ForAnyValue:StringEqualsIfExists", json!("a"), json!(["b"]), false),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("NumericEquals", json!("10"), json!("10.0"), true),
        ("NumericEquals", json!(10), json!("10"), true),
        ("NumericEquals", json!("10"), json!("ten"), false),
        ("NumericNotEquals", json!("10"), json!("11"), true),
        ("NumericNotEquals", json!(["10", "11"]), json!("11"), false),
        ("NumericNotEquals", json!("10"), json!("ten"), true),
        ("NumericLessThan", json!("10"), json!("9.99"), true),
        ("NumericLessThan", json!("10"), json!("10"), false),
        ("NumericLessThan", json!("10"), json!("-100"), true),
        ("NumericLessThan", json!("9"), json!("10"), false),
        ("NumericLessThanEquals", json!("10"), json!("10"), true),
        ("NumericGreaterThan", json!("10"), json!("10"), false),
        ("NumericGreaterThan", json!(["20", "10"]), json!("11"), true),
        ("NumericGreaterThanEquals", json!("10"), json!("10"), true),
        ("NumericGreaterThanEquals", json!("10"), json!(null), false),
    ]);
}

#[test]
fn dates() {
    check(&[
        ("DateEquals", json!("2026-01-01T00:00:00Z"), json!("1767225600"), true),
        ("DateEquals", json!("2026-01-01"), json!("2026-01-01T01:00:00+01:00"), true),
        ("DateNotEquals", json!("2026-01-01"), json!("2026-01-01T00:00:00Z"), false),
        ("DateNotEquals", json!("2026-01-01"), json!("never"), true),
        ("DateLessThan", json!("2026-01-01T00:00:00Z"), json!("2025-12-31T23:59:59Z"), true),
        ("DateLessThan", json!("2026-01-01T00:00:00Z"), json!("2026-01-01T00:00:00Z"), false),
        ("DateLessThan", json!("2026-01-01T00:00:00Z"), json!(null), false),
        ("DateLessThanEquals", json!("2026-01-01T00:00:00Z"), json!("2026-01-01T00:00:00Z"), true),
        ("DateGreaterThan", json!(1_767_225_600), json!("2026-01-01T00:00:00.001Z"), true),
        ("DateGreaterThanEquals", json!("2026"), json!("2026-01-01T00:00:00Z"), true),
        ("DateGreaterThan", json!("2026"), json!("never"), false),
    ]);
}

#[test]
fn booleans_binaries_and_absence() {
    check(&[
        ("Bool", json!("true"), json!("true"), true),
        ("Bool", json!(true), json!("TRUE"), true),
        ("Bool", json!("false"), json!("true"), false),
        ("Bool", json!("false"), json!(null), false),
        ("Bool", json!(["true", "false"]), json!("false"), true),
        ("BinaryEquals", json!("QmluYXJ5"), json!("QmluYXJ5"), true),
        ("BinaryEquals", json!("QmluYXJ5"), json!("qmluyxj5"), false),
        ("BinaryEquals", json!("QmluYXJ5"), json!("Binary"), false),
        ("BinaryEquals", json!("QmluYXJ5"), json!(null), false),
        ("Null", json!("true"), json!(null), true),
        ("Null", json!("true"), json!([]), true),
        ("Null", json!("true"), json!("a"), false),
        ("Null", json!("false"), json!("a"), true),
        ("Null", json!("false"), json!(["a", "b"]), true),
        ("Null", json!("false"), json!(""), true),
        ("Null", json!(false), json!(null), false),
    ]);
}

#[test]
fn addresses() {
    check(&[
        ("IpAddress", json!("203.0.113.0/24"), json!("203.0.113.99"), true),
        ("IpAddress", json!("203.0.113.0/24"), json!("203.0.114.1"), false),
        ("IpAddress", json!(["203.0.113.0/24", "2001:DB8::/32"]), json!("2001:db8::1"), true),
        ("IpAddress", json!("0.0.0.0/0"), json!("no address"), false),
        ("IpAddress", json!("0.0.0.0/0"), json!(null), false),
        ("NotIpAddress", json!("203.0.113.0/24"), json!("203.0.113.1"), false),
        ("NotIpAddress", json!("203.0.113.0/24"), json!("::ffff:203.0.113.1"), false),
        ("NotIpAddress", json!(["203.0.113.0/24", "10.0.0.0/8"]), json!("192.0.2.1"), true),
        ("NotIpAddress", json!("203.0.113.0/24"), json!(null), true),
    ]);
}

#[test]
fn arns_are_compared_part_by_part() {
    let document = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt";
    check(&[
        ("StringLike", json!("arn:aws:someservice:*:111122223333:finance/*"), json!(document), true),
        ("ArnLike", json!("arn:aws:someservice:*:111122223333:finance/*"), json!(document), false),
        ("ArnLike", json!("arn:aws:someservice:*:9*9:store/*:finance/*"), json!(document), true),
        ("ArnEquals", json!("arn:aws:someservice:*:9*9:store/*"), json!(document), true),
        ("ArnNotEquals", json!("arn:aws:someservice:*:9*9:store/*"), json!(document), false),
        ("ArnNotLike", json!("arn:aws:other:*:*:*"), json!(document), true),
        ("ArnNotLike", json!("arn:aws:other:*:*:*"), json!(null), true),
        ("ArnLike", json!("arn:aws:iam::*:role/*"), json!("arn:aws:iam::111122223333:role/ci"), true),
        ("ArnLike", json!("ARN:aws:iam::*:role/*".to_lowercase()), json!("arn:aws:iam::111122223333:Role/ci"), false),
        ("ArnLike", json!("arn:aws:*:*:*:*"), json!("not an arn"), false),
        ("ArnNotLike", json!("arn:aws:*:*:*:*"), json!("not an arn"), true),
        ("ArnLike", json!("*"), json!("arn:aws:iam::111122223333:role/ci"), true),
        ("ArnLike", json!("*"), json!(null), false),
    ]);
}

#[test]
fn several_values_with_a_set_operator() {
    check(&[
        ("ForAllValues:StringEquals", json!(["a", "b"]), json!(["a", "b"]), true),
        ("ForAllValues:StringEquals", json!(["a", "b"]), json!(["a"]), true),
        ("ForAllValues:StringEquals", json!(["a", "b"]), json!(["a", "c"]), false),
        ("ForAllValues:StringEquals", json!(["a", "b"]), json!([]), true),
        ("ForAllValues:StringEquals", json!(["a", "b"]), json!(null), true),
        ("ForAllValues:StringEquals", json!(["a", "b"]), json!([""]), true),
        ("ForAllValues:StringEquals", json!("a"), json!("a"), true),
        ("ForAllValues:StringNotEquals", json!(["a", "b"]), json!(["c", "d"]), true),
        ("ForAllValues:StringNotEquals", json!(["a", "b"]), json!(["c", "a"]), false),
        ("ForAllValues:StringNotEquals", json!(["a", "b"]), json!(null), true),
        ("ForAllValues:StringLike", json!("a*"), json!(["ab", "ac"]), true),
        ("ForAnyValue:StringEquals", json!(["a", "b"]), json!(["b", "c"]), true),
        ("ForAnyValue:StringEquals", json!(["a", "b"]), json!(["c"]), false),
        ("ForAnyValue:StringEquals", json!(["a", "b"]), json!([]), false),
        ("ForAnyValue:StringEquals", json!(["a", "b"]), json!(null), false),
        ("ForAnyValue:StringEquals", json!(["a", ""]), json!([""]), false),
        ("ForAnyValue:StringNotEquals", json!(["a", "b"]), json!(["a", "c"]), true),
        ("ForAnyValue:StringNotEquals", json!(["a", "b"]), json!(["a", "b"]), false),
        ("ForAnyValue:StringNotEquals", json!(["a", "b"]), json!(null), false),
        ("ForAnyValue:ArnLike", json!("arn:aws:*:*:*:b"), json!(["x", "arn:aws:a:::b"]), true),
        ("ForAnyValue:NumericLessThan", json!("5"), json!(["9", "4"]), true),
    ]);
}

#[test]
fn several_values_without_a_set_operator_decide_nothing() {
    for (operator, wanted) in
        [("StringEquals", "a"), ("StringNotEquals", "x"), ("StringLike", "*"), ("StringEqualsIfExists", "a")]
    {
        let result = holds(&json!({operator: {"aws:key": wanted}}), &json!({"aws:key": ["a", "b"]}));
        assert_eq!(result, (false, true), "{operator}: an Allow must not apply, a Deny must");
    }
    // What matters is the number of values in the request.
    check(&[
        ("StringEquals", json!("a"), json!(["a"]), true),
        ("StringEquals", json!("a"), json!(["b"]), false),
        ("StringEquals", json!("a"), json!([]), false),
        ("StringNotEquals", json!("a"), json!([]), true),
    ]);
}

#[test]
fn operators_and_keys_are_all_needed() {
    let conditions = json!({
        "StringEquals": {"aws:a": ["1", "2"], "aws:b": "3"},
        "Bool": {"aws:c": "true"},
    });
    let cases = [
        (json!({"aws:a": "2", "AWS:B": "3", "aws:C": "true"}), true),
        (json!({"aws:a": "2", "aws:b": "4", "aws:c": "true"}), false),
        (json!({"aws:a": "2", "aws:b": "3", "aws:c": "false"}), false),
        (json!({"aws:a": "2", "aws:b": "3"}), false),
        (json!({}), false),
    ];
    for (context, expected) in cases {
        assert_eq!(holds(&conditions, &context), (expected, expected), "{context}");
    }
    assert_eq!(holds(&json!({}), &json!({})), (true, true));
}

#[test]
fn values_too_long_to_compare_decide_nothing() {
    let long = "a".repeat(1_025);
    let context = json!({"aws:key": long, "aws:username": long});
    for conditions in [
        json!({"StringLike": {"aws:key": "*"}}),
        json!({"StringNotEquals": {"aws:key": "b"}}),
        json!({"ForAnyValue:StringEquals": {"aws:key": "a"}}),
    ] {
        assert_eq!(holds(&conditions, &context), (false, true), "{conditions}");
    }
    let short = json!({"aws:key": "a", "aws:username": long});
    assert_eq!(holds(&json!({"StringNotEquals": {"aws:key": "${aws:username}"}}), &short), (false, true));
}
