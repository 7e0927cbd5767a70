//! Room on file systems.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use crate::error::{Error, Result};

/// What is free on the file system of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Bytes that root may still write.
    pub bytes: u64,
    /// Files that may still be made; `None` where the file system does not count them.
    pub files: Option<u64>,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// Asks the file system (statvfs(3)).
///
/// # Errors
/// [`Error::Io`].
#[allow(clippy::unnecessary_cast)] // the widths differ between libcs
pub fn free(path: &Path) -> Result<Free> {
    let stat = statvfs(path).map_err(Error::io("look at the file system of", path))?;
    let read_only = stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY);
    let files = (stat.files() > 0).then(|| stat.files_free() as u64);
    Ok(Free { bytes: stat.blocks_free() as u64 * stat.fragment_size() as u64, files, read_only })
}
