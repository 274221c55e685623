//! Every route and every operation: closed to strangers, to other tenants and
//! to users without the right; open to exactly the right policy.
//!
//! What is open besides is listed here and nowhere else: the health check, the
//! challenge, the version check with any good login, `GetCallerIdentity` for
//! anybody who signs, and `AssumeRoleWithWebIdentity`, whose token is checked
//! instead of a signature.

use http::StatusCode;
use ironwharf_registry::identity::{IAM_OPERATIONS, STS_OPERATIONS};
use ironwharf_registry::{OPERATOR_OPERATIONS, ops};
use ironwharf_tests::{Client, Image, Registry, Reply};
use serde_json::{Value, json};

use crate::words::unknown_digest;

const A: &str = "111111111111";
const B: &str = "222222222222";
const ARN: &str = "arn:aws:ecr:us-east-1:111111111111:repository/app";

/// A registry with two tenants. `user` is a user of the first whose policy is
/// replaced before each knock; `admin` is one of the second, who may do
/// everything there.
struct Scene {
    registry: Registry,
    a: Client,
    user: Client,
    /// The login token of the user.
    token: String,
    admin: Client,
    /// A login token of `admin` that leads to the first tenant's registry.
    foreign_token: String,
    image: Image,
}

fn policy(element: &str, actions: &[&str]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", element: actions, "Resource": "*" } })
}

async fn token_for(client: &Client, registry: &str) -> String {
    let output = client.api_ok("GetAuthorizationToken", json!({ "registryIds": [registry] })).await;
    format!("Basic {}", output["authorizationData"][0]["authorizationToken"].as_str().expect("a token"))
}

impl Scene {
    async fn set() -> Self {
        let registry = Registry::start().await;
        let operator = registry.client();
        let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
        let everything = policy("Action", &["*"]);
        let user = a.new_user("user", Some(&everything)).await;
        let admin = b.new_user("admin", Some(&everything)).await;
        let image = Image::new("behind doors");
        a.push_image("app", "latest", &image).await;
        let (token, foreign_token) = (token_for(&user, A).await, token_for(&admin, A).await);
        Self { registry, a, user, token, admin, foreign_token, image }
    }

    async fn allow(&self, element: &str, actions: &[&str]) {
        self.a.put_user_policy("user", &policy(element, actions)).await;
    }
}

/// Whether an answer is a refusal for want of a right.
fn is_denied(reply: &Reply) -> bool {
    let text = reply.text();
    text.contains("is not authorized to perform") && (reply.status == 400 || reply.status == 403)
}

/// A lifecycle policy that leaves what is there alone.
fn lifecycle_policy() -> String {
    let selection = json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1000 });
    json!({ "rules": [{ "rulePriority": 1, "selection": selection, "action": { "type": "expire" } }] }).to_string()
}

/// The inputs of the ECR operations.
fn ecr_input(operation: &str, image: &Image) -> Value {
    let digest = &image.digest;
    let id = json!([{ "imageDigest": unknown_digest() }]);
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Deny", "Principal": { "AWS": B }, "Action": "ecr:DescribeImageScanFindings", "Resource": "*" }]
    });
    match operation {
        "CreateRepository" => json!({ "repositoryName": "new" }),
        "DescribeRepositories"
        | "GetAuthorizationToken"
        | "DescribeRegistry"
        | "DescribeRepositoryCreationTemplates"
        | "GetRegistryPolicy"
        | "DeleteRegistryPolicy" => json!({}),
        "GetAccountSetting" => json!({ "name": "BLOB_MOUNTING" }),
        "PutAccountSetting" => json!({ "name": "BLOB_MOUNTING", "value": "ENABLED" }),
        "CreateRepositoryCreationTemplate" => json!({ "prefix": "prod", "appliedFor": ["CREATE_ON_PUSH"] }),
        "UpdateRepositoryCreationTemplate" | "DeleteRepositoryCreationTemplate" => json!({ "prefix": "nothing" }),
        "ListTagsForResource" => json!({ "resourceArn": ARN }),
        "TagResource" => json!({ "resourceArn": ARN, "tags": [{ "Key": "colour", "Value": "red" }] }),
        "UntagResource" => json!({ "resourceArn": ARN, "tagKeys": ["colour"] }),
        "PutImageTagMutability" => json!({ "repositoryName": "app", "imageTagMutability": "MUTABLE" }),
        "PutImageScanningConfiguration" => {
            json!({ "repositoryName": "app", "imageScanningConfiguration": { "scanOnPush": false } })
        }
        "PutRegistryPolicy" => json!({ "policyText": policy.to_string() }),
        "SetRepositoryPolicy" => json!({ "repositoryName": "app", "policyText": policy.to_string(), "force": true }),
        "BatchGetImage" | "BatchDeleteImage" => json!({ "repositoryName": "app", "imageIds": id }),
        "PutImage" => json!({ "repositoryName": "app", "imageManifest": "{}" }),
        "BatchCheckLayerAvailability" => json!({ "repositoryName": "app", "layerDigests": [digest] }),
        "GetDownloadUrlForLayer" => json!({ "repositoryName": "app", "layerDigest": digest }),
        "UploadLayerPart" => {
            ironwharf_tests::client::part_input("app", "01234567-89ab-4def-8123-456789abcdef", 0, b"x")
        }
        "CompleteLayerUpload" => json!({
            "repositoryName": "app", "uploadId": "01234567-89ab-4def-8123-456789abcdef", "layerDigests": [digest]
        }),
        "UpdateImageStorageClass" => json!({
            "repositoryName": "app", "imageId": { "imageDigest": unknown_digest() }, "targetStorageClass": "ARCHIVE"
        }),
        "ListImageReferrers" => json!({ "repositoryName": "app", "subjectId": { "imageDigest": digest } }),
        "ListPullTimeUpdateExclusions" => json!({}),
        "RegisterPullTimeUpdateExclusion" | "DeregisterPullTimeUpdateExclusion" => {
            json!({ "principalArn": format!("arn:aws:iam::{A}:role/scanner") })
        }
        "PutLifecyclePolicy" | "StartLifecyclePolicyPreview" => {
            json!({ "repositoryName": "app", "lifecyclePolicyText": lifecycle_policy() })
        }
        _ => json!({ "repositoryName": "app" }),
    }
}

/// Operations that name no registry, so that a stranger's go to his own.
const OWN_REGISTRY_ONLY: [&str; 14] = [
    "GetAuthorizationToken",
    "DescribeRegistry",
    "GetRegistryPolicy",
    "PutRegistryPolicy",
    "DeleteRegistryPolicy",
    "GetAccountSetting",
    "PutAccountSetting",
    "CreateRepositoryCreationTemplate",
    "UpdateRepositoryCreationTemplate",
    "DeleteRepositoryCreationTemplate",
    "DescribeRepositoryCreationTemplates",
    "RegisterPullTimeUpdateExclusion",
    "DeregisterPullTimeUpdateExclusion",
    "ListPullTimeUpdateExclusions",
];

/// Operations whose input names the registry by an ARN.
const BY_ARN: [&str; 3] = ["ListTagsForResource", "TagResource", "UntagResource"];

/// The rights that an operation takes besides its own.
fn besides(operation: &str) -> &'static [&'static str] {
    match operation {
        "CreateRepositoryCreationTemplate" | "UpdateRepositoryCreationTemplate" => &["ecr:CreateRepository"],
        _ => &[],
    }
}

#[tokio::test]
async fn every_operation_of_ecr() {
    let scene = Scene::set().await;
    for operation in ops::SERVED {
        let operation = operation.as_str();
        // The one operation without an action of its own name.
        let action = if operation == "ListImageReferrers" { "BatchGetImage" } else { operation };
        let action = format!("ecr:{action}");
        let input = ecr_input(operation, &scene.image);

        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let unsigned = scene.a.call("POST", "/").header("x-amz-target", &target).body(input.to_string()).send().await;
        unsigned.expect_aws_error("MissingAuthenticationTokenException", "Missing Authentication Token");

        if !OWN_REGISTRY_ONLY.contains(&operation) {
            let mut foreign = input.clone();
            if !BY_ARN.contains(&operation) {
                foreign["registryId"] = json!(A);
            }
            let reply = scene.admin.api(operation, foreign).await;
            assert!(is_denied(&reply), "{operation} of another tenant: {}", reply.text());
        }

        scene.allow("NotAction", &[&action]).await;
        let reply = scene.user.api(operation, input.clone()).await;
        assert!(is_denied(&reply), "{operation} without the right: {}", reply.text());

        for missing in besides(operation) {
            scene.allow("NotAction", &[missing]).await;
            let reply = scene.user.api(operation, input.clone()).await;
            assert!(is_denied(&reply), "{operation} without {missing}: {}", reply.text());
        }

        let rights = [&[action.as_str()], besides(operation)].concat();
        scene.allow("Action", &rights).await;
        let reply = scene.user.api(operation, input).await;
        assert!(!is_denied(&reply), "{operation} with the right: {}", reply.text());
        assert!(!reply.status.is_server_error(), "{operation}: {}", reply.text());
    }
    scene.a.expect_image("app", "latest", &scene.image).await;
    scene.registry.stop().await;
}

/// Method, path and the actions it takes, all of them.
fn routes(image: &Image) -> Vec<(&'static str, String, Vec<&'static str>)> {
    let (manifest, blob) = (&image.digest, &image.blob_digests()[0]);
    let (nothing, upload) = (unknown_digest(), "01234567-89ab-4def-8123-456789abcdef");
    let pull = vec!["ecr:BatchGetImage"];
    let part = vec!["ecr:UploadLayerPart"];
    vec![
        ("GET", "/v2/_catalog".to_owned(), vec!["ecr:DescribeRepositories"]),
        ("GET", "/v2/app/tags/list".to_owned(), vec!["ecr:ListImages"]),
        ("GET", "/v2/app/manifests/latest".to_owned(), pull.clone()),
        ("HEAD", "/v2/app/manifests/latest".to_owned(), pull.clone()),
        ("GET", format!("/v2/app/manifests/{manifest}"), pull.clone()),
        ("GET", format!("/v2/app/referrers/{manifest}"), pull),
        ("PUT", "/v2/app/manifests/latest".to_owned(), vec!["ecr:PutImage"]),
        ("DELETE", "/v2/app/manifests/nothing".to_owned(), vec!["ecr:BatchDeleteImage"]),
        ("DELETE", format!("/v2/app/manifests/{nothing}"), vec!["ecr:BatchDeleteImage"]),
        ("DELETE", format!("/v2/app/blobs/{nothing}"), vec!["ecr:BatchDeleteImage"]),
        ("HEAD", format!("/v2/app/blobs/{blob}"), vec!["ecr:BatchCheckLayerAvailability"]),
        ("GET", format!("/v2/app/blobs/{blob}"), vec!["ecr:GetDownloadUrlForLayer"]),
        ("POST", "/v2/app/blobs/uploads/".to_owned(), vec!["ecr:InitiateLayerUpload"]),
        (
            "POST",
            format!("/v2/app/blobs/uploads/?digest={nothing}"),
            vec!["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"],
        ),
        ("GET", format!("/v2/app/blobs/uploads/{upload}"), part.clone()),
        ("PATCH", format!("/v2/app/blobs/uploads/{upload}"), part.clone()),
        ("DELETE", format!("/v2/app/blobs/uploads/{upload}"), part),
        ("PUT", format!("/v2/app/blobs/uploads/{upload}?digest={nothing}"), vec!["ecr:CompleteLayerUpload"]),
    ]
}

#[tokio::test]
async fn every_route_of_the_data_plane() {
    let scene = Scene::set().await;
    for (method, path, actions) in routes(&scene.image) {
        let knock =
            async |token: &str| scene.a.call(method, &path).header("authorization", token).body("{}").send().await;
        // A HEAD has no body to say why.
        let denied = |reply: &Reply| reply.status == 403 && (method == "HEAD" || is_denied(reply));
        let stranger = scene.a.call(method, &path).send().await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let reply = knock(&scene.foreign_token).await;
        assert!(denied(&reply), "{method} {path} of another tenant: {}", reply.text());
        for missing in &actions {
            scene.allow("NotAction", &[missing]).await;
            let reply = knock(&scene.token).await;
            assert!(denied(&reply), "{method} {path} without {missing}: {}", reply.text());
        }
        scene.allow("Action", &actions).await;
        let reply = knock(&scene.token).await;
        assert_ne!(reply.status, StatusCode::FORBIDDEN, "{method} {path} with {actions:?}: {}", reply.text());
        assert!(!reply.status.is_server_error(), "{method} {path}: {}", reply.text());
    }
    // The version check needs a login and no right.
    scene.allow("Action", &["iam:GetUser"]).await;
    scene.a.call("GET", "/v2/").header("authorization", &scene.token).send().await.expect_status(200);
    scene.a.call("GET", "/v2/").send().await.expect_status(401);
    scene.a.expect_image("app", "latest", &scene.image).await;
    scene.registry.stop().await;
}

/// One form that has what any operation of IAM needs: what an operation does
/// not know it leaves alone.
fn iam_form(account: &str) -> Vec<(String, String)> {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": { "Effect": "Allow", "Principal": { "AWS": account }, "Action": "sts:AssumeRole" }
    });
    let document = policy("Action", &["ecr:GetAuthorizationToken"]).to_string();
    let provider = format!("arn:aws:iam::{account}:oidc-provider/example.com");
    let arn = format!("arn:aws:iam::{account}:policy/nothing");
    [
        ("UserName", "nobody"),
        ("GroupName", "nothing"),
        ("RoleName", "nothing"),
        ("PolicyName", "nothing"),
        ("PolicyArn", &arn),
        ("PolicyDocument", &document),
        ("AssumeRolePolicyDocument", &trust.to_string()),
        ("PermissionsBoundary", &arn),
        ("AccessKeyId", "AKIANOTHINGNOTHING22"),
        ("Status", "Inactive"),
        ("Tags.member.1.Key", "colour"),
        ("Tags.member.1.Value", "red"),
        ("TagKeys.member.1", "colour"),
        ("VersionId", "v1"),
        ("Url", "https://example.com"),
        ("ClientID", "client"),
        ("OpenIDConnectProviderArn", &provider),
        ("ThumbprintList.member.1", "0123456789012345678901234567890123456789"),
        ("Description", "words"),
        ("ActionNames.member.1", "ecr:PutImage"),
        ("PolicyInputList.member.1", &document),
        ("PolicySourceArn", &format!("arn:aws:iam::{account}:user/nobody")),
        ("InstanceProfileName", "nothing"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[tokio::test]
async fn every_operation_of_iam() {
    let scene = Scene::set().await;
    let form = iam_form(A);
    let fields: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for operation in IAM_OPERATIONS {
        let (operation, action) = (operation.as_str(), format!("iam:{operation}"));
        let body = format!("Action={operation}&Version=2010-05-08");
        let unsigned = scene.a.call("POST", "/").header("content-type", "application/x-www-form-urlencoded");
        unsigned.body(body).send().await.expect_query_error(403, "MissingAuthenticationToken");

        // The stranger's own account is acted on; nothing of the other shows.
        let reply = scene.admin.iam(operation, &fields).await;
        let says_of_a = reply.status == 200 && reply.text().contains(A) && !operation.starts_with("Simulate");
        assert!(!says_of_a || reply.text().contains(B), "{operation} of another tenant: {}", reply.text());

        scene.allow("NotAction", &[&action]).await;
        let reply = scene.user.iam(operation, &fields).await;
        assert!(is_denied(&reply), "{operation} without the right: {}", reply.text());

        // Making something with tags takes the right to tag it.
        let tagging = if operation.starts_with("Create") { "iam:Tag*" } else { &action };
        scene.allow("Action", &[&action, tagging]).await;
        let reply = scene.user.iam(operation, &fields).await;
        assert!(!is_denied(&reply), "{operation} with the right: {}", reply.text());
        assert!(!reply.status.is_server_error(), "{operation}: {}", reply.text());
    }
    scene.registry.stop().await;
}

#[tokio::test]
async fn every_operation_of_sts() {
    let scene = Scene::set().await;
    let role = format!("arn:aws:iam::{A}:role/nothing");
    let fields = [
        ("RoleArn", role.as_str()),
        ("RoleSessionName", "test"),
        ("AccessKeyId", "AKIANOTHINGNOTHING22"),
        ("WebIdentityToken", "a.b.c.d"),
    ];
    for operation in STS_OPERATIONS {
        let operation = operation.as_str();
        let body =
            format!("Action={operation}&Version=2011-06-15&RoleArn={role}&RoleSessionName=test&WebIdentityToken=a.b.c");
        let unsigned = scene.a.call("POST", "/").header("content-type", "application/x-www-form-urlencoded");
        let unsigned = unsigned.body(body).send().await;
        if operation == "AssumeRoleWithWebIdentity" {
            unsigned.expect_query_error(400, "InvalidIdentityToken");
            continue;
        }
        unsigned.expect_query_error(403, "MissingAuthenticationToken");
        scene.allow("NotAction", &["sts:*"]).await;
        let reply = scene.user.sts(operation, &fields).await;
        match operation {
            // Everybody may know who they are, and have credentials that end.
            "GetCallerIdentity" | "GetSessionToken" => drop(reply.expect_status(200)),
            _ => assert!(is_denied(&reply), "{operation} without the right: {}", reply.text()),
        }
    }
    scene.allow("Action", &["sts:GetAccessKeyInfo"]).await;
    let key = scene.user.key().access_key_id.clone();
    scene.user.sts("GetAccessKeyInfo", &[("AccessKeyId", &key)]).await.expect_status(200);
    let deny = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Action": "sts:GetSessionToken", "Resource": "*" } });
    scene.a.put_user_policy("user", &deny).await;
    assert!(is_denied(&scene.user.sts("GetSessionToken", &[]).await));
    scene.registry.stop().await;
}

#[tokio::test]
async fn every_operation_of_the_operator_and_the_trail() {
    let scene = Scene::set().await;
    let operator = scene.registry.client();
    let clerk = operator.new_user("clerk", None).await;
    for operation in OPERATOR_OPERATIONS {
        let action = format!("ironwharf:{operation}");
        let input = json!({ "accountId": "333333333333" });
        let target = format!("Ironwharf_20261101.{operation}");
        let unsigned = operator.call("POST", "/").header("x-amz-target", &target).body(input.to_string()).send().await;
        unsigned.expect_aws_error_code("MissingAuthenticationTokenException");
        // A tenant's root, and a tenant's user who may do everything there.
        for tenant in [&scene.a, &scene.admin] {
            let reply = tenant.operator(operation, input.clone()).await;
            assert!(is_denied(&reply), "{operation} by a tenant: {}", reply.text());
        }
        operator.put_user_policy("clerk", &policy("NotAction", &[&action])).await;
        let reply = clerk.operator(operation, input.clone()).await;
        assert!(is_denied(&reply), "{operation} without the right: {}", reply.text());
        operator.put_user_policy("clerk", &policy("Action", &[&action])).await;
        let reply = clerk.operator(operation, input).await;
        assert!(!is_denied(&reply), "{operation} with the right: {}", reply.text());
    }
    scene.allow("NotAction", &["cloudtrail:LookupEvents"]).await;
    assert!(is_denied(&scene.user.lookup_events(json!({})).await));
    scene.allow("Action", &["cloudtrail:LookupEvents"]).await;
    scene.user.lookup_events(json!({})).await.expect_status(200);
    scene.registry.stop().await;
}
