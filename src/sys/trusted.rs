//! Opening what root is about to believe or execute.
//!
//! A path is walked from `/` one component at a time with `O_NOFOLLOW`, and every directory on the way is judged by its
//! open descriptor: it must be root's (or ours, where we are not root), and others must not be able to put something else
//! in its place. What was judged is what is used, so nothing can be exchanged in between.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use crate::error::{Error, Result};

mod below;

pub use below::below;

/// Who may own and change what is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Root (or we, where we are not root) and nobody else.
    Root,
    /// The same, or this user: his own scripts, which run with nothing but his rights.
    User(u32),
    /// As for root; but a group may write to the directories, as syslog's does to `/var/log` of some distributions. For files that
    /// are only ever appended to.
    Log,
}

impl Rule {
    /// Whether what belongs to this user is fit.
    ///
    /// # Errors
    /// The reason why not.
    pub fn owner(self, uid: u32) -> std::result::Result<(), String> {
        match self {
            _ if uid == 0 || uid == nix::unistd::geteuid().as_raw() => Ok(()),
            Self::User(user) if uid == user => Ok(()),
            Self::User(user) => Err(format!("it belongs to user {uid}, neither to root nor to user {user}")),
            Self::Root | Self::Log => Err(format!("it belongs to user {uid}, not to root")),
        }
    }
}

/// Opens a directory after judging it and every directory above it.
///
/// # Errors
/// [`Error::Refused`] names the component that others could change, and the remedy; a symbolic link is refused as well.
pub fn directory(path: &Path) -> Result<OwnedFd> {
    directory_by(path, Rule::Root)
}

/// Opens a directory after judging it and every directory above it by this rule.
///
/// # Errors
/// As [`directory`].
pub fn directory_by(path: &Path, rule: Rule) -> Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mut walked = PathBuf::from("/");
    let mut dir = nix::fcntl::open("/", flags, Mode::empty()).map_err(Error::io("open", &walked))?;
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => {
                walked.push(name);
                dir = openat(&dir, name, flags, Mode::empty()).map_err(|why| not_a_directory(why, &walked))?;
            }
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Error::refused(path.display(), "write the path without .."));
            }
        }
        let stat = fstat(&dir).map_err(Error::io("look at", &walked))?;
        judge(&stat, &walked, Sticky::Suffices, rule)?;
    }
    Ok(dir)
}

fn not_a_directory(why: nix::Error, walked: &Path) -> Error {
    match why {
        nix::Error::ELOOP | nix::Error::ENOTDIR => {
            Error::refused(walked.display(), "not a directory (a symbolic link counts as none); name the real one")
        }
        _ => Error::io("open", walked)(why),
    }
}

/// Opens a regular file for reading after judging it and every directory above it.
///
/// # Errors
/// [`Error::Refused`] if it is not a regular file of root's that others cannot write; [`Error::Io`] if it cannot be opened.
pub fn file(path: &Path) -> Result<File> {
    file_by(path, Rule::Root)
}

/// The same by this rule.
///
/// # Errors
/// As [`file`].
pub fn file_by(path: &Path, rule: Rule) -> Result<File> {
    let (parent, name) = split(path)?;
    open_in(&directory_by(parent, rule)?, name, path, rule)
}

/// Opens a regular file in a directory that has been judged. `path` is for the messages.
///
/// # Errors
/// As [`file`].
pub fn file_in(dir: &OwnedFd, name: &OsStr, path: &Path) -> Result<File> {
    open_in(dir, name, path, Rule::Root)
}

fn open_in(dir: &OwnedFd, name: &OsStr, path: &Path, rule: Rule) -> Result<File> {
    // O_NONBLOCK: a FIFO planted under the name must not hang us before it is refused.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let fd = openat(dir, name, flags, Mode::empty()).map_err(|why| match why {
        nix::Error::ELOOP => Error::refused(path.display(), "it is a symbolic link; put the file itself there"),
        nix::Error::ENXIO => {
            Error::refused(path.display(), "it is not a regular file; name one that is, or remove this one")
        }
        _ => Error::io("open", path)(why),
    })?;
    regular(fd, path, rule)
}

/// Judges an open file: a regular one, root's or whose else the rule says, that others cannot write. `path` is for the messages.
///
/// # Errors
/// As [`file`].
pub fn regular(fd: OwnedFd, path: &Path, rule: Rule) -> Result<File> {
    let stat = fstat(&fd).map_err(Error::io("look at", path))?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Error::refused(path.display(), "it is not a regular file; name one that is, or remove this one"));
    }
    judge(&stat, path, Sticky::DoesNotHelp, rule)?;
    Ok(File::from(fd))
}

/// Reads a judged file whole, up to `limit` bytes.
///
/// # Errors
/// As [`file`]; [`Error::Refused`] when it is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_all(file(path)?, path, limit)
}

/// Reads an open file whole, up to `limit` bytes. `path` is for the messages.
///
/// # Errors
/// [`Error::Refused`] when it is larger, [`Error::Io`] when it cannot be read.
pub fn read_all(file: File, path: &Path, limit: u64) -> Result<Vec<u8>> {
    // Room for one byte more than there are: the end is seen without making more.
    let length = file.metadata().map_or(0, |meta| meta.len().min(limit) + 1);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(Error::refused(path.display(), format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Splits a path into its directory and its last name.
///
/// # Errors
/// [`Error::Refused`] for a path without a last name.
pub fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Error::refused(path.display(), "it names no file")),
    }
}

/// Judges what was opened by other means: root's or whose else the rule says, and nobody else's to write, whatever its sticky bit.
/// `path` is for the messages.
///
/// # Errors
/// [`Error::Refused`] with the remedy.
pub fn judge_open(stat: &FileStat, path: &Path, rule: Rule) -> Result<()> {
    judge(stat, path, Sticky::DoesNotHelp, rule)
}

/// Whether the sticky bit excuses a directory that others can write to: they can add names, not exchange ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sticky {
    Suffices,
    DoesNotHelp,
}

/// Judges one open descriptor: root's, our own or whose else the rule says, and not to be changed by anybody else.
fn judge(stat: &FileStat, path: &Path, sticky: Sticky, rule: Rule) -> Result<()> {
    if let Err(why) = rule.owner(stat.st_uid) {
        return Err(Error::refused(path.display(), format!("{why}; chown root it if it is right")));
    }
    let is_directory = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
    let others = if rule == Rule::Log && is_directory { 0o002 } else { 0o022 };
    let excused = sticky == Sticky::Suffices && stat.st_mode & 0o1000 != 0;
    if stat.st_mode & others != 0 && !excused {
        let why = format!("mode {:04o} lets others write; chmod go-w {}", stat.st_mode & 0o7777, path.display());
        return Err(Error::refused(path.display(), why));
    }
    Ok(())
}

/// Whether a name could be read as another directory, an option, or more than one name.
pub fn is_plain_name(name: &str) -> bool {
    let bytes = OsStr::new(name).as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 128
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._+:~-".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scratch() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_file_of_ours_is_read() {
        let dir = scratch();
        std::fs::write(dir.path().join("f"), "text").unwrap();
        assert_eq!(read(&dir.path().join("f"), 10).unwrap(), b"text");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_with_the_remedy() {
        let dir = scratch();
        let path = dir.path().join("f");
        std::fs::write(&path, "text").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let words = file(&path).unwrap_err().to_string();
        assert!(words.contains("mode 0666"), "{words}");
        assert!(words.ends_with(&format!("chmod go-w {}", path.display())), "{words}");
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_though_the_file_is_fit() {
        let dir = scratch();
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::write(open.join("f"), "text").unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(file(&open.join("f")), Err(Error::Refused { .. })));
    }

    #[test]
    fn links_fifos_and_directories_are_not_regular_files() {
        let dir = scratch();
        std::fs::write(dir.path().join("f"), "text").unwrap();
        symlink(dir.path().join("f"), dir.path().join("link")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo"), Mode::S_IRUSR).unwrap();
        for name in ["link", "fifo", "."] {
            assert!(file(&dir.path().join("sub").parent().unwrap().join(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_link_in_the_middle_of_the_path_is_refused() {
        let dir = scratch();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::fs::write(dir.path().join("real/f"), "text").unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        assert!(matches!(file(&dir.path().join("link/f")), Err(Error::Refused { .. })));
    }

    #[test]
    fn a_file_over_the_limit_is_refused_before_it_fills_the_memory() {
        let dir = scratch();
        std::fs::write(dir.path().join("f"), "0123456789").unwrap();
        assert!(matches!(read(&dir.path().join("f"), 9), Err(Error::Refused { .. })));
    }

    #[test]
    fn plain_names_hold_no_surprises() {
        for good in ["mirror", "debian-12", "2026.11~rc1", "a+b", "1:2-3"] {
            assert!(is_plain_name(good), "{good}");
        }
        for bad in ["", ".", "..", "-rf", "a/b", "a b", ".hidden", "a\0b", "ä"] {
            assert!(!is_plain_name(bad), "{bad}");
        }
    }
}
