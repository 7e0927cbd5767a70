//! A client of a few lines, which can also send what no client would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

pub const ALL: &str = "x-secret-id: all\r\nx-secret: s3cret\r\n";
pub const WEB: &str = "x-secret-id: web\r\nx-secret: s3cret\r\n";

pub type Answer = (u16, Value);

/// Opens a connection that no test hangs on.
pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends a request with this head and body, and leaves the answer to the caller.
pub fn send(stream: &mut impl Write, line: &str, headers: &str, body: &[u8]) {
    let head = format!("{line} HTTP/1.1\r\nhost: lock\r\n{headers}content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // A service that has seen enough may close before all is sent.
    let _ = stream.write_all(body);
}

/// Reads one answer; `None` if the connection is closed instead.
pub fn answer(stream: impl Read) -> Option<Answer> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|count| *count > 0)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((status, serde_json::from_slice(&body).unwrap_or(Value::String(String::from_utf8_lossy(&body).into()))))
}

pub fn get(to: SocketAddr, who: &str, path: &str) -> Answer {
    let mut stream = connect(to);
    send(&mut stream, &format!("GET {path}"), who, b"");
    answer(stream).unwrap()
}

pub fn post(to: SocketAddr, who: &str, path: &str, body: &Value) -> Answer {
    let mut stream = connect(to);
    send(&mut stream, &format!("POST {path}"), who, body.to_string().as_bytes());
    answer(stream).unwrap()
}

pub fn ask(owner: &str, locks: &[&str], wait: u64) -> Value {
    json!({"owner": owner, "host_id": format!("id-{owner}"), "boot": "b1", "locks": locks, "wait": wait})
}

pub fn acquire(to: SocketAddr, owner: &str, locks: &[&str], wait: u64) -> Answer {
    post(to, ALL, "/lock/1/acquire", &ask(owner, locks, wait))
}

/// Asks on a connection that stays open; the answer comes when it comes.
pub fn begin(to: SocketAddr, owner: &str, locks: &[&str], wait: u64) -> TcpStream {
    let mut stream = connect(to);
    send(&mut stream, "POST /lock/1/acquire", ALL, ask(owner, locks, wait).to_string().as_bytes());
    wait_until(|| !queue(to, locks[0], owner).is_null());
    stream
}

/// The entry of an owner in the queue of a lock.
pub fn queue(to: SocketAddr, lock: &str, owner: &str) -> Value {
    let (_, stands) = get(to, ALL, &format!("/lock/1/locks/{lock}"));
    let waits = stands["queue"].as_array().unwrap().iter().find(|waiter| waiter["owner"] == owner);
    waits.cloned().unwrap_or_default()
}

pub fn release(to: SocketAddr, owner: &str, lock: &str, number: u64) -> Answer {
    post(to, ALL, "/lock/1/release", &json!({"owner": owner, "lock": lock, "number": number}))
}

/// Of a granted acquire: the number.
pub fn number(answer: &Answer) -> u64 {
    assert_eq!((answer.0, &answer.1["state"]), (200, &json!("granted")), "{answer:?}");
    answer.1["grants"][0]["number"].as_u64().unwrap()
}

pub fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come");
}
