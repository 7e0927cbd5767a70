//! `patch-lock` and `patch-run` of one host.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use patchflag::sys::lockfile;

use super::bench::{Host, Said};

pub(super) const SECTION: &str = "backend = dir\ndir = /srv/locks\nscope = this-host\nnames = web\nbackoff_base = 1s\nbackoff_max = 1s\n[run]\nwait = no\n";

const LOOK: &str = "while read -r line; do echo $line; done </srv/locks/web.lock >/seen";

/// A host whose driver has an update to make, below a root with a static shell; `update.d/10-look` notes who holds the lock by then.
pub(super) fn host() -> Host {
    let host = Host::new("web01.example.org", 'a', SECTION);
    std::fs::create_dir_all(host.path("srv/locks")).unwrap();
    std::fs::create_dir(host.path("bin")).unwrap();
    std::fs::copy("/bin/busybox", host.path("bin/sh")).unwrap();
    for (name, body) in
        [("needs_update.d/10-yes", "exit 1"), ("update.d/10-look", LOOK), ("needs_reboot.d/10-no", "exit 0")]
    {
        script(&host, name, body);
    }
    host
}

pub(super) fn script(host: &Host, name: &str, body: &str) {
    let name = format!("etc/patch/run/{name}");
    host.write(&name, &format!("#!/bin/sh\n{body}\n"));
    std::fs::set_permissions(host.path(&name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub(super) fn patch_run(host: &Host) -> Said {
    patch_run_with(host, &[])
}

pub(super) fn patch_run_with(host: &Host, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patch-run"));
    command.arg("--root").arg(host.path("")).args(args).stdin(Stdio::null());
    command.output().unwrap().into()
}

#[test]
fn patch_run_keeps_out_of_the_way_of_who_asks_by_hand() {
    let host = host();
    let hand = lockfile::try_take(&host.path("run/patch/hold/web")).unwrap().unwrap();
    let said = patch_run(&host);
    assert!(said.code == 75 && said.err.contains("works with lock web"), "{said:?}");
    assert!(!host.path("seen").exists());
    drop(hand);
    let said = patch_run(&host);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(host.read("seen").contains("web01.example.org"), "{said:?}");
}

#[test]
fn patch_run_gives_back_first_what_a_hold_left_over() {
    let host = host();
    assert_eq!(host.run(&["acquire", "web"]).code, 0);
    let held = host.grants();
    assert_eq!(patch_run(&host).code, 75, "it is held by hand");
    host.write("var/lib/patch/grants", &format!("over {held}"));
    let said = patch_run(&host);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(host.grants(), "");
    assert!(host.read("seen").contains("\"number\":2,"), "a grant of its own: {}", host.read("seen"));
    assert!(!host.path("srv/locks/web.lock").exists(), "{}", host.read("var/log/patch-run.log"));
}

/// A second driver of the host, by another configuration: the same lock, another state file.
const SECOND: &str = "[host]\nname = web01.example.org\n[lock]\nbackend = dir\ndir = /srv/locks\nscope = this-host\nnames = web\nbackoff_base = 1s\nbackoff_max = 1s\n[run]\nwait = no\nstate = /var/lib/second/state\nlog = /var/log/second.log\n";

fn second_driver(host: &Host, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patch-run"));
    command.arg("--root").arg(host.path("")).arg("--config").arg(host.path("etc/patch/second.ini")).args(args);
    command.stdin(Stdio::null()).output().unwrap().into()
}

#[test]
fn two_drivers_of_one_host_do_not_share_its_lock_nor_gives_one_back_what_the_other_holds() {
    let host = host();
    host.write("etc/patch/second.ini", SECOND);
    script(&host, "update.d/10-look", "exit 3");
    assert_eq!(patch_run(&host).code, 1, "its run failed, and keeps the lock");
    script(&host, "update.d/10-look", LOOK);

    for _ in 0..2 {
        let said = second_driver(&host, &[]);
        assert!(said.code == 75 && said.err.contains("/var/lib/patch/run/state"), "{said:?}");
        assert!(!host.path("seen").exists() && host.path("srv/locks/web.lock").exists(), "{said:?}");
    }
    assert_eq!(second_driver(&host, &["--abandon", "--reason", "not now"]).code, 0);
    assert!(host.path("srv/locks/web.lock").exists(), "{}", host.read("var/log/second.log"));

    assert_eq!(patch_run(&host).code, 0);
    assert!(!host.path("srv/locks/web.lock").exists());
    assert_eq!(second_driver(&host, &[]).code, 0);
    assert!(!host.path("srv/locks/web.lock").exists());
}

#[test]
fn what_a_driver_by_another_configuration_holds_is_not_for_hands() {
    let host = host();
    host.write("etc/patch/second.ini", SECOND);
    script(&host, "update.d/10-look", "exit 3");
    assert_eq!(second_driver(&host, &[]).code, 1);
    for order in [["release", "web"], ["acquire", "web"]] {
        let said = host.run(&order);
        assert!(said.code != 0 && host.path("srv/locks/web.lock").exists(), "{said:?}");
    }
}

#[test]
fn a_phase_is_not_tried_beside_a_run() {
    let host = host();
    let at_work = lockfile::try_take(&host.path("run/patch/run")).unwrap().unwrap();
    let args = ["--phase", "update"];
    host.write("etc/patch/second.ini", SECOND);
    let said = second_driver(&host, &args);
    assert!(said.code == 1 && said.err.contains("a run is at work"), "{said:?}");
    drop(at_work);
    let said = second_driver(&host, &args);
    assert!(said.code == 1 && said.out.contains("10-look: exit code"), "it was tried: {said:?}");
}

#[test]
fn w26_a_base_directory_that_is_misspelt_is_not_made_but_told_at_every_start() {
    let host = host();
    let file = host.path("etc/old.env");
    let text = "main_api_lockname=web\nmain_api_endpoint=http://127.0.0.1:1/api/v2/\nmain_api_secretid=web01\nmain_api_secret=x\n";
    host.write("etc/old.env", &format!("{text}main_basedir=/etc/dlm_engin_updater\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patch-run"));
        let said: Said = command.arg("--root").arg(host.path("")).arg("--cfg").arg(&file).output().unwrap().into();
        assert!(said.code == 2 && said.err.contains("cannot find directory /etc/dlm_engin_updater"), "{said:?}");
        assert!(!host.path("etc/dlm_engin_updater").exists());
    }
}

#[test]
fn a_lock_that_is_kept_over_an_abandoned_run_is_held_by_hand_and_no_run_gives_it_back() {
    let host = host();
    script(&host, "update.d/10-look", "exit 3");
    assert_eq!(patch_run_with(&host, &[]).code, 1);
    let said = patch_run_with(&host, &["--abandon", "--keep-lock", "--reason", "a bad patch"]);
    assert!(said.code == 0 && said.out.contains("patch-lock release web"), "{said:?}");
    script(&host, "update.d/10-look", LOOK);
    let said = patch_run(&host);
    assert!(said.code == 75 && said.err.contains("held by hand"), "{said:?}");
    assert!(host.path("srv/locks/web.lock").exists() && !host.path("seen").exists(), "{said:?}");
    assert_eq!(host.run(&["release", "web"]).code, 0);
    assert_eq!(patch_run(&host).code, 0);
}

#[test]
fn a_run_can_be_abandoned_though_its_log_cannot_be_opened() {
    let host = host();
    script(&host, "update.d/10-look", "exit 3");
    assert_eq!(patch_run_with(&host, &[]).code, 1);
    let log = host.path("var/log/patch-run.log");
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    assert!(patch_run(&host).err.contains("patch-run.log"), "nothing goes on unseen");
    let checked = patch_run_with(&host, &["--check-config"]);
    assert!(checked.code == 1 && checked.out.contains("is no regular file"), "{checked:?}");
    let said = patch_run_with(&host, &["--abandon", "--reason", "a bad patch"]);
    assert!(said.code == 0 && said.err.contains("patch-run.log"), "{said:?}");
    assert!(!host.path("srv/locks/web.lock").exists() && !host.path("var/lib/patch/run/state").exists());
}

#[test]
fn json_is_asked_for_with_a_question_and_begins_no_run() {
    let host = host();
    assert_eq!(patch_run_with(&host, &["--json"]).code, 2);
    assert!(!host.path("seen").exists());
    assert_eq!(patch_run_with(&host, &["--json", "--status"]).code, 0);
}
