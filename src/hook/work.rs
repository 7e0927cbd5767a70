//! Running one program with its output heard while it works: a script of a directory, or a command of the configuration.
//!
//! The program gets a process group of its own, known before it starts; nothing on standard input, the directory and the environment
//! that it is given and no other. It ends by itself, at its deadline or when the driver is to end; the last two mean TERM for
//! the whole group and, after the grace, KILL for it and for what has left it. What it leaves behind does not hold us.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::judge::Script;
use super::list::Entry;
use super::listen::{Ear, Heard, Left, Over};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::group::{Groups, Reach};
use crate::sys::stop::Stop;
use crate::sys::user::User;

/// What a pipe holds while we write to the log; without it scripts and we would take turns 64 KiB at a time.
const PIPE: i32 = 1 << 20;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours. Never an answer.
    Signal(i32),
    /// We ended it: its time was over.
    Deadline,
    /// We ended it: this signal was to end us.
    Stopped(i32),
    /// It never began; why. Never an answer.
    NotStarted(String),
}

impl Ended {
    /// The number that hooks are told: its own code; for a signal its number below zero, as Python and so both updaters tell it; 124
    /// and 126, as timeout(1) and shells have it, for a time-out and for what cannot be executed.
    pub fn code(&self) -> i32 {
        match self {
            Self::Code(code) => *code,
            Self::Signal(signal) | Self::Stopped(signal) => -signal,
            Self::Deadline => 124,
            Self::NotStarted(_) => 126,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::Deadline => f.write_str("ended at its deadline"),
            Self::Stopped(signal) => write!(f, "ended because signal {signal} ends this run"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// A program that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// How.
    pub ended: Ended,
    /// After how long.
    pub took: Duration,
    /// What it left behind.
    pub left: Left,
    /// It went above its limit of memory, and the kernel killed something in it.
    pub starved: bool,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {:.1} s", self.ended, self.took.as_secs_f64())?;
        if self.starved {
            f.write_str("; the kernel killed something in it, for it went above its limit of memory")?;
        }
        match self.left {
            Left::Nothing => Ok(()),
            Left::Writer => f.write_str("; something that it started still holds its output, which is heard no longer"),
            Left::Undead => {
                f.write_str("; something that it started cannot be killed, and works on or waits for a device")
            }
        }
    }
}

/// How a program is run.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Where its paths are.
    pub paths: &'a Paths,
    /// Its whole environment.
    pub env: &'a [(&'a str, String)],
    /// TERM after this time; without it, never.
    pub timeout: Option<Duration>,
    /// What is between TERM and KILL.
    pub grace: Duration,
    /// The process groups that it works in, one after the other.
    pub groups: &'a Groups,
    /// Who is ended with it, at least.
    pub reach: Reach,
    /// What ends it before its time.
    pub stop: Option<&'a Stop>,
    /// Where it works, as seen from inside the root.
    pub dir: &'a Path,
}

/// Judges a script again and runs it by its path, as the user whose it is. What it says goes to `heard` in pieces as they come, and a
/// tick once a second at least.
///
/// # Errors
/// [`Error::Refused`] if it is unfit or was exchanged, [`Error::Io`] if there can be no process group, no pipe or no process. That the
/// program cannot be executed, and how it ended, is a result.
pub fn run_script(terms: &Terms, entry: &Entry, args: &[String], heard: &mut dyn FnMut(Heard)) -> Result<Done> {
    let script = Script::judge(terms.paths, &terms.paths.at(&entry.path), &entry.whose)?;
    let words = std::iter::once(entry.path.as_os_str().to_os_string()).chain(args.iter().map(OsString::from));
    let check = || {
        script.check(terms.paths)?;
        // Below another root a link means another thing to us than to the script.
        if terms.paths.is_system() { script.leads(&entry.path) } else { Ok(()) }
    };
    let mut done = run(terms, words.collect(), entry.whose.user(), &check, heard)?;
    if let Ended::NotStarted(why) = &mut done.ended
        && let Some(hint) = script.why_not()
    {
        *why = format!("{why}: {hint}");
    }
    Ok(done)
}

/// Runs a command of the configuration, word by word; no shell reads it.
///
/// # Errors
/// As [`run_script`], but nothing is judged.
pub fn run_command(terms: &Terms, words: &[String], heard: &mut dyn FnMut(Heard)) -> Result<Done> {
    run(terms, words.iter().map(OsString::from).collect(), None, &|| Ok(()), heard)
}

/// Runs a program whose fitness `check` says, in the last moment before it starts.
///
/// # Errors
/// As [`run_script`]; that of `check`.
pub fn run_program(
    terms: &Terms,
    words: Vec<OsString>,
    check: &dyn Fn() -> Result<()>,
    heard: &mut dyn FnMut(Heard),
) -> Result<Done> {
    run(terms, words, None, check, heard)
}

fn run(
    terms: &Terms,
    mut words: Vec<OsString>,
    user: Option<&User>,
    check: &dyn Fn() -> Result<()>,
    heard: &mut dyn FnMut(Heard),
) -> Result<Done> {
    let began = Instant::now();
    let done = |ended, left| Done { ended, took: began.elapsed(), left, starved: false };
    if let Some(signal) = terms.stop.and_then(Stop::raised) {
        return Ok(done(Ended::Stopped(signal), Left::Nothing));
    }
    if !terms.paths.is_system() {
        let mut before = vec![OsString::from("chroot"), terms.paths.root().as_os_str().to_os_string()];
        if terms.dir != Path::new("/") {
            // chroot(8) goes to the new root's own top.
            before.extend(["sh", "-c", "cd \"$0\" && exec \"$@\""].map(OsString::from));
            before.push(terms.dir.as_os_str().to_os_string());
        }
        words.splice(0..0, before);
    }
    let name = PathBuf::from(words.first().cloned().unwrap_or_default());
    let (read, write) = pipe().map_err(Error::io("make a pipe for", &name))?;
    let dir = if terms.paths.is_system() { terms.dir } else { Path::new("/") };
    let command = command(&words, terms.env, dir, write).map_err(Error::io("make a pipe for", &name))?;
    let limit = terms.timeout.map(|timeout| timeout.saturating_add(terms.grace));
    let mut group = terms.groups.open(limit, terms.reach)?;
    check()?;
    let child = match group.start(command, user) {
        Ok(child) => child,
        Err(why) if lacks_room(&why) => return Err(Error::io("start", &name)(why)),
        Err(why) => return Ok(done(Ended::NotStarted(why.to_string()), Left::Nothing)),
    };
    let mut ear = Ear::new(child, read, terms.stop);
    match ear.listen(terms.timeout.and_then(|timeout| began.checked_add(timeout)), heard) {
        Ok(Over::Ended(status)) => {
            let done = done(ended(status), ear.drain(heard));
            let starved = group.has_starved();
            terms.groups.close(group);
            Ok(Done { starved, ..done })
        }
        Ok(Over::TimeIsUp) => Ok(done(Ended::Deadline, ear.end(&mut group, terms.grace, heard))),
        Ok(Over::Stopped(signal)) => Ok(done(Ended::Stopped(signal), ear.end(&mut group, terms.grace, heard))),
        Err(why) => {
            // Nobody would see it end.
            ear.end(&mut group, terms.grace, heard);
            Err(Error::io("listen to", &name)(why))
        }
    }
}

/// Whether the host has no room for another process, fork(2): no program is at fault then.
fn lacks_room(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory)
}

fn pipe() -> io::Result<(File, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // Users have a limit on it; then it stays as small as it is.
    let _ = fcntl(&read, FcntlArg::F_SETPIPE_SZ(PIPE));
    Ok((File::from(read), write))
}

fn command(words: &[OsString], env: &[(&str, String)], dir: &Path, output: OwnedFd) -> io::Result<Command> {
    let mut command = Command::new(words.first().cloned().unwrap_or_default());
    let errors = output.try_clone()?;
    command
        .args(words.iter().skip(1))
        .env_clear()
        .envs(env.iter().map(|(key, value)| (key, value)))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    Ok(command)
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
