//! What `development` and `production` say: which cluster hosts of that level get.
//!
//! One line, `ID SEQUENCE SHA256`: the digest is that of the cluster's `cluster.json`, so that a tree which was mixed from two
//! copies shows.

use std::fmt;

use super::manifest::is_sha256;
use crate::error::{Error, Result};
use crate::sys::trusted::is_plain_name;

/// Longer than any pointer.
pub const LIMIT: u64 = 1024;

/// The contents of a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The cluster's id.
    pub id: String,
    /// The cluster's sequence number.
    pub sequence: u64,
    /// The digest of its `cluster.json`, lower-case hexadecimal.
    pub sha256: String,
}

impl Pointer {
    /// Reads one; `path` is for the messages.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is anything but one such line.
    pub fn parse(bytes: &[u8], path: &str) -> Result<Self> {
        let wrong = || Error::refused(path, "it is not one line of cluster id, sequence number and sha256");
        let text = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n')).ok_or_else(wrong)?;
        let [id, sequence, sha256] = text.split(' ').collect::<Vec<_>>()[..] else { return Err(wrong()) };
        let sequence = sequence.parse().map_err(|_| wrong())?;
        let pointer = Self { id: id.into(), sequence, sha256: sha256.into() };
        let is_well_formed = is_plain_name(id) && is_sha256(sha256) && pointer.to_string().as_bytes() == bytes;
        if is_well_formed { Ok(pointer) } else { Err(wrong()) }
    }
}

/// The line with its newline: the file as it is signed.
impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} {}", self.id, self.sequence, self.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pointer_survives_being_written_and_read() {
        let pointer = Pointer { id: "20261121T020007Z".into(), sequence: 4, sha256: "0a".repeat(32) };
        assert_eq!(Pointer::parse(pointer.to_string().as_bytes(), "p").unwrap(), pointer);
    }

    #[test]
    fn half_a_pointer_is_refused() {
        let whole = Pointer { id: "x".into(), sequence: 4, sha256: "0a".repeat(32) }.to_string();
        for length in 0..whole.len() {
            assert!(Pointer::parse(&whole.as_bytes()[..length], "p").is_err(), "{length}");
        }
        assert!(Pointer::parse(whole.replace(" 4 ", " 04 ").as_bytes(), "p").is_err());
        assert!(Pointer::parse(whole.replace(" 4 ", " +4 ").as_bytes(), "p").is_err());
        assert!(Pointer::parse(whole.replace('x', "../x").as_bytes(), "p").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(bytes in "[0-9a-z ]{0,80}\n?") {
            let _ = Pointer::parse(bytes.as_bytes(), "p");
        }
    }
}
