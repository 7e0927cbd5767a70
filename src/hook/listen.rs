//! Listening to a program while it works, and to whatever ends it: poll(2) over its output, its end and ours.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::sys::group::Group;
use crate::sys::stop::Stop;

/// What is read at once.
const CHUNK: usize = 64 << 10;
/// Between two ticks of a program that talks without a pause. After what is said before a pause there is one at once: whoever is killed
/// then has lost none of it.
const TICK: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// Between two looks whether the program is still there, where the kernel does not tell (before 5.3).
const LOOK: Duration = Duration::from_millis(20);
/// What a program has written is in the pipe when it has ended. What is still to come is a child's of its, on its way out or a
/// daemon; it is waited for this long, and listened to no longer than that.
const QUIET: Duration = Duration::from_millis(100);
const DRAIN: Duration = Duration::from_millis(300);

/// What is heard.
#[derive(Debug)]
pub enum Heard<'a> {
    /// A piece of what the program says, as it is.
    Bytes(&'a [u8]),
    /// It pauses, or a second has passed: what was heard is to be written.
    Tick,
}

/// What a program left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing that holds its output.
    Nothing,
    /// Somebody who still holds its output; a daemon, mostly.
    Writer,
    /// Somebody whom KILL does not end.
    Undead,
}

/// Why there is nothing more to listen to.
#[derive(Debug)]
pub(super) enum Over {
    Ended(ExitStatus),
    TimeIsUp,
    Stopped(i32),
}

/// A program at work, and our end of its output.
pub(super) struct Ear<'a> {
    child: Child,
    /// None when everybody who could write has closed it.
    output: Option<File>,
    stop: Option<&'a Stop>,
    /// Readable when the program has ended. None: the kernel is too old to tell.
    end: Option<OwnedFd>,
    chunk: Vec<u8>,
    ticked: Instant,
    /// Whether something was heard since then.
    fresh: bool,
}

impl<'a> Ear<'a> {
    pub fn new(child: Child, output: File, stop: Option<&'a Stop>) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let end = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { child, output: Some(output), stop, end, chunk: vec![0; CHUNK], ticked: Instant::now(), fresh: false }
    }

    /// Listens until it has ended, its time is up, or we are to end.
    pub fn listen(&mut self, until: Option<Instant>, heard: &mut dyn FnMut(Heard)) -> io::Result<Over> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Over::Ended(status));
            }
            if let Some(signal) = self.stop.and_then(Stop::raised) {
                return Ok(Over::Stopped(signal));
            }
            let now = Instant::now();
            if until.is_some_and(|until| now >= until) {
                return Ok(Over::TimeIsUp);
            }
            let mut pause = (self.ticked + TICK).saturating_duration_since(now);
            if let Some(until) = until {
                pause = pause.min(until - now);
            }
            if self.end.is_none() {
                pause = pause.min(LOOK);
            }
            if self.fresh {
                pause = pause.min(PAUSE);
            }
            if self.wait(pause, self.stop)? == 0 && self.fresh {
                self.tick(heard);
            }
            self.hear(heard)?;
        }
    }

    /// Hears what is left when the program has ended, without waiting for who does not end. What is in the pipe already is heard
    /// whole, however slow whoever it is passed on to is: its end says why the program has failed.
    pub fn drain(&mut self, heard: &mut dyn FnMut(Heard)) -> Left {
        self.end = None;
        let mut owed = self.output.as_ref().and_then(|output| ioctl_fionread(output).ok()).unwrap_or_default();
        while owed > 0 {
            match self.hear(heard) {
                Ok(bytes @ 1..) => owed = owed.saturating_sub(bytes as u64),
                _ => break,
            }
        }
        let until = Instant::now() + DRAIN;
        while self.output.is_some() && Instant::now() < until {
            let ready = self.wait(QUIET, None).is_ok_and(|ready| ready > 0);
            if !ready || self.hear(heard).is_err() {
                break;
            }
        }
        if self.output.is_some() { Left::Writer } else { Left::Nothing }
    }

    /// Ends the program and its group: TERM, the grace, KILL.
    pub fn end(&mut self, group: &mut Group, grace: Duration, heard: &mut dyn FnMut(Heard)) -> Left {
        group.terminate();
        let until = Instant::now().checked_add(grace);
        let (mut gone, mut pause) = (false, LOOK);
        while until.is_none_or(|until| Instant::now() < until) {
            gone = gone || matches!(self.child.try_wait(), Ok(Some(_)));
            if gone && group.is_empty() {
                break;
            }
            let left = until.map_or(pause, |until| until.saturating_duration_since(Instant::now()));
            let look = pause.min(left);
            if gone {
                // To look whether a whole group is gone is work on a host with many processes.
                pause = (pause * 2).min(TICK / 4);
            }
            if self.output.is_none() {
                std::thread::sleep(look);
            } else if self.wait_for_output(look).and_then(|_| self.hear(heard)).is_err() {
                self.output = None;
            }
        }
        let all_gone = group.kill();
        // A zombie is ours to bury; who KILL does not end is not waited for.
        let _ = self.child.try_wait();
        let left = self.drain(heard);
        if all_gone { left } else { Left::Undead }
    }

    fn wait_for_output(&mut self, pause: Duration) -> io::Result<usize> {
        let end = self.end.take();
        let ready = self.wait(pause, None);
        self.end = end;
        ready
    }

    /// Waits until something can be heard; how many things.
    fn wait(&self, pause: Duration, stop: Option<&Stop>) -> io::Result<usize> {
        let mut fds = Vec::with_capacity(3);
        fds.extend(self.output.as_ref().map(|output| PollFd::new(output, PollFlags::IN)));
        fds.extend(self.end.as_ref().map(|end| PollFd::new(end, PollFlags::IN)));
        fds.extend(stop.map(|stop| PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)));
        match poll(&mut fds, Timespec::try_from(pause).ok().as_ref()) {
            Ok(ready) => Ok(ready),
            Err(rustix::io::Errno::INTR) => Ok(1),
            Err(why) => Err(why.into()),
        }
    }

    /// Passes on what is there, a chunk, and the tick if it is time. How many bytes it was.
    fn hear(&mut self, heard: &mut dyn FnMut(Heard)) -> io::Result<usize> {
        let mut count = 0;
        if let Some(output) = &mut self.output {
            match output.read(&mut self.chunk) {
                Ok(0) => self.output = None,
                Ok(bytes) => {
                    (self.fresh, count) = (true, bytes);
                    heard(Heard::Bytes(&self.chunk[..bytes]));
                }
                Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(why) => return Err(why),
            }
        }
        if self.ticked.elapsed() >= TICK {
            self.tick(heard);
        }
        Ok(count)
    }

    fn tick(&mut self, heard: &mut dyn FnMut(Heard)) {
        self.ticked = Instant::now();
        self.fresh = false;
        heard(Heard::Tick);
    }
}
