//! The driver on its way through the phases: what it asks the table, and how each answer gets to disk.
//!
//! Called with the local lock held. The state file names the phase that is next before anything of it is done; what cannot be
//! recorded is not done.

use chrono::TimeDelta;

use crate::boot::identity::BootIdentity;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::flag::journal;
use crate::flag::record::Draft;
use crate::hook::words;
use crate::paths::Paths;
use crate::phase::drivers;
use crate::phase::name::Phase;
use crate::phase::run::{self, Book, Run};
use crate::phase::settings::{Level, Settings};
use crate::phase::state::{self, Line};
use crate::phase::table::{self, Holds, Last, Next, Ordered, Outcome, Seen, Start, Starter};
use crate::sys::clock::Clock;
use crate::sys::group::Groups;
use crate::sys::stop::Stop;

use super::end::End;
use super::locking::Tries;
use super::voice::Voice;

/// An ordered reboot that has not come after this time will not come any more.
const BOOT_WAIT: TimeDelta = TimeDelta::minutes(15);

/// A driver and all that it works with.
pub struct Driver<'a> {
    pub(super) settings: &'a Settings,
    pub(super) config: &'a Config,
    pub(super) paths: &'a Paths,
    pub(super) clock: Clock,
    pub(super) stop: &'a Stop,
    pub(super) voice: Voice,
    /// This boot.
    pub(super) boot: String,
    /// The record of the run that is not over.
    pub(super) book: Option<Book>,
    /// What the state file says.
    pub(super) state: Option<Phase>,
    /// Where its scripts work.
    pub(super) groups: &'a Groups,
    /// Whether this process has made sure that the lock is held.
    pub(super) sure: Sure,
    /// How often this process asks a service that cannot be reached, before the host is changed.
    pub(super) patience: Tries,
}

/// Whether the service has told this process that the lock is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    Yes,
    NotYet,
}

/// What a phase comes to.
pub(super) enum Turn {
    /// The next one.
    On(Outcome),
    /// The driver ends here.
    Stop(End),
}

/// What is on disk, read once.
pub struct Scene {
    /// The state file's line.
    pub line: Line,
    /// The record, if its run is not over.
    pub run: Option<Run>,
}

impl Scene {
    /// Looks.
    ///
    /// # Errors
    /// If one of the two cannot be read or trusted.
    pub fn look(settings: &Settings, paths: &Paths) -> Result<Self> {
        let path = paths.at(&settings.state);
        let line = state::read(&path)?;
        let run = run::read(&path)?.filter(|run| run.ended.is_none());
        Ok(Self { line, run })
    }

    /// The phase that is next. An empty file was torn by another program's crash: the record knows better.
    ///
    /// # Errors
    /// [`Error::Refused`] with the remedy if it cannot be told.
    pub fn phase(&self, settings: &Settings) -> Result<Option<Phase>> {
        let begun = self.run.as_ref().and_then(|run| run.begun.as_ref()).map(|begun| begun.phase);
        let remedy = match begun {
            Some(phase) => {
                format!("the phase that was begun last is {phase}; write that into it, or patch-run --abandon")
            }
            None => "write the phase that is next into it, or patch-run --abandon; the lock may still be held".into(),
        };
        match (&self.line, begun) {
            (Line::Missing, _) => Ok(None),
            (Line::Phase(phase), _) => Ok(Some(*phase)),
            (Line::Empty, Some(phase)) => Ok(Some(phase)),
            (Line::Empty, None) => Err(Error::refused(
                format!("state file {}", settings.state.display()),
                format!("it is empty; {remedy}"),
            )),
            (Line::Garbage(word), _) => Err(Error::refused(
                format!("state file {}", settings.state.display()),
                format!("{word:?} is no phase; {remedy}"),
            )),
        }
    }

    /// What the table decides on.
    ///
    /// # Errors
    /// As [`Scene::phase`].
    pub fn seen(&self, settings: &Settings, boot: &str, clock: Clock) -> Result<Seen> {
        let ordered = match self.run.as_ref().and_then(|run| run.ordered.as_ref()) {
            None => Ordered::No,
            Some(order) if order.boot != boot => Ordered::Booted,
            Some(order) if clock.now() - order.at < BOOT_WAIT => Ordered::NotYet,
            Some(order) if order.given => Ordered::Never,
            Some(_) => Ordered::Unsaid,
        };
        Ok(Seen {
            state: self.phase(settings)?,
            holds: self.run.as_ref().map_or(Holds::Nothing, Run::holds),
            ordered,
            last: self.run.as_ref().map_or(Last::CutShort, Run::last_attempt),
        })
    }
}

impl<'a> Driver<'a> {
    /// A driver before its first step.
    ///
    /// # Errors
    /// If the record cannot be opened, or the boot cannot be told.
    pub fn new(
        settings: &'a Settings,
        config: &'a Config,
        paths: &'a Paths,
        clock: Clock,
        stop: &'a Stop,
        groups: &'a Groups,
        voice: Voice,
    ) -> Result<Self> {
        Ok(Self {
            settings,
            config,
            paths,
            clock,
            stop,
            voice,
            boot: BootIdentity::current(paths)?.to_string(),
            book: Book::resume(&paths.at(&settings.state))?,
            state: None,
            groups,
            sure: Sure::NotYet,
            patience: Tries::One,
        })
    }

    /// Where to begin.
    ///
    /// # Errors
    /// As [`Scene::phase`].
    pub fn start(&mut self, starter: Starter) -> Result<Start> {
        let scene = Scene::look(self.settings, self.paths)?;
        let seen = scene.seen(self.settings, &self.boot, self.clock)?;
        self.state = seen.state;
        if starter == Starter::Boot {
            // The network may not be up yet, and the next tick may be far away.
            self.patience = Tries::All;
        }
        Ok(table::start(seen, starter))
    }

    /// Goes through the phases from here on.
    ///
    /// # Errors
    /// If a step could not be recorded. The next start goes on from there.
    pub fn go(&mut self, from: Phase) -> Result<End> {
        let mut phase = from;
        loop {
            if let Some(signal) = self.stop.raised() {
                return Ok(End::Signal(signal));
            }
            let outcome = match self.take(phase)? {
                Turn::On(outcome) => outcome,
                Turn::Stop(end) => return Ok(end),
            };
            match table::next(phase, outcome, self.holds()) {
                Next::Over => return self.over(phase),
                Next::Phase(then) => phase = then,
            }
        }
    }

    fn take(&mut self, phase: Phase) -> Result<Turn> {
        match phase {
            Phase::NeedsUpdate => {}
            Phase::LockRelease => self.groups.rest(),
            _ => self.groups.prepare(),
        }
        self.enter(phase)?;
        if table::needs_lock(phase)
            && let Some(end) = self.make_sure()?
        {
            return Ok(Turn::Stop(end));
        }
        match phase {
            Phase::NeedsUpdate | Phase::NeedsReboot => self.ask(phase),
            Phase::LockGet => self.lock_get(),
            Phase::PreUpdate | Phase::Update => self.work(phase),
            Phase::Reboot => self.reboot(),
            Phase::PostUpdate => {
                self.still_ours();
                self.work(phase)
            }
            Phase::LockRelease => self.lock_release(),
        }
    }

    /// Makes a phase the one that is next, before anything of it is done. Of a run that may find nothing to do, nothing is written.
    fn enter(&mut self, phase: Phase) -> Result<()> {
        if phase == Phase::NeedsUpdate {
            return Ok(());
        }
        let now = self.clock.now();
        let path = self.paths.at(&self.settings.state);
        if self.book.as_ref().is_none_or(|book| book.run.is_another_than_one_in(phase)) {
            self.book = Some(Book::begin(&path, &journal::new_run_id(now), now, phase)?);
        }
        if self.state != Some(phase) {
            self.write_state(phase)?;
        }
        // What it did is recorded with its name, when something is done. Only that it did not fail for good, or that it is to be done
        // again, must be known now.
        let run = self.book.as_ref().map(|book| &book.run);
        if run.is_some_and(|run| run.goes_back_to(phase)) {
            self.record(&Draft::note("the run goes back").field("phase", phase.as_str()).field("ordered", ""))?;
        } else if run.is_some_and(|run| run.failed.is_some()) {
            self.record(&Draft::default().field("phase", phase.as_str()))?;
        }
        self.voice.say(Level::Debug, format_args!("phase {phase}"));
        Ok(())
    }

    pub(super) fn write_state(&mut self, phase: Phase) -> Result<()> {
        state::write(&self.paths.at(&self.settings.state), phase)?;
        self.state = Some(phase);
        Ok(())
    }

    /// The run is over: the lock is given back, or there was nothing to do.
    fn over(&mut self, phase: Phase) -> Result<End> {
        let (said, how) = match phase {
            Phase::NeedsUpdate => ("no updates", "nothing to do"),
            _ => ("the run is done", "done"),
        };
        self.voice.decide(Level::Info, said);
        // Who is told last still finds the last phase in the state file.
        self.notify(words::Driver::Done, "main", None, 0)?;
        self.forget(how)?;
        Ok(End::Done)
    }

    /// Removes the state and closes the record.
    pub(super) fn forget(&mut self, how: &str) -> Result<()> {
        state::remove(&self.paths.at(&self.settings.state))?;
        self.state = None;
        if self.book.is_some() {
            self.record(&Draft::default().field("ended", how))?;
            self.book = None;
        }
        // What cannot be removed now leads to a record that is over.
        let _ = drivers::forget(self.paths, &self.settings.state);
        Ok(())
    }

    /// A phase failed: it stays the one that is next, the lock stays held, and who is to be told is told.
    pub(super) fn fail(&mut self, phase: Phase, script: Option<&str>, code: i32, why: &str) -> Result<End> {
        let what =
            script.map_or_else(|| format!("phase {phase} failed: {why}"), |path| format!("{path} failed: {why}"));
        // A service that is away for hours is one failure, whatever number of starts find it so.
        let run = self.book.as_ref().map(|book| &book.run);
        let before = if phase == Phase::LockRelease {
            run.and_then(|run| run.told.as_ref())
        } else {
            run.and_then(|run| run.failed.as_ref())
        };
        let known = before.is_some_and(|cause| *cause == what);
        if run.is_some_and(|run| run.failed.as_ref() != Some(&what)) {
            self.record(&Draft::default().field("phase", phase.as_str()).field("failed", &what))?;
        }
        self.voice.decide(Level::Error, &what);
        if !known {
            self.on_failure(phase, script, code)?;
        }
        Ok(End::Failed(what))
    }

    /// The ordered reboot did not come.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub fn no_boot(&mut self) -> Result<End> {
        let why = "the host was told to reboot and did not; reboot it, or write reboot into the state file to have it told again";
        self.fail(Phase::Reboot, None, 1, why)
    }

    /// A line of the log.
    pub fn say(&mut self, level: Level, words: impl std::fmt::Display) {
        self.voice.say(level, words);
    }

    /// A decision of whoever drives.
    pub fn tell(&mut self, level: Level, words: impl std::fmt::Display) {
        self.voice.decide(level, words);
    }

    /// An error ends a run as well, and the log is where people look for it.
    pub fn failed(&mut self, error: &Error) {
        self.voice.say(Level::Error, error);
    }

    /// The end of the log.
    pub fn close(&mut self) {
        self.voice.close();
    }

    /// Whether there is anything to abandon: a record, or a state file whatever is in it.
    ///
    /// # Errors
    /// If the state file cannot be trusted.
    pub fn has_run(&self) -> Result<bool> {
        Ok(self.book.is_some() || state::read(&self.paths.at(&self.settings.state))? != Line::Missing)
    }

    pub(super) fn record(&mut self, draft: &Draft) -> Result<()> {
        let now = self.clock.now();
        self.book.as_mut().map_or(Ok(()), |book| book.add(now, draft))
    }

    pub(super) fn holds(&self) -> Holds {
        self.book.as_ref().map_or(Holds::Nothing, |book| book.run.holds())
    }
}
