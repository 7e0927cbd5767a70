//! What clients send, read with limits: of time, of size, of what is understood.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Denied;
use crate::lock::wire::FaultKind;

/// The largest body.
const LIMIT: usize = 64 << 10;
/// The longest time that one may take.
const TIME: Duration = Duration::from_secs(10);

/// The bytes of a body.
///
/// # Errors
/// [`Denied`] if it is too large, or takes too long.
pub async fn bytes(body: Body) -> Result<Bytes, Denied> {
    let wrong = |words: String| Denied::new(FaultKind::BadRequest, words);
    let read = tokio::time::timeout(TIME, axum::body::to_bytes(body, LIMIT)).await;
    let read = read.map_err(|_| wrong(format!("cannot read the body: it was not there in {} s", TIME.as_secs())))?;
    read.map_err(|why| wrong(format!("cannot read the body: {why}; it may have {LIMIT} bytes")))
}

/// The JSON of a body.
///
/// # Errors
/// [`Denied`], with line and column of what is not understood.
pub async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Denied> {
    let bytes = bytes(body).await?;
    serde_json::from_slice(&bytes)
        .map_err(|why| Denied::new(FaultKind::BadRequest, format!("cannot understand the body: {why}")))
}

/// What stands behind the question mark.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Denied> {
        let wrong = |why: QueryRejection| {
            Denied::new(FaultKind::BadRequest, format!("cannot understand the query: {}", why.body_text()))
        };
        Query::<T>::from_request_parts(parts, state).await.map(|Query(asked)| Self(asked)).map_err(wrong)
    }
}
