//! What lies before a tool when it has the host lock: flags, journal, init. Read once; the table decides on it.

use crate::boot::identity::BootIdentity;
use crate::boot::init::{self, Init, Level, Trigger};
use crate::error::{Error, Result};
use crate::flag::done::{Done, Reboot};
use crate::flag::journal;
use crate::flag::run::Run;
use crate::flag::state::State;
use crate::flag::table::Seen;
use crate::paths::{self, Paths};
use crate::sys::dir::Dir;

/// The facts of this moment.
pub struct Scene {
    /// `/etc`, open.
    pub etc: Dir,
    /// `patchflag` stands there, fit or not.
    pub flag: bool,
    /// The run of `patchlog`.
    pub run: Option<Run>,
    /// What `patchdone` says.
    pub done: Option<Done>,
    /// The run of the dated log that `patchdone` names.
    pub dated: Option<Run>,
    /// The init system.
    pub init: Box<dyn Init>,
    /// The level of this boot.
    pub level: Level,
    /// The trigger of a maintenance boot.
    pub trigger: Trigger,
    /// This boot.
    pub boot: String,
}

impl Scene {
    /// Looks at everything.
    ///
    /// # Errors
    /// If something cannot be looked at, or is not what it should be: then nothing can be decided.
    pub fn look(paths: &Paths) -> Result<Self> {
        let etc = Dir::open(&paths.etc())?;
        let flag = etc.has(paths::FLAG)?;
        let run = journal::run(&etc, paths::LOG)?;
        let done = Done::read(&etc)?;
        let dated = match &done {
            Some(done) => journal::run(&etc, &done.log)?.filter(|run| run.id == done.run),
            None => None,
        };
        let init = init::open(paths);
        let level = init.level()?;
        let trigger = init.trigger()?;
        let boot = BootIdentity::current(paths)?.to_string();
        let scene = Self { etc, flag, run, done, dated, init, level, trigger, boot };
        scene.state()?;
        Ok(scene)
    }

    /// The last state of `patchlog`.
    ///
    /// # Errors
    /// If the journal is not one that this version can act upon.
    pub fn state(&self) -> Result<Option<State>> {
        let Some(run) = &self.run else { return Ok(None) };
        run.known_state().map(Some).map_err(|why| Error::refused(self.etc.join(paths::LOG).display(), why))
    }

    /// The view that the table decides on. `held`: every lock of the configuration is held.
    pub fn seen(&self, held: bool) -> Seen {
        Seen {
            flag: self.flag,
            log: self.run.as_ref().and_then(|run| run.state),
            done: self.done.is_some(),
            trigger: self.trigger == Trigger::Up,
            maintenance: self.level == Level::Maintenance,
            booted: self.booted(),
            verdict: self.dated.as_ref().and_then(|run| run.verdict),
            held,
        }
    }

    /// Whether an installation at the normal level still waits for the reboot that is ours to give.
    pub fn awaits_our_reboot(&self) -> bool {
        self.done.as_ref().is_some_and(|done| done.boot == self.boot && done.reboot == Reboot::Ours)
    }

    /// Whether the host was booted since the order.
    fn booted(&self) -> bool {
        self.run.as_ref().and_then(|run| run.fact("boot")).is_some_and(|boot| boot != self.boot)
    }
}
