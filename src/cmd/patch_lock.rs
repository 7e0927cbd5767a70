//! `patch-lock(8)`: takes, shows, explains and frees the distributed lock.

mod by_hand;
mod command;
mod hold;
mod in_run;
mod showing;
mod site;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{self, values};
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client::{self, Claim, claim};
use crate::lock::name::{LockName, LockSet, Note, Owner};
use crate::paths::Paths;

use super::asking::Wait;
use super::chain;
use super::place::Place;
use super::walk::Site;

const HELP: &str = "\
Exit code 0: held, or done; 75: held elsewhere; 69: the service cannot be reached;
2: wrong arguments or configuration.

Examples:  patch-lock acquire web --wait=30m --reason 'moving disks'   by hand, until a release
           patch-lock acquire -p --wait && patchit     in cron, as a stage of the patch chain
           patch-lock hold web -- reindex              while a command runs, like flock(1)
           patch-lock why web                          who holds it, and what would change it";

/// Take, show, explain and free the distributed lock
#[derive(Debug, Parser)]
#[command(name = "patch-lock", version, after_help = HELP, arg_required_else_help = true)]
struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take locks, all or none; what this host holds already is held again
    Acquire(Acquire),
    /// Give locks back
    Release(Release),
    /// Show who holds locks, and who waits for them
    Show(Show),
    /// Show all locks of the service
    List(List),
    /// Show what happened to a lock, or to all, the newest first
    History(History),
    /// Say in one line why this host does not have a lock, and what would change it
    Why(Why),
    /// Run a command while a lock is held, like flock(1)
    Hold(Hold),
    /// End the grant of an owner that is lost for good
    ForceRelease(Force),
}

#[derive(Debug, clap::Args)]
struct Acquire {
    /// Patch mode: only for a run that is staged, and recorded in its journal
    #[arg(short = 'p', long = "patch")]
    patch: bool,
    /// Say what would be asked for; ask nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// What for; others see it
    #[arg(long, value_name = "TEXT", value_parser = Note::new)]
    reason: Option<Note>,
    /// Locks, instead of `names =` in section [lock]
    #[arg(value_name = "NAME", value_parser = LockName::new)]
    names: Vec<LockName>,
}

#[derive(Debug, clap::Args)]
struct WaitArgs {
    /// Wait for it: without end, or for this time, like 90s or 2h (default: `wait_max =` in section [lock])
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = patience)]
    wait: Option<Patience>,
}

/// How long somebody who waits is willing to.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// As the configuration has it.
    Configured,
    /// No longer than this.
    For(Duration),
}

fn patience(text: &str) -> std::result::Result<Patience, String> {
    if text.is_empty() { Ok(Patience::Configured) } else { values::duration(text).map(Patience::For) }
}

#[derive(Debug, clap::Args)]
struct Release {
    /// Patch mode: give back what a staged run holds
    #[arg(short = 'p', long = "patch")]
    patch: bool,
    /// Say what would be given back; ask nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Locks, instead of `names =` in section [lock]
    #[arg(value_name = "NAME", value_parser = LockName::new)]
    names: Vec<LockName>,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// Named fields instead of sentences
    #[arg(long)]
    json: bool,
    /// Locks
    #[arg(required = true, value_name = "NAME", value_parser = LockName::new)]
    names: Vec<LockName>,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Named fields instead of sentences
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct History {
    /// Named fields instead of sentences
    #[arg(long)]
    json: bool,
    /// How many events
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// The lock; else all
    #[arg(value_name = "NAME", value_parser = LockName::new)]
    name: Option<LockName>,
}

#[derive(Debug, clap::Args)]
struct Why {
    /// Named fields instead of sentences
    #[arg(long)]
    json: bool,
    /// Locks, instead of `names =` in section [lock]
    #[arg(value_name = "NAME", value_parser = LockName::new)]
    names: Vec<LockName>,
}

#[derive(Debug, clap::Args)]
struct Hold {
    /// Exit code if the lock is not granted, instead of 75 and 69
    #[arg(short = 'E', long = "conflict-exit-code", value_name = "N")]
    code: Option<u8>,
    #[command(flatten)]
    wait: WaitArgs,
    /// What for; others see it
    #[arg(long, value_name = "TEXT", value_parser = Note::new)]
    reason: Option<Note>,
    /// The lock
    #[arg(value_name = "NAME", value_parser = LockName::new)]
    name: LockName,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
struct Force {
    /// Whose grant
    #[arg(long, value_parser = Owner::new)]
    owner: Owner,
    /// Who orders it
    #[arg(long, value_name = "WHO", value_parser = Note::new)]
    by: Note,
    /// Why; both are kept in the history
    #[arg(long, value_name = "TEXT", value_parser = Note::new)]
    reason: Note,
    /// Also while the owner is down as it said it would be
    #[arg(long)]
    while_down: bool,
    /// The lock
    #[arg(value_name = "NAME", value_parser = LockName::new)]
    name: LockName,
}

/// Entry point of `patch-lock`.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = client::errand() {
        return code;
    }
    if is_idle_tick() {
        return ExitCode::SUCCESS;
    }
    exit::main("patch-lock", run)
}

/// Patch mode on a host without the two flags.
fn is_idle_tick() -> bool {
    let paths = Paths::system();
    chain::called_as(&[&["acquire", "-p"], &["acquire", "-p", "--wait"], &["release", "-p"]])
        && !chain::all_there(&[paths.flag(), paths.log()])
}

fn run(args: &Args) -> Result<Exit> {
    let place = &args.place;
    match &args.command {
        Command::Acquire(acquire) if acquire.patch => in_run::acquire(place, acquire),
        Command::Acquire(acquire) => by_hand::acquire(place, acquire),
        Command::Release(release) if release.patch => in_run::release(place, release),
        Command::Release(release) => by_hand::release(place, release),
        Command::Show(show) => showing::show(place, show),
        Command::List(list) => showing::list(place, list),
        Command::History(history) => showing::history(place, history),
        Command::Why(why) => showing::why(place, why),
        Command::Hold(order) => hold::hold(place, order),
        Command::ForceRelease(force) => showing::force(place, force),
    }
}

/// What a run of this host asks for, in the name of the run: the locks of the configuration if no others are named.
///
/// # Errors
/// [`Error::Usage`] if no lock is configured, or the host's name cannot be told.
pub(super) fn claim(site: &Site, run: &str, named: Option<LockSet>) -> Result<Claim> {
    let lock = site.config.lock.as_ref().ok_or_else(claim::no_lock)?;
    let locks = named.or_else(|| lock.names.clone());
    let locks = locks.ok_or_else(|| Error::Usage("no lock is named; set names = in section [lock]".into()))?;
    claim::of_this_host(site.config, site.paths, locks, claim::reason_of(run)?)
}

/// How long to wait: as the arguments say, else the configuration.
fn wait(args: &WaitArgs, lock: &config::Lock) -> Wait {
    match (args.wait, lock.wait_max) {
        (None, _) => Wait::No,
        (Some(Patience::For(time)), _) | (Some(Patience::Configured), Some(time)) => Wait::For(time),
        (Some(Patience::Configured), None) => Wait::Forever,
    }
}
