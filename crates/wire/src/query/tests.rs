//! Tests of the protocol: forms, inputs, answers.
//!
//! `tests/requests.json` has bodies as botocore writes them for the inputs in
//! it; `tests/answers.json` has our answers to the outputs in it, which
//! botocore reads back as these outputs.

use std::collections::BTreeSet;
use std::path::Path;

use ironwharf_model::Error;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::service::check::{Misfit, check};
use crate::service::shape::{Bounds, Kind, Member, Pattern, Shape};
use crate::{iam, sts};

mod reader;

/// Calls a macro with every operation of a service and its input type.
macro_rules! with_inputs {
    (iam, $callback:ident) => {
        $callback! { iam,
            AddClientIDToOpenIDConnectProvider: AddClientIDToOpenIDConnectProviderRequest,
            AddUserToGroup: AddUserToGroupRequest,
            AttachGroupPolicy: AttachGroupPolicyRequest,
            AttachRolePolicy: AttachRolePolicyRequest,
            AttachUserPolicy: AttachUserPolicyRequest,
            CreateAccessKey: CreateAccessKeyRequest,
            CreateGroup: CreateGroupRequest,
            CreateOpenIDConnectProvider: CreateOpenIDConnectProviderRequest,
            CreatePolicy: CreatePolicyRequest,
            CreatePolicyVersion: CreatePolicyVersionRequest,
            CreateRole: CreateRoleRequest,
            CreateUser: CreateUserRequest,
            DeleteAccessKey: DeleteAccessKeyRequest,
            DeleteGroup: DeleteGroupRequest,
            DeleteGroupPolicy: DeleteGroupPolicyRequest,
            DeleteLoginProfile: DeleteLoginProfileRequest,
            DeleteOpenIDConnectProvider: DeleteOpenIDConnectProviderRequest,
            DeletePolicy: DeletePolicyRequest,
            DeletePolicyVersion: DeletePolicyVersionRequest,
            DeleteRole: DeleteRoleRequest,
            DeleteRolePermissionsBoundary: DeleteRolePermissionsBoundaryRequest,
            DeleteRolePolicy: DeleteRolePolicyRequest,
            DeleteUser: DeleteUserRequest,
            DeleteUserPermissionsBoundary: DeleteUserPermissionsBoundaryRequest,
            DeleteUserPolicy: DeleteUserPolicyRequest,
            DetachGroupPolicy: DetachGroupPolicyRequest,
            DetachRolePolicy: DetachRolePolicyRequest,
            DetachUserPolicy: DetachUserPolicyRequest,
            GetAccessKeyLastUsed: GetAccessKeyLastUsedRequest,
            GetAccountAuthorizationDetails: GetAccountAuthorizationDetailsRequest,
            GetAccountSummary: Empty,
            GetContextKeysForCustomPolicy: GetContextKeysForCustomPolicyRequest,
            GetContextKeysForPrincipalPolicy: GetContextKeysForPrincipalPolicyRequest,
            GetGroup: GetGroupRequest,
            GetGroupPolicy: GetGroupPolicyRequest,
            GetLoginProfile: GetLoginProfileRequest,
            GetOpenIDConnectProvider: GetOpenIDConnectProviderRequest,
            GetPolicy: GetPolicyRequest,
            GetPolicyVersion: GetPolicyVersionRequest,
            GetRole: GetRoleRequest,
            GetRolePolicy: GetRolePolicyRequest,
            GetUser: GetUserRequest,
            GetUserPolicy: GetUserPolicyRequest,
            ListAccessKeys: ListAccessKeysRequest,
            ListAccountAliases: ListAccountAliasesRequest,
            ListAttachedGroupPolicies: ListAttachedGroupPoliciesRequest,
            ListAttachedRolePolicies: ListAttachedRolePoliciesRequest,
            ListAttachedUserPolicies: ListAttachedUserPoliciesRequest,
            ListEntitiesForPolicy: ListEntitiesForPolicyRequest,
            ListGroupPolicies: ListGroupPoliciesRequest,
            ListGroups: ListGroupsRequest,
            ListGroupsForUser: ListGroupsForUserRequest,
            ListInstanceProfilesForRole: ListInstanceProfilesForRoleRequest,
            ListMFADevices: ListMFADevicesRequest,
            ListOpenIDConnectProviderTags: ListOpenIDConnectProviderTagsRequest,
            ListOpenIDConnectProviders: ListOpenIDConnectProvidersRequest,
            ListPolicies: ListPoliciesRequest,
            ListPolicyTags: ListPolicyTagsRequest,
            ListPolicyVersions: ListPolicyVersionsRequest,
            ListRolePolicies: ListRolePoliciesRequest,
            ListRoleTags: ListRoleTagsRequest,
            ListRoles: ListRolesRequest,
            ListSSHPublicKeys: ListSSHPublicKeysRequest,
            ListServiceSpecificCredentials: ListServiceSpecificCredentialsRequest,
            ListSigningCertificates: ListSigningCertificatesRequest,
            ListUserPolicies: ListUserPoliciesRequest,
            ListUserTags: ListUserTagsRequest,
            ListUsers: ListUsersRequest,
            ListVirtualMFADevices: ListVirtualMFADevicesRequest,
            PutGroupPolicy: PutGroupPolicyRequest,
            PutRolePermissionsBoundary: PutRolePermissionsBoundaryRequest,
            PutRolePolicy: PutRolePolicyRequest,
            PutUserPermissionsBoundary: PutUserPermissionsBoundaryRequest,
            PutUserPolicy: PutUserPolicyRequest,
            RemoveClientIDFromOpenIDConnectProvider: RemoveClientIDFromOpenIDConnectProviderRequest,
            RemoveUserFromGroup: RemoveUserFromGroupRequest,
            SetDefaultPolicyVersion: SetDefaultPolicyVersionRequest,
            SimulateCustomPolicy: SimulateCustomPolicyRequest,
            SimulatePrincipalPolicy: SimulatePrincipalPolicyRequest,
            TagOpenIDConnectProvider: TagOpenIDConnectProviderRequest,
            TagPolicy: TagPolicyRequest,
            TagRole: TagRoleRequest,
            TagUser: TagUserRequest,
            UntagOpenIDConnectProvider: UntagOpenIDConnectProviderRequest,
            UntagPolicy: UntagPolicyRequest,
            UntagRole: UntagRoleRequest,
            UntagUser: UntagUserRequest,
            UpdateAccessKey: UpdateAccessKeyRequest,
            UpdateAssumeRolePolicy: UpdateAssumeRolePolicyRequest,
            UpdateGroup: UpdateGroupRequest,
            UpdateOpenIDConnectProviderThumbprint: UpdateOpenIDConnectProviderThumbprintRequest,
            UpdateRole: UpdateRoleRequest,
            UpdateRoleDescription: UpdateRoleDescriptionRequest,
            UpdateUser: UpdateUserRequest,
        }
    };
    (sts, $callback:ident) => {
        $callback! { sts,
            AssumeRole: AssumeRoleRequest,
            AssumeRoleWithWebIdentity: AssumeRoleWithWebIdentityRequest,
            GetAccessKeyInfo: GetAccessKeyInfoRequest,
            GetCallerIdentity: GetCallerIdentityRequest,
            GetSessionToken: GetSessionTokenRequest,
        }
    };
}

fn form(body: &str) -> Form {
    Form::parse(body).unwrap()
}

fn encoded(fields: &[(String, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode_document(name), percent_encode_document(value)))
        .collect();
    fields.join("&")
}

/// All shapes that these refer to.
fn reachable(roots: impl Iterator<Item = &'static Shape>) -> Vec<&'static Shape> {
    let mut seen = BTreeSet::new();
    let mut shapes = Vec::new();
    let mut pending: Vec<&'static Shape> = roots.collect();
    while let Some(shape) = pending.pop() {
        if !seen.insert(shape.name) {
            continue;
        }
        shapes.push(shape);
        match shape.kind {
            Kind::Structure { members } => pending.extend(members.iter().map(|m| m.shape)),
            Kind::List { member, .. } => pending.push(member),
            Kind::Map { key, value } => pending.extend([key, value]),
            _ => {}
        }
    }
    shapes
}

fn iam_inputs() -> impl Iterator<Item = &'static Shape> {
    iam::OperationName::ALL.iter().map(|operation| operation.input_schema())
}

fn sts_inputs() -> impl Iterator<Item = &'static Shape> {
    sts::OperationName::ALL.iter().map(|operation| operation.input_schema())
}

// --- tables ------------------------------------------------------------------

#[test]
fn the_tables_have_all_operations() {
    assert_eq!((iam::OperationName::ALL.len(), sts::OperationName::ALL.len()), (94, 5));
    assert_eq!((iam::SERVICE.version, sts::SERVICE.version), ("2010-05-08", "2011-06-15"));
    assert_eq!(iam::OperationName::DeleteUser.output_schema().map(|shape| shape.name), None);
    assert_eq!(iam::OperationName::CreateUser.output_schema().unwrap().name, "CreateUserResponse");
    assert_eq!(iam::ErrorName::NoSuchEntity.as_str(), "NoSuchEntity");
    assert_eq!(iam::ErrorName::DeleteConflict.status(), 409);
    assert_eq!(sts::ErrorName::ExpiredToken.as_str(), "ExpiredTokenException");
    assert!(sts::schema::CLIENT_TOKEN_TYPE.sensitive);
}

#[test]
fn every_pattern_of_an_input_compiles() {
    let mut count = 0;
    for shape in reachable(iam_inputs()).into_iter().chain(reachable(sts_inputs())) {
        if let Kind::String { pattern: Some(pattern), .. } = &shape.kind {
            assert!(pattern.compiles(), "{}: {}", shape.name, pattern.source());
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn patterns_speak_of_the_characters_that_the_service_means() {
    let document = Pattern::new(r"[\u0009\u000A\u000D\u0020-\u00FF]+");
    assert!(document.matches("{\"größe\": 1}\r\n") && !document.matches("€") && !document.matches("\u{1}"));
    let tag = Pattern::new(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+");
    assert!(tag.matches("größe ٣ 鍵") && !tag.matches("a#b"));
    let all = Pattern::new(r"[\u0020-\u007E\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+");
    assert!(all.matches("🦀") && !all.matches("\u{FFFF}"));
    // `\w` alone is ASCII.
    assert!(!Pattern::new(r"[\w+=,.@-]+").matches("größe"));
}

// --- forms -------------------------------------------------------------------

#[test]
fn forms_are_decoded_once() {
    let form =
        form("Action=CreateUser&Version=2010-05-08&&a+b=c%2B%2bd+e&x%253D=%26%3D&plain&=nameless&utf=gr%C3%B6%c3%9fe");
    assert_eq!((form.action(), form.version()), (Some("CreateUser"), Some("2010-05-08")));
    for (name, value) in [("a b", "c++d e"), ("x%3D", "&="), ("plain", ""), ("", "nameless"), ("utf", "größe")] {
        assert_eq!(form.get(name), Some(value), "{name}");
    }
    assert_eq!(form.get("absent"), None);
    assert_eq!(format!("{form:?}"), "Form(7 fields)");
    assert_eq!(Form::parse("").unwrap(), Form::default());
}

#[test]
fn bodies_that_are_no_forms_are_refused() {
    let fields = |count: usize| (0..count).map(|n| format!("f{n}=v")).collect::<Vec<_>>().join("&");
    assert!(Form::parse(&fields(MAX_FIELDS)).is_ok());
    let duplicate = |name: &str| FormError::Duplicate { name: name.into() };
    for (body, error) in [
        ("a=%", FormError::Escape),
        ("a=%4", FormError::Escape),
        ("a=%4g", FormError::Escape),
        ("a=%+1", FormError::Escape),
        ("%zz=1", FormError::Escape),
        ("a=%ff", FormError::NotUtf8),
        ("a=%c3", FormError::NotUtf8),
        ("a=1&a=1", duplicate("a")),
        ("a=1&%61=2", duplicate("a")),
        (&fields(MAX_FIELDS + 1), FormError::TooManyFields),
    ] {
        assert_eq!(Form::parse(body), Err(error), "{body:.40}");
    }
}

#[test]
fn the_operation_is_that_of_the_version() {
    let of = |body: &str| {
        iam::operation(&form(body)).map_err(|error| (crate::error::codes(&error).query, error.to_string()))
    };
    assert_eq!(of("Action=GetUser&Version=2010-05-08"), Ok(iam::OperationName::GetUser));
    for (body, code, message) in [
        ("", "MissingAction", "The request must contain the parameter Action"),
        ("Action=&Version=2010-05-08", "MissingAction", "The request must contain the parameter Action"),
        ("Action=Brew&Version=2010-05-08", "InvalidAction", "Could not find operation Brew for version 2010-05-08"),
        (
            "Action=GetUser&Version=2011-06-15",
            "InvalidAction",
            "Could not find operation GetUser for version 2011-06-15",
        ),
        ("Action=GetUser", "InvalidAction", "Could not find operation GetUser for version NO_VERSION_SPECIFIED"),
        (
            "Action=CreateInstanceProfile&Version=2010-05-08",
            "UnknownOperationException",
            "CreateInstanceProfile is an operation of the IAM API that this registry does not serve yet",
        ),
    ] {
        assert_eq!(of(body), Err((code, message.to_owned())), "{body}");
    }
    assert!(sts::operation(&form("Action=GetUser&Version=2011-06-15")).is_err());
}

// --- inputs ------------------------------------------------------------------

static TEXT: Shape =
    Shape { name: "Text", kind: Kind::String { length: Bounds::NONE, pattern: None, values: &[] }, sensitive: false };
static INTEGER: Shape = Shape { name: "Integer", kind: Kind::Integer { range: Bounds::NONE }, sensitive: false };
static LONG: Shape = Shape { name: "Long", kind: Kind::Long { range: Bounds::NONE }, sensitive: false };
static DOUBLE: Shape = Shape { name: "Double", kind: Kind::Double, sensitive: false };
static BOOLEAN: Shape = Shape { name: "Boolean", kind: Kind::Boolean, sensitive: false };
static TIME: Shape = Shape { name: "Time", kind: Kind::Timestamp, sensitive: false };
static BYTES: Shape = Shape { name: "Bytes", kind: Kind::Blob { length: Bounds::NONE }, sensitive: false };
static TEXTS: Shape =
    Shape { name: "Texts", kind: Kind::List { member: &TEXT, length: Bounds::NONE }, sensitive: false };
static PARTS: Shape =
    Shape { name: "Parts", kind: Kind::List { member: &PART, length: Bounds::NONE }, sensitive: false };
static PART: Shape = Shape {
    name: "Part",
    kind: Kind::Structure { members: &[Member::optional("Text", &TEXT), Member::optional("Texts", &TEXTS)] },
    sensitive: false,
};
static NUMBERS: Shape = Shape { name: "Numbers", kind: Kind::Map { key: &TEXT, value: &INTEGER }, sensitive: false };
static WHOLE: Shape = Shape {
    name: "Whole",
    kind: Kind::Structure {
        members: &[
            Member::optional("Text", &TEXT),
            Member::optional("Integer", &INTEGER),
            Member::optional("Long", &LONG),
            Member::optional("Double", &DOUBLE),
            Member::optional("Boolean", &BOOLEAN),
            Member::optional("Time", &TIME),
            Member::optional("Bytes", &BYTES),
            Member::optional("Texts", &TEXTS),
            Member::optional("Part", &PART),
            Member::optional("Parts", &PARTS),
            Member::optional("Numbers", &NUMBERS),
        ],
    },
    sensitive: false,
};

#[test]
fn values_are_read_along_their_shape() {
    for (body, value) in [
        ("", json!({})),
        ("Action=X&Version=1&Unknown=2&Text.member.1=x&text=y", json!({})),
        ("Text=", json!({"Text": ""})),
        (
            "Integer=-7&Long=5000000000&Double=0.5&Boolean=true",
            json!({
                "Integer": -7, "Long": 5_000_000_000_i64, "Double": 0.5, "Boolean": true
            }),
        ),
        ("Time=2026-11-23T10:00:00Z", json!({"Time": 1_795_428_000.0})),
        ("Time=2026-11-23T11:00:00.250%2B01:00", json!({"Time": 1_795_428_000.25})),
        ("Time=1795428000.5", json!({"Time": 1_795_428_000.5})),
        ("Bytes=bGF5ZXI%3D", json!({"Bytes": "bGF5ZXI="})),
        ("Texts=", json!({"Texts": []})),
        ("Texts.member.2=b&Texts.member.1=a", json!({"Texts": ["a", "b"]})),
        ("Texts.member.1=", json!({"Texts": [""]})),
        ("Texts.1=a", json!({})),
        ("Part.Text=a&Part.Unknown=b", json!({"Part": {"Text": "a"}})),
        ("Part=", json!({"Part": {}})),
        ("Part.Texts=", json!({"Part": {"Texts": []}})),
        (
            "Parts.member.1.Text=a&Parts.member.2.Texts.member.1=b",
            json!({
                "Parts": [{"Text": "a"}, {"Texts": ["b"]}]
            }),
        ),
        ("Parts.member.1.Unknown=a", json!({"Parts": [{}]})),
        ("Numbers=", json!({"Numbers": {}})),
        (
            "Numbers.entry.1.key=a&Numbers.entry.1.value=1&Numbers.entry.2.value=2&Numbers.entry.2.key=b",
            json!({
                "Numbers": {"a": 1, "b": 2}
            }),
        ),
    ] {
        let read = input::read(&WHOLE, &form(body)).unwrap();
        assert_eq!(read, value, "{body}");
        assert!(check(&WHOLE, &read, 1).is_ok(), "{body}");
    }
}

#[test]
fn positions_are_counted_in_order() {
    let body: Vec<String> = (1..=12).map(|n| format!("Texts.member.{n}=t{n}")).collect();
    let read = input::read(&WHOLE, &form(&body.join("&"))).unwrap();
    let expected: Vec<String> = (1..=12).map(|n| format!("t{n}")).collect();
    assert_eq!(read, json!({"Texts": expected}));
}

#[test]
fn values_of_the_wrong_form_are_refused() {
    for (body, message) in [
        ("Integer=", "The parameter Integer must be a 32-bit integer"),
        ("Integer=1.0", "The parameter Integer must be a 32-bit integer"),
        ("Integer=2147483648", "The parameter Integer must be a 32-bit integer"),
        ("Long=9223372036854775808", "The parameter Long must be a 64-bit integer"),
        ("Double=NaN", "The parameter Double must be a number"),
        ("Boolean=yes", "The parameter Boolean must be true or false"),
        ("Time=yesterday", "The parameter Time must be a time in ISO 8601"),
        ("Time=inf", "The parameter Time must be a time in ISO 8601"),
        ("Texts=a", "The parameter Texts is a list: give its elements as Texts.member.1"),
        ("Texts=&Texts.member.1=a", "The parameter Texts is a list: give its elements as Texts.member.1"),
        ("Texts.member.2=a", "The elements of the parameter Texts must be counted from 1 without gaps"),
        (
            "Texts.member.1=a&Texts.member.3=b",
            "The elements of the parameter Texts must be counted from 1 without gaps",
        ),
        (
            "Texts.member.18446744073709551615=a",
            "The elements of the parameter Texts must be counted from 1 without gaps",
        ),
        ("Texts.member.0=a", "The parameter Texts.member.0 must have a position from 1"),
        ("Texts.member.01=a", "The parameter Texts.member.01 must have a position from 1"),
        ("Texts.member.=a", "The parameter Texts.member. must have a position from 1"),
        ("Texts.member.-1=a", "The parameter Texts.member.-1 must have a position from 1"),
        ("Texts.member.1.Key=a", "The parameter Texts.member.1 must have a value"),
        ("Numbers.entry.1.key=a", "The parameter Numbers.entry.1 must have a key and a value"),
        ("Numbers.entry.1.value=1", "The parameter Numbers.entry.1 must have a key and a value"),
        (
            "Numbers.entry.1.key=a&Numbers.entry.1.value=1&Numbers.entry.2.key=a&Numbers.entry.2.value=2",
            "The parameter Numbers.entry.2 repeats a key",
        ),
    ] {
        assert_eq!(input::read(&WHOLE, &form(body)), Err(message.to_owned()), "{body}");
    }
    // What base64 is, the check knows.
    let value = input::read(&WHOLE, &form("Bytes=%25")).unwrap();
    assert!(matches!(check(&WHOLE, &value, 1), Err(Misfit::WrongType(_))));
}

fn refusal<T: DeserializeOwned>(shape: &'static Shape, body: &str) -> (&'static str, String) {
    let error = decode::<T>(shape, &form(body)).map(|_| ()).unwrap_err();
    (error.code(), error.to_string())
}

#[test]
fn violations_are_worded_as_by_the_services() {
    use iam::OperationName::*;
    use iam::shapes::*;
    let long = "a".repeat(65);
    let detected = "1 validation error detected:";
    let constraint = "failed to satisfy constraint: Member must";
    for ((code, message), expected) in [
        (
            refusal::<CreateUserRequest>(CreateUser.input_schema(), ""),
            format!("{detected} Value null at 'userName' {constraint} not be null"),
        ),
        (
            refusal::<CreateUserRequest>(CreateUser.input_schema(), &format!("UserName={long}")),
            format!("{detected} Value '{long}' at 'userName' {constraint} have length less than or equal to 64"),
        ),
        (
            refusal::<CreateUserRequest>(CreateUser.input_schema(), "UserName=a%2Fb"),
            "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-".into(),
        ),
        (
            refusal::<UpdateUserRequest>(UpdateUser.input_schema(), "UserName=a&NewUserName="),
            "The specified value for newUserName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-".into(),
        ),
        (
            refusal::<CreateUserRequest>(CreateUser.input_schema(), "UserName=a&Path=bad"),
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.".into(),
        ),
        (
            refusal::<UpdateAccessKeyRequest>(
                UpdateAccessKey.input_schema(),
                "UserName=a&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=On",
            ),
            format!("{detected} Value 'On' at 'status' {constraint} satisfy enum value set: [Active, Inactive, Expired]"),
        ),
        (
            refusal::<ListUsersRequest>(ListUsers.input_schema(), "MaxItems=1001"),
            format!("{detected} Value '1001' at 'maxItems' {constraint} have value less than or equal to 1000"),
        ),
        (
            refusal::<TagUserRequest>(TagUser.input_schema(), "UserName=a&Tags.member.1.Key=a%23&Tags.member.1.Value=b"),
            format!(
                "{detected} Value 'a#' at 'tags.1.member.key' {constraint} satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]+"
            ),
        ),
        (
            refusal::<TagUserRequest>(TagUser.input_schema(), &format!("UserName=a&{}", tags(51))),
            format!("{detected} Value at 'tags' {constraint} have length less than or equal to 50"),
        ),
        // Several wrong texts of a list are one clause.
        (
            refusal::<UntagUserRequest>(UntagUser.input_schema(), "UserName=a&TagKeys.member.1=%23&TagKeys.member.2="),
            format!(
                "{detected} Value at 'tagKeys' {constraint} satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]+, Member must not be null]"
            ),
        ),
        // The framework speaks before IAM's own code.
        (
            refusal::<PutUserPolicyRequest>(PutUserPolicy.input_schema(), "UserName=a%2Fb"),
            format!(
                "2 validation errors detected: Value null at 'policyName' {constraint} not be null; Value null at 'policyDocument' {constraint} not be null"
            ),
        ),
        (
            refusal::<sts::shapes::AssumeRoleRequest>(
                sts::OperationName::AssumeRole.input_schema(),
                "RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=a%20b&DurationSeconds=100",
            ),
            format!(
                "2 validation errors detected: Value 'a b' at 'roleSessionName' {constraint} satisfy regular expression pattern: [\\w+=,.@-]*; Value '100' at 'durationSeconds' {constraint} have value greater than or equal to 900"
            ),
        ),
        // A token is not repeated.
        (
            refusal::<sts::shapes::AssumeRoleWithWebIdentityRequest>(
                sts::OperationName::AssumeRoleWithWebIdentity.input_schema(),
                "RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=me&WebIdentityToken=abc",
            ),
            format!("{detected} Value at 'webIdentityToken' {constraint} have length greater than or equal to 4"),
        ),
    ] {
        assert_eq!((code, message), ("ValidationError", expected));
    }
    let (code, _) = refusal::<ListUsersRequest>(ListUsers.input_schema(), "MaxItems=ten");
    assert_eq!(code, "MalformedInput");
}

fn tags(count: usize) -> String {
    let tags: Vec<String> = (1..=count).map(|n| format!("Tags.member.{n}.Key=k{n}&Tags.member.{n}.Value=v")).collect();
    tags.join("&")
}

#[test]
fn messages_are_bounded() {
    let body: Vec<String> = (1..=400).map(|n| format!("Tags.member.{n}.Key=%23&Tags.member.{n}.Value=%23")).collect();
    let body = format!("UserName=a&{}", body.join("&"));
    let (_, message) = refusal::<iam::shapes::TagUserRequest>(iam::OperationName::TagUser.input_schema(), &body);
    assert!(message.starts_with("32 validation errors detected: "), "{message}");
    assert!(message.len() < 10_000);
}

// --- parity ------------------------------------------------------------------

/// A fixture next to this file.
fn fixture(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/query/tests").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

macro_rules! readers {
    ($service:ident, $($operation:ident: $input:ident,)+) => {
        /// The input of an operation, through its type.
        pub(super) fn $service(operation: &str, form: &Form) -> Result<Value, DecodeError> {
            #[allow(unused_imports, reason = "not every service has an operation without input")]
            use crate::$service::{Empty, shapes::*};
            let operation = $service::OperationName::parse(operation).unwrap();
            match operation {
                $($service::OperationName::$operation => $service::decode::<$input>(operation, form)
                    .map(|input| serde_json::to_value(input).unwrap()),)+
            }
        }
    };
}

mod typed {
    use super::*;
    with_inputs!(iam, readers);
    with_inputs!(sts, readers);
}

#[test]
fn requests_of_botocore_are_read() {
    for request in fixture("requests.json") {
        let form = form(request["body"].as_str().unwrap());
        let input = match request["service"].as_str().unwrap() {
            "iam" => typed::iam(iam::operation(&form).unwrap().as_str(), &form),
            _ => typed::sts(sts::operation(&form).unwrap().as_str(), &form),
        };
        assert_eq!(input.as_ref(), Ok(&request["input"]), "{request}");
    }
}

#[test]
fn answers_are_what_botocore_reads() {
    let mut answers = fixture("answers.json");
    for answer in &mut answers {
        let operation = answer["operation"].as_str().unwrap().to_owned();
        let output = answer["output"].clone();
        let xml = if answer["service"] == "iam" {
            iam::response_xml(iam::OperationName::parse(&operation).unwrap(), &output, "id-1").unwrap()
        } else {
            sts::response_xml(sts::OperationName::parse(&operation).unwrap(), &output, "id-1").unwrap()
        };
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            answer["xml"] = Value::from(xml.clone());
        }
        assert_eq!(xml, answer["xml"].as_str().unwrap());
        reader::read(&xml).unwrap();
    }
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/query/tests/answers.json");
        std::fs::write(path, serde_json::to_string_pretty(&answers).unwrap() + "\n").unwrap();
    }
}

#[test]
fn typed_outputs_are_written() {
    let output = iam::shapes::CreateUserResponse {
        user: Some(iam::shapes::User {
            user_name: "anna".into(),
            create_date: iam::Timestamp::from_epoch_millis(1_795_428_000_999),
            ..Default::default()
        }),
    };
    assert_eq!(
        iam::response_xml(iam::OperationName::CreateUser, &output, "id-1").unwrap(),
        "<CreateUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateUserResult><User>\
         <Path></Path><UserName>anna</UserName><UserId></UserId><Arn></Arn>\
         <CreateDate>2026-11-23T10:00:00Z</CreateDate></User></CreateUserResult>\
         <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></CreateUserResponse>"
    );
    assert_eq!(
        iam::response_xml(iam::OperationName::DeleteUser, &iam::Empty {}, "id-1").unwrap(),
        "<DeleteUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
         <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DeleteUserResponse>"
    );
}

#[test]
fn errors_are_written() {
    let error = Error::NoSuchEntity { message: "The user with name <a&b> cannot be found.".into() };
    assert_eq!(
        iam::SERVICE.error(&error, "id-1"),
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
         <Code>NoSuchEntity</Code><Message>The user with name &lt;a&amp;b&gt; cannot be found.</Message></Error>\
         <RequestId>id-1</RequestId></ErrorResponse>"
    );
    let xml = sts::SERVICE.error(&Error::internal("the secret of the house"), "id-1");
    assert!(xml.contains("<Type>Receiver</Type><Code>InternalFailure</Code>") && !xml.contains("secret"));
    let error = DecodeError::Validation { message: "m".into() };
    let code = error.code();
    assert_eq!(crate::error::codes(&error.into()).query, code);
    let error = DecodeError::Malformed { message: "m".into() };
    let code = error.code();
    assert_eq!(crate::error::codes(&error.into()).query, code);
}

#[test]
fn documents_are_percent_encoded() {
    assert_eq!(
        percent_encode_document("{\"a-b_c.d~e\": \"*/+ö\"}"),
        "%7B%22a-b_c.d~e%22%3A%20%22%2A%2F%2B%C3%B6%22%7D"
    );
}

#[test]
fn times_are_whole_seconds_of_utc() {
    for (seconds, text) in [
        (json!(0), "1970-01-01T00:00:00Z"),
        (json!(-0.5), "1969-12-31T23:59:59Z"),
        (json!(1_795_428_000.999), "2026-11-23T10:00:00Z"),
        (json!(253_402_300_799_i64), "9999-12-31T23:59:59Z"),
        (json!(1e300), "9223372036854775807"),
    ] {
        let xml = response_xml("n", "X", Some((&WHOLE, &json!({"Time": seconds}))), "id");
        assert_eq!(reader::read(&xml).unwrap().text_at(&["XResult", "Time"]), Some(text));
    }
}

// --- properties --------------------------------------------------------------

/// A value that fits a shape, but for its constraints.
fn fitting(shape: &'static Shape) -> BoxedStrategy<Value> {
    match &shape.kind {
        Kind::Structure { members } => members
            .iter()
            .map(|member| {
                proptest::option::weighted(if member.required { 0.95 } else { 0.3 }, fitting(member.shape))
                    .prop_map(|value| value.map(|value| (member.name.to_owned(), value)))
            })
            .collect::<Vec<_>>()
            .prop_map(|members| Value::Object(members.into_iter().flatten().collect()))
            .boxed(),
        Kind::List { member, .. } => proptest::collection::vec(fitting(member), 0..12).prop_map(Value::from).boxed(),
        Kind::Map { value, .. } => proptest::collection::btree_map(any::<String>(), fitting(value), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
            .boxed(),
        Kind::String { values, .. } if !values.is_empty() => {
            proptest::sample::select(*values).prop_map(Value::from).boxed()
        }
        Kind::String { .. } => {
            prop_oneof!["[a-z]{1,40}", "/[a-z]{1,4}/", any::<String>()].prop_map(Value::from).boxed()
        }
        Kind::Integer { .. } => any::<i32>().prop_map(Value::from).boxed(),
        Kind::Long { .. } => any::<i64>().prop_map(Value::from).boxed(),
        Kind::Double | Kind::Timestamp => (-1e9..1e9_f64).prop_map(Value::from).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Blob { .. } => Just(Value::from("bGF5ZXI=")).boxed(),
    }
}

/// The fields of a value, as clients write them.
fn fields(value: &Value, name: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) if object.is_empty() && !name.is_empty() => out.push((name.to_owned(), String::new())),
        Value::Array(array) if array.is_empty() => out.push((name.to_owned(), String::new())),
        Value::Object(object) => {
            for (member, value) in object {
                let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                fields(value, &name, out);
            }
        }
        Value::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                fields(value, &format!("{name}.member.{}", index + 1), out);
            }
        }
        Value::String(text) => out.push((name.to_owned(), text.clone())),
        other => out.push((name.to_owned(), other.to_string())),
    }
}

fn iam_request() -> impl Strategy<Value = (iam::OperationName, Value)> {
    proptest::sample::select(iam::OperationName::ALL)
        .prop_flat_map(|operation| (Just(operation), fitting(operation.input_schema())))
}

fn sts_request() -> impl Strategy<Value = (sts::OperationName, Value)> {
    proptest::sample::select(sts::OperationName::ALL)
        .prop_flat_map(|operation| (Just(operation), fitting(operation.input_schema())))
}

/// What was written is read again, and what passes the check has its type.
fn judge(
    shape: &'static Shape,
    value: &Value,
    typed: impl Fn(&Form) -> Result<Value, DecodeError>,
) -> Result<(), TestCaseError> {
    let mut written = Vec::new();
    fields(value, "", &mut written);
    let form = Form::parse(&encoded(&written));
    prop_assume!(form.is_ok());
    let form = form.unwrap();
    prop_assert_eq!(&input::read(shape, &form).unwrap(), value);
    match typed(&form) {
        Ok(input) => prop_assert_eq!(&input, value),
        Err(DecodeError::Validation { message }) => prop_assert!(!message.is_empty()),
        Err(DecodeError::Malformed { message }) => prop_assert!(false, "{}", message),
    }
    Ok(())
}

proptest! {
    #[test]
    fn inputs_of_iam_are_read_as_they_were_written((operation, value) in iam_request()) {
        judge(operation.input_schema(), &value, |form| typed::iam(operation.as_str(), form))?;
    }

    #[test]
    fn inputs_of_sts_are_read_as_they_were_written((operation, value) in sts_request()) {
        judge(operation.input_schema(), &value, |form| typed::sts(operation.as_str(), form))?;
    }

    #[test]
    fn any_body_is_a_form_or_refused(body in any::<String>()) {
        if let Ok(form) = Form::parse(&body) {
            let _ = input::read(&WHOLE, &form);
            let _ = typed::iam("SimulatePrincipalPolicy", &form);
        }
    }

    #[test]
    fn names_in_odd_places_are_read_or_refused(
        names in proptest::collection::btree_set("(Texts|Parts|Numbers|Part)(\\.(member|entry|Text|Texts|key|value|[0-3])){0,5}", 0..8)
    ) {
        let written: Vec<_> = names.into_iter().map(|name| (name, "1".to_owned())).collect();
        if let Ok(value) = input::read(&WHOLE, &form(&encoded(&written))) {
            prop_assert!(check(&WHOLE, &value, 1).is_ok());
        }
    }

    #[test]
    fn answers_are_well_formed(value in fitting(&WHOLE), id in any::<String>()) {
        let xml = response_xml("https://n/", "X", Some((&WHOLE, &value)), &id);
        let tree = reader::read(&xml).unwrap();
        let id = sendable(&id);
        prop_assert_eq!(tree.text_at(&["ResponseMetadata", "RequestId"]), Some(id.as_str()));
        let text = value["Text"].as_str().map(sendable);
        prop_assert_eq!(tree.text_at(&["XResult", "Text"]), text.as_deref());
        let tree = reader::read(&error_xml("https://n/", Fault::Sender, "Code", &id, &id)).unwrap();
        prop_assert_eq!(tree.text_at(&["Error", "Message"]), Some(id.as_str()));
    }
}

/// What of a text XML can hold.
fn sendable(text: &str) -> String {
    text.chars()
        .map(|c| {
            let lost = (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{FFFE}' | '\u{FFFF}');
            if lost { '\u{FFFD}' } else { c }
        })
        .collect()
}
