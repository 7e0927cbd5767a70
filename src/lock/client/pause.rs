//! How long to wait between two tries: exponential back-off with full jitter, so that a fleet that waits for one lock does not ask
//! in step. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. Pure.

use std::time::Duration;

use crate::config::locking::Backoff;

/// The pauses of one wait.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    backoff: Backoff,
    tries: u32,
}

impl Pauses {
    /// Begins with the shortest.
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, tries: 0 }
    }

    /// The next pause: a `part` (0 to 1, drawn by the caller) of a time that doubles with each try.
    pub fn next(&mut self, part: f64) -> Duration {
        let whole =
            self.backoff.base.saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX)).min(self.backoff.max);
        self.tries = (self.tries + 1).min(31);
        whole.mul_f64(part.clamp(0.0, 1.0))
    }

    /// Something was answered: the next pause is short again.
    pub fn restart(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_takes_a_part_of_them() {
        let second = Duration::from_secs(1);
        let mut pauses = Pauses::new(Backoff { base: 10 * second, max: 120 * second });
        let whole: Vec<u64> = (0..6).map(|_| pauses.next(1.0).as_secs()).collect();
        assert_eq!(whole, [10, 20, 40, 80, 120, 120]);
        assert_eq!(pauses.next(0.5), 60 * second);
        assert_eq!(pauses.next(0.0), Duration::ZERO);
        for _ in 0..100 {
            assert!(pauses.next(1.0) <= 120 * second);
        }
        pauses.restart();
        assert_eq!(pauses.next(1.0), 10 * second);
    }
}
