//! Backend `lockd`, against a server that speaks its protocol as `lock::wire` has it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::bench::{Host, Said, signal, until};
use super::server::{Server, Step, ok, say};

const GRANT: &str = r#"{"state":"granted","grants":[{"lock":"web","number":7,"owner":"web01.example.org","news":1}]}"#;
const BUSY: &str = r#"{"state":"busy","why":"lock web is held by web02"}"#;
const WAITING: &str =
    r#"{"state":"waiting","places":[{"lock":"web","place":2}],"why":"lock web is held by web02; ahead: web03"}"#;

fn section(url: &str) -> String {
    format!(
        "backend = lockd\nurl = {url}\nsecret_id = web01\nsecret_file = /etc/patch/secret\nnames = web\ntimeout = 2s\nbackoff_base = 1s\nbackoff_max = 1s\n"
    )
}

fn host(url: &str) -> Host {
    let host = Host::new("web01.example.org", 'a', &section(url));
    host.write_secret("etc/patch/secret", "s3cret\n");
    host
}

fn meet(script: Vec<Step>) -> (Host, Server) {
    let server = Server::start(script);
    (host(&server.url()), server)
}

#[test]
fn a_grant_is_asked_for_with_all_that_the_protocol_names_and_released_by_its_number() {
    let (host, server) = meet(vec![ok(GRANT), ok(r#"{"found":true}"#)]);
    let said = host.run(&["acquire", "--reason", "disks"]);
    assert_eq!((said.code, said.out.as_str()), (0, "lock web is held (grant 7)\n"), "{said:?}");
    assert_eq!(host.grants(), "lockd web 7 web01.example.org\n");
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /lock/1/acquire");
    assert!(
        asked.head.contains("x-secret-id: web01\r\n") && asked.head.contains("x-secret: s3cret\r\n"),
        "{}",
        asked.head
    );
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let expected = serde_json::json!({"owner": "web01.example.org", "host_id": "a".repeat(32), "boot": "0a1b-2c/4711", "locks": ["web"], "reason": "disks", "wait": 0});
    assert_eq!(body, expected);
    assert_eq!(host.run(&["release"]).out, "lock web is released\n");
    assert_eq!(server.asked()[1].body, r#"{"owner":"web01.example.org","lock":"web","number":7}"#);
}

#[test]
fn an_offer_is_accepted_at_once_and_a_place_is_kept_by_asking_again() {
    let offer = r#"{"state":"offered","accept_within":30}"#;
    let late = Step::Late(Duration::from_millis(300), 200, WAITING.into());
    let (host, server) = meet(vec![late, ok(offer), ok(GRANT)]);
    let began = Instant::now();
    let said = host.run(&["acquire", "--wait"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(began.elapsed() < Duration::from_millis(900), "no pause of the back-off: {:?}", began.elapsed());
    assert!(server.asked().iter().all(|asked| asked.body.contains(r#""wait":55"#)), "{:?}", server.asked());
}

#[test]
fn what_is_held_elsewhere_is_75_and_a_newer_process_takes_the_place_of_an_older() {
    let (host, _server) = meet(vec![ok(BUSY), ok(r#"{"state":"replaced"}"#)]);
    let said = host.run(&["acquire"]);
    assert_eq!((said.code, said.err.as_str()), (75, "patch-lock: lock web is held by web02\n"));
    let said = host.run(&["acquire", "--wait"]);
    assert!(said.code == 75 && said.err.contains("another patch-lock"), "{said:?}");
}

/// W38: 401, 403, 422 and 500 are treated like "held" and polled to the end.
#[test]
fn w38_a_refusal_is_no_lock_that_is_held_elsewhere() {
    let fault = |kind: &str, words: &str| format!(r#"{{"kind":"{kind}","error":"{words}"}}"#);
    for (status, kind, code) in [
        (400, "bad-request", 2),
        (401, "unauthorized", 2),
        (403, "forbidden", 2),
        (404, "not-found", 2),
        (409, "refused", 1),
        (429, "too-many", 69),
        (503, "unavailable", 69),
    ] {
        let (host, _server) = meet(vec![say(status, &fault(kind, "the words of the service"))]);
        // Waiting does not change what waiting cannot change.
        let said = host.run(if code == 69 { &["acquire"] } else { &["acquire", "--wait"] });
        assert_eq!(said.code, code, "{status}: {said:?}");
        assert!(said.err.contains("the words of the service") && !said.err.contains("s3cret"), "{said:?}");
    }
    for status in [401, 403, 404, 418, 422] {
        let (host, _server) = meet(vec![say(status, "<html>a page</html>")]);
        let said = host.run(&["acquire", "--wait"]);
        assert!(said.code == 2 && said.err.contains(&status.to_string()), "{said:?}");
    }
}

/// W37: no time-out, network errors and bodies that are no JSON uncaught.
#[test]
fn w37_a_service_that_breaks_off_hangs_or_talks_nonsense_is_69_in_time() {
    let endless = format!("[{}", "1,".repeat(5_000_000));
    for (step, what) in [
        (Step::Drop, "drop"),
        (Step::Noise, "noise"),
        (Step::Hang(Duration::from_secs(6)), "hang"),
        (ok("<html>a captive portal</html>"), "page"),
        (ok(""), "empty"),
        (ok(r#"{"state":"granted","grants":[]}"#), "nothing granted"),
        (ok(&GRANT.replace("web01.example.org", "web02")), "another's grant"),
        (ok(r#"{"state":"tomorrow"}"#), "a state of another version"),
        (ok(&endless), "endless"),
        (say(500, "Internal Server Error"), "500"),
    ] {
        let (host, _server) = meet(vec![step]);
        let began = Instant::now();
        let said = host.run(&["acquire"]);
        assert_eq!(said.code, 69, "{what}: {said:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
        assert!(said.err.len() < 700 && !said.err.contains("panic"), "{said:?}");
        assert_eq!(host.grants(), "asking lockd web\n", "W40: nobody knows whether it was granted");
    }
    let host = host("http://127.0.0.1:1");
    assert_eq!(host.run(&["acquire"]).code, 69);
}

#[test]
fn a_service_that_is_away_for_a_moment_is_waited_for() {
    let (host, server) = meet(vec![Step::Drop, say(503, "no"), ok(GRANT)]);
    assert_eq!(host.run(&["acquire", "--wait"]).code, 0);
    assert!(server.is_done());
    let host = self::host("http://127.0.0.1:1");
    assert_eq!(host.run(&["acquire", "--wait=1"]).code, 69, "unreachable to the end is no 75");
}

#[test]
fn a_secret_does_not_follow_a_redirection() {
    let other = Server::start(vec![ok(GRANT)]);
    let (host, _server) = meet(vec![Step::Redirect(format!("{}/lock/1/acquire", other.url()))]);
    let said = host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("elsewhere"), "{said:?}");
    assert!(other.asked().is_empty());
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    let proxy = Server::start(vec![ok(GRANT)]);
    let (host, server) = meet(vec![ok(GRANT)]);
    let mut command = host.command(&["acquire"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"] {
        command.env(name, proxy.url());
    }
    assert_eq!(Said::from(command.output().unwrap()).code, 0);
    assert!(server.is_done() && proxy.asked().is_empty());
}

/// W43: the file mode of the secret is never checked.
#[test]
fn w43_a_secret_that_others_may_read_is_refused_before_anybody_is_asked() {
    let (host, server) = meet(vec![ok(GRANT)]);
    host.write("etc/patch/secret", "s3cret\n");
    let said = host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("chmod 600") && !said.err.contains("s3cret"), "{said:?}");
    host.write_secret("etc/patch/secret", "s3\u{1b}cret\n");
    assert_eq!(host.run(&["acquire"]).code, 2, "no header may be made of it");
    std::fs::remove_file(host.path("etc/patch/secret")).unwrap();
    assert_eq!(host.run(&["acquire"]).code, 2);
    assert!(server.asked().is_empty() && host.grants().is_empty());
}

/// W2: the grant was taken away; whoever has it now keeps it.
#[test]
fn w2_a_grant_that_is_not_ours_any_more_is_told_and_not_released() {
    let (host, server) = meet(vec![ok(GRANT), ok(r#"{"found":false}"#)]);
    host.run(&["acquire"]);
    let said = host.run(&["release"]);
    assert!(said.code == 0 && said.err.contains("not this host's any more"), "{said:?}");
    assert_eq!((host.grants().as_str(), server.is_done()), ("", true));
}

#[test]
fn term_gives_the_place_up_and_what_was_granted_in_that_moment() {
    let waiting = || Step::Late(Duration::from_secs(2), 200, WAITING.into());
    let (host, _server) = meet(vec![waiting()]);
    let child = host.start(&["acquire", "--wait"]);
    until("it asks", || host.grants().contains("asking"));
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, Signal::SIGTERM);
    assert_eq!(Said::from(child.wait_with_output().unwrap()).code, 143);
}

#[test]
fn what_is_known_is_shown_to_people_and_to_programs() {
    let lock = r#"{"lock":"web servers","slots":2,"holders":[{"lock":"web servers","number":7,"owner":"a","since":"2026-11-21T02:00:07Z","down_until":"2026-11-21T05:00:00Z"}],"queue":[{"owner":"b","present":true,"offered":false}]}"#;
    let event = r#"{"events":[{"id":3,"at":"2026-11-21T02:00:07Z","lock":"web","number":7,"owner":"a","event":"forced","by":"ops","reason":"disk died"}]}"#;
    let (host, server) = meet(vec![
        ok(lock),
        ok(&format!(r#"{{"locks":[{lock}]}}"#)),
        ok(r#"{"why":"lock web is held by a","place":2}"#),
        ok(event),
        ok(event),
        ok(r#"{"found":true}"#),
    ]);
    let line = "lock web servers (2 slots) is held by a since 2026-11-21T02:00:07Z (grant 7, down until 2026-11-21T05:00:00Z); waiting: b\n";
    assert_eq!(host.run(&["show", "web servers"]).out, line);
    assert_eq!(host.run(&["list"]).out, line);
    assert_eq!(host.run(&["why"]).out, "lock web is held by a\n");
    assert_eq!(
        host.run(&["history", "web", "-n", "5"]).out,
        "2026-11-21T02:00:07Z lock web grant 7: taken from a by ops: disk died\n"
    );
    let json: serde_json::Value = serde_json::from_str(&host.run(&["history", "--json"]).out).unwrap();
    assert_eq!(json[0]["event"], "forced");
    let forced = host.run(&["force-release", "web", "--owner", "a", "--by", "ops", "--reason", "disk died"]);
    assert_eq!((forced.code, forced.out.as_str()), (0, "lock web is taken from a\n"), "{forced:?}");
    assert_eq!(
        server.lines(),
        [
            "GET /lock/1/locks/web%20servers",
            "GET /lock/1/locks",
            &format!("GET /lock/1/why?lock=web&owner=web01.example.org&host_id={}", "a".repeat(32)),
            "GET /lock/1/history?lock=web&limit=5",
            "GET /lock/1/history?limit=20",
            "POST /lock/1/force-release",
        ],
        "W42: names are escaped"
    );
}

#[test]
fn forcing_takes_a_name_and_a_reason() {
    let host = host("http://127.0.0.1:1");
    for args in [
        &["force-release", "web", "--owner", "a", "--by", "ops"][..],
        &["force-release", "web", "--owner", "a", "--reason", "x"],
        &["force-release", "web", "--by", "ops", "--reason", "x"],
        &["force-release", "web", "--owner", "a", "--by", " ", "--reason", "x"],
    ] {
        assert_eq!(host.run(args).code, 2, "{args:?}");
    }
}

#[test]
fn who_holds_nothing_has_nothing_taken_and_that_is_no_success() {
    let lock = |holders: &str| ok(&format!(r#"{{"lock":"web","slots":1,"holders":[{holders}]}}"#));
    let absent = || ok(r#"{"found":false}"#);
    let other = r#"{"lock":"web","number":7,"owner":"web02"}"#;
    let (host, _server) = meet(vec![absent(), lock(""), absent(), lock(other), absent(), say(503, "no")]);
    for words in ["nobody holds lock web", "held by web02 (grant 7)", "does not hold it"] {
        let said = host.run(&["force-release", "web", "--owner", "web01", "--by", "ops", "--reason", "x"]);
        assert!(said.code == 1 && said.err.contains(words) && said.out.is_empty(), "{said:?}");
    }
}

#[test]
fn whatever_a_service_says_of_a_lock_is_one_line() {
    let lock = r#"{"lock":"web\nlock db is free","slots":1,"holders":[]}"#;
    let (host, _server) = meet(vec![ok(lock), ok(r#"{"why":"lock web\r\nis free\u2028now"}"#)]);
    assert_eq!(host.run(&["show", "web"]).out, "lock web\\nlock db is free is free\n");
    assert_eq!(host.run(&["why"]).out, "lock web\\r\\nis free\\u{2028}now\n");
}

/// W7: a grant without a number cannot be told from the one before it.
#[test]
fn w7_a_grant_without_a_number_is_none() {
    let (host, _server) = meet(vec![ok(&GRANT.replace("\"number\":7", "\"number\":0"))]);
    let said = host.run(&["acquire"]);
    assert!(said.code == 69 && said.out.is_empty(), "{said:?}");
}

#[test]
fn what_the_service_refuses_is_said_once() {
    let fault = r#"{"kind":"refused","error":"refusing owner h1: another host has its name; see owner ="}"#;
    let (host, _server) = meet(vec![say(409, fault)]);
    let said = host.run(&["acquire"]);
    assert_eq!(said.err, "patch-lock: refusing owner h1: another host has its name; see owner =\n", "{said:?}");
}

/// W8: locking can be switched off from the environment of the process.
#[test]
fn w8_nothing_in_the_environment_switches_the_lock_off() {
    let (host, server) = meet(vec![ok(BUSY)]);
    let mut command = host.command(&["acquire"]);
    for name in ["MAIN_API_NOOP", "main_api_noop", "API_NOOP", "NOOP", "noop", "PATCH_LOCK_NOOP", "LOCK_BACKEND"] {
        command.env(name, "true");
    }
    let said = Said::from(command.env("LOCK", "none").output().unwrap());
    assert!(said.code == 75 && server.is_done(), "{said:?}");
}

#[test]
fn why_names_what_is_held_by_hand_on_this_host() {
    let (host, _server) = meet(vec![ok(r#"{"why":"lock web is free"}"#)]);
    host.write("var/lib/patch/grants", "lockd web 7 web01.example.org\n");
    let said = host.run(&["why"]).out;
    assert!(said.contains("(grant 7) is held by hand") && said.contains("patch-lock release web"), "{said}");
}

/// W1: two spellings of one name are one host; which of two hosts it is, the host id tells.
#[test]
fn w1_a_grant_under_this_host_s_name_in_capitals_is_its_own() {
    let (host, _server) = meet(vec![ok(&GRANT.replace("web01.example.org", "WEB01.Example.ORG"))]);
    let said = host.run(&["acquire"]);
    assert_eq!((said.code, host.grants().as_str()), (0, "lockd web 7 web01.example.org\n"), "{said:?}");
    let said = host.run(&["force-release", "web", "--owner", "LocalHost", "--by", "ops", "--reason", "x"]);
    assert_eq!(said.code, 2, "{said:?}");
}
