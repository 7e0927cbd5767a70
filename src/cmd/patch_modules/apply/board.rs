//! The board on which the threads of a run see what is next, and write how a step has ended.

use crate::cmd::patch_modules::plan::disabled;
use crate::cmd::patch_modules::ready::Ready;
use crate::cmd::patch_modules::voice;
use crate::error::{Error, Result};
use crate::flag::record::Draft;
use crate::module::course::Course;
use crate::module::history::{Event, History};
use crate::module::plan::Plan;
use crate::module::version::Version;

use super::Night;
use super::step::Verdict;

/// Where a run stands.
pub struct Board {
    pub course: Course,
    pub history: History,
    /// The names of what has succeeded.
    pub done: Vec<String>,
    /// The steps that are at work now, the one that began first first.
    pub working: Vec<usize>,
    pub counts: voice::Counts,
    /// Why nothing more can be begun.
    pub broken: Option<Error>,
}

impl Board {
    pub fn new(plan: &Plan, history: History) -> Self {
        let counts = voice::Counts { total: plan.steps.len(), ..voice::Counts::default() };
        Self {
            course: Course::new(&plan.needs()),
            history,
            done: Vec::new(),
            working: Vec::new(),
            counts,
            broken: None,
        }
    }
}

impl Night<'_> {
    pub(super) fn settle(&self, board: &mut Board, step: usize, verdict: Verdict) -> Result<()> {
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
