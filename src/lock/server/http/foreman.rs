//! The API of the Foreman DLM plugin, as far as the programs on hosts call it.
//!
//! `lock-legacy(7)` has each call with its answers. Who asks is who the client certificate says: the common name, in lower case, as
//! far as the client section with that certificate may act for it. A secret may look, and can neither take nor give back.

mod form;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::routing::{MethodRouter, get};
use axum::{Router, http};

use super::answer::Answer;
use super::body;
use super::named::owner_of;
use super::{Caller, Denied, Peer, is_there};
use crate::lock::book::Book;
use crate::lock::book::acquire::Poll;
use crate::lock::grant::Protocol;
use crate::lock::name::{LockName, Owner};
use crate::lock::server::access::{Client, Shown as Credential};
use crate::lock::server::desk::{Orphan, read};
use crate::lock::server::legacy::{self, Whose};
use crate::lock::server::service::Service;
use crate::lock::wire::FaultKind;

pub use form::denied;

type Of = State<Arc<Service>>;
type Who = Result<Caller, Denied>;
type From = Extension<Peer>;
type Name = Result<Path<String>, PathRejection>;

/// The pages below `/api`, with and without the number of a version.
pub fn router() -> Router<Arc<Service>> {
    let lock: MethodRouter<Arc<Service>> = get(show).put(acquire).delete(release).fallback(other_method);
    let mut router = Router::new();
    for prefix in ["/api", "/api/v1", "/api/v2"] {
        router = router
            .route(&format!("{prefix}/dlmlocks/{{id}}/lock"), lock.clone())
            .route(&format!("{prefix}/dlmlocks/{{id}}"), get(show).fallback(other_method));
    }
    router
}

/// A host that a certificate names.
struct Host {
    client: Arc<Client>,
    owner: Owner,
}

async fn show(State(service): Of, Extension(peer): From, who: Who, name: Name) -> Answer {
    let done = async {
        let (client, host) = match certified(&service, &peer).await? {
            Some(host) => (host.client, Some(host.owner)),
            None => (who?.0, None),
        };
        let lock = lock_of(&client, name)?;
        let (name, asking) = (lock.to_string(), host.clone());
        let find = move |book: &Book| match &asking {
            Some(owner) => legacy::look_as(book, &lock, owner),
            None => legacy::look(book, &lock, |_| false),
        };
        let found = service.desk.ask(Orphan::Skip, move |book, _| read(find(book))).await?;
        Ok(form::shown(&name, found.as_ref(), host.as_ref()))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn acquire(State(service): Of, Extension(peer): From, who: Who, name: Name, body: Body) -> Answer {
    let done = async {
        let Host { client, owner } = host(&service, &peer, who).await?;
        let lock = lock_of(&client, name)?;
        // Nothing is expected in it; what is sent is read, so that the connection can go on.
        body::bytes(body).await?;
        let (name, interval) = (lock.to_string(), service.settings().poll_interval(&lock));
        let poll = Poll { owner, protocol: Protocol::Foreman, lock, reason: None, interval };
        is_there().await;
        Ok(form::acquired(&name, &service.desk.poll(poll).await?))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn release(State(service): Of, Extension(peer): From, who: Who, name: Name, body: Body) -> Answer {
    let done = async {
        let Host { client, owner } = host(&service, &peer, who).await?;
        let lock = lock_of(&client, name)?;
        body::bytes(body).await?;
        let name = lock.to_string();
        Ok(form::released(&name, &service.desk.give_back(lock, client, Whose::Of(owner)).await?))
    };
    done.await.unwrap_or_else(form::denied)
}

async fn other_method(method: http::Method, who: Who) -> Answer {
    who.map_or_else(form::denied, |_| form::other_method(&method))
}

/// The host that asks.
async fn host(service: &Service, peer: &Peer, who: Who) -> Result<Host, Denied> {
    let host = certified(service, peer).await?;
    host.ok_or_else(|| match who {
        Ok(_) => Denied::new(FaultKind::Forbidden, "refusing a secret: a host shows its client certificate here"),
        Err(stranger) => stranger,
    })
}

/// The host that the certificate names, if one was shown; a secret beside it says nothing.
async fn certified(service: &Service, peer: &Peer) -> Result<Option<Host>, Denied> {
    let Some(name) = &peer.certificate else { return Ok(None) };
    let client = service.know(peer, Credential::Nothing).await?;
    let owner = owner_of(&client, &name.to_ascii_lowercase())?;
    Ok(Some(Host { client, owner }))
}

fn lock_of(client: &Client, name: Name) -> Result<LockName, Denied> {
    let name = name.map_err(|_| Denied::not_found())?.0;
    let lock = LockName::new(&name).map_err(|why| Denied::new(FaultKind::NotFound, why))?;
    client.may_touch(&lock)?;
    Ok(lock)
}
