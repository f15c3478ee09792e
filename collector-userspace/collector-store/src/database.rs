//! The database, opened for writing: append and retention. One thread, no waiting beyond SQLite's own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use std::borrow::Cow;
use std::sync::Arc;

use collector_core::{BusEvent, CollectionEvent, JsonLines};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::config::StoreConfig;
use crate::error::StoreError;
use crate::row::{Encoder, INSERT, nanoseconds};
use crate::schema;

/// Larger pages mean fewer calls and less waste for rows of 400 to 2,000 bytes (measured: 8.5 µs an event with 8 KiB, 7.7 with
/// 16, 6.7 with 32), and more bytes per transaction when little happens, because every kind has its own hot index page.
const PAGE_SIZE: i64 = 16_384;
/// Pages in the write-ahead log that start a checkpoint: 8 MiB.
const CHECKPOINT_PAGES: i64 = 512;
/// Kilobytes of pages in memory: a full batch fits, so that none is written to the log before its transaction ends.
const CACHE_KIB: i64 = 2_048;
/// To what the log is cut after a checkpoint, should a long query have made it longer.
const LOG_BYTES: i64 = 16 << 20;
/// Most rows deleted in one transaction: bounds how long retention keeps the writer from its queue.
const DELETE_ROWS: i64 = 5_000;
/// Most pages given back to the file system in one step.
const VACUUM_PAGES: i64 = 1_000;

/// An open database.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
    /// Device and inode, to notice that somebody removed the file.
    identity: (u64, u64),
    encoder: Encoder,
    lines: JsonLines,
    max_age: Option<Duration>,
    max_bytes: Option<u64>,
}

/// What one step of retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Rows deleted because of their age.
    pub by_age: u64,
    /// Rows deleted because the database was too large.
    pub by_size: u64,
    /// Whether more is due: call again soon.
    pub more: bool,
}

impl Database {
    /// Opens the database, creating it (readable by its owner only) or bringing its schema up to date where needed.
    ///
    /// # Errors
    /// What stands in the way; see [`StoreError::is_permanent`].
    pub fn open(config: &StoreConfig, lines: &JsonLines) -> Result<Self, StoreError> {
        let path = &config.path;
        let io = |source| StoreError::Io { path: path.clone(), source };
        let sqlite = |source| StoreError::sqlite(path, source);
        // SQLite gives its log and its index the mode of the database. Command lines hold secrets.
        let file = open_file(path).map_err(io)?;
        let identity = identity(&file.metadata().map_err(io)?);
        drop(file);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        if connection.is_readonly("main").map_err(sqlite)? {
            return Err(StoreError::ReadOnly { path: path.clone() });
        }
        connection.busy_timeout(config.busy_timeout).map_err(sqlite)?;
        // These two must come before the first table.
        connection.pragma_update(None, "page_size", PAGE_SIZE).map_err(sqlite)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(sqlite)?;
        schema::migrate(&mut connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(sqlite)?;
        // With a write-ahead log NORMAL loses at most the last transactions in a power cut, and never damages the database.
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(sqlite)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(sqlite)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(sqlite)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES).map_err(sqlite)?;
        let mut database = Self {
            connection,
            path: path.clone(),
            identity,
            encoder: Encoder::default(),
            lines: lines.clone(),
            max_age: config.max_age,
            max_bytes: config.max_bytes,
        };
        database.describe()?;
        Ok(database)
    }

    /// Writes who fills this database.
    fn describe(&mut self) -> Result<(), StoreError> {
        let host = self.lines.host().clone();
        self.write(|transaction, _| {
            let facts =
                [("host", &*host.host), ("boot_id", &*host.boot_id), ("program", env!("CARGO_PKG_VERSION"))];
            let mut statement =
                transaction.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
            for (key, value) in facts {
                statement.execute([key, value])?;
            }
            Ok(())
        })
    }

    /// Appends the events in one transaction: all of them or none.
    ///
    /// # Errors
    /// What made the transaction fail.
    pub fn append<'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e CollectionEvent>,
    ) -> Result<(), StoreError> {
        let lines = self.lines.clone();
        self.append_lines(events.into_iter().map(|event| (event, Cow::Owned(lines.render(event)))))
    }

    /// Appends the events and changes what `collector` remembers, a state by pid or none any more, in one transaction.
    pub(crate) fn append_remembering<'m>(
        &mut self,
        events: &[CollectionEvent],
        collector: &str,
        memory: impl Iterator<Item = (u32, Option<&'m str>)>,
    ) -> Result<(), StoreError> {
        let lines = self.lines.clone();
        self.write(|transaction, encoder| {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for event in events {
                encoder.insert(&mut insert, event, &lines.render(event))?;
            }
            let mut remember =
                transaction.prepare_cached("INSERT OR REPLACE INTO monitor_memory VALUES (?1, ?2, ?3)")?;
            let mut forget =
                transaction.prepare_cached("DELETE FROM monitor_memory WHERE collector = ?1 AND pid = ?2")?;
            for (pid, state) in memory {
                match state {
                    Some(state) => remember.execute((collector, pid, state))?,
                    None => forget.execute((collector, pid))?,
                };
            }
            Ok(())
        })
    }

    /// What `collector` remembers.
    pub(crate) fn recall(&self, collector: &str) -> Result<Vec<String>, StoreError> {
        let read = || {
            self.connection
                .prepare_cached("SELECT state FROM monitor_memory WHERE collector = ?1 ORDER BY pid")?
                .query_map([collector], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()
        };
        read().map_err(|source| StoreError::sqlite(&self.path, source))
    }

    /// Appends `losses`, then the events of `batch` with the lines they may have already, in one transaction.
    pub(crate) fn append_batch(
        &mut self,
        losses: &[CollectionEvent],
        batch: &[Arc<BusEvent>],
    ) -> Result<(), StoreError> {
        let lines = self.lines.clone();
        let losses = losses.iter().map(|event| (event, Cow::Owned(lines.render(event))));
        let batch = batch.iter().map(|event| (&event.event, lines.of(event)));
        self.append_lines(losses.chain(batch))
    }

    fn append_lines<'e>(
        &mut self,
        events: impl Iterator<Item = (&'e CollectionEvent, Cow<'e, str>)>,
    ) -> Result<(), StoreError> {
        self.write(|transaction, encoder| {
            let mut statement = transaction.prepare_cached(INSERT)?;
            for (event, line) in events {
                encoder.insert(&mut statement, event, &line)?;
            }
            Ok(())
        })
    }

    fn write(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Encoder) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let Self { connection, path, encoder, .. } = self;
        // Immediate: waiting for a lock happens here, before any work, and once.
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&transaction, encoder)?;
            transaction.commit()
        };
        run().map_err(|source| StoreError::sqlite(path, source))
    }

    /// One bounded step of retention. By age only with `by_age`, which costs a look at the oldest rows.
    ///
    /// # Errors
    /// What made the step fail. Nothing is lost then.
    pub fn retain(&mut self, now: SystemTime, by_age: bool) -> Result<Retention, StoreError> {
        self.try_retain(now, by_age).map_err(|source| StoreError::sqlite(&self.path, source))
    }

    fn try_retain(&mut self, now: SystemTime, by_age: bool) -> rusqlite::Result<Retention> {
        let mut done = Retention::default();
        if let Some(max_age) = self.max_age.filter(|_| by_age) {
            let cutoff = now.checked_sub(max_age).map_or(i64::MIN, nanoseconds);
            // By arrival, not by time: an old row that arrived late goes when those before it have gone.
            done.by_age = self.delete_oldest(DELETE_ROWS, cutoff)?;
            done.more = done.by_age == DELETE_ROWS as u64;
        }
        let Some(max_bytes) = self.max_bytes else { return Ok(done) };
        let used = self.used_bytes()?;
        if used > max_bytes {
            done.by_size = self.delete_oldest(self.rows_of(used - max_bytes, used)?, i64::MAX)?;
            done.more |= done.by_size > 0 && self.used_bytes()? > max_bytes;
        }
        if self.pages("PRAGMA page_count")? * PAGE_SIZE as u64 > max_bytes
            && self.pages("PRAGMA freelist_count")? > 0
        {
            self.give_back()?;
        }
        Ok(done)
    }

    /// About how many of the oldest rows make up `bytes` of the `used` ones, and a little more, so that the next batch does
    /// not need a deletion of its own; at most [`DELETE_ROWS`].
    fn rows_of(&self, bytes: u64, used: u64) -> rusqlite::Result<i64> {
        let rows: i64 = self
            .connection
            .prepare_cached(
                "SELECT coalesce((SELECT max(id) FROM records) - (SELECT min(id) FROM records) + 1, 0)",
            )?
            .query_row([], |row| row.get(0))?;
        let share = (bytes as f64 / used.max(1) as f64 + 0.01).min(1.0);
        Ok(((rows as f64 * share).ceil() as i64).clamp(1, DELETE_ROWS))
    }

    /// Deletes, of the `count` rows that arrived first, those older than `cutoff_ns`. Says how many.
    fn delete_oldest(&mut self, count: i64, cutoff_ns: i64) -> rusqlite::Result<u64> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let deleted = transaction
            .prepare_cached(
                "DELETE FROM records
                 WHERE id < (SELECT min(id) FROM records) + ?1 AND time_ns < ?2",
            )?
            .execute([count, cutoff_ns])?;
        transaction.commit()?;
        Ok(deleted as u64)
    }

    /// Returns unused pages at the end of the file to the file system.
    fn give_back(&self) -> rusqlite::Result<()> {
        let mut statement =
            self.connection.prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// Bytes in use: what the file holds, without the pages that deleted rows have left empty.
    fn used_bytes(&self) -> rusqlite::Result<u64> {
        let pages = self.pages("PRAGMA page_count")?.saturating_sub(self.pages("PRAGMA freelist_count")?);
        Ok(pages * PAGE_SIZE as u64)
    }

    fn pages(&self, pragma: &str) -> rusqlite::Result<u64> {
        let pages: i64 = self.connection.prepare_cached(pragma)?.query_row([], |row| row.get(0))?;
        Ok(u64::try_from(pages).unwrap_or(0))
    }

    /// Bytes in use and the time of the oldest row.
    ///
    /// # Errors
    /// What made reading fail.
    pub fn extent(&self) -> Result<(u64, Option<i64>), StoreError> {
        let read = || {
            let oldest = self
                .connection
                .prepare_cached("SELECT time_ns FROM records ORDER BY id LIMIT 1")?
                .query_row([], |row| row.get(0))
                .optional()?;
            Ok((self.used_bytes()?, oldest))
        };
        read().map_err(|source| StoreError::sqlite(&self.path, source))
    }

    /// Checks that the path still names the file that is open: SQLite goes on writing to a removed one.
    ///
    /// # Errors
    /// [`StoreError::Replaced`].
    pub fn check_in_place(&self) -> Result<(), StoreError> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) if identity(&metadata) == self.identity => Ok(()),
            _ => Err(StoreError::Replaced { path: self.path.clone() }),
        }
    }

    /// Caps the number of pages, to make the disk full without a disk.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: u32) {
        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }
}

/// Opens the file for writing, or, where that is refused, at least checks that it is there: SQLite then opens it for
/// reading, which tells "read-only" from "not there".
fn open_file(path: &Path) -> std::io::Result<File> {
    let created =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    match created {
        Err(error) if path.is_file() => File::open(path).map_err(|_| error),
        result => result,
    }
}

fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
