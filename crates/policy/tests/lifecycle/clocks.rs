//! What each count type measures.

use ironwharf_model::ImageStatus;

use crate::scene::{
    DAY_MS, NOW_MS, Stored, any_image, expire, outcome, patterns, prefixes, rule, transition, untagged,
};

#[test]
fn days_are_over_when_they_are_over() {
    let at = |name: &str, age_ms: i64| {
        let mut image = Stored::new(name, &[], 0);
        image.pushed_at_ms = NOW_MS - age_ms;
        image
    };
    let images = [at("just", 2 * DAY_MS + 1), at("not yet", 2 * DAY_MS), at("ahead of us", -DAY_MS)];
    let rules = [rule(1, &any_image(), "sinceImagePushed", 2, &expire())];
    assert_eq!(outcome(&rules, &images), ["just 1"]);
}

#[test]
fn a_restored_image_is_as_old_as_its_restoration() {
    let images = [
        Stored::new("restored", &[], 100).activated(5),
        Stored::new("never archived", &[], 100),
        Stored::new("restored long ago", &[], 200).activated(90),
    ];
    let rules = [rule(1, &any_image(), "sinceImagePushed", 30, &expire())];
    assert_eq!(outcome(&rules, &images), ["never archived 1", "restored long ago 1"]);
    // And so the newest by count.
    let rules = [rule(1, &any_image(), "imageCountMoreThan", 1, &expire())];
    assert_eq!(outcome(&rules, &images), ["never archived 1", "restored long ago 1"]);
}

#[test]
fn the_last_pull_or_what_stands_for_it() {
    let images = [
        Stored::new("pulled lately", &[], 100).pulled(1),
        Stored::new("pulled long ago", &[], 100).pulled(50),
        Stored::new("never pulled", &[], 100),
        Stored::new("never pulled, new", &[], 10),
        Stored::new("restored after its pull", &[], 100).pulled(60).activated(10),
        Stored::new("pulled after its restoration", &[], 100).pulled(40).activated(60),
    ];
    let rules = [rule(1, &any_image(), "sinceImagePulled", 30, &transition())];
    let expected = ["never pulled> 1", "pulled long ago> 1", "pulled after its restoration> 1"];
    let mut found = outcome(&rules, &images);
    found.sort_unstable();
    let mut wanted = expected.map(str::to_owned).to_vec();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn the_archive_has_rules_of_its_own() {
    let images = [
        Stored::new("archived long ago", &["v1"], 300).archived(91),
        Stored::new("archived lately", &["v2"], 300).archived(90),
        Stored::new("standard", &["v3"], 300),
        {
            let mut image = Stored::new("coming back", &["v4"], 300).archived(200);
            image.status = ImageStatus::Activating;
            image
        },
    ];
    let archive = rule(5, &any_image(), "sinceImageTransitioned", 90, &expire());
    assert_eq!(outcome(std::slice::from_ref(&archive), &images), ["archived long ago 5"]);
    // A rule for one class does not shield images of the other, and the rule
    // for any image is the last of its class only.
    let standard = rule(1, &any_image(), "imageCountMoreThan", 1, &expire());
    assert_eq!(outcome(&[standard, archive], &images), ["archived long ago 5"]);
    let standard = rule(1, &prefixes(&["v"]), "sinceImagePushed", 1, &transition());
    assert_eq!(outcome(&[standard], &images), ["standard> 1"]);
}

#[test]
fn entries_of_a_list_are_all_wanted() {
    let images =
        [Stored::new("both", &["a-1", "b-1"], 9), Stored::new("one", &["a-2"], 9), Stored::new("none", &[], 9)];
    let found = |tags| outcome(&[rule(1, &tags, "sinceImagePushed", 1, &expire())], &images);
    assert_eq!(found(patterns(&["a-*", "b-*"])), ["both 1"]);
    assert_eq!(found(prefixes(&["a-", "b-"])), ["both 1"]);
    // One tag can be what several entries want.
    assert_eq!(found(patterns(&["*-1", "a*"])), ["both 1"]);
    // A pattern is for the whole of a tag, and a prefix has no wildcards.
    assert!(found(patterns(&["a"])).is_empty());
    assert!(found(prefixes(&["a*"])).is_empty());
    assert_eq!(found(untagged()), ["none 1"]);
}

#[test]
fn a_rule_that_marks_nothing_shields_all_the_same() {
    let images = [Stored::new("kept", &["prod"], 900), Stored::new("gone", &["test"], 900)];
    let rules = [
        rule(1, &prefixes(&["prod"]), "imageCountMoreThan", 1_000, &expire()),
        rule(2, &any_image(), "sinceImagePushed", 30, &expire()),
    ];
    assert_eq!(outcome(&rules, &images), ["gone 2"]);
}
