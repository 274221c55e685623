//! Tag mutability, scan on push and resource tags of repositories.

use futures::future::join_all;
use ironwharf_cloud::table::ResourcePolicy;
use ironwharf_model::{AccountId, Region, RepositoryName};
use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

use crate::words::{ACCOUNT, invalid, no_repository, texts};

const FILTERS: &str = "imageTagMutabilityExclusionFilters";

fn arn(name: &str) -> String {
    format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}")
}

fn filter(text: &str) -> Value {
    json!([{ "filterType": "WILDCARD", "filter": text }])
}

async fn describe(client: &Client, name: &str) -> Value {
    client.api_ok("DescribeRepositories", json!({ "repositoryNames": [name] })).await["repositories"][0].clone()
}

async fn tags(client: &Client, name: &str) -> Value {
    client.api_ok("ListTagsForResource", json!({ "resourceArn": arn(name) })).await["tags"].clone()
}

fn tag_list(count: usize) -> Value {
    (0..count).map(|n| json!({ "Key": format!("k{n:02}"), "Value": "" })).collect()
}

#[tokio::test]
async fn mutability_counts_from_the_next_push_on() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (one, two) = (Image::new("one"), Image::new("two"));
    client.push_image("app", "v1", &one).await;
    client.push_image("app", "dev-1", &one).await;
    client.push_image("app", "other", &two).await;
    // Whether v1 and dev-1 can be moved after each change.
    for (value, filters, v1, dev) in [
        ("IMMUTABLE", None, false, false),
        ("MUTABLE", None, true, true),
        ("IMMUTABLE_WITH_EXCLUSION", Some("dev-*"), false, true),
        ("MUTABLE_WITH_EXCLUSION", Some("dev-*"), true, false),
    ] {
        let mut input = json!({ "repositoryName": "app", "imageTagMutability": value });
        if let Some(filters) = filters {
            input[FILTERS] = filter(filters);
        }
        let mut expected = input.clone();
        expected["registryId"] = json!(ACCOUNT);
        assert_eq!(client.api_ok("PutImageTagMutability", input).await, expected);
        let described = describe(&client, "app").await;
        assert_eq!(described["imageTagMutability"], value);
        assert_eq!(described.get(FILTERS).cloned(), filters.map(filter));
        for (tag, moves) in [("v1", v1), ("dev-1", dev)] {
            // There and back, so that each round starts from the same.
            for image in [&two, &one] {
                let reply = client.put_manifest("app", tag, image.media_type, image.manifest.clone()).await;
                // What the tag names already can be pushed again.
                let expected = if moves || image.digest == one.digest { 201 } else { 400 };
                assert_eq!(reply.status, expected, "{value} {tag}: {}", reply.text());
            }
        }
    }
    registry.stop().await;
}

#[tokio::test]
async fn scan_on_push_is_kept() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    for scan in [true, false] {
        let input = json!({ "repositoryName": "app", "imageScanningConfiguration": { "scanOnPush": scan } });
        let mut expected = input.clone();
        expected["registryId"] = json!(ACCOUNT);
        assert_eq!(client.api_ok("PutImageScanningConfiguration", input).await, expected);
        assert_eq!(describe(&client, "app").await["imageScanningConfiguration"]["scanOnPush"], scan);
    }
    registry.stop().await;
}

#[tokio::test]
async fn resource_tags_are_added_and_taken_away() {
    let registry = Registry::start().await;
    let client = registry.client();
    let input = json!({ "repositoryName": "app", "tags": [{ "Key": "team", "Value": "core" }] });
    client.api_ok("CreateRepository", input).await;
    assert_eq!(tags(&client, "app").await, json!([{ "Key": "team", "Value": "core" }]));
    let more = json!([{ "Key": "team", "Value": "web" }, { "Key": "cost centre", "Value": "12/é" }]);
    let tag = json!({ "resourceArn": arn("app"), "tags": more });
    assert_eq!(client.api_ok("TagResource", tag).await, json!({}));
    let expected = json!([{ "Key": "cost centre", "Value": "12/é" }, { "Key": "team", "Value": "web" }]);
    assert_eq!(tags(&client, "app").await, expected);
    let untag = json!({ "resourceArn": arn("app"), "tagKeys": ["team", "nothing"] });
    assert_eq!(client.api_ok("UntagResource", untag).await, json!({}));
    assert_eq!(tags(&client, "app").await, json!([{ "Key": "cost centre", "Value": "12/é" }]));

    // Fifty in all, and not one more; a refusal changes nothing.
    let tag = |tags: Value| json!({ "resourceArn": arn("app"), "tags": tags });
    client.api_ok("TagResource", tag(tag_list(49))).await;
    let refused = client.api("TagResource", tag(json!([{ "Key": "one more", "Value": "" }]))).await;
    refused.expect_aws_error("TooManyTagsException", "A repository can have at most 50 tags");
    // One that is there can still be changed.
    client.api_ok("TagResource", tag(json!([{ "Key": "k00", "Value": "changed" }]))).await;
    let all = tags(&client, "app").await;
    assert_eq!(all.as_array().map(Vec::len), Some(50));
    assert_eq!(all[1], json!({ "Key": "k00", "Value": "changed" }));

    // Another repository of the name starts without.
    client.api_ok("DeleteRepository", json!({ "repositoryName": "app" })).await;
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    assert_eq!(tags(&client, "app").await, json!([]));
    registry.stop().await;
}

#[tokio::test]
async fn changes_are_refused_in_words() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let mutability = |value: &str| json!({ "repositoryName": "app", "imageTagMutability": value });
    let with = |value: &str, text: &str| {
        let mut input = mutability(value);
        input[FILTERS] = filter(text);
        input
    };
    let parameter = |at: &str, why: &str| ("InvalidParameterException", invalid(at, why));
    let bad_tag = |why: &str| ("InvalidTagParameterException", invalid("tags", why));
    let missing = || ("RepositoryNotFoundException", no_repository("nothing"));
    let one = json!([{ "Key": "a", "Value": "b" }]);
    let tag = |arn: &str, tags: Value| json!({ "resourceArn": arn, "tags": tags });
    let reserved = "the tag key \"aws:x\" starts with aws:, which is reserved";
    let cases = [
        (
            "PutImageTagMutability",
            mutability("MUTABLE_WITH_EXCLUSION"),
            parameter(FILTERS, "MUTABLE_WITH_EXCLUSION requires at least one filter"),
        ),
        (
            "PutImageTagMutability",
            mutability("IMMUTABLE_WITH_EXCLUSION"),
            parameter(FILTERS, "IMMUTABLE_WITH_EXCLUSION requires at least one filter"),
        ),
        ("PutImageTagMutability", with("MUTABLE", "v*"), parameter(FILTERS, "filters cannot be used with MUTABLE")),
        ("PutImageTagMutability", with("IMMUTABLE", "v*"), parameter(FILTERS, "filters cannot be used with IMMUTABLE")),
        ("PutImageTagMutability", json!({ "repositoryName": "nothing", "imageTagMutability": "MUTABLE" }), missing()),
        (
            "PutImageScanningConfiguration",
            json!({ "repositoryName": "nothing", "imageScanningConfiguration": {} }),
            missing(),
        ),
        ("TagResource", tag(&arn("nothing"), one.clone()), missing()),
        ("UntagResource", json!({ "resourceArn": arn("nothing"), "tagKeys": ["a"] }), missing()),
        ("ListTagsForResource", json!({ "resourceArn": arn("nothing") }), missing()),
        (
            "TagResource",
            tag("app", one.clone()),
            parameter("resourceArn", "Invalid ARN: \"app\" is not the ARN of a repository"),
        ),
        (
            "ListTagsForResource",
            json!({ "resourceArn": format!("arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/app") }),
            parameter(
                "resourceArn",
                &format!(
                    "Invalid ARN: \"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/app\" is not in the Region us-east-1 of this request"
                ),
            ),
        ),
        (
            "TagResource",
            tag(&arn("app"), tag_list(51)),
            ("TooManyTagsException", "A repository can have at most 50 tags".to_owned()),
        ),
        ("TagResource", tag(&arn("app"), json!([{ "Key": "aws:x", "Value": "" }])), bad_tag(reserved)),
        ("UntagResource", json!({ "resourceArn": arn("app"), "tagKeys": ["aws:x"] }), bad_tag(reserved)),
        (
            "TagResource",
            tag(&arn("app"), json!([{ "Key": "a", "Value": "1" }, { "Key": "a", "Value": "2" }])),
            bad_tag("the tag key \"a\" is given twice"),
        ),
    ];
    for (operation, input, (code, message)) in cases {
        println!("{operation} {input}");
        client.api(operation, input).await.expect_aws_error(code, &message);
    }
    for bad in [json!("k".repeat(129)), json!("")] {
        for (operation, input) in [
            ("TagResource", tag(&arn("app"), json!([{ "Key": bad, "Value": "" }]))),
            ("UntagResource", json!({ "resourceArn": arn("app"), "tagKeys": [bad] })),
        ] {
            client.api(operation, input).await.expect_aws_error_code("InvalidTagParameterException");
        }
    }
    let long = tag(&arn("app"), json!([{ "Key": "k", "Value": "v".repeat(257) }]));
    client.api("TagResource", long).await.expect_aws_error_code("InvalidTagParameterException");
    assert_eq!(tags(&client, "app").await, json!([]));
    assert_eq!(describe(&client, "app").await["imageTagMutability"], "MUTABLE");
    registry.stop().await;
}

/// Everybody's change is there in the end, and none undoes another's setting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_all_count() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let tag = |number: usize| {
        let tags = json!([{ "Key": format!("k{number}"), "Value": number.to_string() }]);
        client.api_ok("TagResource", json!({ "resourceArn": arn("app"), "tags": tags }))
    };
    let scan = json!({ "repositoryName": "app", "imageScanningConfiguration": { "scanOnPush": true } });
    let immutable = json!({ "repositoryName": "app", "imageTagMutability": "IMMUTABLE" });
    futures::join!(
        join_all((0..6).map(tag)),
        client.api_ok("PutImageScanningConfiguration", scan),
        client.api_ok("PutImageTagMutability", immutable),
    );
    let keys = texts(&tags(&client, "app").await, "/Key");
    assert_eq!(keys, ["k0", "k1", "k2", "k3", "k4", "k5"]);
    let described = describe(&client, "app").await;
    assert_eq!(described["imageTagMutability"], "IMMUTABLE");
    assert_eq!(described["imageScanningConfiguration"]["scanOnPush"], true);
    registry.stop().await;
}

/// What a policy asks of tags is asked of those in the request, and of those
/// that the repository has at this moment.
#[tokio::test]
async fn policies_see_tags_at_once() {
    let registry = Registry::start().await;
    let root = registry.client();
    root.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let statement = |action: &str, condition: Value| json!({ "Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition });
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            statement("ecr:TagResource", json!({
                "StringEquals": { "aws:RequestTag/team": "web" },
                "ForAllValues:StringEquals": { "aws:TagKeys": ["team", "stage"] },
            })),
            statement("ecr:UntagResource", json!({ "ForAllValues:StringEquals": { "aws:TagKeys": ["stage"] } })),
            statement("ecr:DescribeImages", json!({ "StringEquals": { "ecr:ResourceTag/team": "web" } })),
        ],
    });
    let user = root.new_user("user", Some(&policy)).await;
    let tag = |tags: Value| json!({ "resourceArn": arn("app"), "tags": tags });
    let look = || user.api("DescribeImages", json!({ "repositoryName": "app" }));
    look().await.expect_aws_error_code("AccessDeniedException");
    for refused in [
        json!([{ "Key": "team", "Value": "core" }]),
        json!([{ "Key": "stage", "Value": "test" }]),
        json!([{ "Key": "team", "Value": "web" }, { "Key": "owner", "Value": "me" }]),
    ] {
        user.api("TagResource", tag(refused)).await.expect_aws_error_code("AccessDeniedException");
    }
    let taken = json!([{ "Key": "team", "Value": "web" }, { "Key": "stage", "Value": "test" }]);
    user.api_ok("TagResource", tag(taken)).await;
    look().await.expect_status(200);
    let untag = |key: &str| json!({ "resourceArn": arn("app"), "tagKeys": [key] });
    user.api("UntagResource", untag("team")).await.expect_aws_error_code("AccessDeniedException");
    user.api_ok("UntagResource", untag("stage")).await;
    look().await.expect_status(200);
    root.api_ok("UntagResource", untag("team")).await;
    look().await.expect_aws_error_code("AccessDeniedException");
    registry.stop().await;
}

/// Creating a repository with tags takes the right to tag it.
#[tokio::test]
async fn tags_at_creation_take_the_right_to_tag() {
    let registry = Registry::start().await;
    let root = registry.client();
    let allow = |actions: Value| json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
    let policy = |statements: Value| json!({ "Version": "2012-10-17", "Statement": statements });
    let user = root.new_user("user", Some(&policy(json!([allow(json!("ecr:CreateRepository"))])))).await;
    let create =
        |name: &str, tags: Value| user.api("CreateRepository", json!({ "repositoryName": name, "tags": tags }));
    let tags = json!([{ "Key": "team", "Value": "web" }]);
    create("plain", Value::Null).await.expect_status(200);
    create("none", json!([])).await.expect_status(200);
    let refused = create("tagged", tags.clone()).await;
    refused.expect_aws_error_code("AccessDeniedException");
    assert!(refused.text().contains(&format!("ecr:TagResource on resource: {}", arn("tagged"))), "{}", refused.text());
    let look = json!({ "repositoryNames": ["tagged"] });
    root.api("DescribeRepositories", look).await.expect_aws_error_code("RepositoryNotFoundException");
    // What is asked of tags is asked of these.
    let mut tag = allow(json!("ecr:TagResource"));
    tag["Condition"] = json!({ "StringEquals": { "aws:RequestTag/team": "web" } });
    root.put_user_policy("user", &policy(json!([allow(json!("ecr:CreateRepository")), tag]))).await;
    create("tagged", json!([{ "Key": "team", "Value": "core" }])).await.expect_aws_error_code("AccessDeniedException");
    create("tagged", tags).await.expect_status(200);
    registry.stop().await;
}

/// A policy that comes too late for its repository is for no other one.
#[tokio::test]
async fn a_policy_is_set_on_the_repository_it_was_meant_for() {
    let registry = Registry::start().await;
    let client = registry.client();
    let name = json!({ "repositoryName": "app" });
    let region = Region::parse("us-east-1").expect("a Region");
    let statement = json!({ "Effect": "Allow", "Principal": "*", "Action": "ecr:ListImages" });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    let policy = ResourcePolicy { text: policy, ..ResourcePolicy::default() };
    client.api_ok("CreateRepository", name.clone()).await;
    let table = registry.app().cloud(&region).await.expect("the storage").table;
    let (account, repository) =
        (AccountId::parse(ACCOUNT).expect("valid"), RepositoryName::parse("app").expect("valid"));
    let first = table.repository(&account, &repository).await.expect("read").expect("there").key;
    assert!(table.put_repository_policy(&first, &policy).await.expect("an answer"));
    client.api_ok("DeleteRepository", name.clone()).await;
    assert!(!table.put_repository_policy(&first, &policy).await.expect("an answer"));
    client.api_ok("CreateRepository", name.clone()).await;
    assert!(!table.put_repository_policy(&first, &policy).await.expect("an answer"));
    client.api("GetRepositoryPolicy", name).await.expect_aws_error_code("RepositoryPolicyNotFoundException");
    registry.stop().await;
}
