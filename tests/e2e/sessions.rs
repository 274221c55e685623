//! Sessions: their tags, the keys they were made with, what they may call, and
//! what a refusal tells.

use ironwharf_tests::{Client, Registry};
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
async fn keys_of_session_tags_have_no_case() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let mut own = allow(&["ecr:*"], &format!("arn:aws:ecr:*:{A}:repository/${{aws:PrincipalTag/team}}"));
    own["Statement"] = json!([own["Statement"], { "Effect": "Allow", "Action": "sts:*", "Resource": "*" }]);
    let role = new_role(&a, "team", &trust(A), &own).await;
    a.iam_ok("TagRole", &[("RoleName", "team"), ("Tags.member.1.Key", "TEAM"), ("Tags.member.1.Value", "app")]).await;
    let user = a.new_user("ada", Some(&allow(&["sts:*"], "*"))).await;
    // The role's tag, until the session has one of the same key.
    assert!(may_list(&user.assume(&role, &[]).await).await);
    let tag = |key: &'static str, value: &'static str| [("Tags.member.1.Key", key), ("Tags.member.1.Value", value)];
    for key in ["team", "Team", "TEAM", "aTeam"] {
        let session = user.assume(&role, &tag(key, "other")).await;
        assert_eq!(may_list(&session).await, key == "aTeam", "{key}");
    }
    let twice = [
        ("Tags.member.1.Key", "Team"),
        ("Tags.member.1.Value", "other"),
        ("Tags.member.2.Key", "team"),
        ("Tags.member.2.Value", "app"),
    ];
    user.try_assume(&role, &twice).await.expect_query_error(400, "ValidationError");
    // What a session has to pass on is not given again in other letters.
    let passing = [&tag("Team", "other")[..], &[("TransitiveTagKeys.member.1", "team")]].concat();
    let session = user.assume(&role, &passing).await;
    for key in ["team", "TEAM", "Team"] {
        session.try_assume(&role, &tag(key, "app")).await.expect_query_error(400, "ValidationError");
    }
    let next = session.assume(&role, &tag("colour", "red")).await;
    assert!(!may_list(&next).await);
    registry.stop().await;
}

#[tokio::test]
async fn a_session_token_is_as_good_as_the_key_it_was_asked_for_with() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let user = a.new_user("ada", Some(&allow(&["*"], "*"))).await;
    let other = a.with_key(&a.iam_ok("CreateAccessKey", &[("UserName", "ada")]).await.key());
    let session = a.with_key(&user.sts("GetSessionToken", &[]).await.expect_status(200).key());
    let of_other = a.with_key(&other.sts("GetSessionToken", &[]).await.expect_status(200).key());
    let role = new_role(&a, "ci", &trust(A), &allow(&["ecr:*"], "*")).await;
    let assumed = session.assume(&role, &[]).await;
    let get = "/v2/app/tags/list";
    let good = async |session: &Client| {
        session.api_ok("ListImages", json!({ "repositoryName": "app" })).await;
        session.oci("GET", get).send().await.expect_status(200);
    };
    let ended = async |session: &Client| {
        session.sts("GetCallerIdentity", &[]).await.expect_query_error(403, "InvalidClientTokenId");
        session.oci("GET", get).send().await.expect_oci_error(403, "DENIED");
    };
    good(&session).await;
    let key = user.key().access_key_id.clone();
    let set = async |status: &str| {
        a.iam_ok("UpdateAccessKey", &[("UserName", "ada"), ("AccessKeyId", &key), ("Status", status)]).await;
    };
    set("Inactive").await;
    ended(&session).await;
    set("Active").await;
    good(&session).await;
    a.iam_ok("DeleteAccessKey", &[("UserName", "ada"), ("AccessKeyId", &key)]).await;
    ended(&session).await;
    good(&of_other).await;
    // A role's session is the role's.
    good(&assumed).await;
    registry.stop().await;
}

#[tokio::test]
async fn a_session_token_calls_neither_iam_nor_sts() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    let user = a.new_user("ada", Some(&allow(&["*"], "*"))).await;
    let role = new_role(&a, "ci", &trust(A), &allow(&["iam:*", "ecr:*"], "*")).await;
    let key = user.key().access_key_id.clone();
    for caller in [&a, &user] {
        caller.iam_ok("ListUsers", &[]).await;
        let session = a.with_key(&caller.sts("GetSessionToken", &[]).await.expect_status(200).key());
        session.iam("ListUsers", &[]).await.expect_query_error(403, "AccessDenied");
        session.iam("CreateUser", &[("UserName", "eve")]).await.expect_query_error(403, "AccessDenied");
        session.sts("GetSessionToken", &[]).await.expect_query_error(403, "AccessDenied");
        let of_key = [("AccessKeyId", key.as_str())];
        session.sts("GetAccessKeyInfo", &of_key).await.expect_query_error(403, "AccessDenied");
        session.sts("GetCallerIdentity", &[]).await.expect_status(200);
        session.api_ok("DescribeRepositories", json!({})).await;
    }
    // A role is assumed with them, and its session may call what the role may.
    let session = a.with_key(&user.sts("GetSessionToken", &[]).await.expect_status(200).key());
    session.assume(&role, &[]).await.iam_ok("ListUsers", &[]).await;
    a.iam("GetUser", &[("UserName", "eve")]).await.expect_query_error(404, "NoSuchEntity");
    registry.stop().await;
}

/// Whoever may not assume a role is not told whether it is there.
#[tokio::test]
async fn a_refusal_does_not_tell_whether_a_role_is_there() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    let everything = allow(&["*"], "*");
    new_role(&a, "closed", &trust(A), &everything).await;
    new_role(&a, "open", &trust(B), &everything).await;
    let mut denying = trust(B);
    denying["Statement"] = json!([
        denying["Statement"],
        { "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole" }
    ]);
    new_role(&a, "denying", &denying, &everything).await;
    a.iam_ok("TagRole", &[("RoleName", "closed"), ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")]).await;
    let mut by_tag = allow(&["sts:*"], "*");
    by_tag["Statement"]["Condition"] = json!({ "StringEquals": { "aws:ResourceTag/k": "v" } });
    let users = [
        b.new_user("anything", Some(&allow(&["sts:*"], "*"))).await,
        b.new_user("nothing", None).await,
        b.new_user("tagged", Some(&by_tag)).await,
    ];
    let requests: &[&[(&str, &str)]] = &[
        &[],
        &[("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "x")],
        &[("Tags.member.1.Key", "aws:team"), ("Tags.member.1.Value", "x")],
        &[("Policy", "{")],
        &[("DurationSeconds", "40000")],
        &[("ExternalId", "some-id")],
    ];
    for (number, user) in users.iter().enumerate() {
        for request in requests {
            let answer = async |role: &str| {
                let reply = user.try_assume(&format!("arn:aws:iam::{A}:role/{role}"), request).await;
                let (code, message) = (reply.element("Code"), reply.element("Message"));
                (reply.status, code, message.replace(role, "X"))
            };
            let absent = answer("absent").await;
            assert_ne!(absent.0, 200);
            assert_eq!(answer("closed").await, absent, "{number} {request:?}");
            assert_eq!(answer("denying").await, absent, "{number} {request:?}");
            // Of a role that trusts the account, the caller's own policies keep it secret.
            if number > 0 {
                assert_eq!(answer("open").await, absent, "{number} {request:?}");
            }
        }
    }
    users[0].assume(&format!("arn:aws:iam::{A}:role/open"), &[]).await;
    registry.stop().await;
}

#[tokio::test]
async fn a_session_has_ten_policies_at_most_and_passes_on_its_own_tags() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    let role = new_role(&a, "ci", &trust(A), &allow(&["ecr:*"], "*")).await;
    let user = a.new_user("ada", Some(&allow(&["sts:*"], "*"))).await;
    let names: Vec<String> = (1..=11).map(|number| format!("PolicyArns.member.{number}.arn")).collect();
    let readers = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";
    let policies: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), readers)).collect();
    user.assume(&role, &policies[..10]).await;
    user.try_assume(&role, &policies).await.expect_query_error(400, "ValidationError");
    let mut tag = vec![("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "app")];
    tag.push(("TransitiveTagKeys.member.1", "Team"));
    user.assume(&role, &tag).await;
    tag.push(("TransitiveTagKeys.member.2", "colour"));
    user.try_assume(&role, &tag).await.expect_query_error(400, "ValidationError");
    registry.stop().await;
}

/// The registry's tags know case, condition keys do not: a condition is asked
/// about all of those that it means.
#[tokio::test]
async fn request_tags_that_differ_in_case_all_meet_the_condition() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    a.api_ok("CreateRepository", json!({ "repositoryName": "app" })).await;
    let mut policy = allow(&["ecr:*"], "*");
    policy["Statement"]["Condition"] = json!({ "StringEquals": { "aws:RequestTag/team": ["red", "blue"] } });
    let allowed = a.new_user("allowed", Some(&policy)).await;
    policy["Statement"] = json!([
        { "Effect": "Allow", "Action": "ecr:*", "Resource": "*" },
        {
            "Effect": "Deny", "Action": "ecr:*", "Resource": "*",
            "Condition": { "StringNotEquals": { "aws:RequestTag/team": ["red", "blue"] } }
        }
    ]);
    let denied = a.new_user("denied", Some(&policy)).await;
    let arn = format!("arn:aws:ecr:us-east-1:{A}:repository/app");
    for (number, (upper, lower, good)) in
        [("red", "blue", true), ("green", "red", false), ("red", "green", false), ("green", "green", false)]
            .into_iter()
            .enumerate()
    {
        let tags = json!([{ "Key": "Team", "Value": upper }, { "Key": "team", "Value": lower }]);
        for user in [&allowed, &denied] {
            let shown = format!("{upper} {lower}");
            let reply = user.api("TagResource", json!({ "resourceArn": arn, "tags": tags })).await;
            assert_eq!(reply.status == 200, good, "{shown}: {}", reply.text());
            let name = format!("{}/n{number}", user.key().access_key_id.to_lowercase());
            let reply = user.api("CreateRepository", json!({ "repositoryName": name, "tags": tags })).await;
            assert_eq!(reply.status == 200, good, "{shown}: {}", reply.text());
        }
    }
    registry.stop().await;
}

/// A role says whose tokens of a shared issuer it trusts; of GitHub's, the
/// organization is written out.
#[tokio::test]
async fn a_role_trusts_not_everybody_of_a_shared_issuer() {
    let registry = Registry::start().await;
    let a = registry.client().new_account(A).await;
    let mut number = 0;
    let mut create = async |url: &str, condition: Value| {
        number += 1;
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": { "Federated": format!("arn:aws:iam::{A}:oidc-provider/{url}") },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": condition
            }
        });
        let name = format!("role{number}");
        a.iam("CreateRole", &[("RoleName", &name), ("AssumeRolePolicyDocument", &trust.to_string())]).await
    };
    let like = |url: &str, claim: &str, value: &str| json!({ "StringLike": { format!("{url}:{claim}"): value } });
    let github = "token.actions.githubusercontent.com";
    for subject in ["*", "r*", "repo:*", "repo:*/*:*", "repo:acme*"] {
        let reply = create(github, like(github, "sub", subject)).await;
        reply.expect_query_error(400, "MalformedPolicyDocument");
    }
    create(github, like(github, "sub", "repo:acme/*")).await.expect_status(200);
    for (url, claim) in [
        ("api.pulumi.com/oidc", "aud"),
        ("oidc.codefresh.io", "sub"),
        ("studio.datachain.ai/api", "sub"),
        ("sandboxes.cloud", "aud"),
        ("scalr.io", "sub"),
        ("oidc.circleci.com/org/0123", "sub"),
    ] {
        create(url, like(url, "other", "acme")).await.expect_query_error(400, "MalformedPolicyDocument");
        create(url, like(url, claim, "acme")).await.expect_status(200);
    }
    registry.stop().await;
}

/// A trust policy means the user or role that was there when it was set, not
/// whoever has the name later.
#[tokio::test]
async fn a_trust_policy_means_whom_it_named_when_it_was_set() {
    let registry = Registry::start().await;
    let operator = registry.client();
    let (a, b) = (operator.new_account(A).await, operator.new_account(B).await);
    let everything = allow(&["*"], "*");
    for absent in [
        format!("arn:aws:iam::{A}:user/absent"),
        format!("arn:aws:iam::{A}:role/absent"),
        format!("arn:aws:sts::{A}:assumed-role/absent/x"),
    ] {
        let trust = trust(&absent).to_string();
        let reply = a.iam("CreateRole", &[("RoleName", "none"), ("AssumeRolePolicyDocument", &trust)]).await;
        reply.expect_query_error(400, "MalformedPolicyDocument");
        assert!(reply.element("Message").starts_with("Invalid principal in policy"), "{}", reply.text());
    }
    // Whether somebody is in another account is not told; who comes later is not meant.
    let later = format!("arn:aws:iam::{B}:user/later");
    let early = new_role(&a, "early", &trust(&later), &everything).await;
    let user = b.new_user("later", Some(&everything)).await;
    user.try_assume(&early, &[]).await.expect_query_error(403, "AccessDenied");
    let shown = async |role: &str| {
        let reply = a.iam_ok("GetRole", &[("RoleName", role)]).await;
        reply.element("AssumeRolePolicyDocument").replace("%3A", ":").replace("%2F", "/")
    };
    // A user of another account.
    let user = b.new_user("ada", Some(&everything)).await;
    let arn = format!("arn:aws:iam::{B}:user/ada");
    let role = new_role(&a, "of-user", &trust(&arn), &everything).await;
    user.assume(&role, &[]).await;
    assert!(shown("of-user").await.contains(&arn));
    let key = user.key().access_key_id.clone();
    b.iam_ok("DeleteAccessKey", &[("UserName", "ada"), ("AccessKeyId", &key)]).await;
    b.iam_ok("DeleteUserPolicy", &[("UserName", "ada"), ("PolicyName", "p")]).await;
    b.iam_ok("DeleteUser", &[("UserName", "ada")]).await;
    assert!(shown("of-user").await.contains(&arn), "who is gone in another account is not told");
    let second = b.new_user("ada", Some(&everything)).await;
    second.try_assume(&role, &[]).await.expect_query_error(403, "AccessDenied");
    // Set again, it means the second.
    let document = trust(&arn).to_string();
    a.iam_ok("UpdateAssumeRolePolicy", &[("RoleName", "of-user"), ("PolicyDocument", &document)]).await;
    second.assume(&role, &[]).await;

    // A role, by its own name and by that of a session.
    let middle = new_role(&a, "middle", &trust(A), &everything).await;
    let of_role = new_role(&a, "of-role", &trust(&middle), &everything).await;
    let session = format!("arn:aws:sts::{A}:assumed-role/middle/test");
    let of_session = new_role(&a, "of-session", &trust(&session), &everything).await;
    let caller = a.new_user("caller", Some(&everything)).await;
    let before = caller.assume(&middle, &[]).await;
    before.assume(&of_role, &[]).await;
    before.assume(&of_session, &[]).await;
    a.iam_ok("DeleteRolePolicy", &[("RoleName", "middle"), ("PolicyName", "p")]).await;
    a.iam_ok("DeleteRole", &[("RoleName", "middle")]).await;
    new_role(&a, "middle", &trust(A), &everything).await;
    let after = caller.assume(&middle, &[]).await;
    after.try_assume(&of_role, &[]).await.expect_query_error(403, "AccessDenied");
    after.try_assume(&of_session, &[]).await.expect_query_error(403, "AccessDenied");
    assert!(shown("of-session").await.contains("AROA"));
    registry.stop().await;
}
