//! Durable changes of whole files: draft beside it, fsync, rename, fsync of the directory.
//!
//! The only place in the crate that renames. A reader sees the old file or the new one, whole, and when a call returns the
//! new one survives a power cut, unless its name says otherwise. The draft has one fixed name, for the caller holds a lock: a draft named after the pid could
//! meet its own pid again at the next boot.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod};
use nix::unistd::{Gid, Uid, fchown, linkat, symlinkat};
use walkdir::WalkDir;

use super::dir::Dir;
use crate::error::{Error, Result};

/// Puts a file in place of whatever stands under the name. A symbolic link there is replaced, not followed.
///
/// # Errors
/// [`Error::Io`]; the old file then still stands.
pub fn replace(dir: &Dir, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let draft = write_draft(dir, name, bytes, mode, None)?;
    publish(dir, &draft, name)
}

/// Like [`replace`], for what is of no use after a power cut: nothing is flushed, and nobody waits for a disk.
///
/// # Errors
/// [`Error::Io`]; the old file then still stands.
pub fn replace_until_boot(dir: &Dir, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let draft = draft_name(name);
    let mut file = open_draft(dir, name)?;
    let written = file.write_all(bytes).and_then(|()| Ok(fchmod(&file, Mode::from_bits_truncate(mode))?));
    written.and_then(|()| Ok(renameat(&dir.fd, draft.as_str(), &dir.fd, name)?)).map_err(|why| {
        discard(dir, &draft);
        Error::io("write", dir.join(name))(why)
    })
}

/// Like [`replace`], for a file that belongs to the system: owner, mode and extended attributes (the `SELinux` label, access
/// lists) of the file that stands there are kept.
///
/// # Errors
/// [`Error::Io`], also if there is no such file.
pub fn replace_kept(dir: &Dir, name: &str, bytes: &[u8]) -> Result<()> {
    let old = dir.file(name)?.ok_or_else(|| Error::failed("replace", dir.join(name).display(), "it is not there"))?;
    let stat = nix::sys::stat::fstat(&old).map_err(Error::io("look at", dir.join(name)))?;
    let draft = write_draft(dir, name, bytes, stat.st_mode & 0o7777, Some((&old, stat)))?;
    publish(dir, &draft, name)
}

/// Puts a file under a name that must be free; `false` means that it was taken and nothing changed.
///
/// # Errors
/// [`Error::Io`].
pub fn create(dir: &Dir, name: &str, bytes: &[u8], mode: u32) -> Result<bool> {
    let draft = write_draft(dir, name, bytes, mode, None)?;
    let placed = rename_new(dir, &draft, dir, name);
    if !matches!(placed, Ok(true)) {
        discard(dir, &draft);
    }
    placed
}

/// Like [`create`], in a directory where other hosts may do the same at the same moment: the draft has a name that is the
/// caller's alone, and link(2) decides, which NFS does in one step at the server.
///
/// # Errors
/// [`Error::Io`].
pub fn create_shared(dir: &Dir, draft: &str, name: &str, bytes: &[u8], mode: u32) -> Result<bool> {
    discard(dir, draft);
    let written = make_exclusive(dir, draft)
        .and_then(|mut file| fill(&mut file, bytes, mode, None).map_err(Error::io("write", dir.join(name))));
    let linked = written.and_then(|()| match linkat(&dir.fd, draft, &dir.fd, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        // The answer of a link that was made can be lost, and the question asked again: open(2), NFS. Two names tell.
        Err(nix::Error::EEXIST) => Ok(dir.look(draft)?.is_some_and(|stat| stat.st_nlink == 2)),
        Err(why) => Err(Error::io("link", dir.join(name))(why)),
    });
    if matches!(linked, Ok(true)) {
        dir.sync()?;
    }
    discard(dir, draft);
    linked
}

/// Renames without replacing; `false` means that the new name was taken and nothing changed. Both directories are flushed,
/// the new name's first: after a power cut in between a file may have two names, never none.
///
/// # Errors
/// [`Error::Io`].
pub fn rename_new(from: &Dir, old: &str, to: &Dir, new: &str) -> Result<bool> {
    let moved = match rename_noreplace(from, old, to, new) {
        // A file system without RENAME_NOREPLACE (NFS): a hard link refuses a taken name just the same.
        Err(nix::Error::EINVAL | nix::Error::ENOSYS) => link_then_remove(from, old, to, new),
        other => other,
    };
    match moved {
        Ok(()) => {
            to.sync()?;
            if from.path() != to.path() {
                from.sync()?;
            }
            Ok(true)
        }
        Err(nix::Error::EEXIST) => Ok(false),
        Err(why) => Err(Error::io("rename", from.join(old))(why)),
    }
}

fn rename_noreplace(from: &Dir, old: &str, to: &Dir, new: &str) -> nix::Result<()> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    rustix::fs::renameat_with(&from.fd, old, &to.fd, new, flags).map_err(|why| nix::Error::from_raw(why.raw_os_error()))
}

fn link_then_remove(from: &Dir, old: &str, to: &Dir, new: &str) -> nix::Result<()> {
    linkat(&from.fd, old, &to.fd, new, AtFlags::empty())?;
    nix::unistd::unlinkat(&from.fd, old, nix::unistd::UnlinkatFlags::NoRemoveDir)
}

/// Puts a whole directory, already on disk, in place of the one of another name, in one step; the former one has the draft's name then.
/// If there was none, it is only renamed.
///
/// # Errors
/// [`Error::Io`]; nothing changed then.
pub fn exchange_tree(dir: &Dir, draft: &str, name: &str) -> Result<()> {
    let flags = if dir.has(name)? { rustix::fs::RenameFlags::EXCHANGE } else { rustix::fs::RenameFlags::NOREPLACE };
    rustix::fs::renameat_with(&dir.fd, draft, &dir.fd, name, flags).map_err(Error::io("exchange", dir.join(name)))?;
    dir.sync()
}

/// Everything in a directory, and the directory, is on disk from here on. Links are not followed.
///
/// # Errors
/// [`Error::Io`].
pub fn flush_tree(path: &Path) -> Result<()> {
    for entry in WalkDir::new(path).contents_first(true) {
        let entry = entry.map_err(Error::io("read", path))?;
        if entry.file_type().is_symlink() {
            continue;
        }
        let flushed = File::open(entry.path()).and_then(|file| file.sync_all());
        flushed.map_err(Error::io("flush", entry.path()))?;
    }
    Ok(())
}

/// Removes a directory with all that is in it; nothing there is fine. For drafts and what was put aside: it is not one step.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(why)),
        _ => Ok(()),
    }
}

/// Puts a symbolic link in place of whatever stands under the name.
///
/// # Errors
/// [`Error::Io`].
pub fn symlink(dir: &Dir, name: &str, target: impl AsRef<OsStr>) -> Result<()> {
    let draft = draft_name(name);
    discard(dir, &draft);
    symlinkat(target.as_ref(), &dir.fd, draft.as_str()).map_err(Error::io("link", dir.join(&draft)))?;
    publish(dir, &draft, name)
}

/// Puts a symbolic link under a name that must be free; `false` means that it was taken and nothing changed. A link appears
/// whole, so it needs no draft.
///
/// # Errors
/// [`Error::Io`].
pub fn symlink_new(dir: &Dir, name: &str, target: impl AsRef<OsStr>) -> Result<bool> {
    match symlinkat(target.as_ref(), &dir.fd, name) {
        Ok(()) => dir.sync().map(|()| true),
        Err(nix::Error::EEXIST) => Ok(false),
        Err(why) => Err(Error::io("link", dir.join(name))(why)),
    }
}

/// A file in the making: written in pieces, and under its name only when it is whole and on disk.
#[derive(Debug)]
pub struct Draft<'a> {
    dir: &'a Dir,
    name: String,
    file: Option<File>,
}

impl<'a> Draft<'a> {
    /// Begins one. What was left of an earlier one is removed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn begin(dir: &'a Dir, name: &str) -> Result<Self> {
        Ok(Self { dir, name: name.to_string(), file: Some(open_draft(dir, name)?) })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Io`]; the draft goes when it is dropped.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(Error::io("write", self.dir.join(&self.name)))
    }

    /// Puts it in place of whatever stands under the name.
    ///
    /// # Errors
    /// [`Error::Io`]; the old file then still stands.
    pub fn publish(mut self, mode: u32) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let draft = draft_name(&self.name);
        let flushed = fchmod(&file, Mode::from_bits_truncate(mode)).map_err(std::io::Error::from);
        flushed.and_then(|()| file.sync_all()).map_err(|why| {
            discard(self.dir, &draft);
            Error::io("write", self.dir.join(&self.name))(why)
        })?;
        publish(self.dir, &draft, &self.name)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.file.is_some() {
            discard(self.dir, &draft_name(&self.name));
        }
    }
}

/// Removes what a [`replace`] that was cut short has left beside a name; nothing there is fine.
pub fn tidy(dir: &Dir, name: &str) {
    discard(dir, &draft_name(name));
}

fn draft_name(name: &str) -> String {
    format!(".{}.draft", name.trim_start_matches('.'))
}

/// A leftover of a run that was cut short; that it cannot be removed shows at the next step.
fn discard(dir: &Dir, draft: &str) {
    let _ = nix::unistd::unlinkat(&dir.fd, draft, nix::unistd::UnlinkatFlags::NoRemoveDir);
}

fn write_draft(dir: &Dir, name: &str, bytes: &[u8], mode: u32, like: Option<(&File, FileStat)>) -> Result<String> {
    let draft = draft_name(name);
    let mut file = open_draft(dir, name)?;
    fill(&mut file, bytes, mode, like).map_err(|why| {
        discard(dir, &draft);
        Error::io("write", dir.join(name))(why)
    })?;
    Ok(draft)
}

fn open_draft(dir: &Dir, name: &str) -> Result<File> {
    let draft = draft_name(name);
    discard(dir, &draft);
    make_exclusive(dir, &draft)
}

fn make_exclusive(dir: &Dir, draft: &str) -> Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = openat(&dir.fd, draft, flags, Mode::from_bits_truncate(0o600));
    fd.map(File::from).map_err(Error::io("make", dir.join(draft)))
}

fn fill(file: &mut File, bytes: &[u8], mode: u32, like: Option<(&File, FileStat)>) -> std::io::Result<()> {
    file.write_all(bytes)?;
    if let Some((old, stat)) = like {
        fchown(&*file, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
        copy_attributes(old, file)?;
    }
    fchmod(&*file, Mode::from_bits_truncate(mode))?;
    file.sync_all()
}

/// Copies what the kernel lets us copy; a file system without extended attributes has none to lose.
fn copy_attributes(old: &File, new: &File) -> std::io::Result<()> {
    use xattr::FileExt;
    let Ok(names) = old.list_xattr() else { return Ok(()) };
    for name in names {
        if let Some(value) = old.get_xattr(&name)? {
            new.set_xattr(&name, &value)?;
        }
    }
    Ok(())
}

fn publish(dir: &Dir, draft: &str, name: &str) -> Result<()> {
    match renameat(&dir.fd, draft, &dir.fd, name) {
        Ok(()) => dir.sync(),
        Err(why) => {
            discard(dir, draft);
            Err(Error::io("replace", dir.join(name))(why))
        }
    }
}

/// Gives away or takes back room that is set aside: `bytes` really allocated under a name, for the moment when the disk is full.
///
/// # Errors
/// [`Error::Io`], "no space left" among them.
pub fn set_aside(dir: &Dir, name: &str, bytes: usize) -> Result<()> {
    replace(dir, name, &vec![0; bytes], 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as plant};

    fn scratch() -> (tempfile::TempDir, Dir) {
        let dir = tempfile::tempdir().unwrap();
        let open = Dir::open(dir.path()).unwrap();
        (dir, open)
    }

    #[test]
    fn a_link_under_the_name_is_replaced_and_its_target_is_left_alone() {
        let (_keep, dir) = scratch();
        std::fs::write(dir.join("victim"), "untouched").unwrap();
        plant(dir.join("victim"), dir.join("flag")).unwrap();
        replace(&dir, "flag", b"new", 0o644).unwrap();
        assert_eq!(std::fs::read(dir.join("victim")).unwrap(), b"untouched");
        assert!(std::fs::symlink_metadata(dir.join("flag")).unwrap().is_file());
    }

    #[test]
    fn a_draft_left_by_a_run_that_was_cut_short_is_in_nobodys_way() {
        let (_keep, dir) = scratch();
        std::fs::write(dir.join(".flag.draft"), "half").unwrap();
        replace(&dir, "flag", b"whole", 0o644).unwrap();
        assert_eq!(std::fs::read(dir.join("flag")).unwrap(), b"whole");
        assert!(!dir.has(".flag.draft").unwrap());
    }

    #[test]
    fn a_draft_that_is_a_link_is_not_written_through() {
        let (_keep, dir) = scratch();
        std::fs::write(dir.join("victim"), "untouched").unwrap();
        plant(dir.join("victim"), dir.join(".flag.draft")).unwrap();
        replace(&dir, "flag", b"whole", 0o644).unwrap();
        assert_eq!(std::fs::read(dir.join("victim")).unwrap(), b"untouched");
    }

    #[test]
    fn the_mode_is_exact() {
        let (_keep, dir) = scratch();
        replace(&dir, "flag", b"", 0o644).unwrap();
        assert_eq!(std::fs::metadata(dir.join("flag")).unwrap().permissions().mode() & 0o7777, 0o644);
    }

    #[test]
    fn a_system_file_keeps_owner_and_mode() {
        let (_keep, dir) = scratch();
        std::fs::write(dir.join("inittab"), "id:3:initdefault:\n").unwrap();
        std::fs::set_permissions(dir.join("inittab"), std::fs::Permissions::from_mode(0o640)).unwrap();
        let before = std::fs::metadata(dir.join("inittab")).unwrap();
        replace_kept(&dir, "inittab", b"id:1:initdefault:\n").unwrap();
        let after = std::fs::metadata(dir.join("inittab")).unwrap();
        assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    }

    #[test]
    fn a_file_written_in_pieces_is_there_whole_or_not_at_all() {
        let (_keep, dir) = scratch();
        let mut given_up = Draft::begin(&dir, "f").unwrap();
        given_up.write(b"half").unwrap();
        drop(given_up);
        assert!(dir.names().unwrap().is_empty());
        let mut draft = Draft::begin(&dir, "f").unwrap();
        draft.write(b"one ").unwrap();
        draft.write(b"two").unwrap();
        assert!(!dir.has("f").unwrap());
        draft.publish(0o644).unwrap();
        assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"one two");
        assert_eq!(dir.names().unwrap(), ["f"]);
    }

    #[test]
    fn a_taken_name_is_not_overwritten() {
        let (_keep, dir) = scratch();
        std::fs::write(dir.join("new"), "first").unwrap();
        std::fs::write(dir.join("old"), "second").unwrap();
        assert!(!rename_new(&dir, "old", &dir, "new").unwrap());
        assert!(!create(&dir, "new", b"third", 0o644).unwrap());
        assert_eq!(std::fs::read(dir.join("new")).unwrap(), b"first");
        assert!(!dir.has(".new.draft").unwrap());
    }

    #[test]
    fn of_many_that_make_one_name_at_the_same_moment_one_does() {
        let (_keep, dir) = scratch();
        let put = |number: usize| create_shared(&dir, &format!(".draft-{number}"), "lock", b"x", 0o644).unwrap();
        let winners: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || put(number))).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!(winners, 1);
        assert_eq!(dir.names().unwrap(), ["lock"]);
    }

    #[test]
    fn a_new_link_takes_no_name_that_is_taken() {
        let (_keep, dir) = scratch();
        assert!(symlink_new(&dir, "link", "/ours").unwrap());
        assert!(!symlink_new(&dir, "link", "/theirs").unwrap());
        assert_eq!(std::fs::read_link(dir.join("link")).unwrap(), std::path::Path::new("/ours"));
    }
}
