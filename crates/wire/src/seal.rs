//! Sealed values the registry hands out and takes back: session tokens, login
//! tokens, upload ids and page tokens.
//!
//! Invariant: nothing is believed before its seal is checked, and a failure
//! says nothing about why.
//! Invariant: each purpose has its own key, derived from the day's data key, so
//! one kind of value can never pass for another.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ironwharf_model::{AccountId, Principal, Region};
use ring::rand::SecureRandom as _;
use ring::{aead, hkdf, hmac, rand};
use serde::{Deserialize, Serialize};

/// How long a login token works: 12 hours, as ECR's.
pub const TOKEN_SECONDS: i64 = 12 * 3600;

/// Days between the issue of a sealed value and the last day it can be used:
/// tokens live 12 hours, sessions up to 36 and uploads two days.
pub const KEY_DAYS: u32 = 2;

/// The most that can be said of a bearer, in bytes of JSON: a login token made of
/// it stays under 6 KB, and with it the head of every request.
pub const MAX_BEARER_BYTES: usize = 2_400;

/// The longest session token that is looked at.
const MAX_SESSION_BYTES: usize = 8 * 1024;

/// The longest password that is looked at.
const MAX_PASSWORD_BYTES: usize = 8 * 1024;

/// A sealed value was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value is not valid")]
pub struct Unsealable;

/// The day a moment belongs to: the name of its sealing key.
#[must_use]
pub fn day_of(epoch_seconds: i64) -> u32 {
    u32::try_from(epoch_seconds.div_euclid(24 * 3600)).unwrap_or(0)
}

/// The keys derived from one day's data key.
pub struct SealingKey {
    day: u32,
    tokens: aead::LessSafeKey,
    sessions: aead::LessSafeKey,
    pages: aead::LessSafeKey,
    uploads: hmac::Key,
    secrets: hmac::Key,
}

impl SealingKey {
    /// Derives the keys of `day` from its data key.
    ///
    /// # Errors
    /// Never in practice: HKDF accepts every key of this length.
    pub fn derive(day: u32, data_key: &[u8; 32]) -> Result<Self, Unsealable> {
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"ironwharf").extract(data_key);
        let aead_key = |purpose: &[u8]| {
            let info = [purpose];
            let key = derived.expand(&info, &aead::AES_256_GCM).map_err(|_| Unsealable)?;
            Ok(aead::LessSafeKey::new(aead::UnboundKey::from(key)))
        };
        let hmac_key = |purpose: &[u8]| {
            let info = [purpose];
            derived.expand(&info, hmac::HMAC_SHA256).map(hmac::Key::from).map_err(|_| Unsealable)
        };
        Ok(Self {
            day,
            tokens: aead_key(b"tokens")?,
            sessions: aead_key(b"sessions")?,
            pages: aead_key(b"pages")?,
            uploads: hmac_key(b"uploads")?,
            secrets: hmac_key(b"secrets")?,
        })
    }

    /// The day.
    #[must_use]
    pub const fn day(&self) -> u32 {
        self.day
    }

    /// Seals a page token for one listing. `listing` names the account, the
    /// operation and all that selects its items; the token opens for no other.
    pub fn seal_page(&self, listing: &str, position: &str) -> Result<String, Unsealable> {
        let sealed = seal(&self.pages, listing.as_bytes(), position.as_bytes())?;
        let mut token = self.day.to_be_bytes().to_vec();
        token.extend(sealed);
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// Opens a page token sealed with this key.
    pub fn open_page(&self, listing: &str, token: &PageToken) -> Result<String, Unsealable> {
        let opened = open(&self.pages, listing.as_bytes(), &token.sealed)?;
        String::from_utf8(opened).map_err(|_| Unsealable)
    }

    /// Seals claims to a password for docker login. `region` stays readable,
    /// so that the right Region's keys can be found.
    pub fn seal_token(&self, claims: &TokenClaims) -> Result<String, Unsealable> {
        let header = TokenHeader { region: claims.region.clone(), day: self.day };
        let plaintext = serde_json::to_vec(claims).map_err(|_| Unsealable)?;
        let sealed = seal(&self.tokens, header.datakey().as_bytes(), &plaintext)?;
        let envelope = Envelope::new(&header, &sealed, claims.expires_at_s);
        let envelope = serde_json::to_vec(&envelope).map_err(|_| Unsealable)?;
        Ok(STANDARD.encode(envelope))
    }

    /// Opens a token sealed with this key. Whether it has expired is for the
    /// caller to say.
    pub fn open_token(&self, token: &SealedToken) -> Result<TokenClaims, Unsealable> {
        let opened = open(&self.tokens, token.header.datakey().as_bytes(), &token.sealed)?;
        let claims: TokenClaims = serde_json::from_slice(&opened).map_err(|_| Unsealable)?;
        let agrees = claims.region == token.header.region && claims.expires_at_s == token.expires_at_s;
        if agrees { Ok(claims) } else { Err(Unsealable) }
    }

    /// Seals claims to the session token of temporary credentials.
    pub fn seal_session(&self, claims: &SessionClaims, region: &Region) -> Result<String, Unsealable> {
        let header = TokenHeader { region: region.to_string(), day: self.day };
        let plaintext = serde_json::to_vec(claims).map_err(|_| Unsealable)?;
        let sealed = seal(&self.sessions, header.datakey().as_bytes(), &plaintext)?;
        let mut token = header.datakey().into_bytes();
        token.push(b'\n');
        token.extend(sealed);
        Ok(STANDARD.encode(token))
    }

    /// Opens a session token sealed with this key. Whether it has expired is
    /// for the caller to say.
    pub fn open_session(&self, token: &SealedSession) -> Result<SessionClaims, Unsealable> {
        let opened = open(&self.sessions, token.header.datakey().as_bytes(), &token.sealed)?;
        serde_json::from_slice(&opened).map_err(|_| Unsealable)
    }

    /// The secret access key of temporary credentials. It is derived, so that
    /// nothing has to be stored of a session.
    #[must_use]
    pub fn session_secret(&self, access_key_id: &str) -> String {
        let tag = hmac::sign(&self.secrets, access_key_id.as_bytes());
        STANDARD.encode(tag.as_ref().first_chunk::<30>().copied().unwrap_or_default())
    }

    /// A new upload id for one owner: a UUID whose second half authenticates
    /// the first, so that an upload needs no record before its first byte and
    /// is of no use to anyone else.
    pub fn new_upload_id(&self, owner: &UploadOwner<'_>) -> Result<String, Unsealable> {
        let mut random = [0; 8];
        rand::SystemRandom::new().fill(&mut random).map_err(|_| Unsealable)?;
        Ok(self.upload_id(owner, u64::from_be_bytes(random)))
    }

    /// Whether an upload id was made with this key for this owner.
    #[must_use]
    pub fn owns_upload(&self, owner: &UploadOwner<'_>, id: &str) -> bool {
        let Some(random) = random_half(id) else { return false };
        // Comparing authentication codes of both takes the same time wherever
        // they differ.
        let given = hmac::sign(&self.uploads, id.as_bytes());
        hmac::verify(&self.uploads, self.upload_id(owner, random).as_bytes(), given.as_ref()).is_ok()
    }

    /// RFC 9562, version 8: 60 random bits, 62 bits of an HMAC over them and the owner.
    fn upload_id(&self, owner: &UploadOwner<'_>, random: u64) -> String {
        let first = (random & 0xffff_ffff_ffff_0fff) | 0x8000;
        let mut context = hmac::Context::with_key(&self.uploads);
        let UploadOwner { account, repository, incarnation, principal } = owner;
        for part in [account.as_str(), repository, incarnation, principal] {
            context.update(part.as_bytes());
            context.update(b"\0");
        }
        context.update(&first.to_be_bytes());
        let tag = context.sign();
        let tag = tag.as_ref().first_chunk::<8>().copied().unwrap_or_default();
        let second = (u64::from_be_bytes(tag) & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            first >> 32,
            (first >> 16) & 0xffff,
            first & 0xffff,
            second >> 48,
            second & 0xffff_ffff_ffff
        )
    }
}

fn random_half(id: &str) -> Option<u64> {
    let mut fields = id.split('-');
    let (high, middle, low) = (fields.next()?, fields.next()?, fields.next()?);
    if (high.len(), middle.len(), low.len()) != (8, 4, 4) {
        return None;
    }
    u64::from_str_radix(&format!("{high}{middle}{low}"), 16).ok()
}

/// Whom an upload belongs to.
#[derive(Clone, Copy, Debug)]
pub struct UploadOwner<'a> {
    /// The registry's account.
    pub account: &'a AccountId,
    /// The repository's name.
    pub repository: &'a str,
    /// The repository's incarnation.
    pub incarnation: &'a str,
    /// The ARN of whoever started it.
    pub principal: &'a str,
}

/// Whom a sealed value stands for, and what limits it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    /// Who.
    pub principal: Principal,
    /// When the credentials behind it were issued, in epoch seconds; of a
    /// long-term key, when it was used for this.
    pub issued_at_s: i64,
    /// Which account of this id the principal is of: its incarnation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account_incarnation: String,
    /// The long-term key that a session of `GetSessionToken` was asked for with:
    /// it is as good as this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_key: Option<String>,
    /// The session policies: texts, or ARNs of managed policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session_policies: Vec<String>,
    /// The session tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Those session tags that go on to a role assumed from this session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitive_tags: Vec<String>,
}

impl Bearer {
    /// A bearer that nothing limits but its own policies.
    #[must_use]
    pub const fn new(principal: Principal, account_incarnation: String, issued_at_s: i64) -> Self {
        Self {
            principal,
            issued_at_s,
            account_incarnation,
            source_key: None,
            session_policies: Vec::new(),
            tags: BTreeMap::new(),
            transitive_tags: Vec::new(),
        }
    }

    /// Its share of what a token can carry, in percent.
    #[must_use]
    pub fn packed_percent(&self) -> usize {
        let bytes = serde_json::to_vec(self).map_or(usize::MAX / 100, |bytes| bytes.len());
        (bytes * 100).div_ceil(MAX_BEARER_BYTES)
    }
}

/// What a session token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    /// Whom it stands for.
    pub bearer: Bearer,
    /// When it ends, in epoch seconds.
    pub expires_at_s: i64,
}

/// What a login token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// Whom it stands for.
    pub bearer: Bearer,
    /// The Region it is good for.
    pub region: String,
    /// The registry it leads to on a host that names none.
    pub registry: AccountId,
    /// When it was issued, in epoch seconds.
    pub issued_at_s: i64,
    /// When it ends, in epoch seconds.
    pub expires_at_s: i64,
}

/// A session token that has not been opened.
pub struct SealedSession {
    /// Which key opens it.
    pub header: TokenHeader,
    sealed: Vec<u8>,
}

impl SealedSession {
    /// Reads a session token.
    pub fn parse(token: &str) -> Result<Self, Unsealable> {
        if token.len() > MAX_SESSION_BYTES {
            return Err(Unsealable);
        }
        let decoded = STANDARD.decode(token).map_err(|_| Unsealable)?;
        let end = decoded.iter().position(|byte| *byte == b'\n').ok_or(Unsealable)?;
        let (datakey, sealed) = decoded.split_at_checked(end).ok_or(Unsealable)?;
        let header = TokenHeader::parse(std::str::from_utf8(datakey).map_err(|_| Unsealable)?)?;
        let sealed = sealed.split_first().map(|(_, sealed)| sealed.to_vec()).ok_or(Unsealable)?;
        Ok(Self { header, sealed })
    }
}

/// What can be read of a token before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHeader {
    /// The Region whose key sealed it.
    pub region: String,
    /// The day of the key.
    pub day: u32,
}

impl TokenHeader {
    fn datakey(&self) -> String {
        format!("{}/{}", self.region, self.day)
    }

    fn parse(datakey: &str) -> Result<Self, Unsealable> {
        let (region, day) = datakey.split_once('/').ok_or(Unsealable)?;
        let header = Self { region: region.to_owned(), day: day.parse().map_err(|_| Unsealable)? };
        // One key has one name.
        if header.datakey() == datakey { Ok(header) } else { Err(Unsealable) }
    }
}

/// The form of ECR's own passwords, which some clients look into for the
/// expiration.
#[derive(Serialize, Deserialize)]
struct Envelope {
    payload: String,
    datakey: String,
    version: String,
    #[serde(rename = "type")]
    kind: String,
    expiration: i64,
}

impl Envelope {
    fn new(header: &TokenHeader, sealed: &[u8], expiration: i64) -> Self {
        Self {
            payload: STANDARD.encode(sealed),
            datakey: header.datakey(),
            version: "2".to_owned(),
            kind: "DATA_KEY".to_owned(),
            expiration,
        }
    }
}

/// A token that has not been opened.
pub struct SealedToken {
    /// Which key opens it.
    pub header: TokenHeader,
    expires_at_s: i64,
    sealed: Vec<u8>,
}

impl SealedToken {
    /// Reads the password of a login.
    pub fn parse(password: &str) -> Result<Self, Unsealable> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Unsealable);
        }
        let decoded = STANDARD.decode(password).map_err(|_| Unsealable)?;
        let envelope: Envelope = serde_json::from_slice(&decoded).map_err(|_| Unsealable)?;
        let header = TokenHeader::parse(&envelope.datakey)?;
        let sealed = STANDARD.decode(&envelope.payload).map_err(|_| Unsealable)?;
        // One token has one spelling: what the seal does not cover must be as
        // it was written, too.
        let written = Envelope::new(&header, &sealed, envelope.expiration);
        if serde_json::to_vec(&written).map_err(|_| Unsealable)? != decoded {
            return Err(Unsealable);
        }
        Ok(Self { header, expires_at_s: envelope.expiration, sealed })
    }
}

/// A page token that has not been opened.
pub struct PageToken {
    /// The day of the key that opens it.
    pub day: u32,
    sealed: Vec<u8>,
}

impl PageToken {
    /// Reads a `nextToken`.
    pub fn parse(token: &str) -> Result<Self, Unsealable> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Unsealable)?;
        let (day, sealed) = bytes.split_first_chunk::<4>().ok_or(Unsealable)?;
        Ok(Self { day: u32::from_be_bytes(*day), sealed: sealed.to_vec() })
    }
}

/// `nonce ‖ AES-256-GCM(plaintext)`
fn seal(key: &aead::LessSafeKey, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Unsealable> {
    let mut nonce = [0; aead::NONCE_LEN];
    rand::SystemRandom::new().fill(&mut nonce).map_err(|_| Unsealable)?;
    let mut sealed = plaintext.to_vec();
    key.seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(context), &mut sealed)
        .map_err(|_| Unsealable)?;
    Ok([&nonce[..], &sealed].concat())
}

fn open(key: &aead::LessSafeKey, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
    let (nonce, sealed) = sealed.split_first_chunk::<{ aead::NONCE_LEN }>().ok_or(Unsealable)?;
    let mut buffer = sealed.to_vec();
    let nonce = aead::Nonce::assume_unique_for_key(*nonce);
    let opened = key.open_in_place(nonce, aead::Aad::from(context), &mut buffer).map_err(|_| Unsealable)?;
    Ok(opened.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> TokenClaims {
        let account = AccountId::parse("123456789012").unwrap();
        TokenClaims {
            bearer: Bearer::new(Principal::root(account.clone(), "AKIDEXAMPLE"), String::new(), 1_000_000),
            region: "us-east-1".to_owned(),
            registry: account,
            issued_at_s: 1_000_000,
            expires_at_s: 1_000_000 + TOKEN_SECONDS,
        }
    }

    #[test]
    fn a_session_opens_with_its_key_only_and_unchanged_only() {
        let region = Region::parse("us-east-1").unwrap();
        let key = SealingKey::derive(11, &[7; 32]).unwrap();
        let claims = SessionClaims { bearer: claims().bearer, expires_at_s: 5 };
        let token = key.seal_session(&claims, &region).unwrap();
        let sealed = SealedSession::parse(&token).unwrap();
        assert_eq!(sealed.header, TokenHeader { region: "us-east-1".into(), day: 11 });
        assert_eq!(key.open_session(&sealed), Ok(claims));
        assert_eq!(SealingKey::derive(11, &[8; 32]).unwrap().open_session(&sealed), Err(Unsealable));
        for position in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
            let forged = SealedSession::parse(std::str::from_utf8(&forged).unwrap());
            assert!(forged.and_then(|session| key.open_session(&session)).is_err(), "character {position}");
        }
        let secret = key.session_secret("ASIA1");
        assert_eq!(secret.len(), 40);
        assert_ne!(secret, key.session_secret("ASIA2"));
    }

    #[test]
    fn a_login_token_stays_small() {
        let mut claims = claims();
        let rest = MAX_BEARER_BYTES - serde_json::to_vec(&claims.bearer).unwrap().len();
        claims.bearer.session_policies = vec!["x".repeat(rest - 30)];
        assert_eq!(claims.bearer.packed_percent(), 100);
        let password = SealingKey::derive(1, &[7; 32]).unwrap().seal_token(&claims).unwrap();
        assert!(STANDARD.encode(format!("AWS:{password}")).len() < 6 * 1024 + 512, "{}", password.len());
    }

    #[test]
    fn a_token_opens_with_its_key_only_and_unchanged_only() {
        let key = SealingKey::derive(11, &[7; 32]).unwrap();
        let password = key.seal_token(&claims()).unwrap();
        let token = SealedToken::parse(&password).unwrap();
        assert_eq!(token.header, TokenHeader { region: "us-east-1".into(), day: 11 });
        assert_eq!(key.open_token(&token), Ok(claims()));
        assert_eq!(SealingKey::derive(11, &[8; 32]).unwrap().open_token(&token), Err(Unsealable));
        for position in 0..token.sealed.len() {
            let mut forged = SealedToken::parse(&password).unwrap();
            forged.sealed[position] ^= 1;
            assert_eq!(key.open_token(&forged), Err(Unsealable), "byte {position}");
        }
        let mut moved = SealedToken::parse(&password).unwrap();
        moved.header.region = "eu-west-1".into();
        assert_eq!(key.open_token(&moved), Err(Unsealable));
        assert!(password.len() < 2_000, "{}", password.len());
        // Outside the seal as well.
        for position in 0..password.len() {
            let mut forged = password.clone().into_bytes();
            forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
            let forged = SealedToken::parse(std::str::from_utf8(&forged).unwrap());
            assert!(forged.and_then(|token| key.open_token(&token)).is_err(), "character {position}");
        }
    }

    #[test]
    fn page_tokens_are_bound_to_their_listing() {
        let key = SealingKey::derive(1, &[7; 32]).unwrap();
        let token = PageToken::parse(&key.seal_page("a|ListImages|r", "sha256:x").unwrap()).unwrap();
        assert_eq!(key.open_page("a|ListImages|r", &token), Ok("sha256:x".to_owned()));
        assert_eq!(key.open_page("b|ListImages|r", &token), Err(Unsealable));
        assert!(PageToken::parse("no token").is_err());
    }

    #[test]
    fn upload_ids_are_uuids_bound_to_their_owner() {
        let key = SealingKey::derive(1, &[7; 32]).unwrap();
        let account = AccountId::parse("123456789012").unwrap();
        let owner = UploadOwner { account: &account, repository: "a/b", incarnation: "0", principal: "p" };
        let id = key.new_upload_id(&owner).unwrap();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(key.owns_upload(&owner, &id));
        assert!(!key.owns_upload(&UploadOwner { repository: "a/c", ..owner }, &id));
        assert!(!key.owns_upload(&UploadOwner { incarnation: "1", ..owner }, &id));
        assert!(!key.owns_upload(&UploadOwner { principal: "q", ..owner }, &id));
        assert!(!SealingKey::derive(2, &[9; 32]).unwrap().owns_upload(&owner, &id));
        for forged in [id.to_uppercase(), format!("{id}0"), id.replace('-', ""), String::new(), "é".repeat(18)] {
            assert!(!key.owns_upload(&owner, &forged), "{forged}");
        }
    }
}
