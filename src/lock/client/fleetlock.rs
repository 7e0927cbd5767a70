//! Backend `fleetlock`: `FleetLock` v1, the protocol of Zincati and airlock. The group is the lock, the id is the owner.
//!
//! The protocol has two calls and none that only asks. Both are idempotent, so "do I hold it" is asked by reserving again.
//!
//! 202 is "not yet" here, though it is a 2xx and Zincati goes on at it: a server that says it has reserved the slot and is not done
//! with what must come before (draining a node), and going down then is what the lock is to prevent.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::http::{Http, Reply};
use super::numbers;
use super::words;
use super::{Again, Answer, Backend, Claim, Held, Kind, NotYet, Released};
use crate::config::locking::Web;
use crate::error::{Error, Result};
use crate::lock::name::{LockName, Owner};
use crate::lock::wire;
use crate::paths::Paths;
use crate::sys::clock::Moment;

/// A `FleetLock` server.
#[derive(Debug)]
pub struct FleetLock {
    http: Http,
    paths: Paths,
}

/// Why it did not.
#[derive(Debug, Deserialize)]
struct Fault {
    kind: String,
    value: String,
}

/// What came of a call.
enum Said {
    Done,
    NotYet(String),
}

impl FleetLock {
    pub fn new(web: &Web, paths: &Paths, timeout: Duration) -> Result<Self> {
        let url = web.urls.first().map(String::as_str).unwrap_or_default();
        let http = Http::new(web, url, Kind::FleetLock, paths, timeout)?.with_header("fleet-lock-protocol", "true");
        Ok(Self { http, paths: paths.clone() })
    }

    fn call(&self, path: &str, lock: &LockName, owner: &Owner) -> Result<Said> {
        let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'.' || c == b'-';
        if !lock.as_str().bytes().all(fits) {
            return Err(Error::Usage(format!(
                "refusing lock name {lock}: a FleetLock group has letters, digits, dots and hyphens only"
            )));
        }
        let body = json!({ "client_params": { "id": owner.as_str(), "group": lock.as_str() } });
        let reply = self.http.post(path, &body)?;
        judge(&reply, lock).unwrap_or_else(|| Err(self.http.unexpected(&reply)))
    }

    fn reserve(&self, lock: &LockName, owner: &Owner) -> Result<Said> {
        self.call("/v1/pre-reboot", lock, owner)
    }
}

/// Servers do not agree on a status for "all slots are taken": 423, 409, or airlock's 500 with words that say so. `None`: it is
/// something else.
fn judge(reply: &Reply, lock: &LockName) -> Option<Result<Said>> {
    let fault: Option<Fault> = serde_json::from_slice(&reply.body).ok();
    let words = fault.as_ref().map_or_else(|| reply.said(), |fault| format!("{} ({})", fault.value, fault.kind));
    let is_full = |fault: &Fault| {
        fault.kind.ends_with("semaphore_full")
            || fault.value.contains("semaphore currently full")
            || fault.value.contains("slots are locked")
    };
    match reply.status {
        202 => Some(Ok(Said::NotYet(format!("lock {lock} is reserved and not ready: {words}")))),
        200..=299 => Some(Ok(Said::Done)),
        409 | 423 => Some(Ok(Said::NotYet(format!("lock {lock}: {words}")))),
        500..=599 if fault.as_ref().is_some_and(is_full) => Some(Ok(Said::NotYet(format!("lock {lock}: {words}")))),
        _ => None,
    }
}

impl Backend for FleetLock {
    fn kind(&self) -> Kind {
        Kind::FleetLock
    }

    fn acquire(&self, claim: &Claim, _wait: Duration) -> Result<Answer> {
        let lock = claim.only_lock()?;
        match self.reserve(lock, &claim.owner)? {
            Said::Done => {
                Ok(Answer::Granted(vec![numbers::standing(&self.paths, Kind::FleetLock, lock, &claim.owner)?]))
            }
            Said::NotYet(why) => Ok(Answer::NotYet(NotYet { why, again: Again::Later })),
        }
    }

    fn release(&self, held: &Held) -> Result<Released> {
        if !numbers::may_stand(&self.paths, held)? {
            return Ok(Released::Absent);
        }
        match self.call("/v1/steady-state", &held.lock, &held.owner)? {
            Said::Done => numbers::forget(&self.paths, held).map(|()| Released::Ended),
            Said::NotYet(why) => Err(Error::failed("release lock", &held.lock, why)),
        }
    }

    /// Reserves: where the slot was free it is this owner's afterwards, which is what was asked before the tool was killed.
    fn held(&self, claim: &Claim, lock: &LockName) -> Result<Option<Held>> {
        match self.reserve(lock, &claim.owner)? {
            Said::Done => numbers::standing(&self.paths, Kind::FleetLock, lock, &claim.owner).map(Some),
            Said::NotYet(_) => Ok(None),
        }
    }

    fn down_until(&self, held: &Held, _until: Option<Moment>) -> Result<bool> {
        Ok(numbers::may_stand(&self.paths, held)? && matches!(self.reserve(&held.lock, &held.owner)?, Said::Done))
    }

    fn look(&self, _lock: &LockName) -> Result<wire::Lock> {
        Err(words::cannot(Kind::FleetLock, "be asked who holds a lock without taking it; ask its server"))
    }

    fn force_release(&self, order: &wire::Force) -> Result<Released> {
        Err(Error::Usage(format!(
            "backend fleetlock cannot end the grant of {}: its server's administrator can",
            order.owner
        )))
    }
}
