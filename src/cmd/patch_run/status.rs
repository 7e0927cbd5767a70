//! `patch-run --status`: where this host stands, from the state file and the record beside it. The lock service is not asked.

use serde::Serialize;

use crate::boot::identity::BootIdentity;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::paths::Paths;
use crate::phase::run::{self, Run};
use crate::phase::settings::Settings;
use crate::phase::table::{self, Holds, Start, Starter};
use crate::sys::clock::{self, Clock};
use crate::sys::lockfile;
use crate::sys::worker;

use super::driver::Scene;
use super::scripts;

#[derive(Debug, Serialize)]
struct Status {
    /// The phase that is next; nothing between two runs.
    state: Option<&'static str>,
    /// What the next start would do.
    next: String,
    /// A driver is at work now.
    working: bool,
    /// The process group of a script whose driver was killed.
    left_at_work: Option<i32>,
    run: Option<String>,
    started: Option<String>,
    last: Option<String>,
    grants: Vec<String>,
    /// The service was asked, and it is not known what it answered.
    lock_unsure: bool,
    done: Vec<String>,
    failed: Option<String>,
    ended: Option<String>,
}

/// Shows it.
///
/// # Errors
/// If the state cannot be read or trusted.
pub fn show(settings: &Settings, paths: &Paths, clock: Clock, json: bool) -> Result<Exit> {
    let status = Status::look(settings, paths, clock)?;
    if json {
        let text = serde_json::to_string(&status).map_err(|why| Error::failed("print", "the status", why))?;
        exit::out(text);
    } else {
        status.print();
    }
    Ok(Exit::Done)
}

impl Status {
    fn look(settings: &Settings, paths: &Paths, clock: Clock) -> Result<Self> {
        let scene = Scene::look(settings, paths)?;
        let boot = BootIdentity::current(paths)?.to_string();
        let seen = scene.seen(settings, &boot, clock)?;
        let last: Option<Run> = run::read(&paths.at(&settings.state))?;
        let open = scene.run.as_ref();
        let working = lockfile::is_held(&paths.at(&settings.local_lock))?;
        Ok(Self {
            state: seen.state.map(crate::phase::name::Phase::as_str),
            next: next(table::start(seen, Starter::Tick)),
            working,
            left_at_work: if working {
                None
            } else {
                worker::left_behind(&scripts::mark(settings, paths))?.map(|worker| worker.group())
            },
            run: last.as_ref().map(|run| run.id.clone()),
            started: last.as_ref().map(|run| clock::stamp(run.started)),
            last: last.as_ref().map(|run| clock::stamp(run.last)),
            grants: open.map(|run| run.grants.clone()).unwrap_or_default(),
            lock_unsure: open.is_some_and(|run| run.holds() == Holds::Perhaps),
            done: open
                .and_then(|run| run.begun.as_ref())
                .map(|begun| begun.done.iter().map(|(script, _)| script.clone()).collect())
                .unwrap_or_default(),
            failed: open.and_then(|run| run.failed.clone()),
            ended: last.and_then(|run| run.ended),
        })
    }

    fn print(&self) {
        // Who waits has been asking all the while.
        let asks = self.working && self.lock_unsure;
        match self.state {
            Some(phase) if asks => exit::out(format_args!("at work, phase {phase}, asking for the lock")),
            Some(phase) if self.working => exit::out(format_args!("at work, phase {phase}")),
            Some(phase) => exit::out(format_args!("phase {phase} is next; the next start would {}", self.next)),
            None if self.working => exit::out("at work, looking whether there is anything to do"),
            None => exit::out(format_args!("idle; the next start would {}", self.next)),
        }
        if let Some(group) = self.left_at_work {
            exit::out(format_args!("process group {group} of a run that was killed is still at work"));
        }
        for grant in &self.grants {
            exit::out(format_args!("holds {grant}"));
        }
        if self.lock_unsure && !asks {
            exit::out("may hold the lock: the answer of the service was not recorded");
        }
        for script in &self.done {
            exit::out(format_args!("done {script}"));
        }
        if let Some(why) = &self.failed {
            exit::out(format_args!("failed: {why}"));
        }
        if let (Some(run), Some(started)) = (&self.run, &self.started) {
            let ended = self.ended.as_ref().zip(self.last.as_ref());
            let ended = ended.map(|(how, at)| format!(", ended {at}: {how}")).unwrap_or_default();
            exit::out(format_args!("run {run} began {started}{ended}"));
        }
    }
}

/// What a start would do, as a verb.
pub fn next(start: Start) -> String {
    match start {
        Start::Fresh => "ask whether there is anything to do".into(),
        Start::GiveUp => "give back what was not used, and ask whether there is anything to do".into(),
        Start::Resume(phase) => format!("go on with phase {phase}"),
        Start::Await => "wait for the reboot that was ordered".into(),
        Start::NoBoot => "report that the ordered reboot has not come".into(),
        Start::Nothing => "do nothing".into(),
    }
}
