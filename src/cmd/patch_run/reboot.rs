//! Phase `reboot`: the order is recorded with the boot in which it is given, so that the next start can prove that it was followed; and
//! that it was given, so that one whose driver died before that is given again.

use crate::error::Result;
use crate::flag::record::Draft;
use crate::hook::Ended;
use crate::phase::name::Phase;
use crate::phase::settings::{Level, Reboot};

use super::driver::{Driver, Turn};
use super::end::End;

impl Driver<'_> {
    /// Tells the host to reboot. The state file names the phase behind it from before the command on, as scripts expect.
    pub(super) fn reboot(&mut self) -> Result<Turn> {
        if let Some(end) = self.announce_reboot()? {
            return Ok(Turn::Stop(end));
        }
        let order = Draft::note("the host is told to reboot");
        self.record(&order.field("phase", Phase::Reboot.as_str()).field("ordered", self.boot.clone()))?;
        self.write_state(Phase::PostUpdate)?;
        self.voice.decide(Level::Info, "rebooting");
        let failed = match self.settings.reboot.clone() {
            Reboot::Scripts => self.by_scripts(None)?,
            Reboot::ScriptsOr(words) => self.by_scripts(Some(&words))?,
            Reboot::Command(words) => self.by_command(&words)?,
        };
        match failed {
            None => {
                self.record(&Draft::default().field("given", self.boot.clone()))?;
                Ok(Turn::Stop(End::Rebooting))
            }
            // The signal is the shutdown's own, most likely. If it is not, nobody goes on without a boot.
            Some(End::Signal(signal)) => Ok(Turn::Stop(End::Signal(signal))),
            Some(end) => {
                // In this order: a post_update without an order would go on without a boot.
                self.write_state(Phase::Reboot)?;
                self.record(&Draft::note("the host was not rebooted").field("ordered", ""))?;
                Ok(Turn::Stop(end))
            }
        }
    }

    fn by_scripts(&mut self, otherwise: Option<&[String]>) -> Result<Option<End>> {
        let listed = match self.list(Phase::Reboot) {
            Ok(listed) => listed,
            Err(error) => return self.fail(Phase::Reboot, None, 1, &error.to_string()).map(Some),
        };
        if let (true, Some(words)) = (listed.scripts.is_empty(), otherwise) {
            return self.by_command(words);
        }
        if listed.scripts.is_empty() {
            let why = "there is no script that reboots the host; put one into reboot.d, with: exec shutdown -r now";
            return self.fail(Phase::Reboot, None, 1, why).map(Some);
        }
        for entry in &listed.scripts {
            if let Some(end) = self.work_on(Phase::Reboot, entry)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn by_command(&mut self, words: &[String]) -> Result<Option<End>> {
        if !self.paths.is_system() {
            self.voice.decide(Level::Info, format_args!("below another root nothing is rebooted: {}", words.join(" ")));
            return Ok(None);
        }
        let done = self.run_words(words)?;
        match done.ended {
            Ended::Code(0) => Ok(None),
            Ended::Stopped(signal) => Ok(Some(End::Signal(signal))),
            ended => {
                let failed = self.fail(Phase::Reboot, None, ended.code(), &format!("{}: {ended}", words.join(" ")))?;
                Ok(Some(if let Ended::Code(code) = ended { End::NotRebooted(code) } else { failed }))
            }
        }
    }
}
