//! `patch-lock hold NAME -- COMMAND…`: a lock for as long as a command runs, like flock(1).
//!
//! The lock is this tool's, not the command's: it is given back when the command ends, whatever its code. TERM and HUP are passed on
//! and waited out; INT reaches the command from the terminal by itself.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::cmd::place::Place;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client::held::Held;
use crate::lock::client::pause::Pauses;
use crate::lock::client::remembered::Remembered;
use crate::lock::client::words::percent;
use crate::lock::name::LockName;
use crate::sys::lockfile::{self, Lock};
use crate::sys::random;

use super::site::{self, Service};
use super::{Hold, by_hand};
use crate::cmd::asking::{self, Ear, Heard, Outcome, Wait};

/// How often a release is tried at the end; after that it is for a person.
const RELEASES: u32 = 5;

/// `patch-lock hold`
pub fn hold(place: &Place, args: &Hold) -> Result<Exit> {
    let service = Service::open(place)?;
    if place.is_only_a_question(&service.paths) {
        exit::out(format_args!("would hold lock {} and run {}", args.name, args.command[0].display()));
        return Ok(Exit::Done);
    }
    let taken = take(&service, args);
    let (held, _ours) = match (taken, args.code) {
        (Ok(Taken::Held(held, ours)), _) => (held, ours),
        (Ok(Taken::Signal(signal)), _) => return Ok(asking::ended_by(signal)),
        (Err(why @ (Error::Busy(_) | Error::Unreachable { .. })), Some(code)) => {
            exit::warn(why);
            return Ok(Exit::Code(code));
        }
        (Err(why), _) => return Err(why),
    };
    let ended = run(args);
    end(&service, &held);
    ended
}

enum Taken {
    Held(Vec<Held>, Lock),
    Signal(i32),
}

/// Takes the lock, and first its place on this host: the service grants a host again what it holds, and two commands of one host
/// must keep out of each other's way as well.
fn take(service: &Service, args: &Hold) -> Result<Taken> {
    let wait = super::wait(&args.wait, service.lock()?);
    let began = Instant::now();
    let ours = alone(service, &args.name, wait, began)?;
    let kind = service.kind();
    if Remembered::read(&service.paths)?.find(kind, &args.name).is_some() {
        let name = &args.name;
        return Err(Error::Busy(format!(
            "this host holds lock {name} already, by hand or since a hold that was killed; patch-lock release {name} gives it back"
        )));
    }
    if site::find(&service.held_by_run()?, kind, &args.name).is_some() {
        return Err(Error::Busy(format!("the patch run of this host holds lock {}", args.name)));
    }
    let left = match wait {
        Wait::For(time) => Wait::For(time.saturating_sub(began.elapsed())),
        other => other,
    };
    let claim = service.claim(args.name.clone().into(), args.reason.clone())?;
    match by_hand::take(service, &claim, left)? {
        Outcome::Granted(held) => Ok(Taken::Held(held, ours)),
        Outcome::NotYet(why) => Err(Error::Busy(why)),
        Outcome::Unwanted => Err(Error::Busy("nobody waits any more".into())),
        Outcome::Signal(signal, _) => Ok(Taken::Signal(signal)),
    }
}

fn alone(service: &Service, name: &LockName, wait: Wait, began: Instant) -> Result<Lock> {
    let path = service.paths.holds().join(percent(name.as_str()));
    loop {
        if let Some(lock) = lockfile::try_take(&path)? {
            return Ok(lock);
        }
        let is_over = match wait {
            Wait::No => true,
            Wait::Forever => false,
            Wait::For(time) => began.elapsed() >= time,
        };
        if is_over {
            return Err(Error::Busy(format!("another patch-lock hold of this host uses lock {name}")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn run(args: &Hold) -> Result<Exit> {
    let ear = Ear::open()?;
    let program = &args.command[0];
    let mut child = match Command::new(program).args(&args.command[1..]).spawn() {
        Ok(child) => child,
        Err(why) => {
            exit::warn(format_args!("cannot run {}: {why}", program.display()));
            // As env(1) and shells have it.
            return Ok(Exit::Code(if why.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }));
        }
    };
    let status = wait(&ear, &mut child).map_err(|why| Error::failed("wait for", program.display(), why))?;
    Ok(code(status))
}

/// Waits without reaping, so that a signal that is passed on never reaches a stranger of the same number.
fn wait(ear: &Ear<()>, child: &mut Child) -> Result<ExitStatus> {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    ear.send(
        move || {
            while let Err(nix::Error::EINTR) = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {}
        },
    )?;
    loop {
        match ear.next()? {
            Heard::Signal(number) => {
                if let Ok(signal @ (Signal::SIGTERM | Signal::SIGHUP)) = Signal::try_from(number) {
                    let _ = signal::kill(pid, signal);
                }
            }
            Heard::Done(()) => return child.wait().map_err(Error::io("wait for", "the command")),
        }
    }
}

fn code(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => asking::ended_by(signal.unwrap_or_default()),
    }
}

/// Gives the lock back. What cannot be given back now stays remembered, and is told with the way out: the command's code is the
/// caller's.
fn end(service: &Service, held: &[Held]) {
    for grant in held {
        let Ok(lock) = service.lock() else { return };
        let mut pauses = Pauses::new(lock.backoff);
        for last in 1..=RELEASES {
            match by_hand::give_back(service, grant) {
                Ok(_) => break,
                Err(Error::Unreachable { .. }) if last < RELEASES => std::thread::sleep(pauses.next(random::part())),
                Err(why) => {
                    exit::warn(format_args!(
                        "lock {} is still held: {why}; patch-lock release {} gives it back",
                        grant.lock, grant.lock
                    ));
                    break;
                }
            }
        }
    }
}
