//! A tree in a directory: the server's own, an NFS mount, a USB disk.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cluster::tree::is_plain_path;
use crate::error::{Error, Result};
use crate::paths::Paths;

/// The directory (or file) that a base names; `base` is for the messages.
pub fn place(path: &str, base: &str, paths: &Paths) -> Result<PathBuf> {
    if !Path::new(path).is_absolute() {
        return Err(Error::Usage(format!("cannot read {base}: write http://, https:// or an absolute path")));
    }
    Ok(paths.at(path))
}

/// Opens a regular file below it. Links are followed: a mount point may be one, and nothing here is believed unsigned.
pub fn open(dir: &Path, relative: &str) -> Result<(String, Box<dyn Read>)> {
    if !relative.is_empty() && !is_plain_path(relative) {
        return Err(Error::refused(format!("{}/{relative}", dir.display()), "its path is not plain"));
    }
    let path = if relative.is_empty() { dir.to_path_buf() } else { dir.join(relative) };
    let object = path.display().to_string();
    // O_NONBLOCK: a FIFO must not hang us before it is refused.
    let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY).open(&path);
    let file = match opened {
        Err(why) if why.kind() == io::ErrorKind::NotFound && !relative.is_empty() => {
            return Err(absent(dir).unwrap_or_else(|| broken(&object, why)));
        }
        other => other.map_err(|why| broken(&object, why))?,
    };
    let kind = file.metadata().map_err(|why| broken(&object, why))?.file_type();
    if !kind.is_file() {
        return Err(Error::failed("fetch", object, "it is not a regular file"));
    }
    Ok((object, Box::new(file)))
}

/// Whether it is the whole tree that is not there: a mount point without its mount is missing, or empty.
fn absent(dir: &Path) -> Option<Error> {
    let reason = match dir.read_dir() {
        Ok(mut entries) => entries.next().is_none().then_some("it is empty (is it mounted?)")?,
        Err(why) if why.kind() == io::ErrorKind::NotFound => "there is no such directory (is it mounted?)",
        // Not for us to list; a file of it can be read all the same.
        Err(_) => return None,
    };
    Some(Error::Unreachable { service: dir.display().to_string(), reason: reason.to_string() })
}

/// An error of a file system that may lie on another machine.
pub fn broken(object: &str, why: io::Error) -> Error {
    use io::ErrorKind::{
        HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected, StaleNetworkFileHandle, TimedOut,
    };
    match why.kind() {
        NotConnected | StaleNetworkFileHandle | TimedOut | HostUnreachable | NetworkDown | NetworkUnreachable => {
            Error::Unreachable { service: object.to_string(), reason: why.to_string() }
        }
        io::ErrorKind::NotFound => super::missing(object, "there is no such file"),
        _ => Error::io("read", object)(why),
    }
}
