//! DynamoDB and DynamoDB Streams of one Region, on dynoxide and its `SQLite` file.
//!
//! The file is open twice. Writes wait for the disk while they hold dynoxide's
//! one lock, so reads have an instance of their own: they see every committed
//! write and never wait for an fsync.
//!
//! Invariant: an acknowledged write was committed with `synchronous=FULL`, which
//! is `SQLite`'s default and which nothing here lowers.
//! Invariant: an operation that needs several rows to be of one moment
//! (transactions, streams) runs on the writing instance, under its lock.
//! Invariant: the reading instance never outlives a change of a table's
//! definition, because it caches definitions.

mod access;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dynoxide::{Database, DynoxideError};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::OpenError;
use super::clock::now;
use super::connector::{JsonAnswer, JsonService};
use super::roles::{Access, Roles};

/// Dynoxide asks for the highest sequence number of a table on every write to a
/// stream, and has no index for that question: without this one each write reads
/// the whole stream. A test asks the query planner whether it is used.
const STREAM_INDEX: &str = "CREATE INDEX IF NOT EXISTS ironwharf_stream_sequence
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// As long as DynamoDB keeps them.
const STREAM_RETENTION_SECONDS: i64 = 24 * 60 * 60;

/// Records are numbered in the order they were written, so the expired ones are
/// the first ones. A batch is small because requests wait while it runs.
const TRIM_BATCH: &str = "DELETE FROM _stream_records
    WHERE id IN (SELECT id FROM _stream_records ORDER BY id LIMIT 500) AND created_at < ?1";

/// How long maintenance waits for requests that are writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The tables of one Region.
#[derive(Clone)]
pub(super) struct Tables {
    path: Arc<Path>,
    writer: Database,
    reader: Arc<RwLock<Database>>,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Tables {
    /// Opens or creates the database file.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable =
            |error: &dyn fmt::Display| OpenError::Database { path: path.to_owned(), message: error.to_string() };
        let writer = open_database(path).map_err(|error| unusable(&error))?;
        Connection::open(path)
            .and_then(|connection| connection.execute_batch(STREAM_INDEX))
            .map_err(|error| unusable(&error))?;
        let reader = open_database(path).map_err(|error| unusable(&error))?;
        Ok(Self { path: Arc::from(path), writer, reader: Arc::new(RwLock::new(reader)) })
    }

    /// Deletes the items whose time to live has passed.
    pub(super) fn expire_items(&self) {
        match self.writer.sweep_ttl() {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, path = %self.path.display(), "expired items"),
            Err(error) => tracing::error!(%error, "the sweep of expired items failed"),
        }
    }

    /// Deletes the stream records that DynamoDB would no longer show.
    pub(super) fn trim_streams(&self) {
        match self.trim_streams_before(now() - STREAM_RETENTION_SECONDS) {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, path = %self.path.display(), "trimmed streams"),
            Err(error) => tracing::error!(%error, "the trim of table streams failed"),
        }
    }

    /// Deletes the stream records older than a moment, in seconds since the epoch.
    pub(super) fn trim_streams_before(&self, moment: i64) -> rusqlite::Result<usize> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let mut total = 0;
        loop {
            match connection.execute(TRIM_BATCH, [moment])? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, DynoxideError> {
        let db = &self.writer;
        match operation {
            "GetItem" | "BatchGetItem" | "Query" | "Scan" => self.read(operation, body),
            "PutItem" => with(body, |request| db.put_item(request)),
            "UpdateItem" => with(body, |request| db.update_item(request)),
            "DeleteItem" => with(body, |request| db.delete_item(request)),
            "BatchWriteItem" => with(body, |request| db.batch_write_item(request)),
            "TransactWriteItems" => with(body, |request| db.transact_write_items(request)),
            "TransactGetItems" => with(body, |request| db.transact_get_items(request)),
            "ListStreams" => with(body, |request| db.list_streams(request)),
            "DescribeStream" => with(body, |request| db.describe_stream(request)),
            "GetShardIterator" => with(body, |request| db.get_shard_iterator(request)),
            "GetRecords" => with(body, |request| db.get_records(request)),
            "ListTables" => with(body, |request| db.list_tables(request)),
            "DescribeTable" => with(body, |request| db.describe_table(request)),
            "DescribeTimeToLive" => with(body, |request| db.describe_time_to_live(request)),
            "ListTagsOfResource" => with(body, |request| db.list_tags_of_resource(request)),
            "TagResource" => with(body, |request| db.tag_resource(request)),
            "UntagResource" => with(body, |request| db.untag_resource(request)),
            "CreateTable" => self.redefine(|db| with(body, |request| db.create_table(request))),
            "UpdateTable" => self.redefine(|db| with(body, |request| db.update_table(request))),
            "DeleteTable" => self.redefine(|db| with(body, |request| db.delete_table(request))),
            "UpdateTimeToLive" => self.redefine(|db| with(body, |request| db.update_time_to_live(request))),
            _ => Err(DynoxideError::UnsupportedCapability(operation.to_owned())),
        }
    }

    fn read(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, DynoxideError> {
        let db = self.reader.read().unwrap_or_else(PoisonError::into_inner);
        match operation {
            "GetItem" => with(body, |request| db.get_item(request)),
            "BatchGetItem" => with(body, |request| db.batch_get_item(request)),
            "Query" => with(body, |request| db.query(request)),
            _ => with(body, |request| db.scan(request)),
        }
    }

    /// Changes a table's definition, then forgets what the reader knew of it.
    fn redefine(
        &self,
        change: impl FnOnce(&Database) -> Result<Vec<u8>, DynoxideError>,
    ) -> Result<Vec<u8>, DynoxideError> {
        let mut reader = self.reader.write().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&self.writer);
        *reader = open_database(&self.path)?;
        answer
    }
}

impl JsonService for Tables {
    const CONTENT_TYPE: &'static str = "application/x-amz-json-1.0";
    const SIGNING_NAME: &'static str = "dynamodb";

    fn is_quick(operation: &str) -> bool {
        matches!(operation, "GetItem" | "BatchGetItem" | "Query")
    }

    fn accesses(roles: &Roles, operation: &str, body: &[u8]) -> Vec<Access> {
        access::accesses(roles, operation, body)
    }

    fn answer(&self, operation: &str, body: &[u8]) -> JsonAnswer {
        match self.run(operation, body) {
            Ok(body) => JsonAnswer { status: 200, body },
            Err(error) => JsonAnswer { status: error.status_code(), body: error.to_json().into_bytes() },
        }
    }
}

fn open_database(path: &Path) -> Result<Database, DynoxideError> {
    match path.to_str() {
        Some(path) => Database::new(path),
        None => Err(DynoxideError::InternalServerError("the path of the data folder is not valid UTF-8".to_owned())),
    }
}

/// Runs one operation on a request and answer of dynoxide's own types.
fn with<Q: DeserializeOwned, R: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Q) -> Result<R, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::ValidationException(plain_message(&error)))?;
    let answer = operation(request)?;
    serde_json::to_vec(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The message of a refused request without the marker that dynoxide's own HTTP
/// layer would have removed, and without serde's position in the document.
fn plain_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&position).unwrap_or(&text);
    text.strip_prefix("VALIDATION:").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connection: &Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map([], |row| row.get::<_, String>(3));
        steps.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    /// The two statements are dynoxide's own; if its schema changes this fails.
    #[test]
    fn streams_are_read_through_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dynamodb.sqlite");
        let _tables = Tables::open(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        let last = plan(
            &connection,
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1
             FROM _stream_records WHERE table_name = 't'",
        );
        assert!(last.contains("ironwharf_stream_sequence"), "{last}");
        let page = plan(
            &connection,
            "SELECT event_name FROM _stream_records
             WHERE table_name = 't' AND shard_id = 's' AND CAST(sequence_number AS INTEGER) > 1
             ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 9",
        );
        assert!(page.contains("ironwharf_stream_sequence"), "{page}");
        assert!(!page.contains("TEMP B-TREE"), "{page}");
    }

    /// Dynoxide leaves the level alone, so `SQLite`'s default is what it gets.
    #[test]
    fn commits_wait_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dynamodb.sqlite");
        let _tables = Tables::open(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        let pragma = |name: &str| -> String {
            connection
                .query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(pragma("journal_mode"), "wal");
        assert_eq!(pragma("synchronous"), "2", "2 is FULL");
    }

    #[test]
    fn messages_have_no_internal_marker() {
        let error = serde::de::Error::custom("VALIDATION:One thing is wrong");
        assert_eq!(plain_message(&error), "One thing is wrong");
    }
}
