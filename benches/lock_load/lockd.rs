//! `patch-lockd`, by its native protocol.

use serde::Serialize;
use serde::de::DeserializeOwned;

use patchflag::lock::wire;

use super::http::Connection;
use super::pairs::Client;
use super::{Result, Service};

/// A host that asks for one lock.
pub struct Host {
    connection: Connection,
    acquire: wire::Acquire,
}

impl Host {
    /// Connects.
    pub async fn new(service: &Service, owner: String, lock: &str) -> Result<Self> {
        let Service { address, secret_id, secret } = service;
        let headers = format!("x-secret-id: {secret_id}\r\nx-secret: {secret}\r\ncontent-type: application/json\r\n");
        let connection = Connection::open(*address, &headers).await?;
        let acquire = wire::Acquire {
            host_id: format!("id-{owner}"),
            owner,
            boot: "b1".into(),
            locks: vec![lock.into()],
            reason: None,
            wait: 0,
        };
        Ok(Self { connection, acquire })
    }

    /// Asks, and waits for up to so many seconds.
    pub async fn acquire(&mut self, wait: u64) -> Result<wire::Acquired> {
        self.acquire.wait = wait;
        let body = serde_json::to_vec(&self.acquire)?;
        Ok(serde_json::from_slice(self.connection.post("/lock/1/acquire", &body).await?)?)
    }

    /// Asks until it is granted; the number.
    pub async fn take(&mut self) -> Result<u64> {
        loop {
            match self.acquire(wire::LONGEST_WAIT).await? {
                wire::Acquired::Granted { grants } => return number(&grants),
                wire::Acquired::Offered { .. } | wire::Acquired::Waiting { .. } => {}
                other => return Err(format!("an acquire was answered {other:?}").into()),
            }
        }
    }

    /// Gives it back.
    pub async fn release(&mut self, number: u64) -> Result<()> {
        let Self { connection, acquire } = self;
        let release = wire::Release { owner: acquire.owner.clone(), lock: acquire.locks.concat(), number };
        let done: wire::Done = post(connection, "/lock/1/release", &release).await?;
        if done.found { Ok(()) } else { Err(format!("grant {number} was not there").into()) }
    }

    /// Where the lock stands.
    pub async fn look(&mut self) -> Result<wire::Lock> {
        let path = format!("/lock/1/locks/{}", self.acquire.locks.concat());
        Ok(serde_json::from_slice(self.connection.get(&path).await?)?)
    }
}

/// The number of an answer that grants.
pub fn number(grants: &[wire::Grant]) -> Result<u64> {
    grants.first().map(|grant| grant.number).ok_or_else(|| "a grant without a number".into())
}

async fn post<T: DeserializeOwned>(connection: &mut Connection, path: &str, body: &impl Serialize) -> Result<T> {
    let body = serde_json::to_vec(body)?;
    Ok(serde_json::from_slice(connection.post(path, &body).await?)?)
}

impl Client for Host {
    async fn pair(&mut self) -> Result<()> {
        let wire::Acquired::Granted { grants } = self.acquire(0).await? else {
            return Err("a free lock was not granted".into());
        };
        self.release(number(&grants)?).await
    }
}

/// Hosts with a lock of their own each.
pub async fn pairs(service: &Service, clients: usize) -> Result<Vec<Host>> {
    let mut hosts = Vec::new();
    for n in 0..clients {
        hosts.push(Host::new(service, format!("host{n}"), &format!("lock{n}")).await?);
    }
    Ok(hosts)
}
