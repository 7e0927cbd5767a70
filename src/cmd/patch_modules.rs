//! `patch-modules(8)`: applies the modules of a manifest, verifies them, and puts a former version back.

mod apply;
mod check;
mod facts;
mod heal;
mod list;
mod past;
mod plan;
mod ready;
mod requirements;
mod rollback;
mod setup;
mod site;
mod versions;
mod voice;
mod work;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::modules::jobs;
use crate::error::Result;
use crate::exit::{self, Exit};
use crate::lock::name::Note;

use super::place::Place;
use site::Site;

const HELP: &str = "\
Exit code 0: done; 1: a module failed, or is not what the manifest says; 75: another patch-modules
is at work; 2: wrong arguments, configuration or manifest, and nothing was changed.

Examples:  patch-modules verify                    is every module what the manifest says it is?
           patch-modules apply --dry-run           what would run, in which order
           patch-modules checksum --write adblock  take a module as it is now, before its first run
           patch-modules repair --accept adblock --reason 'new list'";

/// Apply the modules of a manifest, verified before they run
#[derive(Debug, Parser)]
#[command(name = "patch-modules", version, after_help = HELP, arg_required_else_help = true)]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Directory of the modules and their manifest.json, instead of `dir =` in section [modules]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run modules and what they need, each once and in order
    Apply(Apply),
    /// Say whether modules are what the manifest says, and what changed
    Verify(Names),
    /// Print checksums of modules; --write puts them into the manifest
    Checksum(Checksum),
    /// Take a module that has changed as right
    Repair(Repair),
    /// Show the versions of a module that git has
    Versions(One),
    /// Tag what is committed of a module as the version that the manifest wants
    Tag(One),
    /// Put a former version of a module back in its place
    Rollback(Rollback),
    /// Mark the version of a module that runs as the one to go back to
    Safe(One),
    /// Make the virtual environments of modules in Python, from their requirements.txt
    Setup(Names),
    /// Show the modules of the manifest
    List(Json),
    /// Say where each module stands
    Status(Json),
    /// Show what happened, the newest last
    History(History),
}

#[derive(Debug, clap::Args)]
struct Apply {
    /// Say what would run; run nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How many modules work at once, instead of `jobs =` in section [modules]
    #[arg(short = 'j', long, value_name = "N", value_parser = jobs)]
    jobs: Option<NonZeroUsize>,
    /// Run modules whose checksum is null, too
    #[arg(long)]
    allow_unverified: bool,
    /// With --dry-run: named fields instead of sentences
    #[arg(long, requires = "dry_run")]
    json: bool,
    /// Modules; without one all below the entrypoint
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Names {
    /// Modules; without one all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Checksum {
    /// Put them into the manifest
    #[arg(long)]
    write: bool,
    /// Modules; without one all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Repair {
    /// The module that is right as it is now
    #[arg(long, value_name = "NAME")]
    accept: String,
    /// Why; it stays in the history
    #[arg(long, value_name = "TEXT", value_parser = Note::new)]
    reason: Note,
}

#[derive(Debug, clap::Args)]
struct Json {
    /// Named fields instead of sentences
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct One {
    /// Named fields instead of sentences
    #[arg(long)]
    json: bool,
    /// The module
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, clap::Args)]
struct Rollback {
    /// This version; else the last safe one, or the one that ran before
    #[arg(long, value_name = "VERSION", conflicts_with = "last_safe")]
    to: Option<String>,
    /// The version that was last marked as safe
    #[arg(long)]
    last_safe: bool,
    /// The module
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, clap::Args)]
struct History {
    /// Named fields, an object a line
    #[arg(long)]
    json: bool,
    /// How many records at most
    #[arg(short = 'c', long, value_name = "N", default_value_t = 50)]
    count: usize,
    /// Modules; without one all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Entry point of `patch-modules`.
#[must_use]
pub fn main() -> ExitCode {
    exit::main("patch-modules", run)
}

fn run(args: &Args) -> Result<Exit> {
    let site = Site::open(&args.place, args.dir.as_deref())?;
    match &args.command {
        Command::Apply(apply) if apply.dry_run || site.only_words => plan::show(&site, apply),
        Command::Apply(apply) => apply::apply(&site, apply),
        Command::Versions(one) => versions::show(&site, &one.name, one.json),
        Command::Tag(one) => versions::tag(&site, &one.name),
        Command::Rollback(back) => rollback::rollback(&site, back),
        Command::Safe(one) => rollback::safe(&site, &one.name),
        Command::Setup(names) => setup::setup(&site, &names.names),
        Command::Status(json) => past::status(&site, json.json),
        Command::History(history) => past::show(&site, &history.names, history.count, history.json),
        Command::Verify(names) => check::verify(&site, &names.names),
        Command::Checksum(checksum) if checksum.write => check::write(&site, &checksum.names),
        Command::Checksum(checksum) => check::print(&site, &checksum.names),
        Command::Repair(repair) => check::accept(&site, &repair.accept, &repair.reason.to_string()),
        Command::List(json) => list::show(&site, json.json),
    }
}
