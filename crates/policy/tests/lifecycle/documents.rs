//! Policy documents: what is refused, and in which words.

use ironwharf_policy::lifecycle::{Action, Count, Policy, StorageClass, TagSelection};
use serde_json::{Value, json};

use crate::scene::{any_image, expire, patterns, prefixes, rule, transition, untagged};

/// The only rule of a policy that is as it should be, changed.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut rule = rule(1, &patterns(&["prod*"]), "sinceImagePushed", 14, &expire());
    change(&mut rule);
    json!({ "rules": [rule] })
}

fn selection(change: impl FnOnce(&mut Value)) -> Value {
    changed(|rule| change(&mut rule["selection"]))
}

fn refusal(document: &Value) -> String {
    let text = document.to_string();
    // Short ones would be refused for that.
    let padded = format!("{text}{}", " ".repeat(100_usize.saturating_sub(text.len())));
    Policy::parse(&padded).err().unwrap_or_else(|| panic!("{text} is taken")).to_string()
}

fn remove(value: &mut Value, member: &str) {
    value.as_object_mut().unwrap().remove(member).unwrap();
}

#[test]
fn a_policy_is_read() {
    let text = json!({ "rules": [
        rule(20, &any_image(), "sinceImagePulled", 90, &transition()),
        rule(3, &prefixes(&["a", "b"]), "imageCountMoreThan", 2, &expire()),
        rule(30, &any_image(), "sinceImageTransitioned", 365, &expire()),
    ] });
    let policy = Policy::parse(&text.to_string()).unwrap();
    let read: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| (rule.priority, rule.storage_class, rule.tags.clone(), rule.count, rule.action))
        .collect();
    let listed = TagSelection::Prefixes(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(
        read,
        [
            (3, StorageClass::Standard, listed, Count::ImagesMoreThan(2), Action::Expire),
            (20, StorageClass::Standard, TagSelection::Any, Count::DaysSincePulled(90), Action::Archive),
            (30, StorageClass::Archive, TagSelection::Any, Count::DaysSinceTransitioned(365), Action::Expire),
        ]
    );
    assert_eq!(policy.rule(20).unwrap().description.as_deref(), Some("words"));
    assert_eq!(policy.rule(4), None);
}

#[test]
fn a_description_may_be_left_out_and_the_class_may_be_said() {
    let document = changed(|rule| {
        remove(rule, "description");
        rule["selection"]["storageClass"] = json!("standard");
    });
    assert!(Policy::parse(&document.to_string()).is_ok());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_refusal_names_its_place() {
    let cases = [
        (json!([]), "the document must be an object"),
        (json!({}), "rules is missing"),
        (json!({ "rules": {} }), "rules must be a list"),
        (json!({ "rules": [] }), "rules has 0 rules; a policy has 1 to 50"),
        (json!({ "rules": [1] }), "rules[0] must be an object"),
        (json!({ "rules": [], "version": 1 }), "version is not a known member"),
        (changed(|rule| rule["color"] = json!("red")), "rules[0].color is not a known member"),
        (changed(|rule| remove(rule, "rulePriority")), "rules[0].rulePriority is missing"),
        (
            changed(|rule| rule["rulePriority"] = json!(0)),
            "rules[0].rulePriority must be a whole number from 1 to 2147483647",
        ),
        (
            changed(|rule| rule["rulePriority"] = json!("1")),
            "rules[0].rulePriority must be a whole number from 1 to 2147483647",
        ),
        (
            changed(|rule| rule["rulePriority"] = json!(1.5)),
            "rules[0].rulePriority must be a whole number from 1 to 2147483647",
        ),
        (changed(|rule| rule["description"] = json!(7)), "rules[0].description must be a string"),
        (changed(|rule| remove(rule, "selection")), "rules[0].selection is missing"),
        (changed(|rule| rule["selection"] = json!("all")), "rules[0].selection must be an object"),
        (changed(|rule| remove(rule, "action")), "rules[0].action is missing"),
        (selection(|of| of["x"] = json!(1)), "rules[0].selection.x is not a known member"),
        (selection(|of| remove(of, "tagStatus")), "rules[0].selection.tagStatus is missing"),
        (selection(|of| of["tagStatus"] = json!(1)), "rules[0].selection.tagStatus must be a string"),
        (
            selection(|of| of["tagStatus"] = json!("ANY")),
            "rules[0].selection.tagStatus is \"ANY\"; it must be one of \"tagged\", \"untagged\", \"any\"",
        ),
        (
            selection(|of| of["tagStatus"] = json!("any")),
            "rules[0].selection.tagPatternList must not be given with tagStatus \"any\"",
        ),
        (
            selection(|of| *of = json!({ "tagStatus": "untagged", "tagPrefixList": [] })),
            "rules[0].selection.tagPrefixList must not be given with tagStatus \"untagged\"",
        ),
        (
            selection(|of| remove(of, "tagPatternList")),
            "rules[0].selection.tagStatus is \"tagged\", which needs exactly one of tagPatternList and \
             tagPrefixList; the rule has neither",
        ),
        (
            selection(|of| of["tagPrefixList"] = json!(["a"])),
            "rules[0].selection.tagStatus is \"tagged\", which needs exactly one of tagPatternList and \
             tagPrefixList; the rule has both",
        ),
        (
            selection(|of| of["tagPatternList"] = json!([])),
            "rules[0].selection.tagPatternList must be a list of one or more non-empty strings",
        ),
        (
            selection(|of| of["tagPatternList"] = json!(["a", ""])),
            "rules[0].selection.tagPatternList must be a list of one or more non-empty strings",
        ),
        (selection(|of| of["tagPatternList"] = json!("a")), "rules[0].selection.tagPatternList must be a list"),
        (
            selection(|of| of["tagPatternList"] = json!(["a*", "*test*1*2*3*"])),
            "rules[0].selection.tagPatternList has \"*test*1*2*3*\"; a pattern may have at most 4 wildcards (*)",
        ),
        (selection(|of| remove(of, "countType")), "rules[0].selection.countType is missing"),
        (
            selection(|of| of["countType"] = json!("sinceImageBuilt")),
            "rules[0].selection.countType is \"sinceImageBuilt\"; it must be one of \"imageCountMoreThan\", \
             \"sinceImagePushed\", \"sinceImagePulled\", \"sinceImageTransitioned\"",
        ),
        (selection(|of| remove(of, "countNumber")), "rules[0].selection.countNumber is missing"),
        (
            selection(|of| of["countNumber"] = json!(-3)),
            "rules[0].selection.countNumber must be a whole number from 1 to 2147483647",
        ),
        (selection(|of| remove(of, "countUnit")), "rules[0].selection.countUnit is missing"),
        (
            selection(|of| of["countUnit"] = json!("hours")),
            "rules[0].selection.countUnit is \"hours\"; it must be one of \"days\"",
        ),
        (
            selection(|of| of["countType"] = json!("imageCountMoreThan")),
            "rules[0].selection.countUnit must not be given with countType \"imageCountMoreThan\"",
        ),
        (
            selection(|of| of["storageClass"] = json!("glacier")),
            "rules[0].selection.storageClass is \"glacier\"; it must be one of \"standard\", \"archive\"",
        ),
        (
            selection(|of| of["storageClass"] = json!("archive")),
            "rules[0].selection.storageClass may be \"archive\" only with countType \"sinceImageTransitioned\"",
        ),
        (
            selection(|of| of["countType"] = json!("sinceImageTransitioned")),
            "rules[0].selection.storageClass must be \"archive\" with countType \"sinceImageTransitioned\"",
        ),
        (
            json!({ "rules": [rule(1, &any_image(), "sinceImageTransitioned", 89, &expire())] }),
            "rules[0].selection.countNumber is 89; with countType \"sinceImageTransitioned\" it must be at least 90",
        ),
        (
            json!({ "rules": [rule(1, &any_image(), "sinceImageTransitioned", 90, &transition())] }),
            "rules[0].action.type must be \"expire\" with countType \"sinceImageTransitioned\"",
        ),
        (
            json!({ "rules": [rule(1, &any_image(), "sinceImagePulled", 9, &expire())] }),
            "rules[0].action.type must be \"transition\" with countType \"sinceImagePulled\"",
        ),
        (
            changed(|rule| rule["action"] = json!({ "type": "delete" })),
            "rules[0].action.type is \"delete\"; it must be one of \"expire\", \"transition\"",
        ),
        (
            changed(|rule| rule["action"]["targetStorageClass"] = json!("archive")),
            "rules[0].action.targetStorageClass must not be given with type \"expire\"",
        ),
        (
            changed(|rule| rule["action"] = json!({ "type": "transition" })),
            "rules[0].action.targetStorageClass is missing",
        ),
        (
            changed(|rule| rule["action"] = json!({ "type": "transition", "targetStorageClass": "standard" })),
            "rules[0].action.targetStorageClass is \"standard\"; it must be one of \"archive\"",
        ),
        (changed(|rule| rule["action"]["when"] = json!(1)), "rules[0].action.when is not a known member"),
        (
            json!({ "rules": [
                rule(4, &prefixes(&["a"]), "imageCountMoreThan", 1, &expire()),
                rule(4, &prefixes(&["b"]), "imageCountMoreThan", 1, &expire()),
            ] }),
            "rules[1].rulePriority is 4, which rules[0] has; each rule must have its own",
        ),
        (
            json!({ "rules": [
                rule(1, &any_image(), "imageCountMoreThan", 1, &expire()),
                rule(2, &prefixes(&["b"]), "imageCountMoreThan", 1, &expire()),
            ] }),
            "rules[0] has tagStatus \"any\", so its rulePriority must be the largest for storage class \"standard\"; \
             that of rules[1] is larger",
        ),
        (
            json!({ "rules": [
                rule(1, &untagged(), "imageCountMoreThan", 1, &expire()),
                rule(2, &untagged(), "sinceImagePushed", 1, &expire()),
            ] }),
            "rules[0] and rules[1] both have tagStatus \"untagged\"; only one rule may select untagged images of \
             storage class \"standard\"",
        ),
        (
            json!({ "rules": [
                rule(1, &prefixes(&["b", "a"]), "imageCountMoreThan", 1, &expire()),
                rule(2, &prefixes(&["a"]), "sinceImagePushed", 1, &expire()),
            ] }),
            "rules[1].selection.tagPrefixList has \"a\", which rules[0] has already; each prefix may be given once \
             for storage class \"standard\"",
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(refusal(&document), expected, "{document}");
    }
}

#[test]
fn a_class_does_not_mind_the_rules_of_the_other() {
    let document = json!({ "rules": [
        rule(1, &any_image(), "sinceImagePulled", 9, &transition()),
        rule(2, &prefixes(&["a"]), "sinceImageTransitioned", 90, &expire()),
        rule(3, &untagged(), "sinceImageTransitioned", 90, &expire()),
        rule(4, &any_image(), "sinceImageTransitioned", 90, &expire()),
    ] });
    assert!(Policy::parse(&document.to_string()).is_ok());
    let document = json!({ "rules": [
        rule(1, &prefixes(&["a"]), "sinceImagePulled", 9, &transition()),
        rule(2, &prefixes(&["a"]), "sinceImageTransitioned", 90, &expire()),
        rule(3, &untagged(), "sinceImagePushed", 90, &expire()),
        rule(4, &untagged(), "sinceImageTransitioned", 90, &expire()),
    ] });
    assert!(Policy::parse(&document.to_string()).is_ok());
}

#[test]
fn limits_and_json() {
    let one = |priority: u32| rule(priority, &patterns(&["x"]), "imageCountMoreThan", 1, &expire());
    let many = |count: u32| json!({ "rules": (1..=count).map(one).collect::<Vec<_>>() }).to_string();
    assert!(Policy::parse(&many(50)).is_ok());
    let said = |text: &str| Policy::parse(text).unwrap_err().to_string();
    assert_eq!(said(&many(51)), "rules has 51 rules; a policy has 1 to 50");
    assert_eq!(said("{}"), "the policy has 2 characters; it must have 100 to 30720");
    let spaces = " ".repeat(100);
    assert_eq!(said(&format!("{{\"rules\":[],\"rules\":[]}}{spaces}")), "duplicate key 'rules'");
    assert_eq!(said(&format!("{{\"rules\"{spaces}")), "invalid JSON at offset 108: EOF while parsing an object");
    assert!(said(&format!("{}{}", many(1), "x")).starts_with("trailing characters"));
    // Characters, not bytes.
    let wide = changed(|rule| rule["description"] = json!("é".repeat(30_000))).to_string();
    assert!(wide.len() > 60_000 && Policy::parse(&wide).is_ok());
}
