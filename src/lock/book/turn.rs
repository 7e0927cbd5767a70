//! Whose turn it is: who of those that wait may have which of the slots that are free.
//!
//! The waiters are looked at in order of arrival. Who is there and can have all that it lacks, gets it. Who lacks a lock that
//! is not free is passed, with one exception: for a waiter of several locks that is the next one for each lock that it
//! lacks, the free ones are *kept*, for as long as its patience ([`super::queue::KEEP`], doubled each time it was passed)
//! lasts, and unless all holders of one that it lacks have it for longer than [`super::queue::KEEP_LIMIT`]: these are lost, as
//! far as anybody can tell. So nobody holds up others for ever, least of all behind a lock that is never given back; and
//! holders that give back within that limit cannot keep it waiting for ever.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Ledger;
use super::queue::{KEEP_LIMIT, Link, Queue, Seq, Waiter};
use super::terms::Rules;
use super::time::Now;
use crate::lock::grant::Grant;
use crate::lock::name::LockName;

/// What is due to one waiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// It can have these locks, which are all that it lacks.
    Take(Vec<LockName>),
    /// These slots are kept for it while it lacks others.
    Keep,
}

/// Looks through the queue. `here` is the waiter whose request is being answered: it is there, whatever its link says.
pub(super) fn turns(ledger: &Ledger, queue: &Queue, rules: &Rules, here: Option<Seq>, now: Now) -> Vec<(Seq, Turn)> {
    let mut look = Look { ledger, queue, rules, here, now, free: free(ledger, queue, rules), served: BTreeSet::new() };
    let mut turns = Vec::new();
    let mut at = None;
    while let Some(seq) = look.next_after(at) {
        at = Some(seq);
        if let Some(turn) = queue.get(seq).filter(|waiter| look.is_there(seq, waiter)).and_then(|w| look.turn(seq, w)) {
            turns.push((seq, turn));
        }
    }
    turns
}

struct Look<'a> {
    ledger: &'a Ledger,
    queue: &'a Queue,
    rules: &'a Rules,
    here: Option<Seq>,
    now: Now,
    /// The locks that somebody waits for and that have slots left.
    free: BTreeMap<&'a LockName, usize>,
    served: BTreeSet<Seq>,
}

impl<'a> Look<'a> {
    /// The next in the order of arrival who waits for a lock that has a slot left; the others cannot get anything.
    fn next_after(&self, at: Option<Seq>) -> Option<Seq> {
        self.free.keys().filter_map(|lock| self.queue.first_after(lock, at)).min()
    }

    /// A waiter with an offer has its turn already.
    fn is_there(&self, seq: Seq, waiter: &Waiter) -> bool {
        waiter.offer.is_none() && (self.here == Some(seq) || waiter.is_present(self.now.up))
    }

    fn turn(&mut self, seq: Seq, waiter: &'a Waiter) -> Option<Turn> {
        let missing: Vec<_> = self.ledger.missing(&waiter.owner, &waiter.holder, &waiter.locks).collect();
        let (open, shut): (Vec<_>, Vec<_>) = missing.into_iter().partition(|lock| self.free.contains_key(lock));
        if shut.is_empty() {
            self.served.insert(seq);
            self.claim(&open);
            return Some(Turn::Take(open.into_iter().cloned().collect()));
        }
        let is_patient = waiter.keep.is_none_or(|until| self.now.up < until);
        if open.is_empty()
            || !is_patient
            || !shut.into_iter().all(|lock| self.is_next(lock, seq) && self.is_coming(lock))
        {
            return None;
        }
        self.claim(&open);
        Some(Turn::Keep)
    }

    fn is_next(&self, lock: &LockName, seq: Seq) -> bool {
        let mut waiters = self.queue.of_lock(lock).filter(|(other, _)| !self.served.contains(other));
        waiters.find(|(other, waiter)| self.is_there(*other, waiter)).is_some_and(|(first, _)| first == seq)
    }

    /// Whether somebody may be expected to give it back: not all have held it for longer than anybody should.
    fn is_coming(&self, lock: &LockName) -> bool {
        let held = |grant: &Grant| self.now.moment.signed_duration_since(grant.since).to_std().unwrap_or_default();
        let holders = self.ledger.holders(lock);
        holders.len() < self.rules.slots(lock) || holders.iter().any(|grant| held(grant) <= KEEP_LIMIT)
    }

    fn claim(&mut self, locks: &[&'a LockName]) {
        for lock in locks {
            if let Some(slots) = self.free.get_mut(lock) {
                *slots -= 1;
                if *slots == 0 {
                    self.free.remove(lock);
                }
            }
        }
    }
}

fn free<'a>(ledger: &Ledger, queue: &'a Queue, rules: &Rules) -> BTreeMap<&'a LockName, usize> {
    let mut offered: BTreeMap<&LockName, usize> = BTreeMap::new();
    for lock in queue.offered().flat_map(|(_, offer)| &offer.locks) {
        *offered.entry(lock).or_default() += 1;
    }
    let left = |lock: &LockName| {
        let taken = ledger.holders(lock).len() + offered.get(lock).copied().unwrap_or_default();
        rules.slots(lock).saturating_sub(taken)
    };
    queue.locks().map(|lock| (lock, left(lock))).filter(|(_, left)| *left > 0).collect()
}

/// Whether a waiter is sent its turn; one that polls finds it.
pub(super) fn is_pushed(waiter: &Waiter) -> bool {
    matches!(waiter.link, Link::Open(_))
}
