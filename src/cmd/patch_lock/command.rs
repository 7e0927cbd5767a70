//! The command of `patch-lock hold`: it is over when it has ended and nothing that it started works any more.
//!
//! So a lock is not given back while a step of a script that was ended is still at work. What cannot be ended is told, and it is for
//! the caller to keep the lock then.

use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::cmd::asking::{self, Ear, Heard};
use crate::error::Result;
use crate::exit::{self, Exit};
use crate::lock::name::LockName;
use crate::sys::offspring;
use crate::sys::proc_stat::Stat;

/// Who leaves our session by and by, as a daemon does that is only just starting, ends no child of ours: so somebody looks.
const LOOK: Duration = Duration::from_secs(1);
/// So long after TERM nobody is told that something still works.
const GRACE: Duration = Duration::from_secs(30);
/// What is told TERM a second time has this long to end.
const LAST: Duration = Duration::from_secs(2);

/// How it ended.
pub enum Ended {
    /// All of it, and with which code.
    Whole(Exit),
    /// We were told twice to end, and it works on: who.
    AtWork(String),
}

/// Runs a command, and waits for it and for what it leaves behind. TERM and HUP are passed on to all of them; INT reaches them from the
/// terminal by itself.
///
/// # Errors
/// If its end cannot be waited for; nothing was started then.
pub fn run(ear: &Ear<()>, lock: &LockName, argv: &[OsString]) -> Result<Ended> {
    offspring::adopt()?;
    // What came since the asking ended: nobody has passed it on.
    if let Some(signal) = ear.sleep(Duration::ZERO) {
        return Ok(Ended::Whole(asking::ended_by(signal)));
    }
    let child = match Command::new(&argv[0]).args(&argv[1..]).spawn() {
        Ok(child) => child,
        Err(why) => {
            exit::warn(format_args!("cannot run {}: {why}", argv[0].display()));
            // As env(1) and shells have it.
            let code = if why.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
            return Ok(Ended::Whole(Exit::Code(code)));
        }
    };
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    Watch { ear, lock, id, exit: None, asked: None, leave: None, told: false }.see_the_end()
}

struct Watch<'a> {
    ear: &'a Ear<()>,
    lock: &'a LockName,
    /// The command.
    id: Pid,
    /// Its code, once it has ended.
    exit: Option<Exit>,
    /// When TERM came first.
    asked: Option<Instant>,
    /// When we go, whoever still works: TERM has come twice.
    leave: Option<Instant>,
    /// It was told who still works.
    told: bool,
}

impl Watch<'_> {
    fn see_the_end(mut self) -> Result<Ended> {
        self.ear.send(until_a_child_ends)?;
        loop {
            match self.ear.next_within(LOOK) {
                Some(Heard::Signal(number)) => self.pass_on(number),
                Some(Heard::Done(())) if self.reap() => self.ear.send(until_a_child_ends)?,
                Some(Heard::Done(())) | None => {}
            }
            let left = if self.is_asked_for() { offspring::at_work() } else { Vec::new() };
            match self.exit {
                Some(exit) if left.is_empty() => return Ok(Ended::Whole(exit)),
                _ if self.leave.is_some_and(|at| Instant::now() >= at) && !left.is_empty() => {
                    return Ok(Ended::AtWork(offspring::named(&left)));
                }
                _ => self.tell(&left),
            }
        }
    }

    /// Looking at every process of the machine is for when it matters.
    fn is_asked_for(&self) -> bool {
        self.exit.is_some() || self.asked.is_some()
    }

    fn pass_on(&mut self, number: i32) {
        let Ok(signal @ (Signal::SIGTERM | Signal::SIGHUP)) = Signal::try_from(number) else { return };
        offspring::pass_on(signal);
        if signal == Signal::SIGTERM {
            if self.asked.is_some() {
                self.leave = self.leave.or(Some(Instant::now() + LAST));
            }
            self.asked = self.asked.or(Some(Instant::now()));
        }
    }

    /// Asks every child that has ended how; `false` if there are none any more.
    fn reap(&mut self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(id, code)) if id == self.id => {
                    self.exit = Some(Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)));
                }
                Ok(WaitStatus::Signaled(id, signal, _)) if id == self.id => {
                    self.exit = Some(asking::ended_by(signal as i32));
                }
                Ok(WaitStatus::StillAlive) => return true,
                Err(Errno::ECHILD) => return false,
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn tell(&mut self, left: &[Stat]) {
        let is_late = self.asked.is_some_and(|asked| asked.elapsed() >= GRACE);
        if self.told || left.is_empty() || !(is_late || self.exit.is_some()) {
            return;
        }
        self.told = true;
        let names = offspring::named(left);
        let words = format!("lock {} is kept as long as what the command started is at work: {names}", self.lock);
        if is_late { exit::warn(words) } else { exit::note(words) }
    }
}

/// Does not ask it how: its number stays its own until the one that sends signals has asked.
fn until_a_child_ends() {
    while let Err(Errno::EINTR) = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {}
}
