//! A lock service that says what its script says, a connection at a time, and remembers what it was asked.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::authority::Authority;

/// What is done with one connection.
#[derive(Clone)]
pub enum Step {
    /// Answers with this status and body.
    Say(u16, String),
    /// Answers so after a pause.
    Late(Duration, u16, String),
    /// Closes without a word.
    Drop,
    /// Says what is no HTTP.
    Noise,
    /// Keeps silent for this time.
    Hang(Duration),
    /// Sends the asker elsewhere.
    Redirect(String),
}

/// Says 200.
pub fn ok(body: &str) -> Step {
    Step::Say(200, body.to_string())
}

pub fn say(status: u16, body: &str) -> Step {
    Step::Say(status, body.to_string())
}

/// A server at work.
pub struct Server {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    work: JoinHandle<()>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /path`
    pub line: String,
    pub head: String,
    pub body: String,
}

impl Server {
    /// Follows a script, and then is gone.
    pub fn start(script: Vec<Step>) -> Self {
        Self::with(script, None)
    }

    /// The same behind TLS, for clients with a certificate of an authority.
    pub fn with_tls(script: Vec<Step>, authority: &Authority) -> Self {
        Self::with(script, Some(config(authority)))
    }

    fn with(script: Vec<Step>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        let work = thread::spawn(move || {
            for step in script {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                match &tls {
                    None => serve(stream, &step, &notes),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                        serve(StreamOwned::new(connection, stream), &step, &notes);
                    }
                }
            }
        });
        Self { port, asked, work }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// The whole script was followed.
    pub fn is_done(&self) -> bool {
        self.work.is_finished()
    }
}

fn serve(mut stream: impl Read + Write, step: &Step, notes: &Mutex<Vec<Asked>>) {
    let Some(asked) = read(&mut stream) else { return };
    notes.lock().unwrap().push(asked);
    let mut answer = |status: u16, more: &str, body: &str| {
        let head =
            format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n", body.len());
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .and_then(|()| stream.flush());
    };
    match step {
        Step::Say(status, body) => answer(*status, "", body),
        Step::Late(pause, status, body) => {
            thread::sleep(*pause);
            answer(*status, "", body);
        }
        Step::Drop => {}
        Step::Noise => drop(stream.write_all(b"\x00\xffnonsense\r\n\r\n")),
        Step::Hang(pause) => thread::sleep(*pause),
        Step::Redirect(to) => answer(307, &format!("Location: {to}\r\n"), ""),
    }
}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let line = head.lines().next()?.rsplit_once(' ')?.0.to_string();
                return Some(Asked { line, head: head.to_string(), body: body.to_string() });
            }
        }
        match stream.read(&mut block) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&block[..read]),
        }
    }
}

fn config(authority: &Authority) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.certificate()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (certificate, key) = authority.issue("server", "127.0.0.1", 2);
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap())
}
