//! Child processes: a clean environment, no input but a file, a process group of their own, a deadline that says TERM before KILL.
//!
//! Output goes to a file or to memory that the child writes by itself, never through a pipe that we would have to drain: a
//! daemon that a child leaves behind can hold a pipe open for ever, and then nobody would be waiting for it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use super::worker;
use crate::error::{Error, Result};

/// The PATH of every child: cron's has no sbin.
pub const SAFE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of a child's output is kept in memory, from its end.
const KEPT: u64 = 4 << 20;

/// A program to be run.
#[derive(Debug)]
pub struct Job {
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    input: Option<File>,
    output: Option<File>,
    deadline: Option<Duration>,
    grace: Duration,
    mark: Option<PathBuf>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// We ended it: the deadline had passed.
    Deadline,
}

/// A child that has ended, with the last of what it said.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub ended: Ended,
    /// Standard output and error together, unless they went to a file.
    pub output: Vec<u8>,
}

impl Finished {
    /// Whether it exited with 0.
    pub fn is_success(&self) -> bool {
        self.ended == Ended::Code(0)
    }

    /// The output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Why it is no success, for a message: the end and the last line that says something.
    pub fn reason(&self) -> String {
        let text = self.text();
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        format!("{}: {}", self.ended, last.trim())
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => write!(f, "killed by signal {number}"),
            Self::Deadline => f.write_str("ended at its deadline"),
        }
    }
}

impl Job {
    /// A program with its arguments; `argv[0]` is looked up in [`SAFE_PATH`] unless it holds a slash.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let argv = argv.into_iter().map(|a| a.as_ref().to_os_string()).collect();
        Self {
            argv,
            env: Vec::new(),
            dir: None,
            input: None,
            output: None,
            deadline: None,
            grace: Duration::from_secs(10),
            mark: None,
        }
    }

    /// The same program inside another root, by chroot(8); on the machine itself nothing changes.
    #[must_use]
    pub fn inside(mut self, root: &Path) -> Self {
        if root != Path::new("/") {
            self.argv.splice(0..0, [OsString::from("chroot"), root.as_os_str().to_os_string()]);
        }
        self
    }

    /// Adds an environment variable to the few that every child gets (PATH, `LC_ALL=C.UTF-8`, HOME).
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key.as_ref().to_os_string(), value.as_ref().to_os_string()));
        self
    }

    /// The directory to run in; else `/`.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_path_buf());
        self
    }

    /// Gives it this file as standard input, read from where the file stands; else there is none.
    #[must_use]
    pub fn input(mut self, file: File) -> Self {
        self.input = Some(file);
        self
    }

    /// Sends output and errors to this file instead of memory.
    #[must_use]
    pub fn output(mut self, file: File) -> Self {
        self.output = Some(file);
        self
    }

    /// Ends the whole process group after this time: TERM, and KILL if it is still there after `grace`.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration, grace: Duration) -> Self {
        self.deadline = Some(deadline);
        self.grace = grace;
        self
    }

    /// Marks its process group as at work while it is, for the tools that come after us if we are killed: see [`worker`].
    #[must_use]
    pub fn marked(mut self, path: PathBuf) -> Self {
        self.mark = Some(path);
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be started; how it ended is a result, not an error.
    pub fn run(self) -> Result<Finished> {
        let program = self.argv.first().cloned().unwrap_or_default();
        let start = Error::io("run", Path::new(&program));
        let memory = if self.output.is_none() { Some(anonymous()?) } else { None };
        let sink = match (&self.output, &memory) {
            (Some(file), _) | (None, Some(file)) => file.try_clone(),
            (None, None) => return Err(Error::failed("run", program.display(), "no place for its output")),
        }
        .map_err(Error::io("run", Path::new(&program)))?;
        let errors = sink.try_clone().map_err(Error::io("run", Path::new(&program)))?;
        let alone = super::group::birth();
        let child = Command::new(&program)
            .args(&self.argv[1..])
            .env_clear()
            .env("PATH", SAFE_PATH)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", "/root")
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(self.dir.as_deref().unwrap_or(Path::new("/")))
            .stdin(self.input.map_or_else(Stdio::null, Stdio::from))
            .stdout(sink)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(start)?;
        drop(alone);
        let limit = self.deadline.map(|deadline| deadline + self.grace);
        if let Some(path) = &self.mark {
            // It is at work already. That nobody will know of it if we are killed is no reason to stop it half-way.
            let _ = worker::mark(path, child.id(), limit);
        }
        let ended = wait(child, self.deadline, self.grace).map_err(Error::io("wait for", Path::new(&program)))?;
        if let Some(path) = &self.mark {
            worker::unmark(path);
        }
        let output = memory.map(tail).transpose().map_err(Error::io("read the output of", Path::new(&program)))?;
        Ok(Finished { ended, output: output.unwrap_or_default() })
    }
}

/// A file that has no name and ends with its last user, for what a child shall read.
///
/// # Errors
/// [`Error::Io`] when there is no memory for it.
pub fn in_memory(bytes: &[u8]) -> Result<File> {
    let mut file = anonymous()?;
    file.write_all(bytes)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .map_err(Error::io("fill memory for", "a child's input"))?;
    Ok(file)
}

fn anonymous() -> Result<File> {
    let fd =
        memfd_create("patchflag", MFdFlags::MFD_CLOEXEC).map_err(Error::io("make memory for", "a child's words"))?;
    Ok(File::from(fd))
}

fn tail(mut memory: File) -> std::io::Result<Vec<u8>> {
    let size = memory.seek(SeekFrom::End(0))?;
    memory.seek(SeekFrom::Start(size.saturating_sub(KEPT)))?;
    let mut bytes = Vec::new();
    memory.take(KEPT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Waits; at the deadline TERM to the group, after the grace KILL. What the child left in its group is ended with it then.
fn wait(mut child: Child, deadline: Option<Duration>, grace: Duration) -> std::io::Result<Ended> {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let Some(deadline) = deadline else { return child.wait().map(ended) };
    if let Some(status) = wait_until(&mut child, deadline)? {
        return Ok(ended(status));
    }
    let _ = killpg(group, Signal::SIGTERM);
    wait_until(&mut child, grace)?;
    let _ = killpg(group, Signal::SIGKILL);
    child.wait()?;
    Ok(Ended::Deadline)
}

fn wait_until(child: &mut Child, time: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + time;
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    // Kernels before 5.3 do not tell when it ends.
    let told = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        match &told {
            Some(told) => {
                // Whatever it says, the clock and the child are asked again.
                let _ = poll(&mut [PollFd::new(told, PollFlags::IN)], Timespec::try_from(left).ok().as_ref());
            }
            None => std::thread::sleep(pause.min(left)),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn ended(status: std::process::ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Job {
        Job::new(["sh", "-c", script])
    }

    #[test]
    fn the_environment_is_clean_and_input_is_closed() {
        let done = sh("env | cut -d= -f1 | sort | tr '\\n' ' '; cat").run().unwrap();
        assert_eq!(done.ended, Ended::Code(0));
        assert_eq!(
            done.text().replace("_ ", "").replace("OLDPWD ", "").replace("SHLVL ", "").trim(),
            "HOME LC_ALL PATH PWD"
        );
    }

    #[test]
    fn a_child_reads_the_file_that_it_was_given_and_then_the_end() {
        let done = sh("cat; echo end").input(in_memory(b"words\n").unwrap()).run().unwrap();
        assert_eq!(done.text(), "words\nend\n");
    }

    #[test]
    fn a_program_that_ignores_term_is_killed_with_its_children() {
        let job =
            sh("trap '' TERM; sleep 600 & sleep 600").deadline(Duration::from_millis(50), Duration::from_millis(50));
        assert_eq!(job.run().unwrap().ended, Ended::Deadline);
    }

    #[test]
    fn a_daemon_left_behind_does_not_hold_us() {
        let done = sh("sleep 5 & echo started").run().unwrap();
        assert_eq!(done.text(), "started\n");
    }

    #[test]
    fn a_death_by_signal_is_not_an_exit_code() {
        assert_eq!(sh("kill -9 $$").run().unwrap().ended, Ended::Signal(9));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_that_names_it() {
        let words = Job::new(["/nonexistent/program"]).run().unwrap_err().to_string();
        assert!(words.starts_with("cannot run /nonexistent/program:"), "{words}");
    }
}
