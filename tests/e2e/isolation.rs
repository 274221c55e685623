//! Two tenants that share digests: nothing of one shows to the other, not even
//! that it is there.
//!
//! Every attempt is made twice, on what the other tenant has and on what nobody
//! has, and the two answers have to be the same but for the names that were sent.

use ironwharf_tests::images::OCI_MANIFEST;
use ironwharf_tests::{Client, Image, Registry, digest_of};
use serde_json::{Value, json};

const A: &str = "111111111111";
const B: &str = "222222222222";

/// How many attempts are made.
const ATTEMPTS: u64 = 300;

/// Xorshift: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("small")
    }

    fn of<'a>(&mut self, among: &'a [&'a str]) -> &'a str {
        among[self.below(among.len())]
    }
}

/// What an attempt is about: what the other tenant has, or what nobody has.
struct Target {
    repository: &'static str,
    manifest: String,
    blob: String,
    upload: String,
    tag: &'static str,
}

impl Target {
    /// An answer without what was sent.
    fn without_names(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, stands_for) in [(&self.manifest, "MANIFEST"), (&self.blob, "BLOB"), (&self.upload, "UPLOAD")] {
            text = text.replace(name.as_str(), stands_for);
        }
        text.replace(self.repository, "REPOSITORY").replace(self.tag, "TAG")
    }
}

/// One attempt, by its number; its answer without what was sent.
async fn attempt(who: &Client, token: &str, kind: usize, own: &str, target: &Target) -> String {
    let Target { repository, manifest, blob, upload, tag } = target;
    let oci = |method: &'static str, path: String, body: String| async move {
        who.call(method, &path)
            .header("authorization", token)
            .header("content-type", OCI_MANIFEST)
            .body(body)
            .send()
            .await
    };
    let api = |operation: &'static str, input: Value| async move { who.api(operation, input).await };
    let needs_blob = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": blob, "size": 10 },
        "layers": [],
    })
    .to_string();
    let id = json!([{ "imageDigest": manifest }]);
    let none = String::new();
    let reply = match kind {
        0 => oci("GET", format!("/v2/{own}/manifests/{manifest}"), none).await,
        1 => oci("HEAD", format!("/v2/{own}/manifests/{manifest}"), none).await,
        2 => oci("GET", format!("/v2/{own}/blobs/{blob}"), none).await,
        3 => oci("HEAD", format!("/v2/{own}/blobs/{blob}"), none).await,
        4 => oci("GET", format!("/v2/{repository}/manifests/{tag}"), none).await,
        5 => oci("GET", format!("/v2/{repository}/tags/list"), none).await,
        6 => oci("GET", format!("/v2/{own}/referrers/{manifest}"), none).await,
        7 => oci("PUT", format!("/v2/{own}/manifests/stolen"), needs_blob).await,
        8 => oci("PATCH", format!("/v2/{own}/blobs/uploads/{upload}"), "bytes".to_owned()).await,
        9 => oci("PUT", format!("/v2/{own}/blobs/uploads/{upload}?digest={blob}"), none).await,
        10 => oci("GET", format!("/v2/{own}/blobs/uploads/{upload}"), none).await,
        11 => oci("DELETE", format!("/v2/{own}/blobs/uploads/{upload}"), none).await,
        12 => oci("DELETE", format!("/v2/{own}/manifests/{manifest}"), none).await,
        13 => oci("DELETE", format!("/v2/{own}/blobs/{blob}"), none).await,
        14 => api("BatchGetImage", json!({ "repositoryName": own, "imageIds": id })).await,
        15 => api("DescribeImages", json!({ "repositoryName": own, "imageIds": id })).await,
        16 => api("BatchCheckLayerAvailability", json!({ "repositoryName": own, "layerDigests": [blob] })).await,
        17 => api("GetDownloadUrlForLayer", json!({ "repositoryName": own, "layerDigest": blob })).await,
        18 => {
            api("PutImage", json!({ "repositoryName": own, "imageManifest": needs_blob, "imageTag": "stolen" })).await
        }
        19 => api("DescribeRepositories", json!({ "repositoryNames": [repository] })).await,
        20 => api("DescribeRepositories", json!({ "registryId": A, "repositoryNames": [repository] })).await,
        21 => api("ListImages", json!({ "registryId": A, "repositoryName": repository })).await,
        22 => api("BatchGetImage", json!({ "registryId": A, "repositoryName": repository, "imageIds": id })).await,
        23 => api("GetRepositoryPolicy", json!({ "registryId": A, "repositoryName": repository })).await,
        24 => api("DeleteRepository", json!({ "registryId": A, "repositoryName": repository, "force": true })).await,
        // A mount that finds nothing starts an upload, which has a new id each time.
        25 | 26 => {
            let from = if kind == 25 { format!("&from={repository}") } else { String::new() };
            let path = format!("/v2/{own}/blobs/uploads/?mount={blob}{from}");
            let reply = oci("POST", path, none).await;
            return format!("{} {}", reply.status, reply.find_header("docker-content-digest").unwrap_or("none"));
        }
        _ => unreachable!("there are {KINDS} kinds"),
    };
    let length = reply.find_header("content-length").filter(|_| kind == 1 || kind == 3).unwrap_or_default();
    target.without_names(&format!("{} {length} {}", reply.status, reply.text()))
}

const KINDS: usize = 27;

#[tokio::test]
async fn nothing_of_one_tenant_shows_to_another() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    let (shared, secret) = (Image::new("shared by both"), Image::new("of the first alone"));
    for client in [&a, &b] {
        client.push_image("app", "latest", &shared).await;
    }
    a.push_image("secret/plans", "classified", &secret).await;
    a.push_image("app", "classified", &secret).await;
    let artifact = Image::artifact("application/vnd.example.note", &secret, "note");
    a.push_image("app", &artifact.digest, &artifact).await;
    let upload = a.start_upload("app").await.rsplit_once('/').expect("an id").1.to_owned();

    let theirs = Target {
        repository: "secret/plans",
        manifest: secret.digest.clone(),
        blob: secret.blob_digests()[1].clone(),
        upload,
        tag: "classified",
    };
    let nobodys = Target {
        repository: "absent/thing",
        manifest: digest_of(b"no manifest"),
        blob: digest_of(b"no blob"),
        upload: "01234567-89ab-8def-8123-456789abcdef".to_owned(),
        tag: "nothing-here",
    };
    // B's root, a user of B who may do all of it, and one who may do nothing.
    let everything =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } });
    let admin = b.new_user("admin", Some(&everything)).await;
    let clerk = b.new_user("clerk", Some(&everything)).await;
    let mut tokens = Vec::new();
    for client in [&b, &admin, &clerk] {
        let output = client.api_ok("GetAuthorizationToken", json!({ "registryIds": [B, A] })).await;
        for entry in output["authorizationData"].as_array().expect("a list") {
            tokens.push((client, format!("Basic {}", entry["authorizationToken"].as_str().expect("a token"))));
        }
    }
    b.iam_ok("DeleteUserPolicy", &[("UserName", "clerk"), ("PolicyName", "p")]).await;

    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for number in 0..ATTEMPTS {
        let (who, token) = &tokens[numbers.below(tokens.len())];
        let kind = numbers.below(KINDS);
        let own = numbers.of(&["app", "app", "other"]);
        let found = attempt(who, token, kind, own, &theirs).await;
        let not_there = attempt(who, token, kind, own, &nobodys).await;
        assert_eq!(found, not_there, "attempt {number}: kind {kind} in {own} by {}", who.key().access_key_id);
        assert!(!found.contains("of the first alone"), "attempt {number}: {found}");
    }

    // The other tenant's place in a listing is no place in one's own.
    let page = a.api_ok("DescribeRepositories", json!({ "maxResults": 1 })).await;
    let input = json!({ "maxResults": 1, "nextToken": page["nextToken"] });
    b.api("DescribeRepositories", input).await.expect_aws_error_code("InvalidParameterException");
    // A presigned URL is for one object, to be read.
    let blob = format!("/v2/app/blobs/{}", secret.blob_digests()[1]);
    let url = a.oci("GET", &blob).send().await.expect_status(307).header("location").to_owned();
    a.call("GET", &url).send().await.expect_status(200);
    let (path, query) = url.split_once('?').expect("a signature");
    for method in ["PUT", "DELETE", "POST"] {
        a.call(method, &url).body("x").send().await.expect_status(403);
    }
    for changed in [
        format!("{path}0?{query}"),
        format!("{}?{query}", path.replace(A, B)),
        path.to_owned(),
        format!("{path}?{}", query.replace("X-Amz-Expires=", "X-Amz-Expires=9")),
    ] {
        a.call("GET", &changed).send().await.expect_status(403);
    }

    a.expect_image("app", "classified", &secret).await;
    a.expect_image("secret/plans", "classified", &secret).await;
    for client in [&a, &b] {
        client.expect_image("app", "latest", &shared).await;
    }
    assert_eq!(a.tags("app").await, ["classified", "latest"]);
    assert_eq!(b.tags("app").await, ["latest"]);
    registry.stop().await;
}
