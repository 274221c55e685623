//! What lifecycle policies have done: `PolicyExecutionEvent`, an event that no
//! request stands behind. (ECR User Guide: logging with CloudTrail, "Image
//! lifecycle policy action".)

use ironwharf_cloud::table::{AuditRecord, ImageRecord, LifecyclePolicyRecord, PlannedAct, RepositoryKey};
use ironwharf_cloud::{Table, random};
use ironwharf_model::{Region, RepositoryArn};
use ironwharf_policy::lifecycle::{Action, Count, Policy, Rule, StorageClass, TagSelection};
use serde_json::{Value, json};

use super::event::date;
use super::written;

/// How many images an event is about at most.
pub(crate) const IMAGES_PER_EVENT: usize = 10;

/// How many tags of an image are in an event at most.
const TAGS_PER_IMAGE: usize = 100;

/// Who has done it, in CloudTrail's words.
const SERVICE: &str = "AWS Internal";

/// What a policy has done with some images.
pub(crate) struct PolicyExecution<'a> {
    pub(crate) region: &'a Region,
    pub(crate) repository: &'a RepositoryKey,
    pub(crate) policy: &'a Policy,
    pub(crate) done: Vec<(&'a PlannedAct, &'a ImageRecord)>,
}

impl PolicyExecution<'_> {
    /// Writes the event into the trail of the registry's account.
    pub(crate) async fn write(&self, table: &Table, stored: &LifecyclePolicyRecord, at_ms: i64) {
        let id = random::uuid();
        let event = self.event(&id, stored, at_ms).to_string();
        written(table.write_audit(&self.repository.account, &AuditRecord { id, at_ms, event }).await);
    }

    fn event(&self, id: &str, stored: &LifecyclePolicyRecord, at_ms: i64) -> Value {
        let RepositoryKey { account, name, .. } = self.repository;
        let arn = RepositoryArn { region: self.region, account, repository: name }.to_string();
        let images = self.done.iter().map(|(act, image)| {
            json!({
                "lifecycleEventImage": {
                    "digest": image.digest.as_str(),
                    "tagStatus": if image.tags.is_empty() { "Untagged" } else { "Tagged" },
                    "tagList": image.tags.iter().take(TAGS_PER_IMAGE).collect::<Vec<_>>(),
                    "pushedAt": image.pushed_at_ms,
                },
                "rulePriority": act.rule_priority,
            })
        });
        json!({
            "eventVersion": "1.11",
            "userIdentity": { "accountId": account.as_str(), "invokedBy": SERVICE },
            "eventTime": date(at_ms),
            "eventSource": "ecr.amazonaws.com",
            "eventName": "PolicyExecutionEvent",
            "awsRegion": self.region.as_str(),
            "sourceIPAddress": SERVICE,
            "userAgent": SERVICE,
            "requestParameters": null,
            "responseElements": null,
            "eventID": id,
            "readOnly": true,
            "resources": [{ "accountId": account.as_str(), "type": "AWS::ECR::Repository", "ARN": arn }],
            "eventType": "AwsServiceEvent",
            "managementEvent": true,
            "recipientAccountId": account.as_str(),
            "eventCategory": "Management",
            "serviceEventDetails": {
                "repositoryName": name.as_str(),
                "lifecycleEventPolicy": {
                    "lifecycleEventRules": self.policy.rules().iter().map(rule).collect::<Vec<_>>(),
                    "lastEvaluatedAt": stored.evaluated_at_ms.unwrap_or(0),
                    "policyId": stored.version,
                },
                "lifecycleEventImageActions": images.collect::<Vec<_>>(),
            },
        })
    }
}

fn rule(rule: &Rule) -> Value {
    let (status, patterns, prefixes): (&str, &[String], &[String]) = match &rule.tags {
        TagSelection::Patterns(patterns) => ("Tagged", patterns, &[]),
        TagSelection::Prefixes(prefixes) => ("Tagged", &[], prefixes),
        TagSelection::Untagged => ("Untagged", &[], &[]),
        TagSelection::Any => ("Any", &[], &[]),
    };
    let (count_type, number) = match rule.count {
        Count::ImagesMoreThan(number) => ("Image count more than", number),
        Count::DaysSincePushed(number) => ("Since image pushed", number),
        Count::DaysSincePulled(number) => ("Since image pulled", number),
        Count::DaysSinceTransitioned(number) => ("Since image transitioned", number),
    };
    json!({
        "rulePriority": rule.priority,
        "description": rule.description,
        "lifecycleEventSelection": {
            "tagStatus": status,
            "tagPatternList": patterns,
            "tagPrefixList": prefixes,
            "storageClass": match rule.storage_class {
                StorageClass::Standard => "Standard",
                StorageClass::Archive => "Archive",
            },
            "countType": count_type,
            "countNumber": number,
        },
        "action": match rule.action {
            Action::Expire => "expire",
            Action::Archive => "transition",
        },
    })
}
