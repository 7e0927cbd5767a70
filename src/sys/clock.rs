//! The clock, read once at the start of a tool and passed on.
//!
//! No decision reads the time by itself, so that every decision can be asked about any moment (`--now`).

use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Utc};

use crate::error::{Error, Result};

/// A moment, in whole seconds of UTC: what the journal can tell apart.
pub type Moment = DateTime<Utc>;

/// The present moment.
pub fn now() -> Moment {
    Utc::now().trunc_subsecs(0)
}

/// Where a tool takes the time from: the system, or the moment that `--now` named.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's clock.
    System,
    /// It is always this moment.
    Fixed(Moment),
}

impl Clock {
    /// The moment to write down or to decide at.
    pub fn now(self) -> Moment {
        match self {
            Self::System => now(),
            Self::Fixed(moment) => moment,
        }
    }

    /// The same to the millisecond, for the lines of a log.
    pub fn exact(self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            Self::Fixed(moment) => moment,
        }
    }
}

/// RFC 3339 with `Z`: `2026-11-21T02:00:07Z`.
pub fn stamp(moment: Moment) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Reads RFC 3339 with any offset. What it reads, [`stamp`] writes so that it can be read again: the year has four digits in UTC
/// as well (RFC 3339, section 1), and none is year 0.
///
/// # Errors
/// [`Error::Usage`], with an example of what is right.
pub fn parse(text: &str) -> Result<Moment> {
    let wrong = |why: &dyn std::fmt::Display| {
        Error::Usage(format!(
            "cannot read time {text:?}: {why}; write date, time and zone, like 2026-11-21T02:00:07Z or 2026-11-21T03:00:07+01:00"
        ))
    };
    let moment = DateTime::parse_from_rfc3339(text).map_err(|why| wrong(&why))?.with_timezone(&Utc);
    if !(1..=9999).contains(&moment.year()) {
        return Err(wrong(&"its year in UTC is not one of 0001 to 9999"));
    }
    Ok(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_being_written_and_read() {
        let moment = parse("2026-11-21T04:00:07+02:00").unwrap();
        assert_eq!(stamp(moment), "2026-11-21T02:00:07Z");
    }

    #[test]
    fn what_could_not_be_read_again_is_not_read() {
        for bad in ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+00:01", "0000-06-01T00:00:00Z"] {
            assert!(parse(bad).unwrap_err().to_string().contains("0001 to 9999"), "{bad}");
        }
        for good in ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+01:00"] {
            let moment = parse(good).unwrap();
            assert_eq!(parse(&stamp(moment)).unwrap(), moment);
        }
    }

    #[test]
    fn a_time_without_an_offset_is_refused() {
        assert!(parse("2026-11-21T02:00:07").is_err());
    }
}
