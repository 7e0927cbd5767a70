//! Grants: durable, handed over, never given to the dead.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::daemon::{CLIENTS, Daemon, command};
use crate::wire::{ALL, acquire, answer, begin, get, number, post, queue, release, wait_until};

#[test]
fn a_grant_that_was_answered_survives_a_kill() {
    let mut daemon = Daemon::start();
    for n in 0..5 {
        let lock = format!("web{n}");
        let held = number(&acquire(daemon.address, "web01", &[&lock], 0));
        daemon.kill_and_restart();
        let (_, stands) = get(daemon.address, ALL, &format!("/lock/1/locks/{lock}"));
        assert_eq!(stands["holders"][0]["number"], held, "{stands}");
        assert_eq!(number(&acquire(daemon.address, "web01", &[&lock], 0)), held, "the same grant again");
    }
}

#[test]
fn w17_a_release_that_was_answered_survives_a_kill_and_its_number_is_never_given_again() {
    let mut daemon = Daemon::start();
    let first = number(&acquire(daemon.address, "web01", &["web"], 0));
    assert_eq!(release(daemon.address, "web01", "web", first), (200, json!({"found": true})));
    daemon.kill_and_restart();
    let second = number(&acquire(daemon.address, "web02", &["web"], 0));
    assert!(second > first);
    assert_eq!(release(daemon.address, "web01", "web", first), (200, json!({"found": false})));
    let (_, stands) = get(daemon.address, ALL, "/lock/1/locks/web");
    assert_eq!(stands["holders"][0]["owner"], "web02", "a late word of the old holder frees nothing");
}

#[test]
fn the_next_is_told_the_moment_the_lock_is_free() {
    let daemon = Daemon::start();
    let held = number(&acquire(daemon.address, "web01", &["web"], 0));
    let next = begin(daemon.address, "web02", &["web"], 25);
    let later = begin(daemon.address, "web03", &["web"], 25);
    release(daemon.address, "web01", "web", held);
    let (status, word) = answer(next).unwrap();
    assert_eq!((status, &word["state"], &word["accept_within"]), (200, &json!("offered"), &json!(30)));
    assert_eq!(acquire(daemon.address, "web04", &["web"], 0).1["state"], "busy", "what is offered is not free");
    let second = number(&acquire(daemon.address, "web02", &["web"], 0));
    assert!(second > held);
    drop(later);
}

#[test]
fn a_waiter_that_is_gone_is_passed_over() {
    let daemon = Daemon::start();
    let held = number(&acquire(daemon.address, "web01", &["web"], 0));
    let dead = begin(daemon.address, "web02", &["web"], 25);
    let next = begin(daemon.address, "web03", &["web"], 25);
    drop(dead);
    wait_until(|| queue(daemon.address, "web", "web02")["present"] == false);
    release(daemon.address, "web01", "web", held);
    assert_eq!(answer(next).unwrap().1["state"], "offered");
}

#[test]
fn who_has_waited_for_as_long_as_it_wanted_is_told_its_place_and_why() {
    let daemon = Daemon::start();
    acquire(daemon.address, "web01", &["web"], 0);
    let (status, word) = acquire(daemon.address, "web02", &["web"], 1);
    assert_eq!((status, &word["state"]), (200, &json!("waiting")));
    assert_eq!(word["places"], json!([{"lock": "web", "place": 1}]));
    let why = word["why"].as_str().unwrap();
    assert!(why.starts_with("lock web is held by web01 since") && why.ends_with("nobody is ahead"), "{why}");
    assert_eq!(acquire(daemon.address, "web03", &["web"], 0).1["state"], "busy");
    assert!(queue(daemon.address, "web", "web03").is_null());
}

#[test]
fn several_locks_are_granted_together_or_not_at_all() {
    let daemon = Daemon::start();
    number(&acquire(daemon.address, "web01", &["b"], 0));
    assert_eq!(acquire(daemon.address, "web02", &["a", "b"], 0).1["state"], "busy");
    assert_eq!(get(daemon.address, ALL, "/lock/1/locks/a").1["holders"], json!([]));
    assert_eq!(acquire(daemon.address, "web02", &["c", "a"], 0).1["grants"].as_array().unwrap().len(), 2);
}

#[test]
fn w16_force_takes_a_name_and_a_reason_and_stays_in_the_history() {
    let daemon = Daemon::start();
    let held = number(&acquire(daemon.address, "web01", &["web"], 0));
    let until = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339();
    let down = json!({"owner": "web01", "lock": "web", "number": held, "until": until});
    assert_eq!(post(daemon.address, ALL, "/lock/1/down-until", &down).1, json!({"found": true}));
    let mut force = json!({"owner": "web01", "lock": "web", "by": "ops", "reason": ""});
    assert_eq!(post(daemon.address, ALL, "/lock/1/force-release", &force).0, 400);
    force["reason"] = json!("disk died");
    let (status, word) = post(daemon.address, ALL, "/lock/1/force-release", &force);
    assert!(status == 409 && word["error"].as_str().unwrap().contains("--while-down"), "{word}");
    force["while_down"] = json!(true);
    assert_eq!(post(daemon.address, ALL, "/lock/1/force-release", &force).1, json!({"found": true}));
    let (_, history) = get(daemon.address, ALL, "/lock/1/history?lock=web&owner=web01&limit=2");
    assert_eq!((&history["events"][0]["event"], &history["events"][0]["by"]), (&json!("forced"), &json!("ops")));
    assert_eq!(history["events"][1]["event"], "down");
    let (_, older) = get(daemon.address, ALL, &format!("/lock/1/history?before={}", history["events"][1]["id"]));
    assert_eq!(older["events"].as_array().unwrap().len(), 1);
}

#[test]
fn w1_a_clone_of_a_host_does_not_hold_its_lock() {
    let daemon = Daemon::start();
    number(&acquire(daemon.address, "web01", &["web"], 0));
    let clone = json!({"owner": "web01", "host_id": "another", "boot": "b1", "locks": ["web"], "wait": 5});
    let (status, word) = post(daemon.address, ALL, "/lock/1/acquire", &clone);
    assert!(status == 409 && word["error"].as_str().unwrap().contains("force-release"), "{word}");
    let local = json!({"owner": "localhost.localdomain", "host_id": "a", "boot": "b1", "locks": ["web"]});
    assert_eq!(post(daemon.address, ALL, "/lock/1/acquire", &local).0, 400);
}

#[test]
fn who_withdraws_is_not_waited_for() {
    let daemon = Daemon::start();
    number(&acquire(daemon.address, "web01", &["web"], 0));
    let waits = begin(daemon.address, "web02", &["web"], 25);
    let withdraw = json!({"owner": "web02", "host_id": "id-web02", "locks": ["web"]});
    assert_eq!(post(daemon.address, ALL, "/lock/1/withdraw", &withdraw).1, json!({"withdrawn": true}));
    assert_eq!(answer(waits).unwrap().1["state"], "replaced");
    assert_eq!(post(daemon.address, ALL, "/lock/1/withdraw", &withdraw).1, json!({"withdrawn": false}));
}

#[test]
fn a_second_daemon_on_the_same_store_is_refused() {
    let daemon = Daemon::start();
    let second = command(&daemon.dir).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let words = String::from_utf8(second.stderr).unwrap();
    assert!(words.contains("another patch-lockd uses it"), "{words}");
    number(&acquire(daemon.address, "web01", &["web"], 0));
}

#[test]
fn at_the_end_those_who_wait_are_answered() {
    let mut daemon = Daemon::start();
    number(&acquire(daemon.address, "web01", &["web"], 0));
    let waits = begin(daemon.address, "web02", &["web"], 25);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(answer(waits).unwrap().1["state"], "waiting");
    assert_eq!(daemon.end().code(), Some(0));
    assert!(!daemon.dir.join("store/locks.db-wal").exists(), "all is in the file");
}

#[test]
fn other_terms_hold_from_a_sighup_on_and_wrong_ones_do_not() {
    let daemon = Daemon::start();
    number(&acquire(daemon.address, "web01", &["web"], 0));
    let next = begin(daemon.address, "web02", &["web"], 25);
    crate::daemon::configure(&daemon.dir, "", &format!("[lock web]\nslotz = 2\n{CLIENTS}"));
    daemon.signal(Signal::SIGHUP);
    crate::daemon::configure(&daemon.dir, "", &format!("[lock w*]\nslots = 2\n{CLIENTS}"));
    // The first one may be read with the second file; both must leave the service as it should be.
    daemon.signal(Signal::SIGHUP);
    assert_eq!(answer(next).unwrap().1["state"], "offered");
    assert_eq!(get(daemon.address, ALL, "/lock/1/locks/web").1["slots"], 2);
    crate::daemon::configure(&daemon.dir, "", "[lock web]\nslotz = 3\n");
    daemon.signal(Signal::SIGHUP);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(get(daemon.address, ALL, "/lock/1/locks/web").1["slots"], 2);
}

#[test]
fn an_overdue_grant_is_told_to_the_programs_and_lasts() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let hooks = scratch.path().join("overdue.d");
    std::fs::create_dir(&hooks).unwrap();
    let said = scratch.path().join("said");
    std::fs::write(hooks.join("10-say"), format!("#!/bin/sh\necho \"$@\" >>{}\n", said.display())).unwrap();
    std::fs::set_permissions(hooks.join("10-say"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let keys = format!("overdue_hooks = {}\n", hooks.display());
    let mut daemon = Daemon::in_dir(scratch.path(), &keys, &format!("[lock web]\noverdue = 1s\n{CLIENTS}"));
    let held = number(&acquire(daemon.address, "web01", &["web"], 0));
    std::thread::sleep(std::time::Duration::from_millis(2100));
    daemon.kill_and_restart();
    wait_until(|| said.exists() && !std::fs::read(&said).unwrap().is_empty());
    let (_, stands) = get(daemon.address, ALL, "/lock/1/locks/web");
    let holder = &stands["holders"][0];
    assert_eq!((&holder["number"], &holder["overdue"]), (&json!(held), &json!(true)));
    let since = holder["since"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(&said).unwrap(), format!("web web01 {held} {since}\n"));
}

#[test]
fn nobody_says_a_time_that_the_service_could_not_read_again() {
    let mut daemon = Daemon::start();
    let held = number(&acquire(daemon.address, "web01", &["web"], 0));
    let down = |daemon: &Daemon, until: &str| {
        let said = json!({"owner": "web01", "lock": "web", "number": held, "until": until});
        post(daemon.address, ALL, "/lock/1/down-until", &said)
    };
    let (status, word) = down(&daemon, "9999-12-31T23:59:59-12:00");
    assert!(status == 400 && word["error"].as_str().unwrap().contains("0001 to 9999"), "{word}");
    let (status, word) = down(&daemon, "9999-12-31T23:59:59Z");
    assert!(status == 409 && word["error"].as_str().unwrap().contains("30 days"), "{word}");
    let soon = (chrono::Utc::now() + chrono::TimeDelta::days(29)).to_rfc3339();
    assert_eq!(down(&daemon, &soon).0, 200);
    assert_eq!(get(daemon.address, ALL, "/lock/1/history").1["events"].as_array().unwrap().len(), 2);
    daemon.kill_and_restart();
    assert_eq!(get(daemon.address, ALL, "/lock/1/locks/web").1["holders"][0]["number"], held);
}

#[test]
fn w1_a_name_in_capitals_is_no_second_owner() {
    let mut daemon = Daemon::with(&format!("[lock web]\nslots = 2\n{CLIENTS}"));
    let ask = |daemon: &Daemon, owner: &str, host_id: &str| {
        let asked = json!({"owner": owner, "host_id": host_id, "boot": "b", "locks": ["web"]});
        post(daemon.address, ALL, "/lock/1/acquire", &asked)
    };
    let held = number(&ask(&daemon, "H1.Example.org", "one"));
    let again = ask(&daemon, "h1.example.org", "one");
    assert_eq!((number(&again), &again.1["grants"][0]["owner"]), (held, &json!("h1.example.org")), "as it was asked");
    daemon.kill_and_restart();
    let clone = ask(&daemon, "h1.EXAMPLE.org", "other");
    assert!(clone.0 == 409 && clone.1["error"].as_str().unwrap().contains("host id one holds"), "{clone:?}");
    let stands = get(daemon.address, ALL, "/lock/1/locks/web").1;
    assert_eq!(stands["holders"].as_array().unwrap().len(), 1);
    assert_eq!(stands["holders"][0]["owner"], "H1.Example.org");
    assert_eq!(get(daemon.address, ALL, "/lock/1/history?owner=h1.EXAMPLE.org").1["events"][0]["number"], held);
    let force = json!({"owner": "H1.EXAMPLE.org", "lock": "web", "by": "ops", "reason": "dead"});
    assert_eq!(post(daemon.address, ALL, "/lock/1/force-release", &force).1, json!({"found": true}));
}
