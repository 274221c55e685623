//! A registry over embedded services, and the senders of events in front of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ironwharf_function::{Function, Scope, function};
use ironwharf_local::counting::CallCounts;
use ironwharf_local::embedded::Embedded;
use ironwharf_local::regions::EmbeddedRegions;
use ironwharf_model::{AccountId, Region};
use ironwharf_registry::{App, AppConfig, EgressRules, RateLimits, RegistryHost, RootCredentials};
use ironwharf_wire::sigv4::{self, Signer};
use lambda_http::lambda_runtime::Context;
use lambda_http::{LambdaEvent, Service as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const HOST: &str = "registry.example.com";
const ACCESS_KEY_ID: &str = "AKIATESTTESTTESTTEST";
const SECRET: &str = "test/secret/of/the/root/account";

/// Everything that can send an event to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    AlbSingleValue,
    AlbMultiValue,
    ApiGatewayRest,
    ApiGatewayHttp,
    FunctionUrl,
}

impl Gateway {
    pub(crate) const ALL: [Self; 5] =
        [Self::AlbSingleValue, Self::AlbMultiValue, Self::ApiGatewayRest, Self::ApiGatewayHttp, Self::FunctionUrl];

    fn fixture(self) -> Value {
        let json = match self {
            Self::AlbSingleValue => include_str!("fixtures/alb-single-value.json"),
            Self::AlbMultiValue => include_str!("fixtures/alb-multi-value.json"),
            Self::ApiGatewayRest => include_str!("fixtures/api-gateway-rest.json"),
            Self::ApiGatewayHttp => include_str!("fixtures/api-gateway-http.json"),
            Self::FunctionUrl => include_str!("fixtures/function-url.json"),
        };
        serde_json::from_str(json).unwrap()
    }

    /// The event this gateway makes of a request.
    pub(crate) fn event(self, request: &Request) -> Value {
        let mut event = self.fixture();
        let several = |headers: &[(String, String)]| {
            let mut map = BTreeMap::<String, Vec<String>>::new();
            for (name, value) in headers {
                map.entry(name.clone()).or_default().push(value.clone());
            }
            map
        };
        let last = |map: &BTreeMap<String, Vec<String>>| -> BTreeMap<String, String> {
            map.iter().map(|(name, values)| (name.clone(), values.last().unwrap().clone())).collect()
        };
        let headers = several(&request.headers);
        let raw: Vec<_> = request.query.split('&').filter(|pair| !pair.is_empty()).collect();
        let raw = raw.into_iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let raw = several(&raw.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>());
        match self {
            Self::AlbSingleValue | Self::AlbMultiValue => {
                event["httpMethod"] = json!(request.method);
                event["path"] = json!(request.path);
                if self == Self::AlbSingleValue {
                    merge(&mut event["headers"], &json!(last(&headers)));
                    event["queryStringParameters"] = json!(last(&raw));
                } else {
                    merge(&mut event["multiValueHeaders"], &json!(headers));
                    event["multiValueQueryStringParameters"] = json!(raw);
                }
            }
            Self::ApiGatewayRest => {
                event["httpMethod"] = json!(request.method);
                event["path"] = json!(request.path);
                merge(&mut event["headers"], &json!(last(&headers)));
                merge(&mut event["multiValueHeaders"], &json!(headers));
                let decode =
                    |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
                let decoded: BTreeMap<_, Vec<_>> = raw
                    .iter()
                    .map(|(name, values)| (decode(name), values.iter().map(|v| decode(v)).collect()))
                    .collect();
                if !decoded.is_empty() {
                    event["queryStringParameters"] = json!(last(&decoded));
                    event["multiValueQueryStringParameters"] = json!(decoded);
                }
            }
            Self::ApiGatewayHttp | Self::FunctionUrl => {
                event["requestContext"]["http"]["method"] = json!(request.method);
                event["requestContext"]["http"]["path"] = json!(request.path);
                event["rawPath"] = json!(request.path);
                event["rawQueryString"] = json!(request.query);
                let joined = headers.iter().map(|(name, values)| (name.clone(), values.join(",")));
                merge(&mut event["headers"], &json!(joined.collect::<BTreeMap<_, _>>()));
            }
        }
        // What is not known to be text goes in base64; what is may do so too.
        if !request.body.is_empty() {
            match std::str::from_utf8(&request.body) {
                Ok(text) if self != Self::FunctionUrl => event["body"] = json!(text),
                _ => {
                    event["body"] = json!(STANDARD.encode(&request.body));
                    event["isBase64Encoded"] = json!(true);
                }
            }
        }
        event
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().unwrap() {
        into[name] = value.clone();
    }
}

/// A request as a client sends it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = vec![("host".to_owned(), HOST.to_owned())];
        Self { method, path: path.to_owned(), query: query.to_owned(), headers, body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// An API request, signed as an SDK does.
    pub(crate) fn api(operation: &str, input: &Value) -> Self {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        Self::new("POST", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", &target)
            .body(input.to_string())
            .signed()
    }

    /// A request of the operator's API or of CloudTrail's, by its target.
    pub(crate) fn json(service: &str, target: &str, input: &Value) -> Self {
        Self::new("POST", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(input.to_string())
            .signed_for(service)
    }

    /// A request of IAM's or STS's API.
    pub(crate) fn query(service: &str, action: &str, fields: &[(&str, &str)]) -> Self {
        let version = if service == "iam" { "2010-05-08" } else { "2011-06-15" };
        let encode = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in fields {
            body.extend(["&", name, "="].into_iter().chain(encode(value)));
        }
        Self::new("POST", "/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .signed_for(service)
    }

    /// The function it is for.
    pub(crate) fn owner(&self) -> Scope {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        // A query that is none belongs to nobody else either.
        let uri = format!("{}?{}", self.path, self.query).parse().or_else(|_| self.path.parse()).unwrap();
        let headers = self.header_map();
        Scope::ALL.into_iter().find(|scope| scope.check(&method, &uri, &headers).is_ok()).unwrap()
    }

    /// The headers that are some.
    fn header_map(&self) -> HeaderMap {
        let header = |(name, value): &(String, String)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter().filter_map(header) {
            headers.append(name, value);
        }
        headers
    }

    pub(crate) fn signed(self) -> Self {
        self.signed_for("ecr")
    }

    fn signed_for(mut self, service: &str) -> Self {
        let headers = self.header_map();
        let signer = Signer {
            access_key_id: ACCESS_KEY_ID,
            secret: SECRET,
            session_token: None,
            region: REGION,
            service,
            now: OffsetDateTime::now_utc(),
        };
        let request = sigv4::Request {
            method: self.method,
            path: &self.path,
            query: &self.query,
            authority: None,
            headers: &headers,
            body: &self.body,
        };
        for (name, value) in signer.sign(&request).unwrap() {
            self.headers.push((name.to_string(), value.to_str().unwrap().to_owned()));
        }
        self
    }
}

/// What comes back, as the gateway reads it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) json: Value,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's only value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let one = self.json["headers"][name].as_str();
        one.or_else(|| self.json["multiValueHeaders"][name][0].as_str())
    }

    pub(crate) fn json_body(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.json))
    }
}

/// A registry, as its functions and the ingress.
pub(crate) struct Registry {
    pub(crate) embedded: Arc<Embedded>,
    pub(crate) counts: CallCounts,
    pull: App,
    push: App,
    api: App,
    ingress: App,
    pub(crate) jobs: App,
    _folder: tempfile::TempDir,
}

impl Registry {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let embedded = Arc::new(Embedded::open(folder.path(), ACCOUNT).unwrap());
        let counts = CallCounts::default();
        let config = AppConfig {
            identity_region: Region::parse(REGION).unwrap(),
            region: Region::parse(REGION).unwrap(),
            registry_host: RegistryHost::parse(HOST, true).unwrap(),
            create_on_push: false,
            serves_objects: false,
            rate_limits: RateLimits::Unlimited,
            roots: vec![RootCredentials {
                account: AccountId::parse(ACCOUNT).unwrap(),
                access_key_id: ACCESS_KEY_ID.to_owned(),
                secret_access_key: SECRET.to_owned(),
            }],
            egress: EgressRules::default(),
            tenancy: ironwharf_registry::Tenancy::Pool,
        };
        // Each with caches of its own, as functions have.
        let app = || {
            let region = Region::parse(REGION).unwrap();
            let regions = EmbeddedRegions { embedded: Arc::clone(&embedded), region, counts: Some(counts.clone()) };
            App::new(config.clone(), Box::new(regions))
        };
        let (pull, push, api, ingress, jobs) = (app(), app(), app(), app(), app());
        // What the template does before the first request, and a cold start.
        for app in [&pull, &push, &api, &ingress, &jobs] {
            app.log_pulls();
            app.open_region(&Region::parse(REGION).unwrap()).await.unwrap();
        }
        let _ = counts.take();
        Self { embedded, counts, pull, push, api, ingress, jobs, _folder: folder }
    }

    /// The registry in one of the functions.
    pub(crate) const fn app(&self, scope: Scope) -> &App {
        match scope {
            Scope::Pull => &self.pull,
            Scope::Push => &self.push,
            Scope::Api => &self.api,
            Scope::Ingress => &self.ingress,
        }
    }

    /// Sends an event's JSON to a function, through the service that Lambda's
    /// runtime calls.
    pub(crate) async fn invoke(&self, scope: Scope, event: &str) -> Answer {
        let payload = serde_json::from_str(event).unwrap();
        // As their main.rs has it.
        let handle = match scope {
            Scope::Pull | Scope::Push => function::data_plane,
            Scope::Api | Scope::Ingress => function::all,
        };
        let mut function = Function::new(self.app(scope).clone(), scope, handle);
        let answer = function.call(LambdaEvent::new(payload, Context::default())).await.unwrap();
        let json = serde_json::to_value(&answer).unwrap();
        let body = json["body"].as_str().unwrap_or_default();
        let body = if json["isBase64Encoded"] == true { STANDARD.decode(body).unwrap() } else { body.into() };
        let status = u16::try_from(json["statusCode"].as_u64().unwrap()).unwrap();
        Answer { json, status, body }
    }

    /// Sends a request through a gateway to the function it is for.
    pub(crate) async fn send(&self, gateway: Gateway, request: &Request) -> Answer {
        self.invoke(request.owner(), &gateway.event(request).to_string()).await
    }

    /// The `Authorization` header for the data plane.
    pub(crate) async fn login(&self, gateway: Gateway) -> String {
        let answer = self.send(gateway, &Request::api("GetAuthorizationToken", &json!({}))).await;
        assert_eq!(answer.status, 200, "{gateway:?}: {}", answer.json);
        let token = answer.json_body()["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
        format!("Basic {token}")
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
