//! The audit trail: what was changed and what was refused.

use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

const A: &str = "111111111111";
const B: &str = "222222222222";

async fn events(client: &Client, input: Value) -> Vec<Value> {
    let output = client.lookup_events(input).await.expect_status(200).json();
    let events = output["Events"].as_array().expect("a list").clone();
    events
        .iter()
        .map(|event| serde_json::from_str(event["CloudTrailEvent"].as_str().expect("text")).expect("JSON"))
        .collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["eventName"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn changes_and_refusals_are_in_the_trail_of_whom_they_concern() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    a.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let image = Image::new("audited");
    a.push_image("app", "latest", &image).await;
    a.expect_image("app", "latest", &image).await;
    a.api_ok("DescribeRepositories", json!({})).await;
    let input = json!({ "registryId": A, "repositoryName": "app", "imageIds": [{ "imageTag": "latest" }] });
    b.api("BatchDeleteImage", input).await.expect_aws_error_code("AccessDeniedException");
    a.oci("DELETE", "/v2/app/manifests/latest").send().await.expect_status(202);

    let of_a = events(&a, json!({})).await;
    let blobs = image.blobs.len();
    let mut expected = vec!["BatchDeleteImage", "BatchDeleteImage", "PutImage"];
    // Each was sent with the request that began it, and ended it.
    expected.extend(vec!["CompleteLayerUpload"; blobs]);
    expected.push("CreateRepository");
    // Events of one millisecond have no order.
    let (mut found, mut wanted) = (names(&of_a), expected.clone());
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    let refused = of_a.iter().find(|event| event.get("errorCode").is_some()).expect("the refusal");
    assert_eq!(refused["errorCode"], "AccessDeniedException");
    assert_eq!(refused["userIdentity"]["accountId"], B);
    assert_eq!(refused["recipientAccountId"], A);
    assert_eq!(refused["resources"][0]["ARN"], format!("arn:aws:ecr:us-east-1:{A}:repository/app"));
    assert_eq!(refused["sourceIPAddress"], "127.0.0.1");
    let pushed = of_a.iter().find(|event| event["eventName"] == "PutImage").expect("the push");
    assert_eq!(pushed["userIdentity"]["arn"], format!("arn:aws:iam::{A}:root"));
    assert_eq!(pushed["additionalEventData"]["path"], "/v2/app/manifests/latest");
    assert_eq!(pushed["readOnly"], false);
    let expected_parameters = json!({ "registryId": A, "repositoryName": "app", "imageTag": "latest" });
    assert_eq!(pushed["requestParameters"], expected_parameters);
    let mut stored: Vec<&Value> = of_a
        .iter()
        .filter(|event| event["eventName"] == "CompleteLayerUpload")
        .map(|event| &event["requestParameters"]["layerDigests"][0])
        .collect();
    let mut digests = image.blob_digests();
    stored.sort_unstable_by_key(ToString::to_string);
    digests.sort_unstable();
    assert_eq!(stored, digests.iter().collect::<Vec<_>>());
    let deleted = of_a.iter().find(|event| event["additionalEventData"]["method"] == "DELETE").expect("the deletion");
    assert_eq!(deleted["requestParameters"]["imageIds"], json!([{ "imageTag": "latest" }]));

    // The stranger sees what it tried, and nothing else of A.
    assert_eq!(names(&events(&b, json!({})).await), ["BatchDeleteImage"]);

    let by = async |key: &str, value: &str| {
        let attribute = json!([{ "AttributeKey": key, "AttributeValue": value }]);
        events(&a, json!({ "LookupAttributes": attribute })).await.len()
    };
    assert_eq!(by("EventName", "PutImage").await, 1);
    assert_eq!(by("ResourceName", "app").await, expected.len());
    assert_eq!(by("Username", "root").await, expected.len());
    assert_eq!(by("EventSource", "iam.amazonaws.com").await, 0);

    // Page by page the same.
    let (mut pages, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({ "MaxResults": 2 });
        if !token.is_null() {
            input["NextToken"] = token;
        }
        let output = a.lookup_events(input).await.expect_status(200).json();
        pages.extend(output["Events"].as_array().expect("a list").clone());
        token = output["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(pages.len(), expected.len());
    a.lookup_events(json!({ "MaxResults": 51 })).await.expect_aws_error_code("ValidationException");
    a.lookup_events(json!({ "NextToken": "x" })).await.expect_aws_error_code("ValidationException");
    let future = json!({ "StartTime": 4_000_000_000_u64, "EndTime": 1 });
    a.lookup_events(future).await.expect_aws_error_code("ValidationException");
    registry.stop().await;
}

#[tokio::test]
async fn no_secret_is_in_the_trail() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    let policy =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "ecr:*", "Resource": "*" } });
    let user = a.new_user("ada", Some(&policy)).await;
    user.push_image("app", "latest", &Image::new("secret")).await;
    let session = user.sts("GetSessionToken", &[]).await.key();
    let password = user.password().await;
    for client in [&a, &operator] {
        let all = client.lookup_events(json!({})).await.expect_status(200).text();
        assert!(all.contains("CreateAccessKey") || client.key() == operator.key());
        for secret in [
            &user.key().secret_access_key,
            &session.secret_access_key,
            session.session_token.as_ref().expect("a token"),
            &a.key().secret_access_key,
            &password,
        ] {
            assert!(!all.contains(secret.as_str()));
        }
    }
    registry.stop().await;
}

#[tokio::test]
async fn whoever_proves_nothing_is_named_as_unknown() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    let policy =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "ecr:*", "Resource": "*" } });
    let user = a.new_user("ada", Some(&policy)).await;
    let mut wrong = user.key().clone();
    wrong.secret_access_key = "not/the/secret".to_owned();
    user.with_key(&wrong)
        .api("DeleteRepository", json!({ "repositoryName": "app" }))
        .await
        .expect_aws_error_code("InvalidSignatureException");
    // A login goes on only as long as its key is there.
    user.password().await;
    let id = user.key().access_key_id.clone();
    a.iam_ok("DeleteAccessKey", &[("UserName", "ada"), ("AccessKeyId", &id)]).await;
    user.oci("GET", "/v2/app/manifests/latest").send().await.expect_oci_error(403, "DENIED");
    // Nobody's key is nobody's event.
    let mut nobody = user.key().clone();
    nobody.access_key_id = ironwharf_model::access_key_id(
        ironwharf_model::AccessKeyKind::LongTerm,
        &ironwharf_model::AccountId::parse(B).expect("an account"),
        [1; 5],
    );
    user.with_key(&nobody).api("ListImages", json!({})).await.expect_aws_error_code("UnrecognizedClientException");

    let refused: Vec<Value> =
        events(&a, json!({})).await.into_iter().filter(|event| event["userIdentity"]["type"] == "Unknown").collect();
    let mut found: Vec<_> = refused
        .iter()
        .map(|event| {
            assert_eq!(event["userIdentity"]["accessKeyId"], id);
            assert_eq!(event["sourceIPAddress"], "127.0.0.1");
            (event["eventName"].as_str().expect("a name"), event["errorCode"].as_str().expect("a code"))
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, [("BatchGetImage", "ExpiredTokenException"), ("DeleteRepository", "InvalidSignatureException")]);
    registry.stop().await;
}

/// The name, code and message of each refusal in a trail.
async fn refusals(client: &Client) -> Vec<(String, String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let refused = events(client, json!({})).await.into_iter().filter(|event| event.get("errorCode").is_some());
    let mut found: Vec<_> = refused
        .map(|event| (text(&event, "eventName"), text(&event, "errorCode"), text(&event, "errorMessage")))
        .collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn refusals_of_input_are_in_the_trail() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.iam("CreateUser", &[("UserName", "a b")]).await.expect_query_error(400, "ValidationError");
    a.iam("ListUsers", &[("MaxItems", "0")]).await.expect_query_error(400, "ValidationError");
    a.iam("MakeCoffee", &[]).await.expect_query_error(400, "InvalidAction");
    a.sts("GetAccessKeyInfo", &[("AccessKeyId", "x")]).await.expect_query_error(400, "ValidationError");
    a.api("CreateRepository", json!({ "repositoryName": "A" })).await;
    a.api("DeleteRepository", json!({ "repositoryName": 1 })).await;
    a.api("TagResource", json!({ "resourceArn": "arn:x", "tags": [] })).await;
    a.api("StartImageScan", json!({})).await.expect_status(501);
    a.api("MakeCoffee", json!({})).await.expect_status(400);
    a.lookup_events(json!({ "MaxResults": 51 })).await.expect_status(400);
    a.oci("PUT", "/v2/UPPER/manifests/latest").send().await.expect_oci_error(400, "NAME_INVALID");
    a.oci("POST", "/v2/a/../b/blobs/uploads/").send().await.expect_oci_error(400, "NAME_INVALID");
    a.oci("GET", "/v2/app/tags/list?n=x").send().await.expect_status(400);
    // That something is not there is an answer to who only looks.
    a.api("DescribeRepositories", json!({ "repositoryNames": ["app"] })).await.expect_status(400);
    a.iam("GetUser", &[("UserName", "nobody")]).await.expect_query_error(404, "NoSuchEntity");
    a.oci("GET", "/v2/app/manifests/latest").send().await.expect_status(404);
    // It is a refusal of who wants to change it.
    a.api("DeleteRepository", json!({ "repositoryName": "app" })).await.expect_status(400);

    let found = refusals(&a).await;
    let short: Vec<(&str, &str)> = found.iter().map(|(name, code, _)| (name.as_str(), code.as_str())).collect();
    let expected = [
        ("CreateRepository", "InvalidParameterException"),
        ("CreateUser", "ValidationError"),
        ("DeleteRepository", "RepositoryNotFoundException"),
        ("DeleteRepository", "SerializationException"),
        ("GetAccessKeyInfo", "ValidationError"),
        ("InitiateLayerUpload", "InvalidParameterException"),
        ("ListImages", "InvalidParameterException"),
        ("ListUsers", "ValidationError"),
        ("LookupEvents", "ValidationException"),
        ("MakeCoffee", "InvalidAction"),
        ("MakeCoffee", "UnknownOperationException"),
        ("PutImage", "InvalidParameterException"),
        ("StartImageScan", "UnknownOperationException"),
        ("TagResource", "InvalidParameterException"),
    ];
    assert_eq!(short, expected, "{found:#?}");
    assert!(found.iter().all(|(_, _, message)| !message.is_empty()), "{found:#?}");
    registry.stop().await;
}

#[tokio::test]
async fn a_repository_that_a_push_creates_has_its_event() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.push_image("new/app", "latest", &Image::new("creates")).await;
    a.push_image("new/app", "again", &Image::new("creates")).await;
    let upload = a.start_upload("begun").await;
    assert!(upload.starts_with("/v2/begun/"));
    let all = events(&a, json!({})).await;
    let mut created: Vec<&Value> = all.iter().filter(|event| event["eventName"] == "CreateRepository").collect();
    created.sort_unstable_by_key(|event| event["requestParameters"]["repositoryName"].to_string());
    assert_eq!(created.len(), 2, "{all:#?}");
    let expected = json!({ "registryId": A, "repositoryName": "new/app", "imageTagMutability": "MUTABLE" });
    assert_eq!(created[1]["requestParameters"], expected);
    assert_eq!(created[1]["resources"][0]["ARN"], format!("arn:aws:ecr:us-east-1:{A}:repository/new/app"));
    for event in created {
        assert_eq!(event["userIdentity"]["arn"], format!("arn:aws:iam::{A}:root"));
        assert_eq!(event["userIdentity"]["invokedBy"], "ecr.amazonaws.com");
        assert_eq!(event["additionalEventData"]["appliedFor"], "CREATE_ON_PUSH");
        assert_eq!(event["additionalEventData"]["method"], "POST");
    }
    // What was pushed has its own.
    assert_eq!(all.iter().filter(|event| event["eventName"] == "PutImage").count(), 2);
    assert!(all.iter().filter(|event| event["eventName"] != "CreateRepository").all(|event| {
        event["userIdentity"].get("invokedBy").is_none() && event["additionalEventData"].get("appliedFor").is_none()
    }));
    registry.stop().await;
}

#[tokio::test]
async fn another_account_cannot_fill_a_trail() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    a.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let count = 30;
    for _ in 0..count {
        let input = json!({ "registryId": A, "repositoryName": "app" });
        b.api("DeleteRepository", input).await.expect_aws_error_code("AccessDeniedException");
    }
    assert_eq!(refusals(&b).await.len(), count);
    // The minute may have ended in between.
    let of_a = refusals(&a).await.len();
    assert!((1..=20).contains(&of_a), "{of_a}");
    // It takes nobody else's place.
    a.api("DeleteRepository", json!({ "repositoryName": "none" })).await.expect_status(400);
    assert_eq!(refusals(&a).await.len(), of_a + 1);
    registry.stop().await;
}
