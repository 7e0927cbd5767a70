//! dlmengine's API, exchange by exchange.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::wire::{ALL, Answer, WEB, acquire, answer, connect, get, number, send};

/// Hosts with a credential of their own, as they should have; a lock with two slots.
const HOSTS: &str = "
[lock pair]
slots = 2
[client web01]
secret_sha256 = 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
owners = web01
locks = *
[client web02]
secret_sha256 = 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
owners = web02
locks = *
";

const NOT_FOUND: &str = "Resource not found";
const DUPLICATE: &str = "Duplicate Resource";

fn call(daemon: &Daemon, who: &str, line: &str, body: &[u8]) -> Answer {
    let mut stream = connect(daemon.address);
    send(&mut stream, line, who, body);
    answer(stream).unwrap()
}

fn take(daemon: &Daemon, who: &str, lock: &str, owner: &str) -> Answer {
    let body = json!({"acquired_by": owner}).to_string();
    call(daemon, who, &format!("POST /api/v2/locks/{lock}"), body.as_bytes())
}

fn give(daemon: &Daemon, who: &str, lock: &str) -> Answer {
    call(daemon, who, &format!("DELETE /api/v2/locks/{lock}"), b"")
}

fn detail(answer: &Answer) -> &str {
    answer.1["detail"].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

fn of(name: &str) -> String {
    format!("x-secret-id: {name}\r\nx-secret: s3cret\r\n")
}

#[test]
fn v2_is_spoken_as_dlmengine_speaks_it() {
    let daemon = Daemon::start();
    assert_eq!(get(daemon.address, WEB, "/api/v2/locks/web"), (404, json!({"detail": NOT_FOUND})));
    let (status, object) = take(&daemon, WEB, "web", "web01");
    assert_eq!((status, &object["id"], &object["acquired_by"]), (201, &json!("web"), &json!("web01")));
    let since = object["acquired_since"].as_str().unwrap();
    assert!(since.len() == 26 && since.ends_with(".000000"), "{since}");
    assert_eq!(get(daemon.address, WEB, "/api/v2/locks/web"), (200, object.clone()));
    for owner in ["web01", "web02"] {
        let held = take(&daemon, WEB, "web", owner);
        assert_eq!((held.0, detail(&held)), (400, DUPLICATE), "held, by whom ever");
        assert!(held.1["why"].as_str().unwrap().contains("web01"), "{held:?}");
    }
    assert_eq!(
        get(daemon.address, WEB, "/api/v2/locks"),
        (200, json!({"result": [object], "meta": {"result_size": 1}}))
    );
    assert_eq!(give(&daemon, WEB, "web"), (200, json!({})));
    assert_eq!(give(&daemon, WEB, "web"), (404, json!({"detail": NOT_FOUND})));
}

#[test]
fn v1_is_spoken_as_dlmengine_speaks_it() {
    let daemon = Daemon::start();
    let who = "x-id: web\r\nx-secret-id: web\r\nx-secret: s3cret\r\n";
    let body = br#"{"data":{"acquired_by":"web01"}}"#;
    let (status, taken) = call(&daemon, who, "POST /api/v1/locks/web", body);
    assert_eq!((status, &taken["data"]["acquired_by"]), (201, &json!("web01")));
    assert_eq!(get(daemon.address, who, "/api/v1/locks/web"), (200, taken.clone()));
    assert_eq!(call(&daemon, who, "POST /api/v1/locks/web", body).0, 400);
    assert_eq!(
        get(daemon.address, who, "/api/v1/locks/_search?lock_id=^w&limit=10"),
        (200, json!({"data": {"results": [taken]}}))
    );
    let other = br#"{"data":{"acquired_by":"web02"}}"#;
    assert_eq!(call(&daemon, who, "DELETE /api/v1/locks/web", other).0, 404, "W4: the owner counts");
    assert_eq!(call(&daemon, who, "DELETE /api/v1/locks/web", body), (200, json!({})));
}

#[test]
fn w1_w4_a_host_speaks_for_itself_alone() {
    let daemon = Daemon::with(HOSTS);
    let forbidden = take(&daemon, &of("web02"), "web", "web01");
    assert_eq!(forbidden.0, 403);
    assert_eq!(detail(&forbidden), "refusing owner web01: client web02 may act for web02");
    for nobody in ["localhost", "localhost.localdomain", "", "a/b", "a\nb"] {
        assert_eq!(take(&daemon, ALL.replace("all", "web02").as_str(), "web", nobody).0, 403, "{nobody:?}");
    }
    take(&daemon, &of("web01"), "web", "web01");
    assert_eq!(give(&daemon, &of("web02"), "web"), (404, json!({"detail": NOT_FOUND})), "W2, W4: not its to free");
    assert_eq!(get(daemon.address, &of("web02"), "/api/v2/locks/web").1["acquired_by"], "web01");
}

#[test]
fn w2_after_a_force_release_the_old_holder_frees_nothing() {
    let daemon = Daemon::with(&format!("{HOSTS}{}", crate::daemon::CLIENTS));
    take(&daemon, &of("web01"), "web", "web01");
    let force = json!({"owner": "web01", "lock": "web", "by": "ops", "reason": "dead"});
    assert_eq!(call(&daemon, ALL, "POST /lock/1/force-release", force.to_string().as_bytes()).0, 200);
    assert_eq!(take(&daemon, &of("web02"), "web", "web02").0, 201);
    assert_eq!(give(&daemon, &of("web01"), "web").0, 404);
    assert_eq!(get(daemon.address, ALL, "/api/v2/locks/web").1["acquired_by"], "web02");
    let (_, history) = get(daemon.address, ALL, "/lock/1/history?lock=web&limit=1");
    assert_eq!((&history["events"][0]["owner"], &history["events"][0]["protocol"]), (&json!("web02"), &json!("dlm")));
}

#[test]
fn w2_a_shared_credential_frees_nothing_where_several_could_be_meant() {
    let daemon = Daemon::with(&format!("[lock web]\nslots = 2\n{}", crate::daemon::CLIENTS));
    assert_eq!((take(&daemon, WEB, "web", "web01").0, take(&daemon, WEB, "web", "web02").0), (201, 201));
    let refused = give(&daemon, WEB, "web");
    assert!(refused.0 == 403 && detail(&refused).contains("web01, web02 hold it"), "{refused:?}");
}

#[test]
fn w1_a_grant_of_our_own_protocol_is_neither_taken_for_ones_own_nor_freed() {
    let daemon = Daemon::start();
    let held = number(&acquire(daemon.address, "web01", &["web"], 0));
    let shown = get(daemon.address, WEB, "/api/v2/locks/web").1;
    assert_eq!(shown["acquired_by"], "web01 (host id id-web01)", "a client would go on as the holder");
    let refused = take(&daemon, WEB, "web", "web01");
    assert!(refused.0 == 403 && detail(&refused).contains("force-release"), "{refused:?}");
    let refused = give(&daemon, WEB, "web");
    assert!(refused.0 == 403 && detail(&refused).contains(&format!("grant {held}")), "{refused:?}");
    assert_eq!(acquire(daemon.address, "web01", &["web"], 0).1["state"], "granted");
}

#[test]
fn w34_more_than_one_may_hold_a_lock() {
    let daemon = Daemon::with(HOSTS);
    take(&daemon, &of("web01"), "pair", "web01");
    assert_eq!(get(daemon.address, &of("web02"), "/api/v2/locks/pair").0, 404, "a slot is free");
    assert_eq!(take(&daemon, &of("web02"), "pair", "web02").0, 201);
    for host in ["web01", "web02"] {
        assert_eq!(get(daemon.address, &of(host), "/api/v2/locks/pair").1["acquired_by"], host);
        assert_eq!(take(&daemon, &of(host), "pair", host).0, 201, "a lost answer is had again");
    }
    assert_eq!(give(&daemon, &of("web02"), "pair").0, 200);
    assert_eq!(get(daemon.address, &of("web01"), "/api/v2/locks/pair").1["acquired_by"], "web01");
}

#[test]
fn w38_w49_what_is_wrong_with_a_request_is_said_in_json_and_never_400() {
    let daemon = Daemon::start();
    let status = |line: &str, body: &[u8]| {
        let answer = call(&daemon, WEB, line, body);
        assert!(answer.1["detail"].is_string() || answer.1["detail"][0]["msg"].is_string(), "{line}: {answer:?}");
        answer.0
    };
    let ask = br#"{"acquired_by":"web01"}"#;
    for body in [&b""[..], b"{", b"[]", b"\xff", br#"{"data":{"acquired_by":"web01"}}"#, br#"{"acquired_by":1}"#] {
        assert_eq!(status("POST /api/v2/locks/web", body), 422);
    }
    assert_eq!(status("POST /api/v2/locks/web", "x".repeat(70_000).as_bytes()), 422);
    assert_eq!(status("POST /api/v1/locks/web", ask), 422);
    for name in ["a%2Fb", "%2E%2E", "%00", "%FF", "a%0Ab", &"x".repeat(300)] {
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(status(&format!("{method} /api/v2/locks/{name}"), ask), 404, "{method} {name}");
        }
    }
    assert_eq!(status("POST /api/v2/locks/db", ask), 403);
    assert_eq!(status("PUT /api/v2/locks/web", ask), 405);
    for query in ["fields=x", "lock_id=(a%2B)%2B", "limit=1", "page=x", "sort=x"] {
        assert_eq!(status(&format!("GET /api/v2/locks?{query}"), b""), 422, "{query}");
    }
    assert_eq!(status("DELETE /api/v1/locks/web", br#"{"data":{"force":true}}"#), 403);
    assert_eq!(
        get(daemon.address, WEB, "/api/v2/locks?fields=id"),
        (200, json!({"result": [], "meta": {"result_size": 0}}))
    );
}

#[test]
fn w49_w50_no_credential_half_a_one_and_a_wrong_one_are_clean_answers() {
    let daemon = Daemon::start();
    for who in ["", "x-secret-id: web\r\n", "x-secret: s3cret\r\n", "x-secret-id: web\r\nx-secret: wrong\r\n"] {
        for line in
            ["GET /api/v2/locks/web", "POST /api/v1/locks/web", "DELETE /api/v2/locks/web", "PUT /api/v2/locks/web"]
        {
            assert_eq!(
                call(&daemon, who, line, b"{}"),
                (401, json!({"detail": "no valid credential"})),
                "{who} {line}"
            );
        }
    }
    let mut answer = (0, Value::Null);
    for _ in 0..11 {
        answer = get(daemon.address, "x-secret-id: web\r\nx-secret: wrong\r\n", "/api/v2/locks/web");
    }
    assert!(answer.0 == 429 && detail(&answer).contains("try again in"), "{answer:?}");
}

#[test]
fn w42_a_name_is_what_it_means_whatever_a_url_makes_of_it() {
    let daemon = Daemon::start();
    assert_eq!(take(&daemon, ALL, "web%20servers", "web01").1["id"], "web servers");
    assert_eq!(get(daemon.address, ALL, "/api/v2/locks?lock_id=web%20").1["meta"]["result_size"], 1);
}

#[test]
fn w17_w40_a_kill_leaves_a_lock_held_or_free_and_nothing_between() {
    let mut daemon = Daemon::start();
    take(&daemon, ALL, "web", "web01");
    let held = get(daemon.address, ALL, "/api/v2/locks/web");
    daemon.kill_and_restart();
    assert_eq!(get(daemon.address, ALL, "/api/v2/locks/web"), held);
    assert_eq!(give(&daemon, ALL, "web").0, 200);
    daemon.kill_and_restart();
    assert_eq!(get(daemon.address, ALL, "/api/v2/locks/web").0, 404);
    assert_eq!(take(&daemon, ALL, "web", "web02").0, 201);
}

/// The service is stopped while the request comes, and its client has hung up when it goes on.
#[test]
fn w40_a_client_that_has_given_up_is_granted_nothing_afterwards() {
    let daemon = Daemon::start();
    for n in 0..10 {
        let native = acquire_body(&format!("native{n}"));
        let legacy = br#"{"acquired_by":"web01"}"#;
        for (line, body) in
            [(format!("POST /api/v2/locks/legacy{n}"), &legacy[..]), ("POST /lock/1/acquire".into(), native.as_bytes())]
        {
            let mut stream = connect(daemon.address);
            daemon.signal(Signal::SIGSTOP);
            send(&mut stream, &line, ALL, body);
            drop(stream);
            daemon.signal(Signal::SIGCONT);
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(get(daemon.address, ALL, "/lock/1/history").1, json!({"events": []}));
}

fn acquire_body(lock: &str) -> String {
    crate::wire::ask("web01", &[lock], 0).to_string()
}

#[test]
fn of_many_that_ask_at_once_one_is_granted() {
    let daemon = Daemon::start();
    let taken = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20)
            .map(|n| {
                let daemon = &daemon;
                scope.spawn(move || take(daemon, ALL, "web", &format!("web{n:02}")).0)
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<u16>>()
    });
    assert_eq!(taken.iter().filter(|status| **status == 201).count(), 1);
    assert_eq!(taken.iter().filter(|status| **status == 400).count(), 19);
}

/// The clients compare `acquired_by` with their own name, to the letter.
#[test]
fn w1_a_host_with_capitals_knows_its_own_lock_again_and_is_no_second_host() {
    let mut daemon = Daemon::with(&format!("[lock pair]\nslots = 2\n{}", crate::daemon::CLIENTS));
    assert_eq!(take(&daemon, WEB, "web", "Web01.Example.org").1["acquired_by"], "Web01.Example.org");
    daemon.kill_and_restart();
    assert_eq!(get(daemon.address, WEB, "/api/v2/locks/web").1["acquired_by"], "Web01.Example.org");
    take(&daemon, ALL, "pair", "Web01.Example.org");
    assert_eq!(take(&daemon, ALL, "pair", "web01.example.org").1["acquired_by"], "web01.example.org");
    assert_eq!(get(daemon.address, ALL, "/lock/1/locks/pair").1["holders"].as_array().unwrap().len(), 1);
    let body = br#"{"data":{"acquired_by":"WEB01.example.org"}}"#;
    assert_eq!(call(&daemon, WEB, "DELETE /api/v1/locks/web", body).0, 200);
}
