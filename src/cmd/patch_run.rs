//! `patch-run(8)`: the eight-phase driver with script directories, in place of `dlm_engine_updater` and `foreman_dlm_updater`.

mod abandon;
mod beside;
mod check;
mod driver;
mod end;
mod locking;
mod plan;
mod reboot;
mod scripts;
mod single;
mod status;
mod voice;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Local;
use clap::Parser;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client;
use crate::lock::name::Note;
use crate::paths::Paths;
use crate::phase::date::Dates;
use crate::phase::name::Phase;
use crate::phase::settings::missing::{missing_base, missing_dirs};
use crate::phase::settings::{self, CalledAs, Dialect, Level, Settings};
use crate::phase::table::{Start, Starter};
use crate::sys::group::Groups;
use crate::sys::lockfile::{self, Lock};
use crate::sys::random;
use crate::sys::session;
use crate::sys::stop::Stop;
use crate::sys::worker::{self, Worker};

use super::chain;
use super::place::Place;
use driver::Driver;
use end::{Codes, End};
use voice::Voice;

const HELP: &str = "\
Exit code 0: done, or nothing to do; 1: a phase failed, and the lock is kept; 75: the lock is held
elsewhere; 69: the lock service cannot be reached; 2: wrong arguments or configuration.
Called as dlm_engine_updater or foreman_dlm_updater: the codes of those.

Examples:  patch-run --check-config      what the configuration means, and what in it will hurt
           patch-run --dry-run           which scripts would run, and who holds the lock
           patch-run --status            where this host stands
           patch-run --date_constraint 2:Tue,4:Fri --random_sleep 600";

/// Drive the phases of an update under a lock: needs_update, lock_get, pre_update, update, needs_reboot, reboot, post_update, lock_release
#[allow(clippy::struct_excessive_bools, clippy::doc_markdown)] // each is an option; the names are the phases' own
#[derive(Debug, Parser)]
// The programs in whose place it stands took abbreviated options, and of an option that is there twice the last.
#[command(name = "patch-run", version, after_help = HELP, infer_long_args = true, args_override_self = true)]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Go on with a run that a boot has cut short; for init
    #[arg(long = "after_reboot", visible_alias = "after-reboot")]
    after_reboot: bool,
    /// Begin a run only on these days, such as 2:Tue,4:Fri or last:Fri; one that has begun goes on on any day
    #[arg(long = "date_constraint", alias = "date-constraint", value_name = "N:DAY,…")]
    date_constraint: Option<String>,
    /// Before a run begins, wait a random time of at most so many seconds
    #[arg(
        long = "random_sleep",
        alias = "random-sleep",
        value_name = "SECONDS",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    random_sleep: u32,
    /// Say where this host stands
    #[arg(long, group = "question")]
    status: bool,
    /// Say which scripts would run, and who holds the lock; change nothing
    #[arg(short = 'n', long, group = "question")]
    dry_run: bool,
    /// Say what the configuration means, and what in it will hurt
    #[arg(long, group = "question")]
    check_config: bool,
    /// Run the scripts of one phase, without lock or state, to try them
    #[arg(long, value_name = "PHASE", group = "question")]
    phase: Option<Phase>,
    /// End a run that cannot go on: give its lock back and forget it
    #[arg(long, group = "question", requires = "reason")]
    abandon: bool,
    /// With --abandon: why
    #[arg(long, value_name = "TEXT", requires = "abandon", value_parser = Note::new)]
    reason: Option<Note>,
    /// With --abandon: leave the lock held
    #[arg(long, requires = "abandon")]
    keep_lock: bool,
    /// Print --status, --dry-run and --check-config as JSON
    #[arg(long, requires = "question")]
    json: bool,
}

/// Entry point of `patch-run`, under whichever name it is called.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = client::errand() {
        return code;
    }
    exit::main("patch-run", |args: &Args| {
        let called = CalledAs::of(&std::env::args_os().next().unwrap_or_default());
        let codes = match called {
            CalledAs::PatchRun => Codes::Ours,
            CalledAs::DlmEngineUpdater | CalledAs::ForemanDlmUpdater => Codes::Theirs,
        };
        Ok(run(args, called, codes).unwrap_or_else(|error| {
            exit::warn(&error);
            codes.of_error(&error)
        }))
    })
}

/// What the run is told, and what the lock is asked with.
fn configuration(args: &Args, called: CalledAs, paths: &Paths) -> Result<(Settings, Config)> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let environment: Vec<(String, String)> = std::env::vars_os().filter_map(text).collect();
    let settings = settings::load(called, args.place.named(), paths, &environment)?;
    let config = match settings.dialect {
        Dialect::Ours => args.place.config(paths)?,
        _ => Config { lock: settings.lock.clone(), ..Config::default() },
    };
    Ok((settings, config))
}

fn run(args: &Args, called: CalledAs, codes: Codes) -> Result<Exit> {
    let paths = args.place.paths()?;
    let (settings, config) = configuration(args, called, &paths)?;
    if args.check_config {
        return check::check(&settings, &paths, args.place.clock(), args.json);
    }
    if args.status {
        return status::show(&settings, &paths, args.place.clock(), args.json);
    }
    if args.dry_run || args.place.is_only_a_question(&paths) && args.phase.is_none() && !args.abandon {
        return plan::show(&settings, &config, &paths, args.place.clock(), args.json);
    }
    // Scripts of users could put words into the terminal from which they are started, and root's shell would read them.
    if !settings.users.is_empty()
        && !args.abandon
        && let Some(code) = session::without_terminal()?
    {
        return Ok(Exit::Code(code));
    }
    if let Some(phase) = args.phase {
        return single::run(&settings, &paths, phase);
    }
    let today = args.place.clock().now().with_timezone(&Local).date_naive();
    let dates = args.date_constraint.as_deref().map(Dates::parse).transpose().map_err(Error::Usage)?;
    let allowed = dates.is_none_or(|dates| dates.allow(today));
    if chain::hands_off(&paths)? {
        return Ok(Exit::Done);
    }
    if let Some(words) = missing_base(&settings, &paths) {
        return Err(Error::Usage(words));
    }
    let Some(lock) = lockfile::try_take(&paths.at(&settings.local_lock))? else {
        return another_works(args, &settings, codes);
    };
    let mark = scripts::mark(&settings, &paths);
    let tell = |worker: &Worker| {
        exit::warn(format_args!("ending process group {}: its driver is gone and its time is over", worker.group()));
    };
    if let Some(worker) = worker::in_the_way(&mark, settings.grace, tell)? {
        return Ok(script_works(&worker, codes));
    }
    // Of one that was killed; this start may have nobody to mark.
    worker::unmark(&mark);
    let groups = Groups::of_one_after_the_other(Some(mark));
    let mut work =
        Work { args, settings: &settings, config: &config, paths: &paths, codes, allowed, groups, _lock: lock };
    work.run()
}

/// Another driver works. Under an old name that is an error, as it was; and who wants to end a run is told that it has not ended.
fn another_works(args: &Args, settings: &Settings, codes: Codes) -> Result<Exit> {
    let words = format!("another run is at work: it holds {}", settings.local_lock.display());
    match codes {
        _ if args.abandon => Err(Error::failed("abandon", "the run", format!("{words}; end it first"))),
        Codes::Ours => {
            exit::note(words);
            Ok(Exit::Done)
        }
        Codes::Theirs => {
            exit::warn(words);
            Ok(Exit::Failed)
        }
    }
}

/// A script has outlived its driver, which was killed: nothing is begun beside it.
fn script_works(worker: &Worker, codes: Codes) -> Exit {
    exit::warn(format_args!(
        "process group {} of a run that was killed is still at work; the run goes on when it has ended",
        worker.group()
    ));
    if codes == Codes::Ours { Exit::NotYet } else { Exit::Failed }
}

/// A start that is to work, with the local lock held.
struct Work<'a> {
    args: &'a Args,
    settings: &'a Settings,
    config: &'a Config,
    paths: &'a Paths,
    codes: Codes,
    allowed: bool,
    groups: Groups,
    _lock: Lock,
}

impl Work<'_> {
    fn run(&mut self) -> Result<Exit> {
        let clock = self.args.place.clock();
        let stop = Stop::on_signals()?;
        let mut voice = match Voice::open(self.settings, self.paths, clock) {
            Err(error) if self.args.abandon => {
                exit::warn(&error);
                Voice::without_log()
            }
            other => other?,
        };
        for warning in &self.settings.warnings {
            voice.say(Level::Warning, warning);
        }
        let mut driver = Driver::new(self.settings, self.config, self.paths, clock, &stop, &self.groups, voice)?;
        let end = match (&self.args.reason, self.args.abandon) {
            (Some(reason), true) => self.abandon(&mut driver, reason),
            _ => self.drive(&mut driver, &stop),
        };
        if let Err(error) = &end {
            driver.failed(error);
        }
        driver.close();
        end.map(|end| match end {
            Begun::No(exit) => exit,
            Begun::Run(end) => self.codes.of(&end),
        })
    }

    fn abandon(&self, driver: &mut Driver, reason: &Note) -> Result<Begun> {
        if !driver.has_run()? {
            return Ok(Begun::No(abandon::nothing()));
        }
        let lock = if self.args.keep_lock { abandon::Lock::Kept } else { abandon::Lock::GivenBack };
        driver.abandon(reason, lock).map(Begun::Run)
    }

    fn drive(&self, driver: &mut Driver, stop: &Stop) -> Result<Begun> {
        let starter = if self.args.after_reboot { Starter::Boot } else { Starter::Tick };
        let begun = match driver.start(starter)? {
            Start::Nothing => return Ok(Begun::Run(End::Done)),
            Start::Await => {
                driver.tell(Level::Info, "the reboot was ordered and has not come yet");
                return Ok(Begun::Run(End::Done));
            }
            Start::NoBoot => return driver.no_boot().map(Begun::Run),
            Start::Resume(phase) => {
                driver.tell(Level::Info, format_args!("the run goes on with phase {phase}"));
                return driver.go(phase).map(Begun::Run);
            }
            Start::GiveUp => driver.give_up()?,
            Start::Fresh => None,
        };
        match begun {
            Some(end) => Ok(Begun::Run(end)),
            None if starter == Starter::Boot => Ok(Begun::Run(End::Done)),
            None => self.fresh(driver, stop),
        }
    }

    /// A new run, if this is a day for it.
    fn fresh(&self, driver: &mut Driver, stop: &Stop) -> Result<Begun> {
        if !self.allowed {
            driver.tell(Level::Info, "the date constraint does not allow a run today");
            // Version 0.x called that a failure.
            let failed = self.codes == Codes::Theirs && self.settings.dialect == Dialect::DlmIni;
            return Ok(Begun::No(if failed { Exit::Failed } else { Exit::Done }));
        }
        let missing = missing_dirs(self.settings, self.paths);
        for warning in &missing.warnings {
            driver.say(Level::Warning, warning);
        }
        if let Some(words) = missing.errors.first() {
            return Err(Error::Usage(words.clone()));
        }
        if let Some(end) = driver.judge_all()? {
            return Ok(Begun::Run(end));
        }
        let seconds = f64::from(self.args.random_sleep) * random::part();
        if self.args.random_sleep > 0
            && let Some(signal) = stop.sleep(Duration::from_secs_f64(seconds))
        {
            return Ok(Begun::Run(End::Signal(signal)));
        }
        driver.go(Phase::NeedsUpdate).map(Begun::Run)
    }
}

enum Begun {
    No(Exit),
    Run(End),
}
