//! Looking through an archive without unpacking it: what a patch server does before it publishes one, by the very rules
//! by which hosts will unpack it.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::guard::{Guard, Kind};
use super::{CHUNK, Limits, Packing, Visitor, walk};
use crate::error::{Error, Result};
use crate::sys::trusted;

/// Reads a whole archive and names its files; nothing is written. What [`super::unpack`] would refuse is refused here.
///
/// # Errors
/// As [`super::unpack`].
pub fn list(archive: &Path, packing: Packing, limits: Limits) -> Result<Vec<PathBuf>> {
    let file = trusted::file(archive)?;
    let size = file.metadata().map_err(Error::io("look at", archive))?.len();
    let mut lister = Lister { archive, guard: Guard::new(limits, size), files: Vec::new() };
    walk(file, packing, &mut lister)?;
    Ok(lister.files)
}

struct Lister<'a> {
    archive: &'a Path,
    guard: Guard,
    files: Vec<PathBuf>,
}

impl Visitor for Lister<'_> {
    fn archive(&self) -> &Path {
        self.archive
    }

    fn bytes_left(&self) -> u64 {
        self.guard.bytes_left()
    }

    fn entry(&mut self, raw: &[u8], kind: Kind, _mode: Option<u32>, content: &mut dyn Read) -> Result<()> {
        let Some(path) = self.guard.admit(raw, kind).map_err(|why| self.refuse(why))? else { return Ok(()) };
        if kind == Kind::Folder {
            return Ok(());
        }
        // Read to its end: only there a damaged entry shows.
        let mut chunk = vec![0; CHUNK];
        loop {
            match content.read(&mut chunk).map_err(Error::io("read", self.archive))? {
                0 => break,
                read => self.guard.grow(read as u64).map_err(|why| self.refuse(why))?,
            }
        }
        self.files.push(path);
        Ok(())
    }
}
