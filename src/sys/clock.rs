//! The clock, read once at the start of a tool and passed on.
//!
//! No decision reads the time by itself, so that every decision can be asked about any moment (`--now`).

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};

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

/// Reads RFC 3339 with any offset.
///
/// # Errors
/// [`Error::Usage`], with an example of what is right.
pub fn parse(text: &str) -> Result<Moment> {
    DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.with_timezone(&Utc))
        .map_err(|why| Error::Usage(format!("cannot read time {text:?}: {why}; write date, time and zone, like 2026-11-21T02:00:07Z or 2026-11-21T03:00:07+01:00")))
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
    fn a_time_without_an_offset_is_refused() {
        assert!(parse("2026-11-21T02:00:07").is_err());
    }
}
