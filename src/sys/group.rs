//! A process group that is known before its first process works.
//!
//! The number of a process group is the number of its first process, and who is killed between the birth of a child and the moment in
//! which its number is written down leaves a child that nobody knows of. So the group is there first: a process that only waits leads
//! it, and ends by itself when we do. The group is marked as at work (see [`worker`]), and then joined by those who work. As long as
//! the leader has not been asked how it ended, its number is given to nobody else: a signal to the group never hits a stranger.

use std::cell::RefCell;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::cgroup::{Fence, Limits};
use super::process::SAFE_PATH;
use super::user::User;
use super::worker::{self, DYING};
use super::{proc_stat, stop};
use crate::error::{Error, Result};

/// Who is reached when a group is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The process group: who leaves it, as a daemon does, goes on.
    Group,
    /// The group and, where the kernel can tell, who has left it.
    All,
}

/// How long we are inside a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stay {
    /// As long as it takes to start somebody there.
    Short,
    /// As long as the group is open.
    Long,
}

/// A process group, and around it a fence where one was asked for and can be had. Dropped, it lets go of what is still in it.
#[derive(Debug)]
pub struct Group {
    leader: Child,
    reach: Reach,
    fence: Option<Fence>,
    stay: Stay,
    limits: Limits,
    mark: Option<PathBuf>,
    /// Whether it was sent a signal: its leader is gone then.
    ended: bool,
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
        let group = Self {
            leader,
            reach,
            fence: None,
            stay: Stay::Short,
            limits: Limits::NONE,
            mark: mark.map(Path::to_path_buf),
            ended: false,
        };
        group.mark(for_at_most)?;
        Ok(group)
    }

    fn mark(&self, for_at_most: Option<Duration>) -> Result<()> {
        self.mark.as_ref().map_or(Ok(()), |path| worker::mark(path, self.leader.id(), for_at_most))
    }

    /// Whether it is as empty as a new one, and that is known for sure: without a fence it is not.
    fn is_as_new(&mut self) -> bool {
        let led = !self.ended && matches!(self.leader.try_wait(), Ok(None));
        // Another one may have been taken out of the fence, as `systemd-run --scope` does it, and is in the process group still.
        led && self.fence.as_ref().is_some_and(Fence::is_as_new) && proc_stat::is_alone(self.id().as_raw())
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
        self.enter();
        let child = start();
        if self.stay == Stay::Short {
            self.fence = self.fence.take().and_then(Fence::left);
        }
        // Not before: what we allocate ourselves while we are inside would count, and at its end we would be killed.
        let _ = self.fence.as_ref().is_some_and(|fence| fence.keep(self.limits));
        child
    }

    /// Goes inside the fence, if there is to be one. Where we cannot go nobody is born.
    fn enter(&mut self) {
        if self.fence.is_none() && self.reach == Reach::All {
            self.fence = Fence::make_for(self.limits);
        }
        self.fence = self.fence.take().and_then(Fence::entered);
    }

    /// Whether somebody in it was killed for going above its limit of memory.
    pub fn has_starved(&self) -> bool {
        self.limits.memory.is_some() && self.fence.as_ref().is_some_and(Fence::has_starved)
    }

    /// TERM to all of them, and the word to go on for those that were stopped and could not hear it.
    pub fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
    }

    /// KILL to all of them. Whether they are gone; who waits in the kernel for a device is not, and keeps the mark.
    pub fn kill(&mut self) -> bool {
        self.signal(Signal::SIGKILL);
        if let Some(fence) = &mut self.fence {
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

    fn signal(&mut self, signal: Signal) {
        self.ended = true;
        let _ = killpg(self.id(), signal);
        if let Some(fence) = &self.fence {
            fence.signal(signal);
        }
    }

    fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.leader.id()).unwrap_or(i32::MAX))
    }
}

/// Where the groups of one who works come from, one program after the other.
#[derive(Debug)]
pub struct Groups {
    mark: Option<PathBuf>,
    limits: Limits,
    stay: Stay,
    next: RefCell<Next>,
}

/// What there is for the next program.
#[derive(Debug, Default)]
enum Next {
    /// Nothing yet.
    #[default]
    New,
    /// The group of the last one, in which nobody was left.
    Kept(Group),
    /// A thread that gets a group ready, or lets go of one.
    Beside(JoinHandle<Option<Group>>),
}

impl Next {
    fn group(self) -> Option<Group> {
        match self {
            Self::New => None,
            Self::Kept(group) => Some(group),
            Self::Beside(thread) => thread.join().ok().flatten(),
        }
    }
}

impl Groups {
    /// Groups that are marked as at work in this file.
    pub fn new(mark: Option<PathBuf>, limits: Limits) -> Self {
        Self { mark, limits, stay: Stay::Short, next: RefCell::default() }
    }

    /// The same, for whoever starts nobody else: it stays inside the fence, and what the last program has left empty is the next one's.
    pub fn of_one_after_the_other(mark: Option<PathBuf>) -> Self {
        let mut groups = Self::new(mark, Limits::NONE);
        groups.stay = Stay::Long;
        groups
    }

    /// An empty group of this reach, or of a longer one.
    ///
    /// # Errors
    /// As [`Group::open`].
    pub fn open(&self, for_at_most: Option<Duration>, reach: Reach) -> Result<Group> {
        if let Some(mut group) = self.next.take().group()
            && group.is_as_new()
        {
            // A program may have tidied up more than its own.
            if for_at_most.is_some() || group.mark.as_ref().is_some_and(|path| !path.exists()) {
                group.mark(for_at_most)?;
            }
            return Ok(group);
        }
        let mut group = Group::open(self.mark.as_deref(), for_at_most, reach)?;
        (group.stay, group.limits) = (self.stay, self.limits);
        Ok(group)
    }

    /// Takes a group back whose program has ended. Who is still in it goes on outside.
    pub fn close(&self, mut group: Group) {
        if self.stay == Stay::Long && group.is_as_new() {
            self.next.replace(Next::Kept(group));
        }
    }

    /// Somebody will be started soon, by whoever [starts nobody else](Self::of_one_after_the_other): a group is opened and its fence
    /// entered while the caller does something else, for that takes some milliseconds. Without it, it is done when it is needed; so it
    /// is after a failure.
    pub fn prepare(&self) {
        if self.stay == Stay::Short || !matches!(*self.next.borrow(), Next::New) {
            return;
        }
        let mark = self.mark.clone();
        self.aside("prepare", move || {
            let mut group = Group::open(mark.as_deref(), None, Reach::All).ok()?;
            group.stay = Stay::Long;
            // Not alone: what the caller asks another program meanwhile has its answer before the group is used, wherever it is born.
            group.enter();
            Some(group)
        });
    }

    /// Nobody else is started for now: what is kept is let go of while the caller does something else, for to come out of a fence takes
    /// as long as to come in. Groups can be opened again all the same.
    pub fn rest(&self) {
        let Some(mut group) = self.next.take().group() else { return };
        self.aside("let-go", move || {
            // First what takes long.
            group.fence = group.fence.take().and_then(Fence::left);
            drop(group);
            None
        });
    }

    fn aside(&self, name: &str, work: impl FnOnce() -> Option<Group> + Send + 'static) {
        let thread = thread::Builder::new().name(name.into()).spawn(work);
        // Where there can be no thread, what it was to let go of is dropped here.
        self.next.replace(thread.map_or(Next::New, Next::Beside));
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        drop(self.next.take().group());
    }
}

/// One birth at a time: while one thread is inside a fence to start somebody there, whatever another one starts would be born there too.
pub(super) fn birth() -> MutexGuard<'static, ()> {
    static BIRTH: Mutex<()> = Mutex::new(());
    stop::remember_children();
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
