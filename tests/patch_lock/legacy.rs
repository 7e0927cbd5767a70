//! Backends `dlm` and `fleetlock`, against servers that say what the real ones say.

use std::time::Duration;

use super::bench::Host;
use super::server::{Server, Step, ok, say};

const OURS: &str = r#"{"id":"web","acquired_by":"web01.example.org","acquired_since":"2026-11-21T07:23:55.521000"}"#;
const THEIRS: &str = r#"{"id":"web","acquired_by":"web02.example.org","acquired_since":"2026-11-21T07:23:55.521000"}"#;
const ABSENT: &str = r#"{"detail":"Resource locks {'id': 'web', 'deleting': False} not found"}"#;
const DUPLICATE: &str = r#"{"detail":"Duplicate Resource"}"#;

fn dlm(script: Vec<Step>, more: &str) -> (Host, Server) {
    let server = Server::start(script);
    let section = format!(
        "backend = dlm\nurl = {}\nsecret_id = id\nsecret_file = /etc/patch/secret\nnames = web\ntimeout = 2s\n{more}",
        server.url()
    );
    let host = Host::new("web01.example.org", 'a', &section);
    host.write_secret("etc/patch/secret", "s3cret");
    (host, server)
}

#[test]
fn a_lock_of_dlmengine_is_taken_and_given_back() {
    let (host, server) =
        dlm(vec![say(404, ABSENT), say(201, OURS), ok(OURS), ok(OURS), ok("{}"), say(404, ABSENT)], "");
    assert_eq!(host.run(&["acquire"]).out, "lock web is held (grant 1, local)\n");
    assert_eq!(host.run(&["acquire"]).out, "lock web is held (grant 1, local)\n", "one GET, and the number of then");
    assert_eq!(host.grants(), "dlm web 1-local web01.example.org\n");
    assert_eq!(host.run(&["release"]).out, "lock web is released\n");
    assert_eq!(host.run(&["release"]).out, "lock web is not held by this host\n");
    let lines = ["GET", "POST", "GET", "GET", "DELETE", "GET"].map(|method| format!("{method} /api/v2/locks/web"));
    assert_eq!(server.lines(), lines);
    assert_eq!(server.asked()[1].body, r#"{"acquired_by":"web01.example.org"}"#);
    assert!(server.asked()[1].head.contains("x-secret: s3cret"));
}

#[test]
fn version_1_wraps_its_bodies_and_names_the_owner_at_release() {
    let wrap = |text: &str| format!(r#"{{"data":{text}}}"#);
    let (host, server) = dlm(vec![say(404, "{}"), say(201, &wrap(OURS)), ok(&wrap(OURS)), ok("null")], "api = v1\n");
    assert_eq!(host.run(&["acquire"]).code, 0);
    assert_eq!(host.run(&["release"]).out, "lock web is released\n");
    assert!(server.lines().iter().all(|line| line.ends_with(" /api/v1/locks/web")), "{:?}", server.lines());
    for index in [1, 3] {
        assert_eq!(server.asked()[index].body, r#"{"data":{"acquired_by":"web01.example.org"}}"#);
    }
    assert!(server.asked()[0].head.contains("x-id: id"));
}

#[test]
fn a_lock_that_another_holds_is_75_with_its_name() {
    let (host, server) = dlm(vec![ok(THEIRS), say(404, ABSENT), say(400, DUPLICATE)], "");
    let said = host.run(&["acquire"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (75, "patch-lock: lock web is held by web02.example.org since 2026-11-21T07:23:55Z\n")
    );
    assert_eq!(host.run(&["acquire"]).code, 75, "another was faster");
    assert!(server.is_done());
}

/// W34: no queue. Ours has one, for who asks; to look at the lock is not to ask.
#[test]
fn w34_who_waits_for_a_lock_of_dlmengine_asks_for_it_each_time() {
    let script = vec![ok(THEIRS), say(400, DUPLICATE), ok(THEIRS), say(201, OURS)];
    let (host, server) = dlm(script, "backoff_base = 1s\nbackoff_max = 1s\n");
    assert_eq!(host.run(&["acquire", "--wait=20"]).out, "lock web is held (grant 1, local)\n");
    let methods: Vec<_> =
        server.lines().iter().map(|line| line.split(' ').next().unwrap_or_default().to_string()).collect();
    assert_eq!(methods, ["GET", "POST", "GET", "POST"]);
}

/// W38: errors are polled to the end like "held", or read as "not present".
#[test]
fn w38_every_refusal_of_dlmengine_is_an_error_of_its_own() {
    for (status, body, code) in [
        (401, r#"{"detail":"No Session or API Credentials present"}"#, 2),
        (403, r#"{"detail":"Permissions error, you are not granted LOCK:POST on this resource"}"#, 2),
        (422, r#"{"detail":[{"type":"missing"}]}"#, 2),
        (500, "Internal Server Error", 69),
    ] {
        let (host, server) = dlm(vec![say(404, ABSENT), say(status, body)], "");
        let said = host.run(&["acquire", "--wait=0"]);
        assert_eq!(said.code, code, "at POST {said:?}");
        assert!(server.is_done());
        let (host, server) = dlm(vec![say(status, body)], "");
        assert_eq!(host.run(&["acquire"]).code, code, "at GET");
        assert_eq!(server.lines().len(), 1, "an error is not read as absent");
    }
}

/// W39: 400 for "held" is not told from other 400s.
#[test]
fn w39_another_400_is_not_held() {
    let (host, _server) = dlm(vec![say(404, ABSENT), say(400, r#"{"detail":"Bad Request"}"#)], "");
    assert_eq!(host.run(&["acquire"]).code, 2);
    let old = r#"{"errors":[{"id":2002,"details":"Duplicate Resource: web","title":"x"}]}"#;
    let (host, _server) = dlm(vec![say(404, "{}"), say(400, old)], "api = v1\n");
    assert_eq!(host.run(&["acquire"]).code, 75, "as before 1.0");
}

/// W2: release is an unconditional DELETE.
#[test]
fn w2_dlmengine_is_not_asked_to_delete_what_another_holds() {
    for answer in [ok(THEIRS), say(404, ABSENT)] {
        let (host, server) = dlm(vec![say(404, ABSENT), say(201, OURS), answer], "");
        host.run(&["acquire"]);
        let said = host.run(&["release"]);
        assert!(said.code == 0 && said.err.contains("not this host's any more"), "{said:?}");
        assert!(!server.lines().iter().any(|line| line.starts_with("DELETE")), "{:?}", server.lines());
    }
}

/// W19: 404 at release is a failure for ever.
#[test]
fn w19_a_lock_that_is_gone_at_release_is_over() {
    let (host, _server) = dlm(vec![say(404, ABSENT), say(201, OURS), ok(OURS), say(404, ABSENT)], "");
    host.run(&["acquire"]);
    assert_eq!(host.run(&["release"]).code, 0);
    assert_eq!(host.grants(), "");
}

/// W40: a late POST may still create the lock.
#[test]
fn w40_a_lock_that_was_granted_to_nobody_s_knowledge_is_found_again() {
    let late = Step::Late(Duration::from_secs(3), 201, OURS.into());
    let (host, _server) = dlm(vec![say(404, ABSENT), late, ok(OURS), ok(OURS), ok("{}")], "");
    assert_eq!(host.run(&["acquire"]).code, 69);
    assert_eq!(host.grants(), "asking dlm web\n");
    assert_eq!(host.run(&["release"]).out, "lock web is released\n");
}

/// W42: the name of the lock is put into the URL unescaped.
#[test]
fn w42_names_are_escaped_in_urls() {
    let (host, server) = dlm(vec![say(404, ABSENT), say(404, ABSENT)], "");
    for name in ["web?x=1#y 100%", "ä"] {
        assert_eq!(host.run(&["show", name]).code, 0);
    }
    assert_eq!(server.lines(), ["GET /api/v2/locks/web%3Fx%3D1%23y%20100%25", "GET /api/v2/locks/%C3%A4"]);
}

#[test]
fn an_answer_that_is_no_lock_is_no_grant() {
    for (first, second) in [
        (ok("{}"), None),
        (ok("null"), None),
        (say(404, ABSENT), Some(say(201, "{}"))),
        (say(404, ABSENT), Some(say(201, THEIRS))),
        (say(404, ABSENT), Some(ok(OURS))),
    ] {
        let (host, _server) = dlm([Some(first), second].into_iter().flatten().collect(), "");
        let said = host.run(&["acquire"]);
        assert!(said.code == 69 || said.code == 2, "{said:?}");
    }
}

#[test]
fn what_dlmengine_cannot_do_is_said_and_the_list_has_pages() {
    let page = format!(r#"{{"result":[{OURS},{THEIRS}],"meta":{{"result_size":2}}}}"#);
    let (host, server) = dlm(vec![ok(&page)], "");
    assert_eq!(host.run(&["list"]).out.lines().count(), 2);
    assert_eq!(server.lines(), ["GET /api/v2/locks?limit=1000&page=0"]);
    for args in [
        &["history"][..],
        &["force-release", "web", "--owner", "a", "--by", "b", "--reason", "c"],
        &["acquire", "web", "db"],
    ] {
        let said = host.run(args);
        assert!(said.code == 2 && said.err.contains("backend dlm"), "{said:?}");
    }
}

fn fleetlock(script: Vec<Step>) -> (Host, Server) {
    let server = Server::start(script);
    let section = format!("backend = fleetlock\nurl = {}/base/\nnames = workers\ntimeout = 2s\n", server.url());
    (Host::new("web01.example.org", 'a', &section), server)
}

#[test]
fn a_slot_of_fleetlock_is_reserved_and_given_back() {
    let (host, server) = fleetlock(vec![ok(""), ok("whatever"), ok("")]);
    assert_eq!(host.run(&["acquire"]).out, "lock workers is held (grant 1, local)\n");
    assert_eq!(host.run(&["acquire"]).out, "lock workers is held (grant 1, local)\n");
    assert_eq!(host.run(&["release"]).out, "lock workers is released\n");
    let lines = ["POST /base/v1/pre-reboot", "POST /base/v1/pre-reboot", "POST /base/v1/steady-state"];
    assert_eq!(server.lines(), lines);
    let asked = &server.asked()[0];
    assert!(asked.head.contains("fleet-lock-protocol: true"), "{}", asked.head);
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, serde_json::json!({"client_params": {"id": "web01.example.org", "group": "workers"}}));
}

#[test]
fn servers_of_fleetlock_say_full_in_their_own_ways() {
    let fault = |kind: &str, value: &str| format!(r#"{{"kind":"{kind}","value":"{value}"}}"#);
    let full = "semaphore currently full, all slots are locked already";
    for (status, body, code) in [
        (423, fault("lock_held", "held by web02"), 75),
        (423, fault("all_slots_full", "x"), 75),
        (500, fault("failed_lock", full), 75),
        (500, fault("failed_lock_semaphore_full", full), 75),
        (202, fault("waiting_for_node_drain", "draining"), 75),
        (500, fault("failed_lock", "etcd is away"), 69),
        (500, "oops".to_string(), 69),
        (503, String::new(), 69),
        (400, fault("unknown_group", "x"), 2),
        (400, fault("missing_header", "x"), 2),
        (404, "nothing here".to_string(), 2),
        (301, String::new(), 2),
    ] {
        let (host, _server) = fleetlock(vec![say(status, &body)]);
        let said = host.run(&["acquire"]);
        assert_eq!(said.code, code, "{status} {body}: {said:?}");
    }
}

#[test]
fn what_fleetlock_cannot_do_is_said() {
    let (host, server) = fleetlock(vec![]);
    for args in [&["show", "workers"][..], &["why"], &["list"], &["history"], &["acquire", "a_b"]] {
        let said = host.run(args);
        assert!(said.code == 2 && said.err.contains("leet"), "{args:?}: {said:?}");
    }
    assert!(server.asked().is_empty());
}
