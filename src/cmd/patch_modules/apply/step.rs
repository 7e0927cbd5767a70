//! One step: a module that is run, asked for its health, and put back if it is not well.

use std::ffi::OsString;
use std::time::Duration;

use crate::cmd::patch_modules::ready::Ready;
use crate::cmd::patch_modules::rollback;
use crate::cmd::patch_modules::voice;
use crate::cmd::patch_modules::work::{Health, Work};
use crate::error::Result;
use crate::flag::record::Draft;
use crate::hook::{Done, Ended};
use crate::module::history::Event;
use crate::module::manifest::Module;
use crate::module::version::Version;

use super::Night;
use super::board::Board;

/// How a module ended.
pub enum Verdict {
    Applied(Duration),
    Failed(String),
    /// It was not begun, for it requires a disabled module.
    Lacks(usize),
    /// This signal ended it with the run.
    Stopped(i32),
}

impl Night<'_> {
    pub(super) fn module(&self, step: usize) -> &Module {
        &self.manifest.modules[self.plan.steps[step].module]
    }

    pub(super) fn step(&self, step: usize) -> Result<Verdict> {
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

    fn run(&self, work: &Work, words: &[OsString]) -> Verdict {
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
        let past = self.board().history.story().past(module.name.as_str());
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
}

fn verdict(done: &Done) -> Verdict {
    match &done.ended {
        Ended::Code(0) => Verdict::Applied(done.took),
        Ended::Stopped(signal) => Verdict::Stopped(*signal),
        _ => Verdict::Failed(done.to_string()),
    }
}
