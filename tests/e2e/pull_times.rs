//! `lastRecordedPullTime`: noted behind the pulls, once a day, and not for
//! everybody.

use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

use crate::words::{ACCOUNT, invalid, texts, unknown_digest};

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{name}")
}

/// When a pull of an image was recorded last.
async fn pulled_at(client: &Client, image: &Image) -> Option<f64> {
    let input = json!({ "repositoryName": "app", "imageIds": [{ "imageDigest": image.digest }] });
    client.api_ok("DescribeImages", input).await["imageDetails"][0]["lastRecordedPullTime"].as_f64()
}

async fn pull(client: &Client, reference: &str) {
    client.get_manifest("app", reference).await.expect_status(200);
}

/// Waits until all pulls before this are recorded or passed over: they are dealt
/// with in their order, so a pull of an image that nobody has pulled is the last.
async fn settle(client: &Client, name: &str) {
    let marker = Image::new(name);
    client.push_image("app", name, &marker).await;
    pull(client, name).await;
    while pulled_at(client, &marker).await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_pull_is_recorded_once_a_day() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (image, child) = (Image::new("image"), Image::new("child"));
    client.push_image("app", "v1", &image).await;
    client.push_image("app", &child.digest, &child).await;
    let index = Image::index(&[&child]);
    client.push_manifest("app", "index", &index).await;

    // Whoever looks does not pull.
    client.oci("HEAD", "/v2/app/manifests/v1").send().await.expect_status(200);
    client.get_manifest("app", &unknown_digest()).await.expect_status(404);
    client.pull_blob("app", &image.blob_digests()[0]).await;
    client.tags("app").await;
    settle(&client, "first").await;
    for image in [&image, &child, &index] {
        assert_eq!(pulled_at(&client, image).await, None);
    }

    pull(&client, "v1").await;
    settle(&client, "second").await;
    let recorded = pulled_at(&client, &image).await.expect("a time");
    let input = json!({ "repositoryName": "app", "imageIds": [{ "imageDigest": image.digest }] });
    let pushed = client.api_ok("DescribeImages", input.clone()).await["imageDetails"][0]["imagePushedAt"].clone();
    assert!(recorded >= pushed.as_f64().expect("a time"));
    // Again within the day, by digest and through the API.
    pull(&client, &image.digest).await;
    client.api_ok("BatchGetImage", input).await;
    settle(&client, "third").await;
    assert_eq!(pulled_at(&client, &image).await, Some(recorded));
    // An index is one image, what it lists is another.
    pull(&client, "index").await;
    settle(&client, "fourth").await;
    assert!(pulled_at(&client, &index).await.is_some());
    assert_eq!(pulled_at(&client, &child).await, None);
    let by_digest = json!({ "repositoryName": "app", "imageIds": [{ "imageDigest": child.digest }] });
    client.api_ok("BatchGetImage", by_digest).await;

    // What was pulled just before the end is recorded at the end, and who starts
    // again does not begin a new day.
    let registry = registry.restart().await;
    let client = registry.client();
    assert!(pulled_at(&client, &child).await.is_some());
    assert_eq!(pulled_at(&client, &image).await, Some(recorded));
    pull(&client, "v1").await;
    settle(&client, "fifth").await;
    assert_eq!(pulled_at(&client, &image).await, Some(recorded));

    // The time stays with the image: in the archive and back, and not when it is
    // deleted and pushed again.
    for class in ["ARCHIVE", "STANDARD"] {
        let id = json!({ "imageDigest": image.digest });
        let input = json!({ "repositoryName": "app", "imageId": id, "targetStorageClass": class });
        client.api_ok("UpdateImageStorageClass", input).await;
        assert_eq!(pulled_at(&client, &image).await, Some(recorded));
    }
    let delete = json!({ "repositoryName": "app", "imageIds": [{ "imageDigest": image.digest }] });
    client.api_ok("BatchDeleteImage", delete).await;
    client.push_image("app", "v1", &image).await;
    assert_eq!(pulled_at(&client, &image).await, None);
    registry.stop().await;
}

#[tokio::test]
async fn pulls_of_the_excluded_do_not_count() {
    let registry = Registry::start().await;
    let root = registry.client();
    let image = Image::new("image");
    root.push_image("app", "v1", &image).await;
    let all = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } });
    let user = root.new_user("scanner", Some(&all)).await;
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": { "Effect": "Allow", "Principal": { "AWS": arn("root") }, "Action": "sts:AssumeRole" }
    })
    .to_string();
    root.iam_ok("CreateRole", &[("RoleName", "mirror"), ("AssumeRolePolicyDocument", &trust)]).await;
    let document = all.to_string();
    root.iam_ok("PutRolePolicy", &[("RoleName", "mirror"), ("PolicyName", "p"), ("PolicyDocument", &document)]).await;
    let session = user.assume(&arn("role/mirror"), &[]).await;
    for principal in [arn("user/scanner"), arn("role/mirror")] {
        root.api_ok("RegisterPullTimeUpdateExclusion", json!({ "principalArn": principal })).await;
    }
    for client in [&user, &session] {
        pull(client, "v1").await;
        let input = json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "v1" }] });
        client.api_ok("BatchGetImage", input).await;
    }
    settle(&root, "first").await;
    assert_eq!(pulled_at(&root, &image).await, None);

    // An exclusion that is gone does not count any more, and one of another
    // registry never did.
    root.api_ok("DeregisterPullTimeUpdateExclusion", json!({ "principalArn": arn("role/mirror") })).await;
    pull(&user, "v1").await;
    settle(&root, "second").await;
    assert_eq!(pulled_at(&root, &image).await, None);
    pull(&session, "v1").await;
    settle(&root, "third").await;
    assert!(pulled_at(&root, &image).await.is_some());
    registry.stop().await;
}

#[tokio::test]
async fn exclusions_are_registered_listed_and_deregistered() {
    let registry = Registry::start().await;
    let client = registry.client();
    let other = client.new_account("111111111111").await;
    let list = async |client: &Client| {
        let output = client.api_ok("ListPullTimeUpdateExclusions", json!({})).await;
        texts(&output["pullTimeUpdateExclusions"], "")
    };
    let named = |principal: &str| json!({ "principalArn": principal });
    let (role, user) = (arn("role/path/scanner"), arn("user/ada"));
    let output = client.api_ok("RegisterPullTimeUpdateExclusion", named(&user)).await;
    assert_eq!(output["principalArn"], user);
    assert!(output["createdAt"].as_f64().is_some_and(|seconds| seconds > 1.5e9));
    client.api_ok("RegisterPullTimeUpdateExclusion", named(&role)).await;
    // Whether or not there is such a principal, here or elsewhere.
    let foreign = "arn:aws:iam::999999999999:role/inspector";
    client.api_ok("RegisterPullTimeUpdateExclusion", named(foreign)).await;
    assert_eq!(list(&client).await, [role.as_str(), &user, foreign]);
    assert!(list(&other).await.is_empty());
    assert!(list(&client.in_region("eu-west-1")).await.is_empty());

    let message = format!(
        "A pull time update exclusion for the principal with ARN '{role}' already exists in the registry with id '{ACCOUNT}'"
    );
    let refused = client.api("RegisterPullTimeUpdateExclusion", named(&role)).await;
    refused.expect_aws_error("ExclusionAlreadyExistsException", &message);
    assert_eq!(client.api_ok("DeregisterPullTimeUpdateExclusion", named(&role)).await, named(&role));
    let message = format!(
        "A pull time update exclusion for the principal with ARN '{role}' does not exist in the registry with id '{ACCOUNT}'"
    );
    for _ in 0..2 {
        let refused = client.api("DeregisterPullTimeUpdateExclusion", named(&role)).await;
        refused.expect_aws_error("ExclusionNotFoundException", &message);
    }
    let refused = other.api("DeregisterPullTimeUpdateExclusion", named(&user)).await;
    refused.expect_aws_error_code("ExclusionNotFoundException");
    assert_eq!(list(&client).await, [user.as_str(), foreign]);

    for bad in [
        String::new(),
        "ada".to_owned(),
        arn("root"),
        arn("group/all"),
        arn("role/"),
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/mirror/session"),
        "arn:aws:iam::12345:role/short".to_owned(),
        arn(&format!("role/{}", "r".repeat(200))),
    ] {
        for operation in ["RegisterPullTimeUpdateExclusion", "DeregisterPullTimeUpdateExclusion"] {
            println!("{operation} {bad}");
            client.api(operation, named(&bad)).await.expect_aws_error_code("InvalidParameterException");
        }
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_registry_has_a_hundred_exclusions() {
    let registry = Registry::start().await;
    let client = registry.client();
    let principal = |number: usize| arn(&format!("role/r{number:03}"));
    let exclude = async |number: usize| {
        let input = json!({ "principalArn": principal(number) });
        client.api("RegisterPullTimeUpdateExclusion", input).await
    };
    for number in 0..95 {
        exclude(number).await.expect_status(200);
    }
    // Many at once: as many as there is room for, and none is lost.
    let answers = futures::future::join_all((95..110).map(&exclude)).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((accepted.len(), refused.len()), (5, 10));
    let message = "A registry can have at most 100 pull time update exclusions";
    for reply in &refused {
        reply.expect_aws_error("LimitExceededException", message);
    }
    // One that is there says so, even then.
    exclude(7).await.expect_aws_error_code("ExclusionAlreadyExistsException");

    let whole = client.api_ok("ListPullTimeUpdateExclusions", json!({})).await;
    let whole = texts(&whole["pullTimeUpdateExclusions"], "");
    assert_eq!(whole.len(), 100);
    let (mut paged, mut token) = (Vec::new(), Value::Null);
    loop {
        let input = json!({ "maxResults": 33, "nextToken": token });
        let page = client.api_ok("ListPullTimeUpdateExclusions", input).await;
        paged.extend(texts(&page["pullTimeUpdateExclusions"], ""));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(paged, whole);
    for (size, constraint) in [
        (0, "Member must have value greater than or equal to 1"),
        (1001, "Member must have value less than or equal to 1000"),
    ] {
        let refused = client.api("ListPullTimeUpdateExclusions", json!({ "maxResults": size })).await;
        refused.expect_aws_error("InvalidParameterException", &invalid("maxResults", constraint));
    }
    // Where one goes there is room for one.
    let input = json!({ "principalArn": principal(0) });
    client.api_ok("DeregisterPullTimeUpdateExclusion", input).await;
    exclude(200).await.expect_status(200);
    exclude(201).await.expect_aws_error_code("LimitExceededException");
    registry.stop().await;
}
