//! A judged, open directory: the place from which files are read, replaced and removed.
//!
//! Names are single components; nothing here follows a link. Whoever holds a [`Dir`] works on the directory that was
//! judged, whatever is renamed above it meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

use super::trusted::{self, Rule};
use crate::error::{Error, Result};

/// An open directory that was judged by [`trusted::directory`].
#[derive(Debug)]
pub struct Dir {
    pub(super) fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens and judges an existing directory.
    ///
    /// # Errors
    /// As [`trusted::directory`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_by(path, Rule::Root)
    }

    /// Opens an existing directory and judges it by this rule.
    ///
    /// # Errors
    /// As [`trusted::directory`].
    pub fn open_by(path: &Path, rule: Rule) -> Result<Self> {
        Ok(Self { fd: trusted::directory_by(path, rule)?, path: path.to_path_buf() })
    }

    /// Opens a directory, making it and what is missing above it (mode 0755 above, `mode` for itself), each durably.
    ///
    /// # Errors
    /// As [`trusted::directory`]; [`Error::Io`] if one cannot be made.
    pub fn create(path: &Path, mode: u32) -> Result<Self> {
        Self::create_by(path, mode, Rule::Root)
    }

    /// The same, judged by this rule.
    ///
    /// # Errors
    /// As [`Dir::create`].
    pub fn create_by(path: &Path, mode: u32, rule: Rule) -> Result<Self> {
        match Self::open_by(path, rule) {
            Err(error) if error.is_missing() => {}
            other => return other,
        }
        let (above, name) = trusted::split(path)?;
        let parent = Self::create_by(above, 0o755, rule)?;
        match mkdirat(&parent.fd, name, Mode::from_bits_truncate(mode)) {
            Ok(()) => parent.sync()?,
            Err(nix::Error::EEXIST) => {}
            Err(why) => return Err(Error::io("make", path)(why)),
        }
        Self::open_by(path, rule)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The full path of a name in it.
    pub fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    /// Flushes the directory itself: what was made, renamed or removed in it survives a power cut from here on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<()> {
        fsync(self.fd.as_fd()).map_err(Error::io("flush", &self.path))
    }

    /// What stands under a name, links not followed; `None` if nothing does.
    ///
    /// # Errors
    /// [`Error::Io`] for any reason but "not there": a name that cannot be looked at is not a name that is free.
    pub fn look(&self, name: impl AsRef<OsStr>) -> Result<Option<FileStat>> {
        match fstatat(&self.fd, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(nix::Error::ENOENT) => Ok(None),
            Err(why) => Err(Error::io("look at", self.join(name))(why)),
        }
    }

    /// Whether anything at all stands under a name.
    ///
    /// # Errors
    /// As [`Dir::look`].
    pub fn has(&self, name: impl AsRef<OsStr>) -> Result<bool> {
        Ok(self.look(name)?.is_some())
    }

    /// Opens a judged regular file for reading; `None` if there is none.
    ///
    /// # Errors
    /// As [`trusted::file`].
    pub fn file(&self, name: impl AsRef<OsStr>) -> Result<Option<File>> {
        match trusted::file_in(&self.fd, name.as_ref(), &self.join(name.as_ref())) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a judged regular file whole; `None` if there is none.
    ///
    /// # Errors
    /// As [`trusted::read`].
    pub fn read(&self, name: impl AsRef<OsStr>, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.join(name.as_ref());
        self.file(name)?.map(|file| trusted::read_all(file, &path, limit)).transpose()
    }

    /// Removes a name durably. `false` means there was nothing to remove: who needs to know that it was *he* who lowered a
    /// flag, asks here.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self, name: impl AsRef<OsStr>) -> Result<bool> {
        let removed = self.unlink(name)?;
        if removed {
            self.sync()?;
        }
        Ok(removed)
    }

    /// Like [`Dir::remove`], for what is of no use after a power cut: nothing is flushed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn unlink(&self, name: impl AsRef<OsStr>) -> Result<bool> {
        match unlinkat(&self.fd, name.as_ref(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(nix::Error::ENOENT) => Ok(false),
            Err(why) => Err(Error::io("remove", self.join(name))(why)),
        }
    }

    /// The names in it, sorted, without `.` and `..`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs_err::read_dir(&self.path).map_err(Error::io("read", &self.path))? {
            let entry = entry.map_err(Error::io("read", &self.path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_tells_whether_there_was_something_to_remove() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::open(scratch.path()).unwrap();
        std::fs::write(dir.join("flag"), "").unwrap();
        assert!(dir.remove("flag").unwrap());
        assert!(!dir.remove("flag").unwrap());
    }

    #[test]
    fn a_dangling_link_counts_as_something() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::open(scratch.path()).unwrap();
        std::os::unix::fs::symlink("/nonexistent", dir.join("flag")).unwrap();
        assert!(dir.has("flag").unwrap());
    }

    #[test]
    fn missing_directories_are_made_with_the_mode_asked_for() {
        let scratch = tempfile::tempdir().unwrap();
        let made = Dir::create(&scratch.path().join("a/b"), 0o700).unwrap();
        let stat = nix::sys::stat::fstat(&made.fd).unwrap();
        assert_eq!(stat.st_mode & 0o777, 0o700);
    }
}
