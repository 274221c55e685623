//! Repositories under KMS keys: which keys there are, whose they are, and what
//! is on the disk.

use std::path::Path;

use ironwharf_local::test_app::TestApp;
use ironwharf_tests::{Client, Image, Registry, Reply};
use serde_json::{Value, json};

const A: &str = "111111111111";
const B: &str = "222222222222";

const MARKER: &str = "what only its readers may know";

async fn create(client: &Client, name: &str, configuration: Value) -> Reply {
    let input = json!({ "repositoryName": name, "encryptionConfiguration": configuration });
    client.api("CreateRepository", input).await
}

/// Creates a repository under a key; the key's ARN.
async fn create_under(client: &Client, name: &str, configuration: Value) -> String {
    let output = create(client, name, configuration.clone()).await.expect_status(200).json();
    let answered = &output["repository"]["encryptionConfiguration"];
    assert_eq!(answered["encryptionType"], configuration["encryptionType"]);
    let described = client.api_ok("DescribeRepositories", json!({ "repositoryNames": [name] })).await;
    assert_eq!(&described["repositories"][0]["encryptionConfiguration"], answered);
    answered["kmsKey"].as_str().expect("an ARN").to_owned()
}

/// Makes a key of an account; its ARN.
async fn new_key(operator: &Client, account: &str, alias: Option<&str>) -> String {
    let mut input = json!({ "accountId": account, "description": "for tests" });
    if let Some(alias) = alias {
        input["alias"] = json!(alias);
    }
    let output = operator.operator("CreateKey", input).await.expect_status(200).json();
    output["key"]["keyArn"].as_str().expect("an ARN").to_owned()
}

async fn set_key(operator: &Client, operation: &str, account: &str, key: &str) {
    operator.operator(operation, json!({ "accountId": account, "keyId": key })).await.expect_status(200);
}

/// Whether a text is in any file of a folder.
fn is_on_disk(dir: &Path, text: &str) -> bool {
    std::fs::read_dir(dir).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

/// An image with a small and a large layer and a manifest that is an object;
/// each has the marker in it.
fn marked_image(seed: &str) -> Image {
    let config = json!({ "architecture": "amd64", "os": "linux", "created_by": format!("{seed} {MARKER}") });
    let large = format!("{MARKER} {seed} {}", "0123456789abcdef".repeat(900_000));
    let image = Image::of(vec![config.to_string().into(), format!("{seed} {MARKER}").into(), large.into()]);
    let mut manifest = image.json();
    manifest["annotations"] = json!({ "padding": MARKER.repeat(13_000) });
    Image { blobs: image.blobs, ..Image::from_json(&manifest) }
}

#[tokio::test]
async fn each_type_has_its_key() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    let managed = create_under(&a, "managed", json!({ "encryptionType": "KMS" })).await;
    let start = format!("arn:aws:kms:{}:{}:key/", TestApp::REGION, TestApp::ACCOUNT);
    assert!(managed.starts_with(&start), "{managed}");
    assert_eq!(create_under(&a, "dsse", json!({ "encryptionType": "KMS_DSSE" })).await, managed);
    for (name, key) in [
        ("alias", "alias/aws/ecr".to_owned()),
        ("alias-arn", format!("arn:aws:kms:{}:{A}:alias/aws/ecr", TestApp::REGION)),
        ("arn", managed.clone()),
        ("id", managed.strip_prefix(&start).unwrap().to_owned()),
    ] {
        assert_eq!(create_under(&a, name, json!({ "encryptionType": "KMS", "kmsKey": key })).await, managed);
    }
    assert_ne!(create_under(&b, "managed", json!({ "encryptionType": "KMS" })).await, managed);
    let elsewhere = a.in_region("eu-west-1");
    assert!(create_under(&elsewhere, "new", json!({ "encryptionType": "KMS" })).await.contains(":eu-west-1:"));

    let own = new_key(&operator, A, Some("team")).await;
    for (name, key) in [
        ("own-arn", own.clone()),
        ("own-alias", "alias/team".to_owned()),
        ("own-alias-arn", format!("arn:aws:kms:{}:{A}:alias/team", TestApp::REGION)),
        ("own-id", own.strip_prefix(&start).unwrap().to_owned()),
    ] {
        assert_eq!(create_under(&a, name, json!({ "encryptionType": "KMS", "kmsKey": key })).await, own);
    }
    let plain = create(&a, "plain", json!({ "encryptionType": "AES256" })).await.expect_status(200).json();
    assert_eq!(plain["repository"]["encryptionConfiguration"], json!({ "encryptionType": "AES256" }));

    let listed = operator.operator("ListKeys", json!({ "accountId": A })).await.expect_status(200).json();
    let mut keys: Vec<(&str, &Value)> = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["keyArn"].as_str().unwrap(), &key["aliases"]))
        .collect();
    keys.sort_by_key(|(_, aliases)| aliases.to_string());
    assert_eq!(keys, [(managed.as_str(), &json!(["alias/aws/ecr"])), (own.as_str(), &json!(["alias/team"]))]);
    registry.stop().await;
}

#[tokio::test]
async fn a_key_that_is_not_ones_own_is_not_there() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    let foreign = new_key(&operator, B, Some("team")).await;
    let foreign_managed = create_under(&b, "managed", json!({ "encryptionType": "KMS" })).await;
    let disabled_foreign = new_key(&operator, B, None).await;
    set_key(&operator, "DisableKey", B, &disabled_foreign).await;
    let place = |account: &str| format!("arn:aws:kms:{}:{account}", TestApp::REGION);
    let absent = "01234567-89ab-4def-8123-456789abcdef";
    for key in [
        absent.to_owned(),
        format!("{}:key/{absent}", place(TestApp::ACCOUNT)),
        format!("{}:key/{absent}", place(A)),
        "alias/nothing".to_owned(),
        // Another tenant's, by every name it has.
        foreign.clone(),
        foreign.rsplit('/').next().unwrap().to_owned(),
        "alias/team".to_owned(),
        format!("alias/ironwharf/{B}/team"),
        format!("alias/ironwharf/{B}/ecr"),
        format!("{}:alias/team", place(B)),
        format!("{}:alias/aws/ecr", place(B)),
        format!("{}:alias/ironwharf/{B}/team", place(TestApp::ACCOUNT)),
        foreign_managed.clone(),
        disabled_foreign.clone(),
        // The deployment's own.
        "alias/ironwharf".to_owned(),
        format!("{}:alias/ironwharf", place(TestApp::ACCOUNT)),
        format!("arn:aws:kms:eu-west-1:{A}:alias/aws/ecr"),
        "alias/aws/s3".to_owned(),
    ] {
        let refused = create(&a, "new", json!({ "encryptionType": "KMS", "kmsKey": key })).await;
        refused.expect_aws_error("KmsException", &format!("Key '{key}' does not exist"));
        assert_eq!(refused.json()["kmsError"], "NotFoundException");
    }
    for key in ["x", "alias/", "alias/a b", "arn:aws:kms:us-east-1:1:key/x", "arn:aws:s3:::bucket", "../x"] {
        let refused = create(&a, "new", json!({ "encryptionType": "KMS", "kmsKey": key })).await;
        refused.expect_aws_error_code("InvalidParameterException");
        assert!(refused.text().contains("kmsKey"), "{}", refused.text());
    }
    for configuration in [
        json!({ "encryptionType": "AES256", "kmsKey": foreign }),
        json!({ "encryptionType": "ROT13" }),
        json!({ "encryptionType": "KMS", "kmsKey": "" }),
    ] {
        create(&a, "new", configuration).await.expect_aws_error_code("InvalidParameterException");
    }
    // The operator's own account may not use what is not tagged as its own either.
    let refused = create(&operator, "new", json!({ "encryptionType": "KMS", "kmsKey": "alias/ironwharf" })).await;
    refused.expect_aws_error_code("KmsException");
    create_under(&operator, "new", json!({ "encryptionType": "KMS" })).await;

    let own = new_key(&operator, A, None).await;
    set_key(&operator, "DisableKey", A, &own).await;
    let refused = create(&a, "new", json!({ "encryptionType": "KMS", "kmsKey": own })).await;
    refused.expect_aws_error("KmsException", &format!("{own} is disabled."));
    assert_eq!(refused.json()["kmsError"], "DisabledException");
    // Nothing of all that is there.
    let listed = a.api_ok("DescribeRepositories", json!({})).await;
    assert_eq!(listed["repositories"], json!([]));

    for (operation, input, code) in [
        ("CreateKey", json!({ "accountId": "333333333333" }), "NoSuchEntityException"),
        ("CreateKey", json!({ "accountId": B, "alias": "team" }), "EntityAlreadyExistsException"),
        ("CreateKey", json!({ "accountId": B, "alias": "ecr" }), "ValidationException"),
        ("CreateKey", json!({ "accountId": B, "alias": "aws/x" }), "ValidationException"),
        ("CreateKey", json!({ "accountId": B, "alias": "a b" }), "ValidationException"),
        ("ListKeys", json!({ "accountId": "333333333333" }), "NoSuchEntityException"),
        ("DisableKey", json!({ "accountId": A, "keyId": foreign }), "KmsException"),
        ("DisableKey", json!({ "accountId": A, "keyId": "alias/ironwharf" }), "KmsException"),
        ("EnableKey", json!({ "accountId": A, "keyId": "x" }), "ValidationException"),
    ] {
        operator.operator(operation, input.clone()).await.expect_aws_error_code(code);
        a.operator(operation, input).await.expect_aws_error_code("AccessDeniedException");
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_user_needs_rights_to_the_key() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    let key = new_key(&operator, A, None).await;
    let policy = |actions: &[&str]| {
        json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "ecr:*", "Resource": "*" },
            { "Effect": "Allow", "Action": actions, "Resource": key },
        ] })
    };
    let needed = ["kms:CreateGrant", "kms:RetireGrant", "kms:DescribeKey"];
    let user = a.new_user("ada", Some(&policy(&["kms:Encrypt"]))).await;
    let configuration = json!({ "encryptionType": "KMS", "kmsKey": key });
    for missing in needed {
        let granted: Vec<&str> = needed.into_iter().filter(|action| *action != missing).collect();
        a.put_user_policy("ada", &policy(&granted)).await;
        let refused = create(&user, "new", configuration.clone()).await;
        refused.expect_aws_error_code("AccessDeniedException");
        assert!(refused.text().contains(missing) && refused.text().contains(&key), "{}", refused.text());
    }
    a.put_user_policy("ada", &policy(&["kms:Encrypt"])).await;
    create_under(&user, "managed", json!({ "encryptionType": "KMS" })).await;
    a.put_user_policy("ada", &policy(&needed)).await;
    create_under(&user, "new", configuration).await;
    registry.stop().await;
}

#[tokio::test]
async fn nothing_of_an_image_is_on_the_disk() {
    for encryption_type in ["KMS", "KMS_DSSE"] {
        let registry = Registry::start().await;
        let client = registry.client();
        create_under(&client, "sealed", json!({ "encryptionType": encryption_type })).await;
        let image = marked_image(encryption_type);
        client.push_image("sealed", "latest", &image).await;

        // An upload that is not finished: a part that is large enough, and a tail.
        let location = client.start_upload("sealed").await;
        let body = format!("{MARKER}{}{MARKER}", "x".repeat(14 << 20));
        client.oci("PATCH", &location).body(body.clone()).send().await.expect_status(202);
        client.oci("PATCH", &location).body(MARKER).send().await.expect_status(202);
        assert!(!is_on_disk(registry.data_dir(), MARKER), "{encryption_type}");

        let registry = registry.restart().await;
        let client = registry.client();
        client.expect_image("sealed", "latest", &image).await;
        let digest = &image.blob_digests()[2];
        let reply = client.oci("GET", &format!("/v2/sealed/blobs/{digest}")).send().await;
        let url = reply.expect_status(307).header("location").to_owned();
        for (first, last) in [(0, 0), (65_535, 65_536), (70_000, 9_000_000), (5, 12)] {
            let part = client.call("GET", &url).header("range", &format!("bytes={first}-{last}")).send().await;
            part.expect_status(206);
            assert!(part.body == image.blobs[2].slice(first..=last), "{first}-{last}");
        }
        // The upload goes on after the restart, with what was stored of it.
        let whole = format!("{body}{MARKER}");
        let path = format!("{location}?digest={}", ironwharf_tests::images::sha512_of(whole.as_bytes()));
        client.oci("PUT", &path).send().await.expect_status(201);
        assert!(!is_on_disk(registry.data_dir(), MARKER), "{encryption_type}");

        // In an AES256 repository the words are there, so this test can fail.
        create(&client, "plain", json!({ "encryptionType": "AES256" })).await.expect_status(200);
        client.push_blob("plain", MARKER).await;
        assert!(is_on_disk(registry.data_dir(), MARKER));
        registry.stop().await;
    }
}

#[tokio::test]
async fn a_disabled_key_ends_reading_and_writing() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    let key = new_key(&operator, A, Some("team")).await;
    create_under(&a, "app", json!({ "encryptionType": "KMS", "kmsKey": "alias/team" })).await;
    let image = marked_image("disabled");
    a.push_image("app", "latest", &image).await;
    let location = a.start_upload("app").await;
    a.oci("PATCH", &location).body("a part").send().await.expect_status(202);

    set_key(&operator, "DisableKey", A, "alias/team").await;
    // The manifest is an object, which the registry reads.
    let refused = a.get_manifest("app", "latest").await;
    refused.expect_oci_error(400, "DENIED");
    assert!(refused.text().contains("is disabled"), "{}", refused.text());
    let input = json!({ "repositoryName": "app", "imageIds": [{ "imageTag": "latest" }] });
    let refused = a.api("BatchGetImage", input).await;
    refused.expect_aws_error_code("KmsException");
    assert_eq!(refused.json()["kmsError"], "DisabledException");
    let digest = &image.blob_digests()[1];
    let reply = a.oci("GET", &format!("/v2/app/blobs/{digest}")).send().await;
    let url = reply.expect_status(307).header("location").to_owned();
    let refused = a.call("GET", &url).send().await;
    refused.expect_status(400);
    assert_eq!(refused.element("Code"), "KMS.DisabledException");
    let new = ironwharf_tests::images::digest_of(b"new");
    let refused = a.oci("POST", &format!("/v2/app/blobs/uploads/?digest={new}")).body("new").send().await;
    refused.expect_oci_error(400, "DENIED");
    a.oci("PATCH", &location).body("more").send().await.expect_oci_error(400, "DENIED");

    set_key(&operator, "EnableKey", A, &key).await;
    a.expect_image("app", "latest", &image).await;
    // What failed left the upload as it was.
    let whole = ironwharf_tests::images::digest_of(b"a part, and the rest");
    a.oci("PUT", &format!("{location}?digest={whole}")).body(", and the rest").send().await.expect_status(201);
    assert_eq!(a.pull_blob("app", &whole).await, "a part, and the rest");
    a.oci("DELETE", "/v2/app/manifests/latest").send().await.expect_status(202);
    registry.stop().await;
}

#[tokio::test]
async fn bytes_are_shared_only_under_the_same_key() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    let own = new_key(&operator, A, None).await;
    let kinds = [
        ("plain", json!({ "encryptionType": "AES256" })),
        ("managed", json!({ "encryptionType": "KMS" })),
        ("dsse", json!({ "encryptionType": "KMS_DSSE" })),
        ("own", json!({ "encryptionType": "KMS", "kmsKey": own })),
    ];
    for (name, configuration) in &kinds {
        for name in [(*name).to_owned(), format!("{name}-too")] {
            create(&a, &name, configuration.clone()).await.expect_status(200);
        }
    }
    for (from, _) in &kinds {
        let bytes = format!("{MARKER} {from}");
        let digest = a.push_blob(from, bytes.clone()).await;
        for (to, _) in &kinds {
            for query in [format!("mount={digest}&from={from}"), format!("mount={digest}")] {
                let to = format!("{to}-too");
                let reply = a.oci("POST", &format!("/v2/{to}/blobs/uploads/?{query}")).send().await;
                let expected = if to == format!("{from}-too") { 201 } else { 202 };
                reply.expect_status(expected);
                let head = a.oci("HEAD", &format!("/v2/{to}/blobs/{digest}")).send().await;
                head.expect_status(if expected == 201 { 200 } else { 404 });
            }
        }
        assert_eq!(a.pull_blob(&format!("{from}-too"), &digest).await, bytes);
    }
    // The same bytes can be in all of them, each under its own key.
    let image = Image::new("everywhere");
    for (name, _) in &kinds {
        a.push_image(name, "latest", &image).await;
        a.expect_image(name, "latest", &image).await;
    }
    set_key(&operator, "DisableKey", A, &own).await;
    for (name, _) in &kinds[..3] {
        a.expect_image(name, "latest", &image).await;
    }
    registry.stop().await;
}

#[tokio::test]
async fn two_first_repositories_make_one_key() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    let names: Vec<String> = (0..8).map(|number| format!("r{number}")).collect();
    let created = names.iter().map(|name| create(&a, name, json!({ "encryptionType": "KMS" })));
    let mut keys: Vec<String> = Vec::new();
    for reply in futures::future::join_all(created).await {
        let output = reply.expect_status(200).json();
        keys.push(output["repository"]["encryptionConfiguration"]["kmsKey"].as_str().unwrap().to_owned());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let listed = operator.operator("ListKeys", json!({ "accountId": A })).await.expect_status(200).json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    // A repository that is deleted and created again has the same one.
    a.api_ok("DeleteRepository", json!({ "repositoryName": "r0" })).await;
    assert_eq!(create_under(&a, "r0", json!({ "encryptionType": "KMS" })).await, keys[0]);
    registry.stop().await;
}
