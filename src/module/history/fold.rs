//! Which lines of a long history still count: those without which something else would be known. Pure.
//!
//! Of a module these are the first and the last run of the version that it is at and of the one before, the last mark as safe, what is
//! open, which versions were left, and the last thing that happened; of a directory of modules everything that the manifest has not been told.

use std::collections::{BTreeSet, HashMap};

use super::event::Event;
use super::past::leaves;
use crate::flag::record::Record;
use crate::sys::clock::Moment;

/// A history, line by line.
#[derive(Debug, Default)]
pub struct Fold<'t> {
    lines: Vec<&'t str>,
    end: Option<Moment>,
    /// By directory and module.
    marks: HashMap<(String, String), Marks>,
    /// By directory: the line that says that the manifest was told, and what came after it.
    untold: HashMap<String, Vec<usize>>,
    /// A newer patch-modules may understand them.
    strange: Vec<usize>,
}

/// The lines that count for a module.
#[derive(Debug, Default)]
struct Marks {
    last: Option<usize>,
    applied: Option<Ran>,
    earlier: Option<Ran>,
    safe: Option<usize>,
    open: Option<usize>,
    rolling: Option<usize>,
    /// By version: where another one was put in its place.
    left: HashMap<String, usize>,
}

/// The runs of a version.
#[derive(Debug)]
struct Ran {
    version: Option<String>,
    first: usize,
    last: usize,
}

impl<'t> Fold<'t> {
    /// The next line, which is whole.
    pub fn follow(&mut self, line: &'t str, record: &Record) {
        let at = self.lines.len();
        self.lines.push(line);
        self.end = record.time();
        let dir = record.get("dir").unwrap_or_default();
        let Some(event) = record.get("event").and_then(Event::from_word) else { return self.strange.push(at) };
        if !self.untold.contains_key(dir) {
            self.untold.insert(dir.to_string(), Vec::new());
        }
        if let Some(untold) = self.untold.get_mut(dir) {
            if event == Event::Written {
                untold.clear();
            }
            untold.push(at);
        }
        if let Some(module) = record.get("module") {
            let marks = self.marks.entry((dir.to_string(), module.to_string())).or_default();
            marks.follow(at, event, record);
        }
    }

    /// When the last line was written.
    pub fn end(&self) -> Option<Moment> {
        self.end
    }

    /// What still counts, as it was written and in its order.
    pub fn kept(&self) -> String {
        let marks = self.marks.values().flat_map(Marks::lines);
        let all: BTreeSet<usize> =
            marks.chain(self.untold.values().flatten().copied()).chain(self.strange.iter().copied()).collect();
        all.into_iter().flat_map(|at| [self.lines[at], "\n"]).collect()
    }
}

impl Marks {
    /// As [`super::Past`] follows it.
    fn follow(&mut self, at: usize, event: Event, record: &Record) {
        let version = record.get("version");
        match event {
            Event::Begun => self.open = Some(at),
            Event::Done => {
                self.open = None;
                self.good(version);
                self.applied(at, version);
            }
            Event::Failed | Event::Unfinished => self.open = None,
            Event::RollingBack => self.rolling = Some(at),
            Event::RolledBack => {
                self.rolling = None;
                self.left.extend(leaves(record).map(|from| (from.to_string(), at)));
            }
            Event::NotRolledBack => self.rolling = None,
            Event::Safe => {
                self.good(version);
                self.safe = Some(at);
            }
            Event::Skipped | Event::Accepted | Event::Written => {}
        }
        self.last = Some(at);
    }

    fn good(&mut self, version: Option<&str>) {
        version.map(|version| self.left.remove(version));
    }

    fn applied(&mut self, at: usize, version: Option<&str>) {
        match &mut self.applied {
            Some(ran) if ran.version.as_deref() == version => ran.last = at,
            ran => {
                let new = Ran { version: version.map(String::from), first: at, last: at };
                self.earlier = ran.replace(new);
            }
        }
    }

    fn lines(&self) -> impl Iterator<Item = usize> {
        let runs = [&self.earlier, &self.applied].into_iter().flatten().flat_map(|ran| [ran.first, ran.last]);
        let left = self.left.values().copied();
        [self.last, self.safe, self.open, self.rolling].into_iter().flatten().chain(runs).chain(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::record::Draft;
    use crate::module::history::Story;
    use crate::module::history::event::WORDS;
    use crate::sys::clock;
    use proptest::prelude::*;

    fn line(minute: usize, event: Event, dir: &str, module: &str, version: &str) -> String {
        let from = if minute.is_multiple_of(2) { "1" } else { "3" };
        let module = (event != Event::Written).then_some(module);
        let draft = Draft::default().field("event", event.word()).maybe("module", module).field("dir", dir);
        let draft =
            ["version", "to", "tag", "aside", "checksum"].iter().fold(draft, |draft, key| draft.field(key, version));
        let time =
            clock::parse("2026-11-21T00:00:00Z").unwrap() + chrono::Duration::minutes(minute.try_into().unwrap());
        draft.field("from", from).field("inode", "7").line(time, "patch-modules", 1, "r")
    }

    fn kept(text: &str) -> String {
        let mut fold = Fold::default();
        for line in text.lines() {
            fold.follow(line, &Record::parse(line).unwrap());
        }
        fold.kept()
    }

    fn story(text: &str, dir: &str) -> Story {
        let records: Vec<Record> = text.lines().filter_map(Record::parse).collect();
        let mut story = Story::default();
        records.iter().filter(|record| record.get("dir") == Some(dir)).for_each(|record| story.follow(record));
        story
    }

    #[test]
    fn years_of_daily_runs_come_down_to_a_few_lines_a_module() {
        let mut text = String::new();
        for day in 0..1000 {
            for event in [Event::Begun, Event::Done, Event::Written] {
                text += &line(day * 1440, event, "/d", "a", if day < 800 { "1" } else { "2" });
                text.push('\n');
            }
        }
        let short = kept(&text);
        assert!(short.lines().count() <= 6, "{short}");
        assert_eq!(story(&short, "/d"), story(&text, "/d"));
    }

    #[test]
    fn what_nobody_here_understands_is_kept() {
        let strange = line(0, Event::Done, "/d", "a", "1").replace("event=done", "event=new");
        let text = strange.split(" sum=").next().unwrap().to_string() + "\n";
        assert_eq!(kept(&text), text);
    }

    proptest! {
        #[test]
        fn what_is_kept_tells_the_same_story(steps in proptest::collection::vec((0..WORDS.len(), 0..2usize, 0..2usize, 0..3usize), 0..60)) {
            let (dirs, modules, versions) = (["/d", "/e"], ["a", "b"], ["1", "2", "3"]);
            let mut text = String::new();
            for (at, (event, dir, module, version)) in steps.into_iter().enumerate() {
                text += &line(at, WORDS[event].0, dirs[dir], modules[module], versions[version]);
                text.push('\n');
            }
            let short = kept(&text);
            for dir in dirs {
                prop_assert_eq!(story(&short, dir), story(&text, dir));
            }
            prop_assert_eq!(kept(&short), short);
        }
    }
}
