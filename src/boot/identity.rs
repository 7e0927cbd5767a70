//! Which boot this is, and since when.
//!
//! A container that is rebooted keeps the boot identity of its machine's kernel, so the start time of process 1 is the other
//! half of ours: it is another one after every boot of either kind. proc(5), `/proc/pid/stat` field 22.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::clock::Moment;
use crate::sys::proc_stat;

/// Ticks of `/proc/pid/stat` in a second: fixed by the kernel's interface to programs on every architecture that we build for.
const TICKS: u64 = 100;

/// One boot of one host, as a word without spaces: `BOOTID/STARTTIME`. Equal means the same boot, nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootIdentity(String);

impl BootIdentity {
    /// The running boot.
    ///
    /// # Errors
    /// If `/proc` cannot be read or says nothing that makes sense: who cannot tell boots apart must not go on.
    pub fn current(paths: &Paths) -> Result<Self> {
        let (path, text) = proc(paths, "sys/kernel/random/boot_id")?;
        let id = text.trim();
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Error::failed("read", path.display(), format!("{id:?} is no boot identity")));
        }
        Ok(Self(format!("{id}/{}", start_of_init(paths)?)))
    }

    /// One that was recorded. Any text will do: what was never a boot's is not equal to any.
    pub fn recorded(text: &str) -> Self {
        Self(text.to_string())
    }
}

impl fmt::Display for BootIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long this boot has lasted. In a container `/proc/uptime` is the machine's, so process 1 is what counts.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn uptime(paths: &Paths) -> Result<Duration> {
    let (path, text) = proc(paths, "uptime")?;
    let seconds = text.split_whitespace().next().and_then(|word| word.split('.').next()?.parse().ok());
    let machine = seconds.ok_or_else(|| Error::failed("read", path.display(), "it holds no number of seconds"))?;
    Ok(Duration::from_secs(age(machine, start_of_init(paths)?)))
}

/// When this boot began.
///
/// # Errors
/// As [`uptime`].
pub fn booted_at(paths: &Paths, now: Moment) -> Result<Moment> {
    let age = TimeDelta::from_std(uptime(paths)?).unwrap_or(TimeDelta::MAX);
    Ok(now.checked_sub_signed(age).unwrap_or(Moment::MIN_UTC))
}

/// lxcfs shows a container its own uptime, which can be less than the start of its process 1 in the machine's.
fn age(uptime: u64, start: u64) -> u64 {
    uptime.checked_sub(start / TICKS).unwrap_or(uptime)
}

fn start_of_init(paths: &Paths) -> Result<u64> {
    let (path, text) = proc(paths, "1/stat")?;
    proc_stat::parse(&text)
        .map(|stat| stat.start)
        .ok_or_else(|| Error::failed("read", path.display(), "it has no start time"))
}

fn proc(paths: &Paths, name: &str) -> Result<(PathBuf, String)> {
    let path = paths.at("/proc").join(name);
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    Ok((path, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;

    fn root(stat: &str, uptime: &str) -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/1")).unwrap();
        std::fs::create_dir_all(dir.path().join("proc/sys/kernel/random")).unwrap();
        std::fs::write(dir.path().join("proc/sys/kernel/random/boot_id"), "0a1b-2c\n").unwrap();
        std::fs::write(dir.path().join("proc/1/stat"), stat).unwrap();
        std::fs::write(dir.path().join("proc/uptime"), uptime).unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        (dir, paths)
    }

    fn stat(name: &str, start: &str) -> String {
        format!("1 ({name}) S {}{start} 1 2 3\n", "0 ".repeat(18))
    }

    #[test]
    fn the_identity_is_both_the_kernels_and_the_first_process_s() {
        let (_keep, paths) = root(&stat("init", "4711"), "100.00 0\n");
        assert_eq!(BootIdentity::current(&paths).unwrap().to_string(), "0a1b-2c/4711");
    }

    #[test]
    fn a_container_is_as_old_as_its_first_process() {
        let (_keep, paths) = root(&stat("init", "10000"), "160.42 3.00\n");
        assert_eq!(uptime(&paths).unwrap().as_secs(), 60);
        let now = clock::parse("2026-11-21T02:01:00Z").unwrap();
        assert_eq!(clock::stamp(booted_at(&paths, now).unwrap()), "2026-11-21T02:00:00Z");
    }

    #[test]
    fn an_uptime_that_is_already_the_containers_is_taken_as_it_is() {
        assert_eq!(age(7, 100_000), 7);
    }

    #[test]
    fn a_proc_that_makes_no_sense_is_an_error() {
        let (_keep, paths) = root("nonsense", "soon");
        assert!(BootIdentity::current(&paths).is_err());
        assert!(uptime(&paths).is_err());
    }

    #[test]
    fn this_machine_has_one() {
        let paths = Paths::system();
        assert_eq!(BootIdentity::current(&paths).unwrap(), BootIdentity::current(&paths).unwrap());
        assert!(booted_at(&paths, clock::now()).unwrap() <= clock::now());
    }
}
