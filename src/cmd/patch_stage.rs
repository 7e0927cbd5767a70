//! `patch-stage(8)`: runs any command under the rules, so that it becomes a stage of the chain.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::config::{Config, values};
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::order::Order;
use crate::flag::record::Draft;
use crate::flag::run::Run;
use crate::flag::state::State;
use crate::paths::Paths;
use crate::sys::process::{Ended, Finished, Job};
use crate::sys::trusted::is_plain_name;

use super::chain;
use super::place::Place;
use super::scene::Scene;
use super::walk::{Site, Walk};

/// How much of the command's output the journal remembers when it fails.
const TAIL: usize = 40;
/// From TERM to KILL at the end of `--timeout`.
const GRACE: Duration = Duration::from_mins(1);

const HELP: &str = "\
Runs COMMAND once in a run, when the host is staged. Exit code 0 leaves the flags and records the stage as done; 69 and 75 \
mean `not yet` and are passed through; anything else stops the chain: patchflag is lowered, the run fails, a mail is sent. \
COMMAND finds PATCHFLAG_RUN, PATCHFLAG_CLUSTER and PATCHFLAG_INSTALL_DIR in its environment.

Example:  patch-stage db-dump -- /usr/local/sbin/dump-all";

/// Run a command as a stage of the patch chain
#[derive(Debug, Parser)]
#[command(name = "patch-stage", version, after_help = HELP)]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Say whether the command would be run; run nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// End the command after this time, like 90s, 30m or 2h; the stage has failed then
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    timeout: Option<Duration>,
    /// Name of the stage, as `after =` in section [patchit] calls it
    name: String,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Entry point of `patch-stage`.
#[must_use]
pub fn main() -> ExitCode {
    if is_idle_tick() {
        return ExitCode::SUCCESS;
    }
    exit::main("patch-stage", run)
}

/// `patch-stage NAME -- COMMAND…` on a host without the two flags.
fn is_idle_tick() -> bool {
    let paths = Paths::system();
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().is_some_and(|name| name.to_str().is_some_and(is_plain_name));
    let command = arguments.next().is_some_and(|word| word == "--") && arguments.next().is_some();
    name && command && !chain::all_there(&[paths.flag(), paths.log()])
}

fn run(args: &Args) -> Result<Exit> {
    if args.timeout.is_some_and(|time| time.is_zero()) {
        return Err(Error::Usage(
            "--timeout 0s leaves the command no time; leave the option out for as long as it takes".into(),
        ));
    }
    values::stage_name(&args.name).map_err(Error::Usage)?;
    let paths = args.place.paths()?;
    if !chain::all_there(&[paths.flag(), paths.log()]) {
        return chain::NOTHING;
    }
    let question = args.dry_run || args.place.is_only_a_question(&paths);
    let Some(lock) = chain::lock(&paths)? else { return chain::NOTHING };
    if chain::hands_off(&paths)? {
        return chain::NOTHING;
    }
    let config = load(args, &paths)?;
    let site = Site { paths: &paths, config: &config, clock: args.place.clock() };
    let scene = Scene::look(&paths)?;
    let Some(run) = scene.run.clone().filter(|run| is_due(&scene, run, &args.name)) else { return chain::NOTHING };
    // Of an unfit flag nobody can say what was ordered.
    Order::read(&scene.etc).inspect_err(|error| {
        if !question {
            chain::tell_once_a_day(&site, error);
        }
    })?;
    if question {
        exit::out(format_args!("would run {}", args.command[0].display()));
        return Ok(Exit::Done);
    }
    let ended = stage(args, &site, scene, &run);
    drop(lock);
    chain::deliver(&site);
    ended
}

fn load(args: &Args, paths: &Paths) -> Result<Config> {
    args.place.config(paths).inspect_err(|error| chain::tell_of_configuration(&args.place, paths, error))
}

/// A stage runs once in a run, between staging and the order of the boot.
fn is_due(scene: &Scene, run: &Run, name: &str) -> bool {
    scene.flag && run.state == Some(State::Staged) && !run.stages.contains(name)
}

fn stage(args: &Args, site: &Site, scene: Scene, run: &Run) -> Result<Exit> {
    let mut walk = Walk::new(site, scene);
    let finished = job(args, site.paths, run).run();
    match finished {
        Ok(finished) => {
            exit::pass_on(&finished.output);
            after(args, site, &mut walk, &finished)
        }
        Err(error) => walk.fail(&format!("stage {}: {error}", args.name)),
    }
}

fn job(args: &Args, paths: &Paths, run: &Run) -> Job {
    let fact = |key: &str| run.fact(key).unwrap_or_default().to_string();
    let job = Job::new(&args.command)
        .inside(paths.root())
        .env("PATCHFLAG_RUN", &run.id)
        .env("PATCHFLAG_CLUSTER", fact("cluster"))
        .env("PATCHFLAG_INSTALL_DIR", fact("install_dir"))
        .marked(paths.worker());
    match args.timeout {
        Some(timeout) => job.deadline(timeout, GRACE),
        None => job,
    }
}

fn after(args: &Args, site: &Site, walk: &mut Walk, finished: &Finished) -> Result<Exit> {
    match finished.ended {
        Ended::Code(0) => {
            walk.record(&Draft::stage_done(&args.name))?;
            exit::note(format_args!("stage {} is done", args.name));
            Ok(Exit::Done)
        }
        Ended::Code(69) => {
            let said = finished.text();
            let reason = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
            chain::unreachable(site, walk, format!("what stage {} needs", args.name), reason.to_string())
        }
        Ended::Code(75) => Ok(Exit::NotYet),
        _ => {
            let text = finished.text();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
            walk.record(&Draft::note(&format!("stage {} failed", args.name)).field("tail", tail))?;
            walk.fail(&format!("stage {} failed: {}", args.name, finished.reason()))
        }
    }
}
