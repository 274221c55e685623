//! The worked examples of the ECR User Guide ("Examples of lifecycle policies").

use crate::scene::{Stored, any_image, expire, outcome, patterns, prefixes, rule, untagged};

#[test]
fn by_age() {
    let images = [
        Stored::new("old", &["prod-1"], 15),
        Stored::new("new", &["prod-2"], 13),
        Stored::new("other", &["test-1"], 20),
    ];
    let rules = [rule(1, &patterns(&["prod*"]), "sinceImagePushed", 14, &expire())];
    assert_eq!(outcome(&rules, &images), ["old 1"]);
}

#[test]
fn by_count() {
    let images = [Stored::new("a", &[], 3), Stored::new("b", &[], 2), Stored::new("c", &[], 1)];
    let rules = [rule(1, &untagged(), "imageCountMoreThan", 1, &expire())];
    assert_eq!(outcome(&rules, &images), ["a 1", "b 1"]);
}

fn beta_and_prod() -> [Stored; 3] {
    [
        Stored::new("A", &["beta-1", "prod-1"], 10),
        Stored::new("B", &["beta-2", "prod-2"], 9),
        Stored::new("C", &["beta-3"], 8),
    ]
}

#[test]
fn multiple_rules_example_a() {
    let rules = [
        rule(1, &prefixes(&["prod"]), "imageCountMoreThan", 1, &expire()),
        rule(2, &prefixes(&["beta"]), "imageCountMoreThan", 1, &expire()),
    ];
    assert_eq!(outcome(&rules, &beta_and_prod()), ["A 1"]);
    let with_patterns = [
        rule(1, &patterns(&["prod*"]), "imageCountMoreThan", 1, &expire()),
        rule(2, &patterns(&["beta*"]), "imageCountMoreThan", 1, &expire()),
    ];
    assert_eq!(outcome(&with_patterns, &beta_and_prod()), ["A 1"]);
}

#[test]
fn multiple_rules_example_b() {
    let rules = [
        rule(1, &prefixes(&["beta"]), "imageCountMoreThan", 1, &expire()),
        rule(2, &prefixes(&["prod"]), "imageCountMoreThan", 1, &expire()),
    ];
    assert_eq!(outcome(&rules, &beta_and_prod()), ["A 1", "B 1"]);
}

#[test]
fn multiple_tags_example_a() {
    let images = [
        Stored::new("A", &["alpha-1"], 12),
        Stored::new("B", &["beta-1"], 11),
        Stored::new("C", &["alpha-2", "beta-2"], 10),
        Stored::new("D", &["alpha-3"], 4),
        Stored::new("E", &["beta-3"], 3),
        Stored::new("F", &["alpha-4", "beta-4"], 2),
    ];
    let rules = [rule(1, &prefixes(&["alpha", "beta"]), "sinceImagePushed", 5, &expire())];
    assert_eq!(outcome(&rules, &images), ["C 1"]);
    let rules = [rule(1, &patterns(&["alpha*", "beta*"]), "sinceImagePushed", 5, &expire())];
    assert_eq!(outcome(&rules, &images), ["C 1"]);
}

#[test]
fn multiple_tags_example_b() {
    let images = [
        Stored::new("A", &["alpha-1", "beta-1", "gamma-1"], 10),
        Stored::new("B", &["alpha-2", "beta-2"], 9),
        Stored::new("C", &["alpha-3", "beta-3", "gamma-2"], 8),
    ];
    let rules = [rule(1, &prefixes(&["alpha", "beta"]), "imageCountMoreThan", 1, &expire())];
    assert_eq!(outcome(&rules, &images), ["A 1", "B 1"]);
}

#[test]
fn all_images_example_a() {
    let images = [
        Stored::new("A", &["alpha-1"], 4),
        Stored::new("B", &["beta-1"], 3),
        Stored::new("C", &[], 2),
        Stored::new("D", &["alpha-2"], 1),
    ];
    let rules = [rule(1, &any_image(), "imageCountMoreThan", 1, &expire())];
    assert_eq!(outcome(&rules, &images), ["A 1", "B 1", "C 1"]);
}

#[test]
fn all_images_example_b() {
    let mut images = vec![
        Stored::new("A", &["alpha-1", "beta-1"], 4),
        Stored::new("B", &[], 3),
        Stored::new("C", &["alpha-2"], 2),
        Stored::new("D", &["git hash"], 1),
        Stored::new("E", &[], 1),
    ];
    // Of the two of one day the example takes E for the newer one.
    images[4].pushed_at_ms += 1;
    let rules = [
        rule(1, &prefixes(&["alpha"]), "imageCountMoreThan", 1, &expire()),
        rule(2, &untagged(), "sinceImagePushed", 1, &expire()),
        rule(3, &any_image(), "imageCountMoreThan", 1, &expire()),
    ];
    assert_eq!(outcome(&rules, &images), ["A 1", "B 2", "D 3"]);
}
