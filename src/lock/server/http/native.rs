//! The protocol of our own, `lock-protocol(7)`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::body::{Asked, json};
use super::named::{lock_of, owner_of};
use super::{Caller, Denied, is_there};
use crate::lock::book::acquire::{Ask, Wait};
use crate::lock::book::answer::{Noted, Released};
use crate::lock::book::release::{Force, WhileDown};
use crate::lock::grant::Number;
use crate::lock::name::{HostId, LockName, LockSet, Note, Owner};
use crate::lock::server::access::Client;
use crate::lock::server::long_poll;
use crate::lock::server::service::Service;
use crate::lock::server::store::Query;
use crate::lock::wire::{self, FaultKind};

/// How many events are answered if nothing is said, and at most.
const EVENTS: usize = 100;
const MOST_EVENTS: usize = 1000;

type Answer<T> = Result<Json<T>, Denied>;
type Of = State<Arc<Service>>;
type Name = Result<Path<String>, PathRejection>;

/// The pages below `/lock/1`.
pub fn router() -> Router<Arc<Service>> {
    Router::new()
        .route("/lock/1/acquire", post(acquire))
        .route("/lock/1/withdraw", post(withdraw))
        .route("/lock/1/release", post(release))
        .route("/lock/1/down-until", post(down_until))
        .route("/lock/1/force-release", post(force_release))
        .route("/lock/1/locks", get(locks))
        .route("/lock/1/locks/{name}", get(lock))
        .route("/lock/1/why", get(why))
        .route("/lock/1/history", get(history))
}

async fn acquire(State(service): Of, Caller(client): Caller, body: Body) -> Answer<wire::Acquired> {
    let asked: wire::Acquire = json(body).await?;
    let owner = owner_of(&client, &asked.owner)?;
    let ask = Ask {
        locks: locks_of(&client, &asked.locks)?,
        owner,
        host_id: HostId::new(&asked.host_id)?,
        boot: Note::new(&asked.boot)?,
        reason: asked.reason.as_deref().map(Note::new).transpose()?,
        wait: Wait::No,
    };
    is_there().await;
    let wait = Duration::from_secs(asked.wait.min(wire::LONGEST_WAIT));
    Ok(Json(long_poll::acquire(&service.desk, ask, wait, service.ending()).await??))
}

async fn withdraw(State(service): Of, Caller(client): Caller, body: Body) -> Answer<wire::Withdrawn> {
    let asked: wire::Withdraw = json(body).await?;
    let (owner, locks) = (owner_of(&client, &asked.owner)?, locks_of(&client, &asked.locks)?);
    let withdrawn = service.desk.withdraw(owner, HostId::new(&asked.host_id)?, locks).await?;
    Ok(Json(wire::Withdrawn { withdrawn }))
}

async fn release(State(service): Of, Caller(client): Caller, body: Body) -> Answer<wire::Done> {
    let asked: wire::Release = json(body).await?;
    let (owner, lock) = (owner_of(&client, &asked.owner)?, lock_of(&client, &asked.lock)?);
    released(service.desk.release(lock, owner, Number(asked.number)).await?)
}

async fn down_until(State(service): Of, Caller(client): Caller, body: Body) -> Answer<wire::Done> {
    let asked: wire::Down = json(body).await?;
    let (owner, lock) = (owner_of(&client, &asked.owner)?, lock_of(&client, &asked.lock)?);
    match service.desk.down_until(lock, owner, Number(asked.number), asked.until).await? {
        Noted::Done => Ok(Json(wire::Done { found: true })),
        Noted::Absent => Ok(Json(wire::Done { found: false })),
        Noted::Refused(refusal) => Err(refusal.into()),
    }
}

async fn force_release(State(service): Of, Caller(client): Caller, body: Body) -> Answer<wire::Done> {
    client.may_force()?;
    let asked: wire::Force = json(body).await?;
    let force = Force {
        lock: lock_of(&client, &asked.lock)?,
        owner: owner_of(&client, &asked.owner)?,
        by: Note::new(&asked.by)?,
        reason: Note::new(&asked.reason)?,
        while_down: if asked.while_down { WhileDown::Force } else { WhileDown::Refuse },
    };
    released(service.desk.force_release(force).await?)
}

fn released(released: Released) -> Answer<wire::Done> {
    match released {
        Released::Ended(_) => Ok(Json(wire::Done { found: true })),
        Released::Absent => Ok(Json(wire::Done { found: false })),
        Released::Refused(refusal) => Err(refusal.into()),
    }
}

async fn locks(State(service): Of, Caller(client): Caller) -> Answer<wire::Locks> {
    let defined = service.settings().defined();
    let locks = service.desk.list(defined, move |lock| client.is_allowed(lock.as_str())).await?;
    Ok(Json(wire::Locks { locks }))
}

async fn lock(State(service): Of, Caller(client): Caller, name: Name) -> Answer<wire::Lock> {
    let Path(name) =
        name.map_err(|why| Denied::new(FaultKind::BadRequest, format!("refusing the lock name: {why}")))?;
    Ok(Json(service.desk.look(lock_of(&client, &name)?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhyAsked {
    lock: String,
    owner: String,
    host_id: Option<String>,
}

async fn why(State(service): Of, Caller(client): Caller, Asked(asked): Asked<WhyAsked>) -> Answer<wire::Why> {
    let (lock, owner) = (lock_of(&client, &asked.lock)?, Owner::new(&asked.owner)?);
    let host = asked.host_id.as_deref().map(HostId::new).transpose()?;
    let why = service.desk.why(lock, owner, host).await?;
    Ok(Json(wire::Why { place: why.position(), why: why.to_string() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryAsked {
    lock: Option<String>,
    owner: Option<String>,
    limit: Option<usize>,
    before: Option<i64>,
}

async fn history(
    State(service): Of,
    Caller(client): Caller,
    Asked(asked): Asked<HistoryAsked>,
) -> Answer<wire::History> {
    let lock = asked.lock.as_deref().map(|lock| lock_of(&client, lock)).transpose()?;
    let owner = asked.owner.as_deref().map(Owner::new).transpose()?;
    let query = Query {
        lock: lock.map(|lock| lock.to_string()),
        owner,
        before: asked.before,
        limit: asked.limit.unwrap_or(EVENTS).min(MOST_EVENTS),
    };
    let events = service.desk.history(query, move |lock| client.is_allowed(lock)).await?;
    Ok(Json(wire::History { events }))
}

fn locks_of(client: &Client, names: &[String]) -> Result<LockSet, Denied> {
    let locks: Vec<LockName> = names.iter().map(|name| lock_of(client, name)).collect::<Result<_, _>>()?;
    Ok(LockSet::new(locks)?)
}
