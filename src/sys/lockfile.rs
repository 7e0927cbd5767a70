//! The host lock: one tool at a time works on the flags.
//!
//! flock(2) has no stale state: it falls when its holder dies, however it dies. The file is only ever locked, never
//! renamed over, never removed, for two processes could then lock two files.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::Mode;

use super::dir::Dir;
use super::trusted::{self, Rule};
use crate::error::{Error, Result};

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Takes the lock at `path`; `None` if somebody else works. The directory is made if it is missing.
///
/// # Errors
/// [`Error::Io`], [`Error::Refused`] if others could exchange the file, or hold it against us.
pub fn try_take(path: &Path) -> Result<Option<Lock>> {
    let (above, name) = trusted::split(path)?;
    let dir = Dir::create(above, 0o755)?;
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let fd = openat(&dir.fd, name, flags, Mode::from_bits_truncate(0o600)).map_err(|why| match why {
        nix::Error::ELOOP => Error::refused(path.display(), "it is a symbolic link; remove it"),
        _ => Error::io("open", path)(why),
    })?;
    let file = trusted::regular(fd, path, Rule::Root)?;
    // Whoever can open it can hold it. Another program may have made it, and left it to everybody's eyes.
    if file.metadata().map_err(Error::io("look at", path))?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(Error::io("set the mode of", path))?;
    }
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            // For people who look who works; nothing reads it.
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            Ok(Some(Lock { _file: file }))
        }
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, why)) => Err(Error::io("lock", path)(why)),
    }
}

/// Whether somebody holds the lock at `path`. Nothing is made or changed; who may not even look is told that somebody does.
///
/// # Errors
/// [`Error::Io`] if the file is there and cannot be opened.
pub fn is_held(path: &Path) -> Result<bool> {
    // What is no file must not hang whoever only looks.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => return Ok(true),
        Err(why) => return Err(Error::io("open", path)(why)),
    };
    Ok(matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, nix::Error::EWOULDBLOCK))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_could_hold_is_no_lock() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lock");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(try_take(&path), Err(Error::Refused { .. })));
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, Mode::S_IRUSR).unwrap();
        assert!(matches!(try_take(&path), Err(Error::Refused { .. })));
        assert!(is_held(&path).is_ok(), "whoever looks does not wait for somebody to write into it");
    }

    #[test]
    fn a_lock_that_another_program_left_for_all_to_read_is_ours_alone_from_then_on() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lock");
        std::fs::write(&path, "4711\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(try_take(&path).unwrap().is_some());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_cannot_hold_it_and_it_falls_with_its_holder() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("run/lock");
        let first = try_take(&path).unwrap();
        assert!(first.is_some());
        assert!(try_take(&path).unwrap().is_none());
        assert!(is_held(&path).unwrap());
        drop(first);
        assert!(!is_held(&path).unwrap());
        assert!(try_take(&path).unwrap().is_some());
    }
}
