//! A full disk: nothing is promised, and it heals by itself. Needs root, for a file system of its own.

use std::process::Command;

use serde_json::json;

use crate::daemon::{CLIENTS, Daemon, configure};
use crate::wire::{ALL, acquire, answer, begin, get, number, release};

/// A tmpfs that goes with the test.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("store")).unwrap();
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        let mounted =
            mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(dir.path().join("store")).status().unwrap();
        mounted.success().then_some(Self(dir))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path().join("store")).status();
    }
}

#[test]
fn a_store_on_a_file_system_that_is_read_only_says_so() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let Some(mount) = Mount::new("4m") else { return };
    let mut daemon = Daemon::in_dir(mount.0.path(), "", CLIENTS);
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(daemon.end().code(), Some(0));
    let store = mount.0.path().join("store");
    assert!(Command::new("mount").args(["-o", "remount,ro"]).arg(&store).status().unwrap().success());
    let refused = crate::daemon::command(mount.0.path()).output().unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && words.contains("mounted read-only"), "{words}");
}

#[test]
fn on_a_full_disk_nothing_is_granted_and_all_is_well_when_there_is_room_again() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let Some(mount) = Mount::new("1m") else { return };
    let dir = mount.0.path();
    configure(dir, "", CLIENTS);
    let mut daemon = Daemon::in_dir(dir, "", CLIENTS);
    let held = number(&acquire(daemon.address, "web00", &["web"], 0));
    let next = begin(daemon.address, "next", &["web"], 25);
    let filler = dir.join("store/filler");
    let _ = std::fs::write(&filler, vec![1; 2 << 20]);
    let mut granted = vec![held];
    let mut refused = 0;
    for n in 0..200 {
        let answer = acquire(daemon.address, &format!("db{n}"), &[&format!("l{n}")], 0);
        if answer.0 == 200 {
            granted.push(number(&answer));
        } else {
            assert_eq!((answer.0, &answer.1["kind"]), (503, &json!("unavailable")));
            refused += 1;
        }
        if refused >= 3 {
            break;
        }
    }
    assert!(refused >= 3, "the disk is not full");
    assert_eq!(release(daemon.address, "web00", "web", held).0, 503);
    assert_eq!(get(daemon.address, "", "/healthz").0, 503);
    let (_, stands) = get(daemon.address, ALL, "/lock/1/locks/web");
    assert_eq!(stands["holders"][0]["number"], held, "what could not be written has not happened");
    assert_eq!(stands["queue"][0]["offered"], false);

    std::fs::remove_file(&filler).unwrap();
    assert_eq!(get(daemon.address, "", "/healthz").0, 200);
    assert_eq!(release(daemon.address, "web00", "web", held).1, json!({"found": true}));
    assert_eq!(answer(next).unwrap().1["state"], "offered");
    let after = number(&acquire(daemon.address, "next", &["web"], 0));
    assert!(granted.iter().all(|number| *number < after), "no number is given twice");
    daemon.kill_and_restart();
    let (_, locks) = get(daemon.address, ALL, "/lock/1/locks");
    assert_eq!(locks["locks"].as_array().unwrap().len(), granted.len(), "all that was granted, and web");
}
