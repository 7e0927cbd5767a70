//! The wish that a tool ends: by a signal, or said by another thread. Whatever is waited for with poll(2) hears it.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::error::{Error, Result};

/// The signals that end a tool: TERM, INT and HUP, but none that whoever started us had ignored, as nohup(1) does, and shells do with
/// INT for what they start behind their back. It was not meant for us then.
pub fn deadly() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    [SIGTERM, SIGINT, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0).collect()
}

/// Whoever started us may have had SIGCHLD ignored, which is inherited; then the kernel forgets how a child has ended, wait(2). To be
/// called before the first one is started; it is undone for the children.
pub fn remember_children() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if ignored(&status) & (1 << (SIGCHLD - 1)) != 0 {
            // Any handler will do.
            let _ = signal_hook::flag::register(SIGCHLD, Arc::default());
        }
    });
}

/// The mask of `SigIgn` in `/proc/PID/status`, proc(5).
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Once raised, it stays raised.
#[derive(Debug)]
pub struct Stop {
    hear: UnixStream,
    tell: UnixStream,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// One that nothing raises but [`Stop::raise`].
    ///
    /// # Errors
    /// [`Error::Failed`] if there can be no channel.
    pub fn new() -> Result<Self> {
        let failed = |why| Error::failed("listen for", "the end", why);
        let (hear, tell) = UnixStream::pair().map_err(failed)?;
        // Who tells must never wait: full is as good as told.
        tell.set_nonblocking(true).map_err(failed)?;
        Ok(Self { hear, tell, signal: Arc::default() })
    }

    /// One that TERM, INT and HUP raise, which end nothing by themselves from here on. What was ignored before stays ignored.
    ///
    /// # Errors
    /// [`Error::Failed`] if the signals cannot be listened for.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::new()?;
        for signal in deadly() {
            let number = usize::try_from(signal).unwrap_or_default();
            // In this order: whoever wakes up finds the number.
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.signal), number)
                .and_then(|_| pipe::register(signal, stop.tell.try_clone()?))
                .map_err(|why| Error::failed("listen for", "signals", why))?;
        }
        Ok(stop)
    }

    /// Raises it, as this signal would.
    pub fn raise(&self, signal: i32) {
        self.signal.store(usize::try_from(signal).unwrap_or_default(), Ordering::SeqCst);
        let _ = std::io::Write::write(&mut &self.tell, b"X");
    }

    /// The signal that raised it.
    pub fn raised(&self) -> Option<i32> {
        i32::try_from(self.signal.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }

    /// Sleeps; the signal that ends the sleep.
    pub fn sleep(&self, time: Duration) -> Option<i32> {
        let end = std::time::Instant::now().checked_add(time);
        while self.raised().is_none() {
            let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            // An interrupted poll is asked again; what was raised shows in the number.
            let _ = poll(&mut [PollFd::new(self, PollFlags::IN)], left.as_ref());
        }
        self.raised()
    }
}

/// Readable from when it is raised on, for poll(2).
impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.hear.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_is_ignored_is_read_from_the_kernel_s_mask() {
        let hup_and_pipe = "Name:\tx\nSigBlk:\t0000000000000007\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(hup_and_pipe) & 1, 1);
        assert_eq!(ignored(hup_and_pipe) & (1 << (SIGTERM - 1)), 0);
        assert_eq!((ignored(""), ignored("SigIgn:\tx\n")), (0, 0));
        assert!(deadly().contains(&SIGTERM));
    }

    #[test]
    fn it_ends_a_sleep_and_stays_raised() {
        let stop = Stop::new().unwrap();
        assert_eq!(stop.sleep(Duration::from_millis(10)), None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                stop.raise(SIGTERM);
            });
            let began = Instant::now();
            assert_eq!(stop.sleep(Duration::from_mins(1)), Some(SIGTERM));
            assert!(began.elapsed() < Duration::from_secs(30));
        });
        assert_eq!(stop.sleep(Duration::MAX), Some(SIGTERM));
    }
}
