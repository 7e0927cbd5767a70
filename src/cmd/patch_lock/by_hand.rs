//! Locks taken by hand: remembered on this host from the question to the release.

use std::sync::Arc;

use crate::cmd::place::Place;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client::remembered::{self, Remembered};
use crate::lock::client::{Claim, Held, Released};
use crate::lock::name::{LockName, LockSet};

use super::site::{self, Service};
use super::{Acquire, Release};
use crate::cmd::asking::{self, Asking, Outcome, Wait};

/// `patch-lock acquire`
pub fn acquire(place: &Place, args: &Acquire) -> Result<Exit> {
    let service = Service::open(place)?;
    let claim = service.claim(service.names(&args.names)?, args.reason.clone())?;
    if args.dry_run || place.is_only_a_question(&service.paths) {
        exit::out(format_args!("would ask {} for lock {} as {}", service.kind(), joined(&claim.locks), claim.owner));
        return Ok(Exit::Done);
    }
    let wait = super::wait(&args.wait, service.lock()?);
    match take(&service, &claim, wait)? {
        Outcome::Granted(held) => {
            for grant in &held {
                exit::out(format_args!("lock {} is held (grant {})", grant.lock, grant.number));
            }
            Ok(Exit::Done)
        }
        Outcome::NotYet(why) => Err(Error::Busy(why)),
        Outcome::Unwanted => Ok(Exit::Done),
        Outcome::Signal(signal, _) => Ok(asking::ended_by(signal)),
    }
}

/// Asks, with the intent on disk before and the answer after it.
pub fn take(service: &Service, claim: &Claim, wait: Wait) -> Result<Outcome> {
    let (paths, kind, locks) = (&service.paths, service.kind(), &claim.locks);
    let before = Remembered::read(paths)?;
    remembered::asking(paths, kind, locks)?;
    let asking = Asking {
        backend: Arc::clone(&service.backend),
        claim: claim.clone(),
        wait,
        attempts: None,
        lock: service.lock()?,
        is_wanted: &|| Ok(true),
    };
    // After an error nobody knows what the service has done: the intent stays, and `release` asks.
    let outcome = asking.run()?;
    match &outcome {
        Outcome::Granted(held) => remembered::granted(paths, kind, locks, held)?,
        Outcome::NotYet(_) | Outcome::Unwanted => remembered::not_granted(paths, kind, locks)?,
        Outcome::Signal(_, held) => {
            remembered::granted(paths, kind, locks, held)?;
            for grant in held.iter().filter(|grant| before.find(kind, &grant.lock).is_none()) {
                give_back(service, grant)?;
            }
        }
    }
    Ok(outcome)
}

/// `patch-lock release`
pub fn release(place: &Place, args: &Release) -> Result<Exit> {
    let service = Service::open(place)?;
    let locks = service.names(&args.names)?;
    let (of_run, of_driver) = (service.held_by_run()?, service.held_by_driver()?);
    for lock in locks.iter() {
        if site::find(&of_driver, service.kind(), lock).is_some() {
            let words =
                "patch-run holds it and gives it back at its end; see patch-run --status, and patch-run --abandon";
            return Err(Error::refused(format!("to release lock {lock}"), words));
        }
        if site::find(&of_run, service.kind(), lock).is_some() {
            let words = "the patch run of this host holds it and gives it back when it is confirmed; see patch-status";
            return Err(Error::refused(format!("to release lock {lock}"), words));
        }
    }
    if args.dry_run || place.is_only_a_question(&service.paths) {
        exit::out(format_args!("would give back lock {} at {}", joined(&locks), service.kind()));
        return Ok(Exit::Done);
    }
    for lock in locks.iter() {
        if let Some(held) = find(&service, lock)? {
            say(lock, give_back(&service, &held)?);
        } else {
            remembered::ended(&service.paths, service.kind(), lock)?;
            exit::out(format_args!("lock {lock} is not held by this host"));
        }
    }
    Ok(Exit::Done)
}

/// What is remembered of a lock; else what the service knows, for a tool may have been killed before it could remember.
fn find(service: &Service, lock: &LockName) -> Result<Option<Held>> {
    if let Some(held) = Remembered::read(&service.paths)?.find(service.kind(), lock) {
        return Ok(Some(held.clone()));
    }
    service.backend.held(&service.claim(LockSet::from(lock.clone()), None)?, lock)
}

/// Gives a grant back and forgets it.
pub fn give_back(service: &Service, held: &Held) -> Result<Released> {
    let ended = service.backend.release(held)?;
    remembered::ended(&service.paths, held.kind, &held.lock)?;
    Ok(ended)
}

fn say(lock: &LockName, ended: Released) {
    match ended {
        Released::Ended => exit::out(format_args!("lock {lock} is released")),
        Released::Absent => exit::warn(format_args!("lock {lock} was not this host's any more; nothing was released")),
    }
}

fn joined(locks: &LockSet) -> String {
    locks.iter().map(LockName::as_str).collect::<Vec<_>>().join(", ")
}
