//! HTTP: connections, who is on them, and the protocols that are spoken.
//!
//! A protocol is a [`Router`] in a file of its own; it gets the service as its state, the one who asks by [`Caller`], a body by
//! [`body::json`], and answers what went wrong in its own form. Strangers learn nothing: whatever they ask for, they are told that
//! they showed no valid credential.

mod answer;
mod body;
mod caller;
mod dlm;
mod fault;
mod fleetlock;
mod foreman;
pub mod listen;
mod metrics;
mod named;
mod native;
mod patient;
mod place;
pub mod tls;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use caller::Caller;
use caller::is_there;
pub use fault::Denied;
pub use place::Place;

use super::service::Service;

/// From where a request comes: set for each connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address at the other end.
    pub address: IpAddr,
    /// The common name in its certificate, if it showed one that was verified.
    pub certificate: Option<Arc<str>>,
    /// What it holds of the connections that there may be.
    pub place: Arc<Place>,
}

/// All that is spoken here.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics::show))
        .merge(native::router())
        .merge(dlm::router())
        .merge(foreman::router())
        .merge(fleetlock::router())
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .with_state(service)
}

/// No page, or not by this method: of no concern to strangers. Said in the protocol whose page it would be.
async fn nothing(uri: Uri, who: Result<Caller, Denied>) -> Response {
    let path = uri.path();
    let is_below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let denied = who.err().unwrap_or_else(Denied::not_found);
    match () {
        () if is_below("/api") && path.contains("/dlmlocks") => foreman::denied(denied).into_response(),
        () if is_below("/api") => dlm::denied(denied).into_response(),
        () if is_below("/v1") => fleetlock::denied(denied).into_response(),
        () => denied.into_response(),
    }
}

async fn healthz(State(service): State<Arc<Service>>) -> Response {
    match service.desk.is_well().await {
        Ok(()) => "ok\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written\n").into_response(),
    }
}
