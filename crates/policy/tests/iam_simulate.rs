//! The engine against iam-simulate, another reading of the same documentation.
//! `tests/iam-simulate/run` installs it and runs this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a panic is how a test fails, and the support is shared"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use support::{OWN, Who, World, document};

const CASES: usize = 2_000;

/// A known difference: its name, whether a case is one, and why it is ours.
type Difference = (&'static str, fn(&World, &str, &str) -> bool, &'static str);

const DIFFERENCES: [Difference; 0] = [];

/// The case as iam-simulate wants it.
fn simulation(world: &World) -> Value {
    let named = |policies: &[Value]| -> Vec<Value> {
        let named = policies.iter().enumerate();
        named.map(|(index, policy)| json!({"name": format!("policy-{index}"), "policy": document(policy)})).collect()
    };
    // It knows no root user: one who may do everything is the same.
    let everything = json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]);
    let identity = if matches!(world.who, Who::Root(_)) { named(&[everything]) } else { named(&world.identity) };
    // It has one resource-based policy, and wants a Resource in it.
    let mut resource_statements = Vec::new();
    for policy in [&world.repository, &world.registry].into_iter().flatten() {
        for statement in policy.as_array().unwrap() {
            let mut statement = statement.clone();
            if statement.get("Resource").is_none() && statement.get("NotResource").is_none() {
                statement["Resource"] = json!("*");
            }
            resource_statements.push(statement);
        }
    }
    let principal = match &world.who {
        Who::Anonymous => json!({"type": "Anonymous"}),
        who => json!(who.arn()),
    };
    let mut simulation = json!({
        "request": {
            "principal": principal,
            "action": world.action,
            "resource": {"resource": world.resource, "accountId": world.resource_account},
            "contextVariables": world.context,
        },
        "identityPolicies": identity,
        "serviceControlPolicies": [],
        "resourceControlPolicies": [],
    });
    if !resource_statements.is_empty() {
        simulation["resourcePolicy"] = document(&Value::Array(resource_statements));
    }
    if let Some(boundary) = &world.boundary {
        simulation["permissionBoundaryPolicies"] = json!(named(std::slice::from_ref(boundary)));
    }
    if let [session] = world.session.as_slice() {
        simulation["sessionPolicy"] = document(session);
    }
    simulation
}

fn judge(worlds: &[World]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/iam-simulate");
    assert!(folder.join("node_modules").is_dir(), "iam-simulate is not installed: use tests/iam-simulate/run");
    let mut process = Command::new("node")
        .arg("judge.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node, which iam-simulate runs on");
    let mut stdin = process.stdin.take().unwrap();
    let lines: Vec<String> = worlds.iter().map(|world| simulation(world).to_string()).collect();
    let writer = std::thread::spawn(move || lines.iter().try_for_each(|line| writeln!(stdin, "{line}")));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().expect("iam-simulate reads all cases");
    assert!(output.status.success(), "iam-simulate ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[test]
#[ignore = "needs Node.js and iam-simulate: tests/iam-simulate/run"]
fn both_readings_agree() {
    let mut runner = TestRunner::deterministic();
    let strategy = support::generate::world();
    let worlds: Vec<World> = (0..CASES).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    let judged = judge(&worlds);
    assert_eq!(judged.len(), worlds.len(), "one result for each case");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for (world, theirs) in worlds.iter().zip(&judged) {
        let ours = match world.answer() {
            answer if answer.starts_with("Allowed") => "Allowed",
            answer if answer.starts_with("ExplicitDeny") => "ExplicitlyDenied",
            _ => "ImplicitlyDenied",
        };
        let known = DIFFERENCES.iter().find(|(_, is, _)| is(world, ours, theirs));
        let count = match known {
            _ if ours == theirs => ours,
            Some((name, _, _)) => name,
            None => {
                unexplained.push(format!("{ours}, not {theirs}: {} {}", world.answer(), simulation(world)));
                "unexplained"
            }
        };
        *counts.entry(count.to_owned()).or_default() += 1;
    }
    println!("{counts:#?}");
    let shown: Vec<&String> = unexplained.iter().take(20).collect();
    assert!(unexplained.is_empty(), "{} unexplained differences, such as {shown:#?}", unexplained.len());
    assert_eq!(OWN.len(), 12);
}
