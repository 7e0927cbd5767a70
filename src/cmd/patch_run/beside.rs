//! Who else of this host works with the lock of a run: hands, the patch run, a driver by another configuration. A service grants a host
//! again what it holds, and a run would give that back at its end.

use crate::cmd::alone::{self, Alone};
use crate::cmd::asking;
use crate::cmd::locking;
use crate::error::{Error, Result};
use crate::lock::client::Backend;
use crate::lock::client::Kind;
use crate::lock::client::remembered::Remembered;
use crate::lock::name::LockSet;
use crate::phase::drivers;
use crate::phase::settings::Level;

use super::driver::Driver;
use super::end::End;

/// Whether this driver may work with its locks on this host.
pub(super) enum Place {
    /// It may, as long as this lives.
    Ours(Alone),
    /// It may not, and ends.
    Taken(End),
}

impl Driver<'_> {
    /// Takes the place of the one who works with these locks here, and gives back what one before left over.
    ///
    /// # Errors
    /// If it cannot be found out who else does.
    pub(super) fn place(&mut self, backend: &dyn Backend, locks: &LockSet, wait: asking::Wait) -> Result<Place> {
        let alone = match alone::wait(self.paths, locks, wait, |time| self.stop.sleep(time)) {
            Ok(alone::Turn::Ours(alone)) => alone,
            Ok(alone::Turn::Signal(signal)) => return Ok(Place::Taken(End::Signal(signal))),
            Err(Error::Busy(why)) => {
                self.voice.decide(Level::Warning, format_args!("the lock is not ours: {why}"));
                return Ok(Place::Taken(End::NotYet(why)));
            }
            Err(error) => return Err(error),
        };
        match alone::give_back_left_overs(self.paths, backend, locks) {
            Ok(over) => over.iter().for_each(|over| self.voice.decide(Level::Info, alone::left_over_words(over))),
            Err(error @ Error::Unreachable { .. }) => return Ok(Place::Taken(self.unreachable(&error))),
            Err(error) => return Err(error),
        }
        if let Some(why) = self.taken_beside_us(backend.kind(), locks)? {
            self.voice.decide(Level::Warning, &why);
            return Ok(Place::Taken(End::NotYet(why)));
        }
        Ok(Place::Ours(alone))
    }

    /// Who else has taken one of these locks on this host. A service grants a host again what it holds, and this run would give it
    /// back at its end.
    ///
    /// # Errors
    /// If it cannot be found out.
    pub(super) fn taken_beside_us(&self, kind: Kind, locks: &LockSet) -> Result<Option<String>> {
        let by_hand = Remembered::read(self.paths)?;
        if let Some(held) = locks.iter().find_map(|lock| by_hand.find(kind, lock)) {
            let lock = &held.lock;
            return Ok(Some(format!(
                "lock {lock} is held by hand on this host; patch-lock release {lock} gives it back"
            )));
        }
        let of_chain = locking::of_chain(self.paths)?;
        let held = of_chain.iter().find(|held| held.kind == kind && locks.iter().any(|lock| held.lock == *lock));
        if let Some(held) = held {
            return Ok(Some(format!("lock {} is held by the patch run of this host; see patch-status", held.lock)));
        }
        let others = drivers::others(self.paths, &self.settings.state)?;
        let found =
            others.iter().find_map(|other| Some((other, locks.iter().find(|lock| other.may_hold(kind, lock))?)));
        Ok(found.map(|(other, lock)| {
            format!(
                "lock {lock} is with another run of this host, whose state file is {}; let that end, or end it with --abandon under its configuration",
                other.state.display()
            )
        }))
    }
}
