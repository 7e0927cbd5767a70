//! The drivers of this host that have a run: `/var/lib/patch/drivers`, a symbolic link each to its state file.
//!
//! A lock service knows hosts. What one driver holds it grants again to another one of the same host, by another configuration,
//! and that one would give it back at its end, under the hands of the first. So a driver is written down before it asks, and
//! the others look into its record, until its run is over. An entry holds nothing by itself: one that a kill has left behind
//! leads to a record that is over or gone.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::run::{self, Run};
use crate::error::{Error, Result};
use crate::lock::client::Held;
use crate::lock::client::held::Asked;
use crate::lock::kind::Kind;
use crate::lock::name::LockName;
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::replace;

/// A run of another driver that is not over.
#[derive(Debug)]
pub struct Other {
    /// Its state file.
    pub state: PathBuf,
    /// What its record tells.
    pub run: Run,
}

impl Other {
    /// What it holds. A line that is none is somebody's scribble.
    pub fn held(&self) -> impl Iterator<Item = Held> {
        self.run.grants.iter().filter_map(|text| text.parse().ok())
    }

    /// Whether a lock at this kind of service is its own, or may be: it was asked for, and nobody knows what came of it.
    pub fn may_hold(&self, kind: Kind, lock: &LockName) -> bool {
        let asked = self.run.asking.as_ref().and_then(|text| text.parse::<Asked>().ok());
        self.held().any(|held| held.kind == kind && held.lock == *lock)
            || asked.is_some_and(|asked| asked.kind == kind && asked.locks.iter().any(|asked| asked == lock))
    }
}

/// Writes a driver down. When this returns it survives a power cut.
///
/// # Errors
/// [`Error::Io`]: then it must not ask.
pub fn note(paths: &Paths, state: &Path) -> Result<()> {
    replace::symlink(&Dir::create(&paths.drivers(), 0o755)?, &name(state), state)
}

/// The run of a driver is over, and its record says so.
///
/// # Errors
/// [`Error::Io`]; what stays does no harm.
pub fn forget(paths: &Paths, state: &Path) -> Result<()> {
    match Dir::open(&paths.drivers()) {
        Ok(dir) => dir.remove(name(state)).map(drop),
        Err(error) if error.is_missing() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The runs of all drivers but the one with this state file.
///
/// # Errors
/// If it cannot be found out what one of them holds.
pub fn others(paths: &Paths, state: &Path) -> Result<Vec<Other>> {
    let dir = match Dir::open(&paths.drivers()) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        other => other?,
    };
    let mut others = Vec::new();
    for name in dir.names()?.into_iter().filter(|name| !name.starts_with('.')) {
        let place = read(&dir.join(&name))?;
        if place == state {
            continue;
        }
        let run = run::read(&paths.at(&place))?.filter(|run| run.ended.is_none());
        others.extend(run.map(|run| Other { state: place, run }));
    }
    Ok(others)
}

fn read(path: &Path) -> Result<PathBuf> {
    match std::fs::read_link(path) {
        Ok(place) if place.is_absolute() && place.file_name().is_some() => Ok(place),
        _ => Err(Error::refused(
            path.display(),
            "it leads to no state file of a driver; remove it if no driver is at work",
        )),
    }
}

/// A path is no name, and may be longer than one.
fn name(state: &Path) -> String {
    let sum = Sha256::digest(state.as_os_str().as_encoded_bytes());
    let number = sum.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::record::Draft;
    use crate::phase::name::Phase;
    use crate::phase::run::Book;
    use crate::sys::clock;

    fn root() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(root.path()).unwrap();
        (root, paths)
    }

    fn lock(name: &str) -> LockName {
        LockName::new(name).unwrap()
    }

    #[test]
    fn a_driver_sees_what_the_others_hold_or_may_hold_and_not_itself() {
        let (_root, paths) = root();
        let (mine, other) = (Path::new("/etc/old/state"), Path::new("/var/lib/patch/run/state"));
        assert!(others(&paths, mine).unwrap().is_empty());
        for state in [mine, other, other] {
            note(&paths, state).unwrap();
        }
        let now = clock::now();
        let mut book = Book::begin(&paths.at(other), "r1", now, Phase::LockGet).unwrap();
        book.add(now, &Draft::default().field("asking", "dlm web")).unwrap();
        let seen = others(&paths, mine).unwrap();
        assert_eq!((seen.len(), seen[0].state.as_path()), (1, other));
        assert!(seen[0].may_hold(Kind::Dlm, &lock("web")) && !seen[0].may_hold(Kind::Dlm, &lock("db")));
        book.add(now, &Draft::default().field("grant", "dlm web 7-local web01").field("asking", "")).unwrap();
        let seen = others(&paths, mine).unwrap();
        assert!(seen[0].may_hold(Kind::Dlm, &lock("web")) && !seen[0].may_hold(Kind::Dir, &lock("web")));
        assert!(others(&paths, other).unwrap().is_empty());
        book.add(now, &Draft::default().field("ended", "done")).unwrap();
        assert!(others(&paths, mine).unwrap().is_empty());
        for state in [mine, other, other] {
            forget(&paths, state).unwrap();
        }
        assert_eq!(std::fs::read_dir(paths.drivers()).unwrap().count(), 0);
    }

    #[test]
    fn a_driver_whose_files_are_gone_holds_nothing_and_rubbish_is_an_error() {
        let (_root, paths) = root();
        note(&paths, Path::new("/gone/state")).unwrap();
        assert!(others(&paths, Path::new("/x/state")).unwrap().is_empty());
        std::fs::write(paths.drivers().join("0000000000000000"), "rubbish\n").unwrap();
        let why = others(&paths, Path::new("/x/state")).unwrap_err().to_string();
        assert!(why.contains("leads to no state file"), "{why}");
    }
}
