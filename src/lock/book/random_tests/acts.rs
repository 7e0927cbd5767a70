//! What they do: each request changes the book, and by itself what must have become of it.

use std::time::Duration;

use chrono::TimeDelta;

use super::super::Book;
use super::super::acquire::{Ask, Poll, Wait};
use super::super::answer::{Acquired, Outcome, Refusal, Released};
use super::super::queue::ConnectionId;
use super::super::release::{Force, WhileDown};
use super::world::{Held, Link, Wish, World};
use super::{CLIENTS, Op, bits, interval, is_one_name, is_polling, lock, owner, rules, set};
use crate::lock::grant::{Grant, Number, Protocol};
use crate::lock::name::{HostId, Note};

impl World {
    pub(super) fn ask(&mut self, who: usize, mask: usize, is_waiting: bool) -> bool {
        let mask = if is_polling(who) { 1 << mask.trailing_zeros() } else { mask };
        self.forget();
        let clashes = |other: usize| other != who && is_one_name(other, who);
        let is_refused = self.held.iter().any(|held| mask & (1 << held.lock) != 0 && clashes(held.who))
            || self.wishes.iter().any(|wish| {
                mask & wish.mask != 0 && clashes(wish.who) && (wish.offer.is_some() || self.is_present(wish))
            });
        if !is_refused {
            self.wishes.retain(|wish| mask & wish.mask == 0 || !clashes(wish.who));
        } else if let Some(at) = self.key(who, mask) {
            let is_held = self.held.iter().any(|held| mask & (1 << held.lock) != 0 && clashes(held.who));
            if is_held {
                self.wishes.remove(at);
            }
        }
        let (out, link) = self.send(who, mask, is_waiting);
        let place = self.key(who, mask);
        match &out.answer {
            Acquired::Granted(grants) => {
                assert!(!is_refused, "granted to a clone");
                let own = place.map(|at| self.wishes.remove(at));
                let missing = self.missing(who, mask);
                let is_offered = own.and_then(|wish| wish.offer).is_some_and(|(_, mask)| mask & missing == missing);
                if !is_offered {
                    self.check_order(place.unwrap_or(self.wishes.len()), who, mask);
                }
                self.check_grants(who, mask, grants);
            }
            Acquired::Waiting(places) => {
                assert!(!is_refused && !places.is_empty());
                match (place, link) {
                    (Some(at), Some(link)) => {
                        let is_void = |(_, offer): (Duration, usize)| self.missing(who, mask) & !offer != 0;
                        self.wishes[at].offer = self.wishes[at].offer.filter(|offer| !is_void(*offer));
                        self.wishes[at].link = link;
                    }
                    (None, Some(link)) => self.wishes.push(Wish { who, mask, link, offer: None }),
                    (_, None) => panic!("waits though it did not want to"),
                }
            }
            Acquired::Busy => {
                assert!(!is_refused && link.is_none());
                if let Some(at) = place {
                    self.wishes[at].offer = None;
                }
            }
            Acquired::Refused(Refusal::Deadlock { .. }) => {
                assert!(!is_refused && self.held.iter().any(|held| is_one_name(held.who, who)));
                if let Some(at) = place {
                    self.wishes.remove(at);
                }
            }
            Acquired::Refused(_) => assert!(is_refused, "refused without need"),
        }
        if matches!(out.answer, Acquired::Granted(_)) {
            self.forget_deadlocks();
        }
        self.take(out);
        self.missing(who, mask) == 0
    }

    fn send(&mut self, who: usize, mask: usize, is_waiting: bool) -> (Outcome<Acquired>, Option<Link>) {
        self.connections += 1;
        let Some(host) = CLIENTS[who].1 else {
            let lock = lock(mask.trailing_zeros() as usize);
            let poll = Poll { owner: owner(who), protocol: Protocol::Dlm, lock, reason: None, interval: interval(who) };
            return (self.book.poll(poll, self.now()), Some(Link::Polling(self.up)));
        };
        let wait = if is_waiting { Wait::Open(ConnectionId(self.connections)) } else { Wait::No };
        let ask = Ask {
            owner: owner(who),
            host_id: HostId::new(host).unwrap(),
            boot: Note::new("b").unwrap(),
            locks: set(mask),
            reason: None,
            wait,
        };
        (self.book.acquire(ask, self.now()), is_waiting.then_some(Link::Open(self.connections)))
    }

    fn check_grants(&mut self, who: usize, mask: usize, grants: &[Grant]) {
        assert_eq!(grants.len(), bits(mask).count(), "all or none");
        for (index, grant) in bits(mask).zip(grants) {
            assert_eq!((&grant.lock, &grant.owner), (&lock(index), &owner(who)));
            if let Some(held) = self.has(who, index) {
                assert_eq!(held.number, grant.number, "the same answer to the same holder");
                continue;
            }
            assert!(grant.number > self.highest, "numbers only grow");
            self.highest = grant.number;
            self.held.push(Held { lock: index, who, number: grant.number, since: self.up });
        }
    }

    fn ended(&mut self, answer: &Released, expected: Option<Held>) {
        match (answer, expected) {
            (Released::Ended(grant), Some(held)) => {
                assert_eq!(grant.number, held.number);
                self.held.retain(|other| *other != held);
                let is_void = |wish: &Wish| wish.mask & (1 << held.lock) != 0 && is_one_name(wish.who, held.who);
                for wish in self.wishes.iter_mut().filter(|wish| is_void(wish)) {
                    wish.offer = None;
                }
            }
            (Released::Ended(grant), None) => panic!("grant {} was lost", grant.number),
            (other, Some(held)) => panic!("{held:?} is not released: {other:?}"),
            _ => (),
        }
    }

    pub(super) fn release(&mut self, who: usize, lock_index: usize) {
        let Some(held) = self.has(who, lock_index) else { return };
        self.forget();
        let out = self.book.release(&lock(lock_index), &owner(who), held.number, self.now());
        self.ended(&out.answer, Some(held));
        self.take(out);
    }

    fn force(&mut self, who: usize, lock_index: usize, while_down: WhileDown) {
        let held = self.held.iter().find(|held| held.lock == lock_index && is_one_name(held.who, who)).copied();
        let moment = self.now().moment;
        let is_down =
            self.book.ledger().held_by(&lock(lock_index), &owner(who)).is_some_and(|grant| grant.is_down(moment));
        let note = |text| Note::new(text).unwrap();
        let (by, reason) = (note("ann"), note("gone"));
        let force = Force { lock: lock(lock_index), owner: owner(who), by, reason, while_down };
        let out = self.book.force_release(force, self.now());
        self.forget();
        self.ended(&out.answer, held.filter(|_| !is_down || while_down == WhileDown::Force));
        self.take(out);
    }

    pub(super) fn act(&mut self, op: Op) {
        match op {
            Op::Ask { who, mask, is_waiting } => {
                self.ask(who, mask, is_waiting);
            }
            Op::HangUp { who } => {
                self.forget();
                let open = self.wishes.iter_mut().find(|wish| wish.who == who && matches!(wish.link, Link::Open(_)));
                let Some(wish) = open else { return };
                let Link::Open(connection) = wish.link else { return };
                wish.link = Link::Gone(self.up);
                let out = self.book.hang_up(ConnectionId(connection), self.now());
                self.take(out);
            }
            Op::Withdraw { who, mask } => {
                let Some(host) = CLIENTS[who].1 else { return };
                self.forget();
                let place = self.key(who, mask);
                let out = self.book.withdraw(&owner(who), &HostId::new(host).unwrap(), &set(mask), self.now());
                assert_eq!(out.answer, place.is_some());
                place.map(|at| self.wishes.remove(at));
                self.take(out);
            }
            Op::Release { who, lock } => self.release(who, lock),
            Op::Wrong { who, lock: index } => {
                let others = self.held.iter().find(|held| !is_one_name(held.who, who) && held.lock == index);
                let number = others.map_or(Number(self.highest.0 + 1), |held| held.number);
                let out = self.book.release(&lock(index), &owner(who), number, self.now());
                self.ended(&out.answer, None);
                self.forget();
                self.take(out);
            }
            Op::Legacy { who, lock: index } => {
                self.forget();
                let is_legacy = |other: usize| is_polling(other) && is_one_name(other, who);
                self.wishes.retain(|wish| !is_legacy(wish.who) || wish.mask != 1 << index);
                let held = self.held.iter().find(|held| held.lock == index && is_legacy(held.who)).copied();
                let out = self.book.release_legacy(&lock(index), &owner(who), self.now());
                self.ended(&out.answer, held);
                self.take(out);
            }
            Op::Force { who, lock, while_down } => self.force(who, lock, while_down),
            Op::Down { who, lock: index, seconds } => {
                let Some(held) = self.has(who, index) else { return };
                let until = self.now().moment + TimeDelta::seconds(seconds);
                let out = self.book.down_until(&lock(index), &owner(who), held.number, Some(until), self.now());
                self.forget();
                self.take(out);
            }
            Op::Pass { seconds } => self.pass(Duration::from_secs(seconds)),
            Op::Restart => {
                self.wishes.clear();
                self.book = Book::restore(self.book.ledger().stored(), rules()).unwrap();
            }
            Op::Full { who, lock } => self.full(who, lock),
        }
    }

    /// A release or an acquire that cannot be written.
    fn full(&mut self, who: usize, lock: usize) {
        let (stored, held, events) = (self.book.ledger().stored(), self.held.clone(), self.history.len());
        if self.has(who, lock).is_some() {
            self.release(who, lock);
        } else {
            self.ask(who, 1 << lock, false);
        }
        self.history.truncate(events);
        self.held = held;
        for wish in &mut self.wishes {
            wish.offer = None;
        }
        let out = self.book.go_back(stored, self.now()).unwrap();
        self.forget_deadlocks();
        self.take(out);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.up += time;
        self.forget();
        let out = self.book.tick(self.now());
        self.take(out);
    }
}
