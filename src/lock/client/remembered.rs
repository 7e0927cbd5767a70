//! The locks that this host took by hand: `/var/lib/patch/grants`, a line each.
//!
//! `asking KIND LOCK` stands there before the service is asked, the grant itself from its answer to its release. So a tool that
//! was killed in between is healed by the next one, which asks again. A grant that nobody needs any more, because the command that it
//! was taken for has ended, is marked with `over` until it is given back. Grants of a patch run are not here but in its journal.

use std::fmt::Write as _;
use std::path::Path;

use super::Kind;
use super::held::{Asked, Held};
use super::numbers;
use crate::error::{Error, Result};
use crate::lock::name::{LockName, LockSet};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

const LIMIT: u64 = 1 << 20;
const ASKING: &str = "asking ";
const OVER: &str = "over ";

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The grants that stand.
    pub held: Vec<Held>,
    /// Grants that are only still to be given back.
    pub over: Vec<Held>,
    /// What was asked for and may have been granted.
    pub asked: Vec<Asked>,
}

impl Remembered {
    /// Reads the file; one that is not there remembers nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is damaged or others could have written it.
    pub fn read(paths: &Paths) -> Result<Self> {
        let path = paths.grants();
        match trusted::read(&path, LIMIT) {
            Ok(bytes) => {
                Self::parse(&String::from_utf8_lossy(&bytes)).map_err(|(line, why)| damaged(&path, line, &why))
            }
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> std::result::Result<Self, (usize, String)> {
        let mut all = Self::default();
        for (index, line) in text.lines().enumerate() {
            let at = |why| (index + 1, why);
            if let Some(asked) = line.strip_prefix(ASKING) {
                all.asked.push(asked.parse().map_err(at)?);
            } else if let Some(over) = line.strip_prefix(OVER) {
                all.over.push(over.parse().map_err(at)?);
            } else {
                all.held.push(line.parse().map_err(at)?);
            }
        }
        Ok(all)
    }

    /// The grant of a lock that somebody holds by hand.
    pub fn find(&self, kind: Kind, lock: &LockName) -> Option<&Held> {
        self.held.iter().find(|held| held.kind == kind && held.lock == *lock)
    }

    /// The grant of a lock that is only still to be given back.
    pub fn find_over(&self, kind: Kind, lock: &LockName) -> Option<&Held> {
        self.over.iter().find(|held| held.kind == kind && held.lock == *lock)
    }

    fn write(&self, paths: &Paths) -> Result<()> {
        let mut text = String::new();
        for held in &self.held {
            let _ = writeln!(text, "{held}"); // into memory: cannot fail
        }
        for over in &self.over {
            let _ = writeln!(text, "{OVER}{over}");
        }
        for asked in &self.asked {
            let _ = writeln!(text, "{ASKING}{asked}");
        }
        let path = paths.grants();
        let (above, name) = trusted::split(&path)?;
        replace::replace(&Dir::create(above, 0o755)?, &name.to_string_lossy(), text.as_bytes(), 0o644)
    }

    fn forget(&mut self, kind: Kind, lock: &LockName) {
        let is_other = |held: &Held| held.kind != kind || held.lock != *lock;
        self.held.retain(is_other);
        self.over.retain(is_other);
    }

    fn unask(&mut self, kind: Kind, locks: &LockSet) {
        self.asked.retain(|asked| asked.kind != kind || asked.locks != *locks);
    }
}

/// Nobody can say what stood there, and the service may still know: so the way out begins there.
fn damaged(path: &Path, line: usize, why: &str) -> Error {
    let remedy =
        "patch-lock list says what this host holds; take the line out, then patch-lock release NAME asks the service";
    Error::refused(format!("{}:{line}", path.display()), format!("{why}; {remedy}"))
}

/// Changes what is remembered, and puts it on disk.
fn change(paths: &Paths, change: impl FnOnce(&mut Remembered)) -> Result<()> {
    let _guard = numbers::guard(paths)?;
    let mut all = Remembered::read(paths)?;
    let before = all.clone();
    change(&mut all);
    if all == before { Ok(()) } else { all.write(paths) }
}

/// These locks are about to be asked for.
///
/// # Errors
/// [`Error::Io`] if it cannot be put on disk: the service must not be asked then.
pub fn asking(paths: &Paths, kind: Kind, locks: &LockSet) -> Result<()> {
    change(paths, |all| {
        all.unask(kind, locks);
        all.asked.push(Asked { kind, locks: locks.clone() });
    })
}

/// They were not granted.
///
/// # Errors
/// [`Error::Io`].
pub fn not_granted(paths: &Paths, kind: Kind, locks: &LockSet) -> Result<()> {
    change(paths, |all| all.unask(kind, locks))
}

/// They were granted.
///
/// # Errors
/// [`Error::Io`]; the next tool asks again.
pub fn granted(paths: &Paths, kind: Kind, locks: &LockSet, grants: &[Held]) -> Result<()> {
    change(paths, |all| {
        all.unask(kind, locks);
        for grant in grants {
            all.forget(grant.kind, &grant.lock);
        }
        all.held.extend_from_slice(grants);
    })
}

/// Nobody needs this grant any more; it is to be given back.
///
/// # Errors
/// [`Error::Io`].
pub fn over(paths: &Paths, grant: &Held) -> Result<()> {
    change(paths, |all| {
        all.forget(grant.kind, &grant.lock);
        all.over.push(grant.clone());
    })
}

/// A lock was given back, or was not held any more.
///
/// # Errors
/// [`Error::Io`].
pub fn ended(paths: &Paths, kind: Kind, lock: &LockName) -> Result<()> {
    change(paths, |all| {
        all.forget(kind, lock);
        for asked in std::mem::take(&mut all.asked) {
            let is_other = |name: &&LockName| asked.kind != kind || *name != lock;
            if let Ok(locks) = LockSet::new(asked.locks.iter().filter(is_other).cloned()) {
                all.asked.push(Asked { locks, ..asked });
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        (dir, paths)
    }

    fn web() -> LockSet {
        LockSet::from(LockName::new("web").unwrap())
    }

    #[test]
    fn an_intent_becomes_a_grant_and_ends_with_it() {
        let (_keep, paths) = place();
        asking(&paths, Kind::Lockd, &web()).unwrap();
        assert_eq!(std::fs::read_to_string(paths.grants()).unwrap(), "asking lockd web\n");
        let held: Held = "lockd web 7 web01".parse().unwrap();
        granted(&paths, Kind::Lockd, &web(), std::slice::from_ref(&held)).unwrap();
        granted(&paths, Kind::Lockd, &web(), std::slice::from_ref(&held)).unwrap();
        assert_eq!(std::fs::read_to_string(paths.grants()).unwrap(), "lockd web 7 web01\n");
        assert_eq!(Remembered::read(&paths).unwrap().find(Kind::Lockd, &held.lock), Some(&held));
        ended(&paths, Kind::Lockd, &held.lock).unwrap();
        assert_eq!(Remembered::read(&paths).unwrap(), Remembered::default());
    }

    #[test]
    fn a_grant_that_is_over_is_no_grant_that_somebody_holds() {
        let (_keep, paths) = place();
        let held: Held = "lockd web 7 web01".parse().unwrap();
        granted(&paths, Kind::Lockd, &web(), std::slice::from_ref(&held)).unwrap();
        over(&paths, &held).unwrap();
        assert_eq!(std::fs::read_to_string(paths.grants()).unwrap(), "over lockd web 7 web01\n");
        let all = Remembered::read(&paths).unwrap();
        assert_eq!((all.find(Kind::Lockd, &held.lock), all.find_over(Kind::Lockd, &held.lock)), (None, Some(&held)));
        granted(&paths, Kind::Lockd, &web(), std::slice::from_ref(&held)).unwrap();
        assert_eq!(std::fs::read_to_string(paths.grants()).unwrap(), "lockd web 7 web01\n");
        over(&paths, &held).unwrap();
        ended(&paths, Kind::Lockd, &held.lock).unwrap();
        assert_eq!(Remembered::read(&paths).unwrap(), Remembered::default());
    }

    #[test]
    fn of_an_intent_for_several_each_ends_by_itself() {
        let (_keep, paths) = place();
        let [web, db] = ["web", "db"].map(|name| LockName::new(name).unwrap());
        let both = LockSet::new([web.clone(), db.clone()]).unwrap();
        asking(&paths, Kind::Lockd, &both).unwrap();
        ended(&paths, Kind::Dlm, &web).unwrap();
        assert_eq!(std::fs::read_to_string(paths.grants()).unwrap(), "asking lockd db web\n");
        ended(&paths, Kind::Lockd, &web).unwrap();
        assert_eq!(std::fs::read_to_string(paths.grants()).unwrap(), "asking lockd db\n");
        ended(&paths, Kind::Lockd, &db).unwrap();
        assert_eq!(Remembered::read(&paths).unwrap(), Remembered::default());
    }

    #[test]
    fn a_file_that_is_damaged_is_refused_with_its_line() {
        let (_keep, paths) = place();
        asking(&paths, Kind::Lockd, &web()).unwrap();
        for damage in ["lockd web 7 web01\nx\n", "asking lockd web\nasking\n"] {
            std::fs::write(paths.grants(), damage).unwrap();
            let words = Remembered::read(&paths).unwrap_err().to_string();
            assert!(words.contains("grants:2: ") && words.contains("take the line out"), "{words}");
            assert!(not_granted(&paths, Kind::Lockd, &web()).is_err(), "and not written over");
        }
    }
}
