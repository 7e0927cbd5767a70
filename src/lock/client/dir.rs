//! Backend `dir`: a file for each lock that is held, in a directory that the hosts share.
//!
//! A lock is taken by giving a finished file the lock's name with link(2), which refuses a name that is taken; who it is and which
//! grant stands in the file. Release looks first, moves the file aside, looks again, and only then removes it, so that what
//! somebody else has put there meanwhile is put back. No queue, one holder, numbers of the host's own.
//!
//! A server that hangs must not hang a tool: whatever touches the directory does so in a thread with a deadline. The kernel lets a
//! process end that waits for NFS, and a thread that is given up ends with it. What it still does meanwhile is found by whoever
//! asks again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::numbers;
use super::words;
use super::{Again, Answer, Backend, Claim, Held, Kind, NotYet, Released};
use crate::config::locking::Scope;
use crate::error::{Error, Result};
use crate::host;
use crate::lock::client::held::Counted;
use crate::lock::grant::Number;
use crate::lock::name::{LockName, Owner};
use crate::lock::wire;
use crate::paths::Paths;
use crate::sys::clock::{Clock, Moment};
use crate::sys::dir::Dir;
use crate::sys::{network_fs, replace};

/// A file of ours is a few hundred bytes.
const LIMIT: u64 = 64 << 10;
/// What every file of a lock ends in.
const SUFFIX: &str = ".lock";

/// A directory of locks.
pub struct Directory {
    place: Place,
    timeout: Duration,
    clock: Clock,
}

/// What a thread needs to work there.
#[derive(Debug, Clone)]
struct Place {
    paths: Paths,
    dir: PathBuf,
    shown: PathBuf,
    scope: Scope,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({})", self.place.shown.display())
    }
}

impl Directory {
    pub fn new(paths: &Paths, dir: &Path, scope: Scope, timeout: Duration, clock: Clock) -> Self {
        let place = Place { paths: paths.clone(), dir: paths.at(dir), shown: dir.to_path_buf(), scope };
        Self { place, timeout, clock }
    }

    /// Works in the directory for as long as one exchange may take.
    fn within<T: Send + 'static>(&self, work: impl FnOnce(&Open) -> Result<T> + Send + 'static) -> Result<T> {
        let (tell, hear) = mpsc::channel();
        let place = self.place.clone();
        let unreachable = |reason: String| Error::Unreachable { service: self.place.service(), reason };
        std::thread::Builder::new()
            .name("lock-dir".into())
            .spawn(move || tell.send(place.open().and_then(|open| work(&open))))
            .map_err(|why| unreachable(format!("cannot start a thread: {why}")))?;
        hear.recv_timeout(self.timeout)
            .unwrap_or_else(|_| Err(unreachable(format!("it did not answer in {} s", self.timeout.as_secs()))))
    }

    fn host_id(&self) -> Result<String> {
        host::id::get(&self.place.paths)
    }
}

impl Place {
    fn service(&self) -> String {
        format!("lock directory {}", self.shown.display())
    }

    fn open(self) -> Result<Open> {
        let dir = Dir::open(&self.dir).map_err(|error| self.away(error))?;
        if self.scope == Scope::Shared && !network_fs::is_shared(&dir).map_err(|error| self.away(error))? {
            return Err(Error::Usage(format!(
                "refusing {}: no other host sees it: it does not lie on a network file system; mount one there, or set scope = this-host \
                 if only this host's programs shall keep out of each other's way",
                self.shown.display()
            )));
        }
        Ok(Open { dir, place: self })
    }

    /// A directory that is not there is a mount that is not there: no reason to go on, and none to give up.
    fn away(&self, error: Error) -> Error {
        match error {
            Error::Io { source, .. } => Error::Unreachable { service: self.service(), reason: source.to_string() },
            other => other,
        }
    }
}

/// The directory, judged and open.
struct Open {
    dir: Dir,
    place: Place,
}

/// What stands under the name of a lock.
enum Found {
    Nobody,
    Somebody(wire::Grant),
}

impl Open {
    fn look(&self, lock: &LockName) -> Result<Found> {
        self.grant(&file_name(lock)?)
    }

    fn grant(&self, name: &str) -> Result<Found> {
        let Some(bytes) = self.dir.read(name, LIMIT).map_err(|error| self.place.away(error))? else {
            return Ok(Found::Nobody);
        };
        let grant = serde_json::from_slice(&bytes).map_err(|why| {
            let words =
                format!("it is no lock of ours: {why}; look who wrote it, and remove it if nobody holds the lock");
            Error::refused(self.place.shown.join(name).display(), words)
        })?;
        Ok(Found::Somebody(grant))
    }

    fn place(&self, grant: &wire::Grant, name: &str) -> Result<bool> {
        let mut text = serde_json::to_vec(grant).map_err(|why| Error::failed("write", name, why))?;
        text.push(b'\n');
        let draft = own_name("draft", grant);
        replace::create_shared(&self.dir, &draft, name, &text, 0o644).map_err(|error| self.place.away(error))
    }

    /// Ends a grant that was seen to be the one.
    fn end(&self, grant: &wire::Grant, name: &str) -> Result<Released> {
        let aside = own_name("released", grant);
        let away = |error| self.place.away(error);
        self.dir.remove(&aside).map_err(away)?;
        match replace::rename_new(&self.dir, name, &self.dir, &aside) {
            Ok(true) => {}
            Ok(false) => return Err(Error::failed("release", name, format!("{aside} is in the way"))),
            Err(error) if error.is_missing() => return Ok(Released::Absent),
            Err(error) => return Err(away(error)),
        }
        match self.grant(&aside)? {
            Found::Somebody(found) if is_same(&found, grant) => {
                self.dir.remove(&aside).map_err(away)?;
                Ok(Released::Ended)
            }
            _ => self.put_back(&aside, name),
        }
    }

    /// Somebody removed our file and another host took the lock between two looks.
    fn put_back(&self, aside: &str, name: &str) -> Result<Released> {
        if replace::rename_new(&self.dir, aside, &self.dir, name).map_err(|error| self.place.away(error))? {
            return Ok(Released::Absent);
        }
        let words = format!("it was exchanged twice by hand while it was released; look at {aside} and {name} there");
        Err(Error::failed("put back", self.place.shown.join(name).display(), words))
    }
}

/// A name that no other host and no other process has: hidden, and no lock's.
fn own_name(what: &str, grant: &wire::Grant) -> String {
    let host = grant.host_id.as_deref().unwrap_or_default();
    format!(".{what}-{host}-{}-{}", grant.number, std::process::id())
}

/// A name for a file system: what is not a plain character is written `%XX`.
fn file_name(lock: &LockName) -> Result<String> {
    let mut name = words::percent(lock.as_str());
    if name.starts_with('.') {
        name.replace_range(..1, "%2E");
    }
    name.push_str(SUFFIX);
    if name.len() > 255 {
        return Err(Error::Usage(format!(
            "refusing lock name {lock}: as the name of a file it is longer than 255 bytes"
        )));
    }
    Ok(name)
}

fn is_same(found: &wire::Grant, grant: &wire::Grant) -> bool {
    (&found.owner, &found.host_id, found.number) == (&grant.owner, &grant.host_id, grant.number)
}

fn held(grant: &wire::Grant, lock: &LockName, owner: &Owner) -> Held {
    Held {
        kind: Kind::Dir,
        owner: owner.clone(),
        number: Number(grant.number),
        counted: Counted::Here,
        lock: lock.clone(),
    }
}

/// Whether what stands there is the asker's. A clone of a host has its name and is told so.
fn is_ours(found: &wire::Grant, owner: &Owner, host_id: &str, lock: &LockName) -> Result<bool> {
    if found.owner != owner.as_str() {
        return Ok(false);
    }
    if found.host_id.as_deref() == Some(host_id) {
        return Ok(true);
    }
    let words = format!(
        "another host named {owner} holds it (host id {}); give one of them another owner =, or remove {} if that host is gone",
        found.host_id.as_deref().unwrap_or("unknown"),
        file_name(lock)?
    );
    Err(Error::refused(format!("lock {lock}"), words))
}

impl Backend for Directory {
    fn kind(&self) -> Kind {
        Kind::Dir
    }

    fn acquire(&self, claim: &Claim, _wait: Duration) -> Result<Answer> {
        let (lock, claim, since) = (claim.only_lock()?.clone(), claim.clone(), self.clock.now());
        self.within(move |open| open.take(&claim, &lock, since))
    }

    fn release(&self, held: &Held) -> Result<Released> {
        let (held, host_id) = (held.clone(), self.host_id()?);
        self.within(move |open| {
            let Found::Somebody(found) = open.look(&held.lock)? else { return Ok(Released::Absent) };
            let ours = found.owner == held.owner.as_str() && found.host_id.as_deref() == Some(&host_id);
            if !ours || found.number != held.number.0 {
                return Ok(Released::Absent);
            }
            let ended = open.end(&found, &file_name(&held.lock)?)?;
            numbers::forget(&open.place.paths, &held)?;
            Ok(ended)
        })
    }

    fn held(&self, claim: &Claim, lock: &LockName) -> Result<Option<Held>> {
        let (claim, lock) = (claim.clone(), lock.clone());
        self.within(move |open| {
            let Found::Somebody(found) = open.look(&lock)? else { return Ok(None) };
            let ours = is_ours(&found, &claim.owner, claim.host_id.as_str(), &lock)?;
            Ok(ours.then(|| held(&found, &lock, &claim.owner)))
        })
    }

    fn down_until(&self, held: &Held, _until: Option<Moment>) -> Result<bool> {
        let (held, host_id) = (held.clone(), self.host_id()?);
        self.within(move |open| {
            let Found::Somebody(found) = open.look(&held.lock)? else { return Ok(false) };
            Ok(found.owner == held.owner.as_str()
                && found.host_id.as_deref() == Some(&host_id)
                && found.number == held.number.0)
        })
    }

    fn look(&self, lock: &LockName) -> Result<wire::Lock> {
        let lock = lock.clone();
        self.within(move |open| {
            let holders = match open.look(&lock)? {
                Found::Nobody => Vec::new(),
                Found::Somebody(grant) => vec![grant],
            };
            Ok(wire::Lock { lock: lock.to_string(), slots: 1, holders, queue: Vec::new() })
        })
    }

    fn list(&self) -> Result<Vec<wire::Lock>> {
        self.within(|open| {
            let mut locks = Vec::new();
            for name in open.dir.names()?.iter().filter(|name| name.ends_with(SUFFIX) && !name.starts_with('.')) {
                if let Found::Somebody(grant) = open.grant(name)? {
                    locks.push(wire::Lock {
                        lock: grant.lock.clone(),
                        slots: 1,
                        holders: vec![grant],
                        queue: Vec::new(),
                    });
                }
            }
            Ok(locks)
        })
    }

    fn force_release(&self, order: &wire::Force) -> Result<Released> {
        let name = file_name(&LockName::new(&order.lock)?)?;
        let file = self.place.shown.join(name);
        Err(Error::Usage(format!(
            "backend dir cannot end somebody's grant: it keeps no history to say by whom and why; if {} is lost for good, remove {}",
            order.owner,
            file.display()
        )))
    }
}

impl Open {
    fn take(&self, claim: &Claim, lock: &LockName, since: Moment) -> Result<Answer> {
        // Twice: what is in the way at first may be gone before it is looked at.
        for _ in 0..2 {
            if let Found::Somebody(found) = self.look(lock)? {
                return if is_ours(&found, &claim.owner, claim.host_id.as_str(), lock)? {
                    Ok(Answer::Granted(vec![held(&found, lock, &claim.owner)]))
                } else {
                    Ok(not_yet(lock, &found))
                };
            }
            let counted = numbers::fresh(&self.place.paths, Kind::Dir, lock, &claim.owner)?;
            let grant = wire::Grant {
                lock: lock.to_string(),
                number: counted.number.0,
                owner: claim.owner.to_string(),
                host_id: Some(claim.host_id.to_string()),
                boot: Some(claim.boot.to_string()),
                protocol: None,
                since: Some(since),
                reason: claim.reason.as_ref().map(ToString::to_string),
                down_until: None,
                overdue: false,
            };
            if self.place(&grant, &file_name(lock)?)? {
                return Ok(Answer::Granted(vec![counted]));
            }
        }
        let why = format!("lock {lock} changes hands at this moment");
        Ok(Answer::NotYet(NotYet { why, again: Again::Later }))
    }
}

fn not_yet(lock: &LockName, found: &wire::Grant) -> Answer {
    let why = format!("lock {lock} is held by {}", words::holder(found));
    Answer::NotYet(NotYet { why, again: Again::Later })
}

#[cfg(test)]
mod tests;
