//! Backend `foreman`: the Foreman DLM plugin. Who asks is who the client certificate says; the owner's name is ours alone.
//!
//! PUT is idempotent for the holder, 412 is "not now" for three reasons that only a GET tells apart.

use std::time::Duration;

use serde::Deserialize;
use ureq::http::Method;

use super::http::{Http, Reply};
use super::numbers;
use super::words::{self, percent};
use super::{Again, Answer, Backend, Claim, Held, Kind, NotYet, Released};
use crate::config::locking::Web;
use crate::error::{Error, Result};
use crate::lock::name::LockName;
use crate::lock::wire;
use crate::paths::Paths;
use crate::sys::clock::Moment;

/// A Foreman.
#[derive(Debug)]
pub struct Foreman {
    http: Http,
    paths: Paths,
}

/// A lock, as Foreman shows it to a host.
#[derive(Debug, Deserialize)]
struct Found {
    #[serde(default = "yes")]
    enabled: bool,
    host: Option<Host>,
}

#[derive(Debug, Deserialize)]
struct Host {
    #[serde(default)]
    name: String,
    #[serde(rename = "self")]
    is_self: Option<bool>,
}

fn yes() -> bool {
    true
}

impl Found {
    fn is_ours(&self) -> bool {
        self.host.as_ref().is_some_and(|host| host.is_self == Some(true))
    }
}

impl Foreman {
    pub fn new(web: &Web, paths: &Paths, timeout: Duration) -> Result<Self> {
        let url = web.urls.first().map(String::as_str).unwrap_or_default();
        Ok(Self { http: Http::new(web, url, Kind::Foreman, paths, timeout)?, paths: paths.clone() })
    }

    fn path(lock: &LockName) -> Result<String> {
        if lock.as_str().bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::Usage(format!(
                "refusing lock name {lock}: Foreman takes a number for the id of some lock; use a name"
            )));
        }
        Ok(format!("/api/dlmlocks/{}/lock", percent(lock.as_str())))
    }

    fn change(&self, method: &Method, lock: &LockName) -> Result<Reply> {
        self.http.send::<()>(method, &Self::path(lock)?, None, Duration::ZERO)
    }

    fn get(&self, lock: &LockName) -> Result<Option<Found>> {
        let reply = self.http.get(&Self::path(lock)?)?;
        match reply.status {
            200 => self.http.understand(&reply).map(Some),
            404 => Ok(None),
            _ => Err(self.http.unexpected(&reply)),
        }
    }

    /// Why a lock was not given: 412 does not say.
    fn refusal(&self, lock: &LockName) -> Result<String> {
        Ok(match self.get(lock)? {
            Some(found) if !found.enabled => format!("lock {lock} is disabled in Foreman"),
            Some(Found { host: Some(host), .. }) => format!("lock {lock} is held by {}", host.name),
            _ => format!(
                "lock {lock} is free and not given to this host; look at the host parameter can_acquire_update_locks in Foreman"
            ),
        })
    }

    /// Whether it is this host's now.
    fn is_ours(&self, lock: &LockName) -> Result<bool> {
        Ok(self.get(lock)?.is_some_and(|found| found.is_ours()))
    }
}

impl Backend for Foreman {
    fn kind(&self) -> Kind {
        Kind::Foreman
    }

    fn acquire(&self, claim: &Claim, _wait: Duration) -> Result<Answer> {
        let lock = claim.only_lock()?;
        let reply = self.change(&Method::PUT, lock)?;
        match reply.status {
            200 => {
                let found: Found = self.http.understand(&reply)?;
                if found.host.is_none() {
                    return Err(self.http.unreachable("it says that the lock is taken, and by nobody"));
                }
                Ok(Answer::Granted(vec![numbers::standing(&self.paths, Kind::Foreman, lock, &claim.owner)?]))
            }
            412 => Ok(Answer::NotYet(NotYet { why: self.refusal(lock)?, again: Again::Later })),
            _ => Err(self.http.unexpected(&reply)),
        }
    }

    fn release(&self, held: &Held) -> Result<Released> {
        if !self.down_until(held, None)? {
            return Ok(Released::Absent);
        }
        let reply = self.change(&Method::DELETE, &held.lock)?;
        let ended = match reply.status {
            200 => Released::Ended,
            404 => Released::Absent,
            412 => match self.get(&held.lock)? {
                Some(found) if found.is_ours() => {
                    let words =
                        "it is disabled in Foreman, and stays this host's; enable it there, and release it again";
                    return Err(Error::refused(format!("to release lock {}", held.lock), words));
                }
                _ => Released::Absent,
            },
            _ => return Err(self.http.unexpected(&reply)),
        };
        numbers::forget(&self.paths, held)?;
        Ok(ended)
    }

    fn held(&self, claim: &Claim, lock: &LockName) -> Result<Option<Held>> {
        if !self.is_ours(lock)? {
            return Ok(None);
        }
        numbers::standing(&self.paths, Kind::Foreman, lock, &claim.owner).map(Some)
    }

    fn down_until(&self, held: &Held, _until: Option<Moment>) -> Result<bool> {
        let is_ours = self.is_ours(&held.lock)?;
        if !is_ours {
            numbers::forget(&self.paths, held)?;
        }
        Ok(is_ours && numbers::may_stand(&self.paths, held)?)
    }

    fn look(&self, lock: &LockName) -> Result<wire::Lock> {
        let holder = self.get(lock)?.and_then(|found| found.host);
        let grant = |host: Host| wire::Grant {
            lock: lock.to_string(),
            number: 0,
            owner: host.name,
            host_id: None,
            boot: None,
            protocol: None,
            since: None,
            reason: None,
            down_until: None,
            overdue: false,
        };
        Ok(wire::Lock {
            lock: lock.to_string(),
            slots: 1,
            holders: holder.into_iter().map(grant).collect(),
            queue: Vec::new(),
        })
    }

    fn list(&self) -> Result<Vec<wire::Lock>> {
        Err(words::cannot(Kind::Foreman, "list its locks to a host; look at them in Foreman"))
    }

    fn force_release(&self, order: &wire::Force) -> Result<Released> {
        Err(Error::Usage(format!(
            "backend foreman cannot end the grant of {}: an administrator releases lock {} in Foreman",
            order.owner, order.lock
        )))
    }
}
