//! Repositories and policies in few words.

use ironwharf_model::{Digest, ImageStatus};
use ironwharf_policy::lifecycle::{Act, Action, Evaluation, Image, Listed, Policy};
use serde_json::{Value, json};

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

/// An image of a test's repository. Its name makes its digest.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) digest: Digest,
    pub(crate) tags: Vec<String>,
    pub(crate) status: ImageStatus,
    pub(crate) pushed_at_ms: i64,
    pub(crate) activated_at_ms: Option<i64>,
    pub(crate) archived_at_ms: Option<i64>,
    pub(crate) pulled_at_ms: Option<i64>,
    pub(crate) listed: Listed,
    pub(crate) subject: Option<Digest>,
}

impl Stored {
    pub(crate) fn new(name: &str, tags: &[&str], days_ago: i64) -> Self {
        Self {
            name: name.to_owned(),
            digest: Digest::sha256(name.as_bytes()),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            status: ImageStatus::Active,
            pushed_at_ms: NOW_MS - days_ago * DAY_MS,
            activated_at_ms: None,
            archived_at_ms: None,
            pulled_at_ms: None,
            listed: Listed::Nowhere,
            subject: None,
        }
    }

    pub(crate) fn archived(mut self, days_ago: i64) -> Self {
        self.status = ImageStatus::Archived;
        self.archived_at_ms = Some(NOW_MS - days_ago * DAY_MS);
        self
    }

    pub(crate) fn activated(mut self, days_ago: i64) -> Self {
        self.activated_at_ms = Some(NOW_MS - days_ago * DAY_MS);
        self
    }

    pub(crate) fn pulled(mut self, days_ago: i64) -> Self {
        self.pulled_at_ms = Some(NOW_MS - days_ago * DAY_MS);
        self
    }

    pub(crate) fn listed(mut self) -> Self {
        self.listed = Listed::Active;
        self
    }

    pub(crate) fn listed_in_archive(mut self) -> Self {
        self.listed = Listed::InArchive;
        self
    }

    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.subject = Some(Digest::sha256(subject.as_bytes()));
        self
    }

    pub(crate) fn image(&self) -> Image<'_> {
        Image {
            digest: &self.digest,
            tags: &self.tags,
            status: self.status,
            pushed_at_ms: self.pushed_at_ms,
            activated_at_ms: self.activated_at_ms,
            archived_at_ms: self.archived_at_ms,
            pulled_at_ms: self.pulled_at_ms,
            listed: self.listed,
            subject: self.subject.as_ref(),
            stamp: u64::from(self.digest.as_str().as_bytes()[10]),
        }
    }
}

/// A rule that counts; `since` is a count type with days.
pub(crate) fn rule(priority: u32, tags: &Value, count_type: &str, number: u32, action: &Value) -> Value {
    let mut selection = tags.clone();
    selection["countType"] = json!(count_type);
    selection["countNumber"] = json!(number);
    if count_type != "imageCountMoreThan" {
        selection["countUnit"] = json!("days");
    }
    if count_type == "sinceImageTransitioned" {
        selection["storageClass"] = json!("archive");
    }
    json!({ "rulePriority": priority, "description": "words", "selection": selection, "action": action })
}

pub(crate) fn expire() -> Value {
    json!({ "type": "expire" })
}

pub(crate) fn transition() -> Value {
    json!({ "type": "transition", "targetStorageClass": "archive" })
}

pub(crate) fn any_image() -> Value {
    json!({ "tagStatus": "any" })
}

pub(crate) fn untagged() -> Value {
    json!({ "tagStatus": "untagged" })
}

pub(crate) fn prefixes(list: &[&str]) -> Value {
    json!({ "tagStatus": "tagged", "tagPrefixList": list })
}

pub(crate) fn patterns(list: &[&str]) -> Value {
    json!({ "tagStatus": "tagged", "tagPatternList": list })
}

pub(crate) fn policy(rules: &[Value]) -> Policy {
    let text = json!({ "rules": rules }).to_string();
    Policy::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) fn acts<'p>(policy: &'p Policy, images: &[Stored]) -> Vec<Act<'p>> {
    let mut evaluation = Evaluation::new(policy, NOW_MS);
    for image in images {
        evaluation.add(&image.image());
    }
    let outcome = evaluation.finish();
    let acts: Vec<Act<'p>> = outcome.acts().collect();
    assert_eq!(acts.len(), outcome.len());
    assert_eq!(acts.is_empty(), outcome.is_empty());
    acts
}

/// What happens: names with the priority of the rule, `*` for what follows,
/// `>` for what goes into the archive.
pub(crate) fn outcome(rules: &[Value], images: &[Stored]) -> Vec<String> {
    let policy = policy(rules);
    let shown = acts(&policy, images).into_iter().map(|act| {
        let image = images.iter().find(|image| image.digest == act.digest).unwrap();
        assert_eq!(act.stamp, image.image().stamp);
        assert_eq!(act.tagged, !image.tags.is_empty());
        let to = if act.rule.action == Action::Archive { ">" } else { "" };
        let follows = if act.follows { "*" } else { "" };
        format!("{}{to}{follows} {}", image.name, act.rule.priority)
    });
    shown.collect()
}
