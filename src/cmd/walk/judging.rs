//! Whether the host came back as it was: `patchdone` is raised, judged and lowered.

use super::ending::information;
use super::{Turn, Walk};
use crate::cmd::confirming::{self, Finding};
use crate::cmd::letters;
use crate::error::Result;
use crate::exit::{self, Exit};
use crate::flag::dated;
use crate::flag::done::Done;
use crate::flag::journal::Journal;
use crate::flag::record::Draft;
use crate::flag::state::{State, Verdict};
use crate::flag::table;
use crate::paths;

impl Walk<'_> {
    pub(super) fn confirm(&mut self) -> Result<Turn> {
        let Some(done) = self.scene.done.clone() else { return Ok(Turn::On) };
        let found = match &self.scene.dated {
            Some(_) => confirming::look(self.site, &self.scene, &done)?,
            None => self.without_a_journal(&done)?,
        };
        let verdict = match found {
            Finding::Wait(reason) => return Ok(Turn::Wait(reason)),
            Finding::Works => Verdict::Ok,
            Finding::Broken(cause) => {
                exit::warn(format_args!("not confirmed: {cause}"));
                self.because(cause);
                self.exit = Exit::Failed;
                Verdict::Bad
            }
        };
        self.record(&Draft::verdict(verdict).field("back_in", &self.scene.boot).maybe("cause", self.cause.as_deref()))?;
        Ok(Turn::Instead(table::steps_verdict(verdict)))
    }

    /// `patchdone` names a journal that is not there, or another run's. Then nobody knows what worked before, and a verdict in
    /// another run's journal would be that run's: this one gets a journal of its own, and the host is not confirmed.
    fn without_a_journal(&mut self, done: &Done) -> Result<Finding> {
        let now = self.site.clock.now();
        let log = dated::free(&self.scene.etc, now)?;
        let words =
            format!("/etc/{}, which patchdone names as its journal, is not there or is another run's", done.log);
        let first = Draft::state(State::Installed).msg(&words);
        let first = first.field("cluster", &done.cluster).field("level", &done.level).field("installed_in", &done.boot);
        let mut journal = Journal::begin(&self.scene.etc, &log, &done.run)?;
        journal.add(now, &first)?;
        let done = Done { log: log.clone(), ..done.clone() };
        done.raise(&self.scene.etc)?;
        self.journal = Some(journal);
        self.log = log;
        self.scene.done = Some(done);
        Ok(Finding::Broken(format!("{words}: nothing can be compared with what worked before")))
    }

    pub(super) fn raise_done(&mut self) -> Result<()> {
        let Some(run) = self.run()? else { return Ok(()) };
        if self.scene.done.as_ref().is_some_and(|done| done.run == run.id) {
            return Ok(());
        }
        let fact = |key: &str| run.fact(key).unwrap_or_default().to_string();
        let done = Done {
            run: run.id.clone(),
            cluster: fact("cluster"),
            boot: fact("installed_in"),
            level: fact("level"),
            log: dated::free(&self.scene.etc, run.started)?,
            reboot: self.reboot,
            grants: run.grants.clone(),
        };
        done.raise(&self.scene.etc)?;
        self.scene.done = Some(done);
        Ok(())
    }

    pub(super) fn lower_done(&mut self) -> Result<()> {
        let run = self.run()?;
        let bad = run.as_ref().and_then(|run| run.verdict) == Some(Verdict::Bad);
        if bad {
            self.point_at_failed(&self.log)?;
        } else {
            information(self.scene.etc.remove(paths::FAILED))?;
        }
        self.scene.etc.remove(paths::DONE)?;
        if let (true, Some(run)) = (bad, &run) {
            letters::run_failure_hooks(self.site, run, &self.log);
        }
        Ok(())
    }
}
