//! No request without the secret verifies; and whatever our signer signs either
//! is refused for its form or verifies.
#![no_main]

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use ironwharf_wire::sigv4::{Expectations, Request, Signer, parse};
use libfuzzer_sys::fuzz_target;
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-03-14 15:09:26 UTC);
const EXPECTATIONS: Expectations<'_> = Expectations { services: &["ecr", "sts"], now: NOW };
/// Not the secret the seeds were signed with.
const SECRET: &str = "a secret that no input was signed with";

fuzz_target!(|input: &[u8]| {
    let Some(message) = Message::read(input) else { return };
    let request = message.request();
    if let Ok(unverified) = parse(&request, &EXPECTATIONS) {
        assert!(EXPECTATIONS.services.contains(&unverified.claim().service.as_str()));
        assert!(!unverified.claim().access_key_id.contains('/'));
        assert!(unverified.verify(Some(SECRET)).is_err());
        assert!(unverified.verify(None).is_err());
    }

    let signer = Signer {
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        secret: SECRET,
        session_token: input.len().is_multiple_of(2).then_some("to/ken+="),
        region: "eu-central-1",
        service: "ecr",
        now: NOW,
    };
    let mut headers = message.headers.clone();
    headers.remove(AUTHORIZATION);
    if let Ok(added) = signer.sign(&Request { headers: &headers, ..request }) {
        for (name, value) in added {
            headers.insert(name, value);
        }
        verify_own(&Request { headers: &headers, ..request });
    }
    headers.remove(AUTHORIZATION);
    headers.remove("x-amz-date");
    headers.remove("x-amz-security-token");
    let request = Request { headers: &headers, ..request };
    if let Ok(query) = signer.presign(&request, 60) {
        verify_own(&Request { query: &query, ..request });
    }
});

fn verify_own(request: &Request<'_>) {
    if let Ok(unverified) = parse(request, &EXPECTATIONS) {
        assert_eq!(unverified.verify(Some(SECRET)), Ok(()));
    }
}

struct Message<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: HeaderMap,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// An HTTP/1 message with bare line feeds: request line, headers, body.
    fn read(input: &'a [u8]) -> Option<Self> {
        let end = input.windows(2).position(|window| window == b"\n\n").unwrap_or(input.len());
        let body = input.get(end + 2..).unwrap_or_default();
        let mut lines = input[..end].split(|byte| *byte == b'\n');
        let (method, target) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            headers.append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
        }
        Some(Self { method, path, query, headers, body })
    }

    fn request(&self) -> Request<'_> {
        let Self { method, path, query, ref headers, body } = *self;
        Request { method, path, query, authority: None, headers, body }
    }
}
