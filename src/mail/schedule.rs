//! When a mail that was not taken is tried again. Pure.

use chrono::TimeDelta;

use crate::sys::clock::Moment;

/// The longest pause. A relay that is down for a week loses nothing and is asked once an hour.
const LONGEST: i64 = 60;

/// The next try after so many: 1, 2, 4 … 60 minutes later.
pub fn next_try(tries: u32, now: Moment) -> Moment {
    let minutes = 1_i64.checked_shl(tries.saturating_sub(1)).filter(|m| (1..=LONGEST).contains(m)).unwrap_or(LONGEST);
    now + TimeDelta::minutes(minutes)
}

/// Whether a try is due. One that is further away than any pause was set by a clock that has gone back since.
pub fn is_due(next: Moment, now: Moment) -> bool {
    next <= now || next - now > TimeDelta::minutes(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Moment {
        crate::sys::clock::parse("2026-11-21T02:00:00Z").unwrap()
    }

    #[test]
    fn the_pause_doubles_up_to_an_hour() {
        let pauses: Vec<i64> = (1..=9).map(|tries| (next_try(tries, now()) - now()).num_minutes()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_clock_that_went_back_delays_nothing() {
        assert!(is_due(now() + TimeDelta::days(300), now()));
        assert!(!is_due(now() + TimeDelta::minutes(60), now()));
    }

    proptest! {
        #[test]
        fn a_pause_is_never_shorter_than_the_one_before_and_never_over_an_hour(tries in any::<u32>()) {
            let pause = next_try(tries, now()) - now();
            prop_assert!(pause >= TimeDelta::minutes(1) && pause <= TimeDelta::minutes(60));
            prop_assert!(next_try(tries.saturating_add(1), now()) - now() >= pause);
            prop_assert!(is_due(next_try(tries, now()), now() + pause));
        }
    }
}
