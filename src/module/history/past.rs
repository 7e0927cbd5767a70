//! What the history says about each module, and what the manifest is still to be told. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use crate::flag::record::Record;
use crate::module::version::Version;
use crate::sys::clock::{self, Moment};

/// All modules of which something is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// By their names.
    pub modules: BTreeMap<String, Past>,
    /// In the order in which it happened.
    pub untold: Vec<Told>,
}

/// What is known about one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Past {
    /// The last thing that happened to it, and why if that was said.
    pub last: Option<(Event, Moment, Option<String>)>,
    /// When it succeeded the last time, and with what.
    pub applied: Option<Applied>,
    /// The same of the version that succeeded before this one.
    pub earlier: Option<Applied>,
    /// The version that was last marked as safe.
    pub safe: Option<String>,
    /// It was begun, and nothing says how it ended.
    pub open: Option<Moment>,
    /// Another version was about to be put in its place, and nothing says whether it was.
    pub rolling: Option<Rolling>,
    /// Versions in whose place an older one was put, and that have neither succeeded nor been marked as safe since.
    pub left: BTreeSet<String>,
}

/// A run of a module that has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// When it ended.
    pub at: Moment,
    /// When this version succeeded the first time, no other one since.
    pub since: Moment,
    /// Its version, if it had one.
    pub version: Option<String>,
    /// What it was when it ran.
    pub checksum: Option<String>,
}

/// An exchange of versions that may have been cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolling {
    /// The version that the manifest wanted.
    pub from: Option<String>,
    /// The checksum that it had then.
    pub was: Option<String>,
    /// The version to be put there.
    pub to: String,
    /// The tag that holds it.
    pub tag: String,
    /// What it is.
    pub checksum: String,
    /// The name under which the former one is kept aside.
    pub aside: String,
    /// Its directory: whether it has its place tells whether the exchange has happened.
    pub inode: u64,
}

/// A fact for the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// About which module.
    pub module: String,
    /// In which field.
    pub key: &'static str,
    /// What the field said when it happened: another value means that somebody has written it since, and it stays.
    pub was: Was,
    /// What it is to say.
    pub value: Option<String>,
}

/// What a field must say for a fact to be written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Was {
    /// Whatever it says.
    Anything,
    /// This.
    Value(Option<String>),
}

impl Story {
    /// Follows the records from the first to the last.
    pub fn of(records: &[Record]) -> Self {
        let mut story = Self::default();
        for record in records {
            story.follow(record);
        }
        story
    }

    /// What is known about a module.
    pub fn past(&self, module: &str) -> Past {
        self.modules.get(module).cloned().unwrap_or_default()
    }

    /// The next record.
    pub fn follow(&mut self, record: &Record) {
        let (Some(event), Some(at)) = (record.get("event").and_then(Event::from_word), record.time()) else { return };
        if event == Event::Written {
            self.untold.clear();
            return;
        }
        let Some(module) = record.get("module") else { return };
        self.untold.extend(told(record, event, at, module));
        let past = self.modules.entry(module.to_string()).or_default();
        past.follow(record, event, at);
    }
}

impl Past {
    fn follow(&mut self, record: &Record, event: Event, at: Moment) {
        let text = |key: &str| record.get(key).map(String::from);
        match event {
            Event::Begun => self.open = Some(at),
            Event::Done => {
                self.open = None;
                let version = self.good(text("version"));
                self.applied(at, version, text("checksum"));
            }
            Event::Failed | Event::Unfinished => self.open = None,
            Event::RollingBack => self.rolling = rolling(record),
            Event::RolledBack => {
                self.rolling = None;
                self.left.extend(leaves(record).map(String::from));
            }
            Event::NotRolledBack => self.rolling = None,
            Event::Safe => self.safe = self.good(text("version")),
            Event::Skipped | Event::Accepted | Event::Written => {}
        }
        self.last = Some((event, at, text("msg")));
    }
}

impl Past {
    /// A version that is a way back again.
    fn good(&mut self, version: Option<String>) -> Option<String> {
        if let Some(version) = &version {
            self.left.remove(version);
        }
        version
    }

    fn applied(&mut self, at: Moment, version: Option<String>, checksum: Option<String>) {
        let before = self.applied.take();
        let is_same = before.as_ref().is_some_and(|before| before.version == version);
        let since = before.as_ref().filter(|_| is_same).map_or(at, |before| before.since);
        if !is_same {
            self.earlier = before;
        }
        self.applied = Some(Applied { at, since, version, checksum });
    }
}

/// The version that a rollback left, if another one was put back, and not forward.
pub(super) fn leaves(record: &Record) -> Option<&str> {
    let version = |key| record.get(key).and_then(|text| Version::new(text).ok());
    let is_back = version("to").zip(version("from")).is_some_and(|(to, from)| to < from);
    record.get("from").filter(|_| is_back)
}

fn rolling(record: &Record) -> Option<Rolling> {
    let text = |key: &str| record.get(key).map(String::from);
    Some(Rolling {
        from: text("from"),
        was: text("was"),
        to: text("to")?,
        tag: text("tag")?,
        checksum: text("checksum")?,
        aside: text("aside")?,
        inode: text("inode")?.parse().ok()?,
    })
}

/// What the manifest is to be told of a record.
fn told(record: &Record, event: Event, at: Moment, module: &str) -> Vec<Told> {
    let text = |key: &str| record.get(key).map(String::from);
    let one = |key, was, value| Told { module: module.to_string(), key, was, value };
    match event {
        Event::Done => vec![one("lastApplied", Was::Anything, Some(clock::stamp(at)))],
        Event::Accepted => vec![one("checksum", Was::Value(text("was")), text("checksum"))],
        Event::Safe => vec![one("lastSafeVersion", Was::Anything, text("version"))],
        Event::RolledBack => {
            let mut told = vec![one("version", Was::Value(text("from")), text("to"))];
            // One that was not verified before is none that is verified now.
            if let Some(was) = text("was") {
                told.push(one("checksum", Was::Value(Some(was)), text("checksum")));
            }
            told
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::record::Draft;

    fn record(minute: u32, event: Event, module: &str, more: &[(&str, &str)]) -> Record {
        let mut draft = Draft::default().field("event", event.word()).field("module", module);
        for (key, value) in more {
            draft = draft.field(key, value);
        }
        let time = clock::parse(&format!("2026-11-21T02:{minute:02}:00Z")).unwrap();
        Record::parse(&draft.line(time, "patch-modules", 1, "r")).unwrap()
    }

    #[test]
    fn a_module_that_was_begun_and_did_not_end_was_at_work() {
        let story = Story::of(&[
            record(1, Event::Begun, "a", &[]),
            record(2, Event::Begun, "b", &[]),
            record(3, Event::Done, "a", &[("version", "1.0"), ("checksum", "c")]),
        ]);
        assert!(story.past("a").open.is_none() && story.past("b").open.is_some());
        assert_eq!(story.past("a").applied.unwrap().version.as_deref(), Some("1.0"));
        assert_eq!(story.past("c"), Past::default());
    }

    #[test]
    fn a_version_runs_since_it_succeeded_first_and_the_one_before_it_is_known() {
        let done = |minute, version| record(minute, Event::Done, "a", &[("version", version)]);
        let past = Story::of(&[done(1, "1"), done(2, "2"), done(3, "2"), record(4, Event::Failed, "a", &[])]).past("a");
        let applied = past.applied.unwrap();
        assert_eq!(
            (clock::stamp(applied.since).as_str(), applied.version.as_deref()),
            ("2026-11-21T02:02:00Z", Some("2"))
        );
        assert_eq!(past.earlier.unwrap().version.as_deref(), Some("1"));
    }

    #[test]
    fn a_version_that_was_rolled_back_is_left_until_it_succeeds_again() {
        let done = |minute, version| record(minute, Event::Done, "a", &[("version", version)]);
        let mut records =
            vec![done(1, "1"), done(2, "2"), record(3, Event::RolledBack, "a", &[("from", "2"), ("to", "1")])];
        assert!(Story::of(&records).past("a").left.contains("2"));
        records.push(done(4, "2"));
        assert!(Story::of(&records).past("a").left.is_empty());
    }

    #[test]
    fn the_manifest_is_told_what_came_after_it_was_last_written() {
        let mut records = vec![record(1, Event::Done, "a", &[]), record(2, Event::Written, "", &[])];
        assert!(Story::of(&records).untold.is_empty());
        records.push(record(3, Event::RolledBack, "a", &[("from", "2"), ("to", "1"), ("was", "x"), ("checksum", "y")]));
        let untold = Story::of(&records).untold;
        assert_eq!(untold.len(), 2);
        assert_eq!(
            (untold[0].key, &untold[0].was, untold[0].value.as_deref()),
            ("version", &Was::Value(Some("2".into())), Some("1"))
        );
        assert_eq!((untold[1].key, untold[1].value.as_deref()), ("checksum", Some("y")));
    }
}
