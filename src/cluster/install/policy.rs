//! No service is started while we install: `/usr/sbin/policy-rc.d`.
//!
//! Maintainer scripts ask invoke-rc.d(8) and deb-systemd-invoke(1p), and these ask the program of that name; its exit code 101
//! forbids the action (`/usr/share/doc/init-system-helpers/README.policy-rc.d.gz`). Ours stands there for the time of an
//! installation. One that stood there before is moved aside under a name of ours and comes back; whatever was cut short
//! in between, [`undo`] finds by looking and finishes. What is neither ours nor moved by us is never removed.

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::replace;

const NAME: &str = "policy-rc.d";
const ASIDE: &str = "policy-rc.d.patchflag-aside";
/// Told from anybody else's by every byte.
const OURS: &[u8] = b"#!/bin/sh\n# patchflag: no service is started while patches are installed. patchit takes this away again.\nexit 101\n";
/// A policy that is larger is not ours.
const LIMIT: u64 = 64 << 10;

/// What stands under the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Nothing,
    Ours,
    Theirs,
}

/// Puts our policy in place, durably. A host without dpkg has nothing that would ask it.
///
/// # Errors
/// [`Error::Refused`] if a foreign policy would have to go aside and the name for it is taken; [`Error::Io`].
pub fn raise(paths: &Paths) -> Result<()> {
    let Some(dir) = place(paths)? else { return Ok(()) };
    match stands(&dir)? {
        Stands::Ours => return Ok(()),
        Stands::Theirs if !replace::rename_new(&dir, NAME, &dir, ASIDE)? => {
            let why = format!("{} is there as well; remove the one that is not wanted", dir.join(ASIDE).display());
            return Err(Error::refused(dir.join(NAME).display(), why));
        }
        Stands::Theirs | Stands::Nothing => {}
    }
    if replace::create(&dir, NAME, OURS, 0o755)? {
        Ok(())
    } else {
        Err(Error::failed("make", dir.join(NAME).display(), "somebody made it meanwhile"))
    }
}

/// Makes it as if [`raise`] had never been called, however far it came. May be called at any time, any number of times.
///
/// # Errors
/// [`Error::Io`].
pub fn undo(paths: &Paths) -> Result<()> {
    let Some(dir) = place(paths)? else { return Ok(()) };
    if stands(&dir)? == Stands::Ours {
        dir.remove(NAME)?;
    }
    let Some(aside) = dir.look(ASIDE)? else { return Ok(()) };
    match dir.look(NAME)? {
        None => replace::rename_new(&dir, ASIDE, &dir, NAME).map(drop),
        // Cut short between the two steps of a rename: one file, two names.
        Some(same) if (same.st_dev, same.st_ino) == (aside.st_dev, aside.st_ino) => dir.remove(ASIDE).map(drop),
        // Somebody put a new one there meanwhile. Both are theirs; they decide.
        Some(_) => Ok(()),
    }
}

/// The directory, on a host that has dpkg.
fn place(paths: &Paths) -> Result<Option<Dir>> {
    if !paths.dpkg().exists() {
        return Ok(None);
    }
    match Dir::open(&paths.policy_dir()) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

fn stands(dir: &Dir) -> Result<Stands> {
    if dir.look(NAME)?.is_none() {
        return Ok(Stands::Nothing);
    }
    match dir.read(NAME, LIMIT) {
        Ok(Some(bytes)) if bytes == OURS => Ok(Stands::Ours),
        Ok(Some(_)) | Err(Error::Refused { .. }) => Ok(Stands::Theirs),
        Ok(None) => Ok(Stands::Nothing),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn root() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        std::fs::create_dir_all(paths.policy_dir()).unwrap();
        std::fs::create_dir_all(paths.dpkg()).unwrap();
        (dir, paths)
    }

    fn names(paths: &Paths) -> Vec<String> {
        Dir::open(&paths.policy_dir()).unwrap().names().unwrap()
    }

    #[test]
    fn it_comes_and_goes_without_a_trace() {
        let (_keep, paths) = root();
        raise(&paths).unwrap();
        raise(&paths).unwrap();
        let mode = std::fs::metadata(paths.policy_dir().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        undo(&paths).unwrap();
        undo(&paths).unwrap();
        assert_eq!(names(&paths), [""; 0]);
    }

    #[test]
    fn a_foreign_policy_comes_back_as_it_was_also_if_it_is_a_link() {
        for plant in [
            |path: &std::path::Path| std::fs::write(path, "exit 0"),
            |path: &std::path::Path| symlink("/nowhere", path),
        ] {
            let (_keep, paths) = root();
            let policy = paths.policy_dir().join(NAME);
            plant(&policy).unwrap();
            let before = (std::fs::read_link(&policy).ok(), std::fs::read(&policy).ok());
            raise(&paths).unwrap();
            assert_eq!(std::fs::read(&policy).unwrap(), OURS);
            undo(&paths).unwrap();
            assert_eq!((std::fs::read_link(&policy).ok(), std::fs::read(&policy).ok()), before);
            assert_eq!(names(&paths), [NAME]);
        }
    }

    #[test]
    fn whatever_was_cut_short_is_finished() {
        // After the foreign one went aside; after ours was removed; between the steps of a rename by link.
        for two_names in [false, true] {
            let (_keep, paths) = root();
            let dir = paths.policy_dir();
            std::fs::write(dir.join(ASIDE), "exit 0").unwrap();
            if two_names {
                std::fs::hard_link(dir.join(ASIDE), dir.join(NAME)).unwrap();
            }
            undo(&paths).unwrap();
            assert_eq!(names(&paths), [NAME]);
            assert_eq!(std::fs::read(dir.join(NAME)).unwrap(), b"exit 0");
        }
    }

    #[test]
    fn what_somebody_put_there_meanwhile_is_left_alone() {
        let (_keep, paths) = root();
        let dir = paths.policy_dir();
        std::fs::write(dir.join(NAME), "old").unwrap();
        raise(&paths).unwrap();
        std::fs::write(dir.join(NAME), "new").unwrap();
        undo(&paths).unwrap();
        assert_eq!(std::fs::read(dir.join(NAME)).unwrap(), b"new");
        assert_eq!(std::fs::read(dir.join(ASIDE)).unwrap(), b"old");
        assert!(matches!(raise(&paths), Err(Error::Refused { .. })), "nothing may be overwritten");
    }

    #[test]
    fn a_host_without_dpkg_is_left_alone() {
        let (_keep, paths) = root();
        std::fs::remove_dir(paths.dpkg()).unwrap();
        raise(&paths).unwrap();
        assert_eq!(names(&paths), [""; 0]);
    }
}
