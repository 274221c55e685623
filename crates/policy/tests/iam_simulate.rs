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

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use support::{OWN, Who, World, document};

const CASES: usize = 2_000;

/// A known difference: its name, why the engine does as it does, and whether a
/// case with these two answers (ours, theirs) is one.
struct Difference {
    name: &'static str,
    reason: &'static str,
    explains: fn(&World, &str, &str) -> bool,
}

const DIFFERENCES: [Difference; 11] = [
    Difference {
        name: "a Deny whose variable has no value",
        reason: "IAM's pages let it match nothing, which fails open; here it denies",
        explains: |world, ours, _| ours == "ExplicitlyDenied" && has_unresolved_variable(world),
    },
    Difference {
        name: "an Allow with a negated operator whose variable has no value",
        reason: "IAM's pages let the comparison hold against nothing; here the statement does not apply",
        explains: |world, ours, theirs| {
            ours == "ImplicitlyDenied" && theirs == "Allowed" && has_unresolved_variable(world)
        },
    },
    Difference {
        name: "NotPrincipal without everything above the principal",
        reason: "IAM's page asks to name account, role and session, and warns of a denial otherwise",
        explains: |world, ours, _| ours == "ExplicitlyDenied" && text(world).contains("NotPrincipal"),
    },
    Difference {
        name: "the root user and the policies of its own registry",
        reason: "the root user can always repair them; iam-simulate has no root user",
        explains: |world, ours, _| {
            ours == "Allowed" && world.who == Who::Root(OWN) && world.action == "ecr:SetRepositoryPolicy"
        },
    },
    Difference {
        name: "a login token by the registry's policy",
        reason: "the action has no resource, so no resource-based policy can grant it",
        explains: |world, ours, theirs| {
            world.action == "ecr:GetAuthorizationToken" && ours == "ImplicitlyDenied" && theirs == "Allowed"
        },
    },
    Difference {
        name: "a grant to the session itself beside a session policy",
        reason: "IAM's page says that the session policy does not limit it; iam-simulate asks the session policy first",
        explains: |world, ours, theirs| ours == "Allowed" && theirs == "ImplicitlyDenied" && !world.session.is_empty(),
    },
    Difference {
        name: "a service and {\"AWS\": \"*\"}",
        reason: "a service is no AWS principal, so an Allow has to name it or be for \"*\"",
        explains: |world, ours, theirs| {
            matches!(world.who, Who::Service(_)) && ours == "ImplicitlyDenied" && theirs == "Allowed"
        },
    },
    Difference {
        name: "a web identity and principals that are not its provider",
        reason: "a token is nobody's until its provider is named; iam-simulate takes the provider for a member of its account",
        explains: |world, _, _| {
            let trust = json!(world.trust).to_string();
            matches!(world.who, Who::Federated(_)) && (trust.contains("\"*\"") || trust.contains(OWN))
        },
    },
    Difference {
        name: "an unsigned request for a role",
        reason: "STS answers no unsigned AssumeRole, whatever the trust policy says",
        explains: |world, ours, theirs| {
            world.who == Who::Anonymous && world.trust.is_some() && ours == "ImplicitlyDenied" && theirs == "Allowed"
        },
    },
    Difference {
        name: "Null and a key with an empty list",
        reason: "a key without values is null; iam-simulate asks only whether the key is there",
        explains: |world, _, _| {
            world.context.get("aws:TagKeys") == Some(&json!([])) && text(world).contains("\"Null\"")
        },
    },
    Difference {
        name: "a variable whose value is empty",
        reason: "empty is a value; iam-simulate takes it for a missing one",
        explains: |world, _, _| {
            world.context.get("aws:username") == Some(&json!("")) && text(world).contains("${aws:username}")
        },
    },
];

/// All policies of the case.
fn text(world: &World) -> String {
    json!([world.identity, world.boundary, world.session, world.repository, world.registry, world.trust]).to_string()
}

/// Whether a policy has a variable whose key the request does not have.
fn has_unresolved_variable(world: &World) -> bool {
    let text = text(world);
    ["aws:username", "aws:PrincipalTag/team"]
        .iter()
        .any(|key| !world.context.contains_key(*key) && text.contains(&format!("${{{key}}}")))
}

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
    if let Some(trust) = &world.trust {
        simulation["resourcePolicy"] = document(trust);
    } else if !resource_statements.is_empty() {
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
    let mut draw = |strategy: BoxedStrategy<World>| -> Vec<World> {
        (0..CASES).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
    };
    let mut worlds = draw(support::generate::world().boxed());
    worlds.extend(draw(support::generate::role_world().boxed()));
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
        let known = DIFFERENCES.iter().find(|difference| (difference.explains)(world, ours, theirs));
        let count = match known {
            _ if ours == theirs => ours,
            Some(difference) => difference.name,
            None => {
                unexplained.push(format!("{ours}, not {theirs}: {} {}", world.answer(), simulation(world)));
                "unexplained"
            }
        };
        *counts.entry(count.to_owned()).or_default() += 1;
    }
    for (what, count) in &counts {
        let difference = DIFFERENCES.iter().find(|difference| difference.name == what);
        println!("{count:5} {what}{}", difference.map_or(String::new(), |known| format!(": {}", known.reason)));
    }
    let shown: Vec<&String> = unexplained.iter().take(20).collect();
    assert!(unexplained.is_empty(), "{} unexplained differences, such as {shown:#?}", unexplained.len());
    let unseen = DIFFERENCES.iter().find(|difference| !counts.contains_key(difference.name));
    assert!(unseen.is_none(), "no case shows the difference '{}'", unseen.map_or("", |known| known.name));
}
