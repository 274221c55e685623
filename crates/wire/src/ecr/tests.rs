//! Tests of the API as a whole: tables, checks and round trips.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::check::{Bounds, Kind, Member, Pattern, Shape, check};
use super::shapes::*;
use super::*;

/// Calls a macro with every operation and its input type.
macro_rules! with_inputs {
    ($callback:ident) => {
        $callback! {
            BatchCheckLayerAvailability: BatchCheckLayerAvailabilityRequest,
            BatchDeleteImage: BatchDeleteImageRequest,
            BatchGetImage: BatchGetImageRequest,
            BatchGetRepositoryScanningConfiguration: BatchGetRepositoryScanningConfigurationRequest,
            CompleteLayerUpload: CompleteLayerUploadRequest,
            CreatePullThroughCacheRule: CreatePullThroughCacheRuleRequest,
            CreateRepository: CreateRepositoryRequest,
            CreateRepositoryCreationTemplate: CreateRepositoryCreationTemplateRequest,
            DeleteLifecyclePolicy: DeleteLifecyclePolicyRequest,
            DeletePullThroughCacheRule: DeletePullThroughCacheRuleRequest,
            DeleteRegistryPolicy: DeleteRegistryPolicyRequest,
            DeleteRepository: DeleteRepositoryRequest,
            DeleteRepositoryCreationTemplate: DeleteRepositoryCreationTemplateRequest,
            DeleteRepositoryPolicy: DeleteRepositoryPolicyRequest,
            DeleteSigningConfiguration: DeleteSigningConfigurationRequest,
            DeregisterPullTimeUpdateExclusion: DeregisterPullTimeUpdateExclusionRequest,
            DescribeImageReplicationStatus: DescribeImageReplicationStatusRequest,
            DescribeImageScanFindings: DescribeImageScanFindingsRequest,
            DescribeImageSigningStatus: DescribeImageSigningStatusRequest,
            DescribeImages: DescribeImagesRequest,
            DescribePullThroughCacheRules: DescribePullThroughCacheRulesRequest,
            DescribeRegistry: DescribeRegistryRequest,
            DescribeReplicationBackfillResults: DescribeReplicationBackfillResultsRequest,
            DescribeRepositories: DescribeRepositoriesRequest,
            DescribeRepositoryCreationTemplates: DescribeRepositoryCreationTemplatesRequest,
            GetAccountSetting: GetAccountSettingRequest,
            GetAuthorizationToken: GetAuthorizationTokenRequest,
            GetDownloadUrlForLayer: GetDownloadUrlForLayerRequest,
            GetLifecyclePolicy: GetLifecyclePolicyRequest,
            GetLifecyclePolicyPreview: GetLifecyclePolicyPreviewRequest,
            GetRegistryPolicy: GetRegistryPolicyRequest,
            GetRegistryScanningConfiguration: GetRegistryScanningConfigurationRequest,
            GetRepositoryPolicy: GetRepositoryPolicyRequest,
            GetSigningConfiguration: GetSigningConfigurationRequest,
            InitiateLayerUpload: InitiateLayerUploadRequest,
            ListImageReferrers: ListImageReferrersRequest,
            ListImages: ListImagesRequest,
            ListPullTimeUpdateExclusions: ListPullTimeUpdateExclusionsRequest,
            ListReplicationBackfills: ListReplicationBackfillsRequest,
            ListTagsForResource: ListTagsForResourceRequest,
            PutAccountSetting: PutAccountSettingRequest,
            PutImage: PutImageRequest,
            PutImageScanningConfiguration: PutImageScanningConfigurationRequest,
            PutImageTagMutability: PutImageTagMutabilityRequest,
            PutLifecyclePolicy: PutLifecyclePolicyRequest,
            PutRegistryPolicy: PutRegistryPolicyRequest,
            PutRegistryScanningConfiguration: PutRegistryScanningConfigurationRequest,
            PutReplicationConfiguration: PutReplicationConfigurationRequest,
            PutSigningConfiguration: PutSigningConfigurationRequest,
            RegisterPullTimeUpdateExclusion: RegisterPullTimeUpdateExclusionRequest,
            SetRepositoryPolicy: SetRepositoryPolicyRequest,
            StartImageScan: StartImageScanRequest,
            StartLifecyclePolicyPreview: StartLifecyclePolicyPreviewRequest,
            StartReplicationBackfill: StartReplicationBackfillRequest,
            StopReplicationBackfill: StopReplicationBackfillRequest,
            TagResource: TagResourceRequest,
            UntagResource: UntagResourceRequest,
            UpdateImageStorageClass: UpdateImageStorageClassRequest,
            UpdatePullThroughCacheRule: UpdatePullThroughCacheRuleRequest,
            UpdateRepositoryCreationTemplate: UpdateRepositoryCreationTemplateRequest,
            UploadLayerPart: UploadLayerPartRequest,
            ValidatePullThroughCacheRule: ValidatePullThroughCacheRuleRequest,
        }
    };
}

fn refusal<T: DeserializeOwned>(operation: OperationName, body: &Value) -> String {
    match decode::<T>(operation, body.to_string().as_bytes()) {
        Ok(_) => format!("accepted {body}"),
        Err(error) => error.to_string(),
    }
}

fn invalid(parameter: &str, constraint: &str) -> String {
    format!("Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'")
}

/// All shapes that an input refers to.
fn input_shapes() -> Vec<&'static Shape> {
    let mut seen = BTreeSet::new();
    let mut shapes = Vec::new();
    let mut pending: Vec<&'static Shape> =
        OperationName::ALL.iter().map(|operation| operation.input_schema()).collect();
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

#[test]
fn every_operation_has_a_schema_and_errors() {
    assert_eq!(OperationName::ALL.len(), 62);
    for operation in OperationName::ALL {
        let schema = operation.input_schema();
        assert_eq!(schema.name, format!("{operation}Request"));
        assert!(matches!(schema.kind, Kind::Structure { .. }));
        assert!(operation.declared_errors().contains(&ErrorName::Server));
        assert_eq!(OperationName::parse(operation.as_str()), Some(*operation));
    }
    assert_eq!(OperationName::parse("createRepository"), None);
    assert_eq!(OperationName::parse(""), None);
}

#[test]
fn only_server_exception_is_a_server_fault() {
    let faults: Vec<_> = ErrorName::ALL.iter().filter(|error| error.is_server_fault()).collect();
    assert_eq!(faults, [&ErrorName::Server]);
    assert_eq!(ErrorName::Server.as_str(), "ServerException");
    assert_eq!(ErrorName::ALL.len(), 50);
}

#[test]
fn every_pattern_compiles() {
    let mut count = 0;
    for shape in input_shapes() {
        if let Kind::String { pattern: Some(pattern), .. } = &shape.kind {
            assert!(pattern.compiles(), "{}: {}", shape.name, pattern.source());
            count += 1;
        }
    }
    assert_eq!(count, 16);
}

#[test]
fn patterns_match_whole_strings_in_ascii() {
    let digits = Pattern::new("[0-9]{2}");
    assert!(digits.matches("12"));
    assert!(!digits.matches("123"));
    assert!(!digits.matches("12\n"));
    assert!(!digits.matches("١٢"));
    let anchored = Pattern::new("^a$|b");
    assert!(anchored.matches("a") && anchored.matches("b"));
    assert!(!anchored.matches("xb") && !anchored.matches("a\n"));
    assert!(!Pattern::new(r"\w+").matches("é"));
    assert!(!Pattern::new("(?=a)a").matches("a"), "unsupported syntax matches nothing");
}

#[test]
fn presence_lengths_and_ranges_are_checked() {
    use OperationName::*;
    let create = |body: Value| refusal::<CreateRepositoryRequest>(CreateRepository, &body);
    let batch = |body: Value| refusal::<BatchGetImageRequest>(BatchGetImage, &body);
    let image_ids = |count: usize| vec![json!({"imageTag": "t"}); count];

    let cases = [
        // Required members, absent or null, at the top, nested and in lists.
        (create(json!({})), invalid("repositoryName", "must not be null")),
        (create(json!({"repositoryName": null})), invalid("repositoryName", "must not be null")),
        (batch(json!({"repositoryName": "ab"})), invalid("imageIds", "Member must not be null")),
        (
            create(json!({"repositoryName": "ab", "encryptionConfiguration": {}})),
            invalid("encryptionConfiguration.encryptionType", "Member must not be null"),
        ),
        (
            create(json!({"repositoryName": "ab", "tags": [
                {"Key": "a", "Value": "b"}, {"Value": "b"}
            ]})),
            invalid("tags.2.member.key", "Member must not be null"),
        ),
        (
            batch(json!({"repositoryName": "ab", "imageIds": [null]})),
            invalid("imageIds.1.member", "Member must not be null"),
        ),
        // Lengths of strings, in characters.
        (
            create(json!({"repositoryName": "a"})),
            invalid("repositoryName", "must have length greater than or equal to 2"),
        ),
        (
            create(json!({"repositoryName": "a".repeat(257)})),
            invalid("repositoryName", "must have length less than or equal to 256"),
        ),
        (
            batch(json!({"repositoryName": "ab", "imageIds": [
                {"imageTag": "t"}, {"imageTag": "é".repeat(301)}
            ]})),
            invalid("imageIds.2.member.imageTag", "must have length less than or equal to 300"),
        ),
        (
            refusal::<PutLifecyclePolicyRequest>(
                PutLifecyclePolicy,
                &json!({"repositoryName": "ab", "lifecyclePolicyText": ""}),
            ),
            invalid("lifecyclePolicyText", "Member must have length greater than or equal to 100"),
        ),
        // Lists.
        (
            batch(json!({"repositoryName": "ab", "imageIds": []})),
            invalid("imageIds", "Member must have length greater than or equal to 1"),
        ),
        (
            batch(json!({"repositoryName": "ab", "imageIds": image_ids(101)})),
            invalid("imageIds", "Member must have length less than or equal to 100"),
        ),
        (
            batch(json!({"repositoryName": "ab", "imageIds": image_ids(100)})),
            format!("accepted {}", json!({"repositoryName": "ab", "imageIds": image_ids(100)})),
        ),
        // Integers.
        (
            refusal::<DescribeImagesRequest>(DescribeImages, &json!({"repositoryName": "ab", "maxResults": 1001})),
            invalid("maxResults", "Member must have value less than or equal to 1000"),
        ),
        (
            refusal::<UploadLayerPartRequest>(
                UploadLayerPart,
                &json!({
                    "repositoryName": "ab", "uploadId": "01234567-89ab-cdef-0123-456789abcdef",
                    "partFirstByte": -1, "partLastByte": 0, "layerPartBlob": ""
                }),
            ),
            invalid("partFirstByte", "Member must have value greater than or equal to 0"),
        ),
        // Several violations: the first in the order of the model.
        (
            batch(json!({"imageIds": [], "repositoryName": "A"})),
            invalid("repositoryName", "must have length greater than or equal to 2"),
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn patterns_and_enumerations_are_worded_as_by_the_service() {
    use OperationName::*;
    let name = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*";
    let create = |body: Value| refusal::<CreateRepositoryRequest>(CreateRepository, &body);
    let cases = [
        (
            create(json!({"repositoryName": "Bad_Name!"})),
            invalid("repositoryName", &format!("must satisfy regular expression '{name}'")),
        ),
        (
            create(json!({"repositoryName": "ab", "registryId": "1"})),
            invalid("registryId", "must satisfy regular expression '[0-9]{12}'"),
        ),
        (
            refusal::<DescribeRepositoriesRequest>(DescribeRepositories, &json!({"repositoryNames": ["ab", "A/b"]})),
            invalid("repositoryName", &format!("must satisfy regular expression '{name}'")),
        ),
        (
            refusal::<GetAuthorizationTokenRequest>(GetAuthorizationToken, &json!({"registryIds": ["1"]})),
            invalid(
                "registryIds",
                "Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]",
            ),
        ),
        (
            create(json!({"repositoryName": "ab", "imageTagMutability": "immutable"})),
            invalid(
                "imageTagMutability",
                "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]",
            ),
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn layer_parts_are_limited_in_bytes() {
    // The largest part in whole base64 groups, then one byte more.
    let part = |text: String| {
        let body = json!({
            "repositoryName": "ab", "uploadId": "01234567-89ab-cdef-0123-456789abcdef",
            "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": text
        });
        check(OperationName::UploadLayerPart.input_schema(), &body)
    };
    let groups = "AAAA".repeat(20_971_520 / 3);
    assert_eq!(part(format!("{groups}AAA=")), Ok(()));
    assert_eq!(
        part(format!("{groups}AAAA")).unwrap_err().to_string(),
        invalid("layerPartBlob", "Member must have length less than or equal to 20971520")
    );
}

#[test]
fn wrong_types_are_unreadable_before_constraints_are_checked() {
    use OperationName::*;
    let create = |body: Value| refusal::<CreateRepositoryRequest>(CreateRepository, &body);
    let images = |body: Value| refusal::<DescribeImagesRequest>(DescribeImages, &body);
    let part = |blob: Value| {
        let body = json!({
            "repositoryName": "ab", "uploadId": "01234567-89ab-cdef-0123-456789abcdef",
            "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": blob
        });
        refusal::<UploadLayerPartRequest>(UploadLayerPart, &body)
    };
    for (found, expected) in [
        (create(json!([])), "request body: expected an object, found an array"),
        (create(json!({"repositoryName": 7})), "repositoryName: expected a string, found a number"),
        // The name is too short as well.
        (
            create(json!({"repositoryName": "a", "tags": [{"Key": "a", "Value": true}]})),
            "tags.1.member.value: expected a string, found a boolean",
        ),
        (create(json!({"tags": {}})), "tags: expected an array, found an object"),
        (
            create(json!({"imageScanningConfiguration": {"scanOnPush": "yes"}})),
            "imageScanningConfiguration.scanOnPush: expected a boolean, found a string",
        ),
        (images(json!({"maxResults": "5"})), "maxResults: expected a 32-bit integer, found a string"),
        (images(json!({"maxResults": 1.5})), "maxResults: expected a 32-bit integer, found 1.5"),
        (images(json!({"maxResults": 5_000_000_000_i64})), "maxResults: expected a 32-bit integer, found 5000000000"),
        (images(json!({"filter": "x"})), "filter: expected an object, found a string"),
        (part(json!("a")), "layerPartBlob: expected a base64 text, found another string"),
        (part(json!("YQ=a")), "layerPartBlob: expected a base64 text, found another string"),
        (part(json!([97])), "layerPartBlob: expected a base64 text, found an array"),
    ] {
        assert_eq!(found, expected);
    }
    let error = decode::<CreateRepositoryRequest>(CreateRepository, br#"{"a":1,"a":2}"#).unwrap_err();
    assert_eq!(error.code(), "SerializationException");
    assert_eq!(error.to_string(), "duplicate key 'a'");
}

static TEXT: Shape = Shape {
    name: "Text",
    kind: Kind::String { length: Bounds::at_most(3), pattern: None, values: &[] },
    sensitive: false,
};
static BYTES: Shape = Shape { name: "Bytes", kind: Kind::Blob { length: Bounds::between(1, 2) }, sensitive: false };
static DOUBLE: Shape = Shape { name: "Score", kind: Kind::Double, sensitive: false };
static TEXTS: Shape = Shape { name: "Texts", kind: Kind::Map { key: &TEXT, value: &TEXT }, sensitive: false };
static ALL_KINDS: Shape = Shape {
    name: "AllKinds",
    kind: Kind::Structure {
        members: &[
            Member::optional("bytes", &BYTES),
            Member::optional("texts", &TEXTS),
            Member::optional("score", &DOUBLE),
        ],
    },
    sensitive: false,
};

#[test]
fn kinds_that_inputs_hardly_use_are_checked() {
    for (value, expected) in [
        (json!({"bytes": "YWI=", "texts": {"a": "b"}, "score": 1.5}), String::new()),
        (json!({"bytes": ""}), invalid("bytes", "Member must have length greater than or equal to 1")),
        (json!({"bytes": "YWJj"}), invalid("bytes", "Member must have length less than or equal to 2")),
        (
            json!({"texts": {"a\u{7}bc": "b"}}),
            invalid("texts.a\\u{7}bc.member", "Member must have length less than or equal to 3"),
        ),
        (json!({"texts": {"a": "long"}}), invalid("texts.a.member", "Member must have length less than or equal to 3")),
        (json!({"texts": {"a": null}}), invalid("texts.a.member", "Member must not be null")),
        (json!({"texts": {"a": 1}}), "texts.a.member: expected a string, found a number".into()),
        (json!({"score": "1"}), "score: expected a number, found a string".into()),
    ] {
        let found = check(&ALL_KINDS, &value).map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(found, expected, "{value}");
    }
}

#[test]
fn absence_null_and_unknown_members() {
    let operation = OperationName::DescribeRepositories;
    let empty = DescribeRepositoriesRequest::default();
    for body in ["", "{}", r#"{"maxResults":null}"#, r#"{"unknown":{"maxResults":"x"}}"#] {
        assert_eq!(decode::<DescribeRepositoriesRequest>(operation, body.as_bytes()).unwrap(), empty);
    }
    assert!(decode::<DescribeRepositoriesRequest>(operation, b" ").is_err());
    assert_eq!(serde_json::to_string(&empty).unwrap(), "{}");
}

/// Decodes a body that a client sent and writes the same value again.
fn round_trip<T: DeserializeOwned + Serialize>(operation: OperationName, body: &str) -> T {
    let input: T = decode(operation, body.as_bytes()).unwrap();
    let expected: Value = serde_json::from_str(body).unwrap();
    assert_eq!(serde_json::to_value(&input).unwrap(), expected);
    input
}

#[test]
fn bodies_of_the_aws_cli_round_trip() {
    let input: CreateRepositoryRequest = round_trip(
        OperationName::CreateRepository,
        r#"{"repositoryName": "team/app", "tags": [{"Key": "env", "Value": "prod"}],
            "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev-*"}],
            "imageScanningConfiguration": {"scanOnPush": true},
            "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "alias/registry"}}"#,
    );
    assert_eq!(input.repository_name, "team/app");
    assert_eq!(input.tags.unwrap()[0].key, "env");
    assert_eq!(input.image_tag_mutability, Some(ImageTagMutability::ImmutableWithExclusion));

    let manifest = "{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\"\n}";
    let body = json!({"repositoryName": "app", "imageManifest": manifest, "imageTag": "v1"});
    let input: PutImageRequest = round_trip(OperationName::PutImage, &body.to_string());
    assert_eq!(input.image_manifest, manifest);

    let input: BatchGetImageRequest = round_trip(
        OperationName::BatchGetImage,
        r#"{"registryId": "123456789012", "repositoryName": "app",
            "imageIds": [{"imageTag": "latest"}, {"imageDigest": "sha256:ab"}],
            "acceptedMediaTypes": ["application/vnd.docker.distribution.manifest.v2+json"]}"#,
    );
    assert_eq!(input.image_ids.len(), 2);

    let input: DescribeImagesRequest = round_trip(
        OperationName::DescribeImages,
        r#"{"repositoryName": "app", "maxResults": 100,
            "filter": {"tagStatus": "TAGGED", "imageStatus": "ANY"}}"#,
    );
    assert_eq!(input.filter.unwrap().tag_status, Some(TagStatus::Tagged));

    let input: UploadLayerPartRequest = round_trip(
        OperationName::UploadLayerPart,
        r#"{"repositoryName": "app", "uploadId": "01234567-89ab-cdef-0123-456789abcdef",
            "partFirstByte": 0, "partLastByte": 4, "layerPartBlob": "bGF5ZXI="}"#,
    );
    assert_eq!(input.layer_part_blob.0, b"layer");
}

#[test]
fn outputs_are_written_with_their_exact_names() {
    let output = DescribeImagesResponse {
        image_details: Some(vec![ImageDetail {
            image_digest: Some("sha256:ab".into()),
            image_size_in_bytes: Some(5_000_000_000),
            image_pushed_at: Some(Timestamp::from_epoch_millis(1_700_000_000_500)),
            image_scan_findings_summary: Some(ImageScanFindingsSummary {
                finding_severity_counts: Some([(FindingSeverity::High, 3)].into()),
                ..Default::default()
            }),
            ..Default::default()
        }]),
        ..Default::default()
    };
    assert_eq!(
        serde_json::to_value(&output).unwrap(),
        json!({"imageDetails": [{
            "imageDigest": "sha256:ab",
            "imageSizeInBytes": 5_000_000_000_i64,
            "imagePushedAt": 1_700_000_000.5,
            "imageScanFindingsSummary": {"findingSeverityCounts": {"HIGH": 3}}
        }]})
    );
}

/// A value that mostly fits a shape: right types with some noise.
fn resembling(shape: &'static Shape) -> BoxedStrategy<Value> {
    let fitting: BoxedStrategy<Value> = match &shape.kind {
        Kind::Structure { members } => members
            .iter()
            .map(|member| {
                let weight = if member.required { 20 } else { 1 };
                proptest::option::weighted(f64::from(weight) / f64::from(weight + 1), resembling(member.shape))
                    .prop_map(|value| value.map(|value| (member.name.to_owned(), value)))
            })
            .collect::<Vec<_>>()
            .prop_map(|members| Value::Object(members.into_iter().flatten().collect()))
            .boxed(),
        Kind::List { member, .. } => proptest::collection::vec(resembling(member), 0..4).prop_map(Value::from).boxed(),
        Kind::Map { .. } => Just(json!({})).boxed(),
        Kind::String { values, .. } if !values.is_empty() => {
            proptest::sample::select(*values).prop_map(Value::from).boxed()
        }
        Kind::String { pattern: Some(_), .. } => proptest::sample::select(vec![
            "123456789012",
            "team/app",
            "sha256:ab",
            "dev-*",
            "eu-west-1",
            "01234567-89ab-cdef-0123-456789abcdef",
            "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/abc",
        ])
        .prop_map(Value::from)
        .boxed(),
        Kind::String { .. } => any::<String>().prop_map(Value::from).boxed(),
        Kind::Integer { .. } => (-1..1002_i32).prop_map(Value::from).boxed(),
        Kind::Long { .. } => (-1..i64::MAX).prop_map(Value::from).boxed(),
        Kind::Double | Kind::Timestamp => any::<f64>().prop_map(Value::from).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Blob { .. } => proptest::collection::vec(any::<u8>(), 0..8)
            .prop_map(|bytes| serde_json::to_value(Blob(bytes)).unwrap())
            .boxed(),
    };
    let noise = proptest::sample::select(vec![json!(null), json!(-1), json!("x"), json!([]), json!({"a": 1})]);
    prop_oneof![40 => fitting, 1 => noise].boxed()
}

/// A value that was accepted is the same after writing and reading it again.
fn judge<T>(operation: OperationName, body: &[u8]) -> Result<(), TestCaseError>
where
    T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug,
{
    match decode::<T>(operation, body) {
        Ok(input) => {
            let written = serde_json::to_vec(&input).unwrap();
            prop_assert_eq!(decode::<T>(operation, &written), Ok(input));
        }
        // The check must not leave anything for serde to refuse.
        Err(DecodeError::Serialization { message }) => {
            prop_assert!(!message.contains("line") && !message.contains("invalid type"), "{}", message);
        }
        Err(DecodeError::InvalidParameter { parameter, .. }) => prop_assert!(!parameter.is_empty()),
    }
    Ok(())
}

macro_rules! judge_all {
    ($($operation:ident: $input:ident,)+) => {
        /// Operations with a body that resembles their input.
        fn any_request() -> impl Strategy<Value = (OperationName, Value)> {
            proptest::sample::select(vec![$(OperationName::$operation),+])
                .prop_flat_map(|operation| (Just(operation), resembling(operation.input_schema())))
        }

        fn judge_any(operation: OperationName, body: &[u8]) -> Result<(), TestCaseError> {
            match operation {
                $(OperationName::$operation => judge::<$input>(operation, body),)+
            }
        }

        fn judge_bytes(body: &[u8]) {
            $(let _ = decode::<$input>(OperationName::$operation, body);)+
        }
    };
}
with_inputs!(judge_all);

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..128)) {
        judge_bytes(&body);
    }

    #[test]
    fn accepted_values_are_written_as_they_were_read((operation, body) in any_request()) {
        judge_any(operation, body.to_string().as_bytes())?;
    }
}
