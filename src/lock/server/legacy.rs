//! What clients of other services' protocols are granted, shown, and may give back: pure.
//!
//! They know a lock and, at best, an owner's name; no numbers, no host ids, no queue. What they lack is decided here once, for
//! all of these protocols:
//!
//! * Asking is accepting. Who asks again for what it holds gets the same grant.
//! * A grant that was taken by our own protocol is never shown as the owner's own: its program did not take it, and would work
//!   beside the one that did.
//! * Given back is only what was taken by such a protocol, by an owner for whom the client may act; where that could be one of
//!   several, none.

use crate::lock::book::Book;
use crate::lock::book::acquire::Poll;
use crate::lock::book::answer::{Acquired, Outcome, Refusal, Released};
use crate::lock::book::time::Now;
use crate::lock::grant::{Grant, Holder};
use crate::lock::name::{LockName, Owner};
use crate::lock::server::access::Client;
use crate::sys::clock::Moment;

/// A grant, as such a client may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Of which lock.
    pub lock: String,
    /// Whose; with more than the name if it was taken by our own protocol.
    pub owner: String,
    /// Since when.
    pub since: Moment,
}

impl From<&Grant> for Shown {
    fn from(grant: &Grant) -> Self {
        let owner = match &grant.holder {
            Holder::Legacy(_) => grant.owner.to_string(),
            host @ Holder::Host { .. } => format!("{} ({host})", grant.owner),
        };
        Self { lock: grant.lock.to_string(), owner, since: grant.since }
    }
}

/// The answer to a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// It is held from now on.
    New(Shown),
    /// It was held before.
    Again(Shown, Slots),
    /// Not now; a sentence for people.
    Waiting(String),
    /// Never like this.
    Refused(Refusal),
}

/// How many may hold a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// One, as these protocols know it.
    One,
    /// More.
    Several,
}

/// Whose grant is to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// This owner's.
    Of(Owner),
    /// That of the only owner that the client may mean.
    Anybody,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenBack {
    /// It is free.
    Done,
    /// There is nothing of the client's.
    Absent,
    /// There is nothing of the client's, and all slots are somebody else's.
    Others,
    /// Each of these may be meant, by their names.
    Ambiguous(Vec<String>),
    /// It was not taken by such a protocol.
    Refused(Refusal),
}

/// Asks for a lock.
pub fn poll(book: &mut Book, poll: Poll, now: Now) -> Outcome<Polled> {
    let (lock, owner) = (poll.lock.clone(), poll.owner.clone());
    let was_held = book.ledger().held_by(&lock, &owner).is_some();
    let Outcome { answer, events, notices } = book.poll(poll, now);
    let answer = match answer {
        Acquired::Granted(grants) => match grants.first().map(Shown::from) {
            // The client compares the answer with its own name, to the letter.
            Some(shown) if was_held => Polled::Again(Shown { owner: owner.to_string(), ..shown }, slots(book, &lock)),
            Some(shown) => Polled::New(shown),
            None => Polled::Waiting(book.brief(&lock, &owner, now).to_string()),
        },
        Acquired::Waiting(_) | Acquired::Busy => Polled::Waiting(book.brief(&lock, &owner, now).to_string()),
        Acquired::Refused(refusal) => Polled::Refused(refusal),
    };
    Outcome { answer, events, notices }
}

/// Who holds a lock, for one who can see one holder only: the one that is its own, else the first if no slot is left.
pub fn look(book: &Book, lock: &LockName, is_own: impl Fn(&Owner) -> bool) -> Option<Shown> {
    let holders = book.ledger().holders(lock);
    let own = holders.iter().find(|grant| is_legacy(grant) && is_own(&grant.owner));
    let first = || holders.first().filter(|_| holders.len() >= book.slots(lock));
    own.or_else(first).map(Shown::from)
}

/// The same for one who is known by its name: its own grant is spelled as it spells itself.
pub fn look_as(book: &Book, lock: &LockName, owner: &Owner) -> Option<Shown> {
    let own = book.ledger().held_by(lock, owner).filter(|grant| is_legacy(grant));
    own.map(|grant| Shown { owner: owner.to_string(), ..grant.into() }).or_else(|| look(book, lock, |_| false))
}

/// All grants of the locks that a client may touch, by lock.
pub fn list(book: &Book, client: &Client) -> Vec<Shown> {
    book.ledger().grants().filter(|grant| client.is_allowed(grant.lock.as_str())).map(Shown::from).collect()
}

/// Gives a lock back.
pub fn give_back(book: &mut Book, lock: &LockName, client: &Client, whose: Whose, now: Now) -> Outcome<GivenBack> {
    let owner = match whose {
        Whose::Of(owner) => owner,
        Whose::Anybody => match meant(book, lock, client) {
            Ok(owner) => owner,
            Err(answer) => return Outcome { answer, events: Vec::new(), notices: Vec::new() },
        },
    };
    let Outcome { answer, events, notices } = book.release_legacy(lock, &owner, now);
    let answer = match answer {
        Released::Ended(_) => GivenBack::Done,
        Released::Absent => absent(book, lock),
        Released::Refused(refusal) => GivenBack::Refused(refusal),
    };
    Outcome { answer, events, notices }
}

/// The owner whose grant a client means that names none.
fn meant(book: &Book, lock: &LockName, client: &Client) -> Result<Owner, GivenBack> {
    let holders = book.ledger().holders(lock).iter().filter(|grant| client.may_act_for(&grant.owner).is_ok());
    let (legacy, own): (Vec<&Grant>, Vec<&Grant>) = holders.partition(|grant| is_legacy(grant));
    match (legacy.as_slice(), own.first()) {
        ([one], _) => Ok(one.owner.clone()),
        ([], None) => Err(GivenBack::Absent),
        ([], Some(grant)) => {
            let refusal = Refusal::NotLegacy { lock: lock.clone(), number: grant.number };
            Err(GivenBack::Refused(refusal))
        }
        (several, _) => Err(GivenBack::Ambiguous(several.iter().map(|grant| grant.owner.to_string()).collect())),
    }
}

fn absent(book: &Book, lock: &LockName) -> GivenBack {
    let held = book.ledger().holders(lock).len();
    if held > 0 && held >= book.slots(lock) { GivenBack::Others } else { GivenBack::Absent }
}

fn slots(book: &Book, lock: &LockName) -> Slots {
    if book.slots(lock) > 1 { Slots::Several } else { Slots::One }
}

fn is_legacy(grant: &Grant) -> bool {
    matches!(grant.holder, Holder::Legacy(_))
}

#[cfg(test)]
mod tests;
