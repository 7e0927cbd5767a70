//! What no client should send.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::daemon::Daemon;
use crate::wire::{ALL, answer, ask, connect, get, post, send};

#[test]
fn names_that_could_be_anything_else_are_refused() {
    let daemon = Daemon::start();
    for bad in ["", "a/b", "..", ".", "a..b", "nul\u{0}", "new\nline", "\u{202e}", " web", &"x".repeat(300)] {
        let (status, word) = post(daemon.address, ALL, "/lock/1/acquire", &ask("web01", &[bad], 0));
        assert!(status == 400 && word["kind"] == "bad-request", "{bad:?}: {word}");
        let (status, word) = post(daemon.address, ALL, "/lock/1/acquire", &ask(bad, &["web"], 0));
        assert!(status == 400, "{bad:?}: {word}");
    }
    for bad in ["a%2Fb", "%2E%2E", "%00", "a%0Ab", "%FF"] {
        let (status, word) = get(daemon.address, ALL, &format!("/lock/1/locks/{bad}"));
        assert!(status == 400, "{bad}: {word}");
    }
    let (status, word) = get(daemon.address, ALL, "/lock/1/locks/web%20servers");
    assert_eq!((status, &word["lock"]), (200, &json!("web servers")), "W42: a blank is a blank");
    let many: Vec<String> = (0..17).map(|n| format!("l{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(post(daemon.address, ALL, "/lock/1/acquire", &ask("web01", &many, 0)).0, 400);
    assert_eq!(post(daemon.address, ALL, "/lock/1/acquire", &ask("web01", &[], 0)).0, 400);
}

#[test]
fn a_megabyte_of_anything_is_refused_and_forgotten() {
    let daemon = Daemon::start();
    let mut stream = connect(daemon.address);
    let megabyte = ask("web01", &[&"x".repeat(1 << 20)], 0).to_string();
    send(&mut stream, "POST /lock/1/acquire", ALL, megabyte.as_bytes());
    if let Some((status, word)) = answer(stream) {
        assert!(status == 400 && word["error"].as_str().unwrap().contains("65536 bytes"), "{word}");
    }
    let mut stream = connect(daemon.address);
    send(&mut stream, &format!("GET /{}", "x".repeat(1 << 20)), ALL, b"");
    assert!(answer(stream).is_none_or(|(status, _)| status == 414 || status == 431));
    assert_eq!(get(daemon.address, ALL, "/lock/1/locks").0, 200);
}

#[test]
fn what_is_not_understood_is_named() {
    let daemon = Daemon::start();
    let say = |body: &[u8]| {
        let mut stream = connect(daemon.address);
        send(&mut stream, "POST /lock/1/release", ALL, body);
        let (status, word) = answer(stream).unwrap();
        assert_eq!(status, 400);
        word["error"].as_str().unwrap().to_string()
    };
    assert!(say(b"").contains("EOF"));
    assert!(say(b"{\"owner\":").contains("line 1 column 9"));
    assert!(say(b"[]").contains("cannot understand the body"));
    assert!(say(b"\xff\xfe").contains("cannot understand the body"));
    assert!(say(br#"{"owner":"a","lock":"b","number":-1}"#).contains("-1"));
    assert!(say(b"{}").contains("owner"));
    assert!(say(br#"{"owner":"a","lock":"b","number":1,"force":true}"#).contains("force"));
    let deep = format!(r#"{{"owner":{}"#, "[".repeat(10_000));
    assert!(say(deep.as_bytes()).contains("cannot understand the body"));
    let (status, word) = get(daemon.address, ALL, "/lock/1/history?limt=1");
    assert!(status == 400 && word["error"].as_str().unwrap().contains("limt"), "{word}");
    assert_eq!(get(daemon.address, ALL, "/lock/1/why?lock=web").0, 400);
}

#[test]
fn who_sends_slower_than_anybody_would_is_closed() {
    let daemon = Daemon::start();
    let (mut head, mut body) = (connect(daemon.address), connect(daemon.address));
    head.write_all(b"GET /lock/1/locks HTTP/1.1\r\nhost:").unwrap();
    body.write_all(format!("POST /lock/1/release HTTP/1.1\r\nhost: a\r\n{ALL}content-length: 9\r\n\r\n{{").as_bytes())
        .unwrap();
    let begun = Instant::now();
    assert!(answer(&mut head).is_none_or(|(status, _)| status == 408));
    assert_eq!(answer(&mut body).unwrap().0, 400);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    assert_eq!(body.read_to_end(&mut rest).unwrap(), 0);
}

#[test]
fn one_connection_too_many_is_told_so() {
    let daemon = Daemon::with_lockd("connections = 2", crate::daemon::CLIENTS);
    let (first, second) = (connect(daemon.address), connect(daemon.address));
    let (status, word) = answer(connect(daemon.address)).unwrap();
    assert_eq!((status, &word["kind"]), (503, &json!("unavailable")));
    drop((first, second));
    crate::wire::wait_until(|| {
        let mut stream = connect(daemon.address);
        send(&mut stream, "GET /healthz", "", b"");
        answer(stream).is_some_and(|(status, _)| status == 200)
    });
}

/// Answers that nobody takes, on connections that ask for more and more of them.
#[test]
fn who_asks_and_never_reads_is_closed() {
    let daemon = Daemon::start();
    let mut greedy = connect(daemon.address);
    greedy.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let many = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000);
    let begun = Instant::now();
    // Until the service takes no more, for nobody takes its answers.
    let mut is_stuck = false;
    for _ in 0..2000 {
        match greedy.write_all(many.as_bytes()) {
            Ok(()) => {}
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock && !is_stuck => is_stuck = true,
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "it holds its connection for ever");
    }
    assert!(is_stuck, "the service took two million requests without an answer being read");
    crate::wire::wait_until(|| open_connections(&daemon) == 0);
}

/// The sockets of the service, without the one that listens.
fn open_connections(daemon: &Daemon) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let links = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    let sockets: Vec<_> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_string()))
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let established = |line: &&str| line.split_whitespace().nth(3) == Some("01");
    table
        .lines()
        .filter(established)
        .filter(|line| sockets.iter().any(|id| line.split_whitespace().nth(9) == Some(id)))
        .count()
}

#[test]
fn one_address_without_a_credential_leaves_room_for_others() {
    let daemon = Daemon::with_lockd("connections = 6", crate::daemon::CLIENTS);
    // A client that waits is no stranger.
    crate::wire::number(&crate::wire::acquire(daemon.address, "web01", &["web"], 0));
    let waits = crate::wire::begin(daemon.address, "web02", &["web"], 25);
    let strangers: Vec<_> = (0..3).map(|_| connect(daemon.address)).collect();
    let (status, word) = answer(connect(daemon.address)).unwrap();
    assert!(status == 503 && word["error"].as_str().unwrap().contains("from this address"), "{word}");
    let mut other = connect_from("127.0.0.9", daemon.address);
    send(&mut other, "GET /lock/1/locks", ALL, b"");
    assert_eq!(answer(other).unwrap().0, 200, "another address is another's");
    drop((strangers, waits));
    crate::wire::wait_until(|| {
        let mut stream = connect(daemon.address);
        send(&mut stream, "GET /healthz", "", b"");
        answer(stream).is_some_and(|(status, _)| status == 200)
    });
}

/// A connection from another address of this machine.
fn connect_from(address: &str, to: std::net::SocketAddr) -> std::net::TcpStream {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    use std::os::fd::AsRawFd;
    let (from, std::net::SocketAddr::V4(to)) = (std::net::SocketAddrV4::new(address.parse().unwrap(), 0), to) else {
        panic!("not IPv4");
    };
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::from(from)).unwrap();
    connect(socket.as_raw_fd(), &SockaddrIn::from(to)).unwrap();
    socket.into()
}
