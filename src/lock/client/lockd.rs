//! Backend `lockd`: `patch-lockd(8)` by its own protocol, [`wire`]. All promises.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Method;

use super::held::Counted;
use super::http::{Http, Reply};
use super::words::{self, percent};
use super::{Again, Answer, Backend, Claim, Held, Kind, NotYet, Released};
use crate::config::locking::Web;
use crate::error::{Error, Result};
use crate::lock::grant::Number;
use crate::lock::name::{HostId, LockName, Owner};
use crate::lock::wire::{self, Acquired};
use crate::paths::Paths;
use crate::sys::clock::Moment;

/// An offer is accepted by asking again; a service that offers and never grants is not believed for ever.
const OFFERS: u32 = 5;

/// A `patch-lockd`.
#[derive(Debug)]
pub struct Lockd {
    http: Http,
}

impl Lockd {
    pub fn new(web: &Web, paths: &Paths, timeout: Duration) -> Result<Self> {
        let url = web.urls.first().map(String::as_str).unwrap_or_default();
        Ok(Self { http: Http::new(web, url, Kind::Lockd, paths, timeout)?.with_secret(web, paths)? })
    }

    fn ask<T: DeserializeOwned>(&self, path: &str, object: &str) -> Result<T> {
        self.answer(&self.http.get(path)?, object)
    }

    fn order<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, object: &str) -> Result<T> {
        self.answer(&self.http.post(path, body)?, object)
    }

    fn answer<T: DeserializeOwned>(&self, reply: &Reply, object: &str) -> Result<T> {
        if reply.status == 200 {
            return self.http.understand(reply);
        }
        let Ok(fault) = serde_json::from_slice::<wire::Fault>(&reply.body) else {
            return Err(self.http.unexpected(reply));
        };
        let (base, said) = (self.http.base(), fault.error.as_str());
        Err(match reply.status {
            409 => refused(object, said),
            429 | 500..=599 => self.http.unreachable(said),
            401 => Error::Usage(format!("{base}: {said}; look at secret_id and secret_file in section [lock]")),
            _ => Error::Usage(format!("{base}: {said}")),
        })
    }

    /// The grants of a claim, each of them and no others.
    fn granted(&self, claim: &Claim, grants: &[wire::Grant]) -> Result<Answer> {
        let find = |lock: &LockName| {
            let is_ours = |grant: &&wire::Grant| grant.number > 0 && grant.lock == lock.as_str();
            let grant = grants.iter().filter(is_ours).find(|grant| words::is(&grant.owner, &claim.owner));
            grant.map(|grant| held(&claim.owner, lock, grant.number))
        };
        let held: Option<Vec<Held>> = claim.locks.iter().map(find).collect();
        held.map(Answer::Granted).ok_or_else(|| self.http.unreachable("it grants something else than was asked for"))
    }
}

fn held(owner: &Owner, lock: &LockName, number: u64) -> Held {
    Held {
        kind: Kind::Lockd,
        owner: owner.clone(),
        number: Number(number),
        counted: Counted::ByService,
        lock: lock.clone(),
    }
}

/// The service says by itself what it refuses.
fn refused(object: &str, words: &str) -> Error {
    match words.strip_prefix("refusing ").and_then(|words| words.split_once(": ")) {
        Some((theirs, why)) => Error::refused(theirs, why),
        None => Error::refused(object, words),
    }
}

fn released(done: &wire::Done) -> Released {
    if done.found { Released::Ended } else { Released::Absent }
}

fn object(lock: &str) -> String {
    format!("lock {lock}")
}

fn joined(claim: &Claim) -> String {
    object(&claim.locks.iter().map(LockName::as_str).collect::<Vec<_>>().join(", "))
}

fn not_yet(why: impl Into<String>, again: Again) -> Answer {
    Answer::NotYet(NotYet { why: why.into(), again })
}

impl Backend for Lockd {
    fn kind(&self) -> Kind {
        Kind::Lockd
    }

    fn acquire(&self, claim: &Claim, wait: Duration) -> Result<Answer> {
        // Whole seconds travel: a wait of less is one.
        let wait = if wait.is_zero() { 0 } else { wait.as_secs().clamp(1, wire::LONGEST_WAIT) };
        let request = wire::Acquire {
            owner: claim.owner.to_string(),
            host_id: claim.host_id.to_string(),
            boot: claim.boot.to_string(),
            locks: claim.locks.iter().map(ToString::to_string).collect(),
            reason: claim.reason.as_ref().map(ToString::to_string),
            wait,
        };
        for _ in 0..OFFERS {
            let reply = self.http.send(&Method::POST, "/lock/1/acquire", Some(&request), Duration::from_secs(wait))?;
            return match self.answer(&reply, &joined(claim))? {
                Acquired::Granted { grants } => self.granted(claim, &grants),
                Acquired::Offered { .. } => continue,
                Acquired::Waiting { why, .. } => Ok(not_yet(why, Again::AtOnce)),
                Acquired::Busy { why } => Ok(not_yet(why, Again::Later)),
                Acquired::Lapsed => {
                    Ok(not_yet("an offer was not accepted in time; waiting from the end of the queue", Again::AtOnce))
                }
                Acquired::Replaced => {
                    Err(Error::Busy(format!("another patch-lock of this host waits for {} now", joined(claim))))
                }
            };
        }
        Err(self.http.unreachable("it offers the lock again and again and does not grant it"))
    }

    fn withdraw(&self, claim: &Claim) -> Result<()> {
        let request = wire::Withdraw {
            owner: claim.owner.to_string(),
            host_id: claim.host_id.to_string(),
            locks: claim.locks.iter().map(ToString::to_string).collect(),
        };
        self.order::<wire::Withdrawn>("/lock/1/withdraw", &request, &joined(claim)).map(drop)
    }

    fn release(&self, held: &Held) -> Result<Released> {
        let (owner, lock) = (held.owner.to_string(), held.lock.to_string());
        let done = self.order(
            "/lock/1/release",
            &wire::Release { owner, lock, number: held.number.0 },
            &object(held.lock.as_str()),
        )?;
        Ok(released(&done))
    }

    fn held(&self, claim: &Claim, lock: &LockName) -> Result<Option<Held>> {
        let reason = claim.reason.as_ref().map(ToString::to_string);
        let ours = |grant: &&wire::Grant| {
            words::is(&grant.owner, &claim.owner)
                && grant.number > 0
                && grant.host_id.as_deref() == Some(claim.host_id.as_str())
                && (reason.is_none() || grant.reason == reason)
        };
        Ok(self.look(lock)?.holders.iter().find(ours).map(|grant| held(&claim.owner, lock, grant.number)))
    }

    fn down_until(&self, held: &Held, until: Option<Moment>) -> Result<bool> {
        let (owner, lock) = (held.owner.to_string(), held.lock.to_string());
        let request = wire::Down { owner, lock, number: held.number.0, until };
        Ok(self.order::<wire::Done>("/lock/1/down-until", &request, &object(held.lock.as_str()))?.found)
    }

    fn look(&self, lock: &LockName) -> Result<wire::Lock> {
        self.ask(&format!("/lock/1/locks/{}", percent(lock.as_str())), &object(lock.as_str()))
    }

    fn list(&self) -> Result<Vec<wire::Lock>> {
        Ok(self.ask::<wire::Locks>("/lock/1/locks", "the list of locks")?.locks)
    }

    fn why(&self, lock: &LockName, owner: &Owner, host: Option<&HostId>) -> Result<String> {
        let host = host.map(|host| format!("&host_id={}", percent(host.as_str()))).unwrap_or_default();
        let path = format!("/lock/1/why?lock={}&owner={}{host}", percent(lock.as_str()), percent(owner.as_str()));
        Ok(self.ask::<wire::Why>(&path, &object(lock.as_str()))?.why)
    }

    fn history(&self, lock: Option<&LockName>, limit: u32) -> Result<Vec<wire::Event>> {
        let lock = lock.map(|lock| format!("lock={}&", percent(lock.as_str()))).unwrap_or_default();
        Ok(self.ask::<wire::History>(&format!("/lock/1/history?{lock}limit={limit}"), "the history")?.events)
    }

    fn force_release(&self, order: &wire::Force) -> Result<Released> {
        Ok(released(&self.order("/lock/1/force-release", order, &object(&order.lock))?))
    }
}
