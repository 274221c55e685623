//! Reading the trail: CloudTrail's `LookupEvents`, so that
//! `aws cloudtrail lookup-events` works as it is.

use ironwharf_cloud::Table;
use ironwharf_cloud::table::{AuditRecord, audit_position};
use ironwharf_model::{AccountId, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refused_input;
use crate::authenticate::Caller;
use crate::authorize::{Details, Permit, Resource, authorize};
use crate::aws;

/// What the operation's name follows in `X-Amz-Target`.
pub(crate) const TARGET_PREFIX: &str = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101";

/// The SigV4 service name.
pub(crate) const SERVICE: &str = "cloudtrail";

/// CloudTrail's largest page, and the size where none is asked for.
const MAX_RESULTS: usize = 50;

/// How many events are looked through for one page when they are filtered.
const MAX_EXAMINED: usize = 2_000;

/// The input of `LookupEvents`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LookupRequest {
    lookup_attributes: Option<Vec<Attribute>>,
    start_time: Option<f64>,
    end_time: Option<f64>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    attribute_key: String,
    attribute_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LookupResponse {
    events: Vec<EventShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EventShape {
    event_id: String,
    event_name: String,
    read_only: String,
    access_key_id: Option<String>,
    event_time: i64,
    event_source: String,
    username: Option<String>,
    resources: Vec<ResourceShape>,
    cloud_trail_event: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceShape {
    resource_type: String,
    resource_name: String,
}

/// Answers a signed request: the caller's own account's events.
pub(crate) async fn dispatch(caller: Caller, operation: &str, body: &[u8]) -> Result<Vec<u8>> {
    if operation != "LookupEvents" {
        let error = Error::UnknownOperation { operation: operation.to_owned() };
        refused_input(&caller, &aws::action(SERVICE, operation), &error).await;
        return Err(error);
    }
    let account = caller.principal.account.clone();
    let resource = Resource::Identity { account: account.clone(), arn: "*".to_owned() };
    let permit = authorize(caller, "cloudtrail:LookupEvents", resource, &Details::default()).await?;
    let result = page(&permit, &account, body).await;
    permit.conclude(result.as_ref().err()).await;
    serde_json::to_vec(&result?).map_err(Error::internal)
}

/// The page that a caller asks for.
async fn page(permit: &Permit, account: &AccountId, body: &[u8]) -> Result<LookupResponse> {
    let input = if body.is_empty() { b"{}" } else { body };
    let input = serde_json::from_slice(input).map_err(|error| Error::Validation { message: error.to_string() })?;
    let state = permit.caller().directory.account(account).await?;
    let begins_at_ms = state.map_or(i64::MAX, |state| state.trail_begins_at_ms);
    lookup(&permit.region().cloud.table, account, input, begins_at_ms, permit.caller().now_ms()).await
}

/// A page of an account's events since `begins_at_ms`, the newest first.
pub(crate) async fn lookup(
    table: &Table,
    account: &AccountId,
    input: LookupRequest,
    begins_at_ms: i64,
    now_ms: i64,
) -> Result<LookupResponse> {
    const DAYS_MS: i64 = 90 * 24 * 3600 * 1000;
    let invalid = |message: &str| Error::Validation { message: message.to_owned() };
    let limit = input.max_results.unwrap_or(MAX_RESULTS);
    if !(1..=MAX_RESULTS).contains(&limit) {
        return Err(invalid("MaxResults must be between 1 and 50"));
    }
    let from_ms = milliseconds(input.start_time).unwrap_or(now_ms - DAYS_MS).max(now_ms - DAYS_MS);
    let to_ms = milliseconds(input.end_time).unwrap_or(now_ms).min(now_ms);
    if from_ms > to_ms {
        return Err(invalid("StartTime must be before EndTime"));
    }
    let from_ms = from_ms.max(begins_at_ms);
    if from_ms > to_ms {
        return Ok(LookupResponse { events: Vec::new(), next_token: None });
    }
    let attributes = input.lookup_attributes.unwrap_or_default();
    if attributes.len() > 1 {
        return Err(invalid("LookupAttributes may have one attribute"));
    }
    let mut position = input.next_token;
    if position.as_ref().is_some_and(|token| !is_position(token)) {
        return Err(invalid("NextToken is not one of this listing"));
    }
    let (mut events, mut examined) = (Vec::new(), 0);
    loop {
        let page = table.audit(account, from_ms, to_ms, position.as_deref(), MAX_RESULTS).await?;
        let is_last = page.len() < MAX_RESULTS;
        examined += page.len();
        for record in page {
            position = Some(audit_position(&record));
            let shape = EventShape::of(record)?;
            if attributes.iter().all(|attribute| shape.has(attribute)) {
                events.push(shape);
            }
            if events.len() == limit {
                return Ok(LookupResponse { events, next_token: position });
            }
        }
        if is_last {
            return Ok(LookupResponse { events, next_token: None });
        }
        if examined >= MAX_EXAMINED {
            return Ok(LookupResponse { events, next_token: position });
        }
    }
}

/// A position names a place in the caller's own trail and nothing else, so it
/// needs no seal; only its form is checked.
fn is_position(token: &str) -> bool {
    let Some((time, id)) = token.split_once('#') else { return false };
    time.len() == 14
        && time.bytes().all(|byte| byte.is_ascii_digit())
        && id.len() <= 64
        && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[expect(clippy::cast_possible_truncation, reason = "a time out of range is cut to the range of events")]
fn milliseconds(seconds: Option<f64>) -> Option<i64> {
    seconds.map(|seconds| (seconds * 1000.0) as i64)
}

impl EventShape {
    fn of(record: AuditRecord) -> Result<Self> {
        let event: Value = serde_json::from_str(&record.event).map_err(Error::internal)?;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let resources = event.pointer("/resources").and_then(Value::as_array).into_iter().flatten();
        let resources = resources.map(|resource| {
            let field = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            ResourceShape { resource_type: field("type"), resource_name: field("ARN") }
        });
        let session = text("/userIdentity/arn").and_then(|arn| arn.rsplit('/').next().map(str::to_owned));
        let username = match text("/userIdentity/type").as_deref() {
            Some("Root") => Some("root".to_owned()),
            Some("AssumedRole") => session,
            _ => text("/userIdentity/userName"),
        };
        Ok(Self {
            event_name: text("/eventName").unwrap_or_default(),
            read_only: event.pointer("/readOnly").and_then(Value::as_bool).unwrap_or_default().to_string(),
            access_key_id: text("/userIdentity/accessKeyId"),
            event_time: record.at_ms / 1000,
            event_source: text("/eventSource").unwrap_or_default(),
            username,
            resources: resources.collect(),
            event_id: record.id,
            cloud_trail_event: record.event,
        })
    }

    fn has(&self, attribute: &Attribute) -> bool {
        let Attribute { attribute_key, attribute_value: value } = attribute;
        match attribute_key.as_str() {
            "EventId" => self.event_id == *value,
            "EventName" => self.event_name == *value,
            "ReadOnly" => self.read_only == *value,
            "Username" => self.username.as_ref() == Some(value),
            "AccessKeyId" => self.access_key_id.as_ref() == Some(value),
            "EventSource" => self.event_source == *value,
            "ResourceType" => self.resources.iter().any(|resource| resource.resource_type == *value),
            "ResourceName" => self.resources.iter().any(|resource| {
                resource.resource_name == *value || resource.resource_name.ends_with(&format!(":repository/{value}"))
            }),
            _ => false,
        }
    }
}
