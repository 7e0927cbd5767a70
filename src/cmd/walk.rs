//! Takes the steps that the table says are due, one by one, each on disk before the next.
//!
//! Called with the host lock held. A step that can't be recorded is not taken: the error ends the walk, the state on disk says
//! where it was, and the next start goes on from there.

mod booting;
mod ending;
mod judging;
mod working;

use std::collections::VecDeque;

use crate::boot::init::Level;
use crate::boot::kernel::Kernel;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::done::Reboot;
use crate::flag::journal::{self, Journal};
use crate::flag::record::Draft;
use crate::flag::run::Run;
use crate::flag::state::State;
use crate::flag::table::{self, Step};
use crate::host;
use crate::paths::{self, Paths};
use crate::sys::clock::Clock;

use super::scene::Scene;

/// Where, by which configuration and by which clock a tool works.
pub struct Site<'a> {
    /// Where.
    pub paths: &'a Paths,
    /// By which configuration.
    pub config: &'a Config,
    /// By which clock.
    pub clock: Clock,
}

impl Site<'_> {
    /// The host's name, for mails: one that cannot be told must not keep a mail from being sent.
    pub fn host_name(&self) -> String {
        host::name(self.paths, self.config.host.name.as_deref()).unwrap_or_else(|_| "unnamed-host".into())
    }
}

/// A tool on its way through the table.
pub struct Walk<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) scene: Scene,
    reboot: Reboot,
    journal: Option<Journal>,
    log: String,
    cause: Option<String>,
    exit: Exit,
    over: bool,
    waits: bool,
}

/// What a step leaves behind.
enum Turn {
    /// The next one.
    On,
    /// Other steps instead of those that were left.
    Instead(Vec<Step>),
    /// Not yet: of those that were left only a reboot out of the maintenance level.
    Wait(String),
}

impl<'a> Walk<'a> {
    /// Sets out from a scene.
    pub fn new(site: &'a Site<'a>, scene: Scene) -> Self {
        let log = match (&scene.run, &scene.done) {
            (None, Some(done)) => done.log.clone(),
            _ => paths::LOG.to_string(),
        };
        Self {
            site,
            scene,
            reboot: Reboot::Ours,
            journal: None,
            log,
            cause: None,
            exit: Exit::Done,
            over: false,
            waits: false,
        }
    }

    /// Who reboots after an installation at the normal level.
    #[must_use]
    pub fn rebooted_by(mut self, who: Reboot) -> Self {
        self.reboot = who;
        self
    }

    /// Begins the journal of a new run, or goes on with the one that is there.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn begin(&mut self) -> Result<()> {
        if self.scene.run.is_none() {
            let id = journal::new_run_id(self.site.clock.now());
            self.journal = Some(Journal::begin(&self.scene.etc, paths::LOG, &id)?);
            self.log = paths::LOG.to_string();
        }
        Ok(())
    }

    /// Adds a record to the journal.
    ///
    /// # Errors
    /// If it cannot be written; what it announces must not be done then.
    pub fn record(&mut self, draft: &Draft) -> Result<()> {
        let now = self.site.clock.now();
        if self.journal.is_none() {
            let run = self.run()?.ok_or_else(|| Error::failed("read", &self.log, "it is gone"))?;
            self.journal = Some(Journal::resume(&self.scene.etc, &self.log, &run.id)?);
        }
        self.journal.as_mut().map_or(Ok(()), |journal| journal.add(now, draft))
    }

    /// The run as its journal tells it now.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn run(&self) -> Result<Option<Run>> {
        journal::run(&self.scene.etc, &self.log)
    }

    /// The failure of the chain (rule 4).
    ///
    /// # Errors
    /// As [`Walk::take_all`].
    pub fn fail(&mut self, cause: &str) -> Result<Exit> {
        self.cause = Some(cause.to_string());
        self.take_all(table::steps_fail())
    }

    /// Says why the next failure is one.
    pub fn because(&mut self, cause: impl Into<String>) {
        self.cause = Some(cause.into());
    }

    /// Whether nothing more may be decided in this tick: the host goes down, or something is waited for.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether a step was put off to a later tick.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Takes steps until none is left, and says how that ended for the tool.
    ///
    /// # Errors
    /// If a step could not be taken. What is on disk then is a state of the table.
    pub fn take_all(&mut self, steps: Vec<Step>) -> Result<Exit> {
        let mut left = VecDeque::from(steps);
        while let Some(step) = left.pop_front() {
            match self.take(step)? {
                Turn::On => {}
                Turn::Instead(steps) => left = VecDeque::from(steps),
                Turn::Wait(reason) => {
                    exit::note(reason);
                    self.over = true;
                    self.waits = true;
                    left.retain(|step| *step == Step::Reboot);
                }
            }
        }
        Ok(self.exit)
    }

    fn take(&mut self, step: Step) -> Result<Turn> {
        match step {
            Step::Log(state) => self.log(state)?,
            Step::Undo => self.undo()?,
            Step::Trigger => return Ok(self.trigger()),
            Step::Reboot => return self.leave(),
            // `patch-lock` takes it, which does not hold the host lock while it waits.
            Step::Lock => {}
            Step::Unlock => return self.unlock(),
            Step::Lower => {
                self.lower()?;
            }
            Step::LowerOrCallOff => return self.lower_or_call_off(),
            Step::Install => return self.install(),
            Step::Confirm => return self.confirm(),
            Step::RaiseDone => self.raise_done()?,
            Step::LowerDone => self.lower_done()?,
            Step::Mail(letter) => self.mail(letter)?,
            Step::Date => self.date()?,
        }
        Ok(Turn::On)
    }

    fn log(&mut self, state: State) -> Result<()> {
        let draft = match state {
            State::Ordered => self.with_what_works(Draft::state(state).field("boot", &self.scene.boot))?,
            State::Starting => {
                let draft = Draft::state(state).field("installed_in", &self.scene.boot);
                // An installation at the normal level had no `ordered` before it.
                if self.in_maintenance() { draft } else { self.with_what_works(draft)? }
            }
            State::Failing | State::Expiring => {
                self.exit = Exit::Failed;
                Draft::state(state).maybe("cause", self.cause.as_deref())
            }
            _ => Draft::state(state),
        };
        if matches!(state, State::Expiring) {
            self.exit = Exit::Done;
        }
        let recorded = self.record(&draft);
        let words = format!("state={state}{}", self.because_words(state));
        match &self.cause {
            // A person who called us, and cron's mail, are told why.
            Some(cause) if state == State::Failing => exit::warn(cause),
            _ => exit::note(words),
        }
        recorded
    }

    /// Adds what the confirmation will compare with, while the host is still as it was.
    fn with_what_works(&self, draft: Draft) -> Result<Draft> {
        Ok(draft
            .field("level", self.scene.init.normal_level()?)
            .field("kernel", Kernel::current(self.site.paths)?.to_string())
            .field("services", self.scene.init.services()?.to_string()))
    }

    fn because_words(&self, state: State) -> String {
        let told = matches!(state, State::Failing | State::Expiring);
        self.cause.as_ref().filter(|_| told).map(|cause| format!(": {cause}")).unwrap_or_default()
    }

    fn in_maintenance(&self) -> bool {
        self.scene.level == Level::Maintenance
    }
}
