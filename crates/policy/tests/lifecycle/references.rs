//! Images that others hold on to, and those that hold on to others.

use crate::scene::{Stored, any_image, expire, outcome, prefixes, rule, transition, untagged};

#[test]
fn children_of_an_index_are_left_alone_but_counted() {
    let images = [
        Stored::new("index", &["v1"], 9),
        Stored::new("amd64", &[], 10).listed(),
        Stored::new("arm64", &[], 10).listed(),
        Stored::new("loose", &[], 11),
    ];
    let rules = [rule(1, &untagged(), "sinceImagePushed", 1, &expire())];
    assert_eq!(outcome(&rules, &images), ["loose 1"]);
    let rules = [rule(1, &any_image(), "imageCountMoreThan", 2, &expire())];
    assert_eq!(outcome(&rules, &images), ["loose 1"]);
}

#[test]
fn a_child_follows_its_index_into_the_archive_but_not_out_of_the_repository() {
    let images = [Stored::new("tagged child", &["v1-amd64"], 9).listed_in_archive()];
    let rules = [rule(1, &prefixes(&["v"]), "sinceImagePushed", 1, &transition())];
    assert_eq!(outcome(&rules, &images), ["tagged child> 1"]);
    let rules = [rule(1, &prefixes(&["v"]), "sinceImagePushed", 1, &expire())];
    assert!(outcome(&rules, &images).is_empty());
}

#[test]
fn a_referrer_stays_with_its_subject_and_goes_with_it() {
    let images = [
        Stored::new("kept", &["v2"], 3),
        Stored::new("signature of kept", &[], 3).about("kept"),
        Stored::new("sbom of gone", &[], 20).about("gone"),
        Stored::new("signature of the sbom", &[], 30).about("sbom of gone"),
        Stored::new("gone", &["v1"], 9),
    ];
    // Not by a rule that would mark it, only with its subject, and after it.
    let rules = [rule(1, &untagged(), "sinceImagePushed", 1, &expire())];
    assert!(outcome(&rules, &images).is_empty());
    let rules = [rule(7, &prefixes(&["v"]), "sinceImagePushed", 5, &expire())];
    assert_eq!(outcome(&rules, &images), ["gone 7", "sbom of gone* 7", "signature of the sbom* 7"]);
    let rules = [rule(7, &prefixes(&["v"]), "sinceImagePushed", 5, &transition())];
    assert_eq!(outcome(&rules, &images), ["gone> 7", "sbom of gone>* 7", "signature of the sbom>* 7"]);
}

/// Otherwise every push with a signature would cost two places, and the last
/// image of a repository would go because its signature is newer.
#[test]
fn a_referrer_takes_no_place_among_those_that_are_kept() {
    let images = [
        Stored::new("old", &["v1"], 9),
        Stored::new("signature of old", &[], 8).about("old"),
        Stored::new("new", &["v2"], 7),
        Stored::new("signature of new", &["sha256-new.sig"], 2).about("new"),
        Stored::new("sbom of the signature", &[], 1).about("signature of new"),
    ];
    let keep = |count| [rule(1, &any_image(), "imageCountMoreThan", count, &expire())];
    assert!(outcome(&keep(2), &images).is_empty());
    assert_eq!(outcome(&keep(1), &images), ["old 1", "signature of old* 1"]);
    // One whose subject is gone is an image like any other.
    let rules = [rule(1, &untagged(), "imageCountMoreThan", 1, &expire())];
    let orphans = [Stored::new("first", &[], 9).about("gone"), Stored::new("second", &[], 8).about("gone")];
    assert_eq!(outcome(&rules, &orphans), ["first 1"]);
}

#[test]
fn a_referrer_that_is_in_the_archive_does_not_go_there_again() {
    let images = [Stored::new("image", &["v1"], 9), Stored::new("signature", &[], 9).about("image").archived(3)];
    let rules = [rule(1, &prefixes(&["v"]), "sinceImagePushed", 5, &transition())];
    assert_eq!(outcome(&rules, &images), ["image> 1"]);
    let rules = [rule(1, &prefixes(&["v"]), "sinceImagePushed", 5, &expire())];
    assert_eq!(outcome(&rules, &images), ["image 1", "signature* 1"]);
}

#[test]
fn a_referrer_without_a_subject_is_an_image_after_a_day() {
    let images = [
        Stored::new("old", &[], 2).about("nothing"),
        Stored::new("older than a day is what it must be", &[], 1).about("nothing"),
        Stored::new("plain", &[], 1),
    ];
    let rules = [rule(1, &untagged(), "imageCountMoreThan", 1, &expire())];
    let found = outcome(&rules, &images);
    assert!(found.contains(&"old 1".to_owned()) && !found.iter().any(|name| name.starts_with("older")), "{found:?}");
}

#[test]
fn a_subject_that_is_held_holds_its_referrers() {
    let images = [
        Stored::new("child", &[], 9).listed(),
        Stored::new("signature of child", &[], 9).about("child"),
        Stored::new("listed sbom of free", &[], 9).about("free").listed(),
        Stored::new("signature of it", &[], 9).about("listed sbom of free"),
        Stored::new("signature that is listed", &[], 9).about("free").listed(),
        Stored::new("free", &[], 9),
    ];
    let rules = [rule(1, &untagged(), "sinceImagePushed", 1, &expire())];
    assert_eq!(outcome(&rules, &images), ["free 1"]);
}
