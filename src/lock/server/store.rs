//! The store: `SQLite` in one file, which nobody else opens while the service runs.
//!
//! It promises that what [`Store::write`] was given is on disk, all of it, when the call returns, and none of it if it fails:
//! one transaction, whose write-ahead log is flushed before the commit returns (`synchronous=FULL`). It has two tables: what
//! happened (`event`) and what is held now (`held`). It decides nothing.

mod change;
mod history;
mod place;
mod rows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::{FsFlags, statvfs};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, SqliteConnection};
use tokio::runtime::Runtime;

pub use change::Change;
pub use history::Query;

use self::place::Place;
use crate::error::{Error, Result};
use crate::exit;
use crate::lock::grant::{Event, Grant, Stored};
use crate::lock::wire;
use crate::sys::clock::{Moment, stamp};
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

/// `SQLite` takes 32,766 values in one statement; a row has at most eleven.
const ROWS: usize = 1000;
/// How many old events one step of [`Store::prune`] looks at.
const PRUNED: i64 = 500;
/// Of how many events people are told that they cannot be read.
const TOLD: usize = 100;
/// `SQLite`'s result codes, sqlite.org/rescode.html.
const BUSY: i32 = 5;
const NOT_A_DATABASE: i32 = 26;

type Sql<T> = std::result::Result<T, sqlx::Error>;

/// An open store.
#[derive(Debug)]
pub struct Store {
    runtime: Runtime,
    connection: Option<SqliteConnection>,
    path: PathBuf,
    place: Place,
    /// What is wrong in the history, as far as people were told.
    told: BTreeSet<String>,
}

impl Store {
    /// Opens the store, making it (mode 0600) and its directory (0700) if they are not there.
    ///
    /// # Errors
    /// [`Error::Refused`] if another service uses it, if others could change it, or if it is not a store of ours;
    /// [`Error::Failed`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let (above, name) = trusted::split(path)?;
        let dir = Dir::create(above, 0o700)?;
        let name = name.to_str().ok_or_else(|| Error::refused(path.display(), "its name is not UTF-8"))?;
        // Judged and closed at once: a descriptor that is closed later would take the database's lock with it, fcntl(2).
        let is_new = dir.file(name)?.is_none();
        if dir.look(name)?.is_none_or(|file| file.st_size == 0) && dir.has(format!("{name}-wal"))? {
            // Grants are in it, and `SQLite` would take it for a leftover.
            let why =
                format!("its log {} is there, and what it belongs to is not; put the store back", log(path).display());
            return Err(Error::refused(path.display(), why));
        }
        if is_new {
            replace::create(&dir, name, b"", 0o600)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(Error::io("start the store of", path))?;
        let place = Place::new(path)?;
        let mut store = Self { runtime, connection: None, path: path.to_path_buf(), place, told: BTreeSet::new() };
        store.connect()?;
        Ok(store)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the service must end, if it is known that the store is no longer the file under its path: another service may work
    /// there by now, and nothing may be granted any more.
    pub fn must_end(&self) -> Option<Error> {
        self.place.must_end()
    }

    /// Whether the store is known to be the file under its path.
    pub fn is_in_place(&self) -> bool {
        self.place.check().is_ok()
    }

    fn connect(&mut self) -> Result<()> {
        // What is opened must be what was open before.
        self.place.check()?;
        if let Some(old) = self.connection.take() {
            // Whatever it says: it is of no use any more.
            let _ = self.runtime.block_on(old.close());
        }
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(200))
            .disable_statement_logging();
        let opened = self.runtime.block_on(async {
            let mut connection = options.connect().await?;
            // The lock on the file is taken by the first write, and kept: now, not at the first request.
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
            sqlx::query("COMMIT").execute(&mut connection).await?;
            Ok(connection)
        });
        let mut connection = opened.map_err(|why| self.wrong("open", &why))?;
        let migrator = sqlx::migrate!("src/lock/server/migrations");
        self.runtime.block_on(migrator.run(&mut connection)).map_err(|why| self.not_ours(&why))?;
        self.place.check()?;
        self.connection = Some(connection);
        Ok(())
    }

    /// What is held, and the highest number.
    ///
    /// # Errors
    /// [`Error::Failed`] if it cannot be read, [`Error::Refused`] if what is there cannot be.
    pub fn load(&mut self) -> Result<Stored> {
        let read = async |connection: &mut SqliteConnection| {
            let last: Option<i64> =
                sqlx::query_scalar("SELECT max(number) FROM event").fetch_one(&mut *connection).await?;
            let rows = sqlx::query("SELECT * FROM held ORDER BY number").fetch_all(&mut *connection).await?;
            Ok((last, rows))
        };
        let (last, rows): (Option<i64>, Vec<SqliteRow>) = self.run("read", read)?;
        let grants: Vec<Grant> = rows.iter().map(rows::grant).collect::<Result<_>>()?;
        let last = last.map(rows::number).transpose()?.max(grants.iter().map(|grant| grant.number).max());
        Ok(Stored { last, grants })
    }

    /// What is really there, after a write that failed: the same connection if it still works, else a new one.
    ///
    /// # Errors
    /// As [`Store::load`]; to be tried again later.
    pub fn recover(&mut self) -> Result<Stored> {
        if self.connection.is_some()
            && let Ok(stored) = self.load()
        {
            return Ok(stored);
        }
        self.connect()?;
        self.load()
    }

    /// Adds events to the history and brings what is held up to date, in one transaction.
    ///
    /// # Errors
    /// [`Error::Failed`]: nothing of it is there, as far as can be known; [`Store::recover`] says what is. So it is with any
    /// other one: the store is not in its place, or nobody knows.
    pub fn write(&mut self, events: &[Event], change: &Change) -> Result<()> {
        let events: Vec<rows::EventRow<'_>> = events.iter().map(rows::EventRow::new).collect::<Result<_>>()?;
        self.place.check()?;
        self.run("write", async |connection: &mut SqliteConnection| {
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
            let written = write(connection, &events, change).await;
            let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
            let ended = sqlx::query(end).execute(&mut *connection).await.map(drop);
            if written.is_ok() && ended.is_err() {
                // A commit that failed may have left the transaction open.
                let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
            }
            written.and(ended)
        })
    }

    /// Whether anything can be written: writes a number that means nothing.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn probe(&mut self) -> Result<()> {
        self.place.check()?;
        self.run("write", async |connection: &mut SqliteConnection| {
            let old: i32 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
            let new = if old == 1 { "PRAGMA user_version = 2" } else { "PRAGMA user_version = 1" };
            sqlx::query(new).execute(&mut *connection).await.map(drop)
        })
    }

    /// Events of the history, the newest first: those that `allowed` lets through, of at most so many that are looked at. One that
    /// cannot be read is left out, and told of.
    ///
    /// # Errors
    /// [`Error::Failed`] if they cannot be read.
    pub fn history(&mut self, query: &Query, allowed: &dyn Fn(&str) -> bool) -> Result<Vec<wire::Event>> {
        let rows = self
            .run("read", async |connection: &mut SqliteConnection| history::read(connection, query, allowed).await)?;
        Ok(rows.iter().filter_map(|row| self.readable(row)).collect())
    }

    /// One event that cannot be read hides no other; it is told of once.
    fn readable(&mut self, row: &SqliteRow) -> Option<wire::Event> {
        rows::event(row)
            .inspect_err(|why| {
                if self.told.len() < TOLD && self.told.insert(why.to_string()) {
                    exit::warn(format_args!("{why}; the history is shown without it"));
                }
            })
            .ok()
    }

    /// Forgets some of what ended before a moment: one small step. The highest number and the highest id stay, so that neither is
    /// used again. True if there may be more to forget.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn prune(&mut self, before: Moment) -> Result<bool> {
        let gone = self.run("cut the history of", async |connection: &mut SqliteConnection| {
            let cut = "DELETE FROM event WHERE id IN (
                SELECT id FROM (SELECT id, at, number FROM event ORDER BY id
                                LIMIT (SELECT ? + count(*) * 4 FROM held))
                WHERE at < ? AND number NOT IN (SELECT number FROM held)
                  AND number < (SELECT max(number) FROM event) AND id < (SELECT max(id) FROM event))";
            let done = sqlx::query(cut).bind(PRUNED).bind(stamp(before)).execute(&mut *connection).await?;
            Ok(done.rows_affected())
        })?;
        Ok(gone > 0)
    }

    /// Closes it: what is in the log goes into the file. One that may not be in its place is left as it is: under its path there
    /// may be another one's log, which closing would remove. `SQLite` asks for the inode alone, and new file systems begin with
    /// the same ones.
    pub fn close(mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.is_in_place() {
            // What is not moved into the file now is moved at the next start.
            let _ = self.runtime.block_on(connection.close());
        } else {
            std::mem::forget(connection);
        }
    }

    fn run<T>(&mut self, verb: &'static str, work: impl AsyncFnOnce(&mut SqliteConnection) -> Sql<T>) -> Result<T> {
        let Some(connection) = &mut self.connection else {
            return Err(Error::failed(verb, self.path.display(), "it is not open"));
        };
        let done = self.runtime.block_on(work(connection));
        done.map_err(|why| self.wrong(verb, &why))
    }

    fn wrong(&self, verb: &'static str, why: &sqlx::Error) -> Error {
        let path = self.path.display();
        match code(why).map(|code| code & 0xff) {
            Some(BUSY) => Error::refused(path, "another patch-lockd uses it; give each service a store of its own"),
            _ if is_read_only(&self.path) => {
                Error::failed(verb, path, "its file system is mounted read-only; mount it for writing")
            }
            Some(NOT_A_DATABASE) => Error::refused(path, "it is not a store of patch-lockd; move it away"),
            _ => Error::failed(verb, path, words(why)),
        }
    }

    fn not_ours(&self, why: &sqlx::migrate::MigrateError) -> Error {
        use sqlx::migrate::MigrateError;
        match why {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                Error::refused(self.path.display(), "a newer patch-lockd has written it; install that one again")
            }
            MigrateError::Execute(why) => self.wrong("set up", why),
            other => Error::failed("set up", self.path.display(), other),
        }
    }
}

/// Whether nothing can be written there.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|system| system.flags().contains(FsFlags::ST_RDONLY))
}

/// What was written last: it is in the file itself only after a while.
fn log(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push("-wal");
    name.into()
}

fn code(why: &sqlx::Error) -> Option<i32> {
    why.as_database_error()?.code()?.parse().ok()
}

fn words(why: &sqlx::Error) -> String {
    why.as_database_error().map_or_else(|| why.to_string(), |database| database.message().to_string())
}

async fn write(connection: &mut SqliteConnection, events: &[rows::EventRow<'_>], change: &Change) -> Sql<()> {
    for some in events.chunks(ROWS) {
        let mut query = QueryBuilder::new("INSERT INTO event (at, lock, number, owner, kind, details) ");
        query.push_values(some, |mut row, event| {
            row.push_bind(&event.at).push_bind(event.lock).push_bind(event.number);
            row.push_bind(event.owner).push_bind(&event.kind).push_bind(&event.details);
        });
        execute(connection, query, some.len()).await?;
    }
    for some in change.ended.chunks(ROWS) {
        let mut query = QueryBuilder::new("DELETE FROM held WHERE number IN (");
        let mut list = query.separated(", ");
        for number in some {
            list.push_bind(rows::signed(*number));
        }
        query.push(")");
        execute(connection, query, some.len()).await?;
    }
    for some in change.held.chunks(ROWS) {
        let mut query = QueryBuilder::new(
            "INSERT OR REPLACE INTO held (number, lock, owner, spelling, host_id, boot, protocol, since, reason, down_until, told_overdue) ",
        );
        query.push_values(some.iter().map(rows::HeldRow::new), |mut row, held| {
            row.push_bind(held.number).push_bind(held.lock).push_bind(held.owner).push_bind(held.spelling);
            row.push_bind(held.host_id)
                .push_bind(held.boot)
                .push_bind(held.protocol)
                .push_bind(held.since)
                .push_bind(held.reason);
            row.push_bind(held.down_until).push_bind(held.told_overdue);
        });
        execute(connection, query, some.len()).await?;
    }
    Ok(())
}

/// Statements of a few rows come again and again and stay prepared; the others would only fill the cache.
async fn execute(connection: &mut SqliteConnection, mut query: QueryBuilder<sqlx::Sqlite>, rows: usize) -> Sql<()> {
    query.build().persistent(rows <= 16).execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests;
