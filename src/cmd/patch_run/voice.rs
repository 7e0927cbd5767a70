//! What the driver says: every word of it in the log, each decision also in syslog, and what is wrong on standard error.

use std::fmt::Display;
use std::path::Path;

use crate::error::Result;
use crate::exit;
use crate::hook::Done;
use crate::paths::Paths;
use crate::phase::log::{Log, Output};
use crate::phase::settings::{Level, Settings};
use crate::sys::clock::Clock;

/// The log, and the way to syslog.
#[derive(Debug)]
pub struct Voice {
    log: Log,
}

impl Voice {
    /// Opens the log.
    ///
    /// # Errors
    /// As [`Log::open`]: a driver that nobody could ask afterwards begins nothing.
    pub fn open(settings: &Settings, paths: &Paths, clock: Clock) -> Result<Self> {
        Ok(Self { log: Log::open(paths, &settings.log, clock)? })
    }

    /// For what must be done though the log cannot be opened: decisions go to syslog as always.
    pub fn without_log() -> Self {
        Self { log: Log::none() }
    }

    /// A line of the log.
    pub fn say(&mut self, level: Level, words: impl Display) {
        self.log.say(level, words);
    }

    /// A decision: a line of the log and one of syslog.
    pub fn decide(&mut self, level: Level, words: impl Display) {
        self.log.say(level, &words);
        if level >= Level::Warning {
            exit::warn(words);
        } else {
            exit::note(words);
        }
    }

    /// Where what a script says goes.
    pub fn output(&mut self) -> Output<'_> {
        self.log.output()
    }

    /// How a script ended.
    pub fn finished(&mut self, path: &Path, done: &Done) {
        self.say(Level::Info, format_args!("finished: {}: {done}", path.display()));
    }

    /// The last word: lines that a full disk has swallowed.
    pub fn close(&mut self) {
        if let Some(words) = self.log.loss() {
            exit::warn(words);
        }
    }
}
