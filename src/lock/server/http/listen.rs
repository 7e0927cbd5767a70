//! Connections: taken, counted, served one request after the other, and ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::patient::Patient;
use super::place::{Full, Places};
use super::{Peer, tls};
use crate::lock::server::counts::Counts;
use crate::lock::server::host;
use crate::lock::server::service::Service;

/// How long the head of a request may take, and how long a connection may be open without one.
const HEAD: Duration = Duration::from_secs(10);
/// How long it may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long nothing of an answer may be taken.
const WRITE: Duration = Duration::from_secs(10);
/// The largest head of a request.
const HEAD_LIMIT: usize = 16 << 10;
/// The pause after a connection that could not be taken: there are no descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What serves connections.
#[derive(Clone)]
pub struct Server {
    service: Arc<Service>,
    router: Router,
    places: Arc<Places>,
    /// Dropped with the last connection.
    alive: mpsc::Sender<()>,
}

impl Server {
    /// One that serves at most `limit` connections at once; `alive` is dropped when the last one has ended.
    pub fn new(service: Arc<Service>, limit: usize, alive: mpsc::Sender<()>) -> Self {
        let router = super::router(Arc::clone(&service));
        Self { service, router, places: Places::new(limit), alive }
    }

    /// Takes connections until the service ends.
    pub async fn listen(self, listener: TcpListener) {
        let ending = self.service.ending();
        tokio::pin!(ending);
        loop {
            let taken = tokio::select! {
                taken = listener.accept() => taken,
                () = &mut ending => break,
            };
            match taken {
                Ok((stream, address)) => self.take(stream, address),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn take(&self, stream: TcpStream, address: SocketAddr) {
        let counts = self.service.desk.counts();
        let place = match self.places.take(address.ip()) {
            Ok(place) => Arc::new(place),
            Err(full) => {
                Counts::one(&counts.turned_away);
                // It fits into the buffer of a fresh connection; who does not take it gets nothing.
                let _ = stream.try_write(words(full).as_bytes());
                return;
            }
        };
        Counts::one(&counts.connections);
        host::keep_alive(&stream);
        // Answers are small and awaited; on a socket that is gone it does not matter.
        let _ = stream.set_nodelay(true);
        let stream = Patient::new(stream, WRITE);
        let mut peer = Peer { address: address.ip(), certificate: None, place };
        let server = self.clone();
        let Some(tls) = self.service.tls() else {
            tokio::spawn(serve(server, stream, peer));
            return;
        };
        tokio::spawn(async move {
            // Who cannot shake hands learns from its own side why.
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await else { return };
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            peer.certificate = shown.and_then(|shown| tls::common_name(shown)).map(Arc::from);
            serve(server, stream, peer).await;
        });
    }
}

/// What somebody is told who is one too many.
fn words(full: Full) -> String {
    let error = match full {
        Full::All => "as many connections are open as may; try again later",
        Full::Address => "as many connections without a credential are open from this address as may; try again later",
    };
    let body = serde_json::json!({"kind": "unavailable", "error": error}).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 10\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(server: Server, stream: S, peer: Peer) {
    let Server { service, router, alive, .. } = server;
    let _alive = alive;
    let router = TowerToHyperService::new(router);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    // How a connection ends is of no interest: whoever sent something half has no answer to get.
    tokio::select! {
        _ = &mut connection => {}
        () = service.ending() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
