//! `patch-lock hold NAME -- COMMAND…`: a lock for as long as a command runs, like flock(1).
//!
//! The lock is this tool's, not the command's: it is given back when the command and what it started have ended, whatever its code. As
//! long as any of that may be at work, it is not.

use std::time::Instant;

use crate::cmd::place::Place;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client::held::Held;
use crate::lock::client::pause::Pauses;
use crate::lock::client::{Released, remembered};
use crate::lock::name::{LockSet, quoted};
use crate::sys::random;

use super::command::{self, Ended};
use super::site::Service;
use super::{Hold, by_hand};
use crate::cmd::alone::{self, Alone, Turn};
use crate::cmd::asking::{self, Ear, Outcome};

/// How often a release is tried at the end; after that it is for the next one that wants the lock on this host.
const RELEASES: u32 = 5;

/// `patch-lock hold`
pub fn hold(place: &Place, args: &Hold) -> Result<Exit> {
    let service = Service::open(place)?;
    if place.is_only_a_question(&service.paths) {
        exit::out(format_args!("would hold lock {} and run {}", args.name, args.command[0].display()));
        return Ok(Exit::Done);
    }
    // From here to the end: a signal that nobody hears would leave the lock behind, or end the command's keeper and not the command.
    let ear = Ear::open()?;
    let taken = take(&service, args, &ear);
    let (held, _alone) = match (taken, args.code) {
        (Ok(Taken::Held(held, alone)), _) => (held, alone),
        (Ok(Taken::Signal(signal)), _) => return Ok(asking::ended_by(signal)),
        (Err(why @ (Error::Busy(_) | Error::Unreachable { .. })), Some(code)) => {
            exit::warn(why);
            return Ok(Exit::Code(code));
        }
        (Err(why), _) => return Err(why),
    };
    let ended = command::run(&ear, &args.name, &args.command);
    match ended {
        Ok(Ended::AtWork(who)) => {
            let name = &args.name;
            exit::warn(format_args!(
                "lock {name} stays held, for {who} is still at work; patch-lock release {} gives it back when that has ended",
                quoted(name.as_str())
            ));
            Ok(asking::ended_by(signal_hook::consts::SIGTERM))
        }
        Ok(Ended::Whole(exit)) => {
            end(&service, &held, &ear);
            Ok(exit)
        }
        Err(error) => {
            end(&service, &held, &ear);
            Err(error)
        }
    }
}

enum Taken {
    Held(Vec<Held>, Alone),
    Signal(i32),
}

/// Takes the lock, and first its place on this host.
fn take(service: &Service, args: &Hold, ear: &Ear<()>) -> Result<Taken> {
    let wait = super::wait(&args.wait, service.lock()?);
    let locks = LockSet::from(args.name.clone());
    let began = Instant::now();
    let alone = match alone::wait(&service.paths, &locks, wait, |time| ear.sleep(time))? {
        Turn::Ours(alone) => alone,
        Turn::Signal(signal) => return Ok(Taken::Signal(signal)),
    };
    by_hand::not_of_the_run(service, &locks)?;
    if let Some(held) = by_hand::standing(service, &locks)? {
        return Err(Error::Busy(by_hand::standing_words(&held)));
    }
    let claim = service.claim(locks, args.reason.clone())?;
    match by_hand::take(service, &claim, wait.after(began.elapsed()))? {
        Outcome::Granted(held) => Ok(Taken::Held(held, alone)),
        Outcome::NotYet(why) => Err(Error::Busy(why)),
        Outcome::Unwanted => Err(Error::Busy("nobody waits any more".into())),
        Outcome::Signal(signal, _) => Ok(Taken::Signal(signal)),
    }
}

/// Gives the lock back. What cannot be given back now is marked: whoever wants the lock next on this host does it first. The command's
/// code is the caller's.
fn end(service: &Service, held: &[Held], ear: &Ear<()>) {
    for grant in held {
        if let Err(why) = remembered::over(&service.paths, grant).and_then(|()| give_back(service, grant, ear)) {
            exit::warn(format_args!(
                "lock {} is still held: {why}; the next patch-lock hold or acquire of it on this host gives it back first, and so does patch-lock release {}",
                grant.lock,
                quoted(grant.lock.as_str())
            ));
        }
    }
}

fn give_back(service: &Service, grant: &Held, ear: &Ear<()>) -> Result<()> {
    let mut pauses = Pauses::new(service.lock()?.backoff);
    let mut tries = 1;
    loop {
        match by_hand::give_back(service, grant) {
            Ok(Released::Absent) if tries == 1 => {
                exit::warn(format_args!(
                    "lock {} was taken from this host while the command ran: another host may have worked at the same time",
                    grant.lock
                ));
                return Ok(());
            }
            // After an answer that was lost nobody knows who freed it.
            Ok(_) => return Ok(()),
            Err(why @ Error::Unreachable { .. }) if tries < RELEASES => {
                tries += 1;
                if ear.sleep(pauses.next(random::part())).is_some() {
                    return Err(why);
                }
            }
            Err(why) => return Err(why),
        }
    }
}
