//! What threads that hash files share, and what each has for itself.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};

/// How many large files may still be left open.
pub struct Spare(AtomicUsize);

impl Spare {
    /// So many.
    pub fn of(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }

    /// Everything is hashed where it is found.
    pub fn none() -> Self {
        Self::of(0)
    }

    /// Whether one more may be; it counts then.
    pub fn take(&self) -> bool {
        let less = |count: usize| count.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// What a thread reads into, file after file.
pub struct Desk(Vec<u8>);

impl Desk {
    /// As much as stays in the processor's own memory.
    pub fn new() -> Self {
        Self(vec![0; 64 << 10])
    }

    /// How many bytes a file has, and their digest. A read that brings less than there is room for, up to the size that the file had
    /// when it was opened, has met its end: no other is needed to see it.
    pub fn digest(&mut self, file: &mut File, length: u64) -> std::io::Result<(u64, [u8; 32])> {
        let (mut size, mut sum) = (0, Sha256::new());
        loop {
            match file.read(&mut self.0) {
                Ok(read) => {
                    size += read as u64;
                    sum.update(&self.0[..read]);
                    if read == 0 || (read < self.0.len() && size == length) {
                        return Ok((size, sum.finalize().into()));
                    }
                }
                Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
    }
}
