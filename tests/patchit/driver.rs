//! A run under the driver: patch-run holds the lock and lends it to the `patchit --no-reboot` that it calls. The service is a directory
//! below the root; the driver is this test, with its lock file and its record.

use std::fs;
use std::process::{Command, Output};

use patchflag::flag::record::Draft;
use patchflag::phase::name::Phase;
use patchflag::phase::run::Book;
use patchflag::phase::state;
use patchflag::sys::clock;
use patchflag::sys::lockfile::{self, Lock};

use crate::lock::{NIGHT, holder, patch_lock, staged};
use crate::root::{Boot, Root};

const CALL: [&str; 3] = ["--install", "live", "--no-reboot"];

/// A driver at work in this phase, which holds this lock; its lock falls when it is dropped.
fn driver(root: &Root, phase: &str, lock: &str) -> Lock {
    let base = root.0.path().canonicalize().unwrap();
    assert!(patch_lock(root, &["acquire", lock]).status.success());
    let remembered = base.join("var/lib/patch/grants");
    let text = fs::read_to_string(&remembered).unwrap();
    let grant = text.lines().find_map(|line| line.find("dir ").map(|at| line[at..].to_string())).unwrap();
    fs::remove_file(remembered).unwrap();
    let now = clock::parse(NIGHT).unwrap();
    let place = base.join("var/lib/patch/run/state");
    let mut book = Book::begin(&place, "R7", now, Phase::LockGet).unwrap();
    book.add(now, &Draft::default().field("grant", grant.trim())).unwrap();
    state::write(&place, phase.parse().unwrap()).unwrap();
    lockfile::try_take(&base.join("run/patch/run")).unwrap().unwrap()
}

fn call(root: &Root) -> Output {
    root.patchit(NIGHT, Boot::Normal, &CALL)
}

#[test]
fn the_lock_of_the_driver_is_lent_to_the_run_that_it_installs() {
    let root = staged();
    let driver = driver(&root, "update", "web");
    let explained = root.patchit(NIGHT, Boot::Normal, &[&CALL[..], &["--explain"]].concat());
    assert!(String::from_utf8_lossy(&explained.stdout).contains("would ask whether the lock stands: dir web "));
    call(&root);
    assert!(root.log().contains("lent=\"dir web "), "{}", root.log());
    assert!(!root.log().contains(" grant="), "{}", root.log());
    // There is nothing in this cluster that could be installed; the run has begun all the same, and it has failed.
    assert_eq!(root.states().first().map(String::as_str), Some("starting"), "{}", root.log());
    assert_eq!(root.states().last().map(String::as_str), Some("failed"));
    assert!(!root.log().contains("released="), "{}", root.log());
    drop(driver);
    assert!(holder(&root).is_some());
    let queue = fs::read_dir(root.0.path().join("var/spool/patch/queue")).unwrap();
    let mail = queue.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect::<String>();
    assert!(mail.contains("patch-run --abandon --reason TEXT") && !mail.contains("patch-lock release"), "{mail}");
}

#[test]
fn nobody_but_the_driver_s_own_call_gets_its_lock() {
    let root = staged();
    let _driver = driver(&root, "update", "web");
    root.tick(NIGHT);
    assert!(root.patchit(NIGHT, Boot::Normal, &["--install", "live"]).status.success());
    assert_eq!(root.states(), [""; 0]);
    assert!(!root.log().contains("lent="), "{}", root.log());
}

#[test]
fn a_driver_that_is_not_at_work_or_does_not_update_lends_nothing() {
    for (phase, works) in [("update", false), ("pre_update", true), ("post_update", true), ("lock_release", true)] {
        let root = staged();
        let driver = driver(&root, phase, "web");
        let _driver = works.then_some(driver);
        assert!(call(&root).status.success());
        assert_eq!(root.states(), [""; 0], "{phase}");
        assert!(!root.log().contains("lent="), "{phase}: {}", root.log());
    }
}

#[test]
fn another_lock_of_the_driver_is_none_of_the_run_s() {
    let root = staged();
    let _driver = driver(&root, "update", "db");
    assert!(call(&root).status.success());
    assert_eq!(root.states(), [""; 0]);
}

#[test]
fn a_lent_lock_is_asked_for_once_more_before_the_first_change() {
    let root = staged();
    let _driver = driver(&root, "update", "web");
    fs::remove_dir_all(root.0.path().join("srv/locks")).unwrap();
    fs::create_dir_all(root.0.path().join("srv/locks")).unwrap();
    assert_eq!(call(&root).status.code(), Some(75));
    assert!(root.log().contains("lost=\"dir web "), "{}", root.log());
    assert_eq!((root.states().len(), root.mails()), (0, 0));
    fs::remove_dir_all(root.0.path().join("srv/locks")).unwrap();
    assert_eq!(call(&root).status.code(), Some(69));
    assert_eq!(root.states(), [""; 0]);
}

#[test]
fn a_run_that_is_called_off_does_not_give_the_driver_s_lock_back() {
    let root = staged();
    let driver = driver(&root, "update", "web");
    fs::remove_dir_all(root.0.path().join("srv/locks")).unwrap();
    assert_eq!(call(&root).status.code(), Some(69));
    assert!(root.log().contains("lent=\"dir web "), "{}", root.log());
    drop(driver);
    fs::create_dir_all(root.0.path().join("srv/locks")).unwrap();
    // Lent once is not lent for ever.
    assert!(root.explains(NIGHT).contains("waits for lock web"));
    assert!(call(&root).status.success());
    assert_eq!(root.states(), [""; 0]);
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    root.tick(NIGHT);
    assert_eq!(root.states(), ["ending", "ended"]);
    assert!(!root.log().contains("releas"), "{}", root.log());
}

#[test]
fn what_the_driver_holds_is_not_released_by_hand_and_not_taken_for_a_run() {
    let root = staged();
    let driver = driver(&root, "update", "web");
    for args in [&["release", "web"][..], &["release"], &["acquire", "-p"]] {
        let done = patch_lock(&root, args);
        assert!(!done.status.success(), "{args:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("patch-run --status"), "{args:?}: {done:?}");
    }
    assert!(!root.log().contains("grant="), "{}", root.log());
    // Its run is not over, though it is not at work.
    drop(driver);
    assert!(!patch_lock(&root, &["release", "web"]).status.success());
    assert!(holder(&root).is_some());
}

#[test]
fn a_driver_does_not_take_what_a_person_or_a_run_has_taken_on_this_host() {
    for (args, owner) in [(&["acquire", "web"][..], "by hand"), (&["acquire", "-p"], "by the patch run")] {
        let root = staged();
        let base = root.0.path();
        fs::create_dir_all(base.join("etc/patch/run/update.d")).unwrap();
        fs::create_dir_all(base.join("var/log")).unwrap();
        fs::create_dir_all(base.join("etc/patch/run/needs_update.d")).unwrap();
        // A run that goes on with its second phase takes the lock first.
        root.write("var/lib/patch/run/state", "pre_update\n");
        assert!(patch_lock(&root, args).status.success());
        let run = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_patch-run"));
            command
                .arg("--root")
                .arg(base)
                .args(["--now", NIGHT])
                .args(args)
                .env_clear()
                .env("TZ", "UTC")
                .output()
                .unwrap()
        };
        let done = run(&[]);
        assert_eq!(done.status.code(), Some(75), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains(owner), "{done:?}");
        // Nor does it give it back when it is abandoned, or begins anew.
        run(&["--abandon", "--reason", "test"]);
        run(&[]);
        assert!(holder(&root).is_some(), "{owner}");
    }
}
