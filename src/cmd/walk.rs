//! Takes the steps that the table says are due, one by one, each on disk before the next.
//!
//! Called with the host lock held. A step that can't be recorded is not taken: the error ends the walk, the state on disk says
//! where it was, and the next start goes on from there.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::boot::init::{self, Level};
use crate::boot::kernel::Kernel;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::dated;
use crate::flag::done::{Done, Reboot};
use crate::flag::journal::{self, Journal};
use crate::flag::record::Draft;
use crate::flag::run::Run;
use crate::flag::state::{State, Verdict};
use crate::flag::table::{self, Letter, Step};
use crate::host;
use crate::paths::{self, Paths};
use crate::sys::clock::Clock;
use crate::sys::replace;

use super::confirming::{self, Finding};
use super::installing;
use super::letters;
use super::locking;
use super::scene::Scene;

/// How long the lock service may be away at the release until people are told (DESIGN 2).
const PATIENCE_AT_RELEASE: TimeDelta = TimeDelta::minutes(15);

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

    /// Orders the maintenance boot. That init does not take the order is the end of the run, and is told as it is: waiting for a
    /// boot that cannot come would only lose the reason.
    fn trigger(&mut self) -> Turn {
        match self.scene.init.order() {
            Ok(()) => Turn::On,
            Err(error) => {
                self.because(error.to_string());
                Turn::Instead([vec![Step::Undo], table::steps_fail()].concat())
            }
        }
    }

    fn undo(&mut self) -> Result<()> {
        if self.scene.init.undo()? {
            exit::note("took the order of a maintenance boot back from init");
        }
        Ok(())
    }

    /// Lowers the flag; `false` means that there was none. A directory under its name was never an order, and is left to people.
    fn lower(&mut self) -> Result<bool> {
        match self.scene.etc.remove(paths::FLAG) {
            Err(error) if error.is_a_directory() => Ok(false),
            other => other,
        }
    }

    /// Gives the run's locks back. What cannot be given back now is tried again at every tick, and people are told of it.
    fn unlock(&mut self) -> Result<Turn> {
        let Some(run) = self.run()? else { return Ok(Turn::On) };
        let Err(error) = locking::give_back(self, &run) else { return Ok(Turn::On) };
        let why = error.to_string();
        // Who is away comes back; what the service refuses is for a person, and no tick may keep silent about it.
        let is_news = match (&error, run.fact("unreleased")) {
            (_, None) => true,
            (Error::Unreachable { .. }, Some(_)) => false,
            (_, Some(told)) => told != why,
        };
        if is_news {
            if !matches!(error, Error::Unreachable { .. }) {
                exit::warn(format_args!("the lock is not given back: {why}"));
            }
            self.record(&Draft::note("the lock could not be released").field("unreleased", &why))?;
        }
        let waited = run.decided().map(|since| self.site.clock.now() - since);
        if waited.is_some_and(|waited| waited >= PATIENCE_AT_RELEASE) && run.fact("told").is_none() {
            for step in table::steps_unreleased(self.scene.seen(true)).unwrap_or_default() {
                self.take(step)?;
            }
            self.record(&Draft::note("told that the lock is not released").field("told", "not-released"))?;
        }
        self.exit = Exit::from(&error);
        Ok(Turn::Wait(why))
    }

    fn lower_or_call_off(&mut self) -> Result<Turn> {
        if self.lower()? {
            return Ok(Turn::On);
        }
        let mut steps = table::steps_called_off();
        if self.in_maintenance() {
            steps.push(Step::Reboot);
        }
        Ok(Turn::Instead(steps))
    }

    fn in_maintenance(&self) -> bool {
        self.scene.level == Level::Maintenance
    }

    fn install(&mut self) -> Result<Turn> {
        let run = self.run()?.ok_or_else(|| Error::failed("read", &self.log, "it is gone"))?;
        let report = installing::install(self.site, &run);
        let end = match report {
            Ok(report) => {
                self.record(&report.draft())?;
                report.verdict()
            }
            Err(error) => Err(error.to_string()),
        };
        installing::give_room_back(self.site, &self.scene.etc);
        match end {
            Ok(()) => Ok(Turn::On),
            Err(cause) => {
                self.because(cause);
                let mut steps = table::steps_fail();
                if self.in_maintenance() {
                    steps.push(Step::Reboot);
                }
                Ok(Turn::Instead(steps))
            }
        }
    }

    fn confirm(&mut self) -> Result<Turn> {
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

    fn raise_done(&mut self) -> Result<()> {
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

    fn lower_done(&mut self) -> Result<()> {
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

    fn mail(&mut self, letter: Letter) -> Result<()> {
        if letter == Letter::Interrupted {
            self.repair()?;
        }
        if let Some(run) = self.run()? {
            let post = || letters::post(self.site, &self.scene, &run, letter, &self.log);
            if post().is_err() {
                // A full disk: the room was set aside for this mail, and the run that it was set aside for is over.
                installing::give_room_back(self.site, &self.scene.etc);
                post()?;
            }
        }
        Ok(())
    }

    /// What a cut in the middle of the installation left is set right as far as the package manager can, and told. The repair runs
    /// the packages' scripts again, and one of them may be what cut the installation short: a repair that was cut short itself
    /// is tried once more and then left to people, or a script that reboots the host would do so for ever.
    fn repair(&mut self) -> Result<()> {
        let Some(run) = self.run()? else { return Ok(()) };
        if run.fact("repaired").is_none() {
            let words = match run.next_repair() {
                Some(attempt) => {
                    self.record(&Draft::note("repairing what was cut short").field("repair", attempt.to_string()))?;
                    installing::repair(self.site, &run)
                }
                None => installing::left_as_it_is(self.site),
            };
            self.record(&Draft::note("the installation was interrupted").field("repaired", words))?;
        }
        self.exit = Exit::Failed;
        Ok(())
    }

    fn point_at_failed(&self, log: &str) -> Result<()> {
        information(replace::symlink(&self.scene.etc, paths::FAILED, log))
    }

    fn date(&mut self) -> Result<()> {
        let Some(run) = self.run()? else { return Ok(()) };
        let wanted = self.scene.done.as_ref().filter(|done| done.run == run.id).cloned();
        let failed = run.state == Some(State::Failed);
        init::tidy(&self.scene.etc);
        // What lies about and what is to be seen comes first: once the journal has its dated name, nobody comes back here.
        if run.state != Some(State::Installed) {
            installing::give_room_back(self.site, &self.scene.etc);
        }
        let free = match &wanted {
            Some(done) => done.log.clone(),
            None => dated::free(&self.scene.etc, run.started)?,
        };
        if failed {
            self.point_at_failed(&free)?;
        }
        let name = dated::date(&self.scene.etc, run.started, Some(&free))?;
        self.journal = None;
        self.log.clone_from(&name);
        if let Some(done) = wanted.filter(|done| done.log != name) {
            Done { log: name.clone(), ..done }.raise(&self.scene.etc)?;
        }
        if failed {
            if name != free {
                self.point_at_failed(&name)?;
            }
            letters::run_failure_hooks(self.site, &run, &name);
        }
        Ok(())
    }

    /// Reboots. In a maintenance boot init follows at once; at the normal level we hold the host lock until it has, so that no
    /// other tick takes the order for one that was not followed.
    fn leave(&mut self) -> Result<Turn> {
        self.over = true;
        if self.reboot == Reboot::Driver && !self.in_maintenance() {
            return Ok(Turn::On);
        }
        if !self.site.paths.is_system() {
            exit::out("would reboot now");
            return Ok(Turn::On);
        }
        let asked = self.scene.init.reboot();
        if self.in_maintenance() {
            return asked.map(|()| Turn::On);
        }
        let cause = match asked {
            Ok(()) => {
                wait_for_the_end(self.site.config.patchit.boot_wait);
                "init was told to reboot and did not; the shutdown hangs".to_string()
            }
            Err(error) => error.to_string(),
        };
        if self.run()?.and_then(|run| run.state) == Some(State::Ordered) {
            self.because(cause);
            let fail = table::steps_fail();
            return Ok(Turn::Instead([vec![Step::Undo], fail].concat()));
        }
        Err(Error::failed("reboot", "the host", cause))
    }
}

/// `patchfailed` is information, not a state: somebody's directory under its name is told, and keeps no run from its end.
fn information<T>(done: Result<T>) -> Result<()> {
    match done {
        Err(error @ Error::Io { .. }) if error.is_a_directory() => exit::warn(error),
        other => drop(other?),
    }
    Ok(())
}

/// Sleeps until init ends us, or the time is over.
fn wait_for_the_end(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(1));
    }
}
