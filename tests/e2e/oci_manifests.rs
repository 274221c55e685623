//! Manifests through the data plane.

use ironwharf_tests::images::{
    DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, descriptor, sha512_of,
};
use ironwharf_tests::{Image, Registry, digest_of};
use serde_json::{Value, json};

use crate::words::{no_children, no_layers, texts, unknown_digest};

/// A manifest that is too large for a table row is kept as an object.
#[tokio::test]
async fn a_large_manifest_is_a_manifest_like_any_other() {
    let registry = Registry::start().await;
    let client = registry.client();
    let small = Image::new("small");
    client.push_image("app", "small", &small).await;
    for length in [349_000, 351_000, 600_000, 4_000_000] {
        let mut manifest = small.json();
        manifest["annotations"] = json!({ "long": "x".repeat(length) });
        let large = Image { blobs: small.blobs.clone(), ..Image::from_json(&manifest) };
        client.push_manifest("app", "large", &large).await;
        client.push_manifest("app", "second", &large).await;
        for reference in ["large", "second", large.digest.as_str()] {
            client.expect_image("app", reference, &large).await;
            let head = client.oci("HEAD", &format!("/v2/app/manifests/{reference}")).send().await;
            assert_eq!(head.expect_status(200).header("content-length"), large.manifest.len().to_string());
        }
        let input = json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "large" }] });
        let output = client.api_ok("BatchGetImage", input).await;
        assert!(output["images"][0]["imageManifest"] == large.text());

        // Moved away and back, deleted by tag, by digest, and pushed again.
        client.push_manifest("app", "large", &small).await;
        client.expect_image("app", "second", &large).await;
        client.push_manifest("app", "large", &large).await;
        client.oci("DELETE", "/v2/app/manifests/large").send().await.expect_status(202);
        client.expect_image("app", "second", &large).await;
        client.oci("DELETE", &format!("/v2/app/manifests/{}", large.digest)).send().await.expect_status(202);
        client.get_manifest("app", "second").await.expect_oci_error(404, "MANIFEST_UNKNOWN");
        client.push_manifest("app", "large", &large).await;
        client.expect_image("app", "large", &large).await;
        client.oci("DELETE", &format!("/v2/app/manifests/{}", large.digest)).send().await.expect_status(202);
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_tag_is_deleted_alone_and_a_digest_with_its_tags() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("deleted");
    client.push_image("app", "one", &image).await;
    client.push_manifest("app", "two", &image).await;
    client.oci("DELETE", "/v2/app/manifests/one").send().await.expect_status(202);
    client.get_manifest("app", "one").await.expect_oci_error(404, "MANIFEST_UNKNOWN");
    client.oci("DELETE", "/v2/app/manifests/one").send().await.expect_oci_error(404, "MANIFEST_UNKNOWN");
    client.expect_image("app", "two", &image).await;
    // Unlike BatchDeleteImage, OCI's deletion of the last tag leaves the image.
    client.oci("DELETE", "/v2/app/manifests/two").send().await.expect_status(202);
    client.expect_image("app", &image.digest, &image).await;
    client.push_manifest("app", "three", &image).await;
    let by_digest = format!("/v2/app/manifests/{}", image.digest);
    client.oci("DELETE", &by_digest).send().await.expect_status(202);
    client.oci("DELETE", &by_digest).send().await.expect_oci_error(404, "MANIFEST_UNKNOWN");
    client.get_manifest("app", "three").await.expect_oci_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(client.tags("app").await, Vec::<String>::new());
    client.push_manifest("app", "four", &image).await;
    client.expect_image("app", "four", &image).await;
    for reference in ["latest", &image.digest] {
        let path = format!("/v2/nothing/manifests/{reference}");
        client.oci("DELETE", &path).send().await.expect_oci_error(404, "NAME_UNKNOWN");
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_manifest_needs_what_it_lists() {
    let registry = Registry::start().await;
    let client = registry.client();
    let (image, elsewhere) = (Image::new("here"), Image::new("elsewhere"));
    client.push_image("app", "latest", &image).await;
    client.push_image("other", "latest", &elsewhere).await;
    let put = async |image: &Image| client.put_manifest("app", "new", image.media_type, image.manifest.clone()).await;
    let message =
        |reply: &ironwharf_tests::Reply| reply.json()["errors"][0]["message"].as_str().expect("text").to_owned();

    // The blobs and images of another repository are not this one's.
    let reply = put(&elsewhere).await;
    reply.expect_oci_error(400, "MANIFEST_BLOB_UNKNOWN");
    let missing = elsewhere.blob_digests();
    assert_eq!(message(&reply), no_layers("app", &[&missing[0], &missing[1]]));
    let reply = put(&Image::index(&[&image, &elsewhere])).await;
    reply.expect_oci_error(400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(message(&reply), no_children("app", &[&elsewhere.digest]));
    // A blob that was deleted is missing again.
    let loose = client.push_blob("app", "loose").await;
    let with_loose = Image::of(vec![image.blobs[0].clone(), "loose".into()]);
    client.oci("DELETE", &format!("/v2/app/blobs/{loose}")).send().await.expect_status(202);
    assert_eq!(message(&put(&with_loose).await), no_layers("app", &[&loose]));
    client.get_manifest("app", "new").await.expect_oci_error(404, "MANIFEST_UNKNOWN");
    // What failed holds on to nothing.
    client.oci("DELETE", &format!("/v2/app/manifests/{}", image.digest)).send().await.expect_status(202);
    for digest in image.blob_digests() {
        client.oci("DELETE", &format!("/v2/app/blobs/{digest}")).send().await.expect_status(202);
    }
    registry.stop().await;
}

/// What clients of another format push, and what is odd but allowed.
#[tokio::test]
async fn every_format_is_kept_as_it_is() {
    let registry = Registry::start().await;
    let client = registry.client();
    let base = Image::new("base");
    client.push_image("app", "base", &base).await;
    let (config, layer) = (&base.json()["config"], &base.json()["layers"][0]);
    let foreign = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": unknown_digest(), "size": 1, "urls": ["https://example.com/layer"],
    });
    let image = |media_type: &str, extra: Value| {
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer] });
        manifest.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        Image::from_json(&manifest)
    };
    let index = |media_type: &str, manifests: Value| {
        Image::from_json(&json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests }))
    };
    let docker = image(DOCKER_MANIFEST, json!({}));
    let inner = index(OCI_INDEX, json!([base.descriptor()]));
    for (number, image) in [
        docker.clone(),
        index(DOCKER_LIST, json!([docker.descriptor()])),
        inner.clone(),
        index(OCI_INDEX, json!([inner.descriptor(), base.descriptor()])),
        index(OCI_INDEX, json!([])),
        image(OCI_MANIFEST, json!({ "layers": [] })),
        image(OCI_MANIFEST, json!({ "layers": [layer, foreign] })),
        image(OCI_MANIFEST, json!({ "layers": null, "annotations": null, "subject": null })),
        image(OCI_MANIFEST, json!({ "unknown": { "deep": [1, { "x": null }] } })),
        image(OCI_MANIFEST, json!({ "artifactType": "application/x; version=1" })),
        image(OCI_MANIFEST, json!({ "subject": base.descriptor() })),
    ]
    .into_iter()
    .enumerate()
    {
        println!("{}", image.text());
        let tag = format!("t{number}");
        client.push_manifest("app", &tag, &image).await;
        client.expect_image("app", &tag, &image).await;
    }
    // The type comes from the request if the manifest has none, with or without parameters.
    let untyped = json!({ "schemaVersion": 2, "config": config, "layers": [layer] }).to_string();
    for (content_type, stored) in
        [(OCI_MANIFEST.to_owned(), OCI_MANIFEST), (format!("{DOCKER_MANIFEST}; charset=utf-8"), DOCKER_MANIFEST)]
    {
        // One digest has one type: the first push decides.
        client.oci("DELETE", &format!("/v2/app/manifests/{}", digest_of(untyped.as_bytes()))).send().await;
        client.put_manifest("app", "untyped", &content_type, untyped.clone()).await.expect_status(201);
        assert_eq!(client.get_manifest("app", "untyped").await.expect_status(200).header("content-type"), stored);
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_push_by_digest_gives_the_tags_it_is_asked_for() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("tagged");
    client.push_image("app", "latest", &image).await;
    let manifest =
        Image::from_json(&json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image.descriptor()] }));
    let put = async |digest: &str, query: &str| {
        client.put_manifest("app", &format!("{digest}{query}"), manifest.media_type, manifest.manifest.clone()).await
    };
    for (digest, query, tags) in [
        (manifest.digest.clone(), "", &[][..]),
        (manifest.digest.clone(), "?tag=one", &["one"]),
        (manifest.digest.clone(), "?tag=two&tag=three", &["two", "three"]),
        (sha512_of(&manifest.manifest), "?tag=four&tag=one", &["four", "one"]),
    ] {
        let reply = put(&digest, query).await;
        assert_eq!(reply.expect_status(201).header("docker-content-digest"), digest);
        let given: Vec<&str> = reply.headers.get_all("oci-tag").iter().map(|tag| tag.to_str().expect("text")).collect();
        assert_eq!(given, tags);
        for reference in tags.iter().copied().chain([digest.as_str()]) {
            let reply = client.get_manifest("app", reference).await;
            assert_eq!(reply.expect_status(200).header("docker-content-digest"), digest);
            assert_eq!(reply.body, manifest.manifest);
        }
    }
    let many = (0..11).map(|number| format!("tag=many-{number}")).collect::<Vec<_>>().join("&");
    for (query, code) in [
        ("?tag=.bad", "TAG_INVALID"),
        ("?tag=", "TAG_INVALID"),
        (&format!("?{many}"), "UNSUPPORTED"),
        ("?tag=good&tag=..%2Fbad", "TAG_INVALID"),
    ] {
        println!("{query}");
        put(&manifest.digest, query).await.expect_oci_error(400, code);
    }
    assert_eq!(
        client.tags("app").await,
        ["four", "latest", "one", "three", "two"],
        "nothing of a refused push is there"
    );
    registry.stop().await;
}

/// One tag that may not move refuses the push before any other tag moved.
#[tokio::test]
async fn tags_of_one_push_are_checked_before_any_is_given() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.api_ok("CreateRepository", json!({ "repositoryName": "app", "imageTagMutability": "IMMUTABLE" })).await;
    let (old, new) = (Image::new("old"), Image::new("new"));
    client.push_image("app", "taken", &old).await;
    for blob in &new.blobs {
        client.push_blob("app", blob.clone()).await;
    }
    let reference = format!("{}?tag=free&tag=taken", new.digest);
    let reply = client.put_manifest("app", &reference, new.media_type, new.manifest.clone()).await;
    reply.expect_oci_error(400, "TAG_INVALID");
    assert_eq!(client.tags("app").await, ["taken"]);
    client.expect_image("app", "taken", &old).await;
    registry.stop().await;
}

#[tokio::test]
async fn bad_manifests_are_refused() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("good");
    client.push_image("app", "good", &image).await;
    let good = image.json();
    let with = |member: &str, value: Value| {
        let mut manifest = good.clone();
        manifest[member] = value;
        manifest.to_string()
    };
    let descriptors = |count: usize| vec![descriptor(OCI_LAYER, &image.blobs[1]); count];
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    let text = image.text();
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "MANIFEST_INVALID"),
        ("null".into(), "MANIFEST_INVALID"),
        ("{".into(), "MANIFEST_INVALID"),
        (format!("{text}x"), "MANIFEST_INVALID"),
        (format!("\u{feff}{text}"), "MANIFEST_INVALID"),
        (text.replacen('{', "{\"schemaVersion\":2,", 1), "MANIFEST_INVALID"),
        (text.replacen('{', "{\"schema\\u0056ersion\":2,", 1), "MANIFEST_INVALID"),
        (text.replacen('{', &format!("{{\"deep\":{deep},"), 1), "MANIFEST_INVALID"),
        (text.replacen('{', &format!("{{\"many\":[{}0],", "0,".repeat(1 << 19)), 1), "MANIFEST_INVALID"),
        (text.replacen('{', "{\"n\":NaN,", 1), "MANIFEST_INVALID"),
        (with("schemaVersion", json!(1)), "MANIFEST_INVALID"),
        (with("schemaVersion", json!("2")), "MANIFEST_INVALID"),
        (with("mediaType", json!("text/plain")), "MANIFEST_INVALID"),
        (with("mediaType", json!(5)), "MANIFEST_INVALID"),
        (with("mediaType", json!(OCI_INDEX)), "MANIFEST_INVALID"),
        (with("manifests", json!([])), "MANIFEST_INVALID"),
        (with("config", json!(null)), "MANIFEST_INVALID"),
        (with("config", json!({ "mediaType": OCI_CONFIG, "digest": "latest", "size": 1 })), "MANIFEST_INVALID"),
        (
            with("config", json!({ "mediaType": OCI_CONFIG, "digest": unknown_digest(), "size": -1 })),
            "MANIFEST_INVALID",
        ),
        (
            with("config", json!({ "mediaType": OCI_CONFIG, "digest": unknown_digest(), "size": 1e30 })),
            "MANIFEST_INVALID",
        ),
        (with("layers", json!({})), "MANIFEST_INVALID"),
        (with("layers", json!([null])), "MANIFEST_INVALID"),
        (with("layers", json!(descriptors(1001))), "MANIFEST_INVALID"),
        (with("subject", json!("sha256:x")), "MANIFEST_INVALID"),
        (with("annotations", json!({ "a": 1 })), "MANIFEST_INVALID"),
        (
            with("layers", json!([{ "mediaType": OCI_LAYER, "digest": image.blob_digests()[1], "size": 3 }])),
            "SIZE_INVALID",
        ),
    ];
    for (manifest, code) in cases {
        println!("{manifest:.300}");
        for reference in ["new".to_owned(), digest_of(manifest.as_bytes())] {
            let reply = client.put_manifest("app", &reference, OCI_MANIFEST, manifest.clone()).await;
            reply.expect_oci_error(400, code);
        }
    }
    let large = with("annotations", json!({ "a": "x".repeat(4 * 1024 * 1024) }));
    for chunked in [false, true] {
        let call = client.oci("PUT", "/v2/app/manifests/new").header("content-type", OCI_MANIFEST);
        let call = if chunked { call.chunks(vec![large.clone().into()]) } else { call.body(large.clone()) };
        call.send().await.expect_oci_error(413, "SIZE_INVALID");
    }
    let not_utf8 = client.put_manifest("app", "new", OCI_MANIFEST, &b"{\"a\":\"\xff\"}"[..]).await;
    not_utf8.expect_oci_error(400, "MANIFEST_INVALID");
    for (content_type, code) in [("text/html", "MANIFEST_INVALID"), (OCI_INDEX, "MANIFEST_INVALID")] {
        client.put_manifest("app", "new", content_type, text.to_owned()).await.expect_oci_error(400, code);
    }
    let wrong = client.put_manifest("app", &unknown_digest(), OCI_MANIFEST, text.to_owned()).await;
    wrong.expect_oci_error(400, "DIGEST_INVALID");
    // As many layers as a manifest may have, and nothing of the above is there.
    let full = with("layers", json!(descriptors(1000)));
    client.put_manifest("app", "full", OCI_MANIFEST, full).await.expect_status(201);
    assert_eq!(client.tags("app").await, ["full", "good"]);
    registry.stop().await;
}

#[tokio::test]
async fn a_manifest_that_is_its_own_subject_is_only_listed() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("subject");
    client.push_image("app", "latest", &image).await;
    // No manifest can hold its own digest, but two can name a third in a ring
    // of claims; nothing follows them.
    let one = Image::artifact("application/x", &image, "one");
    let two = Image::artifact("application/x", &one, "two");
    for (tag, artifact) in [("one", &one), ("two", &two)] {
        client.push_image("app", tag, artifact).await;
    }
    let mut about_itself = two.json();
    about_itself["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": two.digest, "size": two.manifest.len() });
    let third = Image { blobs: two.blobs.clone(), ..Image::from_json(&about_itself) };
    client.push_manifest("app", "three", &third).await;
    let referrers = async |digest: &str| {
        let reply = client.oci("GET", &format!("/v2/app/referrers/{digest}")).send().await;
        texts(&reply.expect_status(200).json()["manifests"], "/digest")
    };
    assert_eq!(referrers(&image.digest).await, [one.digest.as_str()]);
    assert_eq!(referrers(&two.digest).await, [third.digest.as_str()]);
    registry.stop().await;
}
