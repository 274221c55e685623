//! Actions, resources and principals: what a statement is about.

use ironwharf_model::AccountId;
use std::collections::BTreeMap;

use ironwharf_policy::iam::{
    Attached, Context, Effect, NOBODY, Policies, Policy, PolicyKind, Request, Requester, decide,
};
use serde_json::{Value, json};

use crate::support::{OTHER, OWN, REPOSITORY, Who, World};

fn allows(world: &World) -> bool {
    world.decide().is_allowed()
}

#[test]
fn actions_are_compared_without_case() {
    let cases = [
        ("*", "ecr:PutImage", true),
        ("ecr:*", "ecr:PutImage", true),
        ("ECR:putIMAGE", "ecr:PutImage", true),
        ("ecr:PutImage", "ECR:PUTIMAGE", true),
        ("ecr:Put*", "ecr:PutImageTagMutability", true),
        ("ecr:?utImage", "ecr:PutImage", true),
        ("ecr:PutImage?", "ecr:PutImage", false),
        ("ecr:*Image*", "ecr:BatchGetImage", true),
        ("ecr:PutImage", "ecr:PutImageTagMutability", false),
        ("s3:*", "ecr:PutImage", false),
        ("ecr:*", "ecr-public:PutImage", false),
    ];
    for (pattern, action, expected) in cases {
        for negated in [false, true] {
            let element = if negated { "NotAction" } else { "Action" };
            let statement = json!({"Effect": "Allow", element: pattern, "Resource": "*"});
            let world = World { action, identity: vec![statement], ..World::default() };
            assert_eq!(allows(&world), expected != negated, "{element} {pattern} {action}");
        }
    }
}

#[test]
fn wildcards_of_a_resource_stay_in_their_segment() {
    let repository = "arn:aws:ecr:eu-west-1:111122223333:repository/team/app:v1";
    let cases = [
        ("*", repository, true),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/team/app:v1", repository, true),
        ("arn:aws:ecr:eu-west-1:111122223333:repository/TEAM/app:v1", repository, false),
        ("arn:aws:ecr:*:*:*", repository, true),
        ("arn:aws:ecr:*:*:repository/*", repository, true),
        ("arn:aws:ecr:*:*:repository/*:v?", repository, true),
        ("arn:aws:ecr:*:*:repository/team*", repository, true),
        ("arn:aws:ecr:*:repository/*:*:*", repository, false),
        ("arn:aws:ecr:eu-west-1:*repository/team/app:v1", repository, false),
        ("arn:aws:ecr:*1111*:x:*", repository, false),
        ("arn:aws:ecr:eu-?est-1:1111????3333:repository/team/app:v1", repository, true),
        ("arn:aws:ecr:eu-west-1::repository/team/app:v1", repository, false),
        ("arn:a*:ecr:eu-west-1:111122223333:repository/team/app:v1", repository, true),
        ("arn:aws:s3:*:*:*", repository, false),
        ("*", "*", true),
        ("arn:aws:ecr:*:*:*", "*", false),
    ];
    for (pattern, resource, expected) in cases {
        for negated in [false, true] {
            let element = if negated { "NotResource" } else { "Resource" };
            let statement = json!({"Effect": "Allow", "Action": "*", element: pattern});
            let world = World { resource: resource.to_owned(), identity: vec![statement], ..World::default() };
            assert_eq!(allows(&world), expected != negated, "{element} {pattern} {resource}");
        }
    }
}

#[test]
fn a_repository_policy_is_about_its_repository_unless_it_says_otherwise() {
    let with = |resource: Option<&str>| {
        let mut statement = json!({"Effect": "Allow", "Action": "ecr:*", "Principal": "*"});
        if let Some(resource) = resource {
            statement["Resource"] = json!(resource);
        }
        allows(&World { repository: Some(statement), ..World::default() })
    };
    assert!(with(None));
    assert!(with(Some(REPOSITORY)));
    assert!(!with(Some("arn:aws:ecr:eu-west-1:111122223333:repository/b")));
}

/// A policy means those who had the names in it, not those who have them now.
#[test]
fn a_bound_policy_knows_a_namesake_from_whom_it_means() {
    const USER: &str = "arn:aws:iam::444455556666:user/ana";
    const ROLE: &str = "arn:aws:iam::444455556666:role/ci";
    const SESSION: &str = "arn:aws:sts::444455556666:assumed-role/ci/run";
    let account = &AccountId::parse("444455556666").unwrap();
    let user = |id| Requester::User { account, incarnation: "1", arn: USER, id };
    let session = |id| Requester::Session { account, incarnation: "1", role_arn: ROLE, session_arn: SESSION, id };
    let ids = [(USER, "AIDA1"), (ROLE, "AROA1"), (SESSION, "AROA1")];
    let ids = ids.map(|(arn, id)| (arn.to_owned(), id.to_owned())).into();
    let decided = |element: &str, names: Value, effect: &str, requester: Requester<'_>, bound: bool| {
        let text = json!({ "Statement": [
            { "Effect": "Allow", "Principal": "*", "Action": if effect == "Deny" { "ecr:*" } else { "ecr:X" } },
            { "Effect": effect, element: { "AWS": names }, "Action": "ecr:ListImages" },
        ]});
        let policy = Policy::parse(&text.to_string(), PolicyKind::Repository).unwrap();
        let policy = if bound { policy.bound(&ids) } else { policy };
        let all = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let all = Policy::parse(all, PolicyKind::Identity).unwrap();
        let owner = AccountId::parse("111122223333").unwrap();
        let request = Request {
            requester,
            action: "ecr:ListImages",
            resource: REPOSITORY,
            resource_account: &owner,
            context: &Context::new(),
        };
        let repository = Some(Attached { id: "repository", policy: &policy });
        let identity = [Attached { id: "identity", policy: &all }];
        decide(&request, &Policies { identity: &identity, repository, ..Policies::default() }).is_allowed()
    };
    for name in [USER, ROLE, SESSION] {
        let requester = |id| if name == USER { user(id) } else { session(id) };
        let meant = if name == USER { "AIDA1" } else { "AROA1" };
        assert!(decided("Principal", json!(name), "Allow", requester(meant), true), "{name}");
        assert!(!decided("Principal", json!(name), "Allow", requester("OTHER"), true), "{name}");
        assert!(decided("Principal", json!(name), "Allow", requester("OTHER"), false), "{name}");
        assert!(!decided("Principal", json!(name), "Deny", requester(meant), true), "{name}");
        assert!(decided("Principal", json!(name), "Deny", requester("OTHER"), true), "{name}");
    }
    // Renamed, they are the same.
    let renamed = Requester::User { account, incarnation: "1", arn: "arn:aws:iam::444455556666:user/eve", id: "AIDA1" };
    assert!(decided("Principal", json!(USER), "Allow", renamed, true));
    assert!(!decided("Principal", json!(USER), "Deny", renamed, true));
    // A name that nobody had grants nothing, and denies.
    let nobody: BTreeMap<String, String> = [(USER.to_owned(), NOBODY.to_owned())].into();
    for (effect, allowed) in [("Allow", false), ("Deny", false)] {
        let text = json!({ "Statement": { "Effect": effect, "Principal": { "AWS": USER }, "Action": "ecr:*" } });
        let policy = Policy::parse(&text.to_string(), PolicyKind::Repository).unwrap().bound(&nobody);
        let repository = Some(Attached { id: "repository", policy: &policy });
        let owner = AccountId::parse("444455556666").unwrap();
        let request = Request {
            requester: user("AIDA2"),
            action: "ecr:ListImages",
            resource: REPOSITORY,
            resource_account: &owner,
            context: &Context::new(),
        };
        let all =
            Policy::parse(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#, PolicyKind::Identity);
        let all = all.unwrap();
        let identity = [Attached { id: "identity", policy: &all }];
        let identity = if effect == "Deny" { &identity[..] } else { &[] };
        let decision = decide(&request, &Policies { identity, repository, ..Policies::default() });
        assert_eq!(decision.is_allowed(), allowed, "{effect}");
    }
    // An account is that of this number then, not of the next.
    let accounts: BTreeMap<String, String> = [("444455556666".to_owned(), "1".to_owned())].into();
    for (incarnation, reached) in [("1", true), ("2", false)] {
        let text = r#"{"Statement":{"Effect":"Deny","Principal":{"AWS":"444455556666"},"Action":"ecr:*"}}"#;
        let policy = Policy::parse(text, PolicyKind::Repository).unwrap().bound(&accounts);
        let request = Request {
            requester: Requester::Root { account, incarnation },
            action: "ecr:ListImages",
            resource: REPOSITORY,
            resource_account: account,
            context: &Context::new(),
        };
        let repository = Some(Attached { id: "repository", policy: &policy });
        let decision = decide(&request, &Policies { repository, ..Policies::default() });
        assert_eq!(decision.effect == Effect::ExplicitDeny, reached, "{incarnation}");
    }
    // Whoever is left out of a denial by name is not, with only the name.
    let exempt = json!([USER, ROLE, SESSION, "444455556666"]);
    for (requester, allowed) in
        [(user("AIDA1"), true), (user("OTHER"), false), (session("AROA1"), true), (session("OTHER"), false)]
    {
        assert_eq!(decided("NotPrincipal", exempt.clone(), "Deny", requester, true), allowed, "{requester:?}");
    }
}

/// Whether a principal in the policy of the repository reaches who asks. All
/// requesters of other accounts may do anything as far as their side goes.
fn reaches(principal: &Value, element: &str, who: &Who) -> bool {
    let everything = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let everyone = json!({"Effect": "Allow", "Action": "*", "Principal": "*"});
    let statement = json!({"Effect": "Deny", element: principal, "Action": "*"});
    let world = World {
        who: who.clone(),
        identity: vec![everything],
        repository: Some(json!([everyone, statement])),
        ..World::default()
    };
    !allows(&world)
}

#[test]
fn principals_are_named_as_a_whole() {
    let ana = Who::User(OWN, "ana");
    let path = Who::User(OWN, "team/ana");
    let run = Who::Session(OWN, "ci", "run");
    let deep = Who::Session(OWN, "path/ci", "run");
    let root = Who::Root(OWN);
    let foreign = Who::User(OTHER, "ana");
    let service = Who::Service("ecr.amazonaws.com");
    let everyone = [&ana, &path, &run, &deep, &root, &foreign, &service, &Who::Anonymous];
    let cases: [(Value, &[&Who]); 12] = [
        (json!("*"), &everyone),
        // A Deny for every AWS principal is one for everyone.
        (json!({"AWS": "*"}), &everyone),
        (json!({"AWS": OWN}), &[&ana, &path, &run, &deep, &root]),
        (json!({"AWS": "arn:aws:iam::111122223333:root"}), &[&ana, &path, &run, &deep, &root]),
        (json!({"AWS": OTHER}), &[&foreign]),
        (json!({"AWS": "arn:aws:iam::111122223333:user/ana"}), &[&ana]),
        (json!({"AWS": "arn:aws:iam::111122223333:user/team/ana"}), &[&path]),
        (json!({"AWS": "arn:aws:iam::111122223333:user/ANA"}), &[]),
        (json!({"AWS": "arn:aws:iam::111122223333:role/ci"}), &[&run]),
        (json!({"AWS": "arn:aws:iam::111122223333:role/path/ci"}), &[&deep]),
        (json!({"AWS": ["arn:aws:sts::111122223333:assumed-role/ci/run", OTHER]}), &[&run, &foreign]),
        (json!({"Service": "ecr.amazonaws.com"}), &[&service]),
    ];
    for (principal, reached) in cases {
        for who in everyone {
            assert_eq!(reaches(&principal, "Principal", who), reached.contains(&who), "{principal} {who:?}");
        }
    }
}

#[test]
fn everyone_includes_the_unsigned_and_a_service_only_as_a_bare_star() {
    let grants = |principal: Value, who: Who| {
        let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "ecr:*"});
        allows(&World { who, repository: Some(statement), ..World::default() })
    };
    let service = || Who::Service("ecr.amazonaws.com");
    assert!(grants(json!("*"), Who::Anonymous));
    assert!(grants(json!({"AWS": "*"}), Who::Anonymous));
    assert!(!grants(json!({"AWS": OWN}), Who::Anonymous));
    assert!(!grants(json!({"CanonicalUser": "0".repeat(64)}), Who::Anonymous));
    assert!(grants(json!("*"), service()));
    assert!(!grants(json!({"AWS": "*"}), service()));
    assert!(grants(json!({"Service": ["ecr.amazonaws.com", "s3.amazonaws.com"]}), service()));
}

#[test]
fn not_principal_spares_only_who_is_named_with_all_above() {
    let ana = Who::User(OWN, "ana");
    let run = Who::Session(OWN, "ci", "run");
    let root = Who::Root(OWN);
    let user = "arn:aws:iam::111122223333:user/ana";
    let role = "arn:aws:iam::111122223333:role/ci";
    let session = "arn:aws:sts::111122223333:assumed-role/ci/run";
    let everyone = [&ana, &run, &root, &Who::Anonymous];
    let cases: [(Value, &[&Who]); 6] = [
        (json!({"AWS": [user, OWN]}), &[&ana, &root]),
        (json!({"AWS": user}), &[]),
        (json!({"AWS": OWN}), &[&root]),
        (json!({"AWS": [session, role, OWN]}), &[&run, &root]),
        (json!({"AWS": [role, OWN]}), &[&root]),
        (json!({"Service": "ecr.amazonaws.com"}), &[]),
    ];
    for (principal, spared) in cases {
        for who in everyone {
            assert_eq!(reaches(&principal, "NotPrincipal", who), !spared.contains(&who), "{principal} {who:?}");
        }
    }
}
