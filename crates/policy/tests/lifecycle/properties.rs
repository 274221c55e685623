//! Properties, over policies and repositories of all kinds.

use std::collections::BTreeSet;

use ironwharf_model::{Digest, ImageStatus};
use ironwharf_policy::lifecycle::{Action, Count, Evaluation, Listed, Policy, Rule, StorageClass, TagSelection};
use ironwharf_policy::wildcard;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use serde_json::{Value, json};

use crate::scene::{DAY_MS, NOW_MS, Stored, acts, any_image, expire, patterns, rule, transition, untagged};

const TAGS: [&str; 5] = ["a-1", "a-2", "b-1", "b-2", "c"];

prop_compose! {
    fn an_image(name: usize)(
        tags in subsequence(TAGS.to_vec(), 0..4),
        status in prop_oneof![4 => Just(ImageStatus::Active), 2 => Just(ImageStatus::Archived), 1 => Just(ImageStatus::Activating)],
        pushed in 0_i64..12,
        activated in proptest::option::of(0_i64..12),
        pulled in proptest::option::of(0_i64..12),
        archived in 80_i64..100,
        listed in prop_oneof![6 => Just(Listed::Nowhere), 1 => Just(Listed::InArchive), 1 => Just(Listed::Active)],
        subject in proptest::option::weighted(0.3, any::<Index>()),
    ) -> (Stored, Option<Index>) {
        let mut image = Stored::new(&format!("image {name}"), &tags, pushed);
        image.status = status;
        image.activated_at_ms = activated.map(|days| NOW_MS - days * DAY_MS);
        image.pulled_at_ms = pulled.map(|days| NOW_MS - days * DAY_MS - 1);
        image.archived_at_ms = (status != ImageStatus::Active).then_some(NOW_MS - archived * DAY_MS);
        image.listed = listed;
        (image, subject)
    }
}

/// A repository; subjects are earlier images, or none that is there.
fn a_repository() -> impl Strategy<Value = Vec<Stored>> {
    (0..24_usize).prop_flat_map(|count| (0..count).map(an_image).collect::<Vec<_>>()).prop_map(|images| {
        let digests: Vec<Digest> = images.iter().map(|(image, _)| image.digest.clone()).collect();
        let with_subject = |(index, (mut image, subject)): (usize, (Stored, Option<Index>))| {
            image.subject = subject.map(|subject| {
                let chosen = subject.index(index + 1);
                if chosen == index { Digest::sha256(b"nothing") } else { digests[chosen].clone() }
            });
            image
        };
        images.into_iter().enumerate().map(with_subject).collect()
    })
}

#[derive(Clone, Debug)]
struct Drawn {
    tags: Value,
    since: u8,
    number: u32,
    archives: bool,
}

fn a_rule(since_only: bool) -> impl Strategy<Value = Drawn> {
    let tags = prop_oneof![
        4 => subsequence(vec!["a*", "b*", "*-1", "*-2", "c"], 1..3).prop_map(|list| patterns(&list)),
        1 => Just(untagged()),
    ];
    let first = u8::from(since_only);
    (tags, first..4_u8, 1_u32..8, any::<bool>()).prop_map(|(tags, since, number, archives)| Drawn {
        tags,
        since,
        number,
        archives,
    })
}

fn a_policy(since_only: bool) -> impl Strategy<Value = Policy> {
    let rules = proptest::collection::vec(a_rule(since_only), 1..6);
    (rules, proptest::option::of(a_rule(since_only)), any::<bool>()).prop_map(|(rules, last, reversed)| {
        let mut drawn = rules;
        drawn.extend(last.map(|last| Drawn { tags: any_image(), ..last }));
        let mut seen = BTreeSet::new();
        let mut made: Vec<Value> = Vec::new();
        for (priority, drawn) in (1_u32..).zip(drawn) {
            let class = drawn.since == 3;
            if drawn.tags["tagStatus"] == "untagged" && !seen.insert(class) {
                continue;
            }
            let (kind, number, action) = match drawn.since {
                0 => ("imageCountMoreThan", drawn.number, drawn.archives),
                1 => ("sinceImagePushed", drawn.number, drawn.archives),
                2 => ("sinceImagePulled", drawn.number, true),
                _ => ("sinceImageTransitioned", 90, false),
            };
            made.push(rule(priority * 3, &drawn.tags, kind, number, &if action { transition() } else { expire() }));
        }
        if reversed {
            made.reverse();
        }
        Policy::parse(&json!({ "rules": made }).to_string()).unwrap()
    })
}

/// The definition, word for word and in no hurry.
fn naive(policy: &Policy, images: &[Stored]) -> BTreeSet<(Digest, u32)> {
    let age = |image: &Stored| image.activated_at_ms.unwrap_or(image.pushed_at_ms);
    let selects = |rule: &Rule, image: &Stored| {
        let class = match image.status {
            ImageStatus::Active => rule.storage_class == StorageClass::Standard,
            ImageStatus::Archived => rule.storage_class == StorageClass::Archive,
            ImageStatus::Activating => false,
        };
        let tags = match &rule.tags {
            TagSelection::Any => true,
            TagSelection::Untagged => image.tags.is_empty(),
            TagSelection::Patterns(list) => {
                list.iter().all(|pattern| image.tags.iter().any(|tag| wildcard::matches(pattern, tag)))
            }
            TagSelection::Prefixes(_) => unreachable!(),
        };
        class && tags
    };
    let follows = |image: &Stored| images.iter().any(|other| Some(&other.digest) == image.subject.as_ref());
    let older = |since: i64, days: u32| NOW_MS - since > i64::from(days) * DAY_MS;
    let marks = |rule: &Rule, image: &Stored| match rule.count {
        Count::ImagesMoreThan(keep) => {
            let newer = images
                .iter()
                .filter(|other| selects(rule, other) && !follows(other))
                .filter(|other| (age(other), &other.digest) > (age(image), &image.digest));
            newer.count() >= keep as usize
        }
        Count::DaysSincePushed(days) => older(age(image), days),
        Count::DaysSincePulled(days) => {
            let pulled = image.pulled_at_ms.filter(|pulled| image.activated_at_ms.is_none_or(|at| *pulled >= at));
            older(pulled.unwrap_or_else(|| age(image)), days)
        }
        Count::DaysSinceTransitioned(days) => older(image.archived_at_ms.unwrap(), days),
    };
    let mut found = BTreeSet::new();
    for image in images {
        let mut root = image;
        let (mut listed, mut placed) = (Listed::Nowhere, true);
        while let Some(subject) = images.iter().find(|other| Some(&other.digest) == root.subject.as_ref()) {
            listed = listed.max(root.listed);
            placed &= root.status != ImageStatus::Activating;
            root = subject;
        }
        listed = listed.max(root.listed);
        placed &= root.status != ImageStatus::Activating;
        let since = if root.status == ImageStatus::Archived { root.archived_at_ms.unwrap() } else { age(root) };
        let young = root.subject.is_some() && !older(since, 1);
        let rule = policy.rules().iter().find(|rule| selects(rule, root));
        let Some(rule) = rule.filter(|rule| marks(rule, root) && placed && !young) else { continue };
        if listed == Listed::Active || listed == Listed::InArchive && rule.action == Action::Expire {
            continue;
        }
        let is_there =
            image.digest != root.digest && rule.action == Action::Archive && image.status == ImageStatus::Archived;
        if !is_there {
            found.insert((image.digest.clone(), rule.priority));
        }
    }
    found
}

/// The repository after a policy was applied to it.
fn applied(policy: &Policy, images: &[Stored]) -> Vec<Stored> {
    let acts = acts(policy, images);
    let mut after = Vec::new();
    for image in images {
        match acts.iter().find(|act| act.digest == image.digest).map(|act| act.rule.action) {
            None => after.push(image.clone()),
            Some(Action::Archive) => {
                let mut image = image.clone();
                image.status = ImageStatus::Archived;
                image.archived_at_ms = Some(NOW_MS);
                after.push(image);
            }
            Some(Action::Expire) => {}
        }
    }
    after
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn agrees_with_the_definition(policy in a_policy(false), images in a_repository()) {
        let found: BTreeSet<(Digest, u32)> =
            acts(&policy, &images).into_iter().map(|act| (act.digest, act.rule.priority)).collect();
        prop_assert_eq!(found, naive(&policy, &images));
    }

    #[test]
    fn a_rule_shields_what_it_selects_from_all_after_it(policy in a_policy(false), images in a_repository()) {
        for act in acts(&policy, &images).iter().filter(|act| !act.follows) {
            let image = images.iter().find(|image| image.digest == act.digest).unwrap();
            for earlier in policy.rules().iter().filter(|rule| rule.priority < act.rule.priority) {
                // Alone, with a number that marks everything, it would act on the image if it selected it.
                let selects = match &earlier.tags {
                    TagSelection::Any => true,
                    TagSelection::Untagged => image.tags.is_empty(),
                    TagSelection::Patterns(list) | TagSelection::Prefixes(list) => {
                        list.iter().all(|entry| image.tags.iter().any(|tag| wildcard::matches(entry, tag)))
                    }
                };
                prop_assert!(!selects || earlier.storage_class != act.storage_class);
            }
        }
    }

    #[test]
    fn children_of_an_index_and_images_on_their_way_stay(policy in a_policy(false), images in a_repository()) {
        for act in acts(&policy, &images) {
            let image = images.iter().find(|image| image.digest == act.digest).unwrap();
            prop_assert!(image.listed != Listed::Active && image.status != ImageStatus::Activating);
            prop_assert!(image.listed == Listed::Nowhere || act.rule.action == Action::Archive);
        }
    }

    #[test]
    fn the_order_of_images_does_not_matter(
        policy in a_policy(false),
        (images, shuffled) in a_repository().prop_flat_map(|images| (Just(images.clone()), Just(images).prop_shuffle())),
    ) {
        prop_assert_eq!(acts(&policy, &images), acts(&policy, &shuffled));
    }

    #[test]
    fn an_image_is_acted_on_once_and_the_oldest_first(policy in a_policy(false), images in a_repository()) {
        let acts = acts(&policy, &images);
        let digests: BTreeSet<&Digest> = acts.iter().map(|act| &act.digest).collect();
        prop_assert_eq!(digests.len(), acts.len());
        let age = |digest: &Digest| {
            let image = images.iter().find(|image| image.digest == *digest).unwrap();
            let archived = image.archived_at_ms.filter(|_| image.status == ImageStatus::Archived);
            archived.or(image.activated_at_ms).unwrap_or(image.pushed_at_ms)
        };
        let leading: Vec<i64> = acts.iter().filter(|act| !act.follows).map(|act| age(&act.digest)).collect();
        prop_assert!(leading.is_sorted());
        for (index, act) in acts.iter().enumerate().filter(|(_, act)| act.follows) {
            let image = images.iter().find(|image| image.digest == act.digest).unwrap();
            let subject = acts.iter().position(|other| Some(&other.digest) == image.subject.as_ref());
            let subject_is_archived =
                images.iter().any(|other| Some(&other.digest) == image.subject.as_ref() && other.status == ImageStatus::Archived);
            prop_assert!(subject.map_or(subject_is_archived, |subject| subject < index));
        }
    }

    #[test]
    fn a_policy_of_ages_has_nothing_to_do_after_itself(policy in a_policy(true), images in a_repository()) {
        let after = applied(&policy, &images);
        // A referrer that stays behind, because an index lists it, is an image like others from then on.
        let has = |images: &[Stored], digest: &Digest| images.iter().any(|image| image.digest == *digest);
        let left_behind = after.iter().filter_map(|image| image.subject.as_ref());
        let left_behind = left_behind.filter(|subject| has(&images, subject) && !has(&after, subject));
        if left_behind.count() == 0 {
            prop_assert_eq!(acts(&policy, &after), vec![]);
        }
    }

    #[test]
    fn applying_comes_to_an_end(policy in a_policy(false), images in a_repository()) {
        let mut images = images;
        let mut rounds = 0;
        while !acts(&policy, &images).is_empty() {
            images = applied(&policy, &images);
            rounds += 1;
            prop_assert!(rounds < 10);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}", padding in 0_usize..120) {
        let _ = Policy::parse(&format!("{text}{}", " ".repeat(padding)));
    }

    #[test]
    fn documents_of_any_shape_are_read_or_refused(rules in proptest::collection::vec(
        (0_u64..5, "(tagged|untagged|any|x)", "(imageCountMoreThan|sinceImagePushed|sinceImagePulled|sinceImageTransitioned)",
         proptest::option::of("(days|hours)"), proptest::option::of("(standard|archive)"), "(expire|transition)",
         proptest::option::of("(archive|standard)"), proptest::option::of("[a*]{0,6}"), proptest::option::of("[ab]{0,2}")),
        0..4,
    )) {
        let rules: Vec<Value> = rules.into_iter().map(|(priority, tags, kind, unit, class, action, target, pattern, prefix)| {
            let mut selection = json!({ "tagStatus": tags, "countType": kind, "countNumber": 90 });
            let mut optional = |name: &str, value: Option<Value>| if let Some(value) = value { selection[name] = value };
            optional("countUnit", unit.map(Value::from));
            optional("storageClass", class.map(Value::from));
            optional("tagPatternList", pattern.map(|pattern| json!([pattern])));
            optional("tagPrefixList", prefix.map(|prefix| json!([prefix])));
            let mut action = json!({ "type": action });
            if let Some(target) = target {
                action["targetStorageClass"] = json!(target);
            }
            json!({ "rulePriority": priority, "selection": selection, "action": action })
        }).collect();
        let text = format!("{}{}", json!({ "rules": rules }), " ".repeat(100));
        if let Ok(policy) = Policy::parse(&text) {
            let mut evaluation = Evaluation::new(&policy, NOW_MS);
            evaluation.add(&Stored::new("image", &["a"], 100).image());
            prop_assert!(evaluation.finish().len() <= 1);
        }
    }
}
