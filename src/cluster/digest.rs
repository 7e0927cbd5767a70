//! SHA-256 and MD5 of the same bytes in one pass, with their number.
//!
//! Trust rests on SHA-256. MD5 is a name for content: it answers whether a cluster changed since last month, nothing else.

use std::fmt::Write as _;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// What identifies content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Lower-case hexadecimal.
    pub md5: String,
}

/// Digests in the making.
#[derive(Default)]
pub struct Hasher {
    size: u64,
    sha256: Sha256,
    md5: md5::Context,
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        self.md5.consume(bytes);
    }

    /// How many bytes there were so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digests of everything taken.
    pub fn finish(self) -> Digests {
        let md5 = hex(&self.md5.finalize().0);
        Digests { size: self.size, sha256: hex(&self.sha256.finalize()), md5 }
    }
}

/// Reads to the end.
///
/// # Errors
/// The reader's.
pub fn of(mut reader: impl Read) -> io::Result<Digests> {
    let mut hasher = Hasher::default();
    let mut block = vec![0; 1 << 16];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&block[..read]),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

/// Of bytes in memory.
pub fn of_bytes(bytes: &[u8]) -> Digests {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // into memory: cannot fail
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_those_of_the_standards() {
        // The examples of RFC 1321 and FIPS 180-2.
        let abc = of(&b"abc"[..]).unwrap();
        assert_eq!(abc.md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(abc.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(abc.size, 3);
        assert_eq!(of_bytes(b"abc"), abc);
    }
}
