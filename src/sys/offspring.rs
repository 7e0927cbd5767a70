//! What a process has started, and what that has left behind: found by descent, not by process group, for timeout(1) and shells with
//! job control make groups of their own.
//!
//! Whoever loses its parent is left to us ([`adopt`]), so the descent never breaks. Who has left our session, as a daemon does, is
//! not at work for us any more.

use std::collections::BTreeMap;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::proc_stat::{self, Stat};
use crate::error::{Error, Result};

/// How many are named to people.
const NAMED: usize = 5;
/// Who forks faster than it can be told is not run after for ever.
const ROUNDS: usize = 10;

/// From here on orphans among our descendants are ours, and are to be reaped by us.
///
/// # Errors
/// [`Error::Failed`]: then what a child leaves behind cannot be known.
pub fn adopt() -> Result<()> {
    prctl::set_child_subreaper(true).map_err(|why| Error::failed("adopt", "what children leave behind", why))
}

/// Those of our session that descend from us and work.
pub fn at_work() -> Vec<Stat> {
    let us = getpid().as_raw();
    let all: BTreeMap<i32, Stat> = proc_stat::all().map(|process| (process.id, process)).collect();
    descendants(us, &all)
}

/// Sends a signal to each of them and to those that they start meanwhile, and the word to go on. Nobody is sent it twice, nor a stranger
/// who has got the number of one that ended.
pub fn pass_on(signal: Signal) {
    let mut told: Vec<Stat> = Vec::new();
    for _ in 0..ROUNDS {
        let is_new = |process: &Stat| !told.iter().any(|known| known.id == process.id && known.start == process.start);
        let new: Vec<Stat> = at_work().into_iter().filter(is_new).collect();
        if new.is_empty() {
            return;
        }
        for process in &new {
            if proc_stat::of(process.id).is_some_and(|now| now.start == process.start) {
                let _ = kill(Pid::from_raw(process.id), signal);
                // Who was stopped cannot hear it.
                let _ = kill(Pid::from_raw(process.id), Signal::SIGCONT);
            }
        }
        told.extend(new);
    }
}

/// Who they are, for people: `sleep (4711), sh (4712)`.
pub fn named(them: &[Stat]) -> String {
    let name = |id: i32| std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_else(|_| "process".into());
    let names: Vec<String> =
        them.iter().take(NAMED).map(|process| format!("{} ({})", name(process.id).trim_end(), process.id)).collect();
    let more = them.len().saturating_sub(NAMED);
    names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

fn descendants(us: i32, all: &BTreeMap<i32, Stat>) -> Vec<Stat> {
    let Some(session) = all.get(&us).map(|process| process.session) else { return Vec::new() };
    let at_work = |process: &&Stat| process.id != us && !process.zombie && process.session == session;
    all.values().filter(at_work).filter(|process| descends(process, us, all)).copied().collect()
}

/// The numbers were not read in one moment: a chain that turns back on itself is none.
fn descends(process: &Stat, us: i32, all: &BTreeMap<i32, Stat>) -> bool {
    let mut above = process.parent;
    for _ in 0..all.len() {
        if above == us {
            return true;
        }
        match all.get(&above) {
            Some(process) => above = process.parent,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: i32, parent: i32, session: i32) -> (i32, Stat) {
        (id, Stat { id, zombie: false, parent, group: id, session, has_terminal: false, start: 7 })
    }

    #[test]
    fn whoever_descends_from_us_in_our_session_is_at_work() {
        let mut all = BTreeMap::from([
            process(10, 1, 10),
            process(11, 10, 10),
            process(12, 11, 10),
            process(13, 1, 10),
            process(14, 10, 14),
            process(15, 16, 10),
            process(16, 15, 10),
        ]);
        let found = |all: &BTreeMap<i32, Stat>| descendants(10, all).iter().map(|p| p.id).collect::<Vec<_>>();
        assert_eq!(found(&all), [11, 12], "a stranger, a daemon and a ring are not");
        all.entry(12).and_modify(|process| process.zombie = true);
        assert_eq!(found(&all), [11], "who has ended does not work");
        assert_eq!(descendants(99, &all), []);
    }
}
