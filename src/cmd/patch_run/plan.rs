//! `patch-run --dry-run`: what a start would do, which scripts it would run in which order, and who holds the lock.

use serde::Serialize;

use crate::boot::identity::BootIdentity;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::hook::list::Listed;
use crate::lock::client::{self, claim};
use crate::lock::name::LockSet;
use crate::paths::Paths;
use crate::phase::name::PHASES;
use crate::phase::settings::{Reboot, Settings};
use crate::phase::table::{self, Starter};
use crate::sys::clock::Clock;

use super::driver::Scene;
use super::{scripts, status};

#[derive(Debug, Serialize)]
struct Plan {
    next: String,
    phases: Vec<PhasePlan>,
    reboot: Option<String>,
    locks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PhasePlan {
    phase: &'static str,
    scripts: Vec<String>,
    skipped: Vec<String>,
}

/// Shows it. A script that is unfit is told, and then this fails: so would the run.
///
/// # Errors
/// If the state cannot be read, a directory or a script is unfit.
pub fn show(settings: &Settings, config: &Config, paths: &Paths, clock: Clock, json: bool) -> Result<Exit> {
    let boot = BootIdentity::current(paths)?.to_string();
    let seen = Scene::look(settings, paths)?.seen(settings, &boot, clock)?;
    let mut phases = Vec::new();
    for phase in PHASES.into_iter().filter(|phase| phase.has_scripts()) {
        phases.push(PhasePlan::of(phase.as_str(), &scripts::of_phase(settings, paths, phase)?));
    }
    let dirs = &settings.dirs;
    let others = [
        ("phase_pre_hook", &dirs.before),
        ("phase_post_hook", &dirs.behind),
        ("ext_notify", &dirs.notify),
        ("on_failure", &dirs.on_failure),
    ];
    for (name, dir) in others {
        if let Some(dir) = dir {
            phases.push(PhasePlan::of(name, &scripts::of_dir(paths, dir)?));
        }
    }
    let reboot = match &settings.reboot {
        Reboot::Scripts => None,
        // Only where there are no scripts for it.
        Reboot::ScriptsOr(_) if phases.iter().any(|plan| plan.phase == "reboot" && !plan.scripts.is_empty()) => None,
        Reboot::Command(words) | Reboot::ScriptsOr(words) => Some(words.join(" ")),
    };
    let next = status::next(table::start(seen, Starter::Tick));
    let plan = Plan { next, phases, reboot, locks: locks(settings, config, paths, clock) };
    if json {
        exit::out(serde_json::to_string(&plan).map_err(|why| Error::failed("print", "the plan", why))?);
    } else {
        plan.print();
    }
    Ok(Exit::Done)
}

/// Who holds each lock, in a sentence; a service that does not answer is one of the answers.
fn locks(settings: &Settings, config: &Config, paths: &Paths, clock: Clock) -> Vec<String> {
    let Some(lock) = &settings.lock else { return vec!["no lock is taken".into()] };
    let names = lock.names.iter().flat_map(LockSet::iter);
    let why = |name| {
        let backend = client::open(lock, paths, clock)?;
        backend.why(name, &claim::owner(config, paths)?, claim::host_id(paths).ok().as_ref())
    };
    names.map(|name| why(name).unwrap_or_else(|error: Error| format!("lock {name}: {error}"))).collect()
}

impl PhasePlan {
    fn of(phase: &'static str, listed: &Listed) -> Self {
        let who = |entry: &crate::hook::list::Entry| match entry.whose.user() {
            Some(user) => format!("{} (as {})", entry.path.display(), user.name),
            None => entry.path.display().to_string(),
        };
        Self {
            phase,
            scripts: listed.scripts.iter().map(who).collect(),
            skipped: listed.skipped.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect(),
        }
    }
}

impl Plan {
    fn print(&self) {
        exit::out(format_args!("the next start would {}", self.next));
        for lock in &self.locks {
            exit::out(lock);
        }
        for phase in &self.phases {
            exit::out(format_args!("{}: {}", phase.phase, counted(phase.scripts.len())));
            for script in &phase.scripts {
                exit::out(format_args!("  {script}"));
            }
            for skipped in &phase.skipped {
                exit::out(format_args!("  not run: {skipped}"));
            }
        }
        if let Some(reboot) = &self.reboot {
            exit::out(format_args!("reboot by: {reboot}"));
        }
    }
}

fn counted(scripts: usize) -> String {
    match scripts {
        0 => "no script".into(),
        1 => "1 script".into(),
        more => format!("{more} scripts"),
    }
}
