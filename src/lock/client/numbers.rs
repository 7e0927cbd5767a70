//! Numbers of grants where the service has none: counted on this host, on disk before they are used, never used twice.
//!
//! One file: the highest number, and the grants that stand, so that a lock that is asked for again has the number of then. It is
//! changed under a lock of its own, for tools of one host may ask at the same time.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::held::Counted;
use super::{Held, Kind};
use crate::error::{Error, Result};
use crate::lock::grant::Number;
use crate::lock::name::{LockName, Owner};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::lockfile::{self, Lock};
use crate::sys::{replace, trusted};

const LIMIT: u64 = 1 << 20;
/// A change takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps the other tools of this host from changing what is remembered of grants.
///
/// # Errors
/// [`Error::Busy`] if somebody else does not come to an end.
pub fn guard(paths: &Paths) -> Result<Lock> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(lock) = lockfile::try_take(&paths.grants_lock())? {
            return Ok(lock);
        }
        if Instant::now() >= end {
            return Err(Error::Busy("another patch-lock works on this host; try again in a minute".into()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What this host has counted.
#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    standing: Vec<Held>,
}

/// The number of a grant that has just been made.
///
/// # Errors
/// [`Error::Io`] if it cannot be put on disk: it must not be used then.
pub fn fresh(paths: &Paths, kind: Kind, lock: &LockName, owner: &Owner) -> Result<Held> {
    let _guard = guard(paths)?;
    let mut numbers = Numbers::read(paths)?;
    let held = numbers.next(kind, lock, owner)?;
    numbers.write(paths)?;
    Ok(held)
}

/// The number of a grant that stands: the one of then, or a new one if nobody remembers it.
///
/// # Errors
/// As [`fresh`].
pub fn standing(paths: &Paths, kind: Kind, lock: &LockName, owner: &Owner) -> Result<Held> {
    let _guard = guard(paths)?;
    let mut numbers = Numbers::read(paths)?;
    if let Some(held) = numbers.find(kind, lock, owner) {
        return Ok(held.clone());
    }
    let held = numbers.next(kind, lock, owner)?;
    numbers.write(paths)?;
    Ok(held)
}

/// Whether a grant may still be the one that stands: a later one of the same lock has another number.
///
/// # Errors
/// As [`fresh`].
pub fn may_stand(paths: &Paths, held: &Held) -> Result<bool> {
    let numbers = Numbers::read(paths)?;
    Ok(numbers.find(held.kind, &held.lock, &held.owner).is_none_or(|known| known.number == held.number))
}

/// The grant has ended.
///
/// # Errors
/// As [`fresh`].
pub fn forget(paths: &Paths, held: &Held) -> Result<()> {
    let _guard = guard(paths)?;
    let mut numbers = Numbers::read(paths)?;
    let before = numbers.standing.len();
    numbers.standing.retain(|known| known != held);
    if numbers.standing.len() == before { Ok(()) } else { numbers.write(paths) }
}

impl Numbers {
    fn read(paths: &Paths) -> Result<Self> {
        let path = paths.grant_number();
        let bytes = match trusted::read(&path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        Self::parse(&String::from_utf8_lossy(&bytes)).map_err(|why| Error::refused(path.display(), why))
    }

    /// A counter that cannot be read is not begun again: its numbers would be used twice.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let last = first
            .parse()
            .map_err(|_| format!("{first:?} is no number; write one there that is higher than any before"))?;
        let standing = lines.map(str::parse).collect::<std::result::Result<_, _>>()?;
        Ok(Self { last, standing })
    }

    fn find(&self, kind: Kind, lock: &LockName, owner: &Owner) -> Option<&Held> {
        self.standing.iter().find(|held| held.kind == kind && held.lock == *lock && held.owner == *owner)
    }

    fn next(&mut self, kind: Kind, lock: &LockName, owner: &Owner) -> Result<Held> {
        let last =
            self.last.checked_add(1).ok_or_else(|| Error::failed("count", "grants", "there are no numbers left"))?;
        let (owner, lock) = (owner.clone(), lock.clone());
        let held = Held { kind, owner, number: Number(last), counted: Counted::Here, lock };
        self.standing.retain(|known| known.kind != kind || known.lock != held.lock || known.owner != held.owner);
        self.standing.push(held.clone());
        self.last = last;
        Ok(held)
    }

    fn write(&self, paths: &Paths) -> Result<()> {
        let mut text = format!("{}\n", self.last);
        for held in &self.standing {
            let _ = writeln!(text, "{held}"); // into memory: cannot fail
        }
        let path = paths.grant_number();
        let (above, name) = trusted::split(&path)?;
        replace::replace(&Dir::create(above, 0o755)?, &name.to_string_lossy(), text.as_bytes(), 0o644)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Paths, LockName, Owner) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        (dir, paths, LockName::new("web servers").unwrap(), Owner::new("web01").unwrap())
    }

    #[test]
    fn numbers_only_grow_and_a_grant_that_stands_keeps_its_own() {
        let (_keep, paths, lock, owner) = place();
        let first = fresh(&paths, Kind::Dlm, &lock, &owner).unwrap();
        assert_eq!(standing(&paths, Kind::Dlm, &lock, &owner).unwrap(), first);
        let second = fresh(&paths, Kind::Dlm, &lock, &owner).unwrap();
        assert!(second.number > first.number);
        assert!(!may_stand(&paths, &first).unwrap() && may_stand(&paths, &second).unwrap());
        forget(&paths, &second).unwrap();
        assert!(standing(&paths, Kind::Dlm, &lock, &owner).unwrap().number > second.number);
    }

    #[test]
    fn a_counter_that_cannot_be_read_is_not_begun_again() {
        let (_keep, paths, lock, owner) = place();
        fresh(&paths, Kind::Dir, &lock, &owner).unwrap();
        for damage in ["", "x\n", "7\nnonsense\n"] {
            std::fs::write(paths.grant_number(), damage).unwrap();
            assert!(matches!(fresh(&paths, Kind::Dir, &lock, &owner), Err(Error::Refused { .. })), "{damage:?}");
        }
    }

    #[test]
    fn tools_that_count_at_the_same_time_get_different_numbers() {
        let (_keep, paths, lock, owner) = place();
        let count = || (0..10).map(|_| fresh(&paths, Kind::Dir, &lock, &owner).unwrap().number.0).collect::<Vec<_>>();
        let mut all: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        all.sort_unstable();
        assert_eq!(all, (1..=40).collect::<Vec<_>>());
    }
}
