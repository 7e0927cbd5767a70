//! What has happened in a run: the record beside the state file, `STATE.run`, one line each, in the journal's form.
//!
//! It only grows until the next run begins its own. It says which scripts of which phase have succeeded in which boot, what was
//! asked of the lock service and granted, and that a reboot was ordered. A line that a power cut tore does not count.

use std::path::Path;

use super::name::Phase;
use super::state::name_of;
use super::table::{Holds, Last};
use crate::error::Result;
use crate::flag::journal::{self, Journal};
use crate::flag::record::{Draft, Record};
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::trusted;

/// A run, as its record tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub id: String,
    /// When it began.
    pub started: Moment,
    /// When the last record was written.
    pub last: Moment,
    /// The phase in which something was done last.
    pub begun: Option<Begun>,
    /// The grants that it holds, as they were recorded.
    pub grants: Vec<String>,
    /// What was asked of the service, if no record says what came of it.
    pub asking: Option<String>,
    /// The reboot that it ordered last, if that did not fail.
    pub ordered: Option<Order>,
    /// Why it stopped, if it did.
    pub failed: Option<String>,
    /// Why this phase stopped the last time, however often it was tried since.
    pub told: Option<String>,
    /// How it ended, if it did.
    pub ended: Option<String>,
}

/// A phase in which something was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Which.
    pub phase: Phase,
    /// When.
    pub at: Moment,
    /// Its scripts that have succeeded, each with the boot in which it did.
    pub done: Vec<(String, String)>,
}

/// A reboot that was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// In which boot.
    pub boot: String,
    /// When.
    pub at: Moment,
    /// Whoever was to tell the host has done so.
    pub given: bool,
}

impl Run {
    /// One of which nothing is known yet but its name and when it began.
    fn new(id: &str, started: Moment) -> Self {
        Self {
            id: id.to_string(),
            started,
            last: started,
            begun: None,
            grants: Vec::new(),
            asking: None,
            ordered: None,
            failed: None,
            told: None,
            ended: None,
        }
    }

    /// Reads a record; `None` if there is no line of ours in it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut records = text.split_inclusive('\n').filter_map(|line| Record::parse(line.trim_end()));
        let first = records.next()?;
        let mut run = Self::new(first.get("run")?, first.time()?);
        run.add(&first);
        for record in records.filter(|record| record.get("run") == Some(first.get("run").unwrap_or_default())) {
            run.add(&record);
        }
        Some(run)
    }

    fn add(&mut self, record: &Record) {
        let Some(time) = record.time() else { return };
        self.last = time;
        // Half a name is another script's or another lock's: only a whole record says anything.
        let say = |key: &str| record.grant(key).map(str::to_string);
        if let Some(phase) = say("phase").and_then(|word| word.parse().ok()) {
            self.failed = None;
            let again = self.begun.take().filter(|begun| begun.phase == phase);
            self.told = self.told.take().filter(|_| again.is_some());
            let done = again.map(|begun| begun.done).unwrap_or_default();
            self.begun = Some(Begun { phase, at: time, done });
        }
        if let (Some(script), Some(begun)) = (say("script"), self.begun.as_mut()) {
            begun.done.push((script, say("boot").unwrap_or_default()));
        }
        if let Some(asked) = say("asking") {
            self.asking = (!asked.is_empty()).then_some(asked);
        }
        if let Some(grant) = say("grant").filter(|grant| !self.grants.contains(grant)) {
            self.grants.push(grant);
        }
        for gone in ["released", "lost"].into_iter().filter_map(say) {
            self.grants.retain(|grant| *grant != gone);
        }
        if let Some(boot) = say("ordered") {
            self.ordered = (!boot.is_empty()).then_some(Order { boot, at: time, given: false });
        }
        if let (Some(_), Some(order)) = (say("given"), self.ordered.as_mut()) {
            order.given = true;
        }
        if let Some(why) = say("failed") {
            self.told = Some(why.clone());
            self.failed = Some(why);
        }
        self.ended = say("ended").or(self.ended.take());
    }

    /// What it knows of the lock.
    pub fn holds(&self) -> Holds {
        match (self.grants.is_empty(), &self.asking) {
            (false, _) => Holds::Lock,
            (true, Some(_)) => Holds::Perhaps,
            (true, None) => Holds::Nothing,
        }
    }

    /// How the last attempt ended.
    pub fn last_attempt(&self) -> Last {
        if self.failed.is_some() { Last::Failed } else { Last::CutShort }
    }

    /// Whether the run was in a later phase than this one: its state file was written by hand, or removed. What it has done from here on
    /// is to be done again then, and a reboot of before counts for nothing.
    pub fn goes_back_to(&self, phase: Phase) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.phase > phase)
    }

    /// Whether one that enters this phase is another run: this one has gone on from it, and holds nothing. It is over, though its end
    /// could not be recorded.
    pub fn is_another_than_one_in(&self, phase: Phase) -> bool {
        phase == Phase::LockGet && self.holds() == Holds::Nothing && self.goes_back_to(phase)
    }

    /// Whether a script need not run again in this phase. What one did to the running system is gone after a boot, so before and
    /// behind the update only what was done in this boot counts. Who must tell a host to reboot again has to tell it all.
    pub fn is_done(&self, phase: Phase, script: &str, boot: &str) -> bool {
        let begun = self.begun.as_ref().filter(|begun| begun.phase == phase);
        let lasts = phase == Phase::Update;
        phase != Phase::Reboot
            && begun.is_some_and(|begun| begun.done.iter().any(|(done, at)| done == script && (lasts || at == boot)))
    }
}

/// The record of a run, open.
#[derive(Debug)]
pub struct Book {
    journal: Journal,
    /// What it tells so far.
    pub run: Run,
}

impl Book {
    /// Begins the record of a new run, with its first phase, in place of the last one's.
    ///
    /// # Errors
    /// As [`Journal::begin_with`].
    pub fn begin(state: &Path, id: &str, now: Moment, phase: Phase) -> Result<Self> {
        let (dir, name) = place(state)?;
        let draft = Draft::note("a run begins").field("phase", phase.as_str());
        let journal = Journal::begin_with(&dir, &name, id, now, &draft)?;
        let mut book = Self { journal, run: Run::new(id, now) };
        book.learn(now, &draft);
        Ok(book)
    }

    /// Opens the record of the run that is not over; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read or trusted.
    pub fn resume(state: &Path) -> Result<Option<Self>> {
        let Some(run) = read(state)?.filter(|run| run.ended.is_none()) else { return Ok(None) };
        let (dir, name) = place(state)?;
        Ok(Some(Self { journal: Journal::resume(&dir, &name, &run.id)?, run }))
    }

    /// Adds a record. When this returns it survives a power cut.
    ///
    /// # Errors
    /// If it cannot be written: a step that cannot be recorded is not taken.
    pub fn add(&mut self, now: Moment, draft: &Draft) -> Result<()> {
        self.journal.add(now, draft)?;
        self.learn(now, draft);
        Ok(())
    }

    /// What a record says, as whoever reads the file learns it.
    fn learn(&mut self, now: Moment, draft: &Draft) {
        let line = draft.line(now, "", 0, &self.run.id);
        if let Some(record) = Record::parse(&line) {
            self.run.add(&record);
        }
    }
}

/// The last run that the record tells of.
///
/// # Errors
/// If it is not a regular file of root's that others cannot write.
pub fn read(state: &Path) -> Result<Option<Run>> {
    let (above, _) = trusted::split(state)?;
    if !above.is_dir() {
        return Ok(None);
    }
    let (dir, name) = place(state)?;
    Ok(journal::text(&dir, &name)?.as_deref().and_then(Run::parse))
}

/// Where the record of a state file lies.
fn place(state: &Path) -> Result<(Dir, String)> {
    let (above, name) = trusted::split(state)?;
    Ok((Dir::create(above, 0o755)?, format!("{}.run", name_of(name, state)?)))
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
