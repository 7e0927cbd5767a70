//! `patch-lock hold`.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::bench::{Host, Said, signal, until};

const SECTION: &str = "backend = dir\ndir = /srv/locks\nscope = this-host\nbackoff_base = 1s\nbackoff_max = 1s\n";

fn host() -> Host {
    let host = Host::new("web01.example.org", 'a', SECTION);
    std::fs::create_dir_all(host.path("srv/locks")).unwrap();
    host
}

fn is_held(host: &Host) -> bool {
    host.path("srv/locks/web.lock").exists()
}

#[test]
fn a_command_runs_under_the_lock_and_its_code_is_the_tool_s() {
    let host = host();
    let script = format!("test -e {} && exit 7", host.path("srv/locks/web.lock").display());
    let said = host.run(&["hold", "web", "--", "sh", "-c", &script]);
    assert_eq!((said.code, said.err.as_str()), (7, ""), "{said:?}");
    assert!(!is_held(&host) && host.grants().is_empty());
    assert_eq!(host.run(&["hold", "web", "--", "sh", "-c", "echo out; kill -9 $$"]).code, 137);
    assert!(!is_held(&host));
}

#[test]
fn a_command_that_cannot_be_run_frees_the_lock() {
    let host = host();
    assert_eq!(host.run(&["hold", "web", "--", "/nonexistent"]).code, 127);
    assert_eq!(host.run(&["hold", "web", "--", "/etc/passwd"]).code, 126);
    assert!(!is_held(&host) && host.grants().is_empty());
    assert_eq!(host.run(&["hold", "web"]).code, 2);
}

#[test]
fn two_commands_of_one_host_keep_out_of_each_other_s_way() {
    let host = host();
    let first = host.start(&["hold", "web", "--", "sleep", "2"]);
    until("it is held", || is_held(&host));
    let said = host.run(&["hold", "web", "--", "true"]);
    assert!(said.code == 75 && said.err.contains("another patch-lock hold"), "{said:?}");
    assert_eq!(host.run(&["hold", "-E", "9", "web", "--", "true"]).code, 9);
    let waited = host.run(&["hold", "--wait=10s", "web", "--", "sh", "-c", "exit 3"]);
    assert_eq!(waited.code, 3, "{waited:?}");
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn what_another_host_holds_is_75_or_the_code_that_was_asked_for() {
    let host = host();
    host.configure("web02.example.org", SECTION);
    host.write("etc/machine-id", &"b".repeat(32));
    assert_eq!(host.run(&["acquire", "web"]).code, 0);
    std::fs::remove_file(host.path("var/lib/patch/grants")).unwrap();
    host.configure("web01.example.org", SECTION);
    host.write("etc/machine-id", &"a".repeat(32));
    assert_eq!(host.run(&["hold", "web", "--", "true"]).code, 75);
    assert_eq!(host.run(&["hold", "-E", "9", "web", "--", "true"]).code, 9);
    assert!(host.run(&["hold", "-E", "9", "../web", "--", "true"]).code == 2, "wrong arguments stay 2");
}

#[test]
fn term_is_passed_on_and_the_lock_falls_with_the_command() {
    let host = host();
    let held =
        host.start(&["hold", "web", "--", "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"]);
    until("it is held", || is_held(&host));
    std::thread::sleep(Duration::from_millis(300));
    signal(&held, Signal::SIGTERM);
    assert_eq!(Said::from(held.wait_with_output().unwrap()).code, 5);
    assert!(!is_held(&host));
    let held = host.start(&["hold", "web", "--", "sleep", "60"]);
    until("it is held", || is_held(&host));
    std::thread::sleep(Duration::from_millis(300));
    signal(&held, Signal::SIGTERM);
    assert_eq!(Said::from(held.wait_with_output().unwrap()).code, 143);
    assert!(!is_held(&host));
}

/// W10: the script goes on when the updater is ended, and its lock is free.
#[test]
fn w10_a_hold_that_was_killed_keeps_the_lock_until_a_person_says_so() {
    let host = host();
    let mut held = host.start(&["hold", "web", "--", "sleep", "3"]);
    until("it is held", || host.grants().contains("dir web 1-local"));
    held.kill().unwrap();
    held.wait().unwrap();
    let said = host.run(&["hold", "web", "--", "true"]);
    assert!(said.code == 75 && said.err.contains("patch-lock release web"), "{said:?}");
    assert_eq!(host.run(&["release", "web"]).code, 0);
    assert_eq!(host.run(&["hold", "web", "--", "true"]).code, 0);
}

#[test]
fn nothing_of_ours_is_inherited() {
    let host = host();
    let said = host.run(&[
        "hold",
        "web",
        "--",
        "sh",
        "-c",
        "ls -l /proc/self/fd | grep -c patch; grep SigBlk /proc/self/status",
    ]);
    assert_eq!(said.out, "0\nSigBlk:\t0000000000000000\n", "{said:?}");
}
