//! The state machine: requests and the time go in; answers, events and notices come out.

use std::time::Duration;

use super::answer::{Notice, Outcome, Refusal};
use super::deadlock;
use super::grant::{Event, Holder, Stored};
use super::ledger::Ledger;
use super::name::{HostId, LockName, LockSet, Owner};
use super::queue::{ConnectionId, Link, OFFER, Offer, Queue, Seq, Waiter};
use super::terms::{Rules, Terms};
use super::time::Now;
use super::turn::{self, Turn};
use crate::error::Result;

/// All locks of a service: what is held, and who waits.
#[derive(Debug, Clone, Default)]
pub struct Book {
    pub(super) rules: Rules,
    pub(super) ledger: Ledger,
    pub(super) queue: Queue,
    pub(super) up: Duration,
}

/// What has come of a request so far.
#[derive(Debug, Default)]
pub(super) struct Output {
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

    /// What is held, and the highest number.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A connection is closed, or its request is answered without a grant or an offer. The waiter keeps its place for
    /// [`super::queue::AWAY`]; an offer that went out on it stands, and may be accepted on another one. An older connection
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
    pub(super) fn step<T>(&mut self, now: Now, request: impl FnOnce(&mut Self, &mut Output) -> T) -> Outcome<T> {
        let mut out = Output::default();
        self.up = self.up.max(now.up);
        self.expire(&mut out);
        let answer = request(self, &mut out);
        self.offer(now, &mut out);
        Outcome { answer, events: out.events, notices: out.notices }
    }

    pub(super) fn record(&mut self, event: Event, out: &mut Output) {
        self.ledger.apply(&event);
        out.events.push(event);
    }

    /// What a grant means for other waits of its owner: one may have nothing left to wait for, one may have become a deadlock.
    pub(super) fn look_after(&mut self, owner: &Owner, out: &mut Output) {
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
    pub(super) fn replace(&mut self, seq: Seq, out: &mut Output) {
        if let Some(connection) = self.connection(seq) {
            out.notices.push(Notice::Replaced { connection });
        }
        self.queue.remove(seq);
    }

    pub(super) fn connection(&self, seq: Seq) -> Option<ConnectionId> {
        match self.queue.get(seq)?.link {
            Link::Open(connection) => Some(connection),
            _ => None,
        }
    }

    pub(super) fn is_stuck(&self, owner: &Owner) -> bool {
        self.ledger.is_holding(owner) && deadlock::is_stuck(owner, &self.ledger, &self.queue, &self.rules)
    }
}
