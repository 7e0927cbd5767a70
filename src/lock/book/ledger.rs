//! The durable half: which grants are held, and the highest number ever given.
//!
//! It changes by [`Event`]s alone, so that what a store replays and what the service has in memory cannot differ.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::lock::grant::{Change, Event, Grant, Holder, Number, Stored};
use crate::lock::name::{LockName, LockSet, Owner};
use crate::sys::glob;

/// Numbers beyond this are no numbers of ours: a store keeps them as signed 64 bits, and there must be room to go on.
const HIGHEST: u64 = i64::MAX as u64 / 2;

/// The grants that are held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    last: Option<Number>,
    locks: BTreeMap<LockName, Vec<Grant>>,
    owners: BTreeMap<Owner, usize>,
}

impl Ledger {
    /// Takes up what a store holds.
    ///
    /// # Errors
    /// [`Error::Refused`] if it contradicts itself: one number twice, one owner twice in a lock, a number above the highest.
    /// More holders than slots are no contradiction: the slots may have been lowered.
    pub fn restore(stored: Stored) -> Result<Self> {
        let wrong = |grant: &Grant, why: &str| {
            Error::refused(format!("stored grant {} of lock {}", grant.number, grant.lock), why)
        };
        if stored.last.is_some_and(|last| last.0 > HIGHEST) {
            return Err(Error::refused("the store", "its highest number is beyond all that were ever given"));
        }
        let mut ledger = Self { last: stored.last, ..Self::default() };
        let mut numbers = std::collections::BTreeSet::new();
        for grant in stored.grants {
            if Some(grant.number) > stored.last {
                return Err(wrong(&grant, "its number was never given; restore the store from a whole backup"));
            }
            if !numbers.insert(grant.number) || ledger.held_by(&grant.lock, &grant.owner).is_some() {
                return Err(wrong(&grant, "the store holds it twice; restore the store from a whole backup"));
            }
            ledger.insert(grant);
        }
        Ok(ledger)
    }

    /// What a store that applied every event holds now.
    pub fn stored(&self) -> Stored {
        Stored { last: self.last, grants: self.grants().cloned().collect() }
    }

    /// Applies one event. One of a grant that is not there changes nothing: applying a history twice does no harm.
    pub fn apply(&mut self, event: &Event) {
        match &event.change {
            Change::Granted { holder, reason } => {
                if self.last < Some(event.number) {
                    self.last = Some(event.number);
                    self.insert(Grant {
                        lock: event.lock.clone(),
                        number: event.number,
                        owner: event.owner.clone(),
                        holder: holder.clone(),
                        since: event.at,
                        reason: reason.clone(),
                        down_until: None,
                        told_overdue: None,
                    });
                }
            }
            Change::Released | Change::Forced { .. } => self.remove(&event.lock, event.number),
            Change::Down(until) => self.change(event, |grant| grant.down_until = *until),
            Change::Overdue => self.change(event, |grant| grant.told_overdue = Some(event.at)),
        }
    }

    /// The number for the next grant.
    pub fn next(&self) -> Number {
        Number(self.last.map_or(1, |last| last.0.saturating_add(1)))
    }

    /// Never to give again what another ledger gave.
    pub(super) fn continue_after(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
    }

    /// All grants, by lock, in the order in which they were given.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.locks.values().flatten()
    }

    /// The grants of a lock.
    pub fn holders(&self, lock: &LockName) -> &[Grant] {
        self.locks.get(lock).map_or(&[], Vec::as_slice)
    }

    /// The grant that an owner has of a lock; nobody has two of one.
    pub fn held_by(&self, lock: &LockName, owner: &Owner) -> Option<&Grant> {
        self.holders(lock).iter().find(|grant| grant.owner == *owner)
    }

    /// The grant that a person means by an owner's name: the one that is spelled like that, else the one of any spelling.
    pub fn meant(&self, lock: &LockName, owner: &Owner) -> Option<&Grant> {
        let spelled = |grant: &&Grant| grant.owner.as_str() == owner.as_str();
        let meant = |grant: &&Grant| glob::folded(grant.owner.as_str()) == glob::folded(owner.as_str());
        let holders = self.holders(lock);
        holders.iter().find(spelled).or_else(|| self.held_by(lock, owner)).or_else(|| {
            // Another spelling of an id that knows case, if nobody else can be meant.
            let mut others = holders.iter().filter(meant);
            others.next().filter(|_| others.next().is_none())
        })
    }

    /// The grant of a lock that has this number.
    pub fn numbered(&self, lock: &LockName, number: Number) -> Option<&Grant> {
        self.holders(lock).iter().find(|grant| grant.number == number)
    }

    /// Whether an owner holds anything.
    pub fn is_holding(&self, owner: &Owner) -> bool {
        self.owners.contains_key(owner)
    }

    /// Those of the locks that this owner does not hold as this holder.
    pub fn missing<'a>(
        &'a self,
        owner: &'a Owner,
        holder: &'a Holder,
        locks: &'a LockSet,
    ) -> impl Iterator<Item = &'a LockName> {
        locks.iter().filter(move |lock| !self.held_by(lock, owner).is_some_and(|grant| grant.holder.is_same(holder)))
    }

    fn insert(&mut self, grant: Grant) {
        *self.owners.entry(grant.owner.clone()).or_default() += 1;
        self.locks.entry(grant.lock.clone()).or_default().push(grant);
    }

    fn remove(&mut self, lock: &LockName, number: Number) {
        let Some(grants) = self.locks.get_mut(lock) else { return };
        let Some(at) = grants.iter().position(|grant| grant.number == number) else { return };
        let owner = grants.remove(at).owner;
        if grants.is_empty() {
            self.locks.remove(lock);
        }
        if let Some(count) = self.owners.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&owner);
            }
        }
    }

    fn change(&mut self, event: &Event, change: impl FnOnce(&mut Grant)) {
        let grants = self.locks.get_mut(&event.lock);
        if let Some(grant) = grants.into_iter().flatten().find(|grant| grant.number == event.number) {
            change(grant);
        }
    }
}
