//! Settings of a registry as a whole.

use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

use crate::words::{ACCOUNT, invalid};

async fn get(client: &Client, name: &str) -> Value {
    let output = client.api_ok("GetAccountSetting", json!({ "name": name })).await;
    assert_eq!(output["name"], name);
    output["value"].clone()
}

async fn put(client: &Client, name: &str, value: &str) {
    let input = json!({ "name": name, "value": value });
    assert_eq!(client.api_ok("PutAccountSetting", input.clone()).await, input);
}

#[tokio::test]
async fn settings_have_defaults_and_are_kept() {
    let registry = Registry::start().await;
    let client = registry.client();
    let other = client.new_account("111111111111").await;
    let defaults =
        [("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE"), ("REGISTRY_POLICY_SCOPE", "V2"), ("BLOB_MOUNTING", "ENABLED")];
    for (name, value) in defaults {
        assert_eq!(get(&client, name).await, value);
    }
    // Two at once both count.
    futures::join!(put(&client, "REGISTRY_POLICY_SCOPE", "V1"), put(&client, "BLOB_MOUNTING", "DISABLED"));
    put(&client, "BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE").await;
    let registry = registry.restart().await;
    let client = registry.client();
    let other = registry.client().with_key(other.key());
    for (name, value) in
        [("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE"), ("REGISTRY_POLICY_SCOPE", "V1"), ("BLOB_MOUNTING", "DISABLED")]
    {
        assert_eq!(get(&client, name).await, value);
    }
    // They are one registry's: of one account, in one Region.
    for (name, value) in defaults {
        assert_eq!(get(&other, name).await, value);
        assert_eq!(get(&client.in_region("eu-west-1"), name).await, value);
    }
    registry.stop().await;
}

#[tokio::test]
async fn names_and_values_that_are_none_are_refused() {
    let registry = Registry::start().await;
    let client = registry.client();
    let names = "[BASIC_SCAN_TYPE_VERSION, REGISTRY_POLICY_SCOPE, BLOB_MOUNTING]";
    let no_name = invalid("name", &format!("\"blob_mounting\" is not the name of an account setting: {names}"));
    let value = |name: &str, value: &str, values: &str| {
        (
            json!({ "name": name, "value": value }),
            invalid("value", &format!("\"{value}\" is not a value of {name}: {values}")),
        )
    };
    client
        .api("GetAccountSetting", json!({ "name": "blob_mounting" }))
        .await
        .expect_aws_error("InvalidParameterException", &no_name);
    for (input, message) in [
        (json!({ "name": "blob_mounting", "value": "ENABLED" }), no_name),
        value("BASIC_SCAN_TYPE_VERSION", "CLAIR", "[AWS_NATIVE]"),
        value("REGISTRY_POLICY_SCOPE", "V3", "[V2, V1]"),
        value("BLOB_MOUNTING", "enabled", "[ENABLED, DISABLED]"),
    ] {
        client.api("PutAccountSetting", input).await.expect_aws_error("InvalidParameterException", &message);
    }
    assert_eq!(get(&client, "BLOB_MOUNTING").await, "ENABLED");
    registry.stop().await;
}

#[tokio::test]
async fn blobs_are_mounted_only_where_they_may_be() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("mounted");
    client.push_image("source", "latest", &image).await;
    let digest = &image.blob_digests()[1];
    let mount = |to: &str, query: &str| {
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}{query}");
        let client = &client;
        async move { client.oci("POST", &path).send().await }
    };
    mount("one", "&from=source").await.expect_status(201);
    put(&client, "BLOB_MOUNTING", "DISABLED").await;
    for query in ["&from=source", ""] {
        let reply = mount("two", query).await;
        let upload = reply.expect_status(202).header("location").to_owned();
        client.oci("HEAD", &format!("/v2/two/blobs/{digest}")).send().await.expect_status(404);
        let path = format!("{upload}?digest={digest}");
        if query.is_empty() {
            client.oci("PUT", &path).body(image.blobs[1].clone()).send().await.expect_status(201);
        }
    }
    put(&client, "BLOB_MOUNTING", "ENABLED").await;
    mount("three", "&from=source").await.expect_status(201);
    registry.stop().await;
}

#[tokio::test]
async fn the_scope_says_what_the_registry_policy_is_asked_about() {
    let registry = Registry::start().await;
    let root = registry.client();
    root.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let everything =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } });
    let user = root.new_user("user", Some(&everything)).await;
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/user") },
            "Action": ["ecr:ListImages", "ecr:CreateRepository"],
            "Resource": "*",
        }],
    });
    root.api_ok("PutRegistryPolicy", json!({ "policyText": policy.to_string() })).await;
    let list = || user.api("ListImages", json!({ "repositoryName": "app" }));
    let create = || user.api("CreateRepository", json!({ "repositoryName": "new" }));
    for (scope, listed) in [("V2", false), ("V1", true), ("V2", false)] {
        put(&root, "REGISTRY_POLICY_SCOPE", scope).await;
        assert_eq!(list().await.status == 200, listed, "{scope}");
        create().await.expect_aws_error_code("AccessDeniedException");
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_policy_can_name_the_setting() {
    let registry = Registry::start().await;
    let root = registry.client();
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": ["ecr:GetAccountSetting", "ecr:PutAccountSetting"],
            "Resource": "*",
            "Condition": { "StringEquals": { "ecr:AccountSetting": "BLOB_MOUNTING" } },
        },
    });
    let user = root.new_user("user", Some(&policy)).await;
    put(&user, "BLOB_MOUNTING", "DISABLED").await;
    assert_eq!(get(&user, "BLOB_MOUNTING").await, "DISABLED");
    let other = json!({ "name": "REGISTRY_POLICY_SCOPE", "value": "V1" });
    user.api("PutAccountSetting", other.clone()).await.expect_aws_error_code("AccessDeniedException");
    user.api("GetAccountSetting", json!({ "name": "REGISTRY_POLICY_SCOPE" }))
        .await
        .expect_aws_error_code("AccessDeniedException");
    assert_eq!(get(&root, "REGISTRY_POLICY_SCOPE").await, "V2");
    registry.stop().await;
}
