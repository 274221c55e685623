//! Roles for whoever holds a token of an issuer: what a token opens, and what
//! the registry asks of issuers.

use std::collections::BTreeMap;
use std::sync::Arc;

use ironwharf_cloud::table::identity::{Change, OidcProviderRecord, RoleRecord};
use ironwharf_local::embedded::Embedded;
use ironwharf_local::regions::EmbeddedRegions;
use ironwharf_local::test_app::{TestApp, TestOptions};
use ironwharf_model::{AccountId, Region};
use ironwharf_registry::{EgressRules, Regions as _};
use ironwharf_tests::{Client, Image, Issuer, Registry, Reply, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

pub(crate) const AUDIENCE: &str = "sts.amazonaws.com";
pub(crate) const SUBJECT: &str = "repo:acme/web:ref:refs/heads/main";
const OTHER_ACCOUNT: &str = "222222222222";

/// A registry whose account has an issuer, and a role that trusts one subject.
pub(crate) struct Scene {
    pub(crate) issuer: Issuer,
    pub(crate) registry: Registry,
    pub(crate) client: Client,
}

impl Scene {
    /// `paths` are issuers at the same port; the first is the one the role trusts.
    pub(crate) async fn new(paths: &[&str]) -> Self {
        let issuer = Issuer::start().await;
        let egress = issuer.egress();
        Self::with_egress(issuer, paths, egress).await
    }

    async fn with_egress(issuer: Issuer, paths: &[&str], egress: EgressRules) -> Self {
        let folder = TempDir::new().unwrap();
        let urls: Vec<String> = paths.iter().map(|path| issuer.url(path)).collect();
        prepare(&folder, &urls).await;
        let registry = Registry::start_over(folder, TestOptions { egress, ..TestOptions::default() }).await;
        let client = registry.client();
        Self { issuer, registry, client }
    }

    /// The claims of a good token.
    pub(crate) fn claims(&self) -> Value {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        json!({
            "iss": format!("https://{}", self.issuer.url("")),
            "aud": AUDIENCE,
            "sub": SUBJECT,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "ref": "refs/heads/main",
            "groups": ["dev", "ops"],
        })
    }

    pub(crate) async fn assume(&self, token: &str) -> Reply {
        self.assume_with(&role_arn(TestApp::ACCOUNT, "ci"), token, &[]).await
    }

    pub(crate) async fn assume_with(&self, role: &str, token: &str, more: &[(&str, &str)]) -> Reply {
        let mut fields = vec![("RoleArn", role), ("RoleSessionName", "build"), ("WebIdentityToken", token)];
        fields.extend(more);
        self.client.unsigned_sts("AssumeRoleWithWebIdentity", &fields).await
    }
}

pub(crate) fn role_arn(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

fn provider(url: &str, client_id: &str) -> OidcProviderRecord {
    OidcProviderRecord {
        url: url.to_owned(),
        client_ids: vec![client_id.to_owned()],
        thumbprints: Vec::new(),
        created_at_s: 0,
        tags: BTreeMap::new(),
    }
}

fn role(name: &str, trust: &Value) -> RoleRecord {
    let pull = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": "*",
        },
    });
    RoleRecord {
        name: name.to_owned(),
        path: "/".to_owned(),
        id: format!("AROA{:A<17}", name.to_uppercase()),
        created_at_s: 0,
        description: None,
        trust_policy: trust.to_string(),
        trusted_ids: BTreeMap::new(),
        max_session_s: 7200,
        inline_policies: BTreeMap::from([("pull".to_owned(), pull.to_string())]),
        attached_policies: Vec::new(),
        boundary: None,
        tags: BTreeMap::new(),
        revoked_before_s: 0,
    }
}

fn trust(account: &str, url: &str, condition: &Value) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": { "Federated": format!("arn:aws:iam::{account}:oidc-provider/{url}") },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": condition,
        },
    })
}

/// Writes the issuers and roles of the account into a folder.
async fn prepare(folder: &TempDir, urls: &[String]) {
    let own = TestApp::ACCOUNT;
    let url = &urls[0];
    let key = |claim: &str| format!("{url}:{claim}");
    let mut changes: Vec<(&str, Change)> = Vec::new();
    for (account, id) in [(own, AUDIENCE), (OTHER_ACCOUNT, AUDIENCE)] {
        for url in urls {
            let id_of = AccountId::parse(account).unwrap();
            changes.push((account, Change::create(&id_of, &provider(url, id)).unwrap()));
        }
    }
    let subject = json!({ "StringEquals": { key("aud"): AUDIENCE, key("sub"): SUBJECT } });
    let branch = json!({
        "StringLike": { key("ref"): "refs/heads/*", "sts:RoleSessionName": "build" },
        "ForAnyValue:StringEquals": { key("groups"): "ops" },
        "IpAddress": { "aws:SourceIp": "127.0.0.0/8" },
        "ArnEquals": { "aws:FederatedProvider": format!("arn:aws:iam::{own}:oidc-provider/{url}") },
    });
    let roles = [
        role("ci", &trust(own, url, &subject)),
        role("branch", &trust(own, url, &branch)),
        role("elsewhere", &trust(own, "issuer.example", &json!({ "StringLike": { "issuer.example:sub": "*" } }))),
        role(
            "everyone",
            &json!({
                "Version": "2012-10-17",
                "Statement": { "Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRoleWithWebIdentity" },
            }),
        ),
    ];
    let account = AccountId::parse(own).unwrap();
    changes.extend(roles.iter().map(|role| (own, Change::create(&account, role).unwrap())));
    let embedded = Arc::new(Embedded::open(folder.path(), own).unwrap());
    let region = Region::parse("us-east-1").unwrap();
    let regions = EmbeddedRegions { embedded, region: region.clone(), counts: None };
    let cloud = regions.open(&region, true).await.unwrap().unwrap();
    let changes: Vec<Change> = changes.into_iter().map(|(_, change)| change).collect();
    assert!(cloud.table.change_identities(changes).await.unwrap());
}

#[tokio::test]
async fn tokens_of_every_algorithm_open_the_role() {
    let scene = Scene::new(&[""]).await;
    let image = Image::new("web");
    scene.client.push_image("web", "v1", &image).await;
    let keys = ["RS256", "ES256", "ES384"].map(|algorithm| SigningKey::new(algorithm, algorithm));
    scene.issuer.publish("", &keys.iter().collect::<Vec<_>>());
    for key in &keys {
        let reply = scene.assume(&key.sign(&scene.claims())).await;
        reply.expect_status(200);
        assert_eq!(reply.element("SubjectFromWebIdentityToken"), SUBJECT);
        assert_eq!(reply.element("Provider"), scene.issuer.url(""));
        assert_eq!(reply.element("Audience"), AUDIENCE);
        let arn = format!("arn:aws:sts::{}:assumed-role/ci/build", TestApp::ACCOUNT);
        assert_eq!(reply.element("Arn"), arn);
        let session = scene.client.with_key(&reply.key());
        assert_eq!(session.sts("GetCallerIdentity", &[]).await.element("Arn"), arn);
        session.expect_image("web", "v1", &image).await;
        // The role may pull and nothing else.
        session.put_manifest("web", "v2", image.media_type, image.manifest.clone()).await.expect_status(403);
    }
    // All of them were checked with what was asked for once.
    assert_eq!(scene.issuer.take_requests(), ["/.well-known/openid-configuration", "/keys"]);
    scene.registry.stop().await;
}

/// The trail says whom the issuer vouched for and which key they got, of
/// refusals too; of a token that nobody vouches for it says neither.
#[tokio::test]
async fn the_trail_says_whose_token_it_was() {
    let scene = Scene::new(&[""]).await;
    let key = SigningKey::new("ES256", "k");
    scene.issuer.publish("", &[&key]);
    let token = key.sign(&scene.claims());
    let given = scene.assume(&token).await.expect_status(200).key();
    let closed = role_arn(TestApp::ACCOUNT, "closed");
    scene.assume_with(&closed, &token, &[]).await.expect_status(403);
    scene.assume(&SigningKey::new("ES256", "k").sign(&scene.claims())).await.expect_status(400);

    let input = json!({
        "LookupAttributes": [{ "AttributeKey": "EventName", "AttributeValue": "AssumeRoleWithWebIdentity" }],
    });
    let found = scene.client.lookup_events(input).await.expect_status(200).json();
    let found = found["Events"].as_array().expect("a list").iter().rev();
    let events: Vec<Value> =
        found.map(|event| serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap()).collect();
    let [done, refused, forged] = &events[..] else { panic!("{events:#?}") };
    let url = scene.issuer.url("");
    let url = url.trim_start_matches("https://");
    let provider = format!("arn:aws:iam::{}:oidc-provider/{url}", TestApp::ACCOUNT);
    let identity = json!({
        "type": "WebIdentityUser",
        "principalId": format!("{provider}:{AUDIENCE}:{SUBJECT}"),
        "userName": SUBJECT,
        "identityProvider": provider,
    });
    assert_eq!(done["userIdentity"], identity);
    assert_eq!(done["responseElements"]["accessKeyId"], given.access_key_id.as_str());
    assert_eq!(done["responseElements"]["subjectFromWebIdentityToken"], SUBJECT);
    assert!(!done.to_string().contains(&given.secret_access_key));
    assert_eq!(refused["userIdentity"], identity);
    assert_eq!(refused["errorCode"], "AccessDenied");
    assert_eq!(refused["responseElements"], Value::Null);
    assert_eq!(forged["userIdentity"]["type"], "Unknown");
    assert!(!events.iter().any(|event| event.to_string().contains(&token)));
    scene.registry.stop().await;
}

#[tokio::test]
async fn a_session_is_as_long_and_as_wide_as_it_was_asked_for() {
    let scene = Scene::new(&[""]).await;
    let key = SigningKey::new("ES256", "k");
    scene.issuer.publish("", &[&key]);
    let (role, token) = (role_arn(TestApp::ACCOUNT, "ci"), key.sign(&scene.claims()));
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": { "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*" },
    });
    let policy = policy.to_string();
    let reply = scene.assume_with(&role, &token, &[("DurationSeconds", "900"), ("Policy", &policy)]).await;
    let session = scene.client.with_key(&reply.expect_status(200).key());
    scene.client.push_image("web", "v1", &Image::new("web")).await;
    session.get_manifest("web", "v1").await.expect_oci_error(403, "DENIED");
    for (more, code) in [
        (("DurationSeconds", "7201"), "ValidationError"),
        (("DurationSeconds", "899"), "ValidationError"),
        (("ProviderId", "www.amazon.com"), "ValidationError"),
        (("Policy", "{}"), "MalformedPolicyDocument"),
        (("PolicyArns.member.1.arn", "arn:aws:iam::123456789012:policy/none"), "MalformedPolicyDocument"),
    ] {
        scene.assume_with(&role, &token, &[more]).await.expect_query_error(400, code);
    }
    for bad in
        ["arn:aws:iam::12:role/ci-role-name", "arn:aws:iam::123456789012:user/ci", "arn:aws:iam::123456789012:role/"]
    {
        scene.assume_with(bad, &token, &[]).await.expect_query_error(400, "ValidationError");
    }
    scene.registry.stop().await;
}

#[tokio::test]
async fn a_role_trusts_what_its_policy_says() {
    let scene = Scene::new(&[""]).await;
    let key = SigningKey::new("ES256", "k");
    scene.issuer.publish("", &[&key]);
    let token = |changes: &[(&str, Value)]| {
        let mut claims = scene.claims();
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        key.sign(&claims)
    };
    let branch = role_arn(TestApp::ACCOUNT, "branch");
    scene.assume_with(&branch, &token(&[]), &[]).await.expect_status(200);
    let several = [("aud", json!([AUDIENCE, "another"])), ("azp", json!(AUDIENCE))];
    scene.assume(&token(&several)).await.expect_status(200);

    let refused = |reply: &Reply| {
        reply.expect_query_error(403, "AccessDenied");
        assert_eq!(reply.element("Message"), "Not authorized to perform sts:AssumeRoleWithWebIdentity");
    };
    refused(&scene.assume(&token(&[("sub", json!("repo:evil/web:ref:refs/heads/main"))])).await);
    refused(&scene.assume(&token(&[("sub", json!(SUBJECT.to_uppercase()))])).await);
    for (name, value) in [
        ("ref", json!("refs/tags/v1")),
        ("ref", json!(["refs/heads/main", "refs/heads/main"])),
        ("ref", json!(7)),
        ("groups", json!(["dev"])),
        ("groups", json!("dev")),
    ] {
        refused(&scene.assume_with(&branch, &token(&[(name, value)]), &[]).await);
    }
    for role in ["elsewhere", "everyone"] {
        refused(&scene.assume_with(&role_arn(TestApp::ACCOUNT, role), &token(&[]), &[]).await);
    }
    // A role that is not there is one more that does not trust the token.
    let missing = scene.assume_with(&role_arn(TestApp::ACCOUNT, "missing"), &token(&[]), &[]).await;
    refused(&missing);
    // An account that is not there has no issuer, and says so like one that has none.
    for account in [OTHER_ACCOUNT, "333333333333"] {
        let reply = scene.assume_with(&role_arn(account, "ci"), &token(&[]), &[]).await;
        reply.expect_query_error(400, "InvalidIdentityToken");
        let expected = format!("No OpenIDConnect provider found in your account for https://{}", scene.issuer.url(""));
        assert_eq!(reply.element("Message"), expected);
    }
    scene.registry.stop().await;
}

/// Issuers that answer wrongly are all the same to whoever sends the token.
#[tokio::test]
async fn an_issuer_that_does_not_answer_well_is_not_believed() {
    let paths = [
        "",
        "/missing",
        "/error",
        "/redirect",
        "/large",
        "/html",
        "/other",
        "/plain-keys",
        "/other-keys",
        "/empty",
        "/address",
        "/metadata",
    ];
    let scene = Scene::new(&paths).await;
    let key = SigningKey::new("ES256", "k");
    let issuer = &scene.issuer;
    for path in paths {
        issuer.publish(path, &[&key]);
    }
    let metadata = |path: &str| format!("{path}/.well-known/openid-configuration");
    let issuer_of = |path: &str| format!("https://{}", issuer.url(path));
    let keys_at = |path: &str, keys: &str| {
        issuer.serve(&metadata(path), 200, json!({ "issuer": issuer_of(path), "jwks_uri": keys }).to_string());
    };
    issuer.serve(&metadata("/missing"), 404, "");
    issuer.serve(&metadata("/error"), 500, json!({ "issuer": issuer_of("/error") }).to_string());
    issuer.redirect(&metadata("/redirect"), &format!("{}/.well-known/openid-configuration", issuer_of("")));
    let padded =
        json!({ "issuer": issuer_of("/large"), "jwks_uri": issuer_of("/large/keys"), "x": "x".repeat(150_000) });
    issuer.serve(&metadata("/large"), 200, padded.to_string());
    issuer.serve(&metadata("/html"), 200, "<html></html>");
    let other = json!({ "issuer": issuer_of(""), "jwks_uri": issuer_of("/keys") });
    issuer.serve(&metadata("/other"), 200, other.to_string());
    keys_at("/plain-keys", &issuer_of("/plain-keys/keys").replace("https", "http"));
    keys_at("/other-keys", "https://127.0.0.1/keys");
    issuer.serve("/empty/keys", 200, r#"{"keys":[]}"#);
    keys_at("/address", "https://2130706433/keys");
    keys_at("/metadata", "https://[::ffff:169.254.169.254]/latest/meta-data/");
    let mut messages = Vec::new();
    for path in &paths[1..] {
        let mut claims = scene.claims();
        claims["iss"] = json!(issuer_of(path));
        let token = key.sign(&claims);
        let reply = scene.assume(&token).await;
        reply.expect_query_error(400, "IDPCommunicationError");
        messages.push(reply.element("Message"));
        // It is not asked again at once.
        let _ = issuer.take_requests();
        scene.assume(&token).await.expect_query_error(400, "IDPCommunicationError");
        assert_eq!(issuer.take_requests(), [""; 0], "{path}");
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    scene.assume(&key.sign(&scene.claims())).await.expect_status(200);
    scene.registry.stop().await;
}

/// Many at once are one question to the issuer.
#[tokio::test]
async fn an_issuer_is_asked_once_for_many_tokens() {
    let scene = Scene::new(&[""]).await;
    let key = SigningKey::new("RS256", "k");
    scene.issuer.publish("", &[&key]);
    let token = key.sign(&scene.claims());
    let replies = futures::future::join_all((0..20).map(|_| scene.assume(&token))).await;
    for reply in replies {
        reply.expect_status(200);
    }
    assert_eq!(scene.issuer.take_requests().len(), 2);
    scene.registry.stop().await;
}

/// Without the operator's option an issuer on this machine is not asked at all.
#[tokio::test]
async fn issuers_in_private_networks_are_not_asked() {
    let issuer = Issuer::start().await;
    let egress = EgressRules { allow_private: false, ..issuer.egress() };
    let scene = Scene::with_egress(issuer, &[""], egress).await;
    let key = SigningKey::new("ES256", "k");
    scene.issuer.publish("", &[&key]);
    scene.assume(&key.sign(&scene.claims())).await.expect_query_error(400, "IDPCommunicationError");
    assert_eq!(scene.issuer.take_requests(), [""; 0]);
    scene.registry.stop().await;
}

/// A certificate that nobody vouches for is not accepted.
#[tokio::test]
async fn issuers_need_a_certificate() {
    let issuer = Issuer::start().await;
    let egress = EgressRules { allow_private: true, ..EgressRules::default() };
    let scene = Scene::with_egress(issuer, &[""], egress).await;
    let key = SigningKey::new("ES256", "k");
    scene.issuer.publish("", &[&key]);
    scene.assume(&key.sign(&scene.claims())).await.expect_query_error(400, "IDPCommunicationError");
    assert_eq!(scene.issuer.take_requests(), [""; 0]);
    scene.registry.stop().await;
}
