//! The half that lives in memory only: who waits, in which order, and who of them is there.
//!
//! Each waiter has a place in one order for all locks, the order of arrival; a queue of a lock is that order, seen from the
//! lock. Every waiter has at most one alarm, the moment at which time alone changes something about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::lock::grant::Holder;
use crate::lock::name::{LockName, LockSet, Owner};

/// How long an offer stands.
pub const OFFER: Duration = Duration::from_secs(30);
/// How long a waiter whose connection is gone keeps its place. It is offered nothing meanwhile.
pub const AWAY: Duration = Duration::from_mins(1);
/// A polling client that has not polled for so many of its intervals is forgotten.
pub const MISSED_POLLS: u32 = 3;
/// No polling client is waited for longer than this, whatever it says of its interval.
pub const POLL_LIMIT: Duration = Duration::from_mins(15);
/// Nor for less than this.
pub const POLL_LEAST: Duration = Duration::from_secs(1);
/// How long free slots are kept, the first time, for a waiter that still lacks another lock.
pub const KEEP: Duration = Duration::from_mins(1);
/// How long they are kept at most: as long as a patch run with its reboots should ever hold a lock.
pub const KEEP_LIMIT: Duration = Duration::from_hours(1);

/// One open request of a client that waits. The caller numbers them, and never uses a number again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A place in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub(super) u64);

/// How a waiter can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// By its open connection.
    Open(ConnectionId),
    /// Not since then.
    Gone(Duration),
    /// It comes by itself.
    Polling { last: Duration, interval: Duration },
}

/// Slots that were offered and are neither accepted nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub locks: Vec<LockName>,
    pub until: Duration,
}

/// Somebody who waits.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub owner: Owner,
    pub holder: Holder,
    pub locks: LockSet,
    pub link: Link,
    pub offer: Option<Offer>,
    /// Until when free slots are kept for it; once past, it may be passed.
    pub keep: Option<Duration>,
    /// How often it was passed.
    pub passed: u32,
    alarm: Option<Duration>,
}

impl Waiter {
    pub fn new(owner: Owner, holder: Holder, locks: LockSet, link: Link) -> Self {
        Self { owner, holder, locks, link, offer: None, keep: None, passed: 0, alarm: None }
    }

    /// Whether it is there to take what it would be given: connected, or due to poll.
    pub fn is_present(&self, up: Duration) -> bool {
        match self.link {
            Link::Open(_) => true,
            Link::Gone(_) => false,
            Link::Polling { last, interval } => up < last.saturating_add(interval),
        }
    }

    /// Whether it has been away for too long to keep its place.
    pub fn is_lost(&self, up: Duration) -> bool {
        self.offer.is_none() && self.forgotten_at().is_some_and(|at| at <= up)
    }

    /// Whether its offer was not accepted in time.
    pub fn is_lapsed(&self, up: Duration) -> bool {
        self.offer.as_ref().is_some_and(|offer| offer.until <= up)
    }

    /// How long slots are kept for it: twice as long each time that it was passed, so that it is longer than anybody holds
    /// a lock in the end.
    pub fn patience(&self) -> Duration {
        let times = 1u32.checked_shl(self.passed).unwrap_or(u32::MAX);
        KEEP.saturating_mul(times).min(KEEP_LIMIT)
    }

    fn forgotten_at(&self) -> Option<Duration> {
        match self.link {
            Link::Open(_) => None,
            Link::Gone(since) => Some(since.saturating_add(AWAY)),
            Link::Polling { last, interval } => Some(last.saturating_add(interval.saturating_mul(MISSED_POLLS))),
        }
    }

    /// The next moment after `up` at which time alone changes something.
    fn next_alarm(&self, up: Duration) -> Option<Duration> {
        if let Some(offer) = &self.offer {
            return Some(offer.until);
        }
        let absent = match self.link {
            Link::Polling { last, interval } => Some(last.saturating_add(interval)),
            _ => None,
        };
        [absent, self.forgotten_at(), self.keep].into_iter().flatten().filter(|at| *at > up).min()
    }
}

/// All who wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    next: u64,
    waiters: BTreeMap<Seq, Waiter>,
    locks: BTreeMap<LockName, BTreeSet<Seq>>,
    owners: BTreeMap<Owner, BTreeSet<Seq>>,
    connections: BTreeMap<ConnectionId, Seq>,
    alarms: BTreeSet<(Duration, Seq)>,
    offered: BTreeSet<Seq>,
}

impl Queue {
    /// Puts a waiter at the end.
    pub fn push(&mut self, waiter: Waiter, up: Duration) -> Seq {
        let seq = Seq(self.next);
        self.next += 1;
        for lock in waiter.locks.iter() {
            self.locks.entry(lock.clone()).or_default().insert(seq);
        }
        self.owners.entry(waiter.owner.clone()).or_default().insert(seq);
        self.place(seq, waiter, up);
        seq
    }

    /// Takes a waiter out.
    pub fn remove(&mut self, seq: Seq) -> Option<Waiter> {
        let waiter = self.lift(seq)?;
        for lock in waiter.locks.iter() {
            forget(&mut self.locks, lock, seq);
        }
        forget(&mut self.owners, &waiter.owner, seq);
        Some(waiter)
    }

    /// Changes what is known of a waiter; its owner and its locks stay.
    pub fn change(&mut self, seq: Seq, up: Duration, change: impl FnOnce(&mut Waiter)) {
        if let Some(mut waiter) = self.lift(seq) {
            change(&mut waiter);
            self.place(seq, waiter, up);
        }
    }

    /// Sets the alarm of a waiter anew.
    pub fn rearm(&mut self, seq: Seq, up: Duration) {
        self.change(seq, up, |_| ());
    }

    pub fn get(&self, seq: Seq) -> Option<&Waiter> {
        self.waiters.get(&seq)
    }

    /// The one who waits for exactly this.
    pub fn find(&self, owner: &Owner, holder: &Holder, locks: &LockSet) -> Option<Seq> {
        self.of_owner(owner)
            .find(|(_, waiter)| waiter.locks == *locks && waiter.holder.is_same(holder))
            .map(|(seq, _)| seq)
    }

    pub fn of_owner(&self, owner: &Owner) -> impl Iterator<Item = (Seq, &Waiter)> {
        self.named(self.owners.get(owner))
    }

    pub fn of_lock(&self, lock: &LockName) -> impl Iterator<Item = (Seq, &Waiter)> {
        self.named(self.locks.get(lock))
    }

    /// The first place after `after` in the queue of a lock.
    pub fn first_after(&self, lock: &LockName, after: Option<Seq>) -> Option<Seq> {
        let places = self.locks.get(lock)?;
        match after {
            None => places.first().copied(),
            Some(Seq(seq)) => places.range(Seq(seq + 1)..).next().copied(),
        }
    }

    pub fn of_connection(&self, connection: ConnectionId) -> Option<Seq> {
        self.connections.get(&connection).copied()
    }

    pub fn offered(&self) -> impl Iterator<Item = (Seq, &Offer)> {
        self.offered.iter().filter_map(|seq| Some((*seq, self.waiters.get(seq)?.offer.as_ref()?)))
    }

    /// The locks that somebody waits for.
    pub fn locks(&self) -> impl Iterator<Item = &LockName> {
        self.locks.keys()
    }

    /// The owners that wait for something.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.owners.keys()
    }

    pub fn length(&self, lock: &LockName) -> usize {
        self.locks.get(lock).map_or(0, BTreeSet::len)
    }

    /// How many stand in the queue of a lock up to this place, itself included.
    pub fn place_of(&self, lock: &LockName, seq: Seq) -> usize {
        self.locks.get(lock).map_or(0, |places| places.range(..=seq).count())
    }

    /// The first alarm of all.
    pub fn alarm(&self) -> Option<(Duration, Seq)> {
        self.alarms.first().copied()
    }

    fn named(&self, places: Option<&BTreeSet<Seq>>) -> impl Iterator<Item = (Seq, &Waiter)> {
        places.into_iter().flatten().filter_map(|seq| Some((*seq, self.waiters.get(seq)?)))
    }

    fn lift(&mut self, seq: Seq) -> Option<Waiter> {
        let waiter = self.waiters.remove(&seq)?;
        if let Some(at) = waiter.alarm {
            self.alarms.remove(&(at, seq));
        }
        if let Link::Open(connection) = waiter.link {
            self.connections.remove(&connection);
        }
        self.offered.remove(&seq);
        Some(waiter)
    }

    fn place(&mut self, seq: Seq, mut waiter: Waiter, up: Duration) {
        waiter.alarm = waiter.next_alarm(up);
        if let Some(at) = waiter.alarm {
            self.alarms.insert((at, seq));
        }
        if let Link::Open(connection) = waiter.link {
            self.connections.insert(connection, seq);
        }
        if waiter.offer.is_some() {
            self.offered.insert(seq);
        }
        self.waiters.insert(seq, waiter);
    }
}

/// Nothing is left behind under a name that nobody waits for: clients choose the names.
fn forget<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Seq>>, key: &K, seq: Seq) {
    if let Some(places) = index.get_mut(key) {
        places.remove(&seq);
        if places.is_empty() {
            index.remove(key);
        }
    }
}
