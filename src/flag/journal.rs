//! The journal on disk: reading it, and adding a record that is there when the call returns.

use nix::sys::stat::SFlag;

use super::record::Draft;
use super::run::Run;
use crate::error::Result;
use crate::exit;
use crate::sys::append::{Appender, Missing};
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::replace;

/// A journal may grow to this; an installer's output is not in it.
const LIMIT: u64 = 16 << 20;
/// Room set aside when a run begins, so that what happens on a full disk can still be recorded.
const ROOM: i64 = 256 << 10;

/// A journal that is open for adding records to it.
#[derive(Debug)]
pub struct Journal {
    file: Appender,
    run: String,
}

impl Journal {
    /// Begins the journal of a new run and sets room aside for it.
    ///
    /// # Errors
    /// As [`Appender::open`], and if there is no room; nothing has happened then.
    pub fn begin(etc: &Dir, name: &str, run: &str) -> Result<Self> {
        let file = Appender::open(etc, name, Missing::Make)?;
        file.reserve(ROOM)?;
        Ok(Self { file, run: run.to_string() })
    }

    /// Begins the journal of a new run in place of the last one's, with its first record.
    ///
    /// # Errors
    /// As [`Journal::begin`]; the last one then still stands, or the new one has no room beyond its first record.
    pub fn begin_with(etc: &Dir, name: &str, run: &str, time: Moment, draft: &Draft) -> Result<Self> {
        let line = draft.line(time, exit::tool(), std::process::id(), run);
        replace::replace(etc, name, format!("{line}\n").as_bytes(), 0o644)?;
        let journal = Self::resume(etc, name, run)?;
        journal.file.reserve(ROOM)?;
        Ok(journal)
    }

    /// Opens the journal of a run that goes on.
    ///
    /// # Errors
    /// As [`Appender::open`].
    pub fn resume(etc: &Dir, name: &str, run: &str) -> Result<Self> {
        Ok(Self { file: Appender::open(etc, name, Missing::Fail)?, run: run.to_string() })
    }

    /// Adds a record. A step that can't be recorded must not be taken.
    ///
    /// # Errors
    /// As [`Appender::line`].
    pub fn add(&mut self, time: Moment, draft: &Draft) -> Result<()> {
        self.file.line(&draft.line(time, exit::tool(), std::process::id(), &self.run))
    }
}

/// The text of a journal; `None` if there is none.
///
/// # Errors
/// If it is not a regular file of root's that others cannot write: then nothing can be decided.
pub fn text(etc: &Dir, name: &str) -> Result<Option<String>> {
    let bytes = etc.read(name, LIMIT)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The run that a journal tells of; `None` if there is no journal, or nothing in it yet.
///
/// # Errors
/// As [`text`].
pub fn run(etc: &Dir, name: &str) -> Result<Option<Run>> {
    Ok(text(etc, name)?.as_deref().and_then(Run::read))
}

/// Removes a journal that was made and never written to: its first record was cut short. `false` if there is none such.
///
/// # Errors
/// [`crate::error::Error::Io`].
pub fn drop_if_empty(etc: &Dir, name: &str) -> Result<bool> {
    let empty = etc.look(name)?.is_some_and(|stat| is_file(stat.st_mode) && stat.st_size == 0);
    if empty { etc.remove(name) } else { Ok(false) }
}

fn is_file(mode: u32) -> bool {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFREG
}

/// A name for a new run: its moment and the process, which no other run of this host can have together.
pub fn new_run_id(now: Moment) -> String {
    format!("{}.{}", now.format("%Y%m%dT%H%M%SZ"), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_journal_without_a_byte_in_it_is_dropped() {
        let scratch = tempfile::tempdir().unwrap();
        let etc = Dir::open(scratch.path()).unwrap();
        assert!(!drop_if_empty(&etc, "patchlog").unwrap());
        std::fs::write(etc.join("patchlog"), "").unwrap();
        assert!(drop_if_empty(&etc, "patchlog").unwrap());
        assert!(!etc.has("patchlog").unwrap());
        std::fs::write(etc.join("patchlog"), "?").unwrap();
        assert!(!drop_if_empty(&etc, "patchlog").unwrap());
        std::os::unix::fs::symlink("/dev/null", etc.join("other")).unwrap();
        assert!(!drop_if_empty(&etc, "other").unwrap());
    }
}
