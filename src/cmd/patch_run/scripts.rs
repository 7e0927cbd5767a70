//! The scripts of a phase: which run, what they are given, what their ends mean.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::flag::record::Draft;
use crate::hook::list::{self, Entry, Listed};
use crate::hook::words::{self, Notice};
use crate::hook::{self, Done, Ended, Heard, Terms, Whose};
use crate::paths::Paths;
use crate::phase::log::Output;
use crate::phase::name::{PHASES, Phase};
use crate::phase::settings::{Asking, Dialect, Level, Repeat, ScriptDir, Settings};
use crate::phase::table::{Holds, Outcome};
use crate::sys::group::Reach;
use crate::sys::user::User;

use super::driver::{Driver, Turn};
use super::end::End;

/// What a shell answers for a command that it cannot execute or find: a fault, and no yes.
const SHELL_FAULTS: [i32; 2] = [126, 127];

/// What the end of a script means.
enum Meaning {
    Passed,
    Yes(i32),
    Failed(i32, String),
    Stopped(i32),
}

/// The users whose own scripts run.
///
/// # Errors
/// If one of them does not exist.
pub fn users(settings: &Settings) -> Result<Vec<Arc<User>>> {
    settings.users.iter().map(|name| User::find(name).map(Arc::new)).collect()
}

/// Everything that would run in a phase, in its order, judged.
///
/// # Errors
/// If a directory that the configuration names is missing, if a directory or a script is unfit.
pub fn of_phase(settings: &Settings, paths: &Paths, phase: Phase) -> Result<Listed> {
    let mut listed = match settings.dirs.get(phase) {
        Some(dir) => of_dir(paths, dir)?,
        None => Listed::default(),
    };
    if matches!(phase, Phase::PreUpdate | Phase::PostUpdate) && !settings.users.is_empty() {
        listed.merge(list::list_users(paths, &users(settings)?, &format!("{phase}.d"))?);
    }
    Ok(listed)
}

/// The scripts of a directory; one that nobody has named may be missing.
///
/// # Errors
/// As [`of_phase`].
pub fn of_dir(paths: &Paths, dir: &ScriptDir) -> Result<Listed> {
    match list::list(paths, &dir.path, &Whose::Root)? {
        Some(listed) => Ok(listed),
        None if dir.named => Err(Error::failed(
            "read",
            dir.path.display(),
            "the configuration names it, and it is not there; make it, empty if it is to hold no scripts",
        )),
        None => Ok(Listed::default()),
    }
}

impl<'a> Driver<'a> {
    /// Judges the scripts of all phases before the first one runs: what would stop the run with the lock in its hands stops it here.
    /// The end of the driver if one is unfit.
    ///
    /// # Errors
    /// If the failure cannot be told.
    pub fn judge_all(&mut self) -> Result<Option<End>> {
        for phase in PHASES.into_iter().filter(|phase| phase.has_scripts()) {
            if let Err(error) = of_phase(self.settings, self.paths, phase) {
                return self.fail(phase, None, 1, &error.to_string()).map(Some);
            }
        }
        Ok(None)
    }

    /// A phase whose scripts work: each must succeed.
    pub(super) fn work(&mut self, phase: Phase) -> Result<Turn> {
        let listed = match self.list(phase) {
            Ok(listed) => listed,
            Err(error) => return self.fail(phase, None, 1, &error.to_string()).map(Turn::Stop),
        };
        let (before, behind) = (self.settings.dirs.before.clone(), self.settings.dirs.behind.clone());
        if let Some(end) = self.around(phase, before.as_ref())? {
            return Ok(Turn::Stop(end));
        }
        for entry in &listed.scripts {
            if let Some(end) = self.work_on(phase, entry)? {
                return Ok(Turn::Stop(end));
            }
        }
        Ok(self.around(phase, behind.as_ref())?.map_or(Turn::On(Outcome::Yes), Turn::Stop))
    }

    /// The programs around the scripts of a phase, each with the phase as its argument. One that fails fails the phase: 1.0 took a
    /// plugin that broke for one that agreed (W30).
    fn around(&mut self, phase: Phase, dir: Option<&ScriptDir>) -> Result<Option<End>> {
        let Some(dir) = dir.filter(|_| matches!(phase, Phase::PreUpdate | Phase::PostUpdate)) else { return Ok(None) };
        let listed = match of_dir(self.paths, dir) {
            Ok(listed) => listed,
            Err(error) => return self.fail(phase, None, 1, &error.to_string()).map(Some),
        };
        self.tell_of_skipped(&listed);
        for entry in &listed.scripts {
            let path = entry.path.to_string_lossy().into_owned();
            match self.run_one(entry, &[phase.to_string()])? {
                Meaning::Passed => {}
                Meaning::Yes(code) => {
                    return self.fail(phase, Some(&path), code, &format!("exit code {code}")).map(Some);
                }
                Meaning::Failed(code, why) => return self.fail(phase, Some(&path), code, &why).map(Some),
                Meaning::Stopped(signal) => return Ok(Some(End::Signal(signal))),
            }
        }
        Ok(None)
    }

    /// One script that works; the end of the driver unless it succeeded.
    pub(super) fn work_on(&mut self, phase: Phase, entry: &Entry) -> Result<Option<End>> {
        let path = entry.path.to_string_lossy().into_owned();
        if self.was_done(phase, &path) {
            self.voice.say(Level::Info, format_args!("not run again, it has succeeded: {path}"));
            return Ok(None);
        }
        match self.run_one(entry, &[])? {
            Meaning::Passed => {
                self.record(
                    &Draft::default()
                        .field("phase", phase.as_str())
                        .field("script", &path)
                        .field("boot", self.boot.clone()),
                )?;
                self.notify(words::Driver::Running, phase.as_str(), Some(&path), 0)?;
                Ok(None)
            }
            Meaning::Yes(code) => self.fail(phase, Some(&path), code, &format!("exit code {code}")).map(Some),
            Meaning::Failed(code, why) => self.fail(phase, Some(&path), code, &why).map(Some),
            Meaning::Stopped(signal) => Ok(Some(End::Signal(signal))),
        }
    }

    /// A phase whose scripts are asked: any other code than 0 is a yes.
    pub(super) fn ask(&mut self, phase: Phase) -> Result<Turn> {
        let listed = match self.list(phase) {
            Ok(listed) => listed,
            Err(error) => return self.fail(phase, None, 1, &error.to_string()).map(Turn::Stop),
        };
        if listed.scripts.is_empty() && phase == Phase::NeedsReboot {
            self.voice.decide(Level::Info, "no script says whether a reboot is needed: the host is rebooted");
            return Ok(Turn::On(Outcome::Yes));
        }
        let mut answer = Outcome::No;
        for entry in &listed.scripts {
            let path = entry.path.to_string_lossy().into_owned();
            let code = match self.run_one(entry, &[])? {
                Meaning::Passed => 0,
                Meaning::Yes(code) => code,
                Meaning::Failed(code, why) => return self.fail(phase, Some(&path), code, &why).map(Turn::Stop),
                Meaning::Stopped(signal) => return Ok(Turn::Stop(End::Signal(signal))),
            };
            if code != 0 || self.tells_each_no(phase) {
                self.notify(words::Driver::Running, phase.as_str(), Some(&path), code)?;
            }
            if code != 0 {
                answer = Outcome::Yes;
                if phase == Phase::NeedsReboot || self.settings.needs_update == Asking::FirstYes {
                    break;
                }
            }
        }
        Ok(Turn::On(answer))
    }

    /// Of the scripts that see no need for a reboot, the older programs told nobody.
    fn tells_each_no(&self, phase: Phase) -> bool {
        phase == Phase::NeedsUpdate || matches!(self.settings.dialect, Dialect::Ours | Dialect::Dotenv)
    }

    fn was_done(&self, phase: Phase, path: &str) -> bool {
        self.settings.repeat == Repeat::Unfinished
            && self.book.as_ref().is_some_and(|book| book.run.is_done(phase, path, &self.boot))
    }

    /// The scripts of a phase; what is passed over is told.
    pub(super) fn list(&mut self, phase: Phase) -> Result<Listed> {
        let listed = of_phase(self.settings, self.paths, phase)?;
        self.tell_of_skipped(&listed);
        Ok(listed)
    }

    fn tell_of_skipped(&mut self, listed: &Listed) {
        for (path, reason) in &listed.skipped {
            self.voice.say(Level::Info, format_args!("not a script: {}: {reason}", path.display()));
        }
    }

    fn run_one(&mut self, entry: &Entry, args: &[String]) -> Result<Meaning> {
        self.voice.say(Level::Info, format_args!("running: {}", entry.path.display()));
        let user = entry.whose.user().cloned().unwrap_or_else(User::ourselves);
        let env = self.environment(&user);
        let terms = self.terms(&env);
        let mut output = self.voice.output();
        let ran = hook::run_script(&terms, entry, args, &mut |heard| pass(&mut output, &heard));
        drop(output);
        match ran {
            Ok(done) => Ok(self.meaning(&entry.path, &done)),
            // Unfit or exchanged since it was judged: it did not run.
            Err(error @ (Error::Refused { .. } | Error::Io { .. } | Error::Failed { .. })) => {
                self.voice.decide(Level::Error, &error);
                Ok(Meaning::Failed(126, error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// A command of the configuration.
    pub(super) fn run_words(&mut self, command: &[String]) -> Result<Done> {
        self.voice.say(Level::Info, format_args!("running: {}", command.join(" ")));
        let env = self.environment(&User::ourselves());
        let terms = self.terms(&env);
        let mut output = self.voice.output();
        let done = hook::run_command(&terms, command, &mut |heard| pass(&mut output, &heard))?;
        drop(output);
        self.meaning(Path::new(&command.join(" ")), &done);
        Ok(done)
    }

    /// Of the parts that do not change, so that the log can be written to meanwhile.
    fn terms<'t>(&self, env: &'t [(&'static str, String)]) -> Terms<'t>
    where
        'a: 't,
    {
        Terms {
            paths: self.paths,
            env,
            timeout: self.settings.timeout,
            grace: self.settings.grace,
            groups: self.groups,
            reach: self.reach(),
            stop: Some(self.stop),
            dir: Path::new("/"),
        }
    }

    /// Nothing is changed before the first phase is over, and most runs end there: the fence, which takes the kernel longer to open than
    /// the rest of such a run, is only for scripts that have a time-out.
    fn reach(&self) -> Reach {
        let asks = self.state.is_none_or(|phase| phase == Phase::NeedsUpdate);
        if asks && self.settings.timeout.is_none() { Reach::Group } else { Reach::All }
    }

    fn meaning(&mut self, path: &Path, done: &Done) -> Meaning {
        self.voice.finished(path, done);
        match &done.ended {
            Ended::Code(0) => Meaning::Passed,
            Ended::Code(code) if SHELL_FAULTS.contains(code) => {
                Meaning::Failed(*code, format!("exit code {code}: a shell could not run or find a command"))
            }
            Ended::Code(code) => Meaning::Yes(*code),
            Ended::Stopped(signal) => Meaning::Stopped(*signal),
            other => Meaning::Failed(other.code(), other.to_string()),
        }
    }

    fn environment(&self, user: &User) -> Vec<(&'static str, String)> {
        let state = self.state.unwrap_or(Phase::NeedsUpdate);
        words::environment(user, &self.settings.lock_name, state.as_str())
    }

    /// Tells the scripts of `ext_notify.d`. What they make of it changes nothing.
    pub(super) fn notify(&mut self, driver: words::Driver, phase: &str, script: Option<&str>, code: i32) -> Result<()> {
        let dir = self.settings.dirs.notify.clone();
        self.tell_scripts(dir.as_ref(), driver, phase, script, code)
    }

    /// Tells the scripts of `on_failure.d`.
    pub(super) fn on_failure(&mut self, phase: Phase, script: Option<&str>, code: i32) -> Result<()> {
        let dir = self.settings.dirs.on_failure.clone();
        self.tell_scripts(dir.as_ref(), words::Driver::Running, phase.as_str(), script, code)
    }

    fn tell_scripts(
        &mut self,
        dir: Option<&ScriptDir>,
        driver: words::Driver,
        phase: &str,
        script: Option<&str>,
        code: i32,
    ) -> Result<()> {
        let Some(dir) = dir else { return Ok(()) };
        let listed = match of_dir(self.paths, dir) {
            Ok(listed) => listed,
            // Who cannot be told must not keep the host from being patched, or from stopping.
            Err(error) => {
                self.voice.decide(Level::Warning, error);
                return Ok(());
            }
        };
        if listed.scripts.is_empty() {
            return Ok(());
        }
        let held = if self.holds() == Holds::Lock { words::Lock::Held } else { words::Lock::Free };
        let args = Notice { lock: &self.settings.lock_name, held, driver, phase, script, code }.args();
        self.tell_of_skipped(&listed);
        for entry in &listed.scripts {
            if let Meaning::Yes(_) | Meaning::Failed(..) = self.run_one(entry, &args)? {
                self.voice
                    .say(Level::Warning, format_args!("{} has failed; that changes nothing", entry.path.display()));
            }
        }
        Ok(())
    }
}

fn pass(output: &mut Output, heard: &Heard) {
    match heard {
        Heard::Bytes(bytes) => output.take(bytes),
        Heard::Tick => output.tick(),
    }
}

/// Where it is written who is at work for a driver.
pub fn mark(settings: &Settings, paths: &Paths) -> std::path::PathBuf {
    let mut name = settings.local_lock.clone().into_os_string();
    name.push(".worker");
    paths.at(Path::new(&name))
}
