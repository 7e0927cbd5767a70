//! `FleetLock` v1, as Zincati and others speak it: the group is the lock, the id is the owner.
//!
//! `lock-legacy(7)` has both calls with their answers.

mod form;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;

use super::answer::Answer;
use super::body;
use super::named::lock_of;
use super::{Caller, Denied, is_there};
use crate::lock::book::acquire::Poll;
use crate::lock::grant::Protocol;
use crate::lock::name::{LockName, Owner};
use crate::lock::server::access::Client;
use crate::lock::server::legacy::Whose;
use crate::lock::server::service::Service;

pub use form::denied;

type Of = State<Arc<Service>>;
type Who = Result<Caller, Denied>;

/// The pages below `/v1`.
pub fn router() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/pre-reboot", post(reserve).fallback(other_method))
        .route("/v1/steady-state", post(give_back).fallback(other_method))
}

/// A node that asks.
struct Node {
    client: Arc<Client>,
    lock: LockName,
    owner: Owner,
}

async fn reserve(State(service): Of, who: Who, headers: HeaderMap, body: Body) -> Answer {
    let done = async {
        let Node { lock, owner, .. } = node(who, &headers, body).await?;
        let interval = service.settings().poll_interval(&lock);
        let poll = Poll { owner, protocol: Protocol::FleetLock, lock, reason: None, interval };
        is_there().await;
        Ok(form::reserved(&service.desk.poll(poll).await?))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn give_back(State(service): Of, who: Who, headers: HeaderMap, body: Body) -> Answer {
    let done = async {
        let Node { client, lock, owner } = node(who, &headers, body).await?;
        Ok(form::given_back(&service.desk.give_back(lock, client, Whose::Of(owner)).await?))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn other_method(who: Who) -> Answer {
    who.map_or_else(form::denied, |_| form::other_method())
}

async fn node(who: Who, headers: &HeaderMap, body: Body) -> Result<Node, Denied> {
    let Caller(client) = who?;
    form::judge_header(headers.get("fleet-lock-protocol").map(axum::http::HeaderValue::as_bytes))?;
    let said = form::read(&body::bytes(body).await?)?;
    // The id is case-sensitive by the specification: two nodes whose ids differ in case alone are never taken for one.
    let (lock, owner) = (lock_of(&client, &said.group)?, Owner::exact(&said.id)?);
    client.may_act_for(&owner)?;
    Ok(Node { client, lock, owner })
}
