//! KMS of one Region: symmetric keys, aliases, and what is encrypted with them.
//!
//! A ciphertext is a version byte, the key's UUID, and the sealed text; the
//! encryption context and the key's id are bound into it. Like on AWS, Decrypt
//! finds the key by itself.
//!
//! Invariant: key material never leaves this module.
//! Invariant: a key that is disabled or about to be deleted neither encrypts nor
//! decrypts, for nobody.
//! Invariant: an operation that is not here answers `UnsupportedOperationException`
//! with its name, and never pretends.

mod keyring;
mod sealing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use self::keyring::{AliasRow, KeyRow, Keyring, KeyringError};
use self::sealing::{CryptoError, context_bytes, open, random, seal};
use super::OpenError;
use super::clock::now;
use super::connector::{JsonAnswer, JsonService};
use super::roles::{Access, Roles};
use super::secrets::RootKey;

/// The first byte of every ciphertext.
const VERSION: u8 = 1;

/// The length of a UUID as text.
const ID_LEN: usize = 36;

/// The most bytes Encrypt takes.
const PLAINTEXT_MAX: usize = 4096;

/// The most bytes `GenerateDataKey` makes.
const DATA_KEY_MAX: usize = 1024;

/// The most aliases of a page.
const PAGE_MAX: usize = 100;

/// The most keys of a page.
const KEY_PAGE_MAX: usize = 1000;

/// The most tags of a key.
const TAGS_MAX: usize = 50;

/// The keys of one Region.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    keyring: Arc<Keyring>,
    region: Arc<str>,
    account: Arc<str>,
}

impl Keys {
    /// Opens or creates the database file.
    pub(super) fn open(path: &Path, root: &RootKey, region: &str, account: &str) -> Result<Self, OpenError> {
        Ok(Self {
            keyring: Arc::new(Keyring::open(path, root, now())?),
            region: Arc::from(region),
            account: Arc::from(account),
        })
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<Value, Refusal> {
        match operation {
            "CreateKey" => self.create_key(&parse(body)?),
            "DescribeKey" => self.describe_key(&parse(body)?),
            "EnableKey" => self.set_enabled(&parse(body)?, true),
            "DisableKey" => self.set_enabled(&parse(body)?, false),
            "CreateAlias" => self.create_alias(parse(body)?),
            "ListAliases" => self.list_aliases(&parse(body)?),
            "ListKeys" => self.list_keys(&parse(body)?),
            "ListResourceTags" => self.list_resource_tags(&parse(body)?),
            "ScheduleKeyDeletion" => self.schedule_key_deletion(&parse(body)?),
            "GenerateDataKey" => self.generate_data_key(&parse(body)?),
            "Encrypt" => self.encrypt(&parse(body)?),
            "Decrypt" => self.decrypt(&parse(body)?),
            _ => Err(Refusal::new(
                "UnsupportedOperationException",
                format!("{operation} is not supported by the embedded KMS."),
            )),
        }
    }

    fn create_key(&self, request: &CreateKey) -> Result<Value, Refusal> {
        let spec = request.key_spec.as_deref().unwrap_or("SYMMETRIC_DEFAULT");
        let usage = request.key_usage.as_deref().unwrap_or("ENCRYPT_DECRYPT");
        if spec != "SYMMETRIC_DEFAULT" || usage != "ENCRYPT_DECRYPT" {
            return Err(Refusal::new(
                "UnsupportedOperationException",
                format!("CreateKey with {spec} for {usage} is not supported by the embedded KMS."),
            ));
        }
        let mut tags = BTreeMap::new();
        for KeyTag { tag_key, tag_value } in &request.tags {
            let is_valid = (1..=128).contains(&tag_key.chars().count()) && tag_value.chars().count() <= 256;
            if !is_valid || tags.insert(tag_key.clone(), tag_value.clone()).is_some() {
                return Err(Refusal::new("TagException", "A tag is too long, or its key is there twice.".to_owned()));
            }
        }
        if tags.len() > TAGS_MAX {
            return Err(Refusal::new("LimitExceededException", format!("A key has at most {TAGS_MAX} tags.")));
        }
        let id = new_id()?;
        let description = request.description.as_deref().unwrap_or_default();
        self.keyring.create_key(&id, description, now(), &random(32)?, &tags)?;
        Ok(self.describe(&self.find(&id)?))
    }

    fn describe_key(&self, request: &OneKey) -> Result<Value, Refusal> {
        Ok(self.describe(&self.find(&request.key_id)?))
    }

    fn set_enabled(&self, request: &OneKey, enabled: bool) -> Result<Value, Refusal> {
        let key = self.find(&request.key_id)?;
        self.require_kept(&key)?;
        self.keyring.set_enabled(&key.id, enabled)?;
        Ok(json!({}))
    }

    fn create_alias(&self, request: CreateAlias) -> Result<Value, Refusal> {
        let is_valid =
            request.alias_name.strip_prefix("alias/").is_some_and(|name| !name.is_empty() && !name.starts_with("aws/"));
        if !is_valid {
            return Err(Refusal::validation(
                "Alias must start with the prefix \"alias/\" and must not be reserved for AWS.",
            ));
        }
        let alias = AliasRow { key: self.find(&request.target_key_id)?.id, created: now(), name: request.alias_name };
        if self.keyring.create_alias(&alias)? {
            return Ok(json!({}));
        }
        let arn = self.arn(&alias.name);
        Err(Refusal::new("AlreadyExistsException", format!("An alias with the name {arn} already exists")))
    }

    fn list_aliases(&self, request: &ListAliases) -> Result<Value, Refusal> {
        let key = match &request.key_id {
            Some(id) => Some(self.find(id)?.id),
            None => None,
        };
        let limit = request.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let after = request.marker.as_deref().unwrap_or_default();
        let mut aliases = self.keyring.aliases(key.as_deref(), after, limit + 1)?;
        let is_truncated = aliases.len() > limit;
        aliases.truncate(limit);
        let marker = aliases.last().filter(|_| is_truncated);
        let mut answer = json!({
            "Truncated": is_truncated,
            "Aliases": aliases.iter().map(|alias| self.describe_alias(alias)).collect::<Vec<_>>(),
        });
        if let (Some(last), Some(fields)) = (marker, answer.as_object_mut()) {
            fields.insert("NextMarker".to_owned(), Value::from(last.name.clone()));
        }
        Ok(answer)
    }

    fn list_keys(&self, request: &ListKeys) -> Result<Value, Refusal> {
        let limit = request.limit.unwrap_or(PAGE_MAX).clamp(1, KEY_PAGE_MAX);
        let mut ids = self.keyring.ids(request.marker.as_deref().unwrap_or_default(), limit + 1)?;
        let is_truncated = ids.len() > limit;
        ids.truncate(limit);
        let entry = |id: &String| json!({ "KeyId": id, "KeyArn": self.arn(&format!("key/{id}")) });
        let mut answer = json!({ "Truncated": is_truncated, "Keys": ids.iter().map(entry).collect::<Vec<_>>() });
        if let (Some(last), Some(fields)) = (ids.last().filter(|_| is_truncated), answer.as_object_mut()) {
            fields.insert("NextMarker".to_owned(), Value::from(last.clone()));
        }
        Ok(answer)
    }

    /// All of them at once: a key has no more than a page.
    fn list_resource_tags(&self, request: &OneKey) -> Result<Value, Refusal> {
        let tags = self.keyring.tags(&self.find(&request.key_id)?.id)?;
        let tags = tags.iter().map(|(name, value)| json!({ "TagKey": name, "TagValue": value }));
        Ok(json!({ "Tags": tags.collect::<Vec<_>>(), "Truncated": false }))
    }

    fn schedule_key_deletion(&self, request: &ScheduleKeyDeletion) -> Result<Value, Refusal> {
        let days = request.pending_window_in_days.unwrap_or(30);
        if !(7..=30).contains(&days) {
            return Err(Refusal::validation("PendingWindowInDays must be 7 to 30."));
        }
        let key = self.find(&request.key_id)?;
        self.require_kept(&key)?;
        let due = now() + days * 24 * 3600;
        self.keyring.schedule_deletion(&key.id, due)?;
        Ok(json!({
            "KeyId": self.key_arn(&key),
            "DeletionDate": due,
            "KeyState": "PendingDeletion",
            "PendingWindowInDays": days,
        }))
    }

    /// A key that S3 is about to use: its ARN, and the tags that a role may
    /// depend on.
    pub(super) fn key_use(&self, name: &str) -> Result<KeyUse, Refusal> {
        let key = self.usable(name)?;
        Ok(KeyUse { arn: self.key_arn(&key), tags: self.keyring.tags(&key.id)? })
    }

    /// What `GenerateDataKey` does, for S3: the bytes, and the same wrapped.
    pub(super) fn new_data_key(
        &self,
        name: &str,
        count: usize,
        context: &BTreeMap<String, String>,
    ) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let key = self.usable(name)?;
        let plaintext = random(count)?;
        let wrapped = self.wrap(&key, context, &plaintext)?;
        Ok((plaintext, wrapped))
    }

    /// What `Decrypt` does, for S3.
    pub(super) fn open_data_key(&self, wrapped: &[u8], context: &BTreeMap<String, String>) -> Result<Vec<u8>, Refusal> {
        self.unwrap(wrapped, context).map(|(_, plaintext)| plaintext)
    }

    fn generate_data_key(&self, request: &GenerateDataKey) -> Result<Value, Refusal> {
        let count = match (request.key_spec.as_deref(), request.number_of_bytes) {
            (Some("AES_256"), None) => 32,
            (Some("AES_128"), None) => 16,
            (None, Some(count)) if (1..=DATA_KEY_MAX).contains(&count) => count,
            _ => {
                return Err(Refusal::validation(
                    "Please specify either number of bytes (1 to 1024) or key spec, \
                     but not both.",
                ));
            }
        };
        let key = self.usable(&request.key_id)?;
        let plaintext = random(count)?;
        Ok(json!({
            "KeyId": self.key_arn(&key),
            "Plaintext": BASE64_STANDARD.encode(&plaintext),
            "CiphertextBlob": self.seal(&key, &request.encryption_context, &plaintext)?,
        }))
    }

    fn encrypt(&self, request: &Encrypt) -> Result<Value, Refusal> {
        let plaintext = decode("plaintext", &request.plaintext)?;
        if plaintext.is_empty() || plaintext.len() > PLAINTEXT_MAX {
            return Err(Refusal::validation(
                "Value at 'plaintext' failed to satisfy constraint: \
                 Member must have length between 1 and 4096",
            ));
        }
        let key = self.usable(&request.key_id)?;
        Ok(json!({
            "KeyId": self.key_arn(&key),
            "CiphertextBlob": self.seal(&key, &request.encryption_context, &plaintext)?,
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }))
    }

    fn decrypt(&self, request: &Decrypt) -> Result<Value, Refusal> {
        let blob = decode("ciphertextBlob", &request.ciphertext_blob)?;
        let (key, _) = self.key_of(&blob)?;
        if let Some(expected) = &request.key_id
            && self.find(expected)?.id != key.id
        {
            return Err(Refusal::new(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.".to_owned(),
            ));
        }
        let (key, plaintext) = self.unwrap(&blob, &request.encryption_context)?;
        Ok(json!({
            "KeyId": self.key_arn(&key),
            "Plaintext": BASE64_STANDARD.encode(plaintext),
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }))
    }

    fn seal(&self, key: &KeyRow, context: &BTreeMap<String, String>, plaintext: &[u8]) -> Result<String, Refusal> {
        Ok(BASE64_STANDARD.encode(self.wrap(key, context, plaintext)?))
    }

    fn wrap(&self, key: &KeyRow, context: &BTreeMap<String, String>, plaintext: &[u8]) -> Result<Vec<u8>, Refusal> {
        let material = self.keyring.material(key)?;
        let sealed = seal(&material, &context_bytes(&key.id, context), plaintext)?;
        Ok([&[VERSION], key.id.as_bytes(), &sealed].concat())
    }

    /// The key a ciphertext is under, and what is sealed.
    fn key_of<'a>(&self, blob: &'a [u8]) -> Result<(KeyRow, &'a [u8]), Refusal> {
        let (id, sealed) = match blob.split_first() {
            Some((&VERSION, rest)) => rest.split_at_checked(ID_LEN).ok_or_else(invalid_ciphertext)?,
            _ => return Err(invalid_ciphertext()),
        };
        let id = std::str::from_utf8(id).map_err(|_| invalid_ciphertext())?;
        Ok((self.keyring.key(id)?.ok_or_else(invalid_ciphertext)?, sealed))
    }

    fn unwrap(&self, blob: &[u8], context: &BTreeMap<String, String>) -> Result<(KeyRow, Vec<u8>), Refusal> {
        let (key, sealed) = self.key_of(blob)?;
        self.require_enabled(&key)?;
        let material = self.keyring.material(&key)?;
        let plaintext = open(&material, &context_bytes(&key.id, context), sealed).map_err(|_| invalid_ciphertext())?;
        Ok((key, plaintext))
    }

    /// The key behind an id, an alias, or the ARN of either.
    fn find(&self, name: &str) -> Result<KeyRow, Refusal> {
        let resource = match name.strip_prefix(&*self.arn("")) {
            Some(resource) => resource,
            None if name.starts_with("arn:") => return Err(no_such_key(name)),
            None => name,
        };
        let id = if resource.starts_with("alias/") {
            let alias = self.keyring.alias(resource)?;
            let missing = || {
                let arn = self.arn(resource);
                Refusal::new("NotFoundException", format!("Alias {arn} is not found."))
            };
            alias.ok_or_else(missing)?.key
        } else {
            resource.strip_prefix("key/").unwrap_or(resource).to_owned()
        };
        let found = self.keyring.key(&id)?;
        found.ok_or_else(|| no_such_key(&self.arn(&format!("key/{id}"))))
    }

    fn usable(&self, name: &str) -> Result<KeyRow, Refusal> {
        let key = self.find(name)?;
        self.require_enabled(&key)?;
        Ok(key)
    }

    fn require_kept(&self, key: &KeyRow) -> Result<(), Refusal> {
        if key.deletion.is_none() {
            return Ok(());
        }
        let arn = self.key_arn(key);
        Err(Refusal::new("KMSInvalidStateException", format!("{arn} is pending deletion.")))
    }

    fn require_enabled(&self, key: &KeyRow) -> Result<(), Refusal> {
        self.require_kept(key)?;
        if key.enabled {
            return Ok(());
        }
        Err(Refusal::new("DisabledException", format!("{} is disabled.", self.key_arn(key))))
    }

    fn describe(&self, key: &KeyRow) -> Value {
        let state = match (key.deletion, key.enabled) {
            (Some(_), _) => "PendingDeletion",
            (None, true) => "Enabled",
            (None, false) => "Disabled",
        };
        let mut answer = json!({ "KeyMetadata": {
            "AWSAccountId": &*self.account,
            "KeyId": key.id,
            "Arn": self.key_arn(key),
            "CreationDate": key.created,
            "Enabled": key.enabled && key.deletion.is_none(),
            "Description": key.description,
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": state,
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": false,
        }});
        let fields = answer.pointer_mut("/KeyMetadata").and_then(Value::as_object_mut);
        if let (Some(due), Some(fields)) = (key.deletion, fields) {
            fields.insert("DeletionDate".to_owned(), Value::from(due));
        }
        answer
    }

    fn describe_alias(&self, alias: &AliasRow) -> Value {
        json!({
            "AliasName": alias.name,
            "AliasArn": self.arn(&alias.name),
            "TargetKeyId": alias.key,
            "CreationDate": alias.created,
            "LastUpdatedDate": alias.created,
        })
    }

    fn key_arn(&self, key: &KeyRow) -> String {
        self.arn(&format!("key/{}", key.id))
    }

    fn arn(&self, resource: &str) -> String {
        format!("arn:aws:kms:{}:{}:{resource}", self.region, self.account)
    }
}

impl JsonService for Keys {
    const CONTENT_TYPE: &'static str = "application/x-amz-json-1.1";
    const SIGNING_NAME: &'static str = "kms";

    /// These read one row, which is in memory, and encrypt a few bytes.
    fn is_quick(operation: &str) -> bool {
        matches!(operation, "GenerateDataKey" | "Encrypt" | "Decrypt")
    }

    /// A tenant's session has no business with keys; what S3 does for it is not
    /// asked for here.
    fn accesses(_: &Roles, operation: &str, _: &[u8]) -> Vec<Access> {
        vec![Access::new(&format!("kms:{operation}"), "*")]
    }

    fn answer(&self, operation: &str, body: &[u8]) -> JsonAnswer {
        let (status, answer) = match self.run(operation, body) {
            Ok(answer) => (200, answer),
            Err(refusal) => (refusal.status, json!({ "__type": refusal.code, "message": refusal.message })),
        };
        JsonAnswer { status, body: answer.to_string().into_bytes() }
    }
}

/// A key that S3 uses.
#[derive(Debug)]
pub(super) struct KeyUse {
    /// Its ARN.
    pub(super) arn: String,
    /// Its tags.
    pub(super) tags: BTreeMap<String, String>,
}

/// An error as the client sees it.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// Its name.
    pub(super) code: &'static str,
    /// Why.
    pub(super) message: String,
}

impl Refusal {
    fn new(code: &'static str, message: String) -> Self {
        Self { status: 400, code, message }
    }

    fn validation(message: &str) -> Self {
        Self::new("ValidationException", message.to_owned())
    }
}

impl From<KeyringError> for Refusal {
    fn from(error: KeyringError) -> Self {
        tracing::error!(%error, "the embedded KMS failed");
        Self { status: 500, code: "KMSInternalException", message: "The request failed inside KMS.".to_owned() }
    }
}

impl From<CryptoError> for Refusal {
    fn from(error: CryptoError) -> Self {
        KeyringError::from(error).into()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateKey {
    description: Option<String>,
    key_spec: Option<String>,
    key_usage: Option<String>,
    #[serde(default)]
    tags: Vec<KeyTag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyTag {
    tag_key: String,
    tag_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListKeys {
    limit: Option<usize>,
    marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScheduleKeyDeletion {
    key_id: String,
    pending_window_in_days: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneKey {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateAlias {
    alias_name: String,
    target_key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListAliases {
    key_id: Option<String>,
    limit: Option<usize>,
    marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GenerateDataKey {
    key_id: String,
    key_spec: Option<String>,
    number_of_bytes: Option<usize>,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypt {
    key_id: String,
    plaintext: String,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt {
    key_id: Option<String>,
    ciphertext_blob: String,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
}

fn invalid_ciphertext() -> Refusal {
    Refusal::new("InvalidCiphertextException", String::new())
}

fn no_such_key(arn: &str) -> Refusal {
    Refusal::new("NotFoundException", format!("Key '{arn}' does not exist"))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::validation(&error.to_string()))
}

fn decode(field: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    let bytes = BASE64_STANDARD.decode(text);
    bytes.map_err(|_| Refusal::validation(&format!("Value at '{field}' is not base64")))
}

/// A random UUID, version 4.
fn new_id() -> Result<String, CryptoError> {
    let bytes: [u8; 16] = random(16)?.try_into().map_err(|_| CryptoError)?;
    let version = 0xf000_u128 << 64;
    let variant = 0xc000_u128 << 48;
    let id = u128::from_be_bytes(bytes) & !version & !variant | 0x4000 << 64 | 0x8000 << 48;
    let group = |shift: u32| (id >> shift) & 0xffff;
    let (node, clock) = (id & 0xffff_ffff_ffff, group(48));
    Ok(format!("{:08x}-{:04x}-{:04x}-{clock:04x}-{node:012x}", id >> 96, group(80), group(64)))
}
