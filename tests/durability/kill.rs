//! An image is acknowledged once and then there for good, whatever happens to
//! the process: clients push in every form there is, the server is killed at
//! random moments and started again, and everything acknowledged must be there,
//! byte for byte.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use ironwharf_tests::client::Call;
use ironwharf_tests::images::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use ironwharf_tests::{Client, Image, Reply, bytes_of, digest_of};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::consistency;
use crate::process::Process;

/// How often the server is killed; `IRONWHARF_KILL_ROUNDS` overrides it.
const ROUNDS: usize = 200;

const CLIENTS: u64 = 4;

const REPOSITORIES: [&str; 3] = ["alpha", "team/beta", "team/gamma/delta"];

/// Tags that move from image to image, per client and repository.
const MOVED_TAGS: u64 = 2;

/// Layers that many images share, so that clients upload the same at the same time.
const SHARED_LAYERS: u64 = 6;

/// How many of its latest images a client puts into an index.
const INDEXED: usize = 4;

/// A size at which an object is written in parts.
const BIG_LAYER_BYTES: usize = 14 * 1024 * 1024;

/// The server is killed after at most this many steps of its clients, and then
/// within this time: somewhere inside a step.
const STEPS: u64 = 160;
const WITHIN: Duration = Duration::from_millis(4);

/// How many older images are looked at after each restart. All are at the end.
const SAMPLE: usize = 4;

/// How many manifests or blobs are pulled at a time.
const PULLS: usize = 4;

/// A blob that can be made again from its seed.
#[derive(Clone, Debug)]
struct Blob {
    seed: u64,
    length: usize,
    digest: String,
}

impl Blob {
    fn new(seed: u64, length: usize) -> Self {
        Self { seed, length, digest: digest_of(&bytes_of(length, seed)) }
    }

    fn bytes(&self) -> Bytes {
        bytes_of(self.length, self.seed)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest, "size": self.length })
    }
}

/// How a blob is uploaded.
#[derive(Clone, Copy, Debug)]
enum Upload {
    /// `POST`, `PUT` with all bytes.
    Put,
    /// `POST`, `PATCH` for each piece, `PUT` without bytes.
    Patch { pieces: usize },
    /// The same with the last piece in the `PUT`.
    PatchThenPut { pieces: usize },
    /// `POST ?digest=` with all bytes.
    Post,
    /// The layer operations of the API.
    Api { pieces: usize },
}

/// How a manifest is pushed.
#[derive(Clone, Copy, Debug)]
enum Commit {
    /// `PUT` by tag.
    ByTag,
    /// `PUT` by digest with the tag in the query.
    ByDigest,
    /// `PutImage`.
    Api,
}

/// An image, and how it is pushed.
#[derive(Clone, Debug)]
struct Push {
    repository: &'static str,
    tag: String,
    image: Image,
    blobs: Vec<(Blob, Upload)>,
    /// Whether blobs that are there already are left out, as clients do.
    asks_first: bool,
    /// Where blobs are mounted from if they are there.
    mounts_from: Option<&'static str>,
    commit: Commit,
}

/// The server went away under a request.
#[derive(Debug)]
struct Cut;

/// When the server is killed.
struct Doom {
    steps_left: AtomicU64,
    due: Notify,
    /// Whether it is dead, or as good as dead.
    struck: AtomicBool,
}

impl Doom {
    fn after(steps: u64) -> Self {
        Self { steps_left: AtomicU64::new(steps), due: Notify::new(), struck: AtomicBool::new(false) }
    }

    /// Counts one thing that happened.
    fn step(&self) {
        if self.steps_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.due.notify_one();
        }
    }

    fn has_struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }
}

/// A client's way to a server that may be killed.
#[derive(Clone)]
struct Link {
    client: Arc<Client>,
    doom: Arc<Doom>,
    /// Whether a push repeats one of which nobody knows how far it got.
    repeats: bool,
}

impl Link {
    /// To a server that is killed.
    fn new(client: &Arc<Client>, doom: &Arc<Doom>) -> Self {
        Self { client: Arc::clone(client), doom: Arc::clone(doom), repeats: false }
    }

    /// To a server that is not killed for now, to push something again.
    fn again(client: &Arc<Client>) -> Self {
        Self { client: Arc::clone(client), doom: Arc::new(Doom::after(u64::MAX)), repeats: true }
    }

    async fn send(&self, call: Call<'_>) -> Result<Reply, Cut> {
        // The port of a dead server may belong to somebody else by now.
        if self.doom.has_struck() {
            return Err(Cut);
        }
        self.doom.step();
        match call.try_send().await {
            Ok(reply) => {
                self.doom.step();
                Ok(reply)
            }
            Err(_) if self.doom.has_struck() => Err(Cut),
            Err(error) => panic!("the server gave no answer before it was killed: {error}"),
        }
    }

    async fn oci(&self, method: &str, path: &str, body: Bytes) -> Result<Reply, Cut> {
        self.send(self.client.oci(method, path).body(body)).await
    }

    /// Calls an operation: its output, or the code of its error.
    async fn api(&self, operation: &str, input: Value) -> Result<Result<Value, String>, Cut> {
        let input = Bytes::from(input.to_string());
        let headers = self.client.signed(&format!("AmazonEC2ContainerRegistry_V20150921.{operation}"), &input);
        let reply = self.send(self.client.call("POST", "/").headers(headers).body(input)).await?;
        let output = reply.json();
        if reply.status == 200 {
            return Ok(Ok(output));
        }
        assert_eq!(reply.status, 400, "{operation}: {}", reply.text());
        Ok(Err(output["__type"].as_str().expect("a code").to_owned()))
    }

    async fn api_ok(&self, operation: &str, input: Value) -> Result<Value, Cut> {
        Ok(self.api(operation, input).await?.unwrap_or_else(|code| panic!("{operation} answered {code}")))
    }
}

impl Push {
    async fn run(&self, link: &Link) -> Result<(), Cut> {
        for (blob, upload) in &self.blobs {
            if self.asks_first && self.has(link, blob).await? || self.mount(link, blob).await? {
                continue;
            }
            self.upload(link, blob, *upload).await?;
        }
        let Self { repository, tag, image, .. } = self;
        let by_digest = format!("{}?tag={tag}", image.digest);
        let reference = match self.commit {
            Commit::ByTag => tag,
            Commit::ByDigest => &by_digest,
            Commit::Api => {
                let input = json!({ "repositoryName": repository, "imageManifest": image.text(), "imageTag": tag });
                match link.api("PutImage", input).await? {
                    Ok(output) => assert_eq!(output["image"]["imageId"]["imageDigest"], image.digest),
                    // The last server committed it, and died before it said so.
                    Err(code) => assert!(link.repeats && code == "ImageAlreadyExistsException", "PutImage: {code}"),
                }
                return Ok(());
            }
        };
        let path = format!("/v2/{repository}/manifests/{reference}");
        let put = link.client.oci("PUT", &path).header("content-type", image.media_type).body(image.manifest.clone());
        let reply = link.send(put).await?;
        assert_eq!(reply.expect_status(201).header("docker-content-digest"), image.digest);
        Ok(())
    }

    async fn has(&self, link: &Link, blob: &Blob) -> Result<bool, Cut> {
        let path = format!("/v2/{}/blobs/{}", self.repository, blob.digest);
        let reply = link.oci("HEAD", &path, Bytes::new()).await?;
        assert!(matches!(reply.status.as_u16(), 200 | 404), "HEAD {path}: {}", reply.status);
        Ok(reply.status == 200)
    }

    async fn mount(&self, link: &Link, blob: &Blob) -> Result<bool, Cut> {
        let Some(from) = self.mounts_from else { return Ok(false) };
        let path = format!("/v2/{}/blobs/uploads/?mount={}&from={from}", self.repository, blob.digest);
        let reply = link.oci("POST", &path, Bytes::new()).await?;
        assert!(matches!(reply.status.as_u16(), 201 | 202), "POST {path}: {}", reply.text());
        Ok(reply.status == 201)
    }

    async fn upload(&self, link: &Link, blob: &Blob, upload: Upload) -> Result<(), Cut> {
        let bytes = blob.bytes();
        match upload {
            Upload::Post => {
                let path = format!("/v2/{}/blobs/uploads/?digest={}", self.repository, blob.digest);
                link.oci("POST", &path, bytes).await?.expect_status(201);
            }
            Upload::Put => self.upload_in_pieces(link, blob, Vec::new(), bytes).await?,
            Upload::Patch { pieces } => {
                self.upload_in_pieces(link, blob, cut_up(&bytes, pieces), Bytes::new()).await?;
            }
            Upload::PatchThenPut { pieces } => {
                let mut pieces = cut_up(&bytes, pieces);
                let last = pieces.pop().unwrap_or_default();
                self.upload_in_pieces(link, blob, pieces, last).await?;
            }
            Upload::Api { pieces } => self.upload_by_api(link, blob, cut_up(&bytes, pieces)).await?,
        }
        Ok(())
    }

    async fn upload_in_pieces(&self, link: &Link, blob: &Blob, pieces: Vec<Bytes>, last: Bytes) -> Result<(), Cut> {
        let path = format!("/v2/{}/blobs/uploads/", self.repository);
        let reply = link.oci("POST", &path, Bytes::new()).await?;
        let mut location = reply.expect_status(202).header("location").to_owned();
        for piece in pieces {
            let reply = link.oci("PATCH", &location, piece).await?;
            reply.expect_status(202).header("location").clone_into(&mut location);
        }
        let path = format!("{location}?digest={}", blob.digest);
        link.oci("PUT", &path, last).await?.expect_status(201);
        Ok(())
    }

    async fn upload_by_api(&self, link: &Link, blob: &Blob, pieces: Vec<Bytes>) -> Result<(), Cut> {
        use base64::Engine as _;
        let started = link.api_ok("InitiateLayerUpload", json!({ "repositoryName": self.repository })).await?;
        let mut offset = 0;
        for piece in pieces {
            let input = json!({
                "repositoryName": self.repository,
                "uploadId": started["uploadId"],
                "partFirstByte": offset,
                "partLastByte": offset + piece.len() - 1,
                "layerPartBlob": base64::engine::general_purpose::STANDARD.encode(&piece),
            });
            link.api_ok("UploadLayerPart", input).await?;
            offset += piece.len();
        }
        let input = json!({
            "repositoryName": self.repository,
            "uploadId": started["uploadId"],
            "layerDigests": [blob.digest],
        });
        if let Err(code) = link.api("CompleteLayerUpload", input).await? {
            assert_eq!(code, "LayerAlreadyExistsException");
        }
        Ok(())
    }
}

/// Bytes in `count` pieces of about the same size, none of them empty.
fn cut_up(bytes: &Bytes, count: usize) -> Vec<Bytes> {
    let size = bytes.len().div_ceil(count).max(1);
    (0..bytes.len()).step_by(size).map(|start| bytes.slice(start..bytes.len().min(start + size))).collect()
}

/// What one client pushed.
struct Ledger {
    client: u64,
    /// What was acknowledged, in order.
    pushes: Vec<Push>,
    /// What the tags must name.
    tags: BTreeMap<(&'static str, String), String>,
    /// What was being pushed when the server was killed.
    in_flight: Option<Push>,
    /// How many of the pushes have been pulled whole since.
    pulled: usize,
}

impl Ledger {
    const fn new(client: u64) -> Self {
        Self { client, pushes: Vec::new(), tags: BTreeMap::new(), in_flight: None, pulled: 0 }
    }

    /// Pushes one image after the other until the server is killed.
    async fn push_until_cut(mut self, link: Link, mut random: fastrand::Rng) -> Self {
        loop {
            let push = self.plan(&mut random);
            self.in_flight = Some(push.clone());
            match push.run(&link).await {
                Ok(()) => self.acknowledge(),
                Err(Cut) => return self,
            }
        }
    }

    fn acknowledge(&mut self) {
        let Some(push) = self.in_flight.take() else { return };
        self.tags.insert((push.repository, push.tag.clone()), push.image.digest.clone());
        self.pushes.push(push);
    }

    /// Whether the tag that an image was pushed with must still name it: no
    /// later push moved it, not even one of which nobody knows yet.
    fn is_named(&self, push: &Push) -> bool {
        let moves = |other: &Push| (other.repository, &other.tag) == (push.repository, &push.tag);
        let named = &self.tags[&(push.repository, push.tag.clone())];
        *named == push.image.digest && !self.in_flight.as_ref().is_some_and(moves)
    }

    fn plan(&self, random: &mut fastrand::Rng) -> Push {
        let repository = random.choice(REPOSITORIES).expect("there are some");
        let tag = match random.u64(..3) {
            0 => format!("client-{}-{:016x}", self.client, random.u64(..)),
            _ => format!("client-{}-moves-{}", self.client, random.u64(..MOVED_TAGS)),
        };
        let latest = self.pushes.iter().rev().filter(|push| push.repository == repository).take(INDEXED);
        let children: Vec<&Image> = latest.map(|push| &push.image).collect();
        let (image, blobs) = if children.is_empty() || random.u64(..6) > 0 {
            let blobs = blobs(random);
            (image(&blobs), blobs)
        } else {
            (Image::index(&children), Vec::new())
        };
        Push {
            repository,
            tag,
            image,
            blobs: blobs.into_iter().map(|blob| (blob, upload(random))).collect(),
            asks_first: random.bool(),
            mounts_from: random.choice(REPOSITORIES).filter(|from| *from != repository && random.bool()),
            commit: random.choice([Commit::ByTag, Commit::ByDigest, Commit::Api]).expect("there are some"),
        }
    }

    /// After a restart: what was in flight is there whole or not at all, and
    /// can be pushed again.
    async fn settle(&mut self, client: &Arc<Client>) {
        self.pulled = self.pushes.len();
        let Some(push) = &self.in_flight else { return };
        let Push { repository, tag, image, .. } = push;
        let reply = client.get_manifest(repository, tag).await;
        let named = (reply.status == 200).then(|| reply.header("docker-content-digest").to_owned());
        let before = self.tags.get(&(*repository, tag.clone()));
        let is_either = named.as_ref() == before || named.as_ref() == Some(&image.digest);
        assert!(is_either, "{repository}:{tag} names {named:?}, not {before:?} and not what was in flight: {push:?}");
        if named.as_ref() == Some(&image.digest) {
            expect_manifest(client, push, None).await;
            for (blob, _) in &push.blobs {
                expect_blob(client, repository, &blob.digest).await;
            }
        }
        push.run(&Link::again(client)).await.expect("nobody kills the server now");
        self.acknowledge();
    }
}

/// A configuration of its own, shared layers, and a layer of its own.
fn blobs(random: &mut fastrand::Rng) -> Vec<Blob> {
    let mut blobs = vec![Blob::new(random.u64(..), 300)];
    for _ in 0..random.u64(..3) {
        let shared = random.u64(..SHARED_LAYERS);
        blobs.push(Blob::new(shared, 20_000));
    }
    let length = if random.u64(..60) == 0 { BIG_LAYER_BYTES } else { random.usize(1..60_000) };
    blobs.push(Blob::new(random.u64(..), length));
    blobs
}

fn image(blobs: &[Blob]) -> Image {
    let layers: Vec<Value> = blobs[1..].iter().map(|layer| layer.descriptor(OCI_LAYER)).collect();
    let config = blobs[0].descriptor(OCI_CONFIG);
    Image::from_json(&json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers }))
}

fn upload(random: &mut fastrand::Rng) -> Upload {
    let pieces = random.usize(1..5);
    let uploads =
        [Upload::Put, Upload::Patch { pieces }, Upload::PatchThenPut { pieces }, Upload::Post, Upload::Api { pieces }];
    random.choice(uploads).expect("there are some")
}

/// Pulls a manifest by its digest, and by its tag if one is given.
async fn expect_manifest(client: &Client, push: &Push, tag: Option<&str>) {
    let Push { repository, image, .. } = push;
    for reference in [Some(image.digest.as_str()), tag].into_iter().flatten() {
        let reply = client.get_manifest(repository, reference).await;
        assert_eq!(reply.expect_status(200).body, image.manifest, "{repository}:{reference}");
        assert_eq!(reply.header("docker-content-digest"), image.digest, "{repository}:{reference}");
        assert_eq!(reply.header("content-type"), image.media_type, "{repository}:{reference}");
    }
}

async fn expect_blob(client: &Client, repository: &str, digest: &str) {
    let bytes = client.pull_blob(repository, digest).await;
    assert_eq!(digest_of(&bytes), digest, "a blob of {repository}");
}

/// Pulls whole what was acknowledged since the last time, and some of what was
/// before. A blob that images share is pulled once per repository.
async fn expect_images(client: &Client, ledgers: &[Ledger], random: &mut fastrand::Rng) {
    let mut chosen = Vec::new();
    for ledger in ledgers {
        let (older, new) = ledger.pushes.split_at(ledger.pulled);
        let sample = random.choose_multiple(older, SAMPLE / ledgers.len());
        for push in sample.into_iter().chain(new) {
            let tag = Some(push.tag.as_str()).filter(|_| ledger.is_named(push));
            chosen.push((push, tag));
        }
    }
    let blobs = chosen.iter().flat_map(|(push, _)| push.blobs.iter().map(|(blob, _)| (push.repository, &blob.digest)));
    let blobs: BTreeSet<(&str, &String)> = blobs.collect();
    let manifests = futures::stream::iter(chosen);
    manifests.for_each_concurrent(PULLS, |(push, tag)| expect_manifest(client, push, tag)).await;
    let blobs = futures::stream::iter(blobs);
    blobs.for_each_concurrent(PULLS, |(repository, digest)| expect_blob(client, repository, digest)).await;
}

/// Every repository holds what was acknowledged, and nothing else.
async fn expect_exactly(client: &Client, ledgers: &[Ledger]) {
    for repository in REPOSITORIES {
        let held = consistency::listed(client, repository).await;
        let pushes = ledgers.iter().flat_map(|ledger| &ledger.pushes).filter(|push| push.repository == repository);
        let digests: BTreeSet<String> = pushes.map(|push| push.image.digest.clone()).collect();
        assert_eq!(held.keys().cloned().collect::<BTreeSet<_>>(), digests, "the images of {repository}");
        let mut tags: HashMap<&str, BTreeSet<String>> = HashMap::new();
        for ((of, tag), digest) in ledgers.iter().flat_map(|ledger| &ledger.tags) {
            if *of == repository {
                tags.entry(digest).or_default().insert(tag.clone());
            }
        }
        for (digest, held_tags) in &held {
            assert_eq!(
                *held_tags,
                tags.remove(digest.as_str()).unwrap_or_default(),
                "the tags of {repository}@{digest}"
            );
        }
    }
}

/// Lets every client push until the server is killed.
async fn push_and_kill(server: Process, client: &Arc<Client>, ledgers: &mut Vec<Ledger>, random: &mut fastrand::Rng) {
    let doom = Arc::new(Doom::after(random.u64(1..=STEPS)));
    let mut clients = JoinSet::new();
    for ledger in ledgers.drain(..) {
        clients.spawn(ledger.push_until_cut(Link::new(client, &doom), random.fork()));
    }
    tokio::select! {
        () = doom.due.notified() => {}
        ended = clients.join_next() => {
            let error = ended.and_then(Result::err);
            panic!("a client ended before the server was killed: {error:?}")
        }
    }
    // Not to wait for anything: to die anywhere inside a request.
    tokio::time::sleep(WITHIN.mul_f64(random.f64())).await;
    doom.struck.store(true, Ordering::SeqCst);
    server.kill();
    ledgers.extend(clients.join_all().await);
    ledgers.sort_by_key(|ledger| ledger.client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_images_survive_kill_9() {
    let mut random = crate::random();
    let rounds = std::env::var("IRONWHARF_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut ledgers: Vec<Ledger> = (0..CLIENTS).map(Ledger::new).collect();
    let (began, mut starting) = (Instant::now(), Duration::ZERO);
    let (mut cut_off, mut first_token) = (0, None);
    for round in 0..=rounds {
        let start = Instant::now();
        let server = Process::start(folder.path()).await;
        starting += start.elapsed();
        let client = Arc::new(server.client());
        if first_token.is_none() {
            first_token = Some(client.authorization().await);
            for repository in REPOSITORIES {
                client.api_ok("CreateRepository", json!({ "repositoryName": repository })).await;
            }
        }
        expect_images(&client, &ledgers, &mut random).await;
        cut_off += ledgers.iter().filter(|ledger| ledger.in_flight.is_some()).count();
        futures::future::join_all(ledgers.iter_mut().map(|ledger| ledger.settle(&client))).await;
        if round < rounds {
            push_and_kill(server, &client, &mut ledgers, &mut random).await;
            continue;
        }
        for ledger in &mut ledgers {
            ledger.pulled = 0;
        }
        expect_images(&client, &ledgers, &mut random).await;
        expect_exactly(&client, &ledgers).await;
        let authorization = first_token.as_deref().expect("there was a first round");
        client.call("GET", "/v2/").header("authorization", authorization).send().await.expect_status(200);
        server.kill();
    }
    let acknowledged: usize = ledgers.iter().map(|ledger| ledger.pushes.len()).sum();
    println!(
        "killed {rounds} times in {:.0?}: {acknowledged} pushes acknowledged, of which {cut_off} had been cut off \
         and were repeated; a start takes {:.0?}",
        began.elapsed(),
        starting / u32::try_from(rounds + 1).expect("a small number"),
    );
    folder.close().expect("the folder is removed");
}
