//! How a request becomes a grant, a place in the queue, or a refusal.

use std::time::Duration;

use super::answer::{Acquired, Notice, Outcome, Refusal};
use super::queue::{ConnectionId, Link, POLL_LEAST, POLL_LIMIT, Seq, Waiter};
use super::time::Now;
use super::turn::{self, Turn};
use super::{Book, Output};
use crate::lock::grant::{Change, Event, Grant, Holder, Protocol};
use crate::lock::name::{HostId, LockName, LockSet, Note, Owner};

/// A request for locks, all or none.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who asks.
    pub owner: Owner,
    /// Which host that is.
    pub host_id: HostId,
    /// In which of its boots.
    pub boot: Note,
    /// For which locks.
    pub locks: LockSet,
    /// What for.
    pub reason: Option<Note>,
    /// What if they cannot be had now.
    pub wait: Wait,
}

/// What to do when the locks cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Say so. A place that this client has in the queue stays as it is.
    No,
    /// Take a place in the queue, reached on this connection.
    Open(ConnectionId),
}

/// A request of a client that knows no waiting, and comes again.
#[derive(Debug, Clone)]
pub struct Poll {
    /// Who asks.
    pub owner: Owner,
    /// In which protocol.
    pub protocol: Protocol,
    /// For which lock.
    pub lock: LockName,
    /// What for, if the service can say it.
    pub reason: Option<Note>,
    /// The longest time until such a client comes again. More than [`POLL_LIMIT`] counts as that.
    pub interval: Duration,
}

struct Request {
    owner: Owner,
    holder: Holder,
    locks: LockSet,
    reason: Option<Note>,
    /// `None`: it does not wait.
    link: Option<Link>,
}

impl Book {
    /// Asks for locks. Who holds them gets the same grants again; who was offered them accepts; who waits already goes on
    /// waiting in its place, on the newest connection.
    pub fn acquire(&mut self, ask: Ask, now: Now) -> Outcome<Acquired> {
        let link = match ask.wait {
            Wait::No => None,
            Wait::Open(connection) => Some(Link::Open(connection)),
        };
        let holder = Holder::Host { id: ask.host_id, boot: ask.boot };
        self.request(Request { owner: ask.owner, holder, locks: ask.locks, reason: ask.reason, link }, now)
    }

    /// Asks for a lock as a client that comes again. Its being here is the acceptance.
    pub fn poll(&mut self, poll: Poll, now: Now) -> Outcome<Acquired> {
        let link = Link::Polling { last: now.up.max(self.up), interval: poll.interval.clamp(POLL_LEAST, POLL_LIMIT) };
        let holder = Holder::Legacy(poll.protocol);
        let locks = poll.lock.into();
        self.request(Request { owner: poll.owner, holder, locks, reason: poll.reason, link: Some(link) }, now)
    }

    fn request(&mut self, request: Request, now: Now) -> Outcome<Acquired> {
        self.step(now, |book, out| match book.conflict(&request, out) {
            Some(refusal) => Acquired::Refused(refusal),
            None => book.answer(request, now, out),
        })
    }

    fn answer(&mut self, request: Request, now: Now, out: &mut Output) -> Acquired {
        let known = self.queue.find(&request.owner, &request.holder, &request.locks);
        if self.missing(&request).is_empty() {
            if let Some(seq) = known {
                self.replace(seq, out);
            }
            return Acquired::Granted(self.grants_of(&request));
        }
        if known.is_none()
            && request.link.is_some()
            && let Some(refusal) = self.crowd(&request.locks)
        {
            return Acquired::Refused(refusal);
        }
        let seq = self.enter(&request, known, out);
        if self.is_turn_of(seq, &request, now) {
            return self.grant(seq, &request, now, out);
        }
        if request.link.is_none() {
            if known.is_none() {
                self.queue.remove(seq);
            }
            return Acquired::Busy;
        }
        if self.is_stuck(&request.owner) {
            self.queue.remove(seq);
            return Acquired::Refused(Refusal::Deadlock { owner: request.owner });
        }
        Acquired::Waiting(self.places(seq))
    }

    /// Gives the request a place, its own if it has one. A request that does not wait has its place for this answer only.
    fn enter(&mut self, request: &Request, known: Option<Seq>, out: &mut Output) -> Seq {
        let link = request.link.unwrap_or(Link::Gone(self.up));
        self.hand_over(link, known);
        let Some(seq) = known else {
            let Request { owner, holder, locks, .. } = request;
            let waiter = Waiter::new(owner.clone(), holder.clone(), locks.clone(), link);
            return self.queue.push(waiter, self.up);
        };
        if request.link.is_some() {
            if let Some(connection) = self.connection(seq).filter(|older| Link::Open(*older) != link) {
                out.notices.push(Notice::Replaced { connection });
            }
            self.queue.change(seq, self.up, |waiter| waiter.link = link);
        }
        seq
    }

    /// One connection, one waiter: should a caller use a number again, the one that it stood for is not left behind as present.
    fn hand_over(&mut self, link: Link, known: Option<Seq>) {
        let Link::Open(connection) = link else { return };
        if let Some(other) = self.queue.of_connection(connection).filter(|other| Some(*other) != known) {
            self.queue.change(other, self.up, |waiter| waiter.link = Link::Gone(self.up));
        }
    }

    /// An offer is worth what it covers: should more be lacking, the queue decides anew.
    fn is_turn_of(&mut self, seq: Seq, request: &Request, now: Now) -> bool {
        let missing = self.missing(request);
        if let Some(offer) = self.queue.get(seq).and_then(|waiter| waiter.offer.as_ref()) {
            if missing.iter().all(|lock| offer.locks.contains(lock)) {
                return true;
            }
            self.queue.change(seq, self.up, |waiter| waiter.offer = None);
        }
        let turns = turn::turns(&self.ledger, &self.queue, &self.rules, Some(seq), Now { up: self.up, ..now });
        turns.into_iter().any(|(other, turn)| other == seq && matches!(turn, Turn::Take(_)))
    }

    fn grant(&mut self, seq: Seq, request: &Request, now: Now, out: &mut Output) -> Acquired {
        if request.link.is_none() {
            self.replace(seq, out);
        }
        self.queue.remove(seq);
        for lock in self.missing(request) {
            let (holder, reason) = (request.holder.clone(), request.reason.clone());
            let (number, owner) = (self.ledger.next(), request.owner.clone());
            self.pass(&lock, seq);
            let change = Change::Granted { holder, reason };
            self.record(Event { at: now.moment, lock, number, owner, change }, out);
        }
        let grants = self.grants_of(request);
        self.look_after(&request.owner, out);
        Acquired::Granted(grants)
    }

    /// Those before the one that is granted a lock, and whose patience is over, were passed.
    fn pass(&mut self, lock: &LockName, granted: Seq) {
        let up = self.up;
        let is_over = |waiter: &Waiter| waiter.keep.is_some_and(|until| until <= up);
        let before = self.queue.of_lock(lock).take_while(|(seq, _)| *seq < granted);
        let passed: Vec<Seq> = before.filter(|(_, waiter)| is_over(waiter)).map(|(seq, _)| seq).collect();
        for seq in passed {
            self.queue.change(seq, up, |waiter| {
                waiter.passed = waiter.passed.saturating_add(1);
                waiter.keep = None;
            });
        }
    }

    /// One name, one host: a clone, or a host that was installed anew under its old name, gets nothing until people decide.
    fn conflict(&mut self, request: &Request, out: &mut Output) -> Option<Refusal> {
        let Request { owner, holder, locks, .. } = request;
        let held = locks.iter().filter_map(|lock| self.ledger.held_by(lock, owner));
        if let Some(grant) = held.into_iter().find(|grant| !grant.holder.is_same(holder)) {
            let (lock, other) = (grant.lock.clone(), grant.holder.clone());
            if let Some(seq) = self.queue.find(owner, holder, locks) {
                self.replace(seq, out);
            }
            return Some(Refusal::OtherHolder { lock, owner: owner.clone(), holder: other });
        }
        let mut gone = Vec::new();
        for (seq, waiter) in self.queue.of_owner(owner).filter(|(_, waiter)| !waiter.holder.is_same(holder)) {
            let Some(lock) = waiter.locks.iter().find(|lock| locks.contains(lock)) else { continue };
            if waiter.offer.is_some() || waiter.is_present(self.up) {
                let (lock, other) = (lock.clone(), waiter.holder.clone());
                return Some(Refusal::OtherWaiter { lock, owner: owner.clone(), holder: other });
            }
            gone.push(seq);
        }
        for seq in gone {
            self.queue.remove(seq);
        }
        None
    }

    fn crowd(&self, locks: &LockSet) -> Option<Refusal> {
        let limit = |lock: &LockName| self.rules.of(lock).waiters;
        let lock = locks.iter().find(|lock| self.queue.length(lock) >= limit(lock))?;
        Some(Refusal::QueueFull { lock: lock.clone(), limit: limit(lock) })
    }

    fn missing(&self, request: &Request) -> Vec<LockName> {
        self.ledger.missing(&request.owner, &request.holder, &request.locks).cloned().collect()
    }

    fn grants_of(&self, request: &Request) -> Vec<Grant> {
        request.locks.iter().filter_map(|lock| self.ledger.held_by(lock, &request.owner)).cloned().collect()
    }

    pub(super) fn places(&self, seq: Seq) -> Vec<(LockName, usize)> {
        let Some(waiter) = self.queue.get(seq) else { return Vec::new() };
        let missing = self.ledger.missing(&waiter.owner, &waiter.holder, &waiter.locks);
        missing.map(|lock| (lock.clone(), self.queue.place_of(lock, seq))).collect()
    }
}
