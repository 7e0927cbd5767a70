//! Everybody who asks, and what they must have been told.

use std::time::Duration;

use chrono::TimeDelta;

use super::super::Book;
use super::super::answer::{Notice, Outcome, Refusal};
use super::super::queue::{ConnectionId, MISSED_POLLS, OFFER};
use super::super::time::Now;
use super::{CLIENTS, SLOTS, START, bits, interval, owner, rules, set};
use crate::lock::grant::{Event, Holder, Number, Protocol};
use crate::lock::name::{HostId, Note};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Link {
    Open(u64),
    Gone(Duration),
    Polling(Duration),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) who: usize,
    pub(super) mask: usize,
    pub(super) link: Link,
    /// Until when, and what.
    pub(super) offer: Option<(Duration, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Held {
    pub(super) lock: usize,
    pub(super) who: usize,
    pub(super) number: Number,
    pub(super) since: Duration,
}

pub(super) struct World {
    pub(super) book: Book,
    pub(super) up: Duration,
    pub(super) connections: u64,
    pub(super) highest: Number,
    pub(super) history: Vec<Event>,
    pub(super) held: Vec<Held>,
    pub(super) wishes: Vec<Wish>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            book: Book::restore(crate::lock::grant::Stored::default(), rules()).unwrap(),
            up: Duration::ZERO,
            connections: 0,
            highest: Number(0),
            history: Vec::new(),
            held: Vec::new(),
            wishes: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { moment: *START + TimeDelta::from_std(self.up).unwrap(), up: self.up }
    }

    pub(super) fn is_present(&self, wish: &Wish) -> bool {
        match wish.link {
            Link::Open(_) => true,
            Link::Gone(_) => false,
            Link::Polling(last) => self.up < last + interval(wish.who),
        }
    }

    pub(super) fn has(&self, who: usize, lock: usize) -> Option<Held> {
        self.held.iter().find(|held| held.lock == lock && held.who == who).copied()
    }

    pub(super) fn missing(&self, who: usize, mask: usize) -> usize {
        bits(mask).filter(|lock| self.has(who, *lock).is_none()).map(|lock| 1 << lock).sum()
    }

    pub(super) fn free(&self, lock: usize) -> usize {
        let held = self.held.iter().filter(|held| held.lock == lock).count();
        let offered =
            self.wishes.iter().filter(|wish| wish.offer.is_some_and(|(_, mask)| mask & (1 << lock) != 0)).count();
        assert!(held + offered <= SLOTS[lock], "more holders than slots");
        SLOTS[lock] - held - offered
    }

    pub(super) fn forget(&mut self) {
        let up = self.up;
        self.wishes.retain(|wish| match (wish.offer, wish.link) {
            (Some((until, _)), _) => up < until,
            (None, Link::Open(_)) => true,
            (None, Link::Gone(since)) => up < since + Duration::from_mins(1),
            (None, Link::Polling(last)) => up < last + interval(wish.who) * MISSED_POLLS,
        });
    }

    /// Takes what an outcome says besides its answer.
    pub(super) fn take<T>(&mut self, out: Outcome<T>) -> T {
        self.history.extend(out.events);
        for notice in out.notices {
            let at =
                |connection: ConnectionId| self.wishes.iter().position(|wish| wish.link == Link::Open(connection.0));
            match notice {
                Notice::Offer { connection, until } => {
                    let place = at(connection).expect("an offer to nobody");
                    let Wish { who, mask, .. } = self.wishes[place];
                    self.check_order(place, who, mask);
                    assert_eq!(until, self.up + OFFER);
                    let missing = self.missing(who, mask);
                    assert!(bits(missing).all(|lock| self.free(lock) > 0), "offered what is not free");
                    self.wishes[place].offer = Some((until, missing));
                }
                Notice::Refused { connection, refusal } => {
                    assert!(matches!(refusal, Refusal::Deadlock { .. }));
                    self.wishes.remove(at(connection).expect("a refusal to nobody"));
                }
                Notice::Lapsed { connection } | Notice::Replaced { connection } => {
                    assert_eq!(at(connection), None, "the connection still stands for a waiter");
                }
            }
        }
        out.answer
    }

    /// A wait that has become a deadlock ends; without a connection nobody is told before it asks again.
    pub(super) fn forget_deadlocks(&mut self) {
        let is_known = |wish: &Wish| {
            let (owner, boot) = (owner(wish.who), Note::new("b").unwrap());
            let holder = match CLIENTS[wish.who].1 {
                Some(id) => Holder::Host { id: HostId::new(id).unwrap(), boot },
                None => Holder::Legacy(Protocol::Dlm),
            };
            let is_told = matches!(wish.link, Link::Open(_)) || !self.book.ledger().is_holding(&owner);
            is_told || self.book.queue.find(&owner, &holder, &set(wish.mask)).is_some()
        };
        self.wishes.retain(is_known);
    }

    pub(super) fn key(&self, who: usize, mask: usize) -> Option<usize> {
        self.wishes.iter().position(|wish| wish.who == who && wish.mask == mask)
    }
}
