//! Orders the maintenance boot, takes the order back, and leaves for the boot.

use std::time::{Duration, Instant};

use super::{Turn, Walk};
use crate::error::{Error, Result};
use crate::exit;
use crate::flag::done::Reboot;
use crate::flag::state::State;
use crate::flag::table::{self, Step};

impl Walk<'_> {
    /// Orders the maintenance boot. That init does not take the order is the end of the run, and is told as it is: waiting for a
    /// boot that cannot come would only lose the reason.
    pub(super) fn trigger(&mut self) -> Turn {
        match self.scene.init.order() {
            Ok(()) => Turn::On,
            Err(error) => {
                self.because(error.to_string());
                Turn::Instead([vec![Step::Undo], table::steps_fail()].concat())
            }
        }
    }

    pub(super) fn undo(&mut self) -> Result<()> {
        if self.scene.init.undo()? {
            exit::note("took the order of a maintenance boot back from init");
        }
        Ok(())
    }

    /// Reboots. In a maintenance boot init follows at once; at the normal level we hold the host lock until it has, so that no
    /// other tick takes the order for one that was not followed.
    pub(super) fn leave(&mut self) -> Result<Turn> {
        self.over = true;
        if self.reboot == Reboot::Driver && !self.in_maintenance() {
            return Ok(Turn::On);
        }
        if !self.site.paths.is_system() {
            exit::out("would reboot now");
            return Ok(Turn::On);
        }
        let asked = self.scene.init.reboot();
        if self.in_maintenance() {
            return asked.map(|()| Turn::On);
        }
        let cause = match asked {
            Ok(()) => {
                wait_for_the_end(self.site.config.patchit.boot_wait);
                "init was told to reboot and did not; the shutdown hangs".to_string()
            }
            Err(error) => error.to_string(),
        };
        if self.run()?.and_then(|run| run.state) == Some(State::Ordered) {
            self.because(cause);
            let fail = table::steps_fail();
            return Ok(Turn::Instead([vec![Step::Undo], fail].concat()));
        }
        Err(Error::failed("reboot", "the host", cause))
    }
}

/// Sleeps until init ends us, or the time is over.
fn wait_for_the_end(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(1));
    }
}
