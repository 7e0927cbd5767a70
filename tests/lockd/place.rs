//! Where the store lies: a service whose store was moved away ends, and no other one does. Mounts need root.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::daemon::{CLIENTS, Daemon};
use crate::wire::{ALL, acquire, get, number};

/// Mounts that go with the test, the last one first.
#[derive(Default)]
struct Mounts(Vec<PathBuf>);

impl Mounts {
    /// False if this kernel, or this user, cannot.
    fn add(&mut self, arguments: &[&str], at: &Path) -> bool {
        std::fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(arguments).arg(at).output().unwrap().status.success();
        self.0.extend(done.then(|| at.to_path_buf()));
        done
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for at in self.0.iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(at).status();
        }
    }
}

/// Another service may have begun an empty store there.
#[test]
fn a_store_that_was_moved_away_grants_nothing_more() {
    let mut daemon = Daemon::start();
    let held = number(&acquire(daemon.address, "web00", &["web"], 0));
    let (store, away) = (daemon.dir.join("store"), daemon.dir.join("away"));
    std::fs::rename(&store, &away).unwrap();
    let other = Daemon::in_dir(&daemon.dir, "", CLIENTS);
    assert_eq!(number(&acquire(other.address, "web01", &["web"], 0)), 1, "it knows nothing of the first one");
    let (status, word) = acquire(daemon.address, "db00", &["db"], 0);
    assert_eq!((status, &word["kind"]), (503, &json!("unavailable")));
    assert_eq!(daemon.end().code(), Some(69), "the unit does not start it again on an empty store");
    assert!(daemon.said().contains("was moved away or replaced"));
    assert!(store.join("locks.db-wal").exists(), "the log of the other one stays");
    drop(other);
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&away, &store).unwrap();
    daemon.kill_and_restart();
    let (_, locks) = get(daemon.address, ALL, "/lock/1/locks");
    assert_eq!((&locks["locks"][0]["holders"][0]["number"], &locks["locks"][1]), (&json!(held), &json!(null)));
}

#[test]
fn a_store_that_was_moved_back_in_time_is_served_on() {
    let mut daemon = Daemon::start();
    let held = number(&acquire(daemon.address, "web00", &["web"], 0));
    let (store, away) = (daemon.dir.join("store"), daemon.dir.join("away"));
    std::fs::rename(&store, &away).unwrap();
    std::fs::rename(&away, &store).unwrap();
    assert!(number(&acquire(daemon.address, "db00", &["db"], 0)) > held);
    assert_eq!(get(daemon.address, "", "/healthz").0, 200);
    end(&mut daemon);
}

/// On new file systems the files of both have the same inodes, and `SQLite` looks at nothing else.
#[test]
fn a_service_that_is_told_to_end_leaves_the_log_of_the_one_in_its_place_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store");
    let new = ["-t", "tmpfs", "-o", "mode=0700", "none"];
    let mut mounts = Mounts::default();
    if !mounts.add(&new, &store) {
        return;
    }
    let mut daemon = Daemon::in_dir(scratch.path(), "", CLIENTS);
    acquire(daemon.address, "web00", &["web"], 0);
    assert!(mounts.add(&new, &store));
    let mut other = Daemon::in_dir(scratch.path(), "", CLIENTS);
    let held = number(&acquire(other.address, "web01", &["web"], 0));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.end().code(), Some(69));
    assert!(store.join("locks.db-wal").exists(), "what was granted last is in it");
    other.kill_and_restart();
    let (_, locks) = get(other.address, ALL, "/lock/1/locks/web");
    assert_eq!(locks["holders"][0]["number"], held);
}

#[test]
fn a_store_on_an_overlay_whose_files_are_copied_up_is_in_its_place() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let below = Daemon::in_dir(&make(at("below")), "", CLIENTS);
    let held = number(&acquire(below.address, "web00", &["web"], 0));
    // Killed: its log lies below as well.
    drop(below);
    let mut mounts = Mounts::default();
    // On another file system than what lies below: device and inode of a file change when it is copied up.
    if !mounts.add(&["-t", "tmpfs", "-o", "mode=0755", "none"], &at("above")) {
        return;
    }
    let (upper, work) = (make(at("above/upper")), make(at("above/work")));
    let options = format!("lowerdir={},upperdir={},workdir={}", at("below").display(), upper.display(), work.display());
    if !mounts.add(&["-t", "overlay", "-o", &options, "none"], &at("merged")) {
        return;
    }
    serve(&at("merged"), held);
}

#[test]
fn a_store_on_a_bind_mount_is_in_its_place_until_something_is_mounted_over_it() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let first = Daemon::in_dir(&make(at("real")), "", CLIENTS);
    let held = number(&acquire(first.address, "web00", &["web"], 0));
    drop(first);
    let mut mounts = Mounts::default();
    if !mounts.add(&["--bind", at("real").to_str().unwrap()], &at("bound")) {
        return;
    }
    let mut daemon = serve(&at("bound"), held);
    daemon.kill_and_restart();
    assert!(mounts.add(&["-t", "tmpfs", "-o", "mode=0700", "none"], &at("bound/store")));
    assert_eq!(acquire(daemon.address, "last", &["last"], 0).0, 503);
    assert_eq!(daemon.end().code(), Some(69));
}

/// A service there works, also on what it has written itself; it has ended.
fn serve(dir: &Path, held: u64) -> Daemon {
    let mut daemon = Daemon::in_dir(dir, "", CLIENTS);
    for turn in 0..3 {
        assert!(number(&acquire(daemon.address, &format!("db{turn}"), &[&format!("db{turn}")], 0)) > held);
        assert_eq!(get(daemon.address, "", "/healthz").0, 200);
        daemon.kill_and_restart();
    }
    let (_, locks) = get(daemon.address, ALL, "/lock/1/locks");
    assert_eq!(locks["locks"].as_array().unwrap().len(), 4);
    end(&mut daemon);
    daemon
}

fn end(daemon: &mut Daemon) {
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.end().code(), Some(0));
}

fn make(dir: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
