//! Judging a patched host: is it back, does everything work that worked before, and do the administrator's own programs agree.

use std::time::Duration;

use crate::boot::confirm::{self, Before, Limits, Now, Readiness};
use crate::boot::identity::{self, BootIdentity};
use crate::boot::kernel::Kernel;
use crate::boot::services::Services;
use crate::error::Result;
use crate::flag::done::Done;
use crate::flag::run::Run;
use crate::flag::state::State;
use crate::hook::{self, Failing};

use super::letters;
use super::scene::Scene;
use super::walk::Site;

/// What was found.
pub enum Finding {
    /// Too early to say, and why.
    Wait(String),
    /// Everything works.
    Works,
    /// Something does not: what.
    Broken(String),
}

/// Looks at the host as it is now.
///
/// # Errors
/// If it cannot be looked at.
pub fn look(site: &Site, scene: &Scene, done: &Done) -> Result<Finding> {
    match readiness(site, scene, done)? {
        Readiness::Wait(reason) => Ok(Finding::Wait(reason)),
        Readiness::Failed(reasons) => Ok(Finding::Broken(reasons.join("; "))),
        Readiness::Ready => Ok(programs(site, scene.dated.as_ref(), done)),
    }
}

fn readiness(site: &Site, scene: &Scene, done: &Done) -> Result<Readiness> {
    let run = scene.dated.as_ref();
    let fact = |key: &str| run.and_then(|run| run.fact(key));
    let kernel = fact("kernel").map(Kernel::parse);
    let before = Before {
        boot: &BootIdentity::recorded(&done.boot),
        level: &done.level,
        services: &Services::parse(fact("services").unwrap_or_default()),
        kernel: kernel.as_ref(),
        installed_ago: installed_ago(site, run),
    };
    let now = Now {
        boot: &BootIdentity::recorded(&scene.boot),
        level: &scene.level,
        uptime: identity::uptime(site.paths)?,
        services: &scene.init.services()?,
        kernel: &Kernel::current(site.paths)?,
    };
    let limits = Limits { soak: site.config.patchit.soak, settle: site.config.patchit.settle };
    Ok(confirm::decide(&before, &now, limits))
}

/// A clock that was set back since makes it no time at all: then the host waits, and the boot has its own time limit.
fn installed_ago(site: &Site, run: Option<&Run>) -> Duration {
    let installed = run.and_then(|run| run.entered(State::Installed));
    installed.and_then(|at| (site.clock.now() - at).to_std().ok()).unwrap_or_default()
}

/// Every program of `confirm.d` must exit 0 in its time.
fn programs(site: &Site, run: Option<&Run>, done: &Done) -> Finding {
    let env = run.map(|run| letters::environment(run, &done.log)).unwrap_or_default();
    let dir = site.paths.confirm_d();
    let ran = match hook::run_dir(
        site.paths,
        &dir,
        &[],
        &letters::pairs(&env),
        site.config.patchit.hook_timeout,
        Failing::Stops,
    ) {
        Ok(ran) => ran,
        Err(error) => return Finding::Broken(error.to_string()),
    };
    match ran.iter().find(|hook| !hook.finished.is_success()) {
        Some(hook) => Finding::Broken(format!("confirm.d/{} failed: {}", hook.name, hook.finished.reason())),
        None => Finding::Works,
    }
}
