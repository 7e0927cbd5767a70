//! A child that is asked and answers, a line each, until a deadline.
//!
//! For what the kernel may never finish. A process that waits for the disk of an NFS server that is gone may not even end by KILL, and
//! none of its threads can leave it: so such work is a process of its own. At the deadline it is killed. If that does not end it, it
//! is left behind, with nothing of its parent's in its hands, and the parent goes on or ends. Of all that this process starts one at a
//! time is at work, and as long as one is left behind no other is started.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;

/// This very program, also when another version has been put in its place: proc(5).
const SELF: &str = "/proc/self/exe";
/// So long who has nothing more to do has to end, and who was killed to be gone.
const MOMENT: Duration = Duration::from_millis(200);

/// The one that was left behind. Held while one is at work.
static BEHIND: Mutex<Option<Child>> = Mutex::new(None);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Silence {
    /// The deadline has passed.
    #[error("it did not answer in time")]
    Late,
    /// One that was killed earlier is still there.
    #[error("what was asked before still hangs in the kernel")]
    Behind,
    /// It ended without a word.
    #[error("the process that was to work there ended without an answer")]
    Gone,
    /// It cannot be started or spoken to.
    #[error("cannot use a process that works there: {0}")]
    Unusable(#[from] io::Error),
}

/// A child at work.
#[derive(Debug)]
pub struct Helper {
    child: Option<Child>,
    line: BufReader<UnixStream>,
    end: Instant,
    behind: MutexGuard<'static, Option<Child>>,
}

impl Helper {
    /// Starts this program once more with one argument, which tells it that it is a helper; its name in lists of processes is `name`.
    ///
    /// # Errors
    /// [`Silence::Behind`], [`Silence::Unusable`].
    pub fn of_this_program(name: &str, argument: &str, end: Instant) -> Result<Self, Silence> {
        let mut command = Command::new(SELF);
        command.arg0(name).arg(argument);
        Self::start(command, end, &BEHIND)
    }

    /// Starts a program with a line to us as its input and output and no words of its own, without environment, in `/`.
    fn start(mut command: Command, end: Instant, behind: &'static Mutex<Option<Child>>) -> Result<Self, Silence> {
        let mut behind = behind.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = behind.as_mut()
            && !has_ended(child)
        {
            return Err(Silence::Behind);
        }
        *behind = None;
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let child = command
            .env_clear()
            .current_dir("/")
            .stdin(theirs.try_clone()?)
            .stdout(theirs)
            .stderr(Stdio::null())
            // What the terminal sends is for us to decide about.
            .process_group(0)
            .spawn()?;
        // With it goes our hold on the child's end of the line: when the child ends, the line does.
        drop(command);
        Ok(Self { child: Some(child), line: BufReader::new(ours), end, behind })
    }

    /// Asks a question, which is one line, and waits for the answer.
    ///
    /// # Errors
    /// [`Silence`], but [`Silence::Behind`]; there is nothing more to be asked then.
    pub fn ask(&mut self, question: &str) -> Result<Vec<u8>, Silence> {
        let stream = self.line.get_mut();
        stream.set_write_timeout(Some(left(self.end)?))?;
        stream.write_all(format!("{question}\n").as_bytes()).map_err(silence)?;
        let mut answer = Vec::new();
        loop {
            self.line.get_mut().set_read_timeout(Some(left(self.end)?))?;
            let block = match self.line.fill_buf() {
                // With a time-out a read is not taken up again after a signal: signal(7).
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                other => other.map_err(silence)?,
            };
            if block.is_empty() {
                return Err(Silence::Gone);
            }
            let found = block.iter().position(|byte| *byte == b'\n');
            let taken = found.unwrap_or(block.len());
            answer.extend_from_slice(&block[..taken]);
            self.line.consume(taken + usize::from(found.is_some()));
            if found.is_some() {
                return Ok(answer);
            }
        }
    }
}

fn left(end: Instant) -> Result<Duration, Silence> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Silence::Late) } else { Ok(left) }
}

fn silence(why: io::Error) -> Silence {
    match why.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Silence::Late,
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Silence::Gone,
        _ => Silence::Unusable(why),
    }
}

impl Drop for Helper {
    /// The end of the line is the end of the work; who does not see it is killed, and who is not even ended by that stays behind.
    fn drop(&mut self) {
        let _ = self.line.get_ref().shutdown(Shutdown::Both);
        let Some(mut child) = self.child.take() else { return };
        let is_late = left(self.end).is_err();
        if !is_late && has_ended(&mut child) {
            return;
        }
        let _ = child.kill();
        if !has_ended(&mut child) {
            *self.behind = Some(child);
        }
    }
}

fn has_ended(child: &mut Child) -> bool {
    let end = Instant::now() + MOMENT;
    let mut pause = Duration::from_micros(200);
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

/// What a helper does first: it ends with its parent, and lets go of what the parent's own parents have left open. Nothing may have
/// been opened by then.
///
/// # Errors
/// If the kernel refuses.
pub fn begin() -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let open: Vec<_> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // Among them is the one of the list itself, which is closed already.
        let _ = nix::unistd::close(number.into_raw_fd());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, time: Duration) -> Helper {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Helper::start(command, Instant::now() + time, &BEHIND).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn it_answers_a_line_for_a_line_and_ends_when_nobody_asks_any_more() {
        let mut helper = sh("while read -r words; do echo \"said $words\"; done", LONG);
        assert_eq!(helper.ask("one").unwrap(), b"said one");
        assert_eq!(helper.ask("two").unwrap(), b"said two");
        let pid = helper.child.as_ref().unwrap().id();
        drop(helper);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "no zombie is left");
    }

    #[test]
    fn a_long_answer_is_heard_to_its_end() {
        let answer = sh("read -r n; head -c $n /dev/zero | tr '\\0' x; echo", LONG).ask("3000000").unwrap();
        assert_eq!(answer, "x".repeat(3_000_000).as_bytes());
    }

    #[test]
    fn who_does_not_answer_in_time_is_killed() {
        let began = Instant::now();
        let mut helper = sh("trap '' TERM; exec sleep 600", Duration::from_millis(100));
        assert!(matches!(helper.ask("one"), Err(Silence::Late)));
        let pid = helper.child.as_ref().unwrap().id();
        drop(helper);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn who_ends_without_an_answer_is_not_waited_for() {
        let began = Instant::now();
        assert!(matches!(sh("exit 0", LONG).ask("one"), Err(Silence::Gone)));
        assert!(matches!(sh("read -r words; kill -9 $$", LONG).ask("one"), Err(Silence::Gone)));
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn as_long_as_one_is_left_behind_no_other_is_started() {
        static SLOT: Mutex<Option<Child>> = Mutex::new(None);
        let start = || Helper::start(Command::new("true"), Instant::now() + LONG, &SLOT);
        *SLOT.lock().unwrap() = Some(Command::new("sleep").arg("600").spawn().unwrap());
        let refused = start();
        SLOT.lock().unwrap().as_mut().unwrap().kill().unwrap();
        assert!(matches!(refused, Err(Silence::Behind)));
        let end = Instant::now() + LONG;
        while matches!(start(), Err(Silence::Behind)) {
            assert!(Instant::now() < end, "it has ended, and is seen to have");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn it_has_nothing_of_ours_but_its_line() {
        let mut helper =
            sh("read -r words; env | grep -v -e ^PWD -e ^_ -e ^SHLVL -e ^OLDPWD | tr '\\n' ' '; pwd", LONG);
        assert_eq!(helper.ask("one").unwrap(), b"/");
    }
}
