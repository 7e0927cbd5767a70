//! What must come to pass in the end.

use std::time::Duration;

use super::super::queue::{KEEP_LIMIT, OFFER};
use super::interval;
use super::world::{Held, Link, Wish, World};

/// How long anybody holds a lock once all behave well.
const HOLD: Duration = Duration::from_mins(10);

impl World {
    /// All behave well from now on, but the holders of one lock, which never give it back. Who is there and does not want
    /// that lock is served.
    pub(super) fn drain(&mut self, stuck: Option<usize>) {
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
