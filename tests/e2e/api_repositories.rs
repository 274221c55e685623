//! `CreateRepository`, `DescribeRepositories`, `DeleteRepository`, `DescribeRegistry`.

use std::collections::BTreeSet;

use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

use crate::words::{ACCOUNT, invalid, no_repository, texts};

async fn refused(client: &Client, operation: &str, input: Value, code: &str, message: &str) {
    println!("{operation} {input}");
    client.api(operation, input).await.expect_aws_error(code, message);
}

#[tokio::test]
async fn a_repository_has_the_defaults_of_ecr() {
    let registry = Registry::start().await;
    let client = registry.client();
    let created = client.api_ok("CreateRepository", json!({ "repositoryName": "team/app" })).await;
    let mut repository = created["repository"].clone();
    let created_at = repository["createdAt"].take();
    assert!(created_at.as_f64().is_some_and(|seconds| seconds > 1.5e9), "{created_at}");
    let port = registry.host().split_once(':').expect("a port").1.to_owned();
    let expected = json!({
        "repositoryArn": format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/app"),
        "registryId": ACCOUNT,
        "repositoryName": "team/app",
        "repositoryUri": format!("localhost:{port}/team/app"),
        "createdAt": null,
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": { "scanOnPush": false },
        "encryptionConfiguration": { "encryptionType": "AES256" },
    });
    assert_eq!(repository, expected);
    let described = client.api_ok("DescribeRepositories", json!({ "repositoryNames": ["team/app"] })).await;
    assert_eq!(described["repositories"], json!([created["repository"]]));
    assert_eq!(described.get("nextToken"), None);
    registry.stop().await;
}

#[tokio::test]
async fn a_repository_keeps_what_it_was_created_with() {
    let registry = Registry::start().await;
    let client = registry.client();
    let filters =
        json!([{ "filterType": "WILDCARD", "filter": "dev-*" }, { "filterType": "WILDCARD", "filter": "latest" }]);
    let input = json!({
        "registryId": ACCOUNT,
        "repositoryName": "full",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": filters,
        "imageScanningConfiguration": { "scanOnPush": true },
        "encryptionConfiguration": { "encryptionType": "AES256" },
        "tags": [{ "Key": "team", "Value": "core" }, { "Key": "empty", "Value": "" }],
    });
    client.api_ok("CreateRepository", input).await;
    let described = client.api_ok("DescribeRepositories", json!({})).await;
    let repository = &described["repositories"][0];
    assert_eq!(repository["imageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
    assert_eq!(repository["imageTagMutabilityExclusionFilters"], filters);
    assert_eq!(repository["imageScanningConfiguration"]["scanOnPush"], true);
    registry.stop().await;
}

#[tokio::test]
async fn creations_are_refused_in_the_words_of_ecr() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "there" })).await;
    let tags = |count: usize| (0..count).map(|n| json!({ "Key": format!("k{n}"), "Value": "" })).collect::<Value>();
    let tag = |key: &str, value: &str| json!([{ "Key": key, "Value": value }]);
    let filter = |text: &str| json!([{ "filterType": "WILDCARD", "filter": text }]);
    let name = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*";
    let filters = "imageTagMutabilityExclusionFilters";
    let with = |member: &str, value: Value| json!({ "repositoryName": "ab", member: value });
    let invalid_parameter =
        |input, parameter, constraint| (input, "InvalidParameterException", invalid(parameter, constraint));
    let invalid_tag =
        |value, constraint| (with("tags", value), "InvalidTagParameterException", invalid("tags", constraint));
    let cases = [
        (
            json!({ "repositoryName": "there" }),
            "RepositoryAlreadyExistsException",
            format!("The repository with name 'there' already exists in the registry with id '{ACCOUNT}'"),
        ),
        invalid_parameter(json!({}), "repositoryName", "must not be null"),
        invalid_parameter(
            json!({ "repositoryName": "a" }),
            "repositoryName",
            "must have length greater than or equal to 2",
        ),
        invalid_parameter(
            json!({ "repositoryName": "Team" }),
            "repositoryName",
            &format!("must satisfy regular expression '{name}'"),
        ),
        invalid_parameter(
            with("imageTagMutability", json!("SOMETIMES")),
            "imageTagMutability",
            "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]",
        ),
        invalid_parameter(
            with("imageTagMutability", json!("MUTABLE_WITH_EXCLUSION")),
            filters,
            "MUTABLE_WITH_EXCLUSION requires at least one filter",
        ),
        invalid_parameter(
            with("imageTagMutability", json!("IMMUTABLE_WITH_EXCLUSION")),
            filters,
            "IMMUTABLE_WITH_EXCLUSION requires at least one filter",
        ),
        invalid_parameter(with(filters, filter("v*")), filters, "filters cannot be used with MUTABLE"),
        invalid_parameter(
            json!({ "repositoryName": "ab", "imageTagMutability": "IMMUTABLE", filters: filter("v*") }),
            filters,
            "filters cannot be used with IMMUTABLE",
        ),
        (with("tags", tags(51)), "TooManyTagsException", "A repository can have at most 50 tags".to_owned()),
        invalid_tag(tag("aws:team", "x"), "the tag key \"aws:team\" starts with aws:, which is reserved"),
        invalid_tag(tag("AWS:team", "x"), "the tag key \"AWS:team\" starts with aws:, which is reserved"),
        invalid_tag(
            json!([{ "Key": "a", "Value": "" }, { "Key": "a", "Value": "" }]),
            "the tag key \"a\" is given twice",
        ),
    ];
    for (input, code, message) in cases {
        refused(&client, "CreateRepository", input, code, &message).await;
    }
    // What is too long is quoted in part: only the code and the limit count.
    for (value, limit) in [(tag(&"k".repeat(129), ""), "128"), (tag("k", &"v".repeat(257)), "256"), (tag("", ""), "1")]
    {
        let reply = client.api("CreateRepository", with("tags", value)).await;
        let body = reply.expect_status(400).json();
        assert!(body["message"].as_str().is_some_and(|message| message.contains(limit)), "{body}");
    }
    // A refused creation leaves nothing.
    let described = client.api_ok("DescribeRepositories", json!({})).await;
    assert_eq!(texts(&described["repositories"], "/repositoryName"), ["there"]);
    let at_the_limit = json!({ "repositoryName": "ab", "tags": tags(50) });
    client.api_ok("CreateRepository", at_the_limit).await;
    registry.stop().await;
}

#[tokio::test]
async fn one_unknown_name_fails_the_whole_description() {
    let registry = Registry::start().await;
    let client = registry.client();
    for name in ["one", "two"] {
        client.api_ok("CreateRepository", json!({ "repositoryName": name })).await;
    }
    let named = client.api_ok("DescribeRepositories", json!({ "repositoryNames": ["two", "one", "two"] })).await;
    let named: BTreeSet<String> = texts(&named["repositories"], "/repositoryName").into_iter().collect();
    assert_eq!(named, ["one", "two"].map(str::to_owned).into());
    let input = json!({ "repositoryNames": ["one", "three"] });
    refused(&client, "DescribeRepositories", input, "RepositoryNotFoundException", &no_repository("three")).await;
    let both = "maxResults and nextToken cannot be used together with repositoryNames";
    let input = json!({ "repositoryNames": ["one"], "maxResults": 5 });
    refused(&client, "DescribeRepositories", input, "InvalidParameterException", &invalid("repositoryNames", both))
        .await;
    registry.stop().await;
}

#[tokio::test]
async fn a_repository_with_images_is_deleted_by_force_only() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("kept");
    client.push_image("team/app", "latest", &image).await;
    for input in [json!({ "repositoryName": "team/app" }), json!({ "repositoryName": "team/app", "force": false })] {
        let message = format!(
            "The repository with name 'team/app' in registry with id '{ACCOUNT}' cannot be deleted because it still contains images"
        );
        refused(&client, "DeleteRepository", input, "RepositoryNotEmptyException", &message).await;
    }
    client.expect_image("team/app", "latest", &image).await;
    let deleted = client.api_ok("DeleteRepository", json!({ "repositoryName": "team/app", "force": true })).await;
    assert_eq!(deleted["repository"]["repositoryName"], "team/app");
    for (operation, input) in [
        ("DeleteRepository", json!({ "repositoryName": "team/app" })),
        ("DescribeRepositories", json!({ "repositoryNames": ["team/app"] })),
        ("ListImages", json!({ "repositoryName": "team/app" })),
        ("DescribeImages", json!({ "repositoryName": "team/app" })),
        ("BatchGetImage", json!({ "repositoryName": "team/app", "imageIds": [{ "imageTag": "latest" }] })),
        ("BatchDeleteImage", json!({ "repositoryName": "team/app", "imageIds": [{ "imageTag": "latest" }] })),
        ("BatchCheckLayerAvailability", json!({ "repositoryName": "team/app", "layerDigests": image.blob_digests() })),
        ("GetDownloadUrlForLayer", json!({ "repositoryName": "team/app", "layerDigest": image.blob_digests()[0] })),
        ("InitiateLayerUpload", json!({ "repositoryName": "team/app" })),
        ("PutImage", json!({ "repositoryName": "team/app", "imageManifest": image.text() })),
    ] {
        refused(&client, operation, input, "RepositoryNotFoundException", &no_repository("team/app")).await;
    }
    registry.stop().await;
}

#[tokio::test]
async fn an_empty_repository_is_deleted_without_force() {
    let registry = Registry::start().await;
    let client = registry.client();
    // A blob that no image needs is not an image.
    client.push_blob("team/app", "a layer").await;
    client.api_ok("DeleteRepository", json!({ "repositoryName": "team/app" })).await;
    client.get_manifest("team/app", "latest").await.expect_oci_error(404, "NAME_UNKNOWN");
    registry.stop().await;
}

/// A name that is used again must not bring anything of its past back.
#[tokio::test]
async fn a_repository_created_again_shows_nothing_of_the_old_one() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (image, subject) = (Image::new("old"), Image::new("subject"));
    client.push_image("app", "latest", &subject).await;
    client.push_image("app", "old", &image).await;
    client.push_image("app", "attached", &Image::artifact("application/x", &subject, "old")).await;
    let upload = client.start_upload("app").await;
    client.oci("PATCH", &upload).body("half of a layer").send().await.expect_status(202);
    let unfinished = client.api_ok("InitiateLayerUpload", json!({ "repositoryName": "app" })).await;

    client.api_ok("DeleteRepository", json!({ "repositoryName": "app", "force": true })).await;
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;

    assert_eq!(client.tags("app").await, Vec::<String>::new());
    let listed = client.api_ok("ListImages", json!({ "repositoryName": "app" })).await;
    assert_eq!(listed, json!({ "imageIds": [] }));
    for reference in ["latest", "old", image.digest.as_str(), subject.digest.as_str()] {
        client.get_manifest("app", reference).await.expect_oci_error(404, "MANIFEST_UNKNOWN");
    }
    for digest in image.blob_digests() {
        let path = format!("/v2/app/blobs/{digest}");
        client.oci("HEAD", &path).send().await.expect_status(404);
        client.oci("GET", &path).send().await.expect_oci_error(404, "BLOB_UNKNOWN");
        let mount = format!("/v2/other/blobs/uploads/?mount={digest}");
        client.oci("POST", &mount).send().await.expect_status(202);
    }
    let referrers = client.oci("GET", &format!("/v2/app/referrers/{}", subject.digest)).send().await;
    assert_eq!(referrers.expect_status(200).json()["manifests"], json!([]));
    client.oci("GET", &upload).send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
    client.oci("PATCH", &upload).body("the rest").send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");
    let part = ironwharf_tests::client::part_input("app", unfinished["uploadId"].as_str().expect("an id"), 0, b"part");
    assert_eq!(
        client.api("UploadLayerPart", part).await.expect_status(400).json()["__type"],
        "UploadNotFoundException"
    );

    // The manifest alone is not enough for the new repository: its layers are gone.
    let reply = client.put_manifest("app", "latest", image.media_type, image.manifest.clone()).await;
    reply.expect_oci_error(400, "MANIFEST_BLOB_UNKNOWN");
    client.push_image("app", "latest", &image).await;
    client.expect_image("app", "latest", &image).await;
    registry.stop().await;
}

#[tokio::test]
async fn the_registry_of_someone_else_is_not_there() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.push_image("app", "latest", &Image::new("own")).await;
    let foreign = "210987654321";
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    let digest = crate::words::unknown_digest();
    let id = json!([{ "imageTag": "latest" }]);
    let upload = "01234567-89ab-4def-8123-456789abcdef";
    for (operation, mut input, resource) in [
        ("CreateRepository", json!({ "repositoryName": "app" }), "repository/app"),
        ("DescribeRepositories", json!({}), "repository/*"),
        ("DescribeRepositories", json!({ "repositoryNames": ["app"] }), "repository/app"),
        ("DeleteRepository", json!({ "repositoryName": "app", "force": true }), "repository/app"),
        ("ListImages", json!({ "repositoryName": "app" }), "repository/app"),
        ("DescribeImages", json!({ "repositoryName": "nothing" }), "repository/nothing"),
        ("BatchGetImage", json!({ "repositoryName": "app", "imageIds": id }), "repository/app"),
        ("BatchDeleteImage", json!({ "repositoryName": "app", "imageIds": id }), "repository/app"),
        ("PutImage", json!({ "repositoryName": "app", "imageManifest": "{}" }), "repository/app"),
        ("BatchCheckLayerAvailability", json!({ "repositoryName": "app", "layerDigests": [digest] }), "repository/app"),
        ("GetDownloadUrlForLayer", json!({ "repositoryName": "app", "layerDigest": digest }), "repository/app"),
        ("InitiateLayerUpload", json!({ "repositoryName": "app" }), "repository/app"),
        ("UploadLayerPart", ironwharf_tests::client::part_input("app", upload, 0, b"x"), "repository/app"),
        (
            "CompleteLayerUpload",
            json!({ "repositoryName": "app", "uploadId": upload, "layerDigests": [digest] }),
            "repository/app",
        ),
    ] {
        input["registryId"] = json!(foreign);
        let resource = format!("arn:aws:ecr:us-east-1:{foreign}:{resource}");
        let message = format!(
            "User: {root} is not authorized to perform: ecr:{operation} on resource: {resource} because no resource-based policy allows the ecr:{operation} action"
        );
        refused(&client, operation, input, "AccessDeniedException", &message).await;
    }
    let regular = invalid("registryId", "must satisfy regular expression '[0-9]{12}'");
    let input = json!({ "repositoryName": "app", "registryId": "*" });
    refused(&client, "ListImages", input, "InvalidParameterException", &regular).await;
    registry.stop().await;
}

#[tokio::test]
async fn the_registry_describes_itself() {
    let registry = Registry::start().await;
    let described = registry.client().api_ok("DescribeRegistry", json!({})).await;
    assert_eq!(described, json!({ "registryId": ACCOUNT, "replicationConfiguration": { "rules": [] } }));
    registry.stop().await;
}

#[tokio::test]
async fn a_login_token_names_the_registries_asked_for() {
    let registry = Registry::start().await;
    let client = registry.client();
    let port = registry.host().split_once(':').expect("a port").1.to_owned();
    let own = client.api_ok("GetAuthorizationToken", json!({})).await;
    let data = own["authorizationData"].as_array().expect("a list");
    assert_eq!(data.len(), 1);
    assert_eq!(data[0]["proxyEndpoint"], format!("http://localhost:{port}"));
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let twelve_hours = 12 * 3600;
    let expires = data[0]["expiresAt"].as_f64().expect("a time");
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are small")]
    let left = expires - now as f64;
    assert!((f64::from(twelve_hours) - left).abs() < 60.0, "{left}");

    let input = json!({ "registryIds": [ACCOUNT, "210987654321"] });
    let two = client.api_ok("GetAuthorizationToken", input).await;
    let tokens = texts(&two["authorizationData"], "/authorizationToken");
    assert_eq!(tokens.len(), 2);
    // Both are the caller's; on a host that stands for no registry each leads to its own.
    let get = async |token: &str, path: &str| {
        client.call("GET", path).header("authorization", &format!("Basic {token}")).send().await
    };
    get(&tokens[0], "/v2/_catalog").await.expect_status(200);
    get(&tokens[1], "/v2/_catalog").await.expect_oci_error(403, "DENIED");
    get(&tokens[1], "/v2/").await.expect_status(200);
    let message = invalid("registryIds", "Member must have length less than or equal to 10");
    let input = json!({ "registryIds": vec![ACCOUNT; 11] });
    refused(&client, "GetAuthorizationToken", input, "InvalidParameterException", &message).await;
    // It has to fit into the header of a client that reserves little room.
    assert!(client.password().await.len() < 6_000);
    registry.stop().await;
}
