//! Clusters with a program of their own.

use std::io::Write;
use std::time::Duration;

use patchflag::cluster::install;
use patchflag::cluster::manifest::Kind;
use patchflag::sys::process::Ended;

use crate::root::{Host, Staged, cluster, in_a_root, lines, package};

/// Zips with these names, each with one file, unpacked.
fn staged(host: &Host, archives: &[(&str, &str, &str)]) -> Staged {
    let dir = host.staged_dir();
    for (archive, member, content) in archives {
        let mut writer = zip::ZipWriter::new(std::fs::File::create(dir.join(archive)).unwrap());
        writer.start_file(*member, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
        writer.finish().unwrap();
    }
    let files: Vec<String> = archives.iter().map(|(name, _, _)| (*name).to_string()).collect();
    let staged = Staged { cluster: cluster(&dir, Kind::Script, &files), dir };
    install::lay_out(&staged.dir, &staged.cluster).unwrap();
    staged
}

const LOG: &str = "#!/bin/sh\necho \"$PWD $PATCHFLAG_RUN $PATCHFLAG_CLUSTER $#\" >>/root/log; cat\n";

#[test]
fn every_cluster_is_installed_in_its_own_directory_in_the_order_of_names() {
    in_a_root("script::every_cluster_is_installed_in_its_own_directory_in_the_order_of_names", |host| {
        let staged =
            staged(&host, &[("b.zip", "9_Recommended/install_cluster", LOG), ("a.zip", "install_cluster", LOG)]);
        assert_eq!(host.dry_run(&staged).unwrap().changes, []);
        assert!(!host.is_there("/root/log"), "foreign code is not run for a question");
        let outcome = host.install(&staged).unwrap();
        assert!(outcome.is_success());
        let base = "/var/lib/patch/web/20261121T020007Z";
        let id = "20261121T020007Z";
        assert_eq!(host.read("/root/log"), format!("{base}/a run {id} 0\n{base}/b/9_Recommended run {id} 0\n"));
    });
}

#[test]
fn packages_that_a_program_changes_are_told_and_no_service_is_started() {
    in_a_root("script::packages_that_a_program_changes_are_told_and_no_service_is_started", |host| {
        host.has(&[package("aaa", "1.0"), package("bbb", "1.0")]);
        let program = "#!/bin/sh\ncp /usr/sbin/policy-rc.d /root/policy; dpkg --purge bbb\n";
        let outcome = host.install(&staged(&host, &[("a.zip", "install_cluster", program)])).unwrap();
        assert_eq!(lines(&outcome.changes), ["bbb 1.0 -> none"]);
        assert!(host.read("/root/policy").contains("exit 101"));
        assert!(!host.is_there("/usr/sbin/policy-rc.d"));
    });
}

#[test]
fn the_first_program_that_fails_is_the_last() {
    in_a_root("script::the_first_program_that_fails_is_the_last", |host| {
        let staged =
            staged(&host, &[("a.zip", "install_cluster", "#!/bin/sh\nexit 3\n"), ("b.zip", "install_cluster", LOG)]);
        assert_eq!(host.install(&staged).unwrap().ended, Ended::Code(3));
        assert!(!host.is_there("/root/log"));
    });
}

#[test]
fn a_program_that_hangs_is_ended_at_the_deadline() {
    in_a_root("script::a_program_that_hangs_is_ended_at_the_deadline", |host| {
        let staged = staged(&host, &[("a.zip", "install_cluster", "#!/bin/sh\nsleep 600\n")]);
        let outcome = host.install_within(&staged, Duration::from_secs(1)).unwrap();
        assert_eq!(outcome.ended, Ended::Deadline);
    });
}

#[test]
fn what_was_changed_after_staging_is_not_run() {
    in_a_root("script::what_was_changed_after_staging_is_not_run", |host| {
        let staged = staged(&host, &[("a.zip", "install_cluster", LOG)]);
        let program = staged.dir.join("a/install_cluster");
        let plain =
            |mode| std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        plain(0o644);
        assert!(host.install(&staged).unwrap_err().to_string().contains("not executable"));
        plain(0o777);
        assert!(host.install(&staged).unwrap_err().to_string().contains("lets others write"));
        plain(0o755);
        std::fs::write(staged.dir.join("a/added"), "").unwrap();
        assert!(host.install(&staged).unwrap_err().to_string().contains("added"));
        std::fs::remove_file(staged.dir.join("a/added")).unwrap();
        std::fs::write(&program, "#!/bin/sh\ntouch /root/log\n").unwrap();
        assert!(host.install(&staged).unwrap_err().to_string().contains("changed after"));
        assert!(!host.is_there("/root/log"));
    });
}

#[test]
fn an_archive_without_the_program_is_refused_at_staging() {
    in_a_root("script::an_archive_without_the_program_is_refused_at_staging", |host| {
        let staged = staged(&host, &[("a.zip", "install_cluster", LOG)]);
        let mut other = staged.cluster.clone();
        other.program = Some("setup".into());
        let words = install::lay_out(&staged.dir, &other).unwrap_err().to_string();
        assert!(words.contains("a.zip") && words.contains("setup"), "{words}");
    });
}
