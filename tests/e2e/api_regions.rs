//! Many Regions in one process, each on its own: the signature's scope decides
//! for the API, the login token for the data plane.

use ironwharf_local::test_app::TestOptions;
use ironwharf_tests::{Image, Registry};
use serde_json::json;

use crate::words::{ACCOUNT, no_repository, texts};

#[tokio::test]
async fn a_region_sees_nothing_of_another() {
    let registry = Registry::start().await;
    let home = registry.client();
    let away = home.in_region("eu-west-1");
    let image = Image::new("home");
    home.push_image("app", "latest", &image).await;

    let input = json!({ "repositoryNames": ["app"] });
    away.api("DescribeRepositories", input)
        .await
        .expect_aws_error("RepositoryNotFoundException", &no_repository("app"));
    away.get_manifest("app", "latest").await.expect_oci_error(404, "NAME_UNKNOWN");
    // Not even a mount, which looks for the blob wherever it is.
    for query in ["", "&from=app"] {
        let digest = &image.blob_digests()[0];
        let path = format!("/v2/copy/blobs/uploads/?mount={digest}{query}");
        away.oci("POST", &path).send().await.expect_status(202);
    }

    let other = Image::new("away");
    away.push_image("app", "latest", &other).await;
    home.expect_image("app", "latest", &image).await;
    away.expect_image("app", "latest", &other).await;
    let described = away.api_ok("DescribeRepositories", json!({ "repositoryNames": ["app"] })).await;
    let arn = format!("arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/app");
    assert_eq!(texts(&described["repositories"], "/repositoryArn"), [arn]);

    // An upload belongs to the Region it was started in.
    let upload = home.start_upload("app").await;
    away.oci("PATCH", &upload).body("x").send().await.expect_oci_error(404, "BLOB_UPLOAD_UNKNOWN");

    away.api_ok("DeleteRepository", json!({ "repositoryName": "app", "force": true })).await;
    home.expect_image("app", "latest", &image).await;
    registry.stop().await;
}

#[tokio::test]
async fn every_region_is_kept() {
    let registry = Registry::start().await;
    let image = Image::new("kept");
    for region in ["us-east-1", "eu-west-1", "us-gov-west-1"] {
        registry.client().in_region(region).push_image("app", region, &image).await;
    }
    let registry = registry.restart().await;
    for region in ["us-east-1", "eu-west-1", "us-gov-west-1"] {
        let client = registry.client().in_region(region);
        client.expect_image("app", region, &image).await;
        assert_eq!(client.tags("app").await, [region]);
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_login_token_outlives_a_restart() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.push_image("app", "latest", &Image::new("kept")).await;
    let token = client.authorization().await;
    let registry = registry.restart().await;
    let reply = registry.client().call("GET", "/v2/app/manifests/latest").header("authorization", &token).send().await;
    reply.expect_status(200);
    registry.stop().await;
}

/// With a host that names the Region, a token is good on the host of its own
/// Region only, as on AWS.
#[tokio::test]
async fn a_token_is_refused_on_the_host_of_another_region() {
    let options =
        TestOptions { registry_host: Some("{account}.dkr.ecr.{region}.amazonaws.com"), ..TestOptions::default() };
    let registry = Registry::start_with(options).await;
    let client = registry.client().in_region("eu-west-1");
    client.push_image("app", "latest", &Image::new("hosted")).await;
    let described = client.api_ok("DescribeRepositories", json!({})).await;
    let uri = format!("{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/app");
    assert_eq!(texts(&described["repositories"], "/repositoryUri"), [uri]);
    let get = async |host: &str| client.oci("GET", "/v2/app/manifests/latest").header("host", host).send().await;
    get(&format!("{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com")).await.expect_status(200);
    get(&format!("{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com")).await.expect_oci_error(403, "DENIED");
    // The host of another account is another registry.
    get("210987654321.dkr.ecr.eu-west-1.amazonaws.com").await.expect_oci_error(403, "DENIED");
    // Any other name is an alias of the caller's own.
    get("registry.example.com").await.expect_status(200);
    registry.stop().await;
}

/// Each Region has databases of its own: nobody makes them by making up names.
#[tokio::test]
async fn a_region_that_somebody_made_up_is_not_opened() {
    let registry = Registry::start().await;
    let client = registry.client().in_region("xx-test-7");
    for reply in [client.api("DescribeRepositories", json!({})).await, client.sts("GetCallerIdentity", &[]).await] {
        assert!(!reply.status.is_success() && reply.text().contains("Region that is served, not"), "{reply:?}");
    }
    assert!(!registry.data_dir().join("regions/xx-test-7").exists());
    registry.client().in_region("sa-east-1").api_ok("DescribeRepositories", json!({})).await;
    registry.stop().await;
}

#[tokio::test]
async fn a_scope_that_is_no_region_is_refused() {
    let registry = Registry::start().await;
    for region in ["nowhere", "us-east", "..", "us-east-1-", "u"] {
        let reply = registry.client().in_region(region).api("DescribeRepositories", json!({})).await;
        let body = reply.expect_status(400).json();
        let code = body["__type"].as_str().expect("a code").to_owned();
        assert!(
            ["InvalidSignatureException", "IncompleteSignatureException"].contains(&code.as_str()),
            "{region}: {body}"
        );
    }
    registry.stop().await;
}
