//! The jobs function: events of the schedule, and of the logs of the others.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_function::Jobs;
use ironwharf_model::Region;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Gateway, REGION, Registry, Request, digest};

/// What the schedule of the template sends.
pub(crate) const SCHEDULED: &str = r#"{"job": "work"}"#;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The log of a function.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

/// The event that `CloudWatch` Logs makes of lines.
fn subscription_event(lines: &[String]) -> String {
    let entry = |(id, line): (usize, &String)| json!({ "id": id.to_string(), "timestamp": 1, "message": line });
    let data = json!({
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "pull",
        "logStream": "stream",
        "subscriptionFilters": ["pulls"],
        "logEvents": lines.iter().enumerate().map(entry).collect::<Vec<_>>(),
    });
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(data.to_string().as_bytes()).unwrap();
    json!({ "awslogs": { "data": STANDARD.encode(packed.finish().unwrap()) } }).to_string()
}

/// A registry with something for the jobs to do.
pub(crate) struct Scene {
    pub(crate) registry: Registry,
    jobs: Jobs,
    login: String,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let registry = Registry::new().await;
        let jobs = Jobs::new(registry.jobs.clone(), Region::parse(REGION).unwrap());
        let login = registry.login(Gateway::AlbMultiValue).await;
        let scene = Self { registry, jobs, login };
        for name in ["kept", "expired", "deleted"] {
            scene.api("CreateRepository", json!({ "repositoryName": name })).await;
            for tag in ["one", "two", "three"] {
                scene.push(name, tag).await;
            }
        }
        scene
    }

    async fn api(&self, operation: &str, input: Value) -> Value {
        let answer = self.registry.send(Gateway::AlbMultiValue, &Request::api(operation, &input)).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.json);
        answer.json_body()
    }

    async fn oci(&self, request: Request, status: u16) {
        let request = request.header("authorization", &self.login);
        let answer = self.registry.send(Gateway::AlbMultiValue, &request).await;
        assert_eq!(answer.status, status, "{} {}: {}", request.method, request.path, answer.json);
    }

    /// Pushes an image whose bytes are its tag.
    async fn push(&self, name: &str, tag: &str) {
        let blob = tag.as_bytes();
        let target = format!("/v2/{name}/blobs/uploads/?digest={}", digest(blob));
        self.oci(Request::new("POST", &target).body(blob), 201).await;
        let descriptor = json!({ "mediaType": "application/octet-stream", "digest": digest(blob), "size": blob.len() });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [descriptor],
        });
        let put = Request::new("PUT", &format!("/v2/{name}/manifests/{tag}")).header("content-type", MANIFEST);
        self.oci(put.body(manifest.to_string()), 201).await;
    }

    async fn tags(&self, name: &str) -> BTreeSet<String> {
        let listed = self.api("ListImages", json!({ "repositoryName": name })).await;
        let tags = listed["imageIds"].as_array().unwrap().iter();
        tags.map(|image| image["imageTag"].as_str().unwrap().to_owned()).collect()
    }

    async fn pulled_at(&self, tag: &str) -> Option<f64> {
        let input = json!({ "repositoryName": "kept", "imageIds": [{ "imageTag": tag }] });
        self.api("DescribeImages", input).await["imageDetails"][0]["lastRecordedPullTime"].as_f64()
    }

    /// Makes all there is for the jobs to do, and does it; the calls that they
    /// made with the credentials of the process.
    pub(crate) async fn do_everything(&self) -> BTreeSet<String> {
        let policy = |action: Value| {
            let selection = json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1 });
            let rule = json!({ "rulePriority": 1, "selection": selection, "action": action });
            format!("{:<100}", json!({ "rules": [rule] }).to_string())
        };
        let put = json!({ "repositoryName": "expired", "lifecyclePolicyText": policy(json!({ "type": "expire" })) });
        self.api("PutLifecyclePolicy", put).await;
        let archive = policy(json!({ "type": "transition", "targetStorageClass": "archive" }));
        let preview = json!({ "repositoryName": "kept", "lifecyclePolicyText": archive });
        self.api("StartLifecyclePolicyPreview", preview).await;
        self.api("DeleteRepository", json!({ "repositoryName": "deleted", "force": true })).await;
        let lines = self.pull().await;
        let _ = self.registry.counts.take();
        self.jobs.run(SCHEDULED, 0).await.unwrap();
        while self.jobs.run(SCHEDULED, 0).await.unwrap().steps > 0 {}
        self.jobs.run(&subscription_event(&lines), 0).await.unwrap();
        self.registry.counts.take_own().into_keys().collect()
    }

    /// Pulls an image twice by each way, and looks at another; the log of it.
    async fn pull(&self) -> Vec<String> {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().json().without_time().with_writer(log.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let by_api = json!({ "repositoryName": "kept", "imageIds": [{ "imageTag": "two" }] });
        for _ in 0..2 {
            self.oci(Request::new("GET", "/v2/kept/manifests/one"), 200).await;
            self.api("BatchGetImage", by_api.clone()).await;
        }
        self.oci(Request::new("HEAD", "/v2/kept/manifests/three"), 200).await;
        log.lines()
    }
}

#[tokio::test]
async fn what_is_due_is_done() {
    let scene = Scene::new().await;
    scene.do_everything().await;
    assert_eq!(scene.tags("expired").await, BTreeSet::from(["three".to_owned()]));
    assert_eq!(scene.tags("kept").await.len(), 3, "a preview changes nothing");
    let preview = scene.api("GetLifecyclePolicyPreview", json!({ "repositoryName": "kept" })).await;
    assert_eq!(preview["status"], "COMPLETE", "{preview}");
    assert_eq!(preview["previewResults"].as_array().unwrap().len(), 2, "{preview}");
    let idle = scene.jobs.run(SCHEDULED, u64::MAX).await.unwrap();
    assert_eq!((idle.steps, idle.pulls), (0, 0));
}

/// A function has no task that could record a pull: its log says it.
#[tokio::test]
async fn a_pull_reaches_its_image_through_the_log() {
    let scene = Scene::new().await;
    let lines = scene.pull().await;
    assert_eq!((scene.pulled_at("one").await, scene.pulled_at("two").await), (None, None));
    let noted = lines.iter().filter(|line| line.contains("ironwharf::pull")).count();
    assert_eq!(noted, 2, "once a day for each image: {lines:#?}");
    let event = subscription_event(&lines);
    assert_eq!(scene.jobs.run(&event, 0).await.unwrap().pulls, 2);
    let times = (scene.pulled_at("one").await, scene.pulled_at("two").await, scene.pulled_at("three").await);
    assert!(matches!(times, (Some(_), Some(_), None)), "{times:?}");
    // The log may be delivered twice.
    scene.jobs.run(&event, 0).await.unwrap();
    assert_eq!(scene.pulled_at("one").await, times.0);
}

#[tokio::test]
async fn other_events_are_errors_that_say_so() {
    let scene = Scene::new().await;
    for event in ["{}", "[]", "nonsense", r#"{"job":"rest"}"#, r#"{"awslogs":{"data":"AAAA"}}"#, r#"{"awslogs":{}}"#] {
        let sentence = scene.jobs.run(event, 0).await.unwrap_err();
        assert!(sentence.starts_with("the event is neither of the schedule nor of a log"), "{event}: {sentence}");
    }
    let strange = subscription_event(&[
        "no JSON".to_owned(),
        r#"{"target":"ironwharf::pull","fields":{"account":"123456789012","repository":"A B","incarnation":"x",
            "digest":"sha256:0","principal":"arn","at_ms":1}}"#
            .to_owned(),
    ]);
    scene.jobs.run(&strange, 0).await.unwrap();
}
