//! A measurement, run by hand:
//! `cargo test --release -p ironwharf-local embedded::tests::tenants::speed -- --ignored --nocapture`.

use std::time::Instant;

use ironwharf_wire::sigv4::{Request, Signer};
use serde_json::json;

use super::*;
use crate::embedded::authentication::Gate;
use crate::embedded::connector::JsonService;
use crate::embedded::dynamodb::Tables;
use crate::embedded::roles::Roles;

const ROUNDS: u32 = 5_000;

fn measured(what: &str, mut work: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        work();
    }
    println!("{what}: {:.1} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

#[tokio::test]
#[ignore = "a measurement"]
async fn admission_of_a_request() {
    let storage = Storage::new().await;
    let roles = Arc::new(Roles::open(REGION, &account(super::super::ACCOUNT)).unwrap());
    let sessions = Arc::clone(&storage.embedded.inner.sessions);
    let gate = Gate { region: Arc::from(REGION), sessions, roles };
    let session = TenantSession { tenant: account(ONE), mode: Mode::Write };
    let keys: Vec<_> =
        (0..3).map(|n| json!({ "pk": { "S": format!("T#{ONE}#X") }, "sk": { "S": format!("{n}") } })).collect();
    let puts: Vec<_> = (0..20)
        .map(|n| json!({ "Put": { "TableName": TABLE, "Item": { "pk": { "S": format!("T#{ONE}#X") }, "sk": { "S": format!("{n}") }, "text": { "S": "x".repeat(500) } } } }))
        .collect();
    for (operation, body) in [
        ("GetItem", json!({ "TableName": TABLE, "Key": keys[0] })),
        ("BatchGetItem", json!({ "RequestItems": { TABLE: { "Keys": keys } } })),
        (
            "Query",
            json!({ "TableName": TABLE, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": { ":pk": { "S": format!("T#{ONE}#X") } } }),
        ),
        ("TransactWriteItems", json!({ "TransactItems": puts })),
    ] {
        let body = body.to_string().into_bytes();
        let issued = gate.sessions.issue(&session, now() + 600);
        let (mut parts, ()) = http::Request::post("http://localhost/")
            .header("content-type", "application/x-amz-json-1.0")
            .body(())
            .unwrap()
            .into_parts();
        let request = Request {
            method: "POST",
            path: "/",
            query: "",
            authority: Some("localhost"),
            headers: &parts.headers,
            body: &body,
        };
        let signer = Signer {
            access_key_id: &issued.access_key_id,
            secret: &issued.secret_access_key,
            session_token: Some(&issued.token),
            region: REGION,
            service: "dynamodb",
            now: time::OffsetDateTime::now_utc(),
        };
        let added = signer.sign(&request).unwrap();
        parts.headers.extend(added);
        measured(&format!("{operation}: signature and token"), || {
            drop(gate.sender("dynamodb", &parts, &body).unwrap());
        });
        measured(&format!("{operation}: keys of the request"), || {
            drop(Tables::accesses(&gate.roles, operation, &body));
        });
        let accesses = Tables::accesses(&gate.roles, operation, &body);
        measured(&format!("{operation}: policy"), || gate.roles.check(&session, &accesses).unwrap());
    }
}
