//! What one tenant may do in a second.

use ironwharf_local::test_app::TestOptions;
use ironwharf_registry::RateLimits;
use ironwharf_tests::{Image, Registry};
use serde_json::json;

#[tokio::test]
async fn a_tenant_over_its_rate_waits_and_then_is_refused_and_others_are_not() {
    // Two a second of InitiateLayerUpload.
    let options = TestOptions { rate_limits: RateLimits::Percent(2), ..TestOptions::default() };
    let registry = Registry::start_with(options).await;
    let operator = registry.client();
    let a = operator.new_account("111111111111").await;
    let b = operator.new_account("222222222222").await;
    for client in [&a, &b] {
        client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    }
    // A burst of two passes, two more wait for at most a second, and most of
    // the others are refused.
    let start = async |client: &ironwharf_tests::Client| {
        client.api("InitiateLayerUpload", json!({ "repositoryName": "app" })).await
    };
    let replies = futures::future::join_all((0..20).map(|_| start(&a))).await;
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 400).collect();
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    assert!((4..20).contains(&passed), "{passed} passed");
    assert_eq!(refused.len() + passed, 20);
    for reply in refused {
        reply.expect_aws_error(
            "ThrottlingException",
            "Rate exceeded: InitiateLayerUpload is limited to 2 requests a second for this account",
        );
    }
    start(&b).await.expect_status(200);
    registry.stop().await;
}

/// An upload that has begun waits: its client could not send the body again.
#[tokio::test]
async fn pushes_over_the_rate_wait() {
    let options = TestOptions { rate_limits: RateLimits::ECR, ..TestOptions::default() };
    let registry = Registry::start_with(options).await;
    let a = registry.client().new_account("111111111111").await;
    let image = Image::new("often");
    a.push_image("app", "first", &image).await;
    let tags: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
    let pushes = tags.iter().map(|tag| a.push_manifest("app", tag, &image));
    futures::future::join_all(pushes).await;
    assert_eq!(a.tags("app").await.len(), 41);
    registry.stop().await;
}
