//! A run and its lock: what waits for it, what keeps it, and what gives it back. The service is a directory below the root.

use std::fs;
use std::process::{Child, Command, Output};

use patchflag::flag::record::Draft;
use patchflag::flag::state::State;
use patchflag::sys::lockfile;

use crate::root::{Boot, Root};

const LOCK: &str =
    "[lock]\nbackend = dir\ndir = /srv/locks\nscope = this-host\nowner = web01.example.org\nnames = web\n";
pub const NIGHT: &str = "2026-11-21T02:00:00Z";

/// Armed, staged, and configured to take lock `web`.
pub fn staged() -> Root {
    let root = Root::staged("", "");
    fs::create_dir_all(root.0.path().join("srv/locks")).unwrap();
    root.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    root.write("etc/patch/config.ini", &format!("[patchit]\n{LOCK}"));
    root
}

fn command(root: &Root, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patch-lock"));
    command.arg("--root").arg(root.0.path()).args(["--now", NIGHT]).args(args).env_clear().env("TZ", "UTC");
    command
}

pub fn patch_lock(root: &Root, args: &[&str]) -> Output {
    command(root, args).output().unwrap()
}

/// The run takes its lock, as its line in the crontab does.
fn take(root: &Root) {
    let done = patch_lock(root, &["acquire", "-p"]);
    assert!(done.status.success(), "{done:?}");
    assert!(root.log().contains("grant=\"dir web "), "{}", root.log());
}

/// Who holds lock `web`, as the service says.
pub fn holder(root: &Root) -> Option<String> {
    let done = patch_lock(root, &["show", "--json", "web"]);
    assert!(done.status.success(), "{done:?}");
    let shown: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let text = shown.to_string();
    text.contains("web01.example.org").then(|| "web01.example.org".into())
}

#[test]
fn a_run_waits_for_its_lock_and_goes_on_when_it_has_it() {
    let root = staged();
    assert!(root.explains(NIGHT).contains("waits for lock web"));
    root.tick(NIGHT);
    assert_eq!(root.states(), [""; 0]);
    take(&root);
    assert!(root.explains(NIGHT).contains("would ask whether the lock stands"));
    root.tick(NIGHT);
    assert_eq!(root.states(), ["ordered"]);
}

/// W3: a run that goes on never asks whether its lock is still held.
#[test]
fn w3_a_lock_that_was_taken_away_is_waited_for_again_and_is_no_failure() {
    let root = staged();
    take(&root);
    fs::remove_dir_all(root.0.path().join("srv/locks")).unwrap();
    fs::create_dir_all(root.0.path().join("srv/locks")).unwrap();
    let done = root.patchit(NIGHT, Boot::Normal, &[]);
    assert_eq!(done.status.code(), Some(75), "{done:?}");
    assert!(root.log().contains("lost=\"dir web "), "{}", root.log());
    assert_eq!((root.states().len(), root.mails()), (0, 0));
    assert!(root.explains(NIGHT).contains("waits for lock web"));
    take(&root);
    root.tick(NIGHT);
    assert_eq!(root.states(), ["ordered"]);
}

#[test]
fn a_lock_service_that_is_away_before_the_order_is_not_yet() {
    let root = staged();
    take(&root);
    fs::rename(root.0.path().join("srv/locks"), root.0.path().join("srv/away")).unwrap();
    let done = root.patchit(NIGHT, Boot::Normal, &[]);
    assert_eq!(done.status.code(), Some(69), "{done:?}");
    assert_eq!((root.states().len(), root.mails()), (0, 0));
    fs::rename(root.0.path().join("srv/away"), root.0.path().join("srv/locks")).unwrap();
    root.tick(NIGHT);
    assert_eq!(root.states(), ["ordered"]);
}

#[test]
fn a_run_that_is_called_off_gives_its_lock_back() {
    let root = staged();
    take(&root);
    assert!(holder(&root).is_some());
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    root.tick(NIGHT);
    assert_eq!(root.states(), ["ending", "ended"]);
    assert!(root.log().contains("released=\"dir web "), "{}", root.log());
    assert_eq!((holder(&root), root.mails()), (None, 1));
}

#[test]
fn a_run_that_fails_keeps_its_lock_and_says_how_to_release_it() {
    let root = staged();
    take(&root);
    root.record(NIGHT, &Draft::state(State::Ordered).field("boot", "another/1").field("level", "2"));
    assert_eq!(root.patchit(NIGHT, Boot::Normal, &["--finish"]).status.code(), Some(1));
    root.assert_failed("not into the maintenance boot");
    assert!(holder(&root).is_some());
    assert!(!root.log().contains("released="), "{}", root.log());
    assert!(mail(&root).contains("patch-lock release web"), "{}", mail(&root));
}

fn mail(root: &Root) -> String {
    let queue = fs::read_dir(root.0.path().join("var/spool/patch/queue")).unwrap();
    queue.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn a_run_that_fails_and_does_not_know_whether_it_has_the_lock_says_how_to_find_out() {
    let root = staged();
    // patch-lock was killed while it asked; then the chain failed elsewhere.
    root.record(NIGHT, &Draft::note("asking for the lock").field("locking", "dir web"));
    root.record(NIGHT, &Draft::state(State::Ordered).field("boot", "another/1").field("level", "2"));
    assert_eq!(root.patchit(NIGHT, Boot::Normal, &["--finish"]).status.code(), Some(1));
    assert!(mail(&root).contains("patch-lock show web"), "{}", mail(&root));
}

#[test]
fn a_release_is_tried_until_it_is_done_and_told_after_a_quarter_of_an_hour() {
    let root = staged();
    take(&root);
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    fs::rename(root.0.path().join("srv/locks"), root.0.path().join("srv/away")).unwrap();
    for (now, mails) in [("02:00:00", 0), ("02:14:59", 0), ("02:15:00", 1), ("05:00:00", 1)] {
        let done = root.patchit(&format!("2026-11-21T{now}Z"), Boot::Normal, &["--finish"]);
        assert_eq!((done.status.code(), root.mails()), (Some(69), mails), "{now}: {done:?}");
        assert_eq!(root.states(), ["ending"]);
    }
    assert_eq!(root.log().matches("unreleased=").count(), 1, "{}", root.log());
    fs::rename(root.0.path().join("srv/away"), root.0.path().join("srv/locks")).unwrap();
    root.tick("2026-11-21T05:01:00Z");
    assert_eq!(root.states(), ["ending", "ended"]);
    assert_eq!((holder(&root), root.mails()), (None, 1), "one mail a run");
}

/// What `patch-status` says.
fn status(root: &Root) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patch-status"));
    let done = command.arg("--root").arg(root.0.path()).args(["--now", NIGHT]).env_clear().output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_release_that_is_refused_is_told_once_and_patch_status_names_it() {
    let root = staged();
    take(&root);
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    let kept = fs::read_to_string(root.0.path().join("etc/patch/config.ini")).unwrap();
    let other = "[lock]\nbackend = fleetlock\nurl = http://127.0.0.1:1\nowner = web01.example.org\nnames = web\n";
    root.write("etc/patch/config.ini", other);
    for words in ["the lock is not given back: cannot release lock", ""] {
        let done = root.patchit(NIGHT, Boot::Normal, &["--finish"]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{said}");
        assert!(status(&root).contains("the release of its lock: cannot release lock"), "{}", status(&root));
    }
    root.write("etc/patch/config.ini", &kept);
    root.tick(NIGHT);
    assert_eq!(holder(&root), None);
    assert!(!status(&root).contains("release of its lock"), "{}", status(&root));
}

#[test]
fn a_run_that_waits_for_a_lock_that_is_held_by_hand_says_so() {
    let root = staged();
    assert!(patch_lock(&root, &["acquire", "web"]).status.success());
    let said = status(&root);
    assert!(said.contains("held by hand on this host (grant 1, local): patch-lock release web"), "{said}");
    assert!(said.contains("held by hand: dir web 1-local web01.example.org"), "{said}");
}

#[test]
fn what_was_granted_and_never_recorded_is_given_back() {
    let root = staged();
    take(&root);
    // patch-lock was killed between the service's answer and its record.
    let log = root.log();
    let kept = log.split_inclusive('\n').filter(|line| !line.contains(" grant=")).collect::<String>();
    assert!(kept.contains("locking=\"dir web\""), "{kept}");
    root.write("etc/patchlog", &kept);
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    root.tick(NIGHT);
    assert_eq!(root.states(), ["ending", "ended"]);
    assert_eq!(holder(&root), None);
}

/// Another host has the lock, and the run waits for it.
fn waiting(root: &Root) -> Child {
    let other = root.0.path().join("other.ini");
    let config = fs::read_to_string(root.0.path().join("etc/patch/config.ini")).unwrap();
    root.write("other.ini", &config.replace("web01", "web02"));
    assert!(patch_lock(root, &["--config", other.to_str().unwrap(), "acquire", "web"]).status.success());
    // As if another host had it: what is held by hand here is not waited for.
    fs::remove_file(root.0.path().join("var/lib/patch/grants")).unwrap();
    let mut first = command(root, &["acquire", "-p", "--wait"]).spawn().unwrap();
    // It gives the host lock back when that is on disk.
    let host_lock = root.0.path().join("run/patch/lock");
    let is_recorded = || root.log().contains("locking=") && !lockfile::is_held(&host_lock).unwrap();
    while !is_recorded() || !root.0.path().join("run/patch/waiting").exists() {
        assert!(first.try_wait().unwrap().is_none(), "{}", root.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    first
}

#[test]
fn a_run_is_not_over_while_its_lock_is_still_asked_for() {
    let root = staged();
    let mut first = waiting(&root);
    // It may be granted the lock at any moment, and die before it can give it back.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(first.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    let done = root.patchit(NIGHT, Boot::Normal, &["--finish"]);
    assert_eq!(done.status.code(), Some(75), "{done:?}");
    assert_eq!((root.states(), root.mails()), (vec!["ending".to_string()], 0));
    first.kill().unwrap();
    first.wait().unwrap();
    root.tick(NIGHT);
    assert_eq!((root.states().join(" "), root.mails()), ("ending ended".into(), 1));
}

#[test]
fn a_lock_that_is_released_is_not_asked_for_again_at_the_next_tick() {
    let root = staged();
    take(&root);
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    root.record(NIGHT, &Draft::state(State::Ending));
    let text = root.log();
    let grant = text.split("grant=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    // patchit was killed between this record and the mail; the service has gone away since.
    root.record(NIGHT, &Draft::default().field("released", grant));
    fs::remove_dir_all(root.0.path().join("srv/locks")).unwrap();
    root.tick(NIGHT);
    assert_eq!((root.states().join(" "), root.mails()), ("ending ended".into(), 1));
}

#[test]
fn what_people_have_taken_is_not_released_with_a_run_that_had_asked_for_it_too() {
    let root = staged();
    root.record(NIGHT, &Draft::note("asking for the lock").field("locking", "dir web"));
    assert!(patch_lock(&root, &["acquire", "web"]).status.success());
    fs::remove_file(root.0.path().join("etc/patchflag")).unwrap();
    root.tick(NIGHT);
    assert_eq!(root.states(), ["ending", "ended"]);
    assert!(holder(&root).is_some());
}

#[test]
fn a_second_one_does_not_wait_beside_the_first() {
    let root = staged();
    let mut first = waiting(&root);
    let second = patch_lock(&root, &["acquire", "-p", "--wait"]);
    assert!(second.status.success() && second.stderr.is_empty(), "{second:?}");
    assert!(first.try_wait().unwrap().is_none());
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn no_lock_configured_means_no_lock() {
    let root = Root::staged("", "");
    // As the crontab has it on every host.
    assert_eq!(patch_lock(&root, &["acquire", "-p", "--wait"]).status.code(), Some(0));
    root.tick(NIGHT);
    assert_eq!(root.states(), ["ordered"]);
}
