//! One pass over the directory of a module: every entry opened, judged and hashed.

use std::collections::HashMap;
use std::ffi::OsStr;
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
    spare: usize,
    block: Vec<u8>,
}

/// Walks the directory of a module; `None` if there is none.
///
/// At most `spare` large files are left open for others to hash.
pub fn walk(place: &Place, name: &str, spare: usize) -> Result<Option<Walk>> {
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
    judge(&stat, &root)?;
    let mut walk = Walk {
        root,
        top: Seen::of(&stat),
        found: Vec::new(),
        targets: Vec::new(),
        claim: None,
        large: Vec::new(),
        spare,
        block: vec![0; 64 << 10],
    };
    walk.directory(&dir, &mut Vec::new(), 0)?;
    walk.judge_links()?;
    Ok(Some(walk))
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

    fn directory(&mut self, dir: &OwnedFd, path: &mut Vec<u8>, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(Error::refused(self.at(path).display(), format!("it is more than {DEPTH} directories deep")));
        }
        let length = path.len();
        for (name, kind) in names(dir).map_err(|why| Error::io("read", self.at(path))(why))? {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            if kind == FileType::RegularFile {
                self.file(dir, &name, path)?;
            } else {
                self.entry(dir, &name, path, depth)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn entry(&mut self, dir: &OwnedFd, name: &[u8], path: &mut Vec<u8>, depth: usize) -> Result<()> {
        let stat = fstatat(dir, os(name), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|why| Error::io("look at", self.at(path))(why))?;
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => self.file(dir, name, path),
            SFlag::S_IFDIR => {
                let fd = self.open(dir, name, path, OFlag::O_DIRECTORY)?;
                let stat = fstat(&fd).map_err(|why| Error::io("look at", self.at(path))(why))?;
                judge(&stat, &self.at(path))?;
                self.add(path, Kind::Directory, &stat, 0, Sha256::digest(b"").into());
                self.directory(&fd, path, depth + 1)
            }
            SFlag::S_IFLNK => self.link(dir, name, path, &stat),
            _ => {
                let why = "it is neither a file nor a directory nor a link; a module holds nothing else";
                Err(Error::refused(self.at(path).display(), why))
            }
        }
    }

    fn file(&mut self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<()> {
        let fd = self.open(dir, name, path, OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
        let stat = fstat(&fd).map_err(|why| Error::io("look at", self.at(path))(why))?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(Error::refused(self.at(path).display(), "it was changed while it was being read"));
        }
        judge(&stat, &self.at(path))?;
        let mut file = File::from(fd);
        if path == sum::FILE.as_bytes() {
            return self.claim(file, path);
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if size >= LARGE && self.large.len() < self.spare {
            let entry = self.found.len();
            self.add(path, Kind::File, &stat, size, [0; 32]);
            self.large.push(Large { entry, file, path: self.at(path) });
            return Ok(());
        }
        let (size, digest) = digest(&mut file, &mut self.block).map_err(|why| Error::io("read", self.at(path))(why))?;
        self.add(path, Kind::File, &stat, size, digest);
        Ok(())
    }

    fn claim(&mut self, file: File, path: &[u8]) -> Result<()> {
        let mut text = Vec::new();
        file.take(CLAIM).read_to_end(&mut text).map_err(|why| Error::io("read", self.at(path))(why))?;
        self.claim = Some(String::from_utf8_lossy(&text).trim().to_string());
        Ok(())
    }

    fn link(&mut self, dir: &OwnedFd, name: &[u8], path: &[u8], stat: &FileStat) -> Result<()> {
        let at = self.at(path);
        let target = readlinkat(dir, os(name)).map_err(Error::io("read", &at))?;
        let target = target.as_bytes().to_vec();
        // The permissions of a link say nothing.
        let mut owner = *stat;
        owner.st_mode = 0o755;
        judge(&owner, &at)?;
        self.add(path, Kind::Link, stat, target.len() as u64, Sha256::digest(&target).into());
        self.targets.push((path.to_vec(), target));
        Ok(())
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

    fn open(&self, dir: &OwnedFd, name: &[u8], path: &[u8], flags: OFlag) -> Result<OwnedFd> {
        openat(dir, os(name), OPEN | flags, Mode::empty()).map_err(|why| Error::io("open", self.at(path))(why))
    }

    fn add(&mut self, path: &[u8], kind: Kind, stat: &FileStat, size: u64, digest: [u8; 32]) {
        let entry = Entry { path: path.to_vec(), kind, mode: stat.st_mode & 0o7777, size, digest };
        self.found.push((entry, Seen::of(stat)));
    }

    fn at(&self, path: &[u8]) -> PathBuf {
        self.root.join(os(path))
    }
}

/// Bytes as a path.
pub fn os(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// How many bytes a file has, and their digest.
pub fn digest(file: &mut File, block: &mut [u8]) -> std::io::Result<(u64, [u8; 32])> {
    let (mut size, mut sum) = (0, Sha256::new());
    loop {
        match file.read(block) {
            Ok(0) => return Ok((size, sum.finalize().into())),
            Ok(read) => {
                size += read as u64;
                sum.update(&block[..read]);
            }
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

/// The names in a directory, each with what the directory says that it is; some file systems do not say.
fn names(dir: &OwnedFd) -> std::io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8 << 10];
    let mut entries = RawDir::new(dir, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.to_vec(), entry.file_type()));
        }
    }
    Ok(names)
}
