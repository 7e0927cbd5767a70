//! `patch-lock(8)`: takes, shows, explains and frees the distributed lock.

mod asking;
mod by_hand;
mod showing;
mod site;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::values;
use crate::error::Result;
use crate::exit::{self, Exit};
use crate::lock::name::{LockName, Note};

use super::place::Place;

const HELP: &str = "\
Exit code 0: held, or done; 75: held elsewhere; 69: the service cannot be reached; 2: wrong arguments or configuration.

Examples:  patch-lock acquire web --wait=30m --reason 'moving disks'    by hand; `patch-lock release web` afterwards
           patch-lock show web                                         who holds it";

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
}

#[derive(Debug, clap::Args)]
struct Acquire {
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

/// Entry point of `patch-lock`.
#[must_use]
pub fn main() -> ExitCode {
    exit::main("patch-lock", run)
}

fn run(args: &Args) -> Result<Exit> {
    let place = &args.place;
    match &args.command {
        Command::Acquire(acquire) => by_hand::acquire(place, acquire),
        Command::Release(release) => by_hand::release(place, release),
        Command::Show(show) => showing::show(place, show),
    }
}
