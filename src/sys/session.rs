//! A session of our own, without a terminal.
//!
//! Who shares a session with root's shell can put words into its terminal that the shell then reads as root's (TIOCSTI, `ioctl_tty(2)`), even
//! with its input and output elsewhere. So whoever starts programs of other users leaves the terminal first. A process cannot leave its
//! session while a shell has made it the leader of a process group: the program is started once more, and the first one stays at the
//! terminal to pass on what ends it.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, setsid};

use super::stop::Stop;
use super::{group, proc_stat};
use crate::error::{Error, Result};

/// This very program, also when another version has been put in its place: proc(5).
const SELF: &str = "/proc/self/exe";
/// Tells the second one that it is that.
const MARK: &str = "PATCHFLAG_SESSION";
/// How soon an end is noticed, of the one or the other.
const MOMENT: Duration = Duration::from_millis(20);

/// Makes sure that this process has no terminal. `None`: it has none, and goes on. A number: another one did the work without
/// a terminal, and this is its exit code.
///
/// # Errors
/// [`Error::Failed`] if the terminal cannot be left.
pub fn without_terminal() -> Result<Option<u8>> {
    if std::env::var_os(MARK).is_some() {
        // The leader of a session that somebody else has made for us has left the terminal as well.
        let _ = setsid();
    }
    if !proc_stat::of(getpid().as_raw()).is_some_and(|own| own.has_terminal) {
        return Ok(None);
    }
    if std::env::var_os(MARK).is_some() {
        return Err(Error::failed("leave", "the terminal", "it is still there; try setsid -w"));
    }
    again().map(Some).map_err(|why| Error::failed("leave", "the terminal", why))
}

fn again() -> io::Result<u8> {
    // Before there is anybody to pass it on to.
    let stop = Stop::on_signals().map_err(io::Error::other)?;
    let mut words = std::env::args_os();
    let alone = group::birth();
    let mut child = Command::new(SELF).arg0(words.next().unwrap_or_default()).args(words).env(MARK, "1").spawn()?;
    drop(alone);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(code(status));
        }
        if let Some(signal) = stop.sleep(MOMENT) {
            // Nobody has asked for its end yet: its number is still its own.
            let _ = Signal::try_from(signal).map(|signal| kill(pid, signal));
            return child.wait().map(code);
        }
    }
}

/// As a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_as_a_shell_does() {
        assert_eq!((code(ExitStatus::from_raw(75 << 8)), code(ExitStatus::from_raw(9))), (75, 137));
    }
}
