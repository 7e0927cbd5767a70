//! Trying again what cannot be reached: with growing pauses of random length, so that a fleet does not come back all at once.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The first pause is at most this long; each next one may be twice as long.
const FIRST: Duration = Duration::from_secs(2);
/// No pause is longer.
const LONGEST: Duration = Duration::from_mins(1);

/// Time as it passes, or as a test says that it does.
pub trait Clock {
    /// Since some fixed moment.
    fn passed(&self) -> Duration;
    /// Waits.
    fn pause(&self, time: Duration);
}

/// The real one.
#[derive(Debug)]
pub struct RealTime(Instant);

impl RealTime {
    /// From now on.
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for RealTime {
    fn passed(&self) -> Duration {
        self.0.elapsed()
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// How long, and with which randomness.
pub struct Retry<'a> {
    /// After this time without success the last error is the result.
    pub time: Duration,
    /// Different on each host.
    pub seed: u64,
    /// What waits.
    pub clock: &'a dyn Clock,
}

impl Retry<'_> {
    /// Calls until it gives anything but [`Error::Unreachable`], or the time is over.
    ///
    /// # Errors
    /// The last error.
    pub fn run<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let start = self.clock.passed();
        let mut pauses = Pauses::new(self.seed);
        loop {
            let error = match attempt() {
                Err(error @ Error::Unreachable { .. }) => error,
                other => return other,
            };
            let left = self.time.saturating_sub(self.clock.passed().saturating_sub(start));
            if left.is_zero() {
                return Err(error);
            }
            self.clock.pause(pauses.next_pause().min(left));
        }
    }
}

/// "Full jitter": each pause is anything between nothing and a bound that doubles.
struct Pauses {
    state: u64,
    bound: Duration,
}

impl Pauses {
    fn new(seed: u64) -> Self {
        Self { state: seed, bound: FIRST }
    }

    fn next_pause(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = (bound * 2).min(LONGEST);
        let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        // Never none at all: a server that refuses at once would be asked in a loop.
        Duration::from_millis(100 + self.random() % millis)
    }

    /// Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014 (`SplitMix64`).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    #[derive(Default)]
    struct Told {
        now: Cell<Duration>,
        pauses: RefCell<Vec<Duration>>,
    }

    impl Clock for Told {
        fn passed(&self) -> Duration {
            self.now.get()
        }
        fn pause(&self, time: Duration) {
            self.now.set(self.now.get() + time);
            self.pauses.borrow_mut().push(time);
        }
    }

    fn unreachable() -> Error {
        Error::Unreachable { service: "s".into(), reason: "r".into() }
    }

    fn pauses(seed: u64) -> Vec<Duration> {
        let clock = Told::default();
        let retry = Retry { time: Duration::from_mins(10), seed, clock: &clock };
        assert!(matches!(retry.run(|| Err::<(), _>(unreachable())), Err(Error::Unreachable { .. })));
        assert_eq!(clock.passed(), Duration::from_mins(10), "neither sooner nor later");
        clock.pauses.take()
    }

    #[test]
    fn what_cannot_be_reached_is_tried_until_the_time_is_over() {
        let pauses = pauses(7);
        assert!((10..200).contains(&pauses.len()), "{}", pauses.len());
        assert!(pauses.iter().all(|pause| *pause <= LONGEST + FIRST));
    }

    #[test]
    fn two_hosts_do_not_come_at_the_same_moments() {
        assert_ne!(pauses(1), pauses(2));
    }

    #[test]
    fn a_success_or_another_error_ends_it_at_once() {
        let clock = Told::default();
        let retry = Retry { time: Duration::from_mins(10), seed: 1, clock: &clock };
        let count = Cell::new(0);
        let third = || {
            count.set(count.get() + 1);
            if count.get() < 3 { Err(unreachable()) } else { Ok(count.get()) }
        };
        assert_eq!(retry.run(third).unwrap(), 3);
        assert!(matches!(retry.run(|| Err::<(), _>(Error::refused("x", "y"))), Err(Error::Refused { .. })));
        assert_eq!(clock.pauses.borrow().len(), 2);
    }
}
