//! `cargo xtask bench`: Ironwharf beside Debian's docker-registry, the same
//! requests to both on the same machine in the same run.
//!
//! It prints rates and their ratio. It asserts nothing: a ratio is for a person
//! to judge, on a machine that is otherwise idle.

pub(crate) mod neighbours;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;
type Body = BoxBody<Bytes, std::convert::Infallible>;

/// How many requests a small measurement makes.
const READS: usize = 4_000;
/// How many images a push measurement makes.
const PUSHES: usize = 400;
/// The size of the large layer.
const LARGE_MIB: usize = 256;
const MIB: usize = 1024 * 1024;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry to measure.
struct Target {
    name: &'static str,
    process: Child,
    authority: String,
    authorization: Option<String>,
    folder: tempfile::TempDir,
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One row of the report: a rate, where more is better, or a size.
struct Row {
    what: &'static str,
    unit: &'static str,
    value: f64,
}

/// Runs the benchmark.
pub(crate) fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace has no folder")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ours = ironwharf(root, &[])?;
        let ours_rows = measure(&ours).await?;
        drop(ours);
        let theirs = docker_registry().await?;
        let theirs_rows = measure(&theirs).await?;
        println!("{}", report(ours_rows, theirs_rows, theirs.name));
        Ok(())
    })
}

fn report(ours: Vec<Row>, theirs: Vec<Row>, name: &str) -> String {
    let mut text = format!("\n| measurement | ironwharf | {name} | ratio |\n|---|---|---|---|\n");
    for (our, their) in ours.into_iter().zip(theirs) {
        let Row { what, unit, value } = our;
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "| {what} | {value:.0} {unit} | {:.0} {unit} | {:.2} |", their.value, value / their.value);
    }
    text
}

/// The binary that is measured.
fn binary(root: &Path) -> PathBuf {
    std::env::var_os("IRONWHARF_BIN").map_or_else(|| root.join("target/release/ironwharf"), PathBuf::from)
}

fn ironwharf(root: &Path, options: &[&str]) -> Result<Target> {
    let binary = binary(root);
    let folder = tempfile::tempdir()?;
    let mut process = Command::new(&binary)
        .arg("serve")
        .args(options)
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            format!("cannot start {}: {error}; build it with `cargo build --release`", binary.display())
        })?;
    let stdout = process.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let ready = lines.next().ok_or("the server ended")??;
    std::thread::spawn(move || lines.for_each(drop));
    let authority = ready.rsplit("http://").next().ok_or("no address")?.trim().to_owned();
    let password = Command::new(&binary).args(["login-password", "--data-dir"]).arg(folder.path()).output()?;
    let password = String::from_utf8(password.stdout)?;
    let authorization = format!("Basic {}", STANDARD.encode(format!("AWS:{}", password.trim())));
    Ok(Target { name: "ironwharf", process, authority, authorization: Some(authorization), folder })
}

async fn docker_registry() -> Result<Target> {
    let folder = tempfile::tempdir()?;
    // The port is free at this moment, which is as good as it gets.
    let authority = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let config = folder.path().join("config.yml");
    let storage = folder.path().join("data");
    let text = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n  \
         delete:\n    enabled: true\nhttp:\n  addr: {authority}\n",
        storage.display()
    );
    std::fs::write(&config, text)?;
    let process = Command::new("docker-registry")
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start docker-registry: {error}; install it with tests/interop/install"))?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(&authority).await.is_err() {
        if Instant::now() > deadline {
            return Err("docker-registry does not listen".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Target { name: "docker-registry 2.8.2", process, authority, authorization: None, folder })
}

/// One kept-alive connection.
struct Client {
    sender: SendRequest<Body>,
    authority: String,
    authorization: Option<String>,
}

impl Client {
    async fn connect(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(&target.authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (authority, authorization) = (target.authority.clone(), target.authorization.clone());
        Ok(Self { sender, authority, authorization })
    }

    async fn send(&mut self, method: Method, path: &str, content_type: &str, body: Body) -> Result<Response<Incoming>> {
        let mut request =
            Request::builder().method(method).uri(path).header("host", &self.authority).header("accept", MANIFEST_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(body)?).await?)
    }

    /// Sends, expects a status, and reads the answer to its end; its size.
    async fn expect(&mut self, method: Method, path: &str, body: Bytes, status: StatusCode) -> Result<usize> {
        let content_type = if path.contains("/manifests/") { MANIFEST_TYPE } else { "application/octet-stream" };
        let response = self.send(method, path, content_type, full(body)).await?;
        if response.status() != status {
            let found = response.status();
            let text = response.into_body().collect().await?.to_bytes();
            return Err(format!("{path}: {found}: {}", String::from_utf8_lossy(&text)).into());
        }
        drain(response).await
    }

    /// Starts an upload; the path to go on at.
    async fn start_upload(&mut self, repository: &str) -> Result<String> {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let response = self.send(Method::POST, &path, "", full(Bytes::new())).await?;
        let location = location(&response)?;
        drain(response).await?;
        Ok(location)
    }

    async fn push_blob(&mut self, repository: &str, bytes: Bytes) -> Result<String> {
        let digest = digest(&bytes);
        let upload = self.start_upload(repository).await?;
        self.expect(Method::PUT, &with_digest(&upload, &digest), bytes, StatusCode::CREATED).await?;
        Ok(digest)
    }

    /// The smallest image: a config, a layer and a manifest.
    async fn push_image(&mut self, repository: &str, tag: &str, salt: &str) -> Result<String> {
        let (config, layer) = (format!("{{\"salt\":\"{salt}\"}}"), format!("layer {salt}"));
        let (config_bytes, layer_bytes) = (config.len(), layer.len());
        let config = self.push_blob(repository, config.into()).await?;
        let layer = self.push_blob(repository, layer.into()).await?;
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_bytes},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_bytes}],
        });
        let manifest = Bytes::from(manifest.to_string());
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.expect(Method::PUT, &path, manifest.clone(), StatusCode::CREATED).await?;
        Ok(digest(&manifest))
    }

    /// Reads a blob wherever it is; its size.
    async fn pull_blob(&mut self, repository: &str, digest: &str) -> Result<usize> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let response = self.send(Method::GET, &path, "", full(Bytes::new())).await?;
        if response.status() == StatusCode::TEMPORARY_REDIRECT {
            let location = location(&response)?;
            drain(response).await?;
            return self.expect(Method::GET, &location, Bytes::new(), StatusCode::OK).await;
        }
        drain(response).await
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed()
}

/// A body sent in pieces without its length, as docker sends layers.
fn chunked(bytes: &Bytes) -> Body {
    let pieces: Vec<_> = (0..bytes.len()).step_by(MIB).map(|at| bytes.slice(at..(at + MIB).min(bytes.len()))).collect();
    StreamBody::new(stream::iter(pieces.into_iter().map(|piece| Ok(Frame::data(piece))))).boxed()
}

fn location(response: &Response<Incoming>) -> Result<String> {
    let value = response.headers().get("location").ok_or_else(|| format!("{}: no Location", response.status()))?;
    let value = value.to_str()?;
    // docker-registry gives whole URLs, Ironwharf paths.
    match value.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest.split_at(at).1.to_owned())) {
        Some(path) => Ok(path),
        None => Ok(value.to_owned()),
    }
}

async fn drain(response: Response<Incoming>) -> Result<usize> {
    let mut body = response.into_body();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        size += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(size)
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn with_digest(upload: &str, digest: &str) -> String {
    let separator = if upload.contains('?') { '&' } else { '?' };
    format!("{upload}{separator}digest={digest}")
}

/// Bytes that do not compress, the same in every run.
fn noise(length: usize, seed: u64) -> Bytes {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// All measurements of one registry, in order.
async fn measure(target: &Target) -> Result<Vec<Row>> {
    let mut client = Client::connect(target).await?;
    let repository = "bench/read";
    let digest = client.push_image(repository, "latest", "read").await?;
    let blob = client.push_blob(repository, noise(64 * 1024, 7)).await?;
    let mut rows = Vec::new();
    for (what, method, path) in [
        ("manifest GET by tag", Method::GET, format!("/v2/{repository}/manifests/latest")),
        ("manifest GET by digest", Method::GET, format!("/v2/{repository}/manifests/{digest}")),
        ("blob HEAD", Method::HEAD, format!("/v2/{repository}/blobs/{blob}")),
    ] {
        // The first requests fill caches on both sides.
        for _ in 0..200 {
            client.expect(method.clone(), &path, Bytes::new(), StatusCode::OK).await?;
        }
        let started = Instant::now();
        for _ in 0..READS {
            client.expect(method.clone(), &path, Bytes::new(), StatusCode::OK).await?;
        }
        rows.push(Row { what, unit: "/s", value: rate(READS, started.elapsed()) });
    }
    for (what, clients) in [("small push, 1 client", 1), ("small push, 8 clients", 8)] {
        let elapsed = push_with(target, clients).await?;
        rows.push(Row { what, unit: "/s", value: rate(PUSHES, elapsed) });
    }
    rows.extend(measure_large(target, &mut client).await?);
    Ok(rows)
}

async fn push_with(target: &Target, clients: usize) -> Result<Duration> {
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(Client::connect(target).await?);
    }
    let started = Instant::now();
    let pushing = connected.into_iter().enumerate().map(|(number, mut client)| {
        tokio::spawn(async move {
            for round in 0..PUSHES / clients {
                let salt = format!("{clients}-{number}-{round}");
                client.push_image(&format!("bench/push{number}"), &format!("t{round}"), &salt).await?;
            }
            Ok::<_, Failure>(())
        })
    });
    for task in pushing.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(started.elapsed())
}

async fn measure_large(target: &Target, client: &mut Client) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let repository = "bench/large";
    let patched = noise(LARGE_MIB * MIB, 1);
    let patched_digest = digest(&patched);
    let upload = client.start_upload(repository).await?;
    let started = Instant::now();
    let response = client.send(Method::PATCH, &upload, "application/octet-stream", chunked(&patched)).await?;
    let upload = location(&response)?;
    drain(response).await?;
    let finish = with_digest(&upload, &patched_digest);
    client.expect(Method::PUT, &finish, Bytes::new(), StatusCode::CREATED).await?;
    rows.push(Row { what: "256 MiB push (PATCH)", unit: "MiB/s", value: rate(LARGE_MIB, started.elapsed()) });

    let whole = noise(LARGE_MIB * MIB, 2);
    let whole_digest = digest(&whole);
    let upload = client.start_upload(repository).await?;
    let started = Instant::now();
    client.expect(Method::PUT, &with_digest(&upload, &whole_digest), whole, StatusCode::CREATED).await?;
    rows.push(Row { what: "256 MiB push (PUT)", unit: "MiB/s", value: rate(LARGE_MIB, started.elapsed()) });

    let started = Instant::now();
    let size = client.pull_blob(repository, &patched_digest).await?;
    if size != LARGE_MIB * MIB {
        return Err(format!("the pulled layer has {size} bytes").into());
    }
    rows.push(Row { what: "256 MiB pull", unit: "MiB/s", value: rate(LARGE_MIB, started.elapsed()) });
    rows.push(Row { what: "peak memory", unit: "MiB", value: peak_memory_mib(target)? });
    Ok(rows)
}

fn peak_memory_mib(target: &Target) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", target.process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
