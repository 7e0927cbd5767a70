//! The rules of the lock, each as a sentence.

mod granting;
mod lasting;
mod owners;
mod polling;
mod releasing;
mod several;
mod waiting;

use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::TimeDelta;

use super::Book;
use super::acquire::{Ask, Poll, Wait};
use super::answer::{Acquired, Noted, Notice, Outcome, Refusal, Released};
use super::queue::ConnectionId;
use super::release::{Force, WhileDown};
use super::terms::{Rules, Terms};
use super::time::Now;
use crate::lock::grant::{Change, Event, Number, Protocol, Stored};
use crate::lock::name::{HostId, LockName, LockSet, Note, Owner};
use crate::sys::clock;

const DLM_INTERVAL: u64 = 120;
const NOBODY: [u64; 0] = [];

/// A book, its time, and what a store would hold.
#[derive(Default)]
struct Scene {
    book: Book,
    up: u64,
    connections: u64,
    history: Vec<Event>,
    notices: Vec<Notice>,
}

impl Scene {
    fn now(&self) -> Now {
        let start = clock::parse("2026-11-21T02:00:00Z").unwrap();
        Now { moment: start + TimeDelta::seconds(self.up.cast_signed()), up: Duration::from_secs(self.up) }
    }

    fn take<T>(&mut self, out: Outcome<T>) -> T {
        self.history.extend(out.events);
        self.notices = out.notices;
        out.answer
    }

    /// Seconds go by; returns who was offered something.
    fn pass(&mut self, seconds: u64) -> Vec<u64> {
        self.up += seconds;
        let out = self.book.tick(self.now());
        self.take(out);
        self.offers()
    }

    fn offers(&self) -> Vec<u64> {
        let offer = |notice: &Notice| match notice {
            Notice::Offer { connection, .. } => Some(connection.0),
            _ => None,
        };
        self.notices.iter().filter_map(offer).collect()
    }

    fn ask(&mut self, who: &str, names: &str, wait: Wait) -> Acquired {
        let ask = Ask {
            owner: owner(who),
            host_id: HostId::new(&format!("id-of-{who}")).unwrap(),
            boot: Note::new("boot-1").unwrap(),
            locks: locks(names),
            reason: None,
            wait,
        };
        let out = self.book.acquire(ask, self.now());
        self.take(out)
    }

    fn get(&mut self, who: &str, names: &str) -> Vec<Number> {
        numbers(self.ask(who, names, Wait::No))
    }

    /// Waits, on a new connection, and returns its number.
    fn wait(&mut self, who: &str, names: &str) -> u64 {
        self.connections += 1;
        let answer = self.ask(who, names, Wait::Open(ConnectionId(self.connections)));
        assert!(matches!(answer, Acquired::Waiting(_)), "{who} {names}: {answer:?}");
        self.connections
    }

    fn poll(&mut self, who: &str, name: &str) -> Acquired {
        let interval = Duration::from_secs(DLM_INTERVAL);
        let poll = Poll { owner: owner(who), protocol: Protocol::Dlm, lock: lock(name), reason: None, interval };
        let out = self.book.poll(poll, self.now());
        self.take(out)
    }

    fn hang_up(&mut self, connection: u64) -> Vec<u64> {
        let out = self.book.hang_up(ConnectionId(connection), self.now());
        self.take(out);
        self.offers()
    }

    /// Ends what this owner holds, and returns who was offered something.
    fn release(&mut self, who: &str, name: &str) -> Vec<u64> {
        let number = self.book.ledger().held_by(&lock(name), &owner(who)).unwrap().number;
        let out = self.book.release(&lock(name), &owner(who), number, self.now());
        assert!(matches!(self.take(out), Released::Ended(_)));
        self.offers()
    }

    fn force(&mut self, who: &str, name: &str, while_down: WhileDown) -> Released {
        let (by, reason) = (Note::new("ann").unwrap(), Note::new("disk died").unwrap());
        let force = Force { lock: lock(name), owner: owner(who), by, reason, while_down };
        let out = self.book.force_release(force, self.now());
        self.take(out)
    }

    fn terms(&mut self, name: &str, terms: Terms) -> Vec<u64> {
        let out = self.book.define(lock(name), terms, self.now());
        self.take(out);
        self.offers()
    }

    fn slots(&mut self, name: &str, slots: usize) -> Vec<u64> {
        self.terms(name, Terms { slots: NonZeroUsize::new(slots).unwrap(), ..Terms::default() })
    }

    fn holders(&self, name: &str) -> Vec<&str> {
        self.book.ledger().holders(&lock(name)).iter().map(|grant| grant.owner.as_str()).collect()
    }

    fn why(&self, who: &str, name: &str) -> String {
        self.book.why(&lock(name), &owner(who), None, self.now()).to_string()
    }
}

fn lock(name: &str) -> LockName {
    LockName::new(name).unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

fn locks(names: &str) -> LockSet {
    LockSet::new(names.split(' ').map(lock)).unwrap()
}

fn numbers(answer: Acquired) -> Vec<Number> {
    match answer {
        Acquired::Granted(grants) => grants.into_iter().map(|grant| grant.number).collect(),
        other => panic!("{other:?}"),
    }
}
