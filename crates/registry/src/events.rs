//! What others are told of images: the events that ECR sends to `EventBridge`.
//!
//! | change of an image | events | action |
//! |---|---|---|
//! | pushed, or given a tag | one for each tag it got; one without a tag, if it has none | `PUSH` |
//! | deleted, by hand or by a lifecycle policy | one for each tag it had; one without, if it had none | `DELETE` |
//! | archived or restored | one | `UPDATE_STORAGE_CLASS` |
//! | anything else: pulled, untagged | none | |
//!
//! Detail types and fields are ECR's (User Guide, "Amazon ECR events"), with `registry-id` besides: `account` in the envelope is the
//! deployment's, whoever's the registry is.
//!
//! Invariant: an event is made of what the stream of the table says and nothing
//! else, so the same record makes the same events each time.

use ironwharf_cloud::table::{ImageChange, ImageRecord};
use ironwharf_model::ImageStatus;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An event, but for its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `detail-type`.
    pub detail_type: &'static str,
    /// `detail`.
    pub detail: Detail,
    /// `time`, in seconds since the epoch.
    pub at_seconds: i64,
}

/// What happened to which image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Detail {
    result: &'static str,
    repository_name: String,
    image_digest: String,
    action_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tag: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    registry_id: String,
}

/// What a change of the storage class tells besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Storage {
    target_storage_class: &'static str,
    manifest_media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_activated_at: Option<String>,
}

const IMAGE_ACTION: &str = "ECR Image Action";
const REFERRER_ACTION: &str = "ECR Referrer Action";

/// The events of a change.
#[must_use]
pub fn events_of(change: &ImageChange) -> Vec<Event> {
    match (&change.before, &change.after) {
        (None, Some(image)) => of_whole(change, image, "PUSH"),
        (Some(image), None) => of_whole(change, image, "DELETE"),
        (Some(before), Some(image)) => {
            let new = image.tags.iter().filter(|tag| !before.tags.contains(tag));
            let mut events: Vec<Event> = new.map(|tag| event(change, image, "PUSH", Some(tag))).collect();
            events.extend(of_storage_class(change, before, image));
            events
        }
        (None, None) => Vec::new(),
    }
}

/// The events of an image that has come or gone.
fn of_whole(change: &ImageChange, image: &ImageRecord, action: &'static str) -> Vec<Event> {
    if image.tags.is_empty() {
        return vec![event(change, image, action, None)];
    }
    image.tags.iter().map(|tag| event(change, image, action, Some(tag))).collect()
}

/// The event of an image that went into the archive, or came out of it.
fn of_storage_class(change: &ImageChange, before: &ImageRecord, image: &ImageRecord) -> Option<Event> {
    let is_archived = |image: &ImageRecord| image.status == ImageStatus::Archived;
    if is_archived(before) == is_archived(image) {
        return None;
    }
    let mut event = event(change, image, "UPDATE_STORAGE_CLASS", image.tags.first());
    event.detail_type = if image.subject.is_some() { REFERRER_ACTION } else { IMAGE_ACTION };
    event.detail.storage = Some(Storage {
        target_storage_class: if is_archived(image) { "ARCHIVE" } else { "STANDARD" },
        manifest_media_type: image.media_type.clone(),
        artifact_media_type: image.config_media_type.clone().or_else(|| image.artifact_type.clone()),
        last_activated_at: image.activated_at_ms.and_then(rfc3339),
    });
    Some(event)
}

fn event(change: &ImageChange, image: &ImageRecord, action_type: &'static str, tag: Option<&String>) -> Event {
    let detail = Detail {
        result: "SUCCESS",
        repository_name: change.repository.to_string(),
        image_digest: image.digest.to_string(),
        action_type,
        image_tag: tag.cloned(),
        storage: None,
        registry_id: change.account.to_string(),
    };
    Event { detail_type: IMAGE_ACTION, detail, at_seconds: change.at_seconds }
}

fn rfc3339(at_ms: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(at_ms / 1000).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use ironwharf_model::{AccountId, Digest, RepositoryName};

    use serde_json::{Value, json};

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
        events.iter().map(|event| (event.detail.action_type, event.detail.image_tag.as_deref())).collect()
    }

    fn detail(event: &Event) -> Value {
        serde_json::to_value(&event.detail).unwrap()
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
            detail(&pushed[0]),
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
        assert_eq!(detail(&stored[0])["target-storage-class"], "ARCHIVE");
        assert_eq!(detail(&stored[0])["artifact-media-type"], "application/vnd.oci.image.config.v1+json");
        let signature = ImageRecord { subject: Some(Digest::sha256(b"subject")), ..image(&[]) };
        let restored = ImageRecord { activated_at_ms: Some(1_795_860_000_000), ..signature.clone() };
        let restored = events(Some(archived(signature)), Some(restored));
        assert_eq!(restored[0].detail_type, "ECR Referrer Action");
        assert_eq!(detail(&restored[0])["target-storage-class"], "STANDARD");
        assert_eq!(detail(&restored[0])["last-activated-at"], "2026-11-28T10:00:00Z");
    }
}
