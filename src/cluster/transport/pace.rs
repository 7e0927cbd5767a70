//! A body must move: a server that sends a byte a minute would hold a tool for ever without ever stalling.

use std::io::{self, Read};
use std::time::Instant;

use super::Patience;

/// A reader that gives up when too little comes.
pub struct Paced<R> {
    inner: R,
    patience: Patience,
    since: Instant,
    bytes: u64,
}

impl<R: Read> Paced<R> {
    pub fn new(inner: R, patience: Patience) -> Self {
        Self { inner, patience, since: Instant::now(), bytes: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(block)?;
        self.bytes += read as u64;
        let took = self.since.elapsed();
        if read > 0 && took >= self.patience.window {
            if self.bytes < self.patience.least {
                let words = format!("only {} bytes came in {} s", self.bytes, took.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
            self.since = Instant::now();
            self.bytes = 0;
        }
        Ok(read)
    }
}
