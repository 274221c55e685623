//! One event of the audit trail, in the shape of CloudTrail's records
//! (CloudTrail User Guide: record contents).
//!
//! Invariant: an event holds no secret. Of what a request says, only members on
//! a list go in; documents, manifests, tokens and keys' secrets are not on it.

use ironwharf_model::{AccountId, Principal, PrincipalKind};
use ironwharf_wire::query::Form;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::authenticate::Origin;

/// What of a request goes into its event, and how much of it.
const PARAMETERS: &[&str] = &[
    "accountId",
    "accountName",
    "appliedFor",
    "force",
    "imageDigest",
    "imageIds",
    "imageTag",
    "imageTagMutability",
    "imageTags",
    "layerDigest",
    "layerDigests",
    "name",
    "partFirstByte",
    "partLastByte",
    "registryId",
    "registryIds",
    "repositoryName",
    "repositoryNames",
    "resourceArn",
    "roleName",
    "tagKeys",
    "uploadId",
    "userName",
    // IAM and STS
    "AccessKeyId",
    "ClientID",
    "DurationSeconds",
    "GroupName",
    "MaxSessionDuration",
    "NewGroupName",
    "NewPath",
    "NewUserName",
    "OpenIDConnectProviderArn",
    "Path",
    "PermissionsBoundary",
    "PolicyArn",
    "PolicyName",
    "RoleArn",
    "RoleName",
    "RoleSessionName",
    "SetAsDefault",
    "Status",
    "Url",
    "UserName",
    "VersionId",
];

/// The longest text of a parameter, in characters.
const MAX_TEXT: usize = 512;

/// The longest list of a parameter.
const MAX_LIST: usize = 100;

/// The most members of a parameter, which may not have been checked yet.
const MAX_MEMBERS: usize = 16;

/// The largest parameters that are kept, in bytes: those of CloudTrail
/// (CloudTrail User Guide: record contents, `requestParameters`).
const MAX_PARAMETERS: usize = 100 * 1024;

/// Who did something.
#[derive(Clone, Debug)]
pub(crate) enum Actor {
    /// Somebody of ours.
    Principal(Principal),
    /// Whoever a web identity token is about.
    WebIdentity(WebIdentity),
    /// Somebody who proved nothing, with the access key they named.
    Unproven { access_key_id: Option<String> },
}

/// Somebody an OpenID Connect issuer vouches for.
#[derive(Clone, Debug)]
pub(crate) struct WebIdentity {
    /// The ARN of the provider that the account has for the issuer.
    pub(crate) provider: String,
    /// Whom the token is for.
    pub(crate) audience: String,
    /// Whom it is about.
    pub(crate) subject: String,
}

/// What happened, to whatever end.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its unique id.
    pub(crate) id: String,
    /// When the request arrived, in milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// `ecr`, `iam`, `sts` or `ironwharf`.
    pub(crate) service: &'static str,
    /// The operation.
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) actor: Actor,
    pub(crate) origin: Origin,
    /// The account whose registry or identities were acted on.
    pub(crate) recipient: AccountId,
    /// The ARN acted on, if it is one.
    pub(crate) resource: Option<String>,
    /// What the request said, reduced by [`parameters`].
    pub(crate) parameters: Option<Value>,
    /// What was given out, without secrets.
    pub(crate) response: Option<Value>,
    /// The code and message of the refusal.
    pub(crate) error: Option<(String, String)>,
    pub(crate) read_only: bool,
    /// What the registry did this for by itself, such as `CREATE_ON_PUSH`; none
    /// for what the request asked for.
    pub(crate) applied_for: Option<&'static str>,
}

/// The service that does something for a request which did not ask for it.
const INVOKER: &str = "ecr.amazonaws.com";

impl Event {
    /// The event as it is kept and shown.
    pub(crate) fn to_json(&self) -> Value {
        let mut record = json!({
            "eventVersion": "1.11",
            "userIdentity": self.identity(),
            "eventTime": date(self.at_ms),
            "eventSource": format!("{}.amazonaws.com", self.service),
            "eventName": self.name,
            "awsRegion": self.region,
            "sourceIPAddress": self.origin.source_ip.map(|address| address.to_canonical().to_string()),
            "userAgent": self.origin.user_agent,
            "requestParameters": self.parameters,
            "responseElements": self.response,
            "requestID": self.origin.request_id,
            "eventID": self.id,
            "readOnly": self.read_only,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": self.recipient,
            "eventCategory": "Management",
        });
        if let Value::Object(fields) = &mut record {
            if let Some((code, message)) = &self.error {
                fields.insert("errorCode".to_owned(), json!(code));
                fields.insert("errorMessage".to_owned(), json!(cut(message)));
            }
            if let Some(arn) = &self.resource {
                let mut resource = json!({ "accountId": self.recipient, "ARN": arn });
                if let (true, Value::Object(fields)) = (arn.contains(":ecr:"), &mut resource) {
                    fields.insert("type".to_owned(), json!("AWS::ECR::Repository"));
                }
                fields.insert("resources".to_owned(), json!([resource]));
            }
            if let Some((method, path)) = &self.origin.data_plane {
                let mut data = json!({ "protocol": "oci", "method": method, "path": cut(path) });
                if let (Some(reason), Value::Object(data)) = (self.applied_for, &mut data) {
                    data.insert("appliedFor".to_owned(), json!(reason));
                }
                fields.insert("additionalEventData".to_owned(), data);
            }
            if let (Some(_), Some(Value::Object(identity))) = (self.applied_for, fields.get_mut("userIdentity")) {
                identity.insert("invokedBy".to_owned(), json!(INVOKER));
            }
        }
        record
    }

    fn identity(&self) -> Value {
        let principal = match &self.actor {
            Actor::Principal(principal) => principal,
            Actor::WebIdentity(WebIdentity { provider, audience, subject }) => {
                return json!({
                    "type": "WebIdentityUser",
                    "principalId": cut(&format!("{provider}:{audience}:{subject}")),
                    "userName": cut(subject),
                    "identityProvider": provider,
                });
            }
            Actor::Unproven { access_key_id } => {
                return json!({ "type": "Unknown", "accountId": self.recipient, "accessKeyId": access_key_id });
            }
        };
        let mut identity = json!({
            "principalId": principal.user_id(),
            "arn": principal.arn(),
            "accountId": principal.account,
            "accessKeyId": principal.access_key_id,
        });
        if let Value::Object(fields) = &mut identity {
            let mut insert = |name: &str, value: Value| fields.insert(name.to_owned(), value);
            match &principal.kind {
                PrincipalKind::Root => insert("type", json!("Root")),
                PrincipalKind::User { name, .. } => {
                    insert("userName", json!(name));
                    insert("type", json!("IAMUser"))
                }
                PrincipalKind::Session { role, id, .. } => {
                    let issuer = json!({
                        "type": "Role",
                        "principalId": id,
                        "arn": principal.issuer_arn(),
                        "accountId": principal.account,
                        "userName": role,
                    });
                    insert("sessionContext", json!({ "sessionIssuer": issuer }));
                    insert("type", json!("AssumedRole"))
                }
            };
        }
        identity
    }
}

/// What of a request may be kept.
pub(crate) fn parameters(request: &Value) -> Option<Value> {
    let Value::Object(members) = request else { return None };
    let kept: Map<String, Value> = members
        .iter()
        .filter(|(name, value)| PARAMETERS.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), bounded(value)))
        .collect();
    let kept = Some(Value::Object(kept)).filter(|kept| *kept != json!({}));
    kept.filter(|kept| kept.to_string().len() <= MAX_PARAMETERS)
}

/// What of a form may be kept.
pub(crate) fn form_parameters(form: &Form) -> Option<Value> {
    let given = PARAMETERS.iter().filter_map(|name| Some(((*name).to_owned(), json!(cut(form.get(name)?)))));
    let kept: Map<String, Value> = given.collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}

fn bounded(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text)),
        Value::Array(values) => Value::Array(values.iter().take(MAX_LIST).map(bounded).collect()),
        Value::Object(members) => {
            Value::Object(members.iter().take(MAX_MEMBERS).map(|(name, value)| (cut(name), bounded(value))).collect())
        }
        other => other.clone(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

pub(super) fn date(milliseconds: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(milliseconds / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_shape_of_cloudtrail() {
        let account = AccountId::parse("111111111111").unwrap();
        let kind =
            PrincipalKind::Session { path: "/".into(), role: "ci".into(), id: "AROAX".into(), session: "run".into() };
        let event = Event {
            id: "e".into(),
            at_ms: 1_700_000_000_000,
            service: "ecr",
            name: "PutImage".into(),
            region: "us-east-1".into(),
            actor: Actor::Principal(Principal { account: account.clone(), kind, access_key_id: "ASIAX".into() }),
            origin: Origin {
                request_id: "r".into(),
                data_plane: Some(("PUT".into(), "/v2/app/manifests/latest".into())),
                ..Origin::default()
            },
            recipient: account,
            resource: Some("arn:aws:ecr:us-east-1:111111111111:repository/app".into()),
            parameters: parameters(&json!({ "repositoryName": "app", "imageManifest": "{}", "imageTag": null })),
            response: None,
            error: Some(("AccessDenied".into(), "no".into())),
            read_only: false,
            applied_for: None,
        };
        let shown = event.to_json();
        assert_eq!(shown["userIdentity"]["type"], "AssumedRole");
        assert_eq!(shown["userIdentity"]["sessionContext"]["sessionIssuer"]["userName"], "ci");
        assert_eq!(shown["eventTime"], "2023-11-14T22:13:20Z");
        assert_eq!(shown["requestParameters"], json!({ "repositoryName": "app" }));
        assert_eq!(shown["resources"][0]["type"], "AWS::ECR::Repository");
        assert_eq!(shown["errorCode"], "AccessDenied");
        assert_eq!(shown["additionalEventData"]["path"], "/v2/app/manifests/latest");
        assert_eq!(shown["requestID"], "r");
    }

    #[test]
    fn secrets_stay_out() {
        let request = json!({
            "UserName": "ada", "Policy": "p", "WebIdentityToken": "t", "layerPartBlob": "b", "policyText": "x",
            "PolicyDocument": "d", "SecretAccessKey": "s", "Token": "t"
        });
        assert_eq!(parameters(&request), Some(json!({ "UserName": "ada" })));
        let long = json!({ "UserName": "x".repeat(5_000), "repositoryNames": vec!["a"; 500] });
        let kept = parameters(&long).unwrap();
        assert_eq!(kept["UserName"].as_str().map(str::len), Some(MAX_TEXT));
        assert_eq!(kept["repositoryNames"].as_array().map(Vec::len), Some(MAX_LIST));
        // What nobody has checked yet is left out when it is larger than an event may be.
        let huge = json!({ "imageIds": vec![json!({ "imageTag": vec!["x".repeat(500); 100] }); 100] });
        assert_eq!(parameters(&huge), None);
    }
}
