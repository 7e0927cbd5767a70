//! `patch-run --phase NAME`: the scripts of one directory, to try them. No lock, no state, no log: what they say is printed.
//! Nothing is tried beside a run: an update would be at work twice.

use std::path::Path;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::hook::{self, Ended, Heard, Terms, words};
use crate::paths::Paths;
use crate::phase::log::lines::Lines;
use crate::phase::name::Phase;
use crate::phase::settings::Settings;
use crate::sys::group::{Groups, Reach};
use crate::sys::lockfile::{self, Lock};
use crate::sys::stop::Stop;
use crate::sys::user::User;
use crate::sys::worker;

use super::scripts;

/// Runs them; the first that does not answer 0 is the last, as in a run, but in the phases that ask.
///
/// # Errors
/// If a script is unfit, the phase has none, or a run is at work.
pub fn run(settings: &Settings, paths: &Paths, phase: Phase) -> Result<Exit> {
    if !phase.has_scripts() {
        return Err(Error::Usage(format!("phase {phase} has no scripts; patch-lock takes and releases locks by hand")));
    }
    let _alone = alone(settings, paths, phase)?;
    let listed = scripts::of_phase(settings, paths, phase)?;
    for (path, reason) in &listed.skipped {
        exit::out(format_args!("not a script: {}: {reason}", path.display()));
    }
    let stop = Stop::on_signals()?;
    let groups = Groups::of_one_after_the_other(Some(scripts::mark(settings, paths)));
    for entry in &listed.scripts {
        exit::out(format_args!("running: {}", entry.path.display()));
        let user = entry.whose.user().cloned().unwrap_or_else(User::ourselves);
        let env = words::environment(&user, &settings.lock_name, phase.as_str());
        let terms = Terms {
            paths,
            env: &env,
            timeout: settings.timeout,
            grace: settings.grace,
            groups: &groups,
            reach: Reach::All,
            stop: Some(&stop),
            dir: Path::new("/"),
        };
        // What a user says is made harmless, as in the log: it is root's terminal.
        let (mut lines, mut said) = (entry.whose.user().map(|_| Lines::default()), Vec::new());
        let done = hook::run_script(&terms, entry, &[], &mut |heard| match (heard, &mut lines) {
            (Heard::Bytes(bytes), None) => exit::pass_on(bytes),
            (Heard::Bytes(bytes), Some(lines)) => {
                lines.take(bytes, b"", &mut said);
                exit::pass_on(&said);
                said.clear();
            }
            _ => {}
        })?;
        if let Some(mut lines) = lines {
            lines.finish(b"", &mut said);
            exit::pass_on(&said);
        }
        exit::out(format_args!("{}: {done}", entry.path.display()));
        match done.ended {
            Ended::Code(0) => {}
            Ended::Code(_) if matches!(phase, Phase::NeedsUpdate | Phase::NeedsReboot) => {}
            Ended::Stopped(signal) => return Ok(Exit::Code(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
            _ => return Ok(Exit::Failed),
        }
    }
    if listed.scripts.is_empty() {
        exit::out(format_args!("phase {phase} has no script"));
    }
    Ok(Exit::Done)
}

/// The local lock, held as long as a script is at work.
fn alone(settings: &Settings, paths: &Paths, phase: Phase) -> Result<Lock> {
    let busy = |words| Error::failed("try", format_args!("phase {phase}"), words);
    let lock = lockfile::try_take(&paths.at(&settings.local_lock))?
        .ok_or_else(|| busy(format!("a run is at work: it holds {}", settings.local_lock.display())))?;
    match worker::left_behind(&scripts::mark(settings, paths))? {
        None => Ok(lock),
        Some(left) => Err(busy(format!("process group {} of a run that was killed is still at work", left.group()))),
    }
}
