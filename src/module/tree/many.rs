//! Many modules at once, on as many threads as are worth it; large files of one module by all of them.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::walk::{self, Large, Walk};
use super::{Place, Tree};
use crate::error::{Error, Result};
use crate::module::name::Name;

type Found = Result<Option<Walk>>;

/// So many modules are begun before any is finished, with so many files open between them.
const AT_ONCE: usize = 128;
const OPEN: usize = 512;

/// Reads, judges and hashes the directories of modules, each as [`Place::read`] does; the answers are in the order of the names.
pub fn read_all(place: &Place, names: &[Name], threads: usize) -> Vec<Result<Option<Tree>>> {
    names.chunks(AT_ONCE).flat_map(|some| read_some(place, some, threads)).collect()
}

fn read_some(place: &Place, names: &[Name], threads: usize) -> Vec<Result<Option<Tree>>> {
    let spare = if threads > 1 { OPEN / names.len() } else { 0 };
    let mut walks: Vec<Found> = in_turn(names.len(), threads, |at| walk::walk(place, names[at].as_str(), spare));
    let mut large: Vec<(usize, Large)> = Vec::new();
    for (at, found) in walks.iter_mut().enumerate() {
        if let Ok(Some(walk)) = found {
            large.extend(walk.large.drain(..).map(|file| (at, file)));
        }
    }
    let digests = in_turn(large.len(), threads, |at| sum(&large[at].1));
    for ((at, large), digest) in large.into_iter().zip(digests) {
        match (digest, &mut walks[at]) {
            (Ok(digest), Ok(Some(walk))) => walk.fill(large.entry, digest),
            (Ok(_), _) => {}
            (Err(error), slot) => *slot = Err(error),
        }
    }
    walks.into_iter().map(|found| found.map(|walk| walk.map(Walk::finish))).collect()
}

fn sum(large: &Large) -> Result<[u8; 32]> {
    let failed = |why| Error::io("read", PathBuf::from(&large.path))(why);
    let mut file = large.file.try_clone().map_err(failed)?;
    walk::digest(&mut file, &mut vec![0; 256 << 10]).map(|(_, digest)| digest).map_err(failed)
}

/// Answers for 0 to `count`, each worked out by whichever thread is free.
fn in_turn<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = threads.clamp(1, count.max(1));
    if threads == 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let turn = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = slots.get(at) else { return };
            let answer = work(at);
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
