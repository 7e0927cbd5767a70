//! `FleetLock`, call by call.

use serde_json::json;

use crate::daemon::{CLIENTS, Daemon};
use crate::wire::{ALL, Answer, WEB, acquire, answer, connect, get, send};

fn call(daemon: &Daemon, who: &str, path: &str, id: &str, group: &str) -> Answer {
    let body = json!({"client_params": {"id": id, "group": group}}).to_string();
    raw(daemon, &format!("{who}fleet-lock-protocol: true\r\n"), &format!("POST {path}"), body.as_bytes())
}

fn raw(daemon: &Daemon, headers: &str, line: &str, body: &[u8]) -> Answer {
    let mut stream = connect(daemon.address);
    send(&mut stream, line, headers, body);
    answer(stream).unwrap()
}

#[test]
fn a_slot_is_reserved_kept_and_given_back() {
    let daemon = Daemon::start();
    // As a client sends the userinfo of its base URL.
    let basic = "authorization: Basic d2ViOnMzY3JldA==\r\n";
    for _ in 0..2 {
        assert_eq!(call(&daemon, basic, "/v1/pre-reboot", "web01", "web").0, 200, "holding it already is a success");
    }
    let (status, body) = call(&daemon, basic, "/v1/pre-reboot", "web02", "web");
    assert_eq!((status, &body["kind"]), (423, &json!("lock_held")));
    assert!(body["value"].as_str().unwrap().starts_with("lock web is held by web01 since"), "{body}");
    assert_eq!(call(&daemon, basic, "/v1/steady-state", "web02", "web").0, 200, "it holds nothing");
    assert_eq!(get(daemon.address, ALL, "/lock/1/locks/web").1["holders"][0]["protocol"], "fleetlock");
    assert_eq!(call(&daemon, basic, "/v1/steady-state", "web01", "web").0, 200);
    assert_eq!(call(&daemon, basic, "/v1/pre-reboot", "web02", "web").0, 200);
}

#[test]
fn every_failure_has_a_kind_and_a_value() {
    let daemon = Daemon::start();
    let judge = |answer: &Answer, status: u16, kind: &str| {
        assert_eq!((answer.0, &answer.1["kind"]), (status, &json!(kind)), "{answer:?}");
        assert!(!answer.1["value"].as_str().unwrap().is_empty());
    };
    let good = br#"{"client_params":{"id":"web01","group":"web"}}"#;
    let header = format!("{WEB}fleet-lock-protocol: true\r\n");
    judge(&raw(&daemon, WEB, "POST /v1/pre-reboot", good), 400, "bad_request");
    judge(&raw(&daemon, &header, "POST /v1/pre-reboot", b"{}"), 400, "bad_request");
    judge(&raw(&daemon, &header, "PUT /v1/pre-reboot", good), 405, "method_not_allowed");
    judge(&raw(&daemon, "fleet-lock-protocol: true\r\n", "POST /v1/pre-reboot", good), 401, "unauthorized");
    judge(&call(&daemon, WEB, "/v1/pre-reboot", "web01", "db"), 403, "forbidden");
    judge(&call(&daemon, WEB, "/v1/pre-reboot", "db01", "web"), 403, "forbidden");
    judge(&call(&daemon, WEB, "/v1/steady-state", "db01", "web"), 403, "forbidden");
    judge(&call(&daemon, WEB, "/v1/pre-reboot", "web01", "a b"), 400, "bad_request");
    judge(&call(&daemon, WEB, "/v1/pre-reboot", "", "web"), 400, "bad_request");
    acquire(daemon.address, "web01", &["web"], 0);
    judge(&call(&daemon, WEB, "/v1/pre-reboot", "web01", "web"), 409, "refused");
    judge(&call(&daemon, WEB, "/v1/steady-state", "web01", "web"), 409, "refused");
}

/// The id is case-sensitive: that of another node may differ in nothing else.
#[test]
fn ids_that_differ_in_case_are_two_nodes() {
    let daemon = Daemon::with(&format!("[lock web]\nslots = 2\n{CLIENTS}"));
    for id in ["f2", "F2"] {
        assert_eq!(call(&daemon, ALL, "/v1/pre-reboot", id, "web").0, 200);
    }
    assert_eq!(call(&daemon, ALL, "/v1/pre-reboot", "f3", "web").0, 423, "each of them has a slot");
    assert_eq!(call(&daemon, WEB, "/v1/pre-reboot", "WEB01", "rack-1").0, 403, "patterns know case here as well");
    let force = json!({"owner": "F2", "lock": "web", "by": "ops", "reason": "dead"}).to_string();
    assert_eq!(raw(&daemon, ALL, "POST /lock/1/force-release", force.as_bytes()).1, json!({"found": true}));
    assert_eq!(get(daemon.address, ALL, "/lock/1/locks/web").1["holders"][0]["owner"], "f2");
}
