//! systemd: the trigger is `/system-update`, systemd.offline-updates(7).
//!
//! The link is ours if it points to our directory; whatever else stands there is another updater's, who alone may act in that
//! boot and alone removes it. The directory holds one file, [`SIGN`]: our unit's `ConditionPathExists=/system-update/SIGN`
//! is true only through our link, so the unit stays out of other updaters' boots whatever the version of systemd.

use std::path::{Path, PathBuf};

use super::cmdline;
use super::init::{Init, Kind, Level, Trigger, ask, reboot_by};
use super::services::{self, Services};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::replace;

/// What the unit looks for behind the link.
const SIGN: &str = "patchflag";
/// Where a unit of the administrator, and then of the distribution, is looked for; systemd.unit(5).
pub(super) const UNIT_FOLDERS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// Normal targets that a boot may have been sent to by hand.
const NORMAL_TARGETS: [&str; 2] = ["graphical.target", "multi-user.target"];
/// Links from alias to alias are followed this far.
const DEPTH: usize = 8;

/// See [`Kind::Systemd`].
#[derive(Debug)]
pub struct Systemd {
    paths: Paths,
}

/// What stands under one of the trigger's names.
enum Found {
    Nothing,
    Ours,
    Foreign(String),
}

impl Systemd {
    pub fn new(paths: Paths) -> Self {
        Self { paths }
    }

    /// What the link points to, as seen inside the root.
    fn target(&self) -> PathBuf {
        self.paths.inside(&self.paths.offline_update())
    }

    fn look(&self, path: &Path) -> Result<Found> {
        let foreign = |what: String| {
            let shown = self.paths.inside(path);
            Found::Foreign(format!("{} {what}; let its updater finish, or remove it", shown.display()))
        };
        match std::fs::read_link(path) {
            Ok(target) if target == self.target() => Ok(Found::Ours),
            Ok(target) => Ok(foreign(format!("points to {}", target.display()))),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(why) if why.raw_os_error() == Some(nix::libc::EINVAL) => Ok(foreign("is no link".into())),
            Err(why) => Err(Error::io("look at", path)(why)),
        }
    }

    /// Whether the generator sent this boot to the update target and nothing on the command line sent it elsewhere.
    fn is_update_boot(&self) -> Result<bool> {
        let link = self.paths.at("/run/systemd/generator.early/default.target");
        let sent = std::fs::read_link(link).is_ok_and(|target| target.ends_with("system-update.target"));
        if !sent {
            return Ok(false);
        }
        let path = self.paths.at("/proc/cmdline");
        let cmdline = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Ok(!cmdline::overrides_level(&cmdline))
    }
}

impl Init for Systemd {
    fn kind(&self) -> Kind {
        Kind::Systemd
    }

    fn level(&self) -> Result<Level> {
        let normal = self.normal_level()?;
        let targets = [normal.as_str(), NORMAL_TARGETS[0], NORMAL_TARGETS[1]];
        let active = ask(&self.paths, &["systemctl", "is-active", targets[0], targets[1], targets[2]]);
        let active = first_active(&targets, &active.unwrap_or_default());
        let state = ask(&self.paths, &["systemctl", "is-system-running"]).unwrap_or_default();
        Ok(level(self.is_update_boot()?, active, state.trim()))
    }

    fn trigger(&self) -> Result<Trigger> {
        let mut up = false;
        for path in self.paths.system_update() {
            match self.look(&path)? {
                Found::Nothing => {}
                Found::Ours => up = true,
                Found::Foreign(what) => return Ok(Trigger::Foreign(what)),
            }
        }
        Ok(if up { Trigger::Up } else { Trigger::Down })
    }

    fn order(&self) -> Result<()> {
        match self.trigger()? {
            Trigger::Foreign(what) => return Err(Error::refused("to order a maintenance boot", what)),
            Trigger::Up | Trigger::Down => {}
        }
        // Before the link: a boot that follows it must find what it leads to.
        let ours = Dir::create(&self.paths.offline_update(), 0o755)?;
        replace::replace(&ours, SIGN, b"", 0o644)?;
        let root = Dir::open(self.paths.root())?;
        let [path, _] = self.paths.system_update();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if replace::symlink_new(&root, &name, self.target())? {
            return Ok(());
        }
        if matches!(self.look(&path)?, Found::Ours) {
            // A start that was cut short may have left it unflushed.
            return root.sync();
        }
        Err(Error::refused(path.display(), "somebody else has just put it there; try again when it is gone"))
    }

    fn undo(&self) -> Result<bool> {
        let mut undone = false;
        for path in self.paths.system_update() {
            if matches!(self.look(&path)?, Found::Ours) {
                let (above, name) = crate::sys::trusted::split(&path)?;
                undone |= Dir::open(above)?.remove(name)?;
            }
        }
        Ok(undone)
    }

    fn normal_level(&self) -> Result<String> {
        let mut name = String::from("default.target");
        for _ in 0..DEPTH {
            let found = UNIT_FOLDERS.iter().find_map(|folder| {
                let path = self.paths.at(folder).join(&name);
                path.symlink_metadata().is_ok().then_some(path)
            });
            let Some(path) = found else {
                return Err(Error::failed("tell the normal target:", name, "no such unit; systemctl set-default one"));
            };
            match std::fs::read_link(&path).ok().as_deref().and_then(Path::file_name) {
                Some(target) => name = target.to_string_lossy().into_owned(),
                None => return Ok(name),
            }
        }
        Err(Error::failed("tell the normal target:", name, "its links lead in a circle; systemctl set-default one"))
    }

    fn reboot(&self) -> Result<()> {
        reboot_by(&self.paths, &[&["systemctl", "reboot"], &["reboot"]])
    }

    fn services(&self) -> Result<Services> {
        let list = |argv: &[&str]| {
            ask(&self.paths, argv).ok_or_else(|| Error::failed("ask", argv.join(" "), "it does not answer"))
        };
        let options = ["--no-legend", "--plain", "--no-pager", "--full"];
        let units = list(
            &[&["systemctl", "list-units", "--all", "--type=service,socket,timer,mount,path"], &options[..]].concat(),
        )?;
        let files =
            list(&[&["systemctl", "list-unit-files", "--state=enabled", "--type=service"], &options[..]].concat())?;
        Ok(services::of_systemd(&units, &files))
    }
}

/// The first of the targets whose line says `active`.
fn first_active<'a>(targets: &[&'a str], answer: &str) -> Option<&'a str> {
    targets.iter().zip(answer.lines()).find(|(_, line)| line.trim() == "active").map(|(target, _)| *target)
}

/// Puts together what the boot was sent to, which normal target it has reached, and what `is-system-running` said.
fn level(update_boot: bool, active: Option<&str>, state: &str) -> Level {
    match (active, state) {
        (_, "stopping") => Level::Other("shutting down".into()),
        (_, "maintenance") => Level::Other("rescue or emergency mode".into()),
        (Some(target), "running" | "degraded") => Level::Normal(target.into()),
        (Some(target), _) => Level::Other(format!("still booting: {target} is reached, its jobs are not over")),
        // No answer at all counts too: early in such a boot there may be nobody to answer.
        (None, _) if update_boot => Level::Maintenance,
        (None, "initializing" | "starting") => Level::Other("still booting".into()),
        (None, state) => Level::Other(format!("no normal target is reached; systemd says {state:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, Systemd) {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["etc/systemd/system", "lib/systemd/system", "proc", "run/systemd/generator.early"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let system = Systemd::new(Paths::below_root(dir.path()).unwrap());
        (dir, system)
    }

    #[test]
    fn the_order_is_a_link_to_our_directory_with_our_sign_in_it() {
        let (keep, init) = root();
        init.order().unwrap();
        init.order().unwrap();
        assert_eq!(init.trigger().unwrap(), Trigger::Up);
        let target = std::fs::read_link(keep.path().join("system-update")).unwrap();
        assert_eq!(target, Path::new("/var/lib/patch/system-update"));
        assert!(keep.path().join("var/lib/patch/system-update/patchflag").is_file());
        assert!(init.undo().unwrap());
        assert!(!init.undo().unwrap());
        assert_eq!(init.trigger().unwrap(), Trigger::Down);
    }

    #[test]
    fn what_another_updater_put_there_is_never_touched() {
        for name in ["system-update", "etc/system-update"] {
            let (keep, init) = root();
            symlink("/var/lib/PackageKit", keep.path().join(name)).unwrap();
            assert!(matches!(init.trigger().unwrap(), Trigger::Foreign(_)), "{name}");
            assert!(matches!(init.order(), Err(Error::Refused { .. })), "{name}");
            assert!(!init.undo().unwrap());
            assert_eq!(std::fs::read_link(keep.path().join(name)).unwrap(), Path::new("/var/lib/PackageKit"));
        }
        let (keep, init) = root();
        std::fs::write(keep.path().join("system-update"), "").unwrap();
        let Trigger::Foreign(words) = init.trigger().unwrap() else { panic!() };
        assert!(words.starts_with("/system-update is no link"), "{words}");
    }

    #[test]
    fn our_own_link_is_undone_beside_another_updaters() {
        let (keep, init) = root();
        init.order().unwrap();
        symlink("/elsewhere", keep.path().join("etc/system-update")).unwrap();
        assert!(init.undo().unwrap());
        assert!(!keep.path().join("system-update").is_symlink());
        assert!(keep.path().join("etc/system-update").is_symlink());
    }

    #[test]
    fn the_normal_target_is_found_through_its_aliases() {
        let (keep, init) = root();
        assert!(init.normal_level().is_err());
        let lib = keep.path().join("lib/systemd/system");
        std::fs::write(lib.join("graphical.target"), "").unwrap();
        symlink("graphical.target", lib.join("default.target")).unwrap();
        assert_eq!(init.normal_level().unwrap(), "graphical.target");
        std::fs::write(lib.join("multi-user.target"), "").unwrap();
        symlink("multi-user.target", lib.join("runlevel3.target")).unwrap();
        symlink("/lib/systemd/system/runlevel3.target", keep.path().join("etc/systemd/system/default.target")).unwrap();
        assert_eq!(init.normal_level().unwrap(), "multi-user.target");
    }

    #[test]
    fn a_circle_of_aliases_is_an_error() {
        let (keep, init) = root();
        symlink("default.target", keep.path().join("etc/systemd/system/default.target")).unwrap();
        assert!(init.normal_level().is_err());
    }

    #[test]
    fn an_update_boot_is_one_that_the_generator_made_and_nobody_overrode() {
        let (keep, init) = root();
        std::fs::write(keep.path().join("proc/cmdline"), "ro quiet\n").unwrap();
        assert!(!init.is_update_boot().unwrap());
        let link = keep.path().join("run/systemd/generator.early/default.target");
        symlink("/lib/systemd/system/system-update.target", link).unwrap();
        assert!(init.is_update_boot().unwrap());
        std::fs::write(keep.path().join("proc/cmdline"), "ro systemd.unit=multi-user.target\n").unwrap();
        assert!(!init.is_update_boot().unwrap());
    }

    #[test]
    fn each_state_of_a_boot_has_its_level() {
        assert_eq!(level(true, None, "starting"), Level::Maintenance);
        assert_eq!(level(true, None, ""), Level::Maintenance);
        assert_eq!(level(false, Some("multi-user.target"), "degraded"), Level::Normal("multi-user.target".into()));
        for (update, active, state) in [
            (true, None, "maintenance"),
            (true, None, "stopping"),
            (true, Some("multi-user.target"), "starting"),
            (false, None, "starting"),
            (false, None, "running"),
            (false, Some("multi-user.target"), "starting"),
            (false, Some("multi-user.target"), "stopping"),
        ] {
            assert!(matches!(level(update, active, state), Level::Other(_)), "{active:?} {state}");
        }
    }

    #[test]
    fn the_first_active_target_is_the_one_that_was_asked_for_first() {
        let targets = ["a.target", "b.target", "c.target"];
        assert_eq!(first_active(&targets, "inactive\nactive\nactive\n"), Some("b.target"));
        assert_eq!(first_active(&targets, "inactive\nfailed\n"), None);
        assert_eq!(first_active(&targets, ""), None);
    }
}
