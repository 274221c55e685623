//! An HTTP client that does what it is told and nothing else: one connection
//! per request, no redirect followed, no retry, no header added but `Host`.

use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame};
use hyper_util::rt::TokioIo;
use ironwharf_local::test_app::TestApp;
use ironwharf_wire::sigv4::{self, Signer};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::images::{Image, digest_of};

/// The target prefix of the ECR API.
const TARGET_PREFIX: &str = "AmazonEC2ContainerRegistry_V20150921";

/// A key pair, with the session token that temporary ones have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The session token.
    pub session_token: Option<String>,
}

/// A client of one registry, in one Region, as whoever holds its key: the root
/// of the test account unless it is said otherwise.
#[derive(Debug)]
pub struct Client {
    host: String,
    region: String,
    key: Key,
    /// `Basic …`, asked for once.
    authorization: OnceCell<String>,
}

/// The body of a request.
type RequestBody = BoxBody<Bytes, std::convert::Infallible>;

/// A request that is being put together.
pub struct Call<'a> {
    client: &'a Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: RequestBody,
    authorize: bool,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client of the registry at `host`, in its default Region.
    #[must_use]
    pub fn new(host: &str) -> Self {
        let key = Key {
            access_key_id: TestApp::ACCESS_KEY_ID.to_owned(),
            secret_access_key: TestApp::SECRET_ACCESS_KEY.to_owned(),
            session_token: None,
        };
        Self { host: host.to_owned(), region: TestApp::REGION.to_owned(), key, authorization: OnceCell::new() }
    }

    /// The same as somebody else.
    #[must_use]
    pub fn with_key(&self, key: &Key) -> Self {
        Self { region: self.region.clone(), key: key.clone(), ..Self::new(&self.host) }
    }

    /// Whose requests these are.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The same for another Region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self { region: region.to_owned(), key: self.key.clone(), ..Self::new(&self.host) }
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    // --- the ECR API ---------------------------------------------------------

    /// Calls an operation, signed by the root.
    pub async fn api(&self, operation: &str, input: Value) -> Reply {
        self.api_bytes(operation, input.to_string().into_bytes()).await
    }

    /// Calls an operation with any bytes as its input.
    pub async fn api_bytes(&self, operation: &str, input: impl Into<Bytes>) -> Reply {
        let input = input.into();
        let headers = self.signed(&format!("{TARGET_PREFIX}.{operation}"), &input);
        self.call("POST", "/").headers(headers).body(input).send().await
    }

    /// Calls an operation that must succeed; its output.
    pub async fn api_ok(&self, operation: &str, input: Value) -> Value {
        let shown = input.to_string();
        let reply = self.api(operation, input).await;
        assert_eq!(reply.status, 200, "{operation} {shown}: {}", reply.text());
        reply.json()
    }

    // --- the operator's API, IAM and STS -------------------------------------

    /// Calls an operation of the operator's API.
    pub async fn operator(&self, operation: &str, input: Value) -> Reply {
        let input = Bytes::from(input.to_string());
        let target = format!("Ironwharf_20261101.{operation}");
        let headers = self.signed_for("ironwharf", Some(&target), "application/x-amz-json-1.1", &input);
        self.call("POST", "/").headers(headers).body(input).send().await
    }

    /// Reads the audit trail of the caller's account.
    pub async fn lookup_events(&self, input: Value) -> Reply {
        let input = Bytes::from(input.to_string());
        let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
        let headers = self.signed_for("cloudtrail", Some(target), "application/x-amz-json-1.1", &input);
        self.call("POST", "/").headers(headers).body(input).send().await
    }

    /// Makes an account; a client as its root.
    pub async fn new_account(&self, id: &str) -> Self {
        let input = json!({ "accountId": id, "accountName": format!("tenant {id}") });
        let output = self.operator("CreateAccount", input).await.expect_status(200).json();
        let field = |name: &str| output["rootAccessKey"][name].as_str().expect("a key").to_owned();
        self.with_key(&Key {
            access_key_id: field("accessKeyId"),
            secret_access_key: field("secretAccessKey"),
            session_token: None,
        })
    }

    /// Calls an operation of IAM; fields in the form's own names.
    pub async fn iam(&self, action: &str, fields: &[(&str, &str)]) -> Reply {
        self.query("iam", "2010-05-08", action, fields).await
    }

    /// Calls an operation of IAM that must succeed.
    pub async fn iam_ok(&self, action: &str, fields: &[(&str, &str)]) -> Reply {
        let reply = self.iam(action, fields).await;
        assert_eq!(reply.status, 200, "{action} {fields:?}: {}", reply.text());
        reply
    }

    /// Calls an operation of STS.
    pub async fn sts(&self, action: &str, fields: &[(&str, &str)]) -> Reply {
        self.query("sts", "2011-06-15", action, fields).await
    }

    /// Calls an operation of STS without a signature.
    pub async fn unsigned_sts(&self, action: &str, fields: &[(&str, &str)]) -> Reply {
        let body = form("2011-06-15", action, fields);
        self.call("POST", "/").header("content-type", FORM).body(body).send().await
    }

    async fn query(&self, service: &str, version: &str, action: &str, fields: &[(&str, &str)]) -> Reply {
        let body = form(version, action, fields);
        let headers = self.signed_for(service, None, FORM, &body);
        self.call("POST", "/").headers(headers).body(body).send().await
    }

    /// Makes a user with an inline policy and a key; a client as that user.
    pub async fn new_user(&self, name: &str, policy: Option<&Value>) -> Self {
        self.iam_ok("CreateUser", &[("UserName", name)]).await;
        if let Some(policy) = policy {
            self.put_user_policy(name, policy).await;
        }
        let reply = self.iam_ok("CreateAccessKey", &[("UserName", name)]).await;
        self.with_key(&reply.key())
    }

    /// Gives a user an inline policy, in place of the one before.
    pub async fn put_user_policy(&self, name: &str, policy: &Value) {
        let document = policy.to_string();
        let fields = [("UserName", name), ("PolicyName", "p"), ("PolicyDocument", document.as_str())];
        self.iam_ok("PutUserPolicy", &fields).await;
    }

    /// Assumes a role; a client as its session.
    pub async fn assume(&self, role_arn: &str, fields: &[(&str, &str)]) -> Self {
        let reply = self.try_assume(role_arn, fields).await;
        assert_eq!(reply.status, 200, "{role_arn}: {}", reply.text());
        self.with_key(&reply.key())
    }

    /// Assumes a role, whatever the answer is.
    pub async fn try_assume(&self, role_arn: &str, fields: &[(&str, &str)]) -> Reply {
        let mut all = vec![("RoleArn", role_arn), ("RoleSessionName", "test")];
        all.extend(fields);
        self.sts("AssumeRole", &all).await
    }

    /// The headers of a signed API request with this target and body.
    #[must_use]
    pub fn signed(&self, target: &str, body: &[u8]) -> HeaderMap {
        self.signed_for("ecr", Some(target), "application/x-amz-json-1.1", body)
    }

    fn signed_for(&self, service: &str, target: Option<&str>, content_type: &'static str, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, self.host.parse().unwrap());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(target) = target {
            headers.insert("x-amz-target", target.parse().unwrap());
        }
        let request = sigv4::Request { method: "POST", path: "/", query: "", authority: None, headers: &headers, body };
        let signer = Signer { service, ..self.signer() };
        let added = signer.sign(&request).expect("the request can be signed");
        headers.extend(added);
        headers
    }

    /// Who signs: the holder of the key, for the client's Region, now.
    #[must_use]
    pub fn signer(&self) -> Signer<'_> {
        Signer {
            access_key_id: &self.key.access_key_id,
            secret: &self.key.secret_access_key,
            session_token: self.key.session_token.as_deref(),
            region: &self.region,
            service: "ecr",
            now: OffsetDateTime::now_utc(),
        }
    }

    // --- OCI Distribution ----------------------------------------------------

    /// A data plane request with the login token.
    #[must_use]
    pub fn oci(&self, method: &str, path: &str) -> Call<'_> {
        Call { authorize: true, ..self.call(method, path) }
    }

    /// A request without credentials.
    #[must_use]
    pub fn call(&self, method: &str, path: &str) -> Call<'_> {
        Call {
            client: self,
            method: method.parse().unwrap(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Full::default().boxed(),
            authorize: false,
        }
    }

    /// The value of `Authorization` for the data plane: `Basic …`.
    ///
    /// Boxed, because asking for it is a request too.
    #[must_use]
    pub fn authorization(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        let ask = async || {
            let output = self.api_ok("GetAuthorizationToken", json!({})).await;
            let token = output["authorizationData"][0]["authorizationToken"].as_str().expect("a token");
            format!("Basic {token}")
        };
        Box::pin(async move { self.authorization.get_or_init(ask).await.clone() })
    }

    /// The password of `docker login --username AWS`.
    pub async fn password(&self) -> String {
        let authorization = self.authorization().await;
        let decoded = STANDARD.decode(authorization.trim_start_matches("Basic ")).expect("base64");
        String::from_utf8(decoded).expect("UTF-8").split_once(':').expect("a user and a password").1.to_owned()
    }

    // --- pushing and pulling -------------------------------------------------

    /// Pushes a blob in one request; its digest.
    pub async fn push_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = digest_of(&bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.oci("POST", &path).body(bytes).send().await.expect_status(201);
        digest
    }

    /// Pushes a blob as the API does, in parts of `part_bytes`; its digest.
    pub async fn api_push_blob(&self, repository: &str, bytes: &Bytes, part_bytes: usize) -> String {
        let started = self.api_ok("InitiateLayerUpload", json!({ "repositoryName": repository })).await;
        let upload_id = started["uploadId"].as_str().expect("an upload id");
        let mut first = 0;
        for part in bytes.chunks(part_bytes) {
            let last = first + part.len() - 1;
            let input = part_input(repository, upload_id, first, part);
            let output = self.api_ok("UploadLayerPart", input).await;
            assert_eq!(output["lastByteReceived"], last);
            first = last + 1;
        }
        let digest = digest_of(bytes);
        let input = json!({ "repositoryName": repository, "uploadId": upload_id, "layerDigests": [digest] });
        assert_eq!(self.api_ok("CompleteLayerUpload", input).await["layerDigest"], digest);
        digest
    }

    /// Starts an upload; the path to send its bytes to.
    pub async fn start_upload(&self, repository: &str) -> String {
        let reply = self.oci("POST", &format!("/v2/{repository}/blobs/uploads/")).send().await;
        reply.expect_status(202).header("location").to_owned()
    }

    /// Reads a blob through its redirect.
    pub async fn pull_blob(&self, repository: &str, digest: &str) -> Bytes {
        let reply = self.oci("GET", &format!("/v2/{repository}/blobs/{digest}")).send().await;
        let location = reply.expect_status(307).header("location").to_owned();
        self.call("GET", &location).send().await.expect_status(200).body.clone()
    }

    /// Puts a manifest under a tag or a digest, whatever the answer is.
    pub async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Reply {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.oci("PUT", &path).header("content-type", media_type).body(bytes).send().await
    }

    /// Pushes an image with its blobs under a tag.
    pub async fn push_image(&self, repository: &str, tag: &str, image: &Image) {
        for blob in &image.blobs {
            self.push_blob(repository, blob.clone()).await;
        }
        self.push_manifest(repository, tag, image).await;
    }

    /// Pushes the manifest of an image alone; `reference` is a tag or its digest.
    pub async fn push_manifest(&self, repository: &str, reference: &str, image: &Image) {
        let reply = self.put_manifest(repository, reference, image.media_type, image.manifest.clone()).await;
        reply.expect_status(201);
        assert_eq!(reply.header("docker-content-digest"), image.digest);
    }

    /// Reads a manifest by tag or digest, whatever the answer is.
    pub async fn get_manifest(&self, repository: &str, reference: &str) -> Reply {
        self.oci("GET", &format!("/v2/{repository}/manifests/{reference}")).send().await
    }

    /// Pulls an image with all its blobs and compares every byte.
    pub async fn expect_image(&self, repository: &str, reference: &str, image: &Image) {
        let reply = self.get_manifest(repository, reference).await;
        assert_eq!(reply.expect_status(200).body, image.manifest, "{repository}:{reference}");
        assert_eq!(reply.header("content-type"), image.media_type);
        assert_eq!(reply.header("docker-content-digest"), image.digest);
        for blob in &image.blobs {
            assert_eq!(self.pull_blob(repository, &digest_of(blob)).await, blob, "{repository}:{reference}");
        }
    }

    /// The tags of a repository, through the data plane.
    pub async fn tags(&self, repository: &str) -> Vec<String> {
        let reply = self.oci("GET", &format!("/v2/{repository}/tags/list")).send().await;
        let tags = reply.expect_status(200).json()["tags"].clone();
        tags.as_array().expect("a list").iter().map(|tag| tag.as_str().expect("a tag").to_owned()).collect()
    }
}

/// The content type of AWS Query.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The body of a request of AWS Query.
fn form(version: &str, action: &str, fields: &[(&str, &str)]) -> Bytes {
    let escaped = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.bytes().map(escape).collect()
    };
    let mut body = format!("Action={action}&Version={version}");
    for (name, value) in fields {
        body.extend(["&", &escaped(name), "=", &escaped(value)]);
    }
    Bytes::from(body)
}

/// The input of `UploadLayerPart`.
#[must_use]
pub fn part_input(repository: &str, upload_id: &str, first: usize, part: &[u8]) -> Value {
    json!({
        "repositoryName": repository,
        "uploadId": upload_id,
        "partFirstByte": first,
        "partLastByte": (first + part.len()).saturating_sub(1),
        "layerPartBlob": STANDARD.encode(part),
    })
}

impl Call<'_> {
    /// Adds a header; one of this name that is there already stays.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    /// Adds headers.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// A body with a `Content-Length`.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Full::new(bytes.into()).boxed();
        self
    }

    /// A body in chunks, without a `Content-Length`.
    #[must_use]
    pub fn chunks(self, chunks: Vec<Bytes>) -> Self {
        let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(chunk)));
        self.stream(StreamBody::new(futures::stream::iter(frames)))
    }

    /// Any body.
    #[must_use]
    pub fn stream(
        mut self,
        body: impl Body<Data = Bytes, Error = std::convert::Infallible> + Send + Sync + 'static,
    ) -> Self {
        self.body = body.boxed();
        self
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Panics
    /// If the server cuts the connection instead of answering.
    pub async fn send(self) -> Reply {
        let shown = format!("{} {}", self.method, self.path);
        self.try_send().await.unwrap_or_else(|error| panic!("{shown}: no answer: {error}"))
    }

    /// Sends the request; an error if the connection breaks, as it does when
    /// the server is killed.
    ///
    /// # Errors
    /// Any error of the connection.
    pub async fn try_send(self) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let Self { client, method, path, mut headers, body, authorize } = self;
        headers.entry(HOST).or_insert(client.host.parse()?);
        if authorize && !headers.contains_key(AUTHORIZATION) {
            headers.insert(AUTHORIZATION, client.authorization().await.parse()?);
        }
        let mut request = Request::builder().method(method).uri(path).body(body)?;
        *request.headers_mut() = headers;
        let stream = TcpStream::connect(&client.host).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        drop(sender);
        // What went wrong with the connection after the answer is not of interest.
        let _ = connection.await;
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }
}

impl Reply {
    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}\n{:?}", self.text(), self.headers);
        self
    }

    /// Fails the test unless this is an error of OCI Distribution with this
    /// status and code. The message is for the caller to compare.
    #[track_caller]
    pub fn expect_oci_error(&self, status: u16, code: &str) -> &Self {
        self.expect_status(status);
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.json()["errors"][0]["code"], code, "{}", self.text());
        self
    }

    /// Fails the test unless this is what ECR says to a client of the data plane
    /// that has not logged in.
    #[track_caller]
    pub fn expect_challenge(&self) -> &Self {
        self.expect_status(401);
        assert_eq!(self.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(self.text(), "Not Authorized\n");
        assert_eq!(self.header("docker-distribution-api-version"), "registry/2.0");
        let challenge = self.header("www-authenticate");
        assert!(challenge.starts_with("Basic realm=\"https://"), "{challenge}");
        assert!(challenge.ends_with("/\",service=\"ecr.amazonaws.com\""), "{challenge}");
        self
    }

    /// Fails the test unless this is an error of the AWS API with this code
    /// and message.
    #[track_caller]
    pub fn expect_aws_error(&self, code: &str, message: &str) -> &Self {
        self.expect_status(400);
        assert_eq!(self.header("content-type"), "application/x-amz-json-1.1");
        let body = self.json();
        assert_eq!((&body["__type"], &body["message"]), (&json!(code), &json!(message)));
        self
    }

    /// Fails the test unless this is an error of the AWS API with this code.
    #[track_caller]
    pub fn expect_aws_error_code(&self, code: &str) -> &Self {
        assert!(self.status.is_client_error(), "{}: {}", self.status, self.text());
        assert_eq!(self.json()["__type"], code, "{}", self.text());
        self
    }

    /// Fails the test unless this is an error of IAM or STS with this status
    /// and code.
    #[track_caller]
    pub fn expect_query_error(&self, status: u16, code: &str) -> &Self {
        self.expect_status(status);
        assert_eq!(self.header("content-type"), "text/xml");
        assert_eq!(self.element("Code"), code, "{}", self.text());
        self
    }

    /// The text of the first XML element of a name.
    #[must_use]
    #[track_caller]
    pub fn element(&self, name: &str) -> String {
        let text = self.text();
        let inside = text.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
        let inside = inside.unwrap_or_else(|| panic!("no {name} in {text}")).0;
        inside.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    /// The credentials in an answer of IAM or STS.
    #[must_use]
    #[track_caller]
    pub fn key(&self) -> Key {
        let has_token = self.text().contains("<SessionToken>");
        Key {
            access_key_id: self.element("AccessKeyId"),
            secret_access_key: self.element("SecretAccessKey"),
            session_token: has_token.then(|| self.element("SessionToken")),
        }
    }

    /// A header that must be there, once.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert!(values.next().is_none(), "{name} is there twice in {self:?}");
        value.to_str().expect("text")
    }

    /// A header that may be there.
    #[must_use]
    pub fn find_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
