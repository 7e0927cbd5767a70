//! One pull of one release: fetch, compare with the last cluster, publish to development if it is another one.
//!
//! Production is never touched. What was fetched and is in no cluster goes, unless the network broke: then it stays in the
//! pool, out of sight, and the next try need not fetch it again.

use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};

use super::manifest::{self, Cluster, FileEntry};
use super::source::{self, Gathered, Item, Origin};
use super::store::publish::{Publisher, is_full};
use super::transport::Expected;
use super::tree::{self, Level};
use crate::config::{ClusterSource, Pull};
use crate::error::{Error, Result};
use crate::exit;
use crate::paths::Paths;
use crate::sys::clock::{Moment, stamp};
use crate::sys::dir::Dir;
use crate::sys::space;

/// The id of a cluster is the time of its pull.
pub const ID_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// The time that an id tells of; `None` for an id that is none of ours.
pub fn time_of(id: &str) -> Option<Moment> {
    NaiveDateTime::parse_from_str(id, ID_FORMAT).ok().map(|time| time.and_utc())
}

/// Whether to do it, or to say what would be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Earnest,
    /// Say it.
    DryRun,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A cluster was published, or would be.
    Published(Published),
    /// The source has what the last cluster has.
    Unchanged {
        /// The last cluster.
        id: String,
    },
}

/// A new cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub id: String,
    /// Its sequence number.
    pub sequence: u64,
    /// How many packages, or files.
    pub parts: usize,
    /// Bytes of them all.
    pub bytes: u64,
    /// Whether it holds what the last one held, which is about to expire.
    pub is_renewal: bool,
}

/// Pulls one release.
///
/// # Errors
/// [`Error::Unreachable`] if the source does not answer; [`Error::Failed`], [`Error::Refused`] if what it has is wrong;
/// [`Error::Io`]. What was published before still stands.
pub fn pull(
    publisher: &Publisher,
    source: &ClusterSource,
    settings: &Pull,
    paths: &Paths,
    now: Moment,
    mode: Mode,
) -> Result<Outcome> {
    let release = source.release.as_str();
    if mode == Mode::Earnest {
        publisher.sweep(release)?;
        publisher.settle(&tree::pointer(release, Level::Development), now)?;
    }
    let incoming = publisher.incoming()?;
    let result = source::gather(source, &incoming, paths, now)
        .and_then(|gathered| decide(publisher, gathered, source, settings, &incoming, now, mode));
    publisher.discard_incoming()?;
    if mode == Mode::Earnest {
        tidy(publisher, release, settings, now, &result);
    }
    result
}

/// The new cluster stands whatever becomes of the old ones: what cannot be tidied is told, and tried again next time.
fn tidy(publisher: &Publisher, release: &str, settings: &Pull, now: Moment, result: &Result<Outcome>) {
    let tidied = match result {
        Ok(_) => publisher.retire(release, settings.keep, now).and_then(|()| publisher.prune_pool()),
        Err(Error::Unreachable { .. }) => Ok(()),
        Err(_) => publisher.prune_pool(),
    };
    if let Err(error) = tidied {
        exit::warn(format!("{release}: cannot tidy up: {error}"));
    }
}

fn decide(
    publisher: &Publisher,
    gathered: Gathered,
    source: &ClusterSource,
    settings: &Pull,
    incoming: &Dir,
    now: Moment,
    mode: Mode,
) -> Result<Outcome> {
    let release = source.release.as_str();
    let last = last(publisher, release)?;
    let is_same = last.as_ref().is_some_and(|last| {
        let files = gathered.items.iter().map(|item| (item.path.as_str(), item.size, item.sha256.as_str()));
        last.has_content(gathered.kind, gathered.program.as_deref(), files)
    });
    let is_fading = last.as_ref().is_some_and(|last| is_fading(last, settings.expires, now));
    let files = if mode == Mode::Earnest { secure(publisher, &gathered, incoming)? } else { Vec::new() };
    if let Some(last) = last.filter(|_| is_same && !is_fading) {
        return Ok(Outcome::Unchanged { id: last.id });
    }
    let id = new_id(publisher.store.newest_id()?, now).format(ID_FORMAT).to_string();
    let new = Published {
        id: id.clone(),
        sequence: publisher.store.sequence(release)?.saturating_add(1),
        parts: gathered.parts(),
        bytes: gathered.size(),
        is_renewal: is_same,
    };
    if mode == Mode::DryRun {
        return Ok(Outcome::Published(new));
    }
    let cluster = Cluster {
        format: manifest::FORMAT,
        name: format!("{release} of {}", now.format("%Y-%m-%d")),
        id,
        sequence: new.sequence,
        expires: stamp(now + lifetime(settings.expires)),
        release: release.to_string(),
        kind: gathered.kind,
        program: gathered.program,
        files,
        advisories: Vec::new(),
    };
    publisher.publish(&cluster, now)?;
    Ok(Outcome::Published(new))
}

/// The cluster that development has. One that is damaged, or signed with another key, counts as none: the next one mends it.
fn last(publisher: &Publisher, release: &str) -> Result<Option<Cluster>> {
    match publisher.store.pointed(release, Level::Development, &publisher.signer.verifier()?) {
        Ok(found) => Ok(found.map(|(_, cluster)| cluster)),
        Err(error @ (Error::Refused { .. } | Error::Failed { .. })) => {
            exit::warn(format!("{release}: {error}; publishing anew"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether less than a third of its life is left: a source that does not change must not leave hosts with nothing but
/// expired clusters.
fn is_fading(cluster: &Cluster, expires: Duration, now: Moment) -> bool {
    crate::sys::clock::parse(&cluster.expires).is_ok_and(|end| end <= now + lifetime(expires) / 3)
}

fn lifetime(expires: Duration) -> TimeDelta {
    // A century is as good as for ever, and keeps the sum a date.
    TimeDelta::from_std(expires).unwrap_or(TimeDelta::MAX).min(TimeDelta::days(36_500))
}

/// The time of the pull, or the second after the newest id that the tree remembers: confirmations, and clusters on the disks
/// of hosts, go by the id alone, so none is ever used again, not even one that was removed long ago.
fn new_id(newest: Option<Moment>, now: Moment) -> Moment {
    let next = newest.and_then(|newest| newest.checked_add_signed(TimeDelta::seconds(1)));
    next.map_or(now, |next| next.max(now))
}

/// Sees to it that every file is in the pool, and is what it should be; what is there already is read and compared.
fn secure(publisher: &Publisher, gathered: &Gathered, incoming: &Dir) -> Result<Vec<FileEntry>> {
    let mut files = Vec::new();
    let mut missing = Vec::new();
    for item in &gathered.items {
        match publisher.pooled(&item.sha256)? {
            Some(found) => files.push(entry(item, found.md5)),
            None => missing.push(item),
        }
    }
    has_room(publisher, &missing)?;
    for item in missing {
        match fetch(publisher, gathered, item, incoming) {
            Ok(md5) => files.push(entry(item, md5)),
            Err(error) if is_full(&error) => {
                publisher.discard_incoming()?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn entry(item: &Item, md5: String) -> FileEntry {
    FileEntry { path: item.path.clone(), size: item.size, sha256: item.sha256.clone(), md5 }
}

fn has_room(publisher: &Publisher, missing: &[&Item]) -> Result<()> {
    let need: u64 = missing.iter().filter(|item| !matches!(item.origin, Origin::Incoming { .. })).map(|i| i.size).sum();
    let path = publisher.store.path("");
    let free = space::free(&path)?;
    if free.bytes < need {
        let why =
            format!("{need} bytes are to be fetched and {} are free; make room or set a lower keep =", free.bytes);
        return Err(Error::failed("fetch to", path.display(), why));
    }
    Ok(())
}

fn fetch(publisher: &Publisher, gathered: &Gathered, item: &Item, incoming: &Dir) -> Result<String> {
    match &item.origin {
        Origin::Remote { transport, relative } => {
            let dir = publisher.pool_dir(&item.sha256)?;
            let expected = Expected { size: item.size, sha256: &item.sha256 };
            let transport = &gathered.transports[*transport];
            transport.fetch_to(relative, &dir, &item.sha256, Some(expected), item.size).map(|found| found.md5)
        }
        Origin::Bytes(bytes) => publisher.pool_bytes(bytes).map(|found| found.md5),
        Origin::Incoming { name, md5 } => publisher.pool(incoming, name, &item.sha256).map(|()| md5.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_time_of_the_pull_or_the_second_after_the_newest_one() {
        let time = |id| time_of(id).unwrap();
        let now = time("20261121T020007Z");
        assert_eq!(new_id(None, now), now);
        assert_eq!(new_id(Some(time("20261121T020006Z")), now), now);
        assert_eq!(new_id(Some(now), now), time("20261121T020008Z"));
        assert_eq!(new_id(Some(time("20261231T235959Z")), now), time("20270101T000000Z"), "the clock was set back");
        assert_eq!(time_of("x"), None);
    }
}
