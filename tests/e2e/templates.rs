//! Repository creation templates, and what a push creates from them.

use futures::future::join_all;
use ironwharf_cloud::table::{NewTemplate, TemplateEncryption};
use ironwharf_local::test_app::{TestApp, TestOptions};
use ironwharf_model::{AccountId, Region, TagMutability, TemplatePrefix};
use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

use crate::words::{ACCOUNT, invalid, no_repository, texts};

/// A registry without any template, as a new one on AWS.
async fn strict() -> Registry {
    Registry::start_with(TestOptions { create_on_push: false, ..TestOptions::default() }).await
}

async fn create(client: &Client, prefix: &str, applied_for: Value) -> Value {
    let input = json!({ "prefix": prefix, "appliedFor": applied_for });
    client.api_ok("CreateRepositoryCreationTemplate", input).await["repositoryCreationTemplate"].clone()
}

async fn prefixes(client: &Client) -> Vec<String> {
    let described = client.api_ok("DescribeRepositoryCreationTemplates", json!({})).await;
    texts(&described["repositoryCreationTemplates"], "/prefix")
}

async fn push(client: &Client, repository: &str) -> ironwharf_tests::Reply {
    client.oci("POST", &format!("/v2/{repository}/blobs/uploads/")).send().await
}

async fn describe(client: &Client, name: &str) -> Value {
    client.api_ok("DescribeRepositories", json!({ "repositoryNames": [name] })).await["repositories"][0].clone()
}

fn policy() -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage" }],
    })
    .to_string()
}

fn lifecycle_policy() -> String {
    json!({
        "rules": [{
            "rulePriority": 1,
            "description": "keep the last ten",
            "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10 },
            "action": { "type": "expire" },
        }],
    })
    .to_string()
}

#[tokio::test]
async fn a_template_keeps_all_that_it_was_given() {
    let registry = strict().await;
    let client = registry.client();
    let role = format!("arn:aws:iam::{ACCOUNT}:role/service/creator");
    let input = json!({
        "prefix": "prod/",
        "description": "what goes live",
        "encryptionConfiguration": { "encryptionType": "AES256", "kmsKey": "" },
        "resourceTags": [{ "Key": "stage", "Value": "prod" }],
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{ "filterType": "WILDCARD", "filter": "dev-*" }],
        "repositoryPolicy": policy(),
        "lifecyclePolicy": lifecycle_policy(),
        "appliedFor": ["CREATE_ON_PUSH", "REPLICATION", "CREATE_ON_PUSH"],
        "customRoleArn": role,
    });
    let created = client.api_ok("CreateRepositoryCreationTemplate", input.clone()).await;
    assert_eq!(created["registryId"], ACCOUNT);
    let mut template = created["repositoryCreationTemplate"].clone();
    let described = client.api_ok("DescribeRepositoryCreationTemplates", json!({ "prefixes": ["prod", "none"] })).await;
    assert_eq!(described["repositoryCreationTemplates"], json!([template]));
    let (created_at, updated_at) = (template["createdAt"].take(), template["updatedAt"].take());
    assert!(created_at.as_f64().is_some_and(|seconds| seconds > 1.5e9) && created_at == updated_at);
    let mut expected = input;
    expected["encryptionConfiguration"] = json!({ "encryptionType": "AES256" });
    expected["appliedFor"] = json!(["CREATE_ON_PUSH", "REPLICATION"]);
    (expected["createdAt"], expected["updatedAt"]) = (Value::Null, Value::Null);
    assert_eq!(template, expected);

    // A change leaves alone what it does not name; an empty text takes away.
    let change = json!({ "prefix": "prod", "description": "", "lifecyclePolicy": "", "resourceTags": [] });
    let changed = client.api_ok("UpdateRepositoryCreationTemplate", change).await;
    let mut changed = changed["repositoryCreationTemplate"].clone();
    assert!(changed["updatedAt"].take().as_f64() >= updated_at.as_f64());
    assert_eq!(changed["createdAt"].take(), created_at);
    for gone in ["description", "lifecyclePolicy", "resourceTags"] {
        expected.as_object_mut().expect("an object").remove(gone);
    }
    assert_eq!(changed, expected);
    let change = json!({ "prefix": "prod", "imageTagMutability": "MUTABLE", "appliedFor": ["PULL_THROUGH_CACHE"] });
    let changed = client.api_ok("UpdateRepositoryCreationTemplate", change).await;
    let changed = &changed["repositoryCreationTemplate"];
    assert_eq!(changed["imageTagMutability"], "MUTABLE");
    assert_eq!(changed.get("imageTagMutabilityExclusionFilters"), None);
    assert_eq!(changed["appliedFor"], json!(["PULL_THROUGH_CACHE"]));
    assert_eq!(changed["customRoleArn"], role);

    let deleted = client.api_ok("DeleteRepositoryCreationTemplate", json!({ "prefix": "prod" })).await;
    assert_eq!(deleted["repositoryCreationTemplate"], *changed);
    assert_eq!(prefixes(&client).await, Vec::<String>::new());
    registry.stop().await;
}

#[tokio::test]
async fn templates_are_refused_in_words() {
    let registry = strict().await;
    let client = registry.client();
    create(&client, "there", json!(["CREATE_ON_PUSH"])).await;
    let with = |member: &str, value: Value| json!({ "prefix": "new", "appliedFor": ["CREATE_ON_PUSH"], member: value });
    let filters = "imageTagMutabilityExclusionFilters";
    let tag = |key: &str| json!([{ "Key": key, "Value": "" }]);
    for (input, code, text) in [
        (
            json!({ "prefix": "there/", "appliedFor": ["REPLICATION"] }),
            "TemplateAlreadyExistsException",
            format!(
                "The repository creation template with prefix 'there/' already exists in the registry with id '{ACCOUNT}'"
            ),
        ),
        (
            with("appliedFor", json!([])),
            "InvalidParameterException",
            invalid("appliedFor", "must have at least one of REPLICATION, PULL_THROUGH_CACHE, CREATE_ON_PUSH"),
        ),
        (
            with("imageTagMutability", json!("MUTABLE_WITH_EXCLUSION")),
            "InvalidParameterException",
            invalid(filters, "MUTABLE_WITH_EXCLUSION requires at least one filter"),
        ),
        (
            with(filters, json!([{ "filterType": "WILDCARD", "filter": "x" }])),
            "InvalidParameterException",
            invalid(filters, "filters cannot be used with MUTABLE"),
        ),
        (
            with("resourceTags", tag("aws:x")),
            "InvalidParameterException",
            invalid("resourceTags", "the tag key \"aws:x\" starts with aws:, which is reserved"),
        ),
        (
            with("lifecyclePolicy", json!("{}")),
            "InvalidParameterException",
            invalid("lifecyclePolicy", "a lifecycle policy must have 100 to 30720 characters"),
        ),
        (
            with("customRoleArn", json!("arn:aws:iam::210987654321:role/x")),
            "InvalidParameterException",
            invalid("customRoleArn", "\"arn:aws:iam::210987654321:role/x\" is not a role of this account"),
        ),
        (
            with("customRoleArn", json!("x")),
            "InvalidParameterException",
            invalid("customRoleArn", "\"x\" is not the ARN of a role"),
        ),
    ] {
        println!("{input}");
        client.api("CreateRepositoryCreationTemplate", input).await.expect_aws_error(code, &text);
    }
    // The reason of these is a parser's.
    for (member, value) in [
        ("repositoryPolicy", json!("{}")),
        ("repositoryPolicy", json!("x")),
        ("lifecyclePolicy", json!(format!("[{}]", " ".repeat(100)))),
        ("lifecyclePolicy", json!("x".repeat(100))),
        ("prefix", json!("Prod")),
        ("prefix", json!("ROOT/")),
        ("appliedFor", json!(["SOMETIMES"])),
        ("description", json!("x".repeat(257))),
        ("encryptionConfiguration", json!({ "encryptionType": "KMS", "kmsKey": "alias/x" })),
    ] {
        let reply = client.api("CreateRepositoryCreationTemplate", with(member, value)).await;
        reply.expect_aws_error_code("InvalidParameterException");
        assert!(reply.text().contains(&format!("Invalid parameter at '{member}")), "{}", reply.text());
    }
    let missing = format!(
        "The repository creation template with prefix 'none' does not exist in the registry with id '{ACCOUNT}'"
    );
    for operation in ["UpdateRepositoryCreationTemplate", "DeleteRepositoryCreationTemplate"] {
        let reply = client.api(operation, json!({ "prefix": "none" })).await;
        reply.expect_aws_error("TemplateNotFoundException", &missing);
    }
    // A change that is refused changes nothing.
    let change = json!({ "prefix": "there", "description": "changed", "imageTagMutability": "MUTABLE_WITH_EXCLUSION" });
    client.api("UpdateRepositoryCreationTemplate", change).await.expect_aws_error_code("InvalidParameterException");
    let described = client.api_ok("DescribeRepositoryCreationTemplates", json!({})).await;
    assert_eq!(described["repositoryCreationTemplates"][0].get("description"), None);
    assert_eq!(prefixes(&client).await, ["there"]);
    registry.stop().await;
}

#[tokio::test]
async fn templates_are_listed_in_pages() {
    let registry = strict().await;
    let client = registry.client();
    let names: Vec<String> = (0..5).map(|number| format!("p{number}")).collect();
    for name in &names {
        create(&client, name, json!(["REPLICATION"])).await;
    }
    let (mut listed, mut input) = (Vec::new(), json!({ "maxResults": 2 }));
    loop {
        let page = client.api_ok("DescribeRepositoryCreationTemplates", input.clone()).await;
        let found = texts(&page["repositoryCreationTemplates"], "/prefix");
        assert!(found.len() <= 2);
        listed.extend(found);
        match page.get("nextToken") {
            None => break,
            Some(token) => input["nextToken"] = token.clone(),
        }
    }
    assert_eq!(listed, names);
    // A token is good for its own listing only.
    let token = json!({ "nextToken": input["nextToken"] });
    client.api("DescribeRepositories", token).await.expect_aws_error_code("InvalidParameterException");
    registry.stop().await;
}

#[tokio::test]
async fn a_push_creates_its_repository_from_the_longest_prefix_that_is_for_pushes() {
    let registry = strict().await;
    let client = registry.client();
    let set = async |prefix: &str, applied_for: Value, tag: &str| {
        let input = json!({
            "prefix": prefix,
            "appliedFor": applied_for,
            "imageTagMutability": "IMMUTABLE",
            "repositoryPolicy": policy(),
            "lifecyclePolicy": lifecycle_policy(),
            "resourceTags": [{ "Key": "from", "Value": tag }],
        });
        client.api_ok("CreateRepositoryCreationTemplate", input).await;
    };
    push(&client, "prod/app").await.expect_oci_error(404, "NAME_UNKNOWN");
    set("prod", json!(["CREATE_ON_PUSH"]), "prod").await;
    set("prod/team", json!(["CREATE_ON_PUSH", "REPLICATION"]), "team").await;
    set("prod/team/cache", json!(["PULL_THROUGH_CACHE"]), "cache").await;
    for (name, from) in [
        ("prod/app", Some("prod")),
        ("prod/team/app", Some("team")),
        ("prod/teams/app", Some("prod")),
        // The longest is not for pushes.
        ("prod/team/cache/app", Some("team")),
        ("prod/team", Some("prod")),
        ("prod", None),
        ("production/app", None),
        ("other", None),
    ] {
        let reply = push(&client, name).await;
        let Some(from) = from else {
            reply.expect_oci_error(404, "NAME_UNKNOWN");
            assert_eq!(reply.json()["errors"][0]["message"], no_repository(name));
            continue;
        };
        reply.expect_status(202);
        let repository = describe(&client, name).await;
        assert_eq!(repository["imageTagMutability"], "IMMUTABLE");
        let arn = json!({ "resourceArn": repository["repositoryArn"] });
        let tags = client.api_ok("ListTagsForResource", arn).await;
        assert_eq!(tags["tags"], json!([{ "Key": "from", "Value": from }]), "{name}");
        let stored = client.api_ok("GetRepositoryPolicy", json!({ "repositoryName": name })).await;
        assert_eq!(stored["policyText"], policy());
        let stored = client.api_ok("GetLifecyclePolicy", json!({ "repositoryName": name })).await;
        assert_eq!(stored["lifecyclePolicyText"], lifecycle_policy());
    }
    // ROOT is for all others, and seen at once.
    set("ROOT", json!(["CREATE_ON_PUSH"]), "root").await;
    for name in ["prod", "production/app", "other"] {
        push(&client, name).await.expect_status(202);
    }
    // What is there is not touched by a change of its template.
    let change = json!({ "prefix": "prod", "imageTagMutability": "MUTABLE" });
    client.api_ok("UpdateRepositoryCreationTemplate", change).await;
    push(&client, "prod/app").await.expect_status(202);
    assert_eq!(describe(&client, "prod/app").await["imageTagMutability"], "IMMUTABLE");
    push(&client, "prod/later").await.expect_status(202);
    assert_eq!(describe(&client, "prod/later").await["imageTagMutability"], "MUTABLE");
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_at_once_create_one_repository() {
    let registry = Registry::start().await;
    let client = registry.client();
    let replies = join_all((0..8).map(|_| push(&client, "team/app"))).await;
    for reply in replies {
        reply.expect_status(202);
    }
    let described = client.api_ok("DescribeRepositories", json!({})).await;
    assert_eq!(texts(&described["repositories"], "/repositoryName"), ["team/app"]);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_a_template_at_once_all_count() {
    let registry = strict().await;
    let client = registry.client();
    create(&client, "prod", json!(["REPLICATION"])).await;
    let change = |member: &str, value: Value| {
        client.api_ok("UpdateRepositoryCreationTemplate", json!({ "prefix": "prod", member: value }))
    };
    futures::join!(
        change("description", json!("changed")),
        change("appliedFor", json!(["CREATE_ON_PUSH"])),
        change("imageTagMutability", json!("IMMUTABLE")),
        change("resourceTags", json!([{ "Key": "a", "Value": "b" }])),
    );
    let described = client.api_ok("DescribeRepositoryCreationTemplates", json!({})).await;
    let template = &described["repositoryCreationTemplates"][0];
    assert_eq!(template["description"], "changed");
    assert_eq!(template["appliedFor"], json!(["CREATE_ON_PUSH"]));
    assert_eq!(template["imageTagMutability"], "IMMUTABLE");
    assert_eq!(template["resourceTags"], json!([{ "Key": "a", "Value": "b" }]));
    // One of many creations succeeds.
    let create =
        || client.api("CreateRepositoryCreationTemplate", json!({ "prefix": "x", "appliedFor": ["REPLICATION"] }));
    let replies = join_all((0..6).map(|_| create())).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    registry.stop().await;
}

#[tokio::test]
async fn a_push_creates_only_what_its_caller_may_create() {
    let registry = Registry::start().await;
    let root = registry.client();
    let statement = |actions: Value, condition: Value| json!({ "Effect": "Allow", "Action": actions, "Resource": "*", "Condition": condition });
    let push_only = json!(["ecr:GetAuthorizationToken", "ecr:InitiateLayerUpload"]);
    let policy = |statements: Value| json!({ "Version": "2012-10-17", "Statement": statements });
    let user = root.new_user("user", Some(&policy(json!([statement(push_only.clone(), json!({}))])))).await;
    push(&user, "app").await.expect_oci_error(404, "NAME_UNKNOWN");
    // The tags of the template are those of the request to create.
    let tagged = json!({ "StringEquals": { "aws:RequestTag/team": "web" } });
    let statements = json!([statement(push_only, json!({})), statement(json!("ecr:CreateRepository"), tagged)]);
    root.put_user_policy("user", &policy(statements)).await;
    push(&user, "app").await.expect_oci_error(404, "NAME_UNKNOWN");
    let change = json!({ "prefix": "ROOT", "resourceTags": [{ "Key": "team", "Value": "web" }] });
    root.api_ok("UpdateRepositoryCreationTemplate", change).await;
    push(&user, "app").await.expect_status(202);
    registry.stop().await;
}

#[tokio::test]
async fn a_template_takes_the_rights_to_what_it_sets() {
    let registry = strict().await;
    let root = registry.client();
    let user = root.new_user("user", None).await;
    let role = format!("arn:aws:iam::{ACCOUNT}:role/creator");
    let arn = |prefix: &str| format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{prefix}");
    let base = json!({ "prefix": "prod", "appliedFor": ["CREATE_ON_PUSH"] });
    for (member, value, action, resource) in [
        ("repositoryPolicy", json!(policy()), "ecr:SetRepositoryPolicy", arn("prod/*")),
        ("lifecyclePolicy", json!(lifecycle_policy()), "ecr:PutLifecyclePolicy", arn("prod/*")),
        ("resourceTags", json!([{ "Key": "a", "Value": "b" }]), "ecr:TagResource", arn("prod/*")),
        ("customRoleArn", json!(role), "iam:PassRole", role.clone()),
    ] {
        let mut input = base.clone();
        input[member] = value;
        let own = json!({
            "Effect": "Allow",
            "Action": ["ecr:CreateRepositoryCreationTemplate", "ecr:UpdateRepositoryCreationTemplate", "ecr:CreateRepository"],
            "Resource": "*",
        });
        let with = |statements: Value| json!({ "Version": "2012-10-17", "Statement": statements });
        root.put_user_policy("user", &with(json!([own]))).await;
        let reply = user.api("CreateRepositoryCreationTemplate", input.clone()).await;
        reply.expect_aws_error_code("AccessDeniedException");
        assert!(reply.text().contains(&format!("{action} on resource: {resource}")), "{}", reply.text());
        let more = json!({ "Effect": "Allow", "Action": action, "Resource": resource });
        root.put_user_policy("user", &with(json!([own, more]))).await;
        user.api_ok("CreateRepositoryCreationTemplate", input.clone()).await;
        // A change takes the same.
        root.put_user_policy("user", &with(json!([own]))).await;
        user.api("UpdateRepositoryCreationTemplate", input).await.expect_aws_error_code("AccessDeniedException");
        root.api_ok("DeleteRepositoryCreationTemplate", json!({ "prefix": "prod" })).await;
    }
    registry.stop().await;
}

/// A new registry lets pushes create their repositories, until its owner takes
/// the template away: for good, and for that registry only.
#[tokio::test]
async fn a_new_registry_has_a_template_for_pushes_until_it_is_deleted() {
    let registry = Registry::start().await;
    let client = registry.client();
    let other = client.new_account("111111111111").await;
    let described = client.api_ok("DescribeRepositoryCreationTemplates", json!({})).await;
    assert_eq!(texts(&described["repositoryCreationTemplates"], "/prefix"), ["ROOT"]);
    assert_eq!(described["repositoryCreationTemplates"][0]["appliedFor"], json!(["CREATE_ON_PUSH"]));
    push(&client, "app").await.expect_status(202);
    client.api_ok("DeleteRepositoryCreationTemplate", json!({ "prefix": "ROOT" })).await;
    push(&client, "later").await.expect_oci_error(404, "NAME_UNKNOWN");
    push(&client, "app").await.expect_status(202);
    push(&client.in_region("eu-west-1"), "later").await.expect_status(202);
    push(&other, "later").await.expect_status(202);

    let registry = registry.restart().await;
    let client = registry.client();
    let other = client.with_key(other.key());
    push(&client, "later").await.expect_oci_error(404, "NAME_UNKNOWN");
    assert_eq!(prefixes(&client).await, Vec::<String>::new());
    assert_eq!(prefixes(&other).await, ["ROOT"]);
    // It can be made again.
    create(&client, "ROOT", json!(["CREATE_ON_PUSH"])).await;
    push(&client, "later").await.expect_status(202);
    registry.stop().await;
}

#[tokio::test]
async fn a_registry_can_start_without_a_template() {
    let registry = strict().await;
    let client = registry.client();
    let other = client.new_account("111111111111").await;
    for client in [&client, &other, &client.in_region("eu-west-1")] {
        assert_eq!(prefixes(client).await, Vec::<String>::new());
        push(client, "app").await.expect_oci_error(404, "NAME_UNKNOWN");
    }
    registry.stop().await;
}

/// The pusher learns which template is in the way, and why.
#[tokio::test]
async fn a_template_that_cannot_be_applied_says_so() {
    let registry = strict().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "there" })).await;
    let key = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/01234567-89ab-4def-8123-456789abcdef");
    let template = NewTemplate {
        prefix: TemplatePrefix::parse("prod").unwrap(),
        given_prefix: "prod".to_owned(),
        description: None,
        applied_for: vec!["CREATE_ON_PUSH".to_owned()],
        mutability: TagMutability::default(),
        encryption: TemplateEncryption { encryption_type: "KMS".to_owned(), kms_key: Some(key.clone()) },
        labels: std::collections::BTreeMap::new(),
        repository_policy: None,
        lifecycle_policy: None,
        custom_role_arn: None,
        created_at_ms: 0,
        updated_at_ms: 0,
    };
    let region = Region::parse(TestApp::REGION).unwrap();
    let table = registry.app().cloud(&region).await.unwrap().table;
    assert!(table.create_template(&AccountId::parse(ACCOUNT).unwrap(), &template).await.unwrap());
    let reply = push(&client, "prod/app").await;
    reply.expect_oci_error(400, "DENIED");
    let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    let start =
        "The repository 'prod/app' cannot be created from the repository creation template with prefix 'prod': ";
    assert!(message.starts_with(start) && message.contains(&format!("Key '{key}' does not exist")), "{message}");
    client
        .api("ListImages", json!({ "repositoryName": "prod/app" }))
        .await
        .expect_aws_error_code("RepositoryNotFoundException");
    client.push_image("there", "latest", &Image::new("fine")).await;
    registry.stop().await;
}
