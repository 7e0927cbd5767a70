//! What goes wrong, in the words of the native protocol.

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::answer;
use crate::error::Error;
use crate::lock::book::answer::Refusal;
use crate::lock::server::access::Forbidden;
use crate::lock::server::desk::Unavailable;
use crate::lock::wire::{Fault, FaultKind};

/// A request that is not done, and why. Other protocols take the kind and the words, and put them into a form of their own.
#[derive(Debug, Clone)]
pub struct Denied {
    /// The kind and the words.
    pub fault: Fault,
    /// After how many seconds it may be tried again, if that is known.
    pub retry_after: Option<u64>,
}

impl Denied {
    /// One of a kind.
    pub fn new(kind: FaultKind, words: impl std::fmt::Display) -> Self {
        Self { fault: Fault { kind, error: words.to_string() }, retry_after: None }
    }

    /// There is no such page.
    pub fn not_found() -> Self {
        Self::new(FaultKind::NotFound, "there is no such page; see lock-protocol(7) and lock-legacy(7)")
    }

    /// For whoever is not known.
    pub fn stranger() -> Self {
        Self::new(FaultKind::Unauthorized, "no valid credential")
    }

    /// For whoever was wrong too often.
    pub fn too_many(retry_after: u64) -> Self {
        let words = format!("too many wrong credentials from this address; try again in {retry_after} s");
        Self { retry_after: Some(retry_after), ..Self::new(FaultKind::TooMany, words) }
    }
}

impl From<Unavailable> for Denied {
    fn from(_: Unavailable) -> Self {
        let words =
            "the service cannot write or read its store now, or is being stopped; nothing has changed; try again";
        Self { retry_after: Some(1), ..Self::new(FaultKind::Unavailable, words) }
    }
}

impl From<Forbidden> for Denied {
    fn from(forbidden: Forbidden) -> Self {
        Self::new(FaultKind::Forbidden, forbidden)
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::new(FaultKind::Refused, refusal)
    }
}

/// Names and texts that are not fit for it.
impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::new(FaultKind::BadRequest, error)
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        answer::respond(self.fault.kind.status(), Json(&self.fault), self.retry_after)
    }
}
