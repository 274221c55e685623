//! What others are told of images: the events that ECR sends to `EventBridge`.
//!
//! | change of an image | events | action |
//! |---|---|---|
//! | pushed, or given a tag | one for each tag it got; one without a tag, if it has none | `PUSH` |
//! | deleted, by hand or by a lifecycle policy | one for each tag it had; one without, if it had none | `DELETE` |
//! | archived or restored | one | `UPDATE_STORAGE_CLASS` |
//! | anything else: pulled, untagged | none | |
//!
//! Detail types and fields are ECR's (User Guide, "Amazon ECR events and
//! EventBridge"), with `registry-id` besides: `account` in the envelope is the
//! deployment's, whoever's the registry is.
//!
//! Invariant: an event is made of what the stream of the table says and nothing
//! else, so the same record makes the same events each time.

use ironwharf_cloud::table::{ImageChange, ImageRecord};
use ironwharf_model::ImageStatus;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An event, but for its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `detail-type`.
    pub detail_type: &'static str,
    /// `detail`.
    pub detail: Value,
    /// `time`, in seconds since the epoch.
    pub at_seconds: i64,
}

const IMAGE_ACTION: &str = "ECR Image Action";
const REFERRER_ACTION: &str = "ECR Referrer Action";

/// The events of a change.
#[must_use]
pub fn events_of(change: &ImageChange) -> Vec<Event> {
    let tags = |image: &ImageRecord| image.tags.clone();
    match (&change.before, &change.after) {
        (None, Some(image)) => each_tag(change, image, "PUSH", tags(image), true),
        (Some(image), None) => each_tag(change, image, "DELETE", tags(image), true),
        (Some(before), Some(image)) => {
            let new = image.tags.iter().filter(|tag| !before.tags.contains(tag)).cloned().collect();
            let mut events = each_tag(change, image, "PUSH", new, false);
            events.extend(storage_class(change, before, image));
            events
        }
        (None, None) => Vec::new(),
    }
}

fn each_tag(change: &ImageChange, image: &ImageRecord, action: &str, tags: Vec<String>, also_none: bool) -> Vec<Event> {
    let mut tags: Vec<Option<String>> = tags.into_iter().map(Some).collect();
    if tags.is_empty() && also_none {
        tags.push(None);
    }
    let event = |tag| {
        let mut detail = detail(change, image, action);
        if let Some(tag) = tag {
            detail["image-tag"] = Value::String(tag);
        }
        Event { detail_type: IMAGE_ACTION, detail, at_seconds: change.at_seconds }
    };
    tags.into_iter().map(event).collect()
}

/// The event of an image that went into the archive, or came out of it.
fn storage_class(change: &ImageChange, before: &ImageRecord, image: &ImageRecord) -> Option<Event> {
    let is_archived = |image: &ImageRecord| image.status == ImageStatus::Archived;
    if is_archived(before) == is_archived(image) {
        return None;
    }
    let mut detail = detail(change, image, "UPDATE_STORAGE_CLASS");
    if let Some(tag) = image.tags.first() {
        detail["image-tag"] = json!(tag);
    }
    detail["target-storage-class"] = json!(if is_archived(image) { "ARCHIVE" } else { "STANDARD" });
    detail["manifest-media-type"] = json!(image.media_type);
    if let Some(artifact) = image.config_media_type.as_ref().or(image.artifact_type.as_ref()) {
        detail["artifact-media-type"] = json!(artifact);
    }
    if let Some(at) = image.activated_at_ms.and_then(rfc3339) {
        detail["last-activated-at"] = json!(at);
    }
    let detail_type = if image.subject.is_some() { REFERRER_ACTION } else { IMAGE_ACTION };
    Some(Event { detail_type, detail, at_seconds: change.at_seconds })
}

fn detail(change: &ImageChange, image: &ImageRecord, action: &str) -> Value {
    json!({
        "result": "SUCCESS",
        "repository-name": change.repository.as_str(),
        "image-digest": image.digest.to_string(),
        "action-type": action,
        "registry-id": change.account.to_string(),
    })
}

fn rfc3339(at_ms: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(at_ms / 1000).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use ironwharf_model::{AccountId, Digest, RepositoryName};

    use super::*;

    fn image(tags: &[&str]) -> ImageRecord {
        ImageRecord {
            digest: Digest::sha256(b"image"),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            artifact_type: None,
            config_media_type: Some("application/vnd.oci.image.config.v1+json".to_owned()),
            size_bytes: 1,
            manifest_bytes: None,
            pushed_at_ms: 0,
            status: ImageStatus::Active,
            archived_at_ms: None,
            activated_at_ms: None,
            pulled_at_ms: None,
            subject: None,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            parents: 0,
            archived_parents: 0,
            push: "push".to_owned(),
            revision: 1,
        }
    }

    fn events(before: Option<ImageRecord>, after: Option<ImageRecord>) -> Vec<Event> {
        events_of(&ImageChange {
            account: AccountId::parse("123456789012").unwrap(),
            repository: RepositoryName::parse("team/app").unwrap(),
            before,
            after,
            at_seconds: 7,
        })
    }

    /// The actions and tags of the events.
    fn summary(events: &[Event]) -> Vec<(&str, Option<&str>)> {
        let of = |event| -> (&str, Option<&str>) {
            let Event { detail, .. } = event;
            (detail["action-type"].as_str().unwrap(), detail.get("image-tag").and_then(Value::as_str))
        };
        events.iter().map(of).collect()
    }

    #[test]
    fn pushes_and_deletions_are_told_for_each_tag() {
        assert_eq!(summary(&events(None, Some(image(&["a", "b"])))), [("PUSH", Some("a")), ("PUSH", Some("b"))]);
        assert_eq!(summary(&events(None, Some(image(&[])))), [("PUSH", None)]);
        assert_eq!(summary(&events(Some(image(&["a"])), Some(image(&["a", "c"])))), [("PUSH", Some("c"))]);
        assert_eq!(summary(&events(Some(image(&["a"])), None)), [("DELETE", Some("a"))]);
        assert_eq!(summary(&events(Some(image(&[])), None)), [("DELETE", None)]);
        // A tag that goes away, and a pull, are nobody's business.
        assert_eq!(events(Some(image(&["a"])), Some(image(&[]))), []);
        let pulled = ImageRecord { pulled_at_ms: Some(1), ..image(&["a"]) };
        assert_eq!(events(Some(image(&["a"])), Some(pulled)), []);
    }

    #[test]
    fn an_event_has_the_form_of_ecrs() {
        let pushed = events(None, Some(image(&["latest"])));
        let digest = Digest::sha256(b"image").to_string();
        assert_eq!(pushed[0].detail_type, "ECR Image Action");
        assert_eq!(pushed[0].at_seconds, 7);
        assert_eq!(
            pushed[0].detail,
            json!({
                "result": "SUCCESS", "repository-name": "team/app", "image-digest": digest,
                "action-type": "PUSH", "image-tag": "latest", "registry-id": "123456789012",
            })
        );
    }

    #[test]
    fn a_change_of_storage_class_is_told_as_of_an_image_or_a_referrer() {
        let archived = |image| ImageRecord { status: ImageStatus::Archived, ..image };
        let stored = events(Some(image(&["a", "b"])), Some(archived(image(&["a", "b"]))));
        assert_eq!(summary(&stored), [("UPDATE_STORAGE_CLASS", Some("a"))]);
        assert_eq!(stored[0].detail["target-storage-class"], "ARCHIVE");
        assert_eq!(stored[0].detail["artifact-media-type"], "application/vnd.oci.image.config.v1+json");
        let signature = ImageRecord { subject: Some(Digest::sha256(b"subject")), ..image(&[]) };
        let restored = ImageRecord { activated_at_ms: Some(1_795_860_000_000), ..signature.clone() };
        let restored = events(Some(archived(signature)), Some(restored));
        assert_eq!(restored[0].detail_type, "ECR Referrer Action");
        assert_eq!(restored[0].detail["target-storage-class"], "STANDARD");
        assert_eq!(restored[0].detail["last-activated-at"], "2026-11-28T10:00:00Z");
    }
}
