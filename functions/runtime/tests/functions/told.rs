//! The events function, with a bus that says what it got.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ironwharf_cloud::event_bus::{EventBus, SOURCE};
use ironwharf_function::Events;
use ironwharf_model::Region;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{REGION, digest};

/// `PutEvents`, and nothing else of `EventBridge`. Refuses events of a tag "refused".
#[derive(Clone, Default)]
struct Bus {
    calls: Arc<Mutex<Vec<Vec<Value>>>>,
}

impl Bus {
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bus = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let bus = bus.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| bus.clone().answer(request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        url
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        assert_eq!(request.headers()["x-amz-target"], "AWSEvents.PutEvents");
        let body: Value = serde_json::from_slice(&request.collect().await.unwrap().to_bytes()).unwrap();
        let entries = body["Entries"].as_array().unwrap().clone();
        let results: Vec<Value> = entries
            .iter()
            .map(|entry| entry["Detail"].as_str().unwrap().contains(r#""image-tag":"refused""#))
            .map(|is_refused| {
                let refused = json!({ "ErrorCode": "InternalFailure", "ErrorMessage": "not today" });
                if is_refused { refused } else { json!({ "EventId": "1" }) }
            })
            .collect();
        let failed = results.iter().filter(|result| result["ErrorCode"].is_string()).count();
        self.calls.lock().unwrap().push(entries);
        Ok(Response::new(Full::from(json!({ "FailedEntryCount": failed, "Entries": results }).to_string())))
    }

    /// The tags of the events of each call.
    fn tags(&self) -> Vec<Vec<String>> {
        let tag = |event: &Value| {
            let detail: Value = serde_json::from_str(event["Detail"].as_str().unwrap()).unwrap();
            detail["image-tag"].as_str().unwrap_or_default().to_owned()
        };
        self.calls.lock().unwrap().iter().map(|call| call.iter().map(tag).collect()).collect()
    }
}

/// A record of an image that is pushed with tags.
fn pushed(number: u32, tags: &[&str]) -> Value {
    let digest = digest(number.to_string().as_bytes());
    let image = json!({
        "digest": { "S": digest },
        "media_type": { "S": "application/vnd.oci.image.manifest.v1+json" },
        "size_bytes": { "N": "1" }, "pushed_at_ms": { "N": "1" }, "parents": { "N": "0" },
        "push": { "S": "p" }, "revision": { "N": "1" }, "tags": { "SS": tags },
    });
    json!({ "eventName": "INSERT", "dynamodb": {
        "Keys": { "pk": { "S": "T#123456789012#R#team/app#00" }, "sk": { "S": format!("I#{digest}") } },
        "NewImage": image, "SequenceNumber": number.to_string(), "ApproximateCreationDateTime": 1_795_860_000,
    } })
}

struct Scene {
    bus: Bus,
    events: Events,
}

impl Scene {
    async fn new() -> Self {
        let bus = Bus::default();
        let url = bus.listen().await;
        let region = Region::parse(REGION).unwrap();
        let events = Events::new(EventBus::with_credentials(&region, "bus".to_owned(), &url, "AKIAEVENTS", "secret"));
        Self { bus, events }
    }

    /// The record that could not be told of.
    async fn tell(&self, records: &[Value]) -> Option<String> {
        let told = self.events.tell(&json!({ "Records": records }).to_string()).await.unwrap();
        let json = serde_json::to_value(&told).unwrap();
        let failures = json["batchItemFailures"].as_array().unwrap();
        assert!(failures.len() <= 1, "{json}");
        failures.first().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn records_become_events_in_their_order() {
    let scene = Scene::new().await;
    let names: Vec<String> = (0..23).map(|number| format!("t{number:02}")).collect();
    let records: Vec<Value> = (0..).zip(&names).map(|(number, name)| pushed(number, &[name])).collect();
    assert_eq!(scene.tell(&records).await, None);
    let calls = scene.bus.tags();
    assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 3]);
    assert_eq!(calls.concat(), names);
    let event = scene.bus.calls.lock().unwrap()[0][0].clone();
    assert_eq!((&event["Source"], &event["DetailType"]), (&json!(SOURCE), &json!("ECR Image Action")));
    assert_eq!((&event["EventBusName"], &event["Time"]), (&json!("bus"), &json!(1_795_860_000)));
    let detail: Value = serde_json::from_str(event["Detail"].as_str().unwrap()).unwrap();
    assert_eq!((&detail["repository-name"], &detail["registry-id"]), (&json!("team/app"), &json!("123456789012")));
}

#[tokio::test]
async fn what_is_refused_is_said_and_sent_again() {
    let scene = Scene::new().await;
    // The events of a call are one: the first record of it is where to go on.
    let records = [pushed(1, &["a"]), pushed(2, &["refused"]), pushed(3, &["c"])];
    assert_eq!(scene.tell(&records).await.as_deref(), Some("1"));
    assert_eq!(scene.tell(&records[1..2]).await.as_deref(), Some("2"));
    assert_eq!(scene.tell(&records[2..]).await, None);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_holds_up_no_other() {
    let scene = Scene::new().await;
    let mut damaged = pushed(2, &["b"]);
    damaged["dynamodb"]["NewImage"]["size_bytes"] = json!({ "S": "large" });
    let records = [pushed(1, &["a"]), damaged, pushed(3, &["c"])];
    assert_eq!(scene.tell(&records).await.as_deref(), Some("2"));
    assert_eq!(scene.bus.tags(), [["a"]], "those before it are told");
}

#[tokio::test]
async fn other_events_are_errors_that_say_so() {
    let scene = Scene::new().await;
    for event in ["{}", "nonsense", r#"{"job":"work"}"#, r#"{"Records":[{}]}"#] {
        let sentence = scene.events.tell(event).await.unwrap_err();
        assert!(sentence.starts_with("the event is not of a table's stream"), "{event}: {sentence}");
    }
    assert_eq!(scene.tell(&[]).await, None);
}
