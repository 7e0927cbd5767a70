//! One at a time on this host works with a lock, by hand, for its run or for its driver: the service grants a host again what it holds,
//! so two of one host would both believe that it is theirs.
//!
//! A file for each lock, locked as long as somebody asks for it, and by `hold` until its command has ended. It says nothing of who
//! holds the lock: that is remembered, or in the journal.

use std::time::{Duration, Instant};

use crate::cmd::asking::Wait;
use crate::error::{Error, Result};
use crate::lock::client::remembered::{self, Remembered};
use crate::lock::client::words::percent;
use crate::lock::client::{Backend, Held, Released};
use crate::lock::name::{LockName, LockSet};
use crate::paths::Paths;
use crate::sys::lockfile::{self, Lock};

/// Between two looks at what another one works with.
const PAUSE: Duration = Duration::from_millis(100);

/// Held as long as it lives.
#[derive(Debug)]
pub struct Alone {
    _locks: Vec<Lock>,
}

/// How the wait for it ended.
pub enum Turn {
    /// It is ours.
    Ours(Alone),
    /// A signal came first.
    Signal(i32),
}

/// Asks once.
///
/// # Errors
/// [`Error::Busy`] names the lock that another one works with.
pub fn now(paths: &Paths, locks: &LockSet) -> Result<Alone> {
    let one = |lock: &LockName| try_one(paths, lock)?.ok_or_else(|| busy(lock));
    Ok(Alone { _locks: locks.iter().map(one).collect::<Result<_>>()? })
}

/// Waits for it, in the order of the names: two that wait cannot wait for each other. `sleep` says which signal ended it early.
///
/// # Errors
/// [`Error::Busy`] as [`now`], when the time is over.
pub fn wait(paths: &Paths, locks: &LockSet, wait: Wait, sleep: impl Fn(Duration) -> Option<i32>) -> Result<Turn> {
    let began = Instant::now();
    let mut ours = Vec::new();
    for lock in locks.iter() {
        loop {
            if let Some(one) = try_one(paths, lock)? {
                ours.push(one);
                break;
            }
            let is_over = match wait {
                Wait::No => true,
                Wait::Forever => false,
                Wait::For(time) => began.elapsed() >= time,
            };
            if is_over {
                return Err(busy(lock));
            }
            if let Some(signal) = sleep(PAUSE) {
                return Ok(Turn::Signal(signal));
            }
        }
    }
    Ok(Turn::Ours(Alone { _locks: ours }))
}

/// A `hold` that could not give its lock back has left that to whoever works with the lock next; the grants that were given back.
///
/// # Errors
/// As [`Backend::release`]. What was given back by then is forgotten.
pub fn give_back_left_overs(paths: &Paths, backend: &dyn Backend, locks: &LockSet) -> Result<Vec<Held>> {
    let remembered = Remembered::read(paths)?;
    let over: Vec<Held> = locks.iter().filter_map(|lock| remembered.find_over(backend.kind(), lock)).cloned().collect();
    for held in &over {
        give_back(paths, backend, held)?;
    }
    Ok(over)
}

/// Gives a grant that this host remembers back, and forgets it.
///
/// # Errors
/// As [`Backend::release`]: then it is remembered still.
pub fn give_back(paths: &Paths, backend: &dyn Backend, held: &Held) -> Result<Released> {
    let ended = backend.release(held)?;
    remembered::ended(paths, held.kind, &held.lock)?;
    Ok(ended)
}

/// What is said of a grant that was left over.
pub fn left_over_words(held: &Held) -> String {
    format!("gave lock {} back first, whose command ended before ({})", held.lock, held.numbered())
}

fn try_one(paths: &Paths, lock: &LockName) -> Result<Option<Lock>> {
    lockfile::try_take(&paths.holds().join(percent(lock.as_str())))
}

fn busy(lock: &LockName) -> Error {
    Error::Busy(format!("another patch-lock or patch-run of this host works with lock {lock}"))
}
