use ironwharf_tests::{Image, Registry};

#[tokio::test]
async fn a_push_can_be_pulled() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("hello");
    client.push_image("team/app", "latest", &image).await;
    client.expect_image("team/app", "latest", &image).await;
    client.expect_image("team/app", &image.digest, &image).await;
    registry.stop().await;
}
