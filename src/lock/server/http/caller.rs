//! The client that asks, known by what it showed.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::{Denied, Peer};
use crate::lock::server::access::{Client, Headers, shown};
use crate::lock::server::service::Service;

/// Lets the connection look whether its client is still there, and ends the request with it if not: what the client of a service that
/// was slow has given up on is not granted afterwards. To be waited for just before something is asked for.
pub async fn is_there() {
    // By a task of its own: the connection may look at this one again before the kernel was asked for news.
    let _ = tokio::spawn(tokio::task::yield_now()).await;
}

/// Taken as an argument, it keeps strangers out of a handler, before anything of the body is read.
#[derive(Debug, Clone)]
pub struct Caller(pub Arc<Client>);

impl FromRequestParts<Arc<Service>> for Caller {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Denied> {
        let peer = parts.extensions.get::<Peer>().cloned().ok_or_else(Denied::stranger)?;
        service.know(&peer, shown(headers(&parts.headers))).await.map(Self)
    }
}

fn headers(all: &HeaderMap) -> Headers<'_> {
    let value = |name: &str| all.get(name).map(axum::http::HeaderValue::as_bytes);
    Headers {
        secret_id: value("x-secret-id"),
        id: value("x-id"),
        secret: value("x-secret"),
        authorization: value("authorization"),
    }
}
