//! One pass over the directory of a module: every entry opened, judged and hashed.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use rustix::fs::{FileType, RawDir};
use sha2::{Digest as _, Sha256};

use super::desk::{Desk, Spare};
use super::links::stays_inside;
use super::{Place, Seen, Tree, judge};
use crate::error::{Error, Result};
use crate::module::sum::{self, Entry, Kind};

/// A module is no deeper: each level holds a descriptor.
const DEPTH: usize = 64;
/// Larger files are left for whoever has time.
pub const LARGE: u64 = 1 << 20;
/// A file `checksum` that is longer says nothing.
const CLAIM: u64 = 256;

const OPEN: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC).union(OFlag::O_NOFOLLOW);

/// A file whose digest is still missing.
pub struct Large {
    /// Which entry of the walk.
    pub entry: usize,
    /// It, open.
    pub file: File,
    /// Bytes, as it was opened.
    pub size: u64,
    /// For messages.
    pub path: PathBuf,
}

/// What was found so far.
pub struct Walk {
    root: PathBuf,
    top: Seen,
    found: Vec<(Entry, Seen)>,
    targets: Vec<(Vec<u8>, Vec<u8>)>,
    claim: Option<String>,
    /// Files that somebody else may hash meanwhile.
    pub large: Vec<Large>,
}

/// Walks the directory of a module; `None` if there is none. Large files are left open for others to hash as long as there is `spare`.
pub fn walk(place: &Place, name: &str, spare: &Spare, desk: &mut Desk) -> Result<Option<Walk>> {
    let root = place.of(name);
    let dir = match openat(&place.fd, name, OPEN | OFlag::O_DIRECTORY, Mode::empty()) {
        Ok(dir) => dir,
        Err(nix::Error::ENOENT) => return Ok(None),
        Err(nix::Error::ELOOP | nix::Error::ENOTDIR) => {
            return Err(Error::refused(root.display(), "it is no directory (a symbolic link counts as none)"));
        }
        Err(why) => return Err(Error::io("open", &root)(why)),
    };
    let stat = fstat(&dir).map_err(Error::io("look at", &root))?;
    judge(&stat, || root.clone())?;
    let walk =
        Walk { root, top: Seen::of(&stat), found: Vec::new(), targets: Vec::new(), claim: None, large: Vec::new() };
    let mut walker = Walker { walk, path: Vec::new(), spare, desk };
    walker.directory(&dir, 0)?;
    walker.walk.judge_links()?;
    Ok(Some(walker.walk))
}

/// Who walks, and where.
struct Walker<'a> {
    walk: Walk,
    /// Below the module's directory.
    path: Vec<u8>,
    spare: &'a Spare,
    desk: &'a mut Desk,
}

impl Walker<'_> {
    fn directory(&mut self, dir: &OwnedFd, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(Error::refused(self.at().display(), format!("it is more than {DEPTH} directories deep")));
        }
        let length = self.path.len();
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4 << 10];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|why| Error::io("read", self.at())(why))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.entry(dir, name, entry.file_type(), depth)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    /// What the directory says that an entry is, decides how it is opened, and what is open is judged. Some file systems do not say.
    fn entry(&mut self, dir: &OwnedFd, name: &CStr, kind: FileType, depth: usize) -> Result<()> {
        match kind {
            FileType::RegularFile => return self.file(dir, name),
            FileType::Directory => return self.below(dir, name, depth),
            _ => {}
        }
        let stat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|why| self.failed("look at", why))?;
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => self.file(dir, name),
            SFlag::S_IFDIR => self.below(dir, name, depth),
            SFlag::S_IFLNK => self.link(dir, name, &stat),
            _ => {
                let why = "it is neither a file nor a directory nor a link; a module holds nothing else";
                Err(Error::refused(self.at().display(), why))
            }
        }
    }

    fn below(&mut self, dir: &OwnedFd, name: &CStr, depth: usize) -> Result<()> {
        let (fd, stat) = self.open(dir, name, OFlag::O_DIRECTORY)?;
        self.add(Kind::Directory, &stat, 0, Sha256::digest(b"").into());
        self.directory(&fd, depth + 1)
    }

    fn file(&mut self, dir: &OwnedFd, name: &CStr) -> Result<()> {
        let (fd, stat) = self.open(dir, name, OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(Error::refused(self.at().display(), "it was changed while it was being read"));
        }
        let mut file = File::from(fd);
        if self.path == sum::FILE.as_bytes() {
            return self.claim(file);
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if size >= LARGE && self.spare.take() {
            let entry = self.walk.found.len();
            self.add(Kind::File, &stat, size, [0; 32]);
            self.walk.large.push(Large { entry, file, size, path: self.at() });
            return Ok(());
        }
        let (size, digest) = self.desk.digest(&mut file, size).map_err(|why| Error::io("read", self.at())(why))?;
        self.add(Kind::File, &stat, size, digest);
        Ok(())
    }

    fn claim(&mut self, file: File) -> Result<()> {
        let mut text = Vec::new();
        file.take(CLAIM).read_to_end(&mut text).map_err(|why| Error::io("read", self.at())(why))?;
        self.walk.claim = Some(String::from_utf8_lossy(&text).trim().to_string());
        Ok(())
    }

    fn link(&mut self, dir: &OwnedFd, name: &CStr, stat: &FileStat) -> Result<()> {
        let target = readlinkat(dir, name).map_err(|why| self.failed("read", why))?;
        let target = target.as_bytes().to_vec();
        // The permissions of a link say nothing.
        let mut owner = *stat;
        owner.st_mode = 0o755;
        judge(&owner, || self.at())?;
        self.add(Kind::Link, stat, target.len() as u64, Sha256::digest(&target).into());
        self.walk.targets.push((self.path.clone(), target));
        Ok(())
    }

    /// Opens an entry, and judges what is open.
    fn open(&self, dir: &OwnedFd, name: &CStr, flags: OFlag) -> Result<(OwnedFd, FileStat)> {
        let fd = openat(dir, name, OPEN | flags, Mode::empty()).map_err(|why| self.failed("open", why))?;
        let stat = fstat(&fd).map_err(|why| self.failed("look at", why))?;
        judge(&stat, || self.at())?;
        Ok((fd, stat))
    }

    fn add(&mut self, kind: Kind, stat: &FileStat, size: u64, digest: [u8; 32]) {
        let entry = Entry { path: self.path.clone(), kind, mode: stat.st_mode & 0o7777, size, digest };
        self.walk.found.push((entry, Seen::of(stat)));
    }

    fn failed(&self, verb: &'static str, why: nix::Error) -> Error {
        Error::io(verb, self.at())(why)
    }

    fn at(&self) -> PathBuf {
        self.walk.at(&self.path)
    }
}

impl Walk {
    /// Puts in a digest that was missing.
    pub fn fill(&mut self, entry: usize, digest: [u8; 32]) {
        self.found[entry].0.digest = digest;
    }

    /// The directory as it was read.
    pub fn finish(self) -> Tree {
        Tree::finish(self.root, self.top, self.found, self.claim)
    }

    fn judge_links(&self) -> Result<()> {
        let links: HashMap<&[u8], &[u8]> =
            self.targets.iter().map(|(path, target)| (path.as_slice(), target.as_slice())).collect();
        for (path, target) in &self.targets {
            stays_inside(path, &links).map_err(|why| {
                let words = format!("{why} (to {}); a module is complete in itself", String::from_utf8_lossy(target));
                Error::refused(self.at(path).display(), words)
            })?;
        }
        Ok(())
    }

    fn at(&self, path: &[u8]) -> PathBuf {
        self.root.join(os(path))
    }
}

/// Bytes as a path.
pub fn os(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
