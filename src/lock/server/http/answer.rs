//! An answer in the form of another service's protocol: a status and JSON, always, for some of their clients die of anything else.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::Denied;

/// What goes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
    /// After how many seconds it may be tried again, if that is known.
    pub retry_after: Option<u64>,
}

impl Answer {
    /// A status and a body.
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, body, retry_after: None }
    }

    /// One for a request that is denied, in the protocol's own words.
    pub fn denied(denied: &Denied, status: u16, body: Value) -> Self {
        Self { status, body, retry_after: denied.retry_after }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        respond(self.status, Json(self.body), self.retry_after)
    }
}

/// A response with the headers that belong to its status.
pub fn respond(status: u16, body: impl IntoResponse, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"lock\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    response
}
