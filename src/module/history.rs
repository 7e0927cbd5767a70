//! What has happened to modules: a file that only grows, one line each, in the journal's form.
//!
//! Facts are here first and in the manifest after. `written` says that the manifest has been told everything before it; what comes after
//! the last one it is told at the next start. A module that was begun and of which nothing more is said was at work when the power went
//! or somebody killed the run. Lines of another directory of modules are not ours, and a torn line is none.

mod event;
mod past;

use crate::error::{Error, Result};
use crate::exit;
use crate::flag::record::{Draft, Record};
use crate::sys::append::{Appender, Missing};
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;

pub use event::Event;
pub use past::{Applied, Past, Rolling, Story, Told, Was};

/// The name of the file.
pub const FILE: &str = "history";
/// It may grow to this.
const LIMIT: u64 = 1 << 30;

/// The history, open for adding to it. The caller holds the lock.
#[derive(Debug)]
pub struct History {
    file: Appender,
    /// The directory of the modules.
    place: String,
    run: String,
}

impl History {
    /// Opens it, and makes it if there is none.
    ///
    /// # Errors
    /// As [`Appender::open`].
    pub fn open(state: &Dir, place: &str, run: &str) -> Result<Self> {
        let file = Appender::open(state, FILE, Missing::Make)?;
        Ok(Self { file, place: place.to_string(), run: run.to_string() })
    }

    /// Adds a fact. What cannot be recorded must not be done.
    ///
    /// # Errors
    /// As [`Appender::line`].
    pub fn add(&mut self, now: Moment, event: Event, module: Option<&str>, more: Draft) -> Result<()> {
        let mut draft = Draft::default().field("event", event.word()).maybe("module", module);
        draft = draft.field("dir", &self.place).and(more);
        self.file.line(&draft.line(now, exit::tool(), std::process::id(), &self.run))
    }
}

/// Reads the history of one directory of modules; nothing there is no history.
///
/// # Errors
/// [`Error::Refused`] if others could have written it, [`Error::Io`].
pub fn read(state: &Dir, place: &str) -> Result<Vec<Record>> {
    let Some(bytes) = state.read(FILE, LIMIT)? else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&bytes);
    let is_ours = |record: &Record| record.is_whole() && record.get("dir") == Some(place);
    Ok(text.lines().filter_map(Record::parse).filter(is_ours).collect())
}

/// The same, where the directory of the state may not be there yet.
///
/// # Errors
/// As [`read`].
pub fn read_at(state: &std::path::Path, place: &str) -> Result<Vec<Record>> {
    match Dir::open(state) {
        Ok(dir) => read(&dir, place),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
