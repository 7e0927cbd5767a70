//! `apply`: the modules of a plan, several at once, each step in the history before and after it.

mod board;
mod step;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::exit::{self, Exit, status};
use crate::module::manifest::Manifest;
use crate::module::plan::Plan;
use crate::sys::cgroup::{Fence, Limits};
use crate::sys::stop::Stop;

use super::ready::{self, Ready};
use super::site::{Open, Site};
use super::{Apply, facts, heal, voice};
use board::Board;

/// Applies.
///
/// # Errors
/// If nothing could be begun, or the history cannot be written: then nothing more is begun.
pub fn apply(site: &Site, args: &Apply) -> Result<Exit> {
    let open = heal::open(site)?;
    let (_, manifest) = site.manifest()?;
    let plan = Plan::new(&manifest, &args.names)?;
    let ready = ready::all(site, &manifest, &plan, args.allow_unverified)?;
    tell_limits(&manifest, &plan);
    let stop = Stop::on_signals()?;
    let Open { history, state, run, lock } = open;
    let night = Night {
        site,
        manifest: &manifest,
        plan: &plan,
        ready: &ready,
        stop: &stop,
        run: &run,
        board: Mutex::new(Board::new(&plan, history)),
        bell: Condvar::new(),
    };
    let jobs = args.jobs.unwrap_or(site.settings.jobs).get();
    night.go(jobs.min(plan.steps.len().max(1)));
    status::show("");
    let Night { board, .. } = night;
    let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Board { history, counts, broken, .. } = board;
    let mut open = Open { history, state, run: run.clone(), lock };
    facts::try_to_tell(site, &mut open);
    if let Some(error) = broken {
        return Err(error);
    }
    if let Some(signal) = stop.raised() {
        return Err(Error::failed("go on with", "the modules", format!("signal {signal} ends this run")));
    }
    exit::out(counts);
    Ok(if counts.failed == 0 { Exit::Done } else { Exit::Failed })
}

/// That limits are asked for which nobody keeps is told once.
fn tell_limits(manifest: &Manifest, plan: &Plan) {
    let of = |module: usize| {
        let resources = &manifest.modules[module].resources;
        Limits { memory: resources.memory, cpu: resources.cpu }
    };
    let limits = plan.steps.iter().map(|step| of(step.module)).find(|limits| *limits != Limits::NONE);
    if limits.is_some_and(|limits| !Fence::can_limit(limits)) {
        exit::warn(
            "limits of memory and cpu are not kept: there is no control group of version 2 here that hands them down",
        );
    }
}

/// A run: what it goes by, and the board on which its threads see what is next.
struct Night<'a> {
    site: &'a Site,
    manifest: &'a Manifest,
    plan: &'a Plan,
    ready: &'a [Ready],
    stop: &'a Stop,
    run: &'a str,
    board: Mutex<Board>,
    bell: Condvar,
}

impl Night<'_> {
    fn go(&self, jobs: usize) {
        std::thread::scope(|scope| {
            for _ in 1..jobs {
                scope.spawn(|| self.work());
            }
            self.work();
        });
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's part: whatever may begin next, until nothing can.
    fn work(&self) {
        while let Some(step) = self.next() {
            let verdict = self.step(step);
            let mut board = self.board();
            if let Err(error) = verdict.and_then(|verdict| self.settle(&mut board, step, verdict)) {
                board.broken.get_or_insert(error);
            }
            board.working.retain(|at_work| *at_work != step);
            self.show(&board);
            drop(board);
            self.bell.notify_all();
        }
    }

    /// Keeps whoever looks at a terminal up to date.
    fn show(&self, board: &Board) {
        if let Some(columns) = status::columns() {
            let names: Vec<&str> = board.working.iter().map(|step| self.module(*step).name.as_str()).collect();
            status::show(&voice::progress(&board.counts, &names, columns));
        }
    }

    fn next(&self) -> Option<usize> {
        let mut board = self.board();
        loop {
            if board.broken.is_some() || self.stop.raised().is_some() {
                return None;
            }
            if let Some(step) = board.course.begin() {
                board.working.push(step);
                self.show(&board);
                return Some(step);
            }
            if board.working.is_empty() {
                return None;
            }
            board = self.bell.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
