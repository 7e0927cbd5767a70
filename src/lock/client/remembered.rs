//! The locks that this host took by hand: `/var/lib/patch/grants`, a line each.
//!
//! `asking KIND LOCK` stands there before the service is asked, the grant itself from its answer to its release. So a tool that
//! was killed in between is healed by the next one, which asks again. Grants of a patch run are not here but in its journal.

use std::fmt::Write as _;

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

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The grants that stand.
    pub held: Vec<Held>,
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
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|(line, why)| Error::refused(format!("{}:{line}", path.display()), why)),
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> std::result::Result<Self, (usize, String)> {
        let mut all = Self::default();
        for (index, line) in text.lines().enumerate() {
            let at = |why| (index + 1, why);
            match line.strip_prefix(ASKING) {
                Some(asked) => all.asked.push(asked.parse().map_err(at)?),
                None => all.held.push(line.parse().map_err(at)?),
            }
        }
        Ok(all)
    }

    /// The grant of a lock.
    pub fn find(&self, kind: Kind, lock: &LockName) -> Option<&Held> {
        self.held.iter().find(|held| held.kind == kind && held.lock == *lock)
    }

    fn write(&self, paths: &Paths) -> Result<()> {
        let mut text = String::new();
        for held in &self.held {
            let _ = writeln!(text, "{held}"); // into memory: cannot fail
        }
        for asked in &self.asked {
            let _ = writeln!(text, "{ASKING}{asked}");
        }
        let path = paths.grants();
        let (above, name) = trusted::split(&path)?;
        replace::replace(&Dir::create(above, 0o755)?, &name.to_string_lossy(), text.as_bytes(), 0o644)
    }

    fn unask(&mut self, kind: Kind, locks: &LockSet) {
        self.asked.retain(|asked| asked.kind != kind || asked.locks != *locks);
    }
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
        all.held.retain(|held| !grants.iter().any(|grant| grant.kind == held.kind && grant.lock == held.lock));
        all.held.extend_from_slice(grants);
    })
}

/// A lock was given back, or was not held any more.
///
/// # Errors
/// [`Error::Io`].
pub fn ended(paths: &Paths, kind: Kind, lock: &LockName) -> Result<()> {
    change(paths, |all| {
        all.held.retain(|held| held.kind != kind || held.lock != *lock);
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
            assert!(words.contains("grants:2: "), "{words}");
            assert!(not_granted(&paths, Kind::Lockd, &web()).is_err(), "and not written over");
        }
    }
}
