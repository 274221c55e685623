//! An account id that is given again: nothing of the first account is left to
//! the second, and nothing that was issued to the first opens the second.

use ironwharf_tests::{Client, Key, Registry};
use serde_json::json;

const A: &str = "111111111111";

/// Deletes the account and makes another of the same id; a client as its root.
async fn recreate(operator: &Client) -> Client {
    operator.operator("SuspendAccount", json!({ "accountId": A })).await.expect_status(200);
    operator.operator("DeleteAccount", json!({ "accountId": A })).await.expect_status(200);
    operator.new_account(A).await
}

#[tokio::test]
async fn what_was_issued_to_a_deleted_account_opens_no_later_one() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let first = operator.new_account(A).await;
    let get_session = async |root: &Client| -> Key { root.sts("GetSessionToken", &[]).await.expect_status(200).key() };
    let old = operator.with_key(&get_session(&first).await);
    let (old_login, first_login) = (old.authorization().await, first.authorization().await);
    old.sts("GetCallerIdentity", &[]).await.expect_status(200);

    let second = recreate(&operator).await;
    second.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    old.sts("GetCallerIdentity", &[]).await.expect_query_error(403, "InvalidClientTokenId");
    old.api("DescribeRepositories", json!({})).await.expect_aws_error_code("UnrecognizedClientException");
    let list =
        async |login: &str| operator.call("GET", "/v2/app/tags/list").header("authorization", login).send().await;
    for login in [&old_login, &first_login] {
        list(login).await.expect_oci_error(403, "DENIED");
    }
    // What is issued in the very second of the creation is good.
    let new = operator.with_key(&get_session(&second).await);
    new.api_ok("DescribeRepositories", json!({})).await;
    for login in [new.authorization().await, second.authorization().await] {
        list(&login).await.expect_status(200);
    }
    registry.stop().await;
}

#[tokio::test]
async fn nothing_of_a_deleted_account_is_left_to_a_later_one() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let first = operator.new_account(A).await;
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": ["ecr:PutImage"],
            "Resource": format!("arn:aws:ecr:us-east-1:{A}:repository/*")
        }]
    });
    let principal = format!("arn:aws:iam::{A}:role/scanner");
    let template = json!({ "prefix": "team", "appliedFor": ["CREATE_ON_PUSH"], "description": "of the first" });
    let regions = ["us-east-1", "eu-west-1"];
    for region in regions {
        let first = first.in_region(region);
        first.api_ok("CreateRepositoryCreationTemplate", template.clone()).await;
        first.api_ok("PutAccountSetting", json!({ "name": "BLOB_MOUNTING", "value": "DISABLED" })).await;
        first.api_ok("RegisterPullTimeUpdateExclusion", json!({ "principalArn": principal })).await;
    }
    first.api_ok("PutRegistryPolicy", json!({ "policyText": policy.to_string() })).await;
    first.iam_ok("CreateUser", &[("UserName", "ada")]).await;
    let url = [("Url", "https://issuer.example"), ("ClientIDList.member.1", "sts.amazonaws.com")];
    first.iam_ok("CreateOpenIDConnectProvider", &url).await;
    let events = first.lookup_events(json!({})).await.expect_status(200).json();
    assert!(!events["Events"].as_array().expect("events").is_empty());

    let second = recreate(&operator).await;
    second.api("GetRegistryPolicy", json!({})).await.expect_aws_error_code("RegistryPolicyNotFoundException");
    // Before anything else is done: what there was is nobody's business.
    let events = second.lookup_events(json!({})).await.expect_status(200).json();
    let shown = events["Events"].to_string();
    assert!(!shown.contains("CreateUser") && !shown.contains("PutRegistryPolicy"), "{shown}");
    let past = json!({ "StartTime": 1, "EndTime": 2 });
    second.lookup_events(past).await.expect_aws_error_code("ValidationException");
    for region in regions {
        let second = second.in_region(region);
        let templates = second.api_ok("DescribeRepositoryCreationTemplates", json!({})).await;
        assert!(!templates.to_string().contains("of the first"), "{templates}");
        let setting = second.api_ok("GetAccountSetting", json!({ "name": "BLOB_MOUNTING" })).await;
        assert_eq!(setting["value"], "ENABLED", "{region}");
        let excluded = second.api_ok("ListPullTimeUpdateExclusions", json!({})).await;
        assert_eq!(excluded["pullTimeUpdateExclusions"], json!([]), "{region}");
    }
    let providers = second.iam_ok("ListOpenIDConnectProviders", &[]).await;
    assert!(!providers.text().contains("issuer.example"), "{}", providers.text());
    second.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let own = second.lookup_events(json!({})).await.expect_status(200).json();
    assert!(own["Events"].to_string().contains("CreateRepository"), "{own}");
    // The operator still sees all of it.
    let all = operator.operator("LookupEvents", json!({ "accountId": A })).await.expect_status(200).json();
    assert!(all["Events"].to_string().contains("CreateUser"), "{all}");
    registry.stop().await;
}
