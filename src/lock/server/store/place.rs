//! Whether the file under the store's path is still the one that was opened: if not, another service may work there.
//!
//! The store is held open by a descriptor that can only be looked at (`O_PATH`): closing it takes no lock of `SQLite`'s with it,
//! and as long as it lives no other file gets this inode. Device and inode of both are read anew at each look, for neither is
//! promised to stay: an overlay may give other ones to a file that it copies up, and some network file systems number anew.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::{Error, Result};

/// The place of an open store.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    file: File,
}

/// What stands under the path.
#[derive(Debug)]
enum Found {
    /// The file that was opened.
    Ours,
    /// Another one, or none.
    Other,
    /// Nobody knows: a server that does not answer, a directory that may not be looked into.
    Unknown(io::Error),
}

impl Place {
    /// The place of the file that stands under this path now.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened.
    pub fn new(path: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
        Ok(Self { path: path.to_path_buf(), file: file.map_err(Error::io("open", path))? })
    }

    /// Whether the store is known to be in its place: then it may be written.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with the way out if it is gone; [`Error::Io`] if nobody knows, which may pass.
    pub fn check(&self) -> Result<()> {
        match self.look() {
            Found::Ours => Ok(()),
            Found::Other => Err(self.gone()),
            Found::Unknown(why) => Err(Error::io("look at", &self.path)(why)),
        }
    }

    /// Why the service must end, if it is known that the store is not in its place.
    pub fn must_end(&self) -> Option<Error> {
        matches!(self.look(), Found::Other).then(|| self.gone())
    }

    fn look(&self) -> Found {
        judge(self.path.symlink_metadata(), self.file.metadata())
    }

    fn gone(&self) -> Error {
        let why = format!(
            "it was moved away or replaced while the service used it; put it back together with {}, and start the service again",
            super::log(&self.path).display()
        );
        Error::Unreachable { service: self.path.display().to_string(), reason: why }
    }
}

/// Only who has seen that something else or nothing is there knows that the store is gone.
fn judge(there: io::Result<Metadata>, ours: io::Result<Metadata>) -> Found {
    let id = |file: &Metadata| (file.dev(), file.ino());
    match (there, ours) {
        (Ok(there), Ok(ours)) if id(&there) == id(&ours) => Found::Ours,
        (Ok(_), Ok(_)) => Found::Other,
        (Err(why), _) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Found::Other,
        (Err(why), _) | (_, Err(why)) => Found::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_looked_at_does_not_end_the_service_and_one_that_is_free_does() {
        let here = || Path::new("/").symlink_metadata();
        let fails = |number: nix::Error| Err(io::Error::from(number));
        for passing in
            [nix::Error::EIO, nix::Error::EACCES, nix::Error::ESTALE, nix::Error::ETIMEDOUT, nix::Error::ENOMEM]
        {
            assert!(matches!(judge(fails(passing), here()), Found::Unknown(_)), "{passing}");
            assert!(matches!(judge(here(), fails(passing)), Found::Unknown(_)), "{passing}");
        }
        for free in [nix::Error::ENOENT, nix::Error::ENOTDIR] {
            assert!(matches!(judge(fails(free), here()), Found::Other), "{free}");
        }
    }

    #[test]
    fn a_store_that_is_moved_back_is_in_its_place_and_a_copy_of_it_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let (path, away) = (scratch.path().join("locks.db"), scratch.path().join("away"));
        std::fs::write(&path, "x").unwrap();
        let place = Place::new(&path).unwrap();
        place.check().unwrap();
        std::fs::rename(&path, &away).unwrap();
        assert!(place.must_end().unwrap().to_string().contains("put it back"));
        std::fs::copy(&away, &path).unwrap();
        assert!(place.must_end().is_some());
        std::fs::rename(&away, &path).unwrap();
        place.check().unwrap();
        assert!(place.must_end().is_none());
    }
}
