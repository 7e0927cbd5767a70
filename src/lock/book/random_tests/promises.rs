//! What must never be seen, looked for the slow way.

use super::super::ledger::Ledger;
use super::world::{Link, Wish, World};
use super::{CLIENTS, LOCKS, OWNERS, SLOTS, bits, is_polling};

impl World {
    /// Nobody that only wants this lock, is there and came earlier, is passed.
    pub(super) fn check_order(&self, place: usize, who: usize, mask: usize) {
        for lock in bits(self.missing(who, mask)) {
            let earlier = self.wishes[..place].iter().filter(|wish| {
                wish.mask == 1 << lock && wish.offer.is_none() && self.is_present(wish) && wish.who != who
            });
            assert!(earlier.count() < self.free(lock), "an earlier waiter was passed");
        }
    }

    pub(super) fn check(&mut self) {
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
    pub(super) fn check_closely(&mut self) {
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

    pub(super) fn check_history(&self) {
        let mut replayed = Ledger::default();
        self.history.iter().for_each(|event| replayed.apply(event));
        assert_eq!(replayed.stored().grants, self.book.ledger().stored().grants, "the history tells another story");
    }
}
