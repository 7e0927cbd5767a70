//! Random requests against a naive model: a list of who holds, a list of who waits, and rules that are checked the slow way.
//!
//! The model does not say who is next; it knows what must never be seen. After each sequence everybody behaves well, and
//! each who waits must be served in a time that the rules bound.

mod acts;
mod end;
mod promises;
mod world;

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;

use super::release::WhileDown;
use super::terms::{Rules, Terms};
use crate::lock::name::{LockName, LockSet, Owner};
use crate::sys::clock::{self, Moment};

use world::World;

const SLOTS: [usize; 3] = [1, 1, 2];
/// Sequences of a hundred requests on average, in each of two tests.
const CASES: u32 = 500;

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
