//! A fence around a child and all that it starts: a control group of version 2 below our own, cgroups(7).
//!
//! A process can leave its process group, but not its control group: with a fence everything can be reached that a script has
//! started, whatever it did to hide. Where there is no such hierarchy or we may not write to it there is no fence, and that is no error.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::proc_stat;

/// What our fences are called, with the number of the process and one more.
const PREFIX: &str = "patch-run.";
/// So often somebody who is being born is looked for again.
const ROUNDS: usize = 20;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// What everybody inside a fence may use together; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Hundredths of one processor.
    pub cpu: Option<u32>,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self { memory: None, cpu: None };

    /// The controllers that keep them.
    fn controllers(self) -> Vec<&'static str> {
        let memory = self.memory.map(|_| "memory");
        memory.into_iter().chain(self.cpu.map(|_| "cpu")).collect()
    }

    /// The files of a control group that say them, and what they say.
    fn files(self) -> Vec<(&'static str, String)> {
        /// Microseconds in which a share of time is counted: the kernel's own choice.
        const PERIOD: u64 = 100_000;
        let memory = self
            .memory
            .into_iter()
            .flat_map(|bytes| [("memory.max", bytes.to_string()), ("memory.swap.max", "0".to_string())]);
        let cpu = self.cpu.map(|part| ("cpu.max", format!("{} {PERIOD}", u64::from(part) * PERIOD / 100)));
        memory.chain(cpu).collect()
    }
}

/// A control group of our own, empty again and removed when it is dropped: who is still in it then goes on outside.
#[derive(Debug)]
pub struct Fence {
    dir: PathBuf,
    outside: PathBuf,
    /// Whether we are in it ourselves.
    inside: bool,
}

impl Fence {
    /// Makes one below the control group that we are in; `None` where that cannot be done. Empty ones that a killed process left
    /// behind are removed.
    pub fn make() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::below(&place(&mounts, &own)?)
    }

    /// The same where these limits can be kept, in the nearest control group above us that hands them down; where none does, as
    /// [`Fence::make`]. The limits are set by [`Fence::keep`], when we are not inside any more.
    pub fn make_for(limits: Limits) -> Option<Self> {
        if limits == Limits::NONE {
            return Self::make();
        }
        Self::limited(limits).or_else(Self::make)
    }

    /// Keeps everybody in it to these limits; whether the kernel does.
    pub fn keep(&self, limits: Limits) -> bool {
        // Without swap the kernel has no file for it.
        let say = |(file, words): (&str, String)| {
            std::fs::write(self.dir.join(file), words).is_ok() || file == "memory.swap.max"
        };
        limits.files().into_iter().all(say)
    }

    /// Whether limits can be kept here.
    pub fn can_limit(limits: Limits) -> bool {
        limits == Limits::NONE || Self::limited(limits).is_some_and(|fence| fence.keep(limits))
    }

    fn limited(limits: Limits) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let (outside, top) = (place(&mounts, &own)?, place(&mounts, "0::/")?);
        let above: Vec<&Path> = outside.ancestors().take_while(|above| above.starts_with(&top)).collect();
        // One that hands them down already is better than one that is told to.
        let on = above.iter().find(|dir| hands_down(dir, limits));
        let dir = on.or_else(|| above.iter().find(|dir| is_told_to_hand_down(dir, limits)))?;
        let mut fence = Self::below(dir)?;
        fence.outside.clone_from(&outside);
        Some(fence)
    }

    fn below(outside: &Path) -> Option<Self> {
        tidy(outside);
        let name = format!("{PREFIX}{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = outside.join(name);
        std::fs::create_dir(&dir).ok()?;
        Some(Self { dir, outside: outside.to_path_buf(), inside: false })
    }

    /// Goes inside; whether we are. What this process starts from then on is born there, by whatever thread. To come in may take some
    /// milliseconds, in which the kernel waits for all processors.
    pub fn enter(&mut self) -> bool {
        self.inside = self.inside || move_to(&self.dir, 0);
        self.inside
    }

    /// Comes out again; whether we are. A fence that we cannot leave is never closed over us.
    pub fn leave(&mut self) -> bool {
        self.inside = self.inside && !move_to(&self.outside, 0);
        !self.inside
    }

    /// [`Fence::enter`], for one that is of no use otherwise.
    pub fn entered(mut self) -> Option<Self> {
        self.enter().then_some(self)
    }

    /// [`Fence::leave`], for one that is of no use otherwise.
    pub fn left(mut self) -> Option<Self> {
        self.leave().then_some(self)
    }

    /// Whether nobody is in it but us.
    pub fn is_empty(&self) -> bool {
        self.members().is_empty()
    }

    /// Whether nobody was left in it, nor in a control group that somebody has made in it: KILL reaches those as well.
    pub fn is_as_new(&self) -> bool {
        let told = std::fs::read_to_string(self.dir.join("cgroup.stat")).unwrap_or_default();
        self.is_empty() && told.lines().any(|line| line == "nr_descendants 0")
    }

    /// Whether the kernel has killed somebody in it for want of memory.
    pub fn has_starved(&self) -> bool {
        starved(&std::fs::read_to_string(self.dir.join("memory.events")).unwrap_or_default())
    }

    /// A signal to everybody else in it.
    pub fn signal(&self, signal: Signal) {
        for pid in self.members() {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// KILL to everybody else in it, at once where the kernel knows how (5.14), else until nobody new is born.
    pub fn kill(&mut self) {
        if self.leave() && std::fs::write(self.dir.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        for _ in 0..ROUNDS {
            if self.is_empty() {
                return;
            }
            self.signal(Signal::SIGKILL);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Never ourselves, and never 0, which stands for a process of another world, or for us.
    fn members(&self) -> Vec<i32> {
        let us = i32::try_from(std::process::id()).unwrap_or_default();
        let text = std::fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1 && *pid != us).collect()
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.leave();
        for _ in 0..ROUNDS {
            for pid in self.members() {
                move_to(&self.outside, pid);
            }
            if std::fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            // One that a killed driver has left in it, or: who has just been killed is still on the way out.
            tidy(&self.dir);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

/// Removes the empty fences that killed processes have left behind here, and in one another.
fn tidy(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_left_behind) {
            tidy(&entry.path());
            // The kernel refuses it while somebody is in it.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// Whether a control group of this name is a fence whose process is gone. That of another one may be empty because nobody has come in
/// yet.
fn is_left_behind(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next());
    number.and_then(|number| number.parse().ok()).is_some_and(|pid| proc_stat::of(pid).is_none())
}

/// What `memory.events` says.
fn starved(events: &str) -> bool {
    let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    kills.is_some_and(|kills| kills != "0")
}

/// Whether a control group hands these controllers down to those below it.
fn hands_down(dir: &Path, limits: Limits) -> bool {
    let on = std::fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
    limits.controllers().iter().all(|controller| on.split_whitespace().any(|word| word == *controller))
}

/// The same, if it is told to. One that holds processes cannot, unless it is the top.
fn is_told_to_hand_down(dir: &Path, limits: Limits) -> bool {
    let words: Vec<String> = limits.controllers().iter().map(|controller| format!("+{controller}")).collect();
    std::fs::write(dir.join("cgroup.subtree_control"), words.join(" ")).is_ok()
}

/// Moves a process, 0 for ourselves.
fn move_to(dir: &Path, pid: i32) -> bool {
    std::fs::write(dir.join("cgroup.procs"), pid.to_string()).is_ok()
}

/// The directory of the control group of version 2 that we are in, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn place(mounts: &str, own: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let mut fields = fields.split_whitespace().skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        // Only where the hierarchy is mounted whole does the path lead to where we are.
        (kind.starts_with("cgroup2 ") && root == "/").then_some(point)
    })?;
    // A path that leaves the mount is one of another namespace.
    (!path.contains("..")).then(|| Path::new(mount).join(path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_as_the_kernel_reads_them() {
        let limits = Limits { memory: Some(64 << 20), cpu: Some(150) };
        let expected = [("memory.max", "67108864"), ("memory.swap.max", "0"), ("cpu.max", "150000 100000")];
        assert_eq!(limits.files(), expected.map(|(file, words)| (file, words.to_string())));
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("cgroup.subtree_control"), "cpu pids\n").unwrap();
        assert!(!hands_down(scratch.path(), limits));
        assert!(hands_down(scratch.path(), Limits { memory: None, cpu: Some(1) }));
        assert!(hands_down(scratch.path(), Limits::NONE));
    }

    #[test]
    fn who_was_killed_for_want_of_memory_is_known() {
        assert!(starved("low 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n"));
        assert!(!starved("low 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n"));
        assert!(!starved(""));
    }

    #[test]
    fn a_fence_is_left_behind_when_its_process_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let name = format!("{PREFIX}{}.0", child.id());
        assert!(!is_left_behind(&name), "a process that nobody has waited for has its number still");
        child.wait().unwrap();
        assert!(is_left_behind(&name));
        assert!(!is_left_behind(&format!("{PREFIX}{}.3", std::process::id())));
        assert!(!is_left_behind("patch-run.service") && !is_left_behind("user.slice"));
    }

    #[test]
    fn what_killed_processes_have_left_in_one_another_is_removed() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let gone = format!("{PREFIX}{}.", child.id());
        let kept = scratch.path().join("user.slice");
        std::fs::create_dir_all(scratch.path().join(format!("{gone}0/{gone}1"))).unwrap();
        std::fs::create_dir(&kept).unwrap();
        tidy(scratch.path());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
        assert!(kept.exists());
    }

    #[test]
    fn the_place_is_found_in_a_unified_and_in_a_mixed_hierarchy() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        let mixed = "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n40 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n";
        assert_eq!(
            place(unified, "0::/system.slice/cron.service\n"),
            Some("/sys/fs/cgroup/system.slice/cron.service".into())
        );
        assert_eq!(place(mixed, "1:cpu:/x\n0::/\n"), Some("/sys/fs/cgroup/unified/".into()));
        assert_eq!(place(unified, "1:cpu:/x\n"), None);
        assert_eq!(place(unified, "0::/../up\n"), None);
        assert_eq!(place("30 23 0:26 /part /sys/fs/cgroup rw - cgroup2 c rw\n", "0::/\n"), None);
        assert_eq!(place("", ""), None);
    }
}
