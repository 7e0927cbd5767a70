//! The process group that works for a tool, known to the tools that come after it.
//!
//! A tool that is killed with SIGKILL leaves its installer behind, at work, while the host lock has fallen: nobody may then
//! believe that the work is over. So whoever starts such a group leaves a mark, and whoever takes the lock looks whether somebody of
//! the marked group is still alive. A daemon that an installer starts has left the group. The mark names its boot and is nobody's in
//! another one; so it is not flushed.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::dir::Dir;
use super::proc_stat;
use super::replace;
use super::trusted;
use crate::error::Result;

/// A mark is one short line.
const LIMIT: u64 = 256;
/// What was sent KILL is gone after this time, or waits for a device that does not answer.
pub(super) const DYING: Duration = Duration::from_secs(2);
/// Between two looks whether somebody is still there.
const LOOK: Duration = Duration::from_millis(50);

/// A process group at work, whose tool is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    group: i32,
    start: u64,
    until: Option<u64>,
}

impl Worker {
    /// The process group.
    pub fn group(&self) -> i32 {
        self.group
    }

    /// Its deadline has passed, and who would have ended it is gone.
    fn is_overdue(&self) -> bool {
        self.until.zip(uptime()).is_some_and(|(until, now)| now > until)
    }

    /// Whether somebody of the group is alive. While one is, the kernel gives the group's number to nobody else; a process of
    /// that number which was started at another time is a stranger, and so is its group.
    fn is_alive(&self) -> bool {
        if proc_stat::of(self.group).is_some_and(|leader| leader.start != self.start) {
            return false;
        }
        proc_stat::all().any(|process| process.group == self.group && !process.zombie)
    }

    /// Ends the group: TERM, and KILL for what is still there after the grace. Whether it is gone: who waits in the kernel for a device
    /// is not.
    pub fn end(&self, grace: Duration) -> bool {
        let group = Pid::from_raw(self.group);
        let _ = killpg(group, Signal::SIGTERM);
        // Who was stopped cannot hear it.
        let _ = killpg(group, Signal::SIGCONT);
        if self.is_gone_within(grace) {
            return true;
        }
        let _ = killpg(group, Signal::SIGKILL);
        self.is_gone_within(DYING)
    }

    fn is_gone_within(&self, time: Duration) -> bool {
        let began = Instant::now();
        while self.is_alive() {
            if began.elapsed() >= time {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    fn write(&self, path: &Path) -> Result<()> {
        let (above, name) = trusted::split(path)?;
        let until = self.until.map(|until| format!(" until={until}")).unwrap_or_default();
        let line = format!("group={} start={}{until} boot={}\n", self.group, self.start, boot().unwrap_or_default());
        replace::replace_until_boot(&Dir::create(above, 0o755)?, &name.to_string_lossy(), line.as_bytes(), 0o644)
    }

    fn parse(line: &str, boot: &str) -> Option<Self> {
        let field = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let until = field("until").map(str::parse).transpose().ok()?;
        let worker = Self { group: field("group")?.parse().ok()?, start: field("start")?.parse().ok()?, until };
        // Never a group that would be everybody's: killpg(2) takes 0 and 1 for something else.
        (field("boot")? == boot && worker.group > 1).then_some(worker)
    }
}

/// Marks the group that a child leads as at work; `for_at_most` is when its tool would have killed it.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) if the mark cannot be written.
pub fn mark(path: &Path, leader: u32, for_at_most: Option<Duration>) -> Result<()> {
    let group = i32::try_from(leader).unwrap_or_default();
    let Some(stat) = proc_stat::of(group) else { return Ok(()) };
    let until = for_at_most.zip(uptime()).map(|(time, now)| now.saturating_add(time.as_secs()).saturating_add(1));
    Worker { group, start: stat.start, until }.write(path)
}

/// Takes the mark away: the tool has seen the end of its work.
pub fn unmark(path: &Path) {
    if let Ok((above, name)) = trusted::split(path)
        && let Ok(dir) = Dir::open(above)
    {
        // What stays behind names a group that is gone, and is taken for what it is.
        let _ = dir.unlink(name);
    }
}

/// The group that is still at work. To be asked under the host lock, or the tool of the group may still be there.
///
/// # Errors
/// If the mark cannot be read or trusted.
pub fn left_behind(path: &Path) -> Result<Option<Worker>> {
    let line = match trusted::read(path, LIMIT) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Worker::parse(&line, &boot().unwrap_or_default()).filter(Worker::is_alive))
}

/// The same, after one whose deadline has passed was ended as [`Worker::end`] does it, for who would have done it is gone; that is told
/// first.
///
/// # Errors
/// As [`left_behind`].
pub fn in_the_way(path: &Path, grace: Duration, tell: impl FnOnce(&Worker)) -> Result<Option<Worker>> {
    let is_there = |worker: &Worker| {
        if !worker.is_overdue() {
            return true;
        }
        tell(worker);
        !worker.end(grace)
    };
    Ok(left_behind(path)?.filter(is_there))
}

fn boot() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_string())
}

/// Seconds since the machine's boot: no clock that somebody sets.
fn uptime() -> Option<u64> {
    std::fs::read_to_string("/proc/uptime").ok()?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    fn place() -> (tempfile::TempDir, std::path::PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("worker");
        (scratch, path)
    }

    fn group(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap()
    }

    #[test]
    fn a_group_is_at_work_until_its_last_member_has_ended() {
        let (_keep, path) = place();
        let mut leader = group("sleep 600 & sleep 0.2");
        mark(&path, leader.id(), None).unwrap();
        assert!(left_behind(&path).unwrap().is_some());
        leader.wait().unwrap();
        let worker = left_behind(&path).unwrap().expect("its child is alive");
        assert!(worker.end(Duration::from_secs(5)));
        assert_eq!(left_behind(&path).unwrap(), None);
    }

    #[test]
    fn who_ignores_term_is_killed_after_the_grace() {
        let (_keep, path) = place();
        let mut leader = group("trap '' TERM; while :; do sleep 0.05; done");
        mark(&path, leader.id(), Some(Duration::ZERO)).unwrap();
        let worker = left_behind(&path).unwrap().unwrap();
        assert!(worker.end(Duration::from_millis(100)), "it is gone when that is said");
        leader.wait().unwrap();
        assert_eq!(left_behind(&path).unwrap(), None);
    }

    #[test]
    fn a_daemon_in_a_session_of_its_own_is_not_at_work() {
        let (_keep, path) = place();
        let mut leader = group("setsid sleep 2 & sleep 0.2");
        mark(&path, leader.id(), None).unwrap();
        leader.wait().unwrap();
        assert_eq!(left_behind(&path).unwrap(), None);
    }

    #[test]
    fn a_stranger_with_the_same_number_is_nobody_and_neither_is_another_boot() {
        let me = std::process::id();
        let start = proc_stat::of(i32::try_from(me).unwrap()).unwrap().start;
        let stranger = Worker { group: i32::try_from(me).unwrap(), start: start + 1, until: None };
        assert!(!stranger.is_alive());
        let line = "group=42 start=7 until=9 boot=here\n";
        assert_eq!(Worker::parse(line, "here"), Some(Worker { group: 42, start: 7, until: Some(9) }));
        assert_eq!(Worker::parse(line, "there"), None);
        assert_eq!(Worker::parse("group=1 start=7 boot=here", "here"), None);
        assert_eq!(Worker::parse("group=0 start=7 boot=here", "here"), None);
        assert_eq!(Worker::parse("", "here"), None);
    }

    #[test]
    fn a_deadline_is_over_when_its_time_is() {
        let worker = |until| Worker { group: 42, start: 7, until };
        assert!(worker(Some(0)).is_overdue());
        assert!(!worker(Some(u64::MAX)).is_overdue());
        assert!(!worker(None).is_overdue());
    }
}
