//! Connections: taken, counted, served one request after the other, and ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

use super::{Peer, tls};
use crate::lock::server::counts::Counts;
use crate::lock::server::host;
use crate::lock::server::service::Service;

/// How long the head of a request may take, and how long a connection may be open without one.
const HEAD: Duration = Duration::from_secs(10);
/// How long it may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The largest head of a request.
const HEAD_LIMIT: usize = 16 << 10;
/// The pause after a connection that could not be taken: there are no descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// What serves connections.
#[derive(Clone)]
pub struct Server {
    service: Arc<Service>,
    router: Router,
    open: Arc<AtomicUsize>,
    limit: usize,
    /// Dropped with the last connection.
    alive: mpsc::Sender<()>,
}

impl Server {
    /// One that serves at most `limit` connections at once; `alive` is dropped when the last one has ended.
    pub fn new(service: Arc<Service>, limit: usize, alive: mpsc::Sender<()>) -> Self {
        let router = super::router(Arc::clone(&service));
        Self { service, router, open: Arc::default(), limit, alive }
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
        let Some(place) = Place::take(&self.open, self.limit) else {
            Counts::one(&counts.turned_away);
            // It fits into the buffer of a fresh connection; who does not take it gets nothing.
            let _ = stream.try_write(full().as_bytes());
            return;
        };
        Counts::one(&counts.connections);
        host::keep_alive(&stream);
        // Answers are small and awaited; on a socket that is gone it does not matter.
        let _ = stream.set_nodelay(true);
        let mut peer = Peer { address: address.ip(), certificate: None };
        let server = self.clone();
        let Some(tls) = self.service.tls() else {
            tokio::spawn(serve(server, stream, peer, place));
            return;
        };
        tokio::spawn(async move {
            // Who cannot shake hands learns from its own side why.
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await else { return };
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            peer.certificate = shown.and_then(|shown| tls::common_name(shown)).map(Arc::from);
            serve(server, stream, peer, place).await;
        });
    }
}

/// What somebody is told who is one too many.
fn full() -> String {
    let body = r#"{"kind":"unavailable","error":"as many connections are open as may; try again later"}"#;
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 10\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// One of the connections that there may be.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let place = Self(Arc::clone(open));
        // Counted first, given back by the drop.
        (open.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(server: Server, stream: S, peer: Peer, _: Place) {
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
