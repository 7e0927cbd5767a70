//! `history`: one line for whatever was published, promoted or removed, for people and for the next sequence number.

use std::fmt::Write as _;

use super::Store;
use crate::cluster::tree::HISTORY;
use crate::error::Result;
use crate::sys::append::{Appender, Missing};
use crate::sys::clock::{Moment, stamp};
use crate::sys::dir::Dir;
use crate::sys::lockfile::Lock;

/// More than centuries of pulls make.
const LIMIT: u64 = 256 << 20;

/// A line of the history.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// `publish`, `promote`, `remove`.
    pub action: &'a str,
    /// Of which release.
    pub release: &'a str,
    /// Which cluster.
    pub cluster: &'a str,
    /// Its sequence number.
    pub sequence: u64,
    /// Who says that it is good.
    pub confirmed_by: Option<&'a str>,
    /// Why a person's word was enough.
    pub reason: Option<&'a str>,
}

/// Appends a line; it is on disk when this returns.
///
/// # Errors
/// As [`Appender::line`].
pub fn record(store: &Store, _lock: &Lock, event: &Event, now: Moment) -> Result<()> {
    let mut line = format!(
        "time={} action={} release={} cluster={} sequence={}",
        stamp(now),
        event.action,
        event.release,
        event.cluster,
        event.sequence
    );
    for (key, value) in [("confirmed_by", event.confirmed_by), ("reason", event.reason)] {
        if let Some(value) = value {
            let _ = write!(line, " {key}={value:?}"); // quoted and escaped: one line, whatever is in it
        }
    }
    let dir = Dir::open(&store.tree)?;
    Appender::open(&dir, HISTORY, Missing::Make)?.line(&line)
}

/// The highest sequence number of a release in the history. Lines that cannot be understood, torn ones among them, do not count.
///
/// # Errors
/// As [`Dir::read`].
pub fn sequence(store: &Store, release: &str) -> Result<u64> {
    let text = text(store)?;
    let of_release = text.lines().filter(|line| field(line, "release=") == Some(release));
    Ok(of_release.filter_map(|line| field(line, "sequence=")?.parse().ok()).max().unwrap_or(0))
}

/// The ids of all clusters in the history, of any release.
///
/// # Errors
/// As [`Dir::read`].
pub fn ids(store: &Store) -> Result<Vec<String>> {
    Ok(text(store)?.lines().filter_map(|line| field(line, "cluster=")).map(str::to_string).collect())
}

fn text(store: &Store) -> Result<String> {
    let bytes = store.read(HISTORY, LIMIT)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A field of a line, but for those that come last and may hold anything.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let fixed = line.split(" confirmed_by=").next()?;
    fixed.split(' ').find_map(|word| word.strip_prefix(key))
}
