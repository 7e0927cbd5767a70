//! Who waits for somebody that waits for him.
//!
//! Locks that are asked for together cannot deadlock: nothing is held while the rest is awaited. Who holds one lock and then
//! waits for another one can, so each such wait is looked at before it begins.

use std::collections::BTreeSet;

use super::ledger::Ledger;
use super::queue::{Queue, Waiter};
use super::terms::Rules;
use crate::lock::name::Owner;

/// Whether an owner waits for what nobody can give back any more, because each who could waits as well.
///
/// An owner that waits for nothing is believed to give back what it holds some day. One that waits can go on if each lock that
/// it lacks has a free slot, or a holder that can go on.
pub(super) fn is_stuck(owner: &Owner, ledger: &Ledger, queue: &Queue, rules: &Rules) -> bool {
    let mut stuck: BTreeSet<&Owner> =
        queue.owners().filter(|other| *other == owner || ledger.is_holding(other)).collect();
    loop {
        let before = stuck.len();
        stuck = stuck.iter().copied().filter(|other| !can_go_on(other, &stuck, ledger, queue, rules)).collect();
        if !stuck.contains(owner) || stuck.len() == before {
            return stuck.contains(owner);
        }
    }
}

fn can_go_on(owner: &Owner, stuck: &BTreeSet<&Owner>, ledger: &Ledger, queue: &Queue, rules: &Rules) -> bool {
    let has_prospects = |waiter: &Waiter| {
        ledger.missing(&waiter.owner, &waiter.holder, &waiter.locks).all(|lock| {
            let holders = ledger.holders(lock);
            holders.len() < rules.slots(lock) || holders.iter().any(|grant| !stuck.contains(&grant.owner))
        })
    };
    queue.of_owner(owner).all(|(_, waiter)| has_prospects(waiter))
}
