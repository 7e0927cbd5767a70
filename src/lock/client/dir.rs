//! Backend `dir`: a file for each lock that is held, in a directory that the hosts share.
//!
//! A lock is taken by giving a finished file the lock's name with link(2), which refuses a name that is taken; who it is and which
//! grant stands in the file. Release looks first, moves the file aside, looks again, and only then removes it, so that what
//! somebody else has put there meanwhile is put back. No queue, one holder, numbers of the host's own.
//!
//! A server that hangs must not hang a tool, not even one that wants to end. So nothing here touches the directory but a [`child`] with
//! a deadline, which [`open`]s it and does what it is told; the host's own memory is the parent's. What a child that was killed has
//! done by then, or still does, is found by whoever asks again.

mod child;
mod errand;
mod leftovers;
mod open;

use std::fmt;
use std::path::{Path, PathBuf};
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
pub use child::errand;
use errand::Hands;

/// What every file of a lock ends in.
const SUFFIX: &str = ".lock";

/// A directory of locks.
pub struct Directory {
    paths: Paths,
    place: Place,
    timeout: Duration,
    clock: Clock,
    send: Send,
}

/// Begins to work there, for no longer than this time.
type Send = fn(&Place, Duration) -> Result<Box<dyn Hands>>;

/// Where it is.
#[derive(Debug, Clone)]
struct Place {
    dir: PathBuf,
    shown: PathBuf,
    scope: Scope,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({})", self.place.shown.display())
    }
}

impl Place {
    fn unreachable(&self, reason: impl Into<String>) -> Error {
        Error::Unreachable { service: format!("lock directory {}", self.shown.display()), reason: reason.into() }
    }
}

impl Directory {
    pub fn new(paths: &Paths, dir: &Path, scope: Scope, timeout: Duration, clock: Clock) -> Self {
        let place = Place { dir: paths.at(dir), shown: dir.to_path_buf(), scope };
        Self { paths: paths.clone(), place, timeout, clock, send: child::send }
    }

    fn hands(&self) -> Result<Box<dyn Hands>> {
        (self.send)(&self.place, self.timeout)
    }

    /// The grant that stands, if it is this very one of this very host.
    fn standing(&self, hands: &mut dyn Hands, held: &Held) -> Result<Option<wire::Grant>> {
        let host_id = host::id::get(&self.paths)?;
        Ok(hands.look(&file_name(&held.lock)?)?.filter(|found| {
            found.owner == held.owner.as_str()
                && found.host_id.as_deref() == Some(&host_id)
                && found.number == held.number.0
        }))
    }

    fn new_grant(&self, claim: &Claim, counted: &Held) -> wire::Grant {
        wire::Grant {
            lock: counted.lock.to_string(),
            number: counted.number.0,
            owner: claim.owner.to_string(),
            host_id: Some(claim.host_id.to_string()),
            boot: Some(claim.boot.to_string()),
            protocol: None,
            since: Some(self.clock.now()),
            reason: claim.reason.as_ref().map(ToString::to_string),
            down_until: None,
            overdue: false,
        }
    }
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

/// Where a lock stands that has this holder.
fn locked(lock: &str, holder: Option<wire::Grant>) -> wire::Lock {
    wire::Lock { lock: lock.to_string(), slots: 1, holders: holder.into_iter().collect(), queue: Vec::new() }
}

fn not_yet(lock: &LockName, found: &wire::Grant) -> Answer {
    let why = format!("lock {lock} is held by {}", words::holder(found));
    Answer::NotYet(NotYet { why, again: Again::Later })
}

impl Backend for Directory {
    fn kind(&self) -> Kind {
        Kind::Dir
    }

    fn acquire(&self, claim: &Claim, _wait: Duration) -> Result<Answer> {
        let lock = claim.only_lock()?;
        let name = file_name(lock)?;
        let mut hands = self.hands()?;
        // Twice: what is in the way at first may be gone before it is looked at.
        for _ in 0..2 {
            if let Some(found) = hands.look(&name)? {
                return if is_ours(&found, &claim.owner, claim.host_id.as_str(), lock)? {
                    Ok(Answer::Granted(vec![held(&found, lock, &claim.owner)]))
                } else {
                    Ok(not_yet(lock, &found))
                };
            }
            let counted = numbers::fresh(&self.paths, Kind::Dir, lock, &claim.owner)?;
            if hands.place(&name, &self.new_grant(claim, &counted))? {
                return Ok(Answer::Granted(vec![counted]));
            }
        }
        let why = format!("lock {lock} changes hands at this moment");
        Ok(Answer::NotYet(NotYet { why, again: Again::Later }))
    }

    fn release(&self, held: &Held) -> Result<Released> {
        let mut hands = self.hands()?;
        let Some(found) = self.standing(hands.as_mut(), held)? else { return Ok(Released::Absent) };
        let is_ended = hands.end(&file_name(&held.lock)?, &found)?;
        numbers::forget(&self.paths, held)?;
        Ok(if is_ended { Released::Ended } else { Released::Absent })
    }

    fn held(&self, claim: &Claim, lock: &LockName) -> Result<Option<Held>> {
        let Some(found) = self.hands()?.look(&file_name(lock)?)? else { return Ok(None) };
        let ours = is_ours(&found, &claim.owner, claim.host_id.as_str(), lock)?;
        Ok(ours.then(|| held(&found, lock, &claim.owner)))
    }

    fn down_until(&self, held: &Held, _until: Option<Moment>) -> Result<bool> {
        Ok(self.standing(self.hands()?.as_mut(), held)?.is_some())
    }

    fn look(&self, lock: &LockName) -> Result<wire::Lock> {
        Ok(locked(lock.as_str(), self.hands()?.look(&file_name(lock)?)?))
    }

    fn list(&self) -> Result<Vec<wire::Lock>> {
        let grants = self.hands()?.list()?;
        Ok(grants.into_iter().map(|grant| locked(&grant.lock.clone(), Some(grant))).collect())
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

#[cfg(test)]
mod tests;
