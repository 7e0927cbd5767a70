//! Patch mode: the lock of a run.

use std::time::Duration;

use nix::sys::signal::Signal;
use patchflag::flag::record::Draft;
use patchflag::flag::state::State;
use patchflag::sys::clock;

use super::bench::{Host, Said, signal, until};
use super::server::{Server, Step, ok, say};

const GRANT: &str = r#"{"state":"granted","grants":[{"lock":"web","number":7,"owner":"web01.example.org"},{"lock":"db","number":8,"owner":"web01.example.org"}]}"#;
const BUSY: &str = r#"{"state":"busy","why":"lock web is held by web02"}"#;

/// A host whose run is staged.
fn meet(script: Vec<Step>) -> (Host, Server) {
    let server = Server::start(script);
    let section = format!(
        "backend = lockd\nurl = {}\nsecret_id = web01\nsecret_file = /etc/patch/secret\nnames = web db\ntimeout = 2s\nbackoff_base = 1s\nbackoff_max = 1s\n",
        server.url()
    );
    let host = Host::new("web01.example.org", 'a', &section);
    host.write_secret("etc/patch/secret", "s3cret");
    host.write("etc/patchflag", "");
    host.write("etc/patchlog", &[line(&Draft::state(State::Fetching)), line(&Draft::state(State::Staged))].concat());
    (host, server)
}

fn line(draft: &Draft) -> String {
    draft.line(clock::parse("2026-11-21T02:00:07Z").unwrap(), "grab-patch", 812, "R1") + "\n"
}

fn journal(host: &Host) -> String {
    host.read("etc/patchlog")
}

fn add(host: &Host, draft: &Draft) {
    host.write("etc/patchlog", &(journal(host) + &line(draft)));
}

#[test]
fn without_both_flags_there_is_nothing_to_do_and_nothing_is_read() {
    let (host, server) = meet(vec![]);
    host.write("etc/patch/config.ini", "nonsense");
    for missing in ["etc/patchflag", "etc/patchlog"] {
        let text = host.read(missing);
        std::fs::remove_file(host.path(missing)).unwrap();
        for command in ["acquire", "release"] {
            let said = host.run(&[command, "-p"]);
            assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""));
        }
        host.write(missing, &text);
    }
    assert!(server.asked().is_empty());
}

#[test]
fn the_intent_is_recorded_first_then_the_grants_and_the_stage_once() {
    let (host, server) = meet(vec![ok(BUSY), ok(GRANT)]);
    let said = host.run(&["acquire", "-p"]);
    assert_eq!((said.code, said.err.as_str()), (75, ""), "cron makes no mail of it");
    assert!(
        journal(&host).contains("locking=\"lockd db web\"") && !journal(&host).contains("grant="),
        "{}",
        journal(&host)
    );
    assert_eq!(host.run(&["acquire", "-p"]).code, 0);
    let text = journal(&host);
    assert_eq!(text.matches("locking=\"lockd").count(), 1, "{text}");
    assert!(
        text.find("grant=\"lockd db").unwrap() < text.find("locking=\"\"").unwrap(),
        "answered with the last: {text}"
    );
    for words in
        ["grant=\"lockd web 7 web01.example.org\"", "grant=\"lockd db 8 web01.example.org\"", "done stage=patch-lock"]
    {
        assert_eq!(text.matches(words).count(), 1, "{words}: {text}");
    }
    assert_eq!(host.run(&["acquire", "-p"]).code, 0, "all are held: nobody is asked");
    assert_eq!(journal(&host), text);
    assert!(server.asked()[1].body.contains("\"reason\":\"patch run R1\""));
    assert!(host.grants().is_empty(), "a run's grants are in its journal");
}

#[test]
fn only_a_staged_run_in_its_window_takes_the_lock() {
    let (host, server) = meet(vec![]);
    let section = host.read("etc/patch/config.ini");
    host.write("etc/patch/config.ini", &format!("{section}[patchit]\nwindow = 02:00-03:00\n"));
    assert_eq!(host.run(&["--now", "2026-11-21T12:00:00Z", "acquire", "-p"]).code, 0);
    host.write("etc/patch/config.ini", &section);
    add(&host, &Draft::state(State::Ordered).field("boot", "b/1"));
    assert_eq!(host.run(&["acquire", "-p"]).code, 0);
    assert!(server.asked().is_empty() && !journal(&host).contains("locking="));
}

#[test]
fn a_run_that_is_called_off_while_its_lock_is_waited_for_gives_it_back() {
    let late = Step::Late(Duration::from_secs(1), 200, GRANT.into());
    let (host, server) = meet(vec![late, ok(r#"{"found":true}"#), ok(r#"{"found":true}"#)]);
    let waiting = host.start(&["acquire", "-p"]);
    until("it asks", || !server.asked().is_empty());
    std::fs::remove_file(host.path("etc/patchflag")).unwrap();
    let said = Said::from(waiting.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let bodies: Vec<String> = server.asked().into_iter().skip(1).map(|asked| asked.body).collect();
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    assert!(
        bodies.iter().any(|body| body.contains("\"number\":7"))
            && bodies.iter().any(|body| body.contains("\"number\":8"))
    );
    assert!(!journal(&host).contains("grant="));
}

/// patch-lock was killed between the service's answer and its record, and the run is called off; what the service is asked then.
fn finish(reason: &str, script: &[Step]) -> (Vec<String>, String) {
    let holder = |lock: &str, number: u32| {
        let (owner, host) = ("web01.example.org", "a".repeat(32));
        ok(&format!(
            r#"{{"lock":"{lock}","slots":1,"holders":[{{"lock":"{lock}","number":{number},"owner":"{owner}","host_id":"{host}","reason":"{reason}"}}]}}"#
        ))
    };
    let script = [vec![holder("db", 8)], script.to_vec(), vec![holder("web", 7)], script.to_vec()].concat();
    let (host, server) = meet(script);
    add(&host, &Draft::note("asking for the lock").field("locking", "lockd db web"));
    std::fs::remove_file(host.path("etc/patchflag")).unwrap();
    host.write("etc/inittab", "id:2:initdefault:\n");
    host.write("sbin/init", "");
    std::fs::create_dir_all(host.path("var/spool")).unwrap();
    let mut patchit = std::process::Command::new(env!("CARGO_BIN_EXE_patchit"));
    patchit.arg("--root").arg(host.path("")).args(["--finish", "--now", "2026-11-21T02:00:10Z"]);
    let said = Said::from(patchit.env_clear().env("PREVLEVEL", "N").env("RUNLEVEL", "2").output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    (server.lines(), host.read("etc/patchlog.261121"))
}

#[test]
fn what_was_granted_to_the_run_and_never_recorded_is_found_by_its_reason_and_released() {
    let (asked, journal) = finish("patch run R1", &[ok(r#"{"found":true}"#)]);
    let wanted = ["GET /lock/1/locks/db", "POST /lock/1/release", "GET /lock/1/locks/web", "POST /lock/1/release"];
    assert_eq!(asked, wanted, "{journal}");
    assert!(journal.contains("released=\"lockd db 8") && journal.contains("released=\"lockd web 7"), "{journal}");
}

#[test]
fn what_this_host_holds_for_another_reason_is_not_the_run_s_to_release() {
    let (asked, journal) = finish("moving disks", &[]);
    assert_eq!(asked, ["GET /lock/1/locks/db", "GET /lock/1/locks/web"], "{journal}");
    assert!(!journal.contains("releas") && journal.contains("state=ended"), "{journal}");
}

#[test]
fn a_wait_ends_when_nobody_wants_the_lock_any_more() {
    let waiting = r#"{"state":"waiting","places":[],"why":"held"}"#;
    // Late, so that the flag is gone before the answer is there: else it may ask once more.
    let late = Step::Late(Duration::from_secs(2), 200, waiting.into());
    let (host, server) = meet(vec![late, ok(r#"{"withdrawn":true}"#)]);
    let child = host.start(&["acquire", "-p", "--wait"]);
    until("it asks", || !server.asked().is_empty());
    std::fs::remove_file(host.path("etc/patchflag")).unwrap();
    assert_eq!(Said::from(child.wait_with_output().unwrap()).code, 0);
    until("it withdraws", || server.is_done());
    assert_eq!(server.lines()[1], "POST /lock/1/withdraw");
}

#[test]
fn the_host_is_free_for_other_tools_while_the_service_is_asked() {
    let late = Step::Late(Duration::from_secs(1), 200, BUSY.into());
    let (host, server) = meet(vec![late]);
    let child = host.start(&["acquire", "-p"]);
    until("it asks", || !server.asked().is_empty());
    let free = patchflag::sys::lockfile::try_take(&host.path("run/patch/lock")).unwrap();
    assert!(free.is_some());
    drop(free);
    assert_eq!(Said::from(child.wait_with_output().unwrap()).code, 75);
}

#[test]
fn a_service_that_is_away_lowers_nothing_and_is_mailed_after_the_third_time() {
    let (host, _server) = meet(vec![say(503, "no"), say(503, "no"), say(503, "no")]);
    for misses in 1..=3 {
        assert_eq!(host.run(&["acquire", "-p"]).code, 69);
        assert_eq!(journal(&host).matches("unreachable=").count(), misses);
        let mails = std::fs::read_dir(host.path("var/spool/patch/queue")).map_or(0, Iterator::count);
        assert_eq!(mails > 0, misses == 3, "after {misses}");
    }
    assert!(host.path("etc/patchflag").exists());
}

#[test]
fn a_wrong_configuration_is_2_lowers_nothing_and_is_mailed_once_a_day() {
    let (host, _server) = meet(vec![say(401, "no"), say(401, "no")]);
    for _ in 0..2 {
        assert_eq!(host.run(&["acquire", "-p"]).code, 2);
    }
    assert_eq!(std::fs::read_dir(host.path("var/spool/patch/queue")).unwrap().count(), 1);
    assert!(host.path("etc/patchflag").exists());
}

#[test]
fn without_a_lock_in_the_configuration_patch_mode_is_silent_and_by_hand_it_is_wrong() {
    let (host, _server) = meet(vec![]);
    host.write("etc/patch/config.ini", "[host]\nname = web01.example.org\n");
    let said = host.run(&["acquire", "-p"]);
    assert!(said.code == 0 && said.err.is_empty(), "{said:?}");
    let said = host.run(&["acquire", "web"]);
    assert!(said.code == 2 && said.err.contains("no lock is configured"), "{said:?}");
}

/// What the service says of lock web while a grant of this host stands.
fn stands(number: u64) -> Step {
    let (owner, id) = ("web01.example.org", "a".repeat(32));
    ok(&format!(
        r#"{{"lock":"web","slots":1,"holders":[{{"lock":"web","number":{number},"owner":"{owner}","host_id":"{id}"}}]}}"#
    ))
}

#[test]
fn a_lock_that_a_person_holds_on_this_host_is_not_given_to_a_run_and_is_mailed_once_a_day() {
    let (host, server) = meet(vec![stands(7), stands(7)]);
    host.write("var/lib/patch/grants", "lockd web 7 web01.example.org\n");
    for _ in 0..2 {
        let said = host.run(&["acquire", "-p"]);
        assert!(said.code == 75 && said.err.contains("held by hand on this host"), "{said:?}");
    }
    assert!(server.lines().iter().all(|line| line.starts_with("GET /lock/1/locks/web")), "it is only looked at");
    assert_eq!(std::fs::read_dir(host.path("var/spool/patch/queue")).unwrap().count(), 1);
    assert!(!journal(&host).contains("locking="), "or the end of the run would give it back");
}

#[test]
fn a_lock_of_a_person_that_was_taken_away_at_the_service_keeps_no_run_from_its_own() {
    let free = ok(r#"{"lock":"web","slots":1,"holders":[]}"#);
    let (host, server) = meet(vec![say(503, "no"), free, ok(GRANT)]);
    host.write("var/lib/patch/grants", "lockd web 7 web01.example.org\n");
    assert_eq!(host.run(&["acquire", "-p"]).code, 69, "nobody knows whether it stands");
    assert_eq!(host.grants(), "lockd web 7 web01.example.org\n");
    let said = host.run(&["acquire", "-p"]);
    assert!(said.code == 0 && said.err.contains("does not stand any more"), "{said:?}");
    assert_eq!((host.grants().as_str(), server.is_done()), ("", true));
    assert_eq!(journal(&host).matches("grant=").count(), 2);
}

#[test]
fn what_a_hold_could_not_give_back_is_given_back_before_the_run_asks() {
    let (host, server) = meet(vec![ok(r#"{"found":true}"#), ok(GRANT)]);
    host.write("var/lib/patch/grants", "over lockd web 5 web01.example.org\n");
    assert_eq!(host.run(&["acquire", "-p"]).code, 0);
    assert!(server.asked()[0].body.contains("\"number\":5"), "{:?}", server.asked());
    assert_eq!(host.grants(), "");
}

#[test]
fn a_lock_of_a_run_is_not_for_hands_to_take_or_give_back() {
    let (host, server) = meet(vec![ok(GRANT)]);
    assert_eq!(host.run(&["acquire", "-p"]).code, 0);
    let said = host.run(&["release", "web"]);
    assert!(said.code == 1 && said.err.contains("the patch run of this host holds it"), "{said:?}");
    for args in [&["hold", "web", "--", "true"][..], &["acquire", "web"]] {
        let said = host.run(args);
        assert!(said.code == 75 && said.err.contains("patch run"), "{said:?}");
    }
    assert_eq!((server.asked().len(), host.grants().as_str()), (1, ""));
}

#[test]
fn while_the_run_asks_nobody_of_this_host_asks_by_hand_and_the_other_way_round() {
    let late = Step::Late(Duration::from_millis(1500), 200, BUSY.into());
    let (host, server) = meet(vec![late.clone(), ok(r#"{"withdrawn":true}"#), late, ok(r#"{"withdrawn":true}"#)]);
    let run = host.start(&["acquire", "-p"]);
    until("it asks", || !server.asked().is_empty());
    assert_eq!(host.run(&["acquire", "web"]).code, 75);
    assert_eq!(Said::from(run.wait_with_output().unwrap()).code, 75);
    let before = server.asked().len();
    let hand = host.start(&["acquire", "db"]);
    until("it asks", || server.asked().len() > before);
    let said = host.run(&["acquire", "-p"]);
    assert_eq!((said.code, said.err.as_str()), (75, ""), "{said:?}");
    hand.wait_with_output().unwrap();
    assert!(server.asked().len() <= before + 2);
}

#[test]
fn a_stage_may_give_the_lock_back_before_the_first_change_and_take_it_again() {
    let done = || ok(r#"{"found":true}"#);
    let (host, server) = meet(vec![ok(GRANT), done(), done(), ok(GRANT)]);
    host.run(&["acquire", "-p"]);
    assert_eq!(host.run(&["release", "-p"]).code, 0);
    assert_eq!(journal(&host).matches("released=").count(), 2, "{}", journal(&host));
    assert_eq!(host.run(&["release", "-p"]).code, 0, "nothing is left to give back");
    assert_eq!(host.run(&["acquire", "-p"]).code, 0);
    assert!(server.is_done());
    assert_eq!(journal(&host).matches("grant=").count(), 4);
}

#[test]
fn term_during_a_wait_leaves_the_run_as_it_was() {
    let late = Step::Late(Duration::from_millis(1500), 200, BUSY.into());
    let (host, server) = meet(vec![late, ok(r#"{"withdrawn":true}"#)]);
    let child = host.start(&["acquire", "-p", "--wait"]);
    until("it asks", || !server.asked().is_empty());
    signal(&child, Signal::SIGTERM);
    assert_eq!(Said::from(child.wait_with_output().unwrap()).code, 143);
    assert!(host.path("etc/patchflag").exists() && !journal(&host).contains("grant="));
}

#[test]
fn a_grant_that_cannot_be_recorded_because_a_stage_works_is_found_by_the_next_tick() {
    let late = Step::Late(Duration::from_millis(500), 200, GRANT.into());
    let (host, server) = meet(vec![late, ok(GRANT)]);
    let child = host.start(&["acquire", "-p"]);
    until("it asks", || !server.asked().is_empty());
    let stage = patchflag::sys::lockfile::try_take(&host.path("run/patch/lock")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    signal(&child, Signal::SIGTERM);
    assert_eq!(Said::from(child.wait_with_output().unwrap()).code, 143);
    assert!(!journal(&host).contains("grant="));
    drop(stage);
    assert_eq!(host.run(&["acquire", "-p"]).code, 0);
    assert_eq!(journal(&host).matches("grant=").count(), 2);
}

#[test]
fn an_unfit_flag_is_2_and_nobody_is_asked() {
    let (host, server) = meet(vec![]);
    host.write("etc/patchflag", "resaon = typo\n");
    let said = host.run(&["acquire", "-p"]);
    assert!(said.code == 2 && said.err.contains("did you mean reason"), "{said:?}");
    assert!(server.asked().is_empty());
}

#[test]
fn a_question_changes_nothing() {
    let (host, server) = meet(vec![]);
    let before = journal(&host);
    let said = host.run(&["acquire", "-p", "-n"]);
    assert_eq!((said.code, said.out.as_str()), (0, "would ask lockd db web for the lock of run R1\n"));
    assert_eq!(journal(&host), before);
    assert!(server.asked().is_empty());
}
