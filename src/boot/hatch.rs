//! Reads what [`cmdline`](super::cmdline) judges.

use super::cmdline::{self, Hatch, Vmcore};
use crate::error::{Error, Result};
use crate::paths::Paths;

/// Whether this boot wants to be left alone. A root without a `/proc` was not booted, so nobody could say so.
///
/// # Errors
/// [`Error::Io`] if this machine's command line cannot be read: then nothing may be touched.
pub fn read(paths: &Paths) -> Result<Hatch> {
    let path = paths.at("/proc/cmdline");
    let line = match std::fs::read(&path) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound && !paths.is_system() => return Ok(Hatch::Closed),
        line => line.map_err(Error::io("read", &path))?,
    };
    let vmcore = if paths.at("/proc/vmcore").exists() { Vmcore::Present } else { Vmcore::Absent };
    Ok(cmdline::judge(&String::from_utf8_lossy(&line), vmcore))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_was_not_booted_has_no_hatch() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        assert_eq!(read(&paths).unwrap(), Hatch::Closed);
    }

    #[test]
    fn a_crash_kernel_and_a_word_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("proc")).unwrap();
        std::fs::write(dir.path().join("proc/cmdline"), b"ro patchit=off \xff\n").unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        assert!(matches!(read(&paths).unwrap(), Hatch::HandsOff(_)));
        std::fs::write(dir.path().join("proc/cmdline"), "ro").unwrap();
        assert_eq!(read(&paths).unwrap(), Hatch::Closed);
        std::fs::write(dir.path().join("proc/vmcore"), "").unwrap();
        assert!(matches!(read(&paths).unwrap(), Hatch::HandsOff(_)));
    }
}
