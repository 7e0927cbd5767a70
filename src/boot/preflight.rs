//! What a host must have before it is patched, looked at the evening before, while there are still people about.
//!
//! Every finding has a name that scripts and mails can rely on. A check that cannot be made stops the run like one that
//! failed: at 2 a.m. nobody looks again.

mod database;
mod disk;
mod encryption;
mod maintenance;
mod room;
mod trigger;

use std::fmt;
use std::path::PathBuf;

use super::init::{self, Init};
use super::mounts::Tables;
use crate::config::{Config, Install};
use crate::error::Result;
use crate::paths::Paths;
use crate::sys::clock::Moment;

/// What a finding means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is in the way.
    Ok,
    /// Worth a look; the run goes on.
    Warn,
    /// The run must not go on.
    Stop,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name, which never changes: `room-boot`.
    pub id: &'static str,
    /// What it means.
    pub verdict: Verdict,
    /// What was seen.
    pub evidence: String,
    /// What to do about it; empty if there is nothing to do.
    pub remedy: String,
}

/// What the cluster will need.
#[derive(Debug, Clone)]
pub struct Need {
    /// Bytes that unpacking and installing it may take.
    pub bytes: u64,
    /// Where it is unpacked, as it is called inside the root.
    pub install_dir: PathBuf,
}

/// What other rooms know.
pub struct Known<'a> {
    /// Asks the package manager whether its database is whole; what is wrong and how to repair it, if not.
    pub package_database: &'a dyn Fn() -> std::result::Result<(), String>,
    /// Judges the administrator's programs that will be run after the installation; which one is unfit, and why.
    pub hooks: &'a dyn Fn() -> std::result::Result<(), String>,
    /// When the journal was last written to.
    pub last_record: Option<Moment>,
    /// The present moment.
    pub now: Moment,
}

/// Looks at everything; the findings come in a fixed order, one a check.
pub fn run(paths: &Paths, config: &Config, need: &Need, known: &Known) -> Vec<Finding> {
    let init = init::open(paths);
    let mut findings = vec![
        trigger::init(init.kind(), config.patchit.install),
        trigger::boot_trigger(init.trigger(), config.patchit.install),
        trigger::boot_hook(paths, init.kind(), config.patchit.install),
    ];
    findings.extend(file_systems(paths, &*init, config.patchit.install, need));
    findings.extend(room::all(paths, &config.preflight, need));
    findings.push(database::package_database((known.package_database)()));
    findings.push(hooks((known.hooks)()));
    findings.push(disk::relabel(paths.at("/.autorelabel").symlink_metadata().is_ok()));
    findings.push(database::reboot_pending(paths));
    findings.push(disk::clock(known.now, known.last_record));
    findings
}

/// A program that nobody may run would be found when the host is patched and somebody waits for its yes.
fn hooks(fit: std::result::Result<(), String>) -> Finding {
    match fit {
        Ok(()) => Finding::ok("hooks", "fit"),
        Err(what) => Finding::stop("hooks", what, "it would be run after the installation"),
    }
}

fn file_systems(paths: &Paths, init: &dyn Init, install: Install, need: &Need) -> Vec<Finding> {
    let tables = match Tables::read(paths) {
        Ok(tables) => tables,
        Err(error) => return vec![Finding::unknown("mounted-in-maintenance", &error)],
    };
    vec![
        encryption::encrypted_root(paths, &tables),
        disk::etc_writable(paths, &tables),
        maintenance::mounted(paths, init.kind(), install, &tables, need),
    ]
}

impl Finding {
    fn ok(id: &'static str, evidence: impl Into<String>) -> Self {
        Self { id, verdict: Verdict::Ok, evidence: evidence.into(), remedy: String::new() }
    }

    fn warn(id: &'static str, evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { id, verdict: Verdict::Warn, evidence: evidence.into(), remedy: remedy.into() }
    }

    fn stop(id: &'static str, evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { id, verdict: Verdict::Stop, evidence: evidence.into(), remedy: remedy.into() }
    }

    /// The check could not be made.
    fn unknown(id: &'static str, error: &crate::error::Error) -> Self {
        Self::stop(id, error.to_string(), "correct that, and look again")
    }

    fn of(id: &'static str, finding: Result<Self>) -> Self {
        finding.unwrap_or_else(|error| Self::unknown(id, &error))
    }
}

/// `room-boot: stop: 12 MiB are free on /boot …; remove old kernels`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.id, self.verdict, self.evidence)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Stop => "stop",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;

    /// A plain container root: overlay on `/`, no fstab, sysvinit.
    fn container() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        for folder in ["etc/rc1.d", "proc/self", "sbin", "var", "boot", "usr/sbin"] {
            std::fs::create_dir_all(paths.at(format!("/{folder}"))).unwrap();
        }
        std::fs::write(paths.at("/etc/inittab"), "id:2:initdefault:\n").unwrap();
        std::fs::write(paths.at("/sbin/init"), "").unwrap();
        std::os::unix::fs::symlink("/bin/sh", paths.at("/etc/rc1.d/S02patchit")).unwrap();
        std::fs::write(paths.at("/proc/self/mountinfo"), "1 0 0:9 / / rw - overlay overlay rw\n").unwrap();
        (dir, paths)
    }

    fn look(paths: &Paths, bytes: u64) -> Vec<Finding> {
        let need = Need { bytes, install_dir: "/var/lib/patch/x".into() };
        let config = Config::parse("[preflight]\nroot_free = 1K\nvar_free = 1K\nboot_free = 1K\n", "f").unwrap();
        let now = clock::parse("2026-11-21T02:00:00Z").unwrap();
        let known = Known { package_database: &|| Ok(()), hooks: &|| Ok(()), last_record: None, now };
        run(paths, &config, &need, &known)
    }

    #[test]
    fn a_plain_container_has_nothing_in_the_way() {
        let (_keep, paths) = container();
        for finding in look(&paths, 1024) {
            assert_eq!(finding.verdict, Verdict::Ok, "{finding}");
        }
    }

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let (_keep, paths) = container();
        let mut names: Vec<_> = look(&paths, 0).iter().map(|f| f.id).collect();
        names.sort_unstable();
        let all = [
            "boot-hook",
            "boot-trigger",
            "clock",
            "encrypted-root",
            "etc-writable",
            "hooks",
            "init",
            "mounted-in-maintenance",
            "package-database",
            "reboot-pending",
            "relabel",
            "room-boot",
            "room-root",
            "room-var",
        ];
        assert_eq!(names, all);
    }

    #[test]
    fn a_cluster_larger_than_the_disk_stops_the_run() {
        let (_keep, paths) = container();
        let stops: Vec<_> = look(&paths, u64::MAX / 2).into_iter().filter(|f| f.verdict == Verdict::Stop).collect();
        assert_eq!(stops.iter().map(|f| f.id).collect::<Vec<_>>(), ["room-root", "room-var"]);
    }
}
