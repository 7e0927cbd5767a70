//! Tests of [`super`], against servers that misbehave.

use super::*;
use crate::cluster::digest;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

/// A server that answers every connection with what `answer` writes.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> Transport {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tree/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            answer(&mut stream);
        }
    });
    transport(&url)
}

fn transport(base: &str) -> Transport {
    let second = Duration::from_secs(1);
    let patience = Patience { connect: second, answer: second, window: second, least: 1000 };
    Transport::patient(base, None, &Paths::system(), patience).unwrap()
}

fn says(text: &'static str) -> Transport {
    server(move |stream| {
        let _ = stream.write_all(text.as_bytes());
    })
}

fn fetch(from: &Transport, expected: &[u8]) -> (Result<Digests>, Vec<String>) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = Dir::open(scratch.path()).unwrap();
    let sha256 = digest::of_bytes(expected).sha256;
    let expected = Expected { size: expected.len() as u64, sha256: &sha256 };
    let result = from.fetch_to("f", &dir, "f", Some(expected), 0);
    (result, dir.names().unwrap())
}

#[test]
fn a_file_that_is_what_was_expected_is_there_and_no_draft_is_left() {
    let (result, names) = fetch(&says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntext"), b"text");
    assert_eq!(result.unwrap().size, 4);
    assert_eq!(names, ["f"]);
}

#[test]
fn a_body_that_is_not_what_was_expected_fails_and_leaves_nothing() {
    for (answer, word) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nteXt", "sha256"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntex", "has 3 bytes, not 4"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntexts", "larger than 4"),
        ("HTTP/1.1 200 OK\r\n\r\ntex", "has 3 bytes"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
    ] {
        let (result, names) = fetch(&says(answer), b"text");
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Failed { .. }) && error.to_string().contains(word), "{error}");
        assert!(names.is_empty());
    }
}

#[test]
fn a_file_that_is_not_on_the_server_is_missing() {
    let (result, names) = fetch(&says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), b"text");
    let error = result.unwrap_err();
    assert!(error.is_missing() && error.to_string().ends_with("f: there is no such file on the server"), "{error}");
    assert!(names.is_empty());
}

#[test]
fn a_server_that_breaks_off_or_is_ill_is_unreachable() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nte",
        "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n",
        "HTTP/1.1 200",
        "",
        "nonsense\r\n\r\n",
    ] {
        let (result, names) = fetch(&says(answer), b"text");
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{answer:?}: {error}");
        assert!(names.is_empty());
    }
    let (result, _) = fetch(&transport("http://127.0.0.1:1/"), b"text");
    assert!(matches!(result, Err(Error::Unreachable { .. })));
}

#[test]
fn a_server_that_stalls_or_trickles_is_given_up() {
    for pause in [5000, 100] {
        let slow = server(move |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(pause));
            }
        });
        let began = std::time::Instant::now();
        let (result, _) = fetch(&slow, &[b'x'; 4000]);
        assert!(matches!(result, Err(Error::Unreachable { .. })), "{result:?}");
        assert!(began.elapsed().as_secs() < 4);
    }
}

#[test]
fn circles_are_left() {
    let (result, _) = fetch(&says("HTTP/1.1 302 Found\r\nLocation: /tree/f\r\nContent-Length: 0\r\n\r\n"), b"text");
    assert!(matches!(result, Err(Error::Failed { .. })), "{result:?}");
}

#[test]
fn a_directory_is_read_like_a_server() {
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path().join("tree");
    let from = transport(base.to_str().unwrap());
    assert!(matches!(from.read("f", 10), Err(Error::Unreachable { .. })), "not mounted");
    std::fs::create_dir(&base).unwrap();
    let error = from.read("f", 10).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.to_string().contains("is it mounted?"), "{error}");
    std::fs::write(base.join("other"), "").unwrap();
    assert!(from.read("f", 10).unwrap_err().is_missing());
    std::fs::write(base.join("f"), "text").unwrap();
    assert_eq!(from.read("f", 4).unwrap(), b"text");
    assert_eq!(transport(&format!("file://{}", base.display())).read("f", 4).unwrap(), b"text");
    assert!(matches!(from.read("f", 3), Err(Error::Failed { .. })), "too large");
    assert!(from.read("../f", 10).is_err());
    nix::unistd::mkfifo(&base.join("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(matches!(from.read("fifo", 10), Err(Error::Failed { .. })));
    assert_eq!(fetch(&from, b"text").1, ["f"]);
}

#[test]
fn a_place_that_is_none_is_a_wrong_configuration() {
    for base in ["ftp://x/", "relative/path", "", "file://relative"] {
        assert!(matches!(Transport::new(base, None, &Paths::system()), Err(Error::Usage(_))), "{base}");
    }
}
