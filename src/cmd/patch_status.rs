//! `patch-status(8)`: where this host stands, and why it is waiting: a sentence for people, named fields for programs.

use std::process::ExitCode;

use chrono::{DateTime, Local};
use clap::Parser;
use serde::Serialize;

use crate::boot::init::Level;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::dated;
use crate::flag::due;
use crate::flag::journal::{self, Journal};
use crate::flag::order::Order;
use crate::flag::record::Draft;
use crate::flag::run::Run;
use crate::flag::state::State;
use crate::lock::client::Held;
use crate::paths::{self, Paths};
use crate::sys::clock::{self, Moment};
use crate::sys::dir::Dir;
use crate::sys::{lockfile, worker};

use super::chain;
use super::locking;
use super::place::Place;
use super::scene::Scene;

const HELP: &str = "\
Examples:  patch-status                                where this host stands
           patch-status --json                         the same for programs
           patch-status --clear --reason 'fixed dkms'  forget a failed run that you have looked at";

/// Say where this host stands in its patching, and why it waits
#[derive(Debug, Parser)]
#[command(name = "patch-status", version, after_help = HELP)]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Named fields instead of sentences
    #[arg(long)]
    json: bool,
    /// Remove /etc/patchfailed, and record who did it and why
    #[arg(long, requires = "reason")]
    clear: bool,
    /// Why the failed run needs no more attention
    #[arg(long, value_name = "TEXT", requires = "clear")]
    reason: Option<String>,
    /// With --clear: say what would be removed; remove nothing
    #[arg(short = 'n', long, requires = "clear")]
    dry_run: bool,
}

/// Entry point of `patch-status`.
#[must_use]
pub fn main() -> ExitCode {
    exit::main("patch-status", run)
}

fn run(args: &Args) -> Result<Exit> {
    let paths = args.place.paths()?;
    let config = args.place.config(&paths)?;
    let now = args.place.clock().now();
    if let Some(reason) = &args.reason {
        let question = args.dry_run || args.place.is_only_a_question(&paths);
        return clear(&paths, reason, now, question);
    }
    let scene = Scene::look(&paths)?;
    let by_hand = locking::by_hand(&paths, &config).unwrap_or_else(|error| {
        exit::warn(error);
        Vec::new()
    });
    let status = Status::of(&scene, &config, now, left_at_work(&paths)?, &by_hand)?;
    if args.json {
        exit::out(serde_json::to_string_pretty(&status).map_err(|why| Error::failed("print", "the status", why))?);
    } else {
        status.print();
    }
    Ok(Exit::Done)
}

/// Everything that can be told, in fields. Times are RFC 3339; what does not apply is left out.
#[derive(Debug, Serialize)]
struct Status {
    state: String,
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stages_done: Vec<String>,
    maintenance_boot_ordered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_log: Option<String>,
    /// The process group of an installer or a stage whose tool was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_at_work: Option<i32>,
    /// Which service, and for which locks.
    lock: String,
    /// What somebody has taken by hand on this host: kind, lock, number, owner.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_hand: Vec<String>,
    /// What the run holds: kind, lock, number, owner.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<String>,
    /// What patch-run holds, under which the run was installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lent: Vec<String>,
}

impl Status {
    fn of(scene: &Scene, config: &Config, now: Moment, left_at_work: Option<i32>, by_hand: &[Held]) -> Result<Self> {
        let run = scene.run.as_ref().or(scene.dated.as_ref());
        let waits = match (&scene.run, scene.flag) {
            (Some(run), true) if run.state == Some(State::Staged) => {
                let order = Order::read(&scene.etc)?.unwrap_or_default();
                due::order_fits(run, &order).map_err(Error::Usage)?;
                let local = DateTime::<Local>::from(now).time();
                let what = due::waits_for(&config.patchit, run, &order, now, local);
                let held = locking::grants(run);
                what.or_else(|| locking::waits_for_hands(config, &held, by_hand))
                    .or_else(|| locking::waits_for(config, &held))
                    .or_else(|| Some("patchit".into()))
            }
            (Some(run), true) if run.unreachable > 0 => run
                .fact("unreachable")
                .map(|service| format!("{service}, which could not be reached {} times in a row", run.unreachable)),
            (None, true) if scene.done.is_none() => {
                Order::read(&scene.etc)?;
                Some("grab-patch".into())
            }
            _ => None,
        };
        // What cannot be given back keeps a run from its end, at whatever state.
        let unreleased = run.filter(|run| !run.grants.is_empty()).and_then(|run| run.fact("unreleased"));
        let waits = waits.or_else(|| unreleased.map(|why| format!("the release of its lock: {why}")));
        Ok(Self {
            state: state_word(scene).into(),
            sentence: sentence(scene, now),
            waits_for: waits,
            run: run.map(|run| run.id.clone()),
            cluster: run.and_then(|run| run.fact("cluster")).map(str::to_string),
            since: run.map(|run| clock::stamp(run.last)),
            stages_done: run.map(|run| run.stages.iter().cloned().collect()).unwrap_or_default(),
            maintenance_boot_ordered: scene.seen(true).trigger,
            failed_log: failed_log(&scene.etc)?,
            left_at_work,
            lock: locking::described(config),
            by_hand: by_hand.iter().map(ToString::to_string).collect(),
            grants: run.map(|run| run.grants.clone()).unwrap_or_default(),
            lent: run.map(|run| run.lent.clone()).unwrap_or_default(),
        })
    }

    fn print(&self) {
        let waits = self.waits_for.as_ref().map(|what| format!(", waits for {what}")).unwrap_or_default();
        exit::out(format_args!("{}{waits}", self.sentence));
        for grant in &self.grants {
            exit::out(format_args!("holds {grant}"));
        }
        for grant in &self.lent {
            exit::out(format_args!("installed under {grant}, which patch-run holds"));
        }
        if self.grants.is_empty() && self.lent.is_empty() {
            exit::out(format_args!("lock: {}", self.lock));
        }
        for grant in &self.by_hand {
            exit::out(format_args!("held by hand: {grant}; patch-lock release gives it back"));
        }
        if self.maintenance_boot_ordered {
            exit::out("a maintenance boot is ordered at init");
        }
        if let Some(group) = self.left_at_work {
            exit::out(format_args!(
                "process group {group} is still at work though its tool is gone; nothing else is done until it ends"
            ));
        }
        if let Some(log) = &self.failed_log {
            exit::out(format_args!("an earlier run failed: see {log}; `patch-status --clear --reason …` forgets it"));
        }
    }
}

/// Whose tool lives holds the host lock, and works as it should.
fn left_at_work(paths: &Paths) -> Result<Option<i32>> {
    let held = lockfile::is_held(&paths.host_lock())?;
    Ok(if held { None } else { worker::left_behind(&paths.worker())?.map(|worker| worker.group()) })
}

/// One word for the row of the state table.
fn state_word(scene: &Scene) -> &'static str {
    match (scene.run.as_ref().and_then(|run| run.state), scene.flag, scene.done.is_some()) {
        (Some(State::Fetching | State::Staged | State::Ordered), false, _) => "called-off",
        (Some(state), _, _) => state.word(),
        (None, _, true) => "to-be-confirmed",
        (None, true, false) => "armed",
        (None, false, false) => "idle",
    }
}

/// Where the host stands, in words: `staged 23:40`.
pub(super) fn sentence(scene: &Scene, now: Moment) -> String {
    let when = |run: &Run, state: State| {
        run.entered(state).map(|time| format!(" {}", clock_time(time, now))).unwrap_or_default()
    };
    let level = if scene.level == Level::Maintenance { ", in the maintenance boot" } else { "" };
    let text = match (&scene.run, &scene.done) {
        (Some(run), _) => match (run.state, scene.flag) {
            (Some(State::Fetching | State::Staged | State::Ordered), false) => {
                "called off by hand, not yet tidied up".into()
            }
            (Some(State::Fetching), _) => format!("being staged since{}", when(run, State::Fetching)),
            (Some(State::Ordered), _) => format!("maintenance boot ordered{}", when(run, State::Ordered)),
            (Some(State::Installing), _) => format!("installing since{}", when(run, State::Installing)),
            (Some(state), _) => format!("{state}{}", when(run, state)),
            (None, _) => "a journal without a state".into(),
        },
        (None, Some(done)) => format!("installed cluster {}, to be confirmed", done.cluster),
        (None, None) if scene.flag => "armed".into(),
        (None, None) => "idle".into(),
    };
    text + level
}

/// The time of the day in the host's own zone; the date as well if it is not today.
fn clock_time(time: Moment, now: Moment) -> String {
    let (time, now) = (DateTime::<Local>::from(time), DateTime::<Local>::from(now));
    let form = if time.date_naive() == now.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    time.format(form).to_string()
}

/// Where `/etc/patchfailed` leads, if it leads to one of our logs.
fn failed_log(etc: &Dir) -> Result<Option<String>> {
    if !etc.has(paths::FAILED)? {
        return Ok(None);
    }
    let target = std::fs::read_link(etc.join(paths::FAILED)).unwrap_or_default();
    let name = target.to_string_lossy().into_owned();
    Ok(dated::is_dated(&name).then(|| format!("/etc/{name}")))
}

fn clear(paths: &Paths, reason: &str, now: Moment, question: bool) -> Result<Exit> {
    let Some(_lock) = chain::lock(paths)? else {
        return Err(Error::Busy("another tool is at work on this host; try again in a minute".into()));
    };
    let etc = Dir::open(&paths.etc())?;
    if !etc.has(paths::FAILED)? {
        exit::out("there is no failed run to clear");
        return Ok(Exit::Done);
    }
    if question {
        exit::out("would remove /etc/patchfailed");
        return Ok(Exit::Done);
    }
    if let Some(log) = failed_log(&etc)?.as_deref().and_then(|path| path.strip_prefix("/etc/"))
        && let Some(run) = journal::run(&etc, log)?
    {
        Journal::resume(&etc, log, &run.id)?.add(now, &Draft::note("cleared by hand").field("reason", reason))?;
    }
    etc.remove(paths::FAILED)?;
    exit::note(format_args!("cleared the failed run: {reason}"));
    Ok(Exit::Done)
}
