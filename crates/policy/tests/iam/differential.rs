//! The engine against the second evaluator, and against noise.

use ironwharf_policy::iam::{Policy, PolicyKind};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::naive;
use crate::support::generate::{noise, role_world, world};
use crate::support::{Who, World};

const KINDS: [PolicyKind; 4] = [PolicyKind::Identity, PolicyKind::Trust, PolicyKind::Repository, PolicyKind::Registry];

/// Asks whatever parses as something else than what it is for: evaluation has no rules about that.
fn evaluate_anything(text: &str) {
    for kind in KINDS {
        let Ok(policy) = Policy::parse(text, kind) else { continue };
        assert_eq!(policy.text(), text);
        let _ = policy.context_keys();
        let _ = policy.web_identity_statements_without(
            "arn:aws:iam::111122223333:oidc-provider/a.example",
            "a:sub",
            &|_, _| true,
        );
        let document: Value = serde_json::from_str(text).unwrap();
        for who in [Who::Anonymous, Who::Root("111122223333"), Who::User("444455556666", "ana")] {
            let mut world = World { who, ..World::default() };
            match kind {
                PolicyKind::Identity => world.identity = vec![document.clone()],
                PolicyKind::Trust => world.trust = Some(document.clone()),
                PolicyKind::Repository => world.repository = Some(document.clone()),
                PolicyKind::Registry => world.registry = Some(document.clone()),
            }
            let _ = world.decide();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn both_evaluators_agree(world in world()) {
        let decision = world.decide();
        prop_assert_eq!(format!("{:?}", decision.effect), naive::decide(&world), "{}", decision.reason);
    }

    #[test]
    fn both_evaluators_agree_about_roles(world in role_world()) {
        let decision = world.decide();
        prop_assert_eq!(format!("{:?}", decision.effect), naive::decide(&world), "{}", decision.reason);
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}") {
        evaluate_anything(&text);
    }

    #[test]
    fn arbitrary_json_never_panics(value in noise()) {
        evaluate_anything(&value.to_string());
        evaluate_anything(&json!({"Version": "2012-10-17", "Statement": value}).to_string());
        for principal in [json!({"Principal": "*"}), json!({"Resource": "*"}), json!({"Principal": "*", "Resource": "*"})] {
            let mut statement = principal;
            statement["Effect"] = json!("Deny");
            statement["Action"] = json!("ecr:*");
            statement["Condition"] = value.clone();
            evaluate_anything(&json!({"Statement": statement}).to_string());
        }
    }

    #[test]
    fn a_character_changed_never_panics(world in world(), at in any::<prop::sample::Index>(), by in any::<char>()) {
        let policies = world.identity.iter().chain(&world.repository);
        for policy in policies {
            let text = crate::support::document(policy).to_string();
            let mut characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len());
            characters[at] = by;
            evaluate_anything(&characters.into_iter().collect::<String>());
        }
    }
}
