//! The rows of keys and aliases.
//!
//! Invariant: key material is in the file only sealed by the root key, together
//! with the id of its key, so that no row can be passed off as another.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

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
    PRAGMA user_version = 1;";

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
    /// Opens or creates the database file.
    pub(super) fn open(path: &Path, root: &RootKey) -> Result<Self, OpenError> {
        let connect = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        let connection =
            connect().map_err(|error| OpenError::Database { path: path.to_owned(), message: error.to_string() })?;
        Ok(Self { connection: Mutex::new(connection), root: root.clone() })
    }

    /// Adds a key.
    pub(super) fn create_key(
        &self,
        id: &str,
        description: &str,
        now: i64,
        material: &[u8],
    ) -> Result<(), KeyringError> {
        let sealed = seal(self.root.bytes(), id.as_bytes(), material)?;
        self.connection().execute(
            "INSERT INTO keys (id, description, created, enabled, sealed)
             VALUES (?1, ?2, ?3, TRUE, ?4)",
            params![id, description, now, sealed],
        )?;
        Ok(())
    }

    /// The key with an id.
    pub(super) fn key(&self, id: &str) -> Result<Option<KeyRow>, KeyringError> {
        let sql = "SELECT id, description, created, enabled, sealed FROM keys WHERE id = ?1";
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row([id], key_row).optional()?)
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

fn key_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: row.get(0)?,
        description: row.get(1)?,
        created: row.get(2)?,
        enabled: row.get(3)?,
        sealed: row.get(4)?,
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
