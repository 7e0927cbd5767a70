//! What the book says, in the words of the wire: pure.

use crate::lock::book::Book;
use crate::lock::book::answer::{Acquired, Refusal};
use crate::lock::book::time::Now;
use crate::lock::book::why::{Brief, Holding, Waiting};
use crate::lock::grant::{Change, Grant, Holder};
use crate::lock::name::{LockName, LockSet, Note, Owner};
use crate::lock::wire;

/// What happened to a grant.
pub fn change(change: &Change) -> wire::Change {
    match change {
        Change::Granted { holder, reason } => {
            let (host_id, protocol) = match holder {
                Holder::Host { id, .. } => (Some(id.to_string()), None),
                Holder::Legacy(protocol) => (None, Some(protocol.to_string())),
            };
            wire::Change::Granted { host_id, protocol, reason: reason.as_ref().map(Note::to_string) }
        }
        Change::Released => wire::Change::Released,
        Change::Forced { by, reason } => wire::Change::Forced { by: by.to_string(), reason: reason.to_string() },
        Change::Down(until) => wire::Change::Down { until: *until },
        Change::Overdue => wire::Change::Overdue,
    }
}

/// A grant.
pub fn grant(grant: &Grant, overdue: bool) -> wire::Grant {
    let (host_id, boot, protocol) = match &grant.holder {
        Holder::Host { id, boot } => (Some(id.to_string()), Some(boot.to_string()), None),
        Holder::Legacy(protocol) => (None, None, Some(protocol.to_string())),
    };
    wire::Grant {
        lock: grant.lock.to_string(),
        number: grant.number.0,
        owner: grant.owner.to_string(),
        host_id,
        boot,
        protocol,
        since: Some(grant.since),
        reason: grant.reason.as_ref().map(Note::to_string),
        down_until: grant.down_until,
        overdue,
    }
}

/// Where a lock stands.
pub fn lock(book: &Book, lock: &LockName, now: Now) -> wire::Lock {
    let why = book.state(lock, now);
    let holder = |holding: &Holding| grant(&holding.grant, holding.is_overdue);
    wire::Lock {
        lock: lock.to_string(),
        slots: why.slots,
        holders: why.holders.iter().map(holder).collect(),
        queue: why.queue.iter().map(waiter).collect(),
    }
}

fn waiter(waiting: &Waiting) -> wire::Waiter {
    wire::Waiter {
        owner: waiting.owner.to_string(),
        present: waiting.is_present,
        offered: waiting.is_offered,
        lacks: waiting.lacks.iter().map(LockName::to_string).collect(),
    }
}

/// Where somebody stands who does not have all that it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its places in the queues of what it lacks, counted from 1; none if it does not wait.
    pub places: Vec<(LockName, usize)>,
    /// One sentence a lock.
    pub why: String,
}

impl Standing {
    /// Looks it up.
    pub fn of(book: &Book, owner: &Owner, locks: &LockSet, now: Now) -> Self {
        let lacked = locks.iter().filter(|lock| book.ledger().held_by(lock, owner).is_none());
        let briefs: Vec<Brief> = lacked.map(|lock| book.brief(lock, owner, now)).collect();
        let places = briefs.iter().filter_map(|brief| Some((brief.lock.clone(), brief.place?))).collect();
        let why: Vec<String> = briefs.iter().map(Brief::to_string).collect();
        Self { places, why: why.join("; ") }
    }

    /// As the answer at the end of a wait.
    pub fn waiting(self) -> wire::Acquired {
        let place = |(lock, place): (LockName, usize)| wire::Place { lock: lock.to_string(), place };
        wire::Acquired::Waiting { places: self.places.into_iter().map(place).collect(), why: self.why }
    }
}

/// The answer to one who asked for locks.
#[derive(Debug)]
pub enum Reply {
    /// All of them are held.
    Granted(Vec<wire::Grant>),
    /// It has a place in the queue.
    Waiting,
    /// They cannot be had now; a sentence for people.
    Busy(String),
    /// Never like this.
    Refused(Refusal),
}

impl Reply {
    /// Puts an answer of the book into words.
    pub fn new(answer: Acquired, book: &Book, owner: &Owner, locks: &LockSet, now: Now) -> Self {
        // Spelled as the one who asks spells it: it compares.
        let one =
            |held: &Grant| wire::Grant { owner: owner.to_string(), ..grant(held, book.is_overdue(held, now.moment)) };
        match answer {
            Acquired::Granted(grants) => Self::Granted(grants.iter().map(one).collect()),
            Acquired::Waiting(_) => Self::Waiting,
            Acquired::Busy => Self::Busy(Standing::of(book, owner, locks, now).why),
            Acquired::Refused(refusal) => Self::Refused(refusal),
        }
    }
}
