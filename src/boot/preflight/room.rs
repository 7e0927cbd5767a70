//! `room-root`, `room-boot`, `room-var`: whether the disks will do.

use std::os::unix::fs::MetadataExt;

use super::{Finding, Need};
use crate::config::Preflight;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::space::{self, Free};

/// Fewer free files than this, and an upgrade runs out of them before it runs out of bytes.
const FILES: u64 = 2_000;
const MIB: u64 = 1 << 20;

pub fn all(paths: &Paths, limits: &Preflight, need: &Need) -> Vec<Finding> {
    let root_remedy = "make room there, or lower root_free in section [preflight]";
    let var_remedy = "make room there (apt-get clean, old logs), or lower var_free in section [preflight]";
    let boot_remedy = "remove old kernels, or lower boot_free in section [preflight]";
    vec![
        check("room-root", paths, "/", limits.root_free.saturating_add(need.bytes), root_remedy),
        Finding::of("room-boot", boot(paths, limits.boot_free, boot_remedy)),
        check("room-var", paths, "/var", limits.var_free.saturating_add(need.bytes), var_remedy),
    ]
}

/// Only where it is a file system of its own; else it is `room-root`'s business.
fn boot(paths: &Paths, wanted: u64, remedy: &str) -> Result<Finding> {
    let device = |path| std::fs::metadata(paths.at(path)).map(|stat| stat.dev());
    let root = device("/").map_err(Error::io("look at", paths.root()))?;
    match device("/boot") {
        Ok(boot) if boot != root => Ok(check("room-boot", paths, "/boot", wanted, remedy)),
        Ok(_) => Ok(Finding::ok("room-boot", "/boot is no file system of its own")),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Finding::ok("room-boot", "there is no /boot")),
        Err(why) => Err(Error::io("look at", paths.at("/boot"))(why)),
    }
}

fn check(id: &'static str, paths: &Paths, path: &str, wanted: u64, remedy: &str) -> Finding {
    Finding::of(id, space::free(&paths.at(path)).map(|free| judge(id, path, free, wanted, remedy)))
}

fn judge(id: &'static str, path: &str, free: Free, wanted: u64, remedy: &str) -> Finding {
    if free.bytes < wanted {
        let evidence = format!("{} MiB are free on {path}, {} MiB are wanted", free.bytes / MIB, wanted.div_ceil(MIB));
        return Finding::stop(id, evidence, remedy);
    }
    match free.files {
        Some(files) if files < FILES => {
            Finding::stop(id, format!("only {files} more files fit on {path}, {FILES} are wanted"), remedy)
        }
        _ => Finding::ok(id, format!("{} MiB are free on {path}", free.bytes / MIB)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::preflight::Verdict;

    fn verdict(bytes: u64, files: Option<u64>) -> Verdict {
        judge("room-root", "/", Free { bytes, files, read_only: false }, 10 * MIB, "x").verdict
    }

    #[test]
    fn bytes_and_files_must_both_be_enough() {
        assert_eq!(verdict(10 * MIB, None), Verdict::Ok);
        assert_eq!(verdict(10 * MIB - 1, None), Verdict::Stop);
        assert_eq!(verdict(10 * MIB, Some(FILES - 1)), Verdict::Stop);
        assert_eq!(verdict(10 * MIB, Some(FILES)), Verdict::Ok);
    }

    #[test]
    fn a_boot_directory_on_the_root_is_not_asked_twice() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        assert_eq!(boot(&paths, u64::MAX, "x").unwrap().verdict, Verdict::Ok);
        std::fs::create_dir(paths.at("/boot")).unwrap();
        assert_eq!(boot(&paths, u64::MAX, "x").unwrap().verdict, Verdict::Ok);
    }
}
