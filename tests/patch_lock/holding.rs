//! `patch-lock hold`.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::bench::{Host, Said, signal, until};
use super::server::{Server, Step, ok};

const GRANT: &str = r#"{"state":"granted","grants":[{"lock":"web","number":7,"owner":"web01.example.org"}]}"#;

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
    assert!(said.code == 75 && said.err.contains("works with lock web"), "{said:?}");
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

/// A marker of the host's root, for scripts.
fn marker(host: &Host, name: &str) -> String {
    host.path(name).display().to_string()
}

/// W10: the signal ends the shell and not what the shell has started; the lock would be free under it.
#[test]
fn w10_term_ends_the_steps_of_a_script_with_it_and_the_lock_falls_after_them() {
    let host = host();
    let script = format!("touch {0}; sleep 30; touch {0}2", marker(&host, "step"));
    let held = host.start(&["hold", "web", "--", "sh", "-c", &script]);
    until("it works", || host.path("step").exists());
    signal(&held, Signal::SIGTERM);
    let began = std::time::Instant::now();
    assert_eq!(Said::from(held.wait_with_output().unwrap()).code, 143);
    assert!(began.elapsed() < Duration::from_secs(10) && !host.path("step2").exists());
    assert!(!is_held(&host) && host.grants().is_empty());
}

#[test]
fn who_is_stopped_hears_term_all_the_same() {
    let host = host();
    let held =
        host.start(&["hold", "web", "--", "sh", "-c", &format!("touch {}; kill -STOP $$", marker(&host, "begun"))]);
    until("it works", || host.path("begun").exists());
    std::thread::sleep(Duration::from_millis(300));
    signal(&held, Signal::SIGTERM);
    assert_eq!(Said::from(held.wait_with_output().unwrap()).code, 143);
    assert!(!is_held(&host));
}

/// W10: timeout(1), and shells with job control, make process groups of their own.
#[test]
fn w10_a_step_that_does_not_hear_term_keeps_the_lock_until_it_has_ended() {
    for wrapped in ["", "timeout 60 "] {
        let host = host();
        let begun = marker(&host, "begun");
        let deaf = format!(
            "{wrapped}sh -c \"trap '' TERM; touch {begun}; for i in 1 2 3 4; do sleep 0.5; done; touch {begun}2\" & wait"
        );
        let mut held = host.start(&["hold", "web", "--", "sh", "-c", &deaf]);
        until("it works", || host.path("begun").exists());
        signal(&held, Signal::SIGTERM);
        std::thread::sleep(Duration::from_millis(700));
        assert!(is_held(&host) && !host.path("begun2").exists(), "{wrapped}");
        held.wait().unwrap();
        assert!(host.path("begun2").exists() && !is_held(&host) && host.grants().is_empty(), "{wrapped}");
    }
}

#[test]
fn what_a_command_leaves_behind_keeps_the_lock_and_a_daemon_does_not() {
    let host = host();
    let began = std::time::Instant::now();
    assert_eq!(host.run(&["hold", "web", "--", "sh", "-c", "sleep 1.5 >&- 2>&- & exit 3"]).code, 3);
    assert!(began.elapsed() >= Duration::from_millis(1500) && !is_held(&host));
    let daemon = "setsid sleep 20 </dev/null >/dev/null 2>&1 & echo $!";
    let began = std::time::Instant::now();
    let said = host.run(&["hold", "web", "--", "sh", "-c", daemon]);
    assert!(said.code == 0 && began.elapsed() < Duration::from_secs(15), "{said:?}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(said.out.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
}

#[test]
fn after_a_second_term_it_is_told_who_works_on_and_the_lock_is_kept() {
    let host = host();
    let deaf = format!(
        "exec >/dev/null 2>&1; trap '' TERM; touch {}; while test -e {0}; do sleep 0.1; done",
        marker(&host, "begun")
    );
    let held = host.start(&["hold", "web", "--", "sh", "-c", &deaf]);
    until("it works", || host.path("begun").exists());
    signal(&held, Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    signal(&held, Signal::SIGTERM);
    let said = Said::from(held.wait_with_output().unwrap());
    assert!(said.code == 143 && said.err.contains("still at work") && said.err.contains("sh ("), "{said:?}");
    assert!(said.err.contains("patch-lock release web") && is_held(&host), "{said:?}");
    assert_eq!(host.run(&["hold", "web", "--", "true"]).code, 75);
    std::fs::remove_file(host.path("begun")).unwrap();
    assert_eq!(host.run(&["release", "web"]).code, 0);
}

#[test]
fn hold_and_acquire_of_one_host_keep_out_of_each_other_s_way() {
    let host = host();
    let mut held = host.start(&["hold", "web", "--", "sleep", "2"]);
    until("it is held", || host.grants().contains("dir web 1-local"));
    let said = host.run(&["acquire", "web"]);
    assert!(said.code == 75 && said.err.contains("works with lock web"), "{said:?}");
    let said = host.run(&["release", "web"]);
    assert!(said.code == 75 && is_held(&host), "{said:?}");
    let said = host.run(&["acquire", "--wait=20s", "web"]);
    assert_eq!((said.code, said.out.as_str()), (0, "lock web is held (grant 2, local)\n"), "{said:?}");
    assert_eq!(held.wait().unwrap().code(), Some(0));
    assert!(is_held(&host), "what was taken by hand is not freed by the end of a hold");
    let said = host.run(&["hold", "web", "--", "true"]);
    assert!(said.code == 75 && said.err.contains("patch-lock release web"), "{said:?}");
}

#[test]
fn a_lock_that_was_taken_away_while_the_command_ran_is_told() {
    let host = host();
    let lock = marker(&host, "srv/locks/web.lock");
    let said = host.run(&["hold", "web", "--", "rm", &lock]);
    assert!(said.code == 0 && said.err.contains("lock web was taken from this host"), "{said:?}");
    assert_eq!(host.grants(), "");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let host = host();
    let mut nohup = std::process::Command::new("nohup");
    nohup
        .arg(env!("CARGO_BIN_EXE_patch-lock"))
        .arg("--root")
        .arg(host.path(""))
        .args(["hold", "web", "--", "sleep", "2"]);
    let null = std::process::Stdio::null;
    let mut held = nohup.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
    until("it is held", || host.grants().contains("dir web 1-local"));
    std::thread::sleep(Duration::from_millis(300));
    signal(&held, Signal::SIGHUP);
    assert_eq!(held.wait().unwrap().code(), Some(0));
}

#[test]
fn a_lock_that_could_not_be_given_back_is_given_back_by_whoever_wants_it_next() {
    for next in [&["hold", "web", "--", "true"][..], &["acquire", "web"], &["release", "web"]] {
        let host = host();
        let (there, away) = (marker(&host, "srv/locks"), marker(&host, "srv/away"));
        let held = host.start(&["hold", "web", "--", "mv", &there, &away]);
        until("it is to be given back", || host.grants().starts_with("over "));
        std::thread::sleep(Duration::from_millis(200));
        signal(&held, Signal::SIGTERM);
        let said = Said::from(held.wait_with_output().unwrap());
        assert!(said.code == 0 && said.err.contains("lock web is still held"), "{said:?}");
        assert_eq!(host.grants(), "over dir web 1-local web01.example.org\n");
        assert_eq!(host.run(&["hold", "web", "--", "true"]).code, 69, "nobody knows");
        std::fs::rename(&away, &there).unwrap();
        let said = host.run(next);
        assert_eq!(said.code, 0, "{next:?}: {said:?}");
        assert_eq!(is_held(&host), next[0] == "acquire");
        assert!(!host.grants().contains("over"), "{}", host.grants());
    }
}

#[test]
fn term_while_the_lock_is_asked_for_starts_no_command() {
    let server =
        Server::start(vec![Step::Late(Duration::from_millis(900), 200, GRANT.into()), ok(r#"{"found":true}"#)]);
    let section = format!("backend = lockd\nurl = {}\nsecret_id = a\nsecret_file = /etc/patch/secret\n", server.url());
    let host = Host::new("web01.example.org", 'a', &section);
    host.write_secret("etc/patch/secret", "s3cret");
    let held = host.start(&["hold", "web", "--", "touch", &marker(&host, "begun")]);
    until("it asks", || !server.asked().is_empty());
    signal(&held, Signal::SIGTERM);
    assert_eq!(Said::from(held.wait_with_output().unwrap()).code, 143);
    assert!(!host.path("begun").exists() && host.grants().is_empty(), "{}", host.grants());
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
