//! Lifecycle policies through the wire. What a policy does later is seen by
//! telling the schedule that it is later.

use ironwharf_tests::images::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, descriptor};
use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

fn policy(rules: &Value) -> String {
    json!({ "rules": rules }).to_string()
}

fn rule(priority: u32, selection: &Value, action: &Value) -> Value {
    json!({ "rulePriority": priority, "description": "a rule", "selection": selection, "action": action })
}

fn older_than(days: u32, of: Value) -> Value {
    let mut selection = of;
    selection["countType"] = json!("sinceImagePushed");
    selection["countUnit"] = json!("days");
    selection["countNumber"] = json!(days);
    selection
}

fn more_than(count: u32, of: Value) -> Value {
    let mut selection = of;
    selection["countType"] = json!("imageCountMoreThan");
    selection["countNumber"] = json!(count);
    selection
}

fn any() -> Value {
    json!({ "tagStatus": "any" })
}

fn tagged(prefix: &str) -> Value {
    json!({ "tagStatus": "tagged", "tagPrefixList": [prefix] })
}

fn expire() -> Value {
    json!({ "type": "expire" })
}

fn in_days(days: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::days(days)
}

async fn put(client: &Client, text: &str) {
    client.api_ok("PutLifecyclePolicy", json!({ "repositoryName": "app", "lifecyclePolicyText": text })).await;
}

/// Puts a policy that has nothing to do yet, and waits until that is known: the
/// next look at it is an hour away then.
async fn put_and_wait(client: &Client, text: &str) {
    put(client, text).await;
    while client.api_ok("GetLifecyclePolicy", json!({ "repositoryName": "app" })).await["lastEvaluatedAt"] == 0.0 {
        tokio::task::yield_now().await;
    }
}

/// Does all that there is to do at a time.
async fn work(registry: &Registry, now: OffsetDateTime) {
    while registry.app().do_work_at(now).await.expect("the list of work is read") > 0 {}
}

/// The digests that are there, in order.
async fn digests(client: &Client) -> Vec<String> {
    let input = json!({ "repositoryName": "app", "maxResults": 1000, "filter": { "imageStatus": "ANY" } });
    let output = client.api_ok("DescribeImages", input).await;
    let images = output["imageDetails"].as_array().expect("a list").clone();
    let mut found: Vec<String> =
        images.iter().map(|image| image["imageDigest"].as_str().expect("text").to_owned()).collect();
    found.sort_unstable();
    found
}

fn sorted(images: &[&Image]) -> Vec<String> {
    let mut digests: Vec<String> = images.iter().map(|image| image.digest.clone()).collect();
    digests.sort_unstable();
    digests
}

/// Images that share their blobs, so that each is one request to push.
fn alike(base: &Image, number: usize) -> Image {
    Image::from_json(&json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, &base.blobs[0]),
        "layers": [descriptor(OCI_LAYER, &base.blobs[1])],
        "annotations": { "number": number.to_string() },
    }))
}

async fn preview(client: &Client, input: Value) -> Value {
    client.api_ok("GetLifecyclePolicyPreview", input).await
}

async fn wait_for_preview(client: &Client) -> Value {
    loop {
        let output = preview(client, json!({ "repositoryName": "app" })).await;
        if output["status"] != "IN_PROGRESS" {
            return output;
        }
        assert_eq!(output["previewResults"], json!([]));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_policy_is_put_read_replaced_and_deleted() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let name = json!({ "repositoryName": "app" });
    let missing =
        "Lifecycle policy does not exist for the repository with name 'app' in the registry with id '123456789012'";
    for operation in ["GetLifecyclePolicy", "DeleteLifecyclePolicy", "StartLifecyclePolicyPreview"] {
        client.api(operation, name.clone()).await.expect_aws_error("LifecyclePolicyNotFoundException", missing);
    }
    let preview_missing = client.api("GetLifecyclePolicyPreview", name.clone()).await;
    preview_missing.expect_aws_error_code("LifecyclePolicyPreviewNotFoundException");

    // As given, white space and all.
    let first = format!("  {}\n", policy(&json!([rule(1, &more_than(5, any()), &expire())])));
    let output =
        client.api_ok("PutLifecyclePolicy", json!({ "repositoryName": "app", "lifecyclePolicyText": first })).await;
    let expected = json!({ "registryId": "123456789012", "repositoryName": "app", "lifecyclePolicyText": first });
    assert_eq!(output, expected);
    assert_eq!(client.api_ok("GetLifecyclePolicy", name.clone()).await["lifecyclePolicyText"], first);
    let second = policy(&json!([rule(7, &older_than(9, any()), &expire())]));
    put_and_wait(&client, &second).await;
    assert_eq!(client.api_ok("GetLifecyclePolicy", name.clone()).await["lifecyclePolicyText"], second);
    let deleted = client.api_ok("DeleteLifecyclePolicy", name.clone()).await;
    assert_eq!(deleted["lifecyclePolicyText"], second);
    assert!(deleted["lastEvaluatedAt"].as_f64().expect("a time") > 0.0);
    client.api("GetLifecyclePolicy", name.clone()).await.expect_aws_error_code("LifecyclePolicyNotFoundException");

    // It goes with the repository, and not to the next of that name.
    put(&client, &second).await;
    client.api_ok("DeleteRepository", json!({ "repositoryName": "app", "force": true })).await;
    let gone = json!({ "repositoryName": "app", "lifecyclePolicyText": second });
    for operation in ["PutLifecyclePolicy", "GetLifecyclePolicy", "DeleteLifecyclePolicy", "GetLifecyclePolicyPreview"]
    {
        client.api(operation, gone.clone()).await.expect_aws_error_code("RepositoryNotFoundException");
    }
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    client.api("GetLifecyclePolicy", name).await.expect_aws_error_code("LifecyclePolicyNotFoundException");
    registry.stop().await;
}

#[tokio::test]
async fn policies_that_break_a_rule_are_refused_and_not_kept() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let transition = json!({ "type": "transition", "targetStorageClass": "archive" });
    let one = |selection: Value, action: &Value| policy(&json!([rule(1, &selection, action)]));
    let since = |kind: &str, days: u32| json!({ "tagStatus": "any", "countType": kind, "countUnit": "days", "countNumber": days });
    let cases = [
        (format!("not JSON{}", " ".repeat(100)), "invalid JSON at offset 1: expected ident"),
        (policy(&json!([])) + &" ".repeat(100), "rules has 0 rules; a policy has 1 to 50"),
        (
            policy(&json!([rule(1, &more_than(1, any()), &expire()), rule(2, &more_than(1, tagged("a")), &expire())])),
            "rules[0] has tagStatus \"any\", so its rulePriority must be the largest for storage class \"standard\"; \
             that of rules[1] is larger",
        ),
        (
            policy(&json!([
                rule(3, &more_than(1, tagged("b")), &expire()),
                rule(3, &more_than(1, tagged("a")), &expire())
            ])),
            "rules[1].rulePriority is 3, which rules[0] has; each rule must have its own",
        ),
        (
            one(more_than(1, json!({ "tagStatus": "tagged" })), &expire()),
            "rules[0].selection.tagStatus is \"tagged\", which needs exactly one of tagPatternList and tagPrefixList; \
             the rule has neither",
        ),
        (
            one(more_than(1, json!({ "tagStatus": "tagged", "tagPatternList": ["*a*b*c*d*"] })), &expire()),
            "rules[0].selection.tagPatternList has \"*a*b*c*d*\"; a pattern may have at most 4 wildcards (*)",
        ),
        (
            one(since("sinceImagePulled", 3), &expire()),
            "rules[0].action.type must be \"transition\" with countType \"sinceImagePulled\"",
        ),
        (
            one(since("sinceImageTransitioned", 90), &expire()),
            "rules[0].selection.storageClass must be \"archive\" with countType \"sinceImageTransitioned\"",
        ),
        (
            one(older_than(1, json!({ "tagStatus": "any", "storageClass": "archive" })), &transition),
            "rules[0].selection.storageClass may be \"archive\" only with countType \"sinceImageTransitioned\"",
        ),
        (
            one(older_than(1, json!({ "tagStatus": "any", "colour": "red" })), &expire()),
            "rules[0].selection.colour is not a known member",
        ),
    ];
    for (text, reason) in cases {
        let message = format!(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: \
             'Lifecycle policy validation failure: {reason}'"
        );
        for operation in ["PutLifecyclePolicy", "StartLifecyclePolicyPreview"] {
            let input = json!({ "repositoryName": "app", "lifecyclePolicyText": text });
            client.api(operation, input).await.expect_aws_error("InvalidParameterException", &message);
        }
    }
    let long = json!({ "repositoryName": "app", "lifecyclePolicyText": "x".repeat(30_721) });
    client.api("PutLifecyclePolicy", long).await.expect_aws_error_code("InvalidParameterException");
    let name = json!({ "repositoryName": "app" });
    client.api("GetLifecyclePolicy", name).await.expect_aws_error_code("LifecyclePolicyNotFoundException");
    registry.stop().await;
}

#[tokio::test]
async fn a_preview_says_what_would_happen_and_does_nothing() {
    let registry = Registry::start().await;
    let client = registry.client();
    let base = Image::new("base");
    client.push_image("app", "newest-1", &base).await;
    let images: Vec<Image> = (0..120).map(|number| alike(&base, number)).collect();
    for (number, image) in images.iter().enumerate() {
        let tag = format!("v{number}");
        client.push_manifest("app", if number % 3 == 0 { &image.digest } else { &tag }, image).await;
    }
    let text = policy(&json!([rule(4, &more_than(16, any()), &expire())]));
    let started = client
        .api_ok("StartLifecyclePolicyPreview", json!({ "repositoryName": "app", "lifecyclePolicyText": text }))
        .await;
    assert_eq!((&started["status"], &started["lifecyclePolicyText"]), (&json!("IN_PROGRESS"), &json!(text)));
    let complete = wait_for_preview(&client).await;
    assert_eq!(complete["status"], "COMPLETE");
    assert_eq!(complete["summary"], json!({ "expiringImageTotalCount": 105 }));
    assert_eq!(complete["previewResults"].as_array().expect("a list").len(), 100);
    let first = &complete["previewResults"][0];
    assert_eq!(first["imageDigest"], base.digest, "the oldest first");
    assert_eq!(first["imageTags"], json!(["newest-1"]));
    assert_eq!(first["action"], json!({ "type": "EXPIRE" }));
    assert_eq!((&first["appliedRulePriority"], &first["storageClass"]), (&json!(4), &json!("STANDARD")));
    assert!(first["imagePushedAt"].as_f64().expect("a time") > 1e9);

    let pages = async |filter: Value, size: usize| {
        let (mut results, mut count) = (Vec::new(), 0);
        let mut input = json!({ "repositoryName": "app", "maxResults": size, "filter": filter });
        loop {
            let output = preview(&client, input.clone()).await;
            let page = output["previewResults"].as_array().expect("a list").clone();
            assert!(page.len() <= size);
            results.extend(page);
            count += 1;
            match output["nextToken"].clone() {
                Value::Null => return (results, count),
                token => input["nextToken"] = token,
            }
        }
    };
    let (all, count) = pages(json!({}), 15).await;
    assert_eq!((all.len(), count), (105, 7));
    let (untagged, _) = pages(json!({ "tagStatus": "UNTAGGED" }), 10).await;
    let (tagged, _) = pages(json!({ "tagStatus": "TAGGED" }), 10).await;
    assert!(untagged.iter().all(|result| result["imageTags"] == json!([])) && !untagged.is_empty());
    assert_eq!(untagged.len() + tagged.len(), 105);

    let ids = json!([{ "imageTag": "v1" }, { "imageDigest": images[0].digest }, { "imageTag": "v118" }]);
    let named = preview(&client, json!({ "repositoryName": "app", "imageIds": ids })).await;
    assert_eq!(named["previewResults"].as_array().expect("a list").len(), 2);
    for refused in
        [json!({ "maxResults": 5, "imageIds": ids }), json!({ "nextToken": "x" }), json!({ "maxResults": 101 })]
    {
        let mut input = refused;
        input["repositoryName"] = json!("app");
        client.api("GetLifecyclePolicyPreview", input).await.expect_aws_error_code("InvalidParameterException");
    }
    assert_eq!(digests(&client).await.len(), 121, "nothing has happened");

    // The policy that is set, if none is given; and it takes the place of the one before.
    put_and_wait(&client, &policy(&json!([rule(1, &older_than(1, any()), &expire())]))).await;
    client.api_ok("StartLifecyclePolicyPreview", json!({ "repositoryName": "app" })).await;
    assert_eq!(wait_for_preview(&client).await["summary"], json!({ "expiringImageTotalCount": 0 }));
    registry.stop().await;
}

#[tokio::test]
async fn what_a_policy_marks_expires_and_nothing_else() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (kept, gone, tagless) = (Image::new("kept"), Image::new("gone"), Image::new("tagless"));
    client.push_image("app", "prod-1", &kept).await;
    client.push_image("app", "test-1", &gone).await;
    client.push_image("app", "test-2", &gone).await;
    client.push_image("app", &tagless.digest, &tagless).await;
    let (signature, foreign) = (
        Image::artifact("application/x.signature", &gone, "one"),
        Image::artifact("application/x.signature", &kept, "two"),
    );
    client.push_image("app", &signature.digest, &signature).await;
    client.push_image("app", &foreign.digest, &foreign).await;
    let (live, dead) = (Image::new("of a live index"), Image::new("of a dead index"));
    for child in [&live, &dead] {
        client.push_image("app", &child.digest, child).await;
    }
    let (live_index, dead_index) = (Image::index(&[&live]), Image::index(&[&dead]));
    client.push_manifest("app", "prod-2", &live_index).await;
    client.push_manifest("app", "test-3", &dead_index).await;
    put_and_wait(
        &client,
        &policy(&json!([
            rule(1, &more_than(100, tagged("prod-")), &expire()),
            rule(2, &older_than(1, tagged("test-")), &expire()),
            rule(3, &older_than(2, json!({ "tagStatus": "untagged" })), &expire()),
        ])),
    )
    .await;
    let all = digests(&client).await;
    assert_eq!(all.len(), 9);
    work(&registry, in_days(1) - Duration::hours(1)).await;
    assert_eq!(digests(&client).await, all, "nothing is old enough");
    work(&registry, in_days(3)).await;
    assert_eq!(digests(&client).await, sorted(&[&kept, &foreign, &live, &live_index]));
    client.expect_image("app", "prod-1", &kept).await;
    client.expect_image("app", "prod-2", &live_index).await;
    assert_eq!(client.tags("app").await, ["prod-1", "prod-2"]);
    let evaluated =
        client.api_ok("GetLifecyclePolicy", json!({ "repositoryName": "app" })).await["lastEvaluatedAt"].clone();
    assert!(Duration::seconds_f64(evaluated.as_f64().expect("a time")) > in_days(2) - OffsetDateTime::UNIX_EPOCH);

    registry.stop().await;
}

#[tokio::test]
async fn a_policy_is_applied_soon_after_it_is_put() {
    let registry = Registry::start().await;
    let client = registry.client();
    let base = Image::new("newest");
    client.push_image("app", "first", &base).await;
    let images: Vec<Image> = (0..12).map(|number| alike(&base, number)).collect();
    for (number, image) in images.iter().enumerate() {
        client.push_manifest("app", &format!("v{number}"), image).await;
    }
    put_and_wait(&client, &policy(&json!([rule(6, &more_than(1, any()), &expire())]))).await;
    assert_eq!(digests(&client).await, sorted(&[&images[11]]));

    let attribute = json!([{ "AttributeKey": "EventName", "AttributeValue": "PolicyExecutionEvent" }]);
    let output = client.lookup_events(json!({ "LookupAttributes": attribute })).await.expect_status(200).json();
    let mut acted: Vec<(String, Value)> = Vec::new();
    for event in output["Events"].as_array().expect("a list") {
        let event: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().expect("text")).expect("JSON");
        assert_eq!(event["userIdentity"], json!({ "accountId": "123456789012", "invokedBy": "AWS Internal" }));
        assert_eq!(event["resources"][0]["ARN"], "arn:aws:ecr:us-east-1:123456789012:repository/app");
        let details = &event["serviceEventDetails"];
        assert_eq!(details["lifecycleEventPolicy"]["lifecycleEventRules"][0]["rulePriority"], 6);
        let actions = details["lifecycleEventImageActions"].as_array().expect("a list");
        assert!((1..=10).contains(&actions.len()));
        for action in actions {
            assert_eq!(action["rulePriority"], 6);
            let image = &action["lifecycleEventImage"];
            acted.push((image["digest"].as_str().expect("text").to_owned(), image["tagList"][0].clone()));
        }
    }
    acted.sort_by_key(|(digest, _)| digest.clone());
    let mut expected: Vec<(String, Value)> = vec![(base.digest.clone(), json!("first"))];
    expected.extend((0..11).map(|number| (images[number].digest.clone(), json!(format!("v{number}")))));
    expected.sort_by_key(|(digest, _)| digest.clone());
    assert_eq!(acted, expected);
    registry.stop().await;
}

#[tokio::test]
async fn an_image_that_changes_after_the_evaluation_is_saved() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (tagged_since, moved_from, pulled_in, plain) =
        (Image::new("tagged since"), Image::new("lost its tag"), Image::new("listed since"), Image::new("plain"));
    for (tag, image) in [("a", &tagged_since), ("b", &moved_from), ("c", &pulled_in), ("d", &plain)] {
        client.push_image("app", tag, image).await;
    }
    put_and_wait(&client, &policy(&json!([rule(1, &older_than(1, any()), &expire())]))).await;
    let later = in_days(2);
    assert_eq!(registry.app().do_work_at(later).await, Ok(1), "the evaluation is a step of its own");
    client.push_manifest("app", "keep", &tagged_since).await;
    let newest = Image::new("newest");
    client.push_image("app", "b", &newest).await;
    client.push_manifest("app", "index", &Image::index(&[&pulled_in])).await;
    assert_eq!(registry.app().do_work_at(later).await, Ok(1));
    let left = digests(&client).await;
    assert!(!left.contains(&plain.digest));
    for saved in [&tagged_since, &moved_from, &pulled_in, &newest] {
        assert!(left.contains(&saved.digest));
    }
    client.expect_image("app", "keep", &tagged_since).await;
    client.expect_image("app", "b", &newest).await;
    registry.stop().await;
}

#[tokio::test]
async fn a_policy_that_is_replaced_or_deleted_does_nothing_more() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("image");
    client.push_image("app", "v1", &image).await;
    let text = policy(&json!([rule(1, &older_than(1, any()), &expire())]));
    put_and_wait(&client, &text).await;
    let later = in_days(2);
    assert_eq!(registry.app().do_work_at(later).await, Ok(1));
    put_and_wait(&client, &policy(&json!([rule(1, &older_than(900, any()), &expire())]))).await;
    work(&registry, later).await;
    assert_eq!(digests(&client).await, sorted(&[&image]));

    put_and_wait(&client, &text).await;
    assert_eq!(registry.app().do_work_at(later).await, Ok(1));
    client.api_ok("DeleteLifecyclePolicy", json!({ "repositoryName": "app" })).await;
    work(&registry, later).await;
    assert_eq!(digests(&client).await, sorted(&[&image]));
    registry.stop().await;
}

#[tokio::test]
async fn a_run_goes_on_after_a_restart() {
    let registry = Registry::start().await;
    let client = registry.client();
    let base = Image::new("base");
    client.push_image("app", "keep", &base).await;
    for number in 0..130 {
        let image = alike(&base, number);
        client.push_manifest("app", &image.digest, &image).await;
    }
    put_and_wait(&client, &policy(&json!([rule(1, &older_than(1, json!({ "tagStatus": "untagged" })), &expire())])))
        .await;
    let later = in_days(2);
    // The evaluation, and the first of two pages.
    for _ in 0..2 {
        assert_eq!(registry.app().do_work_at(later).await, Ok(1));
    }
    assert_eq!(digests(&client).await.len(), 31);
    let registry = registry.restart().await;
    let client = registry.client();
    work(&registry, later).await;
    assert_eq!(digests(&client).await, sorted(&[&base]));
    client.expect_image("app", "keep", &base).await;
    registry.stop().await;
}

#[tokio::test]
async fn images_go_into_the_archive_and_expire_there() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("image");
    client.push_image("app", "v1", &image).await;
    let days = |kind: &str, number: u32| json!({ "tagStatus": "any", "countType": kind, "countUnit": "days", "countNumber": number });
    let mut archived = days("sinceImageTransitioned", 90);
    archived["storageClass"] = json!("archive");
    let transition = json!({ "type": "transition", "targetStorageClass": "archive" });
    let text = policy(&json!([rule(1, &days("sinceImagePulled", 5), &transition), rule(2, &archived, &expire()),]));
    put_and_wait(&client, &text).await;
    work(&registry, in_days(6)).await;
    let input = json!({ "repositoryName": "app", "filter": { "imageStatus": "ARCHIVED" } });
    let shown = client.api_ok("DescribeImages", input).await;
    assert_eq!(shown["imageDetails"][0]["imageDigest"], image.digest);
    client.get_manifest("app", "v1").await.expect_status(404);
    work(&registry, in_days(95)).await;
    assert_eq!(digests(&client).await.len(), 1, "not before ninety days in the archive");
    work(&registry, in_days(97)).await;
    assert!(digests(&client).await.is_empty());
    registry.stop().await;
}
