//! What the administrators read: the words for each way that a run can go. Pure.
//!
//! The subject begins with where and what. The body says what happened, then what to do, then what was changed and when, so
//! that the first screen of a phone is enough to go back to sleep, or to get up.

use super::message::{Attachment, Message, one_line};
use super::page::{Page, count};
use crate::sys::clock::{self, Moment};
use crate::sys::trusted::is_plain_name;

/// Which way it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Installed, confirmed, lock released.
    Patched,
    /// Installed and confirmed; the lock service does not answer.
    PatchedLockHeld,
    /// A step failed.
    Failed,
    /// Found half done: a kill, a power cut.
    Interrupted,
    /// Installed, but the host did not come back as it should.
    NotConfirmed,
    /// `rm /etc/patchflag` before the first change.
    CalledOff,
    /// `not_after` has passed before the first change.
    Expired,
    /// Ended before the first change, by hand or by its time; the lock service does not answer.
    EndedLockHeld,
    /// A service could not be reached three times in a row. The run goes on.
    Unreachable,
    /// Wrong configuration or an unfit flag. Nothing has begun.
    Configuration,
}

/// A package before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub package: String,
    /// The version before; `None` if it is new.
    pub old: Option<String>,
    /// The version now; `None` if it was removed.
    pub new: Option<String>,
}

/// All that can be said of a run. What is empty is not mentioned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which way it went.
    pub kind: Kind,
    /// The host's name.
    pub host: String,
    /// The run's id; there may be none yet when the configuration is wrong.
    pub run: Option<String>,
    /// The cluster.
    pub cluster: Option<String>,
    /// Who ordered it.
    pub by: Option<String>,
    /// Why it was ordered.
    pub reason: Option<String>,
    /// What was being done: `installing`, `staging`, `stage mirror`.
    pub during: Option<String>,
    /// Why it went wrong.
    pub cause: Option<String>,
    /// What to do next, a sentence each; else what fits the kind.
    pub next: Vec<String>,
    /// How many times the host was rebooted.
    pub reboots: usize,
    /// Packages before and after.
    pub changes: Vec<Change>,
    /// Old configuration files that were kept.
    pub kept: Vec<String>,
    /// The last lines of the installer.
    pub tail: Vec<String>,
    /// What happened when.
    pub times: Vec<(String, Moment)>,
    /// The journal, attached as `patchlog.txt`.
    pub journal: Vec<u8>,
}

/// Of a longer journal the end is attached; the whole lies on the host.
const JOURNAL: usize = 1 << 20;

impl Report {
    /// A report of which no more than this is known.
    pub fn new(kind: Kind, host: &str) -> Self {
        Self {
            kind,
            host: host.to_string(),
            run: None,
            cluster: None,
            by: None,
            reason: None,
            during: None,
            cause: None,
            next: Vec::new(),
            reboots: 0,
            changes: Vec::new(),
            kept: Vec::new(),
            tail: Vec::new(),
            times: Vec::new(),
            journal: Vec::new(),
        }
    }

    /// The mail's id. A run ends with one mail, which has the run's id; what is told on the way has an id of its own, so that
    /// it is told once a run, and wrong configuration once a day.
    pub fn id(&self, now: Moment) -> String {
        let run = self.run.as_deref().map(plain);
        match (self.kind, run) {
            (Kind::Configuration, _) => format!("configuration.{}", now.format("%Y%m%d")),
            (Kind::Unreachable, Some(run)) => format!("{run}.unreachable"),
            (_, Some(run)) => run,
            (_, None) => format!("no-run.{}", now.format("%Y%m%dT%H%M%SZ")),
        }
    }

    /// The subject: `[patchflag] web01 patched: 9 packages, 2 reboots`.
    pub fn subject(&self) -> String {
        let host = &self.host;
        let what = match self.kind {
            Kind::Patched => format!("patched: {}", self.amount()),
            Kind::PatchedLockHeld => format!("patched, lock NOT released: {}", self.amount()),
            Kind::Failed => format!("FAILED{}{}", self.doing(), self.because()),
            Kind::Interrupted => format!("INTERRUPTED{}{}", self.doing(), self.because()),
            Kind::NotConfirmed => format!("patched but NOT CONFIRMED{}", self.because()),
            Kind::CalledOff => "called off: nothing was changed".into(),
            Kind::Expired => "EXPIRED: nothing was changed".into(),
            Kind::EndedLockHeld => "ended, lock NOT released: nothing was changed".into(),
            Kind::Unreachable => format!("waits{}", self.because()),
            Kind::Configuration => format!("CANNOT GO ON{}", self.because()),
        };
        one_line(&format!("[patchflag] {host} {what}"))
    }

    /// The mail.
    pub fn message(&self, now: Moment) -> Message {
        let journal = || Attachment { name: "patchlog.txt".into(), bytes: end_of(&self.journal) };
        let attachments = if self.journal.is_empty() { Vec::new() } else { vec![journal()] };
        Message {
            id: self.id(now),
            subject: self.subject(),
            body: self.body(),
            attachments,
            date: now,
            host: self.host.clone(),
        }
    }

    /// The body: plain text in short lines.
    pub fn body(&self) -> String {
        let mut page = Page::default();
        page.paragraph(&self.opening());
        if let Some(cause) = &self.cause {
            page.paragraph(&format!("Cause: {cause}"));
        }
        let usual: Vec<String> = self.usual_advice().iter().map(|line| (*line).to_string()).collect();
        page.section("What to do next", if self.next.is_empty() { &usual } else { &self.next });
        page.section("Last lines of output", &self.tail);
        page.section("Packages", self.changes.iter().map(Change::line));
        page.section("Configuration files that were kept as they are", &self.kept);
        page.section("Times (UTC)", self.times.iter().map(|(label, at)| format!("{} {label}", clock_face(*at))));
        let facts =
            [("run", &self.run), ("cluster", &self.cluster), ("ordered by", &self.by), ("reason", &self.reason)];
        page.section("Run", facts.iter().filter_map(|(name, value)| Some(format!("{name}: {}", value.as_ref()?))));
        page.finish()
    }

    fn opening(&self) -> String {
        let host = &self.host;
        match self.kind {
            Kind::Patched => format!("{host} is patched and back in service: {}.", self.amount()),
            Kind::PatchedLockHeld => format!(
                "{host} is patched and back in service: {}. Its lock could not be released, because the lock service \
                 does not answer.",
                self.amount()
            ),
            Kind::Failed => format!("{host} failed{}. The chain has stopped here.", self.doing()),
            Kind::Interrupted => {
                format!("{host} was interrupted{}. It is not known to be whole.", self.doing())
            }
            Kind::NotConfirmed => {
                format!("{host} was patched ({}), but it did not come back as it should.", self.amount())
            }
            Kind::CalledOff => format!("The run on {host} was called off by hand before the first change."),
            Kind::Expired => format!("The run on {host} has expired before the first change."),
            Kind::EndedLockHeld => format!(
                "The run on {host} has ended before the first change. Its lock could not be released, because the lock \
                 service does not answer."
            ),
            Kind::Unreachable => format!("{host} waits{}: a service it needs cannot be reached.", self.doing()),
            Kind::Configuration => format!("{host} cannot start its run, or cannot go on with it."),
        }
    }

    fn usual_advice(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Patched => &["Nothing."],
            Kind::PatchedLockHeld | Kind::EndedLockHeld => &[
                "Look after the lock service. The release is tried again until it is done.",
                "Until then no other member of the group is patched.",
            ],
            Kind::Failed => &[
                "Look at the cause and at the attached journal, then at the host itself: patch-status",
                "A lock that was held is still held, so that no other host follows. Release it when this host is right.",
                "To try again: touch /etc/patchflag",
            ],
            Kind::Interrupted => &[
                "Look whether the packages are whole: dpkg --audit, or rpm -Va",
                "A lock that was held is still held, so that no other host follows. Release it when this host is right.",
                "To try again: touch /etc/patchflag",
            ],
            Kind::NotConfirmed => &[
                "Look at the host: what failed, did work before the patch.",
                "A lock that was held is still held, so that no other host follows. Release it when this host is right.",
            ],
            Kind::CalledOff => &["Nothing. To patch it after all: touch /etc/patchflag"],
            Kind::Expired => &["To give it another night: touch /etc/patchflag"],
            Kind::Unreachable => &[
                "Look after the service. The run tries again by itself until its time is over.",
                "To call it off: rm /etc/patchflag",
            ],
            Kind::Configuration => &["Put it right. The next tick starts by itself."],
        }
    }

    fn amount(&self) -> String {
        format!("{}, {}", count(self.changes.len(), "package"), count(self.reboots, "reboot"))
    }

    fn doing(&self) -> String {
        self.during.as_ref().map(|what| format!(" while {what}")).unwrap_or_default()
    }

    fn because(&self) -> String {
        self.cause.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
    }
}

impl Change {
    fn line(&self) -> String {
        let name = &self.package;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => format!("{name} {old} -> {new}"),
            (None, Some(new)) => format!("{name} new -> {new}"),
            (Some(old), None) => format!("{name} {old} -> removed"),
            (None, None) => name.clone(),
        }
    }
}

/// A run's id as a plain name, whatever its journal says: no id may keep a mail from being spooled.
fn plain(run: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._+:~-".contains(c) { c } else { '-' };
    let name: String = run.chars().map(fits).take(100).collect();
    if is_plain_name(&name) { name } else { format!("run{name}") }
}

/// `2026-11-21 02:00:07`.
fn clock_face(moment: Moment) -> String {
    clock::stamp(moment).replace('T', " ").replace('Z', "")
}

/// The last whole lines that fit, with a word on what is missing.
fn end_of(journal: &[u8]) -> Vec<u8> {
    let Some(start) = journal.len().checked_sub(JOURNAL).filter(|start| *start > 0) else { return journal.to_vec() };
    let end = &journal[start..];
    let line = end.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut bytes = format!("[{} bytes before this are in the journal on the host]\n", start + line).into_bytes();
    bytes.extend_from_slice(&end[line..]);
    bytes
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
