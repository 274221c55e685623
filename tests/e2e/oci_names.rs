//! Repository names that look like parts of a path, and those that are none.

use ironwharf_tests::{Image, Registry};
use serde_json::json;

/// The whole life of an image under every awkward name.
#[tokio::test]
async fn repositories_may_be_called_like_path_components() {
    let registry = Registry::start().await;
    let client = registry.client();
    let names = [
        "tags",
        "blobs",
        "manifests",
        "uploads",
        "referrers",
        "v2",
        "list",
        "latest",
        "catalog",
        "healthz",
        "tags/list",
        "blobs/uploads",
        "manifests/latest",
        "uploads/blobs",
        "v2/v2",
        "a/tags",
        "a/blobs/uploads/b",
        "a0__b/c--d/e.f",
        "00",
    ];
    for name in names {
        println!("{name}");
        let image = Image::new(name);
        let upload = client.start_upload(name).await;
        client.oci("PATCH", &upload).body(image.blobs[0].clone()).send().await.expect_status(202);
        client.oci("GET", &upload).send().await.expect_status(204);
        let digest = &image.blob_digests()[0];
        client.oci("PUT", &format!("{upload}?digest={digest}")).send().await.expect_status(201);
        for tag in ["list", "uploads"] {
            client.push_image(name, tag, &image).await;
            client.expect_image(name, tag, &image).await;
        }
        assert_eq!(client.tags(name).await, ["list", "uploads"]);
        let artifact = Image::artifact("application/x", &image, name);
        client.push_image(name, &artifact.digest, &artifact).await;
        let referrers = client.oci("GET", &format!("/v2/{name}/referrers/{}", image.digest)).send().await;
        assert_eq!(referrers.expect_status(200).json()["manifests"][0]["digest"], artifact.digest);
        let mount = format!("/v2/{name}-copy/blobs/uploads/?mount={digest}&from={}", name.replace('/', "%2F"));
        client.oci("POST", &mount).send().await.expect_status(201);
        let described = client.api_ok("DescribeImages", json!({ "repositoryName": name })).await;
        assert_eq!(described["imageDetails"].as_array().map(Vec::len), Some(2));
        client.oci("DELETE", &format!("/v2/{name}/manifests/list")).send().await.expect_status(202);
        client.oci("DELETE", &format!("/v2/{name}/manifests/{}", image.digest)).send().await.expect_status(202);
        client.oci("DELETE", &format!("/v2/{name}/blobs/{digest}")).send().await.expect_status(202);
    }
    let catalog = client.oci("GET", "/v2/_catalog").send().await;
    assert_eq!(catalog.expect_status(200).json()["repositories"].as_array().map(Vec::len), Some(2 * names.len()));
    registry.stop().await;
}

/// A bad name is refused before anything is looked up or made of it.
#[tokio::test]
async fn names_that_are_none_are_refused_everywhere() {
    let registry = Registry::start().await;
    let client = registry.client();
    let digest = crate::words::unknown_digest();
    let (long, long_path) = ("a".repeat(300), "a/".repeat(150) + "a");
    for name in [
        "a", "A/b", "Team", "..", ".", "../etc", "a/../b", "a//b", "a/", "/a", "_uploads", "a_", "-a", "a-", "a..b",
        "a___b", "a.-b", "%2e%2e", "a%2Fb", "a%00b", "a%20b", "a:b", "a@b", "a~b", "a*b", "a$b", "a,b", &long,
        &long_path,
    ] {
        for (method, rest) in [
            ("GET", "tags/list".to_owned()),
            ("GET", "manifests/latest".to_owned()),
            ("HEAD", "manifests/latest".to_owned()),
            ("PUT", "manifests/latest".to_owned()),
            ("DELETE", format!("manifests/{digest}")),
            ("GET", format!("blobs/{digest}")),
            ("HEAD", format!("blobs/{digest}")),
            ("DELETE", format!("blobs/{digest}")),
            ("POST", "blobs/uploads/".to_owned()),
            ("POST", format!("blobs/uploads/?mount={digest}")),
            ("PATCH", "blobs/uploads/01234567-89ab-4def-8123-456789abcdef".to_owned()),
            ("GET", format!("referrers/{digest}")),
        ] {
            let path = format!("/v2/{name}/{rest}");
            println!("{method} {path}");
            let reply = client.oci(method, &path).body("x").send().await;
            if method == "HEAD" {
                reply.expect_status(400);
            } else {
                reply.expect_oci_error(400, "NAME_INVALID");
            }
        }
    }
    assert_eq!(client.oci("GET", "/v2/_catalog").send().await.json()["repositories"], json!([]));
    registry.stop().await;
}

#[tokio::test]
async fn tags_that_are_none_are_refused() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("tagged");
    let longest = "t".repeat(128);
    client.push_image("app", &longest, &image).await;
    client.expect_image("app", &longest, &image).await;
    let digest = &image.digest;
    for (reference, code) in [
        (".hidden", "TAG_INVALID"),
        ("-dash", "TAG_INVALID"),
        (&"t".repeat(129), "TAG_INVALID"),
        (&"t".repeat(5000), "TAG_INVALID"),
        ("a@b", "TAG_INVALID"),
        ("a~b", "TAG_INVALID"),
        ("a*", "TAG_INVALID"),
        ("a+b", "TAG_INVALID"),
        ("latest:", "DIGEST_INVALID"),
        ("sha256:", "DIGEST_INVALID"),
        ("sha256:abc", "DIGEST_INVALID"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"),
        (&digest.to_uppercase(), "DIGEST_INVALID"),
        (&digest.replace("sha256", "SHA256"), "DIGEST_INVALID"),
        (&digest.replace("sha256", "sha512"), "DIGEST_INVALID"),
        (&format!("{digest}0"), "DIGEST_INVALID"),
        ("..", "TAG_INVALID"),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let path = format!("/v2/app/manifests/{reference}");
            println!("{method} {path}");
            let call = client.oci(method, &path).header("content-type", image.media_type).body(image.manifest.clone());
            call.send().await.expect_oci_error(400, code);
        }
        client.oci("HEAD", &format!("/v2/app/manifests/{reference}")).send().await.expect_status(400);
    }
    assert_eq!(client.tags("app").await, [longest]);
    registry.stop().await;
}
