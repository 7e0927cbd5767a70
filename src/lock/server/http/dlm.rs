//! dlmengine's API, v1 and v2, as far as clients that patch hosts call it: get, acquire, release, list.
//!
//! `lock-legacy(7)` has each call with its answers, and where they differ from dlmengine's on purpose. Acquire is one poll of a
//! client that comes again: 400 means "held, come again" and nothing else. What is wrong with a request is 401, 403, 404 or
//! 422 with words under `detail`.

mod asked;
mod form;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::routing::get;

use super::answer::Answer;
use super::body::{self, Asked};
use super::named::owner_of;
use super::{Caller, Denied, is_there};
use crate::lock::book::acquire::Poll;
use crate::lock::grant::Protocol;
use crate::lock::name::{LockName, Owner};
use crate::lock::server::access::Client;
use crate::lock::server::desk::{Orphan, read};
use crate::lock::server::legacy::{self, Whose};
use crate::lock::server::service::Service;
use asked::{Fields, Listing, Pairs};

/// The version of the API; they differ in how bodies are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

pub use form::denied;

type Of = State<Arc<Service>>;
type Who = Result<Caller, Denied>;
type Name = Result<Path<String>, PathRejection>;
type Query = Result<Asked<Pairs>, Denied>;

/// The pages below `/api/v1` and `/api/v2`.
pub fn router() -> Router<Arc<Service>> {
    let lock = get(show).post(acquire).delete(release).fallback(other_method);
    Router::new()
        .route("/api/v2/locks", get(list).fallback(other_method))
        .route("/api/v1/locks/_search", get(list).fallback(other_method))
        .route("/api/v2/locks/{id}", lock.clone())
        .route("/api/v1/locks/{id}", lock)
}

async fn show(State(service): Of, version: Version, who: Who, name: Name, query: Query) -> Answer {
    let done = async {
        let Caller(client) = who?;
        let (lock, fields) = (lock_of(&client, name)?, Fields::read(&query?.0)?);
        let is_own = move |owner: &Owner| client.may_act_for(owner).is_ok();
        let found = service.desk.ask(Orphan::Skip, move |book, _| read(legacy::look(book, &lock, is_own))).await?;
        Ok(form::shown(version, fields, found.as_ref()))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn acquire(State(service): Of, version: Version, who: Who, name: Name, query: Query, body: Body) -> Answer {
    let done = async {
        let Caller(client) = who?;
        let (lock, fields) = (lock_of(&client, name)?, Fields::read(&query?.0)?);
        let owner = asked::acquired_by(version, &body::bytes(body).await?)?;
        let owner = owner_of(&client, &owner).map_err(form::not_its_owner)?;
        let interval = service.settings().poll_interval(&lock);
        let poll = Poll { owner, protocol: Protocol::Dlm, lock, reason: None, interval };
        is_there().await;
        Ok(form::acquired(version, fields, &service.desk.poll(poll).await?))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn release(State(service): Of, version: Version, who: Who, name: Name, body: Body) -> Answer {
    let done = async {
        let Caller(client) = who?;
        let lock = lock_of(&client, name)?;
        let whose = match asked::released_by(version, &body::bytes(body).await?)? {
            Some(owner) => Whose::Of(owner_of(&client, &owner).map_err(form::not_its_owner)?),
            None => Whose::Anybody,
        };
        let name = lock.to_string();
        Ok(form::released(&name, &service.desk.give_back(lock, client, whose).await?))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn list(State(service): Of, version: Version, who: Who, query: Query) -> Answer {
    let done = async {
        let Caller(client) = who?;
        let listing = Listing::read(&query?.0)?;
        let held = service.desk.ask(Orphan::Skip, move |book, _| read(legacy::list(book, &client))).await?;
        Ok(form::listed(version, &listing, held))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn other_method(who: Who) -> Answer {
    who.map_or_else(form::denied, |_| form::other_method())
}

/// A name that is none, or that the client may not touch.
fn lock_of(client: &Client, name: Name) -> Result<LockName, Denied> {
    let name = name.map_err(|_| Denied::not_found())?.0;
    let lock = LockName::new(&name).map_err(form::no_such_lock)?;
    client.may_touch(&lock)?;
    Ok(lock)
}

impl<S: Send + Sync> FromRequestParts<S> for Version {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(if parts.uri.path().starts_with("/api/v1/") { Self::V1 } else { Self::V2 })
    }
}
