//! Judging a patched host: is it back, does everything work that worked before, and do the administrator's own programs agree.

use crate::boot::confirm::{self, Readiness};
use crate::error::Result;
use crate::flag::done::Done;
use crate::flag::run::Run;
use crate::hook;

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
    let before = scene.dated.as_ref().and_then(|run| run.fact("services")).unwrap_or_default();
    let expected = confirm::Expected { boot: &done.boot, level: &done.level, services: before };
    let patience = confirm::Patience { soak: site.config.patchit.soak, settle: site.config.patchit.settle };
    match confirm::look(site.paths, scene.init.as_ref(), &expected, patience, site.clock.now())? {
        Readiness::Wait(reason) => Ok(Finding::Wait(reason)),
        Readiness::Failed(reasons) => Ok(Finding::Broken(reasons.join("; "))),
        Readiness::Ready => programs(site, scene.dated.as_ref(), done),
    }
}

/// Every program of `confirm.d` must exit 0 in its time.
fn programs(site: &Site, run: Option<&Run>, done: &Done) -> Result<Finding> {
    let env = run.map(|run| letters::environment(run, &done.log)).unwrap_or_default();
    let dir = site.paths.confirm_d();
    let ran = hook::run_dir(site.paths, &dir, &env, site.config.patchit.hook_timeout, hook::OnFailure::Stop);
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => return Ok(Finding::Broken(error.to_string())),
    };
    Ok(match ran.iter().find(|hook| !hook.finished.is_success()) {
        Some(hook) => Finding::Broken(format!("confirm.d/{} failed with {}", hook.name, hook.finished.reason())),
        None => Finding::Works,
    })
}
