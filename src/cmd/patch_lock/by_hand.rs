//! Locks taken by hand: remembered on this host from the question to the release.

use std::sync::Arc;
use std::time::Instant;

use crate::cmd::place::Place;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client::remembered::{self, Remembered};
use crate::lock::client::{Claim, Held, Released};
use crate::lock::name::{LockName, LockSet, quoted};

use super::site::{self, Service};
use super::{Acquire, Release};
use crate::cmd::alone::{self, Turn};
use crate::cmd::asking::{self, Asking, Ear, Outcome, Wait};

/// `patch-lock acquire`
pub fn acquire(place: &Place, args: &Acquire) -> Result<Exit> {
    let service = Service::open(place)?;
    let claim = service.claim(service.names(&args.names)?, args.reason.clone())?;
    if args.dry_run || place.is_only_a_question(&service.paths) {
        exit::out(format_args!("would ask {} for lock {} as {}", service.kind(), joined(&claim.locks), claim.owner));
        return Ok(Exit::Done);
    }
    let wait = super::wait(&args.wait, service.lock()?);
    let began = Instant::now();
    let ear: Ear<()> = Ear::open()?;
    let _alone = match alone::wait(&service.paths, &claim.locks, wait, |time| ear.sleep(time))? {
        Turn::Ours(alone) => alone,
        Turn::Signal(signal) => return Ok(asking::ended_by(signal)),
    };
    not_of_the_run(&service, &claim.locks)?;
    give_back_what_is_over(&service, &claim.locks)?;
    match take(&service, &claim, wait.after(began.elapsed()))? {
        Outcome::Granted(held) => {
            for grant in &held {
                exit::out(format_args!("lock {} is held ({})", grant.lock, grant.numbered()));
            }
            Ok(Exit::Done)
        }
        Outcome::NotYet(why) => Err(Error::Busy(why)),
        Outcome::Unwanted => Ok(Exit::Done),
        Outcome::Signal(signal, _) => Ok(asking::ended_by(signal)),
    }
}

/// What the run of this host holds is the run's: it would be given back under whoever took it as well, or under the run.
///
/// # Errors
/// [`Error::Busy`].
pub fn not_of_the_run(service: &Service, locks: &LockSet) -> Result<()> {
    let of_run = service.held_by_run()?;
    match locks.iter().find(|lock| site::find(&of_run, service.kind(), lock).is_some()) {
        None => Ok(()),
        Some(lock) => Err(Error::Busy(format!(
            "the patch run of this host holds lock {lock} and gives it back when it is confirmed; see patch-status"
        ))),
    }
}

/// Sets right what is remembered of these locks, and says which grant stands that somebody took by hand. What a command is over of is
/// given back; what was taken from this host meanwhile is forgotten, and told.
///
/// # Errors
/// As [`Backend::held`](crate::lock::client::Backend::held): then nothing is forgotten.
pub fn standing(service: &Service, locks: &LockSet) -> Result<Option<Held>> {
    give_back_what_is_over(service, locks)?;
    let remembered = Remembered::read(&service.paths)?;
    for held in locks.iter().filter_map(|lock| remembered.find(service.kind(), lock)) {
        // By the name of then: the configuration may have another one by now.
        let claim = Claim { owner: held.owner.clone(), ..service.claim(held.lock.clone().into(), None)? };
        if service.backend.held(&claim, &held.lock)?.is_some_and(|found| found.number == held.number) {
            return Ok(Some(held.clone()));
        }
        exit::warn(format_args!(
            "lock {} ({}) was taken by hand on this host and does not stand any more; it is forgotten",
            held.lock,
            held.numbered()
        ));
        remembered::ended(&service.paths, held.kind, &held.lock)?;
    }
    Ok(None)
}

/// What is said where a grant that was taken by hand is in the way.
pub fn standing_words(held: &Held) -> String {
    let (lock, number) = (&held.lock, held.numbered());
    format!(
        "lock {lock} ({number}) is held by hand on this host, or since a hold that was killed; patch-lock release {} gives it back",
        quoted(lock.as_str())
    )
}

/// A `hold` that could not give its lock back has left that to us.
fn give_back_what_is_over(service: &Service, locks: &LockSet) -> Result<()> {
    for over in alone::give_back_left_overs(&service.paths, service.backend.as_ref(), locks)? {
        exit::note(alone::left_over_words(&over));
    }
    Ok(())
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
        tell: &mut |words| exit::note(words),
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
    let _alone = alone::now(&service.paths, &locks)?;
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
    let (remembered, kind) = (Remembered::read(&service.paths)?, service.kind());
    if let Some(held) = remembered.find(kind, lock).or_else(|| remembered.find_over(kind, lock)) {
        return Ok(Some(held.clone()));
    }
    service.backend.held(&service.claim(LockSet::from(lock.clone()), None)?, lock)
}

/// Gives a grant back and forgets it.
pub fn give_back(service: &Service, held: &Held) -> Result<Released> {
    alone::give_back(&service.paths, service.backend.as_ref(), held)
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
