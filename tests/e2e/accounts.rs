//! Accounts, and what one gets of another.

use ironwharf_tests::{Image, Key, Registry};
use serde_json::json;

const A: &str = "111111111111";
const B: &str = "222222222222";

#[tokio::test]
async fn an_operator_makes_accounts_and_nobody_else_does() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    assert_eq!(a.sts("GetCallerIdentity", &[]).await.element("Arn"), format!("arn:aws:iam::{A}:root"));
    let fields = [("AccessKeyId", a.key().access_key_id.as_str())];
    assert_eq!(operator.sts("GetAccessKeyInfo", &fields).await.element("Account"), A);

    let again = operator.operator("CreateAccount", json!({ "accountId": A, "accountName": "again" })).await;
    again.expect_aws_error_code("EntityAlreadyExistsException");
    for operation in ["CreateAccount", "ListAccounts", "SuspendAccount", "DeleteAccount"] {
        a.operator(operation, json!({ "accountId": A, "accountName": "b" }))
            .await
            .expect_aws_error_code("AccessDeniedException");
    }
    operator.new_account(B).await;
    let listed = operator.operator("ListAccounts", json!({ "maxResults": 1 })).await.expect_status(200).json();
    assert_eq!(listed["accounts"][0]["accountId"], A);
    assert_eq!(listed["nextToken"], A);
    let rest = operator.operator("ListAccounts", json!({ "nextToken": A })).await.expect_status(200).json();
    assert_eq!((&rest["accounts"][0]["accountId"], &rest["accounts"][1]), (&json!(B), &json!(null)));
    for (input, code) in [
        (json!({ "accountName": "" }), "ValidationException"),
        (json!({ "accountName": "x", "accountId": "12" }), "ValidationException"),
        (json!({ "accountName": "x", "colour": "red" }), "ValidationException"),
        (json!({}), "ValidationException"),
    ] {
        operator.operator("CreateAccount", input).await.expect_aws_error_code(code);
    }
    // A key outlives a restart, and so does the account.
    let key = a.key().clone();
    let registry = registry.restart().await;
    let a = registry.client().with_key(&key);
    a.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    registry.stop().await;
}

#[tokio::test]
async fn a_suspended_account_is_out_and_comes_back() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    let image = Image::new("a");
    a.push_image("app", "latest", &image).await;
    operator.operator("SuspendAccount", json!({ "accountId": A })).await.expect_status(200);
    a.api("DescribeRepositories", json!({})).await.expect_aws_error_code("UnrecognizedClientException");
    a.get_manifest("app", "latest").await.expect_oci_error(403, "DENIED");
    a.iam("GetUser", &[]).await.expect_query_error(403, "InvalidClientTokenId");
    operator.operator("ResumeAccount", json!({ "accountId": A })).await.expect_status(200);
    a.expect_image("app", "latest", &image).await;

    // Logins issued before a revocation end with it.
    operator.operator("RevokeSessions", json!({ "accountId": A })).await.expect_status(200);
    a.get_manifest("app", "latest").await.expect_oci_error(403, "DENIED");
    operator
        .operator("DeleteAccount", json!({ "accountId": A }))
        .await
        .expect_aws_error_code("DeleteConflictException");
    operator.operator("SuspendAccount", json!({ "accountId": A })).await.expect_status(200);
    // It still has a repository.
    operator
        .operator("DeleteAccount", json!({ "accountId": A }))
        .await
        .expect_aws_error_code("DeleteConflictException");
    registry.stop().await;
}

#[tokio::test]
async fn an_empty_account_can_be_deleted_and_its_id_given_again() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    a.iam_ok("CreateUser", &[("UserName", "ada")]).await;
    operator.operator("SuspendAccount", json!({ "accountId": A })).await.expect_status(200);
    operator.operator("DeleteAccount", json!({ "accountId": A })).await.expect_status(200);
    operator
        .operator("DescribeAccount", json!({ "accountId": A }))
        .await
        .expect_aws_error_code("NoSuchEntityException");
    a.api("DescribeRepositories", json!({})).await.expect_aws_error_code("UnrecognizedClientException");
    let again = operator.new_account(A).await;
    again.iam("GetUser", &[("UserName", "ada")]).await.expect_query_error(404, "NoSuchEntity");
    a.api("DescribeRepositories", json!({})).await.expect_aws_error_code("UnrecognizedClientException");
    registry.stop().await;
}

#[tokio::test]
async fn a_root_key_is_rotated() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let first = operator.new_account(A).await;
    let mut keys = vec![first.key().clone()];
    for _ in 0..2 {
        let output =
            operator.operator("CreateRootAccessKey", json!({ "accountId": A })).await.expect_status(200).json();
        let field = |name: &str| output["rootAccessKey"][name].as_str().expect("a key").to_owned();
        keys.push(Key {
            access_key_id: field("accessKeyId"),
            secret_access_key: field("secretAccessKey"),
            session_token: None,
        });
    }
    let works = async |key: &Key| operator.with_key(key).sts("GetCallerIdentity", &[]).await.status == 200;
    assert!(!works(&keys[0]).await, "the oldest is gone");
    assert!(works(&keys[1]).await);
    assert!(works(&keys[2]).await);
    registry.stop().await;
}

/// Another account pulls with a repository policy, and not without.
#[tokio::test]
async fn a_repository_policy_lets_another_account_pull() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    let image = Image::new("shared");
    a.push_image("shared/app", "latest", &image).await;
    a.push_image("private", "latest", &image).await;

    let get = async |name: &str| {
        let input = json!({ "registryId": A, "repositoryName": name, "imageIds": [{ "imageTag": "latest" }] });
        b.api("BatchGetImage", input).await
    };
    let denied = |name: &str| {
        format!(
            "User: arn:aws:iam::{B}:root is not authorized to perform: ecr:BatchGetImage on resource: \
             arn:aws:ecr:us-east-1:{A}:repository/{name} because no resource-based policy allows the ecr:BatchGetImage action"
        )
    };
    // The same words whether or not it is there.
    for name in ["shared/app", "private", "absent"] {
        get(name).await.expect_aws_error("AccessDeniedException", &denied(name));
    }
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "other accounts pull",
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{B}:root") },
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        }]
    });
    let input = json!({ "repositoryName": "shared/app", "policyText": policy.to_string() });
    let set = a.api_ok("SetRepositoryPolicy", input).await;
    assert_eq!(set["policyText"], policy.to_string());
    assert_eq!(get("shared/app").await.expect_status(200).json()["images"].as_array().map(Vec::len), Some(1));
    get("private").await.expect_aws_error("AccessDeniedException", &denied("private"));

    // Over the data plane with a token that leads to the other registry.
    let output = b.api_ok("GetAuthorizationToken", json!({ "registryIds": [A] })).await;
    let token = format!("Basic {}", output["authorizationData"][0]["authorizationToken"].as_str().expect("a token"));
    let oci = async |method: &str, path: &str| b.call(method, path).header("authorization", &token).send().await;
    oci("GET", "/v2/shared/app/manifests/latest").await.expect_status(200);
    let blob = format!("/v2/shared/app/blobs/{}", image.blob_digests()[0]);
    oci("GET", &blob).await.expect_status(307);
    for (method, path) in [
        ("PUT", "/v2/shared/app/manifests/latest"),
        ("DELETE", "/v2/shared/app/manifests/latest"),
        ("POST", "/v2/shared/app/blobs/uploads/"),
        ("GET", "/v2/shared/app/tags/list"),
        ("GET", "/v2/private/manifests/latest"),
        ("GET", "/v2/absent/manifests/latest"),
        ("GET", "/v2/_catalog"),
    ] {
        oci(method, path).await.expect_oci_error(403, "DENIED");
    }
    // A mount into B's own repository does not reach over.
    let mount = format!("/v2/mine/blobs/uploads/?mount={}&from=shared/app", image.blob_digests()[0]);
    b.oci("POST", &mount).send().await.expect_status(202);

    assert_eq!(
        a.api_ok("GetRepositoryPolicy", json!({ "repositoryName": "shared/app" })).await["policyText"],
        policy.to_string()
    );
    a.api_ok("DeleteRepositoryPolicy", json!({ "repositoryName": "shared/app" })).await;
    get("shared/app").await.expect_aws_error("AccessDeniedException", &denied("shared/app"));
    let message = format!(
        "Repository policy does not exist for the repository with name 'shared/app' in the registry with id '{A}'"
    );
    a.api("GetRepositoryPolicy", json!({ "repositoryName": "shared/app" }))
        .await
        .expect_aws_error("RepositoryPolicyNotFoundException", &message);
    registry.stop().await;
}

#[tokio::test]
async fn a_policy_that_locks_out_is_set_by_force_only_and_never_for_good() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let policy = json!({
        "Version": "2008-10-17",
        "Statement": { "Effect": "Deny", "Principal": "*", "Action": "ecr:*" }
    });
    let user_policy = json!({
        "Version": "2012-10-17",
        "Statement": { "Effect": "Allow", "Action": "ecr:*", "Resource": "*" }
    });
    let user = a.new_user("ada", Some(&user_policy)).await;
    let set = async |force: bool| {
        let input = json!({ "repositoryName": "app", "policyText": policy.to_string(), "force": force });
        user.api("SetRepositoryPolicy", input).await
    };
    set(false).await.expect_aws_error(
        "InvalidParameterException",
        "Invalid parameter at 'policyText' failed to satisfy constraint: 'this policy would keep you from setting another one; use force if that is what you want'",
    );
    set(true).await.expect_status(200);
    set(true).await.expect_aws_error_code("AccessDeniedException");
    a.api("DescribeImages", json!({ "repositoryName": "app" })).await.expect_aws_error_code("AccessDeniedException");
    // The root can repair it.
    a.api_ok("DeleteRepositoryPolicy", json!({ "repositoryName": "app" })).await;
    a.api_ok("DescribeImages", json!({ "repositoryName": "app" })).await;
    registry.stop().await;
}

#[tokio::test]
async fn a_registry_policy_is_asked_on_every_request() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.push_image("app", "latest", &Image::new("a")).await;
    a.api("GetRegistryPolicy", json!({})).await.expect_aws_error(
        "RegistryPolicyNotFoundException",
        &format!("Registry policy does not exist in the registry with id '{A}'"),
    );
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": ["ecr:PutImage", "ecr:BatchGetImage"],
            "Resource": format!("arn:aws:ecr:us-east-1:{A}:repository/*")
        }]
    });
    a.api_ok("PutRegistryPolicy", json!({ "policyText": policy.to_string() })).await;
    a.get_manifest("app", "latest").await.expect_oci_error(403, "DENIED");
    let message = format!(
        "User: arn:aws:iam::{A}:root is not authorized to perform: ecr:BatchGetImage on resource: \
         arn:aws:ecr:us-east-1:{A}:repository/app with an explicit deny in a resource-based policy"
    );
    let input = json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "latest" }] });
    a.api("BatchGetImage", input).await.expect_aws_error("AccessDeniedException", &message);
    a.api_ok("ListImages", json!({ "repositoryName": "app" })).await;
    assert_eq!(a.api_ok("DeleteRegistryPolicy", json!({})).await["policyText"], policy.to_string());
    a.get_manifest("app", "latest").await.expect_status(200);
    registry.stop().await;
}
