//! The end of a run: its locks are given back, people are told, and its journal gets its dated name.

use chrono::TimeDelta;

use super::{Turn, Walk};
use crate::boot::init;
use crate::cmd::{installing, letters, locking};
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::dated;
use crate::flag::done::Done;
use crate::flag::record::Draft;
use crate::flag::state::State;
use crate::flag::table::{self, Letter};
use crate::paths;
use crate::sys::replace;

/// How long the lock service may be away at the release until people are told (DESIGN 2).
const PATIENCE_AT_RELEASE: TimeDelta = TimeDelta::minutes(15);

impl Walk<'_> {
    /// Gives the run's locks back. What cannot be given back now is tried again at every tick, and people are told of it.
    pub(super) fn unlock(&mut self) -> Result<Turn> {
        let Some(run) = self.run()? else { return Ok(Turn::On) };
        let Err(error) = locking::give_back(self, &run) else { return Ok(Turn::On) };
        let why = error.to_string();
        // Who is away comes back; what the service refuses is for a person, and no tick may keep silent about it.
        let is_news = match (&error, run.fact("unreleased")) {
            (_, None) => true,
            (Error::Unreachable { .. }, Some(_)) => false,
            (_, Some(told)) => told != why,
        };
        if is_news {
            if !matches!(error, Error::Unreachable { .. }) {
                exit::warn(format_args!("the lock is not given back: {why}"));
            }
            self.record(&Draft::note("the lock could not be released").field("unreleased", &why))?;
        }
        let waited = run.decided().map(|since| self.site.clock.now() - since);
        if waited.is_some_and(|waited| waited >= PATIENCE_AT_RELEASE) && run.fact("told").is_none() {
            for step in table::steps_unreleased(self.scene.seen(true)).unwrap_or_default() {
                self.take(step)?;
            }
            self.record(&Draft::note("told that the lock is not released").field("told", "not-released"))?;
        }
        self.exit = Exit::from(&error);
        Ok(Turn::Wait(why))
    }

    pub(super) fn mail(&mut self, letter: Letter) -> Result<()> {
        if letter == Letter::Interrupted {
            self.repair()?;
        }
        if let Some(run) = self.run()? {
            let post = || letters::post(self.site, &self.scene, &run, letter, &self.log);
            if post().is_err() {
                // A full disk: the room was set aside for this mail, and the run that it was set aside for is over.
                installing::give_room_back(self.site, &self.scene.etc);
                post()?;
            }
        }
        Ok(())
    }

    pub(super) fn point_at_failed(&self, log: &str) -> Result<()> {
        information(replace::symlink(&self.scene.etc, paths::FAILED, log))
    }

    pub(super) fn date(&mut self) -> Result<()> {
        let Some(run) = self.run()? else { return Ok(()) };
        let wanted = self.scene.done.as_ref().filter(|done| done.run == run.id).cloned();
        let failed = run.state == Some(State::Failed);
        init::tidy(&self.scene.etc);
        // What lies about and what is to be seen comes first: once the journal has its dated name, nobody comes back here.
        if run.state != Some(State::Installed) {
            installing::give_room_back(self.site, &self.scene.etc);
        }
        let free = match &wanted {
            Some(done) => done.log.clone(),
            None => dated::free(&self.scene.etc, run.started)?,
        };
        if failed {
            self.point_at_failed(&free)?;
        }
        let name = dated::date(&self.scene.etc, run.started, Some(&free))?;
        self.journal = None;
        self.log.clone_from(&name);
        if let Some(done) = wanted.filter(|done| done.log != name) {
            Done { log: name.clone(), ..done }.raise(&self.scene.etc)?;
        }
        if failed {
            if name != free {
                self.point_at_failed(&name)?;
            }
            letters::run_failure_hooks(self.site, &run, &name);
        }
        Ok(())
    }
}

/// `patchfailed` is information, not a state: somebody's directory under its name is told, and keeps no run from its end.
pub(super) fn information<T>(done: Result<T>) -> Result<()> {
    match done {
        Err(error @ Error::Io { .. }) if error.is_a_directory() => exit::warn(error),
        other => drop(other?),
    }
    Ok(())
}
