//! The state machine: requests and the time go in; answers, events and notices come out.
//!
//! Pure: no file, no clock, no network, no chance. A request and the time go in, an [`answer::Outcome`] comes out. **Its events
//! are on disk, all or none, before its answer or any of its notices goes out**; if they cannot be written, [`Book::go_back`]
//! makes them not have happened. A book is begun again from the grants and the highest number that a store holds; the events in
//! order are the history.
//!
//! ```text
//!                                   a grant: durable, no clock touches it
//!
//!                      down until T     ┌───┐  overdue (told once)
//!                                       │   ▼
//!   acquire, poll ───────────────────▶ GRANTED ──── release (owner + number) ───────────────▶ ended
//!     all free, nobody ahead            ▲ ▲  │ └─── legacy release (owner; legacy grants) ──▶ ended
//!                                       │ │  └───── force release (name + reason;
//!                     asks again        │ │           while down: said twice) ──────────────▶ ended
//!                  ┌────────────────────┘ │
//!                  │                      │ polls while the slot is left free
//!                  │                      │
//!                  │                      │     a waiter: in memory, gone at a restart of the service
//!                  │                      │
//!               OFFERED ◀── its turn ── WAITING ◀───── acquire --wait, poll: something is held
//!                  │                     │  ▲
//!       30 s over  │     connection gone │  │ asks again: same place
//!                  ▼     no poll in time ▼  │
//!               forgotten ◀── too long ─ AWAY   passed over
//! ```
//!
//! The rules, each with a test of its name:
//!
//! * **Order.** One order of arrival for all locks; a queue is that order seen from one lock. The same client that asks again
//!   for the same locks keeps its place, on its newest connection. After a restart of the service the order is that in which
//!   the clients ask again; grants are not touched by it.
//! * **Offer.** A slot that is free is offered to the first that is present; asking again is accepting. An offer stands for 30 s,
//!   no matter which connections come and go, and then the waiter has lost its place. A waiter that is away keeps its place
//!   for 60 s and is passed over. So nothing is ever granted but in answer to a request.
//! * **Clients that poll** are present for one interval after each poll: so long a free slot is left for them, then it goes on to
//!   the next. Their place is kept while they poll, and forgotten three intervals after the last one.
//! * **Several locks** are granted together or not at all. Others pass a waiter that lacks one of them; but when it is the
//!   next for each lock that it lacks, its free ones are kept for it: for 1 minute, for 2 after it was passed once, then 4, 8,
//!   at most an hour, and not at all while those who hold what it lacks have held it for over an hour. So it holds up nobody
//!   for ever, and is served in the end if nobody keeps a lock for longer than an hour.
//! * **Deadlock.** Who holds a lock and would wait for ever for another one, because those that hold it wait for the first,
//!   is refused at once.
//! * **One name, one host.** An owner that holds or waits is answered again if it is the same host, and refused if not.
//! * **No present waiter starves**: each one ahead of it takes its slot or is passed over, after 30 s (offered; it is out then),
//!   one interval (polling) or its patience (several locks). One that was passed over comes back in front at most once
//!   between two grants.

pub mod acquire;
pub mod answer;
mod deadlock;
pub mod ledger;
pub mod queue;
pub mod release;
pub mod terms;
pub mod time;
mod turn;
pub mod why;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use super::grant::{Event, Holder, Stored};
use super::name::{HostId, LockName, LockSet, Owner};
use crate::error::Result;
use answer::{Notice, Outcome, Refusal};
use ledger::Ledger;
use queue::{ConnectionId, Link, OFFER, Offer, Queue, Seq, Waiter};
use terms::{Rules, Terms};
use time::Now;
use turn::Turn;

/// All locks of a service: what is held, and who waits.
#[derive(Debug, Clone, Default)]
pub struct Book {
    rules: Rules,
    ledger: Ledger,
    queue: Queue,
    up: Duration,
}

/// What has come of a request so far.
#[derive(Debug, Default)]
struct Output {
    pub events: Vec<Event>,
    pub notices: Vec<Notice>,
}

impl Book {
    /// Begins again with what a store holds. Nobody waits: the queue fills in the order in which clients ask again.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] if the store contradicts itself.
    pub fn restore(stored: Stored, rules: Rules) -> Result<Self> {
        Ok(Self { rules, ledger: Ledger::restore(stored)?, ..Self::default() })
    }

    /// Goes back to what the store holds, after events could not be written: what they said has not happened, and none of
    /// their answers may go out. Those that wait keep their places; who was granted something and not told asks again.
    ///
    /// # Errors
    /// As [`Book::restore`]; the book is unchanged then.
    pub fn go_back(&mut self, stored: Stored, now: Now) -> Result<Outcome<()>> {
        let mut ledger = Ledger::restore(stored)?;
        ledger.continue_after(&self.ledger);
        self.ledger = ledger;
        Ok(self.step(now, |book, out| {
            let offered: Vec<Seq> = book.queue.offered().map(|(seq, _)| seq).collect();
            for seq in offered {
                book.queue.change(seq, book.up, |waiter| waiter.offer = None);
            }
            book.look_after_all(out);
        }))
    }

    /// Sets the terms of a lock, from the configuration. More slots are offered at once.
    pub fn define(&mut self, lock: LockName, terms: Terms, now: Now) -> Outcome<()> {
        self.step(now, |book, out| {
            book.rules.define(lock, terms);
            book.look_after_all(out);
        })
    }

    /// Sets the terms of all locks, from a configuration that was read again. More slots are offered at once.
    pub fn set_rules(&mut self, rules: Rules, now: Now) -> Outcome<()> {
        self.step(now, |book, out| {
            book.rules = rules;
            book.look_after_all(out);
        })
    }

    /// The locks that are held or waited for.
    pub fn locks(&self) -> BTreeSet<LockName> {
        self.ledger.grants().map(|grant| &grant.lock).chain(self.queue.locks()).cloned().collect()
    }

    /// How many may hold a lock at once.
    pub fn slots(&self, lock: &LockName) -> usize {
        self.rules.slots(lock)
    }

    /// What is held, and the highest number.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A connection is closed, or its request is answered without a grant or an offer. The waiter keeps its place for
    /// [`queue::AWAY`]; an offer that went out on it stands, and may be accepted on another one. An older connection
    /// than the waiter's newest says nothing.
    pub fn hang_up(&mut self, connection: ConnectionId, now: Now) -> Outcome<()> {
        self.step(now, |book, _| {
            if let Some(seq) = book.queue.of_connection(connection) {
                book.queue.change(seq, book.up, |waiter| waiter.link = Link::Gone(book.up));
            }
        })
    }

    /// A client waits no longer. True if it did.
    pub fn withdraw(&mut self, owner: &Owner, host_id: &HostId, locks: &LockSet, now: Now) -> Outcome<bool> {
        self.step(now, |book, out| {
            let is_host = |holder: &Holder| matches!(holder, Holder::Host { id, .. } if id == host_id);
            let found = book.queue.of_owner(owner).find(|(_, w)| w.locks == *locks && is_host(&w.holder));
            let Some((seq, _)) = found else { return false };
            book.replace(seq, out);
            true
        })
    }

    /// Time has passed. To be called at [`Book::alarm`]; calling it oftener does no harm.
    pub fn tick(&mut self, now: Now) -> Outcome<()> {
        self.step(now, |_, _| ())
    }

    /// When, in service time, [`Book::tick`] is due; `None`: not before another request.
    pub fn alarm(&self) -> Option<Duration> {
        self.queue.alarm().map(|(at, _)| at)
    }

    /// Frames every request: first what time alone did, then the request, then whose turn it is after it.
    fn step<T>(&mut self, now: Now, request: impl FnOnce(&mut Self, &mut Output) -> T) -> Outcome<T> {
        let mut out = Output::default();
        self.up = self.up.max(now.up);
        self.expire(&mut out);
        let answer = request(self, &mut out);
        self.offer(now, &mut out);
        Outcome { answer, events: out.events, notices: out.notices }
    }

    fn record(&mut self, event: Event, out: &mut Output) {
        self.ledger.apply(&event);
        out.events.push(event);
    }

    /// What a grant means for other waits of its owner: one may have nothing left to wait for, one may have become a deadlock.
    fn look_after(&mut self, owner: &Owner, out: &mut Output) {
        let waits: Vec<Seq> = self.queue.of_owner(owner).map(|(seq, _)| seq).collect();
        for seq in waits.into_iter().rev() {
            let lacks = |w: &Waiter| self.ledger.missing(&w.owner, &w.holder, &w.locks).next().is_some();
            if self
                .queue
                .get(seq)
                .is_some_and(|waiter| turn::is_pushed(waiter) && waiter.offer.is_none() && !lacks(waiter))
            {
                self.send_offer(seq, Vec::new(), out);
            } else if self.is_stuck(owner) {
                let refusal = Refusal::Deadlock { owner: owner.clone() };
                if let Some(connection) = self.connection(seq) {
                    out.notices.push(Notice::Refused { connection, refusal });
                }
                self.queue.remove(seq);
            }
        }
    }

    fn look_after_all(&mut self, out: &mut Output) {
        let owners: Vec<Owner> = self.queue.owners().cloned().collect();
        for owner in owners {
            self.look_after(&owner, out);
        }
    }

    fn expire(&mut self, out: &mut Output) {
        while let Some((_, seq)) = self.queue.alarm().filter(|(at, _)| *at <= self.up) {
            let Some(waiter) = self.queue.get(seq) else { break };
            if waiter.is_lapsed(self.up) {
                if let Link::Open(connection) = waiter.link {
                    out.notices.push(Notice::Lapsed { connection });
                }
                self.queue.remove(seq);
            } else if waiter.is_lost(self.up) {
                self.queue.remove(seq);
            } else {
                self.queue.rearm(seq, self.up);
            }
        }
    }

    fn offer(&mut self, now: Now, out: &mut Output) {
        for (seq, turn) in turn::turns(&self.ledger, &self.queue, &self.rules, None, Now { up: self.up, ..now }) {
            match turn {
                Turn::Take(locks) => self.send_offer(seq, locks, out),
                Turn::Keep => self.queue.change(seq, self.up, |waiter| {
                    waiter.keep = waiter.keep.or_else(|| Some(self.up.saturating_add(waiter.patience())));
                }),
            }
        }
    }

    /// Slots for a client that polls are not offered but left free until it comes; the next look finds them again.
    fn send_offer(&mut self, seq: Seq, locks: Vec<LockName>, out: &mut Output) {
        let Some(connection) = self.connection(seq) else { return };
        let until = self.up.saturating_add(OFFER);
        self.queue.change(seq, self.up, |waiter| waiter.offer = Some(Offer { locks, until }));
        out.notices.push(Notice::Offer { connection, until });
    }

    /// Takes a waiter out, and tells the connection on which it waited.
    fn replace(&mut self, seq: Seq, out: &mut Output) {
        if let Some(connection) = self.connection(seq) {
            out.notices.push(Notice::Replaced { connection });
        }
        self.queue.remove(seq);
    }

    fn connection(&self, seq: Seq) -> Option<ConnectionId> {
        match self.queue.get(seq)?.link {
            Link::Open(connection) => Some(connection),
            _ => None,
        }
    }

    fn is_stuck(&self, owner: &Owner) -> bool {
        self.ledger.is_holding(owner) && deadlock::is_stuck(owner, &self.ledger, &self.queue, &self.rules)
    }
}
