//! The log of the driver, line by line as both updaters write theirs:
//! `2026-11-21 07:24:46,900UTC - INFO - MainThread - message`.
//!
//! A log that cannot be written stops nobody: what is lost is counted, and told as soon as there is room. What scripts say is gathered
//! and written in large pieces, at each pause and once a second at least; what the driver says is in the file when the call returns. The file of a day is
//! put away under its date when the day is over, at the start or in the middle of a run.

mod file;
pub mod lines;
mod rotation;

use std::fmt::Display;
use std::fs::File;
use std::io::Write;

use chrono::{DateTime, NaiveDate, Utc};

use self::file::Place;
use self::lines::Lines;
use super::settings::{Level, LogFile};
use crate::error::Result;
use crate::exit;
use crate::paths::Paths;
use crate::sys::clock::Clock;

/// What is gathered before it is written.
const FULL: usize = 256 << 10;

/// An open log.
#[derive(Debug)]
pub struct Log {
    target: Option<Target>,
    level: Level,
    clock: Clock,
    lost: u64,
}

/// A file, and what shall go into it.
#[derive(Debug)]
struct Target {
    place: Place,
    file: File,
    day: NaiveDate,
    /// Whole lines that are not written yet.
    waiting: Vec<u8>,
    /// The file ends in the middle of a line.
    torn: bool,
    /// Lost, and not told in the log yet.
    untold: u64,
}

impl Log {
    /// Opens a log; makes it, and its directory, if they are missing.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::error::Error::Refused) if others could have made it, [`Error::Io`](crate::error::Error::Io) if it
    /// cannot be opened.
    pub fn open(paths: &Paths, settings: &LogFile, clock: Clock) -> Result<Self> {
        let place = Place::find(paths, &settings.path, settings.retention)?;
        let target = Target::open(place, clock.exact().date_naive())?;
        Ok(Self { target: Some(target), level: settings.level, clock, lost: 0 })
    }

    /// A log that goes nowhere.
    pub fn none() -> Self {
        Self { target: None, level: Level::Critical, clock: Clock::System, lost: 0 }
    }

    /// What the driver says, a line of the log for each line of it.
    pub fn say(&mut self, level: Level, words: impl Display) {
        let now = self.clock.exact();
        let Some(target) = self.target.as_mut().filter(|_| level >= self.level) else { return };
        let prefix = prefix(now, level);
        let words = words.to_string();
        for line in words.trim_end().split('\n') {
            lines::write(line.as_bytes(), prefix.as_bytes(), &mut target.waiting);
        }
        self.lost += target.flush(now);
    }

    /// What a script says; in the log when it is finished.
    pub fn output(&mut self) -> Output<'_> {
        Output { log: self, lines: Lines::default() }
    }

    /// How many lines could not be written.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The same in words; nothing if none was lost.
    pub fn loss(&self) -> Option<String> {
        (self.lost > 0).then(|| format!("{} lines of the log could not be written", self.lost))
    }

    fn write_waiting(&mut self) {
        let now = self.clock.exact();
        if let Some(target) = &mut self.target {
            self.lost += target.flush(now);
        }
    }
}

/// What one script says, on its way into the log. Whoever drops it finishes it.
#[derive(Debug)]
pub struct Output<'a> {
    log: &'a mut Log,
    lines: Lines,
}

impl Output<'_> {
    /// Takes a piece.
    pub fn take(&mut self, piece: &[u8]) {
        self.put(|lines, prefix, waiting| lines.take(piece, prefix, waiting));
        if self.log.target.as_ref().is_some_and(|target| target.waiting.len() >= FULL) {
            self.log.write_waiting();
        }
    }

    /// Writes what was taken; for each pause, and once a second.
    pub fn tick(&mut self) {
        self.log.write_waiting();
    }

    fn put(&mut self, put: impl FnOnce(&mut Lines, &[u8], &mut Vec<u8>) -> u64) {
        let now = self.log.clock.exact();
        let is_wanted = self.log.level <= Level::Info;
        if let Some(target) = self.log.target.as_mut().filter(|_| is_wanted) {
            put(&mut self.lines, prefix(now, Level::Info).as_bytes(), &mut target.waiting);
        }
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        self.put(Lines::finish);
        self.log.write_waiting();
    }
}

impl Target {
    fn open(place: Place, day: NaiveDate) -> Result<Self> {
        let (file, trouble) = place.open(day)?;
        if let Some(trouble) = trouble {
            exit::warn(trouble);
        }
        let torn = Place::is_torn(&file);
        Ok(Self { place, file, day, waiting: Vec::new(), torn, untold: 0 })
    }

    /// Writes what waits. How many lines of it are lost.
    fn flush(&mut self, now: DateTime<Utc>) -> u64 {
        if self.waiting.is_empty() {
            return 0;
        }
        self.turn_to(now.date_naive());
        let waiting = std::mem::take(&mut self.waiting);
        let mut text = Vec::new();
        if self.torn {
            text.push(b'\n');
        }
        if self.untold > 0 {
            let words = format!("{} lines before this one could not be written", self.untold);
            lines::write(words.as_bytes(), prefix(now, Level::Error).as_bytes(), &mut text);
        }
        let told = if text.is_empty() || self.write(&text) == text.len() { self.write(&waiting) } else { 0 };
        if told > 0 {
            self.untold = 0;
        }
        let lost = waiting[told..].split(|byte| *byte == b'\n').count() as u64 - 1;
        self.untold += lost;
        self.waiting = waiting;
        self.waiting.clear();
        lost
    }

    /// How much of it was written.
    fn write(&mut self, text: &[u8]) -> usize {
        let mut done = 0;
        while done < text.len() {
            match self.file.write(&text[done..]) {
                Ok(0) => break,
                Ok(bytes) => done += bytes,
                Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if done > 0 {
            self.torn = text[done - 1] != b'\n';
        }
        done
    }

    /// Another day, another file. Where that fails, the old one goes on, which is told once a day.
    fn turn_to(&mut self, today: NaiveDate) {
        if today == self.day {
            return;
        }
        self.day = today;
        match self.place.open(today) {
            Ok((file, trouble)) => {
                self.torn = Place::is_torn(&file);
                self.file = file;
                if let Some(trouble) = trouble {
                    exit::warn(trouble);
                }
            }
            Err(error) => exit::warn(error),
        }
    }
}

fn prefix(at: DateTime<Utc>, level: Level) -> String {
    let level = match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
        Level::Critical => "CRITICAL",
    };
    format!("{}UTC - {level} - MainThread - ", at.format("%Y-%m-%d %H:%M:%S,%3f"))
}

#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;
