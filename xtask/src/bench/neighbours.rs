//! `cargo xtask bench neighbours`: what a tenant notices of another one that
//! asks for ten times what it may have.
//!
//! The quiet tenant pulls a manifest at a steady pace, first alone and then
//! beside the loud one. What is compared is the median, and how much longer it
//! is; the loud tenant's requests are counted by how they were answered.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::sync::Mutex;

use super::{Client, Failure, MANIFEST_TYPE, Result, Target, drain, full};

/// The loud tenant's quotas, in requests a second (Amazon ECR service quotas).
const PUT_IMAGE: u32 = 10;
const INITIATE_LAYER_UPLOAD: u32 = 100;

/// How much more than that it asks for.
const TIMES: u32 = 10;

/// How many pulls are measured, and how far they are apart.
const PULLS: usize = 1_000;
const PACE: Duration = Duration::from_millis(10);

/// How many measurements of each kind alternate, so that a drift of the machine
/// meets both.
const ROUNDS: usize = 3;

/// Runs the benchmark.
pub(crate) fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace has no folder")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let loud = super::ironwharf(root, &["--rate-limits", "ecr"])?;
        let authorization = Some(authorization_of_another(root, &loud)?);
        let mut quiet = Client::connect(&loud).await?;
        quiet.authorization = authorization;
        quiet.push_image("quiet/app", "latest", "quiet").await?;
        Client::connect(&loud).await?.push_image("loud/app", "latest", "loud").await?;
        pull(&mut quiet, 200).await?;
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        let mut answers = BTreeMap::new();
        for _ in 0..ROUNDS {
            alone.extend(pull(&mut quiet, PULLS).await?);
            let noise = Noise::start(&loud).await?;
            beside.extend(pull(&mut quiet, PULLS).await?);
            for (status, count) in noise.stop().await? {
                *answers.entry(status).or_insert(0) += count;
            }
        }
        let (alone, beside) = (median(alone), median(beside));
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        println!(
            "quiet tenant, median of a manifest pull: alone {alone:?}, beside the loud one {beside:?}, {ratio:.2}"
        );
        println!("loud tenant, {TIMES} times its quota: {answers:?}");
        Ok(())
    })
}

/// A login of a second account.
fn authorization_of_another(root: &Path, target: &Target) -> Result<String> {
    let run = |command: &mut Command| -> Result<String> {
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let binary = super::binary(root);
    let folder = target.folder.path();
    let made = run(Command::new(&binary).args(["account", "--data-dir"]).arg(folder).args([
        "create",
        "--name",
        "quiet",
        "--account-id",
        "222222222222",
        "--format",
        "env",
    ]))?;
    let value = |name: &str| {
        let found =
            made.lines().find_map(|line| line.trim_start_matches("export ").strip_prefix(name)?.strip_prefix('='));
        found.map(|value| value.trim_matches(['"', '\'']).to_owned()).ok_or_else(|| format!("no {name} in: {made}"))
    };
    let password = run(Command::new(&binary)
        .env("IRONWHARF_ROOT_ACCESS_KEY_ID", value("AWS_ACCESS_KEY_ID")?)
        .env("IRONWHARF_ROOT_SECRET_ACCESS_KEY", value("AWS_SECRET_ACCESS_KEY")?)
        .args(["login-password", "--data-dir"])
        .arg(folder))?;
    Ok(format!("Basic {}", STANDARD.encode(format!("AWS:{}", password.trim()))))
}

/// How long pulls took that were begun at a steady pace.
async fn pull(client: &mut Client, count: usize) -> Result<Vec<Duration>> {
    let mut clock = tokio::time::interval(PACE);
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        clock.tick().await;
        let started = Instant::now();
        client.expect(Method::GET, "/v2/quiet/app/manifests/latest", Bytes::new(), StatusCode::OK).await?;
        took.push(started.elapsed());
    }
    Ok(took)
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

type Answers = Arc<Mutex<BTreeMap<String, usize>>>;

/// The loud tenant at work: requests begin at their pace, whether or not the
/// ones before were answered.
struct Noise {
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
    answers: Answers,
}

impl Noise {
    async fn start(target: &Target) -> Result<Self> {
        let answers = Answers::default();
        let manifest = {
            let mut client = Client::connect(target).await?;
            let response = client.send(Method::GET, "/v2/loud/app/manifests/latest", "", full(Bytes::new())).await?;
            http_body_util::BodyExt::collect(response.into_body()).await?.to_bytes()
        };
        let uploads = "/v2/loud/app/blobs/uploads/";
        let mut tasks = Vec::new();
        // The registry holds a request for a while before it refuses: 20 seconds'
        // worth of `PutImage`, one of the other. So many connections wait; as many
        // again and more make the rate.
        for (name, rate, held_seconds, method, path, body) in [
            ("PutImage", PUT_IMAGE, 20, Method::PUT, "/v2/loud/app/manifests/latest", manifest),
            ("InitiateLayerUpload", INITIATE_LAYER_UPLOAD, 1, Method::POST, uploads, Bytes::new()),
        ] {
            let (held, free) = (rate * held_seconds, 200);
            let pace = Duration::from_secs(1) * free / (rate * TIMES);
            for number in 0..held + free {
                let mut client = Client::connect(target).await?;
                let (answers, method, body) = (Arc::clone(&answers), method.clone(), body.clone());
                let delay = pace * number / (held + free);
                tasks.push(tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let mut clock = tokio::time::interval(pace);
                    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                    loop {
                        clock.tick().await;
                        let kind = if method == Method::PUT { MANIFEST_TYPE } else { "" };
                        let response = client.send(method.clone(), path, kind, full(body.clone())).await?;
                        let status = response.status().as_u16();
                        drain(response).await?;
                        *answers.lock().await.entry(format!("{name} {status}")).or_default() += 1;
                    }
                }));
            }
        }
        Ok(Self { tasks, answers })
    }

    async fn stop(self) -> Result<BTreeMap<String, usize>> {
        for task in self.tasks {
            task.abort();
            match task.await {
                Err(stopped) if stopped.is_cancelled() => {}
                Err(error) => return Err(Failure::from(error)),
                Ok(ended) => ended?,
            }
        }
        let answers = self.answers.lock().await.clone();
        Ok(answers)
    }
}
