//! Scripts run as the driver runs them, in a process of their own: a fence is put around whatever a process starts meanwhile, and a
//! driver can be killed.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use patchflag::hook::list::{Entry, list};
use patchflag::hook::{Done, Ended, Heard, Left, Terms, Whose, run_script};
use patchflag::paths::Paths;
use patchflag::phase::log::Log;
use patchflag::phase::settings::{Level, LogFile};
use patchflag::sys::cgroup::Limits;
use patchflag::sys::clock::Clock;
use patchflag::sys::group::{Groups, Reach};
use patchflag::sys::{proc_stat, worker};

/// One at a time: nobody else's children are born inside a fence.
static TURN: Mutex<()> = Mutex::new(());
/// The test process that plays a driver finds its directory here.
const DRIVER: &str = "PATCHFLAG_TEST_DRIVER";

fn scripts(dir: &Path, body: &str) -> Vec<Entry> {
    let path = dir.join("10-x");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    list(&Paths::system(), dir, &Whose::Root).unwrap().unwrap().scripts
}

fn run(entry: &Entry, timeout: Duration, mark: Option<&Path>, heard: &mut dyn FnMut(Heard)) -> Done {
    let groups = Groups::new(mark.map(Path::to_path_buf), Limits::NONE);
    run_in(&groups, entry, timeout, heard)
}

fn run_in(groups: &Groups, entry: &Entry, timeout: Duration, heard: &mut dyn FnMut(Heard)) -> Done {
    let paths = Paths::system();
    let env = [("PATH", patchflag::sys::process::SAFE_PATH.to_string())];
    let grace = Duration::from_millis(300);
    let (timeout, reach) = (Some(timeout), Reach::All);
    let terms = Terms { paths: &paths, env: &env, timeout, grace, groups, reach, stop: None, dir: Path::new("/") };
    run_script(&terms, entry, &[], heard).unwrap()
}

fn is_alive(pid: i32) -> bool {
    proc_stat::of(pid).is_some_and(|process| !process.zombie)
}

fn wait_for(path: &Path) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(Instant::now() < end, "{} was never written", path.display()),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether there is a hierarchy of control groups to be had here.
fn has_fences() -> bool {
    patchflag::sys::cgroup::Fence::make().is_some()
}

#[test]
fn w21_who_left_group_and_session_is_reached_at_the_deadline() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let number = dir.path().join(".number");
    let body = format!("setsid sh -c 'echo $$ > {}; exec sleep 600' >/dev/null 2>&1 &\nsleep 600", number.display());
    let done = run(&scripts(dir.path(), &body)[0], Duration::from_millis(700), None, &mut |_| ());
    let escaped: i32 = wait_for(&number).trim().parse().unwrap();
    assert_eq!((done.ended, done.left), (Ended::Deadline, Left::Nothing));
    if has_fences() {
        assert!(!is_alive(escaped));
    } else {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(escaped), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}

#[test]
fn a_daemon_that_a_script_starts_goes_on_when_the_script_has_ended() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let number = dir.path().join(".number");
    let body = format!("setsid sh -c 'echo $$ > {}; exec sleep 60' >/dev/null 2>&1 </dev/null &", number.display());
    let done = run(&scripts(dir.path(), &body)[0], Duration::from_mins(1), None, &mut |_| ());
    let daemon: i32 = wait_for(&number).trim().parse().unwrap();
    assert_eq!((done.ended, done.left), (Ended::Code(0), Left::Nothing));
    assert!(is_alive(daemon));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// The number of the group in which a script finds itself, run to its end.
fn group_of(groups: &Groups, dir: &Path, body: &str) -> String {
    let mut said = Vec::new();
    let script = format!("read pid name state above group rest </proc/self/stat; echo $group\n{body}");
    let done = run_in(groups, &scripts(dir, &script)[0], Duration::from_mins(1), &mut |heard| {
        if let Heard::Bytes(bytes) = heard {
            said.extend_from_slice(bytes);
        }
    });
    assert_eq!(done.ended, Ended::Code(0));
    String::from_utf8(said).unwrap()
}

#[test]
fn a_group_that_a_fence_shows_empty_is_the_next_scripts_too_and_stays_marked() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join(".worker");
    let groups = Groups::of_one_after_the_other(Some(mark.clone()));
    let first = group_of(&groups, dir.path(), &format!("rm {}", mark.display()));
    let second = group_of(&groups, dir.path(), &format!("test -e {}", mark.display()));
    assert_eq!(first == second, has_fences(), "without a fence nobody knows");
    groups.rest();
    assert_ne!(group_of(&groups, dir.path(), ""), second, "it was let go of");
    drop(groups);
    assert!(!mark.exists());
}

#[test]
fn a_group_that_was_prepared_is_marked_before_it_is_used_and_reaches_who_leaves_it() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let (mark, number) = (dir.path().join(".worker"), dir.path().join(".number"));
    let groups = Groups::of_one_after_the_other(Some(mark.clone()));
    groups.prepare();
    groups.prepare();
    let prepared = worker_of(&mark);
    assert_eq!(group_of(&groups, dir.path(), "").trim(), prepared);
    let body = format!("setsid sh -c 'echo $$ > {}; exec sleep 600' >/dev/null 2>&1 &\nsleep 600", number.display());
    let ended = run_in(&groups, &scripts(dir.path(), &body)[0], Duration::from_millis(700), &mut |_| ()).ended;
    let escaped: i32 = wait_for(&number).trim().parse().unwrap();
    assert_eq!(ended, Ended::Deadline);
    assert_ne!(is_alive(escaped), has_fences());
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(escaped), nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn what_was_prepared_and_is_not_needed_leaves_nothing() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join(".worker");
    let groups = Groups::of_one_after_the_other(Some(mark.clone()));
    groups.prepare();
    let prepared: i32 = worker_of(&mark).parse().unwrap();
    drop(groups);
    assert!(!is_alive(prepared) && !mark.exists());
}

/// The number of the group that a mark names, as soon as it does.
fn worker_of(mark: &Path) -> String {
    let line = wait_for(mark);
    line.split_whitespace().find_map(|word| word.strip_prefix("group=")).unwrap().to_string()
}

/// A script leaves somebody behind, whose number it writes as `.number`: the next group is not his.
fn leaves_somebody(body: &str) {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let number = dir.path().join(".number");
    let groups = Groups::of_one_after_the_other(None);
    let first = group_of(&groups, dir.path(), &format!("cd {}\n{body}", dir.path().display()));
    let daemon: i32 = wait_for(&number).trim().parse().unwrap();
    let ended = run_in(&groups, &scripts(dir.path(), "sleep 600")[0], Duration::from_millis(300), &mut |_| ()).ended;
    assert_eq!(ended, Ended::Deadline);
    assert!(is_alive(daemon));
    assert_ne!(group_of(&groups, dir.path(), ""), first);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn who_was_left_behind_in_the_fence_is_no_part_of_the_next_group_and_outlives_its_deadline() {
    leaves_somebody("setsid sh -c 'echo $$ > .number; exec sleep 60' >/dev/null 2>&1 </dev/null &");
}

#[test]
fn nor_is_he_who_was_left_behind_in_the_process_group_and_was_taken_out_of_the_fence() {
    // As `systemd-run --scope` does it.
    leaves_somebody(
        "sleep 60 >/dev/null 2>&1 </dev/null & echo $! > .number
         for root in $(findmnt --noheadings --types cgroup2 --output TARGET); do
             for inside in $(grep -lx $$ $(find $root -path '*/patch-run.*/cgroup.procs')); do
                 echo $! > ${inside%/*/*}/cgroup.procs
             done
         done",
    );
}

#[test]
fn thirty_megabytes_of_output_are_in_the_log_line_by_line() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.log");
    let settings = LogFile { path: path.clone(), level: Level::Info, retention: 7 };
    let mut log = Log::open(&Paths::system(), &settings, Clock::System).unwrap();
    let scripts_dir = tempfile::tempdir().unwrap();
    let line = "Setting up libexample-something:amd64 (1.2.3-4+deb12u1) over (1.2.3-4) ...";
    let body = format!("yes '{line}' | head -n 420000; printf 'no end'");
    let mut output = log.output();
    let done = run(&scripts(scripts_dir.path(), &body)[0], Duration::from_mins(5), None, &mut |heard| match heard {
        Heard::Bytes(bytes) => output.take(bytes),
        Heard::Tick => output.tick(),
    });
    drop(output);
    assert_eq!((done.ended, log.lost()), (Ended::Code(0), 0));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().filter(|logged| logged.ends_with(&format!("UTC - INFO - MainThread - {line}"))).count(),
        420_000
    );
    assert!(text.ends_with(" - no end\n"));
}

#[test]
fn w10_a_driver_that_is_killed_leaves_a_script_that_the_next_one_knows() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "be_a_driver"])
        .env(DRIVER, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let script: i32 = wait_for(&dir.path().join(".number")).trim().parse().unwrap();
    driver.kill().unwrap();
    driver.wait().unwrap();
    assert!(is_alive(script));
    let left = worker::left_behind(&dir.path().join(".mark")).unwrap().expect("it is at work");
    left.end(Duration::from_secs(5));
    let end = Instant::now() + Duration::from_secs(10);
    while is_alive(script) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!is_alive(script));
    assert_eq!(worker::left_behind(&dir.path().join(".mark")).unwrap(), None);
}

/// Not a test: the driver that the one above kills.
#[test]
fn be_a_driver() {
    let Some(dir) = std::env::var_os(DRIVER) else { return };
    let dir = Path::new(&dir);
    let body = format!("echo $$ > {}; sleep 600", dir.join(".number").display());
    run(&scripts(dir, &body)[0], Duration::from_mins(10), Some(&dir.join(".mark")), &mut |_| ());
}
