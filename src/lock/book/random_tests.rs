//! Random requests against a naive model: a list of who holds, a list of who waits, and rules that are checked the slow way.
//!
//! The model does not say who is next; it knows what must never be seen. After each sequence everybody behaves well, and
//! each who waits must be served in a time that the rules bound.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::Book;
use super::acquire::{Ask, Poll, Wait};
use super::answer::{Acquired, Notice, Outcome, Refusal, Released};
use super::ledger::Ledger;
use super::queue::{ConnectionId, KEEP_LIMIT, MISSED_POLLS, OFFER};
use super::release::{Force, WhileDown};
use super::terms::{Rules, Terms};
use super::time::Now;
use crate::lock::grant::{Event, Grant, Holder, Number, Protocol};
use crate::lock::name::{HostId, LockName, LockSet, Note, Owner};
use crate::sys::clock::{self, Moment};

const SLOTS: [usize; 3] = [1, 1, 2];
/// Sequences of a hundred requests on average, in each of two tests.
const CASES: u32 = 500;
/// How long anybody holds a lock once all behave well.
const HOLD: Duration = Duration::from_mins(10);

/// Owner's name, and which host it is; `None`: a client that polls. Two are clones, one has a name in two protocols, and neither
/// is another one by its spelling.
const CLIENTS: [(&str, Option<&str>); 9] = [
    ("n0", Some("h0")),
    ("n1", Some("h1")),
    ("n2", Some("h2")),
    ("n3", Some("h3")),
    ("n4", Some("h4")),
    ("N0", Some("clone")),
    ("p0", None),
    ("p1", None),
    ("N1", None),
];

#[derive(Debug, Clone, Copy)]
enum Op {
    Ask { who: usize, mask: usize, is_waiting: bool },
    HangUp { who: usize },
    Withdraw { who: usize, mask: usize },
    Release { who: usize, lock: usize },
    Wrong { who: usize, lock: usize },
    Legacy { who: usize, lock: usize },
    Force { who: usize, lock: usize, while_down: WhileDown },
    Down { who: usize, lock: usize, seconds: i64 },
    Pass { seconds: u64 },
    Restart,
    Full { who: usize, lock: usize },
}

fn op(word: u32) -> Op {
    let pick = |shift: u32, count: usize| (word >> shift) as usize % count;
    let (who, lock, mask) = (pick(8, CLIENTS.len()), pick(12, SLOTS.len()), 1 + pick(16, 7));
    match word % 64 {
        0..=23 => Op::Ask { who, mask: if pick(20, 2) == 0 { 1 << lock } else { mask }, is_waiting: pick(24, 8) != 0 },
        24..=27 => Op::HangUp { who },
        28 => Op::Withdraw { who, mask },
        29..=38 => Op::Release { who, lock },
        39..=40 => Op::Wrong { who, lock },
        41..=43 => Op::Legacy { who, lock },
        44..=46 => {
            Op::Force { who, lock, while_down: if pick(20, 2) == 0 { WhileDown::Force } else { WhileDown::Refuse } }
        }
        47..=48 => Op::Down { who, lock, seconds: i64::from(word >> 24) },
        49..=60 => Op::Pass { seconds: [1, 5, 29, 30, 31, 60, 100, 400][pick(20, 8)] },
        61 => Op::Restart,
        _ => Op::Full { who, lock },
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Link {
    Open(u64),
    Gone(Duration),
    Polling(Duration),
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    who: usize,
    mask: usize,
    link: Link,
    /// Until when, and what.
    offer: Option<(Duration, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    lock: usize,
    who: usize,
    number: Number,
    since: Duration,
}

struct World {
    book: Book,
    up: Duration,
    connections: u64,
    highest: Number,
    history: Vec<Event>,
    held: Vec<Held>,
    wishes: Vec<Wish>,
}

static LOCKS: LazyLock<Vec<LockName>> =
    LazyLock::new(|| ["a", "b", "c"].map(|name| LockName::new(name).unwrap()).into());
static OWNERS: LazyLock<Vec<Owner>> =
    LazyLock::new(|| CLIENTS.iter().map(|client| Owner::new(client.0).unwrap()).collect());
static START: LazyLock<Moment> = LazyLock::new(|| clock::parse("2026-11-21T02:00:00Z").unwrap());

fn lock(index: usize) -> LockName {
    LOCKS[index].clone()
}

fn owner(who: usize) -> Owner {
    OWNERS[who].clone()
}

fn is_one_name(one: usize, other: usize) -> bool {
    CLIENTS[one].0.eq_ignore_ascii_case(CLIENTS[other].0)
}

fn is_polling(who: usize) -> bool {
    CLIENTS[who].1.is_none()
}

fn interval(who: usize) -> Duration {
    Duration::from_secs([60, 120, 300][who - 6])
}

fn set(mask: usize) -> LockSet {
    LockSet::new(bits(mask).map(lock)).unwrap()
}

fn bits(mask: usize) -> impl Iterator<Item = usize> {
    (0..SLOTS.len()).filter(move |index| mask & (1 << index) != 0)
}

fn rules() -> Rules {
    let mut rules = Rules::default();
    for (index, slots) in SLOTS.into_iter().enumerate() {
        rules.define(lock(index), Terms { slots: NonZeroUsize::new(slots).unwrap(), ..Terms::default() });
    }
    rules
}

impl World {
    fn new() -> Self {
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

    fn now(&self) -> Now {
        Now { moment: *START + TimeDelta::from_std(self.up).unwrap(), up: self.up }
    }

    fn is_present(&self, wish: &Wish) -> bool {
        match wish.link {
            Link::Open(_) => true,
            Link::Gone(_) => false,
            Link::Polling(last) => self.up < last + interval(wish.who),
        }
    }

    fn has(&self, who: usize, lock: usize) -> Option<Held> {
        self.held.iter().find(|held| held.lock == lock && held.who == who).copied()
    }

    fn missing(&self, who: usize, mask: usize) -> usize {
        bits(mask).filter(|lock| self.has(who, *lock).is_none()).map(|lock| 1 << lock).sum()
    }

    fn free(&self, lock: usize) -> usize {
        let held = self.held.iter().filter(|held| held.lock == lock).count();
        let offered =
            self.wishes.iter().filter(|wish| wish.offer.is_some_and(|(_, mask)| mask & (1 << lock) != 0)).count();
        assert!(held + offered <= SLOTS[lock], "more holders than slots");
        SLOTS[lock] - held - offered
    }

    /// Nobody that only wants this lock, is there and came earlier, is passed.
    fn check_order(&self, place: usize, who: usize, mask: usize) {
        for lock in bits(self.missing(who, mask)) {
            let earlier = self.wishes[..place].iter().filter(|wish| {
                wish.mask == 1 << lock && wish.offer.is_none() && self.is_present(wish) && wish.who != who
            });
            assert!(earlier.count() < self.free(lock), "an earlier waiter was passed");
        }
    }

    fn forget(&mut self) {
        let up = self.up;
        self.wishes.retain(|wish| match (wish.offer, wish.link) {
            (Some((until, _)), _) => up < until,
            (None, Link::Open(_)) => true,
            (None, Link::Gone(since)) => up < since + Duration::from_mins(1),
            (None, Link::Polling(last)) => up < last + interval(wish.who) * MISSED_POLLS,
        });
    }

    /// Takes what an outcome says besides its answer.
    fn take<T>(&mut self, out: Outcome<T>) -> T {
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
    fn forget_deadlocks(&mut self) {
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

    fn key(&self, who: usize, mask: usize) -> Option<usize> {
        self.wishes.iter().position(|wish| wish.who == who && wish.mask == mask)
    }

    fn ask(&mut self, who: usize, mask: usize, is_waiting: bool) -> bool {
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

    fn release(&mut self, who: usize, lock_index: usize) {
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

    fn act(&mut self, op: Op) {
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

    fn pass(&mut self, time: Duration) {
        self.up += time;
        self.forget();
        let out = self.book.tick(self.now());
        self.take(out);
    }

    fn check(&mut self) {
        let mut held: Vec<_> =
            self.held.iter().map(|held| (held.number, &LOCKS[held.lock], &OWNERS[held.who])).collect();
        held.sort_unstable();
        let mut granted: Vec<_> =
            self.book.ledger().grants().map(|grant| (grant.number, &grant.lock, &grant.owner)).collect();
        granted.sort_unstable();
        assert_eq!(granted, held, "a grant was lost or made up");
        for index in 0..SLOTS.len() {
            let free = self.free(index);
            let places = self.book.queue.of_lock(&LOCKS[index]);
            let seen: Vec<_> =
                places.map(|(_, w)| (w.owner.as_str(), w.is_present(self.up), w.offer.is_some())).collect();
            let waiting = self.wishes.iter().filter(|wish| wish.mask & (1 << index) != 0);
            let wished: Vec<_> = waiting
                .clone()
                .map(|wish| (CLIENTS[wish.who].0, self.is_present(wish), wish.offer.is_some()))
                .collect();
            assert_eq!(seen, wished, "the queue is not as it should be");
            let idle: Vec<_> = waiting.filter(|wish| wish.offer.is_none() && self.is_present(wish)).collect();
            let may_keep = |wish: &&&Wish| is_polling(wish.who) || wish.mask.count_ones() > 1;
            if idle.iter().filter(may_keep).count() < free {
                assert!(idle.iter().all(|wish| may_keep(&wish)), "a free slot is not offered");
            }
        }
    }

    /// What takes long to look for is looked for now and then: it does not go away by itself.
    fn check_closely(&mut self) {
        for wish in self.wishes.iter().filter(|wish| wish.offer.is_none() && matches!(wish.link, Link::Open(_))) {
            let is_alone = |lock: usize| {
                let others = self.wishes.iter().filter(|other| other.mask & (1 << lock) != 0 && other.offer.is_none());
                others.count() <= self.free(lock)
            };
            assert!(!bits(self.missing(wish.who, wish.mask)).all(is_alone), "a waiter has nothing left to wait for");
        }
        self.check_deadlock();
        let again = self.book.tick(self.now());
        assert!(again.events.is_empty() && again.notices.is_empty(), "a turn was forgotten");
    }

    /// No group of owners whose every member waits for what only members hold.
    fn check_deadlock(&self) {
        let names = ["n0", "n1", "n2", "n3", "n4", "p0", "p1"];
        let of =
            |who: usize| 1usize << names.iter().position(|name| name.eq_ignore_ascii_case(CLIENTS[who].0)).unwrap();
        let waiting = self.wishes.iter().fold(0, |group, wish| group | of(wish.who));
        let holding = self.held.iter().fold(0, |group, held| group | of(held.who));
        let both = waiting & holding;
        if both == 0 {
            return;
        }
        for group in (1..1usize << names.len()).filter(|group| group & !both == 0) {
            let is_blocked = |lock: usize| {
                let mut holders = self.held.iter().filter(|held| held.lock == lock);
                holders.clone().count() == SLOTS[lock] && holders.all(|held| of(held.who) & group != 0)
            };
            let is_stuck = |bit: usize| {
                let mut own = self.wishes.iter().filter(|wish| of(wish.who) == bit);
                own.any(|wish| bits(self.missing(wish.who, wish.mask)).any(is_blocked))
            };
            let members = (0..names.len()).map(|at| 1 << at).filter(|bit| group & bit != 0);
            assert!(!members.into_iter().all(is_stuck), "a deadlock");
        }
    }

    fn check_history(&self) {
        let mut replayed = Ledger::default();
        self.history.iter().for_each(|event| replayed.apply(event));
        assert_eq!(replayed.stored().grants, self.book.ledger().stored().grants, "the history tells another story");
    }

    /// All behave well from now on, but the holders of one lock, which never give it back. Who is there and does not want
    /// that lock is served.
    fn drain(&mut self, stuck: Option<usize>) {
        let wanted = |world: &Self| {
            let is_due = |wish: &&Wish| stuck.is_none_or(|lock| wish.mask & (1 << lock) == 0);
            world.wishes.iter().filter(is_due).filter(|wish| !matches!(wish.link, Link::Gone(_))).count()
        };
        let waits = u32::try_from(self.wishes.len()).unwrap();
        let end = self.up + KEEP_LIMIT * 8 + HOLD * 3 * waits;
        while wanted(self) > 0 {
            assert!(self.up < end, "a present waiter starves: {:?} {:?}", self.wishes, self.held);
            while let Some(wish) = self.wishes.iter().find(|wish| wish.offer.is_some()).copied() {
                if matches!(wish.link, Link::Gone(_)) {
                    self.pass(OFFER);
                } else {
                    assert!(self.ask(wish.who, wish.mask, false), "an offer was not kept");
                }
            }
            let over = |held: &&Held| Some(held.lock) != stuck && held.since + HOLD <= self.up;
            if let Some(held) = self.held.iter().find(over).copied() {
                self.release(held.who, held.lock);
                continue;
            }
            let polled = |wish: &Wish| match wish.link {
                Link::Polling(last) => Some((last + interval(wish.who).saturating_sub(Duration::from_secs(1)), *wish)),
                _ => None,
            };
            let next_poll = self.wishes.iter().filter_map(polled).min_by_key(|(at, _)| *at);
            if let Some((_, wish)) = next_poll.filter(|(at, _)| *at <= self.up) {
                self.ask(wish.who, wish.mask, true);
                continue;
            }
            let holds = self.held.iter().filter(|held| Some(held.lock) != stuck).map(|held| held.since + HOLD);
            let next = holds.chain(self.book.alarm()).chain(next_poll.map(|(at, _)| at)).min();
            let next = next.expect("somebody waits and nothing will ever happen");
            self.pass(next.saturating_sub(self.up));
        }
    }
}

fn requests() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(any::<u32>().prop_map(op), 1..200)
}

fn play(ops: Vec<Op>, stuck: Option<usize>) {
    let mut world = World::new();
    for (count, op) in ops.into_iter().enumerate() {
        world.act(op);
        world.check();
        if count % 8 == 0 {
            world.check_closely();
        }
    }
    world.check_closely();
    world.check_history();
    world.drain(stuck);
    world.check_history();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn no_order_of_requests_breaks_a_rule_and_all_are_served(ops in requests()) {
        play(ops, None);
    }

    #[test]
    fn no_order_of_requests_breaks_a_rule_and_a_lock_that_is_never_given_back_harms_no_other(
        ops in requests(),
        stuck in 0..SLOTS.len(),
    ) {
        play(ops, Some(stuck));
    }
}
