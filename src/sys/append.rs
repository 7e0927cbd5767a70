//! Appending to files: one line so that it is on disk, whole, when the call returns; and opening logs, where that is not promised.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;

use nix::fcntl::{FallocateFlags, OFlag, fallocate, openat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat};
use nix::unistd::{fdatasync, ftruncate, write};

use super::dir::Dir;
use super::trusted::Rule;
use crate::error::{Error, Result};

/// A file that only grows by whole lines. The caller holds the lock that keeps other writers out.
#[derive(Debug)]
pub struct Appender {
    file: File,
    object: std::path::PathBuf,
}

/// Whether a missing file may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Make it, mode 0644, and flush the directory.
    Make,
    /// It is an error.
    Fail,
}

/// Opens a file to which many lines are appended, in whatever directory strangers cannot write to: it is made with this mode if it is
/// missing, and keeps its own if it is not.
///
/// # Errors
/// [`Error::Refused`] if it is not a regular file of root's with this one name, [`Error::Io`] if it cannot be opened or made.
pub fn open_log(dir: &Dir, name: &str, mode: u32) -> Result<File> {
    let object = dir.join(name);
    let file = open(dir, name, Some(Mode::from_bits_truncate(mode)))?;
    let stat = fstat(&file).map_err(Error::io("look at", &object))?;
    let fault = if stat.st_nlink > 1 {
        "the file has a second name elsewhere; remove one of them".to_string()
    } else if stat.st_mode & 0o002 != 0 {
        format!("mode {:04o} lets others write; chmod o-w {}", stat.st_mode & 0o7777, object.display())
    } else if let Err(why) = Rule::Log.owner(stat.st_uid) {
        format!("{why}; chown root it if it is right")
    } else {
        return Ok(file);
    };
    Err(Error::refused(object.display(), fault))
}

/// Never through a link, and never waiting for whoever is at the other end of a FIFO.
fn open(dir: &Dir, name: &str, make: Option<Mode>) -> Result<File> {
    let object = dir.join(name);
    let flags =
        OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let fd = match (openat(&dir.fd, name, flags, Mode::empty()), make) {
        (Err(nix::Error::ENOENT), Some(mode)) => {
            let new = flags | OFlag::O_CREAT | OFlag::O_EXCL;
            let fd = openat(&dir.fd, name, new, Mode::from_bits_truncate(0o600));
            let fd = fd.map_err(Error::io("make", &object))?;
            fchmod(&fd, mode).map_err(Error::io("make", &object))?;
            dir.sync()?;
            fd
        }
        (Err(nix::Error::ELOOP), _) => {
            return Err(Error::refused(object.display(), "it is a symbolic link; remove it"));
        }
        (other, _) => other.map_err(Error::io("open", &object))?,
    };
    let stat = fstat(&fd).map_err(Error::io("look at", &object))?;
    if !SFlag::from_bits_truncate(stat.st_mode).contains(SFlag::S_IFREG) {
        return Err(Error::refused(object.display(), "it is not a regular file; remove it"));
    }
    Ok(File::from(fd))
}

impl Appender {
    /// Opens a file for appending.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not a regular file, [`Error::Io`] if it cannot be opened or made.
    pub fn open(dir: &Dir, name: &str, missing: Missing) -> Result<Self> {
        let make = (missing == Missing::Make).then(|| Mode::from_bits_truncate(0o644));
        Ok(Self { file: open(dir, name, make)?, object: dir.join(name) })
    }

    /// Sets blocks aside behind the end of the file, so that the next `bytes` can be written on a full disk. A file system that
    /// cannot do it is not an error: there the disk has to have room.
    ///
    /// # Errors
    /// [`Error::Io`] when there is not that much room.
    pub fn reserve(&self, bytes: i64) -> Result<()> {
        let end = fstat(self.file.as_fd()).map_err(Error::io("look at", &self.object))?.st_size;
        match fallocate(self.file.as_fd(), FallocateFlags::FALLOC_FL_KEEP_SIZE, end, bytes) {
            Ok(()) | Err(nix::Error::EOPNOTSUPP | nix::Error::ENOSYS) => Ok(()),
            Err(why) => Err(Error::io("reserve room for", &self.object)(why)),
        }
    }

    /// Appends one line (without its newline) by one `write(2)`, then fdatasync. If the last line is torn, the new one begins
    /// with a newline, so that it stands alone.
    ///
    /// # Errors
    /// [`Error::Io`]; what was written of the line is taken back then.
    pub fn line(&mut self, line: &str) -> Result<()> {
        debug_assert!(!line.contains('\n'), "one record, one line");
        let end = self.file.seek(SeekFrom::End(0)).map_err(Error::io("read", &self.object))?;
        let mut text = String::with_capacity(line.len() + 2);
        if self.is_torn(end)? {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
        match write(self.file.as_fd(), text.as_bytes()) {
            Ok(written) if written == text.len() => {}
            Ok(_) => return Err(self.take_back(end, nix::Error::ENOSPC)),
            Err(why) => return Err(self.take_back(end, why)),
        }
        fdatasync(self.file.as_fd()).map_err(Error::io("flush", &self.object))
    }

    fn take_back(&self, end: u64, why: nix::Error) -> Error {
        // Only tidiness: a reader knows a torn line when it sees one.
        let _ = ftruncate(self.file.as_fd(), i64::try_from(end).unwrap_or(i64::MAX));
        Error::io("write", &self.object)(why)
    }

    fn is_torn(&mut self, end: u64) -> Result<bool> {
        if end == 0 {
            return Ok(false);
        }
        let mut last = [0];
        self.file
            .seek(SeekFrom::Start(end - 1))
            .and_then(|_| self.file.read_exact(&mut last))
            .map_err(Error::io("read", &self.object))?;
        Ok(last != *b"\n")
    }
}

/// Opens a file that a child appends its output to, made with `mode` if it is not there.
///
/// # Errors
/// As [`Appender::open`].
pub fn output(dir: &Dir, name: &str, mode: u32) -> Result<File> {
    let object = dir.join(name);
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = openat(&dir.fd, name, flags, Mode::from_bits_truncate(mode)).map_err(Error::io("open", &object))?;
    dir.sync()?;
    Ok(File::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_after_a_torn_one_stands_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::open(scratch.path()).unwrap();
        std::fs::write(dir.join("log"), "first\nsec").unwrap();
        Appender::open(&dir, "log", Missing::Fail).unwrap().line("third").unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("log")).unwrap(), "first\nsec\nthird\n");
    }

    #[test]
    fn a_link_is_not_written_through() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::open(scratch.path()).unwrap();
        std::fs::write(dir.join("victim"), "").unwrap();
        std::os::unix::fs::symlink("victim", dir.join("log")).unwrap();
        assert!(matches!(Appender::open(&dir, "log", Missing::Make), Err(Error::Refused { .. })));
    }

    #[test]
    fn reserved_room_does_not_show_in_the_file() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::open(scratch.path()).unwrap();
        let mut log = Appender::open(&dir, "log", Missing::Make).unwrap();
        log.reserve(1 << 16).unwrap();
        log.line("only").unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("log")).unwrap(), "only\n");
    }
}
