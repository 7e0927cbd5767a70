//! What has happened to modules: a file to which a line each is added, in the journal's form.
//!
//! Facts are here first and in the manifest after. `written` says that the manifest has been told everything before it; what comes after
//! the last one it is told at the next start. A module that was begun and of which nothing more is said was at work when the power went
//! or somebody killed the run. Lines of another directory of modules are not ours, and a torn line is none.
//!
//! It is read once, when it is opened. One that has become long is put aside whole then, as `history-TIME`, and goes on with the lines
//! that still count: what is known stays the same, and the next start does not read ten years.

mod event;
mod fold;
mod past;

use std::path::Path;

use crate::error::{Error, Result};
use crate::exit;
use crate::flag::record::{Draft, Record};
use crate::sys::append::{Appender, Missing};
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::replace;

use fold::Fold;

pub use event::Event;
pub use past::{Applied, Past, Rolling, Story, Told, Was};

/// The name of the file.
pub const FILE: &str = "history";
/// It may grow to this.
const LIMIT: u64 = 1 << 30;
/// From this size on it is shortened, if half of it does not count any more.
const LONG: usize = 4 << 20;

/// The history, open for adding to it. The caller holds the lock.
#[derive(Debug)]
pub struct History {
    file: Appender,
    /// The directory of the modules.
    place: String,
    run: String,
    story: Story,
}

impl History {
    /// Opens and reads it, and makes it if there is none.
    ///
    /// # Errors
    /// As [`Appender::open`]; [`Error::Refused`] if others could have written it.
    pub fn open(state: &Dir, place: &str, run: &str) -> Result<Self> {
        let bytes = state.read(FILE, LIMIT)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let (mut story, mut fold) = (Story::default(), Fold::default());
        for line in text.lines() {
            let Some(record) = Record::parse(line).filter(Record::is_whole) else { continue };
            fold.follow(line, &record);
            if record.get("dir") == Some(place) {
                story.follow(&record);
            }
        }
        if bytes.len() >= LONG {
            shorten(state, &bytes, &fold);
        }
        let file = Appender::open(state, FILE, Missing::Make)?;
        Ok(Self { file, place: place.to_string(), run: run.to_string(), story })
    }

    /// What it tells so far, with all that was added.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// Adds a fact. What cannot be recorded must not be done.
    ///
    /// # Errors
    /// As [`Appender::line`].
    pub fn add(&mut self, now: Moment, event: Event, module: Option<&str>, more: Draft) -> Result<()> {
        let mut draft = Draft::default().field("event", event.word()).maybe("module", module);
        draft = draft.field("dir", &self.place).and(more);
        let line = draft.line(now, exit::tool(), std::process::id(), &self.run);
        self.file.line(&line)?;
        if let Some(record) = Record::parse(&line) {
            self.story.follow(&record);
        }
        Ok(())
    }
}

/// Puts a long history aside and begins it again with what still counts. That it cannot be done is told and no fault: it is long then.
fn shorten(state: &Dir, bytes: &[u8], fold: &Fold) {
    let kept = fold.kept();
    if kept.len() > bytes.len() / 2 {
        return;
    }
    // Named by its end: a start that was cut short between the two finds what it has put aside already.
    let Some(end) = fold.end() else { return };
    let aside = format!("{FILE}-{}", end.format("%Y%m%dT%H%M%SZ"));
    let is_aside = replace::create(state, &aside, bytes, 0o644)
        .and_then(|is_new| Ok(is_new || state.read(&aside, LIMIT)?.as_deref() == Some(bytes)));
    let done = match is_aside {
        Ok(true) => replace::replace(state, FILE, kept.as_bytes(), 0o644),
        Ok(false) => Err(Error::failed("make", state.join(&aside).display(), "there is another file of this name")),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => exit::note(format_args!("the history was long; what it was is kept as {aside}")),
        Err(error) => exit::warn(format_args!("{error}; the history stays long")),
    }
}

/// Reads the history of one directory of modules; nothing there is no history, and neither is a state that was never made.
///
/// # Errors
/// [`Error::Refused`] if others could have written it, [`Error::Io`].
pub fn read(state: &Path, place: &str) -> Result<Vec<Record>> {
    let dir = match Dir::open(state) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        other => other?,
    };
    let bytes = dir.read(FILE, LIMIT)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let is_ours = |record: &Record| record.is_whole() && record.get("dir") == Some(place);
    Ok(text.lines().filter_map(Record::parse).filter(is_ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;

    /// Few lines of much; what they tell.
    fn long(state: &Dir) -> (Vec<u8>, Story) {
        let now = clock::parse("2026-11-21T02:00:00Z").unwrap();
        let mut text = String::new();
        for n in 0..2_400 {
            let (event, module) = if n % 3 == 2 { (Event::Written, None) } else { (Event::Done, Some("a")) };
            let draft = Draft::default().field("event", event.word()).maybe("module", module).field("dir", "/d");
            text +=
                &(draft.msg("x".repeat(2000)).line(now + chrono::Duration::seconds(n), "patch-modules", 1, "r") + "\n");
        }
        std::fs::write(state.join(FILE), &text).unwrap();
        let records: Vec<Record> = text.lines().filter_map(Record::parse).collect();
        (text.into_bytes(), Story::of(&records))
    }

    #[test]
    fn a_history_that_became_long_is_put_aside_whole_and_tells_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let state = Dir::open(scratch.path()).unwrap();
        let (bytes, story) = long(&state);
        assert_eq!(*History::open(&state, "/d", "r").unwrap().story(), story);
        assert_eq!(state.read("history-20261121T023959Z", LIMIT).unwrap().unwrap(), bytes);
        assert!(state.read(FILE, LIMIT).unwrap().unwrap().len() < 20_000);
        let mut again = History::open(&state, "/d", "r").unwrap();
        assert_eq!(*again.story(), story);
        again.add(clock::now(), Event::Begun, Some("a"), Draft::default()).unwrap();
        assert!(again.story().past("a").open.is_some());
    }

    #[test]
    fn what_was_put_aside_before_a_kill_is_not_put_aside_twice_and_another_file_is_not_overwritten() {
        let scratch = tempfile::tempdir().unwrap();
        let state = Dir::open(scratch.path()).unwrap();
        let (bytes, story) = long(&state);
        let aside = state.join("history-20261121T023959Z");
        std::fs::write(&aside, "somebody's").unwrap();
        assert_eq!(*History::open(&state, "/d", "r").unwrap().story(), story);
        assert_eq!(std::fs::read(&aside).unwrap(), b"somebody's");
        assert_eq!(state.read(FILE, LIMIT).unwrap().unwrap(), bytes, "it stays long");
        std::fs::write(&aside, &bytes).unwrap();
        assert_eq!(*History::open(&state, "/d", "r").unwrap().story(), story);
        assert!(state.read(FILE, LIMIT).unwrap().unwrap().len() < 20_000);
        assert_eq!(std::fs::read(&aside).unwrap(), bytes);
    }
}
