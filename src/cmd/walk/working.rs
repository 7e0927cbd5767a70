//! The work that was ordered: the order is lowered, the packages installed, and what was cut short is set right.

use super::{Turn, Walk};
use crate::cmd::installing;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::flag::record::Draft;
use crate::flag::table::{self, Step};
use crate::paths;

impl Walk<'_> {
    /// Lowers the flag; `false` means that there was none. A directory under its name was never an order, and is left to people.
    pub(super) fn lower(&mut self) -> Result<bool> {
        match self.scene.etc.remove(paths::FLAG) {
            Err(error) if error.is_a_directory() => Ok(false),
            other => other,
        }
    }

    pub(super) fn lower_or_call_off(&mut self) -> Result<Turn> {
        if self.lower()? {
            return Ok(Turn::On);
        }
        let mut steps = table::steps_called_off();
        if self.in_maintenance() {
            steps.push(Step::Reboot);
        }
        Ok(Turn::Instead(steps))
    }

    pub(super) fn install(&mut self) -> Result<Turn> {
        let run = self.run()?.ok_or_else(|| Error::failed("read", &self.log, "it is gone"))?;
        let report = installing::install(self.site, &run);
        let end = match report {
            Ok(report) => {
                self.record(&report.draft())?;
                report.verdict()
            }
            Err(error) => Err(error.to_string()),
        };
        installing::give_room_back(self.site, &self.scene.etc);
        match end {
            Ok(()) => Ok(Turn::On),
            Err(cause) => {
                self.because(cause);
                let mut steps = table::steps_fail();
                if self.in_maintenance() {
                    steps.push(Step::Reboot);
                }
                Ok(Turn::Instead(steps))
            }
        }
    }

    /// What a cut in the middle of the installation left is set right as far as the package manager can, and told. The repair runs
    /// the packages' scripts again, and one of them may be what cut the installation short: a repair that was cut short itself
    /// is tried once more and then left to people, or a script that reboots the host would do so for ever.
    pub(super) fn repair(&mut self) -> Result<()> {
        let Some(run) = self.run()? else { return Ok(()) };
        if run.fact("repaired").is_none() {
            let words = match run.next_repair() {
                Some(attempt) => {
                    self.record(&Draft::note("repairing what was cut short").field("repair", attempt.to_string()))?;
                    installing::repair(self.site, &run)
                }
                None => installing::left_as_it_is(self.site),
            };
            self.record(&Draft::note("the installation was interrupted").field("repaired", words))?;
        }
        self.exit = Exit::Failed;
        Ok(())
    }
}
