//! The data folder: who may read it, who holds it, and what survives a power cut.
//!
//! Invariant: no folder or secret file made here can be read by another user.
//! Invariant: no name made here is lost in a power cut after the call returned:
//! the folder that holds the name was synced too.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use ironwharf_model::AccountId;

use super::OpenError;

/// Creates a folder, and the folders above it, if they are missing.
pub(super) fn create_private(dir: &Path) -> Result<(), OpenError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = parent_of(dir) {
        create_private(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(source) => return Err(failed("create the folder", dir, source)),
    }
    match parent_of(dir) {
        Some(parent) => sync(parent),
        None => sync(Path::new(".")),
    }
}

/// The folder that holds `path`, unless that is the working directory.
fn parent_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|p| !p.as_os_str().is_empty())
}

/// Takes the folder for this process until the file is closed.
pub(super) fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| failed("open the lock file", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: data_dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path, source)),
    }
}

/// Makes the folder that of an account, unless it is another's: what is in it
/// names the account, and would be out of reach of any other.
pub(super) fn claim(data_dir: &Path, account: &AccountId) -> Result<(), OpenError> {
    let path = data_dir.join("account");
    let noted = read_or_create_secret(&path, || Ok(account.as_str().as_bytes().to_vec()))?;
    let owner = std::str::from_utf8(&noted).ok().and_then(|text| AccountId::parse(text.trim()).ok());
    match owner {
        Some(owner) if owner == *account => Ok(()),
        Some(owner) => Err(OpenError::OtherAccount { path: data_dir.to_owned(), owner }),
        None => Err(OpenError::Damaged { path, message: "it is not the id of an account".to_owned() }),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync(dir: &Path) -> Result<(), OpenError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|source| failed("sync the folder", dir, source))
}

/// The names in a folder that are valid UTF-8.
pub(super) fn names_in(dir: &Path) -> Result<Vec<String>, OpenError> {
    let fail = |source| failed("list the folder", dir, source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// The content of a secret file, which is made with `content()` if it is missing.
///
/// A new file appears under its name only when it is complete and on the disk:
/// losing half a root key to a power cut would lose every key it seals.
pub(super) fn read_or_create_secret(
    path: &Path,
    content: impl FnOnce() -> Result<Vec<u8>, OpenError>,
) -> Result<Vec<u8>, OpenError> {
    match std::fs::read(path) {
        Ok(bytes) => return Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(failed("read", path, source)),
    }
    let bytes = content()?;
    let draft = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    write().map_err(|source| failed("write", path, source))?;
    if let Some(parent) = parent_of(path) {
        sync(parent)?;
    }
    Ok(bytes)
}

/// An [`OpenError::Io`] in one line.
pub(super) fn failed(action: &'static str, path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Io { action, path: path.to_owned(), source }
}
