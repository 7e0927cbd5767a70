//! `apply`: the modules of a plan, several at once, each step in the history before and after it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::record::Draft;
use crate::hook::{Done, Ended};
use crate::module::course::Course;
use crate::module::history::{Event, History, Story};
use crate::module::manifest::{Manifest, Module};
use crate::module::plan::Plan;
use crate::module::version::Version;
use crate::sys::cgroup::{Fence, Limits};
use crate::sys::stop::Stop;

use super::facts;
use super::plan::disabled;
use super::ready::{self, Ready};
use super::site::{Open, Site};
use super::work::{Health, Work};
use super::{Apply, heal, rollback, voice};

/// Applies.
///
/// # Errors
/// If nothing could be begun, or the history cannot be written: then nothing more is begun.
pub fn apply(site: &Site, args: &Apply) -> Result<Exit> {
    let open = heal::open(site)?;
    let (_, manifest) = site.manifest()?;
    let plan = Plan::new(&manifest, &args.names)?;
    let story = heal::story(site, &open)?;
    let ready = ready::all(site, &manifest, &plan, args.allow_unverified)?;
    tell_limits(&manifest, &plan);
    let stop = Stop::on_signals()?;
    let Open { history, state, run, lock } = open;
    let night = Night {
        site,
        manifest: &manifest,
        plan: &plan,
        ready: &ready,
        story: &story,
        stop: &stop,
        run: &run,
        board: Mutex::new(Board::new(&plan, history)),
        bell: Condvar::new(),
    };
    let jobs = args.jobs.unwrap_or(site.settings.jobs).get();
    night.go(jobs.min(plan.steps.len().max(1)));
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
    /// What was before this run.
    story: &'a Story,
    stop: &'a Stop,
    run: &'a str,
    board: Mutex<Board>,
    bell: Condvar,
}

struct Board {
    course: Course,
    history: History,
    /// The names of what has succeeded.
    done: Vec<String>,
    /// How many are at work now.
    working: usize,
    counts: voice::Counts,
    /// Why nothing more can be begun.
    broken: Option<Error>,
}

impl Board {
    fn new(plan: &Plan, history: History) -> Self {
        let counts = voice::Counts { total: plan.steps.len(), ..voice::Counts::default() };
        Self { course: Course::new(&plan.needs()), history, done: Vec::new(), working: 0, counts, broken: None }
    }
}

/// How a module ended.
enum Verdict {
    Applied(Duration),
    Failed(String),
    /// It was not begun, for it requires a disabled module.
    Lacks(usize),
    /// This signal ended it with the run.
    Stopped(i32),
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
            board.working -= 1;
            drop(board);
            self.bell.notify_all();
        }
    }

    fn next(&self) -> Option<usize> {
        let mut board = self.board();
        loop {
            if board.broken.is_some() || self.stop.raised().is_some() {
                return None;
            }
            if let Some(step) = board.course.begin() {
                board.working += 1;
                return Some(step);
            }
            if board.working == 0 {
                return None;
            }
            board = self.bell.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn module(&self, step: usize) -> &Module {
        &self.manifest.modules[self.plan.steps[step].module]
    }

    fn step(&self, step: usize) -> Result<Verdict> {
        let module = self.module(step);
        if let Some(lacks) = self.plan.steps[step].lacks {
            return Ok(Verdict::Lacks(lacks));
        }
        match &self.ready[step] {
            Ready::Group => Ok(Verdict::Applied(Duration::ZERO)),
            Ready::Unfit(why) => Ok(Verdict::Failed(why.clone())),
            Ready::Program(tree, words) => {
                let version = module.version.as_ref().map(Version::as_str);
                let more = Draft::default().maybe("version", version).field("checksum", &tree.checksum);
                let done = {
                    let mut board = self.board();
                    board.history.add(self.site.now(), Event::Begun, Some(module.name.as_str()), more)?;
                    self.done(&board, step)
                };
                let work = Work { site: self.site, module, tree, stop: self.stop, run: self.run, done };
                Ok(self.run(&work, words))
            }
        }
    }

    /// What a module is told of what is done: all of it, or only what it needs itself where that would be more than an environment holds.
    fn done(&self, board: &Board, step: usize) -> String {
        const LIMIT: usize = 100_000;
        let all = board.done.join(" ");
        if all.len() <= LIMIT {
            return all;
        }
        let needs: Vec<&str> =
            self.plan.steps[step].needs.iter().map(|need| self.module(*need).name.as_str()).collect();
        needs.join(" ")
    }

    fn run(&self, work: &Work, words: &[std::ffi::OsString]) -> Verdict {
        voice::begins(work.module);
        let done = match work.run(words) {
            Ok(done) => done,
            // It was never started.
            Err(error) => return Verdict::Failed(error.to_string()),
        };
        match verdict(&done) {
            Verdict::Applied(took) => match work.health() {
                None | Some(Health::Good) => Verdict::Applied(took),
                Some(Health::Stopped(signal)) => Verdict::Stopped(signal),
                Some(Health::Bad(why)) => Verdict::Failed(self.back(work.module, &why)),
            },
            other => other,
        }
    }

    /// After a health check that failed the version before is put back. What is said of it all.
    fn back(&self, module: &Module, why: &str) -> String {
        let past = self.story.past(module.name.as_str());
        let Some(target) = rollback::before(module, rollback::last_safe(self.site, module, &past), &past) else {
            return format!("{why}; it stays, for nothing says which version to go back to");
        };
        let now = self.site.now();
        let mut tell =
            |event: Event, draft: Draft| self.board().history.add(now, event, Some(module.name.as_str()), draft);
        match rollback::put(self.site, self.manifest, module, &target, &past, now, &mut tell) {
            Ok(back) => format!("{why}; {}", rollback::words(module, &back)),
            Err(error) => format!("{why}; {error}"),
        }
    }

    fn settle(&self, board: &mut Board, step: usize, verdict: Verdict) -> Result<()> {
        let module = self.module(step);
        let (now, name) = (self.site.now(), Some(module.name.as_str()));
        match verdict {
            Verdict::Applied(took) => {
                let version = module.version.as_ref().map(Version::as_str);
                let checksum = match &self.ready[step] {
                    Ready::Program(tree, _) => Some(tree.checksum.as_str()),
                    _ => None,
                };
                let more = Draft::default().maybe("version", version).maybe("checksum", checksum);
                board.history.add(now, Event::Done, name, more.field("took", format!("{:.1}s", took.as_secs_f64())))?;
                board.done.push(module.name.to_string());
                board.course.succeeded(step);
                board.counts.applied += 1;
                if checksum.is_some() {
                    voice::applied(module, took, &board.counts);
                }
            }
            Verdict::Failed(why) => {
                board.history.add(now, Event::Failed, name, Draft::note(&why))?;
                board.counts.failed += 1;
                voice::failed(module, &why, &self.site.log(module));
                let word = format!("needs {}, which failed", module.name);
                self.skip(board, step, &word)?;
            }
            Verdict::Lacks(lacks) => {
                let why = disabled(self.manifest.modules[lacks].name.as_str());
                self.skipped(board, step, &why)?;
                self.skip(board, step, &format!("needs {}, which was skipped", module.name))?;
            }
            Verdict::Stopped(signal) => {
                let words = format!("signal {signal} ended its run");
                board.history.add(now, Event::Unfinished, name, Draft::note(&words))?;
            }
        }
        Ok(())
    }

    /// Skips everything that needs a step; what needs it directly is told `why`.
    fn skip(&self, board: &mut Board, step: usize, why: &str) -> Result<()> {
        for heir in board.course.failed(step) {
            let why = if heir.lacks == step {
                why.to_string()
            } else {
                format!("needs {}, which was skipped", self.module(heir.lacks).name)
            };
            self.skipped(board, heir.step, &why)?;
        }
        Ok(())
    }

    fn skipped(&self, board: &mut Board, step: usize, why: &str) -> Result<()> {
        let module = self.module(step);
        board.history.add(self.site.now(), Event::Skipped, Some(module.name.as_str()), Draft::note(why))?;
        board.counts.skipped += 1;
        voice::skipped(module, why);
        Ok(())
    }
}

fn verdict(done: &Done) -> Verdict {
    match &done.ended {
        Ended::Code(0) => Verdict::Applied(done.took),
        Ended::Stopped(signal) => Verdict::Stopped(*signal),
        _ => Verdict::Failed(done.to_string()),
    }
}
