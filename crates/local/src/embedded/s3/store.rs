//! The rows of buckets, objects, uploads and parts, and who refers to which file.
//!
//! Two connections: a commit waits for the disk, and a read must not wait for it.
//!
//! Invariant: a file is in `files` exactly while a row of `objects` or `parts`
//! names it, and `files.uses` is the number of such rows. Both change in one
//! transaction.
//! Invariant: a transaction that lets go of a file reports it only after it was
//! committed with `synchronous=FULL`.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use ironwharf_cloud::STORAGE_FULL;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::content::Content;
use super::files::{FileId, Fresh};
use super::records::{Object, ObjectHeaders, Part, Upload};
use crate::embedded::OpenError;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS buckets (
        name TEXT PRIMARY KEY,
        created INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS objects (
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified INTEGER NOT NULL,
        headers TEXT NOT NULL,
        segments TEXT NOT NULL,
        inline BLOB NOT NULL,
        PRIMARY KEY (bucket, key)
    );
    CREATE TABLE IF NOT EXISTS uploads (
        id TEXT PRIMARY KEY,
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        created INTEGER NOT NULL,
        headers TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
    CREATE TABLE IF NOT EXISTS parts (
        upload TEXT NOT NULL,
        number INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified INTEGER NOT NULL,
        checksums TEXT NOT NULL,
        segments TEXT NOT NULL,
        inline BLOB NOT NULL,
        PRIMARY KEY (upload, number)
    );
    CREATE TABLE IF NOT EXISTS files (
        id TEXT PRIMARY KEY,
        uses INTEGER NOT NULL
    ) WITHOUT ROWID;
    PRAGMA user_version = 1;";

/// The schema version this program writes.
const VERSION: i64 = 1;

/// The database of one Region's buckets.
#[derive(Debug)]
pub(super) struct Store {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Store {
    /// Opens or creates the database file.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |message: String| OpenError::Database { path: path.to_owned(), message };
        let failed = |error: rusqlite::Error| unusable(error.to_string());
        let writer = connect(path).map_err(failed)?;
        let version: i64 = writer.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        if version > VERSION {
            return Err(unusable("a newer version of this program made it".to_owned()));
        }
        writer.execute_batch(SCHEMA).map_err(failed)?;
        let reader = connect(path).map_err(failed)?;
        reader.pragma_update(None, "query_only", true).map_err(failed)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// All files that rows name.
    pub(super) fn all_files(&self) -> S3Result<HashSet<FileId>> {
        let reader = self.reader();
        let mut statement = reader.prepare("SELECT id FROM files").map_err(internal)?;
        let ids = statement.query_map([], |row| row.get(0).map(FileId::from_row));
        ids.map_err(internal)?.collect::<Result<_, _>>().map_err(internal)
    }

    /// Reads with the connection that never waits for a commit.
    pub(super) fn read<T>(&self, f: impl FnOnce(&Rows<'_>) -> S3Result<T>) -> S3Result<T> {
        f(&Rows(&self.reader()))
    }

    /// Runs one transaction. Waits for the disk: call it on a blocking thread.
    ///
    /// `fresh` is the file that the transaction adds a row for, if it does.
    /// Returns the files that no row names any more.
    pub(super) fn write<T>(
        &self,
        fresh: Option<Fresh>,
        f: impl FnOnce(&Changes<'_>) -> S3Result<T>,
    ) -> S3Result<(T, Vec<FileId>)> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(internal)?;
        let changes = Changes { transaction: &transaction, touched: RefCell::default() };
        let value = f(&changes)?;
        let unused = changes.forget_unused()?;
        let committed = transaction.commit();
        // The file stays after a failed commit too: whether the row reached the
        // disk is known only at the next start, which removes what has no row.
        if let Some(fresh) = fresh {
            fresh.keep();
        }
        committed.map_err(internal)?;
        Ok((value, unused))
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Questions.
pub(super) struct Rows<'a>(&'a Connection);

impl Rows<'_> {
    /// Fails unless the bucket exists.
    pub(super) fn require_bucket(&self, bucket: &str) -> S3Result<()> {
        let mut statement = self.prepare("SELECT 1 FROM buckets WHERE name = ?1")?;
        if statement.exists([bucket]).map_err(internal)? {
            return Ok(());
        }
        Err(s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    /// An object, if there is one.
    pub(super) fn find_object(&self, bucket: &str, key: &str) -> S3Result<Option<Object>> {
        let sql = "SELECT etag, modified, headers, segments, inline FROM objects
                   WHERE bucket = ?1 AND key = ?2";
        let found = self
            .prepare(sql)?
            .query_row([bucket, key], |row| {
                Ok(Object {
                    etag: row.get(0)?,
                    modified: row.get(1)?,
                    headers: json(row, 2)?,
                    content: content(row, 3)?,
                })
            })
            .optional();
        found.map_err(internal)
    }

    /// An object, or the error that it or its bucket does not exist.
    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        if let Some(object) = self.find_object(bucket, key)? {
            return Ok(object);
        }
        self.require_bucket(bucket)?;
        Err(s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// An upload that is neither completed nor aborted.
    pub(super) fn upload(&self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        let sql = "SELECT id, key, created, headers FROM uploads
                   WHERE id = ?1 AND bucket = ?2 AND key = ?3";
        let found = self.prepare(sql)?.query_row([id, bucket, key], upload);
        if let Some(upload) = found.optional().map_err(internal)? {
            return Ok(upload);
        }
        self.require_bucket(bucket)?;
        Err(s3_error!(
            NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, \
             or the upload may have been aborted or completed."
        ))
    }

    /// The parts of an upload behind a number, in order.
    pub(super) fn parts(&self, upload: &str, after: i32, limit: usize) -> S3Result<Vec<Part>> {
        let sql = "SELECT number, etag, modified, checksums, segments, inline FROM parts
                   WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
        self.collect(sql, params![upload, after, count(limit)], |row| {
            Ok(Part {
                number: row.get(0)?,
                etag: row.get(1)?,
                modified: row.get(2)?,
                checksums: json(row, 3)?,
                content: content(row, 4)?,
            })
        })
    }

    /// Runs a query and collects what `row` makes of its rows.
    pub(super) fn collect<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> S3Result<Vec<T>> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(params, row).map_err(internal)?;
        rows.collect::<Result<_, _>>().map_err(internal)
    }

    fn prepare(&self, sql: &str) -> S3Result<rusqlite::CachedStatement<'_>> {
        self.0.prepare_cached(sql).map_err(internal)
    }
}

/// One transaction. Its changes keep count of the files.
pub(super) struct Changes<'a> {
    transaction: &'a Transaction<'a>,
    /// The files that lost a row, and may have lost the last one.
    touched: RefCell<BTreeSet<FileId>>,
}

impl Changes<'_> {
    /// Questions within the transaction.
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows(self.transaction)
    }

    /// Creates a bucket; false if it exists.
    pub(super) fn create_bucket(&self, name: &str, now: i64) -> S3Result<bool> {
        let sql = "INSERT OR IGNORE INTO buckets (name, created) VALUES (?1, ?2)";
        Ok(self.execute(sql, params![name, now])? > 0)
    }

    /// Puts an object under its key, in place of the one that is there.
    pub(super) fn put_object(&self, bucket: &str, key: &str, object: &Object) -> S3Result<()> {
        self.delete_object(bucket, key)?;
        self.use_files(&object.content)?;
        let sql = "INSERT INTO objects
            (bucket, key, size, etag, modified, headers, segments, inline)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let values = params![
            bucket,
            key,
            i64::try_from(object.content.size()).map_err(internal)?,
            object.etag,
            object.modified,
            text(&object.headers)?,
            text(&object.content.segments)?,
            &*object.content.inline,
        ];
        self.execute(sql, values).map(|_| ())
    }

    /// Deletes an object if it is there.
    pub(super) fn delete_object(&self, bucket: &str, key: &str) -> S3Result<()> {
        let sql = "DELETE FROM objects WHERE bucket = ?1 AND key = ?2 RETURNING segments, inline";
        self.delete_content(sql, [bucket, key])
    }

    /// Starts an upload.
    pub(super) fn create_upload(
        &self,
        bucket: &str,
        id: &str,
        key: &str,
        now: i64,
        headers: &ObjectHeaders,
    ) -> S3Result<()> {
        let sql = "INSERT INTO uploads (id, bucket, key, created, headers)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![id, bucket, key, now, text(headers)?];
        self.execute(sql, values).map(|_| ())
    }

    /// Puts a part in place of the one with the same number.
    pub(super) fn put_part(&self, upload: &str, part: &Part) -> S3Result<()> {
        let sql = "DELETE FROM parts WHERE upload = ?1 AND number = ?2 RETURNING segments, inline";
        self.delete_content(sql, params![upload, part.number])?;
        self.use_files(&part.content)?;
        let sql = "INSERT INTO parts (upload, number, etag, modified, checksums, segments, inline)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = params![
            upload,
            part.number,
            part.etag,
            part.modified,
            text(&part.checksums)?,
            text(&part.content.segments)?,
            &*part.content.inline,
        ];
        self.execute(sql, values).map(|_| ())
    }

    /// Ends an upload, together with its parts.
    pub(super) fn delete_upload(&self, id: &str) -> S3Result<()> {
        let sql = "DELETE FROM parts WHERE upload = ?1 RETURNING segments, inline";
        self.delete_content(sql, [id])?;
        self.execute("DELETE FROM uploads WHERE id = ?1", [id]).map(|_| ())
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> S3Result<usize> {
        let mut statement = self.transaction.prepare_cached(sql).map_err(internal)?;
        statement.execute(params).map_err(internal)
    }

    fn use_files(&self, content: &Content) -> S3Result<()> {
        for id in content.files() {
            let sql = "INSERT INTO files (id, uses) VALUES (?1, 1)
                       ON CONFLICT (id) DO UPDATE SET uses = uses + 1";
            self.execute(sql, [id.as_str()])?;
        }
        Ok(())
    }

    fn delete_content(&self, sql: &str, params: impl rusqlite::Params) -> S3Result<()> {
        let deleted = self.rows().collect(sql, params, |row| content(row, 0))?;
        for id in deleted.iter().flat_map(Content::files) {
            let sql = "UPDATE files SET uses = uses - 1 WHERE id = ?1";
            self.execute(sql, [id.as_str()])?;
            self.touched.borrow_mut().insert(id);
        }
        Ok(())
    }

    fn forget_unused(&self) -> S3Result<Vec<FileId>> {
        let mut unused = Vec::new();
        for id in self.touched.take() {
            let sql = "DELETE FROM files WHERE id = ?1 AND uses <= 0";
            if self.execute(sql, [id.as_str()])? > 0 {
                unused.push(id);
            }
        }
        Ok(unused)
    }
}

/// An upload from `id, key, created, headers`.
pub(super) fn upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    Ok(Upload { id: row.get(0)?, key: row.get(1)?, created: row.get(2)?, headers: json(row, 3)? })
}

/// A content from two columns, the first of which is at `index`.
fn content(row: &Row<'_>, index: usize) -> rusqlite::Result<Content> {
    Ok(Content { segments: json(row, index)?, inline: Bytes::from(row.get::<_, Vec<u8>>(index + 1)?) })
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(index)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into()))
}

fn text<T: serde::Serialize>(value: &T) -> S3Result<String> {
    serde_json::to_string(value).map_err(internal)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A fault of ours: the client learns no more than that, unless it is a full disk.
pub(super) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    tracing::error!(%error, "the object store failed");
    if is_full(&error) {
        let mut full = s3_error!(InternalError, "There is no space left on the disk of the data folder.");
        full.set_code(S3ErrorCode::Custom(STORAGE_FULL.into()));
        // No status that the SDK would try again for.
        full.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
        return full;
    }
    s3_error!(InternalError, "We encountered an internal error. Please try again.")
}

fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let here = if let Some(error) = error.downcast_ref::<std::io::Error>() {
        matches!(error.kind(), StorageFull | QuotaExceeded)
    } else {
        let error = error.downcast_ref::<rusqlite::Error>();
        error.and_then(rusqlite::Error::sqlite_error_code) == Some(rusqlite::ErrorCode::DiskFull)
    };
    here || error.source().is_some_and(is_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_faults() {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let file = OpenError::Io { action: "write", path: "f".into(), source };
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch("PRAGMA max_page_count = 1").unwrap();
        let refused = database.execute_batch("CREATE TABLE t (x); CREATE TABLE u (x); CREATE TABLE v (x)").unwrap_err();
        assert!(is_full(&file) && is_full(&refused), "{refused}");
        assert_eq!(internal(refused).code().as_str(), STORAGE_FULL);
        let other = database.execute_batch("nonsense").unwrap_err();
        assert!(!is_full(&other) && !is_full(&std::io::Error::other("x")));
        assert_eq!(internal(other).code().as_str(), "InternalError");
    }
}
