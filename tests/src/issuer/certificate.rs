//! A certificate for `localhost`, made for one test (RFC 5280).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

/// Tags of DER (X.690).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const DNS_NAME: u8 = 0x82;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// Object ids, in DER.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// A certificate that signs itself, and its key.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    /// PKCS #8.
    pub(super) key: Vec<u8>,
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).expect("a short certificate").to_be_bytes();
    let head: &[u8] = match length {
        [0, short @ 0..0x80] => &[tag, short],
        [0, long] => &[tag, 0x81, long],
        [high, low] => &[tag, 0x82, high, low],
    };
    [head, &content].concat()
}

impl Certificate {
    pub(super) fn new() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
        let key = key.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key, &random).expect("a key");
        let algorithm = der(SEQUENCE, &[&der(OBJECT_ID, &[ECDSA_WITH_SHA256])]);
        let name = der(SEQUENCE, &[&der(OBJECT_ID, &[COMMON_NAME]), &der(UTF8_STRING, &[b"localhost"])]);
        let name = der(SEQUENCE, &[&der(SET, &[&name])]);
        let validity = der(SEQUENCE, &[&der(UTC_TIME, &[b"200101000000Z"]), &der(UTC_TIME, &[b"491231235959Z"])]);
        let kind = der(SEQUENCE, &[&der(OBJECT_ID, &[EC_PUBLIC_KEY]), &der(OBJECT_ID, &[PRIME256V1])]);
        let public = der(SEQUENCE, &[&kind, &der(BIT_STRING, &[&[0], pair.public_key().as_ref()])]);
        let names = der(OCTET_STRING, &[&der(SEQUENCE, &[&der(DNS_NAME, &[b"localhost"])])]);
        let extension = der(SEQUENCE, &[&der(OBJECT_ID, &[SUBJECT_ALTERNATIVE_NAME]), &names]);
        let extensions = der(EXTENSIONS, &[&der(SEQUENCE, &[&extension])]);
        let (version, serial) = (der(VERSION, &[&der(INTEGER, &[&[2]])]), der(INTEGER, &[&[1]]));
        let signed = der(SEQUENCE, &[&version, &serial, &algorithm, &name, &validity, &name, &public, &extensions]);
        let signature = pair.sign(&random, &signed).expect("a signature");
        let signature = der(BIT_STRING, &[&[0], signature.as_ref()]);
        Self { der: der(SEQUENCE, &[&signed, &algorithm, &signature]), key }
    }

    pub(super) fn pem(&self) -> String {
        let encoded = STANDARD.encode(&self.der);
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }
}
