//! A process group that is known before its first process works.
//!
//! The number of a process group is the number of its first process, and who is killed between the birth of a child and the moment in
//! which its number is written down leaves a child that nobody knows of. So the group is there first: a process that only waits leads
//! it, and ends by itself when we do. The group is marked as at work (see [`worker`]), and then joined by those who work. As long as
//! the leader has not been asked how it ended, its number is given to nobody else: a signal to the group never hits a stranger.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::cgroup::{Fence, Limits};
use super::process::SAFE_PATH;
use super::user::User;
use super::{proc_stat, worker};
use crate::error::{Error, Result};

/// What was sent KILL is gone after this time, or waits for a device that does not answer.
const DYING: Duration = Duration::from_secs(2);

/// Who is reached when a group is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The process group: who leaves it, as a daemon does, goes on.
    Group,
    /// The group and, where the kernel can tell, who has left it.
    All,
}

/// A process group, and around it a fence where one was asked for and can be had. Dropped, it lets go of what is still in it.
#[derive(Debug)]
pub struct Group {
    leader: Child,
    reach: Reach,
    fence: Option<Fence>,
    limits: Limits,
    mark: Option<PathBuf>,
}

impl Group {
    /// Opens an empty group and marks it as at work in this file; `for_at_most` is when we would kill it.
    ///
    /// # Errors
    /// [`Error::Io`] if there can be no leader or no mark: what cannot be found again must not start.
    pub fn open(mark: Option<&Path>, for_at_most: Option<Duration>, reach: Reach) -> Result<Self> {
        let _alone = birth();
        // cat(1) on a pipe that only we can write to: it ends when we close the pipe, or die in whatever way.
        let leader = Command::new("cat")
            .env_clear()
            .env("PATH", SAFE_PATH)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("start", "cat, to lead a process group"))?;
        let group = Self { leader, reach, fence: None, limits: Limits::NONE, mark: mark.map(Path::to_path_buf) };
        if let Some(path) = mark {
            worker::mark(path, group.leader.id(), for_at_most)?;
        }
        Ok(group)
    }

    /// What those who are started from here on may use together, where the kernel can keep them to it.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Starts a program in the group, as this user if one is named.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn start(&mut self, mut command: Command, user: Option<&User>) -> io::Result<Child> {
        command.process_group(self.id().as_raw());
        let mut start = || match user {
            Some(user) => user.act(|| command.spawn()),
            None => command.spawn(),
        };
        let _alone = birth();
        let fence = if self.reach == Reach::All { Fence::make_for(self.limits) } else { None };
        let Some(fence) = fence else { return start() };
        let (fence, child) = fence.within(start);
        // Not before: what we allocate ourselves while we are inside would count, and at its end we would be killed.
        let _ = fence.as_ref().is_some_and(|fence| fence.keep(self.limits));
        self.fence = fence;
        child
    }

    /// TERM to all of them, and the word to go on for those that were stopped and could not hear it.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
    }

    /// KILL to all of them. Whether they are gone; who waits in the kernel for a device is not, and keeps the mark.
    pub fn kill(&mut self) -> bool {
        self.signal(Signal::SIGKILL);
        if let Some(fence) = &self.fence {
            fence.kill();
        }
        let end = Instant::now() + DYING;
        let mut pause = Duration::from_millis(1);
        while !self.is_empty() {
            if Instant::now() >= end {
                self.mark = None;
                return false;
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        true
    }

    /// Whether nobody is in it who works; asked after [`Group::terminate`], which ends the leader too.
    pub fn is_empty(&self) -> bool {
        let id = self.id().as_raw();
        let mut alive = proc_stat::all().filter(|process| process.group == id && !process.zombie);
        alive.next().is_none() && self.fence.as_ref().is_none_or(Fence::is_empty)
    }

    fn signal(&self, signal: Signal) {
        let _ = killpg(self.id(), signal);
        if let Some(fence) = &self.fence {
            fence.signal(signal);
        }
    }

    fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.leader.id()).unwrap_or(i32::MAX))
    }
}

/// One birth at a time: while one thread is inside a fence to start somebody there, whatever another one starts would be born there too.
pub(super) fn birth() -> MutexGuard<'static, ()> {
    static BIRTH: Mutex<()> = Mutex::new(());
    BIRTH.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.leader.kill();
        let _ = self.leader.wait();
        if let Some(path) = &self.mark {
            worker::unmark(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    #[test]
    fn w10_the_group_is_marked_before_anybody_works_in_it() {
        let scratch = tempfile::tempdir().unwrap();
        let mark = scratch.path().join("worker");
        let mut group = Group::open(Some(&mark), None, Reach::Group).unwrap();
        let before = worker::left_behind(&mark).unwrap().unwrap();
        let mut child = group.start(sh("sleep 600"), None).unwrap();
        assert_eq!(proc_stat::of(i32::try_from(child.id()).unwrap()).unwrap().group, before.group());
        assert!(group.kill());
        child.wait().unwrap();
        drop(group);
        assert!(!mark.exists());
    }

    #[test]
    fn the_leader_ends_by_itself_and_who_works_is_still_known() {
        let scratch = tempfile::tempdir().unwrap();
        let mark = scratch.path().join("worker");
        let mut group = Group::open(Some(&mark), None, Reach::Group).unwrap();
        let mut child = group.start(sh("sleep 600"), None).unwrap();
        // What is left of us after SIGKILL: a closed pipe.
        drop(group.leader.stdin.take());
        group.leader.wait().unwrap();
        let left = worker::left_behind(&mark).unwrap().expect("the script is at work");
        left.end(Duration::from_secs(5));
        child.wait().unwrap();
        assert_eq!(worker::left_behind(&mark).unwrap(), None);
    }

    #[test]
    fn a_group_whose_mark_cannot_be_written_is_not_opened() {
        let none = Path::new("/proc/nowhere/worker");
        assert!(Group::open(Some(none), None, Reach::Group).is_err());
    }

    #[test]
    fn who_is_stopped_hears_term_all_the_same() {
        let mut group = Group::open(None, None, Reach::Group).unwrap();
        let mut child = group.start(sh("kill -STOP $$; sleep 600"), None).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        group.terminate();
        assert!(!child.wait().unwrap().success());
        assert!(group.kill());
    }
}
