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
    for path in ["/", "/metrics", "/lock/1/locks", "/lock/1/nothing", "/api/v2/nothing", "/lock/1/locks/web"] {
        let (status, word) = get(daemon.address, "", path);
        assert_eq!((status, &word["error"]), (401, &json!("no valid credential")), "{path}");
    }
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
