use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use proptest::prelude::*;
use serde::Deserialize;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const NOW: OffsetDateTime = datetime!(2026-03-14 15:09:26 UTC);
const SERVICES: &[&str] = &["ecr", "sts"];

/// A request that owns its parts, so that a test can change one.
#[derive(Clone)]
struct Message {
    method: Method,
    path: String,
    query: String,
    authority: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Message {
    fn request(&self) -> Request<'_> {
        Request {
            method: self.method.as_str(),
            path: &self.path,
            query: &self.query,
            authority: self.authority.as_deref(),
            headers: &self.headers,
            body: &self.body,
        }
    }

    fn parse_at(&self, now: OffsetDateTime) -> Result<Unverified, SigV4Error> {
        parse(&self.request(), &Expectations { services: SERVICES, now })
    }

    fn verify(&self) -> Result<(), SigV4Error> {
        self.parse_at(NOW)?.verify(Some(SECRET))
    }

    fn code(&self) -> &'static str {
        self.verify().err().map_or("", |error| error.code())
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(name, value.parse().unwrap());
    }

    fn add(&mut self, name: &'static str, value: &str) {
        self.headers.append(name, value.parse().unwrap());
    }

    fn authorization(&self) -> &str {
        self.headers.get(AUTHORIZATION).unwrap().to_str().unwrap()
    }

    /// Changes one part of the Authorization header.
    fn rewrite(&mut self, from: &str, to: &str) {
        let old = self.authorization();
        assert!(old.contains(from), "{from}");
        let new = old.replace(from, to);
        self.set("authorization", &new);
    }

    /// Signs anew after a change.
    fn signed(mut self, signer: &Signer<'_>) -> Self {
        self.headers.remove(AUTHORIZATION);
        let added = signer.sign(&self.request()).unwrap();
        for (name, value) in added {
            self.headers.insert(name, value);
        }
        self
    }
}

fn signer() -> Signer<'static> {
    Signer {
        access_key_id: ACCESS_KEY,
        secret: SECRET,
        session_token: None,
        region: "eu-central-1",
        service: "ecr",
        now: NOW,
    }
}

fn unsigned() -> Message {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("localhost:5100"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amz-target", HeaderValue::from_static("AmazonEC2ContainerRegistry_V20150921.ListImages"));
    Message {
        method: Method::POST,
        path: "/".to_owned(),
        query: String::new(),
        authority: None,
        headers,
        body: br#"{"repositoryName":"team/app"}"#.to_vec(),
    }
}

fn good() -> Message {
    unsigned().signed(&signer())
}

fn presigned(query: &str, expires: u32) -> Message {
    let mut message = unsigned();
    message.method = Method::GET;
    message.query = query.to_owned();
    message.body.clear();
    message.headers.remove("x-amz-target");
    message.query = signer().presign(&message.request(), expires).unwrap();
    message
}

// ---- known answers -------------------------------------------------------

/// "Examples of how to derive a signing key" in the AWS General Reference.
#[test]
fn aws_signing_keys() {
    let signature = |date, text: &str| {
        let key = SigningKey::derive(SECRET, date, "us-east-1", "iam");
        canonical::hex(key.sign(text))
    };
    // The documentation prints the keys; a ring key does not show its bytes, so
    // the test signs with it what a key made from the printed bytes signs.
    let printed = |bytes: &[u8], text: &str| {
        canonical::hex(ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, bytes), text.as_bytes()))
    };
    let key_2015 = unhex("c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    let key_2012 = unhex("f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    assert_eq!(signature("20150830", "text"), printed(&key_2015, "text"));
    assert_eq!(signature("20120215", "text"), printed(&key_2012, "text"));
}

fn unhex(text: &str) -> Vec<u8> {
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    pairs.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The worked example of the AWS General Reference: IAM `ListUsers`.
#[test]
fn aws_list_users() {
    let mut message = unsigned();
    message.method = Method::GET;
    message.query = "Action=ListUsers&Version=2010-05-08".to_owned();
    message.body.clear();
    message.headers.clear();
    message.set("host", "iam.amazonaws.com");
    message.set("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    message.set("x-amz-date", "20150830T123600Z");
    message.set(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    );
    let expectations = Expectations { services: &["iam"], now: datetime!(2015-08-30 12:36:00 UTC) };
    parse(&message.request(), &expectations).unwrap().verify(Some(SECRET)).unwrap();
}

/// `get-vanilla` of the published Signature Version 4 test suite.
#[test]
fn aws_get_vanilla() {
    let mut message = unsigned();
    message.method = Method::GET;
    message.body.clear();
    message.headers.clear();
    message.set("host", "example.amazonaws.com");
    let signer = Signer {
        access_key_id: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token: None,
        region: "us-east-1",
        service: "service",
        now: datetime!(2015-08-30 12:36:00 UTC),
    };
    let message = message.signed(&signer);
    assert_eq!(
        message.authorization(),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders=host;x-amz-date, \
         Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
}

#[derive(Deserialize)]
struct Vectors {
    access_key_id: String,
    secret_access_key: String,
    region: String,
    #[serde(rename = "vectors")]
    requests: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    service: String,
    session_token: Option<String>,
}

impl Vector {
    fn message(&self) -> Message {
        let header = |(name, value): &(String, String)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        Message {
            method: self.method.parse().unwrap(),
            path: self.path.clone(),
            query: self.query.clone(),
            authority: None,
            headers: self.headers.iter().map(header).collect(),
            body: self.body.clone().into_bytes(),
        }
    }
}

fn botocore_vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

#[test]
fn botocore_is_accepted() {
    let file = botocore_vectors();
    assert_eq!(file.requests.len(), 10);
    for vector in &file.requests {
        let name = &vector.name;
        let unverified = vector.message().parse_at(NOW).unwrap_or_else(|error| panic!("{name}: {error}"));
        let claim = unverified.claim();
        assert_eq!(claim.access_key_id, file.access_key_id, "{name}");
        assert_eq!(claim.region, file.region, "{name}");
        assert_eq!(claim.service, vector.service, "{name}");
        assert_eq!(claim.session_token, vector.session_token, "{name}");
        assert_eq!(claim.presigned, !vector.query.is_empty() && vector.method == "GET", "{name}");
        assert_eq!(unverified.verify(Some(&file.secret_access_key)), Ok(()), "{name}");
    }
}

#[test]
fn we_sign_as_botocore_does() {
    let file = botocore_vectors();
    for vector in &file.requests {
        let signer = Signer { service: &vector.service, session_token: vector.session_token.as_deref(), ..signer() };
        let original = vector.message();
        let mut message = original.clone();
        for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
            message.headers.remove(name);
        }
        if original.headers.contains_key(AUTHORIZATION) {
            assert_eq!(message.signed(&signer).headers, original.headers, "{}", vector.name);
        } else {
            let (own, presign) = vector.query.split_once("&X-Amz-Algorithm").unwrap();
            let (_, expires) = presign.split_once("X-Amz-Expires=").unwrap();
            let expires: u32 = expires.split_once('&').unwrap().0.parse().unwrap();
            own.clone_into(&mut message.query);
            assert_eq!(signer.presign(&message.request(), expires).unwrap(), vector.query, "{}", vector.name);
        }
    }
}

// ---- what has to match ---------------------------------------------------

#[test]
fn a_signed_request_verifies() {
    assert_eq!(good().verify(), Ok(()));
    let unverified = good().parse_at(NOW).unwrap();
    assert_eq!(
        unverified.claim(),
        &Claim {
            access_key_id: ACCESS_KEY.to_owned(),
            date: "20260314".to_owned(),
            region: "eu-central-1".to_owned(),
            service: "ecr".to_owned(),
            session_token: None,
            host: "localhost:5100".to_owned(),
            presigned: false,
        }
    );
    let key = SigningKey::derive(SECRET, "20260314", "eu-central-1", "ecr");
    assert_eq!(unverified.verify_with_key(&key), Ok(()));
    let key = SigningKey::derive(SECRET, "20260315", "eu-central-1", "ecr");
    assert!(unverified.verify_with_key(&key).is_err());
}

#[test]
fn unknown_keys_and_wrong_secrets() {
    let unverified = good().parse_at(NOW).unwrap();
    let unknown = unverified.verify(None).unwrap_err();
    assert_eq!(unknown.code(), "UnrecognizedClientException");
    assert_eq!(unverified.verify(Some("wrong")).unwrap_err().code(), "InvalidSignatureException");
    // Signing with the stand-in for unknown keys opens nothing.
    let forged = unsigned().signed(&Signer { secret: &"0".repeat(40), ..signer() });
    assert_eq!(forged.parse_at(NOW).unwrap().verify(None), Err(unknown));
}

#[test]
fn every_part_is_signed() {
    let changes: [fn(&mut Message); 9] = [
        |message| message.method = Method::PUT,
        |message| message.path = "/x".to_owned(),
        |message| message.query = "a=b".to_owned(),
        |message| message.body.push(b' '),
        |message| message.set("host", "localhost:5101"),
        |message| message.set("content-type", "application/json"),
        |message| message.set("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository"),
        |message| message.set("x-amz-date", "20260314T150927Z"),
        |message| message.rewrite("eu-central-1", "eu-central-2"),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut message = good();
        change(&mut message);
        assert_eq!(message.code(), "InvalidSignatureException", "change {index}");
    }
}

#[test]
fn every_bit_of_the_signature_counts() {
    let message = good();
    let (_, signature) = message.authorization().rsplit_once('=').unwrap();
    for position in 0..signature.len() {
        for bit in 0..4 {
            let mut digits: Vec<u32> = signature.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
            digits[position] ^= 1 << bit;
            let forged: String = digits.iter().map(|digit| char::from_digit(*digit, 16).unwrap()).collect();
            let mut message = message.clone();
            message.rewrite(signature, &forged);
            assert_eq!(message.code(), "InvalidSignatureException", "{position}");
        }
    }
}

#[test]
fn spellings_of_a_signature() {
    let message = good();
    let (_, signature) = message.authorization().rsplit_once('=').unwrap();
    let upper = signature.to_uppercase();
    for other in [
        "",
        signature.get(1..).unwrap(),
        signature.get(..62).unwrap(),
        &upper,
        &format!("{signature}0"),
        &format!("{signature}00"),
        &"g".repeat(64),
    ] {
        let mut message = message.clone();
        message.rewrite(signature, other);
        assert_eq!(message.code(), "InvalidSignatureException", "{other}");
    }
}

#[test]
fn unsigned_headers_do_not_matter() {
    let mut message = good();
    message.set("user-agent", "x");
    message.set("accept", "*/*");
    message.set("x-forwarded-host", "evil.example");
    message.set("x-amz-cf-id", "added by CloudFront");
    message.set("x-amzn-trace-id", "added by a load balancer");
    assert_eq!(message.verify(), Ok(()));
    assert_eq!(message.parse_at(NOW).unwrap().claim().host, "localhost:5100");
}

// ---- the authorization itself --------------------------------------------

#[test]
fn no_authorization() {
    assert_eq!(unsigned().verify(), Err(SigV4Error::MissingAuthenticationToken));
    assert_eq!(unsigned().code(), "MissingAuthenticationTokenException");
}

#[test]
fn malformed_authorization_headers() {
    let full = good().authorization().to_owned();
    let (head, signature) = full.rsplit_once(", ").unwrap();
    let malformed = [
        "Basic QVdTOnNlY3JldA==".to_owned(),
        "Bearer x".to_owned(),
        String::new(),
        "AWS4-HMAC-SHA256".to_owned(),
        "AWS4-HMAC-SHA256 ".to_owned(),
        full.replace("SHA256", "SHA1"),
        full.replace("AWS4-HMAC-SHA256", "aws4-hmac-sha256"),
        full.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        full.replace("Credential", "credential"),
        full.replace("Signature=", "Signature"),
        head.to_owned(),
        format!("{full}, {signature}"),
        format!("{full}, Extra=1"),
        format!("{full},"),
        format!("{full}, SignedHeaders=host"),
        full.replace("/aws4_request", ""),
        full.replace("/aws4_request", "/aws4_request/x"),
        full.replace("aws4_request", "AWS4_REQUEST"),
        full.replace(ACCESS_KEY, ""),
        full.replace(ACCESS_KEY, "AKIA-X"),
        full.replace(ACCESS_KEY, &"A".repeat(129)),
        full.replace("eu-central-1", ""),
        full.replace("eu-central-1", "EU-CENTRAL-1"),
        full.replace("eu-central-1", "../x"),
        full.replace("eu-central-1", &"a".repeat(33)),
    ];
    for authorization in malformed {
        let mut message = good();
        message.set("authorization", &authorization);
        assert_eq!(message.code(), "IncompleteSignatureException", "{authorization}");
        // What the client sent by mistake may be a password.
        assert!(!message.verify().unwrap_err().to_string().contains("QVdT"));
    }
}

#[test]
fn separators_of_the_authorization_header() {
    for separator in [",", ",  ", " ,\t"] {
        let mut message = good();
        message.rewrite(", ", separator);
        assert_eq!(message.verify(), Ok(()), "{separator:?}");
    }
}

#[test]
fn scope_of_another_service_or_day() {
    let other = unsigned().signed(&Signer { service: "s3", ..signer() });
    assert_eq!(other.code(), "InvalidSignatureException");
    assert_eq!(
        other.verify().unwrap_err().to_string(),
        "Credential should be scoped to correct service: 'ecr' or 'sts'."
    );
    for date in ["20260313", "20260315", "2026031", "", "20260314x"] {
        let mut message = good();
        message.rewrite("/20260314/", &format!("/{date}/"));
        assert_eq!(message.code(), "InvalidSignatureException", "{date}");
    }
    // A service that is served, but not the one the request was signed for.
    let mut message = good();
    message.rewrite("/ecr/", "/sts/");
    assert_eq!(message.code(), "InvalidSignatureException");
}

#[test]
fn both_forms_at_once() {
    let mut message = presigned("", 60);
    message.headers.insert(AUTHORIZATION, good().headers.get(AUTHORIZATION).unwrap().clone());
    assert_eq!(message.code(), "IncompleteSignatureException");
    for parameter in PRESIGN {
        let mut message = good();
        message.query = format!("{parameter}=1");
        assert_eq!(message.code(), "IncompleteSignatureException", "{parameter}");
        // A spelling that only a careless reader would take for it.
        message.query = format!("{}=1", parameter.to_lowercase());
        assert_eq!(message.code(), "IncompleteSignatureException", "{parameter}");
    }
}

const PRESIGN: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

// ---- headers -------------------------------------------------------------

#[test]
fn repeated_headers() {
    for name in [
        "authorization",
        "host",
        "x-amz-date",
        "x-amz-target",
        "x-amz-security-token",
        "content-type",
        "content-length",
        "x-amz-new",
    ] {
        let mut message = unsigned();
        message.set("content-length", "29");
        message.set("x-amz-new", "1");
        let mut message = message.signed(&Signer { session_token: Some("token"), ..signer() });
        assert_eq!(message.verify(), Ok(()));
        let value = message.headers.get(name).unwrap().to_str().unwrap().to_owned();
        message.add(name, &value);
        assert_eq!(message.code(), "IncompleteSignatureException", "{name}");
        assert!(message.verify().unwrap_err().to_string().contains(name), "{name}");
    }
}

#[test]
fn repeated_headers_of_no_consequence_are_joined() {
    let mut message = unsigned();
    message.add("accept", "a");
    message.add("accept", " b  c ");
    let message = message.signed(&signer());
    assert_eq!(message.verify(), Ok(()));
    let mut joined = message.clone();
    joined.set("accept", "a,b c");
    assert_eq!(joined.verify(), Ok(()));
}

#[test]
fn signed_header_lists() {
    let list = "content-type;host;x-amz-date;x-amz-target";
    for other in [
        "",
        "host",
        "content-type;x-amz-date;x-amz-target",
        "content-type;host;x-amz-date",
        "content-type;host;x-amz-target",
        "host;content-type;x-amz-date;x-amz-target",
        "content-type;host;host;x-amz-date;x-amz-target",
        "content-type;Host;x-amz-date;x-amz-target",
        "content-type;host;x-amz-date;x-amz-target;",
        "content-type;host;x-amz-date;x-amz-target;x-missing",
        "content-type;;host;x-amz-date;x-amz-target",
        "content-type; host;x-amz-date;x-amz-target",
        "content-type,host,x-amz-date,x-amz-target",
    ] {
        let mut message = good();
        message.rewrite(list, other);
        assert_eq!(message.code(), "IncompleteSignatureException", "{other}");
    }
}

#[test]
fn every_amz_header_must_be_signed() {
    for name in ["x-amz-security-token", "x-amz-user-agent", "x-amz-content-sha256", "x-amz-acl"] {
        let mut message = good();
        message.set(name, "x");
        let error = message.verify().unwrap_err();
        assert_eq!(error.code(), "IncompleteSignatureException", "{name}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn header_values_that_are_not_ascii() {
    let mut message = good();
    message.headers.insert("x-amz-target", HeaderValue::from_bytes(b"caf\xc3\xa9").unwrap());
    assert_eq!(message.code(), "IncompleteSignatureException");
}

#[test]
fn session_tokens() {
    let temporary = Signer { session_token: Some("IQoJ/+=="), ..signer() };
    let message = unsigned().signed(&temporary);
    assert_eq!(message.verify(), Ok(()));
    let unverified = message.parse_at(NOW).unwrap();
    assert_eq!(unverified.claim().session_token.as_deref(), Some("IQoJ/+=="));
    assert!(!format!("{unverified:?}").contains("IQoJ"));
    for other in ["IQoJ/+=", "x"] {
        let mut message = message.clone();
        message.set("x-amz-security-token", other);
        assert_eq!(message.code(), "InvalidSignatureException");
    }
    let mut message = message;
    message.headers.remove("x-amz-security-token");
    assert_eq!(message.code(), "IncompleteSignatureException");
}

#[test]
fn hosts_and_authorities() {
    // HTTP/2: an authority and no Host header.
    let mut message = good();
    let host = message.headers.remove(HOST).unwrap();
    assert_eq!(message.code(), "IncompleteSignatureException");
    message.authority = Some("localhost:5100".to_owned());
    assert_eq!(message.verify(), Ok(()));
    message.authority = Some("localhost:5101".to_owned());
    assert_eq!(message.code(), "InvalidSignatureException");
    // Both: they must agree.
    message.headers.insert(HOST, host);
    assert_eq!(message.code(), "IncompleteSignatureException");
    message.authority = Some("LOCALHOST:5100".to_owned());
    assert_eq!(message.verify(), Ok(()));
    message.set("host", "");
    message.authority = None;
    assert_eq!(message.code(), "IncompleteSignatureException");
    message.authority = Some(String::new());
    message.headers.remove(HOST);
    assert_eq!(message.code(), "IncompleteSignatureException");
}

// ---- time ----------------------------------------------------------------

#[test]
fn skew() {
    let message = good();
    for (seconds, accepted) in [(-301, false), (-300, true), (0, true), (300, true), (301, false), (86_400, false)] {
        let result = message.parse_at(NOW + Duration::seconds(seconds));
        assert_eq!(result.is_ok(), accepted, "{seconds}");
        if let Err(error) = result {
            assert_eq!(error.code(), "InvalidSignatureException");
            assert!(error.to_string().contains("20260314T150926Z"), "{error}");
        }
    }
    // The ends of the calendar.
    for now in [datetime!(9999-12-31 23:59:59 UTC), datetime!(0000-01-01 0:00 UTC)] {
        assert!(message.parse_at(now).is_err());
    }
}

#[test]
fn malformed_dates() {
    for date in [
        "",
        "20260314",
        "2026-03-14T15:09:26Z",
        "20260314T150926",
        "20260314t150926z",
        "20260314T150926+0",
        "20261314T150926Z",
        "20260230T150926Z",
        "20260314T250926Z",
        "20260314T150960Z",
        "+2026314T150926Z",
        "20260314T150926ZZ",
        "Sat, 14 Mar 2026",
    ] {
        let mut message = good();
        message.set("x-amz-date", date);
        assert_eq!(message.code(), "IncompleteSignatureException", "{date}");
    }
    let mut message = good();
    message.headers.remove("x-amz-date");
    message.set("date", "Sat, 14 Mar 2026 15:09:26 GMT");
    assert_eq!(message.code(), "IncompleteSignatureException");
}

#[test]
fn presigned_requests() {
    let message = presigned("Action=GetCallerIdentity&Version=2011-06-15", 600);
    assert_eq!(message.verify(), Ok(()));
    assert!(message.parse_at(NOW).unwrap().claim().presigned);
    for (seconds, accepted) in [(-301, false), (-300, true), (600, true), (601, false)] {
        let result = message.parse_at(NOW + Duration::seconds(seconds));
        assert_eq!(result.is_ok(), accepted, "{seconds}");
    }
    let mut message = message;
    message.body.push(b'x');
    assert_eq!(message.code(), "InvalidSignatureException");
}

#[test]
fn presign_expiry() {
    for (expires, accepted) in [(0, false), (1, true), (900, true), (901, false), (604_800, false)] {
        assert_eq!(presigned("", expires).verify().is_ok(), accepted, "{expires}");
    }
    for other in ["", "-1", "+60", "1e2", "99999999999999999999", "60 "] {
        let mut message = presigned("", 60);
        message.query = message.query.replace("X-Amz-Expires=60", &format!("X-Amz-Expires={other}"));
        assert_eq!(message.code(), "IncompleteSignatureException", "{other}");
    }
    // The signature covers the expiry.
    let mut message = presigned("", 60);
    message.query = message.query.replace("X-Amz-Expires=60", "X-Amz-Expires=61");
    assert_eq!(message.code(), "InvalidSignatureException");
}

#[test]
fn presigned_parameters() {
    let message = presigned("", 60);
    for name in PRESIGN.into_iter().filter(|name| !matches!(*name, "X-Amz-Expires" | "X-Amz-Security-Token")) {
        // Missing.
        let rest: Vec<_> = message.query.split('&').filter(|parameter| !parameter.starts_with(name)).collect();
        let missing = Message { query: rest.join("&"), ..message.clone() };
        assert_eq!(missing.code(), "IncompleteSignatureException", "{name}");
        // Twice.
        let twice = Message { query: format!("{}&{name}=x", message.query), ..message.clone() };
        assert_eq!(twice.code(), "IncompleteSignatureException", "{name}");
        // In another case as well.
        let case = Message { query: format!("{}&{}=x", message.query, name.to_uppercase()), ..message.clone() };
        assert_eq!(case.code(), "IncompleteSignatureException", "{name}");
    }
    for name in ["x-amz-date", "x-amz-security-token"] {
        let mut message = message.clone();
        message.set(name, "x");
        assert_eq!(message.code(), "IncompleteSignatureException", "{name}");
    }
}

// ---- body, path, query ---------------------------------------------------

#[test]
fn declared_body_hashes() {
    let declared = |value: &str| {
        let mut message = unsigned();
        message.set("x-amz-content-sha256", value);
        message.signed(&signer())
    };
    let hash = canonical::sha256_hex(&unsigned().body);
    assert_eq!(declared(&hash).verify(), Ok(()));
    let empty = canonical::sha256_hex(b"");
    for other in [
        &empty,
        &hash.to_uppercase(),
        "",
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ] {
        assert_eq!(declared(other).code(), "InvalidSignatureException", "{other}");
    }
    let mut message = presigned("X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", 60);
    assert_eq!(message.code(), "InvalidSignatureException");
    message = presigned(&format!("X-Amz-Content-Sha256={empty}"), 60);
    assert_eq!(message.verify(), Ok(()));
}

#[test]
fn paths() {
    for path in ["", "/", "/a", "/a/", "/a/b.c", "/..a/b..", "/%2e%2e/x", "/é"] {
        let mut message = unsigned();
        path.clone_into(&mut message.path);
        assert_eq!(message.signed(&signer()).verify(), Ok(()), "{path}");
    }
    for path in ["//", "/a//b", "/a//", "/.", "/./a", "/a/..", "/../a", "a", "*"] {
        let mut message = unsigned();
        path.clone_into(&mut message.path);
        assert_eq!(message.signed(&signer()).code(), "IncompleteSignatureException", "{path}");
    }
    // An escape is not the character it stands for.
    let mut message = unsigned();
    "/a%41".clone_into(&mut message.path);
    let mut message = message.signed(&signer());
    "/aA".clone_into(&mut message.path);
    assert_eq!(message.code(), "InvalidSignatureException");
}

#[test]
fn queries_are_compared_decoded() {
    let mut message = unsigned();
    "b=%7e&a-b=1&a=2".clone_into(&mut message.query);
    let mut message = message.signed(&signer());
    for (query, code) in [
        ("a=2&a-b=1&b=~", ""),
        ("a=2&a%2Db=1&b=%7E&", ""),
        ("a=2&a-b=1&b=", "InvalidSignatureException"),
        ("a=2&a-b=1", "InvalidSignatureException"),
        ("a=2&a-b=1&b=%7E&b", "InvalidSignatureException"),
        ("a=2&a-b=1&b=%", "IncompleteSignatureException"),
    ] {
        query.clone_into(&mut message.query);
        assert_eq!(message.code(), code, "{query}");
    }
}

// ---- properties ----------------------------------------------------------

#[test]
fn messages_have_no_secrets() {
    let mut message = unsigned().signed(&Signer { session_token: Some("TOKENTOKEN"), ..signer() });
    let (_, signature) = message.authorization().rsplit_once('=').unwrap();
    let signature = signature.to_owned();
    message.body.push(b'x');
    let error = message.verify().unwrap_err();
    for secret in [SECRET, &signature, "TOKENTOKEN"] {
        assert!(!error.to_string().contains(secret));
    }
    assert_eq!(format!("{:?}", SigningKey::derive(SECRET, "a", "b", "c")), "SigningKey(…)");
}

proptest! {
    #[test]
    fn what_is_signed_verifies(
        path in "(/[A-Za-z0-9_~%é-]{1,5}){0,3}/?",
        query in "([a-c-]{1,2}=([a-z+ é/=]|%[0-7][0-9a-fA-F]){0,5}&?){0,4}",
        value in "[ -~]{0,20}",
        token in proptest::option::of("[A-Za-z0-9/+=]{1,40}"),
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut message = unsigned();
        message.path = path;
        message.query = query;
        message.body = body;
        message.set("x-amz-note", &value);
        let message = message.signed(&Signer { session_token: token.as_deref(), ..signer() });
        prop_assert_eq!(message.verify(), Ok(()));
    }

    #[test]
    fn any_request_is_answered(
        authorization in "(AWS4-HMAC-SHA256 )?((Credential|SignedHeaders|Signature|X)=[a-zA-Z0-9/;-]{0,30}[, ]{0,2}){0,4}",
        date in "[0-9TZ]{14,18}",
        query in "((X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature)|a)(=[A-Z0-9a-z/%-]{0,20})?&){0,6}|.*",
        path in ".*",
    ) {
        let mut message = unsigned();
        message.set("authorization", &authorization);
        message.set("x-amz-date", &date);
        message.path = path;
        message.query = query;
        prop_assert!(message.verify().is_err());
        message.headers.remove(AUTHORIZATION);
        prop_assert!(message.verify().is_err());
    }
}
