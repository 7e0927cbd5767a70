//! `mounted-in-maintenance`: whether the maintenance level sees what it needs: the cluster, our programs, the spool.

use std::path::{Path, PathBuf};

use super::{Finding, Need};
use crate::boot::init::Kind;
use crate::boot::mounts::{self, Mount, Tables};
use crate::config::Install;
use crate::paths::Paths;

const ID: &str = "mounted-in-maintenance";
/// What a network has to be up for.
const NETWORK: [&str; 14] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "afs",
    "9p",
    "lustre",
    "gfs2",
    "ocfs2",
];
/// What a reboot empties.
const MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
/// Where our programs lie, and the shell and libraries that they and the installer need.
const PROGRAMS: [&str; 2] = ["/usr/sbin/patchit", "/bin/sh"];

pub fn mounted(paths: &Paths, kind: Kind, install: Install, tables: &Tables, need: &Need) -> Finding {
    if install == Install::Live {
        return Finding::ok(ID, "nothing is installed at the maintenance level");
    }
    let wanted = [paths.at(&need.install_dir), paths.spool()].into_iter().chain(PROGRAMS.map(|name| paths.at(name)));
    let findings = wanted.map(|path| judge(kind, tables, &mounts::resolve(paths, &path)));
    let worst = findings.max_by_key(|finding| finding.verdict);
    worst.unwrap_or_else(|| Finding::ok(ID, "everything lies on the root file system"))
}

fn judge(kind: Kind, tables: &Tables, path: &Path) -> Finding {
    let shown = path.display();
    if !tables.is_in_place(path) {
        let point = tables.planned(path).map_or(PathBuf::from("/"), |mount| mount.point.clone());
        let evidence = format!("{shown} should lie on the file system of {}, which is not mounted", point.display());
        return Finding::stop(ID, evidence, "mount it, and stage the cluster again");
    }
    let Some(mount) = tables.of(path).filter(|mount| mount.point != Path::new("/")) else {
        return Finding::ok(ID, "everything lies on the root file system, or on one that is mounted early");
    };
    let at = mount.point.display();
    if MEMORY.contains(&mount.kind.as_str()) {
        return Finding::stop(ID, format!("{shown} lies on {at}, which a reboot empties"), "put it on a disk");
    }
    let Some(planned) = tables.fstab.iter().find(|planned| planned.point == mount.point) else {
        return unplanned(mount, path);
    };
    match hindrance(kind, planned) {
        Some(why) => Finding::stop(
            ID,
            format!("{shown} lies on {at}, which the maintenance level does not mount: {why}"),
            "put it on the root file system, or change that line of /etc/fstab",
        ),
        None => Finding::ok(ID, format!("{at} is mounted by /etc/fstab in the maintenance level too")),
    }
}

/// A mount unit, a container's manager or an initial RAM disk has mounted it: nobody can tell from here when it does.
fn unplanned(mount: &Mount, path: &Path) -> Finding {
    let (shown, at) = (path.display(), mount.point.display());
    let evidence = format!("{shown} lies on {at}, which is not in /etc/fstab");
    if is_network(mount) {
        return Finding::stop(ID, format!("{evidence} and comes over the network"), "put it on a local file system");
    }
    Finding::warn(ID, evidence, "make sure that the maintenance level mounts it, or put it on the root file system")
}

/// Why the maintenance level does without a line of fstab.
fn hindrance(kind: Kind, mount: &Mount) -> Option<String> {
    if is_network(mount) {
        return Some(format!("{} needs the network", mount.kind));
    }
    // systemd does not wait for the last two before sysinit.target.
    let waits_not: &[&str] = if kind == Kind::Systemd { &["nofail", "x-systemd.automount"] } else { &[] };
    let option = ["noauto", "_netdev"].iter().chain(waits_not).find(|option| mount.has(option))?;
    Some(format!("option {option}"))
}

fn is_network(mount: &Mount) -> bool {
    NETWORK.contains(&mount.kind.as_str()) || mount.has("_netdev")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::mounts::{parse_fstab, parse_mountinfo};
    use crate::boot::preflight::Verdict;

    const PATH: &str = "/var/lib/patch/x";

    fn verdict(kind: Kind, fstab: &str, mountinfo: &str) -> Verdict {
        let tables = Tables { mounted: Some(parse_mountinfo(mountinfo)), fstab: parse_fstab(fstab) };
        judge(kind, &tables, Path::new(PATH)).verdict
    }

    fn var(kind: &str) -> String {
        format!("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /var rw - {kind} /dev/sda2 rw\n")
    }

    #[test]
    fn what_lies_on_the_root_is_there() {
        assert_eq!(verdict(Kind::Systemd, "", "1 0 0:9 / / rw - overlay overlay rw\n"), Verdict::Ok);
        assert_eq!(
            verdict(Kind::Systemd, "/dev/sda1 / ext4 rw\n", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"),
            Verdict::Ok
        );
    }

    #[test]
    fn a_local_file_system_in_fstab_is_mounted() {
        assert_eq!(verdict(Kind::Systemd, "/dev/sda2 /var ext4 defaults\n", &var("ext4")), Verdict::Ok);
    }

    #[test]
    fn what_is_mounted_late_or_never_stops_the_run() {
        for options in ["noauto", "_netdev,rw"] {
            let line = format!("/dev/sda2 /var ext4 {options}\n");
            assert_eq!(verdict(Kind::Sysvinit, &line, &var("ext4")), Verdict::Stop, "{options}");
        }
        for options in ["nofail", "x-systemd.automount"] {
            let line = format!("/dev/sda2 /var ext4 {options}\n");
            assert_eq!(verdict(Kind::Systemd, &line, &var("ext4")), Verdict::Stop, "{options}");
            assert_eq!(verdict(Kind::Sysvinit, &line, &var("ext4")), Verdict::Ok, "{options}");
        }
        assert_eq!(verdict(Kind::Systemd, "s:/x /var nfs4 rw\n", &var("nfs4")), Verdict::Stop);
        assert_eq!(verdict(Kind::Systemd, "tmpfs /var tmpfs rw\n", &var("tmpfs")), Verdict::Stop);
    }

    #[test]
    fn a_mount_that_would_hide_the_cluster_stops_the_run() {
        let only_root = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n";
        assert_eq!(verdict(Kind::Systemd, "/dev/sda2 /var ext4 defaults\n", only_root), Verdict::Stop);
    }

    #[test]
    fn a_mount_that_nobody_explains_is_a_warning() {
        assert_eq!(verdict(Kind::Systemd, "", &var("zfs")), Verdict::Warn);
        assert_eq!(verdict(Kind::Systemd, "", &var("nfs")), Verdict::Stop);
    }
}
