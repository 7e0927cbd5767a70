//! What a module was when its checksum was taken: the records themselves, so that `verify` can say file by file what changed.
//!
//! They need no trust of their own: they count only if their SHA-256 is the checksum of the manifest.

use super::name::Name;
use super::sum;
use crate::error::Result;
use crate::sys::dir::Dir;
use crate::sys::replace;

/// Records are not larger.
const LIMIT: u64 = 64 << 20;

/// Keeps the records of a module, unless they are kept already.
///
/// # Errors
/// [`crate::error::Error::Io`].
pub fn keep(dir: &Dir, name: &Name, records: &[u8]) -> Result<()> {
    if dir.read(name.as_str(), LIMIT).ok().flatten().as_deref() == Some(records) {
        return Ok(());
    }
    replace::replace(dir, name.as_str(), records, 0o644)
}

/// The records with this checksum, if they were kept.
pub fn find(dir: &Dir, name: &Name, checksum: &str) -> Option<Vec<u8>> {
    let records = dir.read(name.as_str(), LIMIT).ok().flatten()?;
    (sum::of(&records) == checksum).then_some(records)
}
