//! `patch-lock` and `patch-run` of one host.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use patchflag::sys::lockfile;

use super::bench::{Host, Said};

const SECTION: &str = "backend = dir\ndir = /srv/locks\nscope = this-host\nnames = web\nbackoff_base = 1s\nbackoff_max = 1s\n[run]\nwait = no\n";

/// A host whose driver has an update to make, below a root with a static shell; `update.d/10-look` notes who holds the lock by then.
fn host() -> Host {
    let host = Host::new("web01.example.org", 'a', SECTION);
    std::fs::create_dir_all(host.path("srv/locks")).unwrap();
    std::fs::create_dir(host.path("bin")).unwrap();
    std::fs::copy("/bin/busybox", host.path("bin/sh")).unwrap();
    let look = "while read -r line; do echo $line; done </srv/locks/web.lock >/seen";
    for (name, body) in
        [("needs_update.d/10-yes", "exit 1"), ("update.d/10-look", look), ("needs_reboot.d/10-no", "exit 0")]
    {
        let name = format!("etc/patch/run/{name}");
        host.write(&name, &format!("#!/bin/sh\n{body}\n"));
        std::fs::set_permissions(host.path(&name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    host
}

fn patch_run(host: &Host) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patch-run"));
    command.arg("--root").arg(host.path("")).stdin(Stdio::null());
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
