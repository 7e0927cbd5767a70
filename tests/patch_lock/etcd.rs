//! Backend `etcd`, against members that say what etcd's JSON gateway says: which of them is asked, and what is made of refusals.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::bench::Host;
use super::server::{Server, Step, ok, say};

const NO_LEADER: &str = r#"{"error":"etcdserver: no leader","message":"etcdserver: no leader","code":14}"#;

fn meet(scripts: Vec<Vec<Step>>, more: &str) -> (Host, Vec<Server>) {
    let servers: Vec<Server> = scripts.into_iter().map(Server::start).collect();
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    let section = format!("backend = etcd\nurl = {}\nnames = web\ntimeout = 2s\n{more}", urls.join(" "));
    let host = Host::new("web01.example.org", 'a', &section);
    host.write_secret("etc/patch/secret", "s3cret");
    (host, servers)
}

fn pair(key: &str, value: &str, created: u64) -> Value {
    json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value), "create_revision": created.to_string(), "mod_revision": created.to_string(), "version": "1"})
}

/// What a look finds: the holder's key, or nothing.
fn seen(holder: &[Value]) -> Step {
    let read = |kvs: &[Value]| {
        if kvs.is_empty() { json!({"response_range": {}}) } else { json!({"response_range": {"kvs": kvs}}) }
    };
    ok(&json!({"header": {"revision": "41"}, "succeeded": true, "responses": [read(holder), read(&[]), read(&[])]})
        .to_string())
}

fn taken(succeeded: bool) -> Step {
    let mut answer = json!({"header": {"revision": "42"}, "responses": [{"response_put": {}}]});
    if succeeded {
        answer["succeeded"] = json!(true);
    }
    ok(&answer.to_string())
}

fn history() -> Step {
    ok(r#"{"header":{"revision":"42"},"count":"1"}"#)
}

fn grant(owner: &str, digit: char) -> Value {
    let value = json!({"lock": "web", "number": 0, "owner": owner, "host_id": digit.to_string().repeat(32)});
    pair("/patchflag/lock/web/holder", &value.to_string(), 7)
}

#[test]
fn a_grant_is_one_transaction_that_needs_the_holder_to_be_absent() {
    let (host, servers) = meet(vec![vec![seen(&[]), taken(true), history()]], "");
    let said = host.run(&["acquire"]);
    assert_eq!((said.code, said.out.as_str()), (0, "lock web is held (grant 42)\n"), "{said:?}");
    assert_eq!(host.grants(), "etcd web 42 web01.example.org\n");
    let body: Value = serde_json::from_str(&servers[0].asked()[1].body).unwrap();
    let condition = json!([{"key": STANDARD.encode("/patchflag/lock/web/holder"), "target": "CREATE", "result": "EQUAL", "create_revision": "0"}]);
    assert_eq!(body["compare"], condition);
}

#[test]
fn what_was_taken_in_the_same_moment_is_looked_at_again() {
    let (host, _servers) = meet(vec![vec![seen(&[]), taken(false), seen(&[grant("web02", 'b')])]], "");
    let said = host.run(&["acquire"]);
    assert!(said.code == 75 && said.err.contains("held by web02 (grant 7)"), "{said:?}");
}

/// The answer of a transaction that was made is lost: whoever asks again finds what is its own.
#[test]
fn a_grant_whose_answer_was_lost_is_found() {
    let (host, _servers) = meet(
        vec![vec![seen(&[]), Step::Drop], vec![taken(false), seen(&[grant("web01.example.org", 'a')]), history()]],
        "",
    );
    assert_eq!(host.run(&["acquire"]).out, "lock web is held (grant 7)\n");
}

#[test]
fn each_member_is_asked_and_a_lost_quorum_is_69() {
    let (host, servers) = meet(vec![vec![say(503, NO_LEADER)], vec![seen(&[]), taken(true), history()]], "");
    assert_eq!(host.run(&["acquire"]).code, 0);
    assert!(servers.iter().all(Server::is_done), "the one that answered is asked on");
    let (host, _servers) = meet(vec![vec![say(503, NO_LEADER)], vec![Step::Drop], vec![say(504, "{}")]], "");
    assert_eq!(host.run(&["acquire"]).code, 69);
    assert_eq!(host.grants(), "asking etcd web\n");
}

/// A member that is cut off costs the time of an exchange: once, and not again with each call.
#[test]
fn the_member_that_answered_last_is_asked_first_the_next_time() {
    let late = Step::Hang(Duration::from_secs(4));
    let (host, servers) = meet(vec![vec![late, seen(&[])], vec![seen(&[]), seen(&[]), Step::Drop]], "");
    let asked = || [servers[0].asked().len(), servers[1].asked().len()];
    let began = Instant::now();
    assert_eq!(host.run(&["show", "web"]).out, "lock web is free\n");
    assert!(began.elapsed() >= Duration::from_secs(2), "it was asked in vain");
    assert_eq!(host.read("run/patch/etcd"), format!("{}\n", servers[1].url()));
    assert_eq!(host.run(&["show", "web"]).code, 0);
    assert_eq!(asked(), [1, 2], "the first is left alone");
    assert_eq!(host.run(&["show", "web"]).code, 0, "now the second fails, and the first is asked again");
    assert_eq!(host.read("run/patch/etcd"), format!("{}\n", servers[0].url()));
}

#[test]
fn a_planted_memory_of_members_changes_nothing_but_their_order() {
    let (other, theirs) = meet(vec![vec![]], "");
    for text in ["nonsense".to_string(), "x".repeat(1 << 20), format!("{}\n", theirs[0].url()), String::new()] {
        let (host, servers) = meet(vec![vec![seen(&[]), seen(&[])], vec![]], "");
        host.write("run/patch/etcd", &text);
        assert_eq!(host.run(&["show", "web"]).code, 0);
        std::fs::remove_file(host.path("run/patch/etcd")).unwrap();
        std::os::unix::fs::symlink(other.path("etc/machine-id"), host.path("run/patch/etcd")).unwrap();
        assert_eq!(host.run(&["show", "web"]).code, 0);
        assert_eq!(servers[0].asked().len(), 2);
    }
    assert_eq!(theirs[0].asked().len(), 0);
}

/// W1: clones "already hold" the lock.
#[test]
fn w1_a_clone_is_refused() {
    let (host, _servers) = meet(vec![vec![seen(&[grant("web01.example.org", 'b')])]], "");
    let said = host.run(&["acquire", "--wait"]);
    assert!(said.code == 1 && said.err.contains("another host named web01.example.org holds it"), "{said:?}");
}

/// W2: only the grant of this number, of this host, is deleted.
#[test]
fn w2_release_needs_owner_host_and_number() {
    let read = |pair: Value| ok(&json!({"header": {"revision": "50"}, "kvs": [pair]}).to_string());
    for other in [grant("web02", 'a'), grant("web01.example.org", 'b'), grant("web01.example.org", 'a')] {
        let (host, servers) = meet(vec![vec![read(other)]], "");
        host.write("var/lib/patch/grants", "etcd web 6 web01.example.org\n");
        let said = host.run(&["release"]);
        assert!(said.code == 0 && said.err.contains("not this host's any more"), "{said:?}");
        assert_eq!(servers[0].asked().len(), 1);
    }
    let (host, servers) = meet(vec![vec![read(grant("web01.example.org", 'a')), taken(true)]], "");
    host.write("var/lib/patch/grants", "etcd web 7 web01.example.org\n");
    assert_eq!(host.run(&["release"]).out, "lock web is released\n");
    assert!(servers[0].asked()[1].body.contains(r#""create_revision":"7""#));
}

#[test]
fn a_password_is_exchanged_for_a_token_and_a_token_that_ran_out_for_a_new_one() {
    let token = |text: &str| ok(&json!({"token": text}).to_string());
    let stale = say(401, r#"{"error":"etcdserver: invalid auth token","code":16}"#);
    let (host, servers) = meet(
        vec![vec![token("one"), stale, token("two"), seen(&[]), taken(true), history()]],
        "secret_id = root\nsecret_file = /etc/patch/secret\n",
    );
    let said = host.run(&["acquire"]);
    assert_eq!(said.code, 0, "{said:?}");
    let asked = servers[0].asked();
    assert_eq!(asked[0].body, r#"{"name":"root","password":"s3cret"}"#);
    assert!(asked[1].head.contains("authorization: one") && asked[3].head.contains("authorization: two"));
    for (status, fault) in [
        (400, r#"{"message":"authentication failed, invalid user ID or password","code":3}"#),
        (403, r#"{"message":"etcdserver: permission denied","code":7}"#),
    ] {
        let (host, _servers) =
            meet(vec![vec![say(status, fault)]], "secret_id = root\nsecret_file = /etc/patch/secret\n");
        let said = host.run(&["acquire", "--wait"]);
        assert!(said.code == 2 && said.err.contains("secret_id"), "{said:?}");
    }
}

#[test]
fn keys_that_are_none_of_ours_and_answers_that_make_no_sense_are_no_grant() {
    let foreign = pair("/patchflag/lock/web/holder", "somebody's", 7);
    let (host, _servers) = meet(vec![vec![seen(&[foreign])]], "");
    let said = host.run(&["acquire"]);
    assert!(said.code == 1 && said.err.contains("/patchflag/lock/web/holder"), "{said:?}");
    for nonsense in [
        "{}",
        "[]",
        "null",
        r#"{"header":{"revision":"x"}}"#,
        r#"{"header":{"revision":"1"},"responses":[]}"#,
        "<html>",
    ] {
        let (host, _servers) = meet(vec![vec![ok(nonsense)]], "");
        assert_eq!(host.run(&["acquire"]).code, 69, "{nonsense}");
    }
}
