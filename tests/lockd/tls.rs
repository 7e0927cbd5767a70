//! TLS and client certificates, with curl and openssl on the other side.

use std::path::Path;
use std::process::{Command, Output};

use crate::daemon::{CLIENTS, Daemon};

/// Authorities and certificates of a test, made by openssl.
struct Authority<'a>(&'a Path);

impl Authority<'_> {
    fn make(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.crt"
        ));
    }

    /// A certificate for a subject, signed by an authority, good from and for some days.
    fn sign(&self, ca: &str, file: &str, subject: &str, extra: &str, days: i32) {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj {subject} -keyout {file}.key -out {file}.csr"
        ));
        std::fs::write(self.0.join("ext"), extra).unwrap();
        let begin = if days < 0 { "-not_before 20200101000000Z -not_after 20200102000000Z" } else { "-days 2" };
        self.openssl(&format!(
            "x509 -req -in {file}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -extfile ext {begin} -out {file}.crt"
        ));
    }

    fn openssl(&self, words: &str) {
        let done = Command::new("openssl").args(words.split(' ')).current_dir(self.0).output().unwrap();
        if !done.status.success() && words.contains("-not_before") {
            // openssl before 3.4 has no such option; its `ca` has.
            return self.sign_expired(words);
        }
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn sign_expired(&self, words: &str) {
        let word = |option: &str| words.split(' ').skip_while(|w| *w != option).nth(1).unwrap().to_string();
        std::fs::write(self.0.join("index"), "").unwrap();
        std::fs::write(self.0.join("serial"), "77\n").unwrap();
        let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n";
        std::fs::write(self.0.join("ca.conf"), config).unwrap();
        let (csr, out, ca) = (word("-in"), word("-out"), word("-CA"));
        let key = word("-CAkey");
        self.openssl(&format!(
            "ca -batch -config ca.conf -in {csr} -cert {ca} -keyfile {key} -startdate 20200101000000Z -enddate 20200102000000Z -notext -out {out}"
        ));
    }
}

fn curl(dir: &Path, daemon: &Daemon, words: &[&str]) -> Output {
    let url = format!("https://localhost:{}/lock/1/locks", daemon.address.port());
    let args = ["-sS", "--max-time", "20", "--cacert", "ca.crt", "-w", "%{http_code}", &url];
    Command::new("curl").args(args).args(words).current_dir(dir).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_client_is_known_by_a_certificate_that_its_authority_has_signed_and_that_is_not_expired() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let make = Authority(dir);
    make.make("ca");
    make.make("other");
    make.sign("ca", "server", "/CN=localhost", "subjectAltName=DNS:localhost", 2);
    make.sign("ca", "ops", "/CN=ops.example.org", "extendedKeyUsage=clientAuth", 2);
    make.sign("ca", "unknown", "/CN=unknown.example.org", "extendedKeyUsage=clientAuth", 2);
    make.sign("ca", "expired", "/CN=ops.example.org", "extendedKeyUsage=clientAuth", -1);
    make.sign("other", "foreign", "/CN=ops.example.org", "extendedKeyUsage=clientAuth", 2);
    let keys = format!("certificate = {0}/server.crt\nkey = {0}/server.key\nclient_ca = {0}/ca.crt\n", dir.display());
    let ops = "[client ops]\ncertificate = ops.example.org\nowners = *\nlocks = *\n";
    let daemon = Daemon::in_dir(dir, &keys, &format!("{CLIENTS}{ops}"));
    let with = |name: &str| {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        curl(dir, &daemon, &["--cert", &certificate, "--key", &key])
    };
    assert_eq!(said(&with("ops")), r#"{"locks":[]}200"#);
    assert_eq!(said(&with("unknown")), r#"{"kind":"unauthorized","error":"no valid credential"}401"#);
    for bad in ["expired", "foreign"] {
        let output = with(bad);
        assert!(!output.status.success() && said(&output) == "000", "{bad}: {}", said(&output));
    }
    assert_eq!(said(&curl(dir, &daemon, &["-H", "x-secret-id: web", "-H", "x-secret: s3cret"])), r#"{"locks":[]}200"#);
    assert!(said(&curl(dir, &daemon, &[])).ends_with("401"), "neither a certificate nor a secret");

    // A renewed certificate counts from a SIGHUP on, and a wrong one is told of and does not.
    std::fs::write(dir.join("server.key"), "nonsense").unwrap();
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(said(&with("ops")), r#"{"locks":[]}200"#);
    // Nor do settings without TLS, for the port stays open: secrets would travel in plain text.
    crate::daemon::configure(dir, "", CLIENTS);
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(said(&with("ops")), r#"{"locks":[]}200"#);
    crate::daemon::configure(dir, &keys, &format!("{CLIENTS}{ops}"));
    make.sign("other", "server", "/CN=localhost", "subjectAltName=DNS:localhost", 2);
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    crate::wire::wait_until(|| !with("ops").status.success());
}

#[test]
fn plain_words_on_a_port_of_tls_get_no_answer() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let make = Authority(dir);
    make.make("ca");
    make.sign("ca", "server", "/CN=localhost", "subjectAltName=DNS:localhost", 2);
    let keys = format!("certificate = {0}/server.crt\nkey = {0}/server.key\n", dir.display());
    let daemon = Daemon::in_dir(dir, &keys, CLIENTS);
    let mut stream = crate::wire::connect(daemon.address);
    crate::wire::send(&mut stream, "GET /healthz", "", b"");
    assert!(crate::wire::answer(stream).is_none());
    assert!(said(&curl(dir, &daemon, &["-H", "x-secret-id: web", "-H", "x-secret: s3cret"])).ends_with("200"));
}

/// Two hosts at once, again and again, for a lock that nobody ever had: Foreman's read and update let both in, and its name could
/// come into being twice.
#[test]
fn w5_w6_of_hosts_that_ask_at_once_for_a_new_lock_one_has_it() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let make = Authority(dir);
    make.make("ca");
    make.sign("ca", "server", "/CN=localhost", "subjectAltName=DNS:localhost", 2);
    let names = ["h1", "h2", "h3"];
    for host in names {
        make.sign("ca", host, &format!("/CN={host}.example.org"), "extendedKeyUsage=clientAuth", 2);
    }
    let section =
        |host| format!("[client {host}]\ncertificate = {host}.example.org\nowners = {host}.example.org\nlocks = *\n");
    let hosts: Vec<String> = names.map(section).into();
    let keys = format!("certificate = {0}/server.crt\nkey = {0}/server.key\nclient_ca = {0}/ca.crt\n", dir.display());
    let daemon = Daemon::in_dir(dir, &keys, &format!("{CLIENTS}{}", hosts.concat()));
    let port = daemon.address.port();
    let call = |host: &str, method: &str, path: &str| {
        let (certificate, key) = (format!("{host}.crt"), format!("{host}.key"));
        let url = format!("https://localhost:{port}{path}");
        let words = ["-sS", "--max-time", "20", "--cacert", "ca.crt", "-w", "%{http_code}", "-X", method];
        let identity = ["--cert", &certificate, "--key", &key, &url];
        said(&Command::new("curl").args(words).args(identity).current_dir(dir).output().unwrap())
    };
    for round in 0..15 {
        // A number is a name here, and no row.
        let path = format!("/api/dlmlocks/{round}/lock");
        let start = std::sync::Barrier::new(3);
        let mut asked: Vec<(String, &str)> = std::thread::scope(|scope| {
            let asks = names.map(|host| {
                let (call, path, start) = (&call, &path, &start);
                scope.spawn(move || {
                    start.wait();
                    (call(host, "PUT", path), host)
                })
            });
            asks.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        asked.sort_by_key(|(answer, _)| answer[answer.len() - 3..].to_string());
        let codes: Vec<&str> = asked.iter().map(|(answer, _)| &answer[answer.len() - 3..]).collect();
        assert_eq!(codes, ["200", "412", "412"], "round {round}");
        // Held on, it would be one side of a deadlock with the next round's.
        assert!(call(asked[0].1, "DELETE", &path).ends_with("200"));
    }
    let history = call("h1", "GET", "/lock/1/history?limit=100");
    assert_eq!(history.matches(r#""event":"granted""#).count(), 15, "one grant a lock: {history}");
}
