//! Users, roles and sessions: what they may do, for how long, and until when.

use ironwharf_tests::{Client, Image, Registry};
use serde_json::{Value, json};

const A: &str = "111111111111";
const B: &str = "222222222222";

fn allow(action: &[&str], resource: &str) -> Value {
    json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": action, "Resource": resource } })
}

fn trust(principal: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": { "AWS": principal },
            "Action": ["sts:AssumeRole", "sts:TagSession"]
        }
    })
}

async fn new_role(client: &Client, name: &str, trust: &Value, policy: &Value) -> String {
    let trust = trust.to_string();
    let reply = client.iam_ok("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).await;
    let document = policy.to_string();
    client.iam_ok("PutRolePolicy", &[("RoleName", name), ("PolicyName", "p"), ("PolicyDocument", &document)]).await;
    reply.element("Arn")
}

/// Whether a client may list images of `app`.
async fn may_list(client: &Client) -> bool {
    let reply = client.api("ListImages", json!({ "repositoryName": "app" })).await;
    if reply.status != 200 {
        reply.expect_aws_error_code("AccessDeniedException");
    }
    reply.status == 200
}

#[tokio::test]
async fn a_user_may_do_what_its_policies_say() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    let image = Image::new("own");
    a.push_image("app", "latest", &image).await;
    let user = a.new_user("ada", None).await;
    user.api("ListImages", json!({ "repositoryName": "app" })).await.expect_aws_error(
        "AccessDeniedException",
        &format!(
            "User: arn:aws:iam::{A}:user/ada is not authorized to perform: ecr:ListImages on resource: \
             arn:aws:ecr:us-east-1:{A}:repository/app because no identity-based policy allows the ecr:ListImages action"
        ),
    );
    // Through a group with a managed policy.
    a.iam_ok("CreateGroup", &[("GroupName", "readers")]).await;
    let arn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";
    a.iam_ok("AttachGroupPolicy", &[("GroupName", "readers"), ("PolicyArn", arn)]).await;
    a.iam_ok("AddUserToGroup", &[("GroupName", "readers"), ("UserName", "ada")]).await;
    assert!(may_list(&user).await);
    user.expect_image("app", "latest", &image).await;
    user.oci("DELETE", "/v2/app/manifests/latest").send().await.expect_oci_error(403, "DENIED");

    // A boundary narrows, and a repository policy that names the user does not care.
    let document = allow(&["ecr:GetAuthorizationToken"], "*").to_string();
    a.iam_ok("CreatePolicy", &[("PolicyName", "edge"), ("PolicyDocument", &document)]).await;
    let edge = format!("arn:aws:iam::{A}:policy/edge");
    a.iam_ok("PutUserPermissionsBoundary", &[("UserName", "ada"), ("PermissionsBoundary", &edge)]).await;
    assert!(!may_list(&user).await);
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{A}:user/ada") }, "Action": "ecr:ListImages" }
    });
    a.api_ok("SetRepositoryPolicy", json!({ "repositoryName": "app", "policyText": policy.to_string() })).await;
    assert!(may_list(&user).await);
    // A deny beats them all.
    let deny = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Action": "ecr:ListImages", "Resource": "*" } });
    a.put_user_policy("ada", &deny).await;
    assert!(!may_list(&user).await);
    registry.stop().await;
}

/// A repository policy means who had the name when it was set, as on AWS.
#[tokio::test]
async fn whoever_takes_over_a_name_takes_over_no_rights() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    a.push_image("app", "latest", &Image::new("of a")).await;
    let list = allow(&["ecr:ListImages", "ecr:GetAuthorizationToken"], "*");
    let (arn, role_arn) = (format!("arn:aws:iam::{B}:user/ada"), format!("arn:aws:iam::{B}:role/puller"));
    let statement = |principals: &[&str]| json!({ "Effect": "Allow", "Principal": { "AWS": principals }, "Action": "ecr:ListImages" });
    let text = |principals: &[&str]| json!({ "Version": "2012-10-17", "Statement": statement(principals) }).to_string();
    let set =
        async |text: &str| a.api("SetRepositoryPolicy", json!({ "repositoryName": "app", "policyText": text })).await;
    let listed = async |client: &Client| {
        client.api("ListImages", json!({ "registryId": A, "repositoryName": "app" })).await.status == 200
    };
    // Nobody who is not there can be meant. Of another account nobody learns that,
    // and who comes later is not meant.
    let own = format!("arn:aws:iam::{A}:user/nobody");
    let refused = set(&text(&[&own])).await;
    refused.expect_aws_error_code("InvalidParameterException");
    assert!(refused.text().contains(&format!("Principal not found: there is no '{own}'")), "{refused:?}");
    set(&text(&[&arn])).await.expect_status(200);
    let user = b.new_user("ada", Some(&list)).await;
    let role = new_role(&b, "puller", &trust(B), &list).await;
    let assuming = b.new_user("eve", Some(&allow(&["sts:AssumeRole"], "*"))).await;
    assert!(!listed(&user).await, "there was nobody of this name");
    set(&text(&[&arn, &role_arn])).await.expect_status(200);
    assert!(listed(&user).await && listed(&assuming.assume(&role, &[]).await).await);

    let keys = b.iam_ok("ListAccessKeys", &[("UserName", "ada")]).await.element("AccessKeyId");
    b.iam_ok("DeleteAccessKey", &[("UserName", "ada"), ("AccessKeyId", &keys)]).await;
    b.iam_ok("DeleteUserPolicy", &[("UserName", "ada"), ("PolicyName", "p")]).await;
    b.iam_ok("DeleteUser", &[("UserName", "ada")]).await;
    b.iam_ok("DeleteRolePolicy", &[("RoleName", "puller"), ("PolicyName", "p")]).await;
    b.iam_ok("DeleteRole", &[("RoleName", "puller")]).await;
    let shown = a.api_ok("GetRepositoryPolicy", json!({ "repositoryName": "app" })).await;
    let shown = shown["policyText"].as_str().expect("a policy").to_owned();
    assert!(shown.contains(&arn), "who is gone in another account is not told: {shown}");

    let user = b.new_user("ada", Some(&list)).await;
    let role = new_role(&b, "puller", &trust(B), &list).await;
    let session = assuming.assume(&role, &[]).await;
    assert!(!listed(&user).await && !listed(&session).await, "they only have the names");
    set(&text(&[&arn, &role_arn])).await.expect_status(200);
    assert!(listed(&user).await && listed(&session).await, "now they are meant");
    registry.stop().await;
}

/// Who is denied stays denied under another name, and is shown by the own id.
#[tokio::test]
async fn a_denial_follows_whoever_is_renamed() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.push_image("app", "latest", &Image::new("a")).await;
    let user = a.new_user("mal", Some(&allow(&["ecr:*", "sts:*"], "*"))).await;
    let id = a.iam_ok("GetUser", &[("UserName", "mal")]).await.element("UserId");
    let named = json!({ "AWS": format!("arn:aws:iam::{A}:user/mal") });
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": { "Effect": "Deny", "Principal": named, "Action": "ecr:*" },
    });
    a.api_ok("SetRepositoryPolicy", json!({ "repositoryName": "app", "policyText": policy.to_string() })).await;
    let trusting = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": A }, "Action": "sts:AssumeRole" },
            { "Effect": "Deny", "Principal": named, "Action": "sts:AssumeRole" },
        ],
    });
    let role = new_role(&a, "closed", &trusting, &allow(&["ecr:*"], "*")).await;
    let template = json!({ "prefix": "t", "appliedFor": ["CREATE_ON_PUSH"], "repositoryPolicy": policy.to_string() });
    a.api_ok("CreateRepositoryCreationTemplate", template).await;
    for change in [None, Some(("NewPath", "/deep/")), Some(("NewUserName", "good"))] {
        if let Some(change) = change {
            a.iam_ok("UpdateUser", &[("UserName", "mal"), change]).await;
        }
        assert!(!may_list(&user).await, "{change:?}");
        let refused = user.try_assume(&role, &[]).await;
        refused.expect_query_error(403, "AccessDenied");
        assert!(refused.text().contains("explicit deny"), "{change:?}: {refused:?}");
    }
    let shown = a.api_ok("GetRepositoryPolicy", json!({ "repositoryName": "app" })).await;
    let templates = a.api_ok("DescribeRepositoryCreationTemplates", json!({ "prefixes": ["t"] })).await;
    let in_template = &templates["repositoryCreationTemplates"][0]["repositoryPolicy"];
    for text in [&shown["policyText"], in_template] {
        let text = text.as_str().expect("a policy");
        assert!(text.contains(&id) && !text.contains("user/mal"), "{text}");
    }
    registry.stop().await;
}

/// An account that is made again under the same number is granted nothing that the
/// first one was.
#[tokio::test]
async fn a_grant_to_an_account_ends_with_it() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    a.push_image("app", "latest", &Image::new("of a")).await;
    let statement = json!({ "Effect": "Allow", "Principal": { "AWS": B }, "Action": "ecr:*" });
    let policy = json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
    let set = async || {
        a.api_ok("SetRepositoryPolicy", json!({ "repositoryName": "app", "policyText": policy })).await;
    };
    let listed = async |client: &Client| {
        client.api("ListImages", json!({ "registryId": A, "repositoryName": "app" })).await.status == 200
    };
    // One that is not there yet goes by its number.
    set().await;
    let b = operator.new_account(B).await;
    assert!(listed(&b).await);
    set().await;
    assert!(listed(&b).await);
    for operation in ["SuspendAccount", "DeleteAccount"] {
        operator.operator(operation, json!({ "accountId": B })).await.expect_status(200);
    }
    let b = operator.new_account(B).await;
    assert!(!listed(&b).await, "it only has the number");
    set().await;
    assert!(listed(&b).await, "now it is meant");
    registry.stop().await;
}

/// A statement on missing multi-factor authentication finds that it is missing.
#[tokio::test]
async fn temporary_credentials_have_no_second_factor() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.push_image("app", "latest", &Image::new("a")).await;
    let deny = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ecr:ListImages", "Resource": "*",
              "Condition": { "Bool": { "aws:MultiFactorAuthPresent": "false" } } },
        ],
    });
    let role = new_role(&a, "reader", &trust(A), &deny).await;
    let user = a.new_user("ada", Some(&deny)).await;
    assert!(may_list(&user).await, "a long-term key says nothing about it");
    assert!(!may_list(&user.assume(&role, &[]).await).await);
    registry.stop().await;
}

#[tokio::test]
async fn conditions_see_the_request() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    let create = async |client: &Client, name: &str, colour: &str| {
        let input = json!({ "repositoryName": name, "tags": [{ "Key": "colour", "Value": colour }] });
        client.api("CreateRepository", input).await.status == 200
    };
    let user = a.new_user("ada", None).await;
    let with = async |effect: &str, condition: Value| {
        let statement = json!({ "Effect": effect, "Action": "ecr:*", "Resource": "*", "Condition": condition });
        let all = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
        let statements = if effect == "Deny" { json!([statement, all]) } else { json!([statement]) };
        a.put_user_policy("ada", &json!({ "Version": "2012-10-17", "Statement": statements })).await;
    };
    with("Allow", json!({ "StringEquals": { "aws:RequestTag/colour": "red" } })).await;
    assert!(create(&user, "red/one", "red").await);
    assert!(!create(&user, "blue/one", "blue").await);
    assert!(create(&a, "blue/one", "blue").await);
    let list = async |name: &str| user.api("ListImages", json!({ "repositoryName": name })).await.status == 200;
    for key in ["aws:ResourceTag/colour", "ecr:ResourceTag/colour"] {
        with("Allow", json!({ "StringEquals": { key: "blue" } })).await;
        assert!(list("blue/one").await && !list("red/one").await, "{key}");
    }
    for (effect, condition, allowed) in [
        ("Allow", json!({ "IpAddress": { "aws:SourceIp": "127.0.0.0/8" } }), true),
        ("Allow", json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }), false),
        ("Allow", json!({ "StringEquals": { "aws:username": "ada", "aws:PrincipalAccount": A } }), true),
        ("Allow", json!({ "StringEquals": { "aws:RequestedRegion": "eu-west-1" } }), false),
        ("Allow", json!({ "DateGreaterThan": { "aws:CurrentTime": "2026-01-01T00:00:00Z" } }), true),
        ("Allow", json!({ "DateGreaterThan": { "aws:CurrentTime": "2126-01-01T00:00:00Z" } }), false),
        ("Deny", json!({ "Bool": { "aws:SecureTransport": "false" } }), false),
        ("Allow", json!({ "Null": { "aws:TokenIssueTime": "true" } }), true),
    ] {
        with(effect, condition.clone()).await;
        assert_eq!(list("red/one").await, allowed, "{effect} {condition}");
    }
    registry.stop().await;
}

#[tokio::test]
async fn a_role_is_assumed_by_whom_it_trusts() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    let image = Image::new("of a");
    a.push_image("app", "latest", &image).await;
    let role = new_role(&a, "puller", &trust(&format!("arn:aws:iam::{B}:root")), &allow(&["ecr:*"], "*")).await;
    let user = b.new_user("ada", None).await;
    // Both sides have to say so.
    let refused = user.try_assume(&role, &[]).await;
    refused.expect_query_error(403, "AccessDenied");
    b.put_user_policy("ada", &allow(&["sts:AssumeRole", "sts:TagSession"], &role)).await;
    let session = user.assume(&role, &[]).await;
    let arn = format!("arn:aws:sts::{A}:assumed-role/puller/test");
    assert_eq!(session.sts("GetCallerIdentity", &[]).await.element("Arn"), arn);
    session.expect_image("app", "latest", &image).await;
    // A role that is not there is refused in the same words.
    let absent = format!("arn:aws:iam::{A}:role/absent");
    b.put_user_policy("ada", &allow(&["sts:AssumeRole", "sts:TagSession"], "*")).await;
    let closed = new_role(&a, "closed", &trust(A), &allow(&["ecr:*"], "*")).await;
    let words = |reply: &ironwharf_tests::Reply, name: &str| reply.element("Message").replace(name, "X");
    let (one, two) = (user.try_assume(&absent, &[]).await, user.try_assume(&closed, &[]).await);
    assert_eq!(words(&one, "absent"), words(&two, "closed"));
    a.try_assume(&role, &[]).await.expect_query_error(403, "AccessDenied");

    // Less than the role may.
    let narrow = allow(&["ecr:GetAuthorizationToken"], "*").to_string();
    let narrowed = user.assume(&role, &[("Policy", &narrow)]).await;
    assert!(may_list(&session).await && !may_list(&narrowed).await);
    let readers = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";
    let reader = user.assume(&role, &[("PolicyArns.member.1.arn", readers)]).await;
    assert!(may_list(&reader).await);
    reader.oci("DELETE", "/v2/app/manifests/latest").send().await.expect_oci_error(403, "DENIED");
    // Longer than it may, and longer than a chain may.
    user.try_assume(&role, &[("DurationSeconds", "7200")]).await.expect_query_error(400, "ValidationError");
    user.try_assume(&role, &[("DurationSeconds", "60")]).await.expect_query_error(400, "ValidationError");
    // A session token is no good without its key, and the other way round.
    let mut mixed = session.key().clone();
    mixed.session_token.clone_from(&narrowed.key().session_token);
    operator.with_key(&mixed).sts("GetCallerIdentity", &[]).await.expect_query_error(403, "InvalidClientTokenId");
    mixed.session_token = None;
    operator.with_key(&mixed).sts("GetCallerIdentity", &[]).await.expect_query_error(403, "InvalidClientTokenId");
    registry.stop().await;
}

#[tokio::test]
async fn external_ids_and_tags_are_conditions_of_trust() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.push_image("app", "latest", &Image::new("a")).await;
    let mut trusting = trust(A);
    trusting["Statement"]["Condition"] = json!({ "StringEquals": { "sts:ExternalId": "secret-7" } });
    let tagged = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow", "Action": "ecr:*",
            "Resource": format!("arn:aws:ecr:*:{A}:repository/${{aws:PrincipalTag/team}}")
        }
    });
    let role = new_role(&a, "team", &trusting, &tagged).await;
    let user = a.new_user("ada", Some(&allow(&["sts:*"], "*"))).await;
    user.try_assume(&role, &[]).await.expect_query_error(403, "AccessDenied");
    user.try_assume(&role, &[("ExternalId", "other")]).await.expect_query_error(403, "AccessDenied");
    let untagged = user.assume(&role, &[("ExternalId", "secret-7")]).await;
    assert!(!may_list(&untagged).await);
    let tag = [("ExternalId", "secret-7"), ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "app")];
    let session = user.assume(&role, &tag).await;
    assert!(may_list(&session).await);
    // A value of a tag is never a pattern.
    let star = [("ExternalId", "secret-7"), ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "a p+p")];
    assert!(!may_list(&user.assume(&role, &star).await).await);
    registry.stop().await;
}

/// What is taken away is gone: in this process at once, elsewhere within 30
/// seconds.
#[tokio::test]
async fn rights_end_when_they_are_taken_away() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let a = operator.new_account(A).await;
    a.push_image("app", "latest", &Image::new("a")).await;
    let everything = allow(&["*"], "*");
    let get = "/v2/app/manifests/latest";

    // A key that is switched off, and on again, and deleted.
    let user = a.new_user("ada", Some(&everything)).await;
    user.oci("GET", get).send().await.expect_status(200);
    let key = user.key().access_key_id.clone();
    let status = async |status: &str| {
        a.iam_ok("UpdateAccessKey", &[("UserName", "ada"), ("AccessKeyId", &key), ("Status", status)]).await;
    };
    status("Inactive").await;
    user.oci("GET", get).send().await.expect_oci_error(403, "DENIED");
    user.sts("GetCallerIdentity", &[]).await.expect_query_error(403, "InvalidClientTokenId");
    status("Active").await;
    user.oci("GET", get).send().await.expect_status(200);
    a.iam_ok("DeleteAccessKey", &[("UserName", "ada"), ("AccessKeyId", &key)]).await;
    user.oci("GET", get).send().await.expect_oci_error(403, "DENIED");

    // A user that is deleted and made again is another one.
    let second = a.with_key(&a.iam_ok("CreateAccessKey", &[("UserName", "ada")]).await.key());
    let session = a.with_key(&second.sts("GetSessionToken", &[]).await.key());
    session.oci("GET", get).send().await.expect_status(200);
    let key = second.key().access_key_id.clone();
    a.iam_ok("DeleteAccessKey", &[("UserName", "ada"), ("AccessKeyId", &key)]).await;
    a.iam_ok("DeleteUserPolicy", &[("UserName", "ada"), ("PolicyName", "p")]).await;
    a.iam_ok("DeleteUser", &[("UserName", "ada")]).await;
    a.new_user("ada", Some(&everything)).await;
    session.sts("GetCallerIdentity", &[]).await.expect_query_error(403, "InvalidClientTokenId");
    session.oci("GET", get).send().await.expect_oci_error(403, "DENIED");

    // A role: revoked, then deleted and made again.
    let role = new_role(&a, "ci", &trust(A), &everything).await;
    let caller = a.new_user("caller", Some(&everything)).await;
    let before = caller.assume(&role, &[]).await;
    before.oci("GET", get).send().await.expect_status(200);
    let input = json!({ "accountId": A, "roleName": "ci" });
    operator.operator("RevokeSessions", input).await.expect_status(200);
    before.oci("GET", get).send().await.expect_oci_error(403, "DENIED");
    before.sts("GetCallerIdentity", &[]).await.expect_query_error(403, "InvalidClientTokenId");
    caller.oci("GET", get).send().await.expect_status(200);
    a.iam_ok("DeleteRolePolicy", &[("RoleName", "ci"), ("PolicyName", "p")]).await;
    a.iam_ok("DeleteRole", &[("RoleName", "ci")]).await;
    new_role(&a, "ci", &trust(A), &everything).await;
    before.sts("GetCallerIdentity", &[]).await.expect_query_error(403, "InvalidClientTokenId");
    registry.stop().await;
}

#[tokio::test]
async fn an_active_login_survives_a_restart_and_keeps_its_size() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.push_image("app", "latest", &Image::new("a")).await;
    let role = new_role(&a, "ci", &trust(A), &allow(&["ecr:*"], "*")).await;
    let user = a.new_user("caller", Some(&allow(&["sts:*"], "*"))).await;
    // About the largest session policy that fits.
    let resources: Vec<String> =
        (0..30).map(|number| format!("arn:aws:ecr:us-east-1:{A}:repository/team{number}/*")).collect();
    let mut narrow = allow(&["ecr:*"], "*");
    narrow["Statement"] =
        json!([narrow["Statement"], { "Effect": "Deny", "Action": "ecr:Delete*", "Resource": resources }]);
    let narrow = narrow.to_string();
    assert!(narrow.len() > 1_500 && narrow.len() < 2_048, "{}", narrow.len());
    let session = user.assume(&role, &[("Policy", &narrow)]).await;
    let output = session.api_ok("GetAuthorizationToken", json!({})).await;
    let token = output["authorizationData"][0]["authorizationToken"].as_str().expect("a token").to_owned();
    assert!(token.len() < 6 * 1024, "{}", token.len());
    let too_much = "x".repeat(256);
    let mut fields: Vec<(String, String)> = vec![("Policy".to_owned(), narrow)];
    for number in 1..=8 {
        fields.push((format!("Tags.member.{number}.Key"), format!("k{number}")));
        fields.push((format!("Tags.member.{number}.Value"), too_much.clone()));
    }
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    user.try_assume(&role, &fields).await.expect_query_error(400, "PackedPolicyTooLarge");
    let key = session.key().clone();
    let registry = registry.restart().await;
    let client = registry.client().with_key(&key);
    let authorization = format!("Basic {token}");
    client
        .call("GET", "/v2/app/manifests/latest")
        .header("authorization", &authorization)
        .send()
        .await
        .expect_status(200);
    assert!(may_list(&client).await);
    registry.stop().await;
}
