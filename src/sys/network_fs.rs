//! Whether a directory lies where other hosts see it too: statfs(2).

use nix::sys::statfs::fstatfs;

use super::dir::Dir;
use crate::error::{Error, Result};

/// Magic numbers of file systems that several hosts mount at once: statfs(2), and `linux/magic.h`. FUSE is not among them: it may
/// be anything.
const SHARED: [i64; 9] = [
    0x6969,      // NFS
    0xFF53_4D42, // CIFS
    0xFE53_4D42, // SMB2
    0x00C3_6400, // Ceph
    0x0116_1970, // GFS2
    0x7461_636F, // OCFS2
    0x0BD0_0BD0, // Lustre
    0x4750_4653, // GPFS
    0x6B41_4653, // AFS
];

/// Whether it does.
///
/// # Errors
/// [`Error::Io`] if the file system cannot be asked.
pub fn is_shared(dir: &Dir) -> Result<bool> {
    let stat = fstatfs(&dir.fd).map_err(Error::io("look at the file system of", dir.path()))?;
    // The type is signed or not, wide or not, as the C library likes; its lower 32 bits are the number.
    #[allow(clippy::cast_lossless, clippy::unnecessary_cast, clippy::cast_possible_wrap)]
    let magic = stat.filesystem_type().0 as i64 & 0xFFFF_FFFF;
    Ok(SHARED.contains(&magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_is_of_this_host_alone() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(!is_shared(&Dir::open(scratch.path()).unwrap()).unwrap());
    }
}
