//! Init systems behind one trait.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::services::Services;
use super::systemd::Systemd;
use super::sysvinit::Sysvinit;
use super::unknown::Unknown;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::process::{Ended, Job};
use crate::sys::replace;

/// Which init system this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// sysvinit with an `/etc/inittab`.
    Sysvinit,
    /// systemd.
    Systemd,
    /// Something whose maintenance boot we do not know; only `install = live` works there.
    Other,
}

/// Where a boot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// The normal level, or one like it: `2` to `5`, or a target such as `multi-user.target`.
    Normal(String),
    /// A maintenance boot: the trigger brought it up, and nobody has left that level since.
    Maintenance,
    /// Neither, and what: single-user mode by hand, rescue, a boot or a shutdown under way. Nothing is installed here.
    Other(String),
}

/// Whether the next boot will be a maintenance boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// It will: we ordered it.
    Up,
    /// It will not.
    Down,
    /// Something is there that is not ours, and must not be touched; what it is and what to do about it.
    Foreign(String),
}

/// What an init system can tell, and what can be done to it.
pub trait Init {
    /// Which one it is.
    fn kind(&self) -> Kind;

    /// Where this boot stands. A level that cannot be told is [`Level::Other`]: nothing is done there.
    ///
    /// # Errors
    /// [`Error::Io`] if something that should be readable is not.
    fn level(&self) -> Result<Level>;

    /// Whether a maintenance boot is ordered.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Refused`] if what stands there cannot be trusted.
    fn trigger(&self) -> Result<Trigger>;

    /// Orders the maintenance boot, durably. Ordering it twice is ordering it once.
    ///
    /// # Errors
    /// [`Error::Refused`] if something of somebody else's is in the way; nothing has changed then.
    fn order(&self) -> Result<()>;

    /// Takes the order back, durably; `false` means that there was none of ours. Works whatever else has become of the host.
    ///
    /// # Errors
    /// [`Error::Io`]; the order then still stands.
    fn undo(&self) -> Result<bool>;

    /// The level that a boot without an order goes to, whether one is ordered or not.
    ///
    /// # Errors
    /// If the configuration of the init system does not say.
    fn normal_level(&self) -> Result<String>;

    /// Reboots the machine; below another root it does nothing. It returns while the host goes down.
    ///
    /// # Errors
    /// If no command for it succeeds.
    fn reboot(&self) -> Result<()>;

    /// Which services run and which have failed.
    ///
    /// # Errors
    /// If the init system does not answer.
    fn services(&self) -> Result<Services>;
}

/// Tells the init system of a root. Of this machine it is the running one; of another root, the one it was last booted with or
/// would be.
pub fn detect(paths: &Paths) -> Kind {
    // sd_booted(3): this directory is there if and only if systemd is the running init.
    if paths.at("/run/systemd/system").is_dir() {
        return Kind::Systemd;
    }
    // An inittab without its init is a leftover of a conversion; a link of /sbin/init may lead into the root.
    let init = paths.at("/sbin/init");
    let has_init = init.symlink_metadata().is_ok() && !leads_to_systemd(&init);
    if has_init && paths.inittab().is_file() { Kind::Sysvinit } else { Kind::Other }
}

fn leads_to_systemd(init: &Path) -> bool {
    std::fs::read_link(init).is_ok_and(|target| target.ends_with("systemd"))
}

/// The init system of a root.
pub fn open(paths: &Paths) -> Box<dyn Init> {
    let paths = paths.clone();
    match detect(&paths) {
        Kind::Sysvinit => Box::new(Sysvinit::new(paths)),
        Kind::Systemd => Box::new(Systemd::new(paths)),
        Kind::Other => Box::new(Unknown::new(paths)),
    }
}

/// Removes what an order that was cut short has left beside sysvinit's table. init never reads it, but it is no business of the
/// next administrator's either.
pub fn tidy(etc: &Dir) {
    replace::tidy(etc, "inittab");
}

/// How long a question to the init system may take. A busy host, or an emulated one, needs half a minute for a list of units.
const PATIENCE: Duration = Duration::from_mins(2);

/// Asks a program of the init system; what it printed, whatever its exit code. `None` if it is not there or does not answer.
pub(super) fn ask(paths: &Paths, argv: &[&str]) -> Option<String> {
    let done = Job::new(argv).inside(paths.root()).deadline(PATIENCE, Duration::from_secs(1)).run().ok()?;
    // From 125 on it is chroot(1) that speaks: below that root there is no such program.
    matches!(done.ended, Ended::Code(0..125)).then(|| done.text())
}

/// Runs the first command that succeeds.
pub(super) fn reboot_by(paths: &Paths, commands: &[&[&str]]) -> Result<()> {
    if !paths.is_system() {
        return Ok(());
    }
    let mut reasons = Vec::new();
    for argv in commands {
        match Job::new(*argv).deadline(Duration::from_mins(1), PATIENCE).run() {
            Ok(done) if done.is_success() => return Ok(()),
            Ok(done) => reasons.push(format!("{}: {}", argv.join(" "), done.reason())),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(Error::failed("reboot", "this host", format!("{}; reboot it by hand", reasons.join("; "))))
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal(name) | Self::Other(name) => f.write_str(name),
            Self::Maintenance => f.write_str("maintenance"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root(files: &[&str], dirs: &[&str]) -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        for name in dirs {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for name in files {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let paths = Paths::below_root(dir.path()).unwrap();
        (dir, paths)
    }

    #[test]
    fn each_init_system_is_told_by_what_only_it_has() {
        assert_eq!(detect(&root(&["etc/inittab", "sbin/init"], &["run/systemd/system"]).1), Kind::Systemd);
        assert_eq!(detect(&root(&["etc/inittab", "sbin/init"], &[]).1), Kind::Sysvinit);
        assert_eq!(detect(&root(&["etc/inittab"], &[]).1), Kind::Other);
        assert_eq!(detect(&root(&["sbin/init"], &[]).1), Kind::Other);
        assert_eq!(detect(&root(&[], &[]).1), Kind::Other);
    }

    #[test]
    fn an_inittab_left_behind_by_a_conversion_is_no_sysvinit() {
        let (keep, paths) = root(&["etc/inittab"], &["sbin"]);
        symlink("/lib/systemd/systemd", keep.path().join("sbin/init")).unwrap();
        assert_eq!(detect(&paths), Kind::Other);
    }

    #[test]
    fn a_root_without_the_program_gives_no_answer_instead_of_an_excuse() {
        let (_keep, paths) = root(&[], &["bin"]);
        assert_eq!(ask(&paths, &["runlevel"]), None);
    }

    #[test]
    fn another_root_is_never_rebooted() {
        let (_keep, paths) = root(&["etc/inittab", "sbin/init"], &[]);
        assert!(open(&paths).reboot().is_ok());
    }
}
