//! Backend `foreman`, and client certificates good and bad.

use std::path::PathBuf;

use super::authority::Authority;
use super::bench::Host;
use super::server::{Server, Step, ok, say};

const HELD: &str = r#"{"id":7,"host_id":42,"name":"web","enabled":true,"host":{"name":"web01"}}"#;
const SELF: &str = r#"{"id":7,"name":"web","enabled":true,"host":{"name":"web01","self":true}}"#;
const OTHER: &str = r#"{"id":7,"name":"web","enabled":true,"host":{"name":"web02","self":false}}"#;
const FREE: &str = r#"{"id":7,"host_id":null,"name":"web","enabled":true,"host":null}"#;
const NOT_NOW: &str =
    r#"{"error":{"id":7,"message":"Precondition failed. Lock is in invalid state for this operation."}}"#;

struct Site {
    host: Host,
    server: Server,
    authority: Authority,
}

fn site(script: Vec<Step>) -> Site {
    let authority = Authority::new();
    let server = Server::with_tls(script, &authority);
    let host = Host::new("web01.example.org", 'a', "backend = dir\ndir = /d\n");
    std::fs::copy(authority.certificate(), host.path("etc/patch/ca.pem")).unwrap();
    let site = Site { host, server, authority };
    site.show(site.authority.issue("web01", "web01", 2), "ca.pem");
    site
}

impl Site {
    /// Which certificate this host shows, and whom it trusts.
    fn show(&self, (certificate, key): (PathBuf, PathBuf), authority: &str) {
        self.host.write("etc/patch/web01.pem", &std::fs::read_to_string(certificate).unwrap());
        self.host.write_secret("etc/patch/web01.key", &std::fs::read_to_string(key).unwrap());
        let section = format!(
            "backend = foreman\nurl = https://127.0.0.1:{}\nca_file = /etc/patch/{authority}\ncertificate = /etc/patch/web01.pem\nkey = /etc/patch/web01.key\nnames = web\ntimeout = 5s\n",
            self.server.port
        );
        self.host.configure("web01.example.org", &section);
    }
}

#[test]
fn a_lock_of_foreman_is_taken_and_given_back_by_certificate() {
    let site = site(vec![ok(HELD), ok(SELF), ok(FREE)]);
    let said = site.host.run(&["acquire"]);
    assert_eq!((said.code, said.out.as_str()), (0, "lock web is held (grant 1, local)\n"), "{said:?}");
    assert_eq!(site.host.run(&["release"]).out, "lock web is released\n");
    let lines = ["PUT", "GET", "DELETE"].map(|method| format!("{method} /api/dlmlocks/web/lock"));
    assert_eq!(site.server.lines(), lines);
    assert!(site.server.asked().iter().all(|asked| asked.head.contains("content-type: application/json")));
}

#[test]
fn foreman_s_412_is_told_apart() {
    let disabled = OTHER.replace("\"enabled\":true", "\"enabled\":false");
    for (state, words) in
        [(OTHER, "held by web02"), (disabled.as_str(), "disabled"), (FREE, "can_acquire_update_locks")]
    {
        let site = site(vec![say(412, NOT_NOW), ok(state)]);
        let said = site.host.run(&["acquire"]);
        assert!(said.code == 75 && said.err.contains(words), "{said:?}");
    }
}

/// W18: a disabled lock cannot be released by its holder.
#[test]
fn w18_a_disabled_lock_is_told_with_the_way_out_and_stays_ours() {
    let site = site(vec![ok(HELD), ok(SELF), say(412, NOT_NOW), ok(SELF)]);
    site.host.run(&["acquire"]);
    let said = site.host.run(&["release"]);
    assert!(said.code == 1 && said.err.contains("enable it"), "{said:?}");
    assert!(site.host.grants().contains("foreman web"), "it is remembered");
}

/// W2, at Foreman.
#[test]
fn w2_foreman_is_not_asked_to_release_what_another_holds() {
    let site = site(vec![ok(HELD), ok(OTHER)]);
    site.host.run(&["acquire"]);
    assert!(site.host.run(&["release"]).err.contains("not this host's any more"));
    assert!(site.server.is_done());
}

/// W6: a numeric name is looked up as an id first.
#[test]
fn w6_a_number_is_no_name_for_foreman() {
    let site = site(vec![]);
    let said = site.host.run(&["acquire", "17"]);
    assert!(said.code == 2 && said.err.contains("use a name"), "{said:?}");
}

#[test]
fn a_version_1_certificate_and_a_foreign_key_are_refused_without_a_panic() {
    let site = site(vec![ok(HELD)]);
    site.show(site.authority.issue_version_1("v1"), "ca.pem");
    let said = site.host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("version 1") && !said.err.contains("panic"), "{said:?}");
    let (certificate, _) = site.authority.issue("one", "web01", 2);
    let (_, key) = site.authority.issue("two", "web01", 2);
    site.show((certificate.clone(), key.clone()), "ca.pem");
    let said = site.host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("does not belong"), "{said:?}");
    site.show((key.clone(), key), "ca.pem");
    let said = site.host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("no certificate"), "{said:?}");
    site.show((certificate.clone(), certificate), "ca.pem");
    assert_eq!(site.host.run(&["acquire"]).code, 2);
    assert!(site.server.asked().is_empty() && site.host.grants().is_empty());
}

#[test]
fn a_certificate_that_the_server_refuses_is_a_wrong_configuration() {
    let site = site(vec![ok(HELD), ok(HELD)]);
    site.show(site.authority.issue("old", "web01", -1), "ca.pem");
    let said = site.host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("refuses our client certificate"), "{said:?}");
    site.show(Authority::new().issue("stranger", "web01", 2), "ca.pem");
    let said = site.host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("refuses our client certificate"), "{said:?}");
}

/// W36: TLS verification is off when no authority is configured.
#[test]
fn w36_a_server_of_another_authority_is_not_spoken_to() {
    let site = site(vec![ok(HELD)]);
    std::fs::copy(Authority::new().certificate(), site.host.path("etc/patch/other.pem")).unwrap();
    site.show(site.authority.issue("web01", "web01", 2), "other.pem");
    let said = site.host.run(&["acquire"]);
    assert!(said.code == 69 && said.err.contains("UnknownIssuer"), "{said:?}");
    assert!(site.server.asked().is_empty(), "nothing was sent");
    site.host.write("etc/patch/none.pem", "nothing\n");
    site.show(site.authority.issue("web01", "web01", 2), "none.pem");
    assert_eq!(site.host.run(&["acquire"]).code, 2);
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let site = site(vec![ok(HELD)]);
    let key = site.host.read("etc/patch/web01.key");
    site.host.write("etc/patch/web01.key", &key);
    let said = site.host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("chmod 600"), "{said:?}");
}
