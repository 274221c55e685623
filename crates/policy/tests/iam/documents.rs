//! Which documents are accepted, and where the others are at fault.

use ironwharf_policy::iam::{Policy, PolicyKind, Position, StatementEffect};
use serde_json::{Value, json};

use crate::support::document;

fn refusal(kind: PolicyKind, document: &Value) -> String {
    match Policy::parse(&document.to_string(), kind) {
        Ok(_) => "accepted".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

/// A statement that is valid for the kind, with some elements replaced; `null` removes one.
fn statement(kind: PolicyKind, changes: &Value) -> Value {
    let mut statement = match kind {
        PolicyKind::Identity => json!({"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*"}),
        PolicyKind::Trust => json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}),
        PolicyKind::Repository => json!({"Effect": "Allow", "Action": "ecr:PutImage", "Principal": "*"}),
        PolicyKind::Registry => {
            json!({"Effect": "Allow", "Action": "ecr:PutImage", "Principal": "*", "Resource": "*"})
        }
    };
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            statement.as_object_mut().unwrap().remove(key);
        } else {
            statement[key] = value.clone();
        }
    }
    statement
}

use PolicyKind::{Identity, Registry, Repository, Trust};

#[test]
fn documents() {
    let good = statement(Identity, &json!({}));
    let many = vec![good.clone(); 501];
    let cases = [
        (json!({"Statement": good}), "accepted"),
        (json!({"Statement": [good]}), "accepted"),
        (json!({"Version": "2008-10-17", "Id": "any text", "Statement": [good, good]}), "accepted"),
        (json!([]), "must be an object"),
        (json!("text"), "must be an object"),
        (json!({}), "needs a Statement"),
        (json!({"Statement": []}), "Statement: must have from 1 to 500 entries"),
        (json!({"Statement": many}), "Statement: must have from 1 to 500 entries"),
        (json!({"Statement": null}), "Statement: must be an object"),
        (json!({"Statement": [[good]]}), "Statement[0]: must be an object"),
        (json!({"Version": "2012-10-18", "Statement": good}), "Version: must be 2012-10-17 or 2008-10-17"),
        (json!({"Version": 2012, "Statement": good}), "Version: must be 2012-10-17 or 2008-10-17"),
        (json!({"Id": 1, "Statement": good}), "Id: must be a string"),
        (json!({"statement": good}), "statement: is not a known element"),
        (json!({"Statement": good, "Comment": ""}), "Comment: is not a known element"),
    ];
    for (document, expected) in cases {
        assert_eq!(refusal(Identity, &document), expected, "{document}");
    }
}

#[test]
fn text_that_is_not_one_json_document() {
    let cases = [
        ("", "invalid JSON at offset 0: EOF while parsing a value"),
        ("\u{feff}{}", "unexpected byte order mark at offset 0"),
        ("{} {}", "trailing characters at offset 3"),
        (r#"{"Statement":[{"Effect":"Deny","Effect":"Allow"}]}"#, "duplicate key 'Statement[0].Effect'"),
        (r#"{"Statement":{"Effect":"Deny","\u0045ffect":"Allow"}}"#, "duplicate key 'Statement.Effect'"),
    ];
    for (text, expected) in cases {
        assert_eq!(Policy::parse(text, Identity).unwrap_err().to_string(), expected, "{text}");
    }
    let deep = "[".repeat(100) + &"]".repeat(100);
    assert!(Policy::parse(&deep, Identity).unwrap_err().reason.contains("nesting deeper"));
    let fault = Policy::parse(&" ".repeat(40_000), Identity).unwrap_err();
    assert_eq!(fault.to_string(), "a policy has at most 32768 bytes");
}

#[test]
fn statements() {
    let cases = [
        (Identity, json!({}), "accepted"),
        (Trust, json!({}), "accepted"),
        (Repository, json!({}), "accepted"),
        (Registry, json!({}), "accepted"),
        (Identity, json!({"Effects": "Allow"}), "Statement[0].Effects: is not a known element"),
        (Identity, json!({"Effect": null}), "Statement[0]: needs an Effect"),
        (Identity, json!({"Effect": "allow"}), "Statement[0].Effect: must be Allow or Deny"),
        (Identity, json!({"Effect": ["Allow"]}), "Statement[0].Effect: must be Allow or Deny"),
        (Identity, json!({"Action": null}), "Statement[0]: needs an Action or a NotAction"),
        (Identity, json!({"NotAction": "ecr:*"}), "Statement[0]: has both Action and NotAction"),
        (Identity, json!({"Action": []}), "Statement[0].Action: must not be empty"),
        (Identity, json!({"Action": 1}), "Statement[0].Action: must be a string"),
        (Identity, json!({"Action": ["ecr:*", {}]}), "Statement[0].Action[1]: must be a string"),
        (Identity, json!({"Resource": null}), "Statement[0]: needs a Resource or a NotResource"),
        (Identity, json!({"NotResource": "*"}), "Statement[0]: has both Resource and NotResource"),
        (Identity, json!({"Resource": []}), "Statement[0].Resource: must not be empty"),
        (
            Identity,
            json!({"Principal": "*"}),
            "Statement[0]: must not name a principal: the policy is about whom it is attached to",
        ),
        (Trust, json!({"Principal": null}), "Statement[0]: needs a Principal"),
        (Repository, json!({"Principal": null}), "Statement[0]: needs a Principal"),
        (Registry, json!({"Principal": null}), "Statement[0]: needs a Principal"),
        (Registry, json!({"Resource": null}), "Statement[0]: needs a Resource or a NotResource"),
        (Repository, json!({"Resource": "*"}), "accepted"),
        (Trust, json!({"Resource": "*"}), "Statement[0]: must not name a Resource: a trust policy is about its role"),
        (Repository, json!({"NotPrincipal": "*"}), "Statement[0]: has both Principal and NotPrincipal"),
        (
            Repository,
            json!({"Principal": null, "NotPrincipal": {"AWS": "111122223333"}}),
            "Statement[0].NotPrincipal: is only accepted with the Effect Deny",
        ),
        (Repository, json!({"Principal": null, "NotPrincipal": {"AWS": "111122223333"}, "Effect": "Deny"}), "accepted"),
        (
            Trust,
            json!({"Principal": null, "NotPrincipal": {"AWS": "111122223333"}, "Effect": "Deny"}),
            "Statement[0].NotPrincipal: is not for trust policies",
        ),
        (
            Registry,
            json!({"Principal": null, "NotPrincipal": {"AWS": ["111122223333", "*"]}, "Effect": "Deny"}),
            "Statement[0].NotPrincipal: must not be '*': it would be about nobody",
        ),
    ];
    for (kind, changes, expected) in cases {
        let document = json!({"Statement": [statement(kind, &changes)]});
        assert_eq!(refusal(kind, &document), expected, "{kind:?} {changes}");
    }
}

#[test]
fn sids() {
    let named = |kind, first: &str, second: &str| {
        let with = |sid: &str| statement(kind, &json!({"Sid": sid}));
        refusal(kind, &json!({"Statement": [with(first), with(second)]}))
    };
    for kind in [Identity, Trust] {
        assert_eq!(named(kind, "One1", "Two"), "accepted");
        assert_eq!(named(kind, "", ""), "accepted");
        assert_eq!(named(kind, "One", "One"), "Statement[1].Sid: 'One' is not unique");
        assert_eq!(named(kind, "One", "new policy"), "Statement[1].Sid: must have letters and digits only");
        assert_eq!(named(kind, "é", "Two"), "Statement[0].Sid: must have letters and digits only");
    }
    for kind in [Repository, Registry] {
        assert_eq!(named(kind, "new policy", "new policy"), "accepted");
    }
    assert_eq!(
        refusal(Repository, &json!({"Statement": statement(Repository, &json!({"Sid": 1}))})),
        "Statement.Sid: must be a string"
    );
}

#[test]
fn actions() {
    let cases = [
        (Identity, "*", true),
        (Identity, "s3:Get*", true),
        (Identity, "execute-api:Invoke", true),
        (Identity, "ecr:?ut*", true),
        (Identity, "", false),
        (Identity, "**", false),
        (Identity, "ecr", false),
        (Identity, "ecr:", false),
        (Identity, ":PutImage", false),
        (Identity, "ec*:PutImage", false),
        (Identity, "*:*", false),
        (Identity, "ecr:Put Image", false),
        (Identity, "ecr:PutImage ", false),
        (Identity, "ecr:Put:Image", false),
        (Identity, "ecr:${aws:username}", false),
        (Repository, "*", true),
        (Repository, "ecr:*", true),
        (Repository, "ECR:PutImage", true),
        (Repository, "s3:*", false),
        (Repository, "ecr-public:PutImage", false),
        (Registry, "ecr:ReplicateImage", true),
        (Registry, "iam:PassRole", false),
        (Trust, "sts:AssumeRoleWithWebIdentity", true),
        (Trust, "sts:*", true),
        (Trust, "*", false),
        (Trust, "ecr:*", false),
    ];
    for (kind, action, accepted) in cases {
        let refusal = refusal(kind, &json!({"Statement": statement(kind, &json!({"Action": [action]}))}));
        assert_eq!(refusal == "accepted", accepted, "{kind:?} {action}: {refusal}");
        assert!(accepted || refusal.starts_with("Statement.Action[0]: "), "{refusal}");
    }
    let not = statement(Trust, &json!({"Action": null, "NotAction": "sts:TagSession"}));
    assert_eq!(refusal(Trust, &json!({"Statement": not})), "Statement.NotAction: a trust policy must name its actions");
}

#[test]
fn resources() {
    let cases = [
        ("*", true),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/a", true),
        ("arn:*:ecr:*:*:*", true),
        ("arn:aws:ecr:eu-west-?:1111*:repository/${aws:username}/*", true),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/${aws:PrincipalTag/team, 'a:b'}", true),
        ("arn:aws:s3:::bucket/key", true),
        ("", false),
        ("**", false),
        ("repository/a", false),
        ("arn:aws:ecr:eu-west-1:111122223333", false),
        ("arn:aws:ecr:*", false),
        ("urn:aws:ecr:eu-west-1:111122223333:repository/a", false),
        ("arn:aws:*:eu-west-1:111122223333:repository/a", false),
        ("arn:aws:ec?:eu-west-1:111122223333:repository/a", false),
        ("arn:aws::eu-west-1:111122223333:repository/a", false),
        ("arn:aws:ecr:${aws:RequestedRegion}:111122223333:repository/a", false),
        ("arn:aws:ecr:eu-west-1:${aws:PrincipalAccount}:repository/a", false),
        ("${aws:username}", false),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/${aws:username", false),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/${}", false),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/${a${b}}", false),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/${a, b}", false),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/${a, 'b}", false),
    ];
    for (resource, accepted) in cases {
        let refusal = refusal(Identity, &document(&statement(Identity, &json!({"Resource": resource}))));
        assert_eq!(refusal == "accepted", accepted, "{resource}: {refusal}");
    }
}

#[test]
fn principals() {
    let cases = [
        (Repository, json!("*"), true),
        (Repository, json!({"AWS": "*"}), true),
        (Repository, json!({"AWS": ["111122223333", "arn:aws:iam::111122223333:root"]}), true),
        (Repository, json!({"AWS": "arn:aws:iam::111122223333:user/path/ana"}), true),
        (Repository, json!({"AWS": "arn:aws:iam::111122223333:role/path/ci"}), true),
        (Repository, json!({"AWS": "arn:aws:sts::111122223333:assumed-role/ci/run"}), true),
        (Repository, json!({"AWS": "arn:aws-us-gov:iam::111122223333:user/ana"}), true),
        (Repository, json!({"Service": "ecr.amazonaws.com", "AWS": "111122223333"}), true),
        (Repository, json!({"CanonicalUser": "a".repeat(64)}), true),
        (Repository, json!("111122223333"), false),
        (Repository, json!({}), false),
        (Repository, json!([]), false),
        (Repository, json!(["*"]), false),
        (Repository, json!({"AWS": []}), false),
        (Repository, json!({"AWS": ""}), false),
        (Repository, json!({"AWS": 111_122_223_333_u64}), false),
        (Repository, json!({"aws": "111122223333"}), false),
        (Repository, json!({"AWS": "11112222333"}), false),
        (Repository, json!({"AWS": "1111*"}), false),
        (Repository, json!({"AWS": "arn:aws:iam::*:root"}), false),
        (Repository, json!({"AWS": "arn:aws:iam::111122223333:user/*"}), false),
        (Repository, json!({"AWS": "arn:aws:iam::111122223333:user/an?"}), false),
        (Repository, json!({"AWS": "arn:aws:sts::111122223333:assumed-role/ci/*"}), false),
        (Repository, json!({"AWS": "arn:aws:sts::111122223333:assumed-role/ci"}), false),
        (Repository, json!({"AWS": "arn:aws:sts::111122223333:assumed-role/ci/a/b"}), false),
        (Repository, json!({"AWS": "arn:aws:iam::111122223333:group/all"}), false),
        (Repository, json!({"AWS": "arn:aws:iam::111122223333:user/"}), false),
        (Repository, json!({"AWS": "arn:aws:iam:eu-west-1:111122223333:user/ana"}), false),
        (Repository, json!({"AWS": "AIDAEXAMPLE"}), false),
        (Repository, json!({"AWS": "arn:aws:iam::111122223333:user/${aws:username}"}), false),
        (Repository, json!({"Service": "*"}), false),
        (Repository, json!({"Service": "ecr"}), false),
        (Repository, json!({"Federated": "arn:aws:iam::111122223333:oidc-provider/a.example"}), false),
        (Repository, json!({"CanonicalUser": "short"}), false),
        (Trust, json!({"Federated": "arn:aws:iam::111122223333:oidc-provider/a.example/path"}), true),
        (Trust, json!({"Federated": "arn:aws:iam::111122223333:saml-provider/corp"}), true),
        (Trust, json!({"Federated": "accounts.google.com"}), true),
        (Trust, json!({"Federated": "*"}), false),
        (Trust, json!({"Federated": "arn:aws:iam::111122223333:oidc-provider/*"}), false),
        (Trust, json!({"Federated": "arn:aws:iam::111122223333:user/ana"}), false),
        (Trust, json!({"CanonicalUser": "a".repeat(64)}), false),
    ];
    for (kind, principal, accepted) in cases {
        let refusal = refusal(kind, &document(&statement(kind, &json!({"Principal": principal}))));
        assert_eq!(refusal == "accepted", accepted, "{kind:?} {principal}: {refusal}");
        assert!(accepted || refusal.starts_with("Statement.Principal"), "{refusal}");
    }
}

#[test]
fn conditions() {
    let cases = [
        (json!({}), "accepted"),
        (json!({"StringEquals": {"a:b": "c"}}), "accepted"),
        (json!({"stringequals": {"a:b": ["c"]}}), "accepted"),
        (json!({"ForAnyValue:StringLikeIfExists": {"a:b": "c"}}), "accepted"),
        (json!({"Bool": {"a:b": true}, "NumericLessThan": {"a:b": 10.5}}), "accepted"),
        (json!({"Bool": {"a:b": "${a:c}"}}), "accepted"),
        (json!({"Null": {"a:b": true}}), "accepted"),
        (json!({"ArnLike": {"a:b": ["*", "${aws:PrincipalArn}", "arn:aws:iam::*:role/*"]}}), "accepted"),
        (json!([]), "Condition: must be an object"),
        (json!({"StringEquals": "c"}), "Condition.StringEquals: must be an object"),
        (json!({"StringEquals": {}}), "Condition.StringEquals: must not be empty"),
        (json!({"StringEquals": {"a:b": []}}), "Condition.StringEquals.a:b: must not be empty"),
        (
            json!({"StringEquals": {"a:b": ["c", null]}}),
            "Condition.StringEquals.a:b[1]: must be a string, a number or a boolean",
        ),
        (json!({"StringEquals": {"": "c"}}), "Condition.StringEquals: '' is not a condition key"),
        (json!({"StringIs": {"a:b": "c"}}), "Condition: 'StringIs' is not a condition operator"),
        (
            json!({"ForSomeValues:StringEquals": {"a:b": "c"}}),
            "Condition: 'ForSomeValues:StringEquals' is not a condition operator",
        ),
        (json!({"NullIfExists": {"a:b": "true"}}), "Condition: Null takes neither a set operator nor IfExists"),
        (json!({"ForAllValues:Null": {"a:b": "true"}}), "Condition: Null takes neither a set operator nor IfExists"),
        (json!({"Null": {"a:b": "yes"}}), "Condition.Null.a:b: 'yes' must be true or false"),
        (json!({"Bool": {"a:b": "1"}}), "Condition.Bool.a:b: '1' must be true or false"),
        (json!({"NumericEquals": {"a:b": "${a:c}"}}), "Condition.NumericEquals.a:b: '${a:c}' is not a number"),
        (json!({"DateLessThan": {"a:b": "tomorrow"}}), "Condition.DateLessThan.a:b: 'tomorrow' is not a date"),
        (json!({"IpAddress": {"a:b": "${a:c}"}}), "Condition.IpAddress.a:b: '${a:c}' is not an IP address or range"),
        (json!({"BinaryEquals": {"a:b": "?"}}), "Condition.BinaryEquals.a:b: '?' is not a Base64 text"),
        (
            json!({"ArnEquals": {"a:b": "user/ana"}}),
            "Condition.ArnEquals.a:b: 'user/ana' must be '*' or an ARN with its six parts",
        ),
        (json!({"StringEquals": {"a:b": "${c"}}), "Condition.StringEquals.a:b: '${c' has a '${' without a '}'"),
        (json!({"Bool": {"a:b": true}, "bool": {"a:b": false}}), "Condition.bool: is the same as Bool"),
    ];
    for (conditions, expected) in cases {
        let refusal = refusal(Identity, &document(&statement(Identity, &json!({"Condition": conditions}))));
        assert_eq!(refusal.strip_prefix("Statement.").unwrap_or(&refusal), expected, "{conditions}");
    }
}

#[test]
fn what_a_policy_tells_about_itself() {
    let text = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Sid\": \"First\", \"Effect\": \"Deny\",\n      \"Action\": \"ecr:*\", \"Resource\": \"arn:aws:ecr:*:*:repository/${aws:username}\",\n      \"Condition\": {\"StringEquals\": {\"AWS:userid\": \"${aws:PrincipalTag/team}\"}}\n    }, {\"Effect\": \"Allow\", \"Action\": \"*\", \"Resource\": \"*\", \"Condition\": {\"Null\": {\"aws:UserId\": true}}}\n  ]\n}";
    let policy = Policy::parse(text, Identity).unwrap();
    assert_eq!(policy.text(), text);
    let [first, second] = policy.statements() else { panic!("two statements") };
    assert_eq!((first.sid(), first.effect()), (Some("First"), StatementEffect::Deny));
    assert_eq!((second.sid(), second.effect()), (None, StatementEffect::Allow));
    assert_eq!(first.span().start, Position { line: 4, column: 5 });
    assert_eq!(first.span().end, Position { line: 8, column: 6 });
    assert_eq!(second.span().start, Position { line: 8, column: 8 });
    assert_eq!(
        policy.context_keys().into_iter().collect::<Vec<_>>(),
        ["AWS:userid", "aws:PrincipalTag/team", "aws:username"]
    );
    assert!(policy.names_condition_key("aws:USERID") && policy.names_condition_key("aws:username"));
    assert!(!policy.names_condition_key("aws:PrincipalTag/"));
}
