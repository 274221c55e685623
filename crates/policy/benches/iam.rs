//! Prints how long compiling and deciding take, in microseconds.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a measurement, not a product")]

use std::hint::black_box;
use std::time::Instant;

use ironwharf_model::AccountId;
use ironwharf_policy::iam::{Attached, Context, Policies, Policy, PolicyKind, Request, Requester, decide};

/// The mean over some hundred milliseconds, after warming up.
fn measure(what: &str, mut work: impl FnMut()) {
    for _ in 0..20 {
        work();
    }
    let mut rounds = 0_u32;
    let start = Instant::now();
    while start.elapsed().as_millis() < 300 {
        work();
        rounds += 1;
    }
    println!("{what}: {:.2} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
}

/// A policy of typical statements. All are read to the last condition, which does not hold.
fn policy(statements: usize) -> String {
    let statements: Vec<String> = (0..statements)
        .map(|index| {
            format!(
                r#"{{"Sid": "S{index}", "Effect": "{}", "Action": ["ecr:BatchGet*", "ecr:PutImage", "ecr:*Layer*"],
                "Resource": ["arn:aws:ecr:*:111122223333:repository/${{aws:PrincipalTag/team}}/app{index}-*",
                             "arn:aws:ecr:eu-*:111122223333:repository/*/web"],
                "Condition": {{"StringEquals": {{"aws:PrincipalTag/team": ["red", "blue"]}},
                               "IpAddress": {{"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}},
                               "StringLike": {{"aws:username": ["b*", "c*{index}"]}}}}}}"#,
                if index % 4 == 0 { "Deny" } else { "Allow" }
            )
        })
        .collect();
    format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(","))
}

/// A policy of one statement with a condition on the user agent.
fn condition(values: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {{"StringLike": {{"aws:UserAgent": [{values}]}}}}}}}}"#
    )
}

fn main() {
    let account = AccountId::parse("111122223333").unwrap();
    let mut context = Context::new();
    context.insert("aws:PrincipalTag/team", "blue");
    context.insert("aws:SourceIp", "203.0.113.99");
    context.insert("aws:SecureTransport", "true");
    context.insert("aws:username", "ana");
    context.insert("aws:UserAgent", "a".repeat(1_000));
    let name = "a".repeat(240);
    let long = format!("arn:aws:ecr:eu-west-1:111122223333:repository/blue/{name}");
    let decides = |text: &str, resource: &str| {
        let policy = Policy::parse(text, PolicyKind::Identity).unwrap();
        let identity = [Attached { id: "policy", policy: &policy }];
        let policies = Policies { identity: &identity, ..Policies::default() };
        let request = Request {
            requester: Requester::User {
                account: &account,
                incarnation: "",
                arn: "arn:aws:iam::111122223333:user/ana",
                id: "",
            },
            action: "ecr:PutImage",
            resource,
            resource_account: &account,
            context: &context,
        };
        let decision = decide(&request, &policies);
        assert!(!decision.is_allowed(), "the benchmark reads every statement");
        measure("  decide", || drop(black_box(decide(black_box(&request), black_box(&policies)))));
    };
    let compiles =
        |text: &str| measure("  compile", || drop(black_box(Policy::parse(black_box(text), PolicyKind::Identity))));

    let usual = "arn:aws:ecr:eu-west-1:111122223333:repository/blue/web";
    for statements in [1, 4, 20] {
        println!("{statements} statements");
        let text = policy(statements);
        compiles(&text);
        decides(&text, usual);
    }

    let hostile = [
        ("stars, 10 kB", condition(&format!("\"{}b\"", "*a".repeat(5_000)))),
        ("one run, 500 bytes", condition(&format!("\"*{}b*\"", "a".repeat(500)))),
        ("many runs, 10 kB", condition(&vec![format!("\"*{}b*\"", "a".repeat(30)); 280].join(","))),
        ("question marks", condition(&format!("\"*{}b*\"", "a?".repeat(60)))),
        ("question marks, many runs", condition(&vec![format!("\"*{}b*\"", "a?".repeat(4)); 15].join(","))),
        ("single characters, 1,000", condition(&vec!["\"*b*\""; 1_000].join(","))),
        ("variables, 1,000", condition(&vec!["\"${aws:UserAgent}b\""; 500].join(","))),
        ("500 statements", {
            let statement = r#"{"Effect":"Deny","Action":"ecr:*e","Resource":"arn:aws:ecr:*:*:*a*b"}"#;
            format!(r#"{{"Statement": [{}]}}"#, vec![statement; 440].join(","))
        }),
    ];
    for (what, text) in hostile {
        println!("hostile: {what} ({} bytes)", text.len());
        compiles(&text);
        decides(&text, &long);
    }
}
