//! `infra/template.yaml` against the code: the table is the one the code makes
//! for itself, each role allows what its function calls, and the rules of the
//! load balancer lead to the functions that answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Answer, Gateway, REGION, Registry, Request, digest};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use ironwharf_cloud::Encryption;
use ironwharf_cloud::table::{Incarnation, Key, RepositoryKey};
use ironwharf_function::Scope;
use ironwharf_model::{AccountId, Digest, RepositoryName};
use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

/// What answers requests, by the name that its role begins with.
const FUNCTIONS: [(Scope, &str); 4] = [
    (Scope::Pull, "PullFunction"),
    (Scope::Push, "PushFunction"),
    (Scope::Api, "ApiFunction"),
    (Scope::Ingress, "Ingress"),
];

/// What a role has although no request of [`exercise`] needs it.
const NEEDED_RARELY: [(&str, &str, &str); 2] = [
    ("PushFunction", "kms:GenerateDataKey", "the first upload after midnight makes the sealing key of the day"),
    ("ApiFunction", "kms:ScheduleKeyDeletion", "of two managed keys that are made at once one is thrown away"),
];

/// Statements for what Lambda itself does with the role of a function: writes its log,
/// reads the stream for it, tells what it failed at.
const BY_LAMBDA: [&str; 3] = ["Logs", "Stream", "Failures"];

fn template() -> Yaml {
    YamlLoader::load_from_str(include_str!("../../../../infra/template.yaml")).unwrap().remove(0)
}

/// The statements of the policy that a function's role is made with.
fn own_statements<'a>(template: &'a Yaml, name: &str) -> Vec<&'a Yaml> {
    let role = &template["Resources"][format!("{name}Role").as_str()]["Properties"];
    let policy = &role["Policies"][0]["PolicyDocument"];
    assert!(role["Policies"][1].is_badvalue() && role["ManagedPolicyArns"].is_badvalue(), "{name} has another policy");
    let is_own = |statement: &&Yaml| !BY_LAMBDA.contains(&statement["Sid"].as_str().unwrap());
    policy["Statement"].as_vec().unwrap().iter().filter(is_own).collect()
}

fn texts(list: &Yaml) -> BTreeSet<String> {
    let text = |yaml: &Yaml| yaml.as_str().unwrap().to_owned();
    // A list of one may be written without brackets.
    list.as_vec().map_or_else(|| BTreeSet::from([text(list)]), |texts| texts.iter().map(text).collect())
}

#[tokio::test]
async fn the_table_is_the_one_the_code_makes() {
    let registry = Registry::new().await;
    let services = registry.embedded.region(REGION).unwrap();
    let pair = registry.embedded.service_credentials();
    let credentials = Credentials::new(&pair.access_key_id, &pair.secret_access_key, None, None, "test");
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url("http://embedded.localhost")
        .credentials_provider(credentials)
        .http_client(services.dynamodb.clone())
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let made = client.describe_table().table_name("ironwharf").send().await.unwrap().table.unwrap();
    let expiry = client.describe_time_to_live().table_name("ironwharf").send().await.unwrap();
    let expiry = expiry.time_to_live_description.unwrap();

    let template = template();
    let table = &template["Resources"]["Table"]["Properties"];
    let keys = |schema: &Yaml| -> Vec<(String, String)> {
        let text = |yaml: &Yaml| yaml.as_str().unwrap().to_owned();
        schema.as_vec().unwrap().iter().map(|key| (text(&key["AttributeName"]), text(&key["KeyType"]))).collect()
    };
    let made_keys = |schema: &[aws_sdk_dynamodb::types::KeySchemaElement]| -> Vec<(String, String)> {
        schema.iter().map(|key| (key.attribute_name.clone(), key.key_type.as_str().to_owned())).collect()
    };
    assert_eq!(keys(&table["KeySchema"]), made_keys(made.key_schema()));

    let attributes: BTreeSet<_> = table["AttributeDefinitions"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|attribute| (attribute["AttributeName"].as_str().unwrap(), attribute["AttributeType"].as_str().unwrap()))
        .collect();
    let made_attributes = made.attribute_definitions().iter();
    let made_attributes: BTreeSet<_> =
        made_attributes.map(|attribute| (attribute.attribute_name(), attribute.attribute_type().as_str())).collect();
    assert_eq!(attributes, made_attributes);

    let indexes = table["GlobalSecondaryIndexes"].as_vec().unwrap();
    assert_eq!(indexes.len(), made.global_secondary_indexes().len());
    for (index, made) in indexes.iter().zip(made.global_secondary_indexes()) {
        assert_eq!(index["IndexName"].as_str(), made.index_name());
        assert_eq!(keys(&index["KeySchema"]), made_keys(made.key_schema()));
        let projection = made.projection().unwrap().projection_type().unwrap();
        assert_eq!(index["Projection"]["ProjectionType"].as_str(), Some(projection.as_str()));
    }
    let stream = made.stream_specification().unwrap().stream_view_type().unwrap();
    assert_eq!(table["StreamSpecification"]["StreamViewType"].as_str(), Some(stream.as_str()));
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"].as_str(), expiry.attribute_name());
    assert_eq!(table["BillingMode"].as_str(), Some("PAY_PER_REQUEST"));
}

#[tokio::test]
async fn each_role_allows_what_its_function_calls() {
    let calls = exercise().await;
    let template = template();
    let mut different = Vec::new();
    for (_, name) in FUNCTIONS {
        let mut granted = BTreeSet::new();
        for statement in own_statements(&template, name) {
            // What S3 does with the key of the bucket is no call of ours.
            if statement["Sid"].as_str() != Some("ObjectKeys") {
                granted.extend(texts(&statement["Action"]));
            }
        }
        granted.extend(granted_besides(&template, name));
        let mut needed: BTreeSet<String> =
            calls[name].iter().flat_map(|call| actions(call)).map(|action| (*action).to_owned()).collect();
        for (_, action, reason) in NEEDED_RARELY.iter().filter(|(function, ..)| *function == name) {
            assert!(needed.insert((*action).to_owned()), "{name} calls {action} after all: {reason}");
        }
        let (missing, unused) = (needed.difference(&granted), granted.difference(&needed));
        let (missing, unused): (Vec<_>, Vec<_>) = (missing.collect(), unused.collect());
        if !missing.is_empty() || !unused.is_empty() {
            different.push(format!("{name} lacks {missing:?} and does not use {unused:?}; it calls {:?}", calls[name]));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The jobs function calls what its events make it call, and its role allows
/// that. Its calls for a tenant are made with sessions of the tenant role, which
/// the embedded services check; what is left is its own.
#[tokio::test]
async fn the_role_of_the_jobs_allows_what_they_call() {
    let jobs = crate::jobs::Scene::new().await;
    drop(jobs.registry.counts.take());
    let own = jobs.do_everything().await;
    let template = template();
    let mut granted: BTreeSet<String> =
        own_statements(&template, "JobsFunction").iter().flat_map(|statement| texts(&statement["Action"])).collect();
    granted.extend(granted_besides(&template, "JobsFunction"));
    let needed: BTreeSet<String> =
        own.iter().flat_map(|call| actions(call)).map(|action| (*action).to_owned()).collect();
    assert_eq!(granted, needed, "it calls {own:?}");
}

/// A filter that lets the wrong lines through, or none, would leave the times of
/// pulls alone without a word.
#[test]
fn the_logs_of_pulls_lead_to_the_jobs() {
    let template = template();
    let properties = &template["Resources"]["JobsFunction"]["Properties"];
    let mut groups = BTreeSet::new();
    for event in properties["Events"].as_hash().unwrap().values() {
        if event["Type"].as_str() == Some("CloudWatchLogs") {
            let pattern = event["Properties"]["FilterPattern"].as_str().unwrap();
            assert_eq!(pattern, format!("{{ $.target = \"{}\" }}", ironwharf_registry::PULL_LOG_TARGET));
            groups.insert(event["Properties"]["LogGroupName"].as_str().unwrap());
        }
    }
    assert_eq!(groups, BTreeSet::from(["ApiLogs", "IngressLogs", "PullLogs"]));
    let timeout = properties["Timeout"].as_i64().unwrap();
    assert_eq!(u64::try_from(timeout).unwrap(), 3 * ironwharf_function::jobs::RESERVE.as_secs());
    let input = properties["Events"]["Work"]["Properties"]["Input"].as_str().unwrap();
    assert_eq!(input, crate::jobs::SCHEDULED);
}

/// The events function gets what it can read, which is little of the stream, and
/// puts it where the role allows.
#[test]
fn changes_of_images_lead_to_the_bus() {
    let template = template();
    let properties = &template["Resources"]["EventsFunction"]["Properties"];
    let stream = &properties["Events"]["Images"]["Properties"];
    assert_eq!(stream["Stream"].as_str(), Some("Table.StreamArn"));
    assert_eq!(texts(&stream["FunctionResponseTypes"]), BTreeSet::from(["ReportBatchItemFailures".to_owned()]));
    let pattern = stream["FilterCriteria"]["Filters"][0]["Pattern"].as_str().unwrap();
    let pattern: Value = serde_json::from_str(pattern).unwrap();
    let expected =
        json!({ "dynamodb": { "Keys": { "pk": { "S": [{ "prefix": "T#" }] }, "sk": { "S": [{ "prefix": "I#" }] } } } });
    assert_eq!(pattern, expected);
    let repository = RepositoryKey {
        account: AccountId::parse("123456789012").unwrap(),
        name: RepositoryName::parse("app").unwrap(),
        incarnation: Incarnation::random(),
        encryption: Encryption::Aes256,
    };
    let image = Digest::sha256(b"");
    let (partition, sort) = Key::Image { repository: &repository, digest: &image }.encode();
    assert!(partition.starts_with("T#") && sort.starts_with("I#"), "{partition} {sort}");
    let statements = own_statements(&template, "EventsFunction");
    let granted: BTreeSet<String> = statements.iter().flat_map(|statement| texts(&statement["Action"])).collect();
    assert_eq!(granted, BTreeSet::from(["events:PutEvents".to_owned()]));
    assert_eq!(properties["Environment"]["Variables"]["IRONWHARF_EVENT_BUS"].as_str(), Some("EventBus"));
}

/// The ingress grows with the requests that it says it has.
#[test]
fn the_load_of_the_ingress_leads_to_more_tasks() {
    let template = template();
    let resources = &template["Resources"];
    let filter = &resources["IngressRequestsMetric"]["Properties"];
    assert_eq!(filter["LogGroupName"].as_str(), Some("IngressLogs"));
    let pattern = format!("{{ $.target = \"{}\" }}", ironwharf_function::ingress::LOAD_LOG_TARGET);
    assert_eq!(filter["FilterPattern"].as_str(), Some(pattern.as_str()));
    let metric = &filter["MetricTransformations"][0];
    assert_eq!(metric["MetricValue"].as_str(), Some("$.fields.requests"));
    let policy = &resources["IngressRequests"]["Properties"]["TargetTrackingScalingPolicyConfiguration"];
    let followed = &policy["CustomizedMetricSpecification"];
    assert_eq!(followed["MetricName"], metric["MetricName"]);
    assert_eq!(followed["Namespace"], metric["MetricNamespace"]);
    let half = ironwharf_function::ingress::UPLOADS / 2;
    assert_eq!(policy["TargetValue"].as_i64(), Some(i64::try_from(half).unwrap()));
}

/// What policies of their own add to the role of a function.
fn granted_besides(template: &Yaml, function: &str) -> BTreeSet<String> {
    let policies = ["TenantReaders", "TenantWriters"].map(|name| &template["Resources"][name]["Properties"]);
    let of_role = policies.into_iter().filter(|policy| texts(&policy["Roles"]).contains(&format!("{function}Role")));
    of_role.flat_map(|policy| texts(&policy["PolicyDocument"]["Statement"][0]["Action"])).collect()
}

/// The calls of the embedded services are made with sessions that are checked
/// by these very policies, so what is missing is noticed there; here is looked
/// for what is too much.
#[test]
fn the_tenant_roles_reach_items_and_objects_of_their_tenant_only() {
    let template = template();
    for (role, file, text, trusted) in [
        (
            "TenantReadRole",
            "tenant-roles/read.json",
            include_str!("../../../../infra/tenant-roles/read.json"),
            &["PullFunction", "PushFunction", "ApiFunction", "Ingress"][..],
        ),
        (
            "TenantWriteRole",
            "tenant-roles/write.json",
            include_str!("../../../../infra/tenant-roles/write.json"),
            &["PushFunction", "ApiFunction", "Ingress", "JobsFunction"],
        ),
    ] {
        let properties = &template["Resources"][role]["Properties"];
        let include = &properties["Policies"][0]["PolicyDocument"]["Fn::Transform"];
        assert_eq!(include["Name"].as_str(), Some("AWS::Include"));
        assert_eq!(include["Parameters"]["Location"].as_str(), Some(file));
        let trust = &properties["AssumeRolePolicyDocument"]["Statement"][0];
        let trusted = trusted.iter().map(|function| format!("{function}Role.Arn")).collect();
        assert_eq!(texts(&trust["Principal"]["AWS"]), trusted);
        assert_eq!(texts(&trust["Action"]), BTreeSet::from(["sts:AssumeRole".to_owned(), "sts:TagSession".to_owned()]));
        let tags = &trust["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"];
        assert_eq!(texts(tags), BTreeSet::from(["tenant".to_owned()]));
        // Any tenant, or the one of a silo: `!If`, without its tag.
        let tenant = trust["Condition"]["StringLike"]["aws:RequestTag/tenant"].as_vec().unwrap();
        let tenant: Vec<_> = tenant.iter().map(|part| part.as_str().unwrap()).collect();
        assert_eq!(tenant, ["IsSilo", "AWS::AccountId", "?".repeat(12).as_str()]);

        let policy: Value = serde_json::from_str(text).unwrap();
        for statement in policy["Statement"].as_array().unwrap() {
            let actions = match &statement["Action"] {
                Value::Array(actions) => actions.clone(),
                action => vec![action.clone()],
            };
            for action in actions.iter().map(|action| action.as_str().unwrap()) {
                assert!(!action.contains('*') && !action.ends_with(":Scan") && !action.contains(":List"), "{action}");
            }
            let condition = &statement["Condition"];
            let resource = &statement["Resource"]["Fn::Sub"];
            match statement["Sid"].as_str().unwrap() {
                "Items" => {
                    assert_eq!(*resource, json!("${Table.Arn}"), "no index");
                    let keys = json!(["T#${aws:PrincipalTag/tenant}#*"]);
                    assert_eq!(condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"], keys);
                    assert_eq!(condition["Null"]["dynamodb:LeadingKeys"], json!("false"));
                }
                "Objects" => assert_eq!(*resource, json!("${Bucket.Arn}/${!aws:PrincipalTag/tenant}/*")),
                "ObjectKeys" => assert!(condition["StringEquals"]["kms:ViaService"].is_object()),
                "TenantKeys" => {
                    assert!(condition["StringEquals"]["kms:ViaService"].is_object());
                    let tag = &condition["StringEquals"]["aws:ResourceTag/tenant"];
                    assert_eq!(*tag, json!("${aws:PrincipalTag/tenant}"));
                }
                "KeysOfTheTenantsAccount" => {
                    assert!(condition["StringEquals"]["kms:ViaService"].is_object());
                    let account = &condition["StringEquals"]["aws:ResourceAccount"];
                    assert_eq!(*account, json!("${aws:PrincipalTag/tenant}"));
                    // The account of all tenants is not one that has keys of its own.
                    assert!(condition["StringNotEquals"]["aws:PrincipalTag/tenant"].is_object());
                }
                other => panic!("what is {other} for?"),
            }
        }
    }
}

/// The IAM actions behind a call.
fn actions(call: &str) -> &'static [&'static str] {
    match call {
        "DynamoDB GetItem" => &["dynamodb:GetItem"],
        "DynamoDB BatchGetItem" => &["dynamodb:BatchGetItem"],
        "DynamoDB Query" => &["dynamodb:Query"],
        "DynamoDB PutItem" => &["dynamodb:PutItem"],
        "DynamoDB UpdateItem" => &["dynamodb:UpdateItem"],
        "DynamoDB DeleteItem" => &["dynamodb:DeleteItem"],
        "DynamoDB BatchWriteItem" => &["dynamodb:BatchWriteItem"],
        // A transaction needs the action of each of its items.
        "DynamoDB TransactWriteItems" => {
            &["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
        }
        "S3 PutObject" | "S3 CreateMultipartUpload" | "S3 UploadPart" | "S3 CompleteMultipartUpload" => {
            &["s3:PutObject"]
        }
        "S3 AbortMultipartUpload" => &["s3:AbortMultipartUpload"],
        "S3 GetObject" => &["s3:GetObject"],
        "KMS Decrypt" => &["kms:Decrypt"],
        "KMS GenerateDataKey" => &["kms:GenerateDataKey"],
        "KMS CreateAlias" => &["kms:CreateAlias"],
        // With the tag of the tenant.
        "KMS CreateKey" => &["kms:CreateKey", "kms:TagResource"],
        "KMS DescribeKey" => &["kms:DescribeKey"],
        "KMS DisableKey" => &["kms:DisableKey"],
        "KMS EnableKey" => &["kms:EnableKey"],
        "KMS ListAliases" => &["kms:ListAliases"],
        "KMS ListKeys" => &["kms:ListKeys"],
        "KMS ListResourceTags" => &["kms:ListResourceTags"],
        "STS AssumeRole" => &["sts:AssumeRole", "sts:TagSession"],
        other => panic!("no role has an action for {other}"),
    }
}

/// Sends requests of every kind; the calls each function makes with the
/// credentials of its role. Those for a tenant are made with sessions of the
/// tenant roles, whose policies the embedded services enforce.
#[expect(clippy::too_many_lines, reason = "a list of requests, each of which needs what those before it made")]
async fn exercise() -> BTreeMap<&'static str, BTreeSet<String>> {
    let registry = Registry::new().await;
    let mut calls: BTreeMap<_, BTreeSet<String>> = FUNCTIONS.iter().map(|(_, name)| (*name, BTreeSet::new())).collect();
    let mut send = async |request: Request, status: u16| -> Answer {
        let answer = registry.send(Gateway::AlbMultiValue, &request).await;
        assert_eq!(answer.status, status, "{} {}: {}", request.method, request.path, answer.json);
        let (_, name) = FUNCTIONS.into_iter().find(|(scope, _)| *scope == request.owner()).unwrap();
        calls.get_mut(name).unwrap().extend(registry.counts.take_own().into_keys());
        answer
    };
    let api = |operation: &str, input: Value| Request::api(operation, &input);

    let token = send(api("GetAuthorizationToken", json!({})), 200).await.json_body();
    let token = token["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    let oci = |method, target: &str| Request::new(method, target).header("authorization", &format!("Basic {token}"));
    for name in ["one", "two"] {
        send(api("CreateRepository", json!({ "repositoryName": name })), 200).await;
    }

    // Enough to be written in parts, and text, so that it travels as it is.
    let large = vec![b'x'; 13 << 20];
    // Blobs: in one piece, in pieces large and small, given up, mounted.
    let (config, layer) = (b"{}".to_vec(), vec![b'a'; 1 << 20]);
    for (blob, pieces) in [(&config, 1), (&config, 2), (&layer, 1), (&layer, 2)] {
        let started = send(oci("POST", "/v2/one/blobs/uploads/"), 202).await;
        let location = started.header("location").unwrap().to_owned();
        for piece in blob.chunks(blob.len().div_ceil(pieces)) {
            send(oci("PATCH", &location).body(piece), 202).await;
            send(oci("GET", &location), 204).await;
        }
        send(oci("PUT", &format!("{location}?digest={}", digest(blob))), 201).await;
    }
    let started = send(oci("POST", "/v2/one/blobs/uploads/"), 202).await;
    let location = started.header("location").unwrap().to_owned();
    send(oci("PATCH", &location).body(large.clone()), 202).await;
    send(oci("DELETE", &location), 204).await;
    // In one piece: as it should be, not what it says, and to where there is nothing.
    let wrong = digest(b"something else");
    for (name, blob, digest, status) in
        [("one", &config, digest(&config), 201), ("one", &large, wrong, 400), ("none", &config, digest(&config), 404)]
    {
        let target = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        send(oci("POST", &target).body(blob.clone()), status).await;
    }
    send(oci("POST", &format!("/v2/two/blobs/uploads/?mount={}&from=one", digest(&layer))), 201).await;
    send(oci("POST", &format!("/v2/two/blobs/uploads/?mount={}", digest(&config))), 201).await;

    // Images: small, too large for an item, with a subject, deleted.
    let manifest = |text: &str| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len() },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len() }],
            "subject": { "mediaType": media_type, "digest": digest(b"subject"), "size": 7 },
            "annotations": { "text": text },
        });
        manifest.to_string()
    };
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    for (tag, text) in [("small", "s".to_owned()), ("large", "l".repeat(400_000)), ("small", "t".to_owned())] {
        let put = oci("PUT", &format!("/v2/one/manifests/{tag}")).header("content-type", media_type);
        send(put.body(manifest(&text)), 201).await;
        send(oci("GET", &format!("/v2/one/manifests/{tag}")), 200).await;
    }
    send(oci("HEAD", &format!("/v2/one/blobs/{}", digest(&layer))), 200).await;
    send(oci("GET", &format!("/v2/one/blobs/{}", digest(&layer))), 307).await;
    send(oci("GET", &format!("/v2/one/referrers/{}", digest(b"subject"))), 200).await;
    for target in ["/v2/", "/v2/_catalog", "/v2/one/tags/list?n=1"] {
        send(oci("GET", target), 200).await;
    }
    // A refusal is an event. The pull function has not yet seen the policy of "two".
    let deny = json!({ "Statement": { "Effect": "Deny", "Principal": "*", "Action": "ecr:ListImages" } }).to_string();
    send(api("SetRepositoryPolicy", json!({ "repositoryName": "two", "policyText": deny })), 200).await;
    send(oci("GET", "/v2/two/tags/list"), 403).await;
    send(oci("DELETE", "/v2/one/manifests/small"), 202).await;
    send(oci("DELETE", &format!("/v2/one/manifests/{}", digest(manifest("s").as_bytes()))), 202).await;
    send(oci("DELETE", &format!("/v2/two/blobs/{}", digest(&config))), 202).await;

    // The same by the API.
    let small = vec![b'y'; 1000];
    // A part larger than the one before it makes use of what is stored; the
    // wrong digest throws parts away.
    for (parts, digest, status) in
        [([&small, &small], digest(&small.repeat(2)), 200), ([&small, &large], digest(b"something else"), 400)]
    {
        let started = send(api("InitiateLayerUpload", json!({ "repositoryName": "one" })), 200).await.json_body();
        let mut first = 0;
        for part in parts {
            let upload = json!({
                "repositoryName": "one",
                "uploadId": started["uploadId"],
                "partFirstByte": first,
                "partLastByte": first + part.len() - 1,
                "layerPartBlob": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, part),
            });
            send(api("UploadLayerPart", upload), 200).await;
            first += part.len();
        }
        let finish = json!({ "repositoryName": "one", "uploadId": started["uploadId"], "layerDigests": [digest] });
        send(api("CompleteLayerUpload", finish), status).await;
    }
    for text in ["a".to_owned(), "b".repeat(400_000)] {
        let put = json!({ "repositoryName": "one", "imageManifest": manifest(&text), "imageTag": "api" });
        send(api("PutImage", put), 200).await;
    }
    for (operation, input) in [
        ("DescribeRegistry", json!({})),
        ("DescribeRepositories", json!({ "maxResults": 1 })),
        ("ListImages", json!({ "repositoryName": "one", "maxResults": 1 })),
        ("DescribeImages", json!({ "repositoryName": "one" })),
        ("BatchGetImage", json!({ "repositoryName": "one", "imageIds": [{ "imageTag": "api" }] })),
        ("BatchCheckLayerAvailability", json!({ "repositoryName": "one", "layerDigests": [digest(&layer)] })),
        ("GetDownloadUrlForLayer", json!({ "repositoryName": "one", "layerDigest": digest(&layer) })),
        ("BatchDeleteImage", json!({ "repositoryName": "one", "imageIds": [{ "imageTag": "api" }] })),
        ("DeleteRepository", json!({ "repositoryName": "one", "force": true })),
    ] {
        send(api(operation, input), 200).await;
    }
    for request in of_identities().into_iter().chain(of_the_operator()) {
        send(request, 200).await;
    }

    // Keys: the managed one, one of the operator's, and by a push.
    for key in [json!({ "encryptionType": "KMS" }), json!({ "encryptionType": "KMS", "kmsKey": "alias/team" })] {
        let name = format!("kms/{}", key.as_object().unwrap().len());
        send(api("CreateRepository", json!({ "repositoryName": name, "encryptionConfiguration": key })), 200).await;
    }
    let template = json!({
        "prefix": "pushed",
        "appliedFor": ["CREATE_ON_PUSH"],
        "encryptionConfiguration": { "encryptionType": "KMS" },
        "resourceTags": [{ "Key": "made", "Value": "by a push" }],
    });
    send(api("CreateRepositoryCreationTemplate", template), 200).await;
    send(oci("POST", "/v2/pushed/app/blobs/uploads/"), 202).await;
    calls
}

/// Requests about users and roles, in their order.
fn of_identities() -> Vec<Request> {
    let document = |statement: Value| json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
    let allow = document(json!({ "Effect": "Allow", "Action": "ecr:*", "Resource": "*" }));
    let trust =
        document(json!({ "Effect": "Allow", "Principal": { "AWS": "123456789012" }, "Action": "sts:AssumeRole" }));
    let iam = |action: &str, fields: &[(&str, &str)]| Request::query("iam", action, fields);
    let sts = |action: &str, fields: &[(&str, &str)]| Request::query("sts", action, fields);
    let (user, group, role) = (("UserName", "ada"), ("GroupName", "crew"), ("RoleName", "ci"));
    let (policy, text) = (("PolicyName", "all"), ("PolicyDocument", allow.as_str()));
    let arn = ("PolicyArn", "arn:aws:iam::123456789012:policy/all");
    vec![
        iam("CreateUser", &[user]),
        iam("CreateAccessKey", &[user]),
        iam("PutUserPolicy", &[user, policy, text]),
        iam("CreatePolicy", &[policy, text]),
        iam("AttachUserPolicy", &[user, arn]),
        iam("CreateGroup", &[group]),
        iam("AddUserToGroup", &[user, group]),
        iam("CreateRole", &[role, ("AssumeRolePolicyDocument", &trust)]),
        iam("ListUsers", &[]),
        iam("ListEntitiesForPolicy", &[arn]),
        iam("GetAccountSummary", &[]),
        iam("GetAccountAuthorizationDetails", &[]),
        iam(
            "SimulatePrincipalPolicy",
            &[("PolicySourceArn", "arn:aws:iam::123456789012:user/ada"), ("ActionNames.member.1", "ecr:PutImage")],
        ),
        sts("GetCallerIdentity", &[]),
        sts("GetSessionToken", &[]),
        iam("RemoveUserFromGroup", &[user, group]),
        iam("DetachUserPolicy", &[user, arn]),
        iam("DeletePolicy", &[arn]),
        iam("DeleteUserPolicy", &[user, policy]),
        iam("DeleteGroup", &[group]),
        iam("DeleteRole", &[role]),
    ]
}

/// Requests of the operator, in their order.
fn of_the_operator() -> Vec<Request> {
    let call =
        |operation: &str, input: Value| Request::json("ironwharf", &format!("Ironwharf_20261101.{operation}"), &input);
    let (tenant, own) = (json!({ "accountId": "111111111111" }), json!({ "accountId": "123456789012" }));
    let key = json!({ "accountId": "123456789012", "keyId": "alias/team" });
    let events = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
    vec![
        call("CreateAccount", json!({ "accountId": "111111111111", "accountName": "team" })),
        call("ListAccounts", json!({})),
        call("CreateRootAccessKey", tenant.clone()),
        call("RevokeSessions", tenant.clone()),
        call("SuspendAccount", tenant.clone()),
        call("DeleteAccount", tenant),
        call("CreateKey", json!({ "accountId": "123456789012", "alias": "team" })),
        call("ListKeys", own.clone()),
        call("DisableKey", key.clone()),
        call("EnableKey", key),
        call("LookupEvents", own),
        Request::json("cloudtrail", events, &json!({})),
    ]
}

/// A rule of the load balancer: the requests it matches, and whose they are.
struct Rule {
    priority: i64,
    methods: BTreeSet<String>,
    paths: BTreeSet<String>,
    /// The header it asks for, and its values.
    header: Option<(String, BTreeSet<String>)>,
    /// The parameter it asks for, and its value or `*`.
    parameter: Option<(String, String)>,
    scope: Scope,
}

impl Rule {
    fn read(resources: &Yaml, rule: &Yaml) -> Self {
        let targets = rule["Actions"][0]["TargetGroupArn"].as_str().unwrap();
        let group = &resources[targets]["Properties"];
        let scope = if group["TargetType"].as_str() == Some("lambda") {
            let attribute = &group["TargetGroupAttributes"][0];
            assert_eq!(attribute["Key"].as_str(), Some("lambda.multi_value_headers.enabled"));
            assert_eq!(attribute["Value"].as_str(), Some("true"));
            // `!GetAtt PullFunction.Arn`, without its tag.
            let name = group["Targets"][0]["Id"].as_str().unwrap().strip_suffix(".Arn").unwrap();
            FUNCTIONS.into_iter().find(|(_, function)| *function == name).unwrap().0
        } else {
            assert_eq!(group["HealthCheckPath"].as_str(), Some("/healthz"));
            Scope::Ingress
        };
        let mut read = Self {
            priority: rule["Priority"].as_i64().unwrap(),
            methods: BTreeSet::new(),
            paths: BTreeSet::new(),
            header: None,
            parameter: None,
            scope,
        };
        let mut values = 0;
        for condition in rule["Conditions"].as_vec().unwrap() {
            values += match condition["Field"].as_str().unwrap() {
                "http-request-method" => {
                    read.methods = texts(&condition["HttpRequestMethodConfig"]["Values"]);
                    read.methods.len()
                }
                "path-pattern" => {
                    read.paths = texts(&condition["PathPatternConfig"]["Values"]);
                    read.paths.len()
                }
                "http-header" => {
                    let config = &condition["HttpHeaderConfig"];
                    let values = texts(&config["Values"]);
                    let count = values.len();
                    read.header = Some((config["HttpHeaderName"].as_str().unwrap().to_owned(), values));
                    count
                }
                "query-string" => {
                    let pair = &condition["QueryStringConfig"]["Values"][0];
                    let text = |yaml: &Yaml| yaml.as_str().unwrap().to_owned();
                    read.parameter = Some((text(&pair["Key"]), text(&pair["Value"])));
                    1
                }
                other => panic!("what is {other}?"),
            };
        }
        assert!(values <= 5, "a rule may have five values");
        read
    }

    /// Whether the load balancer follows it for a request.
    fn matches(&self, request: &Request) -> bool {
        let has_path = self.paths.iter().any(|path| match path.strip_suffix('*') {
            Some(start) => request.path.starts_with(start),
            None => request.path == *path,
        });
        let has_header = self.header.as_ref().is_none_or(|(name, values)| {
            request.headers.iter().any(|(given, text)| given.eq_ignore_ascii_case(name) && values.contains(text))
        });
        let has_parameter = self.parameter.as_ref().is_none_or(|(name, value)| {
            let mut pairs = request.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.any(|(given, found)| given == name && (value == "*" || value == found))
        });
        self.methods.contains(request.method) && has_path && has_header && has_parameter
    }
}

#[test]
fn each_request_is_led_to_what_answers_it() {
    let template = template();
    let resources = &template["Resources"];
    let mut rules: Vec<Rule> = resources
        .as_hash()
        .unwrap()
        .values()
        .filter(|resource| resource["Type"].as_str() == Some("AWS::ElasticLoadBalancingV2::ListenerRule"))
        .map(|rule| Rule::read(resources, &rule["Properties"]))
        .collect();
    rules.sort_by_key(|rule| rule.priority);
    let mut led = BTreeMap::new();
    for method in ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"] {
        for target in [
            "/v2/",
            "/v2/a/tags/list",
            "/v2/a/manifests/b",
            "/v2/a/manifests/b?through=ingress",
            "/v2/a/blobs/uploads/",
            "/v2/a/blobs/uploads/?digest=sha256:0",
            "/v2/a/blobs/uploads/?mount=sha256:0&from=b",
            "/v2/a/blobs/uploads/?x=y&digest=sha256:0",
        ] {
            let request = Request::new(method, target);
            let rule = rules.iter().find(|rule| rule.matches(&request));
            let rule = rule.unwrap_or_else(|| panic!("nothing answers {method} {target}"));
            assert_eq!(rule.scope, request.owner(), "{method} {target}");
            led.insert(rule.priority, rule.scope);
        }
    }
    for operation in
        ["UploadLayerPart", "InitiateLayerUpload", "PutImage", "PutImageTagMutability", "BatchGetImage", "ListImages"]
    {
        let request = Request::api(operation, &json!({}));
        let rule = rules.iter().find(|rule| rule.matches(&request)).unwrap();
        assert_eq!(rule.scope, request.owner(), "{operation}");
        led.insert(rule.priority, rule.scope);
    }
    let query = Request::new("POST", "/").header("content-type", "application/x-www-form-urlencoded");
    let rule = rules.iter().find(|rule| rule.matches(&query)).unwrap();
    assert_eq!(rule.scope, Scope::Api);
    assert_eq!(led.len(), rules.len(), "a rule that leads nothing");
}

#[test]
fn every_variable_is_set() {
    let template = template();
    let environment = |yaml: &Yaml, name: &str| yaml["Environment"]["Variables"][name].as_str().map(str::to_owned);
    for (scope, name) in FUNCTIONS {
        let own = &template["Resources"][name]["Properties"];
        let container = &template["Resources"]["IngressTask"]["Properties"]["ContainerDefinitions"][0];
        let variable = |name: &str| {
            let value = match scope {
                Scope::Ingress => in_container(container, name)?,
                _ => environment(own, name).or_else(|| environment(&template["Globals"]["Function"], name))?,
            };
            // References get values of the right form.
            Some(match (name, value.as_str()) {
                ("IRONWHARF_ROOT_ACCOUNT", "AWS::AccountId") => "123456789012".to_owned(),
                ("IRONWHARF_TENANCY", "Tenancy") => "silo".to_owned(),
                _ => value,
            })
        };
        // Lambda itself sets the Region.
        let settings = ironwharf_function::settings::Settings::read(scope.verifies_signatures(), |name| {
            if name == "AWS_REGION" { Some(REGION.to_owned()) } else { variable(name) }
        });
        let settings = settings.unwrap_or_else(|sentence| panic!("{name}: {sentence}"));
        assert!(!settings.app.create_on_push);
        assert_eq!(variable("IRONWHARF_ROOT_SECRET_ACCESS_KEY").is_some(), scope.verifies_signatures());
    }
}

/// A variable of a container; of a secret, where it is kept.
fn in_container(container: &Yaml, name: &str) -> Option<String> {
    let named = |list: &'static str, value: &'static str| {
        let variables = container[list].as_vec().unwrap().iter();
        let variable = variables.into_iter().find(|variable| variable["Name"].as_str() == Some(name))?;
        variable[value].as_str().map(str::to_owned)
    };
    named("Environment", "Value").or_else(|| named("Secrets", "ValueFrom"))
}
