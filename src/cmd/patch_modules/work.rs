//! One module at work: its program and its health command, in its directory, in a process group of their own.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::exit;
use crate::hook::{Done, Ended, Heard, Terms, run_program, shebang_fault};
use crate::module::manifest::Module;
use crate::module::tree::Tree;
use crate::phase::log::Log;
use crate::phase::log::lines::Lines;
use crate::phase::settings::{Level, LogFile};
use crate::sys::cgroup::Limits;
use crate::sys::group::{Groups, Reach};
use crate::sys::process::SAFE_PATH;
use crate::sys::stop::Stop;
use crate::sys::trusted;

use super::ready;
use super::site::Site;

/// Between TERM and KILL.
pub const GRACE: Duration = Duration::from_secs(10);
/// So many days of a module's log are kept besides today.
const RETENTION: u32 = 30;

/// A module that is to work.
pub struct Work<'a> {
    pub site: &'a Site,
    pub module: &'a Module,
    pub tree: &'a Tree,
    pub stop: &'a Stop,
    /// The name of this run.
    pub run: &'a str,
    /// What has succeeded in it so far.
    pub done: String,
}

/// What a health command says.
pub enum Health {
    Good,
    Bad(String),
    Stopped(i32),
}

impl Work<'_> {
    /// Runs its program.
    ///
    /// # Errors
    /// If it was changed since it was verified, or cannot be watched.
    pub fn run(&self, words: &[OsString]) -> Result<Done> {
        self.start(words.to_vec())
    }

    /// Asks its health command; `None` if it has none.
    pub fn health(&self) -> Option<Health> {
        let dir = self.site.paths.inside(self.tree.path());
        let words = ready::health(self.module.health.as_ref()?, &dir);
        Some(match self.judge(&words).and_then(|()| self.start(words)) {
            Ok(done) => match &done.ended {
                Ended::Code(0) => Health::Good,
                Ended::Stopped(signal) => Health::Stopped(*signal),
                _ => Health::Bad(format!("its health check failed: {done}")),
            },
            Err(error) => Health::Bad(format!("its health check was not run: {error}")),
        })
    }

    /// A program by its whole path is none of the module's own, and was not verified: it must be root's, and nobody else's to write.
    fn judge(&self, words: &[OsString]) -> Result<()> {
        let program = Path::new(words.first().map_or(OsStr::new(""), |word| word));
        if !self.site.paths.is_system() || !program.is_absolute() || program.starts_with(self.tree.path()) {
            return Ok(());
        }
        match program.canonicalize() {
            Ok(real) => trusted::file(&real).map(|_| ()),
            // Then it is not started either, which says so.
            Err(_) => Ok(()),
        }
    }

    fn start(&self, words: Vec<OsString>) -> Result<Done> {
        let env = self.environment();
        let mark = mark(self.site, self.module.name.as_str());
        let dir = self.site.paths.inside(self.tree.path());
        let limits = Limits { memory: self.module.resources.memory, cpu: self.module.resources.cpu };
        let groups = Groups::new(Some(mark), limits);
        let terms = Terms {
            paths: &self.site.paths,
            env: &env,
            timeout: Some(self.module.timeout.unwrap_or(self.site.settings.timeout)),
            grace: GRACE,
            groups: &groups,
            reach: Reach::All,
            stop: Some(self.stop),
            dir: &dir,
        };
        let path = self.site.log(self.module);
        let settings = LogFile { path, level: Level::Info, retention: RETENTION };
        let mut log = Log::open(&self.site.paths, &settings, self.site.clock)?;
        let program = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        log.say(Level::Info, format_args!("begins in run {}: {program}", self.run));
        let prefix = format!("{} | ", self.module.name);
        let screen = RefCell::new((Lines::default(), Vec::new()));
        let done = {
            let mut output = log.output();
            run_program(&terms, words, &|| self.tree.check(), &mut |heard| match heard {
                Heard::Bytes(bytes) => {
                    output.take(bytes);
                    let (lines, waiting) = &mut *screen.borrow_mut();
                    lines.take(bytes, prefix.as_bytes(), waiting);
                    exit::pass_on(&std::mem::take(waiting));
                }
                Heard::Tick => output.tick(),
            })
        };
        let (mut lines, mut waiting) = screen.into_inner();
        lines.finish(prefix.as_bytes(), &mut waiting);
        exit::pass_on(&waiting);
        let done = done.map(|done| explained(done, &program, self.tree.path()));
        match &done {
            Ok(done) => log.say(Level::Info, done),
            Err(error) => log.say(Level::Error, error),
        }
        if let Some(words) = log.loss() {
            exit::warn(format_args!("module {}: {words}: {}", self.module.name, settings.path.display()));
        }
        done
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let version = self.module.version.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![
            ("PATH", SAFE_PATH.to_string()),
            ("LC_ALL", "C.UTF-8".to_string()),
            ("HOME", "/root".to_string()),
            ("PATCH_MODULE", self.module.name.to_string()),
            ("PATCH_MODULE_VERSION", version),
            ("PATCH_MODULES_DIR", self.site.place_name()),
            ("PATCH_MODULES_DONE", self.done.clone()),
            ("PATCH_MODULES_RUN", self.run.to_string()),
        ]
    }
}

/// Why a program was not started, with what people can do about it.
fn explained(mut done: Done, program: &str, dir: &Path) -> Done {
    let Ended::NotStarted(why) = &mut done.ended else { return done };
    let program = Path::new(program);
    let hint = if program == Path::new("python3") {
        Some("python3 is not there; install it".to_string())
    } else if program.ends_with("bin/python") {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        Some(format!("its virtual environment is damaged; patch-modules setup {name}"))
    } else {
        hint_at(&dir.join(program.file_name().unwrap_or_default()))
    };
    if let Some(hint) = hint {
        *why = format!("{why}: {hint}");
    }
    done
}

/// What may be wrong with a program of a module itself.
fn hint_at(path: &Path) -> Option<String> {
    let mut file = std::fs::File::open(path).ok()?;
    if file.metadata().ok()?.permissions().mode() & 0o111 == 0 {
        return Some("it is not executable; chmod +x it".to_string());
    }
    let mut head = Vec::new();
    file.by_ref().take(256).read_to_end(&mut head).ok()?;
    shebang_fault(&head)
}

/// The directory of the marks of those who are at work.
pub fn marks(site: &Site) -> PathBuf {
    site.state_path().join("work")
}

/// What says that a module is at work, for whoever comes after us if we are killed.
pub fn mark(site: &Site, name: &str) -> PathBuf {
    marks(site).join(Path::new(name))
}
