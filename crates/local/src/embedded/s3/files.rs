//! The data files: bytes without a name, each written once and never changed.
//!
//! Invariant: a file under its name is complete only for those who learned the
//! name from a committed row; nobody lists the folder to find data.
//! Invariant: a file that somebody still reads is not removed; it goes when the
//! last reader is done, or at the next start.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::embedded::secrets::hex;
use crate::embedded::{OpenError, folder};

/// The name of a data file: 32 hex digits, of which the first two name its folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct FileId(String);

impl FileId {
    /// The text that is stored in rows.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// A name read back from a row.
    pub(super) fn from_row(text: String) -> Self {
        Self(text)
    }
}

/// 128 random bits in hex: names of files, ids of uploads, opaque `ETag`s.
pub(super) fn random_name() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("the system has no randomness to give"))?;
    Ok(hex(&bytes))
}

/// The folder of data files, spread over 256 subfolders.
#[derive(Debug)]
pub(super) struct DataFiles {
    dir: PathBuf,
    readers: Mutex<HashMap<FileId, Readers>>,
}

/// Who reads a file, and whether it goes when they are done.
#[derive(Debug, Default)]
struct Readers {
    count: usize,
    unwanted: bool,
}

impl DataFiles {
    /// Opens the folder and creates what is missing of it.
    pub(super) fn open(dir: PathBuf) -> Result<Self, OpenError> {
        folder::create_private(&dir)?;
        for number in 0..=u8::MAX {
            let sub = dir.join(hex(&[number]));
            if !sub.is_dir() {
                std::fs::create_dir(&sub).map_err(|source| folder::failed("create the folder", &sub, source))?;
            }
        }
        folder::sync(&dir)?;
        Ok(Self { dir, readers: Mutex::default() })
    }

    /// Removes every file that is not in `wanted` and reports what is missing.
    ///
    /// What is removed here was written by a process that died before it
    /// committed, or belonged to rows that were deleted just before it died.
    pub(super) fn sweep(&self, mut wanted: HashSet<FileId>) -> Result<(), OpenError> {
        let mut removed = 0_usize;
        for number in 0..=u8::MAX {
            let sub = self.dir.join(hex(&[number]));
            for name in folder::names_in(&sub)? {
                let path = sub.join(&name);
                if wanted.remove(&FileId(name)) {
                    continue;
                }
                std::fs::remove_file(&path).map_err(|source| folder::failed("remove", &path, source))?;
                removed += 1;
            }
        }
        if removed > 0 {
            tracing::info!(removed, "removed the data files of unfinished uploads");
        }
        if !wanted.is_empty() {
            let missing = wanted.len();
            tracing::error!(missing, dir = %self.dir.display(), "data files are missing");
        }
        Ok(())
    }

    fn path(&self, id: &FileId) -> PathBuf {
        let sub = id.0.get(..2).unwrap_or_default();
        self.dir.join(sub).join(&id.0)
    }

    /// Opens a file for reading.
    pub(super) fn read(&self, id: &FileId) -> std::io::Result<File> {
        File::open(self.path(id))
    }

    /// Starts a new file.
    pub(super) fn create(self: &Arc<Self>) -> std::io::Result<Draft> {
        let id = FileId(random_name()?);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(&id))?;
        Ok(Draft { file, fresh: Fresh { id: Some(id), files: Arc::clone(self) } })
    }

    /// Keeps files from being removed until the guard is dropped.
    ///
    /// `find` reads the row that names them. A remover first commits that the
    /// row is gone and then asks for readers, so whoever saw the row is counted.
    pub(super) fn hold<T, E>(
        self: &Arc<Self>,
        find: impl FnOnce() -> Result<(T, Vec<FileId>), E>,
    ) -> Result<(T, Held), E> {
        let mut readers = self.readers();
        let (found, ids) = find()?;
        for id in &ids {
            readers.entry(id.clone()).or_default().count += 1;
        }
        let files = Arc::clone(self);
        Ok((found, Held { ids, files }))
    }

    /// Removes files that no row names any more.
    pub(super) fn discard(&self, ids: &[FileId]) {
        for id in ids {
            if let Some(reader) = self.readers().get_mut(id) {
                reader.unwanted = true;
                continue;
            }
            remove(&self.path(id));
        }
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<FileId, Readers>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // The next start tries again.
        Err(error) => tracing::warn!(%error, path = %path.display(), "cannot remove"),
    }
}

/// A file that is being written. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Draft {
    /// The open file.
    pub(super) file: File,
    fresh: Fresh,
}

impl Draft {
    /// Gives the bytes and the name to the disk.
    pub(super) fn finish(self) -> std::io::Result<Fresh> {
        self.file.sync_data()?;
        if let Some(id) = &self.fresh.id
            && let Some(sub) = self.fresh.files.path(id).parent()
        {
            File::open(sub)?.sync_all()?;
        }
        Ok(self.fresh)
    }
}

/// A complete file that no row names yet. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Fresh {
    id: Option<FileId>,
    files: Arc<DataFiles>,
}

impl Fresh {
    /// The file's name.
    pub(super) fn id(&self) -> Option<&FileId> {
        self.id.as_ref()
    }

    /// Call this when a row that names the file is committed.
    pub(super) fn keep(mut self) {
        self.id = None;
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            remove(&self.files.path(id));
        }
    }
}

/// Files that stay while this lives.
#[derive(Debug)]
pub(super) struct Held {
    ids: Vec<FileId>,
    files: Arc<DataFiles>,
}

impl Held {
    /// The folder the files are in.
    pub(super) fn files(&self) -> &DataFiles {
        &self.files
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut unwanted = Vec::new();
        let mut readers = self.files.readers();
        for id in &self.ids {
            let Some(reader) = readers.get_mut(id) else {
                continue;
            };
            reader.count = reader.count.saturating_sub(1);
            if reader.count == 0 {
                if reader.unwanted {
                    unwanted.push(id.clone());
                }
                readers.remove(id);
            }
        }
        drop(readers);
        self.files.discard(&unwanted);
    }
}
