//! How much memory an evaluation takes.

use ironwharf_model::{Algorithm, Digest};
use ironwharf_policy::lifecycle::{Evaluation, MAX_CHARACTERS, Policy};

use crate::scene::{NOW_MS, Stored, any_image, expire, patterns, policy, rule};

const IMAGES: usize = 100_000;

/// The documented bound.
const BYTES_EACH: usize = 200;

#[test]
fn a_hundred_thousand_images_take_twenty_megabytes() {
    // As many rules as there can be, all of which select everything.
    let mut rules: Vec<_> =
        (1..50).map(|priority| rule(priority, &patterns(&["*a*"]), "imageCountMoreThan", 1, &expire())).collect();
    rules.push(rule(50, &any_image(), "imageCountMoreThan", 1, &expire()));
    let policy = policy(&rules);
    let tags = vec!["a-tag".to_owned()];
    let mut evaluation = Evaluation::new(&policy, NOW_MS);
    let mut image = Stored::new("image", &[], 1);
    image.tags = tags;
    for number in 0..IMAGES {
        image.digest = Digest::of(Algorithm::Sha512, &number.to_be_bytes());
        image.subject = Some(Digest::of(Algorithm::Sha512, &(number / 2).to_be_bytes()));
        evaluation.add(&image.image());
    }
    let held = evaluation.held_bytes();
    assert!(held < IMAGES * (BYTES_EACH * 3 / 2), "{held} bytes with nothing but SHA-512");

    let mut evaluation = Evaluation::new(&policy, NOW_MS);
    for number in 0..IMAGES {
        image.digest = Digest::sha256(&number.to_be_bytes());
        image.subject = Some(Digest::sha256(&(number / 2).to_be_bytes()));
        evaluation.add(&image.image());
    }
    let held = evaluation.held_bytes();
    assert!(held < IMAGES * BYTES_EACH, "{held} bytes");
    image.subject = None;
    let outcome = evaluation.finish();
    assert!(outcome.held_bytes() < IMAGES * BYTES_EACH, "{} bytes", outcome.held_bytes());
}

#[test]
fn the_largest_policy_is_read_and_evaluated() {
    let pattern = format!("{}*{}*{}*{}*", "a".repeat(100), "b".repeat(100), "c".repeat(50), "d".repeat(50));
    let rules: Vec<_> =
        (1..=50).map(|priority| rule(priority, &patterns(&[&pattern]), "sinceImagePushed", 1, &expire())).collect();
    let text = serde_json::json!({ "rules": rules }).to_string();
    let padded = format!("{text}{}", " ".repeat(MAX_CHARACTERS - text.len()));
    assert_eq!(Policy::parse(&padded).unwrap().rules().len(), 50);
    assert!(Policy::parse(&format!("{padded} ")).is_err());
}
