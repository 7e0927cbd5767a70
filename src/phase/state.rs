//! The state file: one line, the phase that is next. `cat` shows where a run stands, and a person may write it.
//!
//! It decides. What lies beside it ([`super::run`]) only says what has happened, so the two cannot contradict each other:
//! there is no moment at which both have to change together.

use std::path::Path;

use super::name::Phase;
use crate::error::{Error, Result};
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

/// Nobody's state is longer.
const LIMIT: u64 = 64 << 10;

/// What the state file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// There is none.
    Missing,
    /// A phase.
    Phase(Phase),
    /// Nothing: other programs truncate before they write, and the power went in between.
    Empty,
    /// No phase.
    Garbage(String),
}

/// Reads the state file. Only its first line counts.
///
/// # Errors
/// [`Error::Refused`] if it is not a regular file of root's that others cannot write.
pub fn read(path: &Path) -> Result<Line> {
    match trusted::read(path, LIMIT) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.is_missing() => Ok(Line::Missing),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Line {
    // As the updaters read it: any end of line, and no blank around the word.
    let first = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    match String::from_utf8_lossy(first).as_ref() {
        "" => Line::Empty,
        word => word.parse().map_or_else(|_| Line::Garbage(word.chars().take(40).collect()), Line::Phase),
    }
}

/// Makes a phase the next one. When this returns it survives a power cut.
///
/// # Errors
/// [`Error::Io`]; the old line then still stands.
pub fn write(path: &Path, phase: Phase) -> Result<()> {
    let (above, name) = trusted::split(path)?;
    replace::replace(&Dir::create(above, 0o755)?, name_of(name, path)?, format!("{phase}\n").as_bytes(), 0o644)
}

/// Takes the state away: no run is unfinished.
///
/// # Errors
/// [`Error::Io`].
pub fn remove(path: &Path) -> Result<()> {
    let (above, name) = trusted::split(path)?;
    match Dir::open(above) {
        Ok(dir) => dir.remove(name_of(name, path)?).map(drop),
        Err(error) if error.is_missing() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The last part of a path, as text.
///
/// # Errors
/// [`Error::Usage`] if it is none.
pub fn name_of<'a>(name: &'a std::ffi::OsStr, path: &Path) -> Result<&'a str> {
    name.to_str()
        .ok_or_else(|| Error::Usage(format!("cannot use state file {}: its name is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_phase() {
        assert_eq!(parse(b"update"), Line::Phase(Phase::Update));
        assert_eq!(parse(b"post_update\nmore\n"), Line::Phase(Phase::PostUpdate));
        assert_eq!(parse(b"update\r\n"), Line::Phase(Phase::Update));
        assert_eq!(parse(b" update\n"), Line::Garbage(" update".into()));
        assert_eq!(parse(b""), Line::Empty);
        assert_eq!(parse(b"\n"), Line::Empty);
        assert_eq!(parse(b"upd"), Line::Garbage("upd".into()));
        assert!(matches!(parse(&[0xff, 0, 0x1b]), Line::Garbage(_)));
    }

    #[test]
    fn what_was_written_is_read_and_can_be_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lib/state");
        assert_eq!(read(&path).unwrap(), Line::Missing);
        remove(&path).unwrap();
        write(&path, Phase::LockGet).unwrap();
        write(&path, Phase::PreUpdate).unwrap();
        assert_eq!(read(&path).unwrap(), Line::Phase(Phase::PreUpdate));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "pre_update\n");
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Line::Missing);
    }

    #[test]
    fn a_planted_link_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("state");
        std::fs::write(scratch.path().join("other"), "update\n").unwrap();
        std::os::unix::fs::symlink("other", &path).unwrap();
        assert!(read(&path).is_err());
    }
}
