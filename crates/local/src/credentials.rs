//! The root credentials: from the environment, or generated once and kept in
//! the data folder.
//!
//! Invariant: there is no built-in credential, and the file is readable by its
//! owner only.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwharf_cloud::random;
use serde::{Deserialize, Serialize};

use crate::cli::Sentence;

const FILE: &str = "root-credentials.json";

/// Where a running server leaves its URL, for the other commands.
const ENDPOINT_FILE: &str = "endpoint";

/// Where a server listens unless told otherwise.
const DEFAULT_ENDPOINT: &str = "http://localhost:5100";
/// And the Region it takes.
const DEFAULT_REGION: &str = "us-east-1";

/// A key pair.
#[derive(Clone, Serialize, Deserialize)]
pub struct RootKey {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RootKey").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// How credentials are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For `eval` in a shell.
    Env,
    /// For `credential_process`.
    Json,
}

impl RootKey {
    fn generate() -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let letter = |byte: u8| char::from(LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'A'));
        let name: String = random::bytes::<16>().into_iter().map(letter).collect();
        Self { access_key_id: format!("AKIA{name}"), secret_access_key: STANDARD.encode(random::bytes::<30>()) }
    }

    /// Shows the key pair, for a server at `endpoint`.
    #[must_use]
    pub fn show(&self, format: Format, endpoint: &Endpoint) -> String {
        let Endpoint { url, region } = endpoint;
        let Self { access_key_id, secret_access_key } = self;
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = match format {
            Format::Text => write!(
                text,
                "access key id:     {access_key_id}\nsecret access key: {secret_access_key}\nendpoint:          {url}\nregion:            {region}\n"
            ),
            Format::Env => write!(
                text,
                "unset AWS_SESSION_TOKEN AWS_PROFILE\n\
                 export AWS_ACCESS_KEY_ID={}\n\
                 export AWS_SECRET_ACCESS_KEY={}\n\
                 export AWS_DEFAULT_REGION=\"${{AWS_DEFAULT_REGION:-{region}}}\"\n\
                 export AWS_ENDPOINT_URL_ECR={url}\n\
                 export AWS_ENDPOINT_URL_IAM={url}\n\
                 export AWS_ENDPOINT_URL_STS={url}\n\
                 export AWS_ENDPOINT_URL_CLOUDTRAIL={url}\n",
                shell_quoted(access_key_id),
                shell_quoted(secret_access_key),
                url = shell_quoted(url),
            ),
            Format::Json => writeln!(
                text,
                "{}",
                serde_json::json!({
                    "Version": 1,
                    "AccessKeyId": access_key_id,
                    "SecretAccessKey": secret_access_key,
                })
            ),
        };
        text
    }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The root key: of the environment if it is there, else of the data folder,
/// where it is generated on first use.
pub fn load_or_create(data_dir: &Path) -> Result<RootKey, Sentence> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let names = ["IRONWHARF_ROOT_ACCESS_KEY_ID", "IRONWHARF_ROOT_SECRET_ACCESS_KEY"];
    match names.map(variable) {
        [Some(access_key_id), Some(secret_access_key)] => from_environment(access_key_id, secret_access_key),
        [None, None] => from_folder(data_dir),
        _ => Err(format!("{} and {} must be set together", names[0], names[1])),
    }
}

/// The root key of a registry that has been started once.
///
/// # Errors
/// A sentence, if there is none: a command that asks a server makes no folder.
pub fn load(data_dir: &Path) -> Result<RootKey, Sentence> {
    if std::env::var_os("IRONWHARF_ROOT_ACCESS_KEY_ID").is_none() && !data_dir.join(FILE).exists() {
        if data_dir.join(ENDPOINT_FILE).exists() {
            return Err(format!(
                "the registry in '{}' was started with root credentials from its environment; set \
                 IRONWHARF_ROOT_ACCESS_KEY_ID and IRONWHARF_ROOT_SECRET_ACCESS_KEY here too",
                data_dir.display()
            ));
        }
        return Err(format!(
            "there is no registry in '{}'; start one with `ironwharf serve`, or name its folder with --data-dir",
            data_dir.display()
        ));
    }
    load_or_create(data_dir)
}

fn from_environment(access_key_id: String, secret_access_key: String) -> Result<RootKey, Sentence> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !access_key_id.bytes().all(is_word) || !(16..=128).contains(&access_key_id.len()) {
        return Err("IRONWHARF_ROOT_ACCESS_KEY_ID must have 16 to 128 letters, digits and underscores".to_owned());
    }
    if secret_access_key.len() < 16 {
        return Err("IRONWHARF_ROOT_SECRET_ACCESS_KEY must have at least 16 characters".to_owned());
    }
    Ok(RootKey { access_key_id, secret_access_key })
}

fn from_folder(data_dir: &Path) -> Result<RootKey, Sentence> {
    let path = data_dir.join(FILE);
    let failed = |error: std::io::Error| format!("cannot keep root credentials in '{}': {error}", path.display());
    match fs::read(&path) {
        Ok(bytes) => {
            let damaged = |error| format!("'{}' is damaged: {error}", path.display());
            return serde_json::from_slice(&bytes).map_err(damaged);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
    let key = RootKey::generate();
    // Complete before it has its name, and only the first one gets the name:
    // a reader never sees half a file, and two starts agree on one key.
    let draft = data_dir.join(format!("{FILE}.{}", random::hex::<8>()));
    let written = write_private(&draft, &serde_json::json!(key).to_string());
    let linked = written.and_then(|()| fs::hard_link(&draft, &path));
    let removed = fs::remove_file(&draft);
    match linked {
        Ok(()) => removed.map_err(failed).map(|()| key),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => from_folder(data_dir),
        Err(error) => Err(failed(error)),
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Where a server is, and which Region it takes requests that name none for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its URL.
    pub url: String,
    /// The Region.
    pub region: String,
}

/// Leaves a note of the server for the other commands. They fall back to the
/// default without it, so a failure is only logged.
pub fn write_endpoint(data_dir: &Path, endpoint: &Endpoint) {
    let text = format!("{}\n{}\n", endpoint.url, endpoint.region);
    if let Err(error) = fs::write(data_dir.join(ENDPOINT_FILE), text) {
        tracing::warn!(%error, "cannot note the server's address for `ironwharf credentials`");
    }
}

/// The server that last used this data folder.
#[must_use]
pub fn read_endpoint(data_dir: &Path) -> Endpoint {
    let noted = fs::read_to_string(data_dir.join(ENDPOINT_FILE)).unwrap_or_default();
    let mut lines = noted.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = |default: &str| lines.next().unwrap_or(default).to_owned();
    Endpoint { url: line(DEFAULT_ENDPOINT), region: line(DEFAULT_REGION) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_generated_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = from_folder(folder.path()).unwrap();
        let second = from_folder(folder.path()).unwrap();
        assert_eq!(first.access_key_id, second.access_key_id);
        assert_eq!(first.secret_access_key, second.secret_access_key);
        assert_eq!(first.access_key_id.len(), 20);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn the_shell_form_survives_quotes() {
        let key = RootKey { access_key_id: "A".into(), secret_access_key: "it's $HOME".into() };
        assert!(
            key.show(Format::Env, &read_endpoint(Path::new("/nowhere")))
                .contains(r"AWS_SECRET_ACCESS_KEY='it'\''s $HOME'")
        );
        assert!(!format!("{key:?}").contains("HOME"));
    }
}
