//! Tags, referrers and the catalog.

use ironwharf_tests::{Client, Image, Registry, Reply};
use serde_json::json;

use crate::words::{no_repository, texts, unknown_digest};

/// Follows `Link` to the end; the texts of each page.
async fn follow(client: &Client, path: &str, list: &str, pointer: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut path = path.to_owned();
    loop {
        let reply = client.oci("GET", &path).send().await;
        pages.push(texts(&reply.expect_status(200).json()[list], pointer));
        match next(&reply) {
            None => return pages,
            Some(next) => path = next,
        }
    }
}

/// The path of `Link: <path>; rel="next"`.
fn next(reply: &Reply) -> Option<String> {
    let link = reply.find_header("link")?;
    let path = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a Link");
    assert!(path.starts_with("/v2/"), "{path}");
    Some(path.to_owned())
}

#[tokio::test]
async fn tags_come_in_byte_order_and_pages() {
    let registry = Registry::start().await;
    let client = registry.client();
    let image = Image::new("tagged");
    client.push_image("app", "b", &image).await;
    // A tag that starts another one, upper case before lower, `-` before `.`.
    for tag in ["a", "ab", "a.b", "a-b", "_", "B", "1", "v1.10", "v1.9", "z"] {
        client.push_manifest("app", tag, &image).await;
    }
    let sorted = ["1", "B", "_", "a", "a-b", "a.b", "ab", "b", "v1.10", "v1.9", "z"];
    let path = "/v2/app/tags/list";
    for (query, pages) in [
        ("", vec![&sorted[..]]),
        ("?n=11", vec![&sorted[..]]),
        ("?n=1000000000", vec![&sorted[..]]),
        ("?n=99999999999999999999999", vec![&sorted[..]]),
        ("?n=4", vec![&sorted[..4], &sorted[4..8], &sorted[8..]]),
        ("?n=5&last=a", vec![&sorted[4..9], &sorted[9..]]),
        ("?last=a", vec![&sorted[4..]]),
        ("?last=aa", vec![&sorted[6..]]),
        ("?last=zz", vec![&[][..]]),
        ("?last=", vec![&sorted[..]]),
        ("?n=0", vec![&[][..]]),
        ("?last=%00", vec![&sorted[..]]),
    ] {
        let found = follow(&client, &format!("{path}{query}"), "tags", "").await;
        assert_eq!(found, pages, "{query}");
    }
    for (query, code) in [
        ("?n=-1", "PAGINATION_NUMBER_INVALID"),
        ("?n=", "PAGINATION_NUMBER_INVALID"),
        ("?n=x", "PAGINATION_NUMBER_INVALID"),
        ("?n=1.5", "PAGINATION_NUMBER_INVALID"),
        ("?n=+1", "PAGINATION_NUMBER_INVALID"),
        ("?n=1&n=2", "UNSUPPORTED"),
        ("?last=%zz", "UNSUPPORTED"),
    ] {
        for path in [path, "/v2/_catalog", &format!("/v2/app/referrers/{}", image.digest)] {
            client.oci("GET", &format!("{path}{query}")).send().await.expect_oci_error(400, code);
        }
    }
    let missing = client.oci("GET", "/v2/nothing/tags/list").send().await;
    missing.expect_oci_error(404, "NAME_UNKNOWN");
    assert_eq!(missing.json()["errors"][0]["message"], no_repository("nothing"));
    registry.stop().await;
}

#[tokio::test]
async fn the_catalog_lists_repositories_in_pages() {
    let registry = Registry::start().await;
    let client = registry.client();
    for name in ["zoo", "app", "app/sub", "app-2", "app2"] {
        client.api_ok("CreateRepository", json!({ "repositoryName": name })).await;
    }
    let sorted = ["app", "app-2", "app/sub", "app2", "zoo"];
    for (query, pages) in [
        ("", vec![&sorted[..]]),
        ("?n=2", vec![&sorted[..2], &sorted[2..4], &sorted[4..]]),
        ("?n=3&last=app", vec![&sorted[1..4], &sorted[4..]]),
        ("?n=1000000000", vec![&sorted[..]]),
        ("?n=0", vec![&[][..]]),
    ] {
        let found = follow(&client, &format!("/v2/_catalog{query}"), "repositories", "").await;
        assert_eq!(found, pages, "{query}");
    }
    registry.stop().await;
}

#[tokio::test]
async fn referrers_are_listed_filtered_and_paged() {
    let registry = Registry::start().await;
    let client = registry.client();
    let subject = Image::new("subject");
    client.push_image("app", "latest", &subject).await;
    let (sbom, signature) = ("application/vnd.example.sbom+json", "application/vnd.example.signature");
    let mut artifacts: Vec<Image> = (0..7)
        .map(|number| Image::artifact(if number % 2 == 0 { sbom } else { signature }, &subject, &number.to_string()))
        .collect();
    for (number, artifact) in artifacts.iter().enumerate() {
        // Tagged or not makes no difference.
        let reference = if number < 3 { format!("tag-{number}") } else { artifact.digest.clone() };
        client.push_image("app", &reference, artifact).await;
    }
    artifacts.sort_by(|left, right| left.digest.cmp(&right.digest));
    let digests: Vec<String> = artifacts.iter().map(|artifact| artifact.digest.clone()).collect();
    let path = format!("/v2/app/referrers/{}", subject.digest);

    let reply = client.oci("GET", &path).send().await;
    assert_eq!(reply.header("content-type"), ironwharf_tests::images::OCI_INDEX);
    assert_eq!(reply.find_header("oci-filters-applied"), None);
    let body = reply.expect_status(200).json();
    assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&json!(2), &json!(ironwharf_tests::images::OCI_INDEX)));
    let first = &artifacts[0];
    let expected = json!({
        "mediaType": first.media_type,
        "digest": first.digest,
        "size": first.manifest.len(),
        "artifactType": first.json()["artifactType"],
        "annotations": first.json()["annotations"],
    });
    assert_eq!(body["manifests"][0], expected);

    for size in [1, 2, 3, 7, 8] {
        let pages = follow(&client, &format!("{path}?n={size}"), "manifests", "/digest").await;
        assert_eq!(pages.concat(), digests, "n={size}");
        assert!(pages.iter().all(|page| page.len() <= size));
    }
    for (wanted, encoded) in [(sbom, "application%2Fvnd.example.sbom%2Bjson"), (signature, signature)] {
        let matching: Vec<String> = artifacts
            .iter()
            .filter(|artifact| artifact.json()["artifactType"] == wanted)
            .map(|artifact| artifact.digest.clone())
            .collect();
        for query in [format!("?artifactType={encoded}"), format!("?artifactType={encoded}&n=2")] {
            let pages = follow(&client, &format!("{path}{query}"), "manifests", "/digest").await;
            assert_eq!(pages.concat(), matching, "{query}");
        }
        let reply = client.oci("GET", &format!("{path}?artifactType={encoded}")).send().await;
        assert_eq!(reply.header("oci-filters-applied"), "artifactType");
    }
    let none = client.oci("GET", &format!("{path}?artifactType=application%2Fnothing")).send().await;
    assert_eq!(none.expect_status(200).json()["manifests"], json!([]));

    // They outlive their subject, and each goes when it is deleted itself.
    client.oci("DELETE", &format!("/v2/app/manifests/{}", subject.digest)).send().await.expect_status(202);
    assert_eq!(follow(&client, &path, "manifests", "/digest").await.concat(), digests);
    client.oci("DELETE", &format!("/v2/app/manifests/{}", digests[0])).send().await.expect_status(202);
    assert_eq!(follow(&client, &path, "manifests", "/digest").await.concat(), digests[1..]);
    registry.stop().await;
}

#[tokio::test]
async fn referrers_of_what_is_not_there_are_none() {
    let registry = Registry::start().await;
    let client = registry.client();
    client.push_blob("app", "x").await;
    for name in ["app", "nothing"] {
        let reply = client.oci("GET", &format!("/v2/{name}/referrers/{}", unknown_digest())).send().await;
        assert_eq!(reply.expect_status(200).json()["manifests"], json!([]));
    }
    for digest in ["latest", "sha256:abc", &unknown_digest().to_uppercase()] {
        let reply = client.oci("GET", &format!("/v2/app/referrers/{digest}")).send().await;
        reply.expect_oci_error(400, "DIGEST_INVALID");
    }
    registry.stop().await;
}

/// An artifact says at once whose referrer it is, before the subject exists.
#[tokio::test]
async fn an_artifact_may_come_before_its_subject() {
    let registry = Registry::start().await;
    let client = registry.client();
    let subject = Image::new("late");
    let artifact = Image::artifact("application/x", &subject, "early");
    for blob in &artifact.blobs {
        client.push_blob("app", blob.clone()).await;
    }
    for reference in ["tag", artifact.digest.as_str()] {
        let reply = client.put_manifest("app", reference, artifact.media_type, artifact.manifest.clone()).await;
        assert_eq!(reply.expect_status(201).header("oci-subject"), subject.digest);
    }
    let path = format!("/v2/app/referrers/{}", subject.digest);
    assert_eq!(follow(&client, &path, "manifests", "/digest").await.concat(), [artifact.digest.as_str()]);
    client.push_image("app", "late", &subject).await;
    assert_eq!(follow(&client, &path, "manifests", "/digest").await.concat(), [artifact.digest.as_str()]);
    // Those of one repository are not those of another.
    client.push_image("other", "late", &subject).await;
    let reply = client.oci("GET", &format!("/v2/other/referrers/{}", subject.digest)).send().await;
    assert_eq!(reply.expect_status(200).json()["manifests"], json!([]));
    registry.stop().await;
}
