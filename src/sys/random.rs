//! Bits that nobody can guess, from the kernel: random(4).

use std::io::Read;

use crate::error::{Error, Result};

/// As many random bytes as asked for.
///
/// # Errors
/// [`Error::Io`] where there is no `/dev/urandom`.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    const SOURCE: &str = "/dev/urandom";
    let mut bytes = [0; N];
    let mut source = std::fs::File::open(SOURCE).map_err(Error::io("open", SOURCE))?;
    source.read_exact(&mut bytes).map_err(Error::io("read", SOURCE))?;
    Ok(bytes)
}

/// A part of a whole, from 0 to 1. Where the kernel has no random bits it is a half: no reason to fail for what only spreads load.
pub fn part() -> f64 {
    bytes::<4>().map_or(0.5, |bytes| f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_and_a_part_is_no_more_than_the_whole() {
        assert_ne!(bytes::<16>().unwrap(), bytes::<16>().unwrap());
        assert!((0.0..=1.0).contains(&part()));
    }
}
