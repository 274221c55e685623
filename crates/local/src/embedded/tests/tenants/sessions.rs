use aws_sdk_sts::types::Tag;

use super::*;

impl Storage {
    fn sts(&self, credentials: Credentials) -> aws_sdk_sts::Client {
        use aws_sdk_sts::config::{BehaviorVersion, Region};
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(credentials)
            .endpoint_url("http://localhost")
            .http_client(self.services.sts.clone())
            .retry_config(aws_sdk_sts::config::retry::RetryConfig::disabled());
        aws_sdk_sts::Client::from_conf(config.build())
    }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

#[tokio::test]
async fn a_session_is_given_for_one_tenant_and_an_hour_at_most() {
    let storage = Storage::new().await;
    let roles = storage.embedded.tenant_roles(REGION);
    let (read, write) = (roles.read.unwrap(), roles.write.unwrap());
    let client = storage.sts(storage.service());
    let assume = |role: &str, tags: Vec<Tag>| {
        client.assume_role().role_arn(role).role_session_name(ONE).set_tags(Some(tags)).duration_seconds(3600)
    };
    for role in [&read, &write] {
        let given = assume(role, vec![tag("tenant", ONE)]).send().await.unwrap().credentials.unwrap();
        let left = given.expiration.secs() - now();
        assert!((3590..=3600).contains(&left), "{left}");
    }
    for tags in [
        vec![],
        vec![tag("Tenant", ONE)],
        vec![tag("tenant", "11111111111")],
        vec![tag("tenant", "11111111111a")],
        vec![tag("tenant", "1111/1111111")],
        vec![tag("tenant", ONE), tag("other", "x")],
    ] {
        assert_eq!(code!(assume(&read, tags.clone()).send().await), "AccessDenied", "{tags:?}");
    }
    let wildcard = assume(&read, vec![tag("tenant", "*")]);
    assert_eq!(code!(wildcard.send().await), "ValidationError", "no tag can be one");
    let unknown = "arn:aws:iam::123456789012:role/administrator";
    assert_eq!(code!(assume(unknown, vec![tag("tenant", ONE)]).send().await), "AccessDenied");
    let long = assume(&read, vec![tag("tenant", ONE)]).duration_seconds(3601);
    assert_eq!(code!(long.send().await), "ValidationError");
    assert_eq!(code!(client.get_caller_identity().send().await), "InvalidAction");

    // A session of a tenant gets no other one.
    let tenant = storage.sts(storage.session(ONE, Mode::Write)).assume_role().role_arn(&read);
    let tenant = tenant.role_session_name(OTHER).tags(tag("tenant", OTHER));
    assert_eq!(code!(tenant.send().await), "AccessDenied");
    let stranger = storage.sts(Credentials::new("AKIAOTHER", "secret", None, None, "test")).assume_role();
    let stranger = stranger.role_arn(&read).role_session_name(ONE).tags(tag("tenant", ONE));
    assert_eq!(code!(stranger.send().await), "UnrecognizedClientException");
}

#[tokio::test]
async fn a_session_that_is_not_good_opens_nothing() {
    let storage = Storage::new().await;
    let good = || storage.issue(ONE, Mode::Read, now() + 600);
    let with_token = |token: Option<String>| {
        let issued = good();
        Credentials::new(issued.access_key_id, issued.secret_access_key, token, None, "test")
    };
    let changed = {
        let issued = good();
        let token = issued.token.replace(ONE, OTHER);
        Credentials::new(issued.access_key_id, issued.secret_access_key, Some(token), None, "test")
    };
    let prolonged = {
        let ends = now() - 100;
        let issued = storage.issue(ONE, Mode::Read, ends);
        let token = issued.token.replace(&ends.to_string(), &(ends + 1000).to_string());
        Credentials::new(issued.access_key_id, issued.secret_access_key, Some(token), None, "test")
    };
    let service_with_token = {
        let pair = storage.embedded.service_credentials();
        Credentials::new(&pair.access_key_id, &pair.secret_access_key, Some(good().token), None, "test")
    };
    let wrong_secret = {
        let issued = good();
        Credentials::new(issued.access_key_id, "secret", Some(issued.token), None, "test")
    };
    let unknown = "UnrecognizedClientException";
    for (credentials, dynamodb, s3) in [
        (credentials(storage.issue(ONE, Mode::Read, now() - 1)), "ExpiredTokenException", "ExpiredToken"),
        (with_token(None), unknown, "InvalidToken"),
        (with_token(Some("x".to_owned())), unknown, "InvalidToken"),
        (with_token(Some(good().token)), unknown, "InvalidToken"),
        (changed, unknown, "InvalidToken"),
        (prolonged, unknown, "InvalidToken"),
        (service_with_token, unknown, "InvalidToken"),
        (wrong_secret, "InvalidSignatureException", "SignatureDoesNotMatch"),
        (Credentials::new("AKIAOTHER", "secret", None, None, "test"), unknown, "InvalidAccessKeyId"),
    ] {
        let client = storage.dynamodb(credentials.clone());
        let get = client.get_item().table_name(TABLE);
        let get = get.key("pk", items::text(&format!("T#{ONE}#X"))).key("sk", items::text("x"));
        assert_eq!(code!(get.send().await), dynamodb);
        let get = storage.s3(credentials).get_object().bucket(bucket()).key(format!("{ONE}/blob"));
        assert_eq!(code!(get.send().await), s3);
    }
}

#[tokio::test]
async fn keys_are_no_business_of_a_tenant() {
    let storage = Storage::new().await;
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(aws_sdk_kms::config::BehaviorVersion::latest())
        .region(aws_sdk_kms::config::Region::new(REGION))
        .credentials_provider(storage.session(ONE, Mode::Write))
        .endpoint_url("http://localhost")
        .http_client(storage.services.kms.clone())
        .retry_config(aws_sdk_kms::config::retry::RetryConfig::disabled());
    let client = aws_sdk_kms::Client::from_conf(config.build());
    let generate = client.generate_data_key().key_id("alias/ironwharf").number_of_bytes(32);
    assert_eq!(code!(generate.send().await), "AccessDeniedException");
    assert_eq!(code!(client.list_aliases().send().await), "AccessDeniedException");
}
