//! `patchit(8)`: looks at flags, journal and run level, and does what is due: order the maintenance boot, install there, come
//! back, confirm.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, Local};
use clap::{Parser, ValueEnum};

use crate::boot::init::{self, Level, Trigger};
use crate::cluster::install::policy;
use crate::config::Install;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::done::Reboot;
use crate::flag::due;
use crate::flag::journal;
use crate::flag::order::Order;
use crate::flag::state::State;
use crate::flag::table::{self, Seen, Step};
use crate::lock::client;
use crate::paths::{self, Paths};
use crate::sys::clock::Moment;

use super::chain;
use super::installing;
use super::locking;
use super::place::Place;
use super::scene::Scene;
use super::walk::{Site, Walk};

/// Between two looks of `--wait`: at first often, for a boot is soon over, then seldom.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// `--wait` leaves what takes longer to the next tick.
const LONGEST_WAIT: Duration = Duration::from_mins(30);

const HELP: &str = "\
Started by cron every few minutes and by init at every boot. Does nothing without /etc/patchflag, /etc/patchlog or \
/etc/patchdone. `rm /etc/patchflag` calls a run off at any moment before the first change.

Example:  patchit --explain          what would be done now, and why";

/// Do what is due on a host that is being patched
#[allow(clippy::struct_excessive_bools)] // each is an option
#[derive(Debug, Parser)]
#[command(name = "patchit", version, after_help = HELP)]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Do everything but order a boot or begin an installation
    #[arg(long)]
    finish: bool,
    /// With --finish: stay as long as only time is lacking, for the end of the boot or of the soak
    #[arg(long, requires = "finish")]
    wait: bool,
    /// Say what would be done now, and why; change nothing
    #[arg(short = 'n', long, visible_alias = "dry-run")]
    explain: bool,
    /// Install at once, at the normal level, instead of in a maintenance boot
    #[arg(long, value_name = "WHERE", conflicts_with = "finish")]
    install: Option<Where>,
    /// Leave the reboot after --install live to the program that called this one
    #[arg(long, requires = "install")]
    no_reboot: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Where {
    Live,
}

/// Entry point of `patchit`.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = client::errand() {
        return code;
    }
    if chain::called_as(&[&[], &["--finish"], &["--finish", "--wait"]]) && is_idle(&Paths::system()) {
        return ExitCode::SUCCESS;
    }
    exit::main("patchit", run)
}

/// None of the three files, no room set aside, and no maintenance boot ordered: whoever removed the three may have left the others.
fn is_idle(paths: &Paths) -> bool {
    let names = [paths.flag(), paths.log(), paths.done(), paths.etc().join(paths::ROOM)];
    let ordered = || init::open(paths).trigger().is_ok_and(|trigger| trigger == Trigger::Up);
    !names.iter().any(|name| name.symlink_metadata().is_ok()) && !ordered()
}

/// Whether another look in a moment could find more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Later {
    /// Nothing, or nothing that time alone brings about.
    Nothing,
    /// Somebody else is at work, the boot is not over, or the soak is not.
    Maybe,
}

fn run(args: &Args) -> Result<Exit> {
    let paths = args.place.paths()?;
    let (start, mut pause) = (Instant::now(), PAUSES.0);
    loop {
        let (exit, later) = tick(args, &paths)?;
        if !args.wait || later == Later::Nothing || start.elapsed() > LONGEST_WAIT {
            return Ok(exit);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn tick(args: &Args, paths: &Paths) -> Result<(Exit, Later)> {
    const NOTHING: Result<(Exit, Later)> = Ok((Exit::Done, Later::Nothing));
    let question = args.explain || args.place.is_only_a_question(paths);
    if !question && is_idle(paths) {
        return NOTHING;
    }
    let lock = if question { None } else { chain::lock(paths)? };
    if lock.is_none() && !question {
        return Ok((Exit::Done, Later::Maybe));
    }
    if chain::hands_off(paths)? {
        return NOTHING;
    }
    let config = args.place.config(paths).inspect_err(|error| {
        if !question {
            chain::undo_at_least(paths);
            chain::tell_of_configuration(&args.place, paths, error);
        }
    })?;
    let site = Site { paths, config: &config, clock: args.place.clock() };
    if question {
        return explain(args, &site).map(|exit| (exit, Later::Nothing));
    }
    let worked = work(args, &site).inspect_err(|error| {
        chain::undo_at_least(paths);
        chain::tell_once_a_day(&site, error);
    });
    drop(lock);
    chain::deliver(&site);
    worked
}

/// What is to be done: steps, and why, or why not.
enum Plan {
    /// The host goes down, or is changed at once: the lock is asked for once more before.
    Begin(Vec<Step>),
    Steps {
        steps: Vec<Step>,
        because: Option<String>,
        begin: bool,
    },
    Nothing(String),
    /// Something may be due, and not at this level: a boot is under way, or an administrator at work.
    NotHere(String),
}

impl Plan {
    fn steps(steps: Vec<Step>) -> Self {
        Self::Steps { steps, because: None, begin: false }
    }

    fn failure(steps: Vec<Step>, cause: impl Into<String>) -> Self {
        Self::Steps { steps, because: Some(cause.into()), begin: false }
    }
}

fn work(args: &Args, site: &Site) -> Result<(Exit, Later)> {
    let (mut last, mut later) = (Exit::Done, Later::Nothing);
    // What lies behind a finished run (a new order, say) is due in the same tick. Each round changes the state or ends.
    for _ in 0..4 {
        let scene = Scene::look(site.paths)?;
        if !scene.flag {
            // A run that was called off before its first record leaves nothing else behind.
            journal::drop_if_empty(&scene.etc, paths::LOG)?;
            if scene.run.is_none() && scene.done.is_none() {
                installing::give_room_back(site, &scene.etc);
            }
        }
        if scene.state()? != Some(State::Installing) {
            // Left by an installation that was killed; one that was only just cut short is repaired under it.
            policy::undo(site.paths)?;
        }
        let (steps, because, begin, leaves) = match plan(args, site, &scene)? {
            Plan::Begin(steps) => (steps, None, false, true),
            Plan::Steps { steps, because, begin } => (steps, because, begin, false),
            Plan::NotHere(_) => return Ok((last, Later::Maybe)),
            Plan::Nothing(_) => break,
        };
        let maintenance = scene.level == Level::Maintenance;
        let mut walk = Walk::new(site, scene).rebooted_by(caller(args));
        if begin {
            walk.begin()?;
        }
        if let Some(cause) = because {
            walk.because(cause);
        }
        if leaves && let Some(exit) = without_lock(args, site, &mut walk)? {
            return Ok((exit, Later::Nothing));
        }
        let exit = walk.take_all(steps)?;
        last = if exit == Exit::Done { last } else { exit };
        if walk.waits() {
            later = Later::Maybe;
        }
        if walk.is_over() || maintenance {
            break;
        }
    }
    Ok((last, later))
}

/// Asks once more for the lock of the run that is about to begin; what the tool says if it does not stand, or nobody knows.
fn without_lock(args: &Args, site: &Site, walk: &mut Walk) -> Result<Option<Exit>> {
    let Some(run) = walk.run()? else { return Ok(None) };
    let held = locking::held(site, &run, caller(args))?;
    if let Some(what) = locking::waits_for(site.config, &held) {
        return Err(Error::Busy(format!("the run waits for {what}")));
    }
    match locking::stands(walk, &run, &held) {
        Ok(()) => Ok(None),
        Err(Error::Unreachable { service, reason }) => chain::unreachable(site, walk, service, reason).map(Some),
        Err(error) => Err(error),
    }
}

/// Who has called, and who reboots therefore.
fn caller(args: &Args) -> Reboot {
    if args.no_reboot { Reboot::Driver } else { Reboot::Ours }
}

/// Decides. Everything that is asked of the disk was asked by the scene, but what a driver lends.
fn plan(args: &Args, site: &Site, scene: &Scene) -> Result<Plan> {
    let seen = seen(args, site, scene)?;
    match &scene.level {
        Level::Maintenance => match &scene.trigger {
            Trigger::Foreign(what) => Ok(Plan::Nothing(format!("this is another updater's boot: {what}"))),
            Trigger::Up | Trigger::Down => Ok(at_maintenance(site, scene, seen)),
        },
        Level::Other(level) if seen.trigger && !seen.flag => Ok(Plan::failure(vec![Step::Undo], level)),
        Level::Other(level) => {
            Ok(Plan::NotHere(format!("this is neither the normal level nor an ordered boot: {level}")))
        }
        Level::Normal(_) => at_normal(args, site, scene, seen),
    }
}

/// What the table decides on.
fn seen(args: &Args, site: &Site, scene: &Scene) -> Result<Seen> {
    let Some(run) = &scene.run else { return Ok(scene.seen(false)) };
    Ok(scene.seen(locking::suffices(site.config, &locking::held(site, run, caller(args))?)))
}

fn at_maintenance(site: &Site, scene: &Scene, seen: Seen) -> Plan {
    if let (Some(State::Ordered), true, Some(run)) = (seen.log, seen.flag, &scene.run) {
        let order = Order::read(&scene.etc).map(Option::unwrap_or_default).map_err(|error| error.to_string());
        if let Err(why) = order.and_then(|order| due::order_stands(run, &order, &scene.boot, site.clock.now())) {
            return Plan::failure(table::steps_stale_boot(seen), why);
        }
    }
    Plan::steps(table::steps_boot(seen).unwrap_or_default())
}

fn at_normal(args: &Args, site: &Site, scene: &Scene, seen: Seen) -> Result<Plan> {
    let now = site.clock.now();
    if let Some(steps) = table::steps_finish(seen) {
        let because = due::cause(seen.log, seen.flag).map(str::to_string);
        let again = steps == [Step::Confirm] && !args.finish && scene.awaits_our_reboot();
        let steps = if again { vec![Step::Reboot] } else { steps };
        return Ok(Plan::Steps { steps, because, begin: false });
    }
    if let (Some(steps), Some(run)) = (table::steps_late(seen), &scene.run) {
        let wait = site.config.patchit.boot_wait;
        if due::is_late(run, wait, now) {
            return Ok(Plan::failure(steps, "no boot followed the order in its time"));
        }
        return Ok(Plan::Nothing("the reboot was ordered and has not come yet".into()));
    }
    if !seen.flag {
        return Ok(Plan::Nothing("no patchflag".into()));
    }
    let order = Order::read(&scene.etc)?.unwrap_or_default();
    if order.is_over(now) {
        return Ok(expired(seen));
    }
    scene.run.as_ref().map_or(Ok(()), |run| due::order_fits(run, &order)).map_err(Error::Usage)?;
    if args.finish {
        return Ok(Plan::Nothing("nothing to finish".into()));
    }
    match waits_for(args, site, scene, &order, now)? {
        Some(what) => Ok(Plan::Nothing(format!("the run waits for {what}"))),
        None => begin(args, site, scene, seen),
    }
}

fn expired(seen: Seen) -> Plan {
    let because = Some("not_after has passed".to_string());
    match table::steps_expire(seen) {
        Some(steps) => Plan::Steps { steps, because, begin: false },
        None if seen.log.is_none() && !seen.done => {
            // Never fetched. The run gets a journal all the same, for it ends with a mail like any other.
            let fetching = Seen { log: Some(State::Fetching), ..seen };
            let steps = table::steps_expire(fetching).unwrap_or_default();
            Plan::Steps { steps: [vec![Step::Log(State::Fetching)], steps].concat(), because, begin: true }
        }
        None => Plan::Nothing("not_after has passed, and the run is on its way".into()),
    }
}

/// Why the staged run is not begun now, if it is not.
fn waits_for(args: &Args, site: &Site, scene: &Scene, order: &Order, now: Moment) -> Result<Option<String>> {
    let Some(run) = scene.run.as_ref() else { return Ok(Some("grab-patch".into())) };
    let local = DateTime::<Local>::from(now).time();
    let held = locking::held(site, run, caller(args))?;
    let what = due::waits_for(&site.config.patchit, run, order, now, local);
    Ok(what.or_else(|| locking::waits_for(site.config, &held)))
}

/// What was staged the evening before may be gone by now: that is found out before the boot, not in it.
fn begin(args: &Args, site: &Site, scene: &Scene, seen: Seen) -> Result<Plan> {
    match scene.run.as_ref().map(|run| installing::check(site, run)) {
        // Who asks and may not look is told that, and not what would follow from it.
        Some(Err(error)) if error.is_denied() => Err(error),
        Some(Err(error)) => Ok(Plan::failure(table::steps_fail(), error.to_string())),
        _ => Ok(Plan::Begin(begin_steps(args, site, seen))),
    }
}

fn begin_steps(args: &Args, site: &Site, seen: Seen) -> Vec<Step> {
    let live = args.install.is_some() || site.config.patchit.install == Install::Live;
    let steps = if live { table::steps_live(seen) } else { table::steps_order(seen) };
    steps.unwrap_or_default()
}

fn explain(args: &Args, site: &Site) -> Result<Exit> {
    let scene = Scene::look(site.paths)?;
    exit::out(super::patch_status::sentence(&scene, site.clock.now()));
    let steps = match plan(args, site, &scene)? {
        Plan::Nothing(reason) | Plan::NotHere(reason) => {
            exit::out(format_args!("nothing is due: {reason}"));
            Vec::new()
        }
        Plan::Begin(steps) => {
            let held = scene.run.as_ref().map(|run| locking::held(site, run, caller(args))).transpose()?;
            let held: Vec<String> = held.unwrap_or_default().iter().map(ToString::to_string).collect();
            if !held.is_empty() {
                exit::out(format_args!("would ask whether the lock stands: {}", held.join("; ")));
            }
            steps
        }
        Plan::Steps { steps, because, .. } => {
            if let Some(cause) = because {
                exit::out(format_args!("because: {cause}"));
            }
            steps
        }
    };
    for step in steps {
        exit::out(format_args!("would {step}"));
    }
    Ok(Exit::Done)
}
