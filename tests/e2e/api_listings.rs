//! Pages of the API: complete, without repetition, and bound to their listing.

use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

use crate::words::{invalid, texts};

const BAD_TOKEN: &str = "Invalid pagination token";

/// Reads all pages of a listing; the texts at `pointer` of each item.
async fn all_pages(
    client: &Client,
    operation: &str,
    input: &Value,
    list: &str,
    pointer: &str,
    size: usize,
) -> Vec<String> {
    let mut input = input.clone();
    input["maxResults"] = json!(size);
    let mut found = Vec::new();
    loop {
        let output = client.api_ok(operation, input.clone()).await;
        let page = texts(&output[list], pointer);
        assert!(page.len() <= size, "{operation} gave {} of {size}", page.len());
        found.extend(page);
        match output.get("nextToken") {
            None => return found,
            Some(token) => input["nextToken"] = token.clone(),
        }
    }
}

#[tokio::test]
async fn every_page_size_lists_everything_once() {
    let registry = Registry::start().await;
    let client = registry.client();
    for name in ["app", "app-2", "app/sub", "zoo"] {
        client.api_ok("CreateRepository", json!({ "repositoryName": name })).await;
    }
    // An image with many tags, one with one and two without.
    let images: Vec<Image> = (0..4).map(|number| Image::new(&format!("image {number}"))).collect();
    for tag in ["a", "b", "c", "d", "e"] {
        client.push_image("app", tag, &images[0]).await;
    }
    client.push_image("app", "f", &images[1]).await;
    for image in &images[2..] {
        client.push_image("app", "moving", image).await;
    }
    client.push_image("app", "moving", &images[1]).await;

    let repository = json!({ "repositoryName": "app" });
    let filtered = |status: &str| json!({ "repositoryName": "app", "filter": { "tagStatus": status } });
    for (operation, input, list, pointer, count) in [
        ("DescribeRepositories", json!({}), "repositories", "/repositoryName", 4),
        ("ListImages", repository.clone(), "imageIds", "", 9),
        ("ListImages", filtered("TAGGED"), "imageIds", "/imageTag", 7),
        ("ListImages", filtered("UNTAGGED"), "imageIds", "/imageDigest", 2),
        ("ListImages", filtered("ANY"), "imageIds", "/imageTag", 9),
        ("DescribeImages", repository.clone(), "imageDetails", "/imageDigest", 4),
        ("DescribeImages", filtered("TAGGED"), "imageDetails", "/imageDigest", 2),
        ("DescribeImages", filtered("UNTAGGED"), "imageDetails", "/imageDigest", 2),
    ] {
        let whole = all_pages(&client, operation, &input, list, pointer, 1000).await;
        assert_eq!(whole.len(), count, "{operation} {input}: {whole:?}");
        for size in [1, 2, 3, count, count + 1] {
            let paged = all_pages(&client, operation, &input, list, pointer, size).await;
            assert_eq!(paged, whole, "{operation} {input} in pages of {size}");
        }
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_token_is_good_for_its_own_listing_only() {
    let registry = Registry::start().await;
    let client = registry.client();
    for name in ["app", "other"] {
        for tag in ["a", "b", "c"] {
            client.push_image(name, tag, &Image::new(tag)).await;
        }
    }
    let token = async |operation: &str, input: Value| {
        let mut input = input;
        input["maxResults"] = json!(1);
        let output = client.api_ok(operation, input).await;
        output["nextToken"].as_str().expect("a token").to_owned()
    };
    let refused = async |client: &Client, operation: &str, mut input: Value, token: &str| {
        println!("{operation} {input} {token}");
        input["nextToken"] = json!(token);
        client
            .api(operation, input)
            .await
            .expect_aws_error("InvalidParameterException", &invalid("nextToken", BAD_TOKEN));
    };
    let app = json!({ "repositoryName": "app" });
    let other = json!({ "repositoryName": "other" });
    let tagged = json!({ "repositoryName": "app", "filter": { "tagStatus": "TAGGED" } });
    let archived = json!({ "repositoryName": "app", "filter": { "imageStatus": "ANY" } });
    let of_list = token("ListImages", app.clone()).await;
    let of_describe = token("DescribeImages", app.clone()).await;
    let of_repositories = token("DescribeRepositories", json!({})).await;
    for (operation, input, token) in [
        ("DescribeImages", &app, &of_list),
        ("ListImages", &app, &of_describe),
        ("ListImages", &app, &of_repositories),
        ("DescribeRepositories", &json!({}), &of_list),
        ("ListImages", &other, &of_list),
        ("ListImages", &tagged, &of_list),
        ("ListImages", &archived, &of_list),
        ("DescribeImages", &tagged, &of_describe),
    ] {
        refused(&client, operation, input.clone(), token).await;
    }
    // Another Region has other keys.
    let elsewhere = client.in_region("eu-west-1");
    elsewhere.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    refused(&elsewhere, "ListImages", app.clone(), &of_list).await;
    refused(&elsewhere, "DescribeRepositories", json!({}), &of_repositories).await;

    // Changed, cut and invented tokens.
    let mut changed = of_list.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("ASCII");
    let (_, without_first) = of_list.split_at(1);
    let (without_last, _) = of_list.split_at(of_list.len() - 2);
    for bad in [&changed, without_first, without_last, "x", "é", &"A".repeat(4000)] {
        refused(&client, "ListImages", app.clone(), bad).await;
    }

    // A repository of the same name is not the same listing.
    client.api_ok("DeleteRepository", json!({ "repositoryName": "app", "force": true })).await;
    client.push_image("app", "new", &Image::new("new")).await;
    refused(&client, "ListImages", app.clone(), &of_list).await;
    registry.stop().await;
}

#[tokio::test]
async fn page_sizes_have_bounds() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    for (size, constraint) in [
        (json!(0), "Member must have value greater than or equal to 1"),
        (json!(-1), "Member must have value greater than or equal to 1"),
        (json!(1001), "Member must have value less than or equal to 1000"),
        (json!(1_000_000_000), "Member must have value less than or equal to 1000"),
    ] {
        for operation in ["DescribeRepositories", "ListImages", "DescribeImages"] {
            let input = json!({ "repositoryName": "app", "maxResults": size });
            let reply = client.api(operation, input).await;
            reply.expect_aws_error("InvalidParameterException", &invalid("maxResults", constraint));
        }
    }
    registry.stop().await;
}

/// A page ends where it was full, not at what was deleted since.
#[tokio::test]
async fn a_listing_goes_on_after_its_last_item_is_deleted() {
    let registry = Registry::start().await;
    let client = registry.client();
    for tag in ["a", "b", "c", "d"] {
        client.push_image("app", tag, &Image::new(tag)).await;
    }
    let input = json!({ "repositoryName": "app", "maxResults": 2 });
    let first = client.api_ok("ListImages", input.clone()).await;
    let seen = texts(&first["imageIds"], "/imageDigest");
    let delete = json!({ "repositoryName": "app", "imageIds": [{ "imageDigest": seen[1] }] });
    client.api_ok("BatchDeleteImage", delete).await;
    let mut next = input;
    next["nextToken"] = first["nextToken"].clone();
    let second = client.api_ok("ListImages", next).await;
    assert_eq!(texts(&second["imageIds"], "/imageDigest").len(), 2);
    registry.stop().await;
}
