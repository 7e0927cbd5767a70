//! Many modules at once, on as many threads as are worth it; large files of one module by all of them.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::desk::{Desk, Spare};
use super::walk::{self, Large, Walk};
use super::{Place, Tree};
use crate::error::{Error, Result};
use crate::module::name::Name;

/// So many large files are open at once, waiting for a thread.
const OPEN: usize = 512;

/// How far a module is.
enum Found {
    Read(Result<Option<Tree>>),
    /// Digests of large files are missing.
    Waits(Walk),
}

/// Reads, judges and hashes the directories of modules, each as [`Place::read`] does; the answers are in the order of the names.
pub fn read_all(place: &Place, names: &[Name], threads: usize) -> Vec<Result<Option<Tree>>> {
    let spare = if threads > 1 { Spare::of(OPEN) } else { Spare::none() };
    let mut found = in_turn(names.len(), threads, |at, desk| look(place, &names[at], &spare, desk));
    let mut large: Vec<(usize, Large)> = Vec::new();
    for (at, found) in found.iter_mut().enumerate() {
        if let Found::Waits(walk) = found {
            large.extend(walk.large.drain(..).map(|file| (at, file)));
        }
    }
    let digests = in_turn(large.len(), threads, |at, desk| sum(&large[at].1, desk));
    for ((at, large), digest) in large.into_iter().zip(digests) {
        match (digest, &mut found[at]) {
            (Ok(digest), Found::Waits(walk)) => walk.fill(large.entry, digest),
            (Ok(_), Found::Read(_)) => {}
            (Err(error), slot) => *slot = Found::Read(Err(error)),
        }
    }
    let finish = |found| match found {
        Found::Read(tree) => tree,
        Found::Waits(walk) => Ok(Some(walk.finish())),
    };
    found.into_iter().map(finish).collect()
}

fn look(place: &Place, name: &Name, spare: &Spare, desk: &mut Desk) -> Found {
    match walk::walk(place, name.as_str(), spare, desk) {
        Ok(Some(walk)) if walk.large.is_empty() => Found::Read(Ok(Some(walk.finish()))),
        Ok(Some(walk)) => Found::Waits(walk),
        Ok(None) => Found::Read(Ok(None)),
        Err(error) => Found::Read(Err(error)),
    }
}

fn sum(large: &Large, desk: &mut Desk) -> Result<[u8; 32]> {
    let failed = |why| Error::io("read", PathBuf::from(&large.path))(why);
    let mut file = large.file.try_clone().map_err(failed)?;
    desk.digest(&mut file, large.size).map(|(_, digest)| digest).map_err(failed)
}

/// Answers for 0 to `count`, each worked out by whichever thread is free, at a desk that is the thread's own.
fn in_turn<T: Send>(count: usize, threads: usize, work: impl Fn(usize, &mut Desk) -> T + Sync) -> Vec<T> {
    let threads = threads.min(count);
    if threads <= 1 {
        let mut desk = Desk::new();
        return (0..count).map(|at| work(at, &mut desk)).collect();
    }
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let turn = || {
        let mut desk = Desk::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = slots.get(at) else { return };
            let answer = work(at, &mut desk);
            if let Ok(mut slot) = slot.lock() {
                *slot = Some(answer);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(turn);
        }
        turn();
    });
    slots.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}
