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
