//! The file behind the log: opened by its name only once it is judged, put away when its day is over.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use chrono::{DateTime, NaiveDate};

use super::rotation;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::trusted::{Rule, split};
use crate::sys::{append, links, replace};

/// What scripts say may be secret: others cannot read a log that we make. One that is there keeps its mode.
const MODE: u32 = 0o640;
/// So many logs of one day.
const AGAIN: u32 = 1000;

/// Where a log is.
#[derive(Debug)]
pub struct Place {
    dir: Dir,
    name: String,
    retention: u32,
}

impl Place {
    /// Finds the place of a log, its directory made if it is missing.
    ///
    /// # Errors
    /// [`Error::Refused`] if strangers could change the directory, [`Error::Io`] if it cannot be made.
    pub fn find(paths: &Paths, path: &Path, retention: u32) -> Result<Self> {
        let inside = paths.inside(path);
        let (above, name) = split(&inside)?;
        let name = name.to_str().ok_or_else(|| Error::refused(path.display(), "its name is not plain text"))?;
        let dir = match links::resolve(paths.root(), above, Rule::Log) {
            Err(error) if error.is_missing() => Dir::create_by(&paths.at(above), 0o755, Rule::Log)?,
            real => Dir::open_by(&paths.at(real?), Rule::Log)?,
        };
        Ok(Self { dir, name: name.to_string(), retention })
    }

    /// Opens the log of today, the one before it put away first, and removes what is too old. That something is not put away or
    /// not removed is no reason not to log; it is told.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not a regular file of root's with one name, [`Error::Io`] if it cannot be opened.
    pub fn open(&self, today: NaiveDate) -> Result<(File, Option<Error>)> {
        let put_away = self.put_away(today);
        let tidied = put_away.and_then(|()| self.tidy());
        Ok((append::open_log(&self.dir, &self.name, MODE)?, tidied.err()))
    }

    fn put_away(&self, today: NaiveDate) -> Result<()> {
        if !self.dir.has(&self.name)? {
            return Ok(());
        }
        let file = append::open_log(&self.dir, &self.name, MODE)?;
        let mut first = [0; 10];
        let bytes = file.read_at(&mut first, 0).map_err(Error::io("read", self.path()))?;
        let written = file.metadata().map_err(Error::io("look at", self.path()))?.mtime();
        let written = DateTime::from_timestamp(written, 0).map_or(today, |time| time.date_naive());
        let Some(day) = (bytes > 0).then(|| rotation::due(&first[..bytes], written, today)).flatten() else {
            return Ok(());
        };
        for again in 0..AGAIN {
            let old = rotation::name(&self.name, day, again);
            if replace::rename_new(&self.dir, &self.name, &self.dir, &old)? {
                return Ok(());
            }
        }
        Err(Error::failed("put away", self.path().display(), format!("there are {AGAIN} old logs of {day} already")))
    }

    fn tidy(&self) -> Result<()> {
        for old in rotation::expired(&self.dir.names()?, &self.name, self.retention) {
            self.dir.remove(old)?;
        }
        Ok(())
    }

    /// Where it is, for messages.
    pub fn path(&self) -> std::path::PathBuf {
        self.dir.join(&self.name)
    }

    /// Whether the last line of an open log has no end: whoever wrote it died.
    pub fn is_torn(file: &File) -> bool {
        let size = file.metadata().map_or(0, |stat| stat.size());
        let mut last = [b'\n'];
        let _ = size.checked_sub(1).map(|at| file.read_at(&mut last, at));
        last != *b"\n"
    }
}
