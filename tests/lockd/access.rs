//! Who may do what, and what strangers learn.

use serde_json::json;

use crate::daemon::{CLIENTS, Daemon};
use crate::wire::{ALL, WEB, acquire, ask, get, post};

#[test]
fn w50_wrong_secrets_are_refused_and_then_not_even_listened_to() {
    let chosen = format!("[client me]\n{}owners = *\nlocks = *\n", crate::cli::chosen("correct horse"));
    let daemon = Daemon::with(&format!("{CLIENTS}{chosen}"));
    let me = "x-secret-id: me\r\nx-secret: correct horse\r\n";
    assert_eq!(get(daemon.address, me, "/lock/1/locks").0, 200);
    let wrong = "x-secret-id: web\r\nx-secret: guess\r\n";
    for _ in 0..10 {
        let (status, word) = get(daemon.address, wrong, "/lock/1/locks");
        assert_eq!((status, &word["error"]), (401, &json!("no valid credential")));
    }
    let (status, word) = get(daemon.address, wrong, "/lock/1/locks");
    assert!(status == 429 && word["error"].as_str().unwrap().contains("try again in"), "{word}");
    assert_eq!(get(daemon.address, me, "/lock/1/locks").0, 429, "one that a person chose could be guessed");
    assert_eq!(get(daemon.address, WEB, "/lock/1/locks").0, 200, "one that was made cannot, and nobody locks it out");
    assert_eq!(get(daemon.address, wrong, "/lock/1/locks").0, 429);
}

#[test]
fn strangers_learn_nothing() {
    let daemon = Daemon::start();
    for path in ["/", "/metrics", "/lock/1/locks", "/lock/1/nothing", "/lock/1/locks/web"] {
        let (status, word) = get(daemon.address, "", path);
        assert_eq!((status, &word["error"]), (401, &json!("no valid credential")), "{path}");
    }
    assert_eq!(get(daemon.address, "", "/api/v2/nothing"), (401, json!({"detail": "no valid credential"})));
    assert_eq!(post(daemon.address, "", "/healthz", &json!({})).0, 401);
    assert_eq!(get(daemon.address, "", "/healthz"), (200, json!("ok\n")));
    assert_eq!(get(daemon.address, WEB, "/lock/1/nothing").0, 404);
}

#[test]
fn w49_half_a_credential_is_a_clean_401() {
    let daemon = Daemon::start();
    for half in [
        "x-secret-id: web\r\n",
        "x-secret: s3cret\r\n",
        "authorization: Basic !\r\n",
        "x-secret-id: \r\nx-secret: \r\n",
    ] {
        assert_eq!(get(daemon.address, half, "/lock/1/locks").0, 401, "{half}");
    }
    let basic = "authorization: Basic d2ViOnMzY3JldA==\r\n";
    assert_eq!(get(daemon.address, basic, "/lock/1/locks").0, 200);
    assert_eq!(get(daemon.address, "x-id: web\r\nx-secret: s3cret\r\n", "/lock/1/locks").0, 200);
}

#[test]
fn w4_w48_a_client_touches_no_lock_and_speaks_for_no_owner_but_its_own() {
    let daemon = Daemon::start();
    acquire(daemon.address, "db01", &["db"], 0);
    let (status, word) = post(daemon.address, WEB, "/lock/1/acquire", &ask("web01", &["web", "db"], 0));
    assert_eq!((status, &word["error"]), (403, &json!("refusing lock db: client web may touch web, rack-?")));
    let (status, word) = post(daemon.address, WEB, "/lock/1/acquire", &ask("db01", &["web"], 0));
    assert_eq!((status, &word["error"]), (403, &json!("refusing owner db01: client web may act for web*")));
    let release = json!({"owner": "db01", "lock": "db", "number": 1});
    assert_eq!(post(daemon.address, WEB, "/lock/1/release", &release).0, 403);
    let force = json!({"owner": "web01", "lock": "web", "by": "me", "reason": "so"});
    let (status, word) = post(daemon.address, WEB, "/lock/1/force-release", &force);
    assert!(status == 403 && word["error"].as_str().unwrap().contains("admin = yes"), "{word}");
    assert_eq!(get(daemon.address, WEB, "/lock/1/locks/db").0, 403);
    assert_eq!(get(daemon.address, WEB, "/lock/1/history?lock=db").0, 403);
    assert_eq!(
        get(daemon.address, WEB, "/lock/1/locks").1,
        json!({"locks": []}),
        "what it may not touch it does not see"
    );
    assert_eq!(get(daemon.address, WEB, "/lock/1/history").1, json!({"events": []}));
    assert_eq!(get(daemon.address, ALL, "/lock/1/history").1["events"].as_array().unwrap().len(), 1);
    let metrics = get(daemon.address, WEB, "/metrics").1;
    assert!(!metrics.as_str().unwrap().contains("\"db\""), "{metrics}");
}

#[test]
fn what_is_not_there_is_said_in_the_protocol_whose_page_it_would_be() {
    let daemon = Daemon::start();
    for path in ["/api", "/api/v2/nothing", "/api/v1/locks/web/more", "/api/v2/locks/"] {
        let (status, word) = get(daemon.address, WEB, path);
        assert!(status == 404 && word["detail"].is_string(), "{path}: {status} {word}");
    }
    let (status, word) = get(daemon.address, WEB, "/api/v2/dlmlocks");
    assert!(status == 404 && word["error"]["message"].is_string(), "{status} {word}");
    let (status, word) = post(daemon.address, WEB, "/v1/pre-boot", &json!({}));
    assert!(status == 404 && word["kind"] == "not_found" && word["value"].is_string(), "{status} {word}");
    let (status, word) = get(daemon.address, WEB, "/lock/1/locks/%ff");
    assert!(status == 400 && word["kind"] == "bad-request", "{status} {word}");
}

#[test]
fn w50_the_history_names_who_took_who_gave_back_and_who_forced_whom() {
    let daemon = Daemon::start();
    let held = crate::wire::number(&acquire(daemon.address, "web01", &["web"], 0));
    assert_eq!(crate::wire::release(daemon.address, "web01", "web", held).0, 200);
    assert_eq!(post(daemon.address, WEB, "/api/v2/locks/web", &json!({"acquired_by": "web02"})).0, 201);
    let force = json!({"owner": "web02", "lock": "web", "by": "ann", "reason": "disk died"});
    assert_eq!(post(daemon.address, ALL, "/lock/1/force-release", &force).0, 200);
    let (_, history) = get(daemon.address, WEB, "/lock/1/history");
    let told: Vec<_> = history["events"].as_array().unwrap().iter().rev().collect();
    let said = |at: usize, key: &str| told[at][key].as_str().unwrap_or_default();
    assert_eq!((said(0, "event"), said(0, "owner"), said(0, "host_id")), ("granted", "web01", "id-web01"));
    assert_eq!((said(1, "event"), said(1, "owner")), ("released", "web01"));
    assert_eq!((said(2, "event"), said(2, "owner"), said(2, "protocol")), ("granted", "web02", "dlm"));
    assert_eq!((said(3, "event"), said(3, "owner")), ("forced", "web02"));
    assert_eq!((said(3, "by"), said(3, "reason")), ("ann", "disk died"));
    assert!(told.len() == 4 && told.iter().all(|event| event["at"].is_string() && event["number"].is_u64()));
}
