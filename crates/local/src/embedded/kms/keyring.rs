//! The rows of keys and aliases.
//!
//! Invariant: key material is in the file only sealed by the root key, together
//! with the id of its key, so that no row can be passed off as another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, TransactionBehavior, params};

use super::sealing::{CryptoError, open, seal};
use crate::embedded::OpenError;
use crate::embedded::secrets::RootKey;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS keys (
        id TEXT PRIMARY KEY,
        description TEXT NOT NULL,
        created INTEGER NOT NULL,
        enabled INTEGER NOT NULL,
        sealed BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS aliases (
        name TEXT PRIMARY KEY,
        key TEXT NOT NULL,
        created INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS tags (
        key TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (key, name)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS deletions (
        key TEXT PRIMARY KEY,
        due INTEGER NOT NULL
    ) WITHOUT ROWID;
    PRAGMA user_version = 1;";

/// The columns of a key.
const COLUMNS: &str = "id, description, created, enabled, sealed,
    (SELECT due FROM deletions WHERE deletions.key = keys.id)";

/// A key without its material.
#[derive(Debug, Clone)]
pub(super) struct KeyRow {
    /// A UUID.
    pub(super) id: String,
    /// What it was created with.
    pub(super) description: String,
    /// Seconds since the epoch.
    pub(super) created: i64,
    /// Whether it may be used.
    pub(super) enabled: bool,
    /// When it will be deleted, in seconds since the epoch, if that is so.
    pub(super) deletion: Option<i64>,
    sealed: Vec<u8>,
}

/// An alias.
#[derive(Debug, Clone)]
pub(super) struct AliasRow {
    /// With the `alias/` in front.
    pub(super) name: String,
    /// The id of its key.
    pub(super) key: String,
    /// Seconds since the epoch.
    pub(super) created: i64,
}

/// The database of one Region's keys.
#[derive(Debug)]
pub(super) struct Keyring {
    connection: Mutex<Connection>,
    root: RootKey,
}

impl Keyring {
    /// Opens or creates the database file, and deletes the keys whose time has come.
    pub(super) fn open(path: &Path, root: &RootKey, now: i64) -> Result<Self, OpenError> {
        let connect = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(SCHEMA)?;
            delete_due(&connection, now)?;
            Ok(connection)
        };
        let connection =
            connect().map_err(|error| OpenError::Database { path: path.to_owned(), message: error.to_string() })?;
        Ok(Self { connection: Mutex::new(connection), root: root.clone() })
    }

    /// Adds a key with its tags.
    pub(super) fn create_key(
        &self,
        id: &str,
        description: &str,
        now: i64,
        material: &[u8],
        tags: &BTreeMap<String, String>,
    ) -> Result<(), KeyringError> {
        let sealed = seal(self.root.bytes(), id.as_bytes(), material)?;
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO keys (id, description, created, enabled, sealed)
             VALUES (?1, ?2, ?3, TRUE, ?4)",
            params![id, description, now, sealed],
        )?;
        for (name, value) in tags {
            transaction.execute("INSERT INTO tags (key, name, value) VALUES (?1, ?2, ?3)", params![id, name, value])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The key with an id.
    pub(super) fn key(&self, id: &str) -> Result<Option<KeyRow>, KeyringError> {
        let sql = format!("SELECT {COLUMNS} FROM keys WHERE id = ?1");
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&sql)?;
        Ok(statement.query_row([id], key_row).optional()?)
    }

    /// The ids of keys behind an id, in order.
    pub(super) fn ids(&self, after: &str, limit: usize) -> Result<Vec<String>, KeyringError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT id FROM keys WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let rows = statement.query_map(params![after, limit], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The tags of a key.
    pub(super) fn tags(&self, id: &str) -> Result<BTreeMap<String, String>, KeyringError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT name, value FROM tags WHERE key = ?1")?;
        let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Plans the deletion of a key; until then it cannot be used.
    pub(super) fn schedule_deletion(&self, id: &str, due: i64) -> Result<(), KeyringError> {
        self.connection().execute("INSERT OR REPLACE INTO deletions (key, due) VALUES (?1, ?2)", params![id, due])?;
        Ok(())
    }

    /// The material of a key.
    pub(super) fn material(&self, key: &KeyRow) -> Result<Vec<u8>, KeyringError> {
        Ok(open(self.root.bytes(), key.id.as_bytes(), &key.sealed)?)
    }

    /// Switches a key on or off.
    pub(super) fn set_enabled(&self, id: &str, enabled: bool) -> Result<(), KeyringError> {
        self.connection().execute("UPDATE keys SET enabled = ?2 WHERE id = ?1", params![id, enabled])?;
        Ok(())
    }

    /// Adds an alias; false if the name is taken.
    pub(super) fn create_alias(&self, alias: &AliasRow) -> Result<bool, KeyringError> {
        let added = self.connection().execute(
            "INSERT INTO aliases (name, key, created) VALUES (?1, ?2, ?3)",
            params![alias.name, alias.key, alias.created],
        );
        match added {
            Ok(_) => Ok(true),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The alias with a name.
    pub(super) fn alias(&self, name: &str) -> Result<Option<AliasRow>, KeyringError> {
        let sql = "SELECT name, key, created FROM aliases WHERE name = ?1";
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row([name], alias_row).optional()?)
    }

    /// The aliases behind a name, in order; of one key, if an id is given.
    pub(super) fn aliases(&self, key: Option<&str>, after: &str, limit: usize) -> Result<Vec<AliasRow>, KeyringError> {
        let sql = "SELECT name, key, created FROM aliases
                   WHERE name > ?1 AND (?2 IS NULL OR key = ?2) ORDER BY name LIMIT ?3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![after, key, limit], alias_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn delete_due(connection: &Connection, now: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM aliases WHERE key IN (SELECT key FROM deletions WHERE due <= ?1)", [now])?;
    connection.execute("DELETE FROM tags WHERE key IN (SELECT key FROM deletions WHERE due <= ?1)", [now])?;
    connection.execute("DELETE FROM keys WHERE id IN (SELECT key FROM deletions WHERE due <= ?1)", [now])?;
    // Last: until this is gone, the others are tried again.
    connection.execute("DELETE FROM deletions WHERE due <= ?1", [now])?;
    Ok(())
}

fn key_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: row.get(0)?,
        description: row.get(1)?,
        created: row.get(2)?,
        enabled: row.get(3)?,
        sealed: row.get(4)?,
        deletion: row.get(5)?,
    })
}

fn alias_row(row: &Row<'_>) -> rusqlite::Result<AliasRow> {
    Ok(AliasRow { name: row.get(0)?, key: row.get(1)?, created: row.get(2)? })
}

/// A fault of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyringError {
    /// The database failed.
    #[error("the key database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// Material does not open with the root key, or there is no randomness.
    #[error("key material could not be sealed or opened")]
    Crypto,
}

impl From<CryptoError> for KeyringError {
    fn from(_: CryptoError) -> Self {
        Self::Crypto
    }
}
