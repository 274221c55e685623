//! Requests through every sender of events, into the functions, and back.

use crate::support::{Gateway, HOST, Registry, Request, digest};
use ironwharf_function::Scope;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
async fn anonymous_requests_get_the_challenge() {
    let registry = Registry::new().await;
    for gateway in Gateway::ALL {
        let answer = registry.send(gateway, &Request::new("GET", "/v2/")).await;
        assert_eq!(answer.status, 401, "{gateway:?}");
        let challenge = format!("Basic realm=\"https://{HOST}/\",service=\"ecr.amazonaws.com\"");
        assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()), "{gateway:?}");
        assert_eq!(answer.body, b"Not Authorized\n", "{gateway:?}");

        let head = registry.send(gateway, &Request::new("HEAD", "/v2/a/manifests/latest")).await;
        assert_eq!((head.status, head.body.len()), (401, 0), "{gateway:?}");
        // Some clients send the first bytes without credentials.
        let push = registry.send(gateway, &Request::new("POST", "/v2/a/blobs/uploads/").body([0xff])).await;
        assert_eq!(push.status, 401, "{gateway:?}");
    }
}

#[tokio::test]
async fn signed_requests_are_verified_over_what_the_client_sent() {
    let registry = Registry::new().await;
    for gateway in Gateway::ALL {
        assert!(registry.login(gateway).await.len() > 100);
        // botocore does not sign the length, the SDKs for Go and Java do.
        let body = json!({ "repositoryName": format!("made/{gateway:?}").to_lowercase() }).to_string();
        let request = Request::new("POST", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.CreateRepository")
            .body(body);
        let answer = registry.send(gateway, &request.clone().signed()).await;
        assert_eq!(answer.status, 200, "{gateway:?}: {}", answer.json);
        assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.1"));

        let mut other_host = request.clone().signed();
        other_host.headers[0].1 = "elsewhere.example.com".to_owned();
        let answer = registry.send(gateway, &other_host).await;
        assert_eq!(answer.json_body()["__type"], "InvalidSignatureException", "{gateway:?}");
        let anonymous = registry.send(gateway, &request).await;
        assert_eq!(anonymous.json_body()["__type"], "MissingAuthenticationTokenException", "{gateway:?}");
    }
}

#[tokio::test]
async fn an_image_goes_in_and_comes_out() {
    let registry = Registry::new().await;
    for gateway in Gateway::ALL {
        let name = format!("team/{gateway:?}").to_lowercase();
        let created =
            registry.send(gateway, &Request::api("CreateRepository", &json!({ "repositoryName": name }))).await;
        assert_eq!(created.status, 200, "{}", created.json);
        let token = registry.login(gateway).await;
        let request = |method, path: &str| Request::new(method, path).header("authorization", &token);

        // Bytes that are no text, so that they travel in base64.
        let layer: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let config = b"{}".to_vec();
        for blob in [&layer, &config] {
            let started = registry.send(gateway, &request("POST", &format!("/v2/{name}/blobs/uploads/"))).await;
            assert_eq!(started.status, 202, "{gateway:?}: {}", started.json);
            let location = started.header("location").unwrap().to_owned();
            let (first, rest) = blob.split_at(blob.len() / 2);
            let patched = registry.send(gateway, &request("PATCH", &location).body(first)).await;
            assert_eq!(patched.header("range"), Some(format!("0-{}", first.len() - 1).as_str()), "{gateway:?}");
            let status = registry.send(gateway, &request("GET", &location)).await;
            assert_eq!((status.status, status.header("range")), (204, patched.header("range")), "{gateway:?}");
            // Clients encode the colon or leave it.
            let target = format!("{location}?digest={}", digest(blob).replace(':', "%3A"));
            let finished = registry.send(gateway, &request("PUT", &target).body(rest)).await;
            assert_eq!(finished.status, 201, "{gateway:?}: {}", finished.json);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.example+json",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(&config), "size": config.len() },
            "layers": [{ "mediaType": "application/octet-stream", "digest": digest(&layer), "size": layer.len() }],
            "subject": { "mediaType": MANIFEST, "digest": digest(b"subject"), "size": 7 },
            "annotations": { "name": "Käse" },
        });
        let manifest = manifest.to_string().into_bytes();
        let put = request("PUT", &format!("/v2/{name}/manifests/v1")).header("content-type", MANIFEST);
        let answer = registry.send(gateway, &put.body(manifest.clone())).await;
        assert_eq!(answer.status, 201, "{gateway:?}: {}", answer.json);

        let mut get = request("GET", &format!("/v2/{name}/manifests/v1"));
        for accept in ["application/vnd.docker.distribution.manifest.v2+json", MANIFEST, "*/*"] {
            get = get.header("accept", accept);
        }
        let answer = registry.send(gateway, &get).await;
        assert_eq!(answer.status, 200, "{gateway:?}: {}", answer.json);
        assert_eq!(answer.header("content-type"), Some(MANIFEST));
        assert_eq!(answer.header("docker-content-digest"), Some(digest(&manifest).as_str()));
        assert_eq!(answer.json["isBase64Encoded"], false);
        assert!(answer.body == manifest, "{gateway:?}");
        get.method = "HEAD";
        let head = registry.send(gateway, &get).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), Some(manifest.len().to_string().as_str()), "{gateway:?}");

        // A plus sign survives, encoded or not.
        for artifact_type in ["application%2Fvnd.example%2Bjson", "application/vnd.example+json"] {
            let target = format!("/v2/{name}/referrers/{}?artifactType={artifact_type}", digest(b"subject"));
            let referrers = registry.send(gateway, &request("GET", &target)).await;
            assert_eq!(referrers.json_body()["manifests"].as_array().unwrap().len(), 1, "{gateway:?} {artifact_type}");
        }
        let blob = registry.send(gateway, &request("GET", &format!("/v2/{name}/blobs/{}", digest(&layer)))).await;
        assert_eq!((blob.status, blob.body.len()), (307, 0), "{gateway:?}: {}", blob.json);
        assert!(blob.header("location").unwrap().contains("X-Amz-Signature="));
    }
}

/// A load balancer takes 1 MB of an answer. Whoever asks for more is sent to the
/// ingress, on the same host; others have no such limit.
#[tokio::test]
async fn a_manifest_that_is_too_large_for_a_load_balancer_is_had_from_the_ingress() {
    let registry = Registry::new().await;
    let token = registry.login(Gateway::AlbMultiValue).await;
    let created = Request::api("CreateRepository", &json!({ "repositoryName": "large" }));
    registry.send(Gateway::AlbMultiValue, &created).await;
    let request = |method, path: &str| Request::new(method, path).header("authorization", &token);
    let blob = b"{}".to_vec();
    let target = format!("/v2/large/blobs/uploads/?digest={}", digest(&blob));
    registry.send(Gateway::AlbMultiValue, &request("POST", &target).body(blob.clone())).await;
    let descriptor = json!({ "mediaType": "application/octet-stream", "digest": digest(&blob), "size": blob.len() });
    for (tag, bytes, status) in [("small", 900_000, 200), ("large", 1_100_000, 307)] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [],
            "annotations": { "text": "x".repeat(bytes) },
        });
        let manifest = manifest.to_string();
        let path = format!("/v2/large/manifests/{tag}");
        let put = request("PUT", &path).header("content-type", MANIFEST).body(manifest.clone());
        assert_eq!(registry.send(Gateway::AlbMultiValue, &put).await.status, 201);
        let head = registry.send(Gateway::AlbMultiValue, &request("HEAD", &path)).await;
        assert_eq!(head.header("content-length"), Some(manifest.len().to_string().as_str()));
        let got = registry.send(Gateway::AlbMultiValue, &request("GET", &path)).await;
        assert_eq!(got.status, status, "{tag}");
        assert!(got.json.to_string().len() <= 1024 * 1024);
        if status == 307 {
            let location = got.header("location").unwrap();
            assert_eq!(location, format!("{path}?through=ingress"));
            let sent_on = request("GET", location);
            assert_eq!(sent_on.owner(), Scope::Ingress);
            let got = registry.send(Gateway::AlbMultiValue, &sent_on).await;
            assert!(got.status == 200 && got.body == manifest.as_bytes(), "{tag}: {}", got.status);
        }
        let got = registry.send(Gateway::FunctionUrl, &request("GET", &path)).await;
        assert!(got.status == 200 && got.body == manifest.as_bytes(), "{tag}: {}", got.status);
    }
}

#[tokio::test]
async fn equal_headers_arrive_one_by_one() {
    let accepts = ["application/vnd.oci.image.index.v1+json", MANIFEST];
    let request = accepts
        .iter()
        .fold(Request::new("GET", "/v2/a/manifests/b"), |request, accept| request.header("accept", accept));
    for gateway in Gateway::ALL {
        let read = ironwharf_function::event::Event::read(&gateway.event(&request).to_string()).request.unwrap();
        let values: Vec<_> = read.headers().get_all("accept").iter().map(|value| value.to_str().unwrap()).collect();
        let expected = match gateway {
            // The load balancer itself drops all but the last: its target
            // group must be set to multi-value headers, as the template does.
            Gateway::AlbSingleValue => vec![accepts[1].to_owned()],
            Gateway::AlbMultiValue | Gateway::ApiGatewayRest => accepts.map(str::to_owned).to_vec(),
            Gateway::ApiGatewayHttp | Gateway::FunctionUrl => vec![accepts.join(",")],
        };
        assert_eq!(values, expected, "{gateway:?}");
        assert_eq!(read.headers()["host"], HOST);
        assert_eq!(read.uri(), "/v2/a/manifests/b");
    }
}

#[tokio::test]
async fn a_stage_is_no_part_of_the_path() {
    let registry = Registry::new().await;
    let mut rest = Gateway::ApiGatewayRest.event(&Request::new("GET", "/v2/"));
    rest["requestContext"]["path"] = json!("/prod/v2/");
    assert_eq!(registry.invoke(Scope::Pull, &rest.to_string()).await.status, 401);
    let mut http = Gateway::ApiGatewayHttp.event(&Request::new("GET", "/v2/"));
    http["requestContext"]["stage"] = json!("prod");
    assert_eq!(registry.invoke(Scope::Pull, &http.to_string()).await.status, 401);
    http["rawPath"] = json!("/prod/v2/");
    assert_eq!(registry.invoke(Scope::Pull, &http.to_string()).await.status, 401);
    http["rawPath"] = json!("/product/v2/");
    assert_eq!(registry.invoke(Scope::Pull, &http.to_string()).await.status, 404);
}

#[tokio::test]
async fn a_function_answers_only_its_own_requests() {
    let registry = Registry::new().await;
    let requests = [
        (Scope::Pull, Request::new("GET", "/v2/a/tags/list")),
        (Scope::Push, Request::new("DELETE", "/v2/a/manifests/latest")),
        (Scope::Api, Request::api("DescribeRepositories", &json!({}))),
        (Scope::Ingress, Request::new("PUT", "/v2/a/manifests/latest")),
        (Scope::Ingress, Request::new("POST", "/v2/a/blobs/uploads/?digest=sha256:0")),
        (Scope::Ingress, Request::api("UploadLayerPart", &json!({}))),
        (Scope::Ingress, Request::api("BatchGetImage", &json!({}))),
    ];
    for gateway in Gateway::ALL {
        for (owner, request) in &requests {
            for scope in Scope::ALL {
                let answer = registry.invoke(scope, &gateway.event(request).to_string()).await;
                let refused = answer.status == 404 || answer.status == 405;
                assert_eq!(refused, scope != *owner, "{gateway:?} {scope:?} {request:?}: {}", answer.json);
                if refused {
                    assert!(answer.json_body()["errors"][0]["code"].is_string());
                    assert_eq!(answer.header("allow").is_some(), answer.status == 405);
                }
            }
        }
    }
}

/// A load balancer takes 1 MB of a function's answer. Pages have fewer members then;
/// what is asked for by name is refused.
#[tokio::test]
async fn answers_of_the_api_pass_the_load_balancer() {
    let registry = Registry::new().await;
    let rule = json!({ "rules": [{
        "rulePriority": 1,
        "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1 },
        "action": { "type": "expire" },
    }] });
    let names: Vec<String> = (10..60).map(|number| format!("team{number}")).collect();
    for name in &names {
        let policy = format!("{:<30000}", rule.to_string());
        let template = json!({ "prefix": name, "appliedFor": ["CREATE_ON_PUSH"], "lifecyclePolicy": policy });
        let made =
            registry.send(Gateway::AlbMultiValue, &Request::api("CreateRepositoryCreationTemplate", &template)).await;
        assert_eq!(made.status, 200, "{}", made.json);
    }
    let describe = async |gateway, input: Value| {
        registry.send(gateway, &Request::api("DescribeRepositoryCreationTemplates", &input)).await
    };
    let (mut found, mut token, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let input = token.as_ref().map_or(json!({ "maxResults": 1000 }), |token| json!({ "nextToken": token }));
        let answer = describe(Gateway::AlbMultiValue, input).await;
        assert_eq!(answer.status, 200, "{}", answer.json_body());
        assert!(answer.json.to_string().len() < 1024 * 1024);
        let page = answer.json_body();
        let listed = page["repositoryCreationTemplates"].as_array().unwrap().clone();
        found.extend(listed.iter().map(|template| template["prefix"].as_str().unwrap().to_owned()));
        pages += 1;
        token = page["nextToken"].as_str().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(found, names);
    assert_eq!(pages, 2, "of 900 KiB");

    let by_name = json!({ "prefixes": names });
    let refused = describe(Gateway::AlbMultiValue, by_name.clone()).await;
    assert_eq!(refused.status, 400);
    let body = refused.json_body();
    assert_eq!(body["__type"], "InvalidParameterException", "{body}");
    assert!(body["message"].as_str().unwrap().contains("more than 1 MB"), "{body}");
    // Others take more.
    assert_eq!(describe(Gateway::FunctionUrl, by_name).await.status, 200);
}

#[tokio::test]
async fn hostile_events_get_an_answer() {
    let registry = Registry::new().await;
    let request = |path: &str| Request::new("GET", path);
    for gateway in Gateway::ALL {
        let paths = ["", "v2", "//", "/v2/../v2/", "/v2/%zz/tags/list", "/v2/a b/ü/tags/list", "/v2/\0/?#", "/v2/{x}"];
        for path in paths {
            let mut hostile = request("/v2/");
            hostile.path = path.to_owned();
            for scope in Scope::ALL {
                let answer = registry.invoke(scope, &gateway.event(&hostile).to_string()).await;
                assert!((400..500).contains(&answer.status), "{gateway:?} {path:?}: {}", answer.json);
            }
        }
        for query in ["%", "a=%zz", "n=-1&n=2", "&&=&", "a=\u{fc} b#c"] {
            let mut hostile = request("/v2/a/tags/list");
            hostile.query = query.to_owned();
            // The REST gateway would not send what it cannot decode.
            if gateway != Gateway::ApiGatewayRest {
                let answer = registry.send(gateway, &hostile).await;
                assert_eq!(answer.status, 401, "{gateway:?} {query:?}: {}", answer.json);
            }
        }
        for (name, value) in [("host", "a b:c"), ("host", "["), ("x-text", "\u{fc}"), ("bad name", "x"), ("", "x")] {
            let mut hostile = request("/v2/");
            hostile.headers = vec![(name.to_owned(), value.to_owned())];
            let answer = registry.send(gateway, &hostile).await;
            assert!((400..500).contains(&answer.status), "{gateway:?} {name:?}: {}", answer.json);
        }
        let mut event = gateway.event(&request("/v2/"));
        event["body"] = json!("no base64!");
        event["isBase64Encoded"] = json!(true);
        assert_eq!(registry.invoke(Scope::Pull, &event.to_string()).await.status, 400);
    }
    for event in ["{}", "null", "[]", "\"x\"", r#"{"Records":[]}"#, r#"{"httpMethod":7}"#] {
        assert_eq!(registry.invoke(Scope::Api, event).await.status, 400, "{event}");
    }
}

/// Why `ironwharf_function::event` has a conversion of its own. When this
/// fails, `lambda_http` has changed: see whether its own will do.
#[test]
fn the_conversion_of_lambda_http_still_loses_things() {
    let accepts = Request::new("GET", "/v2/").header("accept", "application/json").header("accept", MANIFEST);
    let rest = Gateway::ApiGatewayRest.event(&accepts).to_string();
    let converted = lambda_http::request::from_str(&rest).unwrap();
    assert_eq!(converted.headers().get_all("accept").iter().count(), 1);
    assert_eq!(converted.uri().path(), "/prod/v2/");
    let odd_host = Gateway::ApiGatewayHttp.event(&Request::new("GET", "/v2/").header("host", "[")).to_string();
    assert!(std::panic::catch_unwind(|| lambda_http::request::from_str(&odd_host)).is_err());
}
