//! sysvinit: the trigger is `initdefault` in `/etc/inittab`, the level comes from utmp.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::init::{Init, Kind, Level, Trigger, ask, reboot_by};
use super::inittab::{self, Order};
use super::mounts;
use super::services::{self, Services};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::process::{Ended, Job};
use crate::sys::replace;

/// More than any inittab has.
const LIMIT: u64 = 1 << 20;
const INITTAB: &str = "inittab";
/// How long a script of init.d may take to say whether its service runs.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// See [`Kind::Sysvinit`].
#[derive(Debug)]
pub struct Sysvinit {
    paths: Paths,
}

impl Sysvinit {
    pub fn new(paths: Paths) -> Self {
        Self { paths }
    }

    fn read(&self) -> Result<(Dir, Vec<u8>)> {
        let dir = Dir::open(&self.paths.etc())?;
        let missing = || Error::failed("read", self.paths.inittab().display(), "it is not there");
        let text = dir.read(INITTAB, LIMIT)?.ok_or_else(missing)?;
        Ok((dir, text))
    }
}

impl Init for Sysvinit {
    fn kind(&self) -> Kind {
        Kind::Sysvinit
    }

    fn level(&self) -> Result<Level> {
        let utmp = ask(&self.paths, &["runlevel"]);
        let variable = |name| std::env::var(name).ok();
        let level = level(utmp.as_deref(), variable("PREVLEVEL").as_deref(), variable("RUNLEVEL").as_deref());
        match (level, self.running_rc()) {
            (Level::Normal(now), Some(rc)) => {
                Ok(Level::Other(format!("still booting to level {now}: {rc} is not over")))
            }
            (level, _) => Ok(level),
        }
    }

    fn trigger(&self) -> Result<Trigger> {
        Ok(match inittab::state(&self.read()?.1) {
            Order::Normal(_) => Trigger::Down,
            Order::Maintenance(_) => Trigger::Up,
            Order::Odd(why) => Trigger::Foreign(format!("{}: {why}", self.paths.inittab().display())),
        })
    }

    fn order(&self) -> Result<()> {
        let (dir, old) = self.read()?;
        let new = inittab::order(&old).map_err(|why| Error::refused(self.paths.inittab().display(), why))?;
        if new == old { Ok(()) } else { replace::replace_kept(&dir, INITTAB, &new) }
    }

    fn undo(&self) -> Result<bool> {
        let (dir, old) = self.read()?;
        match inittab::undo(&old) {
            Some(new) => replace::replace_kept(&dir, INITTAB, &new).map(|()| true),
            None => Ok(false),
        }
    }

    fn normal_level(&self) -> Result<String> {
        match inittab::state(&self.read()?.1) {
            Order::Normal(level) | Order::Maintenance(level) => Ok(level),
            Order::Odd(why) => Err(Error::failed("tell the normal level from", self.paths.inittab().display(), why)),
        }
    }

    fn reboot(&self) -> Result<()> {
        reboot_by(&self.paths, &[&["shutdown", "-r", "now"], &["reboot"]])
    }

    fn services(&self) -> Result<Services> {
        let level = self.normal_level()?;
        // A link on some systems; nothing but names is taken from there.
        let folder = self.paths.at(mounts::resolve(&self.paths, &self.paths.at(format!("/etc/rc{level}.d"))));
        let links = match Dir::open(&folder) {
            Err(error) if error.is_missing() => Vec::new(),
            dir => dir?.names()?,
        };
        let names = links.iter().filter_map(|link| services::started_by(link));
        Ok(Services::running(names.filter(|name| self.runs(name))))
    }
}

impl Sysvinit {
    /// The command line of a process that is starting or stopping the services of a level.
    fn running_rc(&self) -> Option<String> {
        let processes = std::fs::read_dir(self.paths.at("/proc")).ok()?;
        processes.flatten().map(|entry| entry.path()).find_map(|process| {
            let words = rc_command(&std::fs::read(process.join("cmdline")).ok()?)?;
            is_roots_own(&process).then_some(words)
        })
    }

    /// Whether the script says so itself, by exit code 0 of `status` (LSB core, "Init Script Actions"). A script without
    /// that action prints its usage and exits with another code: then nothing is known, and nothing is compared.
    fn runs(&self, name: &str) -> bool {
        let script = format!("/etc/init.d/{name}");
        let job = Job::new([script.as_str(), "status"]).inside(self.paths.root());
        let done = job.deadline(STATUS_PATIENCE, Duration::from_secs(1)).run();
        done.is_ok_and(|done| done.ended == Ended::Code(0))
    }
}

/// Whether this is the command line of init's script for a level: `/etc/init.d/rc 2`, started by itself or by a shell.
fn rc_command(cmdline: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(cmdline);
    let words: Vec<&str> = text.split('\0').collect();
    let is_rc =
        |pair: &&[&str]| matches!(pair[0], "/etc/init.d/rc" | "/lib/init/rc" | "/etc/rc.d/rc") && pair[1].len() == 1;
    words.windows(2).take(2).find(is_rc).map(|pair| pair.join(" "))
}

/// Whether root started a process: anybody may give his own any command line, and could keep a host from being patched by it.
/// A program with the setuid bit is anybody's as well, whatever it has made of its user ids.
fn is_roots_own(process: &Path) -> bool {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let is_root = ids.is_some_and(|ids| ids.split_whitespace().all(|id| id == "0"));
    is_root && std::fs::metadata(process.join("exe")).map_or(true, |exe| exe.mode() & 0o4000 == 0)
}

/// Understands what runlevel(8) printed: the level before and the level now. init tells its children the same by `PREVLEVEL`
/// and `RUNLEVEL`, but a variable is inherited by whoever is left over from another level: it is asked only where
/// utmp knows nothing.
fn level(utmp: Option<&str>, previous: Option<&str>, current: Option<&str>) -> Level {
    let printed = utmp.and_then(|text| text.trim().split_once(' '));
    let told = previous.zip(current);
    match printed.or(told) {
        // An ordered boot, or a level 1 on the kernel's command line; the latter is the escape hatch's business.
        Some(("N", "1")) => Level::Maintenance,
        Some((_, now @ ("2" | "3" | "4" | "5"))) => Level::Normal(now.into()),
        Some((before, "1")) => Level::Other(format!("level 1, come to by hand from level {before}")),
        Some((_, "S")) => Level::Other("single-user mode".into()),
        Some((_, "0" | "6")) => Level::Other("shutting down".into()),
        Some((_, now)) => Level::Other(format!("level {now}")),
        None => Level::Other("still booting: no level is known".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn root(inittab: &str) -> (tempfile::TempDir, Sysvinit) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/inittab"), inittab).unwrap();
        let init = Sysvinit::new(Paths::below_root(dir.path()).unwrap());
        (dir, init)
    }

    #[test]
    fn only_level_1_straight_from_the_boot_is_a_maintenance_boot() {
        assert_eq!(level(Some("N 1\n"), None, None), Level::Maintenance);
        assert!(matches!(level(Some("2 1\n"), None, None), Level::Other(_)));
        assert!(matches!(level(Some("S 1\n"), None, None), Level::Other(_)));
        assert!(matches!(level(Some("1 S\n"), None, None), Level::Other(_)));
        assert!(matches!(level(Some("1 6\n"), None, None), Level::Other(_)));
        assert_eq!(level(Some("N 2\n"), None, None), Level::Normal("2".into()));
        assert_eq!(level(Some("S 3\n"), None, None), Level::Normal("3".into()));
    }

    #[test]
    fn the_environment_is_asked_only_where_utmp_knows_nothing() {
        assert_eq!(level(Some("unknown\n"), Some("N"), Some("1")), Level::Maintenance);
        assert_eq!(level(None, Some("N"), Some("2")), Level::Normal("2".into()));
        assert_eq!(level(Some("N 2\n"), Some("N"), Some("1")), Level::Normal("2".into()));
        assert!(matches!(level(Some("unknown\n"), None, None), Level::Other(_)));
        assert!(matches!(level(Some("unknown\n"), None, Some("1")), Level::Other(_)));
    }

    #[test]
    fn a_level_whose_scripts_still_run_is_not_reached() {
        assert_eq!(rc_command(b"/bin/sh\0/etc/init.d/rc\x002\0").unwrap(), "/etc/init.d/rc 2");
        assert_eq!(rc_command(b"/etc/rc.d/rc\x003\0").unwrap(), "/etc/rc.d/rc 3");
        for other in [&b"/bin/sh\0/etc/init.d/rc.local\0start\0"[..], b"vi\0/etc/init.d/rc\0", b"", b"\0\0"] {
            assert_eq!(rc_command(other), None);
        }
    }

    #[test]
    fn a_process_of_somebody_else_s_keeps_no_host_from_its_level() {
        let (keep, init) = root("id:2:initdefault:\n");
        let process = keep.path().join("proc/7");
        std::fs::create_dir_all(&process).unwrap();
        std::fs::write(process.join("cmdline"), b"/etc/init.d/rc\x002\0").unwrap();
        for (ids, is_rc) in [("0\t0\t0\t0", true), ("65534\t65534\t65534\t65534", false), ("1000\t0\t0\t0", false)] {
            std::fs::write(process.join("status"), format!("Name:\trc\nUid:\t{ids}\nGid:\t0\n")).unwrap();
            assert_eq!(init.running_rc().is_some(), is_rc, "{ids}");
        }
        std::fs::write(process.join("status"), "Uid:\t0\t0\t0\t0\n").unwrap();
        std::fs::write(process.join("exe"), "").unwrap();
        assert!(init.running_rc().is_some());
        std::fs::set_permissions(process.join("exe"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        assert!(init.running_rc().is_none());
    }

    #[test]
    fn an_order_and_its_undo_leave_the_file_as_it_was() {
        let (keep, init) = root("id:3:initdefault:\n");
        let path = keep.path().join("etc/inittab");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(init.trigger().unwrap(), Trigger::Down);
        init.order().unwrap();
        init.order().unwrap();
        assert_eq!(init.trigger().unwrap(), Trigger::Up);
        assert_eq!(init.normal_level().unwrap(), "3");
        assert!(init.undo().unwrap());
        assert!(!init.undo().unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "id:3:initdefault:\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn an_odd_inittab_is_left_alone_and_named() {
        let (keep, init) = root("id:1:initdefault:\n");
        assert!(matches!(init.trigger().unwrap(), Trigger::Foreign(_)));
        let words = init.order().unwrap_err().to_string();
        assert!(words.contains("etc/inittab: line 1:"), "{words}");
        assert!(!init.undo().unwrap());
        assert_eq!(std::fs::read_to_string(keep.path().join("etc/inittab")).unwrap(), "id:1:initdefault:\n");
    }

    #[test]
    fn an_inittab_that_is_a_link_is_not_replaced_by_a_file() {
        let (keep, init) = root("id:3:initdefault:\n");
        std::fs::rename(keep.path().join("etc/inittab"), keep.path().join("etc/real")).unwrap();
        std::os::unix::fs::symlink("real", keep.path().join("etc/inittab")).unwrap();
        assert!(matches!(init.order(), Err(Error::Refused { .. })));
    }
}
