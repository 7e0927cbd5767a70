//! The directory of a module: judged, read and hashed in one pass, and looked at again before anything in it is executed.
//!
//! Everything is opened from its directory's descriptor and never through a link, and must be root's (or ours, where we are not root)
//! and nobody else's to write. There are directories, files and links; a link stays inside. Between the hashing and the start every
//! entry must still be the one that was hashed, by device, inode, size and times.

mod desk;
mod links;
mod many;
mod walk;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sys::stat::FileStat;

use super::name::Name;
use super::sum::{self, Entry};
use crate::error::{Error, Result};
use crate::sys::trusted::{self, Rule};

use desk::{Desk, Spare};
pub use many::read_all;

/// What tells whether something is still what it was: device, inode, size, times of content and of status in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen([i64; 7]);

impl Seen {
    #[allow(clippy::cast_possible_wrap, clippy::unnecessary_cast)] // only ever compared; the types differ between platforms
    fn of(stat: &FileStat) -> Self {
        Self([
            stat.st_dev as i64,
            stat.st_ino as i64,
            stat.st_size as i64,
            stat.st_mtime as i64,
            stat.st_mtime_nsec as i64,
            stat.st_ctime as i64,
            stat.st_ctime_nsec as i64,
        ])
    }
}

/// The directory in which all modules are, judged with everything above it.
#[derive(Debug)]
pub struct Place {
    fd: OwnedFd,
    path: PathBuf,
}

impl Place {
    /// Opens it.
    ///
    /// # Errors
    /// As [`trusted::directory`].
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { fd: trusted::directory(path)?, path: path.to_path_buf() })
    }

    /// Where the directory of a module is.
    pub fn of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The same for whatever stands beside the modules under this name.
    ///
    /// # Errors
    /// As [`Place::read`].
    pub fn read_any(&self, name: &str) -> Result<Option<Tree>> {
        Ok(walk::walk(self, name, &Spare::none(), &mut Desk::new())?.map(walk::Walk::finish))
    }

    /// Reads, judges and hashes the directory of a module; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Refused`] with the entry at fault and the remedy, [`Error::Io`].
    pub fn read(&self, name: &Name) -> Result<Option<Tree>> {
        read_all(self, std::slice::from_ref(name), 1).remove(0)
    }
}

/// The directory of a module, as it was read.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    entries: Vec<Entry>,
    seen: Vec<Seen>,
    top: Seen,
    /// What the file `checksum` in it says.
    pub claim: Option<String>,
    /// The records that were hashed.
    pub records: Vec<u8>,
    /// Their checksum.
    pub checksum: String,
}

impl Tree {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The entry of this path, and all that is below it.
    pub fn named(&self, path: &[u8]) -> Vec<&Entry> {
        let is_below = |entry: &&Entry| matches!(entry.path.strip_prefix(path), Some([] | [b'/', ..]));
        self.entries.iter().filter(is_below).collect()
    }

    /// Where an entry is.
    pub fn at(&self, entry: &Entry) -> PathBuf {
        self.path.join(walk::os(&entry.path))
    }

    /// The entry of this name at the top.
    pub fn top(&self, name: &str) -> Option<&Entry> {
        self.entries
            .binary_search_by(|entry| entry.path.as_slice().cmp(name.as_bytes()))
            .ok()
            .map(|at| &self.entries[at])
    }

    /// Whether everything is still what was read.
    ///
    /// # Errors
    /// [`Error::Refused`] if anything was changed, added or taken away since.
    pub fn check(&self) -> Result<()> {
        let changed =
            |path: &Path| Error::refused(path.display(), "it was changed while it was being verified; run this again");
        let look = |path: &Path| {
            let stat = nix::sys::stat::lstat(path).map_err(|_| changed(path))?;
            Ok::<_, Error>(Seen::of(&stat))
        };
        if look(&self.path)? != self.top {
            return Err(changed(&self.path));
        }
        for (entry, seen) in self.entries.iter().zip(&self.seen) {
            let path = self.path.join(walk::os(&entry.path));
            if look(&path)? != *seen {
                return Err(changed(&path));
            }
        }
        Ok(())
    }

    /// From what was found in it.
    fn finish(path: PathBuf, top: Seen, mut found: Vec<(Entry, Seen)>, claim: Option<String>) -> Self {
        found.sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        let (entries, seen): (Vec<Entry>, Vec<Seen>) = found.into_iter().unzip();
        let records = sum::records(&entries);
        let checksum = sum::of(&records);
        Self { path, entries, seen, top, claim, records, checksum }
    }
}

/// Judges what is open: root's or ours, and nobody else's to write. Its path is made only for a complaint.
fn judge(stat: &FileStat, path: impl FnOnce() -> PathBuf) -> Result<()> {
    match trusted::judge_open(stat, Path::new(""), Rule::Root) {
        Ok(()) => Ok(()),
        Err(_) => trusted::judge_open(stat, &path(), Rule::Root),
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
