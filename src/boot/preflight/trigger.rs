//! `init`, `boot-trigger`, `boot-hook`: whether a maintenance boot can be ordered at all, and whether it would start us.

use super::Finding;
use crate::boot::init::{Kind, Trigger};
use crate::boot::mounts;
use crate::boot::systemd::UNIT_FOLDERS;
use crate::config::Install;
use crate::error::Result;
use crate::paths::Paths;

const UNIT: &str = "patchit-offline.service";

pub fn init(kind: Kind, install: Install) -> Finding {
    match (kind, install) {
        (Kind::Sysvinit, _) => Finding::ok("init", "sysvinit"),
        (Kind::Systemd, _) => Finding::ok("init", "systemd"),
        (Kind::Other, Install::Live) => Finding::ok("init", "an unknown init system, and nothing is asked of it"),
        (Kind::Other, Install::Boot) => {
            Finding::stop("init", "neither sysvinit nor systemd", "set install = live in section [patchit]")
        }
    }
}

pub fn boot_trigger(trigger: Result<Trigger>, install: Install) -> Finding {
    const ID: &str = "boot-trigger";
    match (trigger, install) {
        (_, Install::Live) => Finding::ok(ID, "no boot is ordered"),
        (Ok(Trigger::Down), _) => Finding::ok(ID, "down"),
        (Ok(Trigger::Up), _) => {
            let remedy = "patchit --finish takes back an order that nobody waits for";
            Finding::warn(ID, "a maintenance boot is already ordered", remedy)
        }
        (Ok(Trigger::Foreign(what)), _) => Finding::stop(ID, what, "then look again"),
        (Err(error), _) => Finding::unknown(ID, &error),
    }
}

/// Whether init will start patchit in the maintenance boot. A boot to level 1 that does not would stay there for good.
pub fn boot_hook(paths: &Paths, kind: Kind, install: Install) -> Finding {
    const ID: &str = "boot-hook";
    match (kind, install) {
        (_, Install::Live) | (Kind::Other, _) => Finding::ok(ID, "no boot is ordered"),
        (Kind::Sysvinit, _) => match sysv_script(paths) {
            Ok(link) => Finding::ok(ID, format!("/etc/rc1.d/{link}")),
            Err(why) => Finding::stop(ID, why, "install patchflag again, and run: update-rc.d patchit defaults"),
        },
        (Kind::Systemd, _) => match systemd_unit(paths) {
            Ok(unit) => Finding::ok(ID, unit),
            Err(why) => Finding::stop(ID, why, "install patchflag again"),
        },
    }
}

/// The link of level 1, which must come before that of `single`.
fn sysv_script(paths: &Paths) -> std::result::Result<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let folder = paths.at(mounts::resolve(paths, &paths.at("/etc/rc1.d")));
    let mut links: Vec<String> = std::fs::read_dir(&folder)
        .map_err(|why| format!("cannot read {}: {why}", folder.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    links.sort();
    let starts = |name: &str| links.iter().find(|link| link.starts_with('S') && link.get(3..) == Some(name));
    let ours = starts("patchit").ok_or("level 1 would not start patchit, and would be the end of the boot")?;
    if starts("single").is_some_and(|single| single < ours) {
        return Err(format!("{ours} comes behind single in /etc/rc1.d, which ends that level"));
    }
    let script = std::fs::metadata(folder.join(ours)).map_err(|why| format!("cannot use /etc/rc1.d/{ours}: {why}"))?;
    if script.permissions().mode() & 0o111 == 0 {
        return Err(format!("/etc/rc1.d/{ours} is not executable"));
    }
    Ok(ours.clone())
}

fn systemd_unit(paths: &Paths) -> std::result::Result<String, String> {
    let masked =
        |folder: &str| std::fs::read_link(paths.at(folder).join(UNIT)).is_ok_and(|to| to.ends_with("dev/null"));
    if masked(UNIT_FOLDERS[0]) {
        return Err(format!("{UNIT} is masked"));
    }
    let wanted = UNIT_FOLDERS.iter().map(|folder| format!("{folder}/system-update.target.wants/{UNIT}"));
    let has_unit = UNIT_FOLDERS.iter().any(|folder| paths.at(folder).join(UNIT).is_file());
    wanted
        .into_iter()
        .find(|link| has_unit && paths.at(link).symlink_metadata().is_ok())
        .ok_or_else(|| format!("system-update.target does not want {UNIT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn root(folders: &[&str]) -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        for folder in folders {
            std::fs::create_dir_all(paths.at(folder)).unwrap();
        }
        (dir, paths)
    }

    fn hook(paths: &Paths, kind: Kind) -> Verdict {
        boot_hook(paths, kind, Install::Boot).verdict
    }

    #[test]
    fn a_level_1_that_would_not_start_us_stops_the_run() {
        let (_keep, paths) = root(&["/etc/rc1.d", "/etc/init.d"]);
        let (script, links) = (paths.at("/etc/init.d/patchit"), paths.at("/etc/rc1.d"));
        assert_eq!(hook(&paths, Kind::Sysvinit), Verdict::Stop, "no link");
        assert_eq!(boot_hook(&paths, Kind::Sysvinit, Install::Live).verdict, Verdict::Ok);
        symlink("../init.d/patchit", links.join("S02patchit")).unwrap();
        symlink("../init.d/single", links.join("S03single")).unwrap();
        assert_eq!(hook(&paths, Kind::Sysvinit), Verdict::Stop, "a dangling link");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(hook(&paths, Kind::Sysvinit), Verdict::Stop, "not executable");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(hook(&paths, Kind::Sysvinit), Verdict::Ok);
        symlink("../init.d/single", links.join("S01single")).unwrap();
        assert_eq!(hook(&paths, Kind::Sysvinit), Verdict::Stop, "behind single");
    }

    #[test]
    fn an_update_target_that_would_not_start_us_stops_the_run() {
        let (_keep, paths) = root(&["/lib/systemd/system/system-update.target.wants", "/etc/systemd/system"]);
        let units = paths.at("/lib/systemd/system");
        std::fs::write(units.join(UNIT), "").unwrap();
        assert_eq!(hook(&paths, Kind::Systemd), Verdict::Stop, "not wanted");
        symlink(format!("../{UNIT}"), units.join("system-update.target.wants").join(UNIT)).unwrap();
        assert_eq!(hook(&paths, Kind::Systemd), Verdict::Ok);
        symlink("/dev/null", paths.at("/etc/systemd/system").join(UNIT)).unwrap();
        assert_eq!(hook(&paths, Kind::Systemd), Verdict::Stop, "masked");
        assert_eq!(hook(&paths, Kind::Other), Verdict::Ok);
    }
    use crate::boot::preflight::Verdict;
    use crate::error::Error;

    #[test]
    fn an_unknown_init_system_is_enough_for_a_live_installation_only() {
        assert_eq!(init(Kind::Other, Install::Live).verdict, Verdict::Ok);
        assert_eq!(init(Kind::Other, Install::Boot).verdict, Verdict::Stop);
        assert_eq!(init(Kind::Systemd, Install::Boot).verdict, Verdict::Ok);
    }

    #[test]
    fn anothers_trigger_stops_only_who_needs_it() {
        let foreign = || Ok(Trigger::Foreign("/system-update points to /x".into()));
        assert_eq!(boot_trigger(foreign(), Install::Boot).verdict, Verdict::Stop);
        assert_eq!(boot_trigger(foreign(), Install::Live).verdict, Verdict::Ok);
        assert_eq!(boot_trigger(Ok(Trigger::Up), Install::Boot).verdict, Verdict::Warn);
        assert_eq!(boot_trigger(Err(Error::refused("x", "y")), Install::Boot).verdict, Verdict::Stop);
    }
}
