//! Backend `dlm`: dlmengine, API v1 and v2.
//!
//! What it knows of a lock is a name: the owner's. So "held by me" is read and compared here, every status that is no plain yes or no
//! is an error of its own and never "held", and release looks before it deletes. Between that look and the DELETE there is a
//! moment in which an administrator could free the lock and another host take it; the protocol has nothing to close it with.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;

use super::http::{Http, Reply};
use super::numbers;
use super::words::{self, percent};
use super::{Again, Answer, Backend, Claim, Held, Kind, NotYet, Released};
use crate::config::locking::{DlmVersion, Web};
use crate::error::{Error, Result};
use crate::lock::name::{LockName, Owner};
use crate::lock::wire;
use crate::paths::Paths;
use crate::sys::clock::{self, Moment};

/// A server that lists without end is not listened to for ever.
const PAGES: u32 = 100;
/// The most that it puts on one page.
const PAGE: usize = 1000;

/// A dlmengine.
#[derive(Debug)]
pub struct Dlm {
    http: Http,
    version: DlmVersion,
    paths: Paths,
}

/// A lock that is held, as dlmengine has it.
#[derive(Debug, Deserialize)]
struct Found {
    id: String,
    acquired_by: String,
    #[serde(default)]
    acquired_since: Option<String>,
}

impl Dlm {
    pub fn new(web: &Web, version: DlmVersion, paths: &Paths, timeout: Duration) -> Result<Self> {
        let url = web.urls.first().map(String::as_str).unwrap_or_default();
        let mut http = Http::new(web, url, Kind::Dlm, paths, timeout)?.with_secret(web, paths)?;
        if let (DlmVersion::V1, Some(secret)) = (version, &web.secret) {
            // What servers before 1.0 know the id by.
            http = http.with_header("x-id", secret.id.clone());
        }
        Ok(Self { http, version, paths: paths.clone() })
    }

    fn path(&self, lock: &LockName) -> String {
        format!("{}/{}", self.locks(), percent(lock.as_str()))
    }

    fn locks(&self) -> &'static str {
        match self.version {
            DlmVersion::V1 => "/api/v1/locks",
            DlmVersion::V2 => "/api/v2/locks",
        }
    }

    /// Who holds a lock now.
    fn get(&self, lock: &LockName) -> Result<Option<Found>> {
        let reply = self.http.get(&self.path(lock))?;
        match reply.status {
            200 => self.understand(&reply).map(Some),
            404 => Ok(None),
            _ => Err(self.http.unexpected(&reply)),
        }
    }

    fn understand(&self, reply: &Reply) -> Result<Found> {
        let value: Value = self.http.understand(reply)?;
        self.found(value)
    }

    fn found(&self, value: Value) -> Result<Found> {
        let value = match (self.version, value) {
            (DlmVersion::V1, Value::Object(mut wrapped)) => wrapped.remove("data").unwrap_or(Value::Null),
            (_, value) => value,
        };
        serde_json::from_value(value)
            .map_err(|why| self.http.unreachable(format!("it answers with what is no lock: {why}")))
    }

    fn body(&self, owner: &Owner) -> Value {
        let body = json!({ "acquired_by": owner.as_str() });
        match self.version {
            DlmVersion::V1 => json!({ "data": body }),
            DlmVersion::V2 => body,
        }
    }

    fn take(&self, lock: &LockName, owner: &Owner) -> Result<Answer> {
        let reply = self.http.post(&self.path(lock), &self.body(owner))?;
        match reply.status {
            201 => {
                let found = self.understand(&reply)?;
                if found.acquired_by != owner.as_str() {
                    return Err(self
                        .http
                        .unreachable(format!("it gave the lock to {:?}, who did not ask", found.acquired_by)));
                }
                Ok(Answer::Granted(vec![numbers::fresh(&self.paths, Kind::Dlm, lock, owner)?]))
            }
            400 if is_duplicate(&reply) => Ok(not_yet(format!("lock {lock} was taken by another host at this moment"))),
            _ => Err(self.http.unexpected(&reply)),
        }
    }

    fn page(&self, number: u32) -> Result<Vec<Found>> {
        let path = match self.version {
            DlmVersion::V1 => "/api/v1/locks/_search",
            DlmVersion::V2 => self.locks(),
        };
        let reply = self.http.get(&format!("{path}?limit={PAGE}&page={number}"))?;
        if reply.status != 200 {
            return Err(self.http.unexpected(&reply));
        }
        let value: Value = self.http.understand(&reply)?;
        let list = match self.version {
            DlmVersion::V1 => &value["data"]["results"],
            DlmVersion::V2 => &value["result"],
        };
        let list = list.as_array().ok_or_else(|| self.http.unreachable("it answers with what is no list of locks"))?;
        list.iter().map(|one| self.found(one.clone())).collect()
    }
}

/// "Held" is 400 with these words; any other 400 is a fault of the request. Before 1.0 it had a number.
fn is_duplicate(reply: &Reply) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(&reply.body) else { return false };
    value["detail"] == "Duplicate Resource" || value["errors"][0]["id"] == 2002
}

/// UTC; 1.0 writes no zone.
fn since(text: Option<&str>) -> Option<Moment> {
    let text = text?;
    clock::parse(text).or_else(|_| clock::parse(&format!("{text}Z"))).ok()
}

fn grant(found: &Found) -> wire::Grant {
    wire::Grant {
        lock: found.id.clone(),
        number: 0,
        owner: found.acquired_by.clone(),
        host_id: None,
        boot: None,
        protocol: None,
        since: since(found.acquired_since.as_deref()),
        reason: None,
        down_until: None,
        overdue: false,
    }
}

fn not_yet(why: String) -> Answer {
    Answer::NotYet(NotYet { why, again: Again::Later })
}

fn locked(lock: &str, found: Option<&Found>) -> wire::Lock {
    wire::Lock { lock: lock.to_string(), slots: 1, holders: found.into_iter().map(grant).collect(), queue: Vec::new() }
}

impl Backend for Dlm {
    fn kind(&self) -> Kind {
        Kind::Dlm
    }

    fn acquire(&self, claim: &Claim, wait: Duration) -> Result<Answer> {
        let lock = claim.only_lock()?;
        match self.get(lock)? {
            None => self.take(lock, &claim.owner),
            Some(found) if found.acquired_by == claim.owner.as_str() => {
                Ok(Answer::Granted(vec![numbers::standing(&self.paths, Kind::Dlm, lock, &claim.owner)?]))
            }
            Some(found) => {
                // A service with a queue gives a place in it to who asks for the lock, and not to who looks at it.
                if !wait.is_zero()
                    && let granted @ Answer::Granted(_) = self.take(lock, &claim.owner)?
                {
                    return Ok(granted);
                }
                Ok(not_yet(format!("lock {lock} is held by {}", words::holder(&grant(&found)))))
            }
        }
    }

    fn release(&self, held: &Held) -> Result<Released> {
        if !self.down_until(held, None)? {
            return Ok(Released::Absent);
        }
        let body = (self.version == DlmVersion::V1).then(|| self.body(&held.owner));
        let reply = self.http.send(&Method::DELETE, &self.path(&held.lock), body.as_ref(), Duration::ZERO)?;
        let ended = match reply.status {
            200 => Released::Ended,
            404 => Released::Absent,
            _ => return Err(self.http.unexpected(&reply)),
        };
        numbers::forget(&self.paths, held)?;
        Ok(ended)
    }

    fn held(&self, claim: &Claim, lock: &LockName) -> Result<Option<Held>> {
        match self.get(lock)? {
            Some(found) if found.acquired_by == claim.owner.as_str() => {
                numbers::standing(&self.paths, Kind::Dlm, lock, &claim.owner).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn down_until(&self, held: &Held, _until: Option<Moment>) -> Result<bool> {
        let is_ours = self.get(&held.lock)?.is_some_and(|found| found.acquired_by == held.owner.as_str());
        if !is_ours {
            numbers::forget(&self.paths, held)?;
        }
        Ok(is_ours && numbers::may_stand(&self.paths, held)?)
    }

    fn look(&self, lock: &LockName) -> Result<wire::Lock> {
        Ok(locked(lock.as_str(), self.get(lock)?.as_ref()))
    }

    fn list(&self) -> Result<Vec<wire::Lock>> {
        let mut locks = Vec::new();
        for number in 0..PAGES {
            let page = self.page(number)?;
            locks.extend(page.iter().map(|found| locked(&found.id, Some(found))));
            if page.len() < PAGE {
                break;
            }
        }
        Ok(locks)
    }

    fn force_release(&self, order: &wire::Force) -> Result<Released> {
        Err(Error::Usage(format!(
            "backend dlm cannot end somebody's grant: it keeps no history to say by whom and why; if {} is lost for good, an \
             administrator deletes {}{} there",
            order.owner,
            self.http.base(),
            self.path(&LockName::new(&order.lock)?)
        )))
    }
}
